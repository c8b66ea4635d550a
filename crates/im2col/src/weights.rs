//! Weights, plain or packed, and what tells packed ones apart.

/// Weights as they are, or packed beforehand.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// Packed anew at every call.
    Plain(&'a [f32]),
    /// Packed once, for many calls.
    Packed(PackedWeights<'a>),
}

/// Weights in the order in which the microkernel reads them. Made by `pack_weights`.
///
/// The layout depends only on groups, channels, kernel and, if one was asked for, the algorithm: plans of
/// one layer for several batch or input sizes share it. It is not stable across versions: store plain weights.
#[derive(Clone, Copy, Debug)]
pub struct PackedWeights<'a> {
    pub(crate) panels: &'a [f32],
    pub(crate) layout: Layout,
}

/// What weights were packed for: two layers share packed weights only if all of this is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Panels of `NR` output channels, group after group: what every algorithm but Winograd's reads.
    Conv { weight: WeightDims },
    /// Panels of output channels at the points of Winograd's algorithm, group after group.
    Points { weight: WeightDims },
    /// Panels of the transposed weights of a transposed convolution; `weight` is its mirror's.
    ConvTranspose { weight: WeightDims },
    /// `B` panels.
    Linear { inputs: usize, outputs: usize },
}

/// The dimensions of a convolution's weight, `[groups, out_group, in_group, kernel..]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeightDims {
    pub(crate) groups: usize,
    pub(crate) out_group: usize,
    pub(crate) in_group: usize,
    pub(crate) kernel: [usize; 3],
}

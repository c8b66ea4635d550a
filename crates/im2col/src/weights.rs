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
/// The layout depends only on groups, channels, kernel and whether the algorithm is Winograd's: plans of one layer for several
/// batch or input sizes and layouts share it, but with [`Rounding::Any`](crate::Rounding::Any) these may decide the algorithm. It is not stable
/// across versions: store plain weights.
#[derive(Clone, Copy, Debug)]
pub struct PackedWeights<'a> {
    pub(crate) panels: &'a [f32],
    pub(crate) layout: PackedLayout,
}

/// Packed weights with their values, made by the compiler: in a `static` they lie in flash or in `.rodata`.
///
/// By [`ConvPlan::packed`](crate::ConvPlan::packed) and [`LinearPlan::packed`](crate::LinearPlan::packed).
///
/// ```
/// use im2col::{LinearOperands, LinearParams, LinearPlan, PackedArray, Weights, planned};
///
/// const LINEAR: LinearPlan = planned!(LinearParams::new(3, 2).plan(2));
/// const WEIGHT: [f32; 6] = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0];
/// static PACKED: PackedArray<{ LINEAR.packed_weight_len() }> = planned!(LINEAR.packed(&WEIGHT));
///
/// let operands =
///     LinearOperands { input: &[1., 2., 3., 4., 5., 6.], weight: Weights::Packed(PACKED.weights()), bias: &[0.; 2] };
/// let (mut output, mut scratch) = ([0.0; 4], [0.0; LINEAR.scratch_len()]);
/// LINEAR.forward(operands, &mut output, &mut scratch)?;
/// assert_eq!(output, [1.0, 5.0, 4.0, 11.0]);
/// # Ok::<(), im2col::RunError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct PackedArray<const N: usize> {
    pub(crate) panels: [f32; N],
    pub(crate) layout: PackedLayout,
}

impl<const N: usize> PackedArray<N> {
    /// As the operand of a forward pass.
    #[must_use]
    pub const fn weights(&self) -> PackedWeights<'_> {
        PackedWeights { panels: &self.panels, layout: self.layout }
    }
}

/// What weights were packed for: two layers share packed weights only if all of this is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackedLayout {
    /// Panels of `NR` output channels, group after group: what every algorithm but Winograd's reads.
    Conv { weight: WeightDims },
    /// Panels of output channels at the points of Winograd's algorithm, group after group.
    Points { weight: WeightDims },
    /// Panels of the transposed weights of a transposed convolution; `weight` is its mirror's.
    ConvTranspose { weight: WeightDims },
    /// `B` panels.
    Linear { inputs: usize, outputs: usize },
}

impl PackedLayout {
    /// Whether both are of layers with the same dimensions, whatever the algorithms.
    pub(crate) fn has_dims_of(self, other: Self) -> bool {
        match (self, other) {
            (
                Self::Conv { weight } | Self::Points { weight },
                Self::Conv { weight: of_other } | Self::Points { weight: of_other },
            ) => weight == of_other,
            _ => self == other,
        }
    }
}

/// The dimensions of a convolution's weight, `[groups, out_group, in_group, kernel..]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeightDims {
    pub(crate) groups: usize,
    pub(crate) out_group: usize,
    pub(crate) in_group: usize,
    pub(crate) kernel: [usize; 3],
}

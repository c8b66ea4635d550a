//! How long the operands of a plan are, and all its scratches together, checked: what follows may multiply sizes freely.
//! What an algorithm or a gradient takes stands in its own file.

use crate::conv::algorithm::{Algorithm, ForwardSizes};
use crate::conv::choice::best;
use crate::conv::gradient::input::{self, StridedSizes};
use crate::conv::gradient::weight;
use crate::conv::rounding::Rounding;
use crate::conv::shape::ConvShape;
use crate::window::{checked, checked_product, checked_sum, min};

/// The lengths of operands and scratches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConvSizes {
    pub(super) input: usize,
    pub(super) weight: usize,
    pub(super) output: usize,
    pub(super) forward: ForwardSizes,
    /// The scratch of the input's gradient with `Rounding::Ordered`.
    pub(super) backward_input: usize,
    pub(super) backward_weight: usize,
}

/// The fewest multiply-adds that repay a thread: 15 us of AVX-512, where starting one takes 2 to 5.
const PART: usize = 1 << 21;
/// How many times longer a multiply-add of a depthwise convolution takes.
const DEPTHWISE: usize = 8;

impl ConvSizes {
    /// The most parts that the forward pass can be divided into, each worth a thread.
    pub(super) const fn most_parts(&self, shape: &ConvShape, algorithm: Algorithm) -> usize {
        let ConvShape { batch, groups, out_group, .. } = *shape;
        let weight = match algorithm {
            Algorithm::Depthwise => DEPTHWISE,
            #[cfg(feature = "matrixmultiply")]
            Algorithm::Matrixmultiply => return 1,
            _ => 1,
        };
        let divisible = match (batch, groups) {
            (0 | 1, _) if shape.output_layout.is_last() => algorithm.divisible(shape),
            // A part would compute its strides from fewer groups; those of a view are given.
            (0 | 1, 2..) if shape.input_layout.is_last() && !shape.is_view => 1,
            (0 | 1, 1) => out_group.div_ceil(algorithm.channels_at_once()),
            (0 | 1, groups) => groups,
            (batch, _) => batch,
        };
        min(divisible, self.output.saturating_mul(shape.depth()).saturating_mul(weight) / PART)
    }

    /// All of them, if they fit in `usize`. `most` limits the blocks of the forward pass, in values.
    pub(super) const fn new(shape: &ConvShape, algorithm: Algorithm, most: usize) -> Option<Self> {
        let ConvShape { batch, groups, in_group, out_group, window, .. } = *shape;
        let (taps, positions) = (window.taps(), window.positions());
        let depth = checked!(checked_product([in_group, taps]));
        // The batch last: it may be 0, and a single image must fit all the same.
        let input_len = checked!(checked_product([groups, in_group, window.plane_len(), batch]));
        let output = checked!(checked_product([groups, out_group, positions, batch]));
        let weight_len = checked!(checked_product([groups, out_group, depth]));
        // The im2col matrices of all images.
        checked!(checked_product([groups, depth, positions, batch]));
        // An operand is at most `isize::MAX` bytes, so all of them together may take a quarter of the address
        // space.
        checked!(checked_product([4, checked!(checked_sum([input_len, output, weight_len]))]));

        let forward = checked!(ForwardSizes::new(shape, algorithm, most));
        let strided = checked!(StridedSizes::new(shape));
        let backward_input = match input::mirror(shape) {
            Some(mirror) => {
                let algorithm = best(&mirror, Rounding::Ordered);
                checked!(input::scratch_len(&mirror, algorithm, usize::MAX))
            }
            None => strided.plain,
        };
        let backward_weight = checked!(weight::scratch_len(shape, usize::MAX));
        Some(Self { input: input_len, weight: weight_len, output, forward, backward_input, backward_weight })
    }
}

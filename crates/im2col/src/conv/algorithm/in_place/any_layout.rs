//! Convolution in place with channels last in the input, the output or both: sixteen output channels at a time, position by
//! position.
//!
//! It runs where a limit leaves no scratch, so it is short rather than fast.

use crate::conv::pass::{GroupWeights, Pass};
use crate::conv::shape::ConvShape;
use crate::layout::InputStrides;
use crate::simd::{Kernel, Lanes, MulAdd, NR, Vectors};
use crate::window::Window;

/// A convolution, or a part of it; input and output may each have channels first or last.
pub(super) struct InAnyLayout<'a>(pub(super) Pass<'a>);

impl Kernel for InAnyLayout<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self(pass) = self;
        let ConvShape { batch, groups, in_group, out_group, window, .. } = pass.shape;
        let [position_stride, channel_stride, group_stride] = pass.shape.output_strides();
        let [_, height, width] = window.output;
        let image_len = groups * out_group * window.positions();
        let strides = pass.input_strides();
        let [begin, end] = pass.part.map(|at| at * (window.positions() / window.output[window.outer_axis()]));
        for image in 0..batch {
            for group in 0..groups {
                let (weights, epilogue) = (pass.weights(group), pass.epilogue(group).by_columns());
                for place in begin..end {
                    let position = [place / width / height, place / width % height, place % width];
                    for first in (0..out_group).step_by(NR) {
                        let start = image * strides.image + group * in_group * strides.channel;
                        let sums = pass.sums_at(position, (start, &strides), weights, first, mul_add);
                        let mut lanes = [sums];
                        epilogue.apply(&mut lanes, 0, first);
                        let at = image * image_len
                            + group * group_stride
                            + first * channel_stride
                            + (place - begin) * position_stride;
                        let values = pass.output.get_mut(at..).unwrap_or_default();
                        let values = values.iter_mut().step_by(channel_stride).take(out_group - first);
                        values.zip(&lanes[0]).for_each(|(value, sum)| *value = *sum);
                    }
                }
            }
        }
    }
}

impl Pass<'_> {
    /// The sums of the output channels of a group from `first` on, at a position; the group's input begins at `start` and has these
    /// strides.
    #[inline(always)]
    fn sums_at(
        &self,
        position: [usize; 3],
        (start, strides): (usize, &InputStrides<3>),
        weights: GroupWeights<'_>,
        first: usize,
        mul_add: impl MulAdd,
    ) -> Lanes {
        let Window { kernel, stride, dilation, padding, .. } = self.shape.window;
        let depth = self.shape.depth();
        let at = |axis: usize, tap: usize| {
            (position[axis] * stride[axis] + tap * dilation[axis]).wrapping_sub(padding[axis][0])
        };
        let (mut sums, mut k) = ([0.0; NR], 0);
        for channel in 0..self.shape.in_group {
            for tap in 0..self.shape.window.taps() {
                let [z, y, x] = [tap / kernel[2] / kernel[1], tap / kernel[2] % kernel[1], tap % kernel[2]];
                if let Some(place) = strides.place(&self.shape.window, [at(0, z), at(1, y), at(2, x)]) {
                    let value = self.input[start + channel * strides.channel + place];
                    sums = mul_add(value, weights.lanes(first, k, depth), sums);
                }
                k += 1;
            }
        }
        sums
    }
}

impl GroupWeights<'_> {
    /// The weights `k` of the output channels from `first` on, a multiple of `NR`; past the last some other values.
    #[inline(always)]
    fn lanes(&self, first: usize, k: usize, depth: usize) -> Lanes {
        let mut lanes = [0.0; NR];
        match self {
            Self::Plain(weight) => {
                let weights = weight.get(first * depth + k..).unwrap_or_default().iter().step_by(depth);
                lanes.iter_mut().zip(weights).for_each(|(lane, weight)| *lane = *weight);
            }
            Self::Packed(panels) => {
                if let Some(panel) =
                    panels.get((first / NR * depth + k) * NR..).and_then(<[f32]>::first_chunk)
                {
                    lanes = *panel;
                }
            }
        }
        lanes
    }
}

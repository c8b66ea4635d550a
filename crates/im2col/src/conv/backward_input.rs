//! With a stride of 1 the gradient of the input is a convolution, too: of the gradient of the output with the
//! weight, whose taps are in reverse and whose channels change places.
//!
//! `grad_input[c, p] = sum over o, tap of grad_output[o, p + padding - tap * dilation] weight[o, c, tap]`: V. Dumoulin,
//! F. Visin: A guide to convolution arithmetic for deep learning (2016), chapter 4.

use super::forward::{Forward, Weights};
use super::lens::ForwardLens;
use super::plan::Algorithm;
use super::shape::Shape;
use crate::activation::Activation;
use crate::kernel::{Isa, Job, MulAdd, Vectors, dispatch};
use crate::padding::PaddingMode;
use crate::window::{Window, checked_sum};

/// How many times longer than the output the input may be: what the mirror multiplies beyond the output is padding.
const MOST_PADDED: usize = 4;

/// The convolution that computes the gradient, if it is one: also what pads it must be zeros, no more
/// than what taps reach, and not most of what it multiplies.
pub(super) const fn mirror(shape: &Shape) -> Option<Shape> {
    let Window { input, kernel, stride, padding, mode, dilation, output } = shape.window;
    // Without images the planes may be of any size.
    if shape.batch == 0 || !matches!(mode, PaddingMode::Zeros) || shape.depthwise_stage_len().is_some() {
        return None;
    }
    if shape.window.plane_len() / MOST_PADDED > shape.window.positions() {
        return None;
    }
    let mut window = Window { input: output, output: input, ..shape.window };
    let mut axis = 0;
    while axis < 3 {
        let reach = (kernel[axis] - 1) * dilation[axis];
        let [before, _] = padding[axis];
        if stride[axis] != 1 || before > reach || input[axis] + before < output[axis] {
            return None;
        }
        // What follows is as long as it takes to get all of the input.
        window.padding[axis] = [reach - before, input[axis] + before - output[axis]];
        axis += 1;
    }
    let Shape { batch, groups, in_group, out_group, .. } = *shape;
    Some(Shape { batch, groups, in_group: out_group, out_group: in_group, window })
}

/// The algorithm of the mirror: the best one, or in blocks of at most `most` values.
const fn algorithm(mirror: &Shape, most: usize) -> Algorithm {
    if most == usize::MAX { mirror.best_algorithm() } else { Algorithm::Broadcast }
}

/// The scratch of [`backward_input`], if it fits in `usize`: the weights in reverse, and what the convolution
/// takes.
pub(super) const fn scratch_len(mirror: &Shape, most: usize) -> Option<usize> {
    let Some(lens) = ForwardLens::new(mirror, algorithm(mirror, most), most) else { return None };
    checked_sum([lens.plain, mirror.groups * mirror.out_group * mirror.depth()])
}

/// Computes the gradient of the input, in blocks of at most `most` values; `mirror` is the convolution that does so.
pub(super) fn backward_input(
    isa: Isa,
    mirror: Shape,
    most: usize,
    weight: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
    scratch: &mut [f32],
) {
    let algorithm = algorithm(&mirror, most);
    let Some(lens) = ForwardLens::new(&mirror, algorithm, most) else {
        debug_assert!(false, "the plan has computed the lengths of the mirror");
        return;
    };
    let (reversed, scratch) = scratch.split_at_mut(weight.len());
    dispatch(isa, Reverse { shape: &mirror, weight, reversed });
    let (input, weight, output) = (grad_output, Weights::Plain(reversed), grad_input);
    let forward = Forward::new(&mirror, algorithm, &lens);
    Forward { input, weight, bias: &[], activation: Activation::Identity, output, scratch, ..forward }
        .run(algorithm, isa);
}

/// The weights of the mirror, `[groups, out_group, in_group, taps]`.
struct Reverse<'a> {
    shape: &'a Shape,
    weight: &'a [f32],
    reversed: &'a mut [f32],
}

impl Job for Reverse<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { shape: Shape { in_group, out_group, window, .. }, weight, reversed } = self;
        let taps = window.taps();
        let group_len = in_group * out_group * taps;
        let groups = weight.chunks_exact(group_len).zip(reversed.chunks_exact_mut(group_len));
        for (weight, reversed) in groups {
            for (i, reversed) in reversed.chunks_exact_mut(taps).enumerate() {
                let (output, input) = (i / in_group, i % in_group);
                let kernel = &weight[(input * out_group + output) * taps..][..taps];
                for (to, from) in reversed.iter_mut().zip(kernel.iter().rev()) {
                    *to = *from;
                }
            }
        }
    }
}

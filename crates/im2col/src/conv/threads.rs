//! The forward pass in parts, each on a thread of its own.
//!
//! A part computes whole images, whole groups or whole panels of channels; or, of an image with channels last, some of its planes,
//! lines or positions, whichever its output has several of first. These outputs follow each other in memory, so that safe slices
//! divide them. Each output is computed as in one piece.

use super::pass::Pass;
use crate::conv::algorithm::Algorithm;
use crate::conv::shape::ConvShape;
use crate::simd::Isa;
use crate::weights::{PackedWeights, Weights};

impl Pass<'_> {
    /// Runs in `parts`, as many as the scratch has room for.
    pub(super) fn run_parts(mut self, algorithm: Algorithm, isa: Isa, parts: usize) {
        if parts < 2 {
            return self.run(algorithm, isa);
        }
        let left = parts / 2;
        let (first, second) = self.split(algorithm, left, parts);
        rayon::join(
            || first.run_parts(algorithm, isa, left),
            || second.run_parts(algorithm, isa, parts - left),
        );
    }

    /// Gives the first part `left` of `parts` shares.
    fn split(self, algorithm: Algorithm, left: usize, parts: usize) -> (Self, Self) {
        let ConvShape { batch, groups, in_group, out_group, window, .. } = self.shape;
        let (mut first, mut second) = (self.shape, self.shape);
        let strides = self.input_strides();
        let (mut weight, mut bias, mut input) = ([self.weight; 2], [self.bias; 2], [self.input; 2]);
        let mut part = [self.part; 2];
        let output_len;
        if batch > 1 {
            let images = batch / parts * left;
            (first.batch, second.batch) = (images, batch - images);
            input = [self.input, self.input.get(images * strides.image..).unwrap_or_default()];
            output_len = images * groups * out_group * window.positions();
        } else if self.shape.output_layout.is_last() {
            let [begin, end] = self.part;
            // Lines are few: rounded down once, shares differ by one at most.
            let share = ((end - begin) as u128 * left as u128 / parts as u128) as usize;
            part = [[begin, begin + share], [begin + share, end]];
            output_len = self.output.len() / (end - begin) * share;
        } else if groups > 1 {
            let share = groups / parts * left;
            (first.groups, second.groups) = (share, groups - share);
            input = [self.input, self.input.get(share * in_group * strides.channel..).unwrap_or_default()];
            weight = self.weight.halves(share, groups);
            bias = halves(self.bias, share * out_group);
            output_len = share * out_group * window.positions();
        } else {
            // Whole panels of packed weights, and as many rows of plain ones.
            let at_once = algorithm.channels_at_once();
            let rows = out_group.div_ceil(at_once) / parts * left * at_once;
            (first.out_group, second.out_group) = (rows, out_group - rows);
            let packed_depth = algorithm.packed_depth(&self.shape).unwrap_or_default();
            weight = self.weight.halves_at(rows * self.shape.depth(), rows * packed_depth);
            bias = halves(self.bias, rows);
            output_len = rows * window.positions();
        }
        let (output, rest) = self.output.split_at_mut(output_len);
        let (scratch, other) = self.scratch.split_at_mut(self.scratch.len() / parts * left);
        let ([input, others], [weight, weights], [bias, biases]) = (input, weight, bias);
        (
            Self { shape: first, part: part[0], input, weight, bias, output, scratch, ..self },
            Self {
                shape: second,
                part: part[1],
                input: others,
                weight: weights,
                bias: biases,
                output: rest,
                scratch: other,
                ..self
            },
        )
    }
}

impl<'a> Weights<'a> {
    /// Those of the first `share` of `groups` groups, and the others.
    fn halves(self, share: usize, groups: usize) -> [Self; 2] {
        let len = match self {
            Self::Plain(values) => values.len(),
            Self::Packed(packed) => packed.panels.len(),
        };
        self.halves_at(len / groups * share, len / groups * share)
    }

    /// Cut at a length of plain or of packed weights.
    fn halves_at(self, plain: usize, packed: usize) -> [Self; 2] {
        match self {
            Self::Plain(values) => halves(values, plain).map(Self::Plain),
            Self::Packed(PackedWeights { panels, layout }) => {
                halves(panels, packed).map(|panels| Self::Packed(PackedWeights { panels, layout }))
            }
        }
    }
}

/// A slice cut in two; a bias that is empty stays so.
fn halves(values: &[f32], len: usize) -> [&[f32]; 2] {
    let (first, second) = values.split_at(len.min(values.len()));
    [first, second]
}

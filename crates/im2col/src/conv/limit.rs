//! Gradients under a limit of scratch.

use super::algorithm::Algorithm;
use super::choice::best;
use super::gradient::{depthwise, input, weight};
use super::rounding::Rounding;
use super::sizes::ConvSizes;
use crate::conv::channel_lanes::SUMS_LEN;
use crate::conv::shape::ConvShape;
use crate::simd::MR;

/// The scratch of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scratch {
    /// 0 in place.
    pub(super) len: usize,
    /// The most values of a block.
    most: usize,
}

impl Scratch {
    const IN_PLACE: Self = Self { len: 0, most: 0 };

    /// What the fastest kernel takes.
    const fn whole(len: usize) -> Self {
        Self { len, most: usize::MAX }
    }

    /// The most values of a block; none for the kernel that needs no scratch.
    pub(super) const fn most(&self) -> Option<usize> {
        if self.len == 0 { None } else { Some(self.most) }
    }
}

/// The scratches of the gradients of input and weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BackwardScratch {
    /// The limit that was asked for.
    pub(super) limit: usize,
    pub(super) input: Scratch,
    /// The algorithm of the input's gradient, where that is a convolution.
    pub(super) input_algorithm: Algorithm,
    pub(super) weight: Scratch,
}

impl BackwardScratch {
    /// The scratches without a limit, for sums in order.
    pub(super) const fn new(shape: &ConvShape, sizes: &ConvSizes) -> Self {
        let unplanned = Self {
            limit: usize::MAX,
            input: Scratch::IN_PLACE,
            input_algorithm: Algorithm::InPlace,
            weight: Scratch::whole(sizes.backward_weight),
        };
        unplanned.with_input_limit(shape, sizes, Rounding::Ordered, usize::MAX)
    }

    /// These scratches with at most `limit` values for the gradient of the input, whose sums round as `rounding` allows.
    pub(super) const fn with_input_limit(
        mut self,
        shape: &ConvShape,
        sizes: &ConvSizes,
        rounding: Rounding,
        limit: usize,
    ) -> Self {
        self.limit = limit;
        self.input = Scratch::whole(sizes.backward_input);
        let mirror = input::mirror(shape);
        if let Some(mirror) = &mirror {
            self.input_algorithm = best(mirror, Rounding::Ordered);
            if matches!(rounding, Rounding::Any)
                && let algorithm = best(mirror, rounding)
                && let Some(len) = input::scratch_len(mirror, algorithm, usize::MAX)
                && len <= limit
            {
                (self.input, self.input_algorithm) = (Scratch::whole(len), algorithm);
            }
        }
        if self.input.len > limit {
            self.input = Scratch::IN_PLACE;
            // A single panel of weights never repays packing.
            if let Some(mirror) = &mirror
                && mirror.out_group > MR
                && let algorithm = Algorithm::Broadcast
                && let Some(least) = input::scratch_len(mirror, algorithm, 0)
                && let Some(spare) = limit.checked_sub(least)
                // Larger blocks may have more sums that wait to be stored.
                && let most = spare.saturating_sub(SUMS_LEN)
                && let Some(len) = input::scratch_len(mirror, algorithm, most)
                && len <= limit
            {
                (self.input, self.input_algorithm) = (Scratch { len, most }, algorithm);
            }
        }
        self
    }

    /// These scratches with at most `limit` values for the gradient of the weight.
    pub(super) const fn with_weight_limit(
        mut self,
        shape: &ConvShape,
        sizes: &ConvSizes,
        limit: usize,
    ) -> Self {
        self.weight = Scratch::whole(sizes.backward_weight);
        if self.weight.len > limit {
            self.weight = Scratch::IN_PLACE;
            if depthwise::stage_len(shape).is_none()
                && let Some(least) = weight::scratch_len(shape, 0)
                && let Some(most) = limit.checked_sub(least)
                && let Some(len) = weight::scratch_len(shape, most)
                && len <= limit
            {
                self.weight = Scratch { len, most };
            }
        }
        self
    }
}

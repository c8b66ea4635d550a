//! Gradients under a limit of scratch.

use super::gradient::{depthwise, input, weight};
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

/// The scratches of the gradients of input and weight, and whether the forward pass of a transposed convolution does
/// without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BackwardScratch {
    pub(super) input: Scratch,
    pub(super) weight: Scratch,
    pub(super) is_transposed_in_place: bool,
}

impl BackwardScratch {
    /// Without a limit.
    pub(super) const fn new(sizes: &ConvSizes) -> Self {
        Self {
            input: Scratch::whole(sizes.backward_input),
            weight: Scratch::whole(sizes.backward_weight),
            is_transposed_in_place: false,
        }
    }

    /// With at most `limit` values for the gradient of the input.
    pub(super) const fn with_input_limit(
        mut self,
        shape: &ConvShape,
        sizes: &ConvSizes,
        limit: usize,
    ) -> Self {
        self.input = Scratch::whole(sizes.backward_input);
        if self.input.len > limit {
            self.input = Scratch::IN_PLACE;
            // A single panel of weights never repays packing.
            if let Some(mirror) = input::mirror(shape)
                && mirror.out_group > MR
                && let Some(least) = input::scratch_len(&mirror, 0)
                && let Some(spare) = limit.checked_sub(least)
                // Larger blocks may have more sums that wait to be stored.
                && let most = spare.saturating_sub(SUMS_LEN)
                && let Some(len) = input::scratch_len(&mirror, most)
                && len <= limit
            {
                self.input = Scratch { len, most };
            }
        }
        self
    }

    /// With at most `limit` values for the gradient of the weight.
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

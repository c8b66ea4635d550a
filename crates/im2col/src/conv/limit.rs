//! What a plan does under a limit of scratch: the algorithm of the forward pass, and the gradients.

use super::algorithm::Algorithm;
use super::choice::{best, is_winograd_faster};
use super::gradient::{depthwise, input, weight};
use super::plan::{ConvPlan, TOO_LONG};
use super::rounding::Rounding;
use super::sizes::ConvSizes;
use crate::conv::channel_lanes::SUMS_LEN;
use crate::conv::shape::ConvShape;
use crate::error::ShapeError;
use crate::simd::MR;

impl<const D: usize> ConvPlan<D> {
    /// Plans what all requests describe together, whatever their order: the requested algorithm, or the one that [`best`] takes,
    /// if its scratch for one thread is within the limit; otherwise the best one that sums in order, if that is; otherwise, with
    /// more than six outputs per group, `Broadcast` in smaller blocks; otherwise `InPlace`, which needs none.
    /// [`ConvPlan::parts`] then takes the threads whose scratch is within the limit. An error leaves the plan as it was.
    pub(super) const fn resolve(&mut self) -> Result<(), ShapeError> {
        let limit = self.scratch_limit;
        let mut resolved = match self.requested {
            Some(algorithm) => match ConvSizes::new(&self.shape, algorithm, usize::MAX) {
                Some(sizes) => (algorithm, sizes),
                None => return Err(TOO_LONG),
            },
            None => match self.chosen() {
                Some(chosen) => chosen,
                None => return Err(TOO_LONG),
            },
        };
        if resolved.1.forward.plain > limit {
            resolved = match ConvSizes::new(&self.shape, Algorithm::InPlace, usize::MAX) {
                Some(sizes) => (Algorithm::InPlace, sizes),
                None => return Err(TOO_LONG),
            };
            // A single panel of weights never repays packing.
            if self.shape.out_group > MR
                && let Some(least) = ConvSizes::new(&self.shape, Algorithm::Broadcast, 0)
                && let Some(spare) = limit.checked_sub(least.forward.plain)
                && let most = spare.saturating_sub(SUMS_LEN)
                && let Some(sizes) = ConvSizes::new(&self.shape, Algorithm::Broadcast, most)
                && sizes.forward.plain <= limit
            {
                resolved = (Algorithm::Broadcast, sizes);
            }
        }
        (self.algorithm, self.sizes) = resolved;
        Ok(())
    }

    /// The algorithm that is estimated to be the fastest, of those that round as was asked for, and its sizes.
    const fn chosen(&self) -> Option<(Algorithm, ConvSizes)> {
        if matches!(self.rounding, Rounding::Any)
            && is_winograd_faster(&self.shape)
            && let Some(sizes) = ConvSizes::new(&self.shape, Algorithm::Winograd, usize::MAX)
            && sizes.forward.plain <= self.scratch_limit
        {
            return Some((Algorithm::Winograd, sizes));
        }
        let algorithm = best(&self.shape);
        match ConvSizes::new(&self.shape, algorithm, usize::MAX) {
            Some(sizes) => Some((algorithm, sizes)),
            None => None,
        }
    }

    /// The same convolution with at most `len` values of scratch for [`ConvPlan::forward`]: by the
    /// same algorithm, if it fits; otherwise, with more than six outputs per group, by `Broadcast` in smaller
    /// blocks; otherwise in place, which needs none. It runs on as many of the threads that
    /// `with_threads` allows as have room for a scratch each.
    ///
    /// For finite weights the result stays the same, bit for bit but for the sign of a zero, unless the
    /// algorithm was `Winograd` or `Matrixmultiply`. (A weight that is not finite may or may not meet the zeros of the
    /// padding.)
    ///
    /// ```
    /// use im2col::{Algorithm, ConvParams};
    ///
    /// let plan = ConvParams::new(64, 64, [3, 3]).with_padding([1, 1]).plan(1, [56, 56])?;
    /// assert_eq!(plan.scratch_len(), 100_928);
    /// let plan = plan.with_scratch_limit(50_000);
    /// assert_eq!((plan.algorithm(), plan.scratch_len()), (Algorithm::Broadcast, 44_096));
    /// let plan = plan.with_scratch_limit(0);
    /// assert_eq!((plan.algorithm(), plan.scratch_len()), (Algorithm::InPlace, 0));
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn with_scratch_limit(mut self, len: usize) -> Self {
        self.set_scratch_limit(len);
        self
    }

    /// [`with_scratch_limit`](Self::with_scratch_limit), without a copy of the plan.
    pub(crate) const fn set_scratch_limit(&mut self, len: usize) {
        self.scratch_limit = len;
        // An error, a scratch that does not fit in `usize`, leaves the plan as it is.
        let _ = self.resolve();
    }
}

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

//! The partial inverse of a maximum: its values go back to where they came from.

use super::params::{PoolKind, PoolParams};
use super::plan::PoolPlan;
use crate::error::{RunError, ShapeError, check_len};
use crate::padding::Padding;
use crate::window::checked_sum;

impl<const D: usize> PoolParams<D> {
    /// Plans the pooling whose output is `[batch, channels, pooled..]`, for [`unpool`](PoolPlan::unpool) where
    /// nothing says how large the input was: a decoder that was not an encoder before.
    ///
    /// The input has `(pooled - 1) * stride + dilation * (window - 1) + 1 - padding` values on each axis, as
    /// PyTorch's `MaxUnpool` has by default; `pooled * stride` with padding of a rule that says "same". A stride
    /// leaves some more sizes open: [`plan`](Self::plan) takes any.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let plan = PoolParams::max([2, 2]).plan_unpool(1, 1, [1, 2])?;
    /// assert_eq!(plan.input_dims(), [2, 4]);
    /// let mut output = [7.0; 8];
    /// plan.unpool(&[4., 8.], &[4, 2], &mut output)?;
    /// assert_eq!(output, [0., 0., 8., 0., 4., 0., 0., 0.]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`plan`](Self::plan), and [`ShapeError::PaddingExceedsOutput`] if padding leaves nothing of an axis,
    /// [`ShapeError::Inapplicable`] for a mean, and for an adaptive pooling, whose windows leave the size open.
    pub const fn plan_unpool(
        self,
        batch: usize,
        channels: usize,
        pooled: [usize; D],
    ) -> Result<PoolPlan<D>, ShapeError> {
        if let PoolKind::Average = self.kind {
            return Err(ShapeError::Inapplicable { option: "average", operation: "unpooling" });
        }
        if self.adaptive_output.is_some() {
            return Err(ShapeError::Inapplicable { option: "adaptive_output", operation: "unpooling" });
        }
        let mut input = [0; D];
        let mut axis = 0;
        while axis < D {
            input[axis] = match self.unpooled(axis, pooled[axis]) {
                Ok(input) => input,
                Err(error) => return Err(error),
            };
            axis += 1;
        }
        self.plan(batch, channels, input)
    }

    /// The smallest input of an axis that has so many outputs; the largest where padding is "same".
    const fn unpooled(&self, axis: usize, pooled: usize) -> Result<usize, ShapeError> {
        let (stride, window, dilation) = (self.stride[axis], self.window[axis], self.dilation[axis]);
        let (Some(steps), Some(reach)) = (pooled.checked_sub(1), window.checked_sub(1)) else {
            return Err(ShapeError::Zero { what: if pooled == 0 { "output" } else { "kernel" } });
        };
        let same = matches!(self.padding, Padding::SameUpper | Padding::SameLower);
        let unpadded = if same {
            pooled.checked_mul(stride)
        } else {
            match (steps.checked_mul(stride), dilation.checked_mul(reach)) {
                (Some(steps), Some(reach)) => checked_sum([steps, reach, 1]),
                _ => None,
            }
        };
        let Some(unpadded) = unpadded else { return Err(ShapeError::Overflow { what: "input" }) };
        // Rules other than "same" do not look at the size of the input.
        let [before, after] =
            if same { [0; 2] } else { self.padding.of_axis(axis, 0, window, stride, dilation) };
        let padding = before.saturating_add(after);
        let input = unpadded.saturating_sub(padding);
        // In ceil mode the last window has to begin before the end of the input; its start has been multiplied above.
        let least = if self.ceil_mode { (steps * stride + 1).saturating_sub(before) } else { 0 };
        match if least > input { least } else { input } {
            0 => Err(ShapeError::PaddingExceedsOutput { axis, padding, unpadded }),
            input => Ok(input),
        }
    }
}

/// Each index moves one value from or to an arbitrary place, so there is nothing here for an
/// instruction set to do.
impl<const D: usize> PoolPlan<D> {
    /// Max-unpooling: puts each value of `pooled` where its index says, and 0 everywhere else.
    ///
    /// `output[n, c, indices[n, c, o]] = pooled[n, c, o]`, the index flat in its plane, or with
    /// [channels last](Self::with_layout) in its image.
    ///
    /// pooled and indices: `[batch, channels, output_dims..]`, output: `[batch, channels, input_dims..]`:
    /// the sizes are those of the pooling that is undone, whose
    /// [`forward_with_indices`](Self::forward_with_indices) gives the indices. Index -1 is nowhere.
    /// Where several values go to one place the last of them stays.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let plan = PoolParams::max([2, 2]).plan(1, 1, [2, 4])?;
    /// let mut output = [7.0; 8];
    /// plan.unpool(&[4., 8.], &[4, 2], &mut output)?;
    /// assert_eq!(output, [0., 0., 8., 0., 4., 0., 0., 0.]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError::NoIndices`] if this is an average, [`RunError::Length`] if an operand does not have
    /// the planned length, [`RunError::Index`] if an index is neither in its plane nor -1. The output
    /// is then untouched.
    pub fn unpool(&self, pooled: &[f32], indices: &[i64], output: &mut [f32]) -> Result<(), RunError> {
        self.check_max()?;
        check_len("pooled", self.output_len, pooled.len())?;
        check_len("indices", self.output_len, indices.len())?;
        check_len("output", self.input_len, output.len())?;
        self.check_indices(indices)?;
        output.fill(0.0);
        let planes = pooled.chunks_exact(self.positions()).zip(indices.chunks_exact(self.positions()));
        for ((pooled, indices), plane) in planes.zip(output.chunks_exact_mut(self.plane_len())) {
            for (v, index) in pooled.iter().zip(indices) {
                if let Some(offset) = place(*index) {
                    plane[offset] = *v;
                }
            }
        }
        Ok(())
    }

    /// The gradient of [`unpool`](Self::unpool) with respect to `pooled`: each value receives the
    /// gradient of the place it went to, and 0 if it went nowhere.
    ///
    /// `grad_pooled[n, c, o] = grad_output[n, c, indices[n, c, o]]`
    ///
    /// grad_output: `[batch, channels, input_dims..]`, indices and grad_pooled:
    /// `[batch, channels, output_dims..]`. Where several values went to one place, all of them
    /// receive its gradient, as in PyTorch. `grad_pooled` is overwritten, not added to.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let plan = PoolParams::max([2, 2]).plan(1, 1, [2, 4])?;
    /// let mut grad_pooled = [0.0; 2];
    /// plan.unpool_backward(&[0., 1., 2., 3., 4., 5., 6., 7.], &[4, 2], &mut grad_pooled)?;
    /// assert_eq!(grad_pooled, [4., 2.]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`unpool`](Self::unpool). `grad_pooled` is then untouched.
    pub fn unpool_backward(
        &self,
        grad_output: &[f32],
        indices: &[i64],
        grad_pooled: &mut [f32],
    ) -> Result<(), RunError> {
        self.check_max()?;
        check_len("grad_output", self.input_len, grad_output.len())?;
        check_len("indices", self.output_len, indices.len())?;
        check_len("grad_pooled", self.output_len, grad_pooled.len())?;
        self.check_indices(indices)?;
        let planes =
            grad_pooled.chunks_exact_mut(self.positions()).zip(indices.chunks_exact(self.positions()));
        for ((grad_pooled, indices), plane) in planes.zip(grad_output.chunks_exact(self.plane_len())) {
            for (grad, index) in grad_pooled.iter_mut().zip(indices) {
                *grad = place(*index).map_or(0.0, |offset| plane[offset]);
            }
        }
        Ok(())
    }

    fn check_indices(&self, indices: &[i64]) -> Result<(), RunError> {
        let plane_len = self.plane_len();
        let inside = |index: i64| index == -1 || place(index).is_some_and(|offset| offset < plane_len);
        match indices.iter().position(|index| !inside(*index)) {
            Some(position) => Err(RunError::Index { position, plane_len, given: indices[position] }),
            None => Ok(()),
        }
    }

    const fn plane_len(&self) -> usize {
        self.pooling.window.plane_len()
    }

    const fn positions(&self) -> usize {
        self.pooling.window.positions()
    }
}

/// Where in a plane an index points, if anywhere.
fn place(index: i64) -> Option<usize> {
    usize::try_from(index).ok()
}

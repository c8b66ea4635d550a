//! The partial inverse of a maximum: its values go back to where they came from.

use super::PoolPlan;
use crate::error::{RunError, check_len};

/// Each index moves one value from or to an arbitrary place, so there is nothing here for an
/// instruction set to do.
impl<const D: usize> PoolPlan<D> {
    /// Max-unpooling: puts each value of `pooled` where its index says, and 0 everywhere else.
    ///
    /// `output[n, c, indices[n, c, o]] = pooled[n, c, o]`, the index flat in its plane.
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
                if let Some(place) = place(*index).and_then(|offset| plane.get_mut(offset)) {
                    *place = *v;
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
                *grad = place(*index).and_then(|offset| plane.get(offset)).map_or(0.0, |grad| *grad);
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

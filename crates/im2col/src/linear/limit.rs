//! Fully connected layers under a limit of scratch.

use super::{LinearParams, LinearPlan, is_dot_products};

impl LinearPlan {
    /// The same layer with at most `len` values of scratch for [`LinearPlan::forward`]: in place, which needs none, if it
    /// does not fit otherwise. A single input takes hardly longer then, a batch several times as long. The result stays the
    /// same, bit for bit.
    ///
    /// ```
    /// use im2col::LinearParams;
    ///
    /// let plan = LinearParams::new(120, 84).plan(16)?;
    /// let len = plan.scratch_len();
    /// assert_eq!(plan.with_scratch_limit(len).scratch_len(), len);
    /// assert_eq!(plan.with_scratch_limit(len - 1).scratch_len(), 0);
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn with_scratch_limit(mut self, len: usize) -> Self {
        let LinearParams { inputs, outputs, .. } = self.params;
        self.is_in_place[0] = is_dot_products(self.batch, inputs, outputs) || self.forward > len;
        self
    }

    /// The same layer with at most `len` values of scratch for [`LinearPlan::backward_input`] and
    /// [`LinearPlan::backward_weight`]: in place, which needs none, if they do not fit otherwise. The gradients stay the
    /// same, bit for bit.
    #[must_use]
    pub const fn with_backward_scratch_limit(mut self, len: usize) -> Self {
        self.is_in_place[1] = self.backward_input > len;
        self.is_in_place[2] = self.backward_weight > len;
        self
    }
}

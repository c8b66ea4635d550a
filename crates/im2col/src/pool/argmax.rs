//! Where each maximum came from: as PyTorch's indices, and in a byte or two for a backward pass
//! that no longer has the input.

use super::backward::MeanBackward;
use super::backward_from::{BackwardFrom, check_taps};
use super::params::PoolKind;
use super::plan::PoolPlan;
use super::stage::{Label, RowBuffers};
use super::windows::{Pooling, first_maximum, tap_bytes};
use crate::error::{RunError, check_len};
use crate::simd::{Isa, Kernel, MulAdd, Vectors, dispatch};

impl<const D: usize> PoolPlan<D> {
    /// Pools as [`forward`](Self::forward), and says where each maximum is: PyTorch's
    /// `return_indices=True`.
    ///
    /// input: `[batch, channels, input_dims..]`, output and indices: `[batch, channels, output_dims..]`.
    ///
    /// `indices[n, c, o]` is the position of the maximum in its plane `input[n, c]` (with
    /// [channels last](Self::with_layout) in its image `input[n]`), flat and without padding. Of equal values the first is the
    /// maximum, of several NaN the last, as in PyTorch. It is -1 where a window sees nothing but padding and the output is
    /// -inf.
    ///
    /// Takes longer than [`forward`](Self::forward): finding the place takes a step for each tap.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let plan = PoolParams::max([2, 2]).plan(1, 1, [2, 4])?;
    /// let (mut output, mut indices) = ([0.0; 2], [0; 2]);
    /// plan.forward_with_indices(&[1., 2., 8., 8., 4., 3., 5., 8.], &mut output, &mut indices)?;
    /// assert_eq!((output, indices), ([4., 8.], [4, 2]));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError::NoIndices`] if this is an average, [`RunError::Length`] if an operand does not have
    /// the planned length. Output and indices are then untouched.
    pub fn forward_with_indices(
        &self,
        input: &[f32],
        output: &mut [f32],
        indices: &mut [i64],
    ) -> Result<(), RunError> {
        self.check_max()?;
        check_len("input", self.input_len, input.len())?;
        check_len("output", self.output_len, output.len())?;
        check_len("indices", self.output_len, indices.len())?;
        mark_indices(self.isa(), self.pooling, input, output, indices);
        Ok(())
    }

    /// Pools as [`forward`](Self::forward), and leaves in `workspace` what
    /// [`backward_from_workspace`](Self::backward_from_workspace) needs, so that the input need not be kept.
    ///
    /// input: `[batch, channels, input_dims..]`, output: `[batch, channels, output_dims..]`,
    /// workspace: [`workspace_bytes`](Self::workspace_bytes) bytes.
    ///
    /// The workspace of a maximum holds for each output the number of the tap that won, row-major in
    /// its window, in little-endian bytes: a quarter of the output's size where no window has more than
    /// 256 taps. A mean remembers nothing.
    ///
    /// Finding the place of a maximum takes a step for each tap; a mean costs as much as `forward`.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let plan = PoolParams::max([2, 2]).plan(1, 1, [2, 4])?;
    /// let (mut output, mut workspace) = ([0.0; 2], [0; 2]);
    /// plan.forward_train(&[1., 2., 8., 8., 4., 3., 5., 8.], &mut output, &mut workspace)?;
    /// assert_eq!((output, workspace), ([4., 8.], [2, 0]));
    ///
    /// let mut grad_input = [0.0; 8];
    /// plan.backward_from_workspace(&workspace, &[10., 20.], &mut grad_input)?;
    /// assert_eq!(grad_input, [0., 0., 20., 0., 10., 0., 0., 0.]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if an operand does not have the planned length. Output and workspace are
    /// then untouched.
    pub fn forward_train(
        &self,
        input: &[f32],
        output: &mut [f32],
        workspace: &mut [u8],
    ) -> Result<(), RunError> {
        check_len("input", self.input_len, input.len())?;
        check_len("output", self.output_len, output.len())?;
        check_len("workspace", self.workspace_bytes, workspace.len())?;
        if let PoolKind::Average = self.pooling.kind {
            return self.forward(input, output);
        }
        mark_taps(self.isa(), self.pooling, input, output, workspace);
        Ok(())
    }

    /// The gradient of [`forward`](Self::forward), as [`backward`](Self::backward) computes it, from
    /// the workspace of [`forward_train`](Self::forward_train) instead of the input.
    ///
    /// workspace: [`workspace_bytes`](Self::workspace_bytes) bytes,
    /// grad_output: `[batch, channels, output_dims..]`, grad_input: `[batch, channels, input_dims..]`.
    ///
    /// `grad_input` is overwritten, not added to. Costs one step for each output of a maximum, and
    /// one for each value that a window of a mean sees.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if an operand does not have the planned length, [`RunError::Tap`] if the
    /// workspace holds a number that is not a tap of its window. `grad_input` is then untouched.
    /// Nothing else is asked of a workspace: a tap that is not the maximum receives the gradient,
    /// and one in the padding loses it.
    pub fn backward_from_workspace(
        &self,
        workspace: &[u8],
        grad_output: &[f32],
        grad_input: &mut [f32],
    ) -> Result<(), RunError> {
        check_len("workspace", self.workspace_bytes, workspace.len())?;
        check_len("grad_output", self.output_len, grad_output.len())?;
        check_len("grad_input", self.input_len, grad_input.len())?;
        if let PoolKind::Average = self.pooling.kind {
            MeanBackward { pooling: self.pooling, grad_output, grad_input }.compute(self.isa());
            return Ok(());
        }
        let size = tap_bytes(self.pooling.window.taps());
        check_taps(&self.pooling, workspace, size)?;
        BackwardFrom { pooling: self.pooling, workspace, size, grad_output, grad_input }.compute(self.isa());
        Ok(())
    }

    pub(super) const fn check_max(&self) -> Result<(), RunError> {
        match self.pooling.kind {
            PoolKind::Max => Ok(()),
            PoolKind::Average => Err(RunError::NoIndices),
        }
    }
}

/// Maxima, and the offset in its plane of each.
fn mark_indices(isa: Isa, pooling: Pooling, input: &[f32], output: &mut [f32], marks: &mut [i64]) {
    let (size, label, mark) = (1, Label::Offset, mark_index);
    dispatch(isa, Marking { pooling, input, output, marks, size, label, mark });
}

/// Maxima, and the tap of each.
fn mark_taps(isa: Isa, pooling: Pooling, input: &[f32], output: &mut [f32], marks: &mut [u8]) {
    let (size, label, mark) = (tap_bytes(pooling.window.taps()), Label::Tap, mark_tap);
    dispatch(isa, Marking { pooling, input, output, marks, size, label, mark });
}

/// The forward pass of a maximum that leaves a mark of `size` values for each output.
struct Marking<'a, M, F> {
    pooling: Pooling,
    input: &'a [f32],
    output: &'a mut [f32],
    marks: &'a mut [M],
    size: usize,
    label: Label,
    mark: F,
}

impl<M, F: Fn(Option<usize>, &mut [M])> Kernel for Marking<'_, M, F> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, input, output, marks, size, label, mark } = self;
        let positions = pooling.window.positions();
        let planes = input.chunks_exact(pooling.window.plane_len());
        let results = output.chunks_exact_mut(positions).zip(marks.chunks_exact_mut(positions * size));
        if pooling.is_2x2() {
            for (plane, (output, marks)) in planes.zip(results) {
                mark_tiles_2x2(&pooling, plane, output, marks, label, &mark);
            }
            return;
        }
        let [_, height, width] = pooling.window.output;
        let mut stage = RowBuffers::new();
        for (plane, (output, marks)) in planes.zip(results) {
            let rows = output.chunks_exact_mut(width).zip(marks.chunks_exact_mut(width * size));
            for (row, (output, marks)) in rows.enumerate() {
                let at = [row / height, row % height];
                let mut results = output.iter_mut().zip(marks.chunks_exact_mut(size));
                stage.for_each_winner(&pooling, plane, at, label, |_, max, place| {
                    if let Some((output, m)) = results.next() {
                        *output = max;
                        mark(place, m);
                    }
                });
                debug_assert!(results.next().is_none(), "outputs without a window");
            }
        }
    }
}

/// Four taps need one mark each, of any kind.
#[inline(always)]
fn mark_tiles_2x2<M>(
    pooling: &Pooling,
    plane: &[f32],
    output: &mut [f32],
    marks: &mut [M],
    label: Label,
    mark: impl Fn(Option<usize>, &mut [M]),
) {
    let (width, out_width) = (pooling.window.input[2], pooling.window.output[2]);
    let results = output.chunks_exact_mut(out_width).zip(marks.chunks_exact_mut(out_width));
    for ((y, rows), (output, marks)) in plane.chunks_exact(2 * width).enumerate().zip(results) {
        let (upper, lower) = rows.split_at(width);
        let tiles = upper.chunks_exact(2).zip(lower.chunks_exact(2)).enumerate();
        for ((x, (upper, lower)), (output, m)) in tiles.zip(output.iter_mut().zip(marks.chunks_exact_mut(1)))
        {
            let (max, tap) = first_maximum([upper[0], upper[1], lower[0], lower[1]]);
            let tap = usize::from(tap);
            *output = max;
            let place = match label {
                Label::Tap => tap,
                Label::Offset => (2 * y + tap / 2) * width + 2 * x + tap % 2,
            };
            mark(Some(place), m);
        }
    }
}

#[inline(always)]
fn mark_index(offset: Option<usize>, index: &mut [i64]) {
    if let [index] = index {
        // A plane has at most `isize::MAX` values.
        *index = offset.map_or(-1, |offset| offset as i64);
    }
}

/// Where no tap sees the input the first stands for nowhere.
#[inline(always)]
fn mark_tap(tap: Option<usize>, bytes: &mut [u8]) {
    let tap = tap.unwrap_or(0);
    match bytes {
        [byte] => *byte = tap as u8,
        bytes => bytes.copy_from_slice(&(tap as u64).to_le_bytes()[..bytes.len()]),
    }
}

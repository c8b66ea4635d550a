//! Pooling: the maximum or the mean of each window.
//!
//! `y[n, c, o] = max or mean over k of x[n, c, o * stride + k * dilation - padding]`
//!
//! A convolution is sensitive to position: a shift by one pixel moves every edge. A maximum over a
//! window is less so. There are no parameters, and each channel is pooled by itself.

mod backward;
mod forward;
#[cfg(test)]
mod tests;

use crate::error::{RunError, ShapeError, check_len};
use crate::kernel::{Isa, dispatch};
use crate::window::{Window, checked_product, unlift};
use backward::Backward;
use core::ops::Range;
use forward::Forward;

/// What is taken from each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest value; NaN, if there is one. Padding never wins.
    Max,
    /// The mean. Padding is 0, and counts unless
    /// [`with_count_include_pad`](PoolParams::with_count_include_pad) says otherwise.
    Average,
}

/// A pooling over `D` = 1, 2 or 3 spatial axes, without the size of its input.
///
/// A builder: [`PoolParams::max`] and [`PoolParams::average`] move by the size of their window,
/// without padding or dilation.
///
/// ```
/// use im2col::PoolParams;
///
/// // 0..16 as 4x4, window 3, padding 1, stride 2.
/// let plan = PoolParams::max([3, 3]).with_padding([1, 1]).with_stride([2, 2]).plan(1, 1, [4, 4])?;
/// let input: [f32; 16] = core::array::from_fn(|i| i as f32);
/// let mut output = [0.0; 4];
/// plan.forward(&input, &mut output)?;
/// assert_eq!(output, [5., 7., 13., 15.]);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolParams<const D: usize> {
    kind: PoolKind,
    window: [usize; D],
    stride: [usize; D],
    padding: [[usize; 2]; D],
    dilation: [usize; D],
    count_include_pad: bool,
}

impl<const D: usize> PoolParams<D> {
    /// Takes the maximum of each window of the given size.
    #[must_use]
    pub const fn max(window: [usize; D]) -> Self {
        Self::new(PoolKind::Max, window)
    }

    /// Takes the mean of each window of the given size.
    #[must_use]
    pub const fn average(window: [usize; D]) -> Self {
        Self::new(PoolKind::Average, window)
    }

    const fn new(kind: PoolKind, window: [usize; D]) -> Self {
        let (padding, dilation) = ([[0; 2]; D], [1; D]);
        Self { kind, window, stride: window, padding, dilation, count_include_pad: true }
    }

    /// How far the window moves from one output to the next.
    #[must_use]
    pub const fn with_stride(mut self, stride: [usize; D]) -> Self {
        self.stride = stride;
        self
    }

    /// Padding around the input, the same on both sides of an axis.
    #[must_use]
    pub const fn with_padding(mut self, padding: [usize; D]) -> Self {
        let mut axis = 0;
        while axis < D {
            self.padding[axis] = [padding[axis]; 2];
            axis += 1;
        }
        self
    }

    /// Padding around the input, `[before, after]` on each axis.
    #[must_use]
    pub const fn with_padding_per_side(mut self, padding: [[usize; 2]; D]) -> Self {
        self.padding = padding;
        self
    }

    /// The distance between the values of a window. Only a maximum can be dilated.
    #[must_use]
    pub const fn with_dilation(mut self, dilation: [usize; D]) -> Self {
        self.dilation = dilation;
        self
    }

    /// Whether a mean divides by the size of the window (the default, as in PyTorch) or by how
    /// many values of the input it sees.
    #[must_use]
    pub const fn with_count_include_pad(mut self, count_include_pad: bool) -> Self {
        self.count_include_pad = count_include_pad;
        self
    }

    /// Maximum or mean.
    #[must_use]
    pub const fn kind(&self) -> PoolKind {
        self.kind
    }

    /// The size of the window.
    #[must_use]
    pub const fn window(&self) -> [usize; D] {
        self.window
    }

    /// How far the window moves from one output to the next.
    #[must_use]
    pub const fn stride(&self) -> [usize; D] {
        self.stride
    }

    /// `[before, after]` on each axis.
    #[must_use]
    pub const fn padding(&self) -> [[usize; 2]; D] {
        self.padding
    }

    /// The distance between the values of a window.
    #[must_use]
    pub const fn dilation(&self) -> [usize; D] {
        self.dilation
    }

    /// Whether a mean divides by the size of the window rather than by what it sees.
    #[must_use]
    pub const fn count_include_pad(&self) -> bool {
        self.count_include_pad
    }

    /// Plans the pooling of `[batch, channels, input..]`.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if `D` is not 1, 2 or 3, a size is 0 or a product of sizes overflows, the
    /// window exceeds the padded input, the padding exceeds half the window (a mean could then see
    /// nothing but padding), or a mean is dilated ([`ShapeError::Algorithm`]).
    pub const fn plan(
        self,
        batch: usize,
        channels: usize,
        input: [usize; D],
    ) -> Result<PoolPlan<D>, ShapeError> {
        let window = match Window::new(input, self.window, self.stride, self.padding, self.dilation) {
            Ok(window) => window,
            Err(error) => return Err(error),
        };
        let mut axis = 0;
        while axis < D {
            let [before, after] = self.padding[axis];
            let padding = if before > after { before } else { after };
            if padding > self.window[axis] / 2 {
                let window = self.window[axis];
                return Err(ShapeError::PaddingExceedsHalfWindow { axis, padding, window });
            }
            if matches!(self.kind, PoolKind::Average) && self.dilation[axis] != 1 {
                return Err(ShapeError::Algorithm);
            }
            axis += 1;
        }
        let Some(input_len) = checked_product([batch, channels, window.plane_len()]) else {
            return Err(ShapeError::Overflow { what: "input" });
        };
        let Some(output_len) = checked_product([batch, channels, window.positions()]) else {
            return Err(ShapeError::Overflow { what: "output" });
        };
        Ok(PoolPlan { params: self, batch, channels, window, input_len, output_len, isa: None })
    }
}

/// A pooling of one input size.
///
/// ```
/// use im2col::{PoolParams, PoolPlan, planned};
///
/// const MAX: PoolPlan<2> = planned!(PoolParams::max([2, 2]).with_stride([1, 1]).plan(1, 1, [3, 3]));
/// const MEAN: PoolPlan<2> = planned!(PoolParams::average([2, 2]).with_stride([1, 1]).plan(1, 1, [3, 3]));
///
/// let input = [0., 1., 2., 3., 4., 5., 6., 7., 8.];
/// let mut output = [0.0; MAX.output_len()];
/// MAX.forward(&input, &mut output)?;
/// assert_eq!(output, [4., 5., 7., 8.]);
/// MEAN.forward(&input, &mut output)?;
/// assert_eq!(output, [2., 3., 5., 6.]);
///
/// let mut grad_input = [0.0; MEAN.input_len()];
/// MEAN.backward(&input, &[4.0; 4], &mut grad_input)?;
/// assert_eq!(grad_input, [1., 2., 1., 2., 4., 2., 1., 2., 1.]);
/// # Ok::<(), im2col::RunError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolPlan<const D: usize> {
    params: PoolParams<D>,
    batch: usize,
    channels: usize,
    window: Window,
    input_len: usize,
    output_len: usize,
    isa: Option<Isa>,
}

impl<const D: usize> PoolPlan<D> {
    /// What was planned.
    #[must_use]
    pub const fn params(&self) -> PoolParams<D> {
        self.params
    }

    /// How many images.
    #[must_use]
    pub const fn batch(&self) -> usize {
        self.batch
    }

    /// How many channels, in and out.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// The spatial sizes of the input.
    #[must_use]
    pub const fn input_dims(&self) -> [usize; D] {
        unlift(self.window.input)
    }

    /// The spatial sizes of the output: `(input + padding - dilation (window - 1) - 1) / stride + 1`.
    #[must_use]
    pub const fn output_dims(&self) -> [usize; D] {
        unlift(self.window.output)
    }

    /// `batch * channels *` the input's spatial sizes.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.input_len
    }

    /// `batch * channels *` the output's spatial sizes.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.output_len
    }

    /// Forces an instruction set. Otherwise each call takes the fastest that the CPU has.
    #[must_use]
    pub const fn with_isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// Pools: `output[n, c, o]` is the maximum or the mean of what the window at `o` sees.
    ///
    /// input: `[batch, channels, input_dims..]`, output: `[batch, channels, output_dims..]`.
    ///
    /// A mean is the sum of the window's values in ascending order, divided by their number. So the
    /// result does not depend on the instruction set, and is within `gamma(K + 2) sum |x| / K` of
    /// the exact mean of `K` values. A maximum is exact; it is NaN if the window holds NaN, and
    /// -inf if a dilated window straddles the whole input.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if an operand does not have the planned length. The output is then
    /// untouched.
    pub fn forward(&self, input: &[f32], output: &mut [f32]) -> Result<(), RunError> {
        check_len("input", self.input_len, input.len())?;
        check_len("output", self.output_len, output.len())?;
        dispatch(self.isa(), Forward { pooling: self.pooling(), input, output });
        Ok(())
    }

    /// The gradient of [`forward`](Self::forward) with respect to its input.
    ///
    /// input, grad_input: `[batch, channels, input_dims..]`,
    /// grad_output: `[batch, channels, output_dims..]`.
    ///
    /// A maximum passes its gradient to the first value that attains it, found anew in `input`
    /// (to the last NaN, if there is one, as in PyTorch); a mean passes equal parts to all values
    /// that it saw, and ignores what is in `input`. Where windows overlap the gradients add up, in the
    /// order of the outputs. `grad_input` is overwritten, not added to.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if an operand does not have the planned length. `grad_input` is then
    /// untouched.
    pub fn backward(
        &self,
        input: &[f32],
        grad_output: &[f32],
        grad_input: &mut [f32],
    ) -> Result<(), RunError> {
        check_len("input", self.input_len, input.len())?;
        check_len("grad_output", self.output_len, grad_output.len())?;
        check_len("grad_input", self.input_len, grad_input.len())?;
        dispatch(self.isa(), Backward { pooling: self.pooling(), input, grad_output, grad_input });
        Ok(())
    }

    fn isa(&self) -> Isa {
        self.isa.unwrap_or_else(Isa::detect)
    }

    const fn pooling(&self) -> Pooling {
        let PoolParams { kind, count_include_pad, .. } = self.params;
        let count_include_pad = count_include_pad || !self.window.is_padded();
        Pooling { kind, count_include_pad, window: self.window }
    }
}

/// A pooling lifted to three axes: what all ranks share.
#[derive(Clone, Copy)]
struct Pooling {
    kind: PoolKind,
    count_include_pad: bool,
    window: Window,
}

impl Pooling {
    /// Whether the windows are the 2x2 tiles of each plane: the pooling of LeNet and of most networks.
    fn is_2x2(&self) -> bool {
        let Window { kernel, stride, dilation, .. } = self.window;
        kernel == [1, 2, 2] && stride == [1, 2, 2] && dilation == [1; 3] && !self.window.is_padded()
    }

    /// How many columns a window spans.
    #[inline(always)]
    fn extent(&self) -> usize {
        (self.window.kernel[2] - 1) * self.window.dilation[2] + 1
    }

    /// The taps of one axis that see the input when the window is at `output`.
    #[inline(always)]
    fn taps(&self, axis: usize, output: usize) -> Range<usize> {
        let Window { input, kernel, stride, padding, dilation, .. } = &self.window;
        let (start, before) = (output * stride[axis], padding[axis][0]);
        // Rows of output are short, and a division is slow.
        let reach = |columns: usize| match dilation[axis] {
            1 => columns,
            dilation => columns.div_ceil(dilation),
        };
        let end = reach((before + input[axis]).saturating_sub(start)).min(kernel[axis]);
        reach(before.saturating_sub(start)).min(end)..end
    }

    /// Where in a plane the rows of input begin that the windows of output row `(z, y)` see, in
    /// the order of the taps.
    #[inline(always)]
    fn input_rows(&self, z: usize, y: usize) -> impl DoubleEndedIterator<Item = usize> + Clone {
        let Window { input, stride, padding, dilation, .. } = self.window;
        let taps_y = self.taps(1, y);
        self.taps(0, z).flat_map(move |tap_z| {
            let z = z * stride[0] + tap_z * dilation[0] - padding[0][0];
            taps_y.clone().map(move |tap_y| {
                let y = y * stride[1] + tap_y * dilation[1] - padding[1][0];
                (z * input[1] + y) * input[2]
            })
        })
    }

    /// Where tap `tap` of output `output` of a row falls.
    #[inline(always)]
    fn column(&self, output: usize, tap: usize) -> usize {
        output * self.window.stride[2] + tap * self.window.dilation[2] - self.window.padding[2][0]
    }

    /// What a mean divides by, for output `x` of a row whose windows see `rows` rows of input.
    #[inline(always)]
    fn divisor(&self, rows: usize, x: usize) -> f32 {
        let count = if self.count_include_pad { self.window.taps() } else { rows * self.taps(2, x).len() };
        count as f32
    }
}

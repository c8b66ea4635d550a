//! The plan: every size checked once.

use super::backward::{MaxBackward, MeanBackward};
use super::forward::PoolForward;
use super::params::{PoolKind, PoolParams};
use super::windows::{Divisor, Pooling, tap_bytes};
use crate::error::{RunError, ShapeError, check_len};
use crate::layout::Layout;
use crate::padding::Padding;
use crate::simd::Isa;
use crate::window::{Window, checked_product, lift, unlift, volume};

impl<const D: usize> PoolParams<D> {
    /// Plans the pooling of `[batch, channels, input..]`.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if `D` is not 1, 2 or 3, a size or the divisor is 0, a product of sizes
    /// overflows, the window exceeds the padded input (in ceil mode, by a stride or more), or an option
    /// was set that does not apply ([`ShapeError::Inapplicable`]): the divisor of a maximum, any option
    /// of a sliding window for an adaptive one.
    pub const fn plan(
        self,
        batch: usize,
        channels: usize,
        input: [usize; D],
    ) -> Result<PoolPlan<D>, ShapeError> {
        let windows = match self.adaptive_output {
            Some(output) => self.adaptive_windows(input, output),
            None => self.sliding_windows(input),
        };
        let (window, adaptive) = match windows {
            Ok(windows) => windows,
            Err(error) => return Err(error),
        };
        let Some(input_len) = checked_product([batch, channels, window.plane_len()]) else {
            return Err(ShapeError::Overflow { what: "input" });
        };
        let Some(output_len) = checked_product([batch, channels, window.positions()]) else {
            return Err(ShapeError::Overflow { what: "output" });
        };
        let tap_bytes = match self.kind {
            PoolKind::Max => tap_bytes(window.taps()),
            PoolKind::Average => 0,
        };
        // One plane's part is computed even where there are no planes.
        let plane = checked_product([window.positions(), tap_bytes]);
        let (Some(workspace_bytes), Some(_)) = (checked_product([output_len, tap_bytes]), plane) else {
            return Err(ShapeError::Overflow { what: "workspace" });
        };
        let pooling = Pooling { kind: self.kind, divisor: self.divisor(&window, adaptive), window, adaptive };
        Ok(PoolPlan {
            params: self,
            batch,
            channels,
            layout: Layout::ChannelsFirst,
            pooling,
            input_len,
            output_len,
            workspace_bytes,
            isa: None,
            #[cfg(feature = "rayon")]
            threads: 1,
        })
    }

    const fn sliding_windows(&self, input: [usize; D]) -> Result<(Window, bool), ShapeError> {
        let Self { window, stride, dilation, ceil_mode, .. } = *self;
        let mut padding = [[0; 2]; D];
        let mut axis = 0;
        while axis < D {
            padding[axis] =
                self.padding.of_axis(axis, input[axis], window[axis], stride[axis], dilation[axis]);
            axis += 1;
        }
        let window = match Window::rounded(input, window, stride, padding, dilation, ceil_mode) {
            Ok(window) => window,
            Err(error) => return Err(error),
        };
        match (self.kind, self.divisor_override) {
            (PoolKind::Max, Some(_)) => {
                Err(ShapeError::Inapplicable { option: "divisor", operation: "maximum pooling" })
            }
            (PoolKind::Average, Some(0)) => Err(ShapeError::Zero { what: "divisor" }),
            _ => Ok((window, false)),
        }
    }

    /// The windows, and whether they have to adapt. Where the input is a multiple of the output on
    /// every axis they do not: they are tiles, and the faster loops over sliding windows serve.
    const fn adaptive_windows(
        &self,
        input: [usize; D],
        output: [usize; D],
    ) -> Result<(Window, bool), ShapeError> {
        if let Some(option) = self.option_of_sliding_windows() {
            return Err(ShapeError::Inapplicable { option, operation: "adaptive pooling" });
        }
        let (mut largest, mut tiles) = ([0; D], true);
        let mut axis = 0;
        while axis < D {
            let (inputs, outputs) = (input[axis], output[axis]);
            if outputs == 0 {
                return Err(ShapeError::Zero { what: "output" });
            }
            // A window has `inputs / outputs` inputs, and one more for each of its ends that cuts one.
            // Ends cut at multiples of `rest / outputs`; only if that is one half, one third ... of an
            // input, no window cuts at both.
            let rest = inputs % outputs;
            let cut = if rest == 0 {
                0
            } else if outputs.is_multiple_of(rest) {
                1
            } else {
                2
            };
            tiles &= rest == 0;
            largest[axis] = inputs / outputs + cut;
            axis += 1;
        }
        let stride = if tiles { largest } else { [1; D] };
        let mut window = match Window::new(input, largest, stride, [[0; 2]; D], [1; D]) {
            Ok(window) => window,
            Err(error) => return Err(error),
        };
        window.output = lift(output, 1);
        if volume(window.output).is_none() {
            return Err(ShapeError::Overflow { what: "output" });
        }
        Ok((window, !tiles))
    }

    /// The first option that differs from what adaptive poolings start with.
    const fn option_of_sliding_windows(&self) -> Option<&'static str> {
        let mut axis = 0;
        while axis < D {
            if self.stride[axis] != 0 {
                return Some("stride");
            }
            let is_unpadded = match self.padding {
                Padding::PerSide(padding) => padding[axis][0] == 0 && padding[axis][1] == 0,
                _ => false,
            };
            if !is_unpadded {
                return Some("padding");
            }
            if self.dilation[axis] != 1 {
                return Some("dilation");
            }
            axis += 1;
        }
        if self.ceil_mode {
            return Some("ceil_mode");
        }
        if !self.count_include_pad {
            return Some("count_include_pad");
        }
        if self.divisor_override.is_some() { Some("divisor") } else { None }
    }

    const fn divisor(&self, window: &Window, adaptive: bool) -> Divisor {
        if let Some(divisor) = self.divisor_override {
            return Divisor::Constant(divisor);
        }
        let whole = !exceeds_padding(window);
        if adaptive {
            Divisor::Seen
        } else if whole && (self.count_include_pad || !window.is_padded()) {
            Divisor::Constant(window.taps())
        } else if self.count_include_pad {
            Divisor::Padded
        } else {
            Divisor::Seen
        }
    }
}

/// Whether the last window of an axis reaches beyond the padding, as it may in ceil mode.
const fn exceeds_padding(window: &Window) -> bool {
    let mut axis = 0;
    while axis < 3 {
        let [before, after] = window.padding[axis];
        let reach = (window.kernel[axis] - 1) * window.dilation[axis];
        // A second window begins in the input or before, so neither sum exceeds twice `isize::MAX`.
        if (window.output[axis] - 1) * window.stride[axis] + reach >= window.input[axis] + before + after {
            return true;
        }
        axis += 1;
    }
    false
}

/// A pooling of one input size.
///
/// | | reads | writes |
/// |---|---|---|
/// | [`forward`](Self::forward) | input | output |
/// | [`forward_with_indices`](Self::forward_with_indices) | input | output, indices |
/// | [`forward_train`](Self::forward_train) | input | output, workspace |
/// | [`backward`](Self::backward) | input, grad_output | grad_input |
/// | [`backward_from_workspace`](Self::backward_from_workspace) | workspace, grad_output | grad_input |
/// | [`unpool`](Self::unpool) | pooled, indices | output |
/// | [`unpool_backward`](Self::unpool_backward) | grad_output, indices | grad_pooled |
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
    pub(super) channels: usize,
    pub(super) layout: Layout,
    /// With several channels that come last, the channels are the last axis of the windows, and an image is one plane.
    pub(crate) pooling: Pooling,
    pub(super) input_len: usize,
    pub(super) output_len: usize,
    pub(super) workspace_bytes: usize,
    /// At most as many threads.
    #[cfg(feature = "rayon")]
    threads: usize,
    isa: Option<Isa>,
}

/// The fewest values of input that repay a thread: 15 us of 2x2 windows.
#[cfg(feature = "rayon")]
const PART: usize = 1 << 18;

impl<const D: usize> PoolPlan<D> {
    /// Keeps the first `batch` images, at most as many as planned.
    pub(crate) const fn set_fewer_images(&mut self, batch: usize) {
        let planes = if self.is_turned(self.layout) { batch } else { batch * self.channels };
        self.batch = batch;
        self.input_len = planes * self.pooling.window.plane_len();
        self.output_len = planes * self.pooling.window.positions();
    }

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
        unlift(self.spatial_window().input)
    }

    /// The spatial sizes of the output: `(input + padding - dilation (window - 1) - 1) / stride + 1`,
    /// the quotient rounded down, or up in ceil mode; for an adaptive pooling what was asked for.
    #[must_use]
    pub const fn output_dims(&self) -> [usize; D] {
        unlift(self.spatial_window().output)
    }

    /// `[before, after]` on each axis: as asked for, or what the rule makes of the sizes.
    #[must_use]
    pub const fn padding(&self) -> [[usize; 2]; D] {
        unlift(self.spatial_window().padding)
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

    /// How many bytes [`forward_train`](Self::forward_train) remembers: for a maximum 1 for each
    /// output, or 2, 4 or 8 where the largest window has more than 256, 65,536 or 2^32 taps; for a
    /// mean none.
    #[must_use]
    pub const fn workspace_bytes(&self) -> usize {
        self.workspace_bytes
    }

    /// Forces an instruction set. Otherwise each call takes the fastest that the CPU has.
    #[must_use]
    pub const fn with_isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// Pools: `output[n, c, o]` is the maximum or the mean of what the window at `o` sees.
    ///
    /// input: `[batch, channels, input_dims..]`, output: `[batch, channels, output_dims..]`, or in the plan's
    /// [layout](Self::with_layout), as the operands of all other operations.
    ///
    /// A mean is the sum of what the window sees, divided by its divisor: within
    /// `gamma(min(K, 36 + ceil(log2 K)) + 2) sum |x| / divisor` of the exact mean of `K` values, where
    /// `gamma(n) = n u / (1 - n u)` and `u = 2^-24`. The order of the sum follows from the plan alone, not from
    /// the instruction set or the number of threads. Windows of at most 32 taps (the largest ones, where they
    /// adapt) are summed in ascending order, longer ones in blocks: 512 taps of a row, in 16 chains, of which
    /// chain `i` sums taps `i`, `i + 16`, ... and then gets chain `i + 8` added, then `i + 4`, `i + 2`, `i + 1`. The
    /// blocks are added by pairs, the pairs by pairs, and so on. Rows of a window that lie together in the
    /// input, as all rows of a global average do, are one row.
    ///
    /// A maximum is exact; it is NaN if the window holds NaN. A window that sees nothing but padding has a
    /// maximum of -inf and a mean of 0.
    ///
    /// Windows of `h` rows and `w` columns that slide cost `h + w` steps of a vector for a maximum,
    /// `h * w` for a mean. Windows that adapt and are no tiles, or of which a row has few, cost a step for each
    /// value they see, for a mean of more than 32 taps for each vector.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if an operand does not have the planned length. The output is then
    /// untouched.
    pub fn forward(&self, input: &[f32], output: &mut [f32]) -> Result<(), RunError> {
        check_len("input", self.input_len, input.len())?;
        check_len("output", self.output_len, output.len())?;
        let forward = PoolForward { pooling: self.pooling, input, output };
        #[cfg(feature = "rayon")]
        forward.run_parts(self.isa(), self.threads.min(input.len() / PART));
        #[cfg(not(feature = "rayon"))]
        forward.run_all(self.isa());
        Ok(())
    }

    /// Runs [`forward`](Self::forward) on at most `threads` threads of the current rayon pool, planes apart (with
    /// channels last images), so the result is the same for any number. Less than 2^18 values of input are not worth a thread.
    #[cfg(feature = "rayon")]
    #[must_use]
    pub const fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The gradient of [`forward`](Self::forward) with respect to its input.
    ///
    /// input, grad_input: `[batch, channels, input_dims..]`,
    /// grad_output: `[batch, channels, output_dims..]`.
    ///
    /// A maximum passes its gradient to the first value that attains it, found anew in `input`
    /// (to the last NaN, if there is one, as in PyTorch); a mean passes equal parts to all values
    /// that it saw, and ignores what is in `input`. Where windows overlap the gradients add up, in the
    /// order of the outputs: within `gamma(K + 2) sum |grad|` where `K` windows see a value, their shares taken.
    /// `grad_input` is overwritten, not added to.
    ///
    /// Windows of `h` rows and `w` columns that slide cost `h * w` steps of a vector, and for a maximum
    /// one addition for each output. Windows that adapt and are no tiles cost one step for each value
    /// they see.
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
        let pooling = self.pooling;
        match pooling.kind {
            PoolKind::Max => {
                MaxBackward { pooling, is_of_relu: false, input, grad_output, grad_input }
                    .compute(self.isa());
            }
            PoolKind::Average => MeanBackward { pooling, grad_output, grad_input }.compute(self.isa()),
        }
        Ok(())
    }

    /// [`backward`](Self::backward) of a maximum, and through the ReLU that made `input`: the bits of two passes. No operand may be
    /// shorter than the plan says.
    pub(crate) fn backward_through_relu(&self, input: &[f32], grad_output: &[f32], grad_input: &mut [f32]) {
        debug_assert!(matches!(self.pooling.kind, PoolKind::Max), "a mean is not of one value");
        let pooling = self.pooling;
        MaxBackward { pooling, is_of_relu: true, input, grad_output, grad_input }.compute(self.isa());
    }

    pub(super) fn isa(&self) -> Isa {
        self.isa.unwrap_or_else(Isa::detect)
    }
}

//! What a user asks for.

use crate::padding::Padding;

/// What is taken from each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest value; NaN, if there is one. Padding never wins.
    Max,
    /// The mean. Padding is 0, and counts unless
    /// [`with_count_include_pad`](PoolParams::with_count_include_pad) says otherwise. 0, if nothing is seen.
    Average,
}

/// A pooling over `D` = 1, 2 or 3 spatial axes, without the size of its input.
///
/// A builder. [`new`](Self::new), [`max`](Self::max) and [`average`](Self::average) slide a window over
/// the input; it moves by its own size, without padding or dilation, unless told otherwise.
/// [`adaptive_max`](Self::adaptive_max) and [`adaptive_average`](Self::adaptive_average) are told
/// the size of the output instead, and [`global_max`](Self::global_max) and
/// [`global_average`](Self::global_average) reduce each channel to one value.
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
    pub(super) kind: PoolKind,
    pub(super) window: [usize; D],
    pub(super) stride: [usize; D],
    pub(super) padding: Padding<D>,
    pub(super) dilation: [usize; D],
    pub(super) ceil_mode: bool,
    pub(super) count_include_pad: bool,
    pub(super) divisor_override: Option<usize>,
    pub(super) adaptive_output: Option<[usize; D]>,
}

impl<const D: usize> PoolParams<D> {
    /// Takes the maximum or the mean of each window of the given size.
    ///
    /// ```
    /// use im2col::{PoolKind, PoolParams};
    ///
    /// assert_eq!(PoolParams::new(PoolKind::Max, [2, 3]), PoolParams::max([2, 3]));
    /// assert_eq!(PoolParams::new(PoolKind::Average, [2, 3]), PoolParams::average([2, 3]));
    /// ```
    #[must_use]
    pub const fn new(kind: PoolKind, window: [usize; D]) -> Self {
        Self {
            kind,
            window,
            stride: window,
            padding: Padding::PerSide([[0; 2]; D]),
            dilation: [1; D],
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
            adaptive_output: None,
        }
    }

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

    /// Takes as many maxima on each axis as `output_dims` says, whatever the size of the input.
    ///
    /// On an axis of `n` inputs and `m` outputs, output `o` sees the inputs from `floor(o n / m)` to
    /// before `ceil((o + 1) n / m)`. Where `m` divides `n` these are tiles; elsewhere neighbours
    /// overlap, and where `m` exceeds `n` inputs repeat.
    ///
    /// The windows follow from the sizes alone: stride, padding, dilation and all other options of
    /// a sliding window are errors in [`plan`](Self::plan).
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// // Three windows over five values: 0..2, 1..4, 3..5.
    /// let plan = PoolParams::adaptive_max([3]).plan(1, 1, [5])?;
    /// let mut output = [0.0; 3];
    /// plan.forward(&[1., 0., 3., 4., 2.], &mut output)?;
    /// assert_eq!(output, [1., 4., 4.]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn adaptive_max(output_dims: [usize; D]) -> Self {
        Self::adaptive(PoolKind::Max, output_dims)
    }

    /// Takes as many means on each axis as `output_dims` says, of the windows of
    /// [`adaptive_max`](Self::adaptive_max). Each mean divides by the size of its own window.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let plan = PoolParams::adaptive_average([3]).plan(1, 1, [5])?;
    /// let mut output = [0.0; 3];
    /// plan.forward(&[1., 3., 4., 8., 2.], &mut output)?;
    /// assert_eq!(output, [2., 5., 5.]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn adaptive_average(output_dims: [usize; D]) -> Self {
        Self::adaptive(PoolKind::Average, output_dims)
    }

    /// The maximum of each channel: adaptive, with one output.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let plan = PoolParams::global_max().plan(1, 2, [2, 2])?;
    /// let mut output = [0.0; 2];
    /// plan.forward(&[1., 2., 3., 4., 8., 7., 6., 5.], &mut output)?;
    /// assert_eq!(output, [4., 8.]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn global_max() -> Self {
        Self::adaptive_max([1; D])
    }

    /// The mean of each channel: adaptive, with one output. It is the end of most networks since
    /// 2014, because it fits any size of image.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let plan = PoolParams::global_average().plan(1, 2, [2, 2])?;
    /// let mut output = [0.0; 2];
    /// plan.forward(&[1., 2., 3., 4., 8., 7., 6., 5.], &mut output)?;
    /// assert_eq!(output, [2.5, 6.5]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn global_average() -> Self {
        Self::adaptive_average([1; D])
    }

    const fn adaptive(kind: PoolKind, output_dims: [usize; D]) -> Self {
        // No window has size 0, so a stride that somebody sets differs from this one.
        Self { adaptive_output: Some(output_dims), ..Self::new(kind, [0; D]) }
    }

    /// How far the window moves from one output to the next.
    #[must_use]
    pub const fn with_stride(mut self, stride: [usize; D]) -> Self {
        self.stride = stride;
        self
    }

    /// Padding around the input, the same on both sides of an axis.
    #[must_use]
    pub const fn with_padding(self, padding: [usize; D]) -> Self {
        let mut sides = [[0; 2]; D];
        let mut axis = 0;
        while axis < D {
            sides[axis] = [padding[axis]; 2];
            axis += 1;
        }
        self.with_padding_per_side(sides)
    }

    /// Padding around the input, `[before, after]` on each axis.
    ///
    /// There may be more of it than half the window, or than all of it. A window that sees nothing but
    /// padding has a maximum of -inf, of index -1, and a mean of 0; its gradient is lost.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let (mut output, mut indices) = ([0.0; 3], [0; 3]);
    /// let max = PoolParams::max([2]).with_padding([2]).plan(1, 1, [2])?;
    /// max.forward_with_indices(&[4., 8.], &mut output, &mut indices)?;
    /// assert_eq!((output, indices), ([f32::NEG_INFINITY, 8., f32::NEG_INFINITY], [-1, 1, -1]));
    ///
    /// let seen = PoolParams::average([2]).with_padding([2]).with_count_include_pad(false);
    /// seen.plan(1, 1, [2])?.forward(&[4., 8.], &mut output)?;
    /// assert_eq!(output, [0., 6., 0.]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_padding_per_side(self, padding: [[usize; 2]; D]) -> Self {
        self.with_padding_rule(Padding::PerSide(padding))
    }

    /// Padding that follows from the sizes of input and window.
    ///
    /// ```
    /// use im2col::{Padding, PoolParams};
    ///
    /// let max = PoolParams::max([4]).with_stride([2]);
    /// let same = max.with_padding_rule(Padding::SameUpper).plan(1, 1, [7])?;
    /// assert_eq!((same.output_dims(), same.padding()), ([4], [[1, 2]]));
    /// let full = max.with_padding_rule(Padding::Full).plan(1, 1, [7])?;
    /// assert_eq!((full.output_dims(), full.padding()), ([5], [[3, 3]]));
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn with_padding_rule(mut self, padding: Padding<D>) -> Self {
        self.padding = padding;
        self
    }

    /// The distance between the values of a window.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let plan = PoolParams::average([2]).with_stride([1]).with_dilation([2]).plan(1, 1, [4])?;
    /// let mut output = [0.0; 2];
    /// plan.forward(&[1., 2., 5., 8.], &mut output)?;
    /// assert_eq!(output, [3., 5.]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_dilation(mut self, dilation: [usize; D]) -> Self {
        self.dilation = dilation;
        self
    }

    /// Whether the size of the output is rounded up, so that what is left at the end of an axis has
    /// a window as well, which may reach beyond the padding. Windows that would begin behind the input, in
    /// the padding after it, are left out, as in ONNX.
    ///
    /// A mean that counts the padding counts as much of it as there is, and nothing beyond.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let params = PoolParams::average([2]);
    /// assert_eq!(params.plan(1, 1, [5])?.output_dims(), [2]);
    ///
    /// let plan = params.with_ceil_mode(true).plan(1, 1, [5])?;
    /// let mut output = [0.0; 3];
    /// plan.forward(&[1., 3., 5., 7., 9.], &mut output)?;
    /// assert_eq!(output, [2., 6., 9.]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// Whether a mean divides by the size of the window (the default, as in PyTorch) or by how
    /// many values of the input it sees. Where it sees none it is 0.
    #[must_use]
    pub const fn with_count_include_pad(mut self, count_include_pad: bool) -> Self {
        self.count_include_pad = count_include_pad;
        self
    }

    /// What an average divides the sum of each window by, whatever the window sees. A divisor of 1
    /// makes it the sum.
    ///
    /// ```
    /// use im2col::PoolParams;
    ///
    /// let plan = PoolParams::average([2]).with_divisor_override(1).plan(1, 1, [4])?;
    /// let mut output = [0.0; 2];
    /// plan.forward(&[1., 2., 3., 4.], &mut output)?;
    /// assert_eq!(output, [3., 7.]);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_divisor_override(mut self, divisor: usize) -> Self {
        self.divisor_override = Some(divisor);
        self
    }

    /// Maximum or mean.
    #[must_use]
    pub const fn kind(&self) -> PoolKind {
        self.kind
    }

    /// The size of the window; zeros where it [adapts](Self::adaptive_output).
    #[must_use]
    pub const fn window(&self) -> [usize; D] {
        self.window
    }

    /// How far the window moves from one output to the next; zeros where it
    /// [adapts](Self::adaptive_output).
    #[must_use]
    pub const fn stride(&self) -> [usize; D] {
        self.stride
    }

    /// What was asked for; [`PoolPlan::padding`](super::PoolPlan::padding) says how much it is.
    #[must_use]
    pub const fn padding(&self) -> Padding<D> {
        self.padding
    }

    /// The distance between the values of a window.
    #[must_use]
    pub const fn dilation(&self) -> [usize; D] {
        self.dilation
    }

    /// Whether the size of the output is rounded up.
    #[must_use]
    pub const fn ceil_mode(&self) -> bool {
        self.ceil_mode
    }

    /// Whether a mean divides by the size of the window rather than by what it sees.
    #[must_use]
    pub const fn count_include_pad(&self) -> bool {
        self.count_include_pad
    }

    /// What every sum is divided by, if that was said.
    #[must_use]
    pub const fn divisor_override(&self) -> Option<usize> {
        self.divisor_override
    }

    /// The spatial sizes of the output of an adaptive or global pooling; `None` for a sliding window.
    #[must_use]
    pub const fn adaptive_output(&self) -> Option<[usize; D]> {
        self.adaptive_output
    }
}

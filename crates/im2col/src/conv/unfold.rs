//! The im2col matrices without a convolution: PyTorch's `Unfold` and `Fold`.

use super::columns::{Columns, Matrices};
use crate::conv::params::ConvParams;
use crate::error::{RunError, ShapeError};
use crate::im2col::Patches;
use crate::padding::{Padding, PaddingMode};
use crate::simd::Isa;
use crate::window::{checked_product, checked_sum, unlift};

/// The im2col matrices of images over `D` = 1, 2 or 3 spatial axes, without the size of the images.
///
/// A builder: [`Im2colParams::new`] is stride 1, no padding, dilation 1. It has what decides about the
/// matrices of a [`ConvParams`], and no output channels.
///
/// ```
/// use im2col::Im2colParams;
///
/// // What a window of 2x2 sees at its four places in an image of 3x3: a column for each place.
/// let plan = Im2colParams::new(1, [2, 2]).plan(1, [3, 3])?;
/// assert_eq!((plan.rows(), plan.output_dims()), (4, [2, 2]));
///
/// let mut columns = vec![0.0; plan.columns_len()];
/// plan.im2col(&[0., 1., 2., 3., 4., 5., 6., 7., 8.], &mut columns)?;
/// assert_eq!(columns[..4], [0., 1., 3., 4.]); // the upper left tap
/// assert_eq!(columns[12..], [4., 5., 7., 8.]); // the lower right one
///
/// // Summed back, each value comes as often as windows saw it.
/// let mut sums = vec![0.0; plan.input_len()];
/// plan.col2im(&columns, &mut sums)?;
/// assert_eq!(sums, [0., 2., 2., 6., 16., 10., 6., 14., 8.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Im2colParams<const D: usize> {
    /// Of one output channel, which counts nowhere.
    conv: ConvParams<D>,
}

impl<const D: usize> Im2colParams<D> {
    /// The matrices of images of `channels` planes under a kernel of the given size.
    #[must_use]
    pub const fn new(channels: usize, kernel: [usize; D]) -> Self {
        Self { conv: ConvParams::new(channels, 1, kernel) }
    }

    /// How far the window moves from one column to the next.
    #[must_use]
    pub const fn with_stride(mut self, stride: [usize; D]) -> Self {
        self.conv = self.conv.with_stride(stride);
        self
    }

    /// Padding, the same on both sides of an axis.
    #[must_use]
    pub const fn with_padding(mut self, padding: [usize; D]) -> Self {
        self.conv = self.conv.with_padding(padding);
        self
    }

    /// Padding, `[before, after]` on each axis.
    #[must_use]
    pub const fn with_padding_per_side(mut self, padding: [[usize; 2]; D]) -> Self {
        self.conv = self.conv.with_padding_per_side(padding);
        self
    }

    /// Padding that follows from the sizes of input and kernel.
    #[must_use]
    pub const fn with_padding_rule(mut self, padding: Padding<D>) -> Self {
        self.conv = self.conv.with_padding_rule(padding);
        self
    }

    /// Which values the padding holds. `col2im` adds what a window saw there to the values that were shown.
    #[must_use]
    pub const fn with_padding_mode(mut self, mode: PaddingMode) -> Self {
        self.conv = self.conv.with_padding_mode(mode);
        self
    }

    /// The distance between the taps of the kernel.
    #[must_use]
    pub const fn with_dilation(mut self, dilation: [usize; D]) -> Self {
        self.conv = self.conv.with_dilation(dilation);
        self
    }

    /// Planes of an image.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.conv.in_channels
    }

    /// Taps of the kernel on each axis.
    #[must_use]
    pub const fn kernel(&self) -> [usize; D] {
        self.conv.kernel
    }

    /// See [`Im2colParams::with_stride`].
    #[must_use]
    pub const fn stride(&self) -> [usize; D] {
        self.conv.stride
    }

    /// What was asked for; [`Im2colPlan::padding`] says how much it is.
    #[must_use]
    pub const fn padding(&self) -> Padding<D> {
        self.conv.padding
    }

    /// See [`Im2colParams::with_padding_mode`].
    #[must_use]
    pub const fn padding_mode(&self) -> PaddingMode {
        self.conv.padding_mode
    }

    /// See [`Im2colParams::with_dilation`].
    #[must_use]
    pub const fn dilation(&self) -> [usize; D] {
        self.conv.dilation
    }

    /// Plans the matrices of `batch` images of `input` values per channel.
    ///
    /// # Errors
    ///
    /// A rank other than 1, 2 or 3; a size of 0 (a batch of 0 is allowed); a dilated kernel larger than the
    /// padded input; more padding than the padding mode is defined for; a length that does not fit in `usize`.
    pub const fn plan(self, batch: usize, input: [usize; D]) -> Result<Im2colPlan<D>, ShapeError> {
        let channels = self.conv.in_channels;
        if channels == 0 {
            return Err(ShapeError::Zero { what: "channels" });
        }
        let window = match self.conv.window(input) {
            Ok(window) => window,
            Err(error) => return Err(error),
        };
        let image_stride = checked_product([channels, window.plane_len()]);
        let rows = checked_product([channels, window.taps()]);
        let (Some(image_stride), Some(rows)) = (image_stride, rows) else {
            return Err(ShapeError::Overflow { what: "an image" });
        };
        // The batch last: it may be 0, and a single image must fit all the same.
        let input_len = checked_product([image_stride, batch]);
        let columns_len = checked_product([rows, window.positions(), batch]);
        let (Some(input_len), Some(columns_len)) = (input_len, columns_len) else {
            return Err(ShapeError::Overflow { what: "an operand" });
        };
        // An operand is at most `isize::MAX` bytes.
        match checked_sum([input_len, columns_len]) {
            Some(sum) if sum.checked_mul(4).is_some() => {}
            _ => return Err(ShapeError::Overflow { what: "an operand" }),
        }
        let patches = Patches { window, channels, image_stride };
        Ok(Im2colPlan { params: self, isa: None, batch, input_len, columns_len, patches })
    }
}

/// The im2col matrices of one image size. Made by [`Im2colParams::plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Im2colPlan<const D: usize> {
    params: Im2colParams<D>,
    isa: Option<Isa>,
    batch: usize,
    input_len: usize,
    columns_len: usize,
    patches: Patches,
}

impl<const D: usize> Im2colPlan<D> {
    /// Runs under this instruction set; otherwise under the fastest that the CPU has.
    #[must_use]
    pub const fn with_isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// What was planned.
    #[must_use]
    pub const fn params(&self) -> Im2colParams<D> {
        self.params
    }

    /// How many images.
    #[must_use]
    pub const fn batch(&self) -> usize {
        self.batch
    }

    /// The size of a plane of the images.
    #[must_use]
    pub const fn input_dims(&self) -> [usize; D] {
        unlift(self.patches.window.input)
    }

    /// How many places the window takes on each axis:
    /// `(input + padding - dilation (kernel - 1) - 1) / stride + 1`.
    #[must_use]
    pub const fn output_dims(&self) -> [usize; D] {
        unlift(self.patches.window.output)
    }

    /// The padding, `[before, after]` of each axis.
    #[must_use]
    pub const fn padding(&self) -> [[usize; 2]; D] {
        unlift(self.patches.window.padding)
    }

    /// Rows of the matrix of an image: `channels * taps`. It has as many columns as the window places.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.patches.rows()
    }

    /// Length of the images, `[batch, channels, dims..]`.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.input_len
    }

    /// Length of the matrices, `[batch, channels * taps, positions]`.
    #[must_use]
    pub const fn columns_len(&self) -> usize {
        self.columns_len
    }

    /// The matrix of all images, side by side, as a view; see [`Columns`].
    ///
    /// # Errors
    ///
    /// If `input` is not of [`Im2colPlan::input_len`].
    pub fn columns<'a>(&self, input: &'a [f32]) -> Result<Columns<'a>, RunError> {
        self.matrices().columns(input)
    }

    /// Writes the matrices, `[batch, channels * taps, positions]` (PyTorch's unfold): row `(c, k)` and column
    /// `p` hold `x[n, c, p * stride + k * dilation - padding]`.
    ///
    /// # Errors
    ///
    /// If `input` is not of [`Im2colPlan::input_len`] or `columns` not of [`Im2colPlan::columns_len`].
    pub fn im2col(&self, input: &[f32], columns: &mut [f32]) -> Result<(), RunError> {
        self.matrices().im2col(input, columns)
    }

    /// Sums `columns` back into the places that [`Im2colPlan::im2col`] takes them from (PyTorch's fold, whose
    /// `output_size` is the size that was planned): its adjoint, `<im2col(x), c> = <x, col2im(c)>`.
    ///
    /// # Errors
    ///
    /// If `columns` is not of [`Im2colPlan::columns_len`] or `sums` not of [`Im2colPlan::input_len`].
    pub fn col2im(&self, columns: &[f32], sums: &mut [f32]) -> Result<(), RunError> {
        self.matrices().col2im(columns, sums)
    }

    fn matrices(&self) -> Matrices {
        let Self { patches, batch, isa, .. } = *self;
        Matrices { patches, batch, isa: isa.unwrap_or_else(Isa::detect) }
    }
}

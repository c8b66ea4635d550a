//! The im2col matrix for others to use: explicit, or a view that yields blocks of it.

use crate::conv::plan::ConvPlan;
use crate::conv::shape::ConvShape;
use crate::error::{RunError, check_len, check_range};
use crate::im2col::Patches;
use crate::simd::{Isa, Kernel, MulAdd, Vectors, dispatch};
use core::ops::Range;

/// The im2col matrix of a whole batch, without the matrix.
///
/// Row `(channel, tap)`, column `(image, position)`, both in row-major order: what tap `tap` of the
/// kernel sees in `channel` when the window is at `position`. The weights, taken as a matrix
/// `[out_channels, rows]`, times this matrix are the convolution of one group.
///
/// ```
/// use im2col::ConvParams;
///
/// let plan = ConvParams::new(1, 1, [2, 2]).plan(1, [3, 3])?;
/// let input = [0., 1., 2., 3., 4., 5., 6., 7., 8.];
/// let columns = plan.columns(&input)?;
/// assert_eq!((columns.rows(), columns.columns()), (4, 4));
///
/// // The last two taps at the two middle positions, for a GEMM of your own.
/// let mut block = [0.0; 4];
/// columns.copy_block(2..4, 1..3, &mut block)?;
/// assert_eq!(block, [4., 6., 5., 7.]);
/// assert_eq!(columns.get(3, 2), Some(7.));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    patches: Patches,
    batch: usize,
    input: &'a [f32],
    isa: Isa,
}

impl Columns<'_> {
    /// Channels times taps.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.patches.rows()
    }

    /// Images times positions.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.batch * self.patches.window.positions()
    }

    /// One value; none outside the matrix.
    #[must_use]
    pub fn get(&self, row: usize, column: usize) -> Option<f32> {
        if row >= self.rows() || column >= self.columns() {
            return None;
        }
        let mut value = [0.0];
        self.patches.copy_block(self.input, row..row + 1, column..column + 1, &mut value);
        Some(value[0])
    }

    /// Writes a block of the matrix, row-major `[rows, columns]`.
    ///
    /// # Errors
    ///
    /// [`RunError::Range`] if the matrix has no such rows or columns, [`RunError::Length`] if
    /// `block` is not as long as the block is large.
    pub fn copy_block(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        block: &mut [f32],
    ) -> Result<(), RunError> {
        check_range("rows", &rows, self.rows())?;
        check_range("columns", &columns, self.columns())?;
        // No slice is as long as a product that saturates.
        check_len("block", rows.len().saturating_mul(columns.len()), block.len())?;
        dispatch(self.isa, CopyBlock { patches: self.patches, input: self.input, rows, columns, block });
        Ok(())
    }
}

impl<const D: usize> ConvPlan<D> {
    /// The im2col matrix of `input`, `[batch, in_channels, dims..]`, as a view; see [`Columns`].
    ///
    /// # Errors
    ///
    /// If `input` is not of [`ConvPlan::input_len`]; [`RunError::Layout`] with channels last or strides.
    pub fn columns<'a>(&self, input: &'a [f32]) -> Result<Columns<'a>, RunError> {
        self.check_channels_first("columns")?;
        self.matrices().columns(input)
    }

    /// Writes the im2col matrices, `[batch, in_channels * taps, positions]` (PyTorch's unfold).
    ///
    /// For learners, tests and other GEMMs: [`ConvPlan::forward`] never makes the whole matrix. Without a
    /// convolution, [`Im2colParams`](crate::Im2colParams) plans the matrices.
    ///
    /// # Errors
    ///
    /// If `input` is not of [`ConvPlan::input_len`] or `columns` not of [`ConvPlan::columns_len`]; [`RunError::Layout`] with
    /// channels last or strides.
    pub fn im2col(&self, input: &[f32], columns: &mut [f32]) -> Result<(), RunError> {
        self.check_channels_first("im2col")?;
        self.matrices().im2col(input, columns)
    }

    /// Sums `columns` back into the places that [`ConvPlan::im2col`] takes them from (PyTorch's
    /// fold): its adjoint, `<im2col(x), c> = <x, col2im(c)>`.
    ///
    /// # Errors
    ///
    /// If `columns` is not of [`ConvPlan::columns_len`] or `sums` not of [`ConvPlan::input_len`]; [`RunError::Layout`] with
    /// channels last or strides.
    pub fn col2im(&self, columns: &[f32], sums: &mut [f32]) -> Result<(), RunError> {
        self.check_channels_first("col2im")?;
        self.matrices().col2im(columns, sums)
    }

    fn matrices(&self) -> Matrices {
        let ConvShape { batch, groups, in_group, .. } = self.shape;
        // The matrix of all channels: it does not depend on the groups.
        let patches = Patches { channels: groups * in_group, ..self.shape.patches() };
        Matrices { patches, batch, isa: self.isa() }
    }
}

/// The im2col matrices of a batch of images. Whoever makes them has checked that their lengths fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrices {
    pub(super) patches: Patches,
    pub(super) batch: usize,
    pub(super) isa: Isa,
}

impl Matrices {
    const fn input_len(&self) -> usize {
        self.batch * self.patches.image_stride
    }

    const fn columns_len(&self) -> usize {
        self.batch * self.patches.rows() * self.patches.window.positions()
    }

    pub(super) fn columns<'a>(&self, input: &'a [f32]) -> Result<Columns<'a>, RunError> {
        check_len("input", self.input_len(), input.len())?;
        let Self { patches, batch, isa } = *self;
        Ok(Columns { patches, batch, input, isa })
    }

    pub(super) fn im2col(&self, input: &[f32], columns: &mut [f32]) -> Result<(), RunError> {
        check_len("input", self.input_len(), input.len())?;
        check_len("columns", self.columns_len(), columns.len())?;
        dispatch(self.isa, Im2col { patches: self.patches, input, columns });
        Ok(())
    }

    pub(super) fn col2im(&self, columns: &[f32], sums: &mut [f32]) -> Result<(), RunError> {
        check_len("columns", self.columns_len(), columns.len())?;
        check_len("sums", self.input_len(), sums.len())?;
        dispatch(self.isa, Col2im { patches: self.patches, columns, sums });
        Ok(())
    }
}

struct CopyBlock<'a> {
    patches: Patches,
    input: &'a [f32],
    rows: Range<usize>,
    columns: Range<usize>,
    block: &'a mut [f32],
}

impl Kernel for CopyBlock<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        self.patches.copy_block(self.input, self.rows, self.columns, self.block);
    }
}

struct Im2col<'a> {
    patches: Patches,
    input: &'a [f32],
    columns: &'a mut [f32],
}

impl Kernel for Im2col<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let (rows, positions) = (self.patches.rows(), self.patches.window.positions());
        let images = self.input.chunks_exact(self.patches.image_stride);
        for (image, matrix) in images.zip(self.columns.chunks_exact_mut(rows * positions)) {
            self.patches.copy_block(image, 0..rows, 0..positions, matrix);
        }
    }
}

struct Col2im<'a> {
    patches: Patches,
    columns: &'a [f32],
    sums: &'a mut [f32],
}

impl Kernel for Col2im<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let positions = self.patches.window.positions();
        let images = self.sums.chunks_exact_mut(self.patches.image_stride);
        for (image, matrix) in images.zip(self.columns.chunks_exact(self.patches.rows() * positions)) {
            image.fill(0.0);
            self.patches.col2im_add(matrix, positions, 0..positions, image);
        }
    }
}

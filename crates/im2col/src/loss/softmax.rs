//! Softmax and its gradient.

use super::classes::{Axis, Sum, Ties};
use crate::error::{RunError, check_len};
use crate::simd::{Isa, Kernel, MulAdd, NR, Vectors, dispatch};

/// Softmax over the class axis of `[batch, classes, positions]`:
/// `probabilities[n, c, p] = e^logits[n, c, p] / sum over k of e^logits[n, k, p]`.
///
/// A row of logits per image has one position; feature maps `[n, classes, height, width]` have `height * width`.
///
/// ```
/// use im2col::Softmax;
///
/// // Two classes, three positions.
/// let logits = [0.0, 1000.0, 5.0, 0.0, -1000.0, 5.0];
/// let mut probabilities = [f32::NAN; 6];
/// let softmax = Softmax::new(2).with_positions(3);
/// softmax.forward(&logits, &mut probabilities)?;
/// assert_eq!(probabilities, [0.5, 1.0, 0.5, 0.5, 0.0, 0.5]);
///
/// let mut grad_logits = [f32::NAN; 6];
/// softmax.backward(&probabilities, &[4.0, 1.0, 0.0, 0.0, 1.0, 1.0], &mut grad_logits)?;
/// assert_eq!(grad_logits, [1.0, 0.0, -0.25, -1.0, 0.0, 0.25]);
/// # Ok::<(), im2col::RunError>(())
/// ```
///
/// # Error
///
/// A probability differs from the exact one by at most `(2 D + a + 14) u` of itself, plus `2^-146`, with `u = 2^-24`,
/// `D` the difference of the position's largest and smallest logit, of which no more than 104 counts, and
/// `a = 19 + log2(classes / 256)`, rounded up, but at least 19. A position with a NaN or +inf, or with nothing but -inf,
/// gives NaN. The largest logit is subtracted first, so no finite logit overflows.
///
/// The result is the same bits on every instruction set, and `[batch, classes, positions]` gives the same bits as
/// `[batch * positions, classes]` gives after a transpose: a sum takes class `c` into chain `c % 16`, sixteen terms long;
/// the sixteen chains of 256 classes are added by pairs, and so are the sums of 256 classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    axis: Axis,
    isa: Option<Isa>,
}

impl Softmax {
    /// Softmax of `classes` classes, at one position.
    #[must_use]
    pub const fn new(classes: usize) -> Self {
        Self { axis: Axis { classes, positions: 1 }, isa: None }
    }

    /// How many positions an image has, each with its classes: a feature map's height times width.
    #[must_use]
    pub const fn with_positions(mut self, positions: usize) -> Self {
        self.axis.positions = positions;
        self
    }

    /// Forces the instruction set. Otherwise the fastest one is detected.
    #[must_use]
    pub const fn with_isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// Writes the probabilities; logits, probabilities: `[batch, classes, positions]`.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if `logits` is not a whole number of images (with 0 classes or positions: not empty), or
    /// if the lengths differ.
    pub fn forward(&self, logits: &[f32], probabilities: &mut [f32]) -> Result<(), RunError> {
        self.axis.check_images("logits", logits.len())?;
        check_len("probabilities", logits.len(), probabilities.len())?;
        let isa = self.isa.unwrap_or_else(Isa::detect);
        match self.axis.positions {
            1 => dispatch(isa, SoftmaxForward::<1> { axis: self.axis, logits, probabilities }),
            _ => dispatch(isa, SoftmaxForward::<NR> { axis: self.axis, logits, probabilities }),
        }
        Ok(())
    }

    /// The gradient of the logits, `dL/dx`, from that of the probabilities, `g = dL/dp`:
    /// `grad_logits[c] = p[c] (g[c] - sum over k of p[k] g[k])` at each position.
    ///
    /// probabilities (what [`forward`](Self::forward) gave), grad_probabilities, grad_logits:
    /// `[batch, classes, positions]`. With `a` and `u` as above a gradient is wrong by at most
    /// `(a + 5) u p[c] (|g[c]| + sum over k of |p[k] g[k]|)`, plus what underflows.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if `probabilities` is not a whole number of images, or if the lengths differ.
    pub fn backward(
        &self,
        probabilities: &[f32],
        grad_probabilities: &[f32],
        grad_logits: &mut [f32],
    ) -> Result<(), RunError> {
        self.axis.check_images("probabilities", probabilities.len())?;
        check_len("grad_probabilities", probabilities.len(), grad_probabilities.len())?;
        check_len("grad_logits", probabilities.len(), grad_logits.len())?;
        let (axis, isa) = (self.axis, self.isa.unwrap_or_else(Isa::detect));
        match axis.positions {
            1 => dispatch(isa, SoftmaxBackward::<1> { axis, probabilities, grad_probabilities, grad_logits }),
            _ => {
                dispatch(isa, SoftmaxBackward::<NR> { axis, probabilities, grad_probabilities, grad_logits })
            }
        }
        Ok(())
    }
}

/// [`Softmax::forward`] at one position, on the instruction set that [`Isa::detect`] finds.
///
/// logits, probabilities: `[batch, classes]`.
///
/// ```
/// let mut probabilities = [0.0; 4];
/// im2col::softmax(&[0.0, 0.0, 1000.0, -1000.0], 2, &mut probabilities)?;
/// assert_eq!(probabilities, [0.5, 0.5, 1.0, 0.0]);
/// # Ok::<(), im2col::RunError>(())
/// ```
///
/// # Errors
///
/// Those of [`Softmax::forward`].
pub fn softmax(logits: &[f32], classes: usize, probabilities: &mut [f32]) -> Result<(), RunError> {
    Softmax::new(classes).forward(logits, probabilities)
}

/// [`Softmax::backward`] at one position, on the instruction set that [`Isa::detect`] finds.
///
/// probabilities, grad_probabilities, grad_logits: `[batch, classes]`.
///
/// ```
/// let mut grad_logits = [0.0; 2];
/// im2col::softmax_backward(&[0.5, 0.5], &[4.0, 0.0], 2, &mut grad_logits)?;
/// assert_eq!(grad_logits, [1.0, -1.0]);
/// # Ok::<(), im2col::RunError>(())
/// ```
///
/// # Errors
///
/// Those of [`Softmax::backward`].
pub fn softmax_backward(
    probabilities: &[f32],
    grad_probabilities: &[f32],
    classes: usize,
    grad_logits: &mut [f32],
) -> Result<(), RunError> {
    Softmax::new(classes).backward(probabilities, grad_probabilities, grad_logits)
}

impl Axis {
    /// Checks that `len` values are a whole number of images.
    pub(super) fn check_images(self, operand: &'static str, len: usize) -> Result<(), RunError> {
        // A product that saturates is longer than any slice.
        let image_len = self.classes.saturating_mul(self.positions);
        let images = len.checked_div(image_len).unwrap_or(0);
        check_len(operand, images * image_len, len)
    }
}

struct SoftmaxForward<'a, const W: usize> {
    axis: Axis,
    logits: &'a [f32],
    probabilities: &'a mut [f32],
}

impl<const W: usize> Kernel for SoftmaxForward<'_, W> {
    const USES_AVX512: bool = false;
    const USES_AVX2: bool = W == 1;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { axis, logits, probabilities } = self;
        let mut sums = (Sum::<W>::new(), Ties::new());
        for tile in axis.tiles::<W>(logits.len()) {
            let max = axis.max(logits, tile);
            let others = axis.other_powers(logits, tile, max, Some(&mut *probabilities), &mut sums);
            for first in axis.groups() {
                let mut group = axis.load::<W>(probabilities, tile, first, 0.0);
                for row in &mut group[..axis.rows::<W>(first)] {
                    for (p, others) in row.iter_mut().zip(&others) {
                        *p /= 1.0 + others;
                    }
                }
                axis.store(&group, probabilities, tile, first);
            }
        }
    }
}

struct SoftmaxBackward<'a, const W: usize> {
    axis: Axis,
    probabilities: &'a [f32],
    grad_probabilities: &'a [f32],
    grad_logits: &'a mut [f32],
}

impl<const W: usize> Kernel for SoftmaxBackward<'_, W> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { axis, probabilities, grad_probabilities, grad_logits } = self;
        let mut sum = Sum::<W>::new();
        for tile in axis.tiles::<W>(probabilities.len()) {
            for first in axis.groups() {
                let mut products = axis.load::<W>(probabilities, tile, first, 0.0);
                let grads = axis.load::<W>(grad_probabilities, tile, first, 0.0);
                let products = &mut products[..axis.rows::<W>(first)];
                for (p, g) in products.as_flattened_mut().iter_mut().zip(grads.as_flattened()) {
                    *p *= g;
                }
                sum.add(products);
            }
            let means = sum.take();
            for first in axis.groups() {
                let mut group = axis.load::<W>(grad_probabilities, tile, first, 0.0);
                let probabilities = axis.load::<W>(probabilities, tile, first, 0.0);
                for (row, probabilities) in group[..axis.rows::<W>(first)].iter_mut().zip(&probabilities) {
                    for ((g, p), mean) in row.iter_mut().zip(probabilities).zip(&means) {
                        *g = p * (*g - mean);
                    }
                }
                axis.store(&group, grad_logits, tile, first);
            }
        }
    }
}

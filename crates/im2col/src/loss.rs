//! Softmax and the cross-entropy loss, over the class axis of `[batch, classes, positions]`.

mod classes;
mod rows;
mod softmax;

pub use softmax::{Softmax, softmax, softmax_backward};

use crate::error::{RunError, check_len};
use crate::simd::{Isa, NR, dispatch};
use classes::Axis;
use rows::{Gradient, Losses, Targets};

/// Cross-entropy of logits `[batch, classes, positions]`, with one target for each image and position (a row):
/// `loss of a row = ln(sum over k of e^logits[k]) - logits[label]`.
///
/// A loss is the sum over the rows, or with [`with_mean`](Self::with_mean) their mean. A target is a class index, of any
/// integer type, or a probability for each class ([`forward_soft`](Self::forward_soft)).
///
/// ```
/// use im2col::CrossEntropy;
///
/// // A feature map of two pixels: three planes, one for each class. The second pixel has no label.
/// let logits = [1.0, 9.0, 1.0, 9.0, 1.0, 9.0];
/// let loss = CrossEntropy::new(3).with_positions(2).with_ignore_index(-100).with_mean();
/// let mean = loss.forward(&logits, &[2_i64, -100])?;
/// assert!((mean - 3_f32.ln()).abs() < 1e-6);
///
/// let mut grad_logits = [f32::NAN; 6];
/// loss.backward(&logits, &[2_i64, -100], 3.0, &mut grad_logits)?;
/// let expected = [1.0, 0.0, 1.0, 0.0, -2.0, 0.0];
/// assert!(grad_logits.iter().zip(expected).all(|(grad, expected)| (grad - expected).abs() < 1e-6));
/// # Ok::<(), im2col::RunError>(())
/// ```
///
/// # Error
///
/// With labels, and with probabilities none of which is negative, the loss differs from the exact one by at most
/// `(D + a + r + 20) u` of itself, plus `classes * rows * 2^-146`: `u = 2^-24`; `D` is the largest difference of two
/// logits of a row, of which no more than 104 counts; `a = 19 + log2(classes / 256)`, rounded up, but at least 19 (twice
/// `a` with probabilities); `r = log2(rows)`, rounded up. A gradient is wrong by at most
/// `(2 D + a + 18) u |scale|`, with probabilities by `(2 D + 2 a + 20) u |scale|` times their sum.
///
/// # Order of the sums
///
/// Over classes as [`Softmax`] says; over rows by pairs: neighbours first, then neighbouring sums of two, of four, and so
/// on. The result is the same bits on every instruction set. A row that holds NaN or +inf, or nothing but -inf, has the
/// loss NaN. The largest logit is subtracted first, so no finite logit overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossEntropy {
    axis: Axis,
    ignore_index: Option<i128>,
    is_mean: bool,
    isa: Option<Isa>,
}

impl CrossEntropy {
    /// The sum over all rows, of `classes` classes, at one position.
    #[must_use]
    pub const fn new(classes: usize) -> Self {
        Self { axis: Axis { classes, positions: 1 }, ignore_index: None, is_mean: false, isa: None }
    }

    /// How many positions an image has, each with a target: a feature map's height times width.
    #[must_use]
    pub const fn with_positions(mut self, positions: usize) -> Self {
        self.axis.positions = positions;
        self
    }

    /// Rows with this label count for nothing: not in the sum, not in the mean's number of rows, and their gradient
    /// is 0. It need not be a class; PyTorch's is -100. Probabilities are not concerned.
    #[must_use]
    pub const fn with_ignore_index(mut self, label: i128) -> Self {
        self.ignore_index = Some(label);
        self
    }

    /// Divides the loss, and so its gradient, by the number of rows that are not ignored.
    ///
    /// If there is none, the loss is NaN and the gradient 0, as in PyTorch.
    #[must_use]
    pub const fn with_mean(mut self) -> Self {
        self.is_mean = true;
        self
    }

    /// Forces the instruction set. Otherwise the fastest one is detected.
    #[must_use]
    pub const fn with_isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// The loss; logits: `[batch, classes, positions]`, labels: `[batch, positions]`, integers of any type.
    ///
    /// # Errors
    ///
    /// [`RunError::Label`] if a label is neither a class nor ignored, [`RunError::Length`] if `labels` is not a whole
    /// number of images or `logits` does not have its classes.
    pub fn forward<L>(&self, logits: &[f32], labels: &[L]) -> Result<f32, RunError>
    where
        L: Copy + TryInto<i128>,
    {
        let rows = self.check_labels(logits, labels)?;
        Ok(self.run(logits, Targets::Labels(&|row| self.class(labels[row])), rows, None))
    }

    /// The loss, as [`forward`](Self::forward) returns it, and its gradient times `scale`:
    /// `grad_logits[c] = (softmax(logits)[c] - (c == label)) scale` in each row, and 0 in those that are ignored.
    ///
    /// logits, grad_logits: `[batch, classes, positions]`, labels: `[batch, positions]`, integers of any type.
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward), and [`RunError::Length`] for `grad_logits`, which is then untouched.
    pub fn backward<L>(
        &self,
        logits: &[f32],
        labels: &[L],
        scale: f32,
        grad_logits: &mut [f32],
    ) -> Result<f32, RunError>
    where
        L: Copy + TryInto<i128>,
    {
        let rows = self.check_labels(logits, labels)?;
        check_len("grad_logits", logits.len(), grad_logits.len())?;
        let targets = Targets::Labels(&|row| self.class(labels[row]));
        Ok(self.run(logits, targets, rows, Some(Gradient { scale, values: grad_logits })))
    }

    /// The loss for class probabilities, soft labels: the loss of a row is
    /// `sum over c of targets[c] (ln(sum over k of e^logits[k]) - logits[c])`.
    ///
    /// logits, targets: `[batch, classes, positions]`. The probabilities of a row need not add up to 1. A class of
    /// probability 0 adds 0, even if its logit is -inf.
    ///
    /// ```
    /// // One image, two classes, no preference, whatever is wanted: ln 2.
    /// let loss = im2col::CrossEntropy::new(2).forward_soft(&[3.0, 3.0], &[0.75, 0.25])?;
    /// assert!((loss - 2_f32.ln()).abs() < 1e-6);
    /// # Ok::<(), im2col::RunError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if `logits` is not a whole number of images, or if the lengths differ.
    pub fn forward_soft(&self, logits: &[f32], targets: &[f32]) -> Result<f32, RunError> {
        let rows = self.check_probabilities(logits, targets)?;
        Ok(self.run(logits, Targets::Probabilities(targets), rows, None))
    }

    /// The loss, as [`forward_soft`](Self::forward_soft) returns it, and its gradient times `scale`:
    /// `grad_logits[c] = (softmax(logits)[c] sum over k of targets[k] - targets[c]) scale` in each row.
    ///
    /// logits, targets, grad_logits: `[batch, classes, positions]`.
    ///
    /// ```
    /// let mut grad_logits = [0.0; 2];
    /// im2col::CrossEntropy::new(2).backward_soft(&[3.0, 3.0], &[0.75, 0.25], 1.0, &mut grad_logits)?;
    /// assert_eq!(grad_logits, [-0.25, 0.25]);
    /// # Ok::<(), im2col::RunError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`forward_soft`](Self::forward_soft), and [`RunError::Length`] for `grad_logits`, which is then
    /// untouched.
    pub fn backward_soft(
        &self,
        logits: &[f32],
        targets: &[f32],
        scale: f32,
        grad_logits: &mut [f32],
    ) -> Result<f32, RunError> {
        let rows = self.check_probabilities(logits, targets)?;
        check_len("grad_logits", logits.len(), grad_logits.len())?;
        let targets = Targets::Probabilities(targets);
        Ok(self.run(logits, targets, rows, Some(Gradient { scale, values: grad_logits })))
    }

    /// The number of rows that are not ignored, if all operands are right.
    fn check_labels<L>(&self, logits: &[f32], labels: &[L]) -> Result<usize, RunError>
    where
        L: Copy + TryInto<i128>,
    {
        let Axis { classes, positions } = self.axis;
        let images = labels.len().checked_div(positions).unwrap_or(0);
        check_len("labels", images * positions, labels.len())?;
        // A product that saturates is longer than any slice.
        check_len("logits", labels.len().saturating_mul(classes), logits.len())?;
        let mut rows = 0;
        for (position, label) in labels.iter().enumerate() {
            let given = integer(*label);
            if Some(given) == self.ignore_index {
                continue;
            }
            if usize::try_from(given).map_or(true, |class| class >= classes) {
                return Err(RunError::Label { position, classes, given });
            }
            rows += 1;
        }
        Ok(rows)
    }

    /// The class that a checked label names, or none if it is ignored.
    fn class<L: TryInto<i128>>(&self, label: L) -> Option<usize> {
        let label = integer(label);
        if Some(label) == self.ignore_index { None } else { usize::try_from(label).ok() }
    }

    /// The number of rows, if all operands are right.
    fn check_probabilities(&self, logits: &[f32], targets: &[f32]) -> Result<usize, RunError> {
        self.axis.check_images("logits", logits.len())?;
        check_len("targets", logits.len(), targets.len())?;
        Ok(logits.len().checked_div(self.axis.classes).unwrap_or(0))
    }

    /// The loss of checked operands, of which so many rows count.
    fn run(
        &self,
        logits: &[f32],
        targets: Targets<'_>,
        rows: usize,
        mut gradient: Option<Gradient<'_>>,
    ) -> f32 {
        let divisor = if self.is_mean { rows as f32 } else { 1.0 };
        if let Some(gradient) = &mut gradient {
            gradient.scale /= divisor;
        }
        let mut loss = 0.0;
        let (axis, isa) = (self.axis, self.isa.unwrap_or_else(Isa::detect));
        match axis.positions {
            1 => dispatch(isa, Losses::<1> { axis, logits, targets, gradient, loss: &mut loss }),
            _ => dispatch(isa, Losses::<NR> { axis, logits, targets, gradient, loss: &mut loss }),
        }
        loss / divisor
    }
}

/// [`CrossEntropy::forward`] at one position, summed over the batch, on the instruction set that [`Isa::detect`] finds:
/// `sum over n of ln(sum over k of e^logits[n, k]) - logits[n, labels[n]]`.
///
/// logits: `[batch, classes]`, labels: `[batch]`, integers of any type. Divide by the batch size for PyTorch's default
/// mean.
///
/// ```
/// // Two classes, no preference: ln 2 for each of two images.
/// let loss = im2col::cross_entropy(&[3.0, 3.0, 0.0, 0.0], &[0, 1], 2)?;
/// assert!((loss - 2.0 * 2_f32.ln()).abs() < 1e-6);
/// # Ok::<(), im2col::RunError>(())
/// ```
///
/// # Errors
///
/// Those of [`CrossEntropy::forward`].
pub fn cross_entropy<L>(logits: &[f32], labels: &[L], classes: usize) -> Result<f32, RunError>
where
    L: Copy + TryInto<i128>,
{
    CrossEntropy::new(classes).forward(logits, labels)
}

/// [`CrossEntropy::backward`] at one position, summed over the batch, on the instruction set that [`Isa::detect`]
/// finds: the gradient of [`cross_entropy`], which is returned, times `scale`:
/// `grad_logits[n, c] = (softmax(logits)[n, c] - (c == labels[n])) scale`.
///
/// logits, grad_logits: `[batch, classes]`, labels: `[batch]`, integers of any type. With `scale` = 1 / batch it is the
/// gradient of the mean.
///
/// ```
/// let mut grad_logits = [0.0; 4];
/// im2col::cross_entropy_backward(&[3.0, 3.0, 0.0, 0.0], &[0, 1], 2, 0.5, &mut grad_logits)?;
/// assert_eq!(grad_logits, [-0.25, 0.25, 0.25, -0.25]);
/// # Ok::<(), im2col::RunError>(())
/// ```
///
/// # Errors
///
/// Those of [`CrossEntropy::backward`]. `grad_logits` is then untouched.
pub fn cross_entropy_backward<L>(
    logits: &[f32],
    labels: &[L],
    classes: usize,
    scale: f32,
    grad_logits: &mut [f32],
) -> Result<f32, RunError>
where
    L: Copy + TryInto<i128>,
{
    CrossEntropy::new(classes).backward(logits, labels, scale, grad_logits)
}

/// The position of the first largest value; of the first NaN, if there is one, as in PyTorch.
/// `None` for no values.
///
/// ```
/// assert_eq!(im2col::argmax(&[1.0, 3.0, 3.0]), Some(1));
/// assert_eq!(im2col::argmax(&[]), None);
/// ```
#[must_use]
pub fn argmax(values: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (i, x) in values.iter().copied().enumerate() {
        if x.is_nan() {
            return Some(i);
        }
        if best.is_none_or(|(_, largest)| x > largest) {
            best = Some((i, x));
        }
    }
    best.map(|(i, _)| i)
}

fn integer(label: impl TryInto<i128>) -> i128 {
    label.try_into().unwrap_or(i128::MAX)
}

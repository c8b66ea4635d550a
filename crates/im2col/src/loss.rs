//! Softmax and the cross-entropy loss.
//!
//! `logits` are `[batch, classes]`. The largest logit of a row is subtracted before anything is
//! raised to a power, so no finite logit overflows; sums run over the classes in ascending order.

use crate::error::{RunError, check_len};
use crate::kernel::{Isa, Job, MulAdd, Vectors, dispatch};
use crate::math;

/// `probabilities[n, c] = e^logits[n, c] / sum over k of e^logits[n, k]`.
///
/// logits, probabilities: `[batch, classes]`. A row that holds NaN or +inf, or nothing but -inf,
/// gives NaN.
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
/// [`RunError::Length`] if `logits` is not a whole number of rows (with 0 classes: not empty), or
/// if the lengths differ.
pub fn softmax(logits: &[f32], classes: usize, probabilities: &mut [f32]) -> Result<(), RunError> {
    let rows = logits.len().checked_div(classes).unwrap_or(0);
    check_len("logits", rows * classes, logits.len())?;
    check_len("probabilities", logits.len(), probabilities.len())?;
    dispatch(Isa::detect(), Softmax { logits, classes, probabilities });
    Ok(())
}

/// The cross-entropy, summed over the batch:
/// `sum over n of ln(sum over k of e^logits[n, k]) - logits[n, labels[n]]`.
///
/// logits: `[batch, classes]`, labels: `[batch]`. Divide by the batch size for PyTorch's default
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
/// [`RunError::Label`] if a label is not below `classes`, [`RunError::Length`] if `logits` is not
/// `[batch, classes]`.
pub fn cross_entropy(logits: &[f32], labels: &[u8], classes: usize) -> Result<f32, RunError> {
    check(logits, labels, classes)?;
    let rows = logits.chunks_exact(classes.max(1)).zip(labels);
    Ok(rows.fold(0.0, |total, (logits, label)| {
        let max = largest(logits);
        let sum = logits.iter().fold(0.0, |sum, x| sum + math::exp(x - max));
        total + row_loss(logits, *label, max, sum)
    }))
}

/// The gradient of [`cross_entropy`], which is returned, times `scale`:
/// `grad_logits[n, c] = (softmax(logits)[n, c] - (c == labels[n])) scale`.
///
/// logits, grad_logits: `[batch, classes]`, labels: `[batch]`. With `scale` = 1 / batch it is the
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
/// [`RunError::Label`] if a label is not below `classes`, [`RunError::Length`] if `logits` or
/// `grad_logits` is not `[batch, classes]`. `grad_logits` is then untouched.
pub fn cross_entropy_backward(
    logits: &[f32],
    labels: &[u8],
    classes: usize,
    scale: f32,
    grad_logits: &mut [f32],
) -> Result<f32, RunError> {
    check(logits, labels, classes)?;
    check_len("grad_logits", logits.len(), grad_logits.len())?;
    let mut loss = 0.0;
    let job = CrossEntropyBackward { logits, labels, classes, scale, grad_logits, loss: &mut loss };
    dispatch(Isa::detect(), job);
    Ok(loss)
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
    let first_nan = values.iter().position(|x| x.is_nan());
    let first_largest =
        || (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best });
    first_nan.or_else(first_largest)
}

fn check(logits: &[f32], labels: &[u8], classes: usize) -> Result<(), RunError> {
    // A product that saturates is longer than any slice.
    check_len("logits", labels.len().saturating_mul(classes), logits.len())?;
    match labels.iter().position(|label| usize::from(*label) >= classes) {
        Some(position) => Err(RunError::Label { position, classes, given: usize::from(labels[position]) }),
        None => Ok(()),
    }
}

struct Softmax<'a> {
    logits: &'a [f32],
    classes: usize,
    probabilities: &'a mut [f32],
}

impl Job for Softmax<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let classes = self.classes.max(1);
        let rows = self.logits.chunks_exact(classes).zip(self.probabilities.chunks_exact_mut(classes));
        for (logits, probabilities) in rows {
            let sum = exponentials(logits, largest(logits), probabilities);
            probabilities.iter_mut().for_each(|p| *p /= sum);
        }
    }
}

struct CrossEntropyBackward<'a> {
    logits: &'a [f32],
    labels: &'a [u8],
    classes: usize,
    scale: f32,
    grad_logits: &'a mut [f32],
    loss: &'a mut f32,
}

impl Job for CrossEntropyBackward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let classes = self.classes.max(1);
        let rows = self.logits.chunks_exact(classes).zip(self.grad_logits.chunks_exact_mut(classes));
        for ((logits, grad), label) in rows.zip(self.labels) {
            let max = largest(logits);
            let sum = exponentials(logits, max, grad);
            *self.loss += row_loss(logits, *label, max, sum);
            grad.iter_mut().for_each(|g| *g /= sum);
            grad[usize::from(*label)] -= 1.0;
            grad.iter_mut().for_each(|g| *g *= self.scale);
        }
    }
}

/// -ln of the label's probability, with `sum` the sum of e^(logit - max).
#[inline(always)]
fn row_loss(logits: &[f32], label: u8, max: f32, sum: f32) -> f32 {
    math::ln(sum) - (logits[usize::from(label)] - max)
}

/// Writes e^(logit - max) and returns the sum.
#[inline(always)]
fn exponentials(logits: &[f32], max: f32, powers: &mut [f32]) -> f32 {
    // Two loops: the first is vector code, the second keeps the order of the sum.
    for (x, power) in logits.iter().zip(&mut *powers) {
        *power = math::exp(x - max);
    }
    powers.iter().fold(0.0, |sum, power| sum + power)
}

/// The largest value, without the NaN.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    values.iter().fold(f32::NEG_INFINITY, |max, x| if *x > max { *x } else { max })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    fn logits(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 37 + 11) % 101) as f32 * 0.21 - 9.0).collect()
    }

    /// Softmax and loss of one row in f64.
    fn exact(logits: &[f32], label: u8) -> (Vec<f64>, f64) {
        let powers: Vec<f64> = logits.iter().map(|x| f64::from(*x).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let p: Vec<f64> = powers.iter().map(|power| power / sum).collect();
        let loss = -p[usize::from(label)].ln();
        (p, loss)
    }

    #[test]
    fn every_isa_gives_the_softmax_and_the_gradient() {
        for isa in Isa::available() {
            for classes in 1..40 {
                let labels: Vec<u8> = (0..3).map(|n| (n * 7 % classes) as u8).collect();
                let logits = logits(3 * classes);
                let (mut p, mut grad, mut loss) =
                    (std::vec![7.0; 3 * classes], std::vec![7.0; 3 * classes], 0.0);
                dispatch(isa, Softmax { logits: &logits, classes, probabilities: &mut p });
                let (labels, logits) = (&labels[..], &logits[..]);
                let job = CrossEntropyBackward {
                    logits,
                    labels,
                    classes,
                    scale: 0.5,
                    grad_logits: &mut grad,
                    loss: &mut loss,
                };
                dispatch(isa, job);

                let mut exact_loss = 0.0;
                for (n, label) in labels.iter().enumerate() {
                    let row = n * classes..(n + 1) * classes;
                    let (exact_p, row_loss) = exact(&logits[row.clone()], *label);
                    exact_loss += row_loss;
                    let sum: f32 = p[row.clone()].iter().sum();
                    assert!((sum - 1.0).abs() <= 4.0 * classes as f32 * f32::EPSILON / 2.0, "{sum}");
                    for (c, i) in row.enumerate() {
                        let onehot = f64::from(u8::from(c == usize::from(*label)));
                        assert!((f64::from(p[i]) - exact_p[c]).abs() <= 1e-5 * exact_p[c]);
                        assert!((f64::from(grad[i]) - 0.5 * (exact_p[c] - onehot)).abs() <= 1e-6);
                    }
                }
                assert!(
                    (f64::from(loss) - exact_loss).abs() <= 1e-5 * exact_loss.max(1.0),
                    "{loss} {exact_loss}"
                );
                assert_eq!(cross_entropy(logits, labels, classes).unwrap().to_bits(), loss.to_bits());
            }
        }
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let mut p = [0.0; 3];
        softmax(&[f32::MAX, 0.0, f32::MIN], 3, &mut p).unwrap();
        assert_eq!(p, [1.0, 0.0, 0.0]);
        assert_eq!(cross_entropy(&[1e4, 0.0], &[1], 2).unwrap(), 1e4);
    }

    #[test]
    fn a_nan_logit_is_not_hidden() {
        let mut p = [0.0; 4];
        softmax(&[1.0, f32::NAN, 1.0, 1.0], 2, &mut p).unwrap();
        assert!(p[0].is_nan() && p[1].is_nan());
        assert_eq!(p[2..], [0.5, 0.5]);
        assert!(cross_entropy(&[1.0, f32::NAN], &[0], 2).unwrap().is_nan());
    }

    #[test]
    fn argmax_is_the_first_largest_or_the_first_nan() {
        assert_eq!(argmax(&[f32::NEG_INFINITY; 2]), Some(0));
        assert_eq!(argmax(&[-2.0, -1.0, -1.0]), Some(1));
        assert_eq!(argmax(&[9.0, f32::NAN, f32::NAN, 10.0]), Some(1));
    }

    #[test]
    fn an_empty_batch_is_no_error() {
        assert_eq!(cross_entropy(&[], &[], 10), Ok(0.0));
        assert_eq!(cross_entropy_backward(&[], &[], 0, 1.0, &mut []), Ok(0.0));
        assert_eq!(softmax(&[], 0, &mut []), Ok(()));
    }

    #[test]
    fn operands_are_checked_before_anything_is_written() {
        let length = |operand, required, given| RunError::Length { operand, required, given };
        let mut out = [7.0; 4];
        let untouched = [7.0; 4];
        assert_eq!(softmax(&[0.0; 5], 2, &mut out), Err(length("logits", 4, 5)));
        assert_eq!(softmax(&[0.0; 5], 0, &mut out), Err(length("logits", 0, 5)));
        assert_eq!(softmax(&[0.0; 6], 2, &mut out), Err(length("probabilities", 6, 4)));
        assert_eq!(cross_entropy(&[0.0; 5], &[0, 1], 2), Err(length("logits", 4, 5)));
        assert_eq!(cross_entropy(&[0.0; 4], &[0; 4], usize::MAX), Err(length("logits", usize::MAX, 4)));
        assert_eq!(
            cross_entropy_backward(&[0.0; 4], &[0, 2], 2, 1.0, &mut out),
            Err(RunError::Label { position: 1, classes: 2, given: 2 })
        );
        assert_eq!(cross_entropy(&[], &[0], 0), Err(RunError::Label { position: 0, classes: 0, given: 0 }));
        assert_eq!(
            cross_entropy_backward(&[0.0; 2], &[0], 2, 1.0, &mut out),
            Err(length("grad_logits", 2, 4))
        );
        assert_eq!(out, untouched);
    }
}

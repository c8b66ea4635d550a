//! Softmax and cross-entropy, row by row.

use crate::error::{RunError, check_len};
use crate::math;

/// Softmax over the class axis of `[batch, classes, positions]`:
/// `probabilities[n, c, i] = e^(logits[n, c, i] - m) / sum over k of e^(logits[n, k, i] - m)`, `m` the largest of them.
///
/// ```
/// let mut probabilities = [0.0; 4];
/// im2col::naive::softmax(&[0.0, 7.0, 0.0, 7.0], [1, 2, 2], &mut probabilities)?;
/// assert_eq!(probabilities, [0.5; 4]);
/// # Ok::<(), im2col::RunError>(())
/// ```
///
/// # Errors
///
/// If the length of an operand is not the product of `dims`.
pub fn softmax(logits: &[f32], dims: [usize; 3], probabilities: &mut [f32]) -> Result<(), RunError> {
    let len = len(dims);
    check_len("logits", len, logits.len())?;
    check_len("probabilities", len, probabilities.len())?;
    for row in rows(dims) {
        let max = row.clone().fold(f32::NEG_INFINITY, |max, i| max.max(logits[i]));
        let sum = row.clone().fold(0.0, |sum, i| sum + math::exp(logits[i] - max));
        row.for_each(|i| probabilities[i] = math::exp(logits[i] - max) / sum);
    }
    Ok(())
}

/// The gradient of the logits from that of the probabilities:
/// `grad_logits[c] = p[c] (grad_probabilities[c] - sum over k of p[k] grad_probabilities[k])` in each row.
///
/// # Errors
///
/// If the length of an operand is not the product of `dims`.
pub fn softmax_backward(
    probabilities: &[f32],
    grad_probabilities: &[f32],
    dims: [usize; 3],
    grad_logits: &mut [f32],
) -> Result<(), RunError> {
    let len = len(dims);
    check_len("probabilities", len, probabilities.len())?;
    check_len("grad_probabilities", len, grad_probabilities.len())?;
    check_len("grad_logits", len, grad_logits.len())?;
    for row in rows(dims) {
        let sum = row.clone().fold(0.0, |sum, i| sum + probabilities[i] * grad_probabilities[i]);
        row.for_each(|i| grad_logits[i] = probabilities[i] * (grad_probabilities[i] - sum));
    }
    Ok(())
}

/// Cross-entropy, summed over all rows: `sum over c of -targets[c] ln softmax(logits)[c]` in each row.
///
/// logits, targets: `[batch, classes, positions]`. The target of a label is 1 at its class and 0 elsewhere, that of an
/// ignored one 0 everywhere.
///
/// ```
/// let loss = im2col::naive::cross_entropy(&[3.0, 3.0], &[0.0, 1.0], [1, 2, 1])?;
/// assert!((loss - 2_f32.ln()).abs() < 1e-6);
/// # Ok::<(), im2col::RunError>(())
/// ```
///
/// # Errors
///
/// If the length of an operand is not the product of `dims`.
pub fn cross_entropy(logits: &[f32], targets: &[f32], dims: [usize; 3]) -> Result<f32, RunError> {
    let len = len(dims);
    check_len("logits", len, logits.len())?;
    check_len("targets", len, targets.len())?;
    let mut loss = 0.0;
    for row in rows(dims) {
        let max = row.clone().fold(f32::NEG_INFINITY, |max, i| max.max(logits[i]));
        let sum = row.clone().fold(0.0, |sum, i| sum + math::exp(logits[i] - max));
        for i in row.filter(|&i| targets[i] != 0.0) {
            loss += targets[i] * (math::ln(sum) + (max - logits[i]));
        }
    }
    Ok(loss)
}

/// The gradient of [`cross_entropy`]:
/// `grad_logits[c] = softmax(logits)[c] sum over k of targets[k] - targets[c]` in each row.
///
/// # Errors
///
/// If the length of an operand is not the product of `dims`.
pub fn cross_entropy_backward(
    logits: &[f32],
    targets: &[f32],
    dims: [usize; 3],
    grad_logits: &mut [f32],
) -> Result<(), RunError> {
    check_len("targets", len(dims), targets.len())?;
    softmax(logits, dims, grad_logits).map_err(|error| match error {
        RunError::Length { operand: "probabilities", required, given } => {
            RunError::Length { operand: "grad_logits", required, given }
        }
        error => error,
    })?;
    for row in rows(dims) {
        let sum = row.clone().fold(0.0, |sum, i| sum + targets[i]);
        row.for_each(|i| grad_logits[i] = grad_logits[i] * sum - targets[i]);
    }
    Ok(())
}

/// The product of the sizes; no slice is as long as one that saturates.
fn len(dims: [usize; 3]) -> usize {
    dims.iter().fold(1, |len, size| len.saturating_mul(*size))
}

/// The classes of each image and position, as indices into the data. Empty data has no rows.
fn rows(dims: [usize; 3]) -> impl Iterator<Item = impl Iterator<Item = usize> + Clone> {
    let [batch, classes, positions] = if len(dims) == 0 { [0; 3] } else { dims };
    (0..batch).flat_map(move |n| {
        (0..positions).map(move |i| (0..classes).map(move |c| (n * classes + c) * positions + i))
    })
}

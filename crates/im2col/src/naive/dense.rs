//! A convolution as a fully connected layer.

use super::loops::for_each_product_of;
use crate::conv::ConvPlan;
use crate::error::{RunError, check_len};

/// Writes the matrix `m`, `[out_channels * positions, in_channels * plane]`, of the fully connected
/// layer that does to an image what the convolution does: `y = act(m x + b)`, the bias repeated for
/// every position.
///
/// Its entries are the kernel's: each row holds the weights of one output at the inputs that the
/// window sees, and zeros elsewhere (locality); the rows of one channel differ only in where they
/// stand (translation invariance). Padding that shows an input twice adds up its weights. The matrix
/// is that of one image, whatever the batch. With [channels last](crate::Layout) its rows or columns stand in that order.
///
/// ```
/// use im2col::{ConvParams, naive};
///
/// let plan = ConvParams::new(1, 1, [2]).with_bias(false).plan(1, [4])?;
/// let mut matrix = [f32::NAN; 3 * 4];
/// naive::dense_matrix(&plan, &[1., -1.], &mut matrix)?;
/// assert_eq!(matrix, [
///     1., -1., 0., 0., //
///     0., 1., -1., 0., //
///     0., 0., 1., -1.,
/// ]);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// # Errors
///
/// If `weight` is not of the plan's length, or `matrix` not of the product of its sizes; [`RunError::Layout`] if the plan's input has
/// [strides](ConvPlan::with_input_strides).
pub fn dense_matrix<const D: usize>(
    plan: &ConvPlan<D>,
    weight: &[f32],
    matrix: &mut [f32],
) -> Result<(), RunError> {
    // Of one image: the plan's batch may be 0.
    let values = |channels: usize, dims: [usize; D]| {
        dims.iter().fold(channels, |product, size| product.saturating_mul(*size))
    };
    let inputs = values(plan.params().in_channels(), plan.input_dims());
    let outputs = values(plan.params().out_channels(), plan.output_dims());
    check_len("weight", plan.weight_len(), weight.len())?;
    // No slice is as long as a product that saturates.
    check_len("matrix", outputs.saturating_mul(inputs), matrix.len())?;
    if plan.is_view() {
        return Err(RunError::Layout { operation: "dense_matrix" });
    }
    matrix.fill(0.0);
    for_each_product_of(plan, 1, |o, i, w| matrix[o * inputs + i] += weight[w]);
    Ok(())
}

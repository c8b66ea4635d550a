//! Pooling by its definition.

use super::{Taps, points, volume};
use crate::error::{RunError, check_len};
use crate::padding::PaddingMode;
use crate::pool::{PoolKind, PoolPlan};
use crate::window::lift;

/// Pooling: `y[n, c, o]` is the maximum or the mean of `x[n, c, o * stride + k * dilation - padding]`
/// over the taps `k` of the window, padding left out.
///
/// The mean's divisor is the number of taps, with or without those in the padding as the plan says.
/// The maximum of nothing but padding is minus infinity; a NaN is greater than every number.
///
/// ```
/// use im2col::{PoolParams, naive};
///
/// let x = [0., 1., 2., 3., 4., 5., 6., 7., 8.];
/// let mut y = [0.0; 4];
/// naive::pool_forward(&PoolParams::max([2, 2]).with_stride([1, 1]).plan(1, 1, [3, 3])?, &x, &mut y)?;
/// assert_eq!(y, [4., 5., 7., 8.]);
/// naive::pool_forward(&PoolParams::average([2, 2]).with_stride([1, 1]).plan(1, 1, [3, 3])?, &x, &mut y)?;
/// assert_eq!(y, [2., 3., 5., 6.]);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn pool_forward<const D: usize>(
    plan: &PoolPlan<D>,
    input: &[f32],
    output: &mut [f32],
) -> Result<(), RunError> {
    check_len("input", plan.input_len(), input.len())?;
    check_len("output", plan.output_len(), output.len())?;
    for (window, y) in windows(plan).zip(output) {
        *y = match plan.params().kind() {
            PoolKind::Max => argmax(input, window).map_or(f32::NEG_INFINITY, |i| input[i]),
            PoolKind::Average => {
                let sum = window.clone().fold(0.0, |sum, i| sum + input[i]);
                sum / divisor(plan, window)
            }
        };
    }
    Ok(())
}

/// The gradient of [`pool_forward`]: a maximum passes its gradient to the first value that attains
/// it (the last NaN, if there is one), a mean passes it on in equal parts.
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn pool_grad_input<const D: usize>(
    plan: &PoolPlan<D>,
    input: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
) -> Result<(), RunError> {
    check_len("input", plan.input_len(), input.len())?;
    check_len("grad_output", plan.output_len(), grad_output.len())?;
    check_len("grad_input", plan.input_len(), grad_input.len())?;
    grad_input.fill(0.0);
    for (window, grad) in windows(plan).zip(grad_output) {
        match plan.params().kind() {
            PoolKind::Max => {
                if let Some(i) = argmax(input, window) {
                    grad_input[i] += grad;
                }
            }
            PoolKind::Average => {
                let part = grad / divisor(plan, window.clone());
                window.for_each(|i| grad_input[i] += part);
            }
        }
    }
    Ok(())
}

/// The first of the largest values, or the last NaN.
fn argmax(input: &[f32], window: impl Iterator<Item = usize>) -> Option<usize> {
    window.reduce(|best, i| if input[i] > input[best] || input[i].is_nan() { i } else { best })
}

fn divisor<const D: usize>(plan: &PoolPlan<D>, window: impl Iterator<Item = usize>) -> f32 {
    let taps = volume(lift(plan.params().window(), 1));
    (if plan.params().count_include_pad() { taps } else { window.count() }) as f32
}

/// For every output of a pooling, the offsets of the inputs that its window sees.
fn windows<const D: usize>(plan: &PoolPlan<D>) -> impl Iterator<Item = impl Iterator<Item = usize> + Clone> {
    let params = plan.params();
    let taps = Taps {
        input: lift(plan.input_dims(), 1),
        kernel: lift(params.window(), 1),
        stride: lift(params.stride(), 1),
        padding: lift(params.padding(), [0; 2]),
        mode: PaddingMode::Zeros,
        dilation: lift(params.dilation(), 1),
    };
    let output = lift(plan.output_dims(), 1);
    (0..plan.batch() * plan.channels()).flat_map(move |plane| {
        points(output)
            .map(move |position| taps.at(position).map(move |(_, i)| plane * volume(taps.input) + i))
    })
}

//! Pooling by its definition.

use super::loops::{points, volume};
use crate::error::{RunError, check_len};
use crate::layout::Layout;
use crate::pool::{PoolKind, PoolPlan};
use crate::window::lift;

/// Pooling: `y[n, c, o]` is the maximum or the mean of `x[n, c, o * stride + k * dilation - padding]`
/// over the taps `k` of the window, padding left out; or of the inputs from `floor(o n / m)` to before
/// `ceil((o + 1) n / m)` on an axis of `n` inputs where the pooling adapts to `m` outputs.
///
/// The mean's divisor is the plan's, or the number of taps, with or without those in the padding as
/// the plan says; its sum is computed in `f64`. Of nothing but padding the maximum is minus infinity and the
/// mean 0; a NaN is greater than every number.
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
/// naive::pool_forward(&PoolParams::adaptive_max([2, 2]).plan(1, 1, [3, 3])?, &x, &mut y)?;
/// assert_eq!(y, [4., 5., 7., 8.]);
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
    for ((window, divisor), y) in windows(plan).zip(output) {
        *y = match plan.params().kind() {
            PoolKind::Max => argmax(input, window).map_or(f32::NEG_INFINITY, |i| input[i]),
            PoolKind::Average => {
                (window.fold(0.0, |sum, i| sum + f64::from(input[i])) / f64::from(divisor)) as f32
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
pub fn pool_backward<const D: usize>(
    plan: &PoolPlan<D>,
    input: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
) -> Result<(), RunError> {
    check_len("input", plan.input_len(), input.len())?;
    check_len("grad_output", plan.output_len(), grad_output.len())?;
    check_len("grad_input", plan.input_len(), grad_input.len())?;
    grad_input.fill(0.0);
    for ((window, divisor), grad) in windows(plan).zip(grad_output) {
        match plan.params().kind() {
            PoolKind::Max => argmax(input, window).into_iter().for_each(|i| grad_input[i] += grad),
            PoolKind::Average => window.for_each(|i| grad_input[i] += grad / divisor),
        }
    }
    Ok(())
}

/// Where each maximum of [`pool_forward`] is in its plane of the input, or, with channels last, in its image, flat; -1 if nowhere.
///
/// # Errors
///
/// If the plan is an average, or an operand's length is not the plan's.
pub fn pool_indices<const D: usize>(
    plan: &PoolPlan<D>,
    input: &[f32],
    indices: &mut [i64],
) -> Result<(), RunError> {
    check_max(plan)?;
    check_len("input", plan.input_len(), input.len())?;
    check_len("indices", plan.output_len(), indices.len())?;
    let [plane_len, _] = plane_lens(plan);
    for ((window, _), index) in windows(plan).zip(indices) {
        *index = argmax(input, window).map_or(-1, |i| (i % plane_len) as i64);
    }
    Ok(())
}

/// Max-unpooling: `output[n, c, indices[n, c, o]] = pooled[n, c, o]`, in order, and 0 elsewhere.
///
/// # Errors
///
/// If the plan is an average, an operand's length is not the plan's, or an index is neither in its
/// plane nor -1.
pub fn unpool<const D: usize>(
    plan: &PoolPlan<D>,
    pooled: &[f32],
    indices: &[i64],
    output: &mut [f32],
) -> Result<(), RunError> {
    check_max(plan)?;
    check_len("pooled", plan.output_len(), pooled.len())?;
    check_len("indices", plan.output_len(), indices.len())?;
    check_len("output", plan.input_len(), output.len())?;
    check_indices(plan, indices)?;
    output.fill(0.0);
    for (o, v) in pooled.iter().enumerate() {
        if let Some(i) = place(plan, indices, o) {
            output[i] = *v;
        }
    }
    Ok(())
}

/// The gradient of [`unpool`]: `grad_pooled[n, c, o] = grad_output[n, c, indices[n, c, o]]`.
///
/// # Errors
///
/// As [`unpool`].
pub fn unpool_backward<const D: usize>(
    plan: &PoolPlan<D>,
    grad_output: &[f32],
    indices: &[i64],
    grad_pooled: &mut [f32],
) -> Result<(), RunError> {
    check_max(plan)?;
    check_len("grad_output", plan.input_len(), grad_output.len())?;
    check_len("indices", plan.output_len(), indices.len())?;
    check_len("grad_pooled", plan.output_len(), grad_pooled.len())?;
    check_indices(plan, indices)?;
    for (o, grad) in grad_pooled.iter_mut().enumerate() {
        *grad = place(plan, indices, o).map_or(0.0, |i| grad_output[i]);
    }
    Ok(())
}

fn check_max<const D: usize>(plan: &PoolPlan<D>) -> Result<(), RunError> {
    if plan.params().kind() == PoolKind::Max { Ok(()) } else { Err(RunError::NoIndices) }
}

fn check_indices<const D: usize>(plan: &PoolPlan<D>, indices: &[i64]) -> Result<(), RunError> {
    let [plane_len, _] = plane_lens(plan);
    for (position, &given) in indices.iter().enumerate() {
        if given < -1 || i128::from(given) >= plane_len as i128 {
            return Err(RunError::Index { position, plane_len, given });
        }
    }
    Ok(())
}

/// Where in the input the index of output `o` points.
fn place<const D: usize>(plan: &PoolPlan<D>, indices: &[i64], o: usize) -> Option<usize> {
    let [input, output] = plane_lens(plan);
    let offset = usize::try_from(indices[o]).ok()?;
    Some(o / output * input + offset)
}

/// How many values of the input and of the output the indices count: those of a plane, or of an image with channels last.
fn plane_lens<const D: usize>(plan: &PoolPlan<D>) -> [usize; 2] {
    let channels = if plan.layout() == Layout::ChannelsLast { plan.channels() } else { 1 };
    [plan.input_dims(), plan.output_dims()].map(|dims| channels * volume(lift(dims, 1)))
}

/// The first of the largest values, or the last NaN.
fn argmax(input: &[f32], window: impl Iterator<Item = usize>) -> Option<usize> {
    window.reduce(|best, i| if input[i] > input[best] || input[i].is_nan() { i } else { best })
}

/// For every output of a pooling, the offsets of the inputs that its window sees, and the divisor of
/// their mean.
fn windows<const D: usize>(
    plan: &PoolPlan<D>,
) -> impl Iterator<Item = (impl Iterator<Item = usize> + Clone, f32)> {
    let (input, output) = (lift(plan.input_dims(), 1), lift(plan.output_dims(), 1));
    let params = plan.params();
    let adaptive = params.adaptive_output().is_some();
    let kernel = lift(params.window(), 1);
    let stride = lift(params.stride(), 1);
    let padding = lift(plan.padding(), [0; 2]);
    let dilation = lift(params.dilation(), 1);
    // Where the window at `o` begins on an axis, and how many taps it has.
    let extent = move |axis: usize, o: usize| {
        if !adaptive {
            return (o * stride[axis], kernel[axis]);
        }
        let ends = [o, o + 1].map(|o| o as u128 * input[axis] as u128);
        let start = ends[0] / output[axis] as u128;
        (start as usize, (ends[1].div_ceil(output[axis] as u128) - start) as usize)
    };
    let divisor = move |o: [usize; 3], seen: usize| {
        let padded = |axis: usize| {
            let (start, taps) = extent(axis, o[axis]);
            taps.min((padding[axis][0] + input[axis] + padding[axis][1] - start).div_ceil(dilation[axis]))
        };
        let taps = if params.count_include_pad() { padded(0) * padded(1) * padded(2) } else { seen };
        params.divisor_override().unwrap_or(taps.max(1)) as f32
    };
    let window = move |o: [usize; 3]| {
        let extents = [extent(0, o[0]), extent(1, o[1]), extent(2, o[2])];
        points(extents.map(|(_, taps)| taps)).filter_map(move |k| {
            let mut offset = 0;
            for axis in 0..3 {
                let padded = extents[axis].0 + k[axis] * dilation[axis];
                let i = padded.checked_sub(padding[axis][0]).filter(|i| *i < input[axis])?;
                offset = offset * input[axis] + i;
            }
            Some(offset)
        })
    };
    // Of each image channel by channel, or, with channels last, position by position.
    let (channels, is_last) = (plan.channels(), plan.layout() == Layout::ChannelsLast);
    let (outer, inner) = if is_last { (1, channels) } else { (channels, 1) };
    let planes = if plan.output_len() == 0 { 0 } else { plan.batch() * outer };
    (0..planes).flat_map(move |plane| {
        points(output).flat_map(move |o| {
            (0..inner).map(move |channel| {
                let window = window(o);
                let divisor = divisor(o, window.clone().count());
                (window.map(move |offset| (plane * volume(input) + offset) * inner + channel), divisor)
            })
        })
    })
}

//! The definitions: short, slow, obviously right.
//!
//! Everything else in this crate is tested against these loops. They take their lengths from the
//! plans and compute every index themselves, from the formula that stands above the function.
//! Sums start from 0 and add their terms in ascending order, a multiplication and an addition each.

mod dense;
mod linear;
mod loops;
mod loss;
mod pixels;
mod pool;
mod transpose;

pub use dense::dense_matrix;
pub use linear::{linear_backward_bias, linear_backward_input, linear_backward_weight, linear_forward};
pub use loss::{cross_entropy, cross_entropy_backward, softmax, softmax_backward};
pub use pixels::pixel_values;
pub use pool::{pool_backward, pool_forward, pool_indices, unpool, unpool_backward};
pub use transpose::{
    conv_transpose_backward_bias, conv_transpose_backward_input, conv_transpose_backward_weight,
    conv_transpose_forward,
};

use crate::conv::ConvPlan;
use crate::error::{RunError, check_len};
use crate::layout::Layout;
use crate::window::lift;
use loops::{for_each_product, volume};

/// Cross-correlation of two matrices: `y[i, j] = sum over a, b of x[i + a, j + b] k[a, b]`.
///
/// `x` is `[h, w]`, `k` is `[kh, kw]`, and `y` is `[h - kh + 1, w - kw + 1]`: empty where the
/// kernel exceeds the input.
///
/// ```
/// use im2col::naive::corr2d;
///
/// let x = [0., 1., 2., 3., 4., 5., 6., 7., 8.];
/// let mut y = [0.0; 4];
/// corr2d(&x, [3, 3], &[0., 1., 2., 3.], [2, 2], &mut y)?;
/// assert_eq!(y, [19., 25., 37., 43.]);
///
/// // [1, -1] finds the edges of a black bar on white.
/// let x = [1., 1., 0., 0., 0., 0., 1., 1.];
/// let mut y = [0.0; 7];
/// corr2d(&x, [1, 8], &[1., -1.], [1, 2], &mut y)?;
/// assert_eq!(y, [0., 1., 0., 0., 0., -1., 0.]);
/// # Ok::<(), im2col::RunError>(())
/// ```
///
/// # Errors
///
/// If the length of an operand is not the product of its sizes.
pub fn corr2d(
    x: &[f32],
    x_dims: [usize; 2],
    k: &[f32],
    k_dims: [usize; 2],
    y: &mut [f32],
) -> Result<(), RunError> {
    let [_, kw] = k_dims;
    slide2d(x, x_dims, k, k_dims, y, |a, b| k[a * kw + b])
}

/// Convolution as mathematicians define it, the kernel flipped on both axes:
/// `y[i, j] = sum over a, b of x[i + a, j + b] k[kh - 1 - a, kw - 1 - b]`.
///
/// For a kernel that is learned, flipping makes no difference; what neural networks call
/// convolution is [`corr2d`]. Sizes are as there.
///
/// ```
/// let x = [0., 1., 2., 3., 4., 5., 6., 7., 8.];
/// let mut y = [0.0; 4];
/// im2col::naive::true_conv2d(&x, [3, 3], &[0., 1., 2., 3.], [2, 2], &mut y)?;
/// assert_eq!(y, [5., 11., 23., 29.]);
/// # Ok::<(), im2col::RunError>(())
/// ```
///
/// # Errors
///
/// If the length of an operand is not the product of its sizes.
pub fn true_conv2d(
    x: &[f32],
    x_dims: [usize; 2],
    k: &[f32],
    k_dims: [usize; 2],
    y: &mut [f32],
) -> Result<(), RunError> {
    let [kh, kw] = k_dims;
    slide2d(x, x_dims, k, k_dims, y, |a, b| k[(kh - 1 - a) * kw + kw - 1 - b])
}

/// `y[i, j] = sum over a, b of x[i + a, j + b] weight(a, b)`.
fn slide2d(
    x: &[f32],
    [h, w]: [usize; 2],
    k: &[f32],
    [kh, kw]: [usize; 2],
    y: &mut [f32],
    weight: impl Fn(usize, usize) -> f32,
) -> Result<(), RunError> {
    let positions = |n: usize, k: usize| if k == 0 { 0 } else { n.saturating_sub(k - 1) };
    let (out_h, out_w) = (positions(h, kh), positions(w, kw));
    // No slice is as long as a product that saturates.
    check_len("x", h.saturating_mul(w), x.len())?;
    check_len("k", kh.saturating_mul(kw), k.len())?;
    check_len("y", out_h.saturating_mul(out_w), y.len())?;
    for (o, y) in y.iter_mut().enumerate() {
        let (i, j) = (o / out_w, o % out_w);
        *y = 0.0;
        for a in 0..kh {
            for b in 0..kw {
                *y += x[(i + a) * w + j + b] * weight(a, b);
            }
        }
    }
    Ok(())
}

/// Cross-correlation over one to three axes, with everything that a [`ConvPlan`] knows:
///
/// `y[n, m, o] = act(b[m] + sum over c, k of x[n, c, o * stride + k * dilation - padding] w[m, c, k])`
///
/// where `c` runs over the channels of the group of `m`, and `x` outside its bounds is what the
/// [`PaddingMode`](crate::PaddingMode) says.
///
/// ```
/// use im2col::{ConvParams, naive};
///
/// // Two channels: the lecture's 3x3 planes 0..9 and 1..10 under the kernels 0..4 and 1..5.
/// let plan = ConvParams::new(2, 1, [2, 2]).with_bias(false).plan(1, [3, 3])?;
/// let x: [f32; 18] = core::array::from_fn(|i| (i % 9 + i / 9) as f32);
/// let w = [0., 1., 2., 3., 1., 2., 3., 4.];
/// let mut y = [0.0; 4];
/// naive::conv_forward(&plan, &x, &w, &[], &mut y)?;
/// assert_eq!(y, [56., 72., 104., 120.]);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn conv_forward<const D: usize>(
    plan: &ConvPlan<D>,
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    output: &mut [f32],
) -> Result<(), RunError> {
    check_len("input", plan.input_len(), input.len())?;
    check_len("weight", plan.weight_len(), weight.len())?;
    check_len("bias", plan.bias_len(), bias.len())?;
    check_len("output", plan.output_len(), output.len())?;
    output.fill(0.0);
    for_each_product(plan, |o, i, w| output[o] += input[i] * weight[w]);
    for (o, y) in output.iter_mut().enumerate() {
        if plan.params().has_bias() {
            *y += bias[out_channel(plan, o)];
        }
        *y = plan.params().activation().apply(*y);
    }
    Ok(())
}

/// `grad_input[i] = sum of grad_output[o] w[k]` over the outputs `o` to which `x[i] w[k]` went.
///
/// `grad_output` is the gradient before the activation, here and below.
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn conv_backward_input<const D: usize>(
    plan: &ConvPlan<D>,
    weight: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
) -> Result<(), RunError> {
    check_len("weight", plan.weight_len(), weight.len())?;
    check_len("grad_output", plan.output_len(), grad_output.len())?;
    check_len("grad_input", plan.input_len(), grad_input.len())?;
    grad_input.fill(0.0);
    for_each_product(plan, |o, i, w| grad_input[i] += grad_output[o] * weight[w]);
    Ok(())
}

/// `grad_weight[k] = sum of grad_output[o] x[i]` over the outputs `o` to which `x[i] w[k]` went.
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn conv_backward_weight<const D: usize>(
    plan: &ConvPlan<D>,
    input: &[f32],
    grad_output: &[f32],
    grad_weight: &mut [f32],
) -> Result<(), RunError> {
    check_len("input", plan.input_len(), input.len())?;
    check_len("grad_output", plan.output_len(), grad_output.len())?;
    check_len("grad_weight", plan.weight_len(), grad_weight.len())?;
    grad_weight.fill(0.0);
    for_each_product(plan, |o, i, w| grad_weight[w] += grad_output[o] * input[i]);
    Ok(())
}

/// `grad_bias[m] = sum over n, o of grad_output[n, m, o]`.
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn conv_backward_bias<const D: usize>(
    plan: &ConvPlan<D>,
    grad_output: &[f32],
    grad_bias: &mut [f32],
) -> Result<(), RunError> {
    check_len("grad_output", plan.output_len(), grad_output.len())?;
    check_len("grad_bias", plan.bias_len(), grad_bias.len())?;
    grad_bias.fill(0.0);
    if plan.params().has_bias() {
        for (o, grad) in grad_output.iter().enumerate() {
            grad_bias[out_channel(plan, o)] += grad;
        }
    }
    Ok(())
}

fn out_channel<const D: usize>(plan: &ConvPlan<D>, o: usize) -> usize {
    let channels = plan.params().out_channels();
    match plan.output_layout() {
        Layout::ChannelsFirst => o / volume(lift(plan.output_dims(), 1)) % channels,
        Layout::ChannelsLast => o % channels,
    }
}

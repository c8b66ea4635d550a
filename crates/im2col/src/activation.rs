//! Activations: functions of one value, forward and backward.

use crate::error::{RunError, check_len};
use crate::math;
use crate::simd::load::first_lanes;
use crate::simd::{HAS_VECTORS, IS_SMALL, Isa, Kernel, MulAdd, NR, Vectors, dispatch};
use core::ops::Range;

/// A function applied to each value, as a pass of its own or fused into a convolution.
///
/// | | `y = f(x)` | `dL/dx`, from the output |
/// |---|---|---|
/// | `Identity` | `x` | `g` |
/// | `Relu` | `max(x, 0)` | `g` where `y > 0`, else 0 |
/// | `Sigmoid` | `1 / (1 + e^-x)` | `g y (1 - y)` |
/// | `Tanh` | `tanh x` | `g (1 - y^2)` |
///
/// `g` is `dL/dy`. The backward pass needs the output only, so the input can be overwritten.
/// `Sigmoid` and `Tanh` are within 2 ULP of the exact function for every input (tested against
/// f64), `Tanh` with the same bits on every target, `Sigmoid` with the same ones on every instruction set that fuses
/// products and sums, and on every one that does not. NaN stays NaN.
///
/// ```
/// use im2col::Activation;
///
/// let mut y = [0.0; 3];
/// Activation::Relu.forward(&[-1.0, 0.0, 2.0], &mut y)?;
/// assert_eq!(y, [0.0, 0.0, 2.0]);
///
/// let mut y = [0.0; 2];
/// Activation::Sigmoid.forward(&[0.0, 100.0], &mut y)?;
/// assert_eq!(y, [0.5, 1.0]);
/// let mut grad = [8.0, 8.0];
/// Activation::Sigmoid.backward_in_place(&y, &mut grad)?;
/// assert_eq!(grad, [2.0, 0.0]);
/// # Ok::<(), im2col::RunError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// `x`.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// The logistic function, `1 / (1 + e^-x)`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

/// How many values are copied at a time before the function is applied to them in place: 8 KiB, which stay in L1.
const PIECE: usize = 2048;

impl Activation {
    /// `output[i] = f(input[i])`, on the instruction set that [`Isa::detect`] finds.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if the lengths differ.
    pub fn forward(self, input: &[f32], output: &mut [f32]) -> Result<(), RunError> {
        self.forward_with_isa(Isa::detect(), input, output)
    }

    /// [`forward`](Self::forward) on a given instruction set.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if the lengths differ.
    pub fn forward_with_isa(self, isa: Isa, input: &[f32], output: &mut [f32]) -> Result<(), RunError> {
        check_len("output", input.len(), output.len())?;
        for (output, input) in output.chunks_mut(PIECE).zip(input.chunks(PIECE)) {
            output.copy_from_slice(input);
            self.forward_in_place_with_isa(isa, output);
        }
        Ok(())
    }

    /// `values[i] = f(values[i])`, on the instruction set that [`Isa::detect`] finds.
    pub fn forward_in_place(self, values: &mut [f32]) {
        self.forward_in_place_with_isa(Isa::detect(), values);
    }

    /// [`forward_in_place`](Self::forward_in_place) on a given instruction set.
    ///
    /// ```
    /// use im2col::{Activation, Isa};
    ///
    /// let mut values = [0.0, 1.0];
    /// Activation::Sigmoid.forward_in_place_with_isa(Isa::SCALAR, &mut values);
    /// assert_eq!(values, [0.5, 0.731_058_6]);
    /// ```
    pub fn forward_in_place_with_isa(self, isa: Isa, values: &mut [f32]) {
        let plane_len = values.len();
        Finish { plane_len, columns: 0..plane_len, bias: &[], activation: self, output: values }.compute(isa);
    }

    /// `grad_input[i] = f'(x[i]) grad_output[i]`, where `output` is what [`forward`](Self::forward)
    /// made of `x`, on the instruction set that [`Isa::detect`] finds.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if the lengths differ.
    pub fn backward(
        self,
        output: &[f32],
        grad_output: &[f32],
        grad_input: &mut [f32],
    ) -> Result<(), RunError> {
        self.backward_with_isa(Isa::detect(), output, grad_output, grad_input)
    }

    /// [`backward`](Self::backward) on a given instruction set.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if the lengths differ.
    pub fn backward_with_isa(
        self,
        isa: Isa,
        output: &[f32],
        grad_output: &[f32],
        grad_input: &mut [f32],
    ) -> Result<(), RunError> {
        check_len("grad_output", output.len(), grad_output.len())?;
        check_len("grad_input", output.len(), grad_input.len())?;
        // In pieces, so that the copy is still in L1 when it is multiplied.
        let grads = grad_input.chunks_mut(PIECE).zip(grad_output.chunks(PIECE));
        for ((grad, grad_output), output) in grads.zip(output.chunks(PIECE)) {
            grad.copy_from_slice(grad_output);
            ApplyBackward { activation: self, output, grad }.compute(isa);
        }
        Ok(())
    }

    /// `grad[i] *= f'(x[i])`, where `output` is what [`forward`](Self::forward) made of `x`, on the
    /// instruction set that [`Isa::detect`] finds.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if the lengths differ.
    pub fn backward_in_place(self, output: &[f32], grad: &mut [f32]) -> Result<(), RunError> {
        self.backward_in_place_with_isa(Isa::detect(), output, grad)
    }

    /// [`backward_in_place`](Self::backward_in_place) on a given instruction set.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if the lengths differ.
    pub fn backward_in_place_with_isa(
        self,
        isa: Isa,
        output: &[f32],
        grad: &mut [f32],
    ) -> Result<(), RunError> {
        check_len("grad", output.len(), grad.len())?;
        ApplyBackward { activation: self, output, grad }.compute(isa);
        Ok(())
    }

    /// Whether kernels apply it to sums before they store them. Others would be compiled into each kernel; they
    /// follow in a pass of their own, [`Finish`].
    pub(crate) const fn is_fused(self) -> bool {
        matches!(self, Self::Identity | Self::Relu)
    }

    /// Applies it to all values, unless kernels have done so.
    pub(crate) fn complete(self, isa: Isa, values: &mut [f32]) {
        if !self.is_fused() {
            self.forward_in_place_with_isa(isa, values);
        }
    }

    /// Adds the bias and applies the activation to finished sums.
    #[inline(always)]
    pub(crate) fn finish(self, sums: &mut [f32], bias: f32, mul_add: impl MulAdd) {
        // Matched outside the loop, so that each loop is one vectorised expression.
        match self {
            Self::Identity => sums.iter_mut().for_each(|y| *y += bias),
            Self::Relu => sums.iter_mut().for_each(|y| *y = relu(*y + bias)),
            Self::Sigmoid => sigmoids(sums, bias, mul_add),
            Self::Tanh => sums.iter_mut().for_each(|y| *y = math::tanh(*y + bias)),
        }
    }

    /// `f(x)`, as [`Isa::SCALAR`] computes it.
    #[inline(always)]
    pub(crate) fn apply(self, x: f32) -> f32 {
        match self {
            Self::Identity => x,
            Self::Relu => relu(x),
            Self::Sigmoid => math::sigmoid([x], |a, [b], [c]| [a * b + c])[0],
            Self::Tanh => math::tanh(x),
        }
    }
}

/// Values whose logistic functions are computed at a time.
const LANES: usize = if IS_SMALL { 4 } else { NR };

/// The logistic function of each value and the bias, a vector at a time.
#[inline(always)]
fn sigmoids(values: &mut [f32], bias: f32, mul_add: impl MulAdd) {
    let (lanes, rest) = values.as_chunks_mut::<LANES>();
    for values in lanes {
        *values = sigmoid(*values, bias, mul_add);
    }
    if !rest.is_empty() {
        let mut x = [0.0; LANES];
        x.iter_mut().zip(&*rest).for_each(|(x, value)| *x = *value);
        rest.iter_mut().zip(sigmoid(x, bias, mul_add)).for_each(|(value, y)| *value = y);
    }
}

/// The logistic functions of the sums of some values and the bias.
#[inline(always)]
fn sigmoid(mut x: [f32; LANES], bias: f32, mul_add: impl MulAdd) -> [f32; LANES] {
    if IS_SMALL && HAS_VECTORS {
        return first_lanes(&math::sigmoid_of_four(first_lanes(&x), bias, |a, b, c| {
            resized(a, b, c, mul_add)
        }));
    }
    x.iter_mut().for_each(|x| *x += bias);
    math::sigmoid(x, |a, b, c| resized(a, b, c, mul_add))
}

/// `a * b + c` on fewer lanes.
#[inline(always)]
fn resized<const N: usize>(a: f32, b: [f32; N], c: [f32; N], mul_add: impl MulAdd) -> [f32; N] {
    first_lanes(&mul_add(a, first_lanes(&b), first_lanes(&c)))
}

/// The comparison is false for NaN, which therefore stays.
#[inline(always)]
pub(crate) fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
pub(crate) fn relu_backward(y: f32, grad: f32) -> f32 {
    if y > 0.0 { grad } else { 0.0 }
}

#[inline(always)]
pub(crate) fn sigmoid_backward(y: f32, grad: f32) -> f32 {
    grad * y * (1.0 - y)
}

#[inline(always)]
pub(crate) fn tanh_backward(y: f32, grad: f32) -> f32 {
    grad * (1.0 - y * y)
}

/// Bias and activation of finished sums, plane by plane.
pub(crate) struct Finish<'a> {
    pub(crate) plane_len: usize,
    /// Of each plane.
    pub(crate) columns: Range<usize>,
    /// One for each plane in turn, or none.
    pub(crate) bias: &'a [f32],
    pub(crate) activation: Activation,
    pub(crate) output: &'a mut [f32],
}

impl Finish<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for Finish<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { plane_len, columns, bias, activation, output } = self;
        if plane_len == 0 || bias.is_empty() && activation == Activation::Identity {
            return;
        }
        let mut biases = bias.iter().cycle();
        for plane in output.chunks_exact_mut(plane_len) {
            // Adding -0 changes nothing, not even the sign of a zero.
            let bias = biases.next().copied().unwrap_or(-0.0);
            activation.finish(plane.get_mut(columns.clone()).unwrap_or_default(), bias, mul_add);
        }
    }
}

/// Multiplies gradients by the derivative, which follows from the output.
pub(crate) struct ApplyBackward<'a> {
    pub(crate) activation: Activation,
    pub(crate) output: &'a [f32],
    pub(crate) grad: &'a mut [f32],
}

impl ApplyBackward<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for ApplyBackward<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        match self.activation {
            Activation::Identity => {}
            Activation::Relu => zip_map(self.output, self.grad, relu_backward),
            Activation::Sigmoid => zip_map(self.output, self.grad, sigmoid_backward),
            Activation::Tanh => zip_map(self.output, self.grad, tanh_backward),
        }
    }
}

#[inline(always)]
fn zip_map(output: &[f32], grad: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    for (y, grad) in output.iter().zip(grad) {
        *grad = f(*y, *grad);
    }
}

#[cfg(test)]
mod tests;

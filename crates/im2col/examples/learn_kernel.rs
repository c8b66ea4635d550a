//! Nobody needs to think up `[1, -1]`: gradient descent finds it, from an image and its edges alone.

use im2col::{ConvOperands, ConvParams, ConvPlan, RunError, Weights, planned};
use std::error::Error;

const CONV: ConvPlan<2> = planned!(ConvParams::new(1, 1, [1, 2]).plan(1, [6, 8]));

/// A kernel and a bias, and the image and target they are to fit.
struct Learner {
    kernel: [f32; 2],
    bias: [f32; 1],
    image: [f32; CONV.input_len()],
    target: [f32; CONV.output_len()],
}

impl Learner {
    /// Starts from `[0.2, 0]` and bias 0.
    fn new(target_row: [f32; 7]) -> Self {
        let row = [1., 1., 0., 0., 0., 0., 1., 1.];
        let image = std::array::from_fn(|i| row[i % 8]);
        let target = std::array::from_fn(|i| target_row[i % 7]);
        Self { kernel: [0.2, 0.0], bias: [0.0], image, target }
    }

    /// One step of gradient descent down the sum of squared errors, which it returns (from before).
    fn step(&mut self, rate: f32, learn_bias: bool) -> Result<f32, RunError> {
        let mut output = [0.0; CONV.output_len()];
        let mut scratch = [0.0; CONV.scratch_len()];
        let weight = Weights::Plain(&self.kernel);
        CONV.forward(
            ConvOperands { input: &self.image, weight, bias: &self.bias },
            &mut output,
            &mut scratch,
        )?;

        // The loss is the sum of (y - t)^2, so its gradient with respect to y is 2 (y - t).
        let error: [f32; CONV.output_len()] = std::array::from_fn(|i| output[i] - self.target[i]);
        let grad_output = error.map(|e| 2.0 * e);

        // The chain rule leads from there to the kernel: each weight's gradient is the
        // cross-correlation of the image with grad_output. The bias goes into every output.
        let (mut grad_kernel, mut grad_bias) = ([0.0; 2], [0.0; 1]);
        let mut scratch = [0.0; CONV.backward_weight_scratch_len()];
        CONV.backward_weight(&self.image, &grad_output, &mut grad_kernel, &mut scratch)?;
        CONV.backward_bias(&grad_output, &mut grad_bias)?;

        self.kernel = std::array::from_fn(|i| self.kernel[i] - rate * grad_kernel[i]);
        if learn_bias {
            self.bias[0] -= rate * grad_bias[0];
        }
        Ok(error.iter().map(|e| e * e).sum())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("from [0.2, 0] towards the edges of a black bar, rate 0.03:\n");
    println!("  step   squared error   kernel");
    let mut learner = Learner::new([0., 1., 0., 0., 0., -1., 0.]);
    let mut last = f32::INFINITY;
    for step in 1..=10 {
        let loss = learner.step(3e-2, false)?;
        println!("  {step:4}   {loss:13.4}   [{:.4}, {:.4}]", learner.kernel[0], learner.kernel[1]);
        assert!(loss < last);
        last = loss;
    }
    // On this image a step shrinks the error of the kernel's difference (2 is right) to 0.64 of it and
    // that of its sum (0 is right) to -0.8: hence the zigzag. Both can be computed beforehand.
    let [difference, sum] = [2.0 - 1.8 * 0.64_f32.powi(10), 0.2 * 0.8_f32.powi(10)];
    assert_close(&learner.kernel, &[(difference + sum) / 2.0, (sum - difference) / 2.0], 1e-5);
    assert_close(&learner.kernel, &[1.00, -0.98], 5e-3);

    for _ in 0..200 {
        learner.step(3e-2, false)?;
    }
    println!("\nafter 200 more: [{:.4}, {:.4}]", learner.kernel[0], learner.kernel[1]);
    assert_close(&learner.kernel, &[1.0, -1.0], 1e-6);

    // A target that is brighter by 0.5 everywhere: no kernel makes that from black, a bias does. The
    // loss is steeper with it, so the rate must be smaller.
    let mut learner = Learner::new([0.5, 1.5, 0.5, 0.5, 0.5, -0.5, 0.5]);
    for _ in 0..200 {
        learner.step(1e-2, true)?;
    }
    let ([a, b], [bias]) = (learner.kernel, learner.bias);
    println!("edges brighter by 0.5, learned in 200 steps at rate 0.01: [{a:.4}, {b:.4}], bias {bias:.4}");
    assert_close(&[a, b, bias], &[1.0, -1.0, 0.5], 1e-4);
    Ok(())
}

fn assert_close(given: &[f32], expected: &[f32], tolerance: f32) {
    let close = given.iter().zip(expected).all(|(given, expected)| (given - expected).abs() <= tolerance);
    assert!(close, "{given:?} instead of {expected:?}");
}

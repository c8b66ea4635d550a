//! The time of a call grows no faster than its multiply-adds and the values that it reads and writes.
//!
//! Each family of shapes is timed at one size and at four times that size, under every algorithm and for every
//! gradient. Linear time makes a ratio of 4, quadratic time one of 16.

use im2col::{Algorithm, ConvOperands, ConvParams, ConvPlan, Weights};
use std::time::{Duration, Instant};

const GROWTH: usize = 4;
/// The most that linear time may seem to grow by on a busy machine.
const MOST: f64 = 11.0;
/// Times below this are the cost of a call.
const CALL: Duration = Duration::from_micros(40);
const RUNS: usize = 5;

/// The least time of some runs.
fn least(mut run: impl FnMut()) -> Duration {
    let time = |()| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    [(); RUNS].map(time).into_iter().min().unwrap_or_default().max(CALL)
}

/// The times of the forward pass by every algorithm, then of the gradients of input, weight and bias.
fn times<const D: usize>(plan: &ConvPlan<D>) -> Vec<(String, Duration)> {
    let algorithms = [
        Algorithm::Im2col,
        Algorithm::Pointwise,
        Algorithm::Broadcast,
        Algorithm::Direct,
        Algorithm::Depthwise,
        Algorithm::Winograd,
        Algorithm::InPlace,
    ];
    let (input, weight) = (vec![1.0; plan.input_len()], vec![1.0; plan.weight_len()]);
    let (bias, mut output) = (vec![0.0; plan.bias_len()], vec![0.0; plan.output_len()]);
    let mut times = Vec::new();
    for algorithm in algorithms {
        let Ok(plan) = plan.with_algorithm(algorithm) else { continue };
        let mut scratch = vec![0.0; plan.scratch_len()];
        let operands = ConvOperands { input: &input, weight: Weights::Plain(&weight), bias: &bias };
        let time = least(|| plan.forward(operands, &mut output, &mut scratch).unwrap());
        times.push((format!("{algorithm:?}"), time));
    }
    let (mut grad_input, mut grad_weight) = (input.clone(), weight.clone());
    let mut scratch = vec![0.0; plan.backward_input_scratch_len()];
    let time = least(|| plan.backward_input(&weight, &output, &mut grad_input, &mut scratch).unwrap());
    times.push(("backward_input".into(), time));
    let mut scratch = vec![0.0; plan.backward_weight_scratch_len()];
    let time = least(|| plan.backward_weight(&input, &output, &mut grad_weight, &mut scratch).unwrap());
    times.push(("backward_weight".into(), time));
    times
}

/// Checks a family of shapes, whose work is proportional to its argument; the larger one stays in an L2 of 1 MiB.
#[track_caller]
fn is_linear<const D: usize>(family: &str, size: usize, plan: impl Fn(usize) -> ConvPlan<D>) {
    let (small, large) = (times(&plan(size)), times(&plan(GROWTH * size)));
    for ((name, small), (_, large)) in small.iter().zip(&large) {
        let growth = large.as_secs_f64() / small.as_secs_f64();
        assert!(growth < MOST, "{family}, {name}: {small:?}, then {large:?}");
    }
}

#[test]
fn a_kernel_as_long_as_the_input() {
    is_linear("kernel", 3000, |n| ConvParams::new(1, 8, [n]).with_padding([3]).plan(1, [n]).unwrap());
}

#[test]
fn a_long_line() {
    is_linear("line", 3000, |n| ConvParams::new(2, 8, [5]).with_padding([2]).plan(1, [n]).unwrap());
}

#[test]
fn padding_far_beyond_the_input() {
    is_linear("padding", 1500, |n| ConvParams::new(1, 7, [3]).with_padding([n]).plan(1, [1]).unwrap());
}

#[test]
fn strides_and_dilation_as_long_as_the_input() {
    is_linear("stride", 1000, |n| {
        ConvParams::new(2, 7, [1, 3]).with_stride([1, n / 8]).plan(1, [4, n]).unwrap()
    });
    is_linear("dilation", 1000, |n| {
        ConvParams::new(2, 7, [1, 3]).with_dilation([1, n / 4]).plan(1, [4, n]).unwrap()
    });
}

#[test]
fn many_channels_groups_and_images() {
    is_linear("input channels", 500, |n| ConvParams::new(n, 7, [3]).plan(1, [20]).unwrap());
    is_linear("output channels", 500, |n| ConvParams::new(2, n, [3]).plan(1, [20]).unwrap());
    is_linear("groups", 500, |n| ConvParams::new(n, n, [3]).with_groups(n).plan(1, [20]).unwrap());
    is_linear("images", 500, |n| ConvParams::new(2, 7, [3]).plan(n, [20]).unwrap());
}

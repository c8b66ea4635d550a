extern crate std;

use super::*;
use std::vec::Vec;

const ALL: [Activation; 4] = [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh];

/// Every length up to four AVX-512 registers and a bit: all tails. And more than one piece that is copied.
fn lengths() -> impl Iterator<Item = usize> {
    (0..67).chain([PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 17])
}

fn values(len: usize) -> Vec<f32> {
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-40, -200.0, 0.625];
    (0..len).map(|i| if i % 5 == 3 { special[i / 5 % 7] } else { i as f32 * 0.37 - 9.0 }).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

/// Whether the instruction set rounds a product and a sum once.
fn is_fused(isa: Isa) -> bool {
    if isa == Isa::WIDE {
        cfg!(any(target_feature = "fma", target_arch = "aarch64"))
    } else {
        isa != Isa::SCALAR
    }
}

fn fused_sigmoid(x: f32) -> f32 {
    math::sigmoid([x], |a, [b], [c]| [a.mul_add(b, c)])[0]
}

#[test]
fn every_isa_gives_the_bits_of_the_function() {
    for isa in Isa::available() {
        for (activation, len) in ALL.into_iter().flat_map(|a| lengths().map(move |len| (a, len))) {
            let input = values(len);
            let is_fused = activation == Activation::Sigmoid && is_fused(isa);
            let expected: Vec<f32> = input
                .iter()
                .map(|x| if is_fused { fused_sigmoid(*x) } else { activation.apply(*x) })
                .collect();

            let mut output = std::vec![7.0; len];
            activation.forward_with_isa(isa, &input, &mut output).unwrap();
            assert_eq!(bits(&output), bits(&expected), "{activation:?} of {len} on {}", isa.name());

            let mut output = input;
            activation.forward_in_place_with_isa(isa, &mut output);
            assert_eq!(bits(&output), bits(&expected), "{activation:?} of {len} on {}", isa.name());
        }
    }
}

#[test]
fn every_isa_gives_the_gradient() {
    let derivative = |activation, y: f32, g: f32| match activation {
        Activation::Identity => g,
        Activation::Relu => [0.0, g][usize::from(y > 0.0)],
        Activation::Sigmoid => g * y * (1.0 - y),
        Activation::Tanh => g * (1.0 - y * y),
    };
    for isa in Isa::available() {
        for (activation, len) in ALL.into_iter().flat_map(|a| lengths().map(move |len| (a, len))) {
            let output: Vec<f32> = values(len).into_iter().map(|x| activation.apply(x)).collect();
            let grad: Vec<f32> = (0..len).map(|i| 3.5 - i as f32).collect();
            let pairs = output.iter().zip(&grad);
            let expected: Vec<f32> = pairs.map(|(y, g)| derivative(activation, *y, *g)).collect();

            let mut grad_input = std::vec![7.0; len];
            let (output, grad_output) = (&output[..], &grad[..]);
            activation.backward_with_isa(isa, output, grad_output, &mut grad_input).unwrap();
            assert_eq!(bits(&grad_input), bits(&expected), "{activation:?} of {len} on {}", isa.name());

            let mut grad = grad;
            activation.backward_in_place_with_isa(isa, output, &mut grad).unwrap();
            assert_eq!(bits(&grad), bits(&expected), "{activation:?} of {len} on {}", isa.name());
        }
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_function() {
    for activation in ALL {
        for x in [-3.0_f32, -0.75, 0.5, 2.0] {
            let h = 1.0 / 64.0;
            let slope = (activation.apply(x + h) - activation.apply(x - h)) / (2.0 * h);
            let mut grad = [1.0];
            activation.backward_in_place(&[activation.apply(x)], &mut grad).unwrap();
            assert!((grad[0] - slope).abs() < 1e-4, "{activation:?} at {x}: {} and {slope}", grad[0]);
        }
    }
}

#[test]
fn relu_keeps_nan() {
    let mut values = [f32::NAN, -f32::NAN, -1.0];
    Activation::Relu.forward_in_place(&mut values);
    assert!(values[0].is_nan() && values[1].is_nan());
    assert_eq!(values[2], 0.0);
}

#[test]
fn lengths_are_checked_before_anything_is_written() {
    let length = |operand, required, given| Err(RunError::Length { operand, required, given });
    let mut out = [7.0; 2];
    assert_eq!(Activation::Relu.forward(&[1.0; 3], &mut out), length("output", 3, 2));
    assert_eq!(Activation::Relu.backward(&[1.0; 2], &[1.0; 3], &mut out), length("grad_output", 2, 3));
    assert_eq!(Activation::Relu.backward(&[1.0; 3], &[1.0; 3], &mut out), length("grad_input", 3, 2));
    assert_eq!(Activation::Relu.backward_in_place(&[1.0; 3], &mut out), length("grad", 3, 2));
    assert_eq!(out, [7.0; 2]);
}

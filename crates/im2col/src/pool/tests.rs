//! Windows that adapt, counted; gradients that go through a ReLU as well.

use crate::Isa;
use crate::activation::Activation;
use crate::pool::PoolParams;
use std::vec;
use std::vec::Vec;

/// The gradient of a maximum and of the ReLU before it is that of two passes: tiles in vectors and the rest of a row, windows
/// that overlap, ties, values that are not finite.
#[test]
fn backward_through_relu_is_two_passes() {
    const VALUES: [f32; 8] = [-1.0, 0.0, 2.0, 1.0, -0.0, f32::INFINITY, 2.0, f32::NAN];
    let mut state = 7_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    let overlapping = PoolParams::max([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
    for params in [PoolParams::max([2, 2]), overlapping, PoolParams::adaptive_max([2, 2])] {
        for (height, width) in [(2, 2), (4, 14), (5, 9), (8, 42), (7, 75), (2, 129)] {
            let plan = params.plan(2, 3, [height, width]).unwrap();
            let kinds = if width == 42 { 8 } else { 6 };
            let mut input: Vec<f32> = (0..plan.input_len()).map(|_| VALUES[random() % kinds]).collect();
            Activation::Relu.forward_in_place(&mut input);
            let grads: Vec<f32> = (0..plan.output_len()).map(|_| VALUES[random() % 6]).collect();
            for isa in Isa::available() {
                let plan = plan.with_isa(isa);
                let (mut of_pool, mut expected) = (vec![9.0; plan.input_len()], vec![9.0; plan.input_len()]);
                plan.backward(&input, &grads, &mut of_pool).unwrap();
                Activation::Relu.backward_with_isa(isa, &input, &of_pool, &mut expected).unwrap();
                let mut given = vec![9.0; plan.input_len()];
                plan.backward_through_relu(&input, &grads, &mut given);
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&given), bits(&expected), "{height}x{width}, {isa:?}");
            }
        }
    }
}

#[test]
fn the_largest_adaptive_window_is_no_larger() {
    for input in 1..=60 {
        for output in 1..=60 {
            let plan = PoolParams::adaptive_max([output]).plan(1, 1, [input]).unwrap();
            // From floor(o n / m) to before ceil((o + 1) n / m).
            let taps = |o: usize| ((o + 1) * input).div_ceil(output) - o * input / output;
            let largest = (0..output).map(taps).max();
            assert_eq!(Some(plan.pooling.window.taps()), largest, "{input} to {output}");
            assert_eq!(plan.pooling.adaptive, input % output != 0);
        }
    }
}

/// Sizes whose products need more than 64 bits.
#[test]
fn adaptive_windows_of_huge_inputs() {
    let plan = PoolParams::adaptive_max([usize::MAX / 5]).plan(0, 1, [usize::MAX / 3]).unwrap();
    let (input, output) = ((usize::MAX / 3) as u128, (usize::MAX / 5) as u128);
    for o in [0, 1, usize::MAX / 7, usize::MAX / 5 - 1] {
        let start = o as u128 * input / output;
        let end = ((o as u128 + 1) * input).div_ceil(output);
        assert_eq!(plan.pooling.start(2, o) as u128, start);
        assert_eq!(plan.pooling.taps(2, o).len() as u128, end - start);
    }
}

//! Means of very many values, in every way that they are summed, within the bound that is documented.

use crate::plans::assert_same;
use crate::pool::{forward, isas, roundings};
use im2col::{PoolParams, PoolPlan, naive};
use im2col_testkit::bound;
use im2col_testkit::oracle::Sum;

/// Values between 0 and 1, and between -1 and 1.
fn values(seed: u32, len: usize) -> impl Iterator<Item = f32> {
    let value = move |i: u32| (i ^ seed).wrapping_mul(0x9e37_79b9).wrapping_mul(i | 1) >> 8;
    (0..len as u32).map(move |i| value(i) as f32 / (1 << 24) as f32)
}

/// The means of all windows in `f64`, and those of the absolute values.
fn exact<const D: usize>(plan: &PoolPlan<D>, input: &[f32]) -> Vec<Sum> {
    let mean = |input: &[f32]| {
        let mut output = vec![f32::NAN; plan.output_len()];
        naive::pool_forward(plan, input, &mut output).unwrap();
        output
    };
    let sizes: Vec<f32> = input.iter().map(|x| x.abs()).collect();
    let sums = mean(input).into_iter().zip(mean(&sizes));
    sums.map(|(value, size)| Sum { value: f64::from(value), magnitude: f64::from(size) }).collect()
}

fn check<const D: usize>(params: PoolParams<D>, input_dims: [usize; D], terms: usize) {
    let plan = params.plan(1, 1, input_dims).unwrap();
    let constant = vec![0.1; plan.input_len()];
    let signed: Vec<f32> = values(5, plan.input_len()).map(|x| 2.0 * x - 1.0).collect();
    for input in [constant, signed] {
        let (expected, first) = (exact(&plan, &input), forward(&plan, &input));
        for plan in isas(plan) {
            let means = forward(&plan, &input);
            bound::check(&means, &expected, roundings(terms)).unwrap();
            assert_same(&means, &first, plan);
        }
    }
}

#[test]
fn means_of_2_to_the_12() {
    check(PoolParams::global_average(), [64, 64], 1 << 12);
    check(PoolParams::average([64, 64]).with_stride([1, 1]), [70, 70], 1 << 12);
    check(PoolParams::average([16, 16, 16]).with_stride([1, 1, 1]), [17, 18, 35], 1 << 12);
    check(PoolParams::average([1 << 12]).with_dilation([3]), [1 << 14], 1 << 12);
    check(PoolParams::adaptive_average([3, 3]), [65, 65], 23 * 23);
}

#[test]
fn means_of_2_to_the_20() {
    check(PoolParams::global_average(), [1 << 10, 1 << 10], 1 << 20);
    check(PoolParams::global_average(), [1 << 20], 1 << 20);
    // In the stage, and too wide for it.
    check(PoolParams::average([1 << 12, 1 << 8]).with_stride([1, 1]), [1 << 12, 260], 1 << 20);
    check(PoolParams::average([1 << 10, 1 << 10]).with_stride([1, 1]), [1 << 10, 1025], 1 << 20);
    // Rows of one value.
    check(PoolParams::average([1 << 20, 1]).with_stride([1, 1]), [1 << 20, 4], 1 << 20);
    check(PoolParams::adaptive_average([2, 2]), [2047, 2047], 1 << 20);
}

#[test]
fn means_of_2_to_the_26() {
    let plan = PoolParams::global_average().plan(1, 1, [1 << 13, 1 << 13]).unwrap();
    let mut input = vec![1.0; plan.input_len()];
    for plan in isas(plan) {
        assert_eq!(forward(&plan, &input), [1.0]);
    }
    input.iter_mut().zip(values(9, 1 << 26)).for_each(|(to, x)| *to = x);
    let exact = input.iter().map(|x| f64::from(*x)).sum::<f64>() / f64::from(1 << 26);
    let expected = [Sum { value: exact, magnitude: exact }];
    for plan in isas(plan) {
        bound::check(&forward(&plan, &input), &expected, roundings(1 << 26)).unwrap();
    }
    input.fill(0.1);
    let expected = [Sum { value: f64::from(0.1_f32), magnitude: f64::from(0.1_f32) }];
    for plan in isas(plan) {
        let mean = forward(&plan, &input);
        bound::check(&mean, &expected, roundings(1 << 26)).unwrap();
        assert!((f64::from(mean[0]) / expected[0].value - 1.0).abs() < 3e-7, "{mean:?}");
    }
}

/// What the sums are off where they were one chain: 3.2e-5 of 56x56, 1 % of 1024x1024.
#[test]
fn the_mean_of_a_constant_is_the_constant() {
    for size in [7, 14, 28, 56, 112, 1024] {
        let plan = PoolParams::global_average().plan(2, 3, [size, size]).unwrap();
        let input = vec![0.1; plan.input_len()];
        for plan in isas(plan) {
            for mean in forward(&plan, &input) {
                assert!((mean / 0.1 - 1.0).abs() < 3e-7, "{size}x{size}: {mean}");
            }
        }
    }
}

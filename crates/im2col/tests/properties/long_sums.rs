//! Gradients that are sums of 2^12, 2^20 and 2^26 terms keep the bounds that they state. Where `usize` has 32 bits, plans
//! take fewer than 2^25 rows or columns: there the longest sums have 1.5 * 2^24 terms.
//!
//! In one chain of `f32` a sum of ones would end at 2^24, and tenths would be off by percents long before.

use im2col::{ConvParams, ConvPlan, Isa, LinearParams};
use im2col_testkit::bound;
use im2col_testkit::operands::garbage;

const FEW: usize = 1 << 12;
const MANY: usize = 1 << 20;
const MOST: usize = if usize::BITS > 32 { 1 << 26 } else { 3 << 23 };
/// The side of an image of about that many values.
const SIDE: usize = if usize::BITS > 32 { 8192 } else { 5000 };

/// All instruction sets, or for the longest sums the fastest.
fn isas(terms: usize) -> impl Iterator<Item = Isa> {
    let fastest = Isa::detect();
    Isa::available().filter(move |&isa| terms < MOST || isa == fastest)
}

/// Ones, whose sums are exact in any chain that is short enough, and tenths.
fn for_each_value(terms: usize, check: impl Fn(&[f32], Isa)) {
    for value in [1.0, 0.1] {
        let values = vec![value; terms];
        isas(terms).for_each(|isa| check(&values, isa));
    }
}

#[track_caller]
fn check_bias(given: &[f32], values: &[f32]) {
    let exact = f64::from(values[0]) * values.len() as f64;
    let bound = bound::gamma(bound::pairwise(values.len())) * exact;
    assert!((f64::from(given[0]) - exact).abs() <= bound, "{given:?} instead of {exact}");
    if values[0] == 1.0 {
        assert_eq!(given, [exact as f32]);
    }
}

/// A sum of `terms` squares of the first value.
#[track_caller]
fn check_weight(given: f32, values: &[f32], terms: usize) {
    let exact = f64::from(values[0]).powi(2) * terms as f64;
    let bound = bound::gamma(bound::chained(terms) + 2) * exact;
    assert!((f64::from(given) - exact).abs() <= bound, "{given} instead of {exact}");
    if values[0] == 1.0 && terms.is_power_of_two() {
        assert_eq!(f64::from(given), exact);
    }
}

fn weight<const D: usize>(plan: &ConvPlan<D>, values: &[f32]) -> Vec<f32> {
    let mut grad_weight = garbage(1, plan.weight_len());
    let mut scratch = vec![f32::NAN; plan.backward_weight_scratch_len()];
    plan.backward_weight(values, values, &mut grad_weight, &mut scratch).unwrap();
    grad_weight
}

#[test]
fn linear_layers() {
    for batch in [FEW, MANY, MOST] {
        for_each_value(batch, |values, isa| {
            let plan = LinearParams::new(1, 1).plan(batch).unwrap().with_isa(isa);
            let (mut grad_bias, mut grad_weight) = ([f32::NAN], [f32::NAN]);
            plan.backward_bias(values, &mut grad_bias).unwrap();
            check_bias(&grad_bias, values);
            let mut scratch = vec![f32::NAN; plan.backward_weight_scratch_len()];
            plan.backward_weight(values, values, &mut grad_weight, &mut scratch).unwrap();
            check_weight(grad_weight[0], values, batch);
        });
    }
}

#[test]
fn one_tap_of_a_large_image() {
    for side in [64, 1024, SIDE] {
        for_each_value(side * side, |values, isa| {
            let plan = ConvParams::new(1, 1, [1, 1]).plan(1, [side, side]).unwrap().with_isa(isa);
            let mut grad_bias = [f32::NAN];
            plan.backward_bias(values, &mut grad_bias).unwrap();
            check_bias(&grad_bias, values);
            check_weight(weight(&plan, values)[0], values, side * side);
        });
    }
}

#[test]
fn one_tap_of_many_images() {
    for (batch, side) in [(FEW, 1), (MANY, 1), (1 << 16, 32)] {
        for_each_value(batch * side * side, |values, isa| {
            let plan = ConvParams::new(1, 1, [1, 1]).plan(batch, [side, side]).unwrap().with_isa(isa);
            let mut grad_bias = [f32::NAN];
            plan.backward_bias(values, &mut grad_bias).unwrap();
            check_bias(&grad_bias, values);
            check_weight(weight(&plan, values)[0], values, values.len());
        });
    }
}

#[test]
fn depthwise_layers() {
    for (batch, len) in [(1, FEW), (FEW / 4, 4), (1, MANY), (MANY / 32, 32), (1, MOST), (MOST / 1024, 1024)] {
        for_each_value(batch * len, |values, isa| {
            let params = ConvParams::new(1, 1, [3]).with_padding([1]);
            let plan = params.plan(batch, [len]).unwrap().with_isa(isa);
            let grad_weight = weight(&plan, values);
            check_weight(grad_weight[1], values, values.len());
            // The taps at the ends see padding once in each image.
            check_weight(grad_weight[0], values, values.len() - batch);
            check_weight(grad_weight[2], values, values.len() - batch);
        });
    }
}

#[test]
fn transposed_layers() {
    for (batch, len) in [(1, FEW), (FEW / 4, 4), (1, MANY), (MANY / 32, 32), (1, MOST)] {
        for_each_value(batch * len, |values, isa| {
            let plan = ConvParams::new(1, 1, [1]).plan_transposed(batch, [len]).unwrap().with_isa(isa);
            let (mut grad_bias, mut grad_weight) = ([f32::NAN], [f32::NAN]);
            plan.backward_bias(values, &mut grad_bias).unwrap();
            check_bias(&grad_bias, values);
            let mut scratch = vec![f32::NAN; plan.backward_weight_scratch_len()];
            plan.backward_weight(values, values, &mut grad_weight, &mut scratch).unwrap();
            check_weight(grad_weight[0], values, values.len());
        });
    }
}

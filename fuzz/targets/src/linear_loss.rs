//! Linear layers, softmax and cross entropy.

use crate::bytes::{Bytes, garbage};
use crate::compare::{Expected, assert_same_bits};
use crate::conv::{activated, activation, after};
use im2col::{
    CrossEntropy, Gradients, Isa, LinearOperands, LinearParams, LinearPlan, Softmax, Weights, naive,
};
use im2col_testkit::bound::{chained, check_each, gamma, pairwise};
use im2col_testkit::operands::Rng;
use im2col_testkit::oracle::{ConvCase, LossCase, Sum};

/// A linear layer forward and backward as [`conv`](crate::conv), or softmax and cross entropy of labels and of
/// probabilities: within their bounds, and the same bits with every instruction set.
pub fn linear_loss(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    if bytes.flag() { loss(&mut bytes) } else { linear(&mut bytes) }
}

fn linear(bytes: &mut Bytes<'_>) {
    let (batch, mut inputs, mut outputs) = (bytes.size(40), bytes.size(128), bytes.size(80));
    if bytes.below(8) == 7 {
        inputs += 200;
    }
    while batch * inputs * outputs > 1 << 12 {
        if inputs > outputs { inputs /= 2 } else { outputs /= 2 }
    }
    let case = ConvCase::linear(batch, inputs, outputs);
    let mut numbers = bytes.numbers();
    let is_real = numbers.is_real;
    let activation = activation(bytes, is_real);
    let plan = LinearParams::new(inputs, outputs)
        .with_bias(bytes.flag())
        .with_activation(activation)
        .plan(batch)
        .unwrap();
    let plan = if bytes.flag() { plan.with_scratch_limit(0).with_backward_scratch_limit(0) } else { plan };
    let lens = [plan.input_len(), plan.weight_len(), plan.bias_len(), plan.output_len()];
    let operands @ [input, weight, bias, grad_output] = &lens.map(|len| numbers.operand(len));

    let mut naive = [plan.output_len(), plan.input_len(), plan.weight_len(), plan.bias_len()].map(garbage);
    let [output, grad_input, grad_weight, grad_bias] = &mut naive;
    naive::linear_forward(&plan, input, weight, bias, output).unwrap();
    naive::linear_backward_input(&plan, weight, grad_output, grad_input).unwrap();
    naive::linear_backward_weight(&plan, input, grad_output, grad_weight).unwrap();
    naive::linear_backward_bias(&plan, grad_output, grad_bias).unwrap();

    let bound = |roundings| move |sum: &Sum| gamma(roundings) * sum.magnitude;
    let of_output = |sum: &Sum| after(activation, gamma(inputs + 2) * sum.magnitude);
    let sums = || activated(activation, case.forward(input, weight, bias));
    let bias_sums = || if bias.is_empty() { Vec::new() } else { case.grad_bias(grad_output) };
    let [output, grad_input, grad_weight, grad_bias] = naive;
    let output = Expected::new(output, is_real, sums, of_output);
    // The definition adds in one chain.
    let grads = [
        Expected::new(grad_input, is_real, || case.grad_input(weight, grad_output), bound(outputs + 2)),
        Expected::new(grad_weight, is_real, || case.grad_weight(input, grad_output), bound(batch + 2)),
        Expected::new(grad_bias, is_real, bias_sums, bound(batch + 2)),
    ];
    let roundings = [outputs + 2, chained(batch) + 2, pairwise(batch)];
    for isa in Isa::available() {
        let plan = plan.with_isa(isa);
        let (given, given_grads) = run_linear(&plan, operands);
        output.check(&given, of_output, &plan);
        for ((expected, grad), roundings) in grads.iter().zip(given_grads).zip(roundings) {
            expected.check(&grad, bound(roundings), &plan);
        }
    }
}

/// The output, which is the same bits with plain and packed weights, and the gradients of input, weight and bias.
fn run_linear(plan: &LinearPlan, operands: &[Vec<f32>; 4]) -> (Vec<f32>, [Vec<f32>; 3]) {
    let [input, weight, bias, grad_output] = operands;
    let mut packed = garbage(plan.packed_weight_len());
    let packed = Weights::Packed(plan.pack_weights(weight, &mut packed).unwrap());
    let [plain, packed] = [Weights::Plain(weight), packed].map(|weight| {
        let mut output = garbage(plan.output_len());
        let operands = LinearOperands { input, weight, bias };
        plan.forward(operands, &mut output, &mut garbage(plan.scratch_len())).unwrap();
        output
    });
    assert_same_bits(&packed, &plain, plan);
    let mut grads = [plan.input_len(), plan.weight_len(), plan.bias_len()].map(garbage);
    let [grad_input, grad_weight, grad_bias] = &mut grads;
    let gradients = Gradients { input: grad_input, weight: grad_weight, bias: grad_bias };
    let mut scratch = garbage(plan.backward_scratch_len());
    plan.backward(input, weight, grad_output, gradients, &mut scratch).unwrap();
    (plain, grads)
}

fn loss(bytes: &mut Bytes<'_>) {
    let many = bytes.below(16) == 15;
    let classes = if many { 250 + bytes.next() as usize } else { bytes.size(40) };
    let case = LossCase { batch: 1 + bytes.below(3), classes, positions: bytes.size(35) };
    let case = LossCase { positions: case.positions.min(512 / (case.batch * classes)).max(1), ..case };
    let size = bytes.pick([0.0, 1.0, 8.0, 60.0, 3000.0, 1e30]);
    let mut numbers = bytes.numbers();
    let logits = uniform(numbers.seed(), case.len(), size, numbers.is_real);
    softmax(&case, &logits, &uniform(numbers.seed(), case.len(), 1e3, numbers.is_real));
    let mut rng = Rng::new(numbers.seed());
    let mut label = || (!rng.bits().is_multiple_of(5)).then(|| (rng.bits() % classes as u64) as usize);
    let labels: Vec<Option<usize>> = (0..case.rows()).map(|_| label()).collect();
    let is_mean = bytes.flag();
    cross_entropy(&case, &logits, &labels, is_mean);
    let mut targets = uniform(numbers.seed(), case.len(), 1.0, numbers.is_real);
    targets.iter_mut().for_each(|target| *target = target.max(0.0));
    soft_cross_entropy(&case, &logits, &targets, is_mean);
}

/// In `-size..size`; few values, or any.
fn uniform(seed: u64, len: usize, size: f32, is_real: bool) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let mut unit =
        || if is_real { rng.integer(1 << 23) as f32 / 8_388_608.0 } else { rng.integer(2) as f32 / 2.0 };
    (0..len).map(|_| unit() * size).collect()
}

/// `a` of the stated errors: how often a term of a sum over classes is rounded.
fn additions(classes: usize) -> usize {
    19 + classes.div_ceil(256).next_power_of_two().ilog2() as usize
}

/// `D` of the stated errors, rounded up.
fn spread(case: &LossCase, logits: &[f32]) -> usize {
    case.spread(logits).min(104.0).ceil() as usize
}

/// What `f` writes and returns, the same bits with every instruction set.
fn on_every_isa(len: usize, f: impl Fn(Isa, &mut [f32]) -> f32) -> (f32, Vec<f32>) {
    let run = |isa| {
        let mut output = garbage(len);
        (f(isa, &mut output), output)
    };
    let expected = run(Isa::SCALAR);
    for isa in Isa::available() {
        let (value, output) = run(isa);
        assert_eq!(value.to_bits(), expected.0.to_bits(), "{}", isa.name());
        assert_same_bits(&output, &expected.1, &isa);
    }
    expected
}

fn exact(values: Vec<f64>) -> Vec<Sum> {
    values.into_iter().map(|value| Sum { value, magnitude: value.abs() }).collect()
}

fn softmax(case: &LossCase, logits: &[f32], grads: &[f32]) {
    let LossCase { batch, classes, positions } = *case;
    let of_classes = Softmax::new(classes).with_positions(positions);
    let (_, p) = on_every_isa(case.len(), |isa, p| {
        of_classes.with_isa(isa).forward(logits, p).unwrap();
        0.0
    });
    let expected = exact(case.softmax(logits));
    let bound = |sums: usize| {
        let roundings = 2 * spread(case, logits) + sums + 14;
        move |p: &Sum| gamma(roundings) * p.value + 2.0_f64.powi(-146)
    };
    check_each(&p, &expected, bound(additions(classes))).unwrap();

    let (_, grad_logits) = on_every_isa(case.len(), |isa, grad_logits| {
        of_classes.with_isa(isa).backward(&p, grads, grad_logits).unwrap();
        0.0
    });
    let sums = case.softmax_grad(&p, grads);
    let of_grad = |sums: usize| move |g: &Sum| gamma(sums + 5) * g.magnitude + 1e-36;
    check_each(&grad_logits, &sums, of_grad(additions(classes))).unwrap();

    // The definitions add in one chain.
    let mut naive = garbage(case.len());
    naive::softmax(logits, [batch, classes, positions], &mut naive).unwrap();
    check_each(&naive, &expected, bound(classes)).unwrap();
    naive::softmax_backward(&p, grads, [batch, classes, positions], &mut naive).unwrap();
    check_each(&naive, &sums, of_grad(classes)).unwrap();
}

/// How far a loss may be from `exact`, with `sums` sums over the classes.
fn loss_bound(case: &LossCase, logits: &[f32], exact: f64, sums: usize) -> f64 {
    let of_rows = case.rows().next_power_of_two().ilog2() as usize;
    let roundings = spread(case, logits) + sums * additions(case.classes) + of_rows + 20;
    gamma(roundings) * exact + case.len() as f64 * 2.0_f64.powi(-146)
}

fn cross_entropy(case: &LossCase, logits: &[f32], labels: &[Option<usize>], is_mean: bool) {
    let targets = case.targets(labels);
    let numbers: Vec<i64> = labels.iter().map(|label| label.map_or(-100, |class| class as i64)).collect();
    let of_classes = CrossEntropy::new(case.classes).with_positions(case.positions).with_ignore_index(-100);
    let of_classes = if is_mean { of_classes.with_mean() } else { of_classes };
    let counted = labels.iter().flatten().count();
    let divisor = if is_mean { counted as f64 } else { 1.0 };
    let (loss, grad) = on_every_isa(case.len(), |isa, grad| {
        let of_classes = of_classes.with_isa(isa);
        let loss = of_classes.backward(logits, &numbers, 0.5, grad).unwrap();
        assert_eq!(of_classes.forward(logits, &numbers).unwrap().to_bits(), loss.to_bits());
        loss
    });
    if is_mean && counted == 0 {
        assert!(loss.is_nan() && grad.iter().all(|&g| g == 0.0));
        return;
    }
    let expected = case.loss(logits, &targets) / divisor;
    let error = (f64::from(loss) - expected).abs();
    assert!(error <= loss_bound(case, logits, expected, 1), "{loss}, not {expected}");
    let scale = 0.5 / divisor;
    let expected = exact(case.loss_grad(logits, &targets).into_iter().map(|g| g * scale).collect());
    let bound = gamma(2 * spread(case, logits) + additions(case.classes) + 18) * scale;
    check_each(&grad, &expected, |_| bound).unwrap();
}

fn soft_cross_entropy(case: &LossCase, logits: &[f32], targets: &[f32], is_mean: bool) {
    let of_classes = CrossEntropy::new(case.classes).with_positions(case.positions);
    let of_classes = if is_mean { of_classes.with_mean() } else { of_classes };
    let divisor = if is_mean { case.rows() as f64 } else { 1.0 };
    let (loss, grad) = on_every_isa(case.len(), |isa, grad| {
        let of_classes = of_classes.with_isa(isa);
        let loss = of_classes.backward_soft(logits, targets, 0.5, grad).unwrap();
        assert_eq!(of_classes.forward_soft(logits, targets).unwrap().to_bits(), loss.to_bits());
        loss
    });
    let expected = case.loss(logits, targets) / divisor;
    let error = (f64::from(loss) - expected).abs();
    assert!(error <= loss_bound(case, logits, expected, 2), "{loss}, not {expected}");
    let scale = 0.5 / divisor;
    let grads = case.loss_grad(logits, targets);
    let roundings = 2 * spread(case, logits) + 2 * additions(case.classes) + 22;
    for row in 0..case.rows() {
        let total: f64 = case.row(row).map(|i| f64::from(targets[i])).sum();
        let bound = gamma(roundings) * scale * total + 1e-40;
        for i in case.row(row) {
            let error = (f64::from(grad[i]) - grads[i] * scale).abs();
            assert!(error <= bound, "index {i}: {}, not {}", grad[i], grads[i] * scale);
        }
    }
}

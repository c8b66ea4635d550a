//! One case: its operands from integers, every way to compute each of its results, and a hash of their bits.

use core::mem;
use im2col::{
    Activation, Algorithm, ConvOperands, ConvParams, ConvPlan, CrossEntropy, Gradients, Isa, Layer,
    LinearOperands, LinearParams, Network, NetworkWeights, PoolKind, PoolParams, Softmax, Weights,
};

/// One result, computed in one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Computed<'a> {
    /// What was computed, such as `conv 1d`.
    pub(crate) case: &'a str,
    /// Which of its results: `forward`, `grad_input`, ...
    pub(crate) result: &'a str,
    /// By which algorithm or limit; the hash is the same for all of them.
    pub(crate) by: &'a str,
    /// [`hash`] of the result.
    pub(crate) hash: u64,
}

/// FNV-1a of the values' bits, lowest byte first. The sign of a zero is unspecified, and does not count.
pub(crate) fn hash(values: &[f32]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for value in values {
        for byte in (value + 0.0).to_bits().to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// Memory that operands are taken from, and what is told of each result.
pub(crate) struct Case<'a> {
    name: &'a str,
    memory: &'a mut [f32],
    random: u32,
    tell: &'a mut dyn FnMut(Computed<'_>),
}

impl<'a> Case<'a> {
    /// `len` values, whatever they are.
    fn buffer(&mut self, len: usize) -> &'a mut [f32] {
        let (buffer, rest) = mem::take(&mut self.memory).split_at_mut(len);
        self.memory = rest;
        buffer
    }

    /// `len` multiples of 2^-23 in -1..1, times `scale`, by a linear congruential generator of 32 bits (Numerical Recipes).
    fn operand(&mut self, scale: f32, len: usize) -> &'a [f32] {
        let buffer = self.buffer(len);
        for value in &mut *buffer {
            self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = ((self.random >> 8) as i32 - (1 << 23)) as f32 / (1 << 23) as f32 * scale;
        }
        buffer
    }

    fn tell(&mut self, result: &str, by: &str, values: &[f32]) {
        // The bits of a NaN are the processor's.
        assert!(values.iter().all(|value| value.is_finite()), "{}: {result} by {by}", self.name);
        (self.tell)(Computed { case: self.name, result, by, hash: hash(values) });
    }
}

/// Runs a case on memory that it returns afterwards.
pub(crate) fn case(
    memory: &mut [f32],
    tell: &mut dyn FnMut(Computed<'_>),
    name: &str,
    run: impl FnOnce(&mut Case<'_>),
) {
    // NaN, so that what is read before it is written shows.
    memory.fill(f32::NAN);
    run(&mut Case { name, memory, random: name.len() as u32, tell });
}

/// The two ways to compute gradients: with scratch, and without.
const LIMITS: [(&str, usize); 2] = [("scratch", usize::MAX), ("no scratch", 0)];

pub(crate) fn convolution<const D: usize>(
    case: &mut Case<'_>,
    params: ConvParams<D>,
    batch: usize,
    dims: [usize; D],
) {
    let plan = params.plan(batch, dims).unwrap().with_isa(Isa::SCALAR);
    let (input, weight) = (case.operand(1.0, plan.input_len()), case.operand(0.25, plan.weight_len()));
    let (bias, grad_output) = (case.operand(1.0, plan.bias_len()), case.operand(1.0, plan.output_len()));
    let output = case.buffer(plan.output_len());
    for algorithm in plan.algorithms() {
        let result = match algorithm {
            Algorithm::Winograd => "forward by Winograd",
            #[cfg(feature = "matrixmultiply")]
            Algorithm::Matrixmultiply => continue,
            _ => "forward",
        };
        let plan: ConvPlan<D> = plan.with_algorithm(algorithm).unwrap();
        let weight_of = ConvOperands { input, weight: Weights::Plain(weight), bias };
        plan.forward(weight_of, output, &mut case.memory[..plan.scratch_len()]).unwrap();
        case.tell(result, algorithm.name(), output);

        let (packed, rest) = case.memory.split_at_mut(plan.packed_weight_len());
        let packed = plan.pack_weights(weight, packed).unwrap();
        let weight_of = ConvOperands { input, weight: Weights::Packed(packed), bias };
        plan.forward(weight_of, output, &mut rest[..plan.packed_scratch_len()]).unwrap();
        case.tell(result, "packed weights", output);
    }

    let mut grads = [plan.input_len(), plan.weight_len(), plan.bias_len()].map(|len| case.buffer(len));
    for (by, limit) in LIMITS {
        let plan = plan.with_backward_scratch_limit(limit);
        let [grad_input, grad_weight, grad_bias] = grads.each_mut().map(|grad| &mut **grad);
        let gradients = Gradients { input: grad_input, weight: grad_weight, bias: grad_bias };
        let scratch = &mut case.memory[..plan.backward_scratch_len()];
        plan.backward(input, weight, grad_output, gradients, scratch).unwrap();
        tell_gradients(case, by, &grads);
    }
}

fn tell_gradients(case: &mut Case<'_>, by: &str, grads: &[&mut [f32]; 3]) {
    for (result, grad) in ["grad_input", "grad_weight", "grad_bias"].into_iter().zip(grads) {
        case.tell(result, by, grad);
    }
}

pub(crate) fn transposed_convolution<const D: usize>(
    case: &mut Case<'_>,
    params: ConvParams<D>,
    batch: usize,
    dims: [usize; D],
) {
    let plan = params.plan_transposed(batch, dims).unwrap().with_isa(Isa::SCALAR);
    let (input, weight) = (case.operand(1.0, plan.input_len()), case.operand(0.25, plan.weight_len()));
    let (bias, grad_output) = (case.operand(1.0, plan.bias_len()), case.operand(1.0, plan.output_len()));
    let output = case.buffer(plan.output_len());
    let mut grads = [plan.input_len(), plan.weight_len(), plan.bias_len()].map(|len| case.buffer(len));
    for (by, limit) in LIMITS {
        let plan = plan.with_scratch_limit(limit).with_backward_scratch_limit(limit);
        let operands = ConvOperands { input, weight: Weights::Plain(weight), bias };
        plan.forward(operands, output, &mut case.memory[..plan.scratch_len()]).unwrap();
        case.tell("forward", by, output);

        let [grad_input, grad_weight, grad_bias] = grads.each_mut().map(|grad| &mut **grad);
        let gradients = Gradients { input: grad_input, weight: grad_weight, bias: grad_bias };
        let scratch = &mut case.memory[..plan.backward_scratch_len()];
        plan.backward(input, weight, grad_output, gradients, scratch).unwrap();
        tell_gradients(case, by, &grads);
    }
    let (packed, rest) = case.memory.split_at_mut(plan.packed_weight_len());
    let packed = plan.pack_weights(weight, packed).unwrap();
    let operands = ConvOperands { input, weight: Weights::Packed(packed), bias };
    plan.forward(operands, output, &mut rest[..plan.packed_scratch_len()]).unwrap();
    case.tell("forward", "packed weights", output);
}

pub(crate) fn pool<const D: usize>(case: &mut Case<'_>, params: PoolParams<D>, dims: [usize; D]) {
    let plan = params.plan(2, 3, dims).unwrap().with_isa(Isa::SCALAR);
    let (input, grad_output) = (case.operand(1.0, plan.input_len()), case.operand(1.0, plan.output_len()));
    let (output, grad_input) = (case.buffer(plan.output_len()), case.buffer(plan.input_len()));
    plan.forward(input, output).unwrap();
    case.tell("forward", "the plan", output);
    plan.backward(input, grad_output, grad_input).unwrap();
    case.tell("grad_input", "the input", grad_input);
    if params.kind() == PoolKind::Max {
        let workspace = &mut [0; 4096][..plan.workspace_bytes()];
        plan.forward_train(input, output, workspace).unwrap();
        case.tell("forward", "training", output);
        plan.backward_from_workspace(workspace, grad_output, grad_input).unwrap();
        case.tell("grad_input", "the workspace", grad_input);
    }
}

pub(crate) fn linear(case: &mut Case<'_>, params: LinearParams, batch: usize) {
    let plan = params.plan(batch).unwrap().with_isa(Isa::SCALAR);
    let (input, weight) = (case.operand(1.0, plan.input_len()), case.operand(0.25, plan.weight_len()));
    let (bias, grad_output) = (case.operand(1.0, plan.bias_len()), case.operand(1.0, plan.output_len()));
    let output = case.buffer(plan.output_len());
    let mut grads = [plan.input_len(), plan.weight_len(), plan.bias_len()].map(|len| case.buffer(len));
    for (by, limit) in LIMITS {
        let plan = plan.with_scratch_limit(limit).with_backward_scratch_limit(limit);
        let operands = LinearOperands { input, weight: Weights::Plain(weight), bias };
        plan.forward(operands, output, &mut case.memory[..plan.scratch_len()]).unwrap();
        case.tell("forward", by, output);

        let [grad_input, grad_weight, grad_bias] = grads.each_mut().map(|grad| &mut **grad);
        let gradients = Gradients { input: grad_input, weight: grad_weight, bias: grad_bias };
        let scratch = &mut case.memory[..plan.backward_scratch_len()];
        plan.backward(input, weight, grad_output, gradients, scratch).unwrap();
        tell_gradients(case, by, &grads);
    }
    let (packed, rest) = case.memory.split_at_mut(plan.packed_weight_len());
    let packed = plan.pack_weights(weight, packed).unwrap();
    let operands = LinearOperands { input, weight: Weights::Packed(packed), bias };
    plan.forward(operands, output, &mut rest[..plan.scratch_len()]).unwrap();
    case.tell("forward", "packed weights", output);
}

/// Arguments near 0, and as far away as results are subnormal.
pub(crate) fn activations(case: &mut Case<'_>, activation: Activation) {
    for (by, scale) in [("near", 2.0), ("far", 110.0)] {
        let (input, grad_output) = (case.operand(scale, 1003), case.operand(1.0, 1003));
        let (output, grad_input) = (case.buffer(1003), case.buffer(1003));
        activation.forward_with_isa(Isa::SCALAR, input, output).unwrap();
        activation.backward_with_isa(Isa::SCALAR, output, grad_output, grad_input).unwrap();
        let results =
            if by == "near" { ["forward", "grad_input"] } else { ["forward, far", "grad_input, far"] };
        case.tell(results[0], by, output);
        case.tell(results[1], by, grad_input);
    }
}

/// Softmax and cross-entropy of 13 images.
pub(crate) fn losses(case: &mut Case<'_>, classes: usize, positions: usize) {
    const IMAGES: usize = 13;
    let len = IMAGES * classes * positions;
    let (logits, grads) = (case.operand(10.0, len), case.operand(1.0, len));
    let (probabilities, grad_logits) = (case.buffer(len), case.buffer(len));
    let softmax = Softmax::new(classes).with_positions(positions).with_isa(Isa::SCALAR);
    softmax.forward(logits, probabilities).unwrap();
    case.tell("softmax", "logits", probabilities);
    softmax.backward(probabilities, grads, grad_logits).unwrap();
    case.tell("grad_logits of softmax", "probabilities", grad_logits);

    let mut labels = [0_u32; IMAGES * 21];
    for (row, label) in labels.iter_mut().enumerate() {
        *label = (row * 7 % classes) as u32;
    }
    let labels = &labels[..IMAGES * positions];
    let cross_entropy =
        CrossEntropy::new(classes).with_positions(positions).with_mean().with_isa(Isa::SCALAR);
    let loss = cross_entropy.forward(logits, labels).unwrap();
    case.tell("cross-entropy", "forward", &[loss]);
    let loss = cross_entropy.backward(logits, labels, 0.5, grad_logits).unwrap();
    case.tell("cross-entropy", "backward", &[loss]);
    case.tell("grad_logits", "labels", grad_logits);
    let loss = cross_entropy.backward_soft(logits, probabilities, 0.5, grad_logits).unwrap();
    case.tell("cross-entropy of soft labels", "backward", &[loss]);
    case.tell("grad_logits of soft labels", "probabilities", grad_logits);
}

pub(crate) fn network<const L: usize>(
    case: &mut Case<'_>,
    layers: [Layer; L],
    dims: [usize; 3],
    batch: usize,
) {
    let network = Network::plan(layers, batch, dims).unwrap().with_isa(Isa::SCALAR);
    assert_eq!(network.is_training_interleaved(), batch > 1);
    let (input, params) = (case.operand(1.0, network.input_len()), case.operand(0.25, network.param_len()));
    let (plain, output) = (NetworkWeights::Plain(params), case.buffer(network.output_len()));
    network.forward(plain, input, output, &mut case.memory[..network.scratch_len()]).unwrap();
    case.tell("forward", "plain weights", output);
    if network.reads_packed_weights() {
        let (packed, rest) = case.memory.split_at_mut(network.packed_weight_len());
        let packed = network.pack_weights(params, packed).unwrap();
        let packed = NetworkWeights::Packed { params, packed };
        network.forward(packed, input, output, &mut rest[..network.scratch_len()]).unwrap();
        case.tell("forward", "packed weights", output);
    }

    let (workspace, grads) = (case.buffer(network.workspace_len()), case.buffer(network.param_len()));
    let grad_output = case.buffer(network.output_len());
    let scratch = case.buffer(network.train_scratch_len());
    network.forward_train(plain, input, workspace, scratch).unwrap();
    let logits = network.layer_output(L - 1, workspace).unwrap();
    case.tell("forward", "training", logits);
    let mut labels = [0_u32; 16];
    for (image, label) in labels.iter_mut().enumerate() {
        *label = image as u32 % 7;
    }
    let cross_entropy = CrossEntropy::new(logits.len() / batch).with_isa(Isa::SCALAR);
    let loss = cross_entropy.backward(logits, &labels[..batch], 1.0 / batch as f32, grad_output).unwrap();
    case.tell("loss", "training", &[loss]);
    network.backward(params, input, workspace, grad_output, grads, scratch).unwrap();
    case.tell("gradients", "training", grads);
}

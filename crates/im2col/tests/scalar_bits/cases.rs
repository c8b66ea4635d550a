//! The cases: operands from integers, every way to compute each result, and a hash of its bits.
//!
//! Nothing here needs `std` or an allocator, so that firmware can include this file: memory is one slice.

use core::mem;
use im2col::lenet::{LENET, LENET_RELU};
use im2col::{
    Activation, Algorithm, ConvOperands, ConvParams, ConvPlan, CrossEntropy, Gradients, Isa, Layer,
    LinearOperands, LinearParams, Network, NetworkWeights, Padding, PaddingMode, PoolKind, PoolParams,
    Softmax, Weights,
};

/// How many values of memory [`layers`] needs.
pub(crate) const LAYERS_LEN: usize = 1 << 18;
/// How many values of memory [`networks`] needs for a batch of one, and for a batch of 16.
pub(crate) const NETWORKS_LEN: [usize; 2] = [1 << 19, 1 << 20];

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
struct Case<'a> {
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
        (self.tell)(Computed { case: self.name, result, by, hash: hash(values) });
    }
}

/// Runs a case on memory that it returns afterwards.
fn case(memory: &mut [f32], tell: &mut dyn FnMut(Computed<'_>), name: &str, run: impl FnOnce(&mut Case<'_>)) {
    // NaN, so that what is read before it is written shows.
    memory.fill(f32::NAN);
    run(&mut Case { name, memory, random: name.len() as u32, tell });
}

/// The two ways to compute gradients: with scratch, and without.
const LIMITS: [(&str, usize); 2] = [("scratch", usize::MAX), ("no scratch", 0)];

/// All layers, the losses and the activations, on [`LAYERS_LEN`] values of memory.
pub(crate) fn layers(memory: &mut [f32], tell: &mut dyn FnMut(Computed<'_>)) {
    convolutions(memory, tell);
    transposed_convolutions(memory, tell);
    pools(memory, tell);
    for (name, inputs, outputs, batch, activation) in [
        ("linear 400 to 120, one image", 400, 120, 1, Activation::Sigmoid),
        ("linear 84 to 10, three images", 84, 10, 3, Activation::Identity),
        ("linear 70 to 33, 17 images", 70, 33, 17, Activation::Tanh),
        ("linear 3000 to 2, five images", 3000, 2, 5, Activation::Relu),
    ] {
        let params = LinearParams::new(inputs, outputs).with_activation(activation);
        case(memory, tell, name, |case| linear(case, params, batch));
    }
    for (name, activation) in
        [("relu", Activation::Relu), ("sigmoid", Activation::Sigmoid), ("tanh", Activation::Tanh)]
    {
        case(memory, tell, name, |case| activations(case, activation));
    }
    for (name, classes, positions) in
        [("10 classes", 10, 1), ("300 classes", 300, 1), ("19 classes at 21 positions", 19, 21)]
    {
        case(memory, tell, name, |case| losses(case, classes, positions));
    }
}

fn convolutions(memory: &mut [f32], tell: &mut dyn FnMut(Computed<'_>)) {
    let mut conv1 = |name, batch, dims, params: ConvParams<1>| {
        case(memory, tell, name, |case| convolution(case, params, batch, dims));
    };
    conv1("conv 1d", 2, [37], ConvParams::new(3, 5, [4]).with_padding([2]));
    conv1(
        "conv 1d, strided and dilated",
        3,
        [61],
        ConvParams::new(4, 18, [3]).with_stride([3]).with_dilation([2]),
    );
    conv1(
        "conv 1d, a long line",
        1,
        [5000],
        ConvParams::new(1, 2, [7]).with_padding_rule(Padding::SameUpper),
    );

    let mut conv2 = |name, batch, dims, params: ConvParams<2>| {
        case(memory, tell, name, |case| convolution(case, params, batch, dims));
    };
    let (k3, k5) = ([3, 3], [5, 5]);
    conv2(
        "conv 3x3",
        2,
        [14, 13],
        ConvParams::new(8, 20, k3).with_padding([1, 1]).with_activation(Activation::Relu),
    );
    conv2(
        "conv 5x5, one channel",
        1,
        [28, 28],
        ConvParams::new(1, 6, k5).with_padding([2, 2]).with_activation(Activation::Sigmoid),
    );
    conv2(
        "conv 3x3, many channels",
        1,
        [6, 6],
        ConvParams::new(300, 5, k3).with_bias(false).with_activation(Activation::Tanh),
    );
    conv2(
        "conv 3x2, strided, circular",
        2,
        [11, 12],
        ConvParams::new(3, 17, [3, 2])
            .with_stride([2, 3])
            .with_padding([2, 1])
            .with_padding_mode(PaddingMode::Circular),
    );
    conv2(
        "conv 3x3, reflect",
        1,
        [9, 21],
        ConvParams::new(2, 7, k3).with_padding([2, 2]).with_padding_mode(PaddingMode::Reflect),
    );
    conv2(
        "conv 3x3, dilated, replicate",
        1,
        [17, 9],
        ConvParams::new(2, 16, k3)
            .with_dilation([3, 2])
            .with_padding([4, 5])
            .with_padding_mode(PaddingMode::Replicate),
    );
    conv2(
        "conv 2x4 in groups, full padding",
        2,
        [8, 9],
        ConvParams::new(6, 9, [2, 4]).with_groups(3).with_padding_rule(Padding::Full),
    );
    conv2("conv 3x3, depthwise", 2, [15, 18], ConvParams::new(5, 5, k3).with_groups(5).with_padding([1, 1]));
    conv2(
        "conv 5x5, depthwise, stride 2",
        1,
        [19, 20],
        ConvParams::new(3, 3, k5).with_groups(3).with_padding([2, 2]).with_stride([2, 2]),
    );
    conv2("conv 1x1", 2, [9, 9], ConvParams::new(37, 40, [1, 1]));
    conv2("conv 1x1, strided", 1, [12, 12], ConvParams::new(16, 33, [1, 1]).with_stride([2, 2]));
    conv2(
        "conv 2x2, a large plane",
        2,
        [64, 66],
        ConvParams::new(1, 3, [2, 2]).with_padding_rule(Padding::SameLower),
    );

    let params =
        ConvParams::new(2, 6, [3, 2, 3]).with_padding([1, 1, 2]).with_stride([1, 2, 1]).with_groups(2);
    case(memory, tell, "conv 3d", |case| convolution(case, params, 2, [5, 6, 7]));
    let params = ConvParams::new(3, 4, [2, 3, 3]).with_dilation([2, 1, 1]).with_padding([1, 1, 1]);
    case(memory, tell, "conv 3d, dilated", |case| convolution(case, params, 1, [4, 7, 8]));
}

fn transposed_convolutions(memory: &mut [f32], tell: &mut dyn FnMut(Computed<'_>)) {
    let params = ConvParams::new(4, 3, [5]).with_stride([3]).with_output_padding([1]).with_padding([1]);
    case(memory, tell, "conv transpose 1d", |case| transposed_convolution(case, params, 2, [13]));
    let params = ConvParams::new(8, 4, [4, 4]).with_stride([2, 2]).with_padding([1, 1]);
    case(memory, tell, "conv transpose 4x4", |case| transposed_convolution(case, params, 2, [8, 9]));
    let params =
        ConvParams::new(6, 8, [3, 2]).with_groups(2).with_dilation([2, 3]).with_activation(Activation::Tanh);
    case(memory, tell, "conv transpose 3x2 in groups, dilated", |case| {
        transposed_convolution(case, params, 1, [7, 6]);
    });
    let params = ConvParams::new(2, 3, [3, 2, 2]).with_stride([2, 1, 2]).with_bias(false);
    case(memory, tell, "conv transpose 3d", |case| transposed_convolution(case, params, 1, [3, 4, 5]));
}

fn pools(memory: &mut [f32], tell: &mut dyn FnMut(Computed<'_>)) {
    let mut pool1 = |name, dims, params: PoolParams<1>| {
        case(memory, tell, name, |case| pool(case, params, dims));
    };
    pool1("average pool of 100", [1000], PoolParams::average([100]).with_stride([50]));
    pool1("global average of a line", [3001], PoolParams::global_average());

    let mut pool2 = |name, dims, params: PoolParams<2>| {
        case(memory, tell, name, |case| pool(case, params, dims));
    };
    pool2("average pool 2x2", [28, 28], PoolParams::average([2, 2]));
    pool2(
        "average pool 3x2, padded",
        [13, 17],
        PoolParams::average([3, 2]).with_stride([2, 1]).with_padding([1, 1]).with_count_include_pad(false),
    );
    pool2(
        "average pool 7x9, overlapping",
        [20, 41],
        PoolParams::average([7, 9]).with_stride([2, 3]).with_ceil_mode(true),
    );
    pool2("adaptive average pool", [10, 11], PoolParams::adaptive_average([3, 4]));
    pool2("global average of a plane", [33, 65], PoolParams::global_average());
    pool2("max pool 2x2", [28, 28], PoolParams::max([2, 2]));
    pool2("max pool 3x3", [15, 37], PoolParams::max([3, 3]).with_stride([2, 2]).with_padding([1, 1]));
    pool2(
        "max pool 2x3, dilated",
        [14, 16],
        PoolParams::max([2, 3]).with_stride([1, 2]).with_dilation([3, 2]),
    );
    case(memory, tell, "average pool 3d", |case| pool(case, PoolParams::average([2, 3, 2]), [6, 9, 8]));
}

fn convolution<const D: usize>(case: &mut Case<'_>, params: ConvParams<D>, batch: usize, dims: [usize; D]) {
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

fn transposed_convolution<const D: usize>(
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

fn pool<const D: usize>(case: &mut Case<'_>, params: PoolParams<D>, dims: [usize; D]) {
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

fn linear(case: &mut Case<'_>, params: LinearParams, batch: usize) {
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
fn activations(case: &mut Case<'_>, activation: Activation) {
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
fn losses(case: &mut Case<'_>, classes: usize, positions: usize) {
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

/// What LeNet has not: groups, strides, padding that shows the input, maxima that overlap, means with padding.
const ODD: [Layer; 9] = [
    Layer::Conv(ConvParams::new(2, 6, [3, 2]).with_padding([2, 1]).with_padding_mode(PaddingMode::Reflect)),
    Layer::Activation(Activation::Tanh),
    Layer::Pool(PoolParams::max([3, 3]).with_stride([1, 2])),
    Layer::Conv(ConvParams::new(6, 8, [3, 4]).with_stride([2, 1]).with_padding([1, 2]).with_groups(2)),
    Layer::Pool(PoolParams::average([2, 2]).with_stride([1, 1]).with_padding([1, 0])),
    Layer::Activation(Activation::Sigmoid),
    Layer::Pool(PoolParams::adaptive_average([3, 2])),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(48, 7)),
];

/// Inference and the gradients of a training step of three networks, for a batch of one and, interleaved, of 16; those that
/// fit into the memory: [`NETWORKS_LEN`].
pub(crate) fn networks(memory: &mut [f32], tell: &mut dyn FnMut(Computed<'_>)) {
    for (batch, len) in [1, 16].into_iter().zip(NETWORKS_LEN) {
        if memory.len() < len {
            return;
        }
        let names = ["lenet", "lenet with relu", "odd network"];
        let names16 = ["lenet, 16 images", "lenet with relu, 16 images", "odd network, 16 images"];
        let [lenet, relu, odd] = if batch == 1 { names } else { names16 };
        case(memory, tell, lenet, |case| network(case, LENET, [1, 28, 28], batch));
        case(memory, tell, relu, |case| network(case, LENET_RELU, [1, 28, 28], batch));
        case(memory, tell, odd, |case| network(case, ODD, [2, 11, 13], batch));
    }
}

fn network<const L: usize>(case: &mut Case<'_>, layers: [Layer; L], dims: [usize; 3], batch: usize) {
    let network = Network::plan(layers, batch, dims).unwrap().with_isa(Isa::SCALAR);
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

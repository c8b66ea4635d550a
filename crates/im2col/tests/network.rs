//! Networks: planning, both forward passes and the backward pass, on LeNet and on odd chains.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

/// Calls `check(layers, input, batch)` for every network below.
macro_rules! for_each_network {
    ($check:ident, $batch:expr) => {{
        let batch = $batch;
        $check(LENET, [1, 28, 28], batch);
        $check(LENET_RELU, [1, 28, 28], batch);
        $check(ODD, ODD_INPUT, batch);
        $check(FLAT, ODD_INPUT, batch);
        $check(WINDOWS, WINDOWS_INPUT, batch);
        $check(POOLED, POOLED_INPUT, batch);
        $check(POOL_FIRST, ODD_INPUT, batch);
    }};
}

#[path = "network/guarded.rs"]
mod guarded;
#[path = "network/interleaving.rs"]
mod interleaving;
#[path = "network/limits.rs"]
mod limits;
#[path = "network/long_sums.rs"]
mod long_sums;
#[path = "network/pixels.rs"]
mod pixels;
#[path = "network/random.rs"]
mod random;
#[path = "network/reference.rs"]
mod reference;
#[path = "network/rounding.rs"]
mod rounding;

use im2col::lenet::{LENET, LENET_RELU};
use im2col::{
    Activation, ConvParams, Isa, Layer, Layout, LinearParams, Network, NetworkWeights, PaddingMode, Pixels,
    PoolParams, RunError, ShapeError, planned,
};
use im2col_testkit::alloc::{CountingAllocator, count_allocations};
use im2col_testkit::operands::{Rng, channels_last, garbage};
use im2col_testkit::oracle::Sum;
use im2col_testkit::property::{cases, for_all};
use proptest::prelude::any;
use reference::Reference;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));

/// What LeNet has not: groups, layers with an activation of their own, activations that cannot be
/// fused, windows that overlap, a Flatten that comes last.
const ODD: [Layer; 13] = [
    Layer::Conv(
        ConvParams::new(2, 4, [3, 2])
            .with_padding_per_side([[1, 0], [0, 2]])
            .with_stride([1, 2])
            .with_groups(2)
            .with_bias(false)
            .with_activation(Activation::Tanh),
    ),
    Layer::Pool(PoolParams::average([2, 2]).with_stride([1, 1]).with_padding([1, 0])),
    Layer::Activation(Activation::Sigmoid),
    Layer::Conv(ConvParams::new(4, 3, [1, 1])),
    Layer::Activation(Activation::Relu),
    Layer::Activation(Activation::Tanh),
    Layer::Pool(PoolParams::max([2, 2]).with_stride([1, 2])),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(15, 5).with_bias(false)),
    Layer::Activation(Activation::Identity),
    Layer::Linear(LinearParams::new(5, 3).with_activation(Activation::Sigmoid)),
    Layer::Activation(Activation::Tanh),
    Layer::Flatten,
];
const ODD_INPUT: [usize; 3] = [2, 6, 7];

/// What the gradient of an input can meet: strides, dilations, both, groups, and padding that shows the input.
const WINDOWS: [Layer; 9] = [
    Layer::Conv(ConvParams::new(2, 4, [3, 3]).with_padding([2, 2]).with_padding_mode(PaddingMode::Reflect)),
    Layer::Conv(ConvParams::new(4, 8, [3, 4]).with_stride([2, 3]).with_padding([2, 3]).with_groups(2)),
    Layer::Activation(Activation::Tanh),
    Layer::Conv(
        ConvParams::new(8, 7, [2, 3])
            .with_dilation([2, 2])
            .with_stride([3, 1])
            .with_padding([2, 1])
            .with_padding_mode(PaddingMode::Circular),
    ),
    Layer::Conv(
        ConvParams::new(7, 14, [3, 2])
            .with_dilation([2, 3])
            .with_stride([2, 2])
            .with_padding([4, 3])
            .with_groups(7),
    ),
    Layer::Pool(PoolParams::max([3, 2]).with_stride([2, 1]).with_padding([1, 1]).with_ceil_mode(true)),
    Layer::Pool(PoolParams::adaptive_average([2, 2])),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(56, 17)),
];
const WINDOWS_INPUT: [usize; 3] = [2, 11, 13];

/// Flatten comes first, so the first output is the input itself.
const FLAT: [Layer; 5] = [
    Layer::Flatten,
    Layer::Activation(Activation::Tanh),
    Layer::Linear(LinearParams::new(84, 4)),
    Layer::Linear(LinearParams::new(4, 3)),
    Layer::Activation(Activation::Tanh),
];

/// A first convolution that takes the gradient of the pool behind it: two groups of seven outputs, which no tile
/// covers without an overlap, and a line and a column that no window of the pool sees.
const POOLED: [Layer; 5] = [
    Layer::Conv(ConvParams::new(4, 14, [2, 3]).with_groups(2).with_stride([1, 2]).with_padding([0, 1])),
    Layer::Activation(Activation::Tanh),
    Layer::Pool(PoolParams::max([2, 2])),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(14 * 3 * 10, 3)),
];

const POOLED_INPUT: [usize; 3] = [4, 8, 42];

/// The first layers have no parameters.
const POOL_FIRST: [Layer; 4] = [
    Layer::Pool(PoolParams::max([2, 3])),
    Layer::Activation(Activation::Sigmoid),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(12, 3)),
];

/// Values in -1..1.
fn uniform(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| (rng.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// Parameters that keep sums near 1 in size.
fn parameters<const L: usize>(network: &Network<L>) -> Vec<f32> {
    let mut params = uniform(1, network.param_len());
    for parameter in network.parameters() {
        let scale = (2.0 / parameter.fan_in as f32).sqrt();
        params[parameter.range].iter_mut().for_each(|x| *x *= scale);
    }
    params
}

fn infer<const L: usize>(
    network: &Network<L>,
    weights: NetworkWeights<'_, L>,
    input: &[f32],
    mut scratch: Vec<f32>,
) -> Vec<f32> {
    let mut output = vec![f32::NAN; network.output_len()];
    network.forward(weights, input, &mut output, &mut scratch).unwrap();
    output
}

/// The workspace and the gradients of one training step, from buffers filled with `scratch_seed`.
fn step<const L: usize>(network: &Network<L>, params: &[f32], input: &[f32], seed: u64) -> [Vec<f32>; 2] {
    let mut workspace = garbage(seed, network.workspace_len());
    let mut scratch = garbage(seed + 1, network.train_scratch_len());
    network.forward_train(NetworkWeights::Plain(params), input, &mut workspace, &mut scratch).unwrap();
    let mut grads = garbage(seed + 2, network.param_len());
    let grad_output = uniform(9, network.output_len());
    let mut scratch = garbage(seed + 3, network.train_scratch_len());
    network.backward(params, input, &workspace, &grad_output, &mut grads, &mut scratch).unwrap();
    [workspace, grads]
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_plan_is_a_constant_and_sizes_arrays() {
    static PARAMS: [f32; NETWORK.param_len()] = [0.0; NETWORK.param_len()];
    let mut scratch = [0.0; NETWORK.scratch_len()];
    let mut output = [1.0; NETWORK.output_len()];
    NETWORK.forward(NetworkWeights::Plain(&PARAMS), &[1.0; 784], &mut output, &mut scratch).unwrap();
    assert_eq!(output, [0.0; 10]);
    // Between two layers inference keeps one activation and makes one.
    assert!(NETWORK.scratch_len() >= 6 * 28 * 28 + 6 * 14 * 14);
    let kept = 2 * (6 * 28 * 28 + 16 * 10 * 10) + 6 * 14 * 14 + 16 * 5 * 5 + 2 * (120 + 84) + 10;
    assert_eq!(NETWORK.workspace_len(), kept);
}

#[test]
fn lenet_has_the_parameters_of_its_state_dict() {
    let expected: [(usize, &str, &[usize], usize, usize); 10] = [
        (0, "weight", &[6, 1, 5, 5], 25, 150),
        (0, "bias", &[6], 25, 150),
        (3, "weight", &[16, 6, 5, 5], 150, 400),
        (3, "bias", &[16], 150, 400),
        (7, "weight", &[120, 400], 400, 120),
        (7, "bias", &[120], 400, 120),
        (9, "weight", &[84, 120], 120, 84),
        (9, "bias", &[84], 120, 84),
        (11, "weight", &[10, 84], 84, 10),
        (11, "bias", &[10], 84, 10),
    ];
    let mut end = 0;
    for (parameter, (layer, name, dims, fan_in, fan_out)) in NETWORK.parameters().zip(expected) {
        assert_eq!((parameter.layer, parameter.name, parameter.dims()), (layer, name, dims));
        assert_eq!((parameter.fan_in, parameter.fan_out), (fan_in, fan_out));
        assert_eq!(parameter.range.start, end);
        assert_eq!(parameter.range.len(), dims.iter().product::<usize>());
        end = parameter.range.end;
    }
    assert_eq!(end, 61_706);
    let layers = || NETWORK.layers();
    assert_eq!(layers().map(|layer| layer.params).sum::<usize>(), 61_706);
    let products = 6 * 28 * 28 * 25 + 16 * 10 * 10 * 150 + 400 * 120 + 120 * 84 + 84 * 10;
    assert_eq!(layers().map(|layer| layer.multiply_adds).sum::<usize>(), products);
}

#[test]
fn groups_count_once_in_the_fans() {
    let network = Network::plan(ODD, 1, ODD_INPUT).unwrap();
    let first = network.parameters().next().unwrap();
    assert_eq!((first.dims(), first.fan_in, first.fan_out), (&[4, 1, 3, 2][..], 6, 24));
    assert_eq!(
        network.parameters().map(|p| (p.layer, p.name)).collect::<Vec<_>>(),
        [(0, "weight"), (3, "weight"), (3, "bias"), (8, "weight"), (10, "weight"), (10, "bias"),]
    );
}

#[test]
fn layers_that_do_not_fit_are_named() {
    let error = |layers: [Layer; 2], input| Network::plan(layers, 1, input).unwrap_err();
    let conv = Layer::Conv(ConvParams::new(3, 8, [3, 3]));
    let pool = Layer::Pool(PoolParams::max([2, 2]));
    let linear = Layer::Linear(LinearParams::new(12, 2));
    let relu = Layer::Activation(Activation::Relu);
    let layer = |layer, required, given| ShapeError::Layer { layer, required, given };

    assert_eq!(error([relu, conv], [1, 9, 9]), layer(1, 3, 1));
    assert_eq!(error([Layer::Flatten, linear], [1, 3, 3]), layer(1, 12, 9));
    // 12 values arrive, but as planes.
    assert_eq!(error([relu, linear], [3, 2, 2]), layer(1, 12, 0));
    assert_eq!(error([Layer::Flatten, conv], [3, 1, 1]), layer(1, 3, 0));
    assert_eq!(error([Layer::Flatten, pool], [3, 4, 4]), layer(1, 1, 0));
    let exceeds = ShapeError::KernelExceedsInput { axis: 0, kernel_extent: 3, padded_input: 2 };
    assert_eq!(error([relu, conv], [3, 2, 9]), exceeds.in_layer(1));
    assert_eq!(
        error([relu, conv], [3, 2, 9]).to_string(),
        "layer 1: axis 0: the dilated kernel spans 3, the padded input has 2"
    );
    assert_eq!(
        error([pool, relu], [3, 1, 9]).to_string(),
        "layer 0: axis 0: the dilated kernel spans 2, the padded input has 1"
    );
    assert_eq!(error([relu, relu], [3, 0, 4]), ShapeError::Zero { what: "input" });
    assert_eq!(Network::<0>::plan([], 1, [1, 1, 1]), Err(ShapeError::Zero { what: "layers" }));
}

#[test]
fn sizes_that_do_not_fit_are_errors() {
    let huge = usize::MAX / 3;
    let overflows = |plan: Result<(), ShapeError>| {
        plan.is_err_and(|error| error.to_string().ends_with(" does not fit in usize"))
    };
    let flat = |batch, input| Network::plan([Layer::Flatten, Layer::Flatten], batch, input).map(|_| ());
    assert!(overflows(flat(huge, [2, 2, 1])));
    assert!(overflows(flat(1, [huge, huge, 1])));
    // One activation fits; the workspace for two and both gradients do not.
    let twice = [Layer::Activation(Activation::Relu); 4];
    assert!(overflows(Network::plan(twice, huge, [1, 1, 1]).map(|_| ())));
    assert!(overflows(Network::plan(LENET, huge, [1, 28, 28]).map(|_| ())));
}

#[test]
fn every_operand_length_is_checked_before_anything_is_written() {
    let (params, input) = (parameters(&NETWORK), uniform(2, NETWORK.input_len()));
    let mut workspace = vec![0.5; NETWORK.workspace_len()];
    let mut scratch = vec![0.5; NETWORK.train_scratch_len().max(NETWORK.scratch_len())];
    let grad_output = vec![0.5; NETWORK.output_len()];
    let wrong = |operand, values: &[f32]| {
        let (required, given) = (values.len(), values.len() - 1);
        Err(RunError::Length { operand, required, given })
    };
    let less = |values: &[f32]| values[1..].to_vec();
    let plain = NetworkWeights::Plain(&params);

    let mut output = [0.5; 10];
    let forward = |params: &[f32], input: &[f32], output: &mut [f32], scratch: &mut [f32]| {
        NETWORK.forward(NetworkWeights::Plain(params), input, output, scratch)
    };
    assert_eq!(forward(&less(&params), &input, &mut output, &mut scratch), wrong("params", &params));
    assert_eq!(forward(&params, &less(&input), &mut output, &mut scratch), wrong("input", &input));
    assert_eq!(forward(&params, &input, &mut output[1..], &mut scratch), wrong("output", &[0.5; 10]));
    let (required, given) = (NETWORK.scratch_len(), NETWORK.scratch_len() - 1);
    let scratch_error = forward(&params, &input, &mut output, &mut scratch[..given]);
    assert_eq!(scratch_error, Err(RunError::Scratch { required, given }));
    assert_eq!(output, [0.5; 10]);

    let error = NETWORK.forward_train(plain, &less(&input), &mut workspace, &mut scratch);
    assert_eq!(error, wrong("input", &input));
    let error = NETWORK.forward_train(plain, &input, &mut workspace[1..], &mut scratch);
    assert_eq!(error, wrong("workspace", &vec![0.5; NETWORK.workspace_len()]));
    let (required, given) = (NETWORK.train_scratch_len(), NETWORK.train_scratch_len() - 1);
    let error = NETWORK.forward_train(plain, &input, &mut workspace, &mut scratch[..given]);
    assert_eq!(error, Err(RunError::Scratch { required, given }));
    assert!(workspace.iter().all(|&x| x == 0.5));

    let mut grads = vec![0.5; NETWORK.param_len()];
    let mut backward = |operands: [&[f32]; 4], grads: &mut [f32]| {
        let [params, input, workspace, grad_output] = operands;
        NETWORK.backward(params, input, workspace, grad_output, grads, &mut scratch)
    };
    let names = ["params", "input", "workspace", "grad_output"];
    let operands = [&params[..], &input, &workspace, &grad_output];
    for (i, name) in names.into_iter().enumerate() {
        let mut shorter = operands;
        shorter[i] = &operands[i][1..];
        assert_eq!(backward(shorter, &mut grads), wrong(name, operands[i]));
    }
    assert_eq!(backward(operands, &mut grads[1..]), wrong("grad_params", &params));
    assert!(grads.iter().all(|&x| x == 0.5));
    assert_eq!(NETWORK.layer_output(12, &workspace), None);
    assert_eq!(NETWORK.layer_output(0, &workspace[1..]), None);
}

#[test]
fn weights_packed_by_another_network_are_refused() {
    let layers = |last| [Layer::Flatten, Layer::Linear(LinearParams::new(12, 4)), Layer::Linear(last)];
    let plan = |outputs| Network::plan(layers(LinearParams::new(4, outputs)), 2, [3, 2, 2]).unwrap();
    let (three, two) = (plan(3), plan(2));
    let (params, mut packed) = (parameters(&three), vec![0.0; three.packed_weight_len()]);
    let packed = three.pack_weights(&params, &mut packed).unwrap();
    let params = parameters(&two);
    let weights = NetworkWeights::Packed { params: &params, packed };
    let (mut output, mut workspace) = ([0.5; 4], [0.5; 12]);
    let mut scratch = vec![0.0; two.scratch_len().max(two.train_scratch_len())];
    let error = two.forward(weights, &[1.0; 24], &mut output, &mut scratch);
    assert!(matches!(error, Err(RunError::PackedWeights { .. })));
    // The first layer's weights would do; yet nothing runs.
    let error = two.forward_train(weights, &[1.0; 24], &mut workspace, &mut scratch);
    assert!(matches!(error, Err(RunError::PackedWeights { .. })));
    assert_eq!((output, workspace), ([0.5; 4], [0.5; 12]));

    let error = three.pack_weights(&params, &mut vec![0.0; three.packed_weight_len()]).unwrap_err();
    assert!(matches!(error, RunError::Length { operand: "params", .. }));
}

/// Everything that must not change a bit: packed weights, fusing, the batch, what buffers held.
///
/// Of 19 images, sixteen and three are interleaved, of 53 two times sixteen at once, then sixteen and five; but five
/// alone have no vector to themselves.
fn check_bits<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], batch: usize) {
    check_bits_under(Isa::available(), layers, input_dims, batch);
}

fn check_bits_under<const L: usize>(
    isas: impl Iterator<Item = Isa>,
    layers: [Layer; L],
    input_dims: [usize; 3],
    batch: usize,
) {
    for isa in isas {
        let network = Network::plan(layers, batch, input_dims).unwrap().with_isa(isa);
        let (params, input) = (parameters(&network), uniform(2, network.input_len()));
        let plain = NetworkWeights::Plain(&params);
        let expected = bits(&infer(&network, plain, &input, vec![0.0; network.scratch_len()]));
        for seed in 0..3 {
            assert_eq!(bits(&infer(&network, plain, &input, garbage(seed, network.scratch_len()))), expected);
        }

        let mut packed = garbage(4, network.packed_weight_len());
        let packed = network.pack_weights(&params, &mut packed).unwrap();
        let packed = NetworkWeights::Packed { params: &params, packed };
        assert_eq!(bits(&infer(&network, packed, &input, vec![0.0; network.scratch_len()])), expected);

        let [workspace, grads] = step(&network, &params, &input, 10);
        for seed in [20, 30] {
            let [same_workspace, same_grads] = step(&network, &params, &input, seed);
            let output = |workspace| bits(network.layer_output(L - 1, workspace).unwrap());
            assert_eq!(output(&same_workspace), output(&workspace));
            assert_eq!(bits(&same_grads), bits(&grads));
        }
        assert_eq!(bits(network.layer_output(L - 1, &workspace).unwrap()), expected);

        let single = Network::plan(layers, 1, input_dims).unwrap().with_isa(isa);
        assert!(!single.is_interleaved() && !single.is_training_interleaved());
        let images = input.chunks(single.input_len());
        let one_by_one =
            images.flat_map(|image| infer(&single, packed, image, vec![0.0; single.scratch_len()]));
        assert_eq!(bits(&one_by_one.collect::<Vec<_>>()), expected);
    }
}

#[test]
fn nothing_but_the_operands_decides_a_bit() {
    for batch in [5, 19, 53] {
        for_each_network!(check_bits, batch);
    }
}

/// Inference and training give the same bits on each instruction set, whether activations are fused or not.
fn check_both_passes<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], batch: usize, seed: u64) {
    for isa in Isa::available() {
        let network = Network::plan(layers, batch, input_dims).unwrap().with_isa(isa);
        let (params, input) = (parameters(&network), uniform(seed, network.input_len()));
        let weights = NetworkWeights::Plain(&params);
        let inferred = infer(&network, weights, &input, vec![0.0; network.scratch_len()]);
        let mut workspace = vec![f32::NAN; network.workspace_len()];
        let mut scratch = vec![f32::NAN; network.train_scratch_len()];
        network.forward_train(weights, &input, &mut workspace, &mut scratch).unwrap();
        let trained = network.layer_output(L - 1, &workspace).unwrap();
        let different = bits(&inferred).iter().zip(bits(trained)).filter(|(a, b)| *a != b).count();
        assert_eq!(different, 0, "of {} outputs, batch {batch}, {}", inferred.len(), isa.name());
    }
}

#[test]
fn an_instruction_set_has_one_set_of_bits() {
    const FUSED: [Layer; 2] =
        [Layer::Conv(ConvParams::new(1, 1, [1, 1])), Layer::Activation(Activation::Sigmoid)];
    const ALONE: [Layer; 2] =
        [Layer::Pool(PoolParams::average([1, 1])), Layer::Activation(Activation::Sigmoid)];
    check_both_passes(FUSED, [1, 1, 100_000], 1, 2);
    // Only what a single value gives on this instruction set shows that both passes use it.
    for isa in Isa::available() {
        let input = uniform(2, 100_000);
        let mut expected = input.clone();
        Activation::Sigmoid.forward_in_place_with_isa(isa, &mut expected);
        let network = Network::plan(ALONE, 1, [1, 1, 100_000]).unwrap().with_isa(isa);
        let [workspace, _] = step(&network, &[], &input, 3);
        assert_eq!(bits(network.layer_output(1, &workspace).unwrap()), bits(&expected), "{}", isa.name());
        let inferred = infer(&network, NetworkWeights::Plain(&[]), &input, vec![0.0; network.scratch_len()]);
        assert_eq!(bits(&inferred), bits(&expected), "{}", isa.name());
    }
    for_all(cases(16), (1_usize..24, any::<u64>()), |(batch, seed)| {
        check_both_passes(LENET, [1, 28, 28], batch, seed);
        check_both_passes(ODD, ODD_INPUT, batch, seed);
    });
    for batch in [1, 2, 3, 4, 5, 6, 7, 16, 33] {
        (0..4).for_each(|seed| check_both_passes(LENET, [1, 28, 28], batch, seed));
    }
}

/// Output and gradients against `f64`.
fn check_reference<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], batch: usize) {
    let network = Network::plan(layers, batch, input_dims).unwrap();
    let (params, input) = (parameters(&network), uniform(2, network.input_len()));
    let grad_output = uniform(9, network.output_len());
    let Reference { output, grads: expected, .. } =
        reference::run(&layers, input_dims, &params, &input, &grad_output);
    let values = |sums: &[Sum]| sums.iter().map(|sum| sum.value).collect::<Vec<_>>();
    let [workspace, grads] = step(&network, &params, &input, 5);
    assert_close(network.layer_output(L - 1, &workspace).unwrap(), &values(&output));
    for parameter in network.parameters() {
        assert_close(&grads[parameter.range.clone()], &values(&expected[parameter.range]));
    }
}

/// The gradients of the reference by central differences of its output.
#[test]
fn the_reference_is_differentiated() {
    const STEP: f32 = 1.0 / 1024.0;
    let network = Network::plan(ODD, 2, ODD_INPUT).unwrap();
    let (params, input) = (parameters(&network), uniform(2, network.input_len()));
    let grad_output = uniform(9, network.output_len());
    let run = |params: &[f32]| reference::run(&ODD, ODD_INPUT, params, &input, &grad_output);
    let loss = |params: &[f32]| {
        run(params).output.iter().zip(&grad_output).map(|(y, g)| y.value * f64::from(*g)).sum::<f64>()
    };
    for (i, grad) in run(&params).grads.iter().enumerate() {
        let moved = |step: f32| {
            let mut params = params.clone();
            params[i] += step;
            (loss(&params), f64::from(params[i]))
        };
        let ((above, most), (below, least)) = (moved(STEP), moved(-STEP));
        let difference = (above - below) / (most - least);
        assert!((difference - grad.value).abs() <= 1e-4 * grad.magnitude, "{difference}, not {}", grad.value);
    }
}

/// Within 1e-5 of the largest value.
#[track_caller]
fn assert_close(given: &[f32], expected: &[f64]) {
    assert_eq!(given.len(), expected.len());
    let largest = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    for (given, expected) in given.iter().zip(expected) {
        let error = (f64::from(*given) - expected).abs();
        assert!(error <= 1e-5 * largest, "{given}, not {expected}; the largest value is {largest}");
    }
}

#[test]
fn outputs_and_gradients_are_those_of_the_definition() {
    for batch in [2, 19, 53] {
        check_reference(ODD, ODD_INPUT, batch);
        check_reference(FLAT, ODD_INPUT, batch);
        check_reference(POOL_FIRST, ODD_INPUT, batch);
        check_reference(POOLED, POOLED_INPUT, batch);
        check_reference(WINDOWS, WINDOWS_INPUT, batch);
    }
}

/// Steps that no window takes, and padding that no memory holds: found by fuzzing.
#[test]
fn windows_of_any_size_in_large_batches() {
    let (max, huge) = (usize::MAX, 1 << (usize::BITS - 4));
    let one = ConvParams::new(2, 3, [1, 1]);
    let linear = Layer::Linear(LinearParams::new(12, 2));
    let one_position = one.with_stride([max, max]).with_dilation([max, max]);
    check_bits([Layer::Conv(one_position)], [2, 3, 4], 9);
    check_reference([Layer::Conv(one_position)], [2, 3, 4], 9);
    for stride in [[9, max], [2, 3], [1, 12]] {
        let behind = ConvParams::new(3, 3, [1, 1]).with_stride(stride);
        check_reference([Layer::Conv(one), Layer::Conv(behind)], [2, 3, 13], 9);
    }
    let a_line = one.with_stride([huge, 1]).with_dilation([max, huge]);
    check_reference([Layer::Conv(a_line), Layer::Flatten, linear], [2, 3, 4], 9);
    let pool = PoolParams::max([1, 1]).with_stride([max, 1]).with_dilation([max, max]);
    let pool_behind = [Layer::Conv(one), Layer::Pool(pool), Layer::Flatten, linear];
    check_reference(pool_behind, [2, 3, 4], 9);

    // Planes that would not fit: planned, but no one has the memory to run them.
    let far = one.with_stride([huge, huge]).with_padding([huge, huge]);
    let half = 1 << (usize::BITS / 2);
    for conv in [far, far.with_padding([2 * half; 2]).with_stride([half; 2])] {
        let network = Network::plan([Layer::Conv(conv)], 9, [2, 3, 4]);
        assert!(network.is_ok_and(|network| network.output_len() > 0));
    }
}

#[test]
fn a_network_may_have_no_parameters_and_nothing_to_compute() {
    let pool = [Layer::Pool(PoolParams::max([1, 3])), Layer::Activation(Activation::Relu), Layer::Flatten];
    for batch in [2, 9] {
        let flatten = Network::plan([Layer::Flatten; 2], batch, [1, 2, 3]).unwrap();
        let input = uniform(1, 6 * batch);
        assert_eq!(infer(&flatten, NetworkWeights::Plain(&[]), &input, vec![]), input);
        assert_eq!((flatten.workspace_len(), flatten.layer_output(1, &[])), (0, None));
        let [workspace, grads] = step(&flatten, &[], &input, 1);
        assert!(workspace.is_empty() && grads.is_empty());

        let pool = Network::plan(pool, batch, [1, 2, 3]).unwrap();
        let maxima: Vec<f32> =
            input.chunks(3).map(|row| row.iter().fold(0.0, |most, &x| x.max(most))).collect();
        assert_eq!(infer(&pool, NetworkWeights::Plain(&[]), &input, vec![0.0; pool.scratch_len()]), maxima);
        let [_, grads] = step(&pool, &[], &input, 1);
        assert!(grads.is_empty());
    }
}

#[test]
fn nothing_allocates() {
    let network = Network::plan(LENET_RELU, 3, [1, 28, 28]).unwrap();
    let (params, input) = (parameters(&network), uniform(2, network.input_len()));
    let mut packed = vec![0.0; network.packed_weight_len()];
    let mut output = vec![0.0; network.output_len()];
    let mut scratch = vec![0.0; network.scratch_len().max(network.train_scratch_len())];
    let mut workspace = vec![0.0; network.workspace_len()];
    let mut grads = vec![0.0; network.param_len()];
    let (pixels, mut pixel_scratch) = (vec![7; network.input_len()], vec![0.0; network.pixel_scratch_len()]);
    let pixels = Pixels { values: &pixels, scale: 1.0, shift: 0.0 };
    let (result, allocations) = count_allocations(|| {
        let packed = network.pack_weights(&params, &mut packed)?;
        let plain = NetworkWeights::Plain(&params);
        network.forward_pixels(plain, pixels, &mut output, &mut pixel_scratch)?;
        network.forward(
            NetworkWeights::Packed { params: &params, packed },
            &input,
            &mut output,
            &mut scratch,
        )?;
        network.forward(plain, &input, &mut output, &mut scratch)?;
        network.forward_train(plain, &input, &mut workspace, &mut scratch)?;
        network.backward(&params, &input, &workspace, &output, &mut grads, &mut scratch)
    });
    assert_eq!((result, allocations), (Ok(()), 0));
}

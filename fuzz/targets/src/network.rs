//! Networks: what every way to run one gives is the layers' definitions in a row.

mod chain;
mod layers;

use self::chain::Chain;
use self::layers::layers;
use crate::bytes::{Bytes, garbage, integers};
use crate::compare::assert_same;
use im2col::{Activation, Isa, Layer, Network, NetworkWeights, Pixels, naive};
use im2col_testkit::bound::{check_each, gamma};
use im2col_testkit::operands::reals;
use im2col_testkit::oracle::Sum;

/// Inference and a training step of random layers, images one by one or interleaved, from values and from pixels,
/// plain and packed weights, with and without limits of scratch, with any instruction set.
pub fn network(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let batch = bytes.pick([1, 2, 3, 7, 8, 9, 16, 17, 19, 33]);
    let is_real = bytes.flag();
    let seed = u64::from(u16::from_le_bytes([bytes.next(), bytes.next()])) << 8;
    let which = bytes.next();
    let shares = [bytes.below(4), bytes.below(4)];
    let (layers, dims) = layers(&mut bytes, batch, is_real);
    let network = Network::plan(layers, batch, dims).unwrap();
    let chain = Chain::new(&layers, batch, dims);
    assert_eq!(chain.param_len(), network.param_len());

    // Pixels in 0..=2 are integers, too.
    let pixels: Vec<u8> =
        integers(seed, network.input_len(), 1).into_iter().map(|x| (x + 1.0) as u8).collect();
    let pixels = Pixels { values: &pixels, scale: if is_real { 0.37 } else { 1.0 }, shift: -1.0 };
    let mut input = garbage(network.input_len());
    naive::pixel_values(pixels, &mut input).unwrap();
    let values = |seed, len, size: f32| -> Vec<f32> {
        if !is_real {
            return integers(seed, len, 1);
        }
        reals(seed, len).into_iter().map(|x| x.signum() * x.abs().sqrt().sqrt() * size).collect()
    };
    let case = Case {
        params: values(seed + 1, network.param_len(), 0.25),
        grad_output: values(seed + 2, network.output_len(), 1.0),
        input,
        pixels,
    };
    let expected = Reference::new(&chain, &case);
    let is_smooth = |layer: &_| matches!(layer, Layer::Activation(Activation::Sigmoid | Activation::Tanh));
    let has_smooth = layers.iter().any(is_smooth);
    let isas: Vec<Isa> = Isa::available().collect();
    let isa = isas[usize::from(which) % isas.len()];
    let network = network.with_isa(isa);
    let outputs = inference(&network, &case, shares[0]);
    let steps = training(&network, &case, shares[1]);
    for [trained, grads] in &steps {
        expected.check(&outputs[0], trained, grads, &(isa, layers, batch));
    }
    // Such a layer, where it is alone, takes the set that it detects.
    if !has_smooth || isa == Isa::detect() {
        for other in outputs[1..].iter().chain(steps.iter().map(|[trained, _]| trained)) {
            assert_same(other, &outputs[0], &(isa, layers, batch));
        }
    }
}

struct Case<'a> {
    params: Vec<f32>,
    input: Vec<f32>,
    grad_output: Vec<f32>,
    pixels: Pixels<'a>,
}

/// What the definitions give, and how far from it a result may be.
struct Reference {
    output: Vec<Sum>,
    /// `None` where rounding may choose another maximum or sign, and the gradient goes another way.
    grads: Option<Vec<Sum>>,
    tolerance: f64,
}

impl Reference {
    fn new(chain: &Chain, case: &Case<'_>) -> Self {
        let exact = chain.run(&case.params, &case.input, &case.grad_output, false);
        let absolute = |values: &[f32]| -> Vec<f32> { values.iter().map(|x| x.abs()).collect() };
        let sizes =
            chain.run(&absolute(&case.params), &absolute(&case.input), &absolute(&case.grad_output), true);
        // Quarters of integers, in the forward and in the backward pass.
        let is_exact = chain.keeps_integers()
            && sizes.largest * 16.0_f64.powi(chain.means()) < 16_777_216.0
            && case.params.iter().chain(&case.input).all(|x| x.fract() == 0.0);
        // Rounded there and here.
        let tolerance = if is_exact { 0.0 } else { 2.0 * gamma(chain.roundings()) };
        let sums = |values: Vec<f32>, sizes: Vec<f32>| -> Vec<Sum> {
            let sum = |(value, size)| Sum { value: f64::from(value), magnitude: f64::from(size) };
            values.into_iter().zip(sizes).map(sum).collect()
        };
        Self {
            output: sums(exact.output, sizes.output),
            grads: (is_exact || chain.is_smooth()).then(|| sums(exact.grads, sizes.grads)),
            tolerance,
        }
    }

    fn check(&self, output: &[f32], trained: &[f32], grads: &[f32], what: &dyn std::fmt::Debug) {
        let bound = |sum: &Sum| self.tolerance * sum.magnitude;
        for output in [output, trained] {
            if let Err(violation) = check_each(output, &self.output, bound) {
                panic!("output: {violation}, {what:?}");
            }
        }
        if let Some(expected) = &self.grads
            && let Err(violation) = check_each(grads, expected, bound)
        {
            panic!("gradients: {violation}, {what:?}");
        }
    }
}

/// The outputs from values, from pixels, under a limit, and with packed weights.
fn inference<const L: usize>(network: &Network<L>, case: &Case<'_>, share: usize) -> Vec<Vec<f32>> {
    let plain = NetworkWeights::Plain(&case.params);
    let run = |network: &Network<L>, weights| {
        let mut output = garbage(network.output_len());
        let mut scratch = garbage(network.scratch_len());
        network.forward(weights, &case.input, &mut output, &mut scratch).unwrap();
        output
    };
    let mut of_pixels = garbage(network.output_len());
    let mut scratch = garbage(network.pixel_scratch_len());
    network.forward_pixels(plain, case.pixels, &mut of_pixels, &mut scratch).unwrap();
    let (least, full) = (network.least_scratch_len(), network.scratch_len());
    let limited = network.with_scratch_limit(least + full.saturating_sub(least) / 4 * share).unwrap();
    let mut outputs = vec![run(network, plain), of_pixels, run(&limited, plain)];
    if network.reads_packed_weights() {
        let mut packed = garbage(network.packed_weight_len());
        let packed = network.pack_weights(&case.params, &mut packed).unwrap();
        outputs.push(run(network, NetworkWeights::Packed { params: &case.params, packed }));
    }
    outputs
}

/// The outputs and the gradients of a training step: without a limit, and under one, which are the same if images are
/// interleaved in both or in none.
fn training<const L: usize>(network: &Network<L>, case: &Case<'_>, share: usize) -> [[Vec<f32>; 2]; 2] {
    let (least, full) = (network.least_train_scratch_len(), network.train_scratch_len());
    let limit = least + full.saturating_sub(least) / 4 * share;
    let limited = network.with_train_scratch_limit(limit).unwrap();
    let steps = [train(network, case), train(&limited, case)];
    if limited.workspace_len() == network.workspace_len() {
        assert_same(&steps[1][1], &steps[0][1], &limited);
    }
    steps
}

fn train<const L: usize>(network: &Network<L>, case: &Case<'_>) -> [Vec<f32>; 2] {
    let Case { params, input, grad_output, .. } = case;
    let mut workspace = garbage(network.workspace_len());
    let mut scratch = garbage(network.train_scratch_len());
    network.forward_train(NetworkWeights::Plain(params), input, &mut workspace, &mut scratch).unwrap();
    let output = network.layer_output(L - 1, &workspace).unwrap_or(input).to_vec();
    let mut grads = garbage(network.param_len());
    scratch.fill(f32::NAN);
    network.backward(params, input, &workspace, grad_output, &mut grads, &mut scratch).unwrap();
    [output, grads]
}

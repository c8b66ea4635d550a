//! Random networks, interleaved and not, in memory that ends where a fault begins, and with inputs that are not finite.

use super::random::{LAYERS, network};
use super::{bits, infer, parameters, step, uniform};
use im2col::{Isa, Layer, Network, NetworkWeights, naive};
use im2col_testkit::guard::{Flush, Guarded, Memory};
use im2col_testkit::operands::garbage;
use im2col_testkit::property::{cases, for_all};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use std::cell::RefCell;

fn batch() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), Just(2), Just(7), Just(8), Just(9), Just(16), Just(19), Just(33)]
}

/// The network under each instruction set, its images one by one and interleaved where either can be.
fn variants<const L: usize>(network: Network<L>) -> impl Iterator<Item = Network<L>> {
    Isa::available().flat_map(move |isa| {
        [true, false].into_iter().filter_map(move |yes| network.with_isa(isa).with_interleaving(yes).ok())
    })
}

#[test]
fn no_pass_touches_more_than_its_operands() {
    let memory = RefCell::new(Memory::default());
    for_all(cases(100), (1..=LAYERS, batch(), any::<u64>()), |(layers, batch, seed)| {
        let (layers, dims) = network(seed, layers);
        for network in variants(Network::plan(layers, batch, dims).unwrap()) {
            for flush in Flush::BOTH {
                check_passes(&mut memory.borrow_mut(), flush, &network);
            }
        }
    });
}

fn check_passes(memory: &mut Memory, flush: Flush, network: &Network<LAYERS>) {
    let (params, input) = (&*parameters(network), &*uniform(2, network.input_len()));
    let grad_output = &*uniform(9, network.output_len());
    let plain = infer(network, NetworkWeights::Plain(params), input, garbage(1, network.scratch_len()));
    let [_, grads] = step(network, params, input, 5);
    let lens = [network.output_len(), network.scratch_len()];
    let given = memory.call(flush, [params, input, &[], &[]], lens, |[p, x, ..], y, s| {
        network.forward(NetworkWeights::Plain(p), x, y, s)
    });
    assert_eq!(bits(given), bits(&plain), "{flush:?} {network:?}");
    let (mut plain_memory, mut packed) = (Guarded::new(), Guarded::new());
    let packed = packed.filled(f32::NAN, network.packed_weight_len(), flush);
    let packed = network.pack_weights(plain_memory.holding(params, flush), packed).unwrap();
    let given = memory.call(flush, [params, input, &[], &[]], lens, |[p, x, ..], y, s| {
        network.forward(NetworkWeights::Packed { params: p, packed }, x, y, s)
    });
    assert_eq!(bits(given), bits(&plain), "packed {flush:?} {network:?}");
    let lens = [network.workspace_len(), network.train_scratch_len()];
    let workspace = memory.call(flush, [params, input, &[], &[]], lens, |[p, x, ..], workspace, s| {
        network.forward_train(NetworkWeights::Plain(p), x, workspace, s)
    });
    let workspace = workspace.to_vec();
    let lens = [network.param_len(), network.train_scratch_len()];
    let given =
        memory.call(flush, [params, input, &workspace, grad_output], lens, |[p, x, w, dy], grads, s| {
            network.backward(p, x, w, dy, grads, s)
        });
    assert_eq!(bits(given), bits(&grads), "gradients {flush:?} {network:?}");
}

/// The output, layer by layer.
fn definition(layers: &[Layer], batch: usize, dims: [usize; 3], params: &[f32], input: &[f32]) -> Vec<f32> {
    let ([mut channels, mut height, mut width], mut params, mut values) = (dims, params, input.to_vec());
    for layer in layers {
        let mut take = |len: usize| {
            let (taken, rest) = params.split_at(len);
            params = rest;
            taken
        };
        let mut output = garbage(1, values.len());
        match *layer {
            Layer::Conv(conv) => {
                let plan = conv.plan(batch, [height, width]).unwrap();
                let (weight, bias) = (take(plan.weight_len()), take(plan.bias_len()));
                output = garbage(2, plan.output_len());
                naive::conv_forward(&plan, &values, weight, bias, &mut output).unwrap();
                channels = conv.out_channels();
                [height, width] = plan.output_dims();
            }
            Layer::Pool(pool) => {
                let plan = pool.plan(batch, channels, [height, width]).unwrap();
                output = garbage(3, plan.output_len());
                naive::pool_forward(&plan, &values, &mut output).unwrap();
                [height, width] = plan.output_dims();
            }
            Layer::Linear(linear) => {
                let plan = linear.plan(batch).unwrap();
                let (weight, bias) = (take(plan.weight_len()), take(plan.bias_len()));
                output = garbage(4, plan.output_len());
                naive::linear_forward(&plan, &values, weight, bias, &mut output).unwrap();
                [channels, height, width] = [linear.outputs(), 1, 1];
            }
            Layer::Activation(activation) => activation.forward(&values, &mut output).unwrap(),
            _ => {
                output.copy_from_slice(&values);
                [channels, height, width] = [channels * height * width, 1, 1];
            }
        }
        values = output;
    }
    values
}

/// What is not finite comes out where the definition says.
#[test]
fn what_is_not_finite_propagates() {
    for_all(cases(300), (1..=LAYERS, batch(), any::<u64>()), |(layers, batch, seed)| {
        let (layers, dims) = network(seed, layers);
        let network = Network::plan(layers, batch, dims).unwrap();
        let (params, mut input) = (parameters(&network), uniform(2, network.input_len()));
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let places = uniform(seed, input.len());
        for (value, place) in input.iter_mut().zip(places).filter(|(_, place)| *place > 0.9) {
            *value = special[place.to_bits() as usize % 3];
        }
        let classes = |values: &[f32]| -> Vec<(bool, bool, bool)> {
            values.iter().map(|x| (x.is_nan(), *x == f32::INFINITY, *x == f32::NEG_INFINITY)).collect()
        };
        let expected = classes(&definition(&layers, batch, dims, &params, &input));
        for network in variants(network) {
            let scratch = garbage(1, network.scratch_len());
            let output = infer(&network, NetworkWeights::Plain(&params), &input, scratch);
            assert_eq!(classes(&output), expected, "{network:?}");
        }
    });
}

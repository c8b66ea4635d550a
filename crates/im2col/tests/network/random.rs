//! Networks that nobody chose: random layers, each of which takes what the one before it gives.

use super::{check_bits_under, parameters, reference, step, uniform};
use im2col::{
    Activation, ConvParams, Isa, Layer, LinearParams, Network, Padding, PaddingMode, PoolKind, PoolParams,
};
use im2col_testkit::bound;
use im2col_testkit::operands::Rng;
use im2col_testkit::oracle::Sum;
use im2col_testkit::property::{cases, for_all};
use proptest::prelude::{Just, any, prop_oneof};
use std::cell::Cell;

/// Shorter networks end in layers that do nothing.
pub(crate) const LAYERS: usize = 7;
/// The most products of a layer, and values of its output, for one image.
const MOST_PRODUCTS: usize = 20_000;
const MOST_VALUES: usize = 600;
/// Some thirty roundings of each term.
const TOLERANCE: f64 = 2e-6;

/// What one image is between two layers: planes, or features as channels of one value.
#[derive(Clone, Copy)]
struct Shape {
    dims: [usize; 3],
    is_flat: bool,
}

fn below(rng: &mut Rng, end: usize) -> usize {
    (rng.bits() % end as u64) as usize
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[below(rng, of.len())]
}

fn activation(rng: &mut Rng) -> Activation {
    pick(rng, &[Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh])
}

/// None in half of the layers.
fn own_activation(rng: &mut Rng) -> Activation {
    if rng.bits() & 1 == 0 { activation(rng) } else { Activation::Identity }
}

fn padding(rng: &mut Rng, most: usize) -> Padding<2> {
    let sides = [0; 2].map(|_| [0; 2].map(|_| below(rng, most + 1)));
    let per_side = Padding::PerSide(sides);
    pick(rng, &[per_side, per_side, Padding::SameUpper, Padding::SameLower, Padding::Full])
}

fn conv(rng: &mut Rng, [channels, height, width]: [usize; 3]) -> (Layer, [usize; 3]) {
    loop {
        let groups = pick(rng, &[1, 1, channels, if channels % 2 == 0 { 2 } else { 1 }]);
        let out_channels = groups * (1 + below(rng, if groups == 1 { 14 } else { 3 }));
        let kernel = [1 + below(rng, 4), 1 + below(rng, 5)];
        let params = ConvParams::new(channels, out_channels, kernel)
            .with_stride([pick(rng, &[1, 1, 2, 3]), pick(rng, &[1, 1, 2, 5])])
            .with_dilation([pick(rng, &[1, 1, 2]), pick(rng, &[1, 1, 2, 3])])
            .with_padding_rule(padding(rng, 4))
            .with_padding_mode(pick(
                rng,
                &[
                    PaddingMode::Zeros,
                    PaddingMode::Zeros,
                    PaddingMode::Reflect,
                    PaddingMode::Replicate,
                    PaddingMode::Circular,
                ],
            ))
            .with_groups(groups)
            .with_bias(rng.bits() & 1 == 0)
            .with_activation(own_activation(rng));
        if let Ok(plan) = params.plan(1, [height, width])
            && plan.multiply_adds() <= MOST_PRODUCTS
            && plan.output_len() <= MOST_VALUES
        {
            let [height, width] = plan.output_dims();
            return (Layer::Conv(params), [out_channels, height, width]);
        }
    }
}

fn pool(rng: &mut Rng, [channels, height, width]: [usize; 3]) -> (Layer, [usize; 3]) {
    loop {
        let kind = pick(rng, &[PoolKind::Max, PoolKind::Average]);
        let small = [1 + below(rng, 4), 1 + below(rng, 4)];
        let long = [height, 1 + below(rng, width)];
        let window = pick(rng, &[[2, 2], small, long]);
        let sliding = PoolParams::new(kind, window)
            .with_stride([pick(rng, &[window[0], 1, 2]), pick(rng, &[window[1], 1, 3])])
            .with_ceil_mode(rng.bits() & 3 == 0)
            .with_count_include_pad(rng.bits() & 1 == 0);
        let adaptive = [1 + below(rng, height + 2), 1 + below(rng, width + 2)];
        let params = match (below(rng, 8), kind) {
            (0, PoolKind::Max) => PoolParams::adaptive_max(adaptive),
            (0, PoolKind::Average) => PoolParams::adaptive_average(adaptive),
            (1, PoolKind::Max) => PoolParams::global_max(),
            (1, PoolKind::Average) => PoolParams::global_average(),
            (2, _) => PoolParams::new(kind, [2, 2]),
            // Maxima of nothing but padding are infinite, and so would be what follows.
            (3, PoolKind::Max) => sliding.with_dilation([2, 2]),
            (4, PoolKind::Max) => {
                sliding.with_padding_rule(pick(rng, &[Padding::SameUpper, Padding::SameLower, Padding::Full]))
            }
            (_, PoolKind::Max) => sliding.with_padding(window.map(|size| below(rng, size / 2 + 1))),
            (3, PoolKind::Average) => sliding.with_dilation([2, 2]).with_padding_rule(padding(rng, 5)),
            (4, PoolKind::Average) => sliding.with_divisor_override(1 + below(rng, 9)),
            (_, PoolKind::Average) => sliding.with_padding_rule(padding(rng, 3)),
        };
        if let Ok(plan) = params.plan(1, channels, [height, width])
            && plan.output_len() <= MOST_VALUES
        {
            let [height, width] = plan.output_dims();
            return (Layer::Pool(params), [channels, height, width]);
        }
    }
}

/// A layer that takes this shape, which becomes that of its output.
fn layer(rng: &mut Rng, shape: &mut Shape) -> Layer {
    let Shape { dims, is_flat } = *shape;
    match (below(rng, 10), is_flat) {
        (0..6, true) => {
            let outputs = pick(rng, &[1, 2, 5, 7, 17, 40]);
            shape.dims = [outputs, 1, 1];
            let linear = LinearParams::new(dims[0], outputs).with_bias(rng.bits() & 1 == 0);
            Layer::Linear(linear.with_activation(own_activation(rng)))
        }
        (0..4, false) => {
            let (layer, dims) = conv(rng, dims);
            shape.dims = dims;
            layer
        }
        (4..7, false) => {
            let (layer, dims) = pool(rng, dims);
            shape.dims = dims;
            layer
        }
        (7, _) => {
            *shape = Shape { dims: [dims.iter().product(), 1, 1], is_flat: true };
            Layer::Flatten
        }
        _ => Layer::Activation(activation(rng)),
    }
}

/// A network of at most so many layers, and the size of its input.
pub(crate) fn network(seed: u64, layers: usize) -> ([Layer; LAYERS], [usize; 3]) {
    let mut rng = Rng::new(seed);
    let dims = [1 + below(&mut rng, 4), 1 + below(&mut rng, 12), pick(&mut rng, &[1, 2, 5, 9, 16, 33])];
    let mut shape = Shape { dims, is_flat: false };
    let mut network = [Layer::Flatten; LAYERS];
    network[..layers].fill_with(|| layer(&mut rng, &mut shape));
    if network.iter().all(|layer| matches!(layer, Layer::Flatten)) {
        network[0] = Layer::Activation(Activation::Tanh);
    }
    (network, dims)
}

/// Output and gradients within the bound, and every bit the same for packed weights, other scratches, and images one
/// by one or interleaved.
#[test]
fn random_networks_are_their_definition() {
    let batch =
        prop_oneof![Just(1), Just(2), Just(7), Just(8), Just(9), Just(16), Just(19), Just(33), Just(53)];
    let [interleaved, compared] = [const { Cell::new(0) }; 2];
    let count = |counter: &Cell<u32>, counts: bool| counter.set(counter.get() + u32::from(counts));
    let all = for_all(cases(150), (1..=LAYERS, batch, any::<u64>()), |(layers, batch, seed)| {
        let (layers, dims) = network(seed, layers);
        let network = Network::plan(layers, batch, dims).unwrap();
        let (params, input) = (parameters(&network), uniform(2, network.input_len()));
        let grad_output = uniform(9, network.output_len());
        let reference = reference::run(&layers, dims, &params, &input, &grad_output);
        // Where rounding may choose another maximum, the gradient goes another way.
        let is_clear = reference.margin > TOLERANCE;
        count(&compared, is_clear);
        for isa in Isa::available() {
            let network = network.with_isa(isa);
            let [workspace, grads] = step(&network, &params, &input, 5);
            count(&interleaved, network.layer_output(0, &workspace).is_none() && batch > 7);
            let within = |sum: &Sum| TOLERANCE * sum.magnitude;
            if let Some(output) = network.layer_output(LAYERS - 1, &workspace) {
                bound::check_each(output, &reference.output, within).unwrap();
            }
            if is_clear {
                bound::check_each(&grads, &reference.grads, within).unwrap();
            }
        }
        // Such a layer, where it is alone, takes the set that it detects.
        let is_smooth =
            |layer: &_| matches!(layer, Layer::Activation(Activation::Sigmoid | Activation::Tanh));
        if layers.iter().any(is_smooth) {
            check_bits_under([Isa::detect()].into_iter(), layers, dims, batch);
        } else {
            check_bits_under(Isa::available(), layers, dims, batch);
        }
    });
    assert!(compared.get() > all / 2, "{} of {all} gradients compared", compared.get());
    assert!(interleaved.get() > all / 4, "{} of {all} interleaved", interleaved.get());
}

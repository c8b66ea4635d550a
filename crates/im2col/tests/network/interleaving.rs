//! Networks that interleave images: by themselves, or told to.

use super::*;
use std::time::{Duration, Instant};

/// Gradients of interleaved images are the sums of those of single images.
fn check_interleaved<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], batch: usize) {
    for isa in Isa::available() {
        let network = Network::plan(layers, batch, input_dims).unwrap().with_isa(isa);
        let single = Network::plan(layers, 1, input_dims).unwrap().with_isa(isa);
        let (params, input) = (parameters(&network), uniform(2, network.input_len()));
        let [_, grads] = step(&network, &params, &input, 7);
        assert!(network.is_training_interleaved());

        let grad_output = uniform(9, network.output_len());
        let mut expected = vec![0.0; network.param_len()];
        let images = input.chunks(single.input_len()).zip(grad_output.chunks(single.output_len()));
        for (image, grad_output) in images {
            let mut workspace = garbage(3, single.workspace_len());
            let mut scratch = garbage(4, single.train_scratch_len());
            let mut part = garbage(5, single.param_len());
            let weights = NetworkWeights::Plain(&params);
            single.forward_train(weights, image, &mut workspace, &mut scratch).unwrap();
            single.backward(&params, image, &workspace, grad_output, &mut part, &mut scratch).unwrap();
            expected.iter_mut().zip(part).for_each(|(sum, part)| *sum += f64::from(part));
        }
        for parameter in network.parameters() {
            assert_close(&grads[parameter.range.clone()], &expected[parameter.range]);
        }
    }
}

#[test]
fn interleaved_images_have_the_gradients_of_single_ones() {
    for batch in [19, 53] {
        for_each_network!(check_interleaved, batch);
    }
}

/// A workspace may lie elsewhere in the backward pass: in a copy, or read from a file.
#[test]
fn a_workspace_may_move_between_the_passes() {
    fn check<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], batch: usize) {
        let network = Network::plan(layers, batch, input_dims).unwrap();
        let (params, input) = (parameters(&network), uniform(2, network.input_len()));
        let grad_output = uniform(9, network.output_len());
        let len = network.workspace_len();
        let mut scratch = vec![0.0; network.train_scratch_len()];
        let mut workspace = garbage(1, len);
        let weights = NetworkWeights::Plain(&params);
        network.forward_train(weights, &input, &mut workspace, &mut scratch).unwrap();
        let mut gradients = |workspace: &[f32]| {
            let mut grads = garbage(2, network.param_len());
            network.backward(&params, &input, workspace, &grad_output, &mut grads, &mut scratch).unwrap();
            bits(&grads)
        };
        let expected = gradients(&workspace);
        // Every place in a cache line but one is another than before.
        for place in 0..16 {
            let mut moved = garbage(3, len + 16);
            moved[place..][..len].copy_from_slice(&workspace);
            assert!(gradients(&moved[place..][..len]) == expected, "moved to {place}, {batch} images");
        }
    }
    for batch in [1, 19, 53] {
        check(LENET, [1, 28, 28], batch);
        check(ODD, ODD_INPUT, batch);
        check(FLAT, ODD_INPUT, batch);
    }
}

/// Whether images are interleaved depends on the layers, not on how many there are from eight on.
#[test]
fn large_batches_are_interleaved_like_small_ones() {
    fn check<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], layer: usize) {
        for batch in [8, 16, 31, 32, 53] {
            let network = Network::plan(layers, batch, input_dims).unwrap();
            assert!(network.layer_output(layer, &vec![0.0; network.workspace_len()]).is_none(), "{batch}");
            assert!(network.is_interleaved() && network.is_training_interleaved(), "{batch}");
        }
    }
    let wide =
        [Layer::Flatten, Layer::Linear(LinearParams::new(12_288, 8)), Layer::Linear(LinearParams::new(8, 3))];
    check(wide, [3, 64, 64], 1);
    let line = [
        Layer::Conv(ConvParams::new(1, 32, [1, 5]).with_padding([0, 2])),
        Layer::Activation(Activation::Relu),
        Layer::Pool(PoolParams::max([1, 2])),
        Layer::Flatten,
        Layer::Linear(LinearParams::new(4096, 10)),
    ];
    check(line, [1, 1, 256], 0);
}

/// A pool between convolutions, and no fully connected layer at all.
#[test]
fn networks_without_a_linear_layer() {
    let average = [
        Layer::Conv(ConvParams::new(2, 5, [2, 2]).with_activation(Activation::Sigmoid)),
        Layer::Pool(PoolParams::average([2, 2])),
        Layer::Conv(ConvParams::new(5, 3, [2, 3])),
    ];
    for batch in [19, 53] {
        check_bits(average, [2, 8, 10], batch);
        check_interleaved(average, [2, 8, 10], batch);
    }
}

/// The gradient of an input takes as long as its stride is large, not as the square of it.
#[test]
fn a_long_stride_takes_no_longer_in_a_large_batch() {
    const WIDTH: usize = 8000;
    fn least_time(batch: usize, kernel: usize, stride: usize) -> Duration {
        let conv = ConvParams::new(1, 1, [1, kernel]).with_stride([1, stride]);
        let layers = [Layer::Conv(ConvParams::new(1, 1, [1, 1])), Layer::Conv(conv)];
        let network = Network::plan(layers, batch, [1, 1, WIDTH]).unwrap();
        let (params, input) = (parameters(&network), uniform(2, network.input_len()));
        let time = |seed| {
            let start = Instant::now();
            step(&network, &params, &input, seed);
            start.elapsed()
        };
        (0..3).map(time).min().unwrap()
    }
    for (kernel, stride) in [(1, WIDTH), (1, WIDTH - 1), (WIDTH / 2, WIDTH / 2)] {
        let [few, many] = [7, 16].map(|batch| least_time(batch, kernel, stride));
        assert!(many < 100 * few, "kernel {kernel}, stride {stride}: {few:?}, then {many:?}");
    }
}

fn check_told<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], batch: usize) {
    for isa in Isa::available() {
        let network = Network::plan(layers, batch, input_dims).unwrap().with_isa(isa);
        let (params, input) = (parameters(&network), uniform(2, network.input_len()));
        let [single, interleaved] = [false, true].map(|is| network.with_interleaving(is).unwrap());
        assert!(
            !single.is_interleaved() && !single.is_training_interleaved() && single.reads_packed_weights()
        );
        assert!(interleaved.is_interleaved() && interleaved.is_training_interleaved());
        // These are long to print.
        assert!([single, interleaved].contains(&network));
        assert!(single.with_interleaving(true) == Ok(interleaved));
        assert!(interleaved.with_interleaving(false) == Ok(single));

        let weights = NetworkWeights::Plain(&params);
        let outputs = [single, interleaved]
            .map(|network| bits(&infer(&network, weights, &input, garbage(1, network.scratch_len()))));
        assert_eq!(outputs[0], outputs[1]);
        let [[of_single, grads], [of_interleaved, interleaved_grads]] =
            [single, interleaved].map(|network| step(&network, &params, &input, 3));
        assert_eq!(bits(single.layer_output(L - 1, &of_single).unwrap()), outputs[0]);
        assert_eq!(bits(interleaved.layer_output(L - 1, &of_interleaved).unwrap()), outputs[0]);
        let expected: Vec<f64> = grads.iter().copied().map(f64::from).collect();
        for parameter in network.parameters() {
            assert_close(&interleaved_grads[parameter.range.clone()], &expected[parameter.range]);
        }
    }
}

#[test]
fn batches_of_any_size_can_be_interleaved_or_not() {
    for batch in [1, 2, 7, 8, 19] {
        for_each_network!(check_told, batch);
    }
}

/// More parameters than a plan interleaves by itself.
#[test]
fn networks_of_many_parameters_can_be_interleaved() {
    let layers = [
        Layer::Conv(ConvParams::new(3, 8, [3, 3]).with_padding([1, 1])),
        Layer::Activation(Activation::Relu),
        Layer::Pool(PoolParams::max([2, 2])),
        Layer::Flatten,
        Layer::Linear(LinearParams::new(8 * 16 * 16, 100)),
    ];
    assert!(!Network::plan(layers, 9, [3, 32, 32]).unwrap().is_interleaved());
    check_told(layers, [3, 32, 32], 9);
}

#[test]
fn limits_hold_for_interleaved_images() {
    let network = Network::plan(LENET, 4, [1, 28, 28]).unwrap();
    let interleaved = network.with_interleaving(true).unwrap();
    let (len, train_len) = (interleaved.scratch_len() - 1, interleaved.train_scratch_len() - 1);
    let limited = interleaved.with_scratch_limit(len).unwrap();
    assert!(!limited.is_interleaved() && limited.is_training_interleaved() && limited.scratch_len() <= len);
    assert_eq!(network.with_scratch_limit(len).unwrap().with_interleaving(true), Ok(limited));
    let limited = interleaved.with_train_scratch_limit(train_len).unwrap();
    assert!(limited.is_interleaved() && !limited.is_training_interleaved());
    assert!(limited.train_scratch_len() <= train_len);
    assert_eq!(network.with_train_scratch_limit(train_len).unwrap().with_interleaving(true), Ok(limited));
}

#[test]
fn what_cannot_be_interleaved_is_an_error() {
    let (option, operation) = ("interleaving", "a network without images or parameters");
    let inapplicable = ShapeError::Inapplicable { option, operation };
    let network = Network::plan(LENET, 0, [1, 28, 28]).unwrap();
    assert_eq!(network.with_interleaving(true), Err(inapplicable));
    assert_eq!(network.with_interleaving(false), Ok(network));
    let network = Network::plan([Layer::Pool(PoolParams::max([2, 2]))], 20, [1, 4, 4]).unwrap();
    assert_eq!(network.with_interleaving(true), Err(inapplicable));
    // Whole lines are summed in one chain: of long ones the gradients would have no bound.
    let layers = [Layer::Conv(ConvParams::new(1, 1, [1, 3])), Layer::Activation(Activation::Relu)];
    let network = Network::plan(layers, 20, [1, 1, 8_000]).unwrap();
    assert!(network.with_interleaving(true).unwrap().is_training_interleaved());
    let network = Network::plan(layers, 20, [1, 1, 9_000]).unwrap();
    let operation = "more than 16,384 values of an image";
    assert_eq!(network.with_interleaving(true), Err(ShapeError::Inapplicable { option, operation }));
}

//! Networks that are told to interleave images, or not to.

use super::*;

fn check<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], batch: usize) {
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
        check(LENET, [1, 28, 28], batch);
        check(LENET_RELU, [1, 28, 28], batch);
        check(ODD, ODD_INPUT, batch);
        check(FLAT, ODD_INPUT, batch);
        check(WINDOWS, WINDOWS_INPUT, batch);
        check(POOLED, POOLED_INPUT, batch);
        check(POOL_FIRST, ODD_INPUT, batch);
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
    check(layers, [3, 32, 32], 9);
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

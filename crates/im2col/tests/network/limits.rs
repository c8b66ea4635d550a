//! Networks under a limit of scratch: it is kept, and changes no value.

use super::*;

/// Limits around `least` and `full`, and at random up to it.
fn limits(least: usize, full: usize) -> Vec<usize> {
    let mut rng = Rng::new(full as u64);
    let random = std::iter::repeat_with(move || (rng.bits() % (full as u64 + 1)) as usize);
    random
        .take(6)
        .chain([
            0,
            least.saturating_sub(1),
            least,
            least + 1,
            full / 2,
            full.saturating_sub(1),
            full,
            usize::MAX,
        ])
        .collect()
}

/// Equal values: zeros may differ in sign.
#[track_caller]
fn assert_equal(given: &[f32], expected: &[f32], what: impl std::fmt::Debug) {
    assert_eq!(given.len(), expected.len());
    let differs = given.iter().zip(expected).position(|(given, expected)| given != expected);
    assert_eq!(differs, None, "{what:?}");
}

/// A limit that is too small names the least that is enough.
fn least_of<const L: usize>(
    limited: Result<Network<L>, ShapeError>,
    limit: usize,
    again: impl Fn(usize) -> Result<Network<L>, ShapeError>,
) -> Option<Network<L>> {
    match limited {
        Ok(network) => Some(network),
        Err(ShapeError::ScratchLimit { least, limit: given }) => {
            assert!(given == limit && limit < least, "{limit} {least}");
            assert!(again(least).is_ok() && again(least - 1).is_err());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn inference<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], batch: usize) {
    for isa in Isa::available() {
        let network = Network::plan(layers, batch, input_dims).unwrap().with_isa(isa);
        let (params, input) = (parameters(&network), uniform(2, network.input_len()));
        let plain = NetworkWeights::Plain(&params);
        let expected = infer(&network, plain, &input, garbage(1, network.scratch_len()));
        let mut served = 0;
        for limit in limits(network.least_scratch_len(), network.scratch_len()) {
            let again = |limit| network.with_scratch_limit(limit);
            let Some(limited) = least_of(again(limit), limit, again) else { continue };
            assert!(limited.scratch_len() <= limit);
            assert!(limit < network.scratch_len() || limited.scratch_len() == network.scratch_len());
            assert_eq!(limited.train_scratch_len(), network.train_scratch_len());
            let output = infer(&limited, plain, &input, garbage(2, limited.scratch_len()));
            assert_equal(&output, &expected, (limit, isa));
            let mut packed = garbage(3, limited.packed_weight_len());
            let packed = limited.pack_weights(&params, &mut packed).unwrap();
            let packed = NetworkWeights::Packed { params: &params, packed };
            let output = infer(&limited, packed, &input, garbage(4, limited.scratch_len()));
            assert_equal(&output, &expected, ("packed", limit, isa));
            // Training has a limit of its own, and takes the weights that were packed for inference, or plain ones.
            let mut workspace = garbage(5, limited.workspace_len());
            let mut scratch = garbage(6, limited.train_scratch_len());
            limited.forward_train(packed, &input, &mut workspace, &mut scratch).unwrap();
            assert_equal(
                limited.layer_output(L - 1, &workspace).unwrap(),
                &expected,
                ("training", limit, isa),
            );
            served += 1;
        }
        assert!(served >= 4);
    }
}

fn training<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], batch: usize) {
    for isa in Isa::available() {
        let network = Network::plan(layers, batch, input_dims).unwrap().with_isa(isa);
        let (params, input) = (parameters(&network), uniform(2, network.input_len()));
        let [workspace, grads] = step(&network, &params, &input, 7);
        let output = network.layer_output(L - 1, &workspace).unwrap();
        // Whether images are interleaved, which decides the order of the sums.
        let is_as_planned = |limited: &Network<L>| limited.workspace_len() == network.workspace_len();
        let mut one_by_one: Option<Vec<f32>> = None;
        let mut served = 0;
        for limit in limits(network.least_train_scratch_len(), network.train_scratch_len()) {
            let again = |limit| network.with_train_scratch_limit(limit);
            let Some(limited) = least_of(again(limit), limit, again) else { continue };
            assert!(limited.train_scratch_len() <= limit);
            assert_eq!(limited.scratch_len(), network.scratch_len());
            assert!(
                limit < network.train_scratch_len() || limited.workspace_len() == network.workspace_len()
            );
            assert_eq!(limited.with_train_scratch_limit(usize::MAX), Ok(network));
            let [limited_workspace, limited_grads] = step(&limited, &params, &input, 9);
            assert_equal(limited.layer_output(L - 1, &limited_workspace).unwrap(), output, (limit, isa));
            if is_as_planned(&limited) {
                assert_equal(&limited_grads, &grads, (limit, isa));
            } else {
                let expected: Vec<f64> = grads.iter().copied().map(f64::from).collect();
                for parameter in network.parameters() {
                    assert_close(&limited_grads[parameter.range.clone()], &expected[parameter.range]);
                }
                let first = one_by_one.get_or_insert_with(|| limited_grads.clone());
                assert_equal(&limited_grads, first, (limit, isa));
            }
            served += 1;
        }
        assert!(served >= 4);
    }
}

#[test]
fn limits_of_scratch_are_kept() {
    for batch in [1, 5, 19] {
        for_each_network!(inference, batch);
    }
}

#[test]
fn limits_of_training_are_kept() {
    for batch in [1, 5, 8, 19] {
        for_each_network!(training, batch);
    }
}

/// A training step of one image gives the same bits in the least memory, for any values.
#[test]
fn the_least_memory_of_training_changes_no_bit() {
    fn check<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], seed: u64) {
        for isa in Isa::available() {
            let network = Network::plan(layers, 1, input_dims).unwrap().with_isa(isa);
            let least = network.least_train_scratch_len();
            let limited = network.with_train_scratch_limit(least).unwrap();
            assert_eq!(limited.train_scratch_len(), least);
            assert_eq!(limited.workspace_len(), network.workspace_len());
            let (params, input) = (parameters(&network), uniform(seed, network.input_len()));
            let expected = step(&network, &params, &input, seed).map(|values| bits(&values));
            let given = step(&limited, &params, &input, seed).map(|values| bits(&values));
            for (what, (given, expected)) in
                ["workspace", "gradients"].iter().zip(given.iter().zip(&expected))
            {
                let differs = given.iter().zip(expected).position(|(given, expected)| given != expected);
                assert_eq!(differs, None, "{what}, seed {seed}, {isa:?}");
            }
        }
    }
    for_all(cases(8), 0..u64::MAX / 2, |seed| for_each_network!(check, seed));
}

/// Limits are the least ones where lengths come close to the largest `usize`, for no image as well.
#[test]
fn least_limits_of_huge_networks() {
    fn check<const L: usize>(network: Network<L>) {
        let least = network.least_scratch_len();
        assert!(network.with_scratch_limit(least).unwrap().scratch_len() <= least);
        if let Some(limit) = least.checked_sub(1) {
            assert_eq!(network.with_scratch_limit(limit), Err(ShapeError::ScratchLimit { least, limit }));
        }
        let least = network.least_train_scratch_len();
        assert!(network.with_train_scratch_limit(least).unwrap().train_scratch_len() <= least);
        if let Some(limit) = least.checked_sub(1) {
            assert_eq!(
                network.with_train_scratch_limit(limit),
                Err(ShapeError::ScratchLimit { least, limit })
            );
        }
    }
    let conv = Layer::Conv(ConvParams::new(1, 1, [1, 1]));
    let pool = Layer::Pool(PoolParams::max([2, 2]));
    let sigmoid = Layer::Activation(Activation::Sigmoid);
    let mut longest = 0;
    for batch in [0, 1, 3, 1 << 10] {
        for sizes in 0..=usize::BITS {
            let [height, width] = [sizes / 2, sizes.div_ceil(2)].map(|log2| ((1 << log2) - 1).max(2));
            let dims = [1, height, width];
            if let Ok(network) = Network::plan([conv, sigmoid, pool], batch, dims) {
                longest = longest.max(network.input_len());
                check(network);
            }
            for layers in [[pool, conv, pool, conv], [conv, pool, conv, sigmoid], [conv, conv, sigmoid, pool]]
            {
                if let Ok(network) = Network::plan(layers, batch, dims) {
                    check(network);
                }
            }
            let [huge, tiny] =
                [[height, width], [4, 4]].map(|dims| Layer::Pool(PoolParams::adaptive_average(dims)));
            if let Ok(network) = Network::plan([huge, tiny, conv, pool, huge, tiny, conv], batch, [1, 4, 4]) {
                check(network);
            }
        }
    }
    assert!(longest > usize::MAX / 64, "{longest}");
}

/// A plan is what all calls together say, and of one kind the last.
#[test]
fn requests_in_any_order() {
    let network = Network::plan(LENET, 100, [1, 28, 28]).unwrap();
    let least = |result: Result<Network<12>, ShapeError>| match result {
        Err(ShapeError::ScratchLimit { least, .. }) => least,
        other => panic!("{other:?}"),
    };
    let inference = least(network.with_scratch_limit(0));
    let training = least(network.with_train_scratch_limit(0));
    for (inference, training) in [
        (inference, training),
        (inference + 9_000, training + 9_000),
        (network.scratch_len() - 1, training.max(network.train_scratch_len() - 1)),
        (3 * network.scratch_len(), network.train_scratch_len()),
    ] {
        let scratch = |network: Network<12>| network.with_scratch_limit(inference).unwrap();
        let train = |network: Network<12>| network.with_train_scratch_limit(training).unwrap();
        let isa = |network: Network<12>| network.with_isa(Isa::SCALAR);
        #[cfg(feature = "rayon")]
        let threads = |network: Network<12>| network.with_threads(4);
        #[cfg(not(feature = "rayon"))]
        let threads = |network: Network<12>| network;
        let expected = threads(isa(train(scratch(network))));
        assert!(expected.scratch_len() <= inference && expected.train_scratch_len() <= training);
        assert_eq!(scratch(train(isa(threads(network)))), expected);
        assert_eq!(isa(threads(scratch(train(network)))), expected);
        assert_eq!(train(threads(scratch(isa(network)))), expected);
        // What was said before of the same kind does not count.
        let smaller = network.with_scratch_limit(inference + 1).unwrap();
        assert_eq!(threads(isa(train(scratch(smaller)))), expected);
    }
    let unlimited = network.with_scratch_limit(20_000).unwrap().with_scratch_limit(usize::MAX);
    assert_eq!(unlimited, Ok(network));
    let error = network.with_scratch_limit(1).unwrap_err();
    assert_eq!(error, ShapeError::ScratchLimit { least: inference, limit: 1 });
    let message = format!("a limit of 1 values of scratch is less than the {inference} that layers hand on");
    assert_eq!(error.to_string(), message);
}

/// As many threads as have room for a scratch each.
#[cfg(feature = "rayon")]
#[test]
fn threads_share_the_limit() {
    let network = Network::plan(LENET, 100, [1, 28, 28]).unwrap();
    let len = network.scratch_len();
    for (threads, limit, expected) in [(4, 4 * len, 4), (4, 3 * len, 3), (4, 2 * len - 1, 1), (2, 9 * len, 2)]
    {
        let limited = network.with_threads(threads).with_scratch_limit(limit).unwrap();
        assert_eq!(limited.scratch_len(), expected * len);
    }
}

/// Some images at a time, of which six are a larger block than those of 20 are.
#[test]
fn a_shard_takes_no_more_scratch_than_the_batch() {
    let conv = ConvParams::new(14, 16, [3, 3]).with_padding([1, 1]);
    let layers = [Layer::Conv(conv), Layer::Pool(PoolParams::max([2, 2]))];
    for batch in 1..=20 {
        let network = Network::plan(layers, batch, [14, 25, 25]).unwrap();
        let one = Network::plan(layers, 1, [14, 25, 25]).unwrap();
        let (params, input) = (parameters(&network), uniform(2, network.input_len()));
        let plain = NetworkWeights::Plain(&params);
        let output = infer(&network, plain, &input, garbage(1, network.scratch_len()));
        let mut expected = Vec::new();
        for image in input.chunks(one.input_len()) {
            expected.extend(infer(&one, plain, image, garbage(1, one.scratch_len())));
        }
        assert_equal(&output, &expected, batch);
    }
}

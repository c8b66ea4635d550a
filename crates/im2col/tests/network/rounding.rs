//! Networks whose convolutions may be rounded in another order: near the ordered ones, and those again when asked.

use super::*;
use im2col::Rounding;

/// Two convolutions of 3x3, the second of which Winograd's algorithm computes faster.
const CNN: [Layer; 7] = [
    Layer::Conv(ConvParams::new(3, 32, [3, 3]).with_padding([1, 1])),
    Layer::Activation(Activation::Relu),
    Layer::Pool(PoolParams::max([2, 2])),
    Layer::Conv(ConvParams::new(32, 64, [3, 3]).with_padding([1, 1]).with_activation(Activation::Relu)),
    Layer::Pool(PoolParams::max([2, 2])),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(64 * 8 * 8, 10)),
];
const INPUT: [usize; 3] = [3, 32, 32];

/// Largest difference, relative to the largest value.
fn difference(given: &[f32], expected: &[f32]) -> f32 {
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, |a: f32, b| a.max(b.abs()));
    let differences = &mut given.iter().zip(expected).map(|(a, b)| a - b);
    largest(differences) / largest(&mut expected.iter().copied())
}

#[test]
fn any_order_is_near_the_ordered_one() {
    for batch in [1, 5] {
        for isa in Isa::available() {
            let ordered = Network::plan(CNN, batch, INPUT).unwrap().with_isa(isa);
            let any = ordered.with_rounding(Rounding::Any).unwrap();
            assert!(any.packed_weight_len() > ordered.packed_weight_len(), "no layer by Winograd");
            assert_eq!(any.with_rounding(Rounding::Ordered), Ok(ordered));
            let (params, input) = (parameters(&ordered), uniform(2, ordered.input_len()));
            let plain = NetworkWeights::Plain(&params);
            let expected = infer(&ordered, plain, &input, garbage(1, ordered.scratch_len()));
            let output = infer(&any, plain, &input, garbage(2, any.scratch_len()));
            let apart = difference(&output, &expected);
            assert!(apart > 0.0 && apart < 1e-5, "{apart}");

            let mut panels = garbage(3, any.packed_weight_len());
            let packed = any.pack_weights(&params, &mut panels).unwrap();
            let packed = NetworkWeights::Packed { params: &params, packed };
            let of_packed = infer(&any, packed, &input, garbage(4, any.scratch_len()));
            assert!(bits(&of_packed) == bits(&output), "packed");
            // Panels of another algorithm are left alone, as are all where the least memory is taken.
            let least = ordered.with_scratch_limit(ordered.least_scratch_len()).unwrap();
            let of_least = infer(&least, packed, &input, garbage(5, least.scratch_len()));
            assert!(bits(&of_least) == bits(&expected), "packed for more memory");
            let of_other = infer(&ordered, packed, &input, garbage(5, ordered.scratch_len()));
            assert!(bits(&of_other) == bits(&expected), "packed for another rounding");
            let of_one =
                Network::plan(CNN, 1, INPUT).unwrap().with_isa(isa).with_rounding(Rounding::Any).unwrap();
            let of_one = infer(
                &of_one,
                packed,
                &input[..ordered.input_len() / batch],
                garbage(5, of_one.scratch_len()),
            );
            let apart = difference(&of_one, &expected[..expected.len() / batch]);
            assert!(apart < 1e-5, "packed for another batch: {apart}");

            let [workspace, grads] = step(&any, &params, &input, 6);
            assert!(any.layer_output(CNN.len() - 1, &workspace) == Some(&*output), "training");
            let [_, expected] = step(&ordered, &params, &input, 7);
            let apart = difference(&grads, &expected);
            assert!(apart > 0.0 && apart < 1e-4, "{apart}");
        }
    }
}

/// The compiler packs no weights for Winograd's algorithm, and says of which layer; for other algorithms it packs what the
/// program would, whatever the rounding.
#[test]
fn the_compiler_packs_for_ordered_sums() {
    const CONV: Layer = Layer::Conv(ConvParams::new(64, 64, [3, 3]).with_padding([1, 1]));
    const LAYERS: [Layer; 2] = [Layer::Activation(Activation::Relu), CONV];
    const BY_WINOGRAD: Network<2> =
        planned!(planned!(Network::plan(LAYERS, 1, [64, 32, 32])).with_rounding(Rounding::Any));
    let error = BY_WINOGRAD
        .packed::<{ BY_WINOGRAD.packed_weight_len() }>(&parameters(&BY_WINOGRAD))
        .expect_err("Winograd's weights are transformed when the program runs");
    assert_eq!(error.to_string(), "layer 1: packing by the compiler does not apply to Winograd");

    const SMALL: Network<2> =
        planned!(planned!(Network::plan(LAYERS, 1, [64, 3, 3])).with_rounding(Rounding::Any));
    let params = parameters(&SMALL);
    let packed = SMALL.packed::<{ SMALL.packed_weight_len() }>(&params).unwrap();
    let input = uniform(3, SMALL.input_len());
    let given =
        infer(&SMALL, SMALL.weights(&params, &packed).unwrap(), &input, garbage(1, SMALL.scratch_len()));
    let expected = infer(&SMALL, NetworkWeights::Plain(&params), &input, garbage(2, SMALL.scratch_len()));
    assert!(bits(&given) == bits(&expected));
}

/// Without room for Winograd's algorithm a limited plan is the ordered one's.
#[test]
fn limits_come_first() {
    let ordered = Network::plan(CNN, 2, INPUT).unwrap();
    for limit in [ordered.least_scratch_len(), ordered.scratch_len()] {
        let any = ordered.with_rounding(Rounding::Any).unwrap().with_scratch_limit(limit).unwrap();
        assert!(any.scratch_len() <= limit);
        assert_eq!(ordered.with_scratch_limit(limit).unwrap().with_rounding(Rounding::Any), Ok(any));
        let expected = ordered.with_scratch_limit(limit).unwrap();
        assert_eq!(any.packed_weight_len(), expected.packed_weight_len());
        let (params, input) = (parameters(&ordered), uniform(2, ordered.input_len()));
        let plain = NetworkWeights::Plain(&params);
        let output = infer(&any, plain, &input, garbage(1, any.scratch_len()));
        let expected = infer(&expected, plain, &input, garbage(2, expected.scratch_len()));
        assert!(bits(&output) == bits(&expected), "{limit}");
    }
}

/// Interleaved images are computed as they were.
#[test]
fn interleaved_images_are_as_they_were() {
    let ordered = Network::plan(LENET, 32, [1, 28, 28]).unwrap();
    let any = ordered.with_rounding(Rounding::Any).unwrap();
    assert_eq!((any.scratch_len(), any.workspace_len()), (ordered.scratch_len(), ordered.workspace_len()));
    assert!(any.is_interleaved() && any.is_training_interleaved());
}

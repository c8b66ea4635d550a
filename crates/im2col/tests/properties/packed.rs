//! Weights that the compiler packs.

use crate::plans::Operands;
use im2col::lenet::LENET;
use im2col::{
    Algorithm, ConvOperands, ConvParams, ConvPlan, LinearOperands, LinearParams, LinearPlan, Network,
    ShapeError, Weights, planned,
};
use im2col_testkit::operands::{garbage, reals};
use im2col_testkit::oracle::{ConvCase, Mode};

const CONV: ConvPlan<2> = planned!(ConvParams::new(9, 51, [3, 2]).with_groups(3).plan(2, [8, 7]));
const LINEAR: LinearPlan = planned!(LinearParams::new(37, 21).plan(3));

/// Groups whose channels fill no panel, and a depth that fills no vector.
#[test]
fn convolutions_have_the_bits_of_plain_weights() {
    let case = ConvCase {
        batch: 2,
        in_channels: 9,
        out_channels: 51,
        groups: 3,
        input: [1, 8, 7],
        kernel: [1, 3, 2],
        stride: [1; 3],
        padding: [[0; 2]; 3],
        mode: Mode::Zeros,
        dilation: [1; 3],
    };
    let operands = Operands::reals(&case, 1);
    let packed = CONV.packed::<{ CONV.packed_weight_len() }>(&operands.weight).unwrap();
    let [plain, packed] =
        [Weights::Plain(&operands.weight), Weights::Packed(packed.weights())].map(|weight| {
            let mut output = garbage(2, CONV.output_len());
            let given = ConvOperands { input: &operands.input, weight, bias: &[0.5; 51] };
            CONV.forward(given, &mut output, &mut garbage(3, CONV.scratch_len())).unwrap();
            output
        });
    assert_eq!(packed, plain);
}

#[test]
fn linear_layers_have_the_bits_of_plain_weights() {
    let (input, weight, bias) = (reals(1, 3 * 37), reals(2, 21 * 37), reals(3, 21));
    let packed = LINEAR.packed::<{ LINEAR.packed_weight_len() }>(&weight).unwrap();
    let [plain, packed] = [Weights::Plain(&weight), Weights::Packed(packed.weights())].map(|weight| {
        let mut output = garbage(4, LINEAR.output_len());
        let given = LinearOperands { input: &input, weight, bias: &bias };
        LINEAR.forward(given, &mut output, &mut garbage(5, LINEAR.scratch_len())).unwrap();
        output
    });
    assert_eq!(packed, plain);
}

#[test]
fn lengths_are_checked() {
    let length = |operand, required, given| ShapeError::Length { operand, required, given };
    let [weight_len, len] = [LINEAR.weight_len(), LINEAR.packed_weight_len()];
    let error = LINEAR.packed::<7>(&vec![0.0; weight_len]).unwrap_err();
    assert_eq!(error, length("packed", len, 7));
    let error = LINEAR.packed::<{ LINEAR.packed_weight_len() }>(&[]).unwrap_err();
    assert_eq!(error, length("weight", weight_len, 0));
    let error = CONV.packed::<{ CONV.packed_weight_len() }>(&[0.0; 5]).unwrap_err();
    assert_eq!(error, length("weight", CONV.weight_len(), 5));

    let winograd = ConvParams::new(2, 2, [3, 3]).plan(1, [9, 9]).unwrap();
    let winograd = winograd.with_algorithm(Algorithm::Winograd).unwrap();
    let error = winograd.packed::<1>(&[0.0; 36]).unwrap_err();
    assert_eq!(error.to_string(), "packing by the compiler does not apply to Winograd");

    let network = Network::plan(LENET, 1, [1, 28, 28]).unwrap();
    let error = network.packed::<3>(&vec![0.0; network.param_len()]).unwrap_err();
    assert_eq!(error, length("packed", network.packed_weight_len(), 3));
    assert_eq!(network.packed::<3>(&[]).unwrap_err(), length("params", network.param_len(), 0));
    // In the least memory nothing is packed.
    let small = network.with_scratch_limit(network.least_scratch_len()).unwrap();
    let params = vec![0.01; small.param_len()];
    let packed = small.packed::<0>(&params).unwrap();
    let mut logits = [0.0; 10];
    let weights = small.weights(&params, &packed).unwrap();
    small.forward(weights, &[1.0; 784], &mut logits, &mut vec![0.0; small.scratch_len()]).unwrap();
    assert!(network.weights(&params, &packed).is_err());
}

//! A wrong length is an error that names the operand, and the output stays as it was.

use im2col::{
    Algorithm, ConvOperands, ConvParams, LinearOperands, LinearParams, PoolParams, RunError, ShapeError,
    Weights, naive,
};

const SENTINEL: f32 = 123.0;

/// Operands by name and length, the one that is written last.
type Named = [(&'static str, usize)];

/// Calls `run(operands, output)` with each operand too short and too long, and once with all right.
///
/// A required `scratch` is the last operand but one, and may be too long.
#[track_caller]
fn check_lengths(named: &Named, run: impl Fn(&[Vec<f32>], &mut [f32]) -> Result<(), RunError>) {
    let call = |lens: &[usize]| {
        let operands: Vec<Vec<f32>> = lens.iter().map(|&len| vec![1.0; len]).collect();
        let mut output = vec![SENTINEL; lens[lens.len() - 1]];
        let result = run(&operands, &mut output);
        (result, output)
    };
    let lens: Vec<usize> = named.iter().map(|operand| operand.1).collect();
    assert_eq!(call(&lens).0, Ok(()));
    for (i, &(operand, required)) in named.iter().enumerate() {
        for given in [0, required - 1, required + 1, 2 * required] {
            let mut lens = lens.clone();
            lens[i] = given;
            let error = match operand {
                "scratch" if given >= required => continue,
                "scratch" => RunError::Scratch { required, given },
                _ => RunError::Length { operand, required, given },
            };
            let (result, output) = call(&lens);
            assert_eq!(result, Err(error));
            assert!(output.iter().all(|&y| y == SENTINEL), "{operand}: the output was written");
            assert!(error.to_string().starts_with(operand), "{error}");
        }
    }
}

#[test]
fn convolution() {
    let plan = ConvParams::new(4, 6, [3, 2]).with_padding([1, 0]).with_groups(2).plan(2, [5, 4]).unwrap();
    let (input, weight, bias) =
        (("input", plan.input_len()), ("weight", plan.weight_len()), ("bias", plan.bias_len()));
    let (output, columns) = (("output", plan.output_len()), ("columns", plan.columns_len()));
    let grad_output = ("grad_output", plan.output_len());

    check_lengths(&[input, weight, bias, ("scratch", plan.scratch_len()), output], |given, output| {
        let operands = ConvOperands { input: &given[0], weight: Weights::Plain(&given[1]), bias: &given[2] };
        plan.forward(operands, output, &mut given[3].clone())
    });
    let mut packed = vec![0.0; plan.packed_weight_len()];
    let packed = plan.pack_weights(&vec![1.0; plan.weight_len()], &mut packed).unwrap();
    check_lengths(&[input, bias, ("scratch", plan.packed_scratch_len()), output], |given, output| {
        let operands = ConvOperands { input: &given[0], weight: Weights::Packed(packed), bias: &given[1] };
        plan.forward(operands, output, &mut given[2].clone())
    });
    check_lengths(&[weight, ("packed", plan.packed_weight_len())], |given, packed| {
        plan.pack_weights(&given[0], packed).map(|_| ())
    });
    let scratch = ("scratch", plan.backward_input_scratch_len());
    check_lengths(&[weight, grad_output, scratch, ("grad_input", plan.input_len())], |given, grad| {
        plan.backward_input(&given[0], &given[1], grad, &mut given[2].clone())
    });
    let scratch = ("scratch", plan.backward_weight_scratch_len());
    check_lengths(&[input, grad_output, scratch, ("grad_weight", plan.weight_len())], |given, grad| {
        plan.backward_weight(&given[0], &given[1], grad, &mut given[2].clone())
    });
    check_lengths(&[grad_output, ("grad_bias", plan.bias_len())], |given, grad| {
        plan.backward_bias(&given[0], grad)
    });
    check_lengths(&[input, columns], |given, columns| plan.im2col(&given[0], columns));
    check_lengths(&[columns, ("sums", plan.input_len())], |given, sums| plan.col2im(&given[0], sums));
}

#[test]
fn linear() {
    let plan = LinearParams::new(5, 3).plan(2).unwrap();
    let (input, weight, bias) =
        (("input", plan.input_len()), ("weight", plan.weight_len()), ("bias", plan.bias_len()));
    let (output, grad_output) = (("output", plan.output_len()), ("grad_output", plan.output_len()));
    let scratch = ("scratch", plan.scratch_len());
    check_lengths(&[input, weight, bias, scratch, output], |given, output| {
        let operands =
            LinearOperands { input: &given[0], weight: Weights::Plain(&given[1]), bias: &given[2] };
        plan.forward(operands, output, &mut given[3].clone())
    });
    check_lengths(&[weight, ("packed", plan.packed_weight_len())], |given, packed| {
        plan.pack_weights(&given[0], packed).map(|_| ())
    });
    let scratch = ("scratch", plan.backward_input_scratch_len());
    check_lengths(&[weight, grad_output, scratch, ("grad_input", plan.input_len())], |given, grad| {
        plan.backward_input(&given[0], &given[1], grad, &mut given[2].clone())
    });
    let scratch = ("scratch", plan.backward_weight_scratch_len());
    check_lengths(&[input, grad_output, scratch, ("grad_weight", plan.weight_len())], |given, grad| {
        plan.backward_weight(&given[0], &given[1], grad, &mut given[2].clone())
    });
    check_lengths(&[grad_output, ("grad_bias", plan.bias_len())], |given, grad| {
        plan.backward_bias(&given[0], grad)
    });
}

#[test]
fn pooling() {
    for params in [PoolParams::max([2, 2]), PoolParams::average([2, 2])] {
        let plan = params.plan(2, 3, [4, 6]).unwrap();
        let (input, output) = (("input", plan.input_len()), ("output", plan.output_len()));
        let grad_output = ("grad_output", plan.output_len());
        let grad_input = ("grad_input", plan.input_len());
        check_lengths(&[input, output], |given, output| plan.forward(&given[0], output));
        check_lengths(&[input, grad_output, grad_input], |given, grad| {
            plan.backward(&given[0], &given[1], grad)
        });
        check_lengths(&[input, output], |given, output| naive::pool_forward(&plan, &given[0], output));
        check_lengths(&[input, grad_output, grad_input], |given, grad| {
            naive::pool_grad_input(&plan, &given[0], &given[1], grad)
        });
    }
}

#[test]
fn definitions() {
    let plan = ConvParams::new(2, 3, [2, 2]).plan(2, [4, 3]).unwrap();
    let (input, weight, bias) =
        (("input", plan.input_len()), ("weight", plan.weight_len()), ("bias", plan.bias_len()));
    let (output, grad_output) = (("output", plan.output_len()), ("grad_output", plan.output_len()));
    check_lengths(&[input, weight, bias, output], |given, output| {
        naive::conv_forward(&plan, &given[0], &given[1], &given[2], output)
    });
    check_lengths(&[weight, grad_output, ("grad_input", plan.input_len())], |given, grad| {
        naive::conv_grad_input(&plan, &given[0], &given[1], grad)
    });
    check_lengths(&[input, grad_output, ("grad_weight", plan.weight_len())], |given, grad| {
        naive::conv_grad_weight(&plan, &given[0], &given[1], grad)
    });
    check_lengths(&[grad_output, ("grad_bias", plan.bias_len())], |given, grad| {
        naive::conv_grad_bias(&plan, &given[0], grad)
    });
    let plan = LinearParams::new(5, 3).plan(2).unwrap();
    check_lengths(&[("input", 10), ("weight", 15), ("bias", 3), ("output", 6)], |given, output| {
        naive::linear_forward(&plan, &given[0], &given[1], &given[2], output)
    });
    for definition in [naive::corr2d, naive::true_conv2d] {
        check_lengths(&[("x", 20), ("k", 6), ("y", 9)], |given, y| {
            definition(&given[0], [4, 5], &given[1], [2, 3], y)
        });
    }
}

#[test]
fn weights_packed_for_another_layer() {
    let plan = ConvParams::new(2, 6, [1]).with_bias(false).plan(1, [4]).unwrap();
    let other = ConvParams::new(1, 6, [2]).with_bias(false).with_groups(1).plan(1, [5]).unwrap();
    let linear = LinearParams::new(2, 6).with_bias(false).plan(1).unwrap();
    let run = |weight| {
        let mut output = vec![SENTINEL; plan.output_len()];
        let operands = ConvOperands { input: &vec![1.0; plan.input_len()], weight, bias: &[] };
        let result = plan.forward(operands, &mut output, &mut vec![0.0; plan.scratch_len()]);
        assert_eq!(result.is_err(), output.iter().all(|&y| y == SENTINEL));
        result
    };
    let mut packed = vec![0.0; linear.packed_weight_len()];
    let given = packed.len();
    let of_linear = linear.pack_weights(&[1.0; 12], &mut packed).unwrap();
    let error = RunError::PackedWeights { required: plan.packed_weight_len(), given };
    assert_eq!(run(Weights::Packed(of_linear)), Err(error));
    assert!(error.to_string().contains("packed for other sizes"));

    let grouped = ConvParams::new(4, 12, [1]).with_bias(false).with_groups(2).plan(1, [4]).unwrap();
    let mut packed = vec![0.0; grouped.packed_weight_len()];
    let of_grouped = grouped.pack_weights(&vec![1.0; grouped.weight_len()], &mut packed).unwrap();
    assert!(matches!(run(Weights::Packed(of_grouped)), Err(RunError::PackedWeights { .. })));

    // The same weights, whatever the input: one packing serves both.
    let mut packed = vec![0.0; other.packed_weight_len()];
    assert_eq!(packed.len(), plan.packed_weight_len());
    assert_eq!(run(Weights::Packed(other.pack_weights(&[1.0; 12], &mut packed).unwrap())), Ok(()));
}

#[test]
fn shapes() {
    let conv = ConvParams::new(4, 6, [3, 3]);
    let zero = |what| Err(ShapeError::Zero { what });
    assert_eq!(ConvParams::new(0, 6, [3, 3]).plan(1, [5, 5]), zero("in_channels"));
    assert_eq!(ConvParams::new(4, 0, [3, 3]).plan(1, [5, 5]), zero("out_channels"));
    assert_eq!(ConvParams::new(4, 6, [3, 0]).plan(1, [5, 5]), zero("kernel"));
    assert_eq!(conv.with_stride([1, 0]).plan(1, [5, 5]), zero("stride"));
    assert_eq!(conv.with_dilation([0, 1]).plan(1, [5, 5]), zero("dilation"));
    assert_eq!(conv.with_groups(0).plan(1, [5, 5]), zero("groups"));
    assert_eq!(conv.plan(1, [0, 5]), zero("input"));
    assert_eq!(conv.plan(0, [5, 5]).map(|plan| plan.output_len()), Ok(0));

    let groups = |what, channels, groups| Err(ShapeError::Groups { what, channels, groups });
    assert_eq!(conv.with_groups(3).plan(1, [5, 5]), groups("in_channels", 4, 3));
    assert_eq!(conv.with_groups(4).plan(1, [5, 5]), groups("out_channels", 6, 4));

    let exceeds = ShapeError::KernelExceedsInput { axis: 1, kernel_extent: 5, padded_input: 4 };
    assert_eq!(conv.with_dilation([1, 2]).plan(1, [5, 4]), Err(exceeds));

    let overflow = conv.with_padding([0, usize::MAX]).plan(1, [5, 5]);
    assert!(matches!(overflow, Err(ShapeError::Overflow { .. })));
    assert!(matches!(conv.plan(usize::MAX, [5, 5]), Err(ShapeError::Overflow { .. })));
    let pointwise = conv.plan(1, [5, 5]).unwrap().with_algorithm(Algorithm::Pointwise);
    assert_eq!(pointwise, Err(ShapeError::Algorithm));
    assert_eq!(ConvParams::new(1, 1, [1; 4]).plan(1, [1; 4]), Err(ShapeError::Rank { rank: 4 }));

    assert_eq!(
        PoolParams::max([3, 2]).with_padding([1, 2]).plan(1, 1, [5, 5]),
        Err(ShapeError::PaddingExceedsHalfWindow { axis: 1, padding: 2, window: 2 })
    );
    assert!(matches!(LinearParams::new(0, 3).plan(1), Err(ShapeError::Zero { .. })));
}

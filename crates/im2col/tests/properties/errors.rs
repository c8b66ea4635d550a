//! A wrong length is an error that names the operand, and the output stays as it was.

use im2col::{
    Algorithm, ConvOperands, ConvParams, Gradients, Im2colParams, LinearOperands, LinearParams, PoolParams,
    RunError, ShapeError, Weights, naive,
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
    check_backward(
        [plan.input_len(), plan.weight_len(), plan.output_len(), plan.bias_len()],
        plan.backward_scratch_len(),
        |[input, weight, grad_output], gradients, scratch| {
            plan.backward(input, weight, grad_output, gradients, scratch)
        },
    );
    let transposed = plan.params().with_stride([2, 1]).plan_transposed(2, [5, 4]).unwrap();
    check_backward(
        [transposed.input_len(), transposed.weight_len(), transposed.output_len(), transposed.bias_len()],
        transposed.backward_scratch_len(),
        |[input, weight, grad_output], gradients, scratch| {
            transposed.backward(input, weight, grad_output, gradients, scratch)
        },
    );
    check_lengths(&[input, columns], |given, columns| plan.im2col(&given[0], columns));
    check_lengths(&[columns, ("sums", plan.input_len())], |given, sums| plan.col2im(&given[0], sums));
}

#[test]
fn linear() {
    let plan = LinearParams::new(5, 3).plan(7).unwrap();
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
    check_backward(
        [plan.input_len(), plan.weight_len(), plan.output_len(), plan.bias_len()],
        plan.backward_scratch_len(),
        |[input, weight, grad_output], gradients, scratch| {
            plan.backward(input, weight, grad_output, gradients, scratch)
        },
    );
}

#[test]
fn im2col_matrices() {
    let plan = Im2colParams::new(3, [2, 3]).with_padding([1, 0]).plan(2, [4, 5]).unwrap();
    let (input, columns) = (("input", plan.input_len()), ("columns", plan.columns_len()));
    check_lengths(&[input, columns], |given, columns| plan.im2col(&given[0], columns));
    check_lengths(&[columns, ("sums", plan.input_len())], |given, sums| plan.col2im(&given[0], sums));
    let error = RunError::Length { operand: "input", required: plan.input_len(), given: 1 };
    assert_eq!(plan.columns(&[0.0]).map(|columns| columns.rows()), Err(error));
}

/// Each operand, each gradient and the scratch of a `backward` too short and too long: the error names it, and no
/// gradient is touched.
#[track_caller]
fn check_backward(
    [input, weight, output, bias]: [usize; 4],
    scratch: usize,
    run: impl Fn([&[f32]; 3], Gradients<'_>, &mut [f32]) -> Result<(), RunError>,
) {
    let named = [
        ("input", input),
        ("weight", weight),
        ("grad_output", output),
        ("grad_input", input),
        ("grad_weight", weight),
        ("grad_bias", bias),
        ("scratch", scratch),
    ];
    let call = |lens: [usize; 7]| {
        let mut values = lens.map(|len| vec![SENTINEL; len]);
        let [input, weight, grad_output, grad_input, grad_weight, grad_bias, scratch] = &mut values;
        let gradients = Gradients { input: grad_input, weight: grad_weight, bias: grad_bias };
        let result = run([input, weight, grad_output], gradients, scratch);
        let untouched = values[3..6].iter().flatten().all(|&value| value == SENTINEL);
        (result, untouched)
    };
    let lens = named.map(|(_, len)| len);
    assert_eq!(call(lens).0, Ok(()));
    for (i, (operand, required)) in named.into_iter().enumerate() {
        for given in [0, required - 1, required + 1] {
            let mut lens = lens;
            lens[i] = given;
            let error = match operand {
                "scratch" if given >= required => continue,
                "scratch" => RunError::Scratch { required, given },
                _ => RunError::Length { operand, required, given },
            };
            assert_eq!(call(lens), (Err(error), true));
        }
    }
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
            naive::pool_backward(&plan, &given[0], &given[1], grad)
        });
    }
}

#[test]
fn pooling_with_indices() {
    let plan = PoolParams::max([2, 2]).plan(2, 3, [4, 6]).unwrap();
    let (input, output) = (("input", plan.input_len()), ("output", plan.output_len()));
    let (pooled, indices) = (("pooled", plan.output_len()), ("indices", plan.output_len()));
    let (grad_output, grad_input) = (("grad_output", plan.output_len()), ("grad_input", plan.input_len()));
    let workspace = ("workspace", plan.workspace_bytes());
    let zeros = |like: &[f32]| vec![0_i64; like.len()];

    check_lengths(&[input, indices, output], |given, output| {
        let mut indices = vec![-7; given[1].len()];
        let result = plan.forward_with_indices(&given[0], output, &mut indices);
        assert_eq!(result.is_err(), indices.iter().all(|&index| index == -7));
        result
    });
    check_lengths(&[input, workspace, output], |given, output| {
        let mut workspace = vec![0xee; given[1].len()];
        let result = plan.forward_train(&given[0], output, &mut workspace);
        assert_eq!(result.is_err(), workspace.iter().all(|&byte| byte == 0xee));
        result
    });
    check_lengths(&[workspace, grad_output, grad_input], |given, grad| {
        plan.backward_from_workspace(&vec![0; given[0].len()], &given[1], grad)
    });
    check_lengths(&[pooled, indices, ("output", plan.input_len())], |given, output| {
        naive::unpool(&plan, &given[0], &zeros(&given[1]), &mut output.to_vec())?;
        plan.unpool(&given[0], &zeros(&given[1]), output)
    });
    let grads = [("grad_output", plan.input_len()), indices, ("grad_pooled", plan.output_len())];
    check_lengths(&grads, |given, grad| {
        naive::unpool_backward(&plan, &given[0], &zeros(&given[1]), &mut grad.to_vec())?;
        plan.unpool_backward(&given[0], &zeros(&given[1]), grad)
    });
    assert_eq!(
        naive::pool_indices(&plan, &vec![0.0; plan.input_len()], &mut []),
        Err(RunError::Length { operand: "indices", required: plan.output_len(), given: 0 })
    );
}

#[test]
fn an_average_has_no_indices() {
    let plan = PoolParams::average([2]).plan(1, 1, [4]).unwrap();
    let (mut output, mut indices, mut places) = ([SENTINEL; 2], [7; 2], [SENTINEL; 4]);
    let results = [
        plan.forward_with_indices(&[0.0; 4], &mut output, &mut indices),
        naive::pool_indices(&plan, &[0.0; 4], &mut indices),
        plan.unpool(&[0.0; 2], &[0; 2], &mut places),
        naive::unpool(&plan, &[0.0; 2], &[0; 2], &mut places),
        plan.unpool_backward(&[0.0; 4], &[0; 2], &mut output),
        naive::unpool_backward(&plan, &[0.0; 4], &[0; 2], &mut output),
    ];
    assert_eq!(results, [Err(RunError::NoIndices); 6]);
    assert_eq!((output, indices, places), ([SENTINEL; 2], [7; 2], [SENTINEL; 4]));
    assert!(RunError::NoIndices.to_string().contains("average"));
}

#[test]
fn indices_outside_their_plane() {
    let plan = PoolParams::max([2]).plan(1, 2, [4]).unwrap();
    for given in [4, 5, -2, i64::MAX, i64::MIN] {
        // The index would fit into the batch, but not into its plane.
        let indices = [0, 3, -1, given];
        let error = RunError::Index { position: 3, plane_len: 4, given };
        let (mut output, mut grad) = ([SENTINEL; 8], [SENTINEL; 4]);
        assert_eq!(plan.unpool(&[1.0; 4], &indices, &mut output), Err(error));
        assert_eq!(naive::unpool(&plan, &[1.0; 4], &indices, &mut output), Err(error));
        assert_eq!(plan.unpool_backward(&[1.0; 8], &indices, &mut grad), Err(error));
        assert_eq!(naive::unpool_backward(&plan, &[1.0; 8], &indices, &mut grad), Err(error));
        assert_eq!((output, grad), ([SENTINEL; 8], [SENTINEL; 4]));
        assert!(error.to_string().contains(&format!("index 3: {given}")), "{error}");
    }
}

#[test]
fn bytes_that_name_no_tap() {
    let sliding = PoolParams::max([3]).with_stride([1]).plan(1, 1, [6]).unwrap();
    let square = PoolParams::max([2, 2]).plan(1, 1, [4, 4]).unwrap();
    let adaptive = PoolParams::adaptive_max([4]).plan(1, 1, [6]).unwrap();
    let wide = PoolParams::max([300]).plan(1, 1, [301]).unwrap();
    let check = |result: &dyn Fn(&mut [f32]) -> Result<(), RunError>, len, position, taps, given| {
        let mut grad_input = vec![SENTINEL; len];
        let error = RunError::Tap { position, taps, given };
        assert_eq!(result(&mut grad_input), Err(error));
        assert!(grad_input.iter().all(|&grad| grad == SENTINEL));
        assert!(error.to_string().starts_with(&format!("workspace: output {position}: {given}")), "{error}");
    };
    check(&|grad| sliding.backward_from_workspace(&[0, 1, 3, 2], &[1.0; 4], grad), 6, 2, 3, 3);
    check(&|grad| square.backward_from_workspace(&[0, 3, 2, 255], &[1.0; 4], grad), 16, 3, 4, 255);
    // The windows are 0..2, 1..3, 3..5, 4..6, and the largest counts for none of the others.
    check(&|grad| adaptive.backward_from_workspace(&[0, 1, 1, 2], &[1.0; 4], grad), 6, 3, 2, 2);
    check(&|grad| wide.backward_from_workspace(&[44, 1], &[1.0], grad), 301, 0, 300, 300);
}

#[test]
fn options_that_do_not_apply() {
    let inapplicable = |option, operation| Err(ShapeError::Inapplicable { option, operation });
    let sliding = |params: PoolParams<2>| params.plan(1, 1, [9, 9]);
    let (max, average) = (PoolParams::max([3, 3]), PoolParams::average([3, 3]));
    assert_eq!(sliding(max.with_divisor_override(2)), inapplicable("divisor", "maximum pooling"));
    assert_eq!(sliding(average.with_divisor_override(0)), Err(ShapeError::Zero { what: "divisor" }));

    let adaptive = PoolParams::adaptive_average([3, 2]);
    for (option, params) in [
        ("stride", adaptive.with_stride([1, 1])),
        ("stride", adaptive.with_stride([0, 3])),
        ("padding", adaptive.with_padding([0, 1])),
        ("padding", adaptive.with_padding_per_side([[0, 0], [0, 1]])),
        ("dilation", adaptive.with_dilation([2, 1])),
        ("ceil_mode", adaptive.with_ceil_mode(true)),
        ("count_include_pad", adaptive.with_count_include_pad(false)),
        ("divisor", adaptive.with_divisor_override(2)),
        ("divisor", PoolParams::global_max().with_divisor_override(2)),
    ] {
        let error = ShapeError::Inapplicable { option, operation: "adaptive pooling" };
        assert_eq!(sliding(params), Err(error));
        assert_eq!(error.to_string(), format!("{option} does not apply to adaptive pooling"));
    }
    assert_eq!(sliding(PoolParams::adaptive_max([3, 0])), Err(ShapeError::Zero { what: "output" }));
    assert_eq!(adaptive.plan(1, 1, [9, 0]), Err(ShapeError::Zero { what: "input" }));
    let huge = PoolParams::adaptive_max([usize::MAX, 2]).plan(1, 1, [3, 3]);
    assert_eq!(huge, Err(ShapeError::Overflow { what: "output" }));
    assert_eq!(PoolParams::adaptive_max([1; 4]).plan(1, 1, [1; 4]), Err(ShapeError::Rank { rank: 4 }));

    let unpool = |params: PoolParams<2>, pooled| params.plan_unpool(1, 1, pooled);
    assert_eq!(unpool(average, [2, 2]), inapplicable("average", "unpooling"));
    assert_eq!(
        unpool(PoolParams::adaptive_max([2, 2]), [2, 2]),
        inapplicable("adaptive_output", "unpooling")
    );
    assert_eq!(unpool(max, [2, 0]), Err(ShapeError::Zero { what: "output" }));
    assert_eq!(unpool(PoolParams::max([1, 0]), [2, 2]), Err(ShapeError::Zero { what: "kernel" }));
    assert_eq!(unpool(max.with_stride([0, 1]), [2, 2]), Err(ShapeError::Zero { what: "stride" }));
    assert_eq!(unpool(max, [2, usize::MAX]), Err(ShapeError::Overflow { what: "input" }));
    let nothing = ShapeError::PaddingExceedsOutput { axis: 1, padding: 4, unpadded: 3 };
    assert_eq!(unpool(max.with_padding([1, 2]), [1, 1]), Err(nothing));

    // Rounded up, a window may be too long by less than a stride.
    let ceil = |window, stride| PoolParams::max([window]).with_stride([stride]).with_ceil_mode(true);
    assert_eq!(ceil(5, 3).plan(1, 1, [3]).map(|plan| plan.output_dims()), Ok([1]));
    let exceeds = ShapeError::KernelExceedsInput { axis: 0, kernel_extent: 6, padded_input: 3 };
    assert_eq!(ceil(6, 3).plan(1, 1, [3]), Err(exceeds));
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
        naive::conv_backward_input(&plan, &given[0], &given[1], grad)
    });
    check_lengths(&[input, grad_output, ("grad_weight", plan.weight_len())], |given, grad| {
        naive::conv_backward_weight(&plan, &given[0], &given[1], grad)
    });
    check_lengths(&[grad_output, ("grad_bias", plan.bias_len())], |given, grad| {
        naive::conv_backward_bias(&plan, &given[0], grad)
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

    // Layers whose packed weights are equally long and equally arranged are other layers all the same.
    let layers = [(9, [1, 1]), (1, [3, 3]), (1, [9, 1]), (1, [1, 9]), (3, [3, 1]), (3, [1, 3])]
        .map(|(channels, kernel)| ConvParams::new(channels, 12, kernel).with_bias(false));
    for (i, packer) in layers.iter().enumerate() {
        for (j, user) in layers.iter().enumerate() {
            let [packer, user] = [packer, user].map(|params| params.plan(1, [9, 9]).unwrap());
            let [mut packed, mut scratch] =
                [user.packed_weight_len(), user.scratch_len()].map(|len| vec![0.0; len]);
            let weight =
                Weights::Packed(packer.pack_weights(&vec![1.0; packer.weight_len()], &mut packed).unwrap());
            let (input, mut output) = (vec![1.0; user.input_len()], vec![SENTINEL; user.output_len()]);
            let operands = ConvOperands { input: &input, weight, bias: &[] };
            assert_eq!(user.forward(operands, &mut output, &mut scratch).is_ok(), i == j, "{i} {j}");
            assert_eq!(output.contains(&SENTINEL), i != j);
        }
    }
    let transposed = |channels, kernel: [usize; 2]| {
        ConvParams::new(channels, 4, kernel).with_bias(false).plan_transposed(1, [9, 9]).unwrap()
    };
    let (packer, user) = (transposed(2, [1, 9]), transposed(2, [9, 1]));
    let mut packed = vec![0.0; user.packed_weight_len()];
    let weight = Weights::Packed(packer.pack_weights(&vec![1.0; packer.weight_len()], &mut packed).unwrap());
    let (input, mut output) = (vec![1.0; user.input_len()], vec![SENTINEL; user.output_len()]);
    let operands = ConvOperands { input: &input, weight, bias: &[] };
    let result = user.forward(operands, &mut output, &mut vec![0.0; user.scratch_len()]);
    assert!(matches!(result, Err(RunError::PackedWeights { .. })) && output.iter().all(|&y| y == SENTINEL));

    // One layer, whatever the input and the algorithm: one packing serves all.
    let other = plan.params().plan(3, [50]).unwrap();
    let algorithms = [
        Algorithm::Im2col,
        Algorithm::Pointwise,
        Algorithm::Broadcast,
        Algorithm::Direct,
        Algorithm::InPlace,
    ];
    for packer in algorithms {
        for user in algorithms {
            let (packer, user) = (other.with_algorithm(packer).unwrap(), plan.with_algorithm(user).unwrap());
            let mut packed = vec![0.0; packer.packed_weight_len()];
            let weight = Weights::Packed(packer.pack_weights(&[1.0; 12], &mut packed).unwrap());
            let operands = ConvOperands { input: &vec![1.0; user.input_len()], weight, bias: &[] };
            let mut output = vec![SENTINEL; user.output_len()];
            assert_eq!(user.forward(operands, &mut output, &mut vec![0.0; user.scratch_len()]), Ok(()));
            assert!(output.iter().all(|&y| y == 2.0), "{user:?}");
        }
    }
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
    assert_eq!(pointwise, Err(ShapeError::Unsupported { algorithm: "Pointwise" }));
    let depthwise = conv.plan(1, [5, 5]).unwrap().with_algorithm(Algorithm::Depthwise);
    assert_eq!(depthwise, Err(ShapeError::Unsupported { algorithm: "Depthwise" }));
    winograd_is_for_3x3_of_stride_1();
    assert_eq!(ConvParams::new(1, 1, [1; 4]).plan(1, [1; 4]), Err(ShapeError::Rank { rank: 4 }));

    let pool = PoolParams::max([3, 2]).with_padding([0, usize::MAX]).plan(1, 1, [5, 5]);
    assert!(matches!(pool, Err(ShapeError::Overflow { .. })));
    assert!(matches!(LinearParams::new(0, 3).plan(1), Err(ShapeError::Zero { .. })));
}

/// The list against what `with_algorithm` says, one after the other.
#[test]
fn algorithms_that_take_a_shape() {
    let every = [
        Algorithm::Depthwise,
        Algorithm::Pointwise,
        Algorithm::Broadcast,
        Algorithm::Direct,
        Algorithm::Im2col,
        Algorithm::InPlace,
        Algorithm::Winograd,
    ];
    let conv = ConvParams::new(4, 4, [3, 3]);
    let shapes = [
        (conv, vec![2, 3, 4, 5, 6]),
        (conv.with_stride([2, 2]), vec![2, 3, 4, 5]),
        (conv.with_groups(4), vec![0, 2, 3, 4, 5, 6]),
        (ConvParams::new(4, 4, [1, 1]), vec![1, 2, 3, 4, 5]),
    ];
    for (params, taken) in shapes {
        let plan = params.plan(1, [9, 9]).unwrap();
        let listed: Vec<Algorithm> = plan.algorithms().collect();
        let expected: Vec<Algorithm> = taken.iter().map(|&i: &usize| every[i]).collect();
        assert_eq!(listed[..expected.len()], expected);
        // What remains allocates: it is there with its feature only.
        assert_eq!(listed.len() - expected.len(), usize::from(cfg!(feature = "matrixmultiply")));
        assert!(listed.contains(&plan.algorithm()));
        for (i, algorithm) in every.into_iter().enumerate() {
            let planned = plan.with_algorithm(algorithm).map(|plan| plan.algorithm());
            assert_eq!(algorithm.name(), format!("{algorithm:?}"));
            let unsupported = ShapeError::Unsupported { algorithm: algorithm.name() };
            let expected = if taken.contains(&i) { Ok(algorithm) } else { Err(unsupported) };
            assert_eq!(planned, expected);
        }
    }
}

fn winograd_is_for_3x3_of_stride_1() {
    fn winograd<const D: usize>(params: ConvParams<D>) -> Result<Algorithm, ShapeError> {
        let plan = params.plan(2, [9; D])?.with_algorithm(Algorithm::Winograd)?;
        assert!(plan.packed_weight_len() >= plan.weight_len() * 4);
        Ok(plan.algorithm())
    }
    let conv = ConvParams::new(4, 6, [3, 3]);
    let given = [
        winograd(conv),
        winograd(conv.with_groups(2).with_padding([7, 0])),
        winograd(ConvParams::new(1, 1, [1, 3, 3]).with_dilation([5, 1, 1])),
        winograd(conv.with_dilation([2, 1])),
        winograd(conv.with_dilation([3, 2])),
    ];
    assert_eq!(given, [Ok(Algorithm::Winograd); 5]);
    let given = [
        winograd(conv.with_stride([1, 2])),
        // More than there are outputs.
        winograd(conv.with_dilation([4, 1])),
        winograd(ConvParams::new(4, 6, [3, 1])),
        winograd(ConvParams::new(4, 6, [5, 5])),
        winograd(ConvParams::new(4, 6, [3])),
        winograd(ConvParams::new(4, 6, [3, 3, 3])),
        winograd(ConvParams::new(4, 6, [1, 3, 3]).with_stride([2, 1, 1])),
    ];
    let unsupported = ShapeError::Unsupported { algorithm: "Winograd" };
    assert_eq!(given, [Err(unsupported); 7]);
    // Under dilation a line has at most 64 tiles.
    for (width, expected) in [(260, Ok(Algorithm::Winograd)), (261, Err(unsupported))] {
        let plan = conv.with_dilation([1, 2]).plan(1, [3, width]).unwrap();
        let algorithm = plan.with_algorithm(Algorithm::Winograd).map(|plan| plan.algorithm());
        assert_eq!(algorithm, expected, "{width}");
    }
}

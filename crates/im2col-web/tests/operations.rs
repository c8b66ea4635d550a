//! Single operations, as JavaScript asks for them, against the plans of the core.

use std::sync::Mutex;

use im2col::{ConvOperands, ConvParams, Isa, PaddingMode, PoolParams, ShapeError, Weights};
use im2col_web::Message;
use im2col_web::operations::{Failure, Operands};

// Too large for a stack.
static OPERANDS: Mutex<Operands> = Mutex::new(Operands::new());

/// Writes numbers and operands, runs an operation, and returns what it found and its result.
fn run(
    operation: fn(&mut Operands) -> Result<(), Failure>,
    numbers: &[u32],
    values: &[&[f32]],
) -> Result<([usize; 3], Vec<f32>), Failure> {
    let operands = &mut *OPERANDS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    operands.numbers.fill(0);
    operands.numbers[..numbers.len()].copy_from_slice(numbers);
    let values = values.concat();
    operands.values[..values.len()].copy_from_slice(&values);
    operation(operands)?;
    let [start, dims @ ..] = [0, 1, 2, 3].map(|index| operands.numbers[index] as usize);
    Ok((dims, operands.values[start..][..dims.iter().product()].to_vec()))
}

/// Values without a pattern in -1.0..1.0.
fn values(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| draw()).collect()
}

#[test]
fn the_lectures_numbers() {
    let image: Vec<f32> = (0..9).map(|value| value as f32).collect();
    let kernel = [0.0, 1.0, 2.0, 3.0];
    let numbers = [1, 3, 3, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 0];
    let (dims, output) = run(Operands::convolve, &numbers, &[&image, &kernel]).unwrap();
    assert_eq!((dims, output), ([1, 2, 2], vec![19.0, 25.0, 37.0, 43.0]));

    let numbers = [0, 1, 3, 3, 2, 2, 0, 0, 1, 1];
    let (dims, output) = run(Operands::pool, &numbers, &[&image]).unwrap();
    assert_eq!((dims, output), ([1, 2, 2], vec![4.0, 5.0, 7.0, 8.0]));

    let numbers = [1, 3, 3, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1];
    let (dims, columns) = run(Operands::im2col, &numbers, &[&image]).unwrap();
    assert_eq!(dims, [1, 4, 4]);
    assert_eq!(columns[..4], [0.0, 1.0, 3.0, 4.0]);

    let (dims, output) =
        run(Operands::linear, &[2, 2, 3], &[&[1., 2., 3., 4.], &[1., 0., 0., 1., 1., 1.]]).unwrap();
    assert_eq!((dims, output), ([1, 2, 3], vec![1.0, 2.0, 3.0, 3.0, 4.0, 7.0]));
}

#[test]
fn convolutions_have_the_bits_of_their_plans() {
    let modes = [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular];
    let mut cases = 0;
    for case in 0..400_u32 {
        // Digits of the case, in mixed bases.
        let mut rest = case.wrapping_mul(2_654_435_761) >> 4;
        let mut below = |bound: u32| {
            let digit = rest % bound;
            rest /= bound;
            digit
        };
        let mode = below(4);
        let [kernel_height, kernel_width] = [1 + below(3), 1 + below(4)];
        let [height, width] = [4 + below(5), 5 + below(6)];
        let groups = 1 + below(2);
        let [in_channels, out_channels] = [groups * (1 + below(2)), groups * (1 + below(3))];
        let (stride, padding, has_bias) = (1 + below(3), below(3), below(2));
        let dilation = 1 + below(2);
        let numbers = [
            in_channels,
            height,
            width,
            kernel_height,
            kernel_width,
            padding,
            padding,
            padding,
            0,
            stride,
            1,
            dilation,
            1,
            mode,
            out_channels,
            groups,
            has_bias,
        ];
        let size = |value: u32| value as usize;
        let plan =
            ConvParams::new(size(in_channels), size(out_channels), [kernel_height, kernel_width].map(size))
                .with_groups(size(groups))
                .with_bias(has_bias == 1)
                .with_padding_per_side([[size(padding); 2], [size(padding), 0]])
                .with_padding_mode(modes[size(mode)])
                .with_stride([size(stride), 1])
                .with_dilation([size(dilation), 1])
                .plan(1, [height, width].map(size));
        let Ok(plan) = plan else { continue };
        let plan = plan.with_isa(Isa::SCALAR);
        let (input, weight) = (values(plan.input_len(), case), values(plan.weight_len(), case + 1));
        let bias = values(plan.bias_len(), case + 2);
        let mut expected = vec![0.0; plan.output_len()];
        let operands = ConvOperands { input: &input, weight: Weights::Plain(&weight), bias: &bias };
        plan.forward(operands, &mut expected, &mut vec![0.0; plan.scratch_len()]).unwrap();

        let (dims, output) = run(Operands::convolve, &numbers, &[&input, &weight, &bias]).unwrap();
        let [out_height, out_width] = plan.output_dims();
        assert_eq!(dims, [size(out_channels), out_height, out_width], "case {case}");
        assert_eq!(output, expected, "case {case}: {plan:?}");
        cases += 1;
    }
    assert!(cases > 300, "{cases} cases");
}

#[test]
fn pools_are_those_of_their_plans() {
    for (average, window, padding, stride) in [(0, 3, 1, 2), (1, 2, 0, 2), (1, 3, 1, 1), (0, 2, 1, 3)] {
        let input = values(2 * 7 * 9, stride);
        let [window_size, padding_size, stride_size] = [window, padding, stride].map(|size| size as usize);
        let window_of = if average == 1 { PoolParams::average } else { PoolParams::max };
        let plan = window_of([window_size; 2]).with_padding([padding_size; 2]).with_stride([stride_size; 2]);
        let plan = plan.plan(1, 2, [7, 9]).unwrap().with_isa(Isa::SCALAR);
        let mut expected = vec![0.0; plan.output_len()];
        plan.forward(&input, &mut expected).unwrap();
        let numbers = [average, 2, 7, 9, window, window, padding, padding, stride, stride];
        let (_, output) = run(Operands::pool, &numbers, &[&input]).unwrap();
        for (output, expected) in output.iter().zip(&expected) {
            assert!((output - expected).abs() <= 4.0 * f32::EPSILON, "{output} {expected}");
        }
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let failure = |operation: fn(&mut Operands) -> Result<(), Failure>, numbers: &[u32]| {
        let failure = run(operation, numbers, &[]).unwrap_err();
        let mut message = Message::new();
        failure.write(&mut message);
        String::from_utf8(message.bytes().to_vec()).unwrap()
    };
    let text = failure(Operands::convolve, &[1, 3, 3, 4, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 0]);
    assert_eq!(text, "axis 0: the dilated kernel spans 4, the padded input has 3");
    let text = failure(Operands::convolve, &[3, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 2, 0]);
    assert_eq!(text, "in_channels = 3 is not a multiple of groups = 2");
    let text = failure(Operands::convolve, &[1, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0]);
    assert_eq!(text, "in_channels = 1 is not a multiple of groups = 0");
    let text = failure(Operands::pool, &[0, 1, 3, 3, 0, 2, 0, 0, 1, 1]);
    assert!(text.contains("is 0 and must be at least 1"), "{text}");
    for numbers in [
        [1, 3000, 3000, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 0],
        [1, 9, 9, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, u32::MAX, 1, 0],
    ] {
        assert_eq!(
            failure(Operands::convolve, &numbers),
            "the operands are larger than the memory of the page"
        );
    }
    // Whatever the numbers, nothing panics.
    for case in 0..20_000 {
        let numbers: Vec<u32> = values(20, case).iter().map(|value| ((value + 1.0) * 3.0) as u32).collect();
        for operation in [Operands::convolve, Operands::im2col, Operands::pool, Operands::linear] {
            if let Err(Failure::Run(error)) = run(operation, &numbers, &[]) {
                panic!("{numbers:?}: {error}");
            }
        }
    }
    assert_eq!(
        Failure::from(ShapeError::Zero { what: "height" }),
        Failure::Shape(ShapeError::Zero { what: "height" })
    );
}

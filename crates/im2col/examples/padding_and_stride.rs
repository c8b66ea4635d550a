//! Two numbers decide how large an output is: the padding around the input and the stride of the
//! kernel.

use im2col::{ConvOperands, ConvParams, ConvPlan, Padding, PaddingMode, RunError, Weights};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("output = floor((n - k + p + s) / s) on each axis;");
    println!("n input, k kernel, p padding on both sides together, s stride\n");
    println!("  input   kernel   padding          stride   output   why");

    let conv = |kernel| ConvParams::new(1, 1, kernel).with_bias(false);
    let layers = [
        (conv([3, 3]), [6, 6], "without padding each layer loses k - 1"),
        (conv([3, 3]).with_padding([1, 1]), [8, 8], "p = k - 1 in all keeps the size"),
        (conv([5, 3]).with_padding([2, 1]), [8, 8], "on each axis by itself"),
        (conv([3, 3]).with_padding([1, 1]).with_stride([2, 2]), [4, 4], "stride 2 halves it"),
        (conv([3, 5]).with_padding([0, 1]).with_stride([3, 4]), [2, 2], "all at once"),
        // An even kernel has no middle: one side gets the odd zero.
        (conv([4, 4]).with_padding_per_side([[1, 2], [1, 2]]), [8, 8], "even kernels: more on one side"),
        // Or let the plan work it out: ceil(n / s) outputs, or every place where they overlap.
        (
            conv([4, 4]).with_stride([3, 3]).with_padding_rule(Padding::SameUpper),
            [3, 3],
            "\"same\": ceil(8 / 3)",
        ),
        (conv([3, 3]).with_padding_rule(Padding::Full), [10, 10], "\"full\": n + k - 1"),
        // In time, all of it goes before the beginning, so that no output sees the future.
        (conv([1, 3]).with_padding_per_side([[0, 0], [2, 0]]), [8, 8], "a series: only the past"),
    ];
    for (params, expected, why) in layers {
        let plan = params.plan(1, [8, 8])?;
        let ([h, w], [kh, kw], [sh, sw]) = (plan.output_dims(), params.kernel(), params.stride());
        let [[top, bottom], [left, right]] = plan.padding();
        println!(
            "  8x8     {kh}x{kw}      {top}+{bottom}, {left}+{right}         {sh}, {sw}     {h}x{w}      {why}"
        );
        assert_eq!([h, w], expected);
        for axis in 0..2 {
            let (k, s, p): (_, _, usize) =
                (params.kernel()[axis], params.stride()[axis], plan.padding()[axis].iter().sum());
            assert_eq!(plan.output_dims()[axis], (8 + p + s - k) / s);
        }
    }

    // What padding costs: at the rim the kernel sees zeros. Ones under ones count what it sees.
    let plan = conv([3, 3]).with_padding([1, 1]).plan(1, [4, 4])?;
    let counts = run(&plan, &[1.0; 16], &[1.0; 9])?;
    show("how many pixels of a 4x4 image each output sees, 3x3, padding 1", &counts, 4);
    assert_eq!(counts, [4., 6., 6., 4., 6., 9., 9., 6., 6., 9., 9., 6., 4., 6., 6., 4.]);

    // Padding need not be zeros. Nothing is copied: the indices are mapped while the input is read.
    println!("a line of 1 2 3 4 under the kernel [1, 0, 0], which takes its left neighbour:");
    let neighbour = ConvParams::new(1, 1, [3]).with_bias(false).with_padding([1]);
    for (mode, expected) in [
        (PaddingMode::Zeros, [0., 1., 2., 3.]),
        (PaddingMode::Reflect, [2., 1., 2., 3.]),
        (PaddingMode::Replicate, [1., 1., 2., 3.]),
        (PaddingMode::Circular, [4., 1., 2., 3.]),
    ] {
        let plan = neighbour.with_padding_mode(mode).plan(1, [4])?;
        let given = run(&plan, &[1., 2., 3., 4.], &[1., 0., 0.])?;
        println!("  {:<10}  {given:?}", format!("{mode:?}"));
        assert_eq!(given, expected);
    }
    println!();

    // What a stride does: it takes every second output on each axis, and computes no other.
    let image: Vec<f32> = (0..64).map(|i| i as f32).collect();
    let kernel = [0., 1., 0., 0., 2., 0., 0., 0., 3.];
    let dense = conv([3, 3]).with_padding([1, 1]).plan(1, [8, 8])?;
    let strided = conv([3, 3]).with_padding([1, 1]).with_stride([2, 2]).plan(1, [8, 8])?;
    let every = run(&dense, &image, &kernel)?;
    let second: Vec<f32> = (0..16).map(|i| every[i / 4 * 2 * 8 + i % 4 * 2]).collect();
    assert_eq!(run(&strided, &image, &kernel)?, second);
    let (full, quarter) = (dense.multiply_adds(), strided.multiply_adds());
    println!("stride 2 takes every second output of stride 1: {quarter} multiply-adds instead of {full}");
    assert_eq!((full, quarter), (576, 144));
    Ok(())
}

fn run<const D: usize>(plan: &ConvPlan<D>, image: &[f32], kernel: &[f32]) -> Result<Vec<f32>, RunError> {
    let mut output = vec![0.0; plan.output_len()];
    let operands = ConvOperands { input: image, weight: Weights::Plain(kernel), bias: &[] };
    plan.forward(operands, &mut output, &mut vec![0.0; plan.scratch_len()])?;
    Ok(output)
}

fn show(title: &str, matrix: &[f32], columns: usize) {
    println!("\n{title}");
    for row in matrix.chunks(columns) {
        let row: String = row.iter().map(|value| format!("{value:4}")).collect();
        println!("  {row}");
    }
    println!();
}

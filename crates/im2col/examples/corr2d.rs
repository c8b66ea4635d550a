//! Cross-correlation: lay the kernel over the image, multiply what lies on each other, add it up,
//! move on by one. Networks call that a convolution; mathematicians flip the kernel first.

use im2col::naive::{corr2d, true_conv2d};
use im2col::{ConvOperands, ConvParams, Weights};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let image = [0., 1., 2., 3., 4., 5., 6., 7., 8.];
    let kernel = [0., 1., 2., 3.];
    show("image", &image, 3);
    show("kernel", &kernel, 2);

    // The definition: y[i, j] = sum over a, b of x[i + a, j + b] k[a, b]. A 2x2 kernel fits into
    // 3 - 2 + 1 = 2 places on each axis, so the output is 2x2.
    let mut by_definition = [0.0; 4];
    corr2d(&image, [3, 3], &kernel, [2, 2], &mut by_definition)?;
    println!("upper left: 0*0 + 1*1 + 3*2 + 4*3 = 19\n");
    show("cross-correlation, by the definition", &by_definition, 2);
    assert_eq!(by_definition, [19., 25., 37., 43.]);

    // A plan says what the sizes are, once; then it runs on slices, as fast as the CPU can.
    let plan = ConvParams::new(1, 1, [2, 2]).with_bias(false).plan(1, [3, 3])?;
    assert_eq!(plan.output_dims(), [2, 2]);
    let mut by_plan = vec![0.0; plan.output_len()];
    let mut scratch = vec![0.0; plan.scratch_len()];
    let operands = ConvOperands { input: &image, weight: Weights::Plain(&kernel), bias: &[] };
    plan.forward(operands, &mut by_plan, &mut scratch)?;
    show("the same by a plan", &by_plan, 2);
    assert_eq!(by_plan, by_definition);

    // True convolution flips the kernel on both axes, which is to read it backwards.
    let mut convolution = [0.0; 4];
    true_conv2d(&image, [3, 3], &kernel, [2, 2], &mut convolution)?;
    show("true convolution", &convolution, 2);
    assert_eq!(convolution, [5., 11., 23., 29.]);

    // Flipping the kernel turns one into the other. A network learns its kernels, so it would simply
    // learn the flipped one: the difference does not matter, and nobody flips.
    let mut flipped = kernel;
    flipped.reverse();
    let mut correlation = [0.0; 4];
    corr2d(&image, [3, 3], &flipped, [2, 2], &mut correlation)?;
    show("cross-correlation with the flipped kernel", &correlation, 2);
    assert_eq!(correlation, convolution);
    Ok(())
}

fn show(title: &str, matrix: &[f32], columns: usize) {
    println!("{title}");
    for row in matrix.chunks(columns) {
        let row: String = row.iter().map(|value| format!("{value:4}")).collect();
        println!("  {row}");
    }
    println!();
}

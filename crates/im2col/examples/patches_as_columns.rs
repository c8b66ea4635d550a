//! im2col, the idea that the crate is named after: write each patch that the kernel sees as a
//! column, and convolution becomes one matrix product, which computers do best.

use im2col::{ConvOperands, ConvParams, Weights};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    // Two kernels, so that the weights are a matrix too: one row for each.
    let image = [0., 1., 2., 3., 4., 5., 6., 7., 8.];
    let kernels = [0., 1., 2., 3., 1., 0., 0., -1.];
    let plan = ConvParams::new(1, 2, [2, 2]).with_bias(false).plan(1, [3, 3])?;
    let (taps, positions) = (4, 4);

    let mut columns = vec![0.0; plan.columns_len()];
    plan.im2col(&image, &mut columns)?;
    show("image", &image, 3);
    show("the kernels, one in a row", &kernels, taps);
    show("the patches, one in a column", &columns, positions);
    assert_eq!(columns, [0., 1., 3., 4., 1., 2., 4., 5., 3., 4., 6., 7., 4., 5., 7., 8.]);

    // Row times column: each output is one kernel over one patch.
    let mut product = Vec::new();
    for kernel in kernels.chunks(taps) {
        for position in 0..positions {
            product.push((0..taps).map(|tap| kernel[tap] * columns[tap * positions + position]).sum::<f32>());
        }
    }
    show("rows times columns, one output map in a row", &product, positions);
    assert_eq!(product, [19., 25., 37., 43., -4., -4., -4., -4.]);

    let mut output = vec![0.0; plan.output_len()];
    let mut scratch = vec![0.0; plan.scratch_len()];
    let operands = ConvOperands { input: &image, weight: Weights::Plain(&kernels), bias: &[] };
    plan.forward(operands, &mut output, &mut scratch)?;
    assert_eq!(output, product);

    // The price: neighbouring patches overlap, so most pixels stand there several times. That is why
    // the plans pack small blocks of this matrix and never write down the whole.
    let large = ConvParams::new(64, 64, [3, 3]).with_padding([1, 1]).plan(1, [56, 56])?;
    println!("a layer of ResNet: 64 channels of 56x56 under 3x3 kernels");
    println!("  the image          {:>9} values", large.input_len());
    println!("  all of its patches {:>9} values, 9 times as many", large.columns_len());
    println!("  the plan's scratch {:>9} values", large.scratch_len());
    assert_eq!(large.columns_len(), 9 * large.input_len());
    assert!(large.scratch_len() < large.columns_len());
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

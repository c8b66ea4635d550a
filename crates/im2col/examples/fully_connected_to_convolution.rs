//! Where convolution comes from: a fully connected layer on pixels that must do the same everywhere
//! (translation invariance) and look at neighbours only (locality).

use im2col::{
    ConvOperands, ConvParams, ConvPlan, LinearOperands, LinearParams, RunError, Weights, naive, planned,
};
use std::error::Error;

/// The side of the image, and how far a pixel looks in each direction.
const SIDE: usize = 5;
const REACH: usize = 1;
const PIXELS: usize = SIDE * SIDE;

/// Padded, so that there is an output for each pixel.
const CONV: ConvPlan<2> = planned!(
    ConvParams::new(1, 1, [3, 3]).with_padding([REACH, REACH]).with_bias(false).plan(1, [SIDE, SIDE])
);
/// Nine numbers that are easy to recognise.
const KERNEL: [f32; 9] = [1., 2., 3., 4., 5., 6., 7., 8., 9.];

fn main() -> Result<(), Box<dyn Error>> {
    // Each of 25 outputs has a weight for each of 25 pixels: h[i, j] = sum of w[i, j, k, l] x[k, l].
    // Written relative to the output, v[i, j, a, b] = w[i, j, i + a, j + b], the two demands read:
    // v does not depend on (i, j), and it is 0 where |a| or |b| exceeds the reach.
    let mut dense = [0.0; PIXELS * PIXELS];
    naive::dense_matrix(&CONV, &KERNEL, &mut dense)?;
    println!("the weights of the fully connected layer, an output per row, 0 as a dot:\n");
    for row in dense.chunks(PIXELS) {
        let row: String = row.iter().map(|&w| if w == 0.0 { " .".into() } else { format!(" {w}") }).collect();
        println!("  {row}");
    }

    let used = dense.iter().filter(|&&w| w != 0.0).count();
    println!("\n  fully connected                {:4} weights", dense.len());
    println!("  the same everywhere            {:4}, one for each offset", (2 * SIDE - 1).pow(2));
    println!("  and looking at neighbours only {:4}: a convolution", CONV.weight_len());
    println!("  of the {} weights above, {} are 0 and {used} share these 9", dense.len(), dense.len() - used);
    assert_eq!((dense.len(), used, CONV.weight_len()), (625, 169, 9));
    assert!(dense.iter().all(|w| *w == 0.0 || KERNEL.contains(w)));

    // Both layers compute the same.
    let image: [f32; PIXELS] = std::array::from_fn(|i| (i * i % 7) as f32);
    let linear = LinearParams::new(PIXELS, PIXELS).with_bias(false).plan(1)?;
    let mut product = [0.0; PIXELS];
    let operands = LinearOperands { input: &image, weight: Weights::Plain(&dense), bias: &[] };
    linear.forward(operands, &mut product, &mut vec![0.0; linear.scratch_len()])?;
    assert_eq!(product, convolve(&image)?);
    println!("\nboth layers give the same 25 outputs");

    // Invariance: a pattern that moves right takes its output along.
    let pattern: [f32; PIXELS] = std::array::from_fn(|i| if matches!(i, 6 | 7 | 11) { 1.0 } else { 0.0 });
    assert_eq!(convolve(&right(&pattern))?, right(&convolve(&pattern)?));
    println!("a pattern moved right by one pixel: the output moved right by one pixel");

    // Locality: one pixel is seen by the 3x3 outputs around it, and by no other.
    let mut touched = image;
    touched[2 * SIDE + 2] += 1.0;
    let (before, after) = (convolve(&image)?, convolve(&touched)?);
    let changed: Vec<usize> = (0..PIXELS).filter(|&i| before[i] != after[i]).collect();
    println!("the pixel in the middle changed: {} of {PIXELS} outputs changed, {changed:?}", changed.len());
    assert_eq!(changed, [6, 7, 8, 11, 12, 13, 16, 17, 18]);
    Ok(())
}

fn convolve(image: &[f32; PIXELS]) -> Result<[f32; PIXELS], RunError> {
    let mut output = [0.0; PIXELS];
    let operands = ConvOperands { input: image, weight: Weights::Plain(&KERNEL), bias: &[] };
    CONV.forward(operands, &mut output, &mut [0.0; CONV.scratch_len()])?;
    Ok(output)
}

/// Moves the picture one pixel to the right; the left column becomes 0.
fn right(picture: &[f32; PIXELS]) -> [f32; PIXELS] {
    std::array::from_fn(|i| if i % SIDE == 0 { 0.0 } else { picture[i - 1] })
}

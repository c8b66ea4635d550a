//! Every answer is checked before it is timed: a wrong one may be fast for that reason.

use crate::ConvShape;
use anyhow::{Result, ensure};

/// Multiplications that one check may take: some hundredths of a second. It sees every output of
/// the shapes below that, and a spread of the outputs of larger ones.
const MULTIPLY_ADDS: usize = 1 << 24;

/// A prime that no size here has as a factor: steps of this length, modulo the number of outputs, visit
/// every column, row and channel in turn.
const STEP: usize = 10_007;

/// Checks outputs against the definition in f64.
///
/// The bound, gamma(K + 2) times the sum of the products' magnitudes, holds for every order of
/// summation of the K products, fused or not.
///
/// # Errors
/// The first output that exceeds its bound.
pub fn conv(shape: &ConvShape, input: &[f32], weight: &[f32], output: &[f32]) -> Result<()> {
    ensure!(output.len() == shape.output_len(), "{} outputs, not {}", output.len(), shape.output_len());
    let count = output.len().min(MULTIPLY_ADDS / shape.patch_len());
    let gamma = gamma(shape.patch_len() + 2);
    for index in (0..count).map(|visit| visit * STEP % output.len()) {
        let (sum, magnitude) = exact(shape, input, weight, index);
        let (value, bound) = (f64::from(output[index]), gamma * magnitude);
        // Not `>`: a NaN is wrong, too.
        ensure!((value - sum).abs() <= bound, "output {index} is {value}, not {sum} within {bound:e}");
    }
    Ok(())
}

/// Checks that two results agree within `tolerance` of the largest expected value.
///
/// # Errors
/// The first value that does not.
pub fn close(actual: &[f32], expected: &[f32], tolerance: f32) -> Result<()> {
    ensure!(actual.len() == expected.len(), "{} outputs, not {}", actual.len(), expected.len());
    let bound = tolerance * expected.iter().fold(0.0, |max: f32, value| max.max(value.abs()));
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        ensure!((actual - expected).abs() <= bound, "output {index} is {actual}, not {expected}");
    }
    Ok(())
}

/// gamma(n) = n u / (1 - n u), with u = 2^-24 the unit roundoff of f32.
#[must_use]
pub fn gamma(n: usize) -> f64 {
    let nu = n as f64 / 16_777_216.0;
    nu / (1.0 - nu)
}

/// One output, and the sum of the magnitudes of its products.
#[must_use]
pub fn exact(shape: &ConvShape, input: &[f32], weight: &[f32], index: usize) -> (f64, f64) {
    let ([height, width], [out_height, out_width]) = (shape.input, shape.output());
    let (x, y) = (index % out_width, index / out_width % out_height);
    let (channel, image) =
        (index / shape.positions() % shape.out_channels, index / shape.positions() / shape.out_channels);
    let in_channels = shape.in_channels / shape.groups;
    let group = channel / (shape.out_channels / shape.groups);
    let first_plane = image * shape.in_channels + group * in_channels;
    let mut weights = weight[channel * shape.patch_len()..].iter();
    let (mut sum, mut magnitude) = (0.0, 0.0);
    for plane in first_plane..first_plane + in_channels {
        for i in 0..shape.kernel[0] {
            for (j, weight) in (0..shape.kernel[1]).zip(&mut weights) {
                let row = (y * shape.stride[0] + i * shape.dilation[0]).wrapping_sub(shape.padding[0]);
                let column = (x * shape.stride[1] + j * shape.dilation[1]).wrapping_sub(shape.padding[1]);
                if row < height && column < width {
                    let product =
                        f64::from(input[(plane * height + row) * width + column]) * f64::from(*weight);
                    sum += product;
                    magnitude += product.abs();
                }
            }
        }
    }
    (sum, magnitude)
}

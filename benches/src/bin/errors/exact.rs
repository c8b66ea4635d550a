//! Single values of gradients in f64, each with the sum of its products' magnitudes.

use im2col_benches::ConvShape;

/// A gradient of the input, of which it may have no output at all.
pub(crate) fn grad_input(shape: &ConvShape, weight: &[f32], grad_output: &[f32], index: usize) -> (f64, f64) {
    let [height, width] = shape.input;
    let [out_height, out_width] = shape.output();
    let (x, y) = (index % width, index / width % height);
    let (channel, image) =
        (index / width / height % shape.in_channels, index / width / height / shape.in_channels);
    let (group_in, group_out) = (shape.in_channels / shape.groups, shape.out_channels / shape.groups);
    let (group, of_group) = (channel / group_in, channel % group_in);
    let mut sum = (0.0, 0.0);
    for i in 0..shape.kernel[0] {
        for j in 0..shape.kernel[1] {
            let output = |at: usize, axis: usize, tap: usize, end: usize| {
                let from = (at + shape.padding[axis]).checked_sub(tap * shape.dilation[axis])?;
                let output = from / shape.stride[axis];
                (from % shape.stride[axis] == 0 && output < end).then_some(output)
            };
            let Some((row, column)) = output(y, 0, i, out_height).zip(output(x, 1, j, out_width)) else {
                continue;
            };
            for out in group * group_out..(group + 1) * group_out {
                let grad = ((image * shape.out_channels + out) * out_height + row) * out_width + column;
                let tap = ((out * group_in + of_group) * shape.kernel[0] + i) * shape.kernel[1] + j;
                add(&mut sum, weight[tap], grad_output[grad]);
            }
        }
    }
    sum
}

/// A gradient of the weight.
pub(crate) fn grad_weight(shape: &ConvShape, input: &[f32], grad_output: &[f32], index: usize) -> (f64, f64) {
    let [height, width] = shape.input;
    let [out_height, out_width] = shape.output();
    let (group_in, group_out) = (shape.in_channels / shape.groups, shape.out_channels / shape.groups);
    let (j, i) = (index % shape.kernel[1], index / shape.kernel[1] % shape.kernel[0]);
    let (of_group, out) = (index / shape.kernel[0] / shape.kernel[1] % group_in, index / shape.patch_len());
    let channel = out / group_out * group_in + of_group;
    let mut sum = (0.0, 0.0);
    for image in 0..shape.batch {
        for y in 0..out_height {
            let row = (y * shape.stride[0] + i * shape.dilation[0]).wrapping_sub(shape.padding[0]);
            for x in (0..out_width).filter(|_| row < height) {
                let column = (x * shape.stride[1] + j * shape.dilation[1]).wrapping_sub(shape.padding[1]);
                if column < width {
                    let at = ((image * shape.in_channels + channel) * height + row) * width + column;
                    let grad = ((image * shape.out_channels + out) * out_height + y) * out_width + x;
                    add(&mut sum, input[at], grad_output[grad]);
                }
            }
        }
    }
    sum
}

/// A gradient of the bias: a sum of values alone.
pub(crate) fn grad_bias(shape: &ConvShape, grad_output: &[f32], channel: usize) -> (f64, f64) {
    let mut sum = (0.0, 0.0);
    let planes = grad_output.chunks_exact(shape.positions()).skip(channel).step_by(shape.out_channels);
    planes.flatten().for_each(|&grad| add(&mut sum, grad, 1.0));
    sum
}

fn add(sum: &mut (f64, f64), a: f32, b: f32) {
    let product = f64::from(a) * f64::from(b);
    sum.0 += product;
    sum.1 += product.abs();
}

//! The plain recipe that everybody writes first: the whole im2col matrix, then a library's GEMM.

use crate::ConvShape;

/// Explicit im2col and `matrixmultiply::sgemm`, image by image and group by group.
///
/// The matrix is kept between calls, and a 1x1 kernel of stride 1 multiplies the input itself: what
/// the recipe can do, it does.
#[derive(Clone, Debug)]
pub struct Explicit {
    shape: ConvShape,
    /// `[in_channels / groups, kernel.., output..]` of one image's group.
    columns: Vec<f32>,
}

impl Explicit {
    /// Allocates the matrix of one group.
    #[must_use]
    pub fn new(shape: ConvShape) -> Self {
        Self { shape, columns: vec![0.0; shape.patch_len() * shape.positions()] }
    }

    /// input: `[batch, in_channels, h, w]`, weight: `[out_channels, in_channels / groups, kernel..]`.
    ///
    /// # Panics
    /// If a length is not the shape's.
    pub fn forward(&mut self, input: &[f32], weight: &[f32], output: &mut [f32]) {
        let shape = self.shape;
        let given = [input.len(), weight.len(), output.len()];
        assert_eq!(given, [shape.input_len(), shape.weight_len(), shape.output_len()]);
        let (patch_len, positions) = (shape.patch_len(), shape.positions());
        let rows = shape.out_channels / shape.groups;
        let multiplies_input = shape.kernel == [1; 2] && shape.stride == [1; 2] && shape.padding == [0; 2];

        let inputs = input.chunks_exact(shape.input_len() / (shape.batch * shape.groups));
        let weights = weight.chunks_exact(rows * patch_len).cycle();
        let outputs = output.chunks_exact_mut(rows * positions);
        for ((input, weight), output) in inputs.zip(weights).zip(outputs) {
            let columns = if multiplies_input {
                input
            } else {
                im2col(&shape, input, &mut self.columns);
                &self.columns
            };
            sgemm([rows, patch_len, positions], weight, columns, output);
        }
    }
}

/// `columns[(c, i, j)][(y, x)] = input[c][y s + i d - p][x s + j d - p]`, and 0 in the padding.
fn im2col(shape: &ConvShape, input: &[f32], columns: &mut [f32]) {
    let [_, width] = shape.input;
    let [_, out_width] = shape.output();
    let taps = shape.kernel[0] * shape.kernel[1];
    let planes = input.chunks_exact(shape.input[0] * width);
    for (plane, columns) in planes.zip(columns.chunks_exact_mut(taps * shape.positions())) {
        for (tap, row) in columns.chunks_exact_mut(shape.positions()).enumerate() {
            let [i, j] = [tap / shape.kernel[1], tap % shape.kernel[1]];
            let (from, to) = valid(shape, 1, j);
            for (y, run) in row.chunks_exact_mut(out_width).enumerate() {
                let (first, last) = valid(shape, 0, i);
                if !(first..last).contains(&y) || from == to {
                    run.fill(0.0);
                    continue;
                }
                let source = y * shape.stride[0] + i * shape.dilation[0] - shape.padding[0];
                let offset = from * shape.stride[1] + j * shape.dilation[1] - shape.padding[1];
                let source = &plane[source * width..][offset..width];
                run[..from].fill(0.0);
                run[to..].fill(0.0);
                copy(source, shape.stride[1], &mut run[from..to]);
            }
        }
    }
}

/// Which outputs of an axis see the input, not the padding, through tap `k`.
fn valid(shape: &ConvShape, axis: usize, k: usize) -> (usize, usize) {
    let (stride, padding) = (shape.stride[axis], shape.padding[axis]);
    let (offset, outputs) = (k * shape.dilation[axis], shape.output()[axis]);
    let from = padding.saturating_sub(offset).div_ceil(stride).min(outputs);
    let to = (shape.input[axis] + padding).saturating_sub(offset).div_ceil(stride);
    (from, to.clamp(from, outputs))
}

fn copy(source: &[f32], stride: usize, run: &mut [f32]) {
    if stride == 1 {
        run.copy_from_slice(&source[..run.len()]);
    } else {
        for (value, source) in run.iter_mut().zip(source.iter().step_by(stride)) {
            *value = *source;
        }
    }
}

/// `c = a b`, where a is `[m, k]`, b is `[k, n]` and c is `[m, n]`.
#[allow(unsafe_code, reason = "matrixmultiply takes pointers")]
fn sgemm([m, k, n]: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32]) {
    assert_eq!([a.len(), b.len(), c.len()], [m * k, k * n, m * n]);
    let (row_a, row_b) = (k.cast_signed(), n.cast_signed());
    // SAFETY: matrixmultiply asks that every element addressed by the sizes and strides may be read
    // (a, b) or written (c), and that no two elements of c are one. The matrices are row-major, fill
    // their slices (asserted above), and c is borrowed mutably, so it overlaps neither itself nor
    // the others.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.as_ptr(),
            row_a,
            1,
            b.as_ptr(),
            row_b,
            1,
            0.0,
            c.as_mut_ptr(),
            row_b,
            1,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check, operand};

    #[test]
    fn every_option_is_the_definition() {
        let plain = ConvShape::new(2, [4, 9, 7], 6, [3, 2]);
        let shapes = [
            plain,
            plain.stride([2, 3]),
            plain.padding([5, 4]),
            plain.dilation([3, 2]),
            plain.groups(2),
            plain.stride([3, 2]).padding([1, 3]).dilation([2, 4]).groups(2),
            ConvShape::new(1, [4, 9, 7], 6, [1, 1]),
            ConvShape::new(1, [4, 9, 7], 6, [1, 1]).stride([2, 2]),
        ];
        for shape in shapes {
            let (input, weight) = (operand(shape.input_len(), 1), operand(shape.weight_len(), 2));
            let mut output = vec![f32::NAN; shape.output_len()];
            Explicit::new(shape).forward(&input, &weight, &mut output);
            check::conv(&shape, &input, &weight, &output).unwrap();
        }
    }
}

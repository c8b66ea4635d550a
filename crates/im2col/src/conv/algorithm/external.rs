//! The algorithm that multiplies by the `matrixmultiply` crate.

use crate::conv::pass::Pass;
use crate::conv::shape::ConvShape;
use crate::epilogue::finish;
use crate::scratch::ALIGN;
use crate::weights::Weights;
use crate::window::{checked_product, checked_sum};

/// The im2col matrix of an image.
pub(in crate::conv) const fn scratch_len(shape: &ConvShape) -> Option<usize> {
    match checked_product([shape.depth(), shape.window.positions()]) {
        Some(len) => checked_sum([ALIGN, len]),
        None => None,
    }
}

/// Image by image and group by group: im2col, then sgemm, then bias and activation.
pub(in crate::conv) fn forward(pass: &mut Pass<'_>) {
    let Weights::Plain(weight) = pass.weight else { return };
    let ConvShape { groups, in_group, out_group, window, .. } = pass.shape;
    let (depth, positions) = (pass.shape.depth(), window.positions());
    let columns = &mut pass.scratch[..depth * positions];
    let images = pass.input.chunks_exact(in_group * window.plane_len());
    for (i, (image, output)) in images.zip(pass.output.chunks_exact_mut(out_group * positions)).enumerate() {
        let group = i % groups;
        pass.shape.patches().copy_block(image, 0..depth, 0..positions, columns);
        let weight = &weight[group * out_group * depth..][..out_group * depth];
        sgemm([out_group, depth, positions], weight, columns, output);
        for (o, plane) in output.chunks_exact_mut(positions).enumerate() {
            let bias = pass.bias.get(group * out_group + o).copied();
            finish(plane, bias.unwrap_or(0.0), pass.activation);
        }
    }
}

/// `c[m, n] = a[m, k] b[k, n]`, all row-major.
///
/// Does nothing if a slice is too short; callers pass what their plan says.
#[allow(unsafe_code, reason = "matrixmultiply takes raw pointers")]
fn sgemm([m, k, n]: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32]) {
    let fits =
        |rows: usize, columns: usize, len: usize| rows.checked_mul(columns).is_some_and(|size| size <= len);
    if !(fits(m, k, a.len()) && fits(k, n, b.len()) && fits(m, n, c.len())) {
        return;
    }
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    // SAFETY: with these strides sgemm reads rows x columns values from `a` and `b` and writes as
    // many to `c` ("matrixmultiply::sgemm", memory: the strides must be valid for the sizes); each
    // product was checked above against the slice's length, which also bounds it by `isize::MAX`.
    // `c` is borrowed mutably, so it aliases neither; with beta = 0 it is not read.
    unsafe {
        matrixmultiply::sgemm(m, k, n, 1.0, a, k as isize, 1, b, n as isize, 1, 0.0, c, n as isize, 1);
    }
}

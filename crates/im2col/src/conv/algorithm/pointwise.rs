//! The algorithm for a single tap: the planes of an image are already the matrix.
//!
//! Lanes are positions, and rows are output channels, so that sums are stored as they are: nothing is transposed. Strips
//! of the planes are packed, because the rows of the matrix may be pages apart.

use crate::conv::pass::Pass;
use crate::conv::shape::ConvShape;
use crate::gemm::pack::Matrix;
use crate::gemm::{Blocking, Blocks, Destination, Rows};
use crate::scratch::ALIGN;
use crate::simd::Isa;

/// Strips of the planes of an image.
pub(in crate::conv) const fn blocking(shape: &ConvShape) -> Blocking {
    Blocking::new(shape.out_group, shape.depth(), shape.window.positions())
}

/// A strip of the planes.
pub(in crate::conv) const fn scratch_len(shape: &ConvShape) -> Option<usize> {
    Some(ALIGN + blocking(shape).strip_len())
}

/// Runs the algorithm, image by image.
pub(in crate::conv) fn forward(isa: Isa, pass: &mut Pass<'_>) {
    let ConvShape { batch, groups, out_group, window, .. } = pass.shape;
    let (depth, columns, blocking) = (pass.shape.depth(), window.positions(), blocking(&pass.shape));
    let (strip, panels) = pass.take_scratch();
    for group in 0..groups {
        let (weights, epilogue) = (pass.panels(isa, group, panels), pass.epilogue(group));
        for image in 0..batch {
            let (planes, values) = pass.image(image, group);
            let planes = Matrix::row_major(&planes.input[planes.start..][..planes.len], columns);
            let c = Destination { values, row_stride: columns, image_columns: columns, image_stride: 0 };
            let (rows, a) = (out_group, Rows::Packed(weights));
            let product = Blocks { rows, depth, columns, blocking, a, epilogue, c };
            product.compute(isa, strip, 0, |k, columns, strip| planes.pack(isa, k, columns, strip));
        }
    }
}

//! The algorithm for a single tap: the planes of an image are already the matrix.
//!
//! Lanes are positions, and rows are output channels, so that sums are stored as they are: nothing is transposed. Strips
//! of the planes are packed, because the rows of the matrix may be pages apart.

use super::forward::Forward;
use super::shape::Shape;
use crate::gemm::pack::Matrix;
use crate::gemm::{Blocking, Blocks, Destination, Rows};
use crate::kernel::Isa;

pub(super) const fn blocking(shape: &Shape) -> Blocking {
    Blocking::new(shape.out_group, shape.depth(), shape.window.positions())
}

/// Runs the algorithm, image by image.
pub(super) fn forward(isa: Isa, mut forward: Forward<'_>) {
    let Shape { batch, groups, out_group, window, .. } = forward.shape;
    let (depth, columns, blocking) = (forward.shape.depth(), window.positions(), blocking(&forward.shape));
    let (strip, panels) = forward.take_scratch();
    for group in 0..groups {
        let (weights, epilogue) = (forward.panels(isa, group, panels), forward.epilogue(group));
        for image in 0..batch {
            let (planes, values) = forward.image(image, group);
            let planes = Matrix::row_major(&planes.input[planes.start..][..planes.len], columns);
            let c = Destination { values, row_stride: columns, image_columns: columns, image_stride: 0 };
            let (rows, a) = (out_group, Rows::Packed(weights));
            let product = Blocks { rows, depth, columns, blocking, a, epilogue, c };
            product.compute(isa, strip, 0, |k, columns, strip| planes.pack(isa, k, columns, strip));
        }
    }
}

//! The algorithm that multiplies by the im2col matrix, strips of which are packed on the fly.

use crate::conv::pass::Pass;
use crate::conv::shape::ConvShape;
use crate::gemm::{Blocking, Blocks, Destination, Rows};
use crate::im2col::{PackPatches, Patches};
use crate::scratch::ALIGN;
use crate::simd::{Isa, dispatch};

/// Blocks of the product: columns of all images together.
pub(in crate::conv) const fn blocking(shape: &ConvShape) -> Blocking {
    Blocking::new(shape.out_group, shape.depth(), shape.batch * shape.window.positions())
}

/// A strip of the matrix.
pub(in crate::conv) const fn scratch_len(shape: &ConvShape) -> Option<usize> {
    let Blocking { kc, strip, .. } = blocking(shape);
    Some(ALIGN + Patches::block_len(kc, strip))
}

/// Multiplies the weights of each group by its im2col matrix, of all images together.
pub(in crate::conv) fn forward(isa: Isa, pass: &mut Pass<'_>) {
    let ConvShape { batch, groups, in_group, out_group, window, .. } = pass.shape;
    let (depth, positions) = (pass.shape.depth(), window.positions());
    let (patches, blocking) = (pass.shape.patches(), blocking(&pass.shape));
    let (strip, panels) = pass.take_scratch();
    for group in 0..groups {
        let (weights, epilogue) = (pass.panels(isa, group, panels), pass.epilogue(group));
        let input = pass.input.get(group * in_group * window.plane_len()..).unwrap_or_default();
        let c = Destination {
            values: pass.output.get_mut(group * out_group * positions..).unwrap_or_default(),
            row_stride: positions,
            image_columns: positions,
            image_stride: groups * out_group * positions,
        };
        let (rows, columns, a) = (out_group, batch * positions, Rows::Packed(weights));
        let product = Blocks { rows, depth, columns, blocking, a, epilogue, c };
        product.compute(isa, strip, 1, |rows, columns, block| {
            dispatch(isa, PackPatches { patches, input, rows, columns, block });
        });
    }
}

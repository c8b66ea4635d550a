//! How long operands and scratches are, checked: what follows may multiply sizes freely.

use super::broadcast::{self, Block, PANELS_AT_ONCE};
use super::direct::{Stage, TILE_LEN};
use super::plan::Algorithm;
use super::pointwise;
use super::shape::Shape;
use super::winograd;
use super::{backward_input, backward_weight};
use crate::gemm::Blocking;
use crate::kernel::NR;
use crate::lower::Patches;
use crate::scratch::ALIGN;
use crate::window::{checked_product, checked_sum};

/// The value, or else an early `None`: `?` is not const.
macro_rules! checked {
    ($sizes:expr) => {
        match $sizes {
            Some(size) => size,
            None => return None,
        }
    };
}

/// The lengths of operands and scratches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lens {
    pub(super) input: usize,
    pub(super) weight: usize,
    pub(super) output: usize,
    pub(super) columns: usize,
    pub(super) multiply_adds: usize,
    pub(super) forward: ForwardLens,
    pub(super) backward_input: usize,
    /// The same for a transposed convolution with plain and packed weights, and the length of those.
    pub(super) transposed: usize,
    pub(super) transposed_packed: usize,
    pub(super) packed_transposed: usize,
    pub(super) backward_weight: usize,
}

impl Lens {
    /// All of them, if they fit in `usize`. `most` limits the blocks of the forward pass, in values.
    pub(super) const fn new(shape: &Shape, algorithm: Algorithm, most: usize) -> Option<Self> {
        let Shape { batch, groups, in_group, out_group, window } = *shape;
        let (taps, positions) = (window.taps(), window.positions());
        let depth = checked!(checked_product([in_group, taps]));
        // The batch last: it may be 0, and a single image must fit all the same.
        let input = checked!(checked_product([groups, in_group, window.plane_len(), batch]));
        let output = checked!(checked_product([groups, out_group, positions, batch]));
        let weight = checked!(checked_product([groups, out_group, depth]));
        let columns = checked!(checked_product([groups, depth, positions, batch]));
        let multiply_adds = output.saturating_mul(depth);
        // An operand is at most `isize::MAX` bytes, so all of them together may take a quarter of the address
        // space.
        checked!(checked_product([4, checked!(checked_sum([input, output, weight]))]));

        let forward = checked!(ForwardLens::new(shape, algorithm, most));
        let blocking = shape.backward_input_blocking();
        let panels_transposed =
            checked!(checked_product([checked!(depth.checked_next_multiple_of(NR)), out_group]));
        let (transposed_packed, panels_backward) = match shape.depthwise_stage_len() {
            Some(stage) => (checked!(checked_sum([ALIGN, stage])), 0),
            None => {
                let columns = checked!(checked_product([depth, blocking.nc]));
                let blocks = checked!(checked_sum([ALIGN + blocking.strip_len(), columns]));
                (blocks, panels_transposed)
            }
        };
        let transposed = checked!(checked_sum([transposed_packed, panels_backward]));
        let backward_input = match backward_input::mirror(shape) {
            Some(mirror) => checked!(backward_input::scratch_len(&mirror, usize::MAX)),
            None => transposed,
        };
        let backward_weight = checked!(backward_weight::scratch_len(shape, usize::MAX));
        Some(Self {
            input,
            weight,
            output,
            columns,
            multiply_adds,
            forward,
            backward_input,
            transposed,
            transposed_packed,
            packed_transposed: checked!(checked_product([groups, panels_transposed])),
            backward_weight,
        })
    }
}

/// The lengths that the forward pass of an algorithm needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ForwardLens {
    /// Blocks of [`Algorithm::Broadcast`].
    pub(super) block: Block,
    /// Packed weights.
    pub(super) weight: usize,
    /// Scratch with plain and with packed weights.
    pub(super) plain: usize,
    pub(super) packed: usize,
}

impl ForwardLens {
    /// Those of a shape whose operands have lengths. `most` limits the blocks, in values.
    pub(super) const fn new(shape: &Shape, algorithm: Algorithm, most: usize) -> Option<Self> {
        let shape = match algorithm {
            Algorithm::Depthwise | Algorithm::Winograd => shape,
            _ => &shape.simplified(),
        };
        let Shape { groups, in_group, out_group, window, .. } = *shape;
        let (depth, positions) = (shape.depth(), window.positions());
        // Rounding up to whole panels must not overflow either: the rows and columns of a group's matrices may
        // take a 128th of the address space.
        checked!(checked_product([4, 2 * NR, checked!(checked_sum([depth, positions, out_group]))]));
        let packed_rows = checked!(out_group.checked_next_multiple_of(NR));
        let packed_depth = match algorithm {
            Algorithm::Winograd => checked!(checked_product([in_group, winograd::POINTS])),
            _ => depth,
        };
        let packed_weight = checked!(checked_product([groups, packed_rows, packed_depth]));
        let block = Block::new(shape, most);
        // What the forward pass multiplies the weights by, and the plain weights of a group packed.
        let (forward_packed, panels) = match algorithm {
            Algorithm::Broadcast => {
                let stage = checked!(block.stage_len(shape));
                let most = if broadcast::is_staged(shape) { packed_rows } else { PANELS_AT_ONCE * NR };
                let rows = if packed_rows < most { packed_rows } else { most };
                (checked!(checked_sum([ALIGN, block.strip_len(), stage])), rows * depth)
            }
            Algorithm::Winograd => {
                let block = checked!(winograd::scratch_len(shape));
                (checked!(checked_sum([ALIGN, block])), packed_weight / groups)
            }
            Algorithm::Direct => {
                let stage = checked!(Stage::new(shape).len());
                (checked!(checked_sum([ALIGN, TILE_LEN, stage])), packed_weight / groups)
            }
            Algorithm::Pointwise => (ALIGN + pointwise::blocking(shape).strip_len(), packed_weight / groups),
            Algorithm::Im2col => {
                let Blocking { kc, strip, .. } = shape.forward_blocking();
                (ALIGN + Patches::block_len(kc, strip), packed_weight / groups)
            }
            Algorithm::Depthwise | Algorithm::InPlace => (0, 0),
            #[cfg(feature = "matrixmultiply")]
            Algorithm::Matrixmultiply => {
                (checked!(checked_sum([ALIGN, checked!(checked_product([depth, positions]))])), 0)
            }
        };
        let plain = checked!(checked_sum([forward_packed, panels]));
        Some(Self { block, weight: packed_weight, plain, packed: forward_packed })
    }
}

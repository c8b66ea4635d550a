//! Zeroing the lanes that see padding, or that nobody asked for.
//!
//! A mask is two loads from a table; comparing the numbers of the lanes takes longer than what the
//! lanes are for.

use super::kernel::{Lanes, NR};
use bytemuck::must_cast;
use wide::f32x4;

/// All bits of a lane, or none.
pub(crate) type Mask = [u32; NR];

const TABLE: [u32; 3 * NR] = {
    let mut table = [0; 3 * NR];
    let mut i = NR;
    while i < 2 * NR {
        table[i] = u32::MAX;
        i += 1;
    }
    table
};

/// The lanes `start..end`, both at most `NR`.
#[inline(always)]
pub(crate) fn lanes(start: usize, end: usize) -> Mask {
    let (not_before, not_after) = (&TABLE[NR - start..][..NR], &TABLE[2 * NR - end..][..NR]);
    let mut mask = [0; NR];
    for i in 0..NR {
        mask[i] = not_before[i] & not_after[i];
    }
    mask
}

/// Zeros the lanes that are not in the mask.
#[inline(always)]
pub(crate) fn apply(mask: &Mask, mut values: Lanes) -> Lanes {
    for (value, mask) in values.iter_mut().zip(mask) {
        *value = f32::from_bits(value.to_bits() & mask);
    }
    values
}

/// [`apply`] by vectors of four lanes: before a shuffle the compiler masks lane by lane, unless a register has all of them
/// (1.7x on `mb_dw3x3s2_64_112` under AVX2).
#[inline(always)]
pub(crate) fn apply_by_fours(mask: &Mask, values: Lanes) -> Lanes {
    let (values, masks): ([f32x4; NR / 4], [f32x4; NR / 4]) = (must_cast(values), must_cast(*mask));
    must_cast([values[0] & masks[0], values[1] & masks[1], values[2] & masks[2], values[3] & masks[3]])
}

/// Zeros the lanes that are not in `start..end`.
#[inline(always)]
pub(crate) fn keep(values: Lanes, start: usize, end: usize) -> Lanes {
    apply(&lanes(start, end), values)
}

//! Plain arithmetic: the definition that the others are tested against.

use super::{Lanes, NR};

/// A multiplication, then an addition, never fused: the same bits on every target.
#[inline(always)]
pub(super) fn mul_add(a: f32, b: Lanes, c: Lanes) -> Lanes {
    core::array::from_fn(|i| a * b[i] + c[i])
}

#[inline(always)]
pub(super) fn product_add(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
    core::array::from_fn(|i| a[i] * b[i] + c[i])
}

#[inline(always)]
pub(super) fn transpose(rows: &[Lanes; NR]) -> [Lanes; NR] {
    let mut columns = [[0.0; NR]; NR];
    for (i, row) in rows.iter().enumerate() {
        for (column, value) in columns.iter_mut().zip(row) {
            column[i] = *value;
        }
    }
    columns
}

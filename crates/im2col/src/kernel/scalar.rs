//! Plain arithmetic: the definition that the others are tested against.

use super::Lanes;

/// A multiplication, then an addition, never fused: the same bits on every target.
#[inline(always)]
pub(super) fn mul_add(a: f32, b: Lanes, c: Lanes) -> Lanes {
    core::array::from_fn(|i| a * b[i] + c[i])
}

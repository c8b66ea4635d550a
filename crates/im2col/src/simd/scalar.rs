//! A multiplication, then an addition, each rounded: the same bits on every target.

use super::kernel::{Kernel, Lanes};
use super::wide::{ROWS, splat, transpose};
use bytemuck::must_cast;
use wide::f32x4;

/// Runs a kernel. Not inlined: several of them in one function would be a large one.
#[inline(never)]
pub(super) fn run<K: Kernel>(kernel: K) {
    kernel.run::<ROWS, 1, { ROWS / 2 }>(mul_add, (transpose, product_add));
}

/// Never fused: the crate `wide` multiplies and adds by separate operators, which the compiler must not contract.
#[inline(always)]
fn mul_add(a: f32, b: Lanes, c: Lanes) -> Lanes {
    let a = splat(a);
    product_add(must_cast([a, a, a, a]), b, c)
}

#[inline(always)]
fn product_add(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
    let (a, b, c): ([f32x4; 4], [f32x4; 4], [f32x4; 4]) = (must_cast(a), must_cast(b), must_cast(c));
    must_cast([a[0] * b[0] + c[0], a[1] * b[1] + c[1], a[2] * b[2] + c[2], a[3] * b[3] + c[3]])
}

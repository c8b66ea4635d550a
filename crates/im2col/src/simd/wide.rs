//! The `wide` crate: SSE2, NEON or simd128, fixed when it is compiled.

use super::kernel::{Kernel, Lanes, NR};
use bytemuck::must_cast;
use wide::f32x4;

/// Eight 128-bit registers of sums where there are sixteen in all, 24 where there are 32.
pub(super) const ROWS: usize = if cfg!(target_arch = "aarch64") { 6 } else { 2 };

/// Whether the compilation target has a fused instruction that `wide` uses. Where it has none, `WIDE` is `SCALAR`.
pub(super) const IS_FUSED: bool = cfg!(any(
    target_feature = "fma",
    all(target_arch = "aarch64", target_feature = "neon"),
    target_feature = "relaxed-simd"
));

/// Runs a kernel.
#[inline(never)]
pub(super) fn run<K: Kernel>(kernel: K) {
    kernel.run::<ROWS, 1, { ROWS / 2 }>(mul_add, (transpose, product_add));
}

#[inline(always)]
fn mul_add(a: f32, b: Lanes, c: Lanes) -> Lanes {
    product_add(must_cast([f32x4::splat(a); 4]), b, c)
}

#[inline(always)]
fn product_add(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
    let [a, b, c]: [[f32x4; 4]; 3] = [must_cast(a), must_cast(b), must_cast(c)];
    must_cast([
        a[0].mul_add(b[0], c[0]),
        a[1].mul_add(b[1], c[1]),
        a[2].mul_add(b[2], c[2]),
        a[3].mul_add(b[3], c[3]),
    ])
}

/// Block by block of four by four.
#[inline(always)]
pub(super) fn transpose(rows: &[Lanes; NR]) -> [Lanes; NR] {
    let mut columns = [[f32x4::ZERO; 4]; NR];
    for i in 0..4 {
        for j in 0..4 {
            let mut block = [f32x4::ZERO; 4];
            for k in 0..4 {
                block[k] = must_cast::<Lanes, [f32x4; 4]>(rows[4 * i + k])[j];
            }
            let block = f32x4::transpose(block);
            for k in 0..4 {
                columns[4 * j + k][i] = block[k];
            }
        }
    }
    must_cast(columns)
}

//! The `wide` crate: SSE2, NEON or simd128, fixed when it is compiled.

use super::kernel::{Kernel, Lanes, NR};
use bytemuck::must_cast;
use wide::f32x4;

/// Eight 128-bit registers of sums where there are sixteen in all, 24 where there are 32.
pub(super) const ROWS: usize = if cfg!(target_arch = "aarch64") { 6 } else { 2 };

/// Whether the compilation target has vectors that `wide` uses. Without them a lane costs as much as it does alone.
pub(crate) const HAS_VECTORS: bool =
    cfg!(any(target_feature = "sse2", target_feature = "neon", target_feature = "simd128"));

/// Whether the compilation target has few registers: kernels leave out the lanes that are not stored, and are written so that they
/// are fast where code is optimised for size, too.
pub(crate) const IS_SMALL: bool = !cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

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
    let a = splat(a);
    product_add(must_cast([a, a, a, a]), b, c)
}

/// A vector of equal values. On small targets they are written out: `wide` repeats them in a loop where code is optimised for size.
#[inline(always)]
pub(super) fn splat(a: f32) -> f32x4 {
    if IS_SMALL { f32x4::new([a, a, a, a]) } else { f32x4::splat(a) }
}

#[inline(always)]
fn product_add(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
    let (a, b, c): ([f32x4; 4], [f32x4; 4], [f32x4; 4]) = (must_cast(a), must_cast(b), must_cast(c));
    must_cast([
        a[0].mul_add(b[0], c[0]),
        a[1].mul_add(b[1], c[1]),
        a[2].mul_add(b[2], c[2]),
        a[3].mul_add(b[3], c[3]),
    ])
}

/// Block by block of four by four.
#[inline(always)]
pub(super) fn transpose(rows: [&Lanes; NR]) -> [Lanes; NR] {
    let mut columns = [[f32x4::ZERO; 4]; NR];
    for i in 0..4 {
        for j in 0..4 {
            let mut block = [f32x4::ZERO; 4];
            for k in 0..4 {
                block[k] = must_cast::<Lanes, [f32x4; 4]>(*rows[4 * i + k])[j];
            }
            let block = f32x4::transpose(block);
            for k in 0..4 {
                columns[4 * j + k][i] = block[k];
            }
        }
    }
    must_cast(columns)
}

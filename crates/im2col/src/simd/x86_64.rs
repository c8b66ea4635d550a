//! The instruction sets of x86-64 that are found at run time, with or without `std`.
//!
//! Loads and stores are casts of whole arrays, so the arithmetic needs no `unsafe`: intrinsics
//! without pointers are safe inside a function that has their target feature, and so are they in
//! its closures, which inherit it.

use super::kernel::{Kernel, Lanes, NR};
use bytemuck::must_cast;
use core::arch::x86_64::{
    __m256, __m512, _mm256_fmadd_ps, _mm256_permute2f128_ps, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_shuffle_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps, _mm512_fmadd_ps, _mm512_set1_ps,
    _mm512_shuffle_f32x4, _mm512_shuffle_ps, _mm512_unpackhi_ps, _mm512_unpacklo_ps,
};

cpufeatures::new!(avx2_fma, "avx2", "fma");
cpufeatures::new!(avx512f, "avx512f", "avx2", "fma");

pub(super) fn has_avx2_fma() -> bool {
    avx2_fma::get()
}

pub(super) fn has_avx512f() -> bool {
    avx512f::get()
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn run_avx2_fma<K: Kernel>(kernel: K) {
    let mul_add = |a, b: Lanes, c: Lanes| {
        let (a, b, c): (_, [__m256; 2], [__m256; 2]) = (_mm256_set1_ps(a), must_cast(b), must_cast(c));
        must_cast([_mm256_fmadd_ps(a, b[0], c[0]), _mm256_fmadd_ps(a, b[1], c[1])])
    };
    let product_add = |a: Lanes, b: Lanes, c: Lanes| {
        let (a, b, c): ([__m256; 2], [__m256; 2], [__m256; 2]) = (must_cast(a), must_cast(b), must_cast(c));
        must_cast([_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])])
    };
    kernel.run::<6, 1, 3>(mul_add, (|rows: [&Lanes; NR]| transpose_avx2(rows), product_add));
}

/// Two panels at once: twelve chains of sums, where latency times ports asks for at least eight.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) fn run_avx512f<K: Kernel>(kernel: K) {
    let mul_add = |a, b, c| {
        let sum: __m512 = _mm512_fmadd_ps(_mm512_set1_ps(a), must_cast(b), must_cast(c));
        must_cast::<__m512, Lanes>(sum)
    };
    let product_add = |a, b, c| {
        let sum: __m512 = _mm512_fmadd_ps(must_cast(a), must_cast(b), must_cast(c));
        must_cast::<__m512, Lanes>(sum)
    };
    kernel.run::<6, 2, 7>(mul_add, (|rows: [&Lanes; NR]| transpose_avx512f(rows), product_add));
}

/// Block by block of eight by eight: pairs of rows, pairs of pairs, halves of registers.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn transpose_avx2(rows: [&Lanes; NR]) -> [Lanes; NR] {
    let mut columns = [[_mm256_setzero_ps(); 2]; NR];
    for i in 0..2 {
        for j in 0..2 {
            let mut r = [_mm256_setzero_ps(); 8];
            for k in 0..8 {
                r[k] = must_cast::<Lanes, [__m256; 2]>(*rows[8 * i + k])[j];
            }
            let mut pairs = r;
            for k in 0..4 {
                pairs[2 * k] = _mm256_unpacklo_ps(r[2 * k], r[2 * k + 1]);
                pairs[2 * k + 1] = _mm256_unpackhi_ps(r[2 * k], r[2 * k + 1]);
            }
            let mut fours = r;
            for k in 0..2 {
                let p = [pairs[4 * k], pairs[4 * k + 1], pairs[4 * k + 2], pairs[4 * k + 3]];
                fours[4 * k] = _mm256_shuffle_ps::<0x44>(p[0], p[2]);
                fours[4 * k + 1] = _mm256_shuffle_ps::<0xee>(p[0], p[2]);
                fours[4 * k + 2] = _mm256_shuffle_ps::<0x44>(p[1], p[3]);
                fours[4 * k + 3] = _mm256_shuffle_ps::<0xee>(p[1], p[3]);
            }
            for k in 0..4 {
                columns[8 * j + k][i] = _mm256_permute2f128_ps::<0x20>(fours[k], fours[4 + k]);
                columns[8 * j + 4 + k][i] = _mm256_permute2f128_ps::<0x31>(fours[k], fours[4 + k]);
            }
        }
    }
    must_cast(columns)
}

/// Pairs of rows, pairs of pairs, then quarters of registers, twice.
#[inline]
#[target_feature(enable = "avx512f,avx2,fma")]
fn transpose_avx512f(rows: [&Lanes; NR]) -> [Lanes; NR] {
    let r: [__m512; NR] = rows.map(|row| must_cast(*row));
    let mut pairs = r;
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    // Register `4 i + j` holds, of rows `4 i..4 i + 4`, columns `j`, `j + 4`, `j + 8`, `j + 12`.
    let mut fours = r;
    for i in 0..4 {
        let p = [pairs[4 * i], pairs[4 * i + 1], pairs[4 * i + 2], pairs[4 * i + 3]];
        fours[4 * i] = _mm512_shuffle_ps::<0x44>(p[0], p[2]);
        fours[4 * i + 1] = _mm512_shuffle_ps::<0xee>(p[0], p[2]);
        fours[4 * i + 2] = _mm512_shuffle_ps::<0x44>(p[1], p[3]);
        fours[4 * i + 3] = _mm512_shuffle_ps::<0xee>(p[1], p[3]);
    }
    let mut columns = r;
    for j in 0..4 {
        let (low, high) = ([fours[j], fours[4 + j]], [fours[8 + j], fours[12 + j]]);
        let low =
            [_mm512_shuffle_f32x4::<0x88>(low[0], low[1]), _mm512_shuffle_f32x4::<0xdd>(low[0], low[1])];
        let high =
            [_mm512_shuffle_f32x4::<0x88>(high[0], high[1]), _mm512_shuffle_f32x4::<0xdd>(high[0], high[1])];
        columns[j] = _mm512_shuffle_f32x4::<0x88>(low[0], high[0]);
        columns[j + 8] = _mm512_shuffle_f32x4::<0xdd>(low[0], high[0]);
        columns[j + 4] = _mm512_shuffle_f32x4::<0x88>(low[1], high[1]);
        columns[j + 12] = _mm512_shuffle_f32x4::<0xdd>(low[1], high[1]);
    }
    must_cast(columns)
}

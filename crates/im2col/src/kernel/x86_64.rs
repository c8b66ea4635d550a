//! The instruction sets of x86-64 that are found at run time, with or without `std`.
//!
//! Loads and stores are casts of whole arrays, so the arithmetic needs no `unsafe`: intrinsics
//! without pointers are safe inside a function that has their target feature, and so are they in
//! its closures, which inherit it.

use super::{Job, Lanes};
use bytemuck::must_cast;
use core::arch::x86_64::{__m256, __m512, _mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps};

cpufeatures::new!(avx2_fma, "avx2", "fma");
cpufeatures::new!(avx512f, "avx512f", "avx2", "fma");

pub(super) fn has_avx2_fma() -> bool {
    avx2_fma::get()
}

pub(super) fn has_avx512f() -> bool {
    avx512f::get()
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn run_avx2_fma<J: Job>(job: J) {
    job.run::<6, 1>(|a, b: Lanes, c: Lanes| {
        let (a, b, c): (_, [__m256; 2], [__m256; 2]) = (_mm256_set1_ps(a), must_cast(b), must_cast(c));
        must_cast([_mm256_fmadd_ps(a, b[0], c[0]), _mm256_fmadd_ps(a, b[1], c[1])])
    });
}

/// Two panels at once: twelve chains of sums, where latency times ports asks for at least eight.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) fn run_avx512f<J: Job>(job: J) {
    job.run::<6, 2>(|a, b, c| {
        let sum: __m512 = _mm512_fmadd_ps(_mm512_set1_ps(a), must_cast(b), must_cast(c));
        must_cast::<__m512, Lanes>(sum)
    });
}

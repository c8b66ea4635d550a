//! What the benchmarks share: the shapes, the operands, the baseline, and the check of every
//! answer before it is timed.

pub mod catalogue;
pub mod check;
pub mod explicit;
#[cfg(feature = "rayon")]
pub mod images;
mod shape;
mod tensor;

pub use shape::ConvShape;
pub use tensor::Tensor;

use anyhow::{Context, Result};
use im2col::Isa;

/// The instruction set of this name, `avx2+fma` for example.
///
/// # Errors
/// If this CPU has none of that name.
pub fn isa_by_name(name: &str) -> Result<Isa> {
    Isa::available().find(|isa| isa.name() == name).with_context(|| format!("this CPU has no {name}"))
}

/// `len` values in -1..1, the same for the same `seed` on every machine.
#[must_use]
pub fn operand(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        // SplitMix64. The upper 24 bits become the value, so that it is exact in f32.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// The examples of the workspace's README are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

//! Which instruction set runs, and the one call that crosses into it.
//!
//! A [`Kernel`] is a step of an operation with all of its loops, such as the tiles of a block, a pooling pass, an
//! activation. [`dispatch`] runs it inside a function compiled for the chosen instruction set.

mod kernel;
pub(crate) mod load;
pub(crate) mod mask;
mod scalar;
mod wide;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub(crate) use kernel::{Kernel, Lanes, MR, MulAdd, NR, Vectors};
pub(crate) use wide::{HAS_VECTORS, IS_SMALL};

/// An instruction set that this CPU has.
///
/// A token: the constructors are the only source of one, so safe code cannot name an instruction
/// set that the CPU lacks. All of them give the same results up to rounding, and share one packed
/// layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Scalar,
    Wide,
    #[cfg(target_arch = "x86_64")]
    Avx2Fma,
    #[cfg(target_arch = "x86_64")]
    Avx512F,
}

impl Isa {
    /// A multiplication, then an addition, each rounded, as scalar code computes them: the same bits on every target.
    pub const SCALAR: Self = Self(Kind::Scalar);

    /// The `wide` crate: whatever the compilation target guarantees (SSE2, NEON, wasm simd128).
    pub const WIDE: Self = Self(Kind::Wide);

    /// AVX2 and FMA, if this CPU has them.
    #[must_use]
    pub fn avx2_fma() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if x86_64::has_avx2_fma() {
            return Some(Self(Kind::Avx2Fma));
        }
        None
    }

    /// AVX-512F (with AVX2 and FMA), if this CPU has it.
    #[must_use]
    pub fn avx512f() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if x86_64::has_avx512f() {
            return Some(Self(Kind::Avx512F));
        }
        None
    }

    /// The fastest one that this CPU has. The detection is cached.
    #[must_use]
    pub fn detect() -> Self {
        Self::avx512f().or_else(Self::avx2_fma).unwrap_or(Self::WIDE)
    }

    /// Every one that this CPU has, slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        [Some(Self::SCALAR), Some(Self::WIDE), Self::avx2_fma(), Self::avx512f()].into_iter().flatten()
    }

    /// Whether it is what an x86-64 CPU without AVX2 runs, or the reference.
    pub(crate) const fn is_fallback(self) -> bool {
        cfg!(target_arch = "x86_64") && matches!(self.0, Kind::Scalar | Kind::Wide)
    }

    /// How many [`Lanes`] of sums its registers hold, and leave room for operands.
    pub(crate) const fn most_sums(self) -> usize {
        match self.0 {
            Kind::Scalar | Kind::Wide => wide::ROWS,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2Fma => 6,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512F => 24,
        }
    }

    /// `"scalar"`, `"wide"`, `"avx2+fma"` or `"avx512f"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Scalar => "scalar",
            Kind::Wide => "wide",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2Fma => "avx2+fma",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512F => "avx512f",
        }
    }
}

/// Runs `kernel` under `isa`.
///
/// Not inlined where debug assertions are on: rustc then takes the kernels that this crate has compiled (for the
/// layers of a network), where it would otherwise compile them anew for each test, example and crate that calls a
/// plan. In release it may inline, which the direct kernel gains by (docs/measurements.md).
#[cfg_attr(debug_assertions, inline(never))]
#[allow(unsafe_code, reason = "the call into a function of an instruction set that was detected")]
pub(crate) fn dispatch<K: Kernel>(isa: Isa, kernel: K) {
    match isa.0 {
        Kind::Wide if wide::IS_FUSED && K::HAS_FALLBACK => wide::run(kernel),
        Kind::Scalar | Kind::Wide if K::HAS_FALLBACK => scalar::run(kernel),
        Kind::Scalar | Kind::Wide => debug_assert!(false, "a kernel without a fallback"),
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2Fma | Kind::Avx512F if !K::USES_AVX2 => scalar::run(kernel),
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512F if K::USES_AVX512 => {
            // SAFETY: a function with `#[target_feature]` may be called where the CPU has the
            // features (Reference, "The target_feature attribute"). `Kind::Avx512F` is made only
            // by `Isa::avx512f`, after CPUID and XGETBV have reported AVX-512F, AVX2 and FMA.
            unsafe { x86_64::run_avx512f(kernel) }
        }
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2Fma | Kind::Avx512F => {
            // SAFETY: as above; `Kind::Avx2Fma` is made only by `Isa::avx2_fma`, after CPUID and
            // XGETBV have reported AVX2 and FMA, and `Kind::Avx512F` after they have as well.
            unsafe { x86_64::run_avx2_fma(kernel) }
        }
    }
}

//! What a kernel is, and what an instruction set supplies to it.

/// Rows of the tile of AVX2: six rows and sixteen columns of sums, a row of `B` and a value of `A` fill 15 of its 16
/// registers, 12 + 2 + 1.
pub(crate) const MR: usize = 6;
/// Columns of a panel of `B`: one AVX-512 register, two of AVX2, four of 128 bits.
pub(crate) const NR: usize = 16;

/// A row of sums, or of a panel of `B`.
pub(crate) type Lanes = [f32; NR];

/// `a * b + c` on each lane.
///
/// Loops written over arrays of `Lanes` keep them in registers where this is inlined: such a loop
/// reaches 98 % of the FMA peak, as one written in intrinsics does.
pub(crate) trait MulAdd: Fn(f32, Lanes, Lanes) -> Lanes + Copy {}
impl<F: Fn(f32, Lanes, Lanes) -> Lanes + Copy> MulAdd for F {}

/// What else an instruction set supplies.
pub(crate) trait Vectors: Copy {
    /// Turns sixteen rows into sixteen columns: the only shuffle.
    ///
    /// Written as loops it became loads and stores of single values.
    fn transpose(self, rows: [&Lanes; NR]) -> [Lanes; NR];

    /// `a * b + c`, all three of them vectors, rounded as [`MulAdd`] rounds.
    fn product_add(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes;
}

impl<T, P> Vectors for (T, P)
where
    T: Fn([&Lanes; NR]) -> [Lanes; NR] + Copy,
    P: Fn(Lanes, Lanes, Lanes) -> Lanes + Copy,
{
    #[inline(always)]
    fn transpose(self, rows: [&Lanes; NR]) -> [Lanes; NR] {
        (self.0)(rows)
    }

    #[inline(always)]
    fn product_add(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        (self.1)(a, b, c)
    }
}

/// An operation that [`dispatch`](super::dispatch) runs under an instruction set.
///
/// Generic functions run it by a function that is not generic, such as an inherent `compute`: it is then compiled in this crate
/// only, and not again in every crate that calls.
///
/// `run` and what it calls in its loops must be `#[inline(always)]`: only code inlined into the
/// dispatching function is compiled for the instruction set.
pub(crate) trait Kernel {
    /// Whether wider registers pay: kernels that copy or compare values, and others that were no faster, are not compiled for
    /// AVX-512 but run under AVX2.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "no other target has AVX-512"))]
    const USES_AVX512: bool = true;

    /// Whether AVX2 pays: kernels that only copy, and others that were no faster, are compiled for what the target guarantees alone.
    /// They must not use the multiply-add, which rounds otherwise there, but by 1.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "no other target has AVX2"))]
    const USES_AVX2: bool = true;

    /// Whether it is compiled for what the target guarantees, too. On x86-64 that serves CPUs from before 2013 only, where
    /// callers may run a simpler kernel ([`Isa::is_fallback`](super::Isa::is_fallback)).
    const HAS_FALLBACK: bool = true;

    /// Runs the operation. The registers hold `ROWS` (a divisor of `MR`) times `PANELS` sums of [`Lanes`] where the lanes are
    /// positions, `2 * PAIRS` times `PANELS` where they are channels.
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        vectors: impl Vectors,
    );
}

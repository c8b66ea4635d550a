//! Sizes and numbers that nobody sends by accident, and the check of operand lengths.

use arbitrary::Arbitrary;
use im2col::{Activation, RunError};

/// A size from one byte: usually 0 to 11, sometimes one whose products overflow.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Size(u8);

impl Size {
    /// The size.
    pub(crate) fn get(self) -> usize {
        const SMALL: u8 = 12;
        match self.0 {
            hostile @ 224.. => usize::MAX.wrapping_shr(u32::from(hostile - 224) * 2),
            byte => usize::from(byte % SMALL),
        }
    }
}

/// The first `D` of three sizes.
pub(crate) fn dims<const D: usize>(sizes: [Size; 3]) -> [usize; D] {
    core::array::from_fn(|axis| sizes[axis].get())
}

/// The first `D` of three pairs of sizes.
pub(crate) fn dim_pairs<const D: usize>(sizes: [[Size; 2]; 3]) -> [[usize; 2]; D] {
    core::array::from_fn(|axis| sizes[axis].map(Size::get))
}

/// An activation from one byte.
pub(crate) fn activation(byte: u8) -> Activation {
    [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh][usize::from(byte % 4)]
}

/// A short reproducible sequence of random numbers.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Random(u32);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) as usize
    }

    /// In `0..end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.next() % end
    }

    /// Integers in -4..=4: sums of a million products of two are exact in any order.
    pub(crate) fn integers(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.next() % 9) as f32 - 4.0).collect()
    }

    /// Numbers that break careless arithmetic.
    pub(crate) fn hostile_floats(&mut self, len: usize) -> Vec<f32> {
        const VALUES: [f32; 10] = [
            0.0,
            -0.0,
            1.0,
            -1.5,
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            f32::MIN_POSITIVE,
            1e-45,
        ];
        (0..len).map(|_| VALUES[self.next() % VALUES.len()]).collect()
    }
}

/// What an output holds before a run.
const UNTOUCHED: f32 = -12_345.0;

/// Runs an operation on operands of the required lengths, then with each of them one too short
/// and one too long: only the right ones, and a longer scratch, may run, and an operation that
/// does not run leaves its output as it was.
///
/// The last two operands are the output and the scratch.
pub(crate) fn probe_lengths<const N: usize>(
    required: [usize; N],
    mut random: Random,
    run: impl Fn(&mut [Vec<f32>; N]) -> Result<(), RunError>,
) {
    let (output, scratch) = (N - 2, N - 1);
    let mut operands = required.map(|len| random.hostile_floats(len));
    operands[output].fill(UNTOUCHED);
    assert_eq!(run(&mut operands), Ok(()));
    operands[output].fill(UNTOUCHED);

    for changed in 0..N {
        let shorter = required[changed].checked_sub(1);
        for len in shorter.into_iter().chain([required[changed] + 1]) {
            let mut other = operands[changed].clone();
            other.resize(len, UNTOUCHED);
            other.shrink_to_fit();
            let right = std::mem::replace(&mut operands[changed], other);
            let result = run(&mut operands);
            if changed == scratch && len > required[scratch] {
                assert_eq!(result, Ok(()));
                operands[output].fill(UNTOUCHED);
            } else {
                assert!(result.is_err(), "operand {changed} of {len} values was accepted: {required:?}");
                assert!(operands[output].iter().all(|&value| value == UNTOUCHED));
            }
            operands[changed] = right;
        }
    }
}

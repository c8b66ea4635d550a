//! Sizes, choices and numbers made from bytes.

use im2col::{Activation, Algorithm};
use im2col_testkit::operands::{Rng, reals};

/// Every way to compute a convolution.
pub(crate) const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::Im2col,
    Algorithm::Pointwise,
    Algorithm::Broadcast,
    Algorithm::Direct,
    Algorithm::Depthwise,
    Algorithm::Winograd,
    Algorithm::InPlace,
    Algorithm::Matrixmultiply,
];

/// Bytes that are taken one by one; zeros follow the last.
#[derive(Clone, Debug)]
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// In `0..end`; `end` is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.next()) % end
    }

    /// In `1..=max`, half of the time at most 4; `max` is at most 128.
    pub(crate) fn size(&mut self, max: usize) -> usize {
        let byte = usize::from(self.next());
        1 + if byte < 128 { byte % max.min(4) } else { (byte - 128) % max }
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.next() & 1 == 1
    }

    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        of[self.below(N)]
    }

    pub(crate) fn activation(&mut self) -> Activation {
        self.pick([Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh])
    }

    /// What the numbers of a case are made from.
    pub(crate) fn numbers(&mut self) -> Numbers {
        let is_real = self.flag();
        Numbers { seed: u64::from(u16::from_le_bytes([self.next(), self.next()])) << 8, is_real }
    }
}

/// A reproducible source of operands: small integers, whose sums of products are exact in any order, or reals.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    seed: u64,
    pub(crate) is_real: bool,
}

impl Numbers {
    /// Another `len` of them. Integers are in -4..=4: sums of a million products of two are exact.
    pub(crate) fn operand(&mut self, len: usize) -> Vec<f32> {
        self.seed += 1;
        if self.is_real { reals(self.seed, len) } else { integers(self.seed, len, 4) }
    }

    /// A seed of its own, for other numbers.
    pub(crate) fn seed(&mut self) -> u64 {
        self.seed += 1;
        self.seed
    }
}

/// Integers in `-bound..=bound`, eight from each random number.
pub(crate) fn integers(seed: u64, len: usize, bound: u8) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let range = u16::from(2 * bound + 1);
    let mut values = Vec::with_capacity(len + 8);
    while values.len() < len {
        let eight = rng.bits().to_le_bytes();
        values
            .extend(eight.map(|byte| f32::from(((u16::from(byte) * range) >> 8) as i16 - i16::from(bound))));
    }
    values.truncate(len);
    values.shrink_to_fit();
    values
}

/// What a scratch or an output holds before a run.
pub(crate) fn garbage(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

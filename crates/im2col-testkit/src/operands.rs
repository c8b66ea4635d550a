//! Operands from a seed: a property shrinks the shape, and the seed says which numbers failed.

use std::sync::LazyLock;

/// `SplitMix64`: small, and the same numbers everywhere.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An integer in `-bound..=bound`.
    pub fn integer(&mut self, bound: i64) -> i64 {
        let range = u64::try_from(2 * bound + 1).unwrap_or(1);
        // The remainder's bias is below range / 2^64.
        i64::try_from(self.bits() % range).unwrap_or(0) - bound
    }

    /// A number of either sign with `2^-10 <= |x| < 2^10`: no product of two, and no sum of such
    /// products, overflows or leaves the normal numbers but for exact zeros.
    pub fn real(&mut self) -> f32 {
        let bits = self.bits();
        let mantissa = 1.0 + (bits >> 41) as f32 / (1_u32 << 23) as f32;
        let exponent = self.integer(10).min(9);
        let magnitude = mantissa * 2.0_f32.powi(exponent as i32);
        if bits & 1 == 0 { magnitude } else { -magnitude }
    }
}

/// The largest absolute value of [`integers`].
pub const INTEGER_BOUND: i64 = 16;

/// Integers of at most 16: a sum of fewer than 65,535 products stays below `2^24`, where `f32` adds
/// integers exactly, in any order, fused or not.
#[must_use]
pub fn integers(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.integer(INTEGER_BOUND) as f32).collect()
}

/// Numbers of many sizes, clear of overflow and underflow; one in sixteen is 0.
#[must_use]
pub fn reals(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| if rng.bits().is_multiple_of(16) { 0.0 } else { rng.real() }).collect()
}

/// Small integers with many ties; one in eight is a NaN, an infinity or a negative zero.
#[must_use]
pub fn specials(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let mut special = || match rng.bits() % 32 {
        0 => f32::NAN,
        1 => f32::INFINITY,
        2 => f32::NEG_INFINITY,
        3 => -0.0,
        _ => rng.integer(3) as f32,
    };
    (0..len).map(|_| special()).collect()
}

/// What a scratch may hold, any bits at all: the same 65,536 values over and over, from a place that `seed` gives.
#[must_use]
pub fn garbage(seed: u64, len: usize) -> Vec<f32> {
    const PERIOD: usize = 1 << 16;
    static ANY: LazyLock<Vec<f32>> = LazyLock::new(|| {
        let mut rng = Rng::new(0);
        (0..PERIOD).map(|_| f32::from_bits(rng.bits() as u32)).collect()
    });
    let first = Rng::new(seed).bits() as usize % PERIOD;
    let mut values = Vec::with_capacity(len);
    values.extend_from_slice(&ANY[first..][..len.min(PERIOD - first)]);
    while values.len() < len {
        values.extend_from_slice(&ANY[..PERIOD.min(len - values.len())]);
    }
    values
}

/// `[batch, channels, positions]` as `[batch, positions, channels]`.
#[must_use]
pub fn channels_last<T: Clone>(values: &[T], batch: usize, channels: usize) -> Vec<T> {
    transposed(values, batch, channels)
}

/// `[batch, positions, channels]` as `[batch, channels, positions]`.
#[must_use]
pub fn channels_first<T: Clone>(values: &[T], batch: usize, channels: usize) -> Vec<T> {
    transposed(values, batch, (values.len() / batch.max(1)).checked_div(channels).unwrap_or_default())
}

/// The matrices of a batch, of so many rows, transposed.
fn transposed<T: Clone>(values: &[T], batch: usize, rows: usize) -> Vec<T> {
    let len = values.len() / batch.max(1);
    let columns = len.checked_div(rows).unwrap_or_default();
    let place = |i: usize| i / len * len + i % len % rows * columns + i % len / rows;
    (0..values.len()).map(|i| values[place(i)].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reals_are_clear_of_overflow_and_underflow() {
        for x in reals(1, 10_000) {
            assert!(x == 0.0 || (2.0_f32.powi(-10)..2.0_f32.powi(10)).contains(&x.abs()), "{x}");
        }
    }

    #[test]
    fn integers_are_integers_within_the_bound() {
        let values = integers(1, 10_000);
        assert!(values.iter().all(|x| x.fract() == 0.0 && x.abs() <= INTEGER_BOUND as f32));
        assert!(values.contains(&16.0) && values.contains(&-16.0));
    }
}

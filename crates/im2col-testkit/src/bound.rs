//! The rounding-error bound of a sum of products in `f32`, for any order of summation.
//!
//! `|y - exact| <= gamma(n) (sum |x||w| + |b|)` (Higham, Accuracy and Stability of Numerical
//! Algorithms, 3.1). It is a theorem, not a tolerance: nothing in it was fitted.

use crate::oracle::Sum;
use std::fmt;

/// Half the distance from 1 to the next `f32`: the largest relative error of one rounding.
pub const UNIT_ROUNDOFF: f64 = 1.0 / (1_u64 << 24) as f64;

/// `n u / (1 - n u)`: the relative error that `n` roundings in a row can add up to.
///
/// ```
/// assert_eq!(im2col_testkit::bound::gamma(0), 0.0);
/// ```
#[must_use]
pub fn gamma(n: usize) -> f64 {
    let error = n as f64 * UNIT_ROUNDOFF;
    error / (1.0 - error)
}

/// `K` of a gradient of weights that is a sum of so many products: chains of at most 2048, then of 64.
///
/// ```
/// assert_eq!([2048, 2049, 5000, 1 << 20].map(im2col_testkit::bound::chained), [2048, 2049, 2112, 2176]);
/// ```
#[must_use]
pub fn chained(products: usize) -> usize {
    let (mut roundings, mut most) = (2048, 512);
    while most < products {
        (roundings, most) = (roundings + 64, most * 64);
    }
    roundings.min(products)
}

/// How often a term of a gradient of a bias, a sum of so many, is rounded at most: `16 + log2(n)`, in no case more than
/// there are terms.
///
/// ```
/// assert_eq!([1, 10, 4096, 1 << 26].map(im2col_testkit::bound::pairwise), [1, 10, 28, 42]);
/// ```
#[must_use]
pub fn pairwise(terms: usize) -> usize {
    terms.min(16 + terms.max(1).ilog2() as usize)
}

/// A value outside its bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Where.
    pub index: usize,
    /// The value under test.
    pub given: f32,
    /// The oracle's value.
    pub expected: f64,
    /// How far from `expected` the value may be.
    pub bound: f64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, given, expected, bound } = self;
        let error = (f64::from(*given) - expected).abs();
        write!(f, "index {index}: {given:e}, expected {expected:e}, error {error:e} > bound {bound:e}")
    }
}

impl std::error::Error for Violation {}

/// Checks `|given - expected| <= gamma(products + 2) magnitude` for every value.
///
/// `products` is how many products each sum has; the two more roundings are the bias and one that
/// pays for the oracle's own error. A value that is not finite is outside every bound.
///
/// # Errors
/// The first [`Violation`].
///
/// # Panics
/// If there are not as many values as expected.
pub fn check(given: &[f32], expected: &[Sum], products: usize) -> Result<(), Violation> {
    let gamma = gamma(products + 2);
    check_each(given, expected, |expected| gamma * expected.magnitude)
}

/// Checks `|given - expected| <= bound(expected)` for every value.
///
/// # Errors
/// The first [`Violation`].
///
/// # Panics
/// If there are not as many values as expected.
pub fn check_each(given: &[f32], expected: &[Sum], bound: impl Fn(&Sum) -> f64) -> Result<(), Violation> {
    assert_eq!(given.len(), expected.len(), "as many values as the oracle has");
    for (index, (&given, expected)) in given.iter().zip(expected).enumerate() {
        let bound = bound(expected);
        let within = (f64::from(given) - expected.value).abs() <= bound;
        if !within {
            return Err(Violation { index, given, expected: expected.value, bound });
        }
    }
    Ok(())
}

/// How far an output of Winograd's F(4x4, 3x3) with the points 0, ±1/sqrt 2, ±sqrt 2 and infinity may be
/// from the sum, without bias, if it has so many input channels, and no input or weight exceeds these.
///
/// The transforms are `A^T [sum of (G g G^T) * (B^T d B)] A`. Each of its three parts is a sum, so the
/// error is at most gamma(n) times the same with absolute values everywhere, if no term is rounded more
/// than n times: at most 5 times in each row of a transform, its coefficient among them, on both axes of all
/// three; once for each channel, and for a product that is rounded before. The rest is a product over the axes of
/// `max over outputs i of sum over points p of |A_ip| sum|G_p| sum|B_p|`.
#[must_use]
pub fn winograd(channels: usize, input: f64, weight: f64) -> f64 {
    gamma(channels + 31) * winograd_growth().powi(2) * channels as f64 * input * weight
}

/// `max over outputs i of sum over points p of |A_ip| sum|G_p| sum|B_p|`: 25.
fn winograd_growth() -> f64 {
    let [a, b] = [0.5_f64.sqrt(), 2.0_f64.sqrt()];
    // Of a point and the square of the other: its row of G, and of B^T.
    let finite = |x: f64, other: f64| {
        let row = (1.0 + x + x * x) / (2.0 * x * x * (x * x - other).abs());
        row * (1.0 + x) * (1.0 + other)
    };
    let [of_a, of_b] = [finite(a, 2.0), finite(b, 0.5)];
    let ends = 1.0 + 2.5 + 1.0;
    let outputs = [0, 1, 2, 3].map(|i| {
        let of_end = if i % 3 == 0 { ends } else { 0.0 };
        of_end + 2.0 * (a.powi(i) * of_a + b.powi(i) * of_b)
    });
    outputs.into_iter().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documents of the core name it.
    #[test]
    fn winograd_growth_is_25() {
        assert!((winograd_growth() - 24.9).abs() < 0.05);
        assert!(winograd_growth().powi(2) < 620.0);
    }

    #[test]
    fn check_reports_the_first_violation() {
        let exact = |value| Sum { value, magnitude: 4.0 };
        let expected = [exact(1.0), exact(-2.0), exact(3.0)];
        let bound = gamma(5) * 4.0;
        assert_eq!(check(&[1.0, -2.0, 3.0], &expected, 3), Ok(()));
        assert_eq!(check(&[1.0 + f32::EPSILON, -2.0, 3.0], &expected, 3), Ok(()));
        let given = 1.0 + 2e-6;
        assert_eq!(
            check(&[given, 9.0, 3.0], &expected, 3),
            Err(Violation { index: 0, given, expected: 1.0, bound })
        );
        assert_eq!(check(&[1.0, -2.0, f32::NAN], &expected, 3).map_err(|v| v.index), Err(2));
    }
}

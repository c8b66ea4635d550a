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
    assert_eq!(given.len(), expected.len(), "as many values as the oracle has");
    let gamma = gamma(products + 2);
    for (index, (&given, expected)) in given.iter().zip(expected).enumerate() {
        let bound = gamma * expected.magnitude;
        let within = (f64::from(given) - expected.value).abs() <= bound;
        if !within {
            return Err(Violation { index, given, expected: expected.value, bound });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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

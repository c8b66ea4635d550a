//! What is computed against what it should be.

use im2col_testkit::bound::check_each;
use im2col_testkit::oracle::Sum;
use std::fmt::Debug;

/// What a result should be: exactly the definition's where that is exact, otherwise near a sum in `f64`.
pub(crate) struct Expected {
    naive: Vec<f32>,
    /// With real operands only.
    sums: Option<Vec<Sum>>,
}

impl Expected {
    /// `sums` are asked for only if operands are real. The definition is held to the same bound.
    pub(crate) fn new(
        naive: Vec<f32>,
        is_real: bool,
        sums: impl FnOnce() -> Vec<Sum>,
        bound: impl Fn(&Sum) -> f64,
    ) -> Self {
        let expected = Self { naive, sums: is_real.then(sums) };
        if let Some(sums) = &expected.sums
            && let Err(violation) = check_each(&expected.naive, sums, bound)
        {
            panic!("naive: {violation}");
        }
        expected
    }

    /// Panics unless `given` is the definition's value for value, or within `bound` of the sums in `f64`.
    pub(crate) fn check(&self, given: &[f32], bound: impl Fn(&Sum) -> f64, what: &dyn Debug) {
        match &self.sums {
            None => assert_same(given, &self.naive, what),
            Some(sums) => {
                if let Err(violation) = check_each(given, sums, bound) {
                    panic!("{what:?}: {violation}");
                }
            }
        }
    }

    /// The same where integers are rounded, too: `given` is rounded to the nearest integers first.
    pub(crate) fn check_rounded(&self, given: &[f32], bound: impl Fn(&Sum) -> f64, what: &dyn Debug) {
        if self.sums.is_some() {
            return self.check(given, bound, what);
        }
        let rounded: Vec<f32> = given.iter().map(|y| y.round()).collect();
        assert_same(&rounded, &self.naive, what);
    }
}

/// Panics unless both have the same values; NaN is NaN, and zeros of either sign are one value.
pub(crate) fn assert_same(given: &[f32], expected: &[f32], what: &dyn Debug) {
    assert_eq!(given.len(), expected.len(), "{what:?}");
    let differ =
        |(given, expected): (&f32, &f32)| given != expected && !(given.is_nan() && expected.is_nan());
    if let Some(i) = given.iter().zip(expected).position(differ) {
        panic!("{what:?}: index {i} of {}: {} instead of {}", given.len(), given[i], expected[i]);
    }
}

/// Panics unless both have the same bits.
pub(crate) fn assert_same_bits(given: &[f32], expected: &[f32], what: &dyn Debug) {
    assert_eq!(given.len(), expected.len(), "{what:?}");
    let differ = |(given, expected): (&f32, &f32)| given.to_bits() != expected.to_bits();
    if let Some(i) = given.iter().zip(expected).position(differ) {
        panic!("{what:?}: index {i} of {}: {:?} instead of {:?}", given.len(), given[i], expected[i]);
    }
}

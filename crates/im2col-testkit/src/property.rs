//! Runs properties: how many cases, and where failing ones are kept.

use crate::operands::Rng;
use proptest::strategy::{BoxedStrategy, Strategy};
use proptest::test_runner::{Config, TestRunner};
use std::ffi::OsStr;
use std::fmt::Debug;
use std::panic::Location;

/// How many cases a property runs: `PROPTEST_CASES` where it is set, more or fewer than `default`. Few are for emulators.
///
/// # Panics
/// If the variable is set to anything but a number from 1: a property of no cases could not fail.
#[must_use]
pub fn cases(default: u32) -> u32 {
    cases_of(std::env::var_os("PROPTEST_CASES").as_deref(), default)
}

fn cases_of(asked: Option<&OsStr>, default: u32) -> u32 {
    let Some(asked) = asked else { return default };
    match asked.to_str().and_then(|cases| cases.parse().ok()) {
        Some(cases) if cases > 0 => cases,
        #[allow(clippy::panic, reason = "this is how a test fails")]
        _ => panic!("PROPTEST_CASES is {asked:?}: a number of cases is needed, from 1 to {}", u32::MAX),
    }
}

/// Says of each case of a list, one after the other, whether it is tested: of all of them, but where `PROPTEST_CASES` is
/// below 100, of about as many in a hundred, at random.
///
/// For lists of many thousand cases, such as all small shapes.
///
/// # Panics
/// As [`cases`] does.
pub fn sample() -> impl FnMut() -> bool {
    sample_of(cases(100))
}

fn sample_of(percent: u32) -> impl FnMut() -> bool {
    let mut rng = Rng::new(0);
    move || rng.bits() % 100 < u64::from(percent)
}

/// Runs `property` on `cases` new values, after all that failed before, and returns `cases`.
///
/// A failing case is shrunk and kept in `proptest-regressions`, in a file named after the caller's.
///
/// # Panics
/// If the property does, with the smallest value for which it does.
#[track_caller]
pub fn for_all<S>(cases: u32, strategy: S, property: impl Fn(S::Value)) -> u32
where
    S: Strategy + 'static,
    S::Value: Debug,
{
    run(cases, Location::caller().file(), &strategy.boxed(), &property)
}

/// Compiled once for a type of values, not for every property.
fn run<T: Debug>(cases: u32, file: &'static str, strategy: &BoxedStrategy<T>, property: &dyn Fn(T)) -> u32 {
    let mut runner = TestRunner::new(Config { cases, source_file: Some(file), ..Config::default() });
    let result = runner.run(strategy, |value| {
        property(value);
        Ok(())
    });
    if let Err(error) = result {
        #[allow(clippy::panic, reason = "this is how a test fails")]
        {
            panic!("{error}\n{runner}");
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::{cases_of, for_all, sample_of};
    use std::cell::Cell;
    use std::ffi::OsStr;
    use std::panic;

    fn cases_asked(asked: &str) -> u32 {
        cases_of(Some(OsStr::new(asked)), 300)
    }

    #[test]
    fn the_variable_raises_and_lowers_the_number_of_cases() {
        assert_eq!(cases_of(None, 300), 300);
        assert_eq!(["1", "299", "34000"].map(cases_asked), [1, 299, 34_000]);
    }

    #[test]
    fn the_variable_must_be_a_number_of_cases() {
        for asked in ["0", "", "-1", "many", "1e3", "4294967296"] {
            let result = panic::catch_unwind(|| cases_asked(asked));
            assert!(result.is_err(), "{asked:?} became {result:?}");
        }
    }

    #[test]
    fn a_sample_has_as_many_in_a_hundred() {
        let taken = |percent| {
            let mut is_taken = sample_of(percent);
            (0..10_000).filter(|_| is_taken()).count()
        };
        assert_eq!([100, 34_000].map(taken), [10_000; 2]);
        assert!((1500..1700).contains(&taken(16)) && (50..150).contains(&taken(1)));
    }

    #[test]
    fn as_many_cases_run() {
        let calls = Cell::new(0);
        assert_eq!(for_all(7, 0..100_u32, |_| calls.set(calls.get() + 1)), 7);
        assert_eq!(calls.get(), 7);
    }
}

//! Runs properties: how many cases, and where failing ones are kept.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};
use std::fmt::Debug;
use std::panic::Location;

/// How many cases a property runs: `default`, or `PROPTEST_CASES` where that is more.
#[must_use]
pub fn cases(default: u32) -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    asked.unwrap_or(0).max(default)
}

/// Runs `property` on that many values, after all that failed before, and returns how many.
///
/// A failing case is shrunk and kept in `proptest-regressions`, in a file named after the caller's.
///
/// # Panics
/// If the property does, with the smallest value for which it does.
#[track_caller]
pub fn for_all<S>(cases: u32, strategy: S, property: impl Fn(S::Value)) -> u32
where
    S: Strategy,
    S::Value: Debug,
{
    let source_file = Some(Location::caller().file());
    let mut runner = TestRunner::new(Config { cases, source_file, ..Config::default() });
    let result = runner.run(&strategy, |value| {
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

//! What the program prints.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::{Context, Result};

/// Like `println!`, but a closed pipe is an error, not a panic.
pub(crate) fn say(line: impl Display) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("stdout")
}

pub(crate) fn say_test_accuracy(accuracy: f64) -> Result<()> {
    say(format_args!("test accuracy: {:.2} %", 100.0 * accuracy))
}

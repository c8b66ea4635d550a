//! What the program prints: lines for people, or one JSON value a line for programs.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

/// How to print, for every command.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// Print JSON, one value a line
    #[arg(long, global = true)]
    json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true)]
    quiet: bool,
}

impl Output {
    /// Tells people what happens on the way.
    pub(crate) fn note(self, line: impl Display) -> Result<()> {
        if self.json || self.quiet { Ok(()) } else { print(line) }
    }

    /// The same for people and programs.
    pub(crate) fn event(self, line: impl Display, value: &impl Serialize) -> Result<()> {
        if self.quiet { Ok(()) } else { self.result(line, value) }
    }

    /// What the command was run for: printed in any case.
    pub(crate) fn result(self, line: impl Display, value: &impl Serialize) -> Result<()> {
        if self.json { print(serde_json::to_string(value)?) } else { print(line) }
    }

    /// Tells people what went wrong where others go on, and programs as well.
    pub(crate) fn failure(self, line: impl Display, value: &impl Serialize) -> Result<()> {
        // Where stderr is closed, the exit code has to do.
        let _ = writeln!(io::stderr(), "error: {line}");
        if self.json { print(serde_json::to_string(value)?) } else { Ok(()) }
    }

    /// Whether people are told more than results, so that a progress bar would be welcome.
    pub(crate) fn shows_progress(self) -> bool {
        !self.json && !self.quiet
    }
}

/// Like `println!`, but a closed pipe is an error, not a panic.
fn print(line: impl Display) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("stdout")
}

//! What the program prints: lines for people, or one JSON value a line for programs.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::exit::ReaderGone;

/// How to print, for every command.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// Print JSON, one value a line
    #[arg(long, global = true)]
    json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Whether printing goes on, to nobody, where the reader of a pipe has gone
    #[arg(skip)]
    outlives_reader: bool,
}

impl Output {
    /// The same for work that must not end because nobody listens any longer.
    pub(crate) fn outliving_reader(self) -> Self {
        Self { outlives_reader: true, ..self }
    }

    /// Tells people what happens on the way.
    pub(crate) fn note(self, line: impl Display) -> Result<()> {
        if self.json || self.quiet { Ok(()) } else { self.print(line) }
    }

    /// Tells people on stderr what does not change the result.
    pub(crate) fn aside(self, line: impl Display) {
        if !self.quiet {
            // Where stderr is closed, nobody asks.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// Tells people on stderr, in any case, what may make the result another than they think.
    pub(crate) fn warn(self, line: impl Display) {
        let _ = writeln!(io::stderr(), "warning: {line}");
    }

    /// The same for people and programs.
    pub(crate) fn event(self, line: impl Display, value: &impl Serialize) -> Result<()> {
        if self.quiet { Ok(()) } else { self.either(line, || Ok(serde_json::to_string(value)?)) }
    }

    /// What the command was run for: printed in any case. In JSON its `kind` is `result`, unless it has another.
    pub(crate) fn result(self, line: impl Display, value: &impl Serialize) -> Result<()> {
        self.either(line, || of_kind("result", value))
    }

    /// Tells people what went wrong where others go on, and programs as well: in JSON its `kind` is `error`.
    pub(crate) fn failure(self, line: impl Display, value: &impl Serialize) -> Result<()> {
        // Where stderr is closed, the exit code has to do.
        let _ = writeln!(io::stderr(), "error: {line}");
        if self.json { self.print(of_kind("error", value)?) } else { Ok(()) }
    }

    /// Whether people are told more than results, so that a progress bar would be welcome.
    pub(crate) fn shows_progress(self) -> bool {
        !self.json && !self.quiet
    }

    fn either(self, line: impl Display, json: impl FnOnce() -> Result<String>) -> Result<()> {
        if self.json { self.print(json()?) } else { self.print(line) }
    }

    /// Like `println!`, but a closed pipe is an error, not a panic.
    fn print(self, line: impl Display) -> Result<()> {
        match writeln!(io::stdout(), "{line}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                if self.outlives_reader {
                    Ok(())
                } else {
                    Err(ReaderGone.into())
                }
            }
            other => other.context("stdout"),
        }
    }
}

/// A value as JSON, whose `kind` is this one, unless it has another.
fn of_kind(kind: &str, value: &impl Serialize) -> Result<String> {
    let mut value = serde_json::to_value(value)?;
    if let Value::Object(fields) = &mut value {
        fields.entry("kind").or_insert_with(|| kind.into());
    }
    Ok(value.to_string())
}

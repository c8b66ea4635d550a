//! The ends of the program: exit codes, and errors that are printed in other ways or not at all.

use std::io::{self, Write};

use anyhow::Error;

use crate::ranks::launched_as;
use crate::train::TrainError;

/// The exit code of an error.
const FAILED: u8 = 1;

/// Tells people why the program ends, and returns its exit code.
pub(crate) fn tell(error: &Error) -> u8 {
    // Where stderr is closed, the exit code has to do.
    if let Some(Interrupted { exit_code, .. }) = error.downcast_ref() {
        let _ = writeln!(io::stderr(), "{error}");
        *exit_code
    } else if error.is::<Said>() {
        FAILED
    } else if is_told_by_other(error) {
        // The exit code is the other's: a launcher ends all processes when the first has one, before they have said why.
        0
    } else if error.is::<ReaderGone>() {
        // As in `lenet summary | head -1`: whoever read has had enough.
        0
    } else if let Some(error) = error.downcast_ref::<clap::Error>() {
        // Of the processes of an MPI job, which all have the same command line, one tells.
        if launched_as().is_some_and(|rank| rank > 0) {
            return 0;
        }
        let _ = error.print();
        u8::try_from(error.exit_code()).unwrap_or(FAILED)
    } else {
        let _ = writeln!(io::stderr(), "error: {error:#}");
        FAILED
    }
}

/// Whether another process of the job tells what went wrong.
pub(crate) fn is_told_by_other(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(TrainError::OtherRank { .. }))
}

/// Not an error: the work is saved, and the text says how to go on.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Interrupted {
    pub(super) text: String,
    /// 128 and the number of the signal, as shells have it.
    pub(super) exit_code: u8,
}

/// An error of which everything has been said.
#[derive(Debug, thiserror::Error)]
#[error("said before")]
pub(super) struct Said;

/// Whoever read the standard output has gone, as in `lenet summary | head -1`.
#[derive(Debug, thiserror::Error)]
#[error("stdout is closed")]
pub(super) struct ReaderGone;

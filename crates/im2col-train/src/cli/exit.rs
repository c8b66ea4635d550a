//! Ends of the program that are no errors to print.

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

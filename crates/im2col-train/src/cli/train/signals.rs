//! The signals that end a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// What shells add to a signal's number to get an exit code.
const EXIT_CODE: i32 = 128;

/// Listens to SIGINT and SIGTERM. The second signal ends the program at once.
///
/// A terminal that closes sends SIGHUP. This ends the program as it ends any other, and under `nohup` it does not.
#[derive(Debug)]
pub(super) struct Signals {
    received: Arc<AtomicUsize>,
}

impl Signals {
    pub(super) fn listen() -> Result<Self> {
        let (received, is_second) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM] {
            let code = EXIT_CODE + signal;
            // What is registered first is done first.
            flag::register_conditional_shutdown(signal, code, Arc::clone(&is_second))
                .and_then(|_| flag::register(signal, Arc::clone(&is_second)))
                .and_then(|_| flag::register_usize(signal, Arc::clone(&received), code as usize))
                .context("signals cannot be handled")?;
        }
        Ok(Self { received })
    }

    /// The exit code after the signal that has come.
    pub(super) fn exit_code(&self) -> Option<u8> {
        u8::try_from(self.received.load(Ordering::Relaxed)).ok().filter(|&code| code > 0)
    }
}

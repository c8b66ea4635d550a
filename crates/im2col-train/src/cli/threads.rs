//! The threads of a command.

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The most that can be asked for.
pub(super) const MOST_THREADS: i64 = 256;

/// By default, a thread for each core.
pub(super) fn thread_pool(threads: Option<u16>) -> Result<ThreadPool> {
    let threads = threads.map_or(0, usize::from);
    ThreadPoolBuilder::new().num_threads(threads).build().context("the threads do not start")
}

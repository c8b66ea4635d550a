//! How much of the stack a plan takes that is made when the program runs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
// No threads, whose stack could be measured.
#![cfg(not(target_family = "wasm"))]

use im2col::Network;
use im2col::lenet::LENET;
use std::hint::black_box;
use std::thread;

/// Plans LeNet in a thread with 32 KiB of stack, 7 of them for the plan. Where a plan or a layer was copied from one step of
/// planning to the next it took up to 60, and the process died. The program `stack` of `benches` measures all functions.
#[test]
fn a_network_is_planned_in_32_kib_of_stack() {
    for batch in [1, 256] {
        let thread = thread::Builder::new().stack_size(32 << 10);
        let plan =
            move || black_box(Network::plan(black_box(LENET), batch, [1, 28, 28])).map(|n| n.param_len());
        assert_eq!(thread.spawn(plan).unwrap().join().unwrap(), Ok(61_706));
    }
}

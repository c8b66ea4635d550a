//! Prints the hashes of what `Isa::SCALAR` computes: those of `crates/im2col/tests/scalar_bits/hashes.txt`, which every target checks.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[allow(dead_code, unused_imports, unexpected_cfgs, reason = "the test of the core uses all of it")]
#[path = "../../../crates/im2col/tests/scalar_bits/cases.rs"]
mod cases;

use cases::{Computed, LAYERS_LEN, NETWORKS_LEN, layers, networks};
use im2col_firmware::console::Console;

/// All cases, a line for each result and way to compute it.
fn run(memory: &mut [f32; NETWORKS_LEN[1]], console: &mut impl Console) {
    let mut tell = |Computed { case, result, hash, .. }: Computed<'_>| {
        console.bits(f32::from_bits((hash >> 32) as u32));
        console.bits(f32::from_bits(hash as u32));
        for text in [" ", case, ": ", result, "\n"] {
            console.text(text);
        }
    };
    if let Some(memory) = memory.get_mut(..LAYERS_LEN) {
        layers(memory, &mut tell);
    }
    networks(memory, &mut tell);
}

#[cfg(target_os = "none")]
mod on_the_machine {
    use super::{NETWORKS_LEN, run};
    use im2col_firmware::machine::{Debugger, exit};

    #[cortex_m_rt::entry]
    fn main() -> ! {
        static mut MEMORY: [f32; NETWORKS_LEN[1]] = [0.0; NETWORKS_LEN[1]];
        let Some(mut debugger) = Debugger::new() else { exit(false) };
        run(MEMORY, &mut debugger);
        exit(true);
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    use im2col_firmware::console::Standard;

    static MEMORY: std::sync::Mutex<[f32; NETWORKS_LEN[1]]> = std::sync::Mutex::new([0.0; _]);
    run(&mut MEMORY.lock().expect("nobody else has it"), &mut Standard);
}

//! LeNet on a microcontroller: what both programs compute, and how they print it.
//!
//! The programs are compiled for a Cortex-M, where they print through the debugger (semihosting), and for the host, where they
//! print the same lines: so it is seen that every bit is the same.

#![cfg_attr(target_os = "none", no_std)]

pub mod classify;
pub mod console;
pub mod digits;
pub mod learn;
#[cfg(target_os = "none")]
pub mod machine;

/// The parameters that `lenet train` has learned: in flash, and never copied.
pub static PARAMS: [f32; classify::NETWORK.param_len()] = im2col::include_f32!("../lenet.bin");

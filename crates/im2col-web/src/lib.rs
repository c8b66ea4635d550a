//! The engine of the page in `web/`, as a WebAssembly module: single operations on small tensors, LeNet on a drawn digit, and
//! the training of LeNet.
//!
//! There is no allocator. All memory is one [`Memory`]; JavaScript reads and writes its buffers in place and calls the functions
//! of `exports.rs`. Natively this is an ordinary library, which the tests compare with the trainer: the page learns the weights of
//! `lenet train --isa scalar`, bit for bit.

#![cfg_attr(not(test), no_std)]

#[cfg(target_arch = "wasm32")]
mod exports;
pub mod inference;
mod init;
pub mod networks;
pub mod operations;
// The trainer's, so that both draw the same numbers.
#[allow(dead_code, unreachable_pub, reason = "the trainer uses more of it")]
#[path = "../../im2col-train/src/random.rs"]
mod random;
pub mod training;

use crate::inference::Inference;
use crate::operations::Operands;
use crate::training::{Digits, Totals, Training};

/// All memory of the page's engine. Every value is 0 at first, so that it takes no room in the module.
#[derive(Debug)]
pub struct Memory {
    /// Single operations.
    pub operands: Operands,
    /// LeNet on one image.
    pub inference: Inference,
    /// The digits to learn, and those to be tested on.
    pub digits: Digits,
    /// LeNet while it learns.
    pub training: Training,
    /// What the network made of the last digits that it learned or was tested on.
    pub totals: Totals,
    /// Why the last operation failed, as UTF-8.
    pub message: Message,
}

impl Memory {
    /// Not yet used.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            operands: Operands::new(),
            inference: Inference::new(),
            digits: Digits::new(),
            training: Training::new(),
            totals: Totals { digits: 0, correct: 0, loss: 0.0 },
            message: Message::new(),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// A text of at most 256 bytes; what is longer is cut.
#[derive(Debug)]
pub struct Message {
    bytes: [u8; 256],
    len: usize,
}

impl Message {
    /// No text.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; _], len: 0 }
    }

    /// Takes the place of the text before.
    pub fn set(&mut self, text: &str) {
        self.len = 0;
        for (place, byte) in self.bytes.iter_mut().zip(text.bytes()) {
            *place = byte;
            self.len += 1;
        }
    }

    /// The text.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

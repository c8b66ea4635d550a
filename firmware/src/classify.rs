//! Which digits are in the images.

use crate::console::Console;
use crate::{PARAMS, digits};
use im2col::lenet::LENET;
use im2col::{Isa, Network, NetworkWeights, Pixels, argmax, planned};

/// One image at a time. The instruction set is the one that computes the same bits everywhere.
const LAYERS: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28])).with_isa(Isa::SCALAR);
/// In the least memory.
pub const NETWORK: Network<12> = planned!(LAYERS.with_scratch_limit(LAYERS.least_scratch_len()));

/// All memory that the network works in, besides the parameters and the image.
#[derive(Debug)]
pub struct Memory {
    scratch: [f32; NETWORK.pixel_scratch_len()],
    logits: [f32; NETWORK.output_len()],
}

impl Memory {
    /// Not yet used.
    #[must_use]
    pub const fn new() -> Self {
        Self { scratch: [0.0; NETWORK.pixel_scratch_len()], logits: [0.0; NETWORK.output_len()] }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

// What has to fit into the machine is known before it runs: less than 8 KiB. The pixels stay where they are, in flash.
const _: () = assert!(size_of::<Memory>() < 8 * 1024);

/// Reads all digits and prints what they are taken for, with the bits of the ten scores. `observe` is called before and after each
/// pass. Returns how many are read right.
pub fn run(memory: &mut Memory, console: &mut impl Console, mut observe: impl FnMut()) -> usize {
    let mut right = 0;
    for (number, (pixels, label)) in digits::all().enumerate() {
        let pixels = Pixels { values: pixels, scale: 1.0 / 255.0, shift: 0.0 };
        observe();
        let Memory { scratch, logits } = memory;
        let result = NETWORK.forward_pixels(NetworkWeights::Plain(&PARAMS), pixels, logits, scratch);
        observe();
        let class = argmax(logits).unwrap_or_default();
        right += usize::from(result.is_ok() && class == usize::from(label));
        console.text("digit ");
        console.number(number);
        console.text(": ");
        console.number(class);
        console.text(if class == usize::from(label) { " " } else { " (wrong)" });
        for logit in logits {
            console.text(" ");
            console.bits(*logit);
        }
        console.text("\n");
    }
    console.number(right);
    console.text(" of ");
    console.number(digits::COUNT);
    console.text(" right\n");
    right
}

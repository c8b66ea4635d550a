//! Which digits are in the images.

use crate::console::Console;
use crate::{PARAMS, digits};
use im2col::lenet::LENET;
use im2col::{Isa, Network, NetworkWeights, argmax, planned};

/// One image at a time. The instruction set is the one that computes the same bits everywhere.
const LAYERS: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28])).with_isa(Isa::SCALAR);
/// In the least memory.
pub const NETWORK: Network<12> = planned!(LAYERS.with_scratch_limit(LAYERS.least_scratch_len()));

/// All memory that the network works in, besides the parameters.
#[derive(Debug)]
pub struct Memory {
    image: [f32; NETWORK.input_len()],
    scratch: [f32; NETWORK.scratch_len()],
    logits: [f32; NETWORK.output_len()],
}

impl Memory {
    /// Not yet used.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            image: [0.0; NETWORK.input_len()],
            scratch: [0.0; NETWORK.scratch_len()],
            logits: [0.0; NETWORK.output_len()],
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

// What has to fit into the machine is known before it runs: less than 12 KiB besides the image.
const _: () = assert!(size_of::<Memory>() - size_of::<[f32; NETWORK.input_len()]>() < 12 * 1024);

/// Reads all digits and prints what they are taken for, with the bits of the ten scores. `observe` is called before and after each
/// pass. Returns how many are read right.
pub fn run(memory: &mut Memory, console: &mut impl Console, mut observe: impl FnMut()) -> usize {
    let mut right = 0;
    for (number, (pixels, label)) in digits::all().enumerate() {
        for (value, pixel) in memory.image.iter_mut().zip(pixels) {
            *value = f32::from(*pixel) / 255.0;
        }
        observe();
        let Memory { image, scratch, logits } = memory;
        let result = NETWORK.forward(NetworkWeights::Plain(&PARAMS), image, logits, scratch);
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

//! Who is in the picture of a thermal camera of 8x8 pixels: a network of one's own, for a microcontroller.
//!
//! Two convolutions and a fully connected layer, planned by the compiler: how much flash and RAM they take is known
//! before the program runs, and a layer that does not fit the one before does not compile: see `wrong/`.

#![no_std]

use im2col::{
    Activation, ConvParams, Layer, LinearParams, Network, NetworkWeights, RunError, argmax, planned,
};

/// In the order of the layers, each one's weight, then its bias.
const LAYERS: [Layer; 4] = [
    // 1x8x8 to 8x8x8
    Layer::Conv(ConvParams::new(1, 8, [3, 3]).with_padding([1, 1]).with_activation(Activation::Relu)),
    // to 8x4x4
    Layer::Conv(
        ConvParams::new(8, 8, [3, 3])
            .with_stride([2, 2])
            .with_padding([1, 1])
            .with_activation(Activation::Relu),
    ),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(8 * 4 * 4, 3)),
];

/// For one picture at a time, in at most 3 KiB beside the picture and the answer.
const NETWORK: Network<4> = planned!(planned!(Network::plan(LAYERS, 1, [1, 8, 8])).with_scratch_limit(768));

/// The parameters, which can lie in flash: `static PARAMS: Params = im2col::include_f32!("params.bin");`.
pub type Params = [f32; NETWORK.param_len()];

/// A picture, row by row, in degrees above the mean of the room.
pub type Picture = [f32; NETWORK.input_len()];

// What has to fit into the machine is known before it runs: 4,204 bytes of flash, 3 KiB of RAM.
const _: () = assert!(size_of::<Params>() == 4_204);
const _: () = assert!(size_of::<Camera>() <= 3 * 1024 + size_of::<usize>());

/// What the network tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An empty room.
    Nobody,
    /// A person.
    Person,
    /// A cat.
    Cat,
}

/// The network with the memory that it works in. [`new`](Self::new) is constant: this can be a static.
#[derive(Debug)]
pub struct Camera {
    params: &'static Params,
    scratch: [f32; NETWORK.scratch_len()],
}

impl Camera {
    /// A network with these parameters.
    #[must_use]
    pub const fn new(params: &'static Params) -> Self {
        Self { params, scratch: [0.0; NETWORK.scratch_len()] }
    }

    /// The likeliest of three.
    ///
    /// # Errors
    /// None: the types have the lengths that the plan requires.
    pub fn look(&mut self, picture: &Picture) -> Result<Seen, RunError> {
        let mut scores = [0.0; NETWORK.output_len()];
        NETWORK.forward(NetworkWeights::Plain(self.params), picture, &mut scores, &mut self.scratch)?;
        Ok(match argmax(&scores) {
            Some(1) => Seen::Person,
            Some(2) => Seen::Cat,
            _ => Seen::Nobody,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights by hand: the convolutions hand on the mean of 3x3 pixels above 1 degree, in all channels alike; a cat is
    /// warm in the lower half, a person in both.
    static PARAMS: Params = {
        let mut params = [0.0; NETWORK.param_len()];
        let mut at = 0;
        while at < 72 {
            params[at] = 1.0 / 9.0;
            at += 1;
        }
        while at < 80 {
            params[at] = -1.0;
            at += 1;
        }
        // The middle tap of the same channel.
        let mut channel = 0;
        while channel < 8 {
            params[80 + (channel * 8 + channel) * 9 + 4] = 1.0;
            channel += 1;
        }
        let linear = 80 + 8 * 8 * 9 + 8;
        let mut input = 0;
        while input < 128 {
            let is_low = input % 16 >= 8;
            params[linear + 128 + input] = if is_low { 0.0 } else { 2.0 };
            params[linear + 256 + input] = if is_low { 1.0 } else { 0.0 };
            input += 1;
        }
        // Nobody, unless there is something warm.
        params[linear + 3 * 128] = 1.0;
        params
    };

    #[test]
    fn people_are_taller_than_cats() {
        let mut camera = Camera::new(&PARAMS);
        let mut picture = [0.0; 64];
        assert_eq!(camera.look(&picture), Ok(Seen::Nobody));
        picture[40..].fill(8.0);
        assert_eq!(camera.look(&picture), Ok(Seen::Cat));
        picture[8..].fill(8.0);
        assert_eq!(camera.look(&picture), Ok(Seen::Person));
    }
}

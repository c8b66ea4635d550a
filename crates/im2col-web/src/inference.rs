//! LeNet on one image, with the output of every layer.

use im2col::{NetworkWeights, RunError, argmax};

use crate::networks::{IMAGE_LEN, Kind, LAYERS, PARAMS, RELU, SIGMOID};

/// A network and what it makes of an image.
#[derive(Debug)]
pub struct Inference {
    /// The parameters, in the order of PyTorch's `state_dict`.
    pub params: [f32; PARAMS],
    /// `[28, 28]`, 255 where there is most ink.
    pub pixels: [u8; IMAGE_LEN],
    /// The outputs of all layers, see [`layer`](Self::layer).
    pub outputs: [f32; RELU.workspace_len()],
    input: [f32; IMAGE_LEN],
    scratch: [f32; RELU.train_scratch_len()],
}

// One memory serves both.
const _: () = assert!(RELU.workspace_len() == SIGMOID.workspace_len());
const _: () = assert!(RELU.train_scratch_len() == SIGMOID.train_scratch_len());

impl Inference {
    /// No network and no image yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { params: [0.0; _], pixels: [0; _], outputs: [0.0; _], input: [0.0; _], scratch: [0.0; _] }
    }

    /// Computes the outputs of all layers; returns the digit with the largest of the ten last values.
    ///
    /// # Errors
    /// None: the lengths are right.
    pub fn infer(&mut self, kind: Kind) -> Result<usize, RunError> {
        for (value, pixel) in self.input.iter_mut().zip(self.pixels) {
            *value = f32::from(pixel) / 255.0;
        }
        let weights = NetworkWeights::Plain(&self.params);
        let Self { input, outputs, scratch, .. } = self;
        match kind {
            Kind::Relu => RELU.forward_train(weights, input, outputs, scratch),
            Kind::Sigmoid => SIGMOID.forward_train(weights, input, outputs, scratch),
        }?;
        let logits = RELU.layer_output(LAYERS - 1, outputs).unwrap_or_default();
        Ok(argmax(logits).unwrap_or_default())
    }

    /// The output of a layer.
    #[must_use]
    pub fn layer(&self, layer: usize) -> &[f32] {
        RELU.layer_output(layer, &self.outputs).unwrap_or_default()
    }
}

impl Default for Inference {
    fn default() -> Self {
        Self::new()
    }
}

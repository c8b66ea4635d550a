//! A few images on their way through the network: the unit of work of one thread.

use im2col::{Network, NetworkWeights};

use crate::error::TrainError;
use crate::samples::Samples;
use crate::shift::{Draw, shift};

/// How many images make a shard.
///
/// The gradient of a shard is one sum, and shards are added in order: this number is part of what decides the
/// last bits of the trained weights. 16 images of LeNet keep 0.9 MB from the forward to the backward pass; 8 or
/// 32 are neither faster nor slower.
pub const SHARD: usize = 16;

/// Everything that one shard needs, allocated once.
#[derive(Debug)]
pub(crate) struct Shard {
    input: Vec<f32>,
    labels: Vec<u8>,
    workspace: Vec<f32>,
    scratch: Vec<f32>,
    logits: Vec<f32>,
    grad_logits: Vec<f32>,
    /// The gradient of the shard's loss, in the order of the parameters.
    pub(crate) gradient: Vec<f32>,
    /// The sum of the images' cross entropies.
    pub(crate) loss: f32,
    /// How many images the network gets right.
    pub(crate) correct: usize,
}

impl Shard {
    /// Buffers for any of the plans: the same layers, for 1 to [`SHARD`] images.
    pub(crate) fn new<const L: usize>(plans: &[Network<L>]) -> Self {
        let largest = |len: fn(&Network<L>) -> usize| plans.iter().map(len).max().unwrap_or(0);
        let scratch_len = largest(Network::scratch_len).max(largest(Network::train_scratch_len));
        Self {
            input: vec![0.0; largest(Network::input_len)],
            labels: Vec::with_capacity(SHARD),
            workspace: vec![0.0; largest(Network::workspace_len)],
            scratch: vec![0.0; scratch_len],
            logits: vec![0.0; largest(Network::output_len)],
            grad_logits: vec![0.0; largest(Network::output_len)],
            gradient: vec![0.0; largest(Network::param_len)],
            loss: 0.0,
            correct: 0,
        }
    }

    /// The shard's loss, and its gradient times `scale`, by the plan for `images.len()` images.
    pub(crate) fn train<const L: usize>(
        &mut self,
        network: &Network<L>,
        weights: NetworkWeights<'_, L>,
        params: &[f32],
        scale: f32,
        samples: &dyn Samples,
        images: &[Draw],
    ) -> Result<(), TrainError> {
        self.gather(samples, images)?;
        let input = &self.input[..network.input_len()];
        let workspace = &mut self.workspace[..network.workspace_len()];
        let grad_logits = &mut self.grad_logits[..network.output_len()];
        network.forward_train(weights, input, workspace, &mut self.scratch)?;
        let logits = network.activation(L.saturating_sub(1), workspace).unwrap_or_default();
        let classes = network.output_len() / network.batch();
        self.correct = count_correct(logits, &self.labels);
        self.loss = im2col::cross_entropy_backward(logits, &self.labels, classes, scale, grad_logits)?;
        network.backward(params, input, workspace, grad_logits, &mut self.gradient, &mut self.scratch)?;
        Ok(())
    }

    /// The shard's loss, and how many images the network gets right, by the plan for `images.len()` images.
    pub(crate) fn test<const L: usize>(
        &mut self,
        network: &Network<L>,
        weights: NetworkWeights<'_, L>,
        samples: &dyn Samples,
        images: &[Draw],
    ) -> Result<(), TrainError> {
        self.gather(samples, images)?;
        let logits = &mut self.logits[..network.output_len()];
        network.forward(weights, &self.input[..network.input_len()], logits, &mut self.scratch)?;
        self.correct = count_correct(logits, &self.labels);
        self.loss = im2col::cross_entropy(logits, &self.labels, logits.len() / network.batch())?;
        Ok(())
    }

    /// Fetches images and labels.
    fn gather(&mut self, samples: &dyn Samples, images: &[Draw]) -> Result<(), TrainError> {
        self.labels.clear();
        let (image_dims, labels) = (samples.image_dims(), samples.labels());
        let image_len = image_dims.iter().product();
        for (draw, input) in images.iter().zip(self.input.chunks_exact_mut(image_len)) {
            self.labels.push(labels[draw.image]);
            samples.read(draw.image, input)?;
            shift(input, image_dims, draw.shift);
        }
        Ok(())
    }
}

/// What a network sees of a pixel.
pub(crate) fn normalised(pixel: u8) -> f32 {
    f32::from(pixel) / 255.0
}

/// logits: `[labels, classes]`
fn count_correct(logits: &[f32], labels: &[u8]) -> usize {
    let classes = logits.len() / labels.len().max(1);
    logits
        .chunks_exact(classes.max(1))
        .zip(labels)
        .filter(|&(logits, &label)| im2col::argmax(logits) == Some(usize::from(label)))
        .count()
}

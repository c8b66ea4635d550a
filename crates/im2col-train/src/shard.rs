//! A few images on their way through the network: the unit of work of one thread.

use im2col::{Network, NetworkWeights};

use crate::error::TrainError;
use crate::samples::Samples;
use crate::shift::{Draw, shift};

/// How many images go through the network at a time, at most.
///
/// 32 images of LeNet keep 1.2 MB from the forward to the backward pass, and their gradients are one sum.
pub const GROUP: usize = 32;

/// The images of a shard where there are few: a network interleaves so many.
pub(crate) const SMALLEST_SHARD: usize = GROUP / 2;

/// How many images of a batch make a shard: a group if that leaves eight shards, or half of one.
///
/// The gradient of a shard is one sum, and shards are added in order: this decides the last bits of the trained
/// weights, and nothing but the batch decides this. With fewer and larger shards there are fewer gradients to add,
/// but also fewer threads that can share them.
pub(crate) const fn shard_len(batch: usize) -> usize {
    if batch >= 8 * GROUP { GROUP } else { SMALLEST_SHARD }
}

/// What a shard contributes to a batch.
#[derive(Debug)]
pub(crate) struct Shard {
    /// The gradient of the shard's loss, in the order of the parameters.
    pub(crate) gradient: Vec<f32>,
    /// The sum of the images' cross entropies.
    pub(crate) loss: f32,
    /// How many images the network gets right.
    pub(crate) correct: usize,
}

impl Shard {
    pub(crate) fn new(param_len: usize) -> Self {
        Self { gradient: vec![0.0; param_len], loss: 0.0, correct: 0 }
    }
}

/// The plans of a network, and what it takes to train it.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a, const L: usize> {
    /// For 1, 2, ... [`GROUP`] images.
    pub(crate) plans: &'a [Network<L>],
    pub(crate) weights: NetworkWeights<'a, L>,
    pub(crate) params: &'a [f32],
    pub(crate) samples: &'a dyn Samples,
}

/// Everything that one thread needs besides, allocated once: it stays in the cache from shard to shard.
#[derive(Debug)]
pub(crate) struct Worker {
    input: Vec<f32>,
    labels: Vec<u32>,
    workspace: Vec<f32>,
    scratch: Vec<f32>,
    logits: Vec<f32>,
    grad_logits: Vec<f32>,
}

impl Worker {
    /// Buffers for any of the plans: the same layers, for 1 to [`GROUP`] images.
    pub(crate) fn new<const L: usize>(plans: &[Network<L>]) -> Self {
        let largest = |len: fn(&Network<L>) -> usize| plans.iter().map(len).max().unwrap_or(0);
        let scratch_len = largest(Network::scratch_len).max(largest(Network::train_scratch_len));
        Self {
            input: vec![0.0; largest(Network::input_len)],
            labels: Vec::with_capacity(GROUP),
            workspace: vec![0.0; largest(Network::workspace_len)],
            scratch: vec![0.0; scratch_len],
            logits: vec![0.0; largest(Network::output_len)],
            grad_logits: vec![0.0; largest(Network::output_len)],
        }
    }

    /// The shard's loss, and its gradient times `scale`, of at most [`GROUP`] images.
    pub(crate) fn train<const L: usize>(
        &mut self,
        task: Task<'_, L>,
        scale: f32,
        images: &[Draw],
        shard: &mut Shard,
    ) -> Result<(), TrainError> {
        let Task { weights, params, samples, .. } = task;
        self.gather(samples, images)?;
        let network = &task.plans[images.len() - 1];
        let input = &self.input[..network.input_len()];
        let workspace = &mut self.workspace[..network.workspace_len()];
        let grad_logits = &mut self.grad_logits[..network.output_len()];
        network.forward_train(weights, input, workspace, &mut self.scratch)?;
        let logits = network.activation(L.saturating_sub(1), workspace).unwrap_or_default();
        let classes = network.output_len() / network.batch();
        shard.correct = count_correct(logits, &self.labels);
        shard.loss = im2col::cross_entropy_backward(logits, &self.labels, classes, scale, grad_logits)?;
        network.backward(params, input, workspace, grad_logits, &mut shard.gradient, &mut self.scratch)?;
        Ok(())
    }

    /// The shard's loss, and how many of at most [`GROUP`] images the network gets right.
    pub(crate) fn test<const L: usize>(
        &mut self,
        task: Task<'_, L>,
        images: &[Draw],
        shard: &mut Shard,
    ) -> Result<(), TrainError> {
        self.gather(task.samples, images)?;
        let network = &task.plans[images.len() - 1];
        let logits = &mut self.logits[..network.output_len()];
        network.forward(task.weights, &self.input[..network.input_len()], logits, &mut self.scratch)?;
        shard.correct = count_correct(logits, &self.labels);
        shard.loss = im2col::cross_entropy(logits, &self.labels, logits.len() / network.batch())?;
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

/// logits: `[labels, classes]`
fn count_correct(logits: &[f32], labels: &[u32]) -> usize {
    let classes = logits.len() / labels.len().max(1);
    logits
        .chunks_exact(classes.max(1))
        .zip(labels)
        .filter(|&(logits, &label)| im2col::argmax(logits) == Some(label as usize))
        .count()
}

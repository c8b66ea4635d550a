//! A few images on their way through the network: the unit of work of one thread.

use im2col::{CrossEntropy, Network, NetworkWeights};

use crate::augment::{AugmentedSample, shift};
use crate::error::TrainError;
use crate::samples::Samples;

/// How many images go through the network at a time, at most.
///
/// 32 images of LeNet keep 1.2 MB from the forward to the backward pass, and their gradients are one sum.
pub(crate) const MICRO_BATCH: usize = 32;

/// The images of a micro-batch where a batch has few: a network interleaves as many.
pub(crate) const SMALLEST_MICRO_BATCH: usize = MICRO_BATCH / 2;

/// How many images of a batch make a micro-batch: [`MICRO_BATCH`] if that leaves eight micro-batches, or half of it.
///
/// The gradient of a micro-batch is one sum, and micro-batches are added in order: this decides the last bits of the
/// trained weights, and nothing but the batch decides this. With fewer and larger micro-batches there are fewer
/// gradients to add, but also fewer threads that can share them.
pub(crate) const fn micro_batch_len(batch: usize) -> usize {
    if batch >= 8 * MICRO_BATCH { MICRO_BATCH } else { SMALLEST_MICRO_BATCH }
}

/// A part of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Packing the weights, where a plan reads packed ones.
    Pack,
    /// Fetching the images and labels of a micro-batch.
    Gather,
    /// The forward pass of this layer.
    Forward(usize),
    /// The loss and its gradient.
    Loss,
    /// The backward pass of this layer.
    Backward(usize),
    /// Adding gradients of micro-batches to that of the batch.
    Add,
    /// Moving the parameters.
    Update,
}

/// Hears of each part of a training step when it ends, on the thread that has done it. A step has most parts several
/// times.
pub(crate) type Observer<'a> = &'a (dyn Fn(Phase) + Sync);

/// What a micro-batch contributes to a batch.
#[derive(Debug)]
pub(crate) struct MicroBatch {
    /// The gradient of the micro-batch's loss, in the order of the parameters.
    pub(crate) gradient: Vec<f32>,
    /// `[images, classes]`: what the network gives each image in a test. There is room for [`MICRO_BATCH`] images.
    pub(crate) logits: Vec<f32>,
    /// The sum of the images' cross entropies.
    pub(crate) loss: f32,
    /// How many images the network gets right.
    pub(crate) correct: usize,
}

impl MicroBatch {
    /// `network`: planned for [`MICRO_BATCH`] images.
    pub(crate) fn new<const L: usize>(network: &Network<L>) -> Self {
        let (gradient, logits) = (vec![0.0; network.param_len()], vec![0.0; network.output_len()]);
        Self { gradient, logits, loss: 0.0, correct: 0 }
    }
}

/// The plans of a network, and what it takes to train it.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a, const L: usize> {
    /// For 1, 2, ... [`MICRO_BATCH`] images.
    pub(crate) plans: &'a [Network<L>],
    pub(crate) loss: CrossEntropy,
    pub(crate) weights: NetworkWeights<'a, L>,
    pub(crate) params: &'a [f32],
    pub(crate) samples: &'a dyn Samples,
}

/// Everything that one thread needs besides, allocated once: it stays in the cache from micro-batch to micro-batch.
#[derive(Debug)]
pub(crate) struct Worker {
    input: Vec<f32>,
    labels: Vec<u32>,
    workspace: Vec<f32>,
    scratch: Vec<f32>,
    grad_logits: Vec<f32>,
}

impl Worker {
    /// Buffers for any of the plans: the same layers, for 1 to [`MICRO_BATCH`] images.
    pub(crate) fn new<const L: usize>(plans: &[Network<L>]) -> Self {
        let largest = |len: fn(&Network<L>) -> usize| plans.iter().map(len).max().unwrap_or(0);
        let scratch_len = largest(Network::scratch_len).max(largest(Network::train_scratch_len));
        Self {
            input: vec![0.0; largest(Network::input_len)],
            labels: Vec::with_capacity(MICRO_BATCH),
            workspace: vec![0.0; largest(Network::workspace_len)],
            scratch: vec![0.0; scratch_len],
            grad_logits: vec![0.0; largest(Network::output_len)],
        }
    }

    /// The loss of at most [`MICRO_BATCH`] images, and its gradient times `scale`.
    pub(crate) fn train<const L: usize>(
        &mut self,
        task: Task<'_, L>,
        scale: f32,
        images: &[AugmentedSample],
        micro_batch: &mut MicroBatch,
        observe: Observer<'_>,
    ) -> Result<(), TrainError> {
        let Task { weights, params, samples, .. } = task;
        self.gather(samples, images)?;
        observe(Phase::Gather);

        let network = &task.plans[images.len() - 1];
        let Self { input, labels, workspace, scratch, grad_logits } = self;
        let input = &input[..network.input_len()];
        let workspace = &mut workspace[..network.workspace_len()];
        let grad_logits = &mut grad_logits[..network.output_len()];
        let forward = |layer| observe(Phase::Forward(layer));
        network.forward_train_observed(weights, input, workspace, scratch, forward)?;

        let logits = network.layer_output(L.saturating_sub(1), workspace).unwrap_or_default();
        micro_batch.correct = count_correct(logits, labels);
        micro_batch.loss = task.loss.backward(logits, labels, scale, grad_logits)?;
        observe(Phase::Loss);

        let gradient = &mut micro_batch.gradient;
        let backward = |layer| observe(Phase::Backward(layer));
        network.backward_observed(params, input, workspace, grad_logits, gradient, scratch, backward)?;
        Ok(())
    }

    /// The loss and the logits of at most [`MICRO_BATCH`] images, and how many of them the network gets right.
    pub(crate) fn test<const L: usize>(
        &mut self,
        task: Task<'_, L>,
        images: &[AugmentedSample],
        micro_batch: &mut MicroBatch,
    ) -> Result<(), TrainError> {
        self.gather(task.samples, images)?;
        let network = &task.plans[images.len() - 1];
        let logits = &mut micro_batch.logits[..network.output_len()];
        network.forward(task.weights, &self.input[..network.input_len()], logits, &mut self.scratch)?;
        micro_batch.correct = count_correct(logits, &self.labels);
        micro_batch.loss = task.loss.forward(logits, &self.labels)?;
        Ok(())
    }

    /// Fetches images and labels.
    fn gather(&mut self, samples: &dyn Samples, images: &[AugmentedSample]) -> Result<(), TrainError> {
        self.labels.clear();
        let (image_dims, labels) = (samples.image_dims(), samples.labels());
        let image_len = image_dims.iter().product();
        for (sample, input) in images.iter().zip(self.input.chunks_exact_mut(image_len)) {
            self.labels.push(labels[sample.image]);
            samples.read(sample.image, input)?;
            shift(input, image_dims, sample.shift);
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

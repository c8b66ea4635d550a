//! Steps of stochastic gradient descent on LeNet, cut into shards as the trainer cuts them.

use crate::cases::Case;
use crate::forward::{Answer, lenet_params};
use crate::timing::{Limits, time};
use anyhow::{Result, ensure};
use im2col::lenet::LENET;
use im2col::{Network, NetworkWeights, RunError, ShapeError, cross_entropy_backward};
use rayon::prelude::*;

/// Images of a shard. It decides the order of the gradient's sums, and threads do not.
const SHARD: usize = 16;
const IMAGE_LEN: usize = 28 * 28;
const RATE: f32 = 0.5;
/// Parameters that one task updates.
const CHUNK: usize = 2048;

/// x: `[batch, 1, 28, 28]`, labels: `[batch]`, w1, b1 ... w5, b5: the parameters at the start; the
/// answer is the mean cross entropy before each of the first three steps.
///
/// Weights change from step to step, so they are packed while the clock runs.
pub(crate) fn lenet(case: &Case, limits: Limits) -> Result<Answer> {
    let input = case.tensor("x")?;
    let labels: Vec<u8> = case.tensor("labels")?.iter().map(|&label| label as u8).collect();
    let batch = labels.len();
    ensure!(batch == case.shape.batch && input.len() == batch * IMAGE_LEN, "not {} images", case.shape.batch);
    let mut descent = Descent::new(lenet_params(case)?, batch)?;
    let losses = (0..3).map(|_| descent.step(&input, &labels)).collect::<Result<_, _>>()?;
    let timing = time(limits, || Ok(descent.step(&input, &labels).map(drop)?))?;
    Ok((timing, losses))
}

struct Descent {
    batch: usize,
    params: Vec<f32>,
    packed: Vec<f32>,
    shards: Vec<Shard>,
}

/// Some images, and what they need on their way forward and back.
struct Shard {
    network: Network<12>,
    workspace: Vec<f32>,
    scratch: Vec<f32>,
    grad_logits: Vec<f32>,
    gradient: Vec<f32>,
    loss: f32,
}

impl Descent {
    fn new(params: Vec<f32>, batch: usize) -> Result<Self, ShapeError> {
        let sizes = (0..batch).step_by(SHARD).map(|first| SHARD.min(batch - first));
        let shards = sizes.map(Shard::new).collect::<Result<Vec<_>, _>>()?;
        let packed_len = shards.first().map_or(0, |shard| shard.network.packed_len());
        Ok(Self { batch, params, packed: vec![0.0; packed_len], shards })
    }

    /// Moves the parameters against the gradient of the mean cross entropy, and returns what that was.
    fn step(&mut self, input: &[f32], labels: &[u8]) -> Result<f32, RunError> {
        let Self { batch, params, packed, shards } = self;
        let scale = 1.0 / *batch as f32;
        if let Some(shard) = shards.first() {
            let weights = NetworkWeights::Packed { params, packed: shard.network.pack(params, packed)? };
            (&mut *shards, input.par_chunks(SHARD * IMAGE_LEN), labels.par_chunks(SHARD))
                .into_par_iter()
                .with_max_len(1)
                .try_for_each(|(shard, input, labels)| shard.run(weights, params, scale, input, labels))?;
        }
        params.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, params)| {
            let mut sums = [0.0; CHUNK];
            for shard in &*shards {
                let gradient = &shard.gradient[chunk * CHUNK..];
                sums.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value);
            }
            params.iter_mut().zip(sums).for_each(|(param, sum)| *param -= RATE * sum);
        });
        Ok(shards.iter().map(|shard| shard.loss).sum::<f32>() * scale)
    }
}

impl Shard {
    fn new(images: usize) -> Result<Self, ShapeError> {
        let network = Network::plan(LENET, images, [1, 28, 28])?;
        Ok(Self {
            workspace: vec![0.0; network.workspace_len()],
            scratch: vec![0.0; network.train_scratch_len()],
            grad_logits: vec![0.0; network.output_len()],
            gradient: vec![0.0; network.param_len()],
            loss: 0.0,
            network,
        })
    }

    /// The sum of the shard's cross entropies, and its gradient times `scale`.
    fn run(
        &mut self,
        weights: NetworkWeights<'_, 12>,
        params: &[f32],
        scale: f32,
        input: &[f32],
        labels: &[u8],
    ) -> Result<(), RunError> {
        let Self { network, workspace, scratch, grad_logits, gradient, loss } = self;
        network.forward_train(weights, input, workspace, scratch)?;
        let logits = network.activation(LENET.len() - 1, workspace).unwrap_or_default();
        *loss = cross_entropy_backward(logits, labels, 10, scale, grad_logits)?;
        network.backward(params, input, workspace, grad_logits, gradient, scratch)
    }
}

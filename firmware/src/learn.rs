//! Learning on the machine: digits drawn white on black are known, and now come black on white.
//!
//! First only the last layer learns, from the features that the layers before it find; then the whole network does. Everything is
//! plain stochastic gradient descent, an image a step: forward, loss, backward, and each parameter less its gradient times the
//! learning rate.

use crate::console::Console;
use crate::{PARAMS, digits};
use im2col::lenet::LENET;
use im2col::{
    CrossEntropy, Isa, Layer, LinearOperands, LinearParams, LinearPlan, Network, NetworkWeights, RunError,
    Weights, planned,
};

/// All but the last layer.
const LAYERS: Network<11> = planned!(Network::plan(features(), 1, [1, 28, 28])).with_isa(Isa::SCALAR);
const FEATURES: Network<11> = planned!(LAYERS.with_scratch_limit(LAYERS.least_scratch_len()));
const LAST: LinearPlan = planned!(LinearParams::new(FEATURES.output_len(), 10).plan(1))
    .with_isa(Isa::SCALAR)
    .with_scratch_limit(0)
    .with_backward_scratch_limit(0);

/// The whole network.
const WHOLE: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28])).with_isa(Isa::SCALAR);
const NETWORK: Network<12> = planned!(WHOLE.with_train_scratch_limit(WHOLE.least_train_scratch_len()));

const LOSS: CrossEntropy = CrossEntropy::new(10).with_isa(Isa::SCALAR);

/// The digits that are learned, over and over.
const IMAGES: usize = 4;
/// How often each of them is seen, by the last layer and by the whole network.
const EPOCHS: [usize; 2] = [8, 8];
/// The learning rates.
const RATES: [f32; 2] = [0.05, 0.02];

const fn features() -> [Layer; 11] {
    let mut layers = [Layer::Flatten; 11];
    let mut index = 0;
    while index < layers.len() {
        layers[index] = LENET[index];
        index += 1;
    }
    layers
}

/// All memory of the whole network's training.
#[derive(Debug)]
pub struct Memory {
    image: [f32; NETWORK.input_len()],
    params: [f32; NETWORK.param_len()],
    grad_params: [f32; NETWORK.param_len()],
    workspace: [f32; NETWORK.workspace_len()],
    scratch: [f32; NETWORK.train_scratch_len()],
    grad_logits: [f32; NETWORK.output_len()],
}

// What has to fit into the machine is known before it runs.
const _: () = assert!(size_of::<Memory>() <= 640 * 1024);

impl Memory {
    /// Not yet used.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            image: [0.0; _],
            params: [0.0; _],
            grad_params: [0.0; _],
            workspace: [0.0; _],
            scratch: [0.0; _],
            grad_logits: [0.0; _],
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// Learns, and prints the loss of each step, also as bits. Returns whether the loss has gone down in both parts.
///
/// # Errors
/// None: the lengths are right.
pub fn run(
    memory: &mut Memory,
    console: &mut impl Console,
    mut observe: impl FnMut(),
) -> Result<bool, RunError> {
    let mut is_less = true;
    for (part, rate) in RATES.into_iter().enumerate() {
        memory.params.copy_from_slice(&PARAMS);
        let mut losses = [0.0; 2];
        for epoch in 0..EPOCHS[part] {
            let mut sum = 0.0;
            for (pixels, label) in digits::all().take(IMAGES) {
                for (value, pixel) in memory.image.iter_mut().zip(pixels) {
                    *value = 1.0 - f32::from(*pixel) / 255.0;
                }
                observe();
                let loss =
                    if part == 0 { step_of_last(memory, label, rate)? } else { step(memory, label, rate)? };
                observe();
                sum += loss;
                console.text(if part == 0 { "last layer: loss " } else { "whole network: loss " });
                console.decimal(loss);
                console.text(" ");
                console.bits(loss);
                console.text("\n");
            }
            losses[usize::from(epoch > 0)] = sum;
        }
        is_less &= losses[1] < 0.5 * losses[0];
    }
    Ok(is_less)
}

/// A step of the whole network.
fn step(memory: &mut Memory, label: u8, rate: f32) -> Result<f32, RunError> {
    let Memory { image, params, grad_params, workspace, scratch, grad_logits } = memory;
    NETWORK.forward_train(NetworkWeights::Plain(params), image, workspace, scratch)?;
    let logits = NETWORK.layer_output(11, workspace).unwrap_or_default();
    let loss = LOSS.backward(logits, &[label], 1.0, grad_logits)?;
    NETWORK.backward(params, image, workspace, grad_logits, grad_params, scratch)?;
    descend(params, grad_params, rate);
    Ok(loss)
}

/// A step of the last layer, in the memory of the network.
fn step_of_last(memory: &mut Memory, label: u8, rate: f32) -> Result<f32, RunError> {
    let Memory { image, params, grad_params, workspace, scratch, grad_logits } = memory;
    let (before, last) = params.split_at_mut(FEATURES.param_len());
    let (weight, bias) = last.split_at_mut(LAST.weight_len());
    let (features, logits) = workspace.split_at_mut(FEATURES.output_len());
    let logits = &mut logits[..10];
    FEATURES.forward(NetworkWeights::Plain(before), image, features, scratch)?;
    LAST.forward(LinearOperands { input: features, weight: Weights::Plain(weight), bias }, logits, &mut [])?;
    let loss = LOSS.backward(logits, &[label], 1.0, grad_logits)?;
    let (grad_weight, grad_bias) = grad_params[..LAST.weight_len() + 10].split_at_mut(LAST.weight_len());
    LAST.backward_weight(features, grad_logits, grad_weight, &mut [])?;
    LAST.backward_bias(grad_logits, grad_bias)?;
    descend(weight, grad_weight, rate);
    descend(bias, grad_bias, rate);
    Ok(loss)
}

/// Stochastic gradient descent.
fn descend(params: &mut [f32], grads: &[f32], rate: f32) {
    for (param, grad) in params.iter_mut().zip(grads) {
        *param -= rate * grad;
    }
}

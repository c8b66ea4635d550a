//! LeNet against PyTorch: every layer's output, every gradient, and the weights after three steps.
//!
//! Skipped, and says so, where the reference tensors are not at hand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use im2col::lenet::{LENET, LENET_RELU};
use im2col::{Isa, Layer, Network, NetworkWeights, cross_entropy_backward};
use im2col_testkit::golden::{Tensors, read_json, shared_dir};

const BATCH: usize = 32;
const CLASSES: usize = 10;
/// Relative to the largest value of a tensor, or to the loss.
const TOLERANCE: f64 = 1e-5;

#[test]
fn the_sigmoid_network_is_pytorchs() {
    compare(LENET, "sigmoid_avg");
}

#[test]
fn the_relu_network_is_pytorchs() {
    compare(LENET_RELU, "relu_max");
}

fn compare(layers: [Layer; 12], name: &str) {
    let Some(shared) = shared_dir() else {
        eprintln!("SKIPPED, nothing was tested: no shared/golden above this crate and no IM2COL_SHARED");
        return;
    };
    let reference =
        Reference { tensors: Tensors::read(&shared.join("golden/lenet.safetensors")).unwrap(), name };
    let settings = &read_json(&shared.join("golden/lenet.json")).unwrap()["networks"][name];
    let losses: Vec<f64> =
        settings["losses"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    let number = |key: &str| settings[key].as_f64().unwrap() as f32;
    let rate = Rate { lr: number("lr"), momentum: number("momentum") };
    // Four images are computed one by one, and every layer's output is kept; 32 are interleaved.
    for images in [4, BATCH] {
        let network = Network::plan(layers, images, [1, 28, 28]).unwrap();
        for isa in Isa::available() {
            train(&network.with_isa(isa), &reference, rate, &losses);
        }
    }
}

#[derive(Clone, Copy)]
struct Rate {
    lr: f32,
    momentum: f32,
}

/// Takes one step per loss, in parts of as many images as the network takes; compares the first step inside, the rest
/// by its loss, and the result.
fn train(network: &Network<12>, reference: &Reference<'_>, rate: Rate, losses: &[f64]) {
    let input = &reference.tensors.f32("input").unwrap().values;
    let labels = &reference.tensors.i64("labels").unwrap().values;
    let labels: Vec<u8> = labels.iter().map(|&label| u8::try_from(label).unwrap()).collect();
    let mut params = reference.parameters(network, "init");
    let mut velocity = vec![0.0; network.param_len()];
    let mut part = vec![f32::NAN; network.param_len()];
    let mut workspace = vec![f32::NAN; network.workspace_len()];
    let mut scratch = vec![f32::NAN; network.train_scratch_len()];
    let mut grad_logits = vec![f32::NAN; network.output_len()];

    for (step, &expected) in losses.iter().enumerate() {
        let mut loss = 0.0;
        let mut grads = vec![0.0; network.param_len()];
        let images = network.batch();
        let parts = input.chunks(network.input_len()).zip(labels.chunks(images));
        for (i, (input, labels)) in parts.enumerate() {
            let weights = NetworkWeights::Plain(&params);
            network.forward_train(weights, input, &mut workspace, &mut scratch).unwrap();
            let logits = network.layer_output(11, &workspace).unwrap();
            let scale = 1.0 / BATCH as f32;
            let sum = cross_entropy_backward(logits, labels, CLASSES, scale, &mut grad_logits).unwrap();
            loss += f64::from(sum) / BATCH as f64;
            network.backward(&params, input, &workspace, &grad_logits, &mut part, &mut scratch).unwrap();
            grads.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
            for layer in (0..12).filter(|_| step == 0) {
                match network.layer_output(layer, &workspace) {
                    Some(output) => reference.compare_part(&format!("layer{layer}"), output, i * images),
                    None => assert!(images == BATCH && layer < 11),
                }
            }
        }
        assert!((loss - expected).abs() <= TOLERANCE * expected, "step {step}: loss {loss}, not {expected}");
        if step == 0 {
            reference.compare_parameters(network, "grad", &grads);
        }
        for ((param, velocity), grad) in params.iter_mut().zip(&mut velocity).zip(&grads) {
            *velocity = rate.momentum * *velocity + grad;
            *param -= rate.lr * *velocity;
        }
    }
    reference.compare_parameters(network, "after3", &params);
}

struct Reference<'a> {
    tensors: Tensors,
    name: &'a str,
}

impl Reference<'_> {
    fn values(&self, name: &str) -> &[f32] {
        &self.tensors.f32(&format!("{}/{name}", self.name)).unwrap().values
    }

    /// The parameters in one slice, each tensor where the network says.
    fn parameters(&self, network: &Network<12>, group: &str) -> Vec<f32> {
        let mut params = vec![f32::NAN; network.param_len()];
        for parameter in network.parameters() {
            let name = format!("{}/{group}/{}.{}", self.name, parameter.layer, parameter.name);
            let tensor = self.tensors.f32(&name).unwrap();
            assert_eq!(tensor.shape, parameter.dims(), "{name}");
            params[parameter.range].copy_from_slice(&tensor.values);
        }
        params
    }

    fn compare_parameters(&self, network: &Network<12>, group: &str, given: &[f32]) {
        for parameter in network.parameters() {
            let name = format!("{group}/{}.{}", parameter.layer, parameter.name);
            self.compare(&name, &given[parameter.range]);
        }
    }

    fn compare(&self, name: &str, given: &[f32]) {
        assert_eq!(given.len(), self.values(name).len(), "{name}");
        self.compare_part(name, given, 0);
    }

    /// Compares what belongs to some of the images, the first of which is number `image`.
    fn compare_part(&self, name: &str, given: &[f32], image: usize) {
        let expected = self.values(name);
        let largest = expected.iter().fold(0.0_f64, |most, &x| most.max(f64::from(x).abs()));
        let expected = &expected[image * (expected.len() / BATCH)..][..given.len()];
        for (i, (&given, &expected)) in given.iter().zip(expected).enumerate() {
            let difference = (f64::from(given) - f64::from(expected)).abs();
            assert!(
                difference <= TOLERANCE * largest,
                "{}/{name}[{i}]: {given}, not {expected}; the largest value is {largest}",
                self.name
            );
        }
    }
}

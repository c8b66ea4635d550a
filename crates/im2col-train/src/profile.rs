//! Where the time of a training step goes: every layer, forward and backward, and what lies between them.
//!
//! The step is the trainer's on one thread: the weights are packed once, if a plan reads packed ones, then group after
//! group of the batch is gathered, goes forward and backward, and its gradient is added; at the end the parameters are
//! updated. Where a layer applies the activation behind it while it stores, the time of both is the layer's; where the
//! gradient of a pool goes through the activation before it, the pool's; where the first convolution takes that of the
//! pool behind it, the convolution's.

use std::time::{Duration, Instant};

use im2col::{Isa, Layer, Network, NetworkWeights};
use serde::Serialize;

use crate::error::TrainError;
use crate::init;
use crate::optimiser::{Descent, Optimiser};
use crate::random::Random;
use crate::samples::Samples;
use crate::shard::shard_len;
use crate::summary::{aligned, dims_text, grouped};

/// Medians of fewer steps would mean little.
const FEWEST_STEPS: usize = 3;
/// What is not a layer, in the order of [`StepTimes::parts`].
const PARTS: [&str; 5] = ["pack", "gather", "loss", "add", "update"];
const PACK: usize = 0;
const GATHER: usize = 1;
const LOSS: usize = 2;
const ADD: usize = 3;
const UPDATE: usize = 4;

/// The times of a training step: medians, in microseconds for all images of the batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// How many images a step takes.
    pub batch: usize,
    /// How many steps were measured.
    pub steps: usize,
    /// The instruction set of the kernels.
    pub isa: &'static str,
    /// The layers in order.
    pub layers: Vec<LayerTime>,
    /// The rest: packing the weights, gathering the pixels, the loss and its gradient, adding up the groups'
    /// gradients, and the optimiser's update.
    pub parts: Vec<PartTime>,
    /// What a whole step takes.
    pub step_us: f64,
    /// Images learned from in a second.
    pub images_per_second: f64,
}

/// The times of a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerTime {
    /// Counted from 0.
    pub index: usize,
    /// As PyTorch calls the layer.
    pub name: &'static str,
    /// The shape of its output for one image.
    pub output_dims: Vec<usize>,
    /// How many products it sums for one image, forward.
    pub multiply_adds: usize,
    /// The forward pass.
    pub forward_us: f64,
    /// The backward pass.
    pub backward_us: f64,
    /// Its share of the step, 0 to 1.
    pub share: f64,
    /// A product and its sum count as two operations. As many as forward are needed for the weight's gradient,
    /// and again for the input's, which the first layer with weights does not compute.
    pub gflops: Option<f64>,
}

/// The time of a part of the step that is not a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartTime {
    /// What it does.
    pub name: &'static str,
    /// How long it takes.
    pub us: f64,
    /// Its share of the step, 0 to 1.
    pub share: f64,
}

/// Trains on the first of some samples for about this long, at least three steps, and takes the times.
/// To know what one thread does, call it in a rayon pool of one.
///
/// # Errors
/// The layers do not fit the images or each other, or an image cannot be read.
pub fn measure<const L: usize>(
    layers: [Layer; L],
    samples: &dyn Samples,
    batch: usize,
    duration: Duration,
) -> Result<Profile, TrainError> {
    let mut step = Step::new(layers, samples, batch)?;
    // Pages are touched and caches filled before it counts.
    step.run()?;
    let start = Instant::now();
    let mut steps = Vec::new();
    while steps.len() < FEWEST_STEPS || start.elapsed() < duration {
        steps.push(step.run()?);
    }
    let one_image = Network::plan(layers, 1, samples.image_dims())?;
    Ok(Profile::new(&one_image, step.images.len(), &steps))
}

/// How long each thing took in one step.
struct StepTimes<const L: usize> {
    forward: [Duration; L],
    backward: [Duration; L],
    parts: [Duration; PARTS.len()],
}

/// A batch and everything that a step needs, allocated once.
struct Step<'d, const L: usize> {
    samples: &'d dyn Samples,
    /// Positions among the samples.
    images: Vec<usize>,
    whole: Network<L>,
    /// For the images that are left when all others are in whole groups.
    rest: Network<L>,
    params: Vec<f32>,
    packed: Vec<f32>,
    descent: Descent,
    gradient: Vec<f32>,
    group_gradient: Vec<f32>,
    input: Vec<f32>,
    labels: Vec<u32>,
    workspace: Vec<f32>,
    grad_logits: Vec<f32>,
    scratch: Vec<f32>,
}

impl<'d, const L: usize> Step<'d, L> {
    fn new(layers: [Layer; L], samples: &'d dyn Samples, batch: usize) -> Result<Self, TrainError> {
        let batch = batch.max(1);
        let group = shard_len(batch);
        let whole = Network::plan(layers, group, samples.image_dims())?;
        let rest = Network::plan(layers, (batch - 1) % group + 1, samples.image_dims())?;
        let params = init::xavier_uniform(&whole, &mut Random::new(1));
        Ok(Self {
            samples,
            images: (0..batch).map(|image| image % samples.labels().len()).collect(),
            packed: vec![0.0; whole.packed_len()],
            descent: Descent::new(Optimiser::sgd(0.9), params.len()),
            gradient: vec![0.0; params.len()],
            group_gradient: vec![0.0; params.len()],
            params,
            input: vec![0.0; whole.input_len()],
            labels: Vec::with_capacity(group),
            workspace: vec![0.0; whole.workspace_len().max(rest.workspace_len())],
            grad_logits: vec![0.0; whole.output_len()],
            scratch: vec![0.0; whole.train_scratch_len().max(rest.train_scratch_len())],
            whole,
            rest,
        })
    }

    fn run(&mut self) -> Result<StepTimes<L>, TrainError> {
        let mut times = StepTimes {
            forward: [Duration::ZERO; L],
            backward: [Duration::ZERO; L],
            parts: [Duration::ZERO; PARTS.len()],
        };
        let mut clock = Clock(Instant::now());
        let weights = if self.whole.reads_packed_weights() || self.rest.reads_packed_weights() {
            let packed = self.whole.pack(&self.params, &mut self.packed)?;
            NetworkWeights::Packed { params: &self.params, packed }
        } else {
            NetworkWeights::Plain(&self.params)
        };
        times.parts[PACK] += clock.lap();

        self.gradient.fill(0.0);
        times.parts[ADD] += clock.lap();
        for images in self.images.chunks(self.whole.batch()) {
            let network = if images.len() == self.whole.batch() { &self.whole } else { &self.rest };
            let input = &mut self.input[..network.input_len()];
            let workspace = &mut self.workspace[..network.workspace_len()];
            let grad_logits = &mut self.grad_logits[..network.output_len()];
            gather(self.samples, images, input, &mut self.labels)?;
            times.parts[GATHER] += clock.lap();

            network.forward_train_observed(weights, input, workspace, &mut self.scratch, |layer| {
                times.forward[layer] += clock.lap();
            })?;
            let logits = network.activation(L.saturating_sub(1), workspace).unwrap_or_default();
            let classes = logits.len() / images.len();
            let scale = 1.0 / self.images.len() as f32;
            im2col::cross_entropy_backward(logits, &self.labels, classes, scale, grad_logits)?;
            times.parts[LOSS] += clock.lap();

            network.backward_observed(
                &self.params,
                input,
                workspace,
                grad_logits,
                &mut self.group_gradient,
                &mut self.scratch,
                |layer| times.backward[layer] += clock.lap(),
            )?;
            for (sum, value) in self.gradient.iter_mut().zip(&self.group_gradient) {
                *sum += value;
            }
            times.parts[ADD] += clock.lap();
        }
        // A rate so small that every step finds the same network: how fast some layers are depends on the values.
        self.descent.step(&mut self.params, &self.gradient, 1e-6, 0);
        times.parts[UPDATE] += clock.lap();
        Ok(times)
    }
}

/// As the trainer does.
fn gather(
    samples: &dyn Samples,
    images: &[usize],
    input: &mut [f32],
    labels: &mut Vec<u32>,
) -> Result<(), TrainError> {
    labels.clear();
    let image_len: usize = samples.image_dims().iter().product();
    for (&image, input) in images.iter().zip(input.chunks_exact_mut(image_len)) {
        labels.push(samples.labels()[image]);
        samples.read(image, input)?;
    }
    Ok(())
}

/// The end of the last thing is the beginning of the next.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let lap = now - self.0;
        self.0 = now;
        lap
    }
}

impl Profile {
    fn new<const L: usize>(network: &Network<L>, batch: usize, steps: &[StepTimes<L>]) -> Self {
        let first_trained = network.parameters().next().map_or(0, |parameter| parameter.layer);
        let mut layers: Vec<_> = network
            .layers()
            .map(|layer| {
                let forward_us = median_us(steps.iter().map(|times| times.forward[layer.index]));
                let backward_us = median_us(steps.iter().map(|times| times.backward[layer.index]));
                let passes = if layer.index == first_trained { 2 } else { 3 };
                let operations = (2 * passes * layer.multiply_adds * batch) as f64;
                let us = forward_us + backward_us;
                LayerTime {
                    index: layer.index,
                    name: layer.name,
                    output_dims: layer.output_dims()[1..].to_vec(),
                    multiply_adds: layer.multiply_adds,
                    forward_us,
                    backward_us,
                    share: 0.0,
                    gflops: (operations > 0.0 && us > 0.0).then(|| operations / us / 1000.0),
                }
            })
            .collect();
        let mut parts: Vec<_> = PARTS
            .iter()
            .enumerate()
            .map(|(part, name)| {
                let us = median_us(steps.iter().map(|times| times.parts[part]));
                PartTime { name, us, share: 0.0 }
            })
            .collect();
        let step_us =
            layers.iter().map(LayerTime::us).sum::<f64>() + parts.iter().map(|part| part.us).sum::<f64>();
        layers.iter_mut().for_each(|layer| layer.share = layer.us() / step_us);
        parts.iter_mut().for_each(|part| part.share = part.us / step_us);
        Self {
            batch,
            steps: steps.len(),
            isa: Isa::detect().name(),
            layers,
            parts,
            step_us,
            images_per_second: batch as f64 / step_us * 1e6,
        }
    }

    /// A line for each layer and part, and one for the whole; no wider than 80 columns.
    #[must_use]
    pub fn table(&self) -> String {
        let us = |us: f64| format!("{us:.1}");
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let head = ["layer", "output", "mult-adds", "forward", "backward", "both us", "share %", "GFLOP/s"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.layers.iter().map(|layer| {
            [
                format!("{:>2} {}", layer.index, layer.name),
                dims_text(&layer.output_dims),
                grouped(layer.multiply_adds),
                us(layer.forward_us),
                us(layer.backward_us),
                us(layer.us()),
                percent(layer.share),
                layer.gflops.map_or(String::new(), |gflops| format!("{gflops:.0}")),
            ]
        }));
        let blank = String::new;
        rows.extend(self.parts.iter().map(|part| {
            let name = format!("   {}", part.name);
            [name, blank(), blank(), blank(), blank(), us(part.us), percent(part.share), blank()]
        }));
        let sum = |of: fn(&LayerTime) -> f64| self.layers.iter().map(of).sum();
        rows.push([
            "total".to_owned(),
            blank(),
            grouped(self.layers.iter().map(|layer| layer.multiply_adds).sum()),
            us(sum(|layer| layer.forward_us)),
            us(sum(|layer| layer.backward_us)),
            us(self.step_us),
            percent(1.0),
            blank(),
        ]);
        aligned(&rows, 2)
    }
}

impl LayerTime {
    /// Both passes.
    #[must_use]
    pub fn us(&self) -> f64 {
        self.forward_us + self.backward_us
    }
}

fn median_us(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |median| median.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use im2col::lenet::LENET;

    #[test]
    fn every_step_is_accounted_for() {
        let pixels = (0..5 * 784).map(|i| (i % 251) as u8).collect();
        let dataset = Dataset::new([1, 28, 28], pixels, vec![0, 1, 2, 3, 4]).unwrap();
        // Two whole groups and three images.
        let start = Instant::now();
        let profile = measure(LENET, &dataset, 35, Duration::from_millis(20)).unwrap();
        let elapsed_us = start.elapsed().as_secs_f64() * 1e6;
        assert_eq!((profile.batch, profile.layers.len(), profile.parts.len()), (35, 12, 5));
        assert!(profile.steps >= FEWEST_STEPS);
        let shares = profile.layers.iter().map(|layer| layer.share).sum::<f64>()
            + profile.parts.iter().map(|part| part.share).sum::<f64>();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        assert!(profile.step_us * FEWEST_STEPS as f64 <= elapsed_us, "{profile:?}");
        let convolution = &profile.layers[3];
        assert_eq!(
            (convolution.output_dims.as_slice(), convolution.multiply_adds),
            (&[16, 10, 10][..], 240_000)
        );
        assert!(convolution.forward_us > 0.0 && convolution.backward_us > 0.0);
        let gflops = 6.0 * 240_000.0 * 35.0 / convolution.us() / 1e3;
        assert!((convolution.gflops.unwrap() / gflops - 1.0).abs() < 1e-9);
        assert_eq!(profile.layers[6].gflops, None);
    }

    #[test]
    fn a_table_of_known_times() {
        let network = Network::plan(LENET, 1, [1, 28, 28]).unwrap();
        let step = |us| StepTimes {
            forward: [Duration::from_micros(us); 12],
            backward: [Duration::from_micros(2 * us); 12],
            parts: [Duration::from_micros(us); 5],
        };
        // The median of 100, 200 and 10,000.
        let profile = Profile::new(&network, 256, &[step(200), step(10_000), step(100)]);
        assert_eq!((profile.step_us, profile.images_per_second.round()), (8200.0, 31_220.0));
        let table = profile.table();
        assert!(table.lines().all(|line| line.len() <= 80), "{table}");
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines.len(), 19);
        // 4 x 117,600 x 256 operations in 600 us.
        assert_eq!(lines[1], ["0", "Conv2d", "6x28x28", "117,600", "200.0", "400.0", "600.0", "7.3", "201"]);
        assert_eq!(lines[13], ["pack", "200.0", "2.4"]);
        assert_eq!(lines[18], ["total", "416,520", "2400.0", "4800.0", "8200.0", "100.0"]);
    }
}

//! Where the time of a training step goes: every layer, forward and backward, and what lies between them.
//!
//! The step is [`Trainer::step`] on one thread: the weights are packed, if a plan reads packed ones; micro-batch after
//! micro-batch is gathered and goes forward and backward, and the gradients of several are added; at the end the
//! parameters are updated. Where a layer applies the activation behind it while it stores, the time of both is the
//! layer's; where the gradient of a pool goes through the activation before it, the pool's; where the first convolution
//! takes that of the pool behind it, the convolution's.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use im2col::{Isa, Layer, Network};
use serde::Serialize;

use crate::error::TrainError;
use crate::micro_batch::Phase;
use crate::samples::Samples;
use crate::schedule::Schedule;
use crate::summary::{aligned, dims_text, grouped};
use crate::train::{Options, Trainer};

/// Medians of fewer steps would mean little.
const FEWEST_STEPS: usize = 3;
/// What is not a layer, in the order of [`StepTimes::parts`].
const PARTS: [&str; 5] = ["pack", "gather", "loss", "add", "update"];
/// So small a rate that every step finds the same network: how fast some layers are depends on the values.
const RATE: f64 = 1e-6;

/// The times of a training step: medians, in microseconds for all images of the batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Profile {
    /// How many images a step takes.
    pub batch: usize,
    /// How many steps were measured.
    pub steps: usize,
    /// The instruction set of the kernels.
    pub isa: &'static str,
    /// The layers in order.
    pub layers: Vec<LayerTime>,
    /// The rest: packing the weights, gathering the pixels, the loss and its gradient, adding the gradients of the
    /// micro-batches, and the optimiser's update.
    pub parts: Vec<PartTime>,
    /// What a whole step takes.
    pub step_us: f64,
    /// Images learned from in a second.
    pub images_per_second: f64,
}

/// The times of a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct PartTime {
    /// What it does.
    pub name: &'static str,
    /// How long it takes.
    pub us: f64,
    /// Its share of the step, 0 to 1.
    pub share: f64,
}

/// Trains on the first of some samples for about this long, at least three steps, and takes the times of the trainer's
/// own steps. The layers' times add up to the step's in a rayon pool of one thread, which the caller provides.
///
/// Of the options only the batch, the optimiser, the instruction set and the rounding count: the rate is so small that the network
/// stays as it is, and every image of the samples may be learned from.
///
/// # Errors
/// Those of [`Trainer::new`], and of [`Trainer::step`].
pub fn measure<const L: usize>(
    layers: [Layer; L],
    samples: &dyn Samples,
    options: Options,
    duration: Duration,
) -> Result<Profile, TrainError> {
    let options = Options { rate: RATE, schedule: Schedule::Constant, validation: 0.0, ..options };
    let batch = options.batch;
    let mut trainer = Trainer::new(layers, samples, options)?;
    let images: Vec<usize> = (0..batch.max(1)).map(|image| image % samples.labels().len()).collect();
    // Pages are touched and caches filled before it counts.
    trainer.step(&images)?;
    let start = Instant::now();
    let mut steps = Vec::new();
    while steps.len() < FEWEST_STEPS || start.elapsed() < duration {
        steps.push(timed_step(&mut trainer, &images)?);
    }
    let one_image = Network::plan(layers, 1, samples.image_dims())?;
    Ok(Profile::new(&one_image, trainer.isa(), images.len(), &steps))
}

/// The times of one step on these images. The end of a phase is the beginning of the next.
fn timed_step<const L: usize>(
    trainer: &mut Trainer<'_, L>,
    images: &[usize],
) -> Result<StepTimes<L>, TrainError> {
    let times = Mutex::new((StepTimes::default(), Instant::now()));
    trainer.observed_step(images, &|phase| {
        // A thread that died here left times that are those of its phases.
        let (times, last) = &mut *times.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *times.of(phase) += now - *last;
        *last = now;
    })?;
    Ok(times.into_inner().unwrap_or_else(PoisonError::into_inner).0)
}

/// How long each thing took in one step.
#[derive(Clone, Copy, Debug)]
struct StepTimes<const L: usize> {
    forward: [Duration; L],
    backward: [Duration; L],
    parts: [Duration; PARTS.len()],
}

impl<const L: usize> Default for StepTimes<L> {
    fn default() -> Self {
        Self {
            forward: [Duration::ZERO; L],
            backward: [Duration::ZERO; L],
            parts: [Duration::ZERO; PARTS.len()],
        }
    }
}

impl<const L: usize> StepTimes<L> {
    /// The time of a phase so far.
    fn of(&mut self, phase: Phase) -> &mut Duration {
        match phase {
            Phase::Forward(layer) => &mut self.forward[layer],
            Phase::Backward(layer) => &mut self.backward[layer],
            Phase::Pack => &mut self.parts[0],
            Phase::Gather => &mut self.parts[1],
            Phase::Loss => &mut self.parts[2],
            Phase::Add => &mut self.parts[3],
            Phase::Update => &mut self.parts[4],
        }
    }
}

impl Profile {
    fn new<const L: usize>(network: &Network<L>, isa: Isa, batch: usize, steps: &[StepTimes<L>]) -> Self {
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
            isa: isa.name(),
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
    use crate::train::IsaName;
    use im2col::lenet::LENET;

    #[test]
    fn every_step_is_accounted_for() {
        let pixels = (0..5 * 784).map(|i| (i % 251) as u8).collect();
        let dataset = Dataset::new([1, 28, 28], pixels, vec![0, 1, 2, 3, 4]).unwrap();
        // Two whole micro-batches and three images.
        let start = Instant::now();
        let options = Options { batch: 35, isa: Some(IsaName::Scalar), ..Options::default() };
        let profile = measure(LENET, &dataset, options, Duration::from_millis(20)).unwrap();
        assert_eq!(profile.isa, "scalar");
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
    fn phases_are_those_of_the_trainers_step() {
        let labels: Vec<u32> = (0..19).map(|image| image % 5).collect();
        let dataset = Dataset::new([1, 28, 28], vec![7; 19 * 784], labels).unwrap();
        // A micro-batch of 16 images, and one of 3 whose plan reads packed weights.
        let images: Vec<usize> = (0..19).collect();
        let options = Options { batch: 19, ..Options::default() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let trainer = || pool.install(|| Trainer::new(LENET, &dataset, options).unwrap());
        let phases = Mutex::new(Vec::new());
        let mut observed = trainer();
        pool.install(|| observed.observed_step(&images, &|phase| phases.lock().unwrap().push(phase)))
            .unwrap();
        let phases = phases.into_inner().unwrap();
        assert_eq!(phases[..3], [Phase::Pack, Phase::Add, Phase::Gather]);
        assert_eq!(phases[phases.len() - 3..], [Phase::Backward(0), Phase::Add, Phase::Update]);
        let count = |wanted: Phase| phases.iter().filter(|&&phase| phase == wanted).count();
        assert_eq!([Phase::Gather, Phase::Loss, Phase::Add].map(count), [2, 2, 2]);
        for layer in observed.network().layers().filter(|layer| layer.multiply_adds > 0) {
            let passes = [Phase::Forward(layer.index), Phase::Backward(layer.index)];
            assert_eq!(passes.map(count), [2, 2], "layer {}", layer.index);
        }
        // Who is observed does the same.
        let mut alone = trainer();
        alone.step(&images).unwrap();
        assert!(alone.params() == observed.params() && alone.params() != trainer().params());
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
        let profile = Profile::new(&network, Isa::SCALAR, 256, &[step(200), step(10_000), step(100)]);
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

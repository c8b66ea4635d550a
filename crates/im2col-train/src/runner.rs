//! A network over many images: shards on all threads of the current rayon pool.

use std::ops::Add;
use std::sync::Mutex;

use im2col::{Layer, Network, NetworkWeights};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::optimiser::PARAM_CHUNK;
use crate::samples::Samples;
pub use crate::shard::GROUP;
use crate::shard::{SMALLEST_SHARD, Shard, Task, Worker, shard_len};
pub use crate::shift::Draw;

/// Shards in flight per thread: with more than one, no thread waits long for the slowest.
const SHARDS_PER_THREAD: usize = 4;

/// What the network made of some images, as sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    images: usize,
    loss: f64,
    correct: usize,
}

impl Totals {
    /// How many images there were.
    #[must_use]
    pub fn images(&self) -> usize {
        self.images
    }

    /// Whether they can be those of a part of so many images.
    pub(crate) fn are_of_at_most(&self, images: usize) -> bool {
        self.images <= images && self.correct <= self.images
    }

    /// The mean cross entropy.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss / self.images as f64
    }

    /// The share of images that the network got right.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            images: self.images + other.images,
            loss: self.loss + other.loss,
            correct: self.correct + other.correct,
        }
    }
}

/// A network planned for shards, with all the memory that running them takes.
#[derive(Debug)]
pub struct Runner<const L: usize> {
    image_dims: [usize; 3],
    /// For 1, 2, ... [`GROUP`] images.
    plans: Vec<Network<L>>,
    /// One for each thread.
    workers: Vec<Mutex<Worker>>,
    shards: Vec<Shard>,
    packed: Vec<f32>,
}

impl<const L: usize> Runner<L> {
    /// Plans for images of these dimensions (channels, rows, columns), in calls of at most `most_images`.
    ///
    /// # Errors
    /// The layers do not fit the images or each other.
    pub fn new(layers: [Layer; L], image_dims: [usize; 3], most_images: usize) -> Result<Self, TrainError> {
        let plans = (1..=GROUP)
            .map(|images| Network::plan(layers, images, image_dims))
            .collect::<Result<Vec<_>, _>>()?;
        let threads = rayon::current_num_threads();
        let in_flight = SHARDS_PER_THREAD * threads;
        let shards = most_images.div_ceil(SMALLEST_SHARD).clamp(1, in_flight);
        Ok(Self {
            image_dims,
            workers: (0..threads.min(shards)).map(|_| Mutex::new(Worker::new(&plans))).collect(),
            shards: (0..shards).map(|_| Shard::new(plans[GROUP - 1].param_len())).collect(),
            packed: vec![0.0; plans[GROUP - 1].packed_len()],
            plans,
        })
    }

    /// The network for [`GROUP`] images.
    #[must_use]
    pub fn network(&self) -> &Network<L> {
        &self.plans[GROUP - 1]
    }

    /// How many classes the network tells apart.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.network().output_len() / GROUP
    }

    /// Checks that the network can run on these samples, without reading an image.
    ///
    /// # Errors
    /// The images have another size, or a label has no output.
    pub fn check_samples(&self, samples: &dyn Samples) -> Result<(), TrainError> {
        let images: Vec<Draw> = (0..samples.labels().len()).map(Draw::from).collect();
        self.check(samples, &images)
    }

    /// What the network makes of all images.
    ///
    /// # Errors
    /// The parameters or the images are not this network's, or an image cannot be read.
    pub fn test(&mut self, params: &[f32], samples: &dyn Samples) -> Result<Totals, TrainError> {
        let images: Vec<Draw> = (0..samples.labels().len()).map(Draw::from).collect();
        self.test_images(params, samples, &images)
    }

    /// The same for some images.
    ///
    /// # Errors
    /// The same.
    pub fn test_images(
        &mut self,
        params: &[f32],
        samples: &dyn Samples,
        images: &[Draw],
    ) -> Result<Totals, TrainError> {
        self.check(samples, images)?;
        let len = shard_len(images.len());
        let weights = weights(&self.plans, params, &mut self.packed, images.len(), len)?;
        let task = Task { plans: &self.plans, weights, params, samples };
        let mut totals = Totals { images: images.len(), ..Totals::default() };
        for wave in images.chunks(self.shards.len() * len) {
            let shards = run(&self.workers, &mut self.shards, wave, len, task, |worker, images, shard| {
                worker.test(task, images, shard)
            })?;
            totals.add_shards(shards);
        }
        Ok(totals)
    }

    /// The images' loss, and the gradient of its mean.
    ///
    /// # Errors
    /// The parameters or the images are not this network's, or an image cannot be read.
    pub fn gradient(
        &mut self,
        params: &[f32],
        samples: &dyn Samples,
        images: &[Draw],
        gradient: &mut [f32],
    ) -> Result<Totals, TrainError> {
        self.check(samples, images)?;
        let len = shard_len(images.len());
        let weights = weights(&self.plans, params, &mut self.packed, images.len(), len)?;
        let task = Task { plans: &self.plans, weights, params, samples };
        let scale = 1.0 / images.len() as f32;
        let mut totals = Totals { images: images.len(), ..Totals::default() };
        gradient.fill(0.0);
        for wave in images.chunks(self.shards.len() * len) {
            let shards = run(&self.workers, &mut self.shards, wave, len, task, |worker, images, shard| {
                worker.train(task, scale, images, shard)
            })?;
            totals.add_shards(shards);
            add_gradients(shards, gradient);
        }
        Ok(totals)
    }

    fn check(&self, samples: &dyn Samples, images: &[Draw]) -> Result<(), TrainError> {
        let (planned, given) = (self.image_dims, samples.image_dims());
        if planned != given {
            return Err(TrainError::ImageDims { planned, given });
        }
        let (labels, classes) = (samples.labels(), self.classes());
        for draw in images {
            match labels.get(draw.image) {
                None => return Err(TrainError::Image { index: draw.image, images: labels.len() }),
                Some(&label) if label as usize >= classes => {
                    return Err(TrainError::Label { position: draw.image, label, classes });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl Totals {
    /// In the order of the shards, which is the same for any number of threads.
    fn add_shards(&mut self, shards: &[Shard]) {
        for shard in shards {
            self.loss += f64::from(shard.loss);
            self.correct += shard.correct;
        }
    }
}

/// The weights for `images` images in shards of `len`, packed if the plan of any shard reads packed weights: that of
/// whole shards, or that of the last one.
fn weights<'a, const L: usize>(
    plans: &[Network<L>],
    params: &'a [f32],
    packed: &'a mut [f32],
    images: usize,
    len: usize,
) -> Result<NetworkWeights<'a, L>, TrainError> {
    let shards = [(images >= len).then_some(len), Some(images % len)];
    let reads_packed = |images: usize| {
        images.checked_sub(1).and_then(|plan| plans.get(plan)).is_some_and(Network::reads_packed_weights)
    };
    if shards.into_iter().flatten().any(reads_packed) {
        let packed = plans[GROUP - 1].pack(params, packed)?;
        Ok(NetworkWeights::Packed { params, packed })
    } else {
        Ok(NetworkWeights::Plain(params))
    }
}

/// Runs `work` on each shard, of `len` images, and returns the shards that took part, in order.
fn run<'s, const L: usize>(
    workers: &[Mutex<Worker>],
    shards: &'s mut [Shard],
    images: &[Draw],
    len: usize,
    task: Task<'_, L>,
    work: impl Fn(&mut Worker, &[Draw], &mut Shard) -> Result<(), TrainError> + Sync,
) -> Result<&'s [Shard], TrainError> {
    let shards = &mut shards[..images.len().div_ceil(len)];
    shards.par_iter_mut().zip(images.par_chunks(len)).with_max_len(1).try_for_each(|(shard, images)| {
        // Each thread has a worker of its own, unless reading a sample waits for other tasks, of which this is one.
        let thread = rayon::current_thread_index().unwrap_or(0) % workers.len();
        match workers[thread].try_lock() {
            Ok(mut worker) => work(&mut worker, images, shard),
            Err(_) => work(&mut Worker::new(task.plans), images, shard),
        }
    })?;
    Ok(shards)
}

/// Adds the shards' gradients in shard order: threads share the parameters, never a sum.
fn add_gradients(shards: &[Shard], gradient: &mut [f32]) {
    gradient.par_chunks_mut(PARAM_CHUNK).enumerate().for_each(|(chunk, sums)| {
        let start = chunk * PARAM_CHUNK;
        let range = start..start + sums.len();
        let (fours, rest) = shards.as_chunks::<4>();
        for shards in fours {
            // So that sums are read and written once for four shards.
            let [a, b, c, d] = shards.each_ref().map(|shard| &shard.gradient[range.clone()]);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = (((*sum + a[i]) + b[i]) + c[i]) + d[i];
            }
        }
        for shard in rest {
            let values = &shard.gradient[range.clone()];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::init::xavier_uniform;
    use crate::random::Random;
    use im2col::lenet::LENET_RELU;
    use im2col::{LinearParams, ShapeError};

    /// Whether a gradient of some images leaves anything in the buffer of packed weights.
    fn packs<const L: usize>(layers: [Layer; L], image_dims: [usize; 3], images: usize) -> bool {
        let pixels = vec![7; images * image_dims.iter().product::<usize>()];
        let samples = Dataset::new(image_dims, pixels, vec![1; images]).unwrap();
        let mut runner = Runner::new(layers, image_dims, images).unwrap();
        let params = xavier_uniform(runner.network(), &mut Random::new(1));
        let draws: Vec<Draw> = (0..images).map(Draw::from).collect();
        let mut gradient = vec![0.0; params.len()];
        runner.gradient(&params, &samples, &draws, &mut gradient).unwrap();
        let by_gradient = runner.packed.iter().any(|&value| value != 0.0);
        runner.packed.fill(0.0);
        runner.test(&params, &samples).unwrap();
        assert_eq!(runner.packed.iter().any(|&value| value != 0.0), by_gradient, "{images} images");
        by_gradient
    }

    #[test]
    fn weights_are_packed_only_where_a_plan_reads_them() -> Result<(), ShapeError> {
        // Eight images and more are interleaved. Shards have 16 images, the last one what is left.
        for (images, expected) in
            [(1, true), (7, true), (8, false), (16, false), (20, true), (24, false), (64, false)]
        {
            assert_eq!(packs(LENET_RELU, [1, 28, 28], images), expected, "{images} images");
        }
        // Shards of 32.
        assert!(!packs(LENET_RELU, [1, 28, 28], 256) && packs(LENET_RELU, [1, 28, 28], 257));
        // Too large to be interleaved.
        let large = [Layer::Flatten, Layer::Linear(LinearParams::new(1 << 14, 10))];
        assert!(Network::plan(large, GROUP, [1, 128, 128])?.reads_packed_weights());
        assert!(packs(large, [1, 128, 128], 32));
        Ok(())
    }
}

//! A network over many images: micro-batches on all threads of the current rayon pool, and in all processes of a job.

mod totals;

use std::sync::Mutex;

use im2col::{CrossEntropy, Isa, Layer, Network, NetworkWeights, Rounding};
use rayon::prelude::*;

pub use self::totals::Totals;
use self::totals::message_len;
use crate::augment::AugmentedSample;
use crate::error::TrainError;
use crate::micro_batch::{
    MICRO_BATCH, MicroBatch, Observer, Phase, SMALLEST_MICRO_BATCH, Task, Worker, micro_batch_len,
};
use crate::optimiser::PARAM_CHUNK;
use crate::ranks::Ranks;
use crate::samples::Samples;

/// Micro-batches in flight per thread: with more than one, no thread waits long for the slowest.
const MICRO_BATCHES_PER_THREAD: usize = 4;
/// Micro-batches in flight in one of several processes: its whole share, so that gradients are exchanged once a batch.
/// More than these would take more than 64 MB.
const MICRO_BATCHES_PER_RANK: usize = 256;

/// A network planned for micro-batches, with all the memory that running them takes.
#[derive(Debug)]
pub(crate) struct Runner<const L: usize> {
    image_dims: [usize; 3],
    /// What was asked for; otherwise the best that there is.
    isa: Option<Isa>,
    loss: CrossEntropy,
    /// For 1, 2, ... [`MICRO_BATCH`] images.
    plans: Vec<Network<L>>,
    /// One for each thread.
    workers: Vec<Mutex<Worker>>,
    /// Those in flight.
    micro_batches: Vec<MicroBatch>,
    packed: Vec<f32>,
    ranks: Ranks,
    /// What this process tells the others of its micro-batches, then what all tell.
    messages: Vec<f64>,
}

impl<const L: usize> Runner<L> {
    /// Plans for images of these dimensions (channels, rows, columns), in calls of at most `most_images`, on an instruction
    /// set or the best that there is, with sums rounded like this. Each call is one of all ranks, on the same images.
    ///
    /// # Errors
    /// The layers do not fit the images or each other.
    pub(crate) fn new(
        layers: [Layer; L],
        image_dims: [usize; 3],
        most_images: usize,
        isa: Option<Isa>,
        rounding: Rounding,
        ranks: Ranks,
    ) -> Result<Self, TrainError> {
        let plan = |images| -> Result<Network<L>, TrainError> {
            let plan = Network::plan(layers, images, image_dims)?.with_rounding(rounding)?;
            Ok(isa.map_or(plan, |isa| plan.with_isa(isa)))
        };
        let plans = (1..=MICRO_BATCH).map(plan).collect::<Result<Vec<_>, _>>()?;
        let largest = &plans[MICRO_BATCH - 1];
        let loss = CrossEntropy::new(largest.output_len() / MICRO_BATCH);
        let threads = rayon::current_num_threads();
        let most = if ranks.is_alone() { MICRO_BATCHES_PER_THREAD * threads } else { MICRO_BATCHES_PER_RANK };
        let in_flight = most_images.div_ceil(SMALLEST_MICRO_BATCH).div_ceil(ranks.size()).clamp(1, most);
        Ok(Self {
            image_dims,
            isa,
            loss: isa.map_or(loss, |isa| loss.with_isa(isa)),
            workers: (0..threads.min(in_flight)).map(|_| Mutex::new(Worker::new(&plans))).collect(),
            micro_batches: (0..in_flight).map(|_| MicroBatch::new(largest)).collect(),
            packed: vec![0.0; largest.packed_weight_len()],
            plans,
            ranks,
            messages: Vec::with_capacity((1 + ranks.size()) * message_len(in_flight)),
        })
    }

    /// The network for [`MICRO_BATCH`] images.
    pub(crate) fn network(&self) -> &Network<L> {
        &self.plans[MICRO_BATCH - 1]
    }

    /// The instruction set of the kernels.
    pub(crate) fn isa(&self) -> Isa {
        self.isa.unwrap_or_else(Isa::detect)
    }

    /// The processes that it runs in.
    pub(crate) fn ranks(&self) -> Ranks {
        self.ranks
    }

    /// How many classes the network tells apart.
    pub(crate) fn classes(&self) -> usize {
        self.network().output_len() / MICRO_BATCH
    }

    /// Checks that the network can run on these samples, without reading an image.
    ///
    /// # Errors
    /// The images have another size, or a label has no output.
    pub(crate) fn check_samples(&self, samples: &dyn Samples) -> Result<(), TrainError> {
        self.check(samples, &all(samples))
    }

    /// What the network makes of all images. `logits` hears what the network gives them, `[images, classes]`, some
    /// images at a time and in order.
    ///
    /// # Errors
    /// The parameters or the images are not this network's, or an image cannot be read.
    pub(crate) fn test(
        &mut self,
        params: &[f32],
        samples: &dyn Samples,
        logits: impl FnMut(&[f32]),
    ) -> Result<Totals, TrainError> {
        self.test_images(params, samples, &all(samples), logits)
    }

    /// What the network makes of some images. `logits` hears what the network gives those that this process has,
    /// `[images, classes]`, some images at a time and in order.
    ///
    /// # Errors
    /// The parameters or the images are not this network's, or an image cannot be read.
    pub(crate) fn test_images(
        &mut self,
        params: &[f32],
        samples: &dyn Samples,
        images: &[AugmentedSample],
        mut logits: impl FnMut(&[f32]),
    ) -> Result<Totals, TrainError> {
        self.check(samples, images)?;
        let (len, classes) = (micro_batch_len(images.len()), self.classes());
        let weights = weights(&self.plans, params, &mut self.packed, images.len(), len)?;
        let task = Task { plans: &self.plans, loss: self.loss, weights, params, samples };
        let mut totals = Totals::of(images.len());
        for wave in images.chunks(self.micro_batches.len() * self.ranks.size() * len) {
            let share = self.ranks.share(wave, len);
            let done = run(
                &self.workers,
                &mut self.micro_batches,
                share,
                len,
                task,
                |worker, images, micro_batch| worker.test(task, images, micro_batch),
            );
            let done = totals.add_wave(wave.len().div_ceil(len), done, self.ranks, &mut self.messages)?;
            for (micro_batch, images) in done.iter().zip(share.chunks(len)) {
                logits(&micro_batch.logits[..images.len() * classes]);
            }
        }
        Ok(totals)
    }

    /// The images' loss, and the gradient of its mean.
    ///
    /// # Errors
    /// The parameters or the images are not this network's, or an image cannot be read.
    pub(crate) fn gradient(
        &mut self,
        params: &[f32],
        samples: &dyn Samples,
        images: &[AugmentedSample],
        gradient: &mut [f32],
        observe: Observer<'_>,
    ) -> Result<Totals, TrainError> {
        self.check(samples, images)?;
        let len = micro_batch_len(images.len());
        let weights = weights(&self.plans, params, &mut self.packed, images.len(), len)?;
        observe(Phase::Pack);
        let task = Task { plans: &self.plans, loss: self.loss, weights, params, samples };
        let scale = 1.0 / images.len() as f32;
        let mut totals = Totals::of(images.len());
        gradient.fill(0.0);
        observe(Phase::Add);
        for wave in images.chunks(self.micro_batches.len() * self.ranks.size() * len) {
            let share = self.ranks.share(wave, len);
            let done = run(
                &self.workers,
                &mut self.micro_batches,
                share,
                len,
                task,
                |worker, images, micro_batch| worker.train(task, scale, images, micro_batch, observe),
            );
            let done = totals.add_wave(wave.len().div_ceil(len), done, self.ranks, &mut self.messages)?;
            self.ranks.add_in_order(gradient, |start, sums| add_gradients(done, start, sums));
            observe(Phase::Add);
        }
        Ok(totals)
    }

    fn check(&self, samples: &dyn Samples, images: &[AugmentedSample]) -> Result<(), TrainError> {
        let (planned, given) = (self.image_dims, samples.image_dims());
        if planned != given {
            return Err(TrainError::ImageDims { planned, given });
        }
        let (labels, classes) = (samples.labels(), self.classes());
        for &AugmentedSample { image, .. } in images {
            match labels.get(image) {
                None => return Err(TrainError::Image { index: image, images: labels.len() }),
                Some(&label) if label as usize >= classes => {
                    return Err(TrainError::Label { position: image, label, classes });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// Every image where it is.
fn all(samples: &dyn Samples) -> Vec<AugmentedSample> {
    (0..samples.labels().len()).map(AugmentedSample::from).collect()
}

/// The weights for `images` images in micro-batches of `len`, packed if the plan of any micro-batch reads packed weights:
/// that of whole micro-batches, or that of the last one.
fn weights<'a, const L: usize>(
    plans: &[Network<L>],
    params: &'a [f32],
    packed: &'a mut [f32],
    images: usize,
    len: usize,
) -> Result<NetworkWeights<'a, L>, TrainError> {
    let lens = [(images >= len).then_some(len), Some(images % len)];
    let reads_packed = |images: usize| {
        images.checked_sub(1).and_then(|plan| plans.get(plan)).is_some_and(Network::reads_packed_weights)
    };
    if lens.into_iter().flatten().any(reads_packed) {
        let packed = plans[MICRO_BATCH - 1].pack_weights(params, packed)?;
        Ok(NetworkWeights::Packed { params, packed })
    } else {
        Ok(NetworkWeights::Plain(params))
    }
}

/// Runs `work` on each micro-batch of `len` images, and returns the micro-batches that took part, in order.
fn run<'m, const L: usize>(
    workers: &[Mutex<Worker>],
    micro_batches: &'m mut [MicroBatch],
    images: &[AugmentedSample],
    len: usize,
    task: Task<'_, L>,
    work: impl Fn(&mut Worker, &[AugmentedSample], &mut MicroBatch) -> Result<(), TrainError> + Sync,
) -> Result<&'m [MicroBatch], TrainError> {
    let taken = &mut micro_batches[..images.len().div_ceil(len)];
    taken.par_iter_mut().zip(images.par_chunks(len)).with_max_len(1).try_for_each(
        |(micro_batch, images)| {
            // Each thread has a worker of its own, unless reading a sample waits for other tasks, of which this is one.
            let thread = rayon::current_thread_index().unwrap_or(0) % workers.len();
            match workers[thread].try_lock() {
                Ok(mut worker) => work(&mut worker, images, micro_batch),
                Err(_) => work(&mut Worker::new(task.plans), images, micro_batch),
            }
        },
    )?;
    Ok(taken)
}

/// Adds the gradients of micro-batches, from parameter `start` on, in their order: threads share the parameters, never a sum.
fn add_gradients(micro_batches: &[MicroBatch], start: usize, gradient: &mut [f32]) {
    gradient.par_chunks_mut(PARAM_CHUNK).enumerate().for_each(|(chunk, sums)| {
        let start = start + chunk * PARAM_CHUNK;
        let range = start..start + sums.len();
        let (fours, rest) = micro_batches.as_chunks::<4>();
        for four in fours {
            // So that sums are read and written once for four micro-batches.
            let [a, b, c, d] = four.each_ref().map(|micro_batch| &micro_batch.gradient[range.clone()]);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = (((*sum + a[i]) + b[i]) + c[i]) + d[i];
            }
        }
        for micro_batch in rest {
            let values = &micro_batch.gradient[range.clone()];
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
        let mut runner =
            Runner::new(layers, image_dims, images, None, Rounding::Ordered, Ranks::ALONE).unwrap();
        let params = xavier_uniform(runner.network(), &mut Random::new(1));
        let mut gradient = vec![0.0; params.len()];
        runner.gradient(&params, &samples, &all(&samples), &mut gradient, &|_| ()).unwrap();
        let by_gradient = runner.packed.iter().any(|&value| value != 0.0);
        runner.packed.fill(0.0);
        runner.test(&params, &samples, |_| ()).unwrap();
        assert_eq!(runner.packed.iter().any(|&value| value != 0.0), by_gradient, "{images} images");
        by_gradient
    }

    #[test]
    fn weights_are_packed_only_where_a_plan_reads_them() -> Result<(), ShapeError> {
        // Eight images and more are interleaved. Micro-batches have 16 images, the last one what is left.
        for (images, expected) in
            [(1, true), (7, true), (8, false), (16, false), (20, true), (24, false), (64, false)]
        {
            assert_eq!(packs(LENET_RELU, [1, 28, 28], images), expected, "{images} images");
        }
        // Micro-batches of 32.
        assert!(!packs(LENET_RELU, [1, 28, 28], 256) && packs(LENET_RELU, [1, 28, 28], 257));
        // Too large to be interleaved.
        let large = [Layer::Flatten, Layer::Linear(LinearParams::new(1 << 14, 10))];
        assert!(Network::plan(large, MICRO_BATCH, [1, 128, 128])?.reads_packed_weights());
        assert!(packs(large, [1, 128, 128], 32));
        Ok(())
    }
}

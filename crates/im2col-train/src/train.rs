//! Mini-batch training.

use im2col::{Layer, Network};

use crate::dataset::Dataset;
pub use crate::error::TrainError;
use crate::init;
use crate::random::Random;
use crate::runner::Runner;
pub use crate::runner::Totals;
use crate::schedule::Schedule;
use crate::sgd::Sgd;

/// How to train.
///
/// With the default, [`LENET_RELU`](im2col::lenet::LENET_RELU) gets 98.26 to 98.36 % of the built-in test
/// digits right (seeds 1 to 5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// How often each image is seen.
    pub epochs: usize,
    /// Images per step.
    pub batch: usize,
    /// The learning rate, before the schedule.
    pub rate: f32,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// How much of a step goes into the next one.
    pub momentum: f32,
    /// Decides the initial weights and the order of the images.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { epochs: 15, batch: 32, rate: 0.02, schedule: Schedule::Cosine, momentum: 0.9, seed: 1 }
    }
}

/// A network that learns a data set.
///
/// Runs on the current rayon pool. On one instruction set the parameters after each step are the same, bit for
/// bit, for any number of threads.
#[derive(Debug)]
pub struct Trainer<'d, const L: usize> {
    dataset: &'d Dataset,
    options: Options,
    runner: Runner<L>,
    random: Random,
    sgd: Sgd,
    params: Vec<f32>,
    gradient: Vec<f32>,
    order: Vec<usize>,
    step: usize,
}

impl<'d, const L: usize> Trainer<'d, L> {
    /// Allocates everything and draws the initial parameters.
    ///
    /// # Errors
    /// The layers do not fit the images or each other.
    pub fn new(layers: [Layer; L], dataset: &'d Dataset, options: Options) -> Result<Self, TrainError> {
        let options = Options { batch: options.batch.clamp(1, dataset.len()), ..options };
        let runner = Runner::new(layers, dataset.image_dims(), options.batch)?;
        let mut random = Random::new(options.seed);
        let params = init::xavier_uniform(runner.network(), &mut random);
        Ok(Self {
            dataset,
            options,
            runner,
            random,
            sgd: Sgd::new(options.momentum, params.len()),
            gradient: vec![0.0; params.len()],
            params,
            order: (0..dataset.len()).collect(),
            step: 0,
        })
    }

    /// The same trainer, starting from these parameters.
    ///
    /// # Errors
    /// There are not as many as the network has.
    pub fn with_params(self, params: Vec<f32>) -> Result<Self, TrainError> {
        let (required, given) = (self.params.len(), params.len());
        if required == given {
            Ok(Self { params, ..self })
        } else {
            Err(TrainError::Params { required, given })
        }
    }

    /// The network, planned for one shard of images.
    #[must_use]
    pub fn network(&self) -> &Network<L> {
        self.runner.network()
    }

    /// The parameters, in `state_dict` order.
    #[must_use]
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// Shows the network every image once, in a new random order. `progress` learns the number of images
    /// after each step. The totals are taken from the forward passes of the training itself.
    ///
    /// # Errors
    /// None after a successful [`new`](Self::new), unless the network has fewer outputs than the data classes.
    pub fn epoch(&mut self, mut progress: impl FnMut(usize)) -> Result<Totals, TrainError> {
        let mut order = std::mem::take(&mut self.order);
        self.random.shuffle(&mut order);
        let totals = order.chunks(self.options.batch).try_fold(Totals::default(), |totals, images| {
            let step = self.step(images)?;
            progress(images.len());
            Ok(totals + step)
        });
        self.order = order;
        totals
    }

    /// One step of gradient descent on the images at these positions.
    ///
    /// # Errors
    /// There is no such image.
    pub fn step(&mut self, images: &[usize]) -> Result<Totals, TrainError> {
        let totals = self.runner.gradient(&self.params, self.dataset, images, &mut self.gradient)?;
        let Options { rate, schedule, epochs, batch, .. } = self.options;
        let steps = epochs.saturating_mul(self.dataset.len().div_ceil(batch));
        self.sgd.step(&mut self.params, &self.gradient, schedule.rate(rate, self.step, steps));
        self.step += 1;
        Ok(totals)
    }

    /// The share of another data set's images that the network gets right.
    ///
    /// # Errors
    /// Its images have another size.
    pub fn accuracy(&mut self, dataset: &Dataset) -> Result<f64, TrainError> {
        self.runner.accuracy(&self.params, dataset)
    }
}

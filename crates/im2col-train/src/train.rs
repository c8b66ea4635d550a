//! Mini-batch training.

mod isa;
mod options;
mod position;
mod split;

use im2col::{Isa, Layer, Network, Rounding};

pub use self::isa::IsaName;
pub use self::options::Options;
pub(crate) use self::position::Contradiction;
use self::position::Course;
pub use self::position::Position;
use self::split::split;
use crate::augment::AugmentedSample;
pub use crate::error::TrainError;
use crate::init;
use crate::micro_batch::{Observer, Phase};
use crate::optimiser::OptimiserState;
use crate::random::Random;
use crate::ranks::Ranks;
use crate::runner::Runner;
pub use crate::runner::Totals;
use crate::samples::Samples;
use crate::weights::check_finite;

/// A network that learns from samples.
///
/// Runs on the current rayon pool. On one instruction set the parameters after each step are the same, bit for
/// bit, for any number of threads. A step allocates nothing; outside a pool of one's own, rayon may.
#[derive(Debug)]
pub struct Trainer<'d, const L: usize> {
    samples: &'d dyn Samples,
    options: Options,
    runner: Runner<L>,
    optimiser: OptimiserState,
    params: Vec<f32>,
    gradient: Vec<f32>,
    /// The images to learn from, in their order in the data set.
    learned: Vec<usize>,
    held_back: Vec<AugmentedSample>,
    /// The same images as `learned`, in the order of this epoch.
    order: Vec<usize>,
    batch: Vec<AugmentedSample>,
    random: Random,
    /// How many random numbers were drawn before the first epoch.
    first_draws: u64,
    position: Position,
}

impl<'d, const L: usize> Trainer<'d, L> {
    /// Allocates everything and draws the initial parameters.
    ///
    /// # Errors
    /// The layers do not fit the images or each other, a label has no output, nothing is left to learn from, or the CPU
    /// lacks the instruction set.
    pub fn new(layers: [Layer; L], samples: &'d dyn Samples, options: Options) -> Result<Self, TrainError> {
        Self::among(Ranks::ALONE, layers, samples, options)
    }

    /// One of the trainers of all ranks, which do the same and have the same parameters.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub(crate) fn among(
        ranks: Ranks,
        layers: [Layer; L],
        samples: &'d dyn Samples,
        options: Options,
    ) -> Result<Self, TrainError> {
        let mut random = Random::new(options.seed);
        let images = samples.labels().len();
        let largest_batch = options.batch.clamp(1, images.max(1));
        let isa = options.isa.map(IsaName::isa).transpose()?;
        let rounding = if options.any_rounding { Rounding::Any } else { Rounding::Ordered };
        let runner = Runner::new(layers, samples.image_dims(), largest_batch, isa, rounding, ranks)?;
        let classes = runner.classes();
        let stray = samples.labels().iter().position(|&label| label as usize >= classes);
        if let Some(position) = stray {
            return Err(TrainError::Label { position, label: samples.labels()[position], classes });
        }
        let params = init::xavier_uniform(runner.network(), &mut random);
        let (learned, held_back) = split(images, options.validation, &mut random)?;
        let first_draws = random.draws();
        let position = Position { epoch_draws: first_draws, draws: first_draws, ..Position::default() };
        Ok(Self {
            samples,
            optimiser: OptimiserState::new(options.optimiser, params.len()),
            options,
            runner,
            gradient: vec![0.0; params.len()],
            params,
            order: learned.clone(),
            batch: Vec::with_capacity(largest_batch),
            learned,
            held_back,
            random,
            first_draws,
            position,
        })
    }

    /// The same trainer, starting from these parameters.
    ///
    /// # Errors
    /// There are not as many as the network has, or one is not finite.
    pub fn with_params(self, params: Vec<f32>) -> Result<Self, TrainError> {
        let (required, given) = (self.params.len(), params.len());
        if required != given {
            return Err(TrainError::Params { required, given });
        }
        check_finite(self.network(), &params)?;
        Ok(Self { params, ..self })
    }

    /// Checks that the network can be [tested](Self::test) with these samples, without reading an image.
    ///
    /// # Errors
    /// The images have another size, or a label has no output.
    pub fn check(&self, samples: &dyn Samples) -> Result<(), TrainError> {
        self.runner.check_samples(samples)
    }

    /// The network, planned for a micro-batch.
    #[must_use]
    pub fn network(&self) -> &Network<L> {
        self.runner.network()
    }

    /// The parameters, in `state_dict` order.
    #[must_use]
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// How it trains.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What it learns from.
    #[must_use]
    pub fn samples(&self) -> &'d dyn Samples {
        self.samples
    }

    /// The instruction set of its kernels.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.runner.isa()
    }

    /// The processes that train together.
    pub(crate) fn ranks(&self) -> Ranks {
        self.runner.ranks()
    }

    /// How far it has come.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The optimiser and what it keeps from step to step.
    pub(crate) fn optimiser(&self) -> &OptimiserState {
        &self.optimiser
    }

    /// How many images are learned from in an epoch.
    #[must_use]
    pub fn image_count(&self) -> usize {
        self.learned.len()
    }

    /// How many steps an epoch has.
    #[must_use]
    pub fn batch_count(&self) -> usize {
        self.learned.len().div_ceil(self.batch_len())
    }

    /// The learning rate of the next step.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate_of(self.position.step)
    }

    /// The learning rate of a step, from 0.
    #[must_use]
    pub fn rate_of(&self, step: usize) -> f64 {
        let Options { rate, schedule, epochs, .. } = self.options;
        schedule.rate(rate, step, self.batch_count(), epochs)
    }

    fn batch_len(&self) -> usize {
        self.options.batch.clamp(1, self.learned.len())
    }

    /// Shows the network every image once, or what is left of the epoch, in a random order. `progress` learns the
    /// number of images after each step. The totals are taken from the forward passes of the training itself.
    ///
    /// # Errors
    /// An image cannot be read, or the loss or a parameter is not finite.
    pub fn epoch(&mut self, mut progress: impl FnMut(usize)) -> Result<Totals, TrainError> {
        while let Some(totals) = self.next_batch()? {
            progress(totals.images());
        }
        Ok(self.end_epoch())
    }

    /// One step on the next batch of this epoch; `None` where the epoch has no more.
    ///
    /// # Errors
    /// An image cannot be read, the loss is not finite, or after the epoch's last step a parameter is not: the loss of
    /// the next batch would have told. The trainer cannot go on then.
    pub fn next_batch(&mut self) -> Result<Option<Totals>, TrainError> {
        if self.position.batch >= self.batch_count() {
            return Ok(None);
        }
        if self.position.batch == 0 {
            self.position.epoch_draws = self.random.draws();
            self.shuffle();
        }
        let (start, most) = (self.position.batch * self.batch_len(), self.batch_len());
        let images = self.order[start..].iter().take(most);
        self.batch.clear();
        self.batch.extend(
            images.map(|&image| AugmentedSample::shifted(image, self.options.shift, &mut self.random)),
        );
        let totals = self.descend(&|_| ())?;
        self.position.batch += 1;
        self.position.draws = self.random.draws();
        self.position.totals = self.position.totals + totals;
        if self.position.batch == self.batch_count() {
            let epoch = self.position.epoch + 1;
            check_finite(self.network(), &self.params)
                .map_err(|error| self.ranks().told_by_first(TrainError::Diverged { epoch, error }))?;
        }
        Ok(Some(totals))
    }

    /// The epoch's totals; the next batch is the first of the next epoch.
    pub fn end_epoch(&mut self) -> Totals {
        self.position.epoch += 1;
        self.position.batch = 0;
        std::mem::take(&mut self.position.totals)
    }

    /// One step on the images at these positions, out of turn.
    ///
    /// # Errors
    /// There is no such image or it cannot be read, or the loss is not finite.
    pub fn step(&mut self, images: &[usize]) -> Result<Totals, TrainError> {
        self.observed_step(images, &|_| ())
    }

    /// The [`step`](Self::step) on `images`, each part of which `observe` hears of when it ends.
    pub(crate) fn observed_step(
        &mut self,
        images: &[usize],
        observe: Observer<'_>,
    ) -> Result<Totals, TrainError> {
        self.batch.clear();
        self.batch.extend(images.iter().map(|&image| AugmentedSample::from(image)));
        self.descend(observe)
    }

    /// One step on the images of `batch`.
    fn descend(&mut self, observe: Observer<'_>) -> Result<Totals, TrainError> {
        let Self { runner, params, samples, batch, gradient, .. } = self;
        let totals = runner.gradient(params, *samples, batch, gradient, observe)?;
        if !totals.loss().is_finite() {
            let error = TrainError::Loss { epoch: self.position.epoch + 1, loss: totals.loss() };
            return Err(self.ranks().told_by_first(error));
        }
        let rate = self.rate();
        self.optimiser.step(&mut self.params, &self.gradient, rate, self.position.step);
        observe(Phase::Update);
        self.position.step += 1;
        Ok(totals)
    }

    /// The order of the epoch depends on the generator alone, not on the epoch before.
    fn shuffle(&mut self) {
        self.order.copy_from_slice(&self.learned);
        self.random.shuffle(&mut self.order);
    }

    /// What the network makes of the images that were held back; `None` if there are none. The loss is not finite
    /// where the network's outputs are not.
    ///
    /// # Errors
    /// An image cannot be read.
    pub fn validate(&mut self) -> Result<Option<Totals>, TrainError> {
        if self.held_back.is_empty() {
            return Ok(None);
        }
        self.runner.test_images(&self.params, self.samples, &self.held_back, |_| ()).map(Some)
    }

    /// What the network makes of other samples. The loss is not finite where the network's outputs are not.
    ///
    /// # Errors
    /// The images have another size or cannot be read, or a label has no output.
    pub fn test(&mut self, samples: &dyn Samples) -> Result<Totals, TrainError> {
        self.runner.test(&self.params, samples, |_| ())
    }

    /// The first counter of a position that contradicts the rest, if no trainer with these options and samples that
    /// takes its batches in turn comes there.
    pub(crate) fn contradiction(&self, position: &Position) -> Option<Contradiction> {
        let Options { epochs, shift, .. } = self.options;
        let (images, batch_len) = (self.learned.len(), self.batch_len());
        let draws_per_image = u64::from(shift > 0);
        Course { epochs, images, batch_len, first_draws: self.first_draws, draws_per_image }
            .contradiction(position)
    }

    /// The parameters and what the optimiser keeps: with a [`Position`], all that a trainer is.
    pub(crate) fn tensors_mut(&mut self) -> (&mut [f32], &mut OptimiserState) {
        (&mut self.params, &mut self.optimiser)
    }

    /// Takes the place of a trainer with the same options, samples and tensors that had come to this position.
    pub(crate) fn go_to(&mut self, position: Position) {
        if position.batch > 0 {
            self.random = Random::at(self.options.seed, position.epoch_draws);
            self.shuffle();
        }
        self.random = Random::at(self.options.seed, position.draws);
        self.position = position;
    }
}

#[cfg(test)]
mod tests;

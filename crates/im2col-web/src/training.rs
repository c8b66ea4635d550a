//! LeNet learns: stochastic gradient descent with momentum on batches of digits in a random order.
//!
//! Step by step what the trainer does with `--isa scalar --schedule constant`: the numbers of the generator, blocks of sixteen
//! images, their gradients added in order.

use im2col::{Network, NetworkWeights, RunError, argmax};

use crate::init::xavier_uniform;
use crate::networks::{BLOCK, CLASSES, IMAGE_LEN, Kind, LAYERS, LOSS, PARAMS, RELU_BLOCK, SIGMOID_BLOCK};
use crate::random::Random;

/// How many digits there are to learn.
pub const LEARNED: usize = 10_000;
/// How many digits there are to be tested on.
pub const TESTED: usize = 1_024;
const DIGITS: usize = LEARNED + TESTED;

/// The digits: first those to learn, then those to be tested on.
#[derive(Debug)]
pub struct Digits {
    /// `[digits, 28, 28]`, 255 where there is most ink.
    pub pixels: [u8; DIGITS * IMAGE_LEN],
    /// What the images show.
    pub labels: [u8; DIGITS],
}

impl Digits {
    /// None yet: all images are empty.
    #[must_use]
    pub const fn new() -> Self {
        Self { pixels: [0; _], labels: [0; _] }
    }

    /// Writes an image to `input`, as a network sees it; returns its label.
    fn load(&self, index: usize, input: &mut [f32; IMAGE_LEN]) -> u8 {
        let pixels = self.pixels.as_chunks::<IMAGE_LEN>().0.get(index).unwrap_or(&[0; _]);
        for (value, &pixel) in input.iter_mut().zip(pixels) {
            *value = f32::from(pixel) / 255.0;
        }
        // No label is larger than the loss takes.
        self.labels.get(index).map_or(0, |&label| label.min(CLASSES as u8 - 1))
    }
}

impl Default for Digits {
    fn default() -> Self {
        Self::new()
    }
}

/// How to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which network.
    pub kind: Kind,
    /// Decides the first weights and the order of the digits.
    pub seed: u64,
    /// How many of the digits are learned, from the first on. What is no multiple of sixteen is left out.
    pub digits: usize,
    /// How many make a step. What is no multiple of sixteen is left out; at most 128, at least sixteen.
    pub batch: usize,
}

/// What a network made of some digits, as sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// How many digits there were.
    pub digits: usize,
    /// How many it got right.
    pub correct: usize,
    /// The sum of their cross entropies.
    pub loss: f64,
}

/// A network that learns, and all memory that this takes.
#[derive(Debug)]
pub struct Training {
    /// The parameters, in the order of PyTorch's `state_dict`.
    pub params: [f32; PARAMS],
    velocity: [f32; PARAMS],
    gradient: [f32; PARAMS],
    block_gradient: [f32; PARAMS],
    random: Option<Random>,
    order: [usize; LEARNED],
    is_sigmoid: bool,
    digits: usize,
    batch: usize,
    /// How many digits of this epoch were learned.
    done: usize,
    block: Block,
}

/// Sixteen digits on their way through the network.
#[derive(Debug)]
struct Block {
    input: [f32; RELU_BLOCK.input_len()],
    labels: [u8; BLOCK],
    workspace: [f32; RELU_BLOCK.workspace_len()],
    scratch: [f32; RELU_BLOCK.train_scratch_len()],
    grad_logits: [f32; BLOCK * CLASSES],
}

// One memory serves both networks.
const _: () = assert!(RELU_BLOCK.workspace_len() == SIGMOID_BLOCK.workspace_len());
const _: () = assert!(RELU_BLOCK.train_scratch_len() == SIGMOID_BLOCK.train_scratch_len());

impl Training {
    /// Nothing to learn yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            params: [0.0; _],
            velocity: [0.0; _],
            gradient: [0.0; _],
            block_gradient: [0.0; _],
            random: None,
            order: [0; _],
            is_sigmoid: false,
            digits: 0,
            batch: 0,
            done: 0,
            block: Block {
                input: [0.0; _],
                labels: [0; _],
                workspace: [0.0; _],
                scratch: [0.0; _],
                grad_logits: [0.0; _],
            },
        }
    }

    /// Draws the first weights. The next step is the first.
    pub fn start(&mut self, options: Options) {
        let mut random = Random::new(options.seed);
        xavier_uniform(&mut self.params, &mut random);
        self.velocity.fill(0.0);
        self.random = Some(random);
        self.is_sigmoid = options.kind == Kind::Sigmoid;
        self.digits = options.digits.min(LEARNED) / BLOCK * BLOCK;
        self.batch = (options.batch / BLOCK * BLOCK).clamp(BLOCK, 8 * BLOCK);
        self.done = 0;
    }

    /// One step on the next batch of digits, with this learning rate and a momentum of 0.9. After the last batch of an epoch there
    /// is one call that returns no digits; the next step is the first of the next epoch.
    ///
    /// # Errors
    /// None: the lengths are right.
    pub fn step(&mut self, digits: &Digits, rate: f64) -> Result<Totals, RunError> {
        let batch = self.batch.min(self.digits - self.done);
        if batch == 0 {
            self.done = 0;
            return Ok(Totals::default());
        }
        if self.done == 0 {
            self.shuffle();
        }
        let mut totals = Totals::default();
        let scale = 1.0 / batch as f32;
        self.gradient.fill(0.0);
        for first in (self.done..self.done + batch).step_by(BLOCK) {
            let images = self.order.get(first..).and_then(<[usize]>::first_chunk).unwrap_or(&[0; BLOCK]);
            self.block.gather(digits, *images);
            let loss = if self.is_sigmoid {
                self.block.train(&SIGMOID_BLOCK, &self.params, scale, &mut self.block_gradient)
            } else {
                self.block.train(&RELU_BLOCK, &self.params, scale, &mut self.block_gradient)
            }?;
            totals = self.block.add_to(totals, loss);
            for (sum, value) in self.gradient.iter_mut().zip(&self.block_gradient) {
                *sum += value;
            }
        }
        self.descend(rate as f32);
        self.done += batch;
        Ok(totals)
    }

    /// The order of the epoch depends on the generator alone, not on the epoch before.
    fn shuffle(&mut self) {
        let order = self.order.get_mut(..self.digits).unwrap_or_default();
        order.iter_mut().enumerate().for_each(|(index, image)| *image = index);
        if let Some(random) = &mut self.random {
            random.shuffle(order);
        }
    }

    fn descend(&mut self, rate: f32) {
        let parameters = self.params.iter_mut().zip(&self.gradient).zip(&mut self.velocity);
        for ((param, gradient), velocity) in parameters {
            *velocity = 0.9 * *velocity + gradient;
            *param -= rate * *velocity;
        }
    }

    /// What the network makes of sixteen digits, from this one on; those to be tested on begin at [`LEARNED`].
    ///
    /// # Errors
    /// None: the lengths are right.
    pub fn test(&mut self, digits: &Digits, first: usize) -> Result<Totals, RunError> {
        self.block.gather(digits, core::array::from_fn(|index| first.saturating_add(index)));
        if self.is_sigmoid {
            self.block.forward(&SIGMOID_BLOCK, &self.params)
        } else {
            self.block.forward(&RELU_BLOCK, &self.params)
        }?;
        let loss = LOSS.forward(self.block.logits(), &self.block.labels)?;
        Ok(self.block.add_to(Totals::default(), loss))
    }
}

impl Default for Training {
    fn default() -> Self {
        Self::new()
    }
}

impl Block {
    fn gather(&mut self, digits: &Digits, images: [usize; BLOCK]) {
        let inputs = self.input.as_chunks_mut::<IMAGE_LEN>().0;
        for ((input, label), image) in inputs.iter_mut().zip(&mut self.labels).zip(images) {
            *label = digits.load(image, input);
        }
    }

    #[inline(always)]
    fn forward(&mut self, network: &Network<LAYERS>, params: &[f32]) -> Result<(), RunError> {
        let weights = NetworkWeights::Plain(params);
        network.forward_train(weights, &self.input, &mut self.workspace, &mut self.scratch)
    }

    /// The loss, and the gradient of `scale` times the loss.
    #[inline(always)]
    fn train(
        &mut self,
        network: &Network<LAYERS>,
        params: &[f32],
        scale: f32,
        gradient: &mut [f32],
    ) -> Result<f32, RunError> {
        self.forward(network, params)?;
        let Self { input, labels, workspace, scratch, grad_logits } = self;
        let logits = network.layer_output(LAYERS - 1, workspace).unwrap_or_default();
        let loss = LOSS.backward(logits, labels, scale, grad_logits)?;
        network.backward(params, input, workspace, grad_logits, gradient, scratch)?;
        Ok(loss)
    }

    /// `[16, 10]`
    fn logits(&self) -> &[f32] {
        RELU_BLOCK.layer_output(LAYERS - 1, &self.workspace).unwrap_or_default()
    }

    fn add_to(&self, totals: Totals, loss: f32) -> Totals {
        let images = self.logits().as_chunks::<CLASSES>().0.iter().zip(self.labels);
        let correct = images.filter(|&(logits, label)| argmax(logits) == Some(usize::from(label))).count();
        Totals {
            digits: totals.digits + BLOCK,
            correct: totals.correct + correct,
            loss: totals.loss + f64::from(loss),
        }
    }
}

//! Steps of stochastic gradient descent on LeNet, by the trainer.

use crate::cases::Case;
use crate::forward::{Answer, lenet_params};
use crate::timing::{Limits, time};
use anyhow::{Result, ensure};
use im2col::lenet::LENET;
use im2col_benches::images::Images;
use im2col_train::optimiser::Optimiser;
use im2col_train::schedule::Schedule;
use im2col_train::train::{Options, Trainer};

const IMAGE_DIMS: [usize; 3] = [1, 28, 28];
const IMAGE_LEN: usize = 28 * 28;
const RATE: f64 = 0.5;

/// x: `[batch, 1, 28, 28]`, labels: `[batch]`, w1, b1 ... w5, b5: the parameters at the start; the
/// answer is the mean cross entropy before each of the first three steps.
pub(crate) fn lenet(case: &Case, limits: Limits) -> Result<Answer> {
    let images = Images {
        dims: IMAGE_DIMS,
        values: case.tensor("x")?.to_vec(),
        labels: case.tensor("labels")?.iter().map(|&label| label as u32).collect(),
    };
    let batch = images.labels.len();
    ensure!(
        batch == case.shape.batch && images.values.len() == batch * IMAGE_LEN,
        "not {} images",
        case.shape.batch
    );
    let options = Options {
        batch,
        optimiser: Optimiser::sgd(0.0),
        rate: RATE,
        schedule: Schedule::Constant,
        ..Options::default()
    };
    let mut trainer = Trainer::new(LENET, &images, options)?.with_params(lenet_params(case)?)?;
    let indices: Vec<usize> = (0..batch).collect();
    // Moves the parameters against the gradient of the mean cross entropy, and returns what that was.
    let mut step = || -> Result<f32> { Ok(trainer.step(&indices)?.loss() as f32) };
    let losses = (0..3).map(|_| step()).collect::<Result<_, _>>()?;
    let timing = time(limits, || step().map(drop))?;
    Ok((timing, losses))
}

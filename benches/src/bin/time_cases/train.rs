//! Steps of stochastic gradient descent on LeNet, by the trainer.

use crate::cases::Case;
use crate::forward::{Answer, lenet_params};
use crate::timing::{Limits, time};
use anyhow::{Result, ensure};
use im2col::lenet::LENET;

use im2col_train::optimiser::{Descent, Optimiser};
use im2col_train::runner::{Draw, Runner};
use im2col_train::samples::{DatasetError, Samples};

const IMAGE_DIMS: [usize; 3] = [1, 28, 28];
const IMAGE_LEN: usize = 28 * 28;
const RATE: f64 = 0.5;

/// x: `[batch, 1, 28, 28]`, labels: `[batch]`, w1, b1 ... w5, b5: the parameters at the start; the
/// answer is the mean cross entropy before each of the first three steps.
pub(crate) fn lenet(case: &Case, limits: Limits) -> Result<Answer> {
    let images = Images {
        values: case.tensor("x")?,
        labels: case.tensor("labels")?.iter().map(|&label| label as u32).collect(),
    };
    let batch = images.labels.len();
    ensure!(
        batch == case.shape.batch && images.values.len() == batch * IMAGE_LEN,
        "not {} images",
        case.shape.batch
    );
    let params = lenet_params(case)?;
    let mut training = Training {
        draws: (0..batch).map(Draw::from).collect(),
        runner: Runner::new(LENET, IMAGE_DIMS, batch)?,
        descent: Descent::new(Optimiser::sgd(0.0), params.len()),
        gradient: vec![0.0; params.len()],
        params,
        images,
    };
    let losses = (0..3).map(|_| training.step()).collect::<Result<_, _>>()?;
    let timing = time(limits, || training.step().map(drop))?;
    Ok((timing, losses))
}

struct Training {
    images: Images,
    draws: Vec<Draw>,
    runner: Runner<12>,
    descent: Descent,
    params: Vec<f32>,
    gradient: Vec<f32>,
}

impl Training {
    /// Moves the parameters against the gradient of the mean cross entropy, and returns what that was.
    fn step(&mut self) -> Result<f32> {
        let Self { images, draws, runner, descent, params, gradient } = self;
        let totals = runner.gradient(params, images, draws, gradient)?;
        descent.step(params, gradient, RATE, 0);
        Ok(totals.loss() as f32)
    }
}

/// The images of a case.
#[derive(Debug)]
struct Images {
    values: Vec<f32>,
    labels: Vec<u32>,
}

impl Samples for Images {
    fn image_dims(&self) -> [usize; 3] {
        IMAGE_DIMS
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn read(&self, index: usize, image: &mut [f32]) -> Result<(), DatasetError> {
        image.copy_from_slice(&self.values[index * IMAGE_LEN..][..IMAGE_LEN]);
        Ok(())
    }
}

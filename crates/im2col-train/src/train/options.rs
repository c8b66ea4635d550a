//! How to train.

use serde::{Deserialize, Serialize};

use super::isa::IsaName;
use crate::optimiser::Optimiser;
use crate::schedule::Schedule;

/// How to train.
///
/// With the default, [`LENET_RELU`](im2col::lenet::LENET_RELU) gets 98.37 to 98.51 % of the built-in test
/// digits right (seeds 1 to 5).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// How often each image is seen.
    pub epochs: usize,
    /// Images per step.
    pub batch: usize,
    /// What makes a step of a gradient.
    pub optimiser: Optimiser,
    /// The learning rate, before the schedule.
    pub rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// By how many pixels images are moved at most, each way, anew each time.
    pub shift: usize,
    /// The share of the images that is held back, to find out how well the network does on others.
    pub validation: f64,
    /// Decides the initial weights, which images are held back, their order and their shifts.
    pub seed: u64,
    /// The instruction set of all kernels; `None` for the best that the CPU has.
    ///
    /// With [`IsaName::Scalar`], stochastic gradient descent at a [constant](Schedule::Constant) rate makes the same bits on every CPU.
    /// Adam and the other schedules take powers and cosines from the platform, whose last bits may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isa: Option<IsaName>,
    /// Whether convolutions may add their products [in any order](im2col::Rounding::Any), where that is faster.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_rounding: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            epochs: 15,
            batch: 32,
            optimiser: Optimiser::sgd(0.9),
            rate: 0.02,
            schedule: Schedule::default(),
            shift: 0,
            validation: 0.0,
            seed: 1,
            isa: None,
            any_rounding: false,
        }
    }
}

//! What the network made of some images.

use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::micro_batch::MicroBatch;
use crate::ranks::Ranks;

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

    /// What they count of the images: how many are right, and the sum of their losses.
    pub(crate) fn sums(&self) -> (usize, f64) {
        (self.correct, self.loss)
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

impl Totals {
    /// Nothing yet of so many images.
    pub(super) fn of(images: usize) -> Self {
        Self { images, ..Self::default() }
    }

    /// Adds the `count` micro-batches of a wave, of which this process has done its share, in their order, which is the same
    /// for any number of threads and processes.
    ///
    /// # Errors
    /// A process has failed.
    pub(super) fn add_wave<'m>(
        &mut self,
        count: usize,
        done: Result<&'m [MicroBatch], TrainError>,
        ranks: Ranks,
        messages: &mut Vec<f64>,
    ) -> Result<&'m [MicroBatch], TrainError> {
        let len = message_len(count.div_ceil(ranks.size()));
        messages.clear();
        messages.resize((1 + ranks.size()) * len, 0.0);
        let (own, all) = messages.split_at_mut(len);
        match &done {
            Ok(done) => {
                for (pair, micro_batch) in own[1..].chunks_exact_mut(2).zip(*done) {
                    pair.copy_from_slice(&[f64::from(micro_batch.loss), micro_batch.correct as f64]);
                }
            }
            Err(_) => own[0] = 1.0,
        }
        ranks.all_gather(own, all);
        if let Some(rank) = all.chunks_exact(len).position(|message| message[0] != 0.0) {
            return if rank == ranks.rank() { done } else { Err(TrainError::OtherRank { rank }) };
        }
        // A rank with fewer micro-batches has zeros for the rest: no sum changes by them.
        for pair in all.chunks_exact(len).flat_map(|message| message[1..].chunks_exact(2)) {
            self.loss += pair[0];
            self.correct += pair[1] as usize;
        }
        done
    }
}

/// A process tells whether it has failed, then of each of its micro-batches the loss and how many images it got right.
pub(super) const fn message_len(micro_batches: usize) -> usize {
    1 + 2 * micro_batches
}

//! How far a trainer has come, and where it can come.

use serde::{Deserialize, Serialize};

use crate::runner::Totals;

/// How far a trainer has come: with its tensors, all that it needs to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// How many epochs are done.
    pub epoch: usize,
    /// How many batches of the next one are done.
    pub batch: usize,
    /// How many steps are done.
    pub step: usize,
    /// How many random numbers were drawn before this epoch.
    pub epoch_draws: u64,
    /// How many random numbers have been drawn.
    pub draws: u64,
    /// What the network made of this epoch's images so far.
    pub totals: Totals,
}

/// A counter that contradicts the rest of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contradiction {
    pub(crate) counter: &'static str,
    /// What it should be.
    pub(crate) required: String,
    /// What it is.
    pub(crate) given: String,
}

/// What decides all counters of a trainer whose batches are done in turn, from the number of epochs and batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) epochs: usize,
    /// How many images an epoch has, at least one.
    pub(super) images: usize,
    pub(super) batch_len: usize,
    /// How many random numbers are drawn before the first epoch.
    pub(super) first_draws: u64,
    /// How many random numbers an image takes when it is shown.
    pub(super) draws_per_image: u64,
}

impl Course {
    /// The first counter that contradicts the rest, if no trainer comes there.
    pub(super) fn contradiction(&self, position: &Position) -> Option<Contradiction> {
        let Position { epoch, batch, step, epoch_draws, draws, totals } = *position;
        let batches = self.images.div_ceil(self.batch_len);
        if epoch > self.epochs {
            return Some(Contradiction::new("epoch", format_args!("at most {}", self.epochs), epoch));
        }
        if batch > batches {
            return Some(Contradiction::new("batch", format_args!("at most {batches}"), batch));
        }
        let required_step = epoch.saturating_mul(batches).saturating_add(batch);
        let images = batch.saturating_mul(self.batch_len).min(self.images);
        // Between two epochs the draws of the last one are told.
        let (started, shown) = match (epoch, batch) {
            (0, 0) => (0, None),
            (_, 0) => (epoch - 1, Some(self.images)),
            _ => (epoch, Some(images)),
        };
        // Draws are counted modulo 2^64.
        let drawn = |shown: usize| {
            (self.images as u64 - 1).wrapping_add(self.draws_per_image.wrapping_mul(shown as u64))
        };
        let before = self.first_draws.wrapping_add(drawn(self.images).wrapping_mul(started as u64));
        let after = shown.map_or(before, |shown| before.wrapping_add(drawn(shown)));
        let differs = |counter, required: u64, given: u64| {
            (given != required).then(|| Contradiction::new(counter, required, given))
        };
        differs("step", required_step as u64, step as u64)
            .or_else(|| differs("epoch_draws", before, epoch_draws))
            .or_else(|| differs("draws", after, draws))
            .or_else(|| differs("totals.images", images as u64, totals.images() as u64))
            .or_else(|| contradiction_in(&totals))
    }
}

/// A sum that no losses of so many images have.
fn contradiction_in(totals: &Totals) -> Option<Contradiction> {
    let (images, (correct, loss)) = (totals.images(), totals.sums());
    if correct > images {
        Some(Contradiction::new("totals.correct", format_args!("at most {images}"), correct))
    } else if images == 0 && loss != 0.0 {
        Some(Contradiction::new("totals.loss", "0 of no images", loss))
    } else if !(0.0..f64::INFINITY).contains(&loss) {
        Some(Contradiction::new("totals.loss", "at least 0", loss))
    } else {
        None
    }
}

impl Contradiction {
    pub(crate) fn new(counter: &'static str, required: impl ToString, given: impl ToString) -> Self {
        Self { counter, required: required.to_string(), given: given.to_string() }
    }
}

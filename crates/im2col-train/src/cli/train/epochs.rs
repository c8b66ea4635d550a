//! The epochs of a run: what is printed, recorded and saved on the way.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::advice::cut_short;
use super::live::Live;
use super::messages::{resume_command, say_result};
use super::ranks::check_same;
use super::signals::Signals;
use crate::checkpoint::RunRecord;
use crate::cli::exit::Interrupted;
use crate::cli::output::Output;
use crate::metrics::{Epoch, Progress, Record, Start};
use crate::run::Run;
use crate::run::files::WEIGHTS_FILE;
use crate::samples::{Samples, guessing_loss};
use crate::train::{Totals, TrainError, Trainer};

/// How many records of progress an epoch leaves.
const PROGRESS_RECORDS: usize = 5;
/// The epoch after which a loss that has not moved is remarked upon.
const REMARKED_EPOCH: usize = 2;
/// Fewer steps do not say much.
const LEAST_STEPS: usize = 100;
/// The share of the loss of guessing that a loss has to be below by then.
const MOVED: f64 = 0.99;
/// No time is taken for less, in seconds: images per second stay finite.
const LEAST_SECONDS: f64 = 1e-9;

/// A run on its way.
pub(super) struct Epochs<'d, const L: usize> {
    pub(super) trainer: Trainer<'d, L>,
    pub(super) test: &'d dyn Samples,
    pub(super) run: Run,
    pub(super) record: RunRecord,
    pub(super) output: Output,
}

impl<const L: usize> Epochs<'_, L> {
    /// Trains to the end, with a checkpoint at least every `checkpoint_seconds`. The error of a file says how to go on.
    pub(super) fn run(self, checkpoint_seconds: u64) -> Result<()> {
        let folder = self.run.folder().to_owned();
        self.train(checkpoint_seconds).map_err(|error| cut_short(error, &folder))
    }

    fn train(mut self, checkpoint_seconds: u64) -> Result<()> {
        let signals = Signals::listen()?;
        let position = *self.trainer.position();
        self.run.record(&Record::Start(Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            isa: self.trainer.isa().name().to_owned(),
            threads: rayon::current_num_threads(),
            processes: self.trainer.ranks().size(),
            epoch: position.epoch,
            batch: position.batch,
        }))?;
        // Before the work: a folder that cannot be written to is found out now.
        self.run.save_checkpoint(&mut self.record, &self.trainer)?;
        let mut accuracy = 0.0;
        for epoch in position.epoch + 1..=self.trainer.options().epochs {
            self.learn(epoch, Duration::from_secs(checkpoint_seconds), &signals)?;
            let last = self.judge(epoch)?;
            self.output.event(self.line(&last), &Record::Epoch(last.clone()))?;
            self.remark(&last);
            accuracy = last.test_accuracy;
            if let Some(exit_code) = signals.exit_code()
                && epoch < self.trainer.options().epochs
            {
                return Err(self.farewell(exit_code));
            }
        }
        self.run.finish()?;
        let folder = self.run.folder();
        self.output.note(format_args!("saved {}", folder.join(WEIGHTS_FILE).display()))?;
        say_result(folder, accuracy, self.output)
    }

    /// The rest of an epoch.
    fn learn(&mut self, epoch: usize, every: Duration, signals: &Signals) -> Result<()> {
        let of = [epoch, self.trainer.options().epochs];
        let mut live = Live::new(of, self.trainer.image_count(), self.output)?;
        let (before, start) = (self.record.seconds, Instant::now());
        let mut saved = Instant::now();
        while self.trainer.next_batch()?.is_some() {
            self.record.seconds = before + start.elapsed().as_secs_f64();
            self.record_progress()?;
            live.show(self.trainer.position().totals)?;
            let exit_code = signals.exit_code();
            if exit_code.is_some() || saved.elapsed() >= every {
                self.run.save_checkpoint(&mut self.record, &self.trainer)?;
                saved = Instant::now();
            }
            if let Some(exit_code) = exit_code {
                return Err(self.farewell(exit_code));
            }
        }
        Ok(())
    }

    /// Where a fifth of the epoch ends with this batch.
    fn record_progress(&mut self) -> Result<()> {
        let (position, batches) = (self.trainer.position(), self.trainer.batch_count());
        let part = |batch: usize| batch * PROGRESS_RECORDS / batches;
        if part(position.batch) == part(position.batch - 1) {
            return Ok(());
        }
        let progress = Progress {
            epoch: position.epoch as f64 + position.batch as f64 / batches as f64,
            train_loss: position.totals.loss(),
            train_accuracy: position.totals.accuracy(),
        };
        Ok(self.run.record(&Record::Progress(progress))?)
    }

    /// Ends an epoch: tests, records and saves. Weights come before the checkpoint, so that a run that goes on from
    /// the one before makes them again. Nothing is written of a network whose losses are not finite.
    fn judge(&mut self, epoch: usize) -> Result<Epoch> {
        let totals = self.trainer.end_epoch();
        let validation = self.trainer.validate()?;
        let test = self.trainer.test(self.test)?;
        for totals in validation.iter().chain([&test]) {
            if !totals.loss().is_finite() {
                return Err(TrainError::Loss { epoch, loss: totals.loss() }.into());
            }
        }
        check_same(&self.trainer, self.run.configuration())?;
        let seconds = self.record.seconds.max(LEAST_SECONDS);
        let last = Epoch {
            epoch,
            train_loss: totals.loss(),
            train_accuracy: totals.accuracy(),
            validation_loss: validation.map(|totals| totals.loss()),
            validation_accuracy: validation.map(|totals| totals.accuracy()),
            test_loss: test.loss(),
            test_accuracy: test.accuracy(),
            rate: self.trainer.rate_of(self.trainer.position().step - 1),
            seconds,
            images_per_second: totals.images() as f64 / seconds,
        };
        let is_best = is_best(validation, self.record.best_validation);
        if is_best {
            self.run.save_weights(&self.trainer)?;
            self.record.best_validation = last.validation_accuracy;
        }
        self.record.seconds = 0.0;
        self.run.record(&Record::Epoch(last.clone()))?;
        self.run.save_checkpoint(&mut self.record, &self.trainer)?;
        Ok(last)
    }

    fn line(&self, epoch: &Epoch) -> String {
        let epochs = self.trainer.options().epochs.to_string();
        // 80 columns are full with validation.
        let (validation, unit) = match epoch.validation_accuracy {
            Some(accuracy) => (format!("  valid {:5.2} %", 100.0 * accuracy), "/s"),
            None => (String::new(), " images/s"),
        };
        format!(
            "epoch {:>width$}/{epochs}  loss {:.4}  train {:5.2} %{validation}  test {:5.2} %  {:>6.0}{unit}",
            epoch.epoch,
            epoch.train_loss,
            100.0 * epoch.train_accuracy,
            100.0 * epoch.test_accuracy,
            epoch.images_per_second,
            width = epochs.len(),
        )
    }

    /// A hint, if after two epochs the network does no better than who guesses.
    fn remark(&self, epoch: &Epoch) {
        let is_due = epoch.epoch == REMARKED_EPOCH && self.trainer.position().step >= LEAST_STEPS;
        if !is_due {
            return;
        }
        let guessing = guessing_loss(self.trainer.samples());
        if has_not_moved(epoch.train_loss, guessing) {
            self.output.aside(format_args!(
                "hint: the loss has not moved from that of guessing, {guessing:.4}: another learning rate (--lr, now \
                 {}) or --optimizer may help",
                self.trainer.options().rate
            ));
        }
    }

    fn farewell(&self, exit_code: u8) -> anyhow::Error {
        let text = format!("interrupted and saved; to go on: {}", resume_command(self.run.folder()));
        Interrupted { text, exit_code }.into()
    }
}

/// Without validation, the last weights count as the best.
fn is_best(validation: Option<Totals>, best: Option<f64>) -> bool {
    match (validation, best) {
        (Some(totals), Some(best)) => totals.accuracy() > best,
        _ => true,
    }
}

/// Of images of one class there is nothing to learn.
fn has_not_moved(loss: f64, guessing: f64) -> bool {
    guessing > 0.0 && loss > MOVED * guessing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_has_moved_when_it_is_below_that_of_guessing() {
        let guessing = 10.0_f64.ln();
        for (loss, expected) in [(2.3, true), (2.5, true), (2.27, false), (0.1, false)] {
            assert_eq!(has_not_moved(loss, guessing), expected, "{loss}");
        }
        assert!(!has_not_moved(0.1, 0.0));
    }
}

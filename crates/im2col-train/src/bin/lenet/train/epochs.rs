//! The epochs of a run: what is printed, recorded and saved on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use im2col::Isa;
use im2col_train::checkpoint::RunRecord;
use im2col_train::metrics::{Epoch, Progress, Record, Start};
use im2col_train::run::Run;
use im2col_train::samples::Samples;
use im2col_train::train::{Totals, Trainer};
use indicatif::{ProgressBar, ProgressStyle};

use super::{resume_command, say_result};
use crate::INTERRUPTED;
use crate::Interrupted;
use crate::output::Output;

/// How many records of progress an epoch leaves.
const PROGRESS_RECORDS: usize = 5;

/// A run on its way.
pub(super) struct Epochs<'d, const L: usize> {
    pub(super) trainer: Trainer<'d, L>,
    pub(super) test: &'d dyn Samples,
    pub(super) run: Run,
    pub(super) record: RunRecord,
    pub(super) output: Output,
}

impl<const L: usize> Epochs<'_, L> {
    /// Trains to the end, with a checkpoint at most every so many seconds.
    pub(super) fn run(mut self, checkpoint_seconds: u64) -> Result<()> {
        let interrupted = interrupted()?;
        let position = *self.trainer.position();
        self.run.record(&Record::Start(Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            isa: Isa::detect().name().to_owned(),
            threads: rayon::current_num_threads(),
            epoch: position.epoch,
            batch: position.batch,
        }))?;
        // Before the work: a folder that cannot be written to is found out now.
        self.run.save_checkpoint(&mut self.record, &self.trainer)?;
        let mut accuracy = 0.0;
        for epoch in position.epoch + 1..=self.trainer.options().epochs {
            self.learn(epoch, Duration::from_secs(checkpoint_seconds), &interrupted)?;
            let last = self.judge(epoch)?;
            self.output.event(self.line(&last), &Record::Epoch(last.clone()))?;
            accuracy = last.test_accuracy;
            if interrupted.load(Ordering::Relaxed) && epoch < self.trainer.options().epochs {
                return Err(self.farewell());
            }
        }
        let file = self.run.folder().join(im2col_train::metrics::WEIGHTS_FILE);
        self.output.note(format_args!("saved {}", file.display()))?;
        say_result(accuracy, self.output)
    }

    /// The rest of an epoch.
    fn learn(&mut self, epoch: usize, every: Duration, interrupted: &AtomicBool) -> Result<()> {
        let bar = if self.output.shows_progress() {
            progress_bar(epoch, self.trainer.image_count())?
        } else {
            ProgressBar::hidden()
        };
        bar.set_position(self.trainer.position().totals.images() as u64);
        let (before, start) = (self.record.seconds, Instant::now());
        let mut saved = Instant::now();
        while let Some(batch) = self.trainer.next_batch()? {
            bar.inc(batch.images() as u64);
            self.record.seconds = before + start.elapsed().as_secs_f64();
            self.record_progress()?;
            let stop = interrupted.load(Ordering::Relaxed);
            if stop || saved.elapsed() >= every {
                self.run.save_checkpoint(&mut self.record, &self.trainer)?;
                saved = Instant::now();
            }
            if stop {
                bar.finish_and_clear();
                return Err(self.farewell());
            }
        }
        bar.finish_and_clear();
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
    /// the one before makes them again.
    fn judge(&mut self, epoch: usize) -> Result<Epoch> {
        let totals = self.trainer.end_epoch();
        let validation = self.trainer.validate()?;
        let test = self.trainer.test(self.test)?;
        let seconds = self.record.seconds;
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

    fn farewell(&self) -> anyhow::Error {
        Interrupted(format!("interrupted and saved; to go on: {}", resume_command(self.run.folder()))).into()
    }
}

/// Without validation, the last weights count as the best.
fn is_best(validation: Option<Totals>, best: Option<f64>) -> bool {
    match (validation, best) {
        (Some(totals), Some(best)) => totals.accuracy() > best,
        _ => true,
    }
}

/// Becomes true at SIGINT or SIGTERM. The second signal ends the program at once.
fn interrupted() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    })
    .context("signals cannot be handled")?;
    Ok(interrupted)
}

/// On stderr, and only if that is a terminal.
fn progress_bar(epoch: usize, images: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("epoch {prefix:>2} [{bar:32}] {pos}/{len} images, {eta} to go")?;
    Ok(ProgressBar::new(images as u64).with_style(style.progress_chars("=> ")).with_prefix(epoch.to_string()))
}

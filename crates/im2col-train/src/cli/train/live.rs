//! What is seen of an epoch while it lasts: a bar on a terminal, or else a line every few seconds.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::Output;
use crate::metrics::{Progress, Record};
use crate::train::Totals;

/// Between two lines: so that with an epoch's test there are no ten seconds without one.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// An epoch on its way.
#[derive(Debug)]
pub(super) struct Live {
    epoch: usize,
    epochs: usize,
    images: usize,
    output: Output,
    bar: ProgressBar,
    /// When the last line was printed; `None` where there is a bar.
    last_line: Option<Instant>,
}

impl Live {
    /// A bar on stderr if that is a terminal and people read. `epoch` is counted from 1 and has `images` images.
    pub(super) fn new([epoch, epochs]: [usize; 2], images: usize, output: Output) -> Result<Self> {
        let is_bar = output.shows_progress() && io::stderr().is_terminal();
        let bar = if is_bar { ProgressBar::new(images as u64) } else { ProgressBar::hidden() };
        let style =
            ProgressStyle::with_template("epoch {prefix:>2} [{bar:24}] {pos}/{len}  {msg}  {eta} to go")?;
        let bar = bar.with_style(style.progress_chars("=> ")).with_prefix(epoch.to_string());
        let last_line = (!is_bar).then(Instant::now);
        Ok(Self { epoch, epochs, images, output, bar, last_line })
    }

    /// Shows the images of the epoch so far.
    pub(super) fn show(&mut self, totals: Totals) -> Result<()> {
        match self.line_at(Instant::now(), totals) {
            Some((line, record)) => self.output.event(line, &Record::Progress(record)),
            None => Ok(()),
        }
    }

    /// Moves the bar; without one, the line if it is due.
    fn line_at(&mut self, now: Instant, totals: Totals) -> Option<(String, Progress)> {
        let seen = format!("loss {:.4}  train {:5.2} %", totals.loss(), 100.0 * totals.accuracy());
        let Some(last_line) = &mut self.last_line else {
            self.bar.set_position(totals.images() as u64);
            self.bar.set_message(seen);
            return None;
        };
        if now.saturating_duration_since(*last_line) < BETWEEN_LINES {
            return None;
        }
        *last_line = now;
        let share = totals.images() as f64 / self.images as f64;
        let width = self.epochs.to_string().len();
        let (epoch, epochs, percent) = (self.epoch, self.epochs, (100.0 * share).floor());
        let line = format!("epoch {epoch:>width$}/{epochs}  {seen}  {percent:>3} % of the images");
        let record = Progress {
            epoch: epoch.saturating_sub(1) as f64 + share,
            train_loss: totals.loss(),
            train_accuracy: totals.accuracy(),
        };
        Some((line, record))
    }
}

/// Whatever is said next is not said beside the bar.
impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, Part};
    use crate::train::{Options, Trainer};
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        output: Output,
    }

    /// 32 of 10,000 images, seen by a network whose outputs are all 0: the loss is ln 10.
    fn totals() -> Totals {
        let digits = Dataset::built_in(Part::Train).unwrap();
        let trainer = Trainer::new(im2col::lenet::LENET_RELU, &digits, Options::default()).unwrap();
        let params = vec![0.0; trainer.params().len()];
        trainer.with_params(params).unwrap().next_batch().unwrap().unwrap()
    }

    fn live(is_bar: bool) -> Live {
        let Flags { output } = Flags::parse_from(["lenet"]);
        let mut live = Live::new([3, 15], 64, output).unwrap();
        live.last_line = (!is_bar).then(Instant::now);
        live
    }

    #[test]
    fn a_bar_has_loss_and_accuracy() {
        let (mut live, totals) = (live(true), totals());
        let later = Instant::now() + 20 * BETWEEN_LINES;
        assert!(live.line_at(later, totals).is_none(), "a line would tear the bar");
        let accuracy = 100.0 * totals.accuracy();
        assert_eq!(live.bar.message(), format!("loss 2.3026  train {accuracy:5.2} %"));
        assert_eq!((live.bar.position(), live.bar.prefix()), (32, "3".to_owned()));
    }

    #[test]
    fn without_a_terminal_a_line_comes_every_few_seconds() {
        assert!(BETWEEN_LINES <= Duration::from_secs(10));
        let (mut live, totals) = (live(false), totals());
        let start = live.last_line.unwrap();
        assert!(live.line_at(start + BETWEEN_LINES / 2, totals).is_none());
        let (line, record) = live.line_at(start + BETWEEN_LINES, totals).unwrap();
        let accuracy = totals.accuracy();
        assert_eq!(
            line,
            format!("epoch  3/15  loss 2.3026  train {:5.2} %   50 % of the images", 100.0 * accuracy)
        );
        assert_eq!((record.epoch, record.train_accuracy), (2.5, accuracy));
        assert!(live.line_at(start + BETWEEN_LINES * 3 / 2, totals).is_none());
        assert!(live.line_at(start + 2 * BETWEEN_LINES, totals).is_some());
    }
}

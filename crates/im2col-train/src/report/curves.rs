//! The records of a run as curves over epochs.

use crate::metrics::{Epoch, Record, Start};

/// A value over epochs.
pub(super) type Curve = Vec<(f64, f64)>;

#[derive(Debug, Default)]
pub(super) struct Curves {
    pub(super) starts: Vec<Start>,
    pub(super) epochs: Vec<Epoch>,
    /// Within epochs too.
    pub(super) train_loss: Curve,
    /// Likewise.
    pub(super) train_accuracy: Curve,
}

impl Curves {
    /// A run that went on from a checkpoint repeats what it had not saved: what comes later counts.
    pub(super) fn of(records: &[Record]) -> Self {
        let mut curves = Self::default();
        for record in records {
            match record {
                Record::Start(start) => curves.starts.push(start.clone()),
                Record::Progress(progress) => {
                    curves.learned(progress.epoch, progress.train_loss, progress.train_accuracy);
                }
                Record::Epoch(epoch) => {
                    curves.learned(epoch.epoch as f64, epoch.train_loss, epoch.train_accuracy);
                    curves.epochs.push(epoch.clone());
                }
            }
        }
        curves
    }

    fn learned(&mut self, epoch: f64, loss: f64, accuracy: f64) {
        self.epochs.retain(|earlier| (earlier.epoch as f64) < epoch);
        for (curve, value) in [(&mut self.train_loss, loss), (&mut self.train_accuracy, accuracy)] {
            curve.retain(|&(earlier, _)| earlier < epoch);
            curve.push((epoch, value));
        }
    }

    /// A value at the end of each epoch that has it.
    pub(super) fn of_epochs(&self, value: impl Fn(&Epoch) -> Option<f64>) -> Curve {
        self.epochs.iter().filter_map(|epoch| Some((epoch.epoch as f64, value(epoch)?))).collect()
    }

    /// What learning took, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.epochs.iter().map(|epoch| epoch.seconds).sum()
    }

    /// Over all epochs.
    pub(super) fn images_per_second(&self) -> f64 {
        let images: f64 = self.epochs.iter().map(|epoch| epoch.seconds * epoch.images_per_second).sum();
        images / self.seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Progress;

    fn progress(epoch: f64, train_loss: f64) -> Record {
        Record::Progress(Progress { epoch, train_loss, train_accuracy: 0.5 })
    }

    fn epoch(epoch: usize, train_loss: f64, seconds: f64) -> Record {
        Record::Epoch(Epoch {
            epoch,
            train_loss,
            train_accuracy: 0.5,
            validation_loss: None,
            validation_accuracy: (epoch == 2).then_some(0.25),
            test_loss: 1.0,
            test_accuracy: 0.75,
            rate: 0.1,
            seconds,
            images_per_second: 1000.0 * epoch as f64,
        })
    }

    #[test]
    fn what_is_repeated_after_a_restart_counts_once() {
        let records = [
            progress(0.5, 2.0),
            epoch(1, 1.5, 3.0),
            progress(1.5, 1.25),
            epoch(2, 1.0, 9.0),
            // The process died, and its last checkpoint was that of epoch 1.
            progress(1.5, 1.125),
            epoch(2, 0.75, 1.0),
        ];
        let curves = Curves::of(&records);
        assert_eq!(curves.train_loss, [(0.5, 2.0), (1.0, 1.5), (1.5, 1.125), (2.0, 0.75)]);
        assert_eq!(curves.of_epochs(|epoch| Some(epoch.test_accuracy)), [(1.0, 0.75), (2.0, 0.75)]);
        assert_eq!(curves.of_epochs(|epoch| epoch.validation_accuracy), [(2.0, 0.25)]);
        assert_eq!(curves.seconds(), 4.0);
        // 3,000 images in 3 seconds, 2,000 in one.
        assert_eq!(curves.images_per_second(), 1250.0);
    }
}

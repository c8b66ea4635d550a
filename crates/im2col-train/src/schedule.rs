//! The learning rate as training goes on.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate changes from step to step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It is multiplied by `factor` after every `every` epochs.
    Step {
        /// How many epochs have the same rate.
        every: usize,
        /// What the rate is multiplied by.
        factor: f64,
    },
    /// It rises in equal steps for `warm_up` epochs, the last of which reaches the full rate. Then it falls along
    /// half a cosine, from the full rate to 0 after the last step.
    Cosine {
        /// How many epochs the rate rises.
        warm_up: usize,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine { warm_up: 0 }
    }
}

impl Schedule {
    /// The rate of step `step` (from 0), where an epoch has `epoch_steps` of them.
    #[must_use]
    pub fn rate(self, full: f64, step: usize, epoch_steps: usize, epochs: usize) -> f64 {
        match self {
            Self::Constant => full,
            Self::Step { every, factor } => {
                let times = step / epoch_steps.max(1) / every.max(1);
                full * factor.powi(i32::try_from(times).unwrap_or(i32::MAX))
            }
            Self::Cosine { warm_up } => {
                let rising = warm_up.saturating_mul(epoch_steps);
                if step < rising {
                    return full * (step as f64 + 1.0) / rising as f64;
                }
                let falling = epochs.saturating_mul(epoch_steps).saturating_sub(rising).max(1);
                let progress = ((step - rising) as f64 / falling as f64).min(1.0);
                full * 0.5 * (1.0 + (PI * progress).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_rates(schedule: Schedule, full: f64, epoch_steps: usize, epochs: usize, expected: &[f64]) {
        let rates: Vec<f64> =
            (0..expected.len()).map(|step| schedule.rate(full, step, epoch_steps, epochs)).collect();
        for (rate, expected) in rates.iter().zip(expected) {
            assert!((rate - expected).abs() < 1e-12, "{schedule:?}: {rates:?}");
        }
    }

    #[test]
    fn constant_stays() {
        assert_rates(Schedule::Constant, 0.9, 2, 2, &[0.9; 5]);
    }

    #[test]
    fn steps_go_down() {
        let schedule = Schedule::Step { every: 2, factor: 0.5 };
        assert_rates(schedule, 0.8, 1, 6, &[0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.1]);
        assert_rates(schedule, 0.8, 3, 3, &[0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4]);
        assert_rates(Schedule::Step { every: 0, factor: 0.5 }, 0.8, 0, 3, &[0.8, 0.4]);
    }

    #[test]
    fn cosine_falls_to_zero() {
        // 0.1 (1 + cos(pi step / 4))
        let half = 0.5_f64.sqrt();
        let expected = [0.2, 0.1 + 0.1 * half, 0.1, 0.1 - 0.1 * half, 0.0, 0.0];
        assert_rates(Schedule::default(), 0.2, 2, 2, &expected);
        assert_rates(Schedule::default(), 0.2, 0, 0, &[0.2]);
    }

    #[test]
    fn warm_up_rises_to_the_full_rate() {
        let half = 0.5_f64.sqrt();
        let expected = [0.05, 0.1, 0.15, 0.2, 0.2, 0.1 + 0.1 * half, 0.1, 0.1 - 0.1 * half, 0.0];
        assert_rates(Schedule::Cosine { warm_up: 1 }, 0.2, 4, 2, &expected);
        // Nothing is left to fall.
        assert_rates(Schedule::Cosine { warm_up: 1 }, 0.2, 2, 1, &[0.1, 0.2, 0.2, 0.0]);
    }
}

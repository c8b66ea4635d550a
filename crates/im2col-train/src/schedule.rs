//! The learning rate as training goes on.

use std::f64::consts::PI;

/// How the learning rate changes from step to step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It falls along half a cosine, from the full rate at the first step to 0 after the last.
    #[default]
    Cosine,
}

impl Schedule {
    /// The rate of step `step` (from 0) of `steps`.
    #[must_use]
    pub fn rate(self, full: f32, step: usize, steps: usize) -> f32 {
        match self {
            Self::Constant => full,
            Self::Cosine => {
                let progress = (step as f64 / steps.max(1) as f64).min(1.0);
                (f64::from(full) * 0.5 * (1.0 + (PI * progress).cos())) as f32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_stays() {
        assert_eq!(Schedule::Constant.rate(0.9, 7, 10), 0.9);
    }

    #[test]
    fn cosine_falls_to_zero() {
        let rates: Vec<f32> = (0..=4).map(|step| Schedule::Cosine.rate(0.2, step, 4)).collect();
        // 0.1 (1 + cos(pi step / 4))
        let expected = [0.2, 0.170_710_68, 0.1, 0.029_289_32, 0.0];
        for (rate, expected) in rates.iter().zip(expected) {
            assert!((rate - expected).abs() < 1e-7, "{rates:?}");
        }
        assert_eq!(Schedule::Cosine.rate(0.2, 5, 4), 0.0);
        assert_eq!(Schedule::Cosine.rate(0.2, 0, 0), 0.2);
    }
}

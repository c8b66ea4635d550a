//! Softmax and cross-entropy.

use super::Sum;

/// Logits `[batch, classes, positions]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossCase {
    /// How many images.
    pub batch: usize,
    /// How many classes.
    pub classes: usize,
    /// How many positions an image has.
    pub positions: usize,
}

impl LossCase {
    /// How many logits there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch * self.classes * self.positions
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many targets there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batch * self.positions
    }

    /// Where the logits of a row are, class by class.
    pub fn row(&self, row: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let Self { classes, positions, .. } = *self;
        (0..classes)
            .map(move |class| row / positions * classes * positions + class * positions + row % positions)
    }

    /// The targets that labels stand for: 1 at the class of a row, nothing where there is none.
    #[must_use]
    pub fn targets(&self, labels: &[Option<usize>]) -> Vec<f32> {
        let mut targets = vec![0.0; self.len()];
        for (row, label) in labels.iter().enumerate() {
            if let Some(index) = label.and_then(|class| self.row(row).nth(class)) {
                targets[index] = 1.0;
            }
        }
        targets
    }

    /// The probabilities.
    #[must_use]
    pub fn softmax(&self, logits: &[f32]) -> Vec<f64> {
        let mut probabilities = vec![0.0; self.len()];
        for row in 0..self.rows() {
            let (max, others) = self.log_sum(logits, row);
            for i in self.row(row) {
                probabilities[i] = (f64::from(logits[i]) - max).exp() / (1.0 + others);
            }
        }
        probabilities
    }

    /// The gradient of the logits from that of the probabilities; its magnitude is
    /// `p[c] (|g[c]| + sum over k of |p[k] g[k]|)`.
    #[must_use]
    pub fn softmax_grad(&self, probabilities: &[f32], grads: &[f32]) -> Vec<Sum> {
        let mut grad_logits = vec![Sum::default(); self.len()];
        for row in 0..self.rows() {
            let mut mean = Sum::default();
            self.row(row).for_each(|i| mean.add(f64::from(probabilities[i]) * f64::from(grads[i])));
            for i in self.row(row) {
                let (p, g) = (f64::from(probabilities[i]), f64::from(grads[i]));
                grad_logits[i] =
                    Sum { value: p * (g - mean.value), magnitude: p * (g.abs() + mean.magnitude) };
            }
        }
        grad_logits
    }

    /// The loss, summed over all rows, for the probability of each class.
    #[must_use]
    pub fn loss(&self, logits: &[f32], targets: &[f32]) -> f64 {
        let mut loss = 0.0;
        for row in 0..self.rows() {
            let (max, others) = self.log_sum(logits, row);
            for i in self.row(row).filter(|&i| targets[i] != 0.0) {
                loss += f64::from(targets[i]) * (others.ln_1p() + (max - f64::from(logits[i])));
            }
        }
        loss
    }

    /// The gradient of [`loss`](Self::loss).
    #[must_use]
    pub fn loss_grad(&self, logits: &[f32], targets: &[f32]) -> Vec<f64> {
        let mut grad = self.softmax(logits);
        for row in 0..self.rows() {
            let total: f64 = self.row(row).map(|i| f64::from(targets[i])).sum();
            self.row(row).for_each(|i| grad[i] = grad[i] * total - f64::from(targets[i]));
        }
        grad
    }

    /// The largest difference of two logits of a row.
    #[must_use]
    pub fn spread(&self, logits: &[f32]) -> f64 {
        let of_row = |row| {
            let values = self.row(row).map(|i| f64::from(logits[i]));
            values.clone().fold(f64::MIN, f64::max) - values.fold(f64::MAX, f64::min)
        };
        (0..self.rows()).map(of_row).fold(0.0, f64::max)
    }

    /// The largest logit of a row, and the sum of `e^(logit - max)` over all but that one.
    fn log_sum(&self, logits: &[f32], row: usize) -> (f64, f64) {
        let values = self.row(row).map(|i| f64::from(logits[i]));
        let max = values.clone().fold(f64::MIN, f64::max);
        let largest = values.clone().position(|x| x == max);
        let others = values.enumerate().filter(|&(class, _)| Some(class) != largest);
        (max, others.map(|(_, x)| (x - max).exp()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::LossCase;

    const CASE: LossCase = LossCase { batch: 2, classes: 3, positions: 2 };

    #[test]
    fn rows_cover_the_data_once() {
        let mut rows: Vec<usize> = (0..CASE.rows()).flat_map(|row| CASE.row(row)).collect();
        assert_eq!(rows[..6], [0, 2, 4, 1, 3, 5]);
        rows.sort_unstable();
        assert_eq!(rows, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn gradients_are_central_differences() {
        let logits: Vec<f32> = (0..12).map(|i| (i * 7 % 5) as f32 * 0.5).collect();
        let weights: Vec<f32> = (0..12).map(|i| (i * 5 % 7) as f32 * 0.25).collect();
        let step = 1.0 / 1024.0;
        let slope = |i: usize, function: &dyn Fn(&[f32]) -> f64| {
            let [mut above, mut below] = [logits.clone(), logits.clone()];
            (above[i], below[i]) = (logits[i] + step, logits[i] - step);
            (function(&above) - function(&below)) / (2.0 * f64::from(step))
        };
        let loss = |logits: &[f32]| CASE.loss(logits, &weights);
        let weighted = |logits: &[f32]| {
            CASE.softmax(logits).iter().zip(&weights).map(|(p, w)| p * f64::from(*w)).sum::<f64>()
        };
        let probabilities: Vec<f32> = CASE.softmax(&logits).iter().map(|p| *p as f32).collect();
        let (of_loss, of_softmax) =
            (CASE.loss_grad(&logits, &weights), CASE.softmax_grad(&probabilities, &weights));
        for i in 0..12 {
            assert!((of_loss[i] - slope(i, &loss)).abs() < 1e-6);
            assert!((of_softmax[i].value - slope(i, &weighted)).abs() < 1e-6);
        }
    }
}

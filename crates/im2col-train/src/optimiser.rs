//! Optimisers: what makes a step of a gradient, by PyTorch's formulas.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How many parameters one task updates: few enough to share the work, enough to be worth a task.
pub(crate) const PARAM_CHUNK: usize = 8192;

/// How a gradient becomes a step. `g` is the gradient, `p` a parameter, `t` counts steps from 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Optimiser {
    /// Stochastic gradient descent, as `torch.optim.SGD`:
    ///
    /// ```text
    /// g += weight_decay p
    /// v  = momentum v + g
    /// p -= rate v                     nesterov: p -= rate (g + momentum v)
    /// ```
    Sgd {
        /// How much of a step goes into the next one.
        momentum: f64,
        /// Looks ahead: takes the momentum of the next step too.
        nesterov: bool,
        /// How strongly parameters are drawn to 0.
        weight_decay: f64,
    },
    /// `torch.optim.Adam`:
    ///
    /// ```text
    /// g += weight_decay p
    /// m  = beta1 m + (1 - beta1) g
    /// s  = beta2 s + (1 - beta2) g^2
    /// p -= rate / (1 - beta1^t) m / (sqrt(s) / sqrt(1 - beta2^t) + epsilon)
    /// ```
    Adam {
        /// How slowly the mean of the gradients changes.
        beta1: f64,
        /// How slowly the mean of their squares changes.
        beta2: f64,
        /// Keeps the divisor above 0.
        epsilon: f64,
        /// How strongly parameters are drawn to 0.
        weight_decay: f64,
    },
}

impl Optimiser {
    /// Plain gradient descent with momentum.
    #[must_use]
    pub const fn sgd(momentum: f64) -> Self {
        Self::Sgd { momentum, nesterov: false, weight_decay: 0.0 }
    }

    /// Adam with PyTorch's defaults.
    #[must_use]
    pub const fn adam() -> Self {
        Self::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }

    /// What it keeps for each parameter from step to step.
    pub(crate) const fn moment_names(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { .. } => &["velocity"],
            Self::Adam { .. } => &["first_moment", "second_moment"],
        }
    }
}

/// An optimiser and what it keeps from step to step.
#[derive(Clone, Debug)]
pub(crate) struct OptimiserState {
    optimiser: Optimiser,
    moments: [Vec<f32>; 2],
}

impl OptimiserState {
    /// Before the first step.
    pub(crate) fn new(optimiser: Optimiser, param_len: usize) -> Self {
        let second_len = if optimiser.moment_names().len() > 1 { param_len } else { 0 };
        Self { optimiser, moments: [vec![0.0; param_len], vec![0.0; second_len]] }
    }

    /// What is kept from step to step, by its [name](Optimiser::moment_names).
    pub(crate) fn moments(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
        self.optimiser.moment_names().iter().copied().zip(self.moments.iter().map(Vec::as_slice))
    }

    /// The same, to be filled from a file.
    pub(crate) fn moments_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut [f32])> {
        self.optimiser.moment_names().iter().copied().zip(self.moments.iter_mut().map(Vec::as_mut_slice))
    }

    /// Step number `step` (from 0), against the gradient. The lengths agree, or the excess stays as it is.
    pub(crate) fn step(&mut self, params: &mut [f32], gradient: &[f32], rate: f64, step: usize) {
        let [first, second] = &mut self.moments;
        let chunks = params
            .par_chunks_mut(PARAM_CHUNK)
            .zip(gradient.par_chunks(PARAM_CHUNK))
            .zip(first.par_chunks_mut(PARAM_CHUNK));
        match self.optimiser {
            Optimiser::Sgd { momentum, nesterov, weight_decay } => {
                let (rate, momentum, decay) = (rate as f32, momentum as f32, weight_decay as f32);
                // The gradient's share of the step, and the velocity's.
                let (ahead, along) = if nesterov { (1.0, momentum) } else { (0.0, 1.0) };
                chunks.for_each(|((params, gradient), velocity)| {
                    for ((param, gradient), velocity) in params.iter_mut().zip(gradient).zip(velocity) {
                        let gradient = gradient + decay * *param;
                        *velocity = momentum * *velocity + gradient;
                        *param -= rate * (ahead * gradient + along * *velocity);
                    }
                });
            }
            Optimiser::Adam { beta1, beta2, epsilon, weight_decay } => {
                let adam = AdamStep::new(beta1, beta2, epsilon, weight_decay, rate, step);
                chunks.zip(second.par_chunks_mut(PARAM_CHUNK)).for_each(
                    |(((params, gradient), mean), square)| adam.run(params, gradient, mean, square),
                );
            }
        }
    }
}

/// The numbers of one step, computed in f64 as PyTorch does.
#[derive(Clone, Copy)]
struct AdamStep {
    weight_decay: f32,
    beta2: f32,
    mean_share: f32,
    square_share: f32,
    step_size: f32,
    root_correction: f32,
    epsilon: f32,
}

impl AdamStep {
    fn new(beta1: f64, beta2: f64, epsilon: f64, weight_decay: f64, rate: f64, step: usize) -> Self {
        let count = i32::try_from(step).unwrap_or(i32::MAX).saturating_add(1);
        Self {
            weight_decay: weight_decay as f32,
            beta2: beta2 as f32,
            mean_share: (1.0 - beta1) as f32,
            square_share: (1.0 - beta2) as f32,
            step_size: (rate / (1.0 - beta1.powi(count))) as f32,
            root_correction: (1.0 - beta2.powi(count)).sqrt() as f32,
            epsilon: epsilon as f32,
        }
    }

    fn run(self, params: &mut [f32], gradient: &[f32], mean: &mut [f32], square: &mut [f32]) {
        for (((param, gradient), mean), square) in params.iter_mut().zip(gradient).zip(mean).zip(square) {
            let gradient = gradient + self.weight_decay * *param;
            *mean += self.mean_share * (gradient - *mean);
            *square = self.beta2 * *square + self.square_share * gradient * gradient;
            *param -= self.step_size * *mean / (square.sqrt() / self.root_correction + self.epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRADIENTS: [[f32; 3]; 4] =
        [[1.0, 2.0, -0.7], [0.5, -4.0, 0.1], [2.0, 0.25, 0.0], [-1.0, 0.125, 3.0]];

    /// `expected`: the parameters after each step as PyTorch 2 computes them on a CPU.
    fn assert_steps(optimiser: Optimiser, rate: f64, expected: [[f32; 3]; 4]) {
        let mut params = [1.0, -2.0, 0.3];
        let mut state = OptimiserState::new(optimiser, 3);
        for (step, (gradient, expected)) in GRADIENTS.iter().zip(expected).enumerate() {
            state.step(&mut params, gradient, rate, step);
            for (param, expected) in params.iter().zip(expected) {
                // Two roundings of numbers below 4.
                let close = (param - expected).abs() <= 2.0 * f32::EPSILON * expected.abs().max(1.0);
                assert!(close, "{optimiser:?}, step {step}: {params:?}, PyTorch {expected:?}");
            }
        }
    }

    #[test]
    #[rustfmt::skip]
    fn sgd_as_pytorch() {
        let sgd = |momentum, nesterov, weight_decay| Optimiser::Sgd { momentum, nesterov, weight_decay };
        assert_steps(sgd(0.0, false, 0.0), 0.1, [
            [0.9, -2.2, 0.37],
            [0.849_999_96, -1.800_000_1, 0.36],
            [0.65, -1.825, 0.36],
            [0.75, -1.837_500_1, 0.060_000_01],
        ]);
        assert_steps(sgd(0.0, false, 0.01), 0.1, [
            [0.899, -2.198, 0.3697],
            [0.848_100_96, -1.795_802, 0.359_330_33],
            [0.647_252_86, -1.819_006_2, 0.358_971],
            [0.746_605_63, -1.829_687_2, 0.058_612_034],
        ]);
        assert_steps(sgd(0.9, false, 0.01), 0.1, [
            [0.899, -2.198, 0.3697],
            [0.757_201, -1.974_002, 0.422_060_3],
            [0.428_824_72, -1.795_429_8, 0.468_762_52],
            [0.232_857_24, -1.645_419_5, 0.210_325_73],
        ]);
        assert_steps(sgd(0.9, true, 0.0), 0.1, [
            [0.81, -2.38, 0.433],
            [0.634, -1.782, 0.4707],
            [0.140_6, -1.651_300_1, 0.513_63],
            [0.066_539_995, -1.534_920_1, -0.017_733_045],
        ]);
        assert_steps(sgd(0.9, true, 0.01), 0.1, [
            [0.8081, -2.376_2, 0.432_43],
            [0.629_754_6, -1.772_065_2, 0.469_065_37],
            [0.133_774_47, -1.634_615_5, 0.510_535_2],
            [0.057_705, -1.510_649_9, -0.022_689_84],
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn adam_as_pytorch() {
        assert_steps(Optimiser::adam(), 0.01, [
            [0.99, -2.01, 0.31],
            [0.980_678_2, -2.006_339, 0.315_580_28],
            [0.971_587_36, -2.003_870_2, 0.319_893_87],
            [0.967_089_06, -2.002_011, 0.315_046_6],
        ]);
        let adam = Optimiser::Adam { beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weight_decay: 0.1 };
        assert_steps(adam, 0.01, [
            [0.99, -2.01, 0.31],
            [0.980_657_4, -2.005_295, 0.314_717_32],
            [0.971_254_7, -2.001_927, 0.317_832_74],
            [0.966_798_54, -1.999_208, 0.311_938_94],
        ]);
    }

    #[test]
    fn json_survives() {
        for optimiser in [Optimiser::sgd(0.9), Optimiser::adam()] {
            let json = serde_json::to_string(&optimiser).unwrap();
            assert_eq!(serde_json::from_str::<Optimiser>(&json).unwrap(), optimiser, "{json}");
        }
    }
}

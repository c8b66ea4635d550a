//! Stochastic gradient descent with momentum.

use rayon::prelude::*;

/// How many parameters one task updates: few enough to share the work, enough to be worth a task.
pub(crate) const PARAM_CHUNK: usize = 8192;

/// The optimiser's state: the velocity `v` of each parameter.
///
/// As in PyTorch: `v = momentum v + gradient`, then `parameter -= rate v`.
#[derive(Clone, Debug)]
pub struct Sgd {
    momentum: f32,
    velocity: Vec<f32>,
}

impl Sgd {
    /// An optimiser at rest.
    #[must_use]
    pub fn new(momentum: f32, param_len: usize) -> Self {
        Self { momentum, velocity: vec![0.0; param_len] }
    }

    /// One step against the gradient. The three lengths agree, or the excess stays as it is.
    pub fn step(&mut self, params: &mut [f32], gradient: &[f32], rate: f32) {
        let momentum = self.momentum;
        params
            .par_chunks_mut(PARAM_CHUNK)
            .zip(self.velocity.par_chunks_mut(PARAM_CHUNK))
            .zip(gradient.par_chunks(PARAM_CHUNK))
            .for_each(|((params, velocity), gradient)| {
                for ((param, velocity), gradient) in params.iter_mut().zip(velocity).zip(gradient) {
                    *velocity = momentum * *velocity + gradient;
                    *param -= rate * *velocity;
                }
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn momentum_as_pytorch() {
        // torch.optim.SGD([p], lr=0.5, momentum=0.5), p = [1, -2], gradients [1, 2], [0, -4], [2, 0].
        let mut params = [1.0, -2.0];
        let mut sgd = Sgd::new(0.5, 2);
        for (gradient, expected) in
            [([1.0, 2.0], [0.5, -3.0]), ([0.0, -4.0], [0.25, -1.5]), ([2.0, 0.0], [-0.875, -0.75])]
        {
            sgd.step(&mut params, &gradient, 0.5);
            assert_eq!(params, expected);
        }
    }
}

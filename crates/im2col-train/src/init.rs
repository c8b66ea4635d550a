//! The parameters before the first step.

use im2col::Network;

use crate::random::Random;

/// Xavier (Glorot) uniform weights, `U(-b, b)` with `b = sqrt(6 / (fan_in + fan_out))`, and zero biases.
#[must_use]
pub(crate) fn xavier_uniform<const L: usize>(network: &Network<L>, random: &mut Random) -> Vec<f32> {
    let mut params = vec![0.0; network.param_len()];
    for parameter in network.parameters().filter(|parameter| parameter.name == "weight") {
        let bound = (6.0 / (parameter.fan_in + parameter.fan_out) as f32).sqrt();
        for weight in &mut params[parameter.range.clone()] {
            *weight = (2.0 * random.unit() - 1.0) * bound;
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use im2col::lenet::LENET;

    #[test]
    fn weights_are_uniform_and_biases_zero() {
        let network = Network::plan(LENET, 1, [1, 28, 28]).unwrap();
        let params = xavier_uniform(&network, &mut Random::new(3));
        for parameter in network.parameters() {
            let values = &params[parameter.range.clone()];
            if parameter.name == "bias" {
                assert!(values.iter().all(|&bias| bias == 0.0));
                continue;
            }
            let bound = (6.0 / (parameter.fan_in + parameter.fan_out) as f64).sqrt();
            assert!(values.iter().all(|&weight| f64::from(weight).abs() <= bound * 1.000_001));
            // The variance of U(-b, b) is b^2 / 3; the smallest tensor has 150 values.
            let variance =
                values.iter().map(|&weight| f64::from(weight).powi(2)).sum::<f64>() / values.len() as f64;
            assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.3, "{} {variance}", parameter.layer);
        }
    }
}

//! The parameters before the first step.

use crate::networks::{PARAMS, RELU};
use crate::random::Random;

/// Xavier (Glorot) uniform weights, `U(-b, b)` with `b = sqrt(6 / (fan_in + fan_out))`, and zero biases.
pub(crate) fn xavier_uniform(params: &mut [f32; PARAMS], random: &mut Random) {
    params.fill(0.0);
    for parameter in RELU.parameters().filter(|parameter| parameter.name == "weight") {
        let bound = libm::sqrtf(6.0 / (parameter.fan_in + parameter.fan_out) as f32);
        for weight in params.get_mut(parameter.range).unwrap_or_default() {
            *weight = (2.0 * random.unit() - 1.0) * bound;
        }
    }
}

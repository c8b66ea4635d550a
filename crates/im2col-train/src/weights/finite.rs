//! Parameters that are numbers: infinity and NaN are found before they are saved, used or gone on from.

use im2col::Network;
use thiserror::Error;

use super::names::tensor_name;

/// A value that no network can use.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{tensor}: value {position} is {value}, not a finite number")]
pub struct NotFinite {
    /// The tensor's name: `3.weight`.
    pub tensor: String,
    /// Where the value stands in the tensor, from 0.
    pub position: usize,
    /// The value: infinite, or NaN.
    pub value: f32,
}

/// Checks that every one of a network's parameters, in `state_dict` order, is finite.
pub(crate) fn check_finite<const L: usize>(network: &Network<L>, params: &[f32]) -> Result<(), NotFinite> {
    check_finite_group(network, "", params)
}

/// Checks one value for each of a network's parameters; the tensors' names begin with `prefix`.
pub(crate) fn check_finite_group<const L: usize>(
    network: &Network<L>,
    prefix: &str,
    values: &[f32],
) -> Result<(), NotFinite> {
    for parameter in network.parameters() {
        let values = values.get(parameter.range.clone()).unwrap_or_default();
        check_finite_tensor(|| tensor_name(prefix, &parameter), values.iter().copied())?;
    }
    Ok(())
}

/// Checks the values of one tensor, whose name `name` makes.
pub(crate) fn check_finite_tensor(
    name: impl FnOnce() -> String,
    values: impl Iterator<Item = f32>,
) -> Result<(), NotFinite> {
    match values.enumerate().find(|(_, value)| !value.is_finite()) {
        Some((position, value)) => Err(NotFinite { tensor: name(), position, value }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use im2col::{Layer, LinearParams};

    #[test]
    fn the_first_stray_value_is_named() {
        let layers = [Layer::Flatten, Layer::Linear(LinearParams::new(2, 1))];
        let network = Network::plan(layers, 1, [1, 1, 2]).unwrap();
        assert_eq!(check_finite(&network, &[1.0, -0.5, 0.0]), Ok(()));
        let error = check_finite(&network, &[1.0, f32::INFINITY, f32::NAN]).unwrap_err();
        assert_eq!(error.to_string(), "1.weight: value 1 is inf, not a finite number");
        let error = check_finite_group(&network, "v.", &[1.0, 2.0, f32::NAN]).unwrap_err();
        assert_eq!(error.to_string(), "v.1.bias: value 0 is NaN, not a finite number");
    }
}

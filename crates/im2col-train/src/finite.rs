//! Parameters that are numbers: infinity and NaN are found before they are saved, used or gone on from.

use im2col::Network;
use thiserror::Error;

use crate::weights::tensor_name;

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
///
/// ```
/// use im2col::{Layer, LinearParams, Network};
/// use im2col_train::finite;
///
/// let network = Network::plan([Layer::Flatten, Layer::Linear(LinearParams::new(2, 1))], 1, [1, 1, 2])?;
/// assert!(finite::check(&network, &[1.0, -0.5, 0.0]).is_ok());
/// let error = finite::check(&network, &[1.0, f32::INFINITY, 0.0]).unwrap_err();
/// assert_eq!(error.to_string(), "1.weight: value 1 is inf, not a finite number");
/// # Ok::<(), im2col::ShapeError>(())
/// ```
///
/// # Errors
/// The first parameter that is infinite or not a number.
pub fn check<const L: usize>(network: &Network<L>, params: &[f32]) -> Result<(), NotFinite> {
    check_group(network, "", params)
}

/// Checks one value for each of a network's parameters; the tensors' names begin with `prefix`.
pub(crate) fn check_group<const L: usize>(
    network: &Network<L>,
    prefix: &str,
    values: &[f32],
) -> Result<(), NotFinite> {
    for parameter in network.parameters() {
        let values = values.get(parameter.range.clone()).unwrap_or_default();
        check_tensor(|| tensor_name(prefix, &parameter), values.iter().copied())?;
    }
    Ok(())
}

/// Checks the values of one tensor, whose name `name` makes.
pub(crate) fn check_tensor(
    name: impl FnOnce() -> String,
    mut values: impl Iterator<Item = f32>,
) -> Result<(), NotFinite> {
    let mut position = 0;
    let stray = values.find(|value| {
        position += 1;
        !value.is_finite()
    });
    match stray {
        Some(value) => Err(NotFinite { tensor: name(), position: position - 1, value }),
        None => Ok(()),
    }
}

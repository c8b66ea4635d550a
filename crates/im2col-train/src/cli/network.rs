//! The networks that the program knows, by name.

use std::path::Path;

use anyhow::{Result, bail};
use clap::ValueEnum;
use im2col::Layer;
use im2col::lenet::{LENET, LENET_RELU};

use crate::weights::Weights;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkName {
    Lenet,
    #[default]
    LenetRelu,
}

impl NetworkName {
    pub(crate) fn layers(self) -> [Layer; 12] {
        match self {
            Self::Lenet => LENET,
            Self::LenetRelu => LENET_RELU,
        }
    }

    /// The layers as an expression in another program.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Lenet => "im2col::lenet::LENET",
            Self::LenetRelu => "im2col::lenet::LENET_RELU",
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Lenet => "lenet",
            Self::LenetRelu => "lenet-relu",
        }
    }

    /// What distinguishes it, for people.
    pub(crate) fn features(self) -> &'static str {
        match self {
            Self::Lenet => "lenet (sigmoid and average pooling)",
            Self::LenetRelu => "lenet-relu (ReLU and max pooling)",
        }
    }

    /// The network whose parameters have the same dimensions.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Lenet => Self::LenetRelu,
            Self::LenetRelu => Self::Lenet,
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|network| network.as_str() == name)
    }

    /// The network of a file: its tensors are the same for both, so its metadata decides, if it has any.
    pub(crate) fn of_file(requested: Option<Self>, weights: &Weights, file: &Path) -> Result<Self> {
        let Some(saved) = weights.network() else { return Ok(requested.unwrap_or_default()) };
        match Self::from_name(saved) {
            None => bail!("{}: the network {saved:?} is unknown", file.display()),
            Some(saved) if requested.is_some_and(|requested| requested != saved) => {
                bail!("{}: these are weights of {}", file.display(), saved.as_str())
            }
            Some(saved) => Ok(saved),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_found_by_name() {
        for &network in NetworkName::value_variants() {
            assert_eq!(NetworkName::from_name(network.as_str()), Some(network));
        }
        assert_eq!(NetworkName::from_name("alexnet"), None);
    }
}

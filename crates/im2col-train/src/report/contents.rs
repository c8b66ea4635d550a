//! What a report is made of.

use std::path::Path;

use im2col::Layer;

use crate::checkpoint::Configuration;
use crate::dataset::Dataset;
use crate::metrics::Record;
use crate::profile::Profile;

/// What a report is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents<'a, const L: usize> {
    /// The run's folder, as the page shall call it.
    pub folder: &'a Path,
    /// The name of the network.
    pub network: &'a str,
    /// The folder of the data set; `None`: the built-in digits.
    pub data: Option<&'a Path>,
    /// What was asked for, to be listed.
    pub configuration: &'a Configuration,
    /// The network.
    pub layers: [Layer; L],
    /// Its parameters, as they were learned.
    pub params: &'a [f32],
    /// What happened.
    pub records: &'a [Record],
    /// The images to be judged by.
    pub test: &'a Dataset,
    /// The times of a training step.
    pub profile: &'a Profile,
}

//! Saved weights, with what their file says about them and what the command line adds.

use std::path::Path;

use anyhow::{Result, bail};
use im2col::Network;

use super::network::NetworkName;
use super::output::Output;
use crate::dataset::Dataset;
use crate::known::KnownSet;
use crate::paths::shown;
use crate::samples::Fingerprint;
use crate::weights::{Description, NORMALISATION, Weights};

/// What is wrong with a file that does not name its data set.
const SILENT: &str = "does not say what the network has learned";

/// A file of weights, and which network they are for.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) network: NetworkName,
    /// What the file says, and the network that was asked for.
    pub(crate) description: Description,
    file: String,
    weights: Weights,
    output: Output,
}

/// What a network tells apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Classes {
    /// The set that it has learned, or is taken to have.
    pub(crate) set: KnownSet,
    /// As many as the network has outputs.
    pub(crate) names: Vec<String>,
}

impl Saved {
    /// Reads a file; `requested`: the network of the command line, which the file may not contradict.
    pub(crate) fn read(file: &Path, requested: Option<NetworkName>, output: Output) -> Result<Self> {
        let weights = Weights::read(file)?;
        let network = NetworkName::of_file(requested, &weights, file)?;
        let mut description = weights.description()?;
        let file = shown(file);
        if let Some(other) = description.normalisation.as_deref().filter(|other| *other != NORMALISATION) {
            bail!(
                "{file}: the network takes inputs made by {other:?}, this program makes them by {NORMALISATION:?}"
            );
        }
        if description.network.is_none() {
            description.network = requested.map(|network| network.as_str().to_owned());
        }
        let saved = Self { network, description, file, weights, output };
        if saved.description.network.is_none() {
            let other = network.other();
            saved.warn(&format!(
                "does not say which network it is of: taken for {}; if it is {}: --network {}",
                network.features(),
                other.features(),
                other.as_str()
            ));
        }
        Ok(saved)
    }

    /// The parameters. Says so where the tensors are others than this program writes.
    pub(crate) fn params<const L: usize>(&self, network: &Network<L>) -> Result<Vec<f32>> {
        let loaded = self.weights.load(network)?;
        if let Some(note) = loaded.note {
            self.output.aside(format_args!("{}: took {note}", self.file));
        }
        Ok(loaded.params)
    }

    /// Refuses the digits inside the program where the network has learned something else, and warns about other
    /// images; `chosen`: somebody asked for these.
    pub(crate) fn check_images(&self, images: &Dataset, chosen: bool) -> Result<()> {
        self.say_normalisation();
        let learned = self.description.data_set.as_deref();
        match (learned, KnownSet::of(&Fingerprint::of(images))) {
            (None, _) if !chosen => self.warn(&format!("{SILENT}: judged by digits; for others: --data DIR")),
            (Some(learned), Some(set)) if learned != set.name() => {
                let difference =
                    format!("the network has learned {learned:?}, the images are of {}", set.name());
                if !chosen && KnownSet::from_name(learned).is_some() {
                    bail!("{}: {difference}: name the folder of its test images with --data DIR", self.file);
                }
                self.warn(&difference);
            }
            _ => {}
        }
        Ok(())
    }

    /// What the network tells apart; `requested`: the set of the command line, which the file may not contradict.
    pub(crate) fn classes(&self, requested: Option<KnownSet>, outputs: usize) -> Result<Classes> {
        self.say_normalisation();
        let learned = self.description.data_set.as_deref();
        let set = match (learned.and_then(KnownSet::from_name), requested) {
            (Some(known), Some(requested)) if known != requested => {
                bail!("{}: the network has learned {}, not {}", self.file, known.name(), requested.name())
            }
            (Some(set), _) | (None, Some(set)) => set,
            (None, None) => {
                let why = match learned {
                    Some(learned) => format!("the program does not know the set {learned:?}"),
                    None => SILENT.to_owned(),
                };
                self.warn(&format!("{why}: taken for digits; for clothes: --set fashion-mnist"));
                KnownSet::Mnist
            }
        };
        let names = self.description.classes.clone();
        let names = names.unwrap_or_else(|| set.classes().map(str::to_owned).to_vec());
        if names.len() != outputs {
            bail!("{}: {} names of classes for the network's {outputs} outputs", self.file, names.len());
        }
        Ok(Classes { set, names })
    }

    fn say_normalisation(&self) {
        if self.description.normalisation.is_none() {
            self.warn(&format!("does not say how inputs are made of pixels: taken for {NORMALISATION}"));
        }
    }

    fn warn(&self, text: &str) {
        self.output.warn(format_args!("{}: {text}", self.file));
    }
}

//! The images of a run, and trainers for them.

use std::path::Path;

use anyhow::{Context, Result};

use crate::checkpoint::{Configuration, DataSha256};
use crate::cli::data::{check_image_size, images_of};
use crate::cli::network::NetworkName;
use crate::dataset::{Dataset, Part};
use crate::ranks::Ranks;
use crate::samples::{self, Samples};
use crate::stream::IdxStream;
use crate::train::{IsaName, Trainer};
use crate::weights::Weights;

/// The images of a run.
pub(super) struct Data {
    pub(super) train: Box<dyn Samples>,
    pub(super) test: Box<dyn Samples>,
    /// Where they come from, for people.
    pub(super) origin: String,
}

impl Data {
    /// Both parts, of the size that networks take.
    pub(super) fn load(folder: Option<&Path>, stream: bool) -> Result<Self> {
        let origin = folder.map_or("the built-in digits".to_owned(), |folder| folder.display().to_string());
        let load = |part| -> Result<Box<dyn Samples>> {
            let samples: Box<dyn Samples> = match folder {
                Some(folder) if stream => Box::new(IdxStream::open(folder, part)?),
                Some(folder) => Box::new(Dataset::load(folder, part)?),
                None => Box::new(Dataset::built_in(part)?),
            };
            check_image_size(&*samples).with_context(|| format!("{origin}: {}", images_of(part)))?;
            Ok(samples)
        };
        Ok(Self { train: load(Part::Train)?, test: load(Part::Test)?, origin })
    }

    /// A trainer for them, one of those of all ranks, whose network has an output for every label of both parts.
    pub(super) fn trainer(
        &self,
        ranks: Ranks,
        network: NetworkName,
        configuration: &Configuration,
    ) -> Result<Trainer<'_, 12>> {
        // The images have no part in it if the CPU lacks the instruction set.
        configuration.options.isa.map(IsaName::isa).transpose()?;
        let part = |part| format!("{}: {}", self.origin, images_of(part));
        let trainer = Trainer::among(ranks, network.layers(), &*self.train, configuration.options)
            .with_context(|| part(Part::Train))?;
        trainer.check(&*self.test).with_context(|| part(Part::Test))?;
        Ok(trainer)
    }

    pub(super) fn sha256(&self) -> Result<DataSha256> {
        Ok(DataSha256 { train: samples::sha256(&*self.train)?, test: samples::sha256(&*self.test)? })
    }
}

/// The trainer with the weights of a file.
pub(super) fn starting_from<'d>(
    trainer: Trainer<'d, 12>,
    weights: &Weights,
    file: &Path,
) -> Result<Trainer<'d, 12>> {
    let params = weights.params(trainer.network())?;
    trainer.with_params(params).with_context(|| file.display().to_string())
}

//! A run of several processes: what all of them compare, and what those do that neither print nor write.

use anyhow::{Result, ensure};

use super::signals::Signals;
use crate::checkpoint::Configuration;
use crate::digest;
use crate::samples::Samples;
use crate::train::Trainer;

/// Checks that this process is about to compute what the first one does.
pub(super) fn check_same<const L: usize>(
    trainer: &Trainer<'_, L>,
    configuration: &Configuration,
) -> Result<()> {
    let ranks = trainer.ranks();
    let params: Vec<u8> = trainer.params().iter().flat_map(|param| param.to_le_bytes()).collect();
    let here = [
        format!("version {}", env!("CARGO_PKG_VERSION")),
        format!("network {}", configuration.network),
        format!("{:?}", configuration.options),
        format!("kernels {}", trainer.isa().name()),
        format!("{:?}", configuration.data_sha256),
        format!("{:?}", trainer.position()),
        format!("parameters {}", digest::of_bytes(&params)),
    ];
    let first = String::from_utf8(ranks.of_first(here.join("\n").as_bytes()))?;
    let compare = || {
        for (here, first) in here.iter().zip(first.lines()) {
            ensure!(here == first, "{here}, but rank 0 has {first}: the weights would be others");
        }
        Ok(())
    };
    ranks.agree(compare())
}

/// Does the share of a process other than the first, to the end of the run.
pub(super) fn follow<const L: usize>(mut trainer: Trainer<'_, L>, test: &dyn Samples) -> Result<()> {
    // The first process decides when to end.
    let _signals = Signals::listen()?;
    while trainer.position().epoch < trainer.options().epochs {
        trainer.epoch(|_| ())?;
        trainer.validate()?;
        trainer.test(test)?;
    }
    Ok(())
}

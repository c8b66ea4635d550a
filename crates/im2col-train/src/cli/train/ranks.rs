//! A run of several processes: what all of them compare, and what those do that neither print nor write.

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::signals::Signals;
use crate::checkpoint::Configuration;
use crate::digest;
use crate::samples::Samples;
use crate::train::{Options, Trainer};

/// Checks that this process computes what the first one does: at the beginning, so that all were asked for the same, and after
/// each epoch, since every process moves the parameters itself, with its own hardware and C library.
pub(super) fn check_same<const L: usize>(
    trainer: &Trainer<'_, L>,
    configuration: &Configuration,
) -> Result<()> {
    let ranks = trainer.ranks();
    if ranks.is_alone() {
        return Ok(());
    }
    let params: Vec<u8> = trainer.params().iter().flat_map(|param| param.to_le_bytes()).collect();
    // Whether its name was given or found does not matter.
    let options = Options { isa: None, ..configuration.options };
    let here = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "kernels": trainer.isa().name(),
        "network": configuration.network,
        "options": options,
        "images": configuration.data_sha256,
        "position": trainer.position(),
        "parameters": digest::of_bytes(&params),
    });
    let first: Value = serde_json::from_slice(&ranks.of_first(here.to_string().as_bytes()))?;
    ranks.agree(match difference("", &here, &first) {
        Some(difference) => Err(anyhow!("{difference} in rank 0: together they would not train one network")),
        None => Ok(()),
    })
}

/// The first value that differs, with its name, and what it is in the other process.
fn difference(name: &str, here: &Value, there: &Value) -> Option<String> {
    match (here, there) {
        (Value::Object(here), Value::Object(there)) => here
            .iter()
            .find_map(|(name, here)| difference(name, here, there.get(name).unwrap_or(&Value::Null))),
        _ => (here != there).then(|| format!("{name} is {here} here, but {there}")),
    }
}

/// Does the share of a process other than the first, to the end of the run.
pub(super) fn follow<const L: usize>(
    mut trainer: Trainer<'_, L>,
    configuration: &Configuration,
    test: &dyn Samples,
) -> Result<()> {
    // The first process decides when to end.
    let _signals = Signals::listen()?;
    while trainer.position().epoch < trainer.options().epochs {
        trainer.epoch(|_| ())?;
        trainer.validate()?;
        trainer.test(test)?;
        check_same(&trainer, configuration)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let of = |kernels, rate| json!({ "kernels": kernels, "options": { "epochs": 2, "rate": rate } });
        let difference = |here: &Value, there: &Value| difference("", here, there);
        assert_eq!(difference(&of("scalar", 0.5), &of("scalar", 0.5)), None);
        let said = difference(&of("scalar", 0.5), &of("scalar", 0.25)).unwrap();
        assert_eq!(said, "rate is 0.5 here, but 0.25");
        let said = difference(&of("scalar", 0.5), &of("wide", 0.25)).unwrap();
        assert_eq!(said, "kernels is \"scalar\" here, but \"wide\"");
        assert_eq!(difference(&json!({ "rate": 1 }), &json!({})).unwrap(), "rate is 1 here, but null");
    }
}

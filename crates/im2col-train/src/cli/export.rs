//! `lenet export`

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use im2col::Network;
use serde_json::json;

use super::data::SIDE;
use super::defaults::WEIGHTS;
use super::network::NetworkName;
use super::output::Output;
use super::saved::Saved;
use crate::export;
use crate::paths::shown;
use crate::weights::Description;

const EXAMPLES: &str = "\
Examples:
  lenet export --format rust --out lenet.rs
  lenet export --format raw --out lenet.bin
  lenet export --format safetensors --out lenet.safetensors
  lenet export --format rust --out -

In a program that has the crate im2col, without std:
  mod lenet;    // lenet.rs: lenet::class(&image, &mut scratch) is the digit
  static PARAMS: [f32; 61706] = im2col::include_f32!(\"lenet.bin\");";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    /// File to write, - for the standard output; one that is there is replaced and keeps its mode, a link is followed,
    /// a FIFO or device written to
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Safetensors file with PyTorch's names, ours or PyTorch's own
    #[arg(long, value_name = "FILE", default_value = WEIGHTS)]
    weights: PathBuf,
    /// Network, if the file does not name it [default: lenet-relu]
    #[arg(long, value_enum)]
    network: Option<NetworkName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The tensors with PyTorch's names, and what the weights' file says about them
    Safetensors,
    /// Little-endian f32 in state_dict order, nothing else
    Raw,
    /// A Rust module with the network, the parameters and a function
    Rust,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    let saved = Saved::read(&arguments.weights, arguments.network, output)?;
    let name = saved.network;
    let network = Network::plan(name.layers(), 1, [1, SIDE, SIDE])?;
    let params = saved.params(&network)?;
    let bytes = match arguments.format {
        // What was only assumed is not passed on.
        Format::Safetensors => export::safetensors(saved.description, &network, &params)?,
        Format::Raw => export::raw(&network, &params)?,
        Format::Rust => {
            let plan = format!("Network::plan({}, 1, [1, {SIDE}, {SIDE}])", name.path());
            let description = Description { network: Some(name.as_str().to_owned()), ..saved.description };
            export::rust(description, &plan, &network, &params)?.into_bytes()
        }
    };
    let digest = export::write(&arguments.out, &bytes)?;
    let file = shown(&arguments.out);
    let line = format!("{file}: {} bytes, SHA-256 {digest}", bytes.len());
    if export::is_standard_output(&arguments.out) {
        // The standard output is the file's.
        output.aside(line);
        return Ok(());
    }
    output.result(
        line,
        &json!({
            "file": file,
            "network": name.as_str(),
            "params": params.len(),
            "bytes": bytes.len(),
            "sha256": digest,
        }),
    )?;
    match arguments.format {
        Format::Safetensors => Ok(()),
        Format::Raw => output.note(format_args!(
            "embed it: static PARAMS: [f32; {}] = im2col::include_f32!({file:?});",
            params.len()
        )),
        Format::Rust => output.note("use it: a module; class(&image, &mut scratch) is the digit"),
    }
}

//! `lenet predict`

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use im2col::Network;
use im2col_train::known::KnownSet;
use im2col_train::paths::shown;
use im2col_train::picture::{self, Preparation};
use im2col_train::predict;
use serde_json::json;

use crate::network::NetworkName;
use crate::output::Output;
use crate::saved::{Classes, Saved};
use crate::{SIDE, WEIGHTS};

/// Characters of the longest bar.
const BAR: f32 = 50.0;

const EXAMPLES: &str = "\
Digits are cut out, scaled to 20x20 and centred by mass, as MNIST was made; with --set fashion-mnist, pictures are \
trimmed, scaled to 28x28 and centred. Dark on light is inverted. Pictures of 28x28 keep their place.

Examples:
  lenet predict seven.png
  lenet predict seven.png two.jpg --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// PNG, JPEG or PNM files of any size, dark on light or light on dark; - is the standard input
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// Safetensors file with PyTorch's names
    #[arg(long, value_name = "FILE", default_value = WEIGHTS)]
    weights: PathBuf,
    /// Network, if the file does not name it [default: lenet-relu]
    #[arg(long, value_enum)]
    network: Option<NetworkName>,
    /// What the network has learned, if the file does not say: names the classes, and decides how pictures are prepared
    /// [default: mnist]
    #[arg(long, value_enum)]
    set: Option<SetName>,
    /// Take the pixels as they are, 0 for the background: only scale other sizes to fit
    #[arg(long)]
    raw_pixels: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SetName {
    /// Handwritten digits
    Mnist,
    /// Pictures of clothes
    FashionMnist,
}

impl SetName {
    fn known(self) -> KnownSet {
        match self {
            Self::Mnist => KnownSet::Mnist,
            Self::FashionMnist => KnownSet::FashionMnist,
        }
    }
}

fn preparation(set: KnownSet) -> Preparation {
    match set {
        KnownSet::Mnist => Preparation::Digit,
        KnownSet::FashionMnist => Preparation::Garment,
    }
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    let saved = Saved::read(&arguments.weights, arguments.network, output)?;
    let network = Network::plan(saved.network.layers(), 1, [1, SIDE, SIDE])?;
    let params = saved.params(&network)?;
    let Classes { set, names: classes } =
        saved.classes(arguments.set.map(SetName::known), network.output_len())?;
    let preparation = if arguments.raw_pixels { Preparation::Raw } else { preparation(set) };
    for file in &arguments.images {
        let image = prepared(file, preparation).with_context(|| file.display().to_string())?;
        let probabilities = predict::probabilities(&network, &params, &image)?;
        let class = im2col::argmax(&probabilities).unwrap_or_default();
        let name = classes.get(class).map_or("", String::as_str);
        output.result(
            format_args!("{}: {name}\n{}", file.display(), table(&classes, &probabilities)),
            &json!({ "file": shown(file), "class": class, "name": name, "probabilities": probabilities }),
        )?;
    }
    Ok(())
}

fn prepared(file: &Path, preparation: Preparation) -> Result<image::GrayImage> {
    let picture = if file == Path::new("-") {
        picture::read(io::stdin().lock())
    } else {
        picture::read(File::open(file)?)
    };
    Ok(picture::prepare(&picture?, preparation)?)
}

/// A line with a bar for each class, at most 75 columns.
fn table(classes: &[String], probabilities: &[f32]) -> String {
    let width = classes.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let line = |(name, probability): (&String, &f32)| {
        let bar = "#".repeat((BAR * probability).round() as usize);
        format!("  {name:<width$} {:>6.2} % {bar}", 100.0 * probability).trim_end().to_owned()
    };
    classes.iter().zip(probabilities).map(line).collect::<Vec<_>>().join("\n")
}

//! `lenet predict`

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Args;
use im2col::Network;
use image::GrayImage;
use serde_json::json;

use super::data::SIDE;
use super::defaults::WEIGHTS;
use super::exit::Said;
use super::network::NetworkName;
use super::output::Output;
use super::saved::{Classes, Saved};
use super::sets::set_parser;
use crate::known::KnownSet;
use crate::paths::shown;
use crate::picture::{self, Preparation};
use crate::predict::{self, Answer};

/// Characters of the longest bar.
const BAR: f32 = 50.0;

const EXAMPLES: &str = "\
Files are PNG, JPEG or PNM (PBM, PGM, PPM, PAM), up to 8192x8192 pixels and 64 MiB; one that is damaged or truncated is \
an error, and the others are answered all the same.

Digits are cut out, scaled to 20x20 and centred by mass, as MNIST was made: uneven light, shadows, a frame, ruled lines and \
specks are removed before. With --set fashion-mnist, pictures are trimmed, scaled to 28x28 and centred. Dark on light is \
inverted. Pictures of 28x28 keep their place.

The answer is \"unsure\" where the network's confidence is below 93 %: the mean probability of the answer for the \
picture and ten copies, a little moved, turned or scaled.

Examples:
  lenet predict seven.png
  lenet predict seven.png two.jpg --json
  lenet predict --show seven.png
  lenet predict -q seven.png two.jpg";

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
    #[arg(long, value_name = "SET", value_parser = set_parser(["Handwritten digits", "Pictures of clothes"]))]
    set: Option<KnownSet>,
    /// Take the pixels as they are, 0 for the background: only scale other sizes to fit
    #[arg(long)]
    raw_pixels: bool,
    /// Print the 28x28 pixels that the network sees
    #[arg(long)]
    show: bool,
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
    let Classes { set, names: classes } = saved.classes(arguments.set, network.output_len())?;
    let preparation = if arguments.raw_pixels { Preparation::Raw } else { preparation(set) };
    let mut has_failed = false;
    for file in &arguments.images {
        let name = shown(file);
        let picture = prepared(file, preparation).and_then(|picture| {
            let answer = predict::answer(&network, &params, &picture)?;
            ensure!(
                answer.confidence.is_finite(),
                "what the network says is no number: so is one of its weights"
            );
            Ok((picture, answer))
        });
        match picture {
            Ok((picture, answer)) => {
                say(&name, &classes, &answer, arguments.show.then_some(&picture), output)?;
            }
            Err(error) => {
                has_failed = true;
                let error = format!("{error:#}");
                // Some errors name the file themselves.
                let error = error.strip_prefix(&format!("{name}: ")).unwrap_or(&error);
                output.failure(format_args!("{name}: {error}"), &json!({ "file": name, "error": error }))?;
            }
        }
    }
    if has_failed { Err(Said.into()) } else { Ok(()) }
}

fn say(
    file: &str,
    classes: &[String],
    answer: &Answer,
    shown: Option<&GrayImage>,
    output: Output,
) -> Result<()> {
    let name = classes.get(answer.class).map_or("", String::as_str);
    let said = match answer.is_sure() {
        true => name.to_owned(),
        false if output.shows_progress() => {
            format!("unsure, perhaps {name} (confidence {:.2} %)", 100.0 * answer.confidence)
        }
        false => "unsure".to_owned(),
    };
    let mut value = json!({
        "file": file,
        "class": answer.class,
        "name": name,
        "sure": answer.is_sure(),
        "confidence": answer.confidence,
        "probabilities": answer.probabilities,
    });
    if let Some(picture) = shown {
        let rows: Vec<&[u8]> = picture.chunks_exact(SIDE).collect();
        value["pixels"] = json!(rows);
    }
    output.result(format_args!("{file}: {said}"), &value)?;
    output.note(table(classes, &answer.probabilities))?;
    shown.map_or(Ok(()), |picture| output.note(drawn(picture)))
}

/// Two characters for each pixel, which are about as high as wide; the brighter, the denser.
fn drawn(picture: &GrayImage) -> String {
    const SHADES: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];
    let shade = |&luma: &u8| SHADES[usize::from(luma) * (SHADES.len() - 1) / 255];
    let row = |row: &[u8]| row.iter().map(shade).flat_map(|shade| [shade, shade]).collect::<String>();
    picture.chunks_exact(SIDE).map(|pixels| format!("  |{}|", row(pixels))).collect::<Vec<_>>().join("\n")
}

fn prepared(file: &Path, preparation: Preparation) -> Result<GrayImage> {
    let picture = if file == Path::new("-") {
        picture::read(file, io::stdin().lock())
    } else {
        picture::read(file, File::open(file)?)
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

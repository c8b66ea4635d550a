//! The page: its sections, one after the other.

pub(super) mod compare;
mod maps;
mod numbers;
mod tables;

use std::path::Path;

use im2col::Network;

use super::curves::Curves;
use super::evaluation::{Evaluation, Example};
use super::{Contents, ReportError};
use crate::dataset::Dataset;
use crate::samples::labels_sha256;

const STYLE: &str = include_str!("style.css");

/// SHA-256 of the test labels, one byte each.
const FASHION_MNIST: &str = "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9";
/// Likewise.
const MNIST: &str = "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5";

const FASHION_CLASSES: [&str; 10] =
    ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// How the page calls the data and its classes.
#[derive(Debug)]
struct Names {
    data: String,
    classes: Vec<String>,
    is_fashion: bool,
}

impl Names {
    fn new(data: Option<&Path>, test: &Dataset, classes: usize) -> Self {
        let digest = labels_sha256(test.labels());
        let folder = data.map(|data| data.display().to_string());
        let is_called_fashion =
            data.and_then(Path::file_name).is_some_and(|name| name.to_string_lossy().contains("fashion"));
        let is_fashion = classes == 10 && (digest == FASHION_MNIST || is_called_fashion);
        let data = match folder {
            None => "the built-in digits".to_owned(),
            Some(_) if is_fashion => "Fashion-MNIST".to_owned(),
            Some(_) if digest == MNIST => "MNIST".to_owned(),
            Some(folder) => folder,
        };
        let class = |class: usize| match FASHION_CLASSES.get(class) {
            Some(name) if is_fashion => (*name).to_owned(),
            _ => class.to_string(),
        };
        Self { data, classes: (0..classes).map(class).collect(), is_fashion }
    }
}

pub(super) fn html<const L: usize>(
    run: &Contents<'_, L>,
    curves: &Curves,
    evaluation: &Evaluation,
    example: &Example,
) -> Result<String, ReportError> {
    let network =
        Network::plan(run.layers, 1, run.test.image_dims()).map_err(crate::error::TrainError::from)?;
    let names = Names::new(run.data, run.test, evaluation.confusion.len());
    let title = format!("{} on {}", network_title(run.network), names.data);
    let (title, folder) = (escape(&title), escape(&run.folder.display().to_string()));
    let sections = [
        numbers::header(run, curves, evaluation, &names, network.param_len()),
        numbers::curves(curves),
        tables::confusion(evaluation, &names),
        maps::kernels(&network, run.params),
        maps::example(run.test, example, &names)?,
        maps::mistakes(run.test, evaluation, &names)?,
        tables::layers(&network),
        tables::times(run.profile),
        tables::asked(run.asked, &run.folder.display().to_string(), curves),
    ];
    let body = format!("<header>\n<h1>{title}</h1>\n{}", sections.concat());
    Ok(document(&format!("{title}: {folder}"), &body))
}

/// A page: its title and what is on it, as HTML.
fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\"/>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         {body}</main>\n\
         <footer>Made by <code>lenet report</code>, im2col {}. This page loads nothing and runs no script.</footer>\n\
         </body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
    )
}

fn network_title(name: &str) -> &str {
    match name {
        "lenet" => "LeNet",
        "lenet-relu" => "LeNet with ReLU and max pooling",
        other => other,
    }
}

/// Text as HTML shows it, in elements and in attributes. Control characters, which a folder's name may have, are
/// replaced.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            other => escaped.push(other),
        }
    }
    escaped
}

/// `0.8234` as `82.3 %`, with a space that does not break. Only all is 100 %, and only nothing 0 %.
fn percent(share: f64, digits: usize) -> String {
    let least = 0.1_f64.powi(digits as i32);
    let percents = match 100.0 * share {
        percents if share < 1.0 => percents.min(100.0 - least),
        percents => percents,
    };
    let percents = if share > 0.0 { percents.max(least) } else { percents };
    format!("{percents:.digits$}\u{a0}%")
}

/// `8.1 s`, `4 min 05 s`, `2 h 03 min`.
fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1}\u{a0}s"),
        60..3600 => format!("{}\u{a0}min {:02}\u{a0}s", whole / 60, whole % 60),
        _ => format!("{}\u{a0}h {:02}\u{a0}min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests;

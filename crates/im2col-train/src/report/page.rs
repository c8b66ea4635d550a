//! The page: its sections, one after the other.

mod compare;
mod document;
mod maps;
mod names;
mod numbers;
mod tables;

use im2col::Network;

pub(crate) use self::compare::{Compared, compare};
use self::document::document;
use self::names::Names;
use super::contents::Contents;
use super::curves::Curves;
use super::error::ReportError;
use super::evaluation::{Evaluation, Example};
use super::html::escape;
use crate::error::TrainError;

pub(super) fn html<const L: usize>(
    run: &Contents<'_, L>,
    curves: &Curves,
    evaluation: &Evaluation,
    example: &Example,
) -> Result<String, ReportError> {
    let network = Network::plan(run.layers, 1, run.test.image_dims()).map_err(TrainError::from)?;
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
        tables::asked(run.configuration, run.folder, curves),
    ];
    let body = format!("<header>\n<h1>{title}</h1>\n{}", sections.concat());
    Ok(document(&format!("{title}: {folder}"), &body))
}

fn network_title(name: &str) -> &str {
    match name {
        "lenet" => "LeNet",
        "lenet-relu" => "LeNet with ReLU and max pooling",
        other => other,
    }
}

#[cfg(test)]
mod tests;

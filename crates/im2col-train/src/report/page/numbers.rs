//! How the run went: headline numbers beside the lecture's, and curves.

use super::super::charts::{Chart, Series};
use super::super::contents::Contents;
use super::super::curves::{Curve, Curves};
use super::super::evaluation::Evaluation;
use super::super::html::{duration, escape, percent};
use super::names::Names;
use super::tables;
use crate::metrics::Epoch;
use crate::summary::grouped;

/// The end of the header that holds the title.
pub(super) fn header<const L: usize>(
    run: &Contents<'_, L>,
    curves: &Curves,
    evaluation: &Evaluation,
    names: &Names,
    params: usize,
) -> String {
    let is_lecture = names.is_fashion && run.network == "lenet";
    let lecture = |figure: &str| if is_lecture { format!("lecture {figure}") } else { String::new() };
    let epochs = curves.epochs.last().map_or(0, |epoch| epoch.epoch);
    let of_last = |text: fn(&Epoch) -> String| curves.epochs.last().map_or("\u{2013}".to_owned(), text);
    let seconds = curves.seconds();
    let (time, speed, per_epoch) = if seconds > 0.0 {
        let speed = grouped(curves.images_per_second().round() as usize);
        let per_epoch = duration(seconds / curves.epochs.len() as f64);
        (duration(seconds), speed, format!("{per_epoch} per epoch"))
    } else {
        ("\u{2013}".to_owned(), "\u{2013}".to_owned(), String::new())
    };
    let numbers = [
        ("Test accuracy", percent(evaluation.accuracy(), 2), lecture("78.2\u{a0}%")),
        ("Train accuracy", of_last(|last| percent(last.train_accuracy, 2)), lecture("82.5\u{a0}%")),
        ("Train loss", of_last(|last| format!("{:.3}", last.train_loss)), lecture("0.463")),
        ("Training time", time, per_epoch),
        ("Images per second", speed, lecture("82,473, on a GPU")),
    ]
    .map(|(name, value, note)| {
        let note = if note.is_empty() { note } else { format!("<dd>{note}</dd>") };
        format!("<div><dt>{name}</dt><dd>{value}</dd>{note}</div>\n")
    });
    let images = grouped(evaluation.images());
    format!(
        "<p>{} \u{b7} {epochs} {} \u{b7} {} parameters \u{b7} {images} test images{}</p>\n\
         <dl class=\"numbers\">\n{}</dl>\n</header>\n",
        escape(&run.folder.display().to_string()),
        if epochs == 1 { "epoch" } else { "epochs" },
        grouped(params),
        best_epoch(curves, evaluation),
        numbers.concat()
    )
}

/// The saved weights are those of the best epoch: which is said where it is not the last one.
fn best_epoch(curves: &Curves, evaluation: &Evaluation) -> String {
    let same = |epoch: &&Epoch| (epoch.test_accuracy - evaluation.accuracy()).abs() < 1e-9;
    match (curves.epochs.iter().rev().find(same), curves.epochs.last()) {
        (Some(best), Some(last)) if best.epoch < last.epoch => {
            let accuracy = percent(last.test_accuracy, 2);
            format!(
                " \u{b7} tested with the weights of epoch {}; after epoch {} the test accuracy was {accuracy}",
                best.epoch, last.epoch
            )
        }
        _ => String::new(),
    }
}

pub(super) fn curves(curves: &Curves) -> String {
    if curves.train_loss.is_empty() {
        return "<section>\n<h2>Learning</h2>\n<p>No epoch is done yet.</p>\n</section>\n".to_owned();
    }
    let series = |name: &str, class, points: &Curve, dots| Series {
        name: name.to_owned(),
        class,
        points: points.clone(),
        dots,
    };
    let of_epochs = |value: fn(&Epoch) -> Option<f64>| curves.of_epochs(value);
    let accuracies = [
        series("train accuracy", "train", &curves.train_accuracy, false),
        series("validation accuracy", "validation", &of_epochs(|epoch| epoch.validation_accuracy), true),
        series("test accuracy", "test", &of_epochs(|epoch| Some(epoch.test_accuracy)), true),
    ];
    let losses = [
        series("train loss", "loss", &curves.train_loss, false),
        series("validation loss", "validation", &of_epochs(|epoch| epoch.validation_loss), true),
        series("test loss", "testloss", &of_epochs(|epoch| Some(epoch.test_loss)), true),
    ];
    let rate = [series("learning rate", "train", &of_epochs(|epoch| Some(epoch.rate)), true)];
    let all = [&losses[..1], &accuracies[..]].concat();
    let most = losses[0].points.iter().fold(1.0_f64, |most, point| most.max(point.1));
    let chart = |title: &str, series: &[Series], range, tick, value: fn(f64) -> String| {
        let description = described(series, value);
        figure(&Chart { title: title.to_owned(), description, range, tick, value, series: series.to_vec() })
    };
    let number: fn(f64) -> String = |value| value.to_string();
    let percents: fn(f64) -> String = |value| format!("{}\u{a0}%", (value * 1e4).round() / 1e2);
    let figures = [
        chart("Loss and accuracy over the epochs", &all, [0.0, most], number, |value| format!("{value:.3}")),
        chart("Accuracy, closer", &accuracies, closer_range(&accuracies), percents, |value| {
            percent(value, 2)
        }),
        chart("Loss", &losses, range_to_most(&losses), number, |value| format!("{value:.4}")),
        chart("Learning rate", &rate, range_to_most(&rate), number, rate_text),
    ];
    format!(
        "<section>\n<h2>Learning</h2>\n\
         <p>Train loss and accuracy are means over the epoch so far; the learning rate is that of an epoch's last \
         step.</p>\n<div class=\"two\">\n{}</div>\n{}</section>\n",
        figures.concat(),
        tables::epochs(&curves.epochs)
    )
}

pub(super) fn figure(chart: &Chart) -> String {
    format!("<figure>\n<h3>{}</h3>\n{}{}</figure>\n", escape(&chart.title), chart.legend(), chart.svg())
}

/// Few digits, and none for nothing: `0.02`, `0.00013`.
pub(super) fn rate_text(rate: f64) -> String {
    let digits = if rate > 0.0 { (2.0 - rate.log10().floor()).clamp(1.0, 5.0) as usize } else { 1 };
    let text = format!("{rate:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// From nothing to the most there is.
pub(super) fn range_to_most(series: &[Series]) -> [f64; 2] {
    let points = series.iter().flat_map(|series| &series.points);
    [0.0, points.fold(f64::MIN_POSITIVE, |most, point| most.max(point.1))]
}

/// From the least after a third of the epochs: the steep beginning would leave no room for it.
pub(super) fn closer_range(accuracies: &[Series]) -> [f64; 2] {
    let points = || accuracies.iter().flat_map(|series| &series.points);
    let last = points().fold(0.0_f64, |last, point| last.max(point.0));
    let late = points().filter(|point| point.0 >= last / 3.0);
    let [low, high] = late.fold([1.0_f64, 0.0_f64], |[low, high], p| [low.min(p.1), high.max(p.1)]);
    // At least a percent, so that noise does not look like much.
    [low.min(high - 0.01).max(0.0), high]
}

pub(super) fn described(series: &[Series], format: impl Fn(f64) -> String) -> String {
    let lines = series.iter().filter_map(|series| {
        let (first, last) = (series.points.first()?, series.points.last()?);
        Some(format!(
            "{} goes from {} at epoch {} to {} at epoch {}.",
            series.name,
            format(first.1),
            first.0,
            format(last.1),
            last.0
        ))
    });
    lines.collect::<Vec<_>>().join(" ")
}

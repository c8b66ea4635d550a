//! How the run went: headline numbers beside the lecture's, and curves.

use super::super::Contents;
use super::super::charts::{Chart, Series};
use super::super::curves::Curves;
use super::super::evaluation::Evaluation;
use super::{Names, duration, escape, percent};
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
        ("Test accuracy", percent(evaluation.accuracy(), 1), lecture("78.2\u{a0}%")),
        ("Train accuracy", of_last(|last| percent(last.train_accuracy, 1)), lecture("82.5\u{a0}%")),
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
            let accuracy = percent(last.test_accuracy, 1);
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
    let accuracies = [
        Series { name: "train accuracy", class: "train", points: curves.train_accuracy.clone(), dots: false },
        Series {
            name: "validation accuracy",
            class: "validation",
            points: curves.of_epochs(|epoch| epoch.validation_accuracy),
            dots: true,
        },
        Series {
            name: "test accuracy",
            class: "test",
            points: curves.of_epochs(|epoch| Some(epoch.test_accuracy)),
            dots: true,
        },
    ];
    let closer = Chart {
        title: "Accuracy, closer".to_owned(),
        description: described(&accuracies, |value| percent(value, 1)),
        range: closer_range(&accuracies),
        tick: |value| format!("{}\u{a0}%", (value * 1e4).round() / 1e2),
        value: |value| percent(value, 1),
        series: accuracies.to_vec(),
    };
    let loss = Series { name: "train loss", class: "loss", points: curves.train_loss.clone(), dots: false };
    let most = loss.points.iter().fold(1.0_f64, |most, point| most.max(point.1));
    let series = [&[loss], &accuracies[..]].concat();
    let all = Chart {
        title: "Loss and accuracy over the epochs".to_owned(),
        description: described(&series, |value| format!("{value:.3}")),
        range: [0.0, most],
        tick: |value| value.to_string(),
        value: |value| format!("{value:.3}"),
        series,
    };
    let figure = |chart: &Chart| {
        format!("<figure>\n<h3>{}</h3>\n{}{}</figure>\n", escape(&chart.title), chart.legend(), chart.svg())
    };
    format!(
        "<section>\n<h2>Learning</h2>\n\
         <p>Train loss and accuracy are means over the epoch so far.</p>\n\
         <div class=\"two\">\n{}{}</div>\n{}</section>\n",
        figure(&all),
        figure(&closer),
        super::tables::epochs(&curves.epochs)
    )
}

/// From the least after a third of the epochs: the steep beginning would leave no room for it.
fn closer_range(accuracies: &[Series]) -> [f64; 2] {
    let points = || accuracies.iter().flat_map(|series| &series.points);
    let last = points().fold(0.0_f64, |last, point| last.max(point.0));
    let late = points().filter(|point| point.0 >= last / 3.0);
    let [low, high] = late.fold([1.0_f64, 0.0_f64], |[low, high], p| [low.min(p.1), high.max(p.1)]);
    // At least a percent, so that noise does not look like much.
    [low.min(high - 0.01).max(0.0), high]
}

fn described(series: &[Series], format: impl Fn(f64) -> String) -> String {
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

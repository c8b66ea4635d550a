//! Runs side by side: their curves in one picture, their numbers and options in columns.

use super::super::asked;
use super::super::charts::{Chart, Series};
use super::super::curves::Curves;
use super::super::html::{duration, escape, percent};
use super::document::document;
use super::numbers::{self, figure};
use crate::checkpoint::Configuration;
use crate::metrics::{Epoch, Record};
use crate::summary::grouped;

/// Lines of the style sheet; further runs begin again.
const CLASSES: [&str; 6] = ["run0", "run1", "run2", "run3", "run4", "run5"];

/// A run of a comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared<'a> {
    /// Its folder, as the page shall call it.
    pub folder: &'a str,
    /// What was asked for.
    pub configuration: &'a Configuration,
    /// What happened.
    pub records: &'a [Record],
}

/// A page with the runs side by side.
#[must_use]
pub(crate) fn compare(runs: &[Compared<'_>]) -> String {
    let curves: Vec<Curves> = runs.iter().map(|run| Curves::of(run.records)).collect();
    let title = format!("{} runs side by side", runs.len());
    let body = format!(
        "<header>\n<h1>{title}</h1>\n<p>{}</p>\n</header>\n{}{}{}",
        escape(&runs.iter().map(|run| run.folder).collect::<Vec<_>>().join(" \u{b7} ")),
        lines(runs, &curves),
        results(runs, &curves),
        options(runs),
    );
    document(&title, &body)
}

fn lines(runs: &[Compared<'_>], curves: &[Curves]) -> String {
    let chart = |title: &str, value: fn(&Epoch) -> f64, is_share: bool| {
        let series: Vec<Series> = (runs.iter().zip(curves).zip(CLASSES.iter().cycle()))
            .map(|((run, curves), class)| Series {
                name: run.folder.to_owned(),
                class,
                points: curves.of_epochs(|epoch| Some(value(epoch))),
                dots: true,
            })
            .collect();
        let range = if is_share { numbers::closer_range(&series) } else { numbers::range_to_most(&series) };
        let text: fn(f64) -> String = if is_share { |value| percent(value, 2) } else { numbers::rate_text };
        let tick: fn(f64) -> String = if is_share {
            |value| format!("{}\u{a0}%", (value * 1e4).round() / 1e2)
        } else {
            |value| value.to_string()
        };
        let description = numbers::described(&series, text);
        figure(&Chart { title: title.to_owned(), description, range, tick, value: text, series })
    };
    format!(
        "<section>\n<h2>Learning</h2>\n<div class=\"two\">\n{}{}{}{}</div>\n</section>\n",
        chart("Test accuracy", |epoch| epoch.test_accuracy, true),
        chart("Test loss", |epoch| epoch.test_loss, false),
        chart("Train loss", |epoch| epoch.train_loss, false),
        chart("Learning rate", |epoch| epoch.rate, false),
    )
}

fn results(runs: &[Compared<'_>], curves: &[Curves]) -> String {
    let row = |name: &str, value: &dyn Fn(&Curves, &Epoch) -> String| {
        let values: Vec<String> = curves
            .iter()
            .map(|curves| curves.epochs.last().map_or("\u{2013}".to_owned(), |last| value(curves, last)))
            .collect();
        table_row(name, &values, false)
    };
    let best = |curves: &Curves| {
        let better = |best: &Epoch, next: &Epoch| next.test_accuracy > best.test_accuracy;
        curves.epochs.iter().reduce(|best, next| if better(best, next) { next } else { best }).cloned()
    };
    let rows = [
        row("epochs", &|_, last| last.epoch.to_string()),
        row("test accuracy", &|_, last| percent(last.test_accuracy, 2)),
        row("test loss", &|_, last| format!("{:.4}", last.test_loss)),
        row("train accuracy", &|_, last| percent(last.train_accuracy, 2)),
        row("train loss", &|_, last| format!("{:.4}", last.train_loss)),
        row("best test accuracy", &|curves, _| {
            best(curves).map_or(String::new(), |best| {
                format!("{} in epoch {}", percent(best.test_accuracy, 2), best.epoch)
            })
        }),
        row("training time", &|curves, _| duration(curves.seconds())),
        row("images per second", &|curves, _| grouped(curves.images_per_second().round() as usize)),
    ];
    format!("<section>\n<h2>After the last epoch</h2>\n{}</section>\n", table(runs, &rows.concat()))
}

/// The options, those that differ in bold.
fn options(runs: &[Compared<'_>]) -> String {
    let lists: Vec<Vec<(String, String)>> = runs.iter().map(|run| asked::rows(run.configuration)).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in lists.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let rows: String = names
        .iter()
        .map(|name| {
            let values: Vec<String> = lists
                .iter()
                .map(|list| {
                    list.iter().find(|row| row.0 == *name).map_or("\u{2013}", |row| &row.1).to_owned()
                })
                .collect();
            let differs = values.iter().any(|value| *value != values[0]);
            table_row(name, &values, differs)
        })
        .collect();
    format!(
        "<section>\n<h2>What was asked for</h2>\n<p>What differs is in bold.</p>\n{}</section>\n",
        table(runs, &rows)
    )
}

fn table(runs: &[Compared<'_>], rows: &str) -> String {
    let heads: String = runs
        .iter()
        .zip(CLASSES.iter().cycle())
        .map(|(run, class)| format!("<th scope=\"col\" class=\"{class}\">{}</th>", escape(run.folder)))
        .collect();
    format!(
        "<div class=\"scroll\">\n<table class=\"list compared\">\n<thead><tr><th></th>{heads}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

fn table_row(name: &str, values: &[String], is_bold: bool) -> String {
    let cell = |value: &String| match escape(value) {
        value if is_bold => format!("<td><b>{value}</b></td>"),
        value => format!("<td>{value}</td>"),
    };
    let cells: String = values.iter().map(cell).collect();
    format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escape(name))
}

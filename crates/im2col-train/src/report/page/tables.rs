//! Numbers in rows: the confusion matrix, the epochs, the layers, the times, and what was asked for.

use std::path::Path;

use im2col::Network;

use super::super::asked;
use super::super::curves::Curves;
use super::super::evaluation::Evaluation;
use super::super::html::{escape, percent};
use super::names::Names;
use crate::checkpoint::Configuration;
use crate::metrics::{Epoch, Start};
use crate::profile::{LayerTime, Profile};
use crate::summary::{dims_text, grouped};

pub(super) fn confusion(evaluation: &Evaluation, names: &Names) -> String {
    let has_long_names = names.classes.iter().any(|name| name.len() > 2);
    let heads = names.classes.iter().map(|name| {
        let name = escape(name);
        let name = if has_long_names { format!("<span class=\"up\">{name}</span>") } else { name };
        format!("<th scope=\"col\">{name}</th>")
    });
    let heads = heads.collect::<String>();
    let rows = evaluation.confusion.iter().enumerate().map(|(label, counts)| {
        let images = counts.iter().sum::<usize>().max(1);
        let cells = counts
            .iter()
            .enumerate()
            .map(|(prediction, &count)| cell(count, count as f64 / images as f64, label == prediction));
        let recall = evaluation.recall(label).map_or("\u{2013}".to_owned(), |recall| percent(recall, 2));
        format!(
            "<tr><th scope=\"row\">{}</th>{}<td class=\"recall\">{recall}</td></tr>\n",
            escape(&names.classes[label]),
            cells.collect::<String>()
        )
    });
    let confusions = evaluation.confusions(3).into_iter().map(|(label, prediction, count)| {
        let (label, prediction) = (escape(&names.classes[label]), escape(&names.classes[prediction]));
        format!("{label} \u{2192} {prediction} ({})", grouped(count))
    });
    let confusions = confusions.collect::<Vec<_>>().join(", ");
    let most = if confusions.is_empty() {
        String::new()
    } else {
        format!(" Most often it is wrong like this: {confusions}.")
    };
    format!(
        "<section>\n<h2>Confusion matrix</h2>\n\
         <p>A row for what {} test images show, a column for what the network says. The mean cross entropy is \
         {:.3}.{most}</p>\n\
         <div class=\"scroll\">\n<table class=\"confusion{}\">\n<thead><tr><th class=\"first\" scope=\"col\">label</th>\
         {heads}<th class=\"recall\" scope=\"col\">recall</th></tr></thead>\n<tbody>\n{}</tbody>\n</table>\n</div>\n\
         </section>\n",
        grouped(evaluation.images()),
        evaluation.loss,
        if has_long_names { "" } else { " digits" },
        rows.collect::<String>()
    )
}

/// `share`: of the row's images. Mistakes are few, so the root of their share decides their colour.
fn cell(count: usize, share: f64, is_right: bool) -> String {
    let colour = if is_right { share } else { share.sqrt() };
    let mut class = if is_right { "right".to_owned() } else { String::new() };
    if colour > 0.84 {
        class += " strong";
    }
    if count == 0 {
        class += " none";
    }
    let class = if class.is_empty() { class } else { format!(" class=\"{}\"", class.trim()) };
    format!("<td{class} style=\"--share:{:.0}%\">{count}</td>", 100.0 * colour)
}

/// A table in a box that scrolls where it is too wide.
fn list(class: &str, heads: &[&str], rows: &str, foot: &str) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    let foot = if foot.is_empty() { String::new() } else { format!("<tfoot>{foot}</tfoot>\n") };
    format!(
        "<div class=\"scroll\">\n<table class=\"list{class}\">\n<thead><tr>{heads}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n{foot}</table>\n</div>\n"
    )
}

pub(super) fn epochs(epochs: &[Epoch]) -> String {
    if epochs.is_empty() {
        return String::new();
    }
    let has_validation = epochs.iter().any(|epoch| epoch.validation_accuracy.is_some());
    let validation = |epoch: &Epoch| match epoch.validation_accuracy {
        _ if !has_validation => String::new(),
        Some(accuracy) => format!("<td>{}</td>", percent(accuracy, 2)),
        None => "<td></td>".to_owned(),
    };
    let rows = epochs.iter().map(|epoch| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{:.4}</td><td>{}</td>{}<td>{:.4}</td><td>{}</td><td>{:.4}</td>\
             <td>{:.2}</td><td>{}</td></tr>\n",
            epoch.epoch,
            epoch.train_loss,
            percent(epoch.train_accuracy, 2),
            validation(epoch),
            epoch.test_loss,
            percent(epoch.test_accuracy, 2),
            epoch.rate,
            epoch.seconds,
            grouped(epoch.images_per_second.round() as usize)
        )
    });
    let mut heads =
        vec!["epoch", "train loss", "train acc.", "test loss", "test acc.", "rate", "seconds", "images/s"];
    if has_validation {
        heads.insert(3, "valid. acc.");
    }
    let table = list("", &heads, &rows.collect::<String>(), "");
    format!("<details>\n<summary>All epochs as numbers</summary>\n{table}</details>\n")
}

pub(super) fn layers<const L: usize>(network: &Network<L>) -> String {
    let rows = network.layers().map(|layer| {
        format!(
            "<tr><th scope=\"row\"><i>{}</i>{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            layer.index,
            layer.name,
            dims_text(&layer.output_dims()[1..]),
            number(layer.params),
            number(layer.multiply_adds)
        )
    });
    let total =
        |of: fn(&im2col::LayerSummary) -> usize| grouped(network.layers().map(|layer| of(&layer)).sum());
    let foot = format!(
        "<tr><th scope=\"row\">total</th><td></td><td>{}</td><td>{}</td></tr>",
        total(|layer| layer.params),
        total(|layer| layer.multiply_adds)
    );
    format!(
        "<section>\n<h2>Layers</h2>\n<p>Output shape, parameters, and multiply-adds for one image.</p>\n{}</section>\n",
        list("", &["layer", "output", "parameters", "multiply-adds"], &rows.collect::<String>(), &foot)
    )
}

/// Nothing where there is nothing to count.
fn number(number: usize) -> String {
    if number == 0 { String::new() } else { grouped(number) }
}

/// What the parts of a step do that are no layers.
const PARTS: &str = "<dl class=\"parts\">\n\
    <div><dt>pack</dt><dd>lays the weights out in the order in which the kernels read them, once a step</dd></div>\n\
    <div><dt>gather</dt><dd>fetches the images of a micro-batch and scales their pixels to 0..1</dd></div>\n\
    <div><dt>loss</dt><dd>computes the cross entropy and its gradient, where the backward pass begins</dd></div>\n\
    <div><dt>add</dt><dd>adds the gradients of micro-batches to that of the step</dd></div>\n\
    <div><dt>update</dt><dd>moves the weights against the gradient</dd></div>\n</dl>\n";

pub(super) fn times(profile: &Profile) -> String {
    let most = profile
        .layers
        .iter()
        .map(|layer| layer.us())
        .chain(profile.parts.iter().map(|part| part.us))
        .fold(f64::MIN_POSITIVE, f64::max);
    let span = |class: &str, us: f64| {
        format!("<span class=\"{class}\" style=\"width:{:.2}%\"></span>", 100.0 * us / most)
    };
    let us = |us: f64| if us < 0.05 { String::new() } else { format!("{us:.1}") };
    let layers = profile.layers.iter().map(|layer| {
        format!(
            "<tr><th scope=\"row\"><i>{}</i>{}</th><td class=\"wide\"><div class=\"bar\">{}{}</div></td>\
             <td>{}</td><td>{}</td><td>{}</td></tr>\n",
            layer.index,
            layer.name,
            span("forth", layer.forward_us),
            span("back", layer.backward_us),
            us(layer.forward_us),
            us(layer.backward_us),
            percent(layer.share, 1)
        )
    });
    let parts = profile.parts.iter().map(|part| {
        format!(
            "<tr><th scope=\"row\"><i></i>{}</th><td class=\"wide\"><div class=\"bar\">{}</div></td>\
             <td colspan=\"2\">{}</td><td>{}</td></tr>\n",
            part.name,
            span("other", part.us),
            us(part.us),
            percent(part.share, 1)
        )
    });
    let sum = |of: fn(&LayerTime) -> f64| us(profile.layers.iter().map(of).sum());
    let foot = format!(
        "<tr><th scope=\"row\">layers</th><td></td><td>{}</td><td>{}</td><td></td></tr>",
        sum(|layer| layer.forward_us),
        sum(|layer| layer.backward_us)
    );
    let rows: String = layers.chain(parts).collect();
    format!(
        "<section>\n<h2>Where the time goes</h2>\n\
         <p>A training step of {} images on one thread ({}) takes {:.2}\u{a0}ms, {} images per second; \
         medians of {} steps, in microseconds. Where a layer applies the activation behind it, the time of both is \
         the layer's.</p>\n\
         <ul class=\"legend\"><li><span class=\"key\"></span>forward</li><li><span class=\"key back\"></span>backward</li>\
         <li><span class=\"key other\"></span>other</li></ul>\n{}{PARTS}</section>\n",
        profile.batch,
        profile.isa,
        profile.step_us / 1000.0,
        grouped(profile.images_per_second.round() as usize),
        grouped(profile.steps),
        list(" times", &["layer", "time", "forward", "backward", "share"], &rows, &foot)
    )
}

fn threads(start: &Start) -> String {
    match start.processes {
        1 => start.threads.to_string(),
        processes => format!("{} in each of {processes} processes", start.threads),
    }
}

/// The command that made the run, its options, and where the run ran.
pub(super) fn asked(configuration: &Configuration, folder: &Path, curves: &Curves) -> String {
    let mut rows = asked::rows(configuration);
    // The version that ran last is listed below.
    rows.retain(|(name, _)| name != "version" || curves.starts.is_empty());
    if let Some(start) = curves.starts.last() {
        rows.extend(
            [
                ("version", start.version.clone()),
                ("kernels", start.isa.clone()),
                ("threads", threads(start)),
                ("starts", curves.starts.len().to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
    }
    let rows: String = rows
        .iter()
        .map(|(name, value)| {
            format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(value))
        })
        .collect();
    let command = escape(&asked::command(configuration, folder));
    format!(
        "<section>\n<h2>What was asked for</h2>\n<pre class=\"command\"><code>{command}</code></pre>\n<div class=\"scroll\">\n<table class=\"list asked\">\
         <thead><tr><th scope=\"col\">option</th><th scope=\"col\">value</th></tr></thead>\n\
         <tbody>\n{rows}</tbody></table>\n</div>\n</section>\n"
    )
}

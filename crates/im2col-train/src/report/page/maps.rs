//! What the network sees: its kernels, one image layer by layer, and the images that it gets wrong.

use im2col::Network;

use super::super::error::ReportError;
use super::super::evaluation::{Evaluation, Example};
use super::super::html::{escape, percent};
use super::super::pictures;
use super::names::Names;
use crate::dataset::Dataset;
use crate::summary::{dims_text, grouped};

pub(super) fn kernels<const L: usize>(network: &Network<L>, params: &[f32]) -> String {
    pictures::kernels(network, params).iter().map(layer_kernels).collect()
}

fn layer_kernels(kernels: &pictures::Kernels) -> String {
    let pictures::Kernels { outputs, inputs, rows, cols, most, .. } = *kernels;
    let text = if inputs == 1 {
        "Each is laid on the image, everywhere; what it finds becomes a channel of the output.".to_owned()
    } else {
        format!(
            "Each row makes a channel of the output: its {inputs} kernels are laid on the {inputs} channels of the \
             input, and what they find is added."
        )
    };
    format!(
        "<section>\n<h2>The {} learned {rows}x{cols} kernels of layer {}</h2>\n\
         <p>{text} Blue weights ask for bright pixels, orange ones for dark.</p>\n\
         <div class=\"kernels{}\">\n{}</div>\n\
         <div class=\"scale\">\u{2212}{most:.2}<span></span>+{most:.2}</div>\n</section>\n",
        outputs * inputs,
        kernels.parameter.layer,
        if inputs == 1 { "" } else { " rows" },
        kernels.figures
    )
}

pub(super) fn example(test: &Dataset, example: &Example, names: &Names) -> Result<String, ReportError> {
    let class = escape(&names.classes[example.label]);
    let [_, rows, cols] = test.image_dims();
    let picture = pictures::image(test, example.image, &format!("test image {}: {class}", example.image))?;
    let mut steps = row("Input", &format!("{rows}x{cols}"), &picture);
    for layer in &example.layers {
        let [least, largest] = pictures::range(&layer.values);
        let name = format!("{} {}", layer.index, layer.name);
        let note = format!("{} \u{b7} {} to {}", dims_text(&layer.dims), signed(least), signed(largest));
        steps += &row(&name, &note, &pictures::layer_output(layer)?);
    }
    let best = im2col::argmax(&example.probabilities);
    let bars = example.probabilities.iter().enumerate().map(|(class, &probability)| {
        format!(
            "<tr{}><th scope=\"row\">{}</th><td><div class=\"bar\"><span style=\"width:{:.2}%\"></span></div></td>\
             <td>{}</td></tr>\n",
            if best == Some(class) { " class=\"best\"" } else { "" },
            escape(&names.classes[class]),
            100.0 * probability,
            percent(f64::from(probability), 2)
        )
    });
    let bars = format!("<table class=\"bars\"><tbody>\n{}</tbody></table>\n", bars.collect::<String>());
    steps += &row("Softmax", &format!("{} classes", example.probabilities.len()), &bars);
    Ok(format!(
        "<section>\n<h2>One image, layer by layer</h2>\n\
         <p>Test image {} shows class {class}. Space shrinks while channels grow; in each layer the least value is \
         black and the largest white.</p>\n<ol class=\"flow\">\n{steps}</ol>\n</section>\n",
        example.image
    ))
}

fn row(name: &str, note: &str, picture: &str) -> String {
    format!("<li><div><b>{name}</b> <small>{note}</small></div>\n{picture}</li>\n")
}

/// With a minus that is as wide as a plus.
fn signed(value: f32) -> String {
    format!("{value:.2}").replace('-', "\u{2212}")
}

pub(super) fn mistakes(
    test: &Dataset,
    evaluation: &Evaluation,
    names: &Names,
) -> Result<String, ReportError> {
    let mut items = String::new();
    for mistake in &evaluation.mistakes {
        let (label, prediction) = (&names.classes[mistake.label], &names.classes[mistake.prediction]);
        let picture = pictures::image(test, mistake.image, &format!("{label}, taken for {prediction}"))?;
        items += &format!(
            "<li>{picture}<div>{} \u{2192} <b>{}</b><small>{} \u{b7} #{}</small></div></li>\n",
            escape(label),
            escape(prediction),
            percent(f64::from(mistake.probability), 2),
            mistake.image
        );
    }
    let wrong =
        evaluation.confusion.iter().enumerate().map(|(class, row)| row.iter().sum::<usize>() - row[class]);
    let wrong = wrong.sum::<usize>();
    let text = match wrong {
        0 => "Every test image is classified correctly.".to_owned(),
        1 => "One test image is wrong: its label \u{2192} what the network says, how surely.".to_owned(),
        _ => format!(
            "Of {} wrong test images those where the network is surest: the label \u{2192} what the network says, \
             and how surely.",
            grouped(wrong)
        ),
    };
    Ok(format!(
        "<section>\n<h2>Most confidently wrong</h2>\n<p>{text}</p>\n{}</section>\n",
        if items.is_empty() { items } else { format!("<ul class=\"mistakes\">\n{items}</ul>\n") }
    ))
}

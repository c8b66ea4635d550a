//! Images, kernels and feature maps as pictures inside the page.

use std::fmt::Write;
use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use im2col::{Network, Parameter};
use image::{GrayImage, ImageError, ImageFormat};

use super::evaluation::LayerOutput;
use super::html::escape;
use crate::dataset::Dataset;

/// More maps of a layer, or kernels, would only make the page long.
const MOST_MAPS: usize = 64;
/// The kernels of deeper layers are laid on what nobody can picture.
const MOST_LAYERS: usize = 2;

/// An image of a data set, as an `img` element with these words for those who cannot see it.
pub(super) fn image(dataset: &Dataset, image: usize, alt: &str) -> Result<String, ImageError> {
    let [_, rows, cols] = dataset.image_dims();
    let image_len = dataset.pixels().len() / dataset.len();
    // Of an image of several channels the first.
    let pixels = &dataset.pixels()[image * image_len..][..rows * cols];
    grey(pixels, rows, cols, alt)
}

/// The feature maps or the features of a layer, the least value black, the largest white.
pub(super) fn layer_output(layer: &LayerOutput) -> Result<String, ImageError> {
    let [least, largest] = range(&layer.values);
    let scale = if largest > least { 255.0 / (largest - least) } else { 0.0 };
    let pixels: Vec<u8> = layer.values.iter().map(|value| ((value - least) * scale).round() as u8).collect();
    let [channels, rows, cols] = match layer.dims[..] {
        [channels, rows, cols] => [channels, rows, cols],
        _ => [1, 1, pixels.len()],
    };
    let shown = channels.min(MOST_MAPS);
    let what =
        if rows == 1 { format!("{cols} values") } else { format!("{channels} maps of {rows} by {cols}") };
    let class = if rows == 1 { "strip" } else { "maps" };
    // A strip is a bar of eight pixels for each value, where there is room.
    let (wide, width) = (
        shown.min(16),
        if rows == 1 {
            8 * cols
        } else if shown > 8 {
            40
        } else {
            56
        },
    );
    let mut html = format!(
        "<div class=\"{class}\" role=\"img\" aria-label=\"{what}, from {least:.3} to {largest:.3}\" \
         style=\"--wide:{wide};--narrow:{};--width:{width}px\">",
        wide.min(if shown > 8 { 8 } else { 6 })
    );
    for map in pixels.chunks_exact((rows * cols).max(1)).take(shown) {
        html += &grey(map, rows, cols, "")?;
    }
    Ok(html + "</div>\n")
}

/// The least and the largest of some values.
pub(super) fn range(values: &[f32]) -> [f32; 2] {
    let bounds = values.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[least, largest], &value| {
        [least.min(value), largest.max(value)]
    });
    if bounds[0] <= bounds[1] { bounds } else { [0.0, 0.0] }
}

fn grey(pixels: &[u8], rows: usize, cols: usize, alt: &str) -> Result<String, ImageError> {
    // A slice of that many pixels is there, so its sides are numbers of 32 bits; and never without an image.
    let (width, height) = (u32::try_from(cols).unwrap_or(0), u32::try_from(rows).unwrap_or(0));
    let picture = GrayImage::from_raw(width, height, pixels.to_vec()).unwrap_or_default();
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png)?;
    let data = STANDARD.encode(png.into_inner());
    Ok(format!(
        "<img src=\"data:image/png;base64,{data}\" width=\"{cols}\" height=\"{rows}\" alt=\"{}\"/>",
        escape(alt)
    ))
}

/// The kernels of the network's first two convolutions: a figure for each output channel with its kernels side by
/// side, one for each input channel, and the scale that they share.
pub(super) fn kernels<const L: usize>(network: &Network<L>, params: &[f32]) -> Vec<Kernels> {
    let layers = network.parameters().filter_map(|parameter| {
        let &[outputs, inputs, rows, cols] = parameter.dims() else { return None };
        let values = params.get(parameter.range.clone())?;
        let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let figures = values
            .chunks_exact((inputs * rows * cols).max(1))
            .take(MOST_MAPS)
            .enumerate()
            .map(|(output, values)| kernel_figure(values, [rows, cols], most, &format!("channel {output}")))
            .collect();
        Some(Kernels { parameter, outputs, inputs, rows, cols, most, figures })
    });
    layers.take(MOST_LAYERS).collect()
}

#[derive(Debug)]
pub(super) struct Kernels {
    pub(super) parameter: Parameter,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// The largest magnitude.
    pub(super) most: f32,
    pub(super) figures: String,
}

/// A square for each weight: its sign is a colour, its size how much of it. A quarter of a square lies between two
/// kernels.
fn kernel_figure(values: &[f32], [rows, cols]: [usize; 2], most: f32, name: &str) -> String {
    let kernels = values.len() / (rows * cols).max(1);
    let width = kernels as f32 * (cols as f32 + 0.25) - 0.25;
    let what = if kernels == 1 { "a kernel".to_owned() } else { format!("{kernels} kernels") };
    let mut svg = format!(
        "<figure><svg class=\"kernel\" viewBox=\"0 0 {width} {rows}\" role=\"img\">\
         <title>{name}: {what} of {rows} by {cols} weights</title><desc>"
    );
    for row in values.chunks(cols.max(1)) {
        let row: Vec<String> = row.iter().map(|value| format!("{value:.2}")).collect();
        let _ = write!(svg, "{}; ", row.join(" "));
    }
    svg.push_str("</desc>\n");
    for (place, &value) in values.iter().enumerate() {
        let class = if value < 0.0 { "negative" } else { "positive" };
        let share = if most > 0.0 { 100.0 * value.abs() / most } else { 0.0 };
        let (kernel, place) = (place / (rows * cols), place % (rows * cols));
        let (x, y) = (kernel as f32 * (cols as f32 + 0.25) + (place % cols) as f32, place / cols);
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"1\" height=\"1\" style=\"--share:{share:.0}%\"/>"
        );
    }
    svg + &format!("</svg><figcaption>{name}</figcaption></figure>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use im2col::lenet::LENET;

    /// The pictures of a piece of HTML.
    fn decode(html: &str) -> Vec<GrayImage> {
        html.split("base64,")
            .skip(1)
            .map(|rest| {
                let png = STANDARD.decode(rest.split('"').next().unwrap()).unwrap();
                image::load_from_memory(&png).unwrap().into_luma8()
            })
            .collect()
    }

    #[test]
    fn an_image_is_its_pixels() {
        let dataset = Dataset::new([1, 2, 3], (0..12).collect(), vec![0, 1]).unwrap();
        let html = image(&dataset, 1, "a \"b\"").unwrap();
        assert_eq!(decode(&html)[0].as_raw(), &[6, 7, 8, 9, 10, 11]);
        assert!(html.ends_with("width=\"3\" height=\"2\" alt=\"a &quot;b&quot;\"/>"), "{html}");
    }

    #[test]
    fn maps_are_scaled_together() {
        let output =
            LayerOutput { index: 0, name: "Conv2d", dims: vec![2, 1, 2], values: vec![-1.0, 0.0, 0.5, 1.0] };
        let html = layer_output(&output).unwrap();
        // A map of one row is a strip all the same; black is -1, white is 1.
        let maps = decode(&html);
        assert_eq!([maps[0].as_raw(), maps[1].as_raw()], [&[0, 128], &[191, 255]]);
        assert!(html.contains("from -1.000 to 1.000"), "{html}");
        let flat = LayerOutput { index: 0, name: "ReLU", dims: vec![3], values: vec![7.0; 3] };
        assert_eq!(decode(&layer_output(&flat).unwrap())[0].as_raw(), &[0, 0, 0]);
    }

    #[test]
    fn a_kernel_has_a_square_for_each_weight() {
        let network = Network::plan(LENET, 1, [1, 28, 28]).unwrap();
        let mut params = vec![0.0; network.param_len()];
        params[..3].copy_from_slice(&[0.5, -2.0, 1.0]);
        // The last weight of the second layer's channel 1.
        params[156 + 2 * 150 - 1] = -0.5;
        let [kernels, second] = &kernels(&network, &params)[..] else { panic!("two convolutions") };
        assert_eq!((kernels.outputs, kernels.rows, kernels.cols, kernels.most), (6, 5, 5, 2.0));
        assert_eq!((second.outputs, second.inputs, second.parameter.layer, second.most), (16, 6, 3, 0.5));
        assert_eq!(second.figures.matches("<rect").count(), 2400);
        assert_eq!(second.figures.matches("class=\"negative\" x=\"30.25\" y=\"4\"").count(), 1);
        assert!(second.figures.contains("viewBox=\"0 0 31.25 5\""));
        assert_eq!(kernels.figures.matches("<rect").count(), 150);
        assert_eq!(kernels.figures.matches("class=\"negative\"").count(), 1);
        assert!(kernels.figures.contains(
            "<rect class=\"negative\" x=\"1\" y=\"0\" width=\"1\" height=\"1\" style=\"--share:100%\"/>"
        ));
        assert!(kernels.figures.contains("<desc>0.50 -2.00 1.00 0.00 0.00; "));
    }
}

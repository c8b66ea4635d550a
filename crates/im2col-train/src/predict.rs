//! From a picture of a digit to the probability of each class.

use std::io::Cursor;

use im2col::{Network, NetworkWeights, RunError};
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageFormat, ImageReader, Limits, Luma, LumaA};

pub use image::ImageError;

use crate::shard::normalised;

/// The largest picture that is decoded, in pixels of one side.
const MAX_SIDE: u32 = 8192;
/// The most memory that decoding may take: four bytes a pixel of the largest picture.
const MAX_DECODED_LEN: u64 = 4 * (MAX_SIDE as u64) * (MAX_SIDE as u64);

/// The picture of a PNG file as the network wants it: `rows` x `cols`, grey, bright ink on black.
///
/// The picture is scaled to fit and centred. Where its mean is bright it is taken for dark ink on light paper
/// and inverted; transparent parts count as paper.
///
/// # Errors
/// The file is not a sound PNG file, or its picture is larger than 8192 x 8192.
pub fn digit_from_png(file: &[u8], rows: u32, cols: u32) -> Result<GrayImage, ImageError> {
    let mut reader = ImageReader::with_format(Cursor::new(file), ImageFormat::Png);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_LEN);
    reader.limits(limits);
    Ok(fit(&bright_on_black(&reader.decode()?), rows, cols))
}

/// The probability of each class; `image`: one byte for each input of the network, which is planned for one.
///
/// # Errors
/// The parameters or the image are not this network's.
pub fn probabilities<const L: usize>(
    network: &Network<L>,
    params: &[f32],
    image: &[u8],
) -> Result<Vec<f32>, RunError> {
    let input: Vec<f32> = image.iter().copied().map(normalised).collect();
    let mut logits = vec![0.0; network.output_len()];
    let mut scratch = vec![0.0; network.scratch_len()];
    network.forward(NetworkWeights::Plain(params), &input, &mut logits, &mut scratch)?;
    let mut probabilities = vec![0.0; logits.len()];
    im2col::softmax(&logits, logits.len(), &mut probabilities)?;
    Ok(probabilities)
}

fn bright_on_black(picture: &DynamicImage) -> GrayImage {
    let picture = picture.to_luma_alpha8();
    let mut grey = GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
        let LumaA([luma, alpha]) = *picture.get_pixel(x, y);
        let (luma, alpha) = (u32::from(luma), u32::from(alpha));
        Luma([((luma * alpha + 255 * (255 - alpha) + 127) / 255) as u8])
    });
    let sum: u64 = grey.iter().map(|&luma| u64::from(luma)).sum();
    if sum > 127 * grey.len() as u64 {
        imageops::invert(&mut grey);
    }
    grey
}

/// Scales to the largest size within `rows` x `cols` and centres on black.
fn fit(picture: &GrayImage, rows: u32, cols: u32) -> GrayImage {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let scale = (f64::from(cols) / width).min(f64::from(rows) / height);
    let side = |side: f64, most: u32| ((side * scale).round() as u32).clamp(1, most);
    let scaled = imageops::resize(picture, side(width, cols), side(height, rows), FilterType::Triangle);
    let mut fitted = GrayImage::new(cols, rows);
    let (left, top) = ((cols - scaled.width()) / 2, (rows - scaled.height()) / 2);
    imageops::replace(&mut fitted, &scaled, i64::from(left), i64::from(top));
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(picture: &DynamicImage) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, ImageFormat::Png).unwrap();
        file.into_inner()
    }

    fn stroke() -> GrayImage {
        GrayImage::from_fn(28, 28, |x, y| Luma([if (12..16).contains(&x) { 200 + y as u8 } else { 0 }]))
    }

    #[test]
    fn an_image_of_the_right_size_stays_as_it_is() {
        assert_eq!(digit_from_png(&png(&stroke().into()), 28, 28).unwrap(), stroke());
    }

    #[test]
    fn dark_on_light_is_inverted() {
        let mut inverted = stroke();
        imageops::invert(&mut inverted);
        assert_eq!(digit_from_png(&png(&inverted.into()), 28, 28).unwrap(), stroke());
    }

    #[test]
    fn transparent_is_paper() {
        let ink =
            image::RgbaImage::from_fn(28, 28, |x, y| image::Rgba([0, 0, 0, stroke().get_pixel(x, y).0[0]]));
        assert_eq!(digit_from_png(&png(&ink.into()), 28, 28).unwrap(), stroke());
    }

    #[test]
    fn other_sizes_are_scaled_and_centred() {
        // 4 x 8 of white scales to 14 x 28, in the middle of the columns.
        let white = GrayImage::from_pixel(4, 8, Luma([255]));
        let fitted = fit(&white, 28, 28);
        for (x, _, &Luma([luma])) in fitted.enumerate_pixels() {
            assert_eq!(luma, if (7..21).contains(&x) { 255 } else { 0 });
        }
        let line = GrayImage::from_pixel(5000, 1, Luma([255]));
        assert_eq!(fit(&line, 28, 28).iter().filter(|&&luma| luma > 0).count(), 28);
    }

    #[test]
    fn unsound_files_are_errors() {
        let file = png(&stroke().into());
        for len in 0..file.len() - 12 {
            // The last 12 bytes only say that the file ends.
            assert!(digit_from_png(&file[..len], 28, 28).is_err(), "{len}");
        }
        let wide = GrayImage::new(MAX_SIDE + 1, 1);
        assert!(digit_from_png(&png(&wide.into()), 28, 28).is_err());
    }
}

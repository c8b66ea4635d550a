//! Pictures from anywhere as the images that a network learned from: 28 x 28, grey, bright ink on black.
//!
//! MNIST's digits were scaled to fit into 20 x 20 pixels and placed with their centre of mass in the middle of
//! 28 x 28 (Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-Based Learning Applied to Document Recognition,
//! 1998, section III.A). Fashion-MNIST's photographs were trimmed, scaled to fit into 28 x 28, centred and negated
//! (H. Xiao, K. Rasul, R. Vollgraf, 2017). A network does well on what was prepared like that.

mod error;
mod ink;
mod jpeg;
mod whole;

use std::io::Read;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, Luma, LumaA};

use self::error::MAX_FILE_LEN;
pub use self::error::PictureError;
use crate::file::{self, FileError};

/// Height and width of what a network sees.
pub const SIDE: u32 = 28;
/// Height and width of the box that a digit fits into.
const DIGIT_SIDE: u32 = 20;

/// Ink differs from the paper by at least so much; the noise of a JPEG file does not.
const LEAST_CONTRAST: u8 = 32;

/// What to make of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preparation {
    /// As MNIST was made: the background becomes black and the strongest ink white; what is not ink is cut off; the
    /// rest is scaled to fit into 20 x 20, its centre of mass put in the middle. Uneven light, shadows that are wider than
    /// two fifths of the picture or come in from its border, frames, ruled lines and specks are no ink. A picture of
    /// 28 x 28 keeps its place and its contrast.
    #[default]
    Digit,
    /// As Fashion-MNIST was made: the background becomes black and is cut off; the rest is scaled to fit into
    /// 28 x 28 and centred. A picture of 28 x 28 keeps its place and its contrast.
    Garment,
    /// The pixels as they are: other sizes are scaled to fit and centred.
    Raw,
}

/// Reads a PNG, JPEG or PNM (PBM, PGM, PPM, PAM) file in shades of grey, upright as its EXIF data says.
///
/// Transparent parts are paper: white around dark ink, black around bright ink. A file is decoded whole or not at all;
/// what lies behind its end does not matter. PGM and PPM files in text end in white space, or nobody could tell
/// whether the last number has lost digits.
///
/// `file` is its name in errors.
///
/// # Errors
/// The file cannot be read, is longer than 64 MiB, is damaged or truncated, or its picture has no pixels or is larger than
/// 8192 x 8192.
pub fn read(file: &Path, source: impl Read) -> Result<GrayImage, PictureError> {
    let bytes = file::read_at_most(source, MAX_FILE_LEN)
        .map_err(FileError::at(file))?
        .ok_or_else(|| FileError::TooLong { file: file.to_owned(), limit: MAX_FILE_LEN })?;
    let picture =
        whole::decode(&bytes).map_err(|error| PictureError::Format { file: file.to_owned(), error })?;
    Ok(on_paper(&picture))
}

/// The picture as the network wants it: 28 x 28.
///
/// Dark ink on light paper is inverted, unless the pixels are to stay as they are. In a digit's picture ink is what
/// differs most from the mean around it; in others, and in those of 28 x 28, paper is what most of the border is.
///
/// ```
/// use image::{GrayImage, Luma};
/// use im2col_train::picture::{Preparation, prepare};
///
/// // A black stroke on white paper, 40 x 200 of 400 x 300 pixels.
/// let stroke = |x, y| (250..290).contains(&x) && (50..250).contains(&y);
/// let picture = GrayImage::from_fn(400, 300, |x, y| Luma([if stroke(x, y) { 0 } else { 255 }]));
///
/// let digit = prepare(&picture, Preparation::Digit)?;
/// for (x, y, &Luma([luma])) in digit.enumerate_pixels() {
///     // 4 x 20 pixels around (14, 14), the middle of MNIST's digits.
///     assert_eq!(luma, if (13..17).contains(&x) && (5..25).contains(&y) { 255 } else { 0 });
/// }
/// # Ok::<(), im2col_train::picture::PictureError>(())
/// ```
///
/// # Errors
/// There is nothing to see: the picture is of one colour, or for [`Preparation::Digit`] nothing but light, lines or noise.
pub fn prepare(picture: &GrayImage, preparation: Preparation) -> Result<GrayImage, PictureError> {
    if picture.is_empty() {
        return Err(PictureError::Blank);
    }
    if preparation == Preparation::Raw {
        return Ok(place_in_the_middle(&fit(picture, SIDE)));
    }
    if preparation == Preparation::Digit && picture.dimensions() != (SIDE, SIDE) {
        return digit(picture);
    }
    let mut picture = picture.clone();
    if background(&picture) > 127 {
        imageops::invert(&mut picture);
    }
    let level = background(&picture);
    let peak = picture.iter().copied().max().unwrap_or_default();
    if peak.saturating_sub(level) < LEAST_CONTRAST {
        return Err(PictureError::Blank);
    }
    if picture.dimensions() == (SIDE, SIDE) {
        return Ok(picture);
    }
    picture.iter_mut().for_each(|luma| *luma = luma.saturating_sub(level));
    // The threshold with which Fashion-MNIST was trimmed: a twentieth of white.
    Ok(place_in_the_middle(&fit(&trim(&picture, 255 / 20), SIDE)))
}

fn digit(picture: &GrayImage) -> Result<GrayImage, PictureError> {
    let ink = ink::find(picture).ok_or(PictureError::Blank)?;
    let mut digit = fit(&trim(&ink, 255 / 8), DIGIT_SIDE);
    // A thin line fades when it is scaled down.
    let peak = u32::from(digit.iter().copied().max().unwrap_or_default()).max(1);
    digit.iter_mut().for_each(|luma| *luma = (u32::from(*luma) * 255 / peak) as u8);
    Ok(place_by_mass(&digit))
}

fn on_paper(picture: &DynamicImage) -> GrayImage {
    let picture = picture.to_luma_alpha8();
    let (mut count, mut sum, mut least, mut most) = (0_u64, 0, u8::MAX, 0);
    for &LumaA([luma, alpha]) in picture.pixels() {
        if alpha > 127 {
            (count, sum) = (count + 1, sum + u64::from(luma));
            (least, most) = (least.min(luma), most.max(luma));
        }
    }
    let is_bright = sum > 127 * count;
    // Opaque pixels of about one colour are ink; if there are others, most of them are paper.
    let is_ink = most.saturating_sub(least) < 128;
    let paper = if is_bright == is_ink { 0 } else { 255 };
    GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
        let LumaA([luma, alpha]) = *picture.get_pixel(x, y);
        let (luma, alpha) = (u32::from(luma), u32::from(alpha));
        Luma([((luma * alpha + paper * (255 - alpha) + 127) / 255) as u8])
    })
}

/// The median of the outermost pixels: ink may touch the border, but covers less than half of it.
fn background(picture: &GrayImage) -> u8 {
    let (right, bottom) = (picture.width() - 1, picture.height() - 1);
    let mut border: Vec<u8> = picture
        .enumerate_pixels()
        .filter(|&(x, y, _)| x == 0 || y == 0 || x == right || y == bottom)
        .map(|(_, _, &Luma([luma]))| luma)
        .collect();
    let middle = border.len() / 2;
    *border.select_nth_unstable(middle).1
}

/// Cuts off the rows and columns around that are not brighter than `level`.
fn trim(picture: &GrayImage, level: u8) -> GrayImage {
    let (mut left, mut right, mut top, mut bottom) = (u32::MAX, 0, u32::MAX, 0);
    for (x, y, &Luma([luma])) in picture.enumerate_pixels() {
        if luma > level {
            (left, right) = (left.min(x), right.max(x));
            (top, bottom) = (top.min(y), bottom.max(y));
        }
    }
    let (width, height) = (right.saturating_sub(left) + 1, bottom.saturating_sub(top) + 1);
    imageops::crop_imm(picture, left, top, width, height).to_image()
}

/// Scales to the largest size within `most` x `most`.
fn fit(picture: &GrayImage, most: u32) -> GrayImage {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let scale = f64::from(most) / width.max(height);
    let side = |side: f64| ((side * scale).round() as u32).clamp(1, most);
    imageops::resize(picture, side(width), side(height), FilterType::Triangle)
}

fn place_in_the_middle(picture: &GrayImage) -> GrayImage {
    place(picture, (SIDE - picture.width()) / 2, (SIDE - picture.height()) / 2)
}

/// Its centre of mass at the pixel (14, 14), where MNIST has it, as far as it then still fits.
fn place_by_mass(picture: &GrayImage) -> GrayImage {
    let (mut mass, mut x_sum, mut y_sum) = (0.0, 0.0, 0.0);
    for (x, y, &Luma([luma])) in picture.enumerate_pixels() {
        let luma = f64::from(luma);
        mass += luma;
        x_sum += luma * f64::from(x);
        y_sum += luma * f64::from(y);
    }
    let corner = |sum: f64, side: u32| {
        let corner = f64::from(SIDE) / 2.0 - sum / mass;
        (corner.round().max(0.0) as u32).min(SIDE - side)
    };
    place(picture, corner(x_sum, picture.width()), corner(y_sum, picture.height()))
}

/// On black.
fn place(picture: &GrayImage, left: u32, top: u32) -> GrayImage {
    let mut placed = GrayImage::new(SIDE, SIDE);
    imageops::replace(&mut placed, picture, i64::from(left), i64::from(top));
    placed
}

#[cfg(test)]
mod tests;

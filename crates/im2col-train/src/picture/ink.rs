//! Finds the ink on paper that is lit unevenly.
//!
//! The paper behind the ink is estimated by a closing: in each place the least of the brightest values of all windows
//! that contain it. What is narrower than a window disappears; shadows that are wider, or come in from the border, stay
//! as they are. Ink is what lacks of the paper.

use image::imageops::{self, FilterType};
use image::{GrayImage, Luma};

/// Larger pictures are scaled down first: a digit of a fiftieth of their size still fills its 20 pixels.
const LARGEST_SIDE: u32 = 1024;
/// The width of a window over the picture's longer side: no stroke is as wide, and few shadows are narrower.
const WINDOW_SHARE: f64 = 0.4;
/// Darker paper than this would make noise look like ink.
const DARKEST_PAPER: u8 = 24;
/// A piece of ink with a smaller share of the largest one's is a speck.
const LEAST_PIECE: f64 = 0.1;
/// With more pieces of about one size it is noise or a pattern.
const MOST_PIECES: usize = 12;
/// A frame lies in a margin of this share of the picture's sides, and a ruled line is not as wide.
const MARGIN_SHARE: f64 = 0.12;
/// Ink lacks at least this much of the paper's light, of 255; the edge of a shadow seems to lack less.
const LEAST_CONTRAST: u8 = 24;

/// What is drawn on a picture, dark on light or light on dark, bright on black; `None` if there is nothing.
pub(super) fn find(picture: &GrayImage) -> Option<GrayImage> {
    let mut picture = smaller(picture);
    let is_dark_on_light = is_dark_on_light(&picture);
    if !is_dark_on_light {
        imageops::invert(&mut picture);
    }
    let paper = paper(&picture);
    // Dark ink takes a share of the light, bright ink adds to it.
    let lack = |paper: u8, luma: u8| match u32::from(paper.saturating_sub(luma)) {
        lack if is_dark_on_light => (255 * lack / u32::from(paper.max(DARKEST_PAPER))) as u8,
        lack => lack as u8,
    };
    let mut ink = picture;
    ink.iter_mut().zip(paper.iter()).for_each(|(luma, &paper)| *luma = lack(paper, *luma));
    clean(&mut ink).then_some(ink)
}

fn smaller(picture: &GrayImage) -> GrayImage {
    let (width, height) = picture.dimensions();
    let longest = width.max(height);
    if longest <= LARGEST_SIDE {
        return picture.clone();
    }
    let side = |side: u32| (u64::from(side) * u64::from(LARGEST_SIDE) / u64::from(longest)).max(1) as u32;
    imageops::resize(picture, side(width), side(height), FilterType::Triangle)
}

/// Ink differs from the mean around it by a larger factor than paper does, even at the edge of a shadow.
fn is_dark_on_light(picture: &GrayImage) -> bool {
    let logarithms: Vec<f32> =
        smooth(picture).iter().map(|&luma| f32::from(luma.max(DARKEST_PAPER)).ln()).collect();
    let (width, reach) = (picture.width() as usize, reach(picture));
    let means = means_of_windows(&logarithms, width, reach);
    let differences = logarithms.iter().zip(&means).map(|(value, mean)| value - mean);
    let (least, most) =
        differences.fold((0.0_f32, 0.0_f32), |(least, most), value| (least.min(value), most.max(value)));
    -least >= most
}

/// Half of a window's width.
fn reach(picture: &GrayImage) -> usize {
    (f64::from(picture.width().max(picture.height())) * WINDOW_SHARE / 2.0).ceil() as usize
}

/// The mean of the values within `reach` rows and columns, as far as there are any.
fn means_of_windows(values: &[f32], width: usize, reach: usize) -> Vec<f32> {
    let height = values.len() / width;
    // In each place the sum of all values above and to the left.
    let mut sums = vec![0.0_f64; (width + 1) * (height + 1)];
    for (y, row) in values.chunks_exact(width).enumerate() {
        let mut sum = 0.0;
        for (x, &value) in row.iter().enumerate() {
            sum += f64::from(value);
            sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + sum;
        }
    }
    let mut means = Vec::with_capacity(values.len());
    for y in 0..height {
        let (top, bottom) = (y.saturating_sub(reach), (y + reach + 1).min(height));
        for x in 0..width {
            let (left, right) = (x.saturating_sub(reach), (x + reach + 1).min(width));
            let corner = |x: usize, y: usize| sums[y * (width + 1) + x];
            let sum = corner(right, bottom) - corner(left, bottom) - corner(right, top) + corner(left, top);
            means.push((sum / ((right - left) * (bottom - top)) as f64) as f32);
        }
    }
    means
}

/// The picture without what is dark and narrow.
fn paper(picture: &GrayImage) -> GrayImage {
    let (width, height) = picture.dimensions();
    let reach = reach(picture) as u32;
    // Beyond the border it goes on as it ends there, so that a shadow at the border is as wide as any.
    // Noise would make the paper brighter than it is, and so would the mean on the dark side of an edge.
    let mut source = smooth(picture);
    source.iter_mut().zip(picture.iter()).for_each(|(mean, &luma)| *mean = luma.min(*mean));
    let mut wide = GrayImage::from_fn(width + 2 * reach, height + 2 * reach, |x, y| {
        let inside = |at: u32, side: u32| at.saturating_sub(reach).min(side - 1);
        *source.get_pixel(inside(x, width), inside(y, height))
    });
    for pick in [u8::max, u8::min] {
        wide = of_windows(&wide, reach as usize, pick);
        wide = imageops::rotate90(&of_windows(&imageops::rotate90(&wide), reach as usize, pick));
        imageops::rotate180_in_place(&mut wide);
    }
    imageops::crop_imm(&wide, reach, reach, width, height).to_image()
}

/// The mean of 3 x 3 pixels.
fn smooth(picture: &GrayImage) -> GrayImage {
    let (right, bottom) = (picture.width() - 1, picture.height() - 1);
    GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
        let columns = [x.saturating_sub(1), x, (x + 1).min(right)];
        let rows = [y.saturating_sub(1), y, (y + 1).min(bottom)];
        let sum: u32 =
            rows.iter().flat_map(|&y| columns.map(|x| u32::from(picture.get_pixel(x, y).0[0]))).sum();
        Luma([((sum + 4) / 9) as u8])
    })
}

/// The largest or the smallest value within `reach` to the left and to the right of each place, in three steps a
/// value (M. van Herk, 1992; J. Gil and M. Werman, 1993): of a block up to here, and of the block before from here on.
fn of_windows(picture: &GrayImage, reach: usize, pick: fn(u8, u8) -> u8) -> GrayImage {
    let width = picture.width() as usize;
    let window = 2 * reach + 1;
    let mut result = picture.clone();
    let (mut up_to, mut from) = (vec![0; width], vec![0; width]);
    for (row, result) in picture.as_raw().chunks_exact(width).zip(result.chunks_exact_mut(width)) {
        for x in 0..width {
            up_to[x] = if x % window == 0 { row[x] } else { pick(up_to[x - 1], row[x]) };
        }
        for x in (0..width).rev() {
            from[x] =
                if x + 1 == width || (x + 1) % window == 0 { row[x] } else { pick(from[x + 1], row[x]) };
        }
        for (x, value) in result.iter_mut().enumerate() {
            // A window that ends at the border is one block, or what is left of it and the one before.
            let (first, last) = (x.saturating_sub(reach), (x + reach).min(width - 1));
            *value = match last / window == first / window {
                true if first % window == 0 => up_to[last],
                true => from[first],
                false => pick(from[first], up_to[last]),
            };
        }
    }
    result
}

/// Scales the strongest ink to white and removes specks, frames and the grain of the paper.
fn clean(ink: &mut GrayImage) -> bool {
    let mut values = ink.as_raw().clone();
    let quarter = values.len() / 4;
    let grain = *values.select_nth_unstable(quarter).1;
    let peak = strongest(ink);
    let contrast = peak.saturating_sub(grain);
    if contrast < LEAST_CONTRAST {
        return false;
    }
    let mut pieces = pieces(ink, grain + contrast / 4);
    // The edge of a shadow is faint all along.
    pieces.retain(|piece| piece.peak >= grain + contrast / 2 && !is_frame_or_rule(piece, ink, false));
    // A line from top to bottom may be a one, but not beside other ink.
    if pieces.iter().any(|piece| !is_frame_or_rule(piece, ink, true)) {
        pieces.retain(|piece| !is_frame_or_rule(piece, ink, true));
    }
    let largest = pieces.iter().map(|piece| piece.mass).max().unwrap_or_default();
    pieces.retain(|piece| piece.mass as f64 >= LEAST_PIECE * largest as f64);
    if !(1..=MOST_PIECES).contains(&pieces.len()) {
        return false;
    }
    let mut kept = GrayImage::new(ink.width(), ink.height());
    for &at in pieces.iter().flat_map(|piece| &piece.pixels) {
        kept.as_mut()[at] = 255;
    }
    // The faint edges of strokes belong to them.
    let kept =
        imageops::rotate270(&of_windows(&imageops::rotate90(&of_windows(&kept, 1, u8::max)), 1, u8::max));
    let floor = grain + contrast / 8;
    let range = u32::from(peak - floor).max(1);
    for (luma, &kept) in ink.iter_mut().zip(kept.iter()) {
        let value = u32::from(luma.saturating_sub(floor)) * 255 / range;
        *luma = if kept == 0 { 0 } else { value.min(255) as u8 };
    }
    true
}

/// The largest value that two of its neighbours have as well, as in a line of one pixel but seldom in noise.
fn strongest(ink: &GrayImage) -> u8 {
    let (width, height) = ink.dimensions();
    let mut strongest = 0;
    for (x, y, &Luma([luma])) in ink.enumerate_pixels().filter(|(_, _, luma)| luma.0[0] > 0) {
        if luma <= strongest {
            continue;
        }
        let mut values: Vec<u8> = (y.saturating_sub(1)..=(y + 1).min(height - 1))
            .flat_map(|y| {
                (x.saturating_sub(1)..=(x + 1).min(width - 1)).map(move |x| ink.get_pixel(x, y).0[0])
            })
            .collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        strongest = strongest.max(values.get(2).copied().unwrap_or(luma));
    }
    strongest
}

/// Ink that hangs together.
struct Piece {
    pixels: Vec<usize>,
    /// The sum of its values.
    mass: u64,
    /// The largest of them.
    peak: u8,
}

fn pieces(ink: &GrayImage, level: u8) -> Vec<Piece> {
    let (width, height) = (ink.width() as usize, ink.height() as usize);
    let mut is_new: Vec<bool> = ink.iter().map(|&luma| luma > level).collect();
    let mut pieces = Vec::new();
    for start in 0..is_new.len() {
        if !std::mem::take(&mut is_new[start]) {
            continue;
        }
        let (mut pixels, mut done) = (vec![start], 0);
        while let Some(&at) = pixels.get(done) {
            done += 1;
            let (x, y) = (at % width, at / width);
            for y in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                for x in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    if std::mem::take(&mut is_new[y * width + x]) {
                        pixels.push(y * width + x);
                    }
                }
            }
        }
        let values = || pixels.iter().map(|&at| ink.as_raw()[at]);
        let (mass, peak) = (values().map(u64::from).sum(), values().max().unwrap_or_default());
        pieces.push(Piece { pixels, mass, peak });
    }
    pieces
}

/// Lines along the sides that span the picture and leave its middle free, or a straight line from the left border to
/// the right one, or, if `is_upright_too`, from the upper one to the lower one.
fn is_frame_or_rule(piece: &Piece, ink: &GrayImage, is_upright_too: bool) -> bool {
    let (width, height) = (ink.width() as usize, ink.height() as usize);
    let margin = |side: usize| (side as f64 * MARGIN_SHARE) as usize;
    let (across, down) = (margin(width), margin(height));
    let (mut left, mut right, mut top, mut bottom) = (width, 0, height, 0);
    let mut is_outside = true;
    for &at in &piece.pixels {
        let (x, y) = (at % width, at / width);
        is_outside &= x.min(width - 1 - x) < across || y.min(height - 1 - y) < down;
        (left, right) = (left.min(x), right.max(x));
        (top, bottom) = (top.min(y), bottom.max(y));
    }
    let (wide, high) = (right - left + 1, bottom - top + 1);
    let is_frame = is_outside && wide >= width - 2 * across && high >= height - 2 * down;
    is_frame || (wide == width && high <= down) || (is_upright_too && high == height && wide <= across)
}

#[cfg(test)]
mod tests;

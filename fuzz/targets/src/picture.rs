//! Pictures in PNG, JPEG and PNM files.

use im2col_testkit::alloc::peak_bytes;
use im2col_train::picture::{self, PictureError, Preparation, SIDE, prepare};
use image::{GrayImage, ImageReader};
use std::io::Cursor;
use std::path::Path;

/// The most pixels of a picture that is decoded here: more takes long, and finds no more.
const MAX_PIXELS: u64 = 1 << 14;
/// The most bytes that reading takes: for each pixel what four decoded ones of eight bytes do, besides the file and the tables
/// of a decoder.
const PER_PIXEL: usize = 32;
const OVERHEAD: usize = 1 << 20;

/// A picture is read whole or not at all: what is cut off a file makes an error, or is not needed. What was read is
/// prepared, 28 x 28, or has nothing to see. Returns whether it was prepared.
pub fn picture(file: &[u8]) -> bool {
    let pixels = pixels(file).unwrap_or(0);
    if pixels > MAX_PIXELS {
        return false;
    }
    let limit = PER_PIXEL * pixels as usize + 4 * file.len() + OVERHEAD;
    let (picture, most) = peak_bytes(|| read(file));
    // A JPEG file may have bytes between its segments: then this does not know its size, and `read` does.
    if pixels > 0 {
        assert!(most <= limit, "{most} bytes allocated, at most {limit} promised");
    }
    let Ok(picture) = picture else { return false };
    // Any cut, the last byte most often.
    let end = if file.len().is_multiple_of(2) {
        file.len() - 1
    } else {
        usize::from(file[file.len() / 2]) % file.len()
    };
    if let Ok(cut) = read(&file[..end]) {
        assert_eq!(cut, picture, "the first {end} bytes are another picture");
    }
    let preparation = [Preparation::Digit, Preparation::Garment, Preparation::Raw][file.len() % 3];
    let Ok(image) = prepare(&picture, preparation) else { return false };
    assert_eq!(image.dimensions(), (SIDE, SIDE));
    true
}

fn read(file: &[u8]) -> Result<GrayImage, PictureError> {
    picture::read(Path::new("file"), file)
}

/// How many pixels the picture has that a file says it holds.
fn pixels(file: &[u8]) -> Option<u64> {
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format().ok()?;
    let (width, height) = reader.into_dimensions().ok()?;
    Some(u64::from(width) * u64::from(height))
}

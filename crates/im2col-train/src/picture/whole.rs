//! Decoding that takes a picture whole or not at all: what is missing from a file is never made up.

use std::io::Cursor;

use image::error::{DecodingError, LimitError, LimitErrorKind};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::error::PictureError;

/// The largest picture that is decoded, in pixels of one side.
pub(super) const MAX_SIDE: u32 = 8192;
/// The most memory that decoding may take: four bytes a pixel of the largest picture.
const MAX_DECODED_LEN: u64 = 4 * (MAX_SIDE as u64) * (MAX_SIDE as u64);

/// Bytes of ones that a decoder finds behind the data of a JPEG file, as they are written there: `FF 00`.
const ONES: usize = 64;

/// The picture, upright as its EXIF data says.
pub(super) fn decode(file: &[u8]) -> Result<DynamicImage, PictureError> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    let is_whole = match reader.format() {
        Some(ImageFormat::Jpeg) => return decode_jpeg(file),
        Some(ImageFormat::Png) => png_has_its_end(file),
        Some(ImageFormat::Pnm) => pnm_has_its_end(file),
        _ => true,
    };
    if !is_whole {
        return Err(PictureError::Truncated);
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_LEN);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// The strict decoder reports what the other one paints grey; both take the zeros behind an early end for data.
fn decode_jpeg(file: &[u8]) -> Result<DynamicImage, PictureError> {
    let file = ones_before_the_end(file).ok_or(PictureError::Truncated)?;
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    let pixels = decoder.decode().map_err(jpeg_error)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    // Neither is larger than MAX_SIDE.
    let picture = RgbImage::from_raw(width as u32, height as u32, pixels)
        .ok_or_else(|| jpeg_error(DecodeErrors::FormatStatic("not the pixels of its size")))?;
    let mut picture = DynamicImage::from(picture);
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    picture.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    Ok(picture)
}

fn jpeg_error(error: DecodeErrors) -> PictureError {
    PictureError::Image(match error {
        DecodeErrors::LargeDimensions(_) => {
            ImageError::Limits(LimitError::from_kind(LimitErrorKind::DimensionError))
        }
        other => ImageError::Decoding(DecodingError::new(ImageFormat::Jpeg.into(), other)),
    })
}

/// A JPEG file up to its end-of-image marker, with ones before that; `None` if the file ends before.
///
/// A decoder that has all pixels never reads the ones. One whose data have ended too early reads a code that no
/// Huffman table has, since none consists of ones only (ITU-T T.81, C.2). Bytes between two segments of the head are
/// dropped.
fn ones_before_the_end(file: &[u8]) -> Option<Vec<u8>> {
    let (start, mut rest) = file.split_at_checked(2)?;
    let mut copy = start.to_vec();
    copy.reserve(file.len() + 2 * ONES);
    let mut is_in_scan = false;
    loop {
        // Not a stuffed byte of ones, a byte that fills, a restart, or the marker without meaning.
        let is_marker = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0x01 | 0xD0..=0xD7 | 0xFF);
        let at = rest.windows(2).position(is_marker)?;
        let (before, after) = rest.split_at(at);
        if is_in_scan {
            copy.extend_from_slice(before);
        }
        let (marker, segment) = after.split_at(2);
        if marker[1] == 0xD9 {
            copy.extend([0xFF, 0x00].repeat(ONES));
            copy.extend_from_slice(marker);
            return Some(copy);
        }
        let len = usize::from(u16::from_be_bytes(*segment.first_chunk()?));
        let (segment, after) = segment.split_at_checked(len)?;
        copy.extend_from_slice(marker);
        copy.extend_from_slice(segment);
        is_in_scan |= marker[1] == 0xDA;
        rest = after;
    }
}

/// Whether the chunks of a PNG file go on to the last one, with its checksum.
fn png_has_its_end(file: &[u8]) -> bool {
    let mut rest = file.get(8..).unwrap_or_default();
    while let Some((&[a, b, c, d, ref name @ ..], _)) = rest.split_first_chunk::<8>() {
        let len = u64::from(u32::from_be_bytes([a, b, c, d])) + 12;
        let Some((_, after)) = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len)) else {
            return false;
        };
        if name == b"IEND" {
            return true;
        }
        rest = after;
    }
    false
}

/// Whether the last number of a PGM or PPM file in text has its white space, without which it may have lost digits.
/// Of other files every byte is needed.
fn pnm_has_its_end(file: &[u8]) -> bool {
    !matches!(file, [b'P', b'2' | b'3', ..]) || file.last().is_some_and(u8::is_ascii_whitespace)
}

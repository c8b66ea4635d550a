//! Decoding that takes a picture whole or not at all: what is missing from a file is never made up.

use std::io::Cursor;

use image::codecs::pnm::{PnmDecoder, PnmHeader, PnmSubtype, SampleEncoding};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::jpeg;
use crate::file::FormatError;

/// The largest picture that is decoded, in pixels of one side.
pub(super) const MAX_SIDE: u32 = 8192;
/// The most memory that decoding may take: four bytes a pixel of the largest picture.
const MAX_DECODED_LEN: u64 = 4 * (MAX_SIDE as u64) * (MAX_SIDE as u64);

/// The most pixels of a byte of a JPEG file: each block of 8 x 8 takes a bit at least, and where components are subsampled
/// along different axes there is a block for two of these squares.
const JPEG_PIXELS_PER_BYTE: usize = 2 * 8 * 8 * 8;
/// The most bytes that a byte of deflated data becomes: 258 for two bits.
const INFLATED_PER_BYTE: u64 = 258 * 4;

/// The picture, upright as its EXIF data says.
pub(super) fn decode(file: &[u8]) -> Result<DynamicImage, FormatError> {
    match image::guess_format(file) {
        Ok(ImageFormat::Jpeg) => decode_jpeg(file),
        Ok(ImageFormat::Png) => check_png(file).and_then(|()| decode_plain(file, ImageFormat::Png)),
        Ok(ImageFormat::Pnm) => check_pnm(file).and_then(|()| decode_plain(file, ImageFormat::Pnm)),
        _ => {
            let found = file.get(..file.len().min(8)).unwrap_or_default();
            Err(FormatError::new("magic", 0, format!("{found:02x?} begins no PNG, JPEG or PNM file")))
        }
    }
}

fn decode_plain(file: &[u8], format: ImageFormat) -> Result<DynamicImage, FormatError> {
    let mut source = Cursor::new(file);
    let decoder = if format == ImageFormat::Png { "PNG decoder" } else { "PNM decoder" };
    decode_from(&mut source, format).map_err(|error| FormatError::new(decoder, source.position(), error))
}

fn decode_from(source: &mut Cursor<&[u8]>, format: ImageFormat) -> Result<DynamicImage, ImageError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_LEN);
    let mut reader = ImageReader::with_format(source, format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// The strict decoder reports what the other one paints grey; both take the zeros behind an early end for data.
fn decode_jpeg(file: &[u8]) -> Result<DynamicImage, FormatError> {
    let copy = jpeg::with_ones_before_the_end(file)?;
    let mut source = Cursor::new(&copy[..]);
    decode_jpeg_from(&mut source).map_err(|error| {
        let offset = jpeg::offset_in_file(file, source.position());
        FormatError::new("JPEG decoder", offset, error)
    })
}

fn decode_jpeg_from(source: &mut Cursor<&[u8]>) -> Result<DynamicImage, DecodeErrors> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let len = source.get_ref().len();
    let mut decoder = JpegDecoder::new_with_options(source, options);
    decoder.decode_headers()?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    if width * height > len.saturating_mul(JPEG_PIXELS_PER_BYTE) {
        return Err(DecodeErrors::Format(format!("truncated: {width} x {height} pixels in {len} bytes")));
    }
    let pixels = decoder.decode()?;
    // Neither is larger than MAX_SIDE.
    let picture = RgbImage::from_raw(width as u32, height as u32, pixels)
        .ok_or(DecodeErrors::FormatStatic("not the pixels of its size"))?;
    let mut picture = DynamicImage::from(picture);
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    picture.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    Ok(picture)
}

/// Checks that the chunks of a PNG file go on to the last one, with its checksum, how large the picture is, and that
/// the file is long enough to hold it, before a decoder makes room for its pixels.
fn check_png(file: &[u8]) -> Result<(), FormatError> {
    const FIRST_CHUNK: usize = 8;
    let (mut offset, mut least_len, mut deflated_len) = (FIRST_CHUNK, 0, 0);
    while let Some((&[a, b, c, d, ref name @ ..], data)) =
        file.get(offset..).and_then(<[u8]>::split_first_chunk::<8>)
    {
        // The data, then four bytes of checksum.
        let len = u64::from(u32::from_be_bytes([a, b, c, d])) + 4;
        if len > data.len() as u64 {
            let problem = format!(
                "truncated: its data are {len} bytes with their checksum, the file ends at byte {}",
                file.len()
            );
            return Err(FormatError::new(
                format!("PNG chunk {}", name.escape_ascii()),
                offset as u64,
                problem,
            ));
        }
        match (name, data) {
            (b"IHDR", &[a, b, c, d, e, f, g, h, bits, colours, ..]) if offset == FIRST_CHUNK => {
                let sides = [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes);
                check_size("PNG width", 16, sides)?;
                least_len = png_len(sides, bits, colours);
            }
            (b"IDAT", _) => deflated_len += len,
            (b"IEND", _) if least_len > deflated_len * INFLATED_PER_BYTE => {
                let problem =
                    format!("truncated: {least_len} bytes of pixels in {deflated_len} bytes of the file");
                return Err(FormatError::new("PNG chunk IEND", offset as u64, problem));
            }
            (b"IEND", _) => return Ok(()),
            _ => {}
        }
        offset += 8 + len as usize;
    }
    Err(FormatError::new(
        "PNG chunk",
        offset as u64,
        format!("truncated: the file ends at byte {}, before its chunk IEND", file.len()),
    ))
}

/// How many bytes the pixels of a PNG file take at least before they are deflated.
fn png_len([width, height]: [u32; 2], bits: u8, colours: u8) -> u64 {
    let channels = match colours {
        2 => 3,
        4 => 2,
        6 => 4,
        _ => 1,
    };
    u64::from(height) * (u64::from(width) * channels * u64::from(bits)).div_ceil(8)
}

/// Checks that a PNM file is long enough for the pixels that its header promises, before a decoder makes room for them.
fn check_pnm(file: &[u8]) -> Result<(), FormatError> {
    let mut source = Cursor::new(file);
    let header = PnmDecoder::new(&mut source).map(|decoder| decoder.into_inner().1);
    let header = header.map_err(|error| FormatError::new("PNM header", source.position(), error))?;
    check_size("PNM header", 0, [header.width(), header.height()])?;
    let (offset, len) = (source.position(), least_len(&header));
    if (file.len() as u64).saturating_sub(offset) < len {
        let problem = format!(
            "truncated: {} x {} of them take at least {len} bytes, the file ends at byte {}",
            header.width(),
            header.height(),
            file.len()
        );
        return Err(FormatError::new("PNM pixels", offset, problem));
    }
    // Without its white space the last number in a text may have lost digits. Of other files every byte is needed.
    if matches!(file, [b'P', b'2' | b'3', .., last] if !last.is_ascii_whitespace()) {
        let problem = format!("truncated: the file ends at byte {} within a number", file.len());
        return Err(FormatError::new("PNM pixels", offset, problem));
    }
    Ok(())
}

/// How many bytes the pixels of a PNM file take at least.
fn least_len(header: &PnmHeader) -> u64 {
    let [width, height] = [header.width(), header.height()].map(u64::from);
    let depth = match header.subtype() {
        PnmSubtype::Pixmap(_) => 3,
        _ => header.as_arbitrary().map_or(1, |header| u64::from(header.depth)),
    };
    let sample_len = match header.subtype() {
        PnmSubtype::Bitmap(SampleEncoding::Binary) => return width.div_ceil(8) * height,
        // A digit. Between numbers there is white space, between bits there need not be.
        PnmSubtype::Bitmap(SampleEncoding::Ascii) => 1,
        PnmSubtype::Graymap(SampleEncoding::Ascii) | PnmSubtype::Pixmap(SampleEncoding::Ascii) => 2,
        _ => 1 + u64::from(header.maximal_sample() > 255),
    };
    width * height * depth * sample_len
}

fn check_size(field: &str, offset: u64, sides: [u32; 2]) -> Result<(), FormatError> {
    if sides.iter().all(|side| (1..=MAX_SIDE).contains(side)) {
        return Ok(());
    }
    let [width, height] = sides;
    let problem = format!("{width} x {height} pixels: from 1 x 1 to {MAX_SIDE} x {MAX_SIDE} are read");
    Err(FormatError::new(field, offset, problem))
}

//! Pictures: PNG, JPEG and PNM files.

use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use im2col_train::picture::{self, Preparation};
use image::{DynamicImage, GrayImage, ImageFormat, Luma};

use crate::is_soak;
use crate::kind::{Counts, Kind, Reading};

/// Tables and buffers of decoders; a flipped bit may double a side, or make it 8192 and 12 pixels.
const MOST: usize = 1 << 20;

pub(crate) fn all() -> Counts {
    let small = sheet(12, 10);
    let mut counts = damaged(&small) + headers() + promised_pixels();
    if is_soak() {
        counts = counts + largest() + damaged(&sheet(20, 16));
    }
    counts
}

/// A dark stroke on light paper.
fn sheet(width: u32, height: u32) -> GrayImage {
    let (left, top) = (width * 5 / 12, height / 5);
    GrayImage::from_fn(width, height, |x, y| {
        Luma([if (left..left + 3).contains(&x) && (top..top + 6).contains(&y) { 20 } else { 240 }])
    })
}

fn written(sheet: &GrayImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let sheet = match format {
        ImageFormat::Jpeg => DynamicImage::from(DynamicImage::from(sheet.clone()).to_rgb8()),
        _ => DynamicImage::from(sheet.clone()),
    };
    sheet.write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// The pixels as they are, and that they can be prepared: in one of the ways, which the file's bytes choose, or in all.
fn read_picture(name: &Path, file: &[u8]) -> Reading<GrayImage> {
    const WAYS: [Preparation; 3] = [Preparation::Digit, Preparation::Garment, Preparation::Raw];
    let picture = picture::read(name, file).map_err(|error| error.to_string())?;
    let chosen = file.iter().map(|&byte| usize::from(byte)).sum::<usize>() % WAYS.len();
    for (_, way) in WAYS.into_iter().enumerate().filter(|&(way, _)| way == chosen || is_soak()) {
        if let Ok(prepared) = picture::prepare(&picture, way) {
            assert_eq!(prepared.dimensions(), (picture::SIDE, picture::SIDE));
        }
    }
    Ok(picture)
}

/// Every truncation and every flipped bit of a picture in each format.
fn damaged(sheet: &GrayImage) -> Counts {
    let mut counts = Counts::default();
    let text: Vec<String> = sheet.iter().map(u8::to_string).collect();
    let (width, height) = sheet.dimensions();
    let ppm: Vec<u8> = sheet.iter().flat_map(|&luma| [luma; 3]).collect();
    for (name, file) in [
        ("PNG", written(sheet, ImageFormat::Png)),
        ("JPEG", written(sheet, ImageFormat::Jpeg)),
        ("PAM", written(sheet, ImageFormat::Pnm)),
        ("PGM in text", format!("P2\n{width} {height}\n255\n{}\n", text.join(" ")).into_bytes()),
        ("PPM", [format!("P6 {width} {height} 255\n").into_bytes(), ppm].concat()),
    ] {
        let mut kind = Kind::new(name, &read_picture, &|_| MOST);
        let sound = kind.try_file(&file).unwrap();
        assert_eq!(sound.dimensions(), (width, height));
        kind.reject_every_truncation(&file);
        kind.flip_every_bit(&file, |bit, flipped| {
            // Every byte of a PNG file is under a checksum.
            if name == "PNG" {
                assert!(flipped.is_none_or(|flipped| flipped == sound), "{name}: bit {bit}");
            }
        });
        counts = counts + kind.report();
    }
    counts
}

const SIZES: [u32; 8] = [0, 1, 8192, 8193, 65_535, 65_536, 1 << 31, u32::MAX];

/// Headers of PNM files whose pixels are not there: nothing is taken for them.
fn headers() -> Counts {
    let mut kind = Kind::new("PNM headers", &read_picture, &|len| len);
    for width in SIZES {
        for height in SIZES {
            for magic in ["P1", "P2", "P3", "P4", "P5", "P6"] {
                let most: &[&str] = if matches!(magic, "P1" | "P4") { &[""] } else { &["255\n", "65535\n"] };
                for most in most {
                    let file = format!("{magic}\n{width} {height}\n{most}");
                    kind.assert_rejected(file.as_bytes(), &format!("{magic} of {width} x {height}"));
                }
            }
            for depth in [1, 4, u32::MAX] {
                let header = format!("P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL 255\n");
                for kind_of_tuple in ["", "TUPLTYPE RGB_ALPHA\n", "TUPLTYPE GRAYSCALE\n"] {
                    let file = format!("{header}{kind_of_tuple}ENDHDR\n");
                    kind.assert_rejected(file.as_bytes(), &format!("P7 of {width} x {height} x {depth}"));
                }
            }
        }
    }
    kind.report()
}

/// PNG and JPEG files of which a few pixels are there: nothing is taken for those that cannot be.
fn promised_pixels() -> Counts {
    let mut kind = Kind::new("sizes of PNG and JPEG files", &read_picture, &|_| MOST);
    for width in SIZES {
        for height in SIZES {
            for colours in [0, 2, 6] {
                kind.assert_rejected(&png_of(width, height, colours), &format!("PNG of {width} x {height}"));
            }
        }
    }
    let jpeg = written(&sheet(12, 10), ImageFormat::Jpeg);
    let progressive = include_bytes!("../trainer/progressive.jpg").to_vec();
    for file in [jpeg, progressive] {
        assert!(kind.try_file(&file).is_some());
        for width in [0, 1, 8192, 8193, u16::MAX] {
            for height in [0, 8192, 8193, u16::MAX] {
                kind.assert_rejected(
                    &with_size(&file, width, height),
                    &format!("JPEG of {width} x {height}"),
                );
            }
        }
    }
    kind.report()
}

/// The largest pictures in the smallest files: twelve bytes a pixel.
fn largest() -> Counts {
    let mut kind = Kind::new("largest pictures", &read_size, &|_| 12 * 8192 * 8192);
    let blank = DynamicImage::new_rgba8(8192, 8192);
    let mut png = Cursor::new(Vec::new());
    blank.write_to(&mut png, ImageFormat::Png).unwrap();
    assert_eq!(kind.try_file(png.get_ref()), Some((8192, 8192)));
    for components in [1, 3, 4] {
        for sampling in [0x11, 0x21, 0x12, 0x22, 0x44] {
            let file = progressive(components, sampling);
            kind.assert_rejected(&file, &format!("a progressive JPEG file of {components}, {sampling:#x}"));
        }
    }
    kind.report()
}

/// A progressive JPEG file of 8192 x 8192 with enough data to be believed, in one scan.
fn progressive(components: u8, sampling: u8) -> Vec<u8> {
    let file = with_size(include_bytes!("../trainer/progressive.jpg"), 8192, 8192);
    let (frame, end) = (frame(&file), file.len() - 2);
    let listed = (1..=components).flat_map(|id| [id, sampling, 0]);
    let head =
        [0xFF, 0xC2, 0, 8 + 3 * components].into_iter().chain(file[frame + 4..frame + 9].iter().copied());
    let head: Vec<u8> = head.chain([components]).chain(listed).collect();
    // The frame of one component that is replaced has 13 bytes.
    [&file[..frame], &head, &file[frame + 13..end], &[0; 1 << 17], &file[end..]].concat()
}

fn read_size(name: &Path, file: &[u8]) -> Reading<(u32, u32)> {
    picture::read(name, file).map(|picture| picture.dimensions()).map_err(|error| error.to_string())
}

/// The JPEG file with another size in the header of its frame.
fn with_size(file: &[u8], width: u16, height: u16) -> Vec<u8> {
    let frame = frame(file);
    let mut file = file.to_vec();
    // Behind the marker, the segment's length and the bits of a sample.
    file[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    file[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    file
}

/// Where the header of a JPEG file's frame begins.
fn frame(file: &[u8]) -> usize {
    file.windows(2).position(|marker| matches!(marker, [0xFF, 0xC0 | 0xC2])).unwrap()
}

/// A PNG file, checksums and all, whose picture has this size and one pixel of data.
fn png_of(width: u32, height: u32, colours: u8) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, colours, 0, 0, 0]].concat();
    let mut data = flate2::write::ZlibEncoder::new(Vec::new(), Compression::best());
    data.write_all(&[0]).unwrap();
    for (name, chunk) in [(b"IHDR", header), (b"IDAT", data.finish().unwrap()), (b"IEND", Vec::new())] {
        let mut crc = flate2::Crc::new();
        crc.update(name);
        crc.update(&chunk);
        let len = u32::try_from(chunk.len()).unwrap();
        file.extend([&len.to_be_bytes()[..], name, &chunk, &crc.sum().to_be_bytes()].concat());
    }
    file
}

use std::io::{self, Cursor};

use image::{ImageFormat, Rgba, RgbaImage};

use super::whole::MAX_SIDE;
use super::*;
use crate::dataset::{Dataset, Part};

fn read(source: impl Read) -> Result<GrayImage, PictureError> {
    super::read(Path::new("some/picture"), source)
}

/// What is said about a file that is refused.
fn said(file: &[u8]) -> String {
    read(file).unwrap_err().to_string()
}

fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.into().write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

fn prepared(file: &[u8]) -> GrayImage {
    prepare(&read(file).unwrap(), Preparation::Digit).unwrap()
}

fn stroke() -> GrayImage {
    GrayImage::from_fn(28, 28, |x, y| Luma([if (12..16).contains(&x) { 200 + y as u8 } else { 0 }]))
}

#[test]
fn an_image_of_the_right_size_stays_as_it_is() {
    assert_eq!(prepared(&png(stroke())), stroke());
}

#[test]
fn dark_on_light_is_inverted_but_raw_pixels_are_not() {
    let mut inverted = stroke();
    imageops::invert(&mut inverted);
    assert_eq!(prepared(&png(inverted.clone())), stroke());
    assert_eq!(prepare(&inverted, Preparation::Raw).unwrap(), inverted);
}

#[test]
fn transparent_is_paper() {
    let ink = |luma| {
        png(RgbaImage::from_fn(28, 28, |x, y| Rgba([luma, luma, luma, stroke().get_pixel(x, y).0[0]])))
    };
    assert_eq!(prepared(&ink(0)), stroke());
    assert_eq!(prepared(&ink(255)), stroke());

    // A sheet with its paper, in a transparent frame.
    for paper in [0, 255] {
        let sheet = RgbaImage::from_fn(80, 80, |x, y| {
            let stroke = (38..42).contains(&x) && (30..50).contains(&y);
            let luma = if stroke { 255 - paper } else { paper };
            Rgba([luma, luma, luma, if (10..70).contains(&x) { 255 } else { 0 }])
        });
        let digit = prepared(&png(sheet));
        assert_eq!(digit.iter().filter(|&&luma| luma == 255).count(), 80, "4 x 20");
        assert_eq!(digit.iter().filter(|&&luma| luma == 0).count(), 784 - 80);
    }
}

/// What hides behind transparent pixels does not count.
#[test]
fn transparent_pixels_have_no_colour() {
    let ink = |luma, hidden| {
        let pixel = |alpha| {
            if alpha > 0 { Rgba([luma, luma, luma, alpha]) } else { Rgba([hidden, hidden, hidden, 0]) }
        };
        png(RgbaImage::from_fn(28, 28, |x, y| pixel(stroke().get_pixel(x, y).0[0])))
    };
    for (luma, hidden) in [(0, 0), (0, 255), (255, 0), (255, 255)] {
        assert_eq!(prepared(&ink(luma, hidden)), stroke(), "{luma} {hidden}");
    }
}

/// Whatever is within, and whichever side it covers.
#[test]
fn paper_is_what_most_of_the_border_is() {
    let is_within = |x: u32, y: u32| (2..58).contains(&x) && (2..38).contains(&y);
    let full = GrayImage::from_fn(60, 40, |x, y| Luma([if is_within(x, y) { 30 } else { 250 }]));
    assert_eq!(background(&full), 250);
    // A long side, and a little of both short ones.
    let mut covered = GrayImage::from_fn(100, 10, |_, y| Luma([if y >= 8 { 30 } else { 250 }]));
    for _ in 0..4 {
        assert_eq!(background(&covered), 250);
        covered = imageops::rotate90(&covered);
    }
}

/// The one thing that is known of how the real ones were placed.
#[test]
fn digits_are_placed_where_mnist_has_them() {
    let digits = Dataset::built_in(Part::Test).unwrap();
    let (mut there, mut near) = (0, 0);
    for pixels in digits.pixels().chunks(784) {
        let original = GrayImage::from_vec(28, 28, pixels.to_vec()).unwrap();
        let offset = |picture: &GrayImage| {
            let ink = picture.enumerate_pixels().filter(|(_, _, luma)| luma.0[0] > 0);
            ink.fold((28, 28), |(left, top), (x, y, _)| (left.min(x), top.min(y)))
        };
        let (trimmed, left_top) = (trim(&original, 0), offset(&original));
        let (x, y) = offset(&place_by_mass(&trimmed));
        there += u32::from((x, y) == left_top);
        near += u32::from(x.abs_diff(left_top.0) <= 1 && y.abs_diff(left_top.1) <= 1);
    }
    println!("{there} of 10,000 in their place, {near} within a pixel");
    assert!(there > 9_000 && near > 9_990);
}

#[test]
fn every_size_and_shape_fits() {
    for (width, height) in [(1, 1), (1, 5000), (5000, 1), (3, 2), (27, 29), (28, 27), (700, 90)] {
        let white = GrayImage::from_pixel(width, height, Luma([255]));
        for fitted in [fit(&white, 20), fit(&white, 28)] {
            assert!(fitted.width().max(fitted.height()) <= 28 && fitted.iter().all(|&luma| luma == 255));
        }
        assert_eq!(prepare(&white, Preparation::Raw).unwrap().dimensions(), (28, 28));
        assert!(matches!(prepare(&white, Preparation::Digit), Err(PictureError::Blank)));
    }
}

/// Scaled, rounded, and placed: in the middle, or by the centre of mass within the image.
#[test]
fn sizes_and_places_are_rounded() {
    let white = |width, height| GrayImage::from_pixel(width, height, Luma([255]));
    let fitted = |width, height| fit(&white(width, height), 20).dimensions();
    assert_eq!(
        [fitted(40, 30), fitted(30, 40), fitted(7, 5), fitted(300, 2)],
        [(20, 15), (15, 20), (20, 14), (20, 1)]
    );
    // The first and the last column and row that are not black.
    let span = |picture: &GrayImage| {
        let ink = picture.enumerate_pixels().filter(|(_, _, luma)| luma.0[0] > 0);
        ink.fold([28, 0, 28, 0], |[l, r, t, b], (x, y, _)| [l.min(x), r.max(x), t.min(y), b.max(y)])
    };
    assert_eq!(span(&place_in_the_middle(&white(6, 9))), [11, 16, 9, 17]);
    assert_eq!(span(&place_in_the_middle(&white(28, 1))), [0, 27, 13, 13]);
    assert_eq!(span(&place_by_mass(&white(5, 20))), [12, 16, 5, 24]);
    // Nearly all of the mass at one end.
    let heavy = |at: u32| GrayImage::from_fn(20, 3, |x, _| Luma([if x == at { 255 } else { 1 }]));
    assert_eq!([span(&place_by_mass(&heavy(0)))[0], span(&place_by_mass(&heavy(19)))[0]], [8, 0]);
    let mut sheet = GrayImage::new(9, 8);
    [(2, 3), (6, 5)].into_iter().for_each(|(x, y)| sheet.put_pixel(x, y, Luma([10])));
    assert_eq!(trim(&sheet, 9).dimensions(), (5, 3));
    assert_eq!(trim(&sheet, 9).get_pixel(0, 0), &Luma([10]));
}

#[test]
fn a_garment_fills_the_image() {
    // A dark shirt with a bright collar on white, 50 x 100.
    let photo = GrayImage::from_fn(300, 200, |x, y| {
        let shirt = (200..250).contains(&x) && (60..160).contains(&y);
        Luma([if !shirt {
            255
        } else if y < 80 {
            200
        } else {
            55
        }])
    });
    let garment = prepare(&photo, Preparation::Garment).unwrap();
    assert_eq!((garment.get_pixel(14, 1).0, garment.get_pixel(14, 26).0), ([55], [200]));
    for (x, _, &Luma([luma])) in garment.enumerate_pixels() {
        assert_eq!(luma > 0, (7..21).contains(&x));
    }
}

#[test]
fn a_thin_line_stays_bright() {
    let line = GrayImage::from_fn(2000, 1000, |x, y| Luma([if x == 2 * y { 90 } else { 250 }]));
    let digit = prepare(&line, Preparation::Digit).unwrap();
    assert_eq!(digit.iter().copied().max(), Some(255));
}

#[test]
fn blank_and_oversized_pictures_are_errors() {
    let paper = GrayImage::from_fn(60, 60, |x, y| Luma([240 + (x * y % 13) as u8]));
    assert!(matches!(prepare(&paper, Preparation::Digit), Err(PictureError::Blank)));
    for preparation in [Preparation::Digit, Preparation::Garment, Preparation::Raw] {
        assert!(matches!(prepare(&GrayImage::new(0, 5), preparation), Err(PictureError::Blank)));
    }
    let wide = GrayImage::new(MAX_SIDE + 1, 1);
    let limit = "8193 x 1 pixels: from 1 x 1 to 8192 x 8192 are read";
    assert_eq!(said(&png(wide)), format!("some/picture: PNG width at byte 16: {limit}"));
    assert_eq!(said(b"P5 8193 1 255 "), format!("some/picture: PNM header at byte 0: {limit}"));
    let too_long = read(io::repeat(0)).unwrap_err();
    assert!(matches!(too_long, PictureError::File(FileError::TooLong { .. })));
    assert_eq!(too_long.to_string(), "some/picture: larger than 67108864 bytes");
    assert_eq!(
        said(b"no picture"),
        "some/picture: magic at byte 0: [6e, 6f, 20, 70, 69, 63, 74, 75] begins no PNG, JPEG or PNM file"
    );
}

#[test]
fn a_frame_ruled_lines_and_specks_are_no_ink() {
    let stroke = |x: u32, y: u32| (100..110).contains(&x) && (60..140).contains(&y);
    let picture = |is_dark: &dyn Fn(u32, u32) -> bool| {
        let sheet =
            GrayImage::from_fn(240, 200, |x, y| Luma([if stroke(x, y) || is_dark(x, y) { 30 } else { 220 }]));
        prepare(&sheet, Preparation::Digit).unwrap()
    };
    let plain = picture(&|_, _| false);
    assert_eq!(trim(&plain, 60).dimensions(), (3, 20), "10 x 80");
    let at_least = |x: u32, y: u32| x.min(239 - x).min(y.min(199 - y));
    type Drawing<'a> = &'a dyn Fn(u32, u32) -> bool;
    let frames: [(&str, Drawing<'_>); 7] = [
        ("a frame at the border", &|x, y| at_least(x, y) < 3),
        ("a thick frame at the border", &|x, y| at_least(x, y) < 20),
        ("a frame within", &|x, y| (8..11).contains(&at_least(x, y))),
        ("a dark side", &|x, _| x < 15),
        ("ruled lines", &|_, y| y == 30 || y == 170),
        ("an upright line", &|x, _| x == 30),
        ("a speck", &|x, y| (200..203).contains(&x) && (30..33).contains(&y)),
    ];
    for (name, is_dark) in frames {
        assert_eq!(picture(is_dark), plain, "{name}");
    }
    // Alone, a line from top to bottom is a one.
    let one = GrayImage::from_fn(90, 120, |x, _| Luma([if (40..50).contains(&x) { 0 } else { 255 }]));
    assert_eq!(trim(&prepare(&one, Preparation::Digit).unwrap(), 60).dimensions(), (2, 20));
    // Without ink, a frame is nothing to see.
    let frame = GrayImage::from_fn(240, 200, |x, y| Luma([if at_least(x, y) == 9 { 30 } else { 220 }]));
    assert!(matches!(prepare(&frame, Preparation::Digit), Err(PictureError::Blank)));
    // A nought that fills its picture is no frame.
    let ring = GrayImage::from_fn(120, 160, |x, y| {
        let (x, y) = ((x as f32 - 59.5) / 59.0, (y as f32 - 79.5) / 79.0);
        Luma([if (0.7..=1.0).contains(&x.hypot(y)) { 30 } else { 220 }])
    });
    let nought = prepare(&ring, Preparation::Digit).unwrap();
    assert_eq!((nought.get_pixel(14, 14).0, trim(&nought, 60).dimensions()), ([0], (15, 20)));
}

/// Half of the light, and a third of it in a shadow: where the paper is darker than the ink is elsewhere.
#[test]
fn shadows_and_gradients_are_no_ink() {
    let stroke = |x: u32, y: u32| (60..72).contains(&x) && (60..140).contains(&y);
    let sheet = |has_ink: bool| {
        GrayImage::from_fn(240, 200, |x, y| {
            let light = (1.0 - 0.5 * x as f32 / 240.0) * if x + y > 180 { 0.35 } else { 1.0 };
            Luma([(light * if has_ink && stroke(x, y) { 70.0 } else { 240.0 }) as u8])
        })
    };
    let digit = prepare(&sheet(true), Preparation::Digit).unwrap();
    assert_eq!(trim(&digit, 60).dimensions(), (3, 20), "12 x 80");
    // Two at the edge of the shadow are dim.
    assert_eq!(digit.iter().filter(|&&luma| luma > 60).count(), 58);
    assert!(matches!(prepare(&sheet(false), Preparation::Digit), Err(PictureError::Blank)));
    // Likewise bright on dark, a little wider where the edge of the shadow touches it.
    let mut board = sheet(true);
    imageops::invert(&mut board);
    assert_eq!(trim(&prepare(&board, Preparation::Digit).unwrap(), 60).dimensions(), (5, 20));
}

/// A file that is cut within its height, say, is no picture of height 0.
#[test]
fn a_picture_without_pixels_is_an_error() {
    assert_eq!(read(&b"P4 6 06 \0\0\0\0\0\0"[..]).unwrap().dimensions(), (6, 6));
    for file in [&b"P4 6 0"[..], b"P4 0 6 ", b"P5 6 0 255 ", b"P5 0 0 255 ", b"P2 6 0 255 "] {
        assert!(read(file).is_err(), "{}", file.escape_ascii());
    }
}

#[test]
fn what_is_cut_off_or_damaged_is_named_with_its_byte() {
    let file = png(stroke());
    // The signature, IHDR with 25 bytes, and the first chunk of data.
    assert_eq!(
        said(&file[..50]),
        format!(
            "some/picture: PNG chunk IDAT at byte 33: truncated: its data are {} bytes with their checksum, \
             the file ends at byte 50",
            u32::from_be_bytes([file[33], file[34], file[35], file[36]]) + 4
        )
    );
    let end = file.len() - 12;
    assert_eq!(
        said(&file[..end]),
        format!(
            "some/picture: PNG chunk at byte {end}: truncated: the file ends at byte {end}, before its chunk IEND"
        )
    );
    let mut damaged = file;
    damaged[50] ^= 1;
    assert!(said(&damaged).starts_with("some/picture: PNG decoder at byte "), "{}", said(&damaged));

    for (file, expected) in [
        (
            &b"P6 8192 8192 255 "[..],
            "PNM pixels at byte 17: truncated: 8192 x 8192 of them take at least 201326592 bytes, the file ends at byte 17",
        ),
        (
            b"P4 9 2 abc",
            "PNM pixels at byte 7: truncated: 9 x 2 of them take at least 4 bytes, the file ends at byte 10",
        ),
        (
            b"P5 1 2 256 abc",
            "PNM pixels at byte 11: truncated: 1 x 2 of them take at least 4 bytes, the file ends at byte 14",
        ),
        (
            b"P3 1 1 9 1 2 3",
            "PNM pixels at byte 9: truncated: 1 x 1 of them take at least 6 bytes, the file ends at byte 14",
        ),
        (b"P2 1 1 9 10", "PNM pixels at byte 9: truncated: the file ends at byte 11 within a number"),
        (b"P2 1 1 9 x\n", "PNM decoder at byte 10: "),
        (b"P2 1 x 9 1\n", "PNM header at byte 6: "),
        (b"P5 6 ", "PNM header at byte 5: "),
        (b"P5 6 0 255 ", "PNM header at byte 0: 6 x 0 pixels: from 1 x 1 to 8192 x 8192 are read"),
        (
            b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\nabc",
            "PNM pixels at byte 65: truncated: 2 x 2 of them take at least 16 bytes, the file ends at byte 68",
        ),
        (b"P7\nWIDTH 2\n\x1b[2J\n", "PNM header at byte 16: "),
    ] {
        let message = said(file);
        assert!(message.starts_with(&format!("some/picture: {expected}")), "{message}");
        assert!(!message.contains('\x1b'));
    }
}

/// What a file is too short to hold is refused before there is room for it.
#[test]
fn pixels_that_cannot_be_there_are_named() {
    let mut file = png(stroke());
    file[16..24].copy_from_slice(&[0, 0, 32, 0, 0, 0, 32, 0]);
    let expected = format!(
        "some/picture: PNG chunk IEND at byte {}: truncated: 67108864 bytes of pixels in ",
        file.len() - 12
    );
    assert!(said(&file).starts_with(&expected), "{}", said(&file));

    let mut file = Cursor::new(Vec::new());
    DynamicImage::from(stroke()).write_to(&mut file, ImageFormat::Jpeg).unwrap();
    let mut file = file.into_inner();
    read(&file[..]).unwrap();
    let frame = file.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    file[frame + 5..frame + 9].copy_from_slice(&[32, 0, 32, 0]);
    let message = said(&file);
    assert!(message.starts_with("some/picture: JPEG decoder at byte "), "{message}");
    assert!(message.contains("truncated: 8192 x 8192 pixels in "), "{message}");
}

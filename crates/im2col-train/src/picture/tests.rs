use std::io::Cursor;

use image::{ImageFormat, Rgba, RgbaImage};

use super::*;
use crate::dataset::{Dataset, Part};

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
    assert!(matches!(read(&png(wide)[..]), Err(PictureError::Image(ImageError::Limits(_)))));
    assert!(matches!(read(io::repeat(0)), Err(PictureError::FileTooLong)));
    assert!(matches!(read(&b"no picture"[..]), Err(PictureError::Image(ImageError::Unsupported(_)))));
}

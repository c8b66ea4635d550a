//! IDX files that are sound, and many that are not.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use im2col_train::idx::{IdxError, Images, MAX_INFLATED_LEN, parse_images, parse_labels};

const PIXELS: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// Two images of 3 x 2.
fn images_file() -> Vec<u8> {
    [&header([2, 3, 2]), PIXELS.as_slice()].concat()
}

fn labels_file() -> Vec<u8> {
    vec![0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]
}

fn header(dims: [u32; 3]) -> Vec<u8> {
    let mut header = vec![0, 0, 8, 3];
    header.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    header
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn sound_files_are_read() {
    let images = Images { count: 2, rows: 3, cols: 2, pixels: PIXELS.to_vec() };
    assert_eq!(parse_images(&images_file()).unwrap(), images);
    assert_eq!(parse_images(&images_file()).unwrap().pixels.capacity(), PIXELS.len());
    assert_eq!(parse_images(&gzip(&images_file())).unwrap(), images);
    assert_eq!(parse_labels(&labels_file()).unwrap(), [7, 8, 9]);
    assert_eq!(parse_labels(&gzip(&labels_file())).unwrap(), [7, 8, 9]);
    assert_eq!(parse_labels(&[0, 0, 8, 1, 0, 0, 0, 0]).unwrap(), [0; 0]);
    assert_eq!(parse_images(&header([0, 3, 2])).unwrap().count, 0);
}

/// As `cat a.gz b.gz` makes it, and bgzip: members with an extra field, the last one empty.
#[test]
fn gzip_files_of_several_members_are_read() {
    let sound = parse_images(&images_file()).unwrap();
    let file = images_file();
    for first in 0..=file.len() {
        let members = [gzip(&file[..first]), gzip(&[]), gzip(&file[first..])].concat();
        assert_eq!(parse_images(&members).unwrap(), sound, "cut at {first}");
    }
    let bytes: Vec<u8> = labels_file().iter().flat_map(|&byte| gzip(&[byte])).collect();
    assert_eq!(parse_labels(&bytes).unwrap(), [7, 8, 9], "a member for each byte");
    let block = |bytes: &[u8]| {
        let mut encoder =
            GzBuilder::new().extra(*b"BC\x02\0\x1b\0").write(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(parse_images(&[block(&file[..9]), block(&file[9..]), block(&[])].concat()).unwrap(), sound);
}

#[test]
fn damaged_members_are_refused() {
    let file = images_file();
    let (first, second) = (gzip(&file[..20]), gzip(&file[20..]));
    let members = [&first[..], &second].concat();
    for len in 0..members.len() {
        assert!(parse_images(&members[..len]).is_err(), "{len}");
    }
    // What is not a member: a byte, zeros as on tapes, half of the magic number, the file once more.
    for garbage in [&[0][..], &[0; 512], &[0x1f], &file, b"text"] {
        let longer = [&members[..], garbage].concat();
        assert!(matches!(parse_images(&longer), Err(IdxError::Trailing { offset: 28 })), "{garbage:?}");
        let between = [&first[..], garbage, &second].concat();
        assert!(parse_images(&between).is_err(), "{garbage:?}");
    }
    let twice = [&members[..], &members].concat();
    assert!(matches!(parse_images(&twice), Err(IdxError::Trailing { offset: 28 })));
    let mut refused = 0;
    for bit in 0..members.len() * 8 {
        let mut flipped = members.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match parse_images(&flipped) {
            Ok(images) => assert_eq!(images, parse_images(&file).unwrap(), "bit {bit}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > (members.len() - 20) * 8, "{refused}");
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..images_file().len() {
        assert!(matches!(parse_images(&images_file()[..len]), Err(IdxError::Truncated { .. })), "{len}");
    }
    for len in 0..labels_file().len() {
        assert!(matches!(parse_labels(&labels_file()[..len]), Err(IdxError::Truncated { .. })), "{len}");
    }
    let compressed = gzip(&images_file());
    for len in 0..compressed.len() {
        assert!(parse_images(&compressed[..len]).is_err(), "{len}");
    }
}

#[test]
fn trailing_bytes_are_refused() {
    let longer = [images_file(), vec![0]].concat();
    assert!(matches!(parse_images(&longer), Err(IdxError::Trailing { offset: 28 })));
    assert!(matches!(parse_images(&gzip(&longer)), Err(IdxError::Trailing { offset: 28 })));
    let after_gzip = [gzip(&images_file()), vec![0]].concat();
    assert!(matches!(parse_images(&after_gzip), Err(IdxError::Trailing { .. })));
    let two_members = [gzip(&images_file()), gzip(&[0])].concat();
    assert!(matches!(parse_images(&two_members), Err(IdxError::Trailing { .. })));
}

#[test]
fn hostile_dimensions_are_refused() {
    let extremes = [0, 1, 1 << 16, 1 << 31, u32::MAX];
    for count in extremes {
        for rows in extremes {
            for cols in extremes {
                let file = [&header([count, rows, cols]), PIXELS.as_slice()].concat();
                assert!(parse_images(&file).is_err(), "{count} {rows} {cols}");
                assert!(parse_images(&gzip(&file)).is_err(), "{count} {rows} {cols}");
            }
        }
    }
    // 2^64 + 12 bytes: the product wraps to what is there.
    let wrapping = [&header([1 << 31, 1 << 31, 4]), PIXELS.as_slice()].concat();
    assert!(matches!(parse_images(&wrapping), Err(IdxError::TooLong { .. })));
}

#[test]
fn a_compressed_file_does_not_inflate_past_its_header() {
    // 64 MiB of zeros in 64 KiB, behind a header that owns up to one pixel.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&header([1, 1, 1])).unwrap();
    for _ in 0..64 {
        encoder.write_all(&[0; 1 << 20]).unwrap();
    }
    assert!(matches!(parse_images(&encoder.finish().unwrap()), Err(IdxError::Trailing { offset: 17 })));

    let limit = u32::try_from(MAX_INFLATED_LEN).unwrap();
    let too_long = parse_images(&gzip(&header([limit + 1, 1, 1])));
    assert!(matches!(too_long, Err(IdxError::TooLong { .. })));
    let promised_only = parse_images(&gzip(&header([limit, 1, 1])));
    assert!(matches!(promised_only, Err(IdxError::Truncated { .. })));
}

#[test]
fn errors_name_field_and_offset() {
    let message = |file: &[u8]| parse_images(file).unwrap_err().to_string();
    assert_eq!(
        message(&images_file()[..10]),
        "row count at byte 8: the file ends before the required 4 bytes"
    );
    assert_eq!(
        message(&images_file()[..20]),
        "pixels at byte 16: the file ends before the required 12 bytes"
    );
    assert_eq!(message(&labels_file()), "magic at byte 0: [00, 00, 08, 01] instead of [00, 00, 08, 03]");
    assert_eq!(message(&header([2, 0, 2])), "row count at byte 8: must be at least 1");
    let mut damaged = gzip(&images_file());
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    assert!(message(&damaged).starts_with("checksum at byte 28: gzip: "), "{}", message(&damaged));
}

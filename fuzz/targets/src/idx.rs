//! IDX files of images and labels.

use flate2::Crc;
use flate2::read::MultiGzDecoder;
use im2col_testkit::alloc::peak_bytes;
use im2col_train::idx::{Images, parse_images, parse_labels};
use std::io::{ErrorKind, Read};

/// What the reader may take beyond the values: the text of an error, and the state of the decoder
/// (91 KiB with flate2 1.1).
const PLAIN_OVERHEAD: usize = 4 << 10;
const GZIP_OVERHEAD: usize = 128 << 10;

/// The reader takes no more memory than it promises, and reads the same from a file as from the same file compressed.
/// Returns whether it has read images or labels.
pub fn idx(file: &[u8]) -> bool {
    let plain = parse(file);
    // One of three: what takes longest is the decoder. Files of wrong magic numbers are all alike.
    if !is_gzip(file) && file.len().is_multiple_of(3) && file.starts_with(&[0, 0]) {
        assert_eq!(plain, parse(&stored(file)));
    }
    plain.0.is_some() || plain.1.is_some()
}

fn is_gzip(file: &[u8]) -> bool {
    file.starts_with(&[0x1f, 0x8b])
}

/// A gzip file (RFC 1952) of one block that is not compressed (RFC 1951, 3.2.4).
fn stored(file: &[u8]) -> Vec<u8> {
    let len = u16::try_from(file.len()).unwrap();
    let mut crc = Crc::new();
    crc.update(file);
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    gzip.extend(len.to_le_bytes());
    gzip.extend((!len).to_le_bytes());
    gzip.extend(file);
    gzip.extend(crc.sum().to_le_bytes());
    gzip.extend(u32::from(len).to_le_bytes());
    gzip
}

fn parse(file: &[u8]) -> (Option<Images>, Option<Vec<u8>>) {
    // Values that come one after the other stand in a vector that grows: to twice its length, from one place to another.
    let limit =
        if is_gzip(file) { 3 * inflated_len(file) + GZIP_OVERHEAD } else { file.len() + PLAIN_OVERHEAD };
    let (images, images_peak) = peak_bytes(|| parse_images(file).ok());
    let (labels, labels_peak) = peak_bytes(|| parse_labels(file).ok());
    let most = images_peak.max(labels_peak);
    assert!(most <= limit, "{most} bytes allocated, at most {limit} promised");
    (images, labels)
}

/// How much the compressed file inflates to, as far as it is sound.
fn inflated_len(file: &[u8]) -> usize {
    let mut decoder = MultiGzDecoder::new(file);
    let (mut len, mut buffer) = (0, [0; 4096]);
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return len,
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return len,
        }
    }
}

//! Small data sets as files.

use std::fs;
use std::path::Path;

/// Writes images of 28 x 28 and their labels as the two IDX files of one part, `train` or `t10k`.
///
/// # Panics
/// The files cannot be written, or a label is no byte.
#[allow(clippy::expect_used, reason = "a test fails by panicking")]
pub fn write_idx(dir: &Path, part: &str, pixels: &[u8], labels: &[impl Copy + TryInto<u8>]) {
    let count = u32::try_from(labels.len()).expect("fewer than 2^32 labels").to_be_bytes();
    let images = [&[0, 0, 8, 3], &count[..], &[0, 0, 0, 28, 0, 0, 0, 28], pixels].concat();
    fs::write(dir.join(format!("{part}-images-idx3-ubyte")), images).expect("images are written");
    let bytes: Option<Vec<u8>> = labels.iter().map(|&label| label.try_into().ok()).collect();
    let labels = [&[0, 0, 8, 1], &count[..], &bytes.expect("labels are bytes")].concat();
    fs::write(dir.join(format!("{part}-labels-idx1-ubyte")), labels).expect("labels are written");
}

//! Handwritten digits of MNIST.

/// How many digits there are.
pub const COUNT: usize = LABELS.len();
/// The bytes of all images and labels.
pub const LEN: usize = IMAGES.len() + LABELS.len();
/// The values of an image of 28x28.
pub const IMAGE_LEN: usize = 28 * 28;

static IMAGES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/images.bin"));
static LABELS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/labels.bin"));

/// The images, row by row, 255 where there is most ink, and the digits that they show.
pub fn all() -> impl Iterator<Item = (&'static [u8; IMAGE_LEN], u8)> {
    IMAGES.as_chunks().0.iter().zip(LABELS.iter().copied())
}

#![doc = include_str!("../README.md")]
#![no_std]

/// The first 10,000 training images of MNIST: an IDX file of shape `[10000, 28, 28]`, compressed with gzip.
pub static TRAIN_IMAGES: &[u8] = include_bytes!("../data/train-10k-images-idx3-ubyte.gz");

/// The labels of [`TRAIN_IMAGES`], 0 to 9: an IDX file of shape `[10000]`, compressed with gzip.
pub static TRAIN_LABELS: &[u8] = include_bytes!("../data/train-10k-labels-idx1-ubyte.gz");

/// The test images of MNIST: an IDX file of shape `[10000, 28, 28]`, compressed with gzip.
pub static TEST_IMAGES: &[u8] = include_bytes!("../data/t10k-images-idx3-ubyte.gz");

/// The labels of [`TEST_IMAGES`], 0 to 9: an IDX file of shape `[10000]`, compressed with gzip.
pub static TEST_LABELS: &[u8] = include_bytes!("../data/t10k-labels-idx1-ubyte.gz");

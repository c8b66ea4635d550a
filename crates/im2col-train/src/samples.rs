//! What a network can learn from.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest;
use crate::file::FileError;
use crate::idx::IdxError;

/// How many images of a data set [`sha256`] reads at most.
const READ_IMAGES: usize = 256;

/// Why a data set cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder has no file of a name that data sets use.
    #[error(
        "{}: there is none of {}; `lenet fetch mnist` or `lenet fetch fashion-mnist` downloads such files",
        dir.display(), names.join(", ")
    )]
    Missing {
        /// The folder.
        dir: PathBuf,
        /// The names that were looked for.
        names: Vec<String>,
    },
    /// A file is not the IDX file that it should be.
    #[error("{}: {error}", file.display())]
    Idx {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: IdxError,
    },
    /// A file that is streamed is no longer the one that was opened.
    #[error("{}: has changed while it was streamed", file.display())]
    Changed {
        /// The file.
        file: PathBuf,
    },
    /// The pixels are not those of a whole number of images.
    #[error("{pixels} pixels are not {images} images of {image_dims:?} (channels, rows, columns)")]
    Pixels {
        /// How many pixels were given.
        pixels: usize,
        /// How many images there should be.
        images: usize,
        /// An image's channels, rows and columns.
        image_dims: [usize; 3],
    },
    /// A file to stream from is compressed.
    #[error("{0}: compressed files cannot be streamed; make it plain with: gunzip --keep {0}", file.display())]
    Compressed {
        /// The file.
        file: PathBuf,
    },
    /// There is not exactly one label for each image.
    #[error("{}: label count at byte 4: {labels} labels, but {images} images", file.display())]
    Counts {
        /// The file of labels.
        file: PathBuf,
        /// How many images there are.
        images: usize,
        /// How many labels there are.
        labels: usize,
    },
    /// There is no image.
    #[error("there are no images")]
    Empty,
    /// The built-in digits are asked for, and the crate was compiled without its feature `digits`.
    #[error(
        "there are no digits in this program, which was compiled without the feature `digits`: name a folder of images"
    )]
    NotBuiltIn,
}

/// Labelled images of one size, wherever they are: in memory, in files, made up on the spot.
///
/// Threads read images at the same time. An image must be the same each time it is read.
///
/// ```
/// use im2col_train::samples::{DatasetError, Samples};
///
/// /// Bright and dark images of one pixel.
/// #[derive(Debug)]
/// struct Lamps;
///
/// impl Samples for Lamps {
///     fn image_dims(&self) -> [usize; 3] {
///         [1, 1, 1]
///     }
///
///     fn labels(&self) -> &[u32] {
///         &[0, 1]
///     }
///
///     fn read(&self, index: usize, image: &mut [f32]) -> Result<(), DatasetError> {
///         image.fill(index as f32);
///         Ok(())
///     }
/// }
///
/// let mut image = [0.5];
/// Lamps.read(1, &mut image)?;
/// assert_eq!(image, [1.0]);
/// # Ok::<(), DatasetError>(())
/// ```
pub trait Samples: Debug + Sync {
    /// An image's dimensions as a network takes them: channels, rows, columns.
    fn image_dims(&self) -> [usize; 3];

    /// The class of each image, from 0: as many as there are images.
    fn labels(&self) -> &[u32];

    /// Writes one of the images, `image`: `[channels, rows, columns]`.
    ///
    /// # Errors
    /// The image cannot be read.
    fn read(&self, index: usize, image: &mut [f32]) -> Result<(), DatasetError>;
}

/// Tells data sets apart, without their pixels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// How many images there are.
    pub images: usize,
    /// Channels, rows, columns.
    pub image_dims: [usize; 3],
    /// Of the labels, as hexadecimal digits: a byte each, or four, the lowest first, if one of them exceeds 255.
    pub labels_sha256: String,
}

impl Fingerprint {
    /// The data set's.
    #[must_use]
    pub fn of(samples: &dyn Samples) -> Self {
        let labels = samples.labels();
        Self { images: labels.len(), image_dims: samples.image_dims(), labels_sha256: labels_sha256(labels) }
    }
}

/// Bytes as long as they suffice, as in IDX files.
pub(crate) fn labels_sha256(labels: &[u32]) -> String {
    let bytes: Result<Vec<u8>, _> = labels.iter().map(|&label| u8::try_from(label)).collect();
    let bytes = bytes.unwrap_or_else(|_| labels.iter().flat_map(|label| label.to_le_bytes()).collect());
    digest::of_bytes(&bytes)
}

/// A SHA-256 that tells data sets apart: of their [`Fingerprint`] and the pixels of at most 256 images, evenly spread
/// from the first one on. As hexadecimal digits.
///
/// # Errors
/// An image cannot be read.
pub fn sha256(samples: &dyn Samples) -> Result<String, DatasetError> {
    let Fingerprint { images, image_dims, labels_sha256 } = Fingerprint::of(samples);
    let mut bytes = format!("{images} {image_dims:?} {labels_sha256}").into_bytes();
    let mut image = vec![0.0; image_dims.iter().product()];
    for index in (0..images).step_by(images.div_ceil(READ_IMAGES).max(1)) {
        samples.read(index, &mut image)?;
        bytes.extend(image.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(digest::of_bytes(&bytes))
}

/// The mean cross entropy of who knows how frequent each class is and does not look at the images: `-sum p ln p`.
pub(crate) fn guessing_loss(samples: &dyn Samples) -> f64 {
    let mut counts = HashMap::new();
    samples.labels().iter().for_each(|label| *counts.entry(label).or_insert(0.0) += 1.0);
    let mut shares: Vec<f64> =
        counts.into_values().map(|count: f64| count / samples.labels().len() as f64).collect();
    shares.sort_by(f64::total_cmp);
    -shares.into_iter().map(|share| share * share.ln()).sum::<f64>()
}

/// What a network sees of a pixel.
pub(crate) fn normalised(pixel: u8) -> f32 {
    f32::from(pixel) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;

    #[test]
    fn every_data_set_has_its_own_digest() {
        let data = |pixel: u8, label: u32, rows: usize| {
            let mut pixels = vec![7; 1200];
            pixels[300] = pixel;
            Dataset::new([1, rows, 4 / rows], pixels, [vec![label], vec![1; 299]].concat()).unwrap()
        };
        let digest = |pixel, label, rows| sha256(&data(pixel, label, rows)).unwrap();
        // Of 300 images every second one is read, and 300 is the first pixel of the 75th.
        assert_eq!(digest(7, 0, 2), digest(7, 0, 2));
        assert_eq!(digest(8, 0, 2), digest(7, 0, 2), "image 75 is not read");
        assert_ne!(digest(7, 2, 2), digest(7, 0, 2));
        assert_ne!(digest(7, 0, 1), digest(7, 0, 2));
        let small = |pixel| Dataset::new([1, 1, 1], vec![3, pixel], vec![0, 1]).unwrap();
        assert_ne!(sha256(&small(0)).unwrap(), sha256(&small(1)).unwrap());
    }

    #[test]
    fn guessing_costs_the_entropy_of_the_labels() {
        let loss = |labels: &[u32]| {
            guessing_loss(&Dataset::new([1, 1, 1], vec![0; labels.len()], labels.to_vec()).unwrap())
        };
        assert_eq!(loss(&[3, 3, 3]), 0.0);
        assert!((loss(&[0, 1, 2, 3]) - 4.0_f64.ln()).abs() < 1e-15);
        // 3/4 ln 4/3 + 1/4 ln 4
        assert!((loss(&[5, 9, 5, 5]) - 0.562_335_144_618_808_3).abs() < 1e-15);
    }
}

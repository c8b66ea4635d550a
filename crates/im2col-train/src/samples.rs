//! What a network can learn from.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::dataset::DatasetError;
use crate::digest;

/// Labelled images of one size, wherever they are: in memory, in files, made up on the spot.
///
/// Threads read images at the same time. An image must be the same each time it is read.
///
/// ```
/// use im2col_train::dataset::DatasetError;
/// use im2col_train::samples::Samples;
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

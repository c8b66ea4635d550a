//! Images with their labels: the built-in digits, or a folder of IDX files.

use std::path::{Path, PathBuf};

use crate::file;
use crate::idx::{self, IdxError};
use crate::samples::{DatasetError, Samples, normalised};

/// No larger file is read; MNIST's largest has 47 MB.
pub(crate) const MAX_FILE_LEN: u64 = 1 << 30;

/// The images to learn from, or those to be judged by.
///
/// A file may also have a dot before `idx`, as Kaggle names it (`train-images.idx3-ubyte`), and end in `.gz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`
    Train,
    /// `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`
    Test,
}

impl Part {
    /// The folder's file of images: a plain one where there are several.
    pub(crate) fn images_file(self, dir: &Path) -> Result<PathBuf, DatasetError> {
        match self {
            Self::Train => find(dir, ["train-images-idx3-ubyte", "train-images.idx3-ubyte"]),
            Self::Test => find(dir, ["t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"]),
        }
    }

    /// The folder's file of labels: a plain one where there are several.
    pub(crate) fn labels_file(self, dir: &Path) -> Result<PathBuf, DatasetError> {
        match self {
            Self::Train => find(dir, ["train-labels-idx1-ubyte", "train-labels.idx1-ubyte"]),
            Self::Test => find(dir, ["t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"]),
        }
    }
}

/// Labelled images of one size in memory, one byte a pixel. A network sees numbers in `0.0..=1.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    image_dims: [usize; 3],
    /// `[images, channels, rows, cols]`
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

impl Dataset {
    /// A data set from its parts; `image_dims`: channels, rows, columns; `pixels`: `[labels.len(), channels, rows,
    /// columns]`.
    ///
    /// # Errors
    /// The lengths do not agree, or there is no image.
    pub fn new(image_dims: [usize; 3], pixels: Vec<u8>, labels: Vec<u32>) -> Result<Self, DatasetError> {
        let images = labels.len();
        let required = image_dims.iter().try_fold(images, |len, &dim| len.checked_mul(dim));
        if required != Some(pixels.len()) {
            return Err(DatasetError::Pixels { pixels: pixels.len(), images, image_dims });
        }
        if pixels.is_empty() {
            return Err(DatasetError::Empty);
        }
        Ok(Self { image_dims, pixels, labels })
    }

    /// The digits inside the program: the first 10,000 training images of MNIST and its whole test set
    /// (Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0).
    ///
    /// # Errors
    /// [`DatasetError::NotBuiltIn`], if the feature `digits` is off.
    #[cfg(feature = "digits")]
    pub fn built_in(part: Part) -> Result<Self, DatasetError> {
        use im2col_digits::{TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS};
        let (images, labels) = match part {
            Part::Train => (TRAIN_IMAGES, TRAIN_LABELS),
            Part::Test => (TEST_IMAGES, TEST_LABELS),
        };
        Self::from_idx(("the built-in images".into(), images), ("the built-in labels".into(), labels))
    }

    /// The digits that the feature `digits` puts inside the program.
    ///
    /// # Errors
    /// [`DatasetError::NotBuiltIn`], since the feature is off.
    #[cfg(not(feature = "digits"))]
    pub fn built_in(_part: Part) -> Result<Self, DatasetError> {
        Err(DatasetError::NotBuiltIn)
    }

    /// Reads the two IDX files of one part; each may be gzip, with or without `.gz` in its name.
    ///
    /// # Errors
    /// A file is missing or damaged, or the two do not belong together.
    pub fn load(dir: &Path, part: Part) -> Result<Self, DatasetError> {
        let (images_path, labels_path) = (part.images_file(dir)?, part.labels_file(dir)?);
        let images = file::read(&images_path, MAX_FILE_LEN)?;
        let labels = file::read(&labels_path, MAX_FILE_LEN)?;
        Self::from_idx((images_path, &images), (labels_path, &labels))
    }

    fn from_idx(images: (PathBuf, &[u8]), labels: (PathBuf, &[u8])) -> Result<Self, DatasetError> {
        let in_file = |file| move |error| DatasetError::Idx { file, error };
        let (labels_path, labels) = labels;
        let labels = idx::parse_labels(labels).map_err(in_file(labels_path.clone()))?;
        let (images_path, images) = images;
        let images = idx::parse_images(images).map_err(in_file(images_path.clone()))?;
        check_counts((images_path, images.count), (labels_path, labels.len()))?;
        let labels = labels.into_iter().map(u32::from).collect();
        Self::new([1, images.rows, images.cols], images.pixels, labels)
    }

    /// How many images there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// False: a data set has at least one image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// An image's dimensions as a network takes them: channels, rows, columns.
    #[must_use]
    pub fn image_dims(&self) -> [usize; 3] {
        self.image_dims
    }

    /// `[images, channels, rows, columns]`
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// `[images]`
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }
}

impl Samples for Dataset {
    fn image_dims(&self) -> [usize; 3] {
        self.image_dims
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn read(&self, index: usize, image: &mut [f32]) -> Result<(), DatasetError> {
        let pixels = &self.pixels[index * image.len()..][..image.len()];
        image.iter_mut().zip(pixels).for_each(|(value, &pixel)| *value = normalised(pixel));
        Ok(())
    }
}

/// Checks that there are images in the first file, and as many labels in the second.
pub(crate) fn check_counts(
    (images_file, images): (PathBuf, usize),
    (file, labels): (PathBuf, usize),
) -> Result<(), DatasetError> {
    if images != labels {
        return Err(DatasetError::Counts { file, images, labels });
    }
    match images {
        0 => Err(DatasetError::Idx { file: images_file, error: IdxError::NO_IMAGES }),
        _ => Ok(()),
    }
}

/// The first of these files that the folder has, or else the first that it has with `.gz` after the name.
///
/// A folder of that name is passed over: archives unpack into such.
fn find(dir: &Path, plain: [&str; 2]) -> Result<PathBuf, DatasetError> {
    let names = [plain.map(str::to_owned), plain.map(|name| format!("{name}.gz"))].concat();
    let found = names.iter().map(|name| dir.join(name)).find(|file| file.exists() && !file.is_dir());
    found.ok_or_else(|| DatasetError::Missing { dir: dir.to_owned(), names })
}

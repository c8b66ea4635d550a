//! Images with their labels: the built-in digits, or a folder of IDX files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::idx::{self, IdxError};

/// Labels are 0..=9.
pub const CLASSES: u8 = 10;

/// No larger file is read; MNIST's largest has 47 MB.
const MAX_FILE_LEN: u64 = 1 << 30;

/// Why a data set cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file cannot be read.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is larger than any data set of this kind.
    #[error("{}: larger than {MAX_FILE_LEN} bytes", file.display())]
    FileTooLong {
        /// The file.
        file: PathBuf,
    },
    /// A file is not the IDX file that it should be.
    #[error("{}: {error}", file.display())]
    Idx {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: IdxError,
    },
    /// The pixels are not those of a whole number of images.
    #[error("{pixels} pixels are not {images} images of {rows} x {cols}")]
    Pixels {
        /// How many pixels were given.
        pixels: usize,
        /// How many images there should be.
        images: usize,
        /// An image's height.
        rows: usize,
        /// An image's width.
        cols: usize,
    },
    /// There is not exactly one label for each image.
    #[error("{images} images, but {labels} labels")]
    Counts {
        /// How many images there are.
        images: usize,
        /// How many labels there are.
        labels: usize,
    },
    /// A label is not a class.
    #[error("label {position} is {label}; labels are 0 to 9")]
    Label {
        /// The label's position.
        position: usize,
        /// The label.
        label: u8,
    },
    /// There is no image.
    #[error("there are no images")]
    Empty,
}

/// The images to learn from, or those to be judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`
    Train,
    /// `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`
    Test,
}

/// Labelled grey images of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    rows: usize,
    cols: usize,
    /// `[images, rows, cols]`
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Dataset {
    /// A data set from its parts; `pixels`: `[labels.len(), rows, cols]`.
    ///
    /// # Errors
    /// The lengths do not agree, there is no image, or a label exceeds 9.
    pub fn new(rows: usize, cols: usize, pixels: Vec<u8>, labels: Vec<u8>) -> Result<Self, DatasetError> {
        let images = labels.len();
        let required = rows.checked_mul(cols).and_then(|len| len.checked_mul(images));
        if required != Some(pixels.len()) {
            return Err(DatasetError::Pixels { pixels: pixels.len(), images, rows, cols });
        }
        if pixels.is_empty() {
            return Err(DatasetError::Empty);
        }
        if let Some(position) = labels.iter().position(|&label| label >= CLASSES) {
            return Err(DatasetError::Label { position, label: labels[position] });
        }
        Ok(Self { rows, cols, pixels, labels })
    }

    /// The digits inside the program: the first 10,000 training images of MNIST and its whole test set
    /// (Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0).
    ///
    /// # Errors
    /// None, unless the program was built with other files.
    pub fn built_in(part: Part) -> Result<Self, DatasetError> {
        macro_rules! file {
            ($name:literal) => {
                ($name.into(), include_bytes!(concat!("../data/", $name)).as_slice())
            };
        }
        match part {
            Part::Train => Self::from_idx(
                file!("train-10k-images-idx3-ubyte.gz"),
                file!("train-10k-labels-idx1-ubyte.gz"),
            ),
            Part::Test => {
                Self::from_idx(file!("t10k-images-idx3-ubyte.gz"), file!("t10k-labels-idx1-ubyte.gz"))
            }
        }
    }

    /// Reads the two IDX files of one part; each may be gzip, with or without `.gz` in its name.
    ///
    /// # Errors
    /// A file is missing or damaged, or the two do not belong together.
    pub fn load(dir: &Path, part: Part) -> Result<Self, DatasetError> {
        let prefix = match part {
            Part::Train => "train",
            Part::Test => "t10k",
        };
        let (images_path, images) = read_plain_or_gz(dir, &format!("{prefix}-images-idx3-ubyte"))?;
        let (labels_path, labels) = read_plain_or_gz(dir, &format!("{prefix}-labels-idx1-ubyte"))?;
        Self::from_idx((images_path, &images), (labels_path, &labels))
    }

    fn from_idx(images: (PathBuf, &[u8]), labels: (PathBuf, &[u8])) -> Result<Self, DatasetError> {
        let in_file = |file| move |error| DatasetError::Idx { file, error };
        let labels = idx::parse_labels(labels.1).map_err(in_file(labels.0))?;
        let images = idx::parse_images(images.1).map_err(in_file(images.0))?;
        if images.count != labels.len() {
            return Err(DatasetError::Counts { images: images.count, labels: labels.len() });
        }
        Self::new(images.rows, images.cols, images.pixels, labels)
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

    /// An image's dimensions as a network takes them: channels (1), rows, columns.
    #[must_use]
    pub fn image_dims(&self) -> [usize; 3] {
        [1, self.rows, self.cols]
    }

    /// `[images, rows, cols]`
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// `[images]`
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }
}

/// The contents of `name` or, if there is no such file, of `name.gz`; and which of them it was.
fn read_plain_or_gz(dir: &Path, name: &str) -> Result<(PathBuf, Vec<u8>), DatasetError> {
    let plain = dir.join(name);
    let file = if plain.exists() { plain } else { dir.join(format!("{name}.gz")) };
    let mut bytes = Vec::new();
    let read = File::open(&file).and_then(|open| open.take(MAX_FILE_LEN + 1).read_to_end(&mut bytes));
    match read {
        Ok(len) if len as u64 > MAX_FILE_LEN => Err(DatasetError::FileTooLong { file }),
        Ok(_) => Ok((file, bytes)),
        Err(error) => Err(DatasetError::Io { file, error }),
    }
}

//! What can go wrong while a network runs over a data set.

use im2col::{RunError, ShapeError};
use thiserror::Error;

/// Why training cannot begin or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The network does not fit the images.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The network did not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The images have another size than those that the network was planned for.
    #[error("the network takes images of {planned:?} (channels, rows, columns), these are {given:?}")]
    ImageDims {
        /// The size that was planned.
        planned: [usize; 3],
        /// The size of the images.
        given: [usize; 3],
    },
    /// An image that the data set does not have.
    #[error("there is no image {index}, only {images}")]
    Image {
        /// The position that was asked for.
        index: usize,
        /// How many images there are.
        images: usize,
    },
    /// The parameters are not this network's.
    #[error("the network has {required} parameters, not {given}")]
    Params {
        /// How many parameters the network has.
        required: usize,
        /// How many were given.
        given: usize,
    },
}

//! What can go wrong while a network runs over a data set.

use im2col::{Isa, RunError, ShapeError};
use thiserror::Error;

use crate::samples::DatasetError;
use crate::summary::dims_text;
use crate::weights::NotFinite;

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
    /// An image cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The images have another size than those that the network was planned for.
    #[error(
        "images are {}, the network takes {} (channels x rows x columns)",
        dims_text(given),
        dims_text(planned)
    )]
    ImageDims {
        /// The size that was planned.
        planned: [usize; 3],
        /// The size of the images.
        given: [usize; 3],
    },
    /// A label without an output.
    #[error("label {position} is {label}; the network has {classes} outputs, for labels from 0")]
    Label {
        /// The label's position.
        position: usize,
        /// The label.
        label: u32,
        /// How many classes the network tells apart.
        classes: usize,
    },
    /// The instruction set that was asked for is another CPU's.
    #[error("this CPU lacks {name}; it has {}", isa_names())]
    Isa {
        /// The instruction set's name.
        name: &'static str,
    },
    /// Another process of this MPI job has failed, and says why.
    #[error("rank {rank} has failed")]
    OtherRank {
        /// The process's number, from 0.
        rank: usize,
    },
    /// Several processes were started together by a program that cannot train with others.
    #[error(
        "{size} processes were started together, but each would train alone: this program was built without the feature mpi"
    )]
    WithoutMpi {
        /// How many there are.
        size: usize,
    },
    /// MPI runs already, or cannot be called from several threads.
    #[error("MPI runs already in this process, or does not support threads")]
    Mpi,
    /// An image that the data set does not have.
    #[error("there is no image {index}, only {images}")]
    Image {
        /// The position that was asked for.
        index: usize,
        /// How many images there are.
        images: usize,
    },
    /// Nothing is left to learn from, or nothing is held back though something should be.
    #[error("a share of {share} of {images} images cannot be held back for validation")]
    Validation {
        /// The share that was asked for.
        share: f64,
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
    /// Training has left the numbers that f32 can hold.
    #[error("the loss is {loss} in epoch {epoch}: a smaller learning rate (--lr) may help")]
    Loss {
        /// From 1.
        epoch: usize,
        /// Not a finite number.
        loss: f64,
    },
    /// Training has left the numbers that f32 can hold with its last step.
    #[error("{error}, in epoch {epoch}: a smaller learning rate (--lr) may help")]
    Diverged {
        /// From 1.
        epoch: usize,
        /// The parameter.
        error: NotFinite,
    },
    /// Parameters to start from that are not finite.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}

/// Of the instruction sets that this CPU has.
fn isa_names() -> String {
    Isa::available().map(Isa::name).collect::<Vec<_>>().join(", ")
}

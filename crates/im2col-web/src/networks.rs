//! The two networks of the page, planned by the compiler.

use im2col::lenet::{LENET, LENET_RELU};
use im2col::{CrossEntropy, Isa, Network, ShapeError, planned};

/// How many layers a network has.
pub const LAYERS: usize = 12;
/// The pixels of an image.
pub const IMAGE_LEN: usize = 28 * 28;
/// How many digits there are.
pub const CLASSES: usize = 10;
/// How many images are learned from at once: one in each lane of a block.
pub const BLOCK: usize = 16;

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ReLU and maximum pooling.
    Relu,
    /// Sigmoid and average pooling, as in the lecture.
    Sigmoid,
}

/// On one image, each layer in place.
pub(crate) const RELU: Network<LAYERS> = planned!(in_place(Network::plan(LENET_RELU, 1, [1, 28, 28])));
pub(crate) const SIGMOID: Network<LAYERS> = planned!(in_place(Network::plan(LENET, 1, [1, 28, 28])));
/// On sixteen images, interleaved.
pub(crate) const RELU_BLOCK: Network<LAYERS> =
    planned!(Network::plan(LENET_RELU, BLOCK, [1, 28, 28])).with_isa(Isa::SCALAR);
pub(crate) const SIGMOID_BLOCK: Network<LAYERS> =
    planned!(Network::plan(LENET, BLOCK, [1, 28, 28])).with_isa(Isa::SCALAR);

/// The loss. `Isa::SCALAR` computes the same bits on every machine.
pub(crate) const LOSS: CrossEntropy = CrossEntropy::new(CLASSES).with_isa(Isa::SCALAR);

/// Both networks have as many.
pub const PARAMS: usize = RELU.param_len();

const fn in_place(network: Result<Network<LAYERS>, ShapeError>) -> Result<Network<LAYERS>, ShapeError> {
    match network {
        Ok(network) => {
            network.with_isa(Isa::SCALAR).with_train_scratch_limit(network.least_train_scratch_len())
        }
        error => error,
    }
}

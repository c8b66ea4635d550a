//! Sixteen images at a time: each is a lane of every vector.
//!
//! A small network has few channels and short rows, which fill vectors badly; but it has images enough. A *block*
//! is sixteen of them, interleaved: `[channels, height, width]` of vectors, the value of each image in a lane of its
//! own. Then the loops are those of the definition, with vectors for numbers: nothing is packed or shuffled, no lane
//! is lost, whatever the shape. Where there are fewer images, the other lanes are those of black ones, and count
//! for nothing.
//!
//! Fully connected layers have many weights, and take a pair of blocks at once: each weight is read for both.
//!
//! It pays where all that a block touches stays in the cache: [`Network`](crate::Network) decides.

mod blocks;
mod conv;
mod conv_grad_input;
mod conv_grad_weight;
mod linear;
mod pool;
mod tile;

pub(crate) use blocks::{ImageBlocks, Interleave, STRETCH, Separate};
pub(crate) use conv::{Convolve, PadPlanes};
pub(crate) use conv_grad_input::{Fold, GradInput};
pub(crate) use conv_grad_weight::{GradKernels, Grads};
pub(crate) use linear::{GradInputs, GradWeights, LinearForward};
pub(crate) use pool::{Pool, PoolBackward};

//! Convolution by im2col: `no_std`, no allocation, SIMD found at run time, and every scratch size
//! known when the shape is.
//!
//! An operation is planned first: [`ConvParams`] says what is wanted, and
//! [`plan`](ConvParams::plan) checks every size once and returns a [`ConvPlan`] that knows the
//! lengths of its operands and scratch. Plans can be constants. Running one needs slices only:
//!
//! ```
//! use im2col::{ConvOperands, ConvParams, ConvPlan, Weights, planned};
//!
//! // Six 5x5 kernels over a 28x28 image, padded so that it keeps its size: LeNet's first layer.
//! const CONV: ConvPlan<2> = planned!(ConvParams::new(1, 6, [5, 5]).with_padding([2, 2]).plan(1, [28, 28]));
//!
//! let (input, weight, bias) = ([1.0; CONV.input_len()], [0.5; CONV.weight_len()], [1.0; 6]);
//! let mut output = [0.0; CONV.output_len()];
//! let mut scratch = [0.0; CONV.scratch_len()];
//! let operands = ConvOperands { input: &input, weight: Weights::Plain(&weight), bias: &bias };
//! CONV.forward(operands, &mut output, &mut scratch)?;
//!
//! assert_eq!(output[0], 9.0 * 0.5 + 1.0); // a corner sees 3x3 of the kernel's 5x5 taps
//! assert_eq!(output[14 * 28 + 14], 25.0 * 0.5 + 1.0);
//! # Ok::<(), im2col::RunError>(())
//! ```
//!
//! All data is row-major `f32`: input `[batch, in_channels, dims..]`, weight
//! `[out_channels, in_channels / groups, kernel..]`, output `[batch, out_channels, dims..]`.
//!
//! - Convolution in one, two and three dimensions: [`ConvParams`], and its gradients.
//! - The rest of a small network: [`PoolParams`], [`LinearParams`], [`Activation`],
//!   [`Softmax`], [`CrossEntropy`].
//! - All of them in a row: [`Network`], and [`lenet`]. Its parameters from a file: [`include_f32!`].
//! - What it all means, in loops: [`naive`].
//!
//! # Promises
//!
//! Nothing here allocates, spawns, locks or panics, whatever the arguments; wrong lengths are errors
//! and leave the output untouched. On one instruction set ([`Isa`]) a result is the same bits every
//! time, whatever the scratch held; it differs from exact arithmetic by no more than the bound that
//! the operation states.
//!
//! # Features
//!
//! - `std` (default): lets the dependencies use it. Nothing here needs it, and nothing gets slower
//!   without it.
//! - `matrixmultiply`: the crate of that name as a second GEMM, [`Algorithm`]`::Matrixmultiply`. It
//!   allocates.

#![cfg_attr(not(test), no_std)]

mod activation;
mod conv;
mod error;
mod gemm;
mod include;
mod kernel;
mod lanes;
pub mod lenet;
mod linear;
mod loss;
mod lower;
mod math;
pub mod naive;
mod network;
mod padding;
mod pool;
mod scratch;
mod sum;
mod taps;
mod window;

pub use activation::Activation;
pub use conv::{
    Algorithm, Columns, ConvOperands, ConvParams, ConvPlan, ConvTransposePlan, PackedWeights, Weights,
};
pub use error::{RunError, ShapeError};
#[doc(hidden)]
pub use include::f32_from_le_bytes;
pub use kernel::Isa;
pub use linear::{LinearOperands, LinearParams, LinearPlan};
pub use loss::{
    CrossEntropy, Softmax, argmax, cross_entropy, cross_entropy_backward, softmax, softmax_backward,
};
pub use network::{Layer, LayerSummary, Network, NetworkWeights, PackedNetwork, Parameter};
pub use padding::{Padding, PaddingMode};
pub use pool::{PoolKind, PoolParams, PoolPlan};

/// Unwraps a plan at compile time: a shape that does not fit does not compile.
///
/// ```
/// use im2col::{ConvParams, ConvPlan, planned};
///
/// const PLAN: ConvPlan<1> = planned!(ConvParams::new(2, 4, [3]).plan(1, [16]));
/// assert_eq!(PLAN.output_dims(), [14]);
/// ```
///
/// ```compile_fail
/// use im2col::{ConvParams, ConvPlan, planned};
///
/// const PLAN: ConvPlan<1> = planned!(ConvParams::new(2, 4, [3]).plan(1, [2]));
/// ```
#[macro_export]
macro_rules! planned {
    ($plan:expr) => {
        const {
            match $plan {
                ::core::result::Result::Ok(plan) => plan,
                // Constants cannot format numbers.
                ::core::result::Result::Err(error) => ::core::panic!("{}", error.message()),
            }
        }
    };
}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

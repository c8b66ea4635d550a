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
//! `[out_channels, in_channels / groups, kernel..]`, output `[batch, out_channels, dims..]`. A convolution's forward pass takes and
//! gives [channels last](Layout) too.
//!
//! - Convolution in one, two and three dimensions: [`ConvParams`], and its gradients. Its matrices alone, PyTorch's
//!   `Unfold` and `Fold`: [`Im2colParams`].
//! - The rest of a small network: [`PoolParams`], [`LinearParams`], [`Activation`],
//!   [`Softmax`], [`CrossEntropy`].
//! - All of them in a row: [`Network`], and [`lenet`]. Its parameters from a file: [`include_f32!`].
//! - What it all means, in loops: [`naive`].
//!
//! # Promises
//!
//! Nothing here panics, locks or allocates, and every call stays on the caller's thread, whatever the arguments.
//! Two exceptions are asked for by name: `with_threads` (feature `rayon`) and [`Algorithm`]`::Matrixmultiply`
//! (feature `matrixmultiply`), which allocates. Wrong lengths are errors and leave the output untouched. On one
//! instruction set ([`Isa`]) a result is the same bits every time, whatever the scratch held and however many threads
//! compute it; it differs from exact arithmetic by no more than the bound that the operation states.
//!
//! # Features
//!
//! - `std` (default): lets the dependencies use it. Nothing here needs it, and nothing gets slower
//!   without it.
//! - `rayon`: `with_threads(n)` of [`ConvPlan`], [`PoolPlan`] and [`Network`], whose forward passes then run on at most
//!   `n` threads of the current rayon pool, with the same bits for any `n`. Without a call of it nothing starts a
//!   thread. Needs `std`.
//! - `matrixmultiply`: the crate of that name as a second GEMM, [`Algorithm`]`::Matrixmultiply`. It
//!   allocates.
//!
//! # Instruction sets
//!
//! On x86-64, AVX2 and AVX-512 are looked for at run time by the crate `cpufeatures`, with or without `std`. It looks
//! for nothing on targets with `target_os = "none"` or `"uefi"` and on SGX: there [`Isa::detect`] gives [`Isa::WIDE`]
//! unless the instruction sets are compiled in, by `-C target-feature=+avx2,+fma` (`+avx512f` besides), in `RUSTFLAGS`
//! or `.cargo/config.toml`. On other CPUs [`Isa::WIDE`] is what the target guarantees, NEON on aarch64 say.
//!
//! # Size and stack
//!
//! All algorithms under all instruction sets are in a program, unless the linker sees that a plan needs only one: where
//! plans are constants, `lto = "fat"` in `[profile.release]` leaves out the rest. By `size`, a program with one
//! convolution (x86-64, `opt-level = 3`, this crate without `std`) has 862,101 bytes without it and 386,925 with it;
//! an empty program has 346,037 and 305,003.
//!
//! Plans that are constants cost nothing when the program runs. [`Network`](Network#stack) says how much of the stack
//! a plan takes that is made at run time, and a pass. No function takes more than 16 KiB, in debug builds 140: the program `stack`
//! of this repository's `benches` measures them, without what the caller keeps (results, and weights that are passed by value).

#![cfg_attr(not(test), no_std)]

mod activation;
#[doc(hidden)]
pub mod const_plan;
mod conv;
mod epilogue;
mod error;
mod gemm;
mod gradients;
mod im2col;
mod include;
mod interleaved;
mod layout;
pub mod lenet;
mod linear;
mod loss;
mod math;
pub mod naive;
mod network;
mod padding;
mod pixels;
mod pool;
mod scratch;
mod simd;
mod sum;
mod weights;
mod window;

pub use activation::Activation;
pub use conv::{
    Algorithm, Columns, ConvOperands, ConvParams, ConvPlan, ConvTransposePlan, Im2colParams, Im2colPlan,
    Rounding,
};
pub use error::{ErrorMessage, LayerError, RunError, ShapeError};
pub use gradients::Gradients;
#[doc(hidden)]
pub use include::f32_from_le_bytes;
pub use layout::{InputStrides, Layout};
pub use linear::{LinearOperands, LinearParams, LinearPlan};
pub use loss::{
    CrossEntropy, Softmax, argmax, cross_entropy, cross_entropy_backward, softmax, softmax_backward,
};
pub use network::{Layer, LayerSummary, Network, NetworkWeights, PackedLayers, PackedNetwork, Parameter};
pub use padding::{Padding, PaddingMode};
pub use pixels::Pixels;
pub use pool::{PoolKind, PoolParams, PoolPlan};
pub use simd::Isa;
pub use weights::{PackedArray, PackedWeights, Weights};

/// The examples of this package's README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

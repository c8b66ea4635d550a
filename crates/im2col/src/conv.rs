//! Convolution, which is cross-correlation here as it is in every neural network library:
//!
//! `y[n, o, p] = b[o] + sum over c, k of x[n, c, p * stride + k * dilation - padding] * w[o, c, k]`
//!
//! [`ConvParams`] says what is wanted, [`ConvPlan`] is the checked arithmetic of one input size.

mod algorithm;
mod backward;
mod channel_lanes;
mod choice;
mod columns;
mod forward;
mod gradient;
mod limit;
mod padded;
mod params;
mod pass;
mod plan;
mod requests;
mod rounding;
mod shape;
mod sizes;
#[cfg(feature = "rayon")]
mod threads;
mod transposed;
mod unfold;

pub use algorithm::Algorithm;
pub use columns::Columns;
pub use forward::ConvOperands;
pub(crate) use forward::LineOperands;
pub use params::ConvParams;
pub use plan::ConvPlan;
pub use rounding::Rounding;
pub use transposed::ConvTransposePlan;
pub use unfold::{Im2colParams, Im2colPlan};

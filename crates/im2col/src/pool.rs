//! Pooling: the maximum or the mean of each window.
//!
//! `y[n, c, o] = max or mean over k of x[n, c, o * stride + k * dilation - padding]`
//!
//! A convolution is sensitive to position: a shift by one pixel moves every edge. A maximum over a
//! window is less so. There are no parameters, and each channel is pooled by itself.

mod argmax;
mod backward;
mod backward_from;
mod forward;
mod layout;
mod max3x3;
mod params;
mod plan;
mod stage;
pub(crate) mod sum;
#[cfg(test)]
mod tests;
mod tiles;
mod unpool;
pub(crate) mod windows;

pub use params::{PoolKind, PoolParams};
pub use plan::PoolPlan;

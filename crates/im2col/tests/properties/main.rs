//! Properties of the operations: against the definitions ([`im2col::naive`]), against the testkit's
//! oracle in `f64`, and against each other.
//!
//! On small integers every sum of products is exact in `f32`, whatever its order, so results must be
//! equal. On reals they must lie within the bound of their rounding error.
//!
//! `PROPTEST_CASES=34000 cargo test -p im2col --release --test properties equals_naive` is the long
//! run; without the variable each property runs a number of cases that takes seconds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how a test fails")]

mod adjoint;
mod alloc;
mod conv_backward;
mod conv_forward;
mod dense;
mod equivariance;
mod errors;
mod gemm_tails;
mod hostile;
mod hostile_calls;
mod isa;
mod linear;
mod loss;
mod padding;
mod plans;
mod pool;
mod pool_indices;
mod scratch;
mod small_shapes;
mod transpose;
mod winograd;

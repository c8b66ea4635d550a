//! Properties of the operations: against the definitions ([`im2col::naive`]), against the testkit's
//! oracle in `f64`, and against each other.
//!
//! On small integers every sum of products is exact in `f32`, whatever its order, so results must be
//! equal. On reals they must lie within the bound of their rounding error.
//!
//! `PROPTEST_CASES=34000 cargo test -p im2col --release --test properties equals_naive` is the long
//! run; without the variable each property runs a number of cases that takes seconds. A small number is
//! for slow targets: `PROPTEST_CASES=20 cargo test` runs 20 cases of each, and of the lists of all small shapes a fifth.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how a test fails")]

mod adjoint;
mod alloc;
mod backward_limits;
mod conv_backward;
mod conv_forward;
mod cost;
mod dense;
mod equivariance;
mod errors;
mod gradients;
mod hostile;
mod hostile_calls;
mod isa;
mod lattice;
mod layouts;
mod linear;
mod long_sums;
mod loss;
mod non_finite;
mod packed;
mod padding;
mod plans;
mod pool;
mod pool_indices;
mod pool_layouts;
mod pool_shapes;
mod pool_sums;
mod scratch;
mod small_shapes;
mod strides;
mod transpose;
mod winograd;

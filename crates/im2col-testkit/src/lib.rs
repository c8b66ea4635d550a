//! What the tests of `im2col` share.
//!
//! Nothing here knows the types of the core: a convolution is a [`oracle::ConvCase`], operands are
//! slices. So the oracle cannot inherit a mistake from what it judges.

pub mod alloc;
pub mod bound;
pub mod golden;
pub mod guard;
pub mod idx;
pub mod import_order;
pub mod operands;
pub mod oracle;
pub mod property;
pub mod strategies;

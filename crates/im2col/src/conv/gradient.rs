//! The gradients of input and weight.

pub(super) mod depthwise;
pub(super) mod in_place_input;
pub(super) mod in_place_weight;
pub(super) mod input;
mod parts;
pub(super) mod weight;

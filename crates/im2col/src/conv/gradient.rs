//! The gradients of input and weight.

pub(super) mod depthwise;
pub(super) mod in_place_input;
pub(super) mod in_place_weight;
pub(super) mod input;
pub(super) mod weight;

//! Networks: an array of layers, planned together, run forward and backward on flat slices.
//!
//! One slice holds all parameters, in the order of PyTorch's `state_dict` (each layer's weight,
//! then its bias). Inference needs a scratch; training also needs a workspace, which keeps every
//! layer's output from [`Network::forward_train`] to [`Network::backward`].

mod backward;
mod bands;
mod by_rows;
mod forward;
mod images;
mod in_place;
mod interleaved;
mod interleaving;
mod layer;
mod layout;
mod limit;
mod packed;
mod ping_pong;
mod pixels;
mod plan;
mod summary;

pub use forward::{NetworkWeights, PackedNetwork};
pub use layer::Layer;
pub use packed::PackedLayers;
pub use plan::Network;
pub use summary::{LayerSummary, Parameter};

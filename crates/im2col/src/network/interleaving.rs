//! How images are interleaved: lengths in vectors.

/// The most bundles of a block.
pub(super) const BLOCK: usize = 2;

/// How many vectors a bundle takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interleaving {
    /// The first layer of the tail: the first linear one, or as many as there are.
    pub(super) tail: usize,
    /// What training keeps from the forward to the backward pass: of the head but for its last output, which stands
    /// with those of the tail; and in all.
    pub(super) head_kept: usize,
    pub(super) kept: usize,
    /// What inference keeps between two layers stands in one of two buffers in turn.
    pub(super) buffers: [usize; 2],
    /// Gradients likewise, in the head and in the tail.
    pub(super) head_grads: [usize; 2],
    pub(super) tail_grads: [usize; 2],
    /// What a layer needs besides, forward for a bundle, and backward for a block where layers take one.
    pub(super) forward: usize,
    pub(super) backward: usize,
}

//! How images are interleaved: lengths in vectors.

/// The most bundles of a block.
pub(super) const BLOCK: usize = 2;

/// How many vectors a bundle takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interleaving {
    /// The first layer of the classifier: the first linear one, or the number of layers without one.
    pub(super) classifier: usize,
    /// What training keeps from the forward to the backward pass: of the feature layers but for their last output, which stands
    /// with those of the classifier; and in all.
    pub(super) features_kept: usize,
    pub(super) kept: usize,
    /// What inference keeps between two layers stands in one of two buffers in turn.
    pub(super) buffers: [usize; 2],
    /// Gradients likewise, in the feature layers and in the classifier.
    pub(super) feature_grads: [usize; 2],
    pub(super) classifier_grads: [usize; 2],
    /// What a layer needs besides, forward for a bundle, and backward for a block where layers take one.
    pub(super) forward: usize,
    pub(super) backward: usize,
}

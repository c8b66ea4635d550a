//! How images are interleaved: lengths in vectors.

/// The most blocks of sixteen images that the classifier takes at once: a pair.
pub(super) const MOST_BLOCKS: usize = 2;

/// How many vectors a block takes.
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
    /// What a layer needs besides, forward for a block, and backward for a pair of blocks where layers take one.
    pub(super) forward: usize,
    pub(super) backward: usize,
}

//! The order in which a convolution adds its products.

/// In which order the products of an output may be summed, and so how sums are rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rounding {
    /// By channel and tap: every algorithm that a plan takes by itself gives the same bits.
    #[default]
    Ordered,
    /// In any order: a plan takes [`Algorithm::Winograd`](super::Algorithm::Winograd) where that is estimated to be faster, with
    /// the larger errors that are stated there.
    Any,
}

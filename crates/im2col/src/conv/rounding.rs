//! The order in which a convolution adds its products.

use super::plan::ConvPlan;

/// In which order the products of an output may be summed, and so how sums are rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rounding {
    /// By channel and tap: every algorithm that a plan takes by itself gives the same bits.
    #[default]
    Ordered,
    /// In any order: a plan takes [`Algorithm::Winograd`](super::Algorithm::Winograd) where that is estimated to be faster, with the larger errors that are
    /// stated there.
    Any,
}

impl<const D: usize> ConvPlan<D> {
    /// The same convolution whose sums may be rounded in another order, by another algorithm if that is faster. An algorithm
    /// that is [asked for](ConvPlan::with_algorithm) stays.
    ///
    /// ```
    /// use im2col::{Algorithm, ConvParams, Rounding};
    ///
    /// let plan = ConvParams::new(64, 64, [3, 3]).with_padding([1, 1]).plan(1, [56, 56])?;
    /// assert_eq!(plan.algorithm(), Algorithm::Broadcast);
    /// let plan = plan.with_rounding(Rounding::Any);
    /// assert_eq!(plan.algorithm(), Algorithm::Winograd);
    /// assert_eq!(plan.with_scratch_limit(50_000).algorithm(), Algorithm::Broadcast);
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn with_rounding(mut self, rounding: Rounding) -> Self {
        self.set_rounding(rounding);
        self
    }

    /// [`with_rounding`](Self::with_rounding), without a copy of the plan.
    pub(crate) const fn set_rounding(&mut self, rounding: Rounding) {
        self.rounding = rounding;
        // An error, a scratch that does not fit in `usize`, leaves the plan as it is.
        let _ = self.resolve();
    }

    /// How sums may be rounded.
    #[must_use]
    pub const fn rounding(&self) -> Rounding {
        self.rounding
    }
}

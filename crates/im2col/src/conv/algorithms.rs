//! Which algorithms a plan could use.

use super::plan::{Algorithm, ConvPlan};

/// All of them, those that are only used by request last.
const ALL: &[Algorithm] = &[
    Algorithm::Depthwise,
    Algorithm::Pointwise,
    Algorithm::Broadcast,
    Algorithm::Direct,
    Algorithm::Im2col,
    Algorithm::InPlace,
    Algorithm::Winograd,
    #[cfg(feature = "matrixmultiply")]
    Algorithm::Matrixmultiply,
];

impl<const D: usize> ConvPlan<D> {
    /// The algorithms that [`ConvPlan::with_algorithm`] takes for this shape, one of which is
    /// [`ConvPlan::algorithm`].
    ///
    /// ```
    /// use im2col::{Algorithm, ConvParams};
    ///
    /// let plan = ConvParams::new(16, 32, [3, 3]).with_stride([2, 2]).plan(1, [9, 9])?;
    /// let algorithms = [Algorithm::Broadcast, Algorithm::Direct, Algorithm::Im2col, Algorithm::InPlace];
    /// assert!(plan.algorithms().take(4).eq(algorithms));
    /// for algorithm in plan.algorithms() {
    ///     assert_eq!(plan.with_algorithm(algorithm)?.algorithm(), algorithm);
    /// }
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> + use<D> {
        let plan = *self;
        ALL.iter().copied().filter(move |&algorithm| plan.with_algorithm(algorithm).is_ok())
    }
}

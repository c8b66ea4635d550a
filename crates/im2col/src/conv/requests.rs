//! What a plan is asked for: an algorithm or the order of its sums, layouts, a limit of scratch, threads, an instruction set; and
//! what follows from all of it.

use super::algorithm::{ALL, Algorithm};
use super::choice::best;
use super::plan::{ConvPlan, NO_VIEW, TOO_LONG};
use super::rounding::Rounding;
use super::sizes::ConvSizes;
use crate::conv::channel_lanes::SUMS_LEN;
use crate::conv::shape::ConvShape;
use crate::error::ShapeError;
use crate::layout::{InputStrides, Layout};
use crate::simd::{Isa, MR};
use crate::window::lift;

impl<const D: usize> ConvPlan<D> {
    /// The same convolution by another algorithm; the scratch lengths follow it. Under a
    /// [`with_scratch_limit`](ConvPlan::with_scratch_limit) that it does not fit into, another algorithm runs.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Unsupported`] for [`Algorithm::Pointwise`], [`Algorithm::Depthwise`] or
    /// [`Algorithm::Winograd`] if the shape is not theirs; with [channels last](Self::with_input_layout) for all but
    /// [`Algorithm::Broadcast`] and [`Algorithm::InPlace`], `Depthwise` from and to them, and [`Algorithm::Direct`] from channels
    /// first to at most 16 channels of one group; with [strides](Self::with_input_strides) likewise, but for `Direct`;
    /// [`ShapeError::Overflow`] if its scratch does not fit in `usize`.
    pub const fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, ShapeError> {
        if !algorithm.fits(&self.shape) {
            return Err(ShapeError::Unsupported { algorithm: algorithm.name() });
        }
        self.requested = Some(algorithm);
        match self.resolve() {
            Ok(()) => Ok(self),
            Err(error) => Err(error),
        }
    }

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

    /// The same convolution whose sums may be rounded in another order, by another algorithm if that is faster: the forward pass,
    /// and [`ConvPlan::backward_input`] where it is a convolution too. An algorithm that is
    /// [asked for](ConvPlan::with_algorithm) stays; the gradient chooses by itself.
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
        self.set_backward_scratch_limit(self.backward.limit);
    }

    /// How sums may be rounded.
    #[must_use]
    pub const fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// The same convolution, with the same weights, of an input in this layout. An example is at [`Layout`].
    ///
    /// Where there are several channels and positions, and the channels come last, the input is read where it lies or copied
    /// into blocks as it is, by [`Algorithm::Broadcast`], or by [`Algorithm::InPlace`] under a
    /// [limit of scratch](ConvPlan::with_scratch_limit). With one channel per group, and the output's channels last too,
    /// [`Algorithm::Depthwise`] runs; from one layout to the other such a convolution takes many times as long. From channels
    /// first, or one channel, to few that come last [`Algorithm::Direct`] may be the fastest. If another algorithm was
    /// [asked for](ConvPlan::with_algorithm), one of these runs instead. Threads divide a single image whose output has channels
    /// last along its first axis with several positions. They do not divide one with channels last in the input alone if there
    /// are several groups.
    ///
    /// For finite weights the result stays the same, bit for bit but for the sign of a zero, unless channels first were computed
    /// by `Winograd` or `Matrixmultiply`. Gradients and im2col matrices need channels first: [`RunError::Layout`](crate::RunError::Layout).
    ///
    /// # Errors
    ///
    /// [`ShapeError::Overflow`] if the scratch does not fit in `usize`.
    pub const fn with_input_layout(mut self, layout: Layout) -> Result<Self, ShapeError> {
        self.input_layout = layout;
        (self.view, self.shape.is_view) = (NO_VIEW, false);
        self.with_shape_of_layouts()
    }

    /// The same convolution into an output in this layout: see [`with_input_layout`](Self::with_input_layout).
    ///
    /// ```
    /// use im2col::{ConvOperands, ConvParams, Layout, Weights};
    ///
    /// let plan = ConvParams::new(1, 2, [2]).with_bias(false).plan(1, [4])?;
    /// let operands = ConvOperands { input: &[1., 2., 3., 4.], weight: Weights::Plain(&[1., 1., -1., 1.]), bias: &[] };
    /// let mut output = [0.0; 6];
    /// let mut scratch = vec![0.0; plan.scratch_len()];
    /// plan.forward(operands, &mut output, &mut scratch)?;
    /// assert_eq!(output, [3., 5., 7., 1., 1., 1.]);
    ///
    /// let plan = plan.with_output_layout(Layout::ChannelsLast)?;
    /// let mut scratch = vec![0.0; plan.scratch_len()];
    /// plan.forward(operands, &mut output, &mut scratch)?;
    /// assert_eq!(output, [3., 1., 5., 1., 7., 1.]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`with_input_layout`](Self::with_input_layout).
    pub const fn with_output_layout(mut self, layout: Layout) -> Result<Self, ShapeError> {
        self.output_layout = layout;
        self.with_shape_of_layouts()
    }

    /// The same convolution, with the same weights, of an input that is a view of a larger buffer: the value of image `n` and channel
    /// `c` at position `[y, x]` is `input[n * image + c * channel + y * dims[0] + x * dims[1]]`. So it may be a crop of an
    /// image, rows that a camera pads, or one colour of pixels; with a stride of 0 one plane serves all channels.
    /// [`input_len`](ConvPlan::input_len) then counts from the first value to the last, and [`with_input_layout`](Self::with_input_layout)
    /// makes the input whole again.
    ///
    /// It is computed as one with [channels last](Self::with_input_layout) is: by [`Algorithm::Broadcast`], which copies it to the
    /// scratch block by block, by [`Algorithm::InPlace`], or, from neighbouring channels to channels last, [`Algorithm::Depthwise`].
    ///
    /// ```
    /// use im2col::{ConvOperands, ConvParams, InputStrides, Weights};
    ///
    /// // The middle of a plane of three rows of four values.
    /// let strides = InputStrides { image: 0, channel: 0, dims: [4, 1] };
    /// let plan = ConvParams::new(1, 1, [2, 2]).with_bias(false).plan(1, [2, 2])?.with_input_strides(strides)?;
    /// assert_eq!(plan.input_len(), 6);
    /// let buffer = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.];
    /// let operands = ConvOperands { input: &buffer[5..][..6], weight: Weights::Plain(&[1., 10., 100., 1000.]), bias: &[] };
    /// let (mut output, mut scratch) = ([0.0], vec![0.0; plan.scratch_len()]);
    /// plan.forward(operands, &mut output, &mut scratch)?;
    /// assert_eq!(output, [5. + 60. + 900. + 10_000.]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ShapeError::InputStrides`] unless the values of a line or the channels follow each other;
    /// [`ShapeError::Overflow`] if a place in the buffer or the scratch does not fit in `usize`.
    pub const fn with_input_strides(mut self, strides: InputStrides<D>) -> Result<Self, ShapeError> {
        let ConvShape { batch, groups, in_group, window, .. } = self.shape;
        let InputStrides { mut image, mut channel, dims } = strides;
        let mut dims = lift(dims, 0);
        // A stride counts only where there is a second value.
        if batch < 2 {
            image = 0;
        }
        if groups * in_group == 1 {
            channel = 1;
        }
        let mut axis = 0;
        while axis < 3 {
            if window.input[axis] == 1 {
                dims[axis] = if axis == 2 { 1 } else { 0 };
            }
            axis += 1;
        }
        let strides = InputStrides { image, channel, dims };
        let mut layouts: &[Layout] = &[Layout::ChannelsFirst, Layout::ChannelsLast];
        while let [layout, others @ ..] = layouts {
            let whole = ConvShape { input_layout: *layout, is_view: false, ..self.shape };
            if whole.are_input_strides(&strides) {
                return self.with_input_layout(*layout);
            }
            layouts = others;
        }
        let is_last = dims[2] != 1;
        if is_last && channel != 1 {
            return Err(ShapeError::InputStrides { channel, last: dims[2] });
        }
        if self.shape.view_len(&strides).is_none() {
            return Err(ShapeError::Overflow { what: "input" });
        }
        self.view = strides;
        self.input_layout = if is_last { Layout::ChannelsLast } else { Layout::ChannelsFirst };
        (self.shape.input_layout, self.shape.is_view) = (self.input_layout, true);
        match self.resolve() {
            Ok(()) => Ok(self),
            Err(error) => Err(error),
        }
    }

    /// Gives the shape its layouts and plans anew. Of a single channel or position both layouts are one.
    const fn with_shape_of_layouts(mut self) -> Result<Self, ShapeError> {
        let ConvShape { groups, in_group, out_group, window, is_view, .. } = self.shape;
        if !is_view {
            self.shape.input_layout = self.input_layout.of(window.plane_len(), groups * in_group);
        }
        self.shape.output_layout = self.output_layout.of(window.positions(), groups * out_group);
        match self.resolve() {
            Ok(()) => Ok(self),
            Err(error) => Err(error),
        }
    }

    /// The same convolution with at most `len` values of scratch for [`ConvPlan::forward`]: by the
    /// same algorithm, if it fits; otherwise by the best one that sums in order, if [`Rounding::Any`] had led to another and this
    /// one fits; otherwise, with more than six outputs per group, by `Broadcast` in smaller
    /// blocks; otherwise in place, which needs none. It runs on as many of the threads that
    /// `with_threads` allows as have room for a scratch each.
    ///
    /// For finite weights the result stays the same, bit for bit but for the sign of a zero, unless the
    /// algorithm was `Winograd` or `Matrixmultiply`. (A weight that is not finite may or may not meet the zeros of the
    /// padding.)
    ///
    /// ```
    /// use im2col::{Algorithm, ConvParams};
    ///
    /// let plan = ConvParams::new(64, 64, [3, 3]).with_padding([1, 1]).plan(1, [56, 56])?;
    /// assert_eq!(plan.scratch_len(), 100_928);
    /// let plan = plan.with_scratch_limit(50_000);
    /// assert_eq!((plan.algorithm(), plan.scratch_len()), (Algorithm::Broadcast, 44_096));
    /// let plan = plan.with_scratch_limit(0);
    /// assert_eq!((plan.algorithm(), plan.scratch_len()), (Algorithm::InPlace, 0));
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn with_scratch_limit(mut self, len: usize) -> Self {
        self.set_scratch_limit(len);
        self
    }

    /// [`with_scratch_limit`](Self::with_scratch_limit), without a copy of the plan.
    pub(crate) const fn set_scratch_limit(&mut self, len: usize) {
        self.scratch_limit = len;
        // An error, a scratch that does not fit in `usize`, leaves the plan as it is.
        let _ = self.resolve();
    }

    /// Runs the forward pass on at most `threads` threads of the current rayon pool: images, groups or channels apart, or lines
    /// where the output's channels come last, so the result is the same, bit for bit, for any number. The scratch grows with it.
    ///
    /// A part of less than two million multiply-adds is not worth a thread: small convolutions stay serial.
    #[cfg(feature = "rayon")]
    #[must_use]
    pub const fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Runs under this instruction set; otherwise under the fastest that the CPU has.
    #[must_use]
    pub const fn with_isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// Plans what all requests describe together, whatever their order: the requested algorithm if the layouts are its own, or the
    /// one that [`best`] takes, if its scratch for one thread is within the limit; otherwise the best one that sums in order, if that is; otherwise, with
    /// more than six outputs per group, `Broadcast` in smaller blocks; otherwise `InPlace`, which needs none.
    /// [`ConvPlan::parts`] then takes the threads whose scratch is within the limit. An error leaves the plan as it was.
    pub(super) const fn resolve(&mut self) -> Result<(), ShapeError> {
        let limit = self.scratch_limit;
        let mut resolved = match self.requested {
            Some(algorithm) if algorithm.fits(&self.shape) => {
                match ConvSizes::new(&self.shape, algorithm, usize::MAX) {
                    Some(sizes) => (algorithm, sizes),
                    None => return Err(TOO_LONG),
                }
            }
            // None was asked for, or the layouts are not its own.
            _ => match self.chosen() {
                Some(chosen) => chosen,
                None => return Err(TOO_LONG),
            },
        };
        if resolved.1.forward.plain > limit {
            resolved = match ConvSizes::new(&self.shape, Algorithm::InPlace, usize::MAX) {
                Some(sizes) => (Algorithm::InPlace, sizes),
                None => return Err(TOO_LONG),
            };
            // A single panel of weights never repays packing.
            if self.shape.out_group > MR
                && let Some(least) = ConvSizes::new(&self.shape, Algorithm::Broadcast, 0)
                && let Some(spare) = limit.checked_sub(least.forward.plain)
                && let most = spare.saturating_sub(SUMS_LEN)
                && let Some(sizes) = ConvSizes::new(&self.shape, Algorithm::Broadcast, most)
                && sizes.forward.plain <= limit
            {
                resolved = (Algorithm::Broadcast, sizes);
            }
        }
        (self.algorithm, self.sizes) = resolved;
        Ok(())
    }

    /// The algorithm that is estimated to be the fastest, of those that round as was asked for, and its sizes.
    const fn chosen(&self) -> Option<(Algorithm, ConvSizes)> {
        let algorithm = best(&self.shape, self.rounding);
        if matches!(self.rounding, Rounding::Any)
            && let Some(sizes) = ConvSizes::new(&self.shape, algorithm, usize::MAX)
            && sizes.forward.plain <= self.scratch_limit
        {
            return Some((algorithm, sizes));
        }
        let algorithm = best(&self.shape, Rounding::Ordered);
        match ConvSizes::new(&self.shape, algorithm, usize::MAX) {
            Some(sizes) => Some((algorithm, sizes)),
            None => None,
        }
    }
}

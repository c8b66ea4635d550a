//! Images and outputs with channels last.

use super::forward::NetworkWeights;
use super::images::Images;
use super::layer::ValueShape;
use super::plan::Network;
use crate::error::RunError;
use crate::gemm::pack::PackRows;
use crate::layout::Layout;
use crate::simd::{Isa, NR, dispatch};

impl<const L: usize> Network<L> {
    /// The same network of images with channels last, `[batch, height, width, channels]`, or first: what [`forward`](Self::forward)
    /// and [`forward_pixels`](Self::forward_pixels) are given. Layers and parameters stay as they are.
    ///
    /// An image with channels last is put into channels first where [pixels](Self::forward_pixels) are converted, as is
    /// described there: [`scratch_len`](Self::scratch_len) is then [`pixel_scratch_len`](Self::pixel_scratch_len), which may
    /// exceed a limit. Of a single channel or position both layouts are one. Training takes channels first:
    /// [`RunError::Layout`].
    ///
    /// ```
    /// use im2col::{ConvParams, Layer, Layout, Network, NetworkWeights};
    ///
    /// // What is red, less what is green; two pixels of red, green and blue.
    /// const CONV: ConvParams<2> = ConvParams::new(3, 1, [1, 1]).with_bias(false);
    /// let network = Network::plan([Layer::Conv(CONV)], 1, [3, 1, 2])?.with_input_layout(Layout::ChannelsLast);
    ///
    /// let mut output = [0.0; 2];
    /// let mut scratch = vec![0.0; network.scratch_len()];
    /// let weights = NetworkWeights::Plain(&[1.0, -1.0, 0.0]);
    /// network.forward(weights, &[9., 2., 0., 8., 8., 1.], &mut output, &mut scratch)?;
    /// assert_eq!(output, [7.0, 0.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_input_layout(mut self, layout: Layout) -> Self {
        // Of a single channel or position both layouts are one.
        let is_last = layout.is_last() && self.image_len > self.channels;
        self.position_stride = if is_last { self.channels } else { 1 };
        self
    }

    /// Where the channels of the input are; first, if there is only one, or a single position.
    #[must_use]
    pub const fn input_layout(&self) -> Layout {
        if self.position_stride > 1 { Layout::ChannelsLast } else { Layout::ChannelsFirst }
    }

    /// The same network with an output of `[batch, height, width, channels]`, or with channels first: what
    /// [`forward`](Self::forward) and [`forward_pixels`](Self::forward_pixels) give.
    ///
    /// Each image of the output is computed with channels first and transposed by way of the scratch, which adds 2 to 8 % to a 3x3
    /// convolution. So [`scratch_len`](Self::scratch_len) is at least as long as an image whose channels are rounded up to a
    /// multiple of sixteen, unless the batch is empty, and may exceed a limit. An output of one channel or position, such as that of
    /// a linear layer, is the same in both layouts. Training gives channels first: [`RunError::Layout`].
    ///
    /// ```
    /// use im2col::{ConvParams, Layer, Layout, Network, NetworkWeights};
    ///
    /// // Each value and its double.
    /// const CONV: ConvParams<2> = ConvParams::new(1, 2, [1, 1]).with_bias(false);
    /// let network = Network::plan([Layer::Conv(CONV)], 1, [1, 1, 3])?.with_output_layout(Layout::ChannelsLast);
    ///
    /// let mut output = [0.0; 6];
    /// let mut scratch = vec![0.0; network.scratch_len()];
    /// network.forward(NetworkWeights::Plain(&[1.0, 2.0]), &[5., 6., 7.], &mut output, &mut scratch)?;
    /// assert_eq!(output, [5., 10., 6., 12., 7., 14.]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_output_layout(mut self, layout: Layout) -> Self {
        let [channels, positions] = self.output_planes();
        self.gives_channels_last = Layout::of(layout, positions, channels).is_last();
        self
    }

    /// Where the channels of the output are; first, if there is only one, or a single position.
    #[must_use]
    pub const fn output_layout(&self) -> Layout {
        if self.gives_channels_last { Layout::ChannelsLast } else { Layout::ChannelsFirst }
    }

    /// How many channels an image of the output has, and how many values each of them.
    const fn output_planes(&self) -> [usize; 2] {
        match self.layers[L.wrapping_sub(1)].output {
            // Its length is checked.
            ValueShape::Planes([channels, height, width]) => [channels, height.wrapping_mul(width)],
            ValueShape::Features(features) => [features, 1],
        }
    }

    /// The length of an image of the output while its channels are put last: its channels in panels of sixteen. 0 if they are not.
    /// No slice is as long as a product that saturates.
    pub(super) const fn permuted_len(&self) -> usize {
        if !self.gives_channels_last || self.batch == 0 {
            return 0;
        }
        let [channels, positions] = self.output_planes();
        channels.div_ceil(NR).saturating_mul(NR).saturating_mul(positions)
    }

    /// Infers all images, with the output in its layout.
    #[inline]
    pub(super) fn infer_images(
        &self,
        weights: &NetworkWeights<'_, L>,
        input: Images<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        // A call of its own, not inlined: the usual layout does not pay for its stack.
        if self.gives_channels_last {
            return self.infer_channels_last(weights, input, output, scratch);
        }
        self.infer_parts(weights, input, output, scratch, self.parts())
    }

    /// Infers all images, then puts those of the output, which have channels first, into channels last.
    #[inline(never)]
    fn infer_channels_last(
        &self,
        weights: &NetworkWeights<'_, L>,
        input: Images<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        self.infer_parts(weights, input, output, scratch, self.parts())?;
        put_channels_last(self.isa(), self.output_planes(), output, &mut scratch[..self.permuted_len()]);
        Ok(())
    }

    /// Checks that input and output have channels first, as training needs them.
    pub(super) const fn check_channels_first(&self, operation: &'static str) -> Result<(), RunError> {
        if self.position_stride > 1 || self.gives_channels_last {
            Err(RunError::Layout { operation })
        } else {
            Ok(())
        }
    }
}

/// Transposes images of so many channels and positions, from channels first to last, by way of panels of sixteen channels.
///
/// Not generic, so that it is compiled in this crate only.
fn put_channels_last(isa: Isa, [channels, positions]: [usize; 2], images: &mut [f32], panels: &mut [f32]) {
    let (channels, positions) = (channels.max(1), positions.max(1));
    for image in images.chunks_exact_mut(channels.wrapping_mul(positions)) {
        let (row_stride, rows, depth) = (positions, channels, positions);
        dispatch(isa, PackRows { values: image, row_stride, rows, depth, panels });
        for (panel, lanes) in panels.as_chunks::<NR>().0.chunks_exact(positions).enumerate() {
            for (values, lanes) in image.chunks_exact_mut(channels).zip(lanes) {
                let values = values.get_mut(panel * NR..).unwrap_or_default();
                match values.first_chunk_mut() {
                    Some(values) => *values = *lanes,
                    None => values.copy_from_slice(&lanes[..values.len()]),
                }
            }
        }
    }
}

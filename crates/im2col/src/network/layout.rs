//! Images with channels last.

use super::plan::Network;
use crate::error::RunError;
use crate::layout::Layout;

impl<const L: usize> Network<L> {
    /// The same network of images with channels last, `[batch, height, width, channels]`, or first: what [`forward`](Self::forward)
    /// and [`forward_pixels`](Self::forward_pixels) are given. Layers and parameters stay as they are.
    ///
    /// An image with channels last is put into channels first where [pixels](Self::forward_pixels) are converted, as is
    /// described there: [`scratch_len`](Self::scratch_len) is then [`pixel_scratch_len`](Self::pixel_scratch_len), which may
    /// exceed a limit. Of a single channel or position both layouts are one. Training takes channels first:
    /// [`RunError::Layout`](crate::RunError::Layout).
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

    /// Checks that the input has channels first, as training needs it.
    pub(super) const fn check_channels_first(&self, operation: &'static str) -> Result<(), RunError> {
        if self.position_stride > 1 { Err(RunError::Layout { operation }) } else { Ok(()) }
    }
}

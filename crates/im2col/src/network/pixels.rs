//! Inference on pixels: each is converted once its layer reads it, in a buffer that is not yet in use.
//!
//! Of the two buffers that values between layers stand in by turns, the second is spare while the first layer computes: there
//! are the values of a block of images, of a shard, or row by row only the lines that the first convolution reads.

#![deny(clippy::arithmetic_side_effects)]

use super::forward::NetworkWeights;
use super::images::Images;
use super::interleaving::Interleaving;
use super::limit::SHARD;
use super::plan::Network;
use crate::error::{RunError, check_len, check_scratch};
use crate::pixels::Pixels;
use crate::simd::NR;
use crate::window::{max, min};

impl<const L: usize> Network<L> {
    /// [`forward`](Self::forward) on 8-bit pixels: the output is that of `forward` on their [values](Pixels), bit for bit.
    ///
    /// Pixels are converted in a part of the scratch that is not yet in use: sixteen images at a time where they are interleaved,
    /// otherwise those that inference takes at a time. In the least memory ([`with_scratch_limit`](Self::with_scratch_limit)) it
    /// is the lines that a row of a first convolution's tiles sees, converted anew for every six output channels, or one image if
    /// another layer is first.
    ///
    /// ```
    /// use im2col::{ConvParams, Layer, Network, NetworkWeights, Pixels, planned};
    ///
    /// // Differences of neighbours in a line, which has a zero to its right.
    /// const CONV: ConvParams<2> = ConvParams::new(1, 1, [1, 2]).with_bias(false).with_padding_per_side([[0, 0], [0, 1]]);
    /// const NETWORK: Network<1> = planned!(Network::plan([Layer::Conv(CONV)], 1, [1, 1, 3]));
    ///
    /// let mut output = [0.0; 3];
    /// let mut scratch = [0.0; NETWORK.pixel_scratch_len()];
    /// let pixels = Pixels { values: &[0, 64, 255], scale: 0.5, shift: 1.0 };
    /// NETWORK.forward_pixels(NetworkWeights::Plain(&[-1.0, 1.0]), pixels, &mut output, &mut scratch)?;
    /// assert_eq!(output, [32.0, 95.5, -128.5]);
    /// # Ok::<(), im2col::RunError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] for `params`, `pixels` or `output`, [`RunError::Scratch`] below
    /// [`pixel_scratch_len`](Self::pixel_scratch_len), [`RunError::PackedWeights`] if the weights were packed for other layers.
    /// `output` is then untouched.
    #[inline]
    pub fn forward_pixels(
        &self,
        weights: NetworkWeights<'_, L>,
        pixels: Pixels<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        self.check_weights(&weights)?;
        check_len("pixels", self.input_len, pixels.values.len())?;
        check_len("output", self.output_len(), output.len())?;
        check_scratch(self.pixel_scratch_len(), scratch.len())?;
        self.infer_images(&weights, Images::of_pixels(pixels, self.position_stride), output, scratch)
    }

    /// The least scratch of [`forward_pixels`](Self::forward_pixels): [`scratch_len`](Self::scratch_len), or more where the
    /// converted values do not fit the second of the two buffers between layers or, in the least memory, where a first convolution
    /// without a pooling behind it needs a band. It may then exceed a [limit](Self::with_scratch_limit).
    ///
    /// ```
    /// use im2col::{Network, lenet::LENET, planned};
    ///
    /// const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));
    /// const SMALL: Network<12> = planned!(NETWORK.with_scratch_limit(NETWORK.least_scratch_len()));
    ///
    /// assert_eq!(NETWORK.pixel_scratch_len(), NETWORK.scratch_len());
    /// assert_eq!(SMALL.pixel_scratch_len(), SMALL.scratch_len());
    /// ```
    #[must_use]
    pub const fn pixel_scratch_len(&self) -> usize {
        self.all_scratch_len(true)
    }

    /// The scratch of one thread. No slice is as long as a sum that saturates.
    pub(super) const fn part_scratch_len(&self, converts: bool) -> usize {
        if !converts {
            return self.scratch_len;
        }
        if let (Some(lens), true) = (&self.interleaving, self.infers_interleaved) {
            let [_, second] = self.block_buffers(lens, converts);
            let more = second.saturating_sub(lens.buffers[1]).saturating_mul(NR);
            return self.scratch_len.saturating_add(more);
        }
        let [first, second] = self.image_buffers(converts);
        let band = if self.infers_by_rows { self.pixel_lens()[1] } else { 0 };
        first.saturating_add(second).saturating_add(max(self.layer_limit(), band))
    }

    /// The buffers of a block of interleaved images, in vectors.
    pub(super) const fn block_buffers(&self, lens: &Interleaving, converts: bool) -> [usize; 2] {
        let [first, second] = lens.buffers;
        [first, if converts { max(second, self.image_len) } else { second }]
    }

    /// The buffers of the images that inference takes at a time.
    pub(super) const fn image_buffers(&self, converts: bool) -> [usize; 2] {
        let [first, second] = self.buffer_lens;
        if !converts {
            return [first, second];
        }
        // The images are some of the batch, whose length is checked.
        let images = self.images_at_once(converts).wrapping_mul(self.image_len);
        [first, max(second, if self.infers_by_rows { self.pixel_lens()[0] } else { images })]
    }

    /// How many images inference takes at a time, layer by layer: where they are converted, no more than stay in L2.
    pub(super) const fn images_at_once(&self, converts: bool) -> usize {
        match SHARD.checked_div(self.image_len) {
            Some(most) if converts => min(self.shard, max(most, 1)),
            _ => self.shard,
        }
    }
}

//! Inference in the least memory: image by image, and convolutions row by row.
//!
//! Where the pooling behind a convolution takes tiles, what is stored of the convolution's output is a *band*: the lines of one row
//! of tiles, of a few channels. Activation and pooling follow while it is in L1, and only what is pooled is kept. Everything is
//! read where it lies; nothing is packed.

use super::in_place::convolve;
use super::layer::{LayerPlan, Op};
use super::ping_pong::PingPong;
use super::plan::Network;
use crate::activation::Activation;
use crate::conv::{ConvPlan, LineOperands};
use crate::error::RunError;
use crate::pool::windows::Pooling;
use crate::simd::{Isa, MR};
use crate::window::{max, min};

/// The most output channels of a band: those of the largest tile of sums.
const BAND_CHANNELS: usize = MR;

impl<const L: usize> Network<L> {
    /// Infers image by image. `scratch` holds two values between layers, and a band.
    pub(super) fn infer_by_rows(
        &self,
        params: &[f32],
        input: &[f32],
        output: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        let (isa, [image_len, output_len]) = (self.isa(), self.image_lens());
        let (first, rest) = split(scratch, self.buffer_lens[0]);
        let (second, band) = split(rest, self.buffer_lens[1]);
        let mut outputs = output.chunks_exact_mut(output_len.max(1));
        for image in input.chunks_exact(image_len.max(1)) {
            let Some(output) = outputs.next() else { break };
            let mut value = PingPong::new(image, [&mut *first, &mut *second]);
            let mut index = 0;
            while let Some(layer) = self.layers.get(index) {
                let (activation, pooling) = (self.activation_of(index), self.tiles_behind(index));
                let last = self.last_of_step(index);
                let mut step = |input: &[f32], output: &mut [f32]| {
                    if let (Op::Pool(plan), true) = (&layer.op, self.pools_apart) {
                        return plan.with_fewer_images(1).forward(input, output);
                    }
                    layer.infer_by_rows(isa, activation, pooling, params, input, output, band)
                };
                if last >= self.last_step() {
                    step(value.value(), output)?;
                    break;
                }
                if layer.is_step() {
                    value.step(self.layers.get(last).map_or(0, LayerPlan::image_len), step)?;
                }
                index = last + 1;
            }
        }
        Ok(())
    }

    /// What is kept of an image between two layers, in either buffer; the longest band; and whether there is a pooling that
    /// is not computed with a convolution.
    pub(super) const fn kept_by_rows(&self) -> ([usize; 2], usize, bool) {
        let (mut buffers, mut band, mut pools_apart) = ([0; 2], 0, false);
        let (mut turn, mut index) = (0, 0);
        while index < L {
            if let (Op::Conv(plan), Some(pooling)) = (&self.layers[index].op, self.tiles_behind(index)) {
                band = max(band, band_len(plan, pooling));
            }
            pools_apart |= matches!(self.layers[index].op, Op::Pool(_));
            let last = self.last_of_step(index);
            // The last step writes to the caller's output.
            if last >= self.last_step() {
                break;
            }
            if self.layers[index].is_step() {
                buffers[turn] = max(buffers[turn], self.layers[last].image_len());
                turn ^= 1;
            }
            index = last.wrapping_add(1);
        }
        (buffers, band, pools_apart)
    }

    /// The last of the layers that are computed together with layer `index`: its activation and its pooling, or itself.
    const fn last_of_step(&self, index: usize) -> usize {
        let behind = self.behind_activation(index);
        if self.tiles_behind(index).is_some() { behind } else { behind.wrapping_sub(1) }
    }

    /// The pooling behind convolution `index` and its activation, if it takes tiles.
    const fn tiles_behind(&self, index: usize) -> Option<&Pooling> {
        let behind = self.behind_activation(index);
        if index < L
            && behind < L
            && let Op::Conv(_) = &self.layers[index].op
            && let Op::Pool(plan) = &self.layers[behind].op
            && plan.pooling.is_tiles()
        {
            return Some(&plan.pooling);
        }
        None
    }

    /// The layer after layer `index` and the activation that this one applies.
    const fn behind_activation(&self, index: usize) -> usize {
        let next = index.wrapping_add(1);
        if next < L && self.layers[next].fused { next.wrapping_add(1) } else { next }
    }
}

/// How long the band of a convolution is before its pooling.
const fn band_len(plan: &ConvPlan<2>, pooling: &Pooling) -> usize {
    let [_, _, out_group] = plan.group_channels();
    let [_, tile_height, _] = pooling.window.kernel;
    let [.., width] = pooling.window.input;
    // A part of the convolution's output, whose length is checked.
    min(BAND_CHANNELS, out_group).wrapping_mul(tile_height).wrapping_mul(width)
}

impl LayerPlan {
    /// Computes one image of the layer with its activation and pooling.
    #[allow(
        clippy::too_many_arguments,
        reason = "the operands of a layer, and what is applied to its output"
    )]
    fn infer_by_rows(
        &self,
        isa: Isa,
        activation: Activation,
        pooling: Option<&Pooling>,
        params: &[f32],
        input: &[f32],
        output: &mut [f32],
        band: &mut [f32],
    ) -> Result<(), RunError> {
        let (weight, bias) = (self.weight(params), self.bias(params));
        match &self.op {
            Op::Conv(plan) => {
                let operands = LineOperands { input, weight, bias, activation };
                match pooling {
                    Some(pooling) => pooled(plan, pooling, &operands, output, band),
                    None => convolve(plan, &operands, output),
                }
                Ok(())
            }
            Op::Linear(plan) => {
                plan.forward_in_place(activation, weight, bias, input, output);
                Ok(())
            }
            // Where there is one that is not computed with a convolution, the network runs it.
            Op::Pool(_) => Ok(()),
            Op::Activation(activation) => activation.forward_with_isa(isa, input, output),
            Op::Flatten => {
                output.iter_mut().zip(input).for_each(|(y, x)| *y = *x);
                Ok(())
            }
        }
    }
}

/// Convolves an image band by band, and pools each.
fn pooled(
    plan: &ConvPlan<2>,
    pooling: &Pooling,
    operands: &LineOperands<'_>,
    output: &mut [f32],
    band: &mut [f32],
) {
    let [_, _, out_group] = plan.group_channels();
    let ([_, tile_height, _], [.., width]) = (pooling.window.kernel, pooling.window.input);
    let [_, pooled_height, pooled_width] = pooling.window.output;
    let band_plane = tile_height * width;
    let group_outputs = output.chunks_exact_mut((out_group * pooled_height * pooled_width).max(1));
    for (group, output) in group_outputs.enumerate() {
        let bands = output.chunks_mut((BAND_CHANNELS * pooled_height * pooled_width).max(1));
        for (part, output) in bands.enumerate() {
            let first = group * out_group + part * BAND_CHANNELS;
            let count = min(BAND_CHANNELS, out_group - part * BAND_CHANNELS);
            let (band, _) = split(band, count * band_plane);
            for row in 0..pooled_height {
                let lines = row * tile_height..(row + 1) * tile_height;
                plan.forward_lines(operands, first..first + count, lines, band);
                let mut planes = output.chunks_exact_mut((pooled_height * pooled_width).max(1));
                for lines in band.chunks_exact(band_plane.max(1)) {
                    let Some(plane) = planes.next() else { break };
                    let pooled = plane.get_mut(row * pooled_width..).unwrap_or_default();
                    pooling.pool_tiles(lines, pooled.get_mut(..pooled_width).unwrap_or_default());
                }
            }
        }
    }
}

/// The first `len` values and the others; all of them where there are fewer.
fn split(values: &mut [f32], len: usize) -> (&mut [f32], &mut [f32]) {
    let len = min(len, values.len());
    values.split_at_mut_checked(len).unwrap_or_default()
}

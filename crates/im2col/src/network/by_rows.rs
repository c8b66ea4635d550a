//! Inference in the least memory: image by image, and convolutions row by row.
//!
//! A convolution and the pooling behind it are computed together, [band by band](super::bands), where the windows of the pooling are
//! tiles: side by side, without padding. Everything is read where it lies; nothing is packed.

use super::bands::{band_len, convolve_unconverted, seen_len};
use super::images::Images;
use super::layer::{LayerPlan, Op};
use super::ping_pong::PingPong;
use super::plan::Network;
use crate::conv::{ConvPlan, LineOperands};
use crate::error::RunError;
use crate::pool::windows::Pooling;
use crate::window::{max, min};

impl<const L: usize> Network<L> {
    /// Infers image by image. `scratch` holds two values between layers, and a band. Not inlined: other ways of inference need not
    /// have its stack.
    #[inline(never)]
    pub(super) fn infer_by_rows(
        &self,
        params: &[f32],
        mut input: Images<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        let [image_len, output_len] = self.image_lens();
        let [first_len, second_len] = self.image_buffers(input.need_conversion());
        let (first, rest) = split(scratch, first_len);
        let (second, band) = split(rest, second_len);
        for output in output.chunks_exact_mut(output_len.max(1)) {
            let (image, rest) = input.split_at(image_len);
            input = rest;
            self.infer_image(params, image, output, [&mut *first, &mut *second], band)?;
        }
        Ok(())
    }

    /// Infers an image. Two values between layers are kept in `buffers`.
    fn infer_image(
        &self,
        params: &[f32],
        image: Images<'_>,
        output: &mut [f32],
        buffers: [&mut [f32]; 2],
        band: &mut [f32],
    ) -> Result<(), RunError> {
        let isa = self.isa();
        let (mut value, mut index) = match (image.ready(), self.first_conv()) {
            (None, Some(plan)) => {
                let last = self.last_of_step(0);
                if last >= self.last_step() {
                    let [_, seen] = buffers;
                    self.convolve_first(plan, params, image, output, [band, seen]);
                    return Ok(());
                }
                let [first, second] = buffers;
                let len = self.layers.get(last).map_or(0, LayerPlan::image_len);
                let output = first.get_mut(..len).unwrap_or_default();
                self.convolve_first(plan, params, image, output, [&mut *band, &mut *second]);
                (PingPong::behind_first([first, second], len), last + 1)
            }
            _ => (PingPong::of_images(image, self.image_len, buffers), 0),
        };
        while let Some(layer) = self.layers.get(index) {
            let (activation, pooling) = (self.activation_of(index), self.tiles_behind(index));
            let last = self.last_of_step(index);
            let mut step = |input: &[f32], output: &mut [f32]| match &layer.op {
                Op::Pool(plan) => {
                    let mut plan = *plan;
                    plan.set_fewer_images(1);
                    self.pool_in_place(plan, input, output)
                }
                _ => layer.forward_in_place(isa, activation, pooling, params, input, output, band),
            };
            if last >= self.last_step() {
                return step(value.value(), output);
            }
            if layer.is_step() {
                value.step(self.layers.get(last).map_or(0, LayerPlan::image_len), step)?;
            }
            index = last + 1;
        }
        Ok(())
    }

    /// Computes the first convolution of an image that has to be converted, with its activation and pooling. `room`: for a band, and
    /// for what it sees.
    fn convolve_first(
        &self,
        plan: &ConvPlan<2>,
        params: &[f32],
        image: Images<'_>,
        output: &mut [f32],
        room: [&mut [f32]; 2],
    ) {
        let Some(layer) = self.layers.first() else { return };
        let operands = LineOperands {
            planes: &[],
            window: plan.window(),
            weight: layer.weight(params),
            bias: layer.bias(params),
            activation: self.activation_of(0),
        };
        convolve_unconverted(plan, self.tiles_behind(0), &operands, image, output, room);
    }

    /// The first layer, if it is a convolution.
    const fn first_conv(&self) -> Option<&ConvPlan<2>> {
        match self.layers.first() {
            Some(LayerPlan { op: Op::Conv(plan), .. }) => Some(plan),
            _ => None,
        }
    }

    /// How many values of an image are converted at a time, and how long the band of the first convolution is.
    pub(super) const fn pixel_lens(&self) -> [usize; 2] {
        match self.first_conv() {
            Some(plan) => [seen_len(plan, self.tiles_behind(0)), band_len(plan, self.tiles_behind(0))],
            None => [self.image_len, 0],
        }
    }

    /// What is kept of an image between two layers, in either buffer, and the longest band.
    pub(super) const fn kept_by_rows(&self) -> ([usize; 2], usize) {
        let (mut buffers, mut band) = ([0; 2], 0);
        let (mut turn, mut index) = (0, 0);
        while index < L {
            if let (Op::Conv(plan), Some(pooling)) = (&self.layers[index].op, self.tiles_behind(index)) {
                band = max(band, band_len(plan, Some(pooling)));
            }
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
        (buffers, band)
    }

    /// The last of the layers that are computed together with layer `index`: its activation and its pooling, or itself.
    const fn last_of_step(&self, index: usize) -> usize {
        let behind = self.behind_activation(index);
        if self.tiles_behind(index).is_some() { behind } else { behind.wrapping_sub(1) }
    }

    /// The pooling behind convolution `index` and its activation, if its windows are tiles.
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

/// The first `len` values and the others; all of them where there are fewer.
fn split(values: &mut [f32], len: usize) -> (&mut [f32], &mut [f32]) {
    let len = min(len, values.len());
    values.split_at_mut_checked(len).unwrap_or_default()
}

//! One forward pass: its operands and scratch, by image and group.

use crate::activation::Activation;
use crate::conv::shape::ConvShape;
use crate::epilogue::{Bias, Epilogue};
use crate::gemm::Panels;
use crate::gemm::pack::{PackRows, panels_len};
use crate::layout::InputStrides;
use crate::scratch::{ALIGN, aligned};
use crate::simd::{Isa, NR, dispatch};
use crate::weights::Weights;

/// A forward pass: its operands, and a scratch.
pub(super) struct Pass<'a> {
    pub(super) shape: ConvShape,
    /// The strides of an input that is a view.
    pub(super) view: Option<&'a InputStrides<3>>,
    /// The most values of a block.
    pub(super) most: usize,
    /// The scratch besides packed weights.
    pub(super) scratch_len: usize,
    /// Begin and end of the output on its [outer axis](crate::window::Window::outer_axis): all of it, unless threads divide an
    /// image with channels last.
    pub(super) part: [usize; 2],
    pub(super) input: &'a [f32],
    pub(super) weight: Weights<'a>,
    pub(super) bias: &'a [f32],
    pub(super) activation: Activation,
    pub(super) output: &'a mut [f32],
    pub(super) scratch: &'a mut [f32],
}

impl<'a> Pass<'a> {
    /// How far apart the values of the input lie.
    #[inline(always)]
    pub(super) fn input_strides(&self) -> InputStrides<3> {
        self.view.copied().unwrap_or_else(|| self.shape.input_strides())
    }

    #[inline(always)]
    pub(super) fn epilogue(&self, group: usize) -> Epilogue<'a> {
        let bias = self.bias.get(group * self.shape.out_group..).map_or(Bias::None, Bias::PerRow);
        Epilogue::new(bias, self.activation)
    }

    /// The block or stage, and where plain weights are packed.
    #[inline(always)]
    pub(super) fn take_scratch(&mut self) -> (&'a mut [f32], &'a mut [f32]) {
        aligned(core::mem::take(&mut self.scratch)).split_at_mut(self.scratch_len.saturating_sub(ALIGN))
    }

    /// Borrows the pass, without its scratch, for what takes a pass by value.
    pub(super) fn reborrow(&mut self) -> Pass<'_> {
        Pass { output: &mut *self.output, scratch: &mut [], ..*self }
    }

    #[inline(always)]
    fn panels_len(&self) -> usize {
        panels_len::<NR>(self.shape.depth(), self.shape.out_group)
    }

    /// The weights of a group as panels; plain ones are packed into `panels`.
    pub(super) fn panels<'b>(&self, isa: Isa, group: usize, panels: &'b mut [f32]) -> Panels<'b, NR>
    where
        'a: 'b,
    {
        let (depth, len, out_group) = (self.shape.depth(), self.panels_len(), self.shape.out_group);
        let panels = match self.weight {
            Weights::Packed(packed) => &packed.panels[group * len..][..len],
            Weights::Plain(weight) => {
                let weight = &weight[group * out_group * depth..];
                pack_channels(isa, &self.shape, weight, &mut panels[..len]);
                &panels[..len]
            }
        };
        Panels::new(panels, depth)
    }

    /// The weights of a group as they are.
    #[inline(always)]
    pub(super) fn weights(&self, group: usize) -> GroupWeights<'a> {
        GroupWeights::new(self.weight, &self.shape, group, self.panels_len())
    }

    /// How many positions of an image are computed.
    #[inline(always)]
    pub(super) fn positions(&self) -> usize {
        let (window, [begin, end]) = (&self.shape.window, self.part);
        window.positions() / window.output[window.outer_axis()] * (end - begin)
    }

    /// The input and output of a group of an image; of an image that threads divide, the output of the part.
    #[inline(always)]
    pub(super) fn image(&mut self, image: usize, group: usize) -> (ImagePlanes<'a>, &mut [f32]) {
        let ConvShape { groups, in_group, out_group, window, .. } = self.shape;
        let (place, len) = (image * groups + group, in_group * window.plane_len());
        let out_len = out_group * self.positions();
        let planes = ImagePlanes { input: self.input, start: place * len, len };
        (planes, &mut self.output[place * out_len..][..out_len])
    }
}

/// The weights of a group, plain or as panels.
#[derive(Clone, Copy)]
pub(super) enum GroupWeights<'a> {
    /// `[out_group, depth]`
    Plain(&'a [f32]),
    /// `[panel][depth][NR]`
    Packed(&'a [f32]),
}

impl<'a> GroupWeights<'a> {
    /// The weights of `group`, whose panels have `panels_len` values.
    #[inline(always)]
    pub(super) fn new(weights: Weights<'a>, shape: &ConvShape, group: usize, panels_len: usize) -> Self {
        let plain_len = shape.out_group * shape.depth();
        match weights {
            Weights::Plain(weight) => Self::Plain(weight.get(group * plain_len..).unwrap_or_default()),
            Weights::Packed(packed) => {
                Self::Packed(packed.panels.get(group * panels_len..).unwrap_or_default())
            }
        }
    }

    /// The weight `k` of the first output.
    #[inline(always)]
    pub(super) fn at(&self, k: usize) -> f32 {
        match self {
            Self::Plain(weight) => weight[k],
            Self::Packed(panels) => panels[k * NR],
        }
    }
}

/// Where the planes of one image and group lie in the whole input.
#[derive(Clone, Copy)]
pub(super) struct ImagePlanes<'a> {
    pub(super) input: &'a [f32],
    pub(super) start: usize,
    pub(super) len: usize,
}

/// Packs the weights of a group into panels of `NR` output channels.
pub(super) fn pack_channels(isa: Isa, shape: &ConvShape, values: &[f32], panels: &mut [f32]) {
    let depth = shape.depth();
    dispatch(isa, PackRows { values, row_stride: depth, rows: shape.out_group, depth, panels });
}

//! The forward pass of a convolution.

use super::tile::{Grid, Nest, Operands, TileSize};
use crate::activation::{Activation, Finish};
use crate::conv::ConvPlan;
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};
use crate::window::{Window, min};

/// A convolution of one group of channels after the other, on planes of two axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planes {
    pub(crate) groups: usize,
    /// Channels of one group.
    pub(crate) in_group: usize,
    pub(crate) out_group: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) padding: [[usize; 2]; 2],
    pub(crate) input: [usize; 2],
    pub(crate) output: [usize; 2],
}

impl ConvPlan<2> {
    /// The planes of one image.
    pub(crate) const fn planes(&self) -> Planes {
        Planes::new(self.group_channels(), self.window())
    }
}

impl Planes {
    /// The window's first axis has one position and one tap.
    pub(crate) const fn new([groups, in_group, out_group]: [usize; 3], window: &Window) -> Self {
        let Window { input, kernel, stride, padding, dilation, output, .. } = *window;
        let padded = [input[1] + padding[1][0] + padding[1][1], input[2] + padding[2][0] + padding[2][1]];
        Self {
            groups,
            in_group,
            out_group,
            kernel: [kernel[1], kernel[2]],
            // Steps beyond the plane lead nowhere, from a single position or tap; shorter ones multiply safely.
            stride: [min(stride[1], padded[0]), min(stride[2], padded[1])],
            dilation: [min(dilation[1], padded[0]), min(dilation[2], padded[1])],
            padding: [padding[1], padding[2]],
            input: [input[1], input[2]],
            output: [output[1], output[2]],
        }
    }

    pub(super) const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    pub(super) const fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Height and width of the planes with their padding.
    pub(super) const fn padded(&self) -> [usize; 2] {
        let [[top, bottom], [left, right]] = self.padding;
        [self.input[0] + top + bottom, self.input[1] + left + right]
    }

    /// Vectors of all planes with their padding, or `usize::MAX` if they are more.
    pub(crate) const fn padded_len(&self) -> usize {
        let [height, width] = self.padded();
        self.groups.saturating_mul(self.in_group).saturating_mul(height).saturating_mul(width)
    }

    pub(crate) const fn is_padded(&self) -> bool {
        let [[top, bottom], [left, right]] = self.padding;
        top | bottom | left | right != 0
    }
}

/// Copies planes into planes with padding.
pub(crate) struct PadPlanes<'a> {
    pub(crate) window: &'a Window,
    /// `[channels, height, width]`
    pub(crate) input: &'a [Lanes],
    /// `[channels, padded height, padded width]`
    pub(crate) staged: &'a mut [Lanes],
}

impl PadPlanes<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for PadPlanes<'_> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { window, input, staged } = self;
        let planes = Planes::new([1; 3], window);
        let ([height, width], [padded_height, padded_width]) = (planes.input, planes.padded());
        let [[top, _], [left, _]] = planes.padding;
        let staged_planes = staged.chunks_exact_mut(padded_height * padded_width);
        for (plane, staged) in input.chunks_exact(height * width).zip(staged_planes) {
            for (y, line) in staged.chunks_exact_mut(padded_width).enumerate() {
                let y = y.wrapping_sub(top);
                if y < height {
                    line[left..left + width].copy_from_slice(&plane[y * width..][..width]);
                    pad(window, plane, y, &mut line[..left], left);
                    let (end, past) = (left + width, width.wrapping_neg());
                    pad(window, plane, y, &mut line[end..], past);
                } else {
                    pad(window, plane, y, line, left);
                }
            }
        }
    }
}

/// Fills what lies in line `y` from `before` columns before the plane on.
#[inline(always)]
fn pad(window: &Window, plane: &[Lanes], y: usize, line: &mut [Lanes], before: usize) {
    for (x, value) in line.iter_mut().enumerate() {
        let source = window.source([0, y, x.wrapping_sub(before)]);
        *value = source.map_or([0.0; NR], |source| plane[source]);
    }
}

/// Cross-correlation, bias and activation.
pub(crate) struct Convolve<'a> {
    pub(crate) planes: Planes,
    /// `[out_channels, in_group, height, width]`
    pub(crate) weight: &'a [f32],
    /// `[out_channels]`, or empty
    pub(crate) bias: &'a [f32],
    pub(crate) activation: Activation,
    /// `[in_channels, padded height, padded width]`
    pub(crate) input: &'a [Lanes],
    /// `[out_channels, height, width]`
    pub(crate) output: &'a mut [Lanes],
}

impl Convolve<'_> {
    /// Computes the output line by line; each is finished while it is in L1.
    pub(crate) fn compute(self, isa: Isa) {
        let Self { planes, weight, bias, activation, input, output } = self;
        let ([height, width], [_, padded_width]) = (planes.output, planes.padded());
        let (positions, depth) = (planes.positions(), planes.in_group * planes.taps());
        let input_len = planes.padded_len() / planes.groups;
        let tile = TileSize::best(isa, planes.out_group, width, |columns| width.div_ceil(columns));
        let nest = Nest::new(
            [planes.in_group, planes.kernel[0], planes.kernel[1]],
            [planes.taps(), planes.kernel[1], 1],
            [input_len / planes.in_group, planes.dilation[0] * padded_width, planes.dilation[1]],
        );
        for group in 0..planes.groups {
            let first = group * planes.out_group;
            let bias = bias.get(first..).unwrap_or_default();
            let bias = &bias[..bias.len().min(planes.out_group)];
            let output = &mut output[first * positions..][..planes.out_group * positions];
            for y in 0..height {
                let operands = Operands {
                    weights: &weight[first * depth..][..planes.out_group * depth],
                    first_weight: 0,
                    row_step: depth,
                    values: &input[group * input_len..][..input_len],
                    first_value: y * planes.stride[0] * padded_width,
                    column_step: planes.stride[1],
                    line_step: 0,
                };
                let grid = Grid {
                    tile,
                    nest: &nest,
                    operands,
                    rows: planes.out_group,
                    columns: width,
                    is_by_rows: false,
                    output: &mut output[y * width..],
                    output_steps: [positions, 1, 0],
                };
                grid.compute(isa);
                let columns = y * width * NR..(y + 1) * width * NR;
                let (plane_len, output) = (positions * NR, output.as_flattened_mut());
                dispatch(isa, Finish { plane_len, columns, bias, activation, output });
            }
        }
    }
}

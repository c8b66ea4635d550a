//! Loops over all products of a convolution, and over points.

use crate::conv::ConvPlan;
use crate::layout::{InputStrides, Layout};
use crate::padding::PaddingMode;
use crate::window::lift;

/// Calls `product(o, i, w)` for every output, input and weight that meet: output by output, and
/// for each the channels and taps ascending.
pub(super) fn for_each_product<const D: usize>(plan: &ConvPlan<D>, product: impl FnMut(usize, usize, usize)) {
    for_each_product_of(plan, plan.batch(), product);
}

/// [`for_each_product`] for `images` images, whatever the plan's batch.
pub(super) fn for_each_product_of<const D: usize>(
    plan: &ConvPlan<D>,
    images: usize,
    mut product: impl FnMut(usize, usize, usize),
) {
    let params = plan.params();
    let group_in = params.in_channels() / params.groups();
    let group_out = params.out_channels() / params.groups();
    let taps = Taps {
        input: lift(plan.input_dims(), 1),
        kernel: lift(params.kernel(), 1),
        stride: lift(params.stride(), 1),
        padding: lift(plan.padding(), [0; 2]),
        mode: params.padding_mode(),
        dilation: lift(params.dilation(), 1),
        input_strides: lift(plan.input_strides().dims, 0),
    };
    let output = lift(plan.output_dims(), 1);
    let InputStrides { image, channel, .. } = plan.input_strides();
    let output_place = places(plan.output_layout(), params.out_channels(), volume(output));
    for n in 0..images {
        for m in 0..params.out_channels() {
            for (p, position) in points(output).enumerate() {
                for c in 0..group_in {
                    let kernel = m * group_in + c;
                    let plane = n * image + (m / group_out * group_in + c) * channel;
                    taps.for_each(position, |k, i| {
                        product(output_place(n, m, p), plane + i, kernel * volume(taps.kernel) + k);
                    });
                }
            }
        }
    }
}

/// Where the value of an image, a channel and a position stands.
fn places(layout: Layout, channels: usize, positions: usize) -> impl Fn(usize, usize, usize) -> usize {
    move |image, channel, position| match layout {
        Layout::ChannelsFirst => (image * channels + channel) * positions + position,
        Layout::ChannelsLast => (image * positions + position) * channels + channel,
    }
}

/// The taps of a sliding window, on three axes.
struct Taps {
    input: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    padding: [[usize; 2]; 3],
    mode: PaddingMode,
    dilation: [usize; 3],
    /// How far apart positions of the input lie on each axis.
    input_strides: [usize; 3],
}

impl Taps {
    /// Calls `see(tap, place)` for each tap, ascending, that sees a value when the window is at `o`; the place is counted from
    /// the first position. Zeros of the padding are left out.
    fn for_each(&self, o: [usize; 3], mut see: impl FnMut(usize, usize)) {
        let [depth, height, width] = self.kernel;
        for z in 0..depth {
            let Some(z_place) = self.place(0, o[0], z) else { continue };
            for y in 0..height {
                let Some(y_place) = self.place(1, o[1], y) else { continue };
                for x in 0..width {
                    let Some(x_place) = self.place(2, o[2], x) else { continue };
                    see((z * height + y) * width + x, z_place + y_place + x_place);
                }
            }
        }
    }

    /// How far along `axis`, in values, lies what tap `k` sees when the window is at `o`; none for a zero of the padding.
    fn place(&self, axis: usize, o: usize, k: usize) -> Option<usize> {
        let padded = o * self.stride[axis] + k * self.dilation[axis];
        let i = padded as isize - self.padding[axis][0] as isize;
        Some(self.input_strides[axis] * source(self.mode, i, self.input[axis] as isize)?)
    }
}

/// Which of `n` values the coordinate `i` shows; none if that is a zero.
fn source(mode: PaddingMode, i: isize, n: isize) -> Option<usize> {
    let inside = (0..n).contains(&i);
    let i = match mode {
        PaddingMode::Zeros => return inside.then_some(i as usize),
        PaddingMode::Replicate => i.clamp(0, n - 1),
        PaddingMode::Circular => i.rem_euclid(n),
        PaddingMode::Reflect if inside => i,
        // 2 1 0 1 2 ..: there and back again is 2 (n - 1) steps.
        PaddingMode::Reflect => (n - 1) - ((n - 1) - i.rem_euclid(2 * (n - 1))).abs(),
    };
    Some(i as usize)
}

pub(super) fn points([d, h, w]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> + Clone {
    (0..d).flat_map(move |z| (0..h).flat_map(move |y| (0..w).map(move |x| [z, y, x])))
}

pub(super) fn volume([d, h, w]: [usize; 3]) -> usize {
    d * h * w
}

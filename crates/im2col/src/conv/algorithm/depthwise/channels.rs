//! Channels last: sixteen channels are the lanes, each with a kernel of its own, of any size.
//!
//! Neighbouring positions share the weights of a tap. Those of sixteen channels are gathered first, for all images.

use crate::conv::pass::Pass;
use crate::conv::shape::ConvShape;
use crate::epilogue::{Bias, Epilogue};
use crate::gemm::blocks;
use crate::simd::{Kernel, Lanes, MulAdd, NR, Vectors};
use crate::window::Window;

/// The most taps whose weights are gathered at a time, 2 KiB; sums of more are resumed from the output.
const MOST_TAPS: usize = 32;
/// Positions whose sums are computed together.
const POSITIONS: usize = 6;

/// The whole pass, of an input and an output with channels last.
pub(super) struct LanesOfChannels<'a>(pub(super) Pass<'a>);

impl Kernel for LanesOfChannels<'_> {
    const USES_AVX512: bool = false;
    const HAS_FALLBACK: bool = cfg!(not(target_arch = "x86_64"));

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self(mut pass) = self;
        let ConvShape { batch, groups: channels, window, .. } = pass.shape;
        let (input_len, output_len) = (channels * window.plane_len(), channels * window.positions());
        let output = core::mem::take(&mut pass.output);
        let bias = if pass.bias.is_empty() { Bias::None } else { Bias::PerColumn(pass.bias) };
        let epilogue = Epilogue::new(bias, pass.activation);
        for first in (0..channels).step_by(NR) {
            for taps in blocks(window.taps(), MOST_TAPS) {
                let (mut weights, mut taps_at) = ([[0.0; NR]; MOST_TAPS], [[0; 3]; MOST_TAPS]);
                for (at, tap) in taps_at.iter_mut().zip(taps.clone()) {
                    let [_, height, width] = window.kernel;
                    *at = [tap / width / height, tap / width % height, tap % width];
                }
                for channel in first..channels.min(first + NR) {
                    let of_channel = pass.weights(channel);
                    for (weights, tap) in weights.iter_mut().zip(taps.clone()) {
                        weights[channel - first] = of_channel.at(tap);
                    }
                }
                let is_last = taps.end == window.taps();
                let lanes = ChannelLanes {
                    window: &window,
                    channels,
                    first,
                    is_first: taps.start == 0,
                    taps: &taps_at[..taps.len()],
                    weights: &weights[..taps.len()],
                    epilogue: is_last.then_some(epilogue),
                };
                for image in 0..batch {
                    let input = pass.input.get(image * input_len..).unwrap_or_default();
                    let output = output.get_mut(image * output_len..).unwrap_or_default();
                    if channels - first < NR {
                        lanes.convolve::<false>(input, output, vectors);
                    } else {
                        lanes.convolve::<true>(input, output, vectors);
                    }
                }
            }
        }
    }
}

/// Some taps of up to sixteen channels from `first` on.
struct ChannelLanes<'a> {
    window: &'a Window,
    channels: usize,
    first: usize,
    /// Whether sums begin with these taps.
    is_first: bool,
    taps: &'a [[usize; 3]],
    weights: &'a [Lanes],
    /// That of the last taps.
    epilogue: Option<Epilogue<'a>>,
}

/// The taps of a line or of a position that see the input.
struct Seen {
    taps: [SeenTap; MOST_TAPS],
    count: usize,
    /// The largest place.
    last: usize,
    /// Of a position: where the first tap of a line looks.
    origin: Option<usize>,
}

/// A tap that sees the input: the place of what it sees, counted from wherever its position begins to look, how far behind the
/// first tap of its line it looks, and which it is.
#[derive(Clone, Copy)]
struct SeenTap {
    place: usize,
    x: usize,
    tap: usize,
}

impl Seen {
    const fn none() -> Self {
        Self { taps: [SeenTap { place: 0, x: 0, tap: 0 }; MOST_TAPS], count: 0, last: 0, origin: None }
    }

    /// Without taps; what they were need not be cleared.
    #[inline(always)]
    fn clear(&mut self) {
        (self.count, self.last, self.origin) = (0, 0, None);
    }

    #[inline(always)]
    fn push(&mut self, tap: SeenTap) {
        if let Some(next) = self.taps.get_mut(self.count) {
            *next = tap;
            self.count += 1;
            self.last = self.last.max(tap.place);
        }
    }
}

impl ChannelLanes<'_> {
    /// Computes the channels of an image. Unless `WHOLE`, they are fewer than sixteen.
    #[inline(always)]
    fn convolve<const WHOLE: bool>(&self, input: &[f32], output: &mut [f32], vectors: impl Vectors) {
        let Window { input: in_dims, kernel, stride, dilation, padding, output: dims, .. } = *self.window;
        let [_, height, width] = dims;
        let reach = (kernel[2] - 1) * dilation[2];
        let step = stride[2].wrapping_mul(self.channels);
        let (mut of_line, mut of_ends) = (Seen::none(), [Seen::none(), Seen::none()]);
        // Lines all of whose taps are inside see them at the same places from where they begin to look.
        let mut is_inside = false;
        for line in 0..dims[0] * height {
            let was_inside = is_inside;
            let origin = |axis: usize, at: usize| (at * stride[axis]).wrapping_sub(padding[axis][0]);
            let [z, y] = [origin(0, line / height), origin(1, line % height)];
            let is_axis_inside = |axis: usize, origin: usize| {
                origin < in_dims[axis] && (kernel[axis] - 1) * dilation[axis] < in_dims[axis] - origin
            };
            is_inside = is_axis_inside(0, z) && is_axis_inside(1, y);
            let base = if is_inside { (z * in_dims[1] + y) * in_dims[2] * self.channels } else { 0 };
            if !(is_inside && was_inside) {
                self.find_lines([z, y], base, &mut of_line);
                of_ends.iter_mut().for_each(Seen::clear);
            }
            let input = input.get(base + self.first..).unwrap_or_default();
            let mut x = 0;
            while x < width {
                let origin = (x * stride[2]).wrapping_sub(padding[2][0]);
                let place = (line * width + x) * self.channels + self.first;
                let output = output.get_mut(place..).unwrap_or_default();
                let sees_all = |positions: usize| {
                    // Wrapping: a stride counts only where there is a second position.
                    let last =
                        origin.wrapping_add((positions - 1).wrapping_mul(stride[2])).wrapping_add(reach);
                    x + positions <= width && origin < in_dims[2] && last < in_dims[2]
                };
                if sees_all(1) {
                    let input = input.get(origin * self.channels..).unwrap_or_default();
                    if sees_all(POSITIONS) {
                        self.add::<WHOLE, POSITIONS>(&of_line, input, step, output, vectors);
                        x += POSITIONS;
                        continue;
                    }
                    self.add::<WHOLE, 1>(&of_line, input, step, output, vectors);
                } else {
                    // Most lines have one position at each end that sees padding.
                    let of_end = &mut of_ends[usize::from(x > 0)];
                    if of_end.origin != Some(origin) {
                        self.find_positions(origin, &of_line, of_end);
                    }
                    self.add::<WHOLE, 1>(of_end, input, step, output, vectors);
                }
                x += 1;
            }
        }
    }

    /// Finds the taps that see a line of the input, the first of them at `[z, y]`; places count from `base`.
    #[inline(always)]
    fn find_lines(&self, [z, y]: [usize; 2], base: usize, seen: &mut Seen) {
        let Window { dilation, .. } = *self.window;
        seen.clear();
        for (tap, [kz, ky, kx]) in self.taps.iter().enumerate() {
            let line = [z.wrapping_add(kz * dilation[0]), y.wrapping_add(ky * dilation[1]), 0];
            if let Some(line) = self.window.source(line) {
                let x = kx * dilation[2];
                // Wrapping: a tap may look far into the padding, where nobody uses its place.
                let place = line.wrapping_add(x).wrapping_mul(self.channels).wrapping_sub(base);
                seen.push(SeenTap { place, x, tap });
            }
        }
    }

    /// Finds those of a line that see a value, from a position where the first of them looks at `origin`.
    #[inline(always)]
    fn find_positions(&self, origin: usize, line: &Seen, seen: &mut Seen) {
        seen.clear();
        seen.origin = Some(origin);
        for tap in &line.taps[..line.count] {
            if let Some(x) = self.window.mode.source(origin.wrapping_add(tap.x), self.window.input[2]) {
                let place = tap.place.wrapping_add(x.wrapping_sub(tap.x).wrapping_mul(self.channels));
                seen.push(SeenTap { place, ..*tap });
            }
        }
    }

    /// Adds the taps of `COUNT` neighbouring positions, which begin to look `step` apart.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "loops over indices are unrolled into registers")]
    fn add<const WHOLE: bool, const COUNT: usize>(
        &self,
        seen: &Seen,
        input: &[f32],
        step: usize,
        output: &mut [f32],
        vectors: impl Vectors,
    ) {
        let len = self.len::<WHOLE>();
        // What each position sees lies in as many values, so one check a tap is enough.
        let (mut values, mut sums): ([&[f32]; COUNT], _) = ([&[]; COUNT], [[0.0; NR]; COUNT]);
        for i in 0..COUNT {
            values[i] = &input[i * step..][..seen.last + len];
            if !self.is_first {
                sums[i] = self.load::<WHOLE>(output, i * self.channels);
            }
        }
        for tap in &seen.taps[..seen.count] {
            let Some(weights) = self.weights.get(tap.tap) else { break };
            if tap.place > seen.last {
                debug_assert!(false, "a sum without its last taps");
                break;
            }
            for i in 0..COUNT {
                sums[i] = vectors.product_add(self.load::<WHOLE>(values[i], tap.place), *weights, sums[i]);
            }
        }
        if let Some(epilogue) = self.epilogue {
            epilogue.apply(&mut sums, 0, self.first);
        }
        for i in 0..COUNT {
            let values = output.get_mut(i * self.channels..).unwrap_or_default();
            if WHOLE && let Some(values) = values.first_chunk_mut() {
                *values = sums[i];
            } else {
                values[..len].copy_from_slice(&sums[i][..len]);
            }
        }
    }

    /// How many channels these are.
    #[inline(always)]
    fn len<const WHOLE: bool>(&self) -> usize {
        if WHOLE { NR } else { self.channels - self.first }
    }

    #[inline(always)]
    fn load<const WHOLE: bool>(&self, values: &[f32], at: usize) -> Lanes {
        let mut lanes = [0.0; NR];
        let values = values.get(at..).unwrap_or_default();
        if !WHOLE {
            let len = self.len::<WHOLE>();
            lanes[..len].copy_from_slice(&values[..len]);
        } else if let Some(values) = values.first_chunk() {
            lanes = *values;
        }
        lanes
    }
}

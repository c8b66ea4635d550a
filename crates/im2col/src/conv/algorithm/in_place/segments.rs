//! Small targets: what the lanes see from the taps of a line of the kernel is one stretch of a line of input, the *segment*, read
//! where it lies, or copied into a buffer where it reaches into the padding or beyond the input. Nothing here can panic, and
//! there are no loops over lanes or channels, which would stay loops where code is optimised for size.

use super::{Channels, WeightPlaces};
use crate::simd::load::first_lanes;
use crate::simd::{Lanes, MulAdd, NR};
use crate::window::Window;

/// The most values of a segment that is copied: those that sixteen lanes see at stride 2 from a tap, and 32 that further taps add.
const SEGMENT: usize = 2 * NR + 32;

impl<'a, const ROWS: usize> WeightPlaces<'a, ROWS> {
    /// The weights of `taps` neighbouring taps, a slice for each output, and the index of the first tap's weight in these slices.
    /// `first` is the offset of that weight from the output's place.
    #[inline(always)]
    fn of_taps(&self, first: usize, taps: usize) -> Option<(usize, [&'a [f32]; ROWS])> {
        let is_reversed = self.tap > isize::MAX as usize;
        let distance = taps.saturating_sub(1) * if is_reversed { self.tap.wrapping_neg() } else { self.tap };
        let at = if is_reversed { distance } else { 0 };
        let of_output = |output: usize| {
            let start = first.wrapping_add(self.outputs[output]).wrapping_sub(at);
            self.values.get(start..)?.get(..=distance)
        };
        let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
        // As in `add_products`.
        if ROWS > 0 {
            rows[0] = of_output(0)?;
        }
        if ROWS > 1 {
            rows[1] = of_output(1)?;
        }
        for (row, output) in rows.iter_mut().zip(0..).skip(2) {
            *row = of_output(output)?;
        }
        Some((at, rows))
    }
}

/// Neighbouring positions of a line of output, as many as there are lanes or fewer.
struct Place {
    /// What the first position sees from the first tap; wraps around before the input.
    origin: [usize; 3],
    len: usize,
    /// Where they are stored in a plane.
    start: usize,
}

impl<const ROWS: usize> Channels<'_, ROWS> {
    /// [`Channels::convolve`] by segments.
    #[inline(always)]
    pub(super) fn convolve_segments<const STRIDE: usize>(&self, output: &mut [f32], mul_add: impl MulAdd) {
        let Window { output: [_, height, width], stride, padding, .. } = self.shape.window;
        let mut copy = [0.0; SEGMENT];
        let mut start = 0;
        for line in self.lines.clone() {
            let (z, y) = (line / height.max(1), line % height.max(1));
            let origin = |axis: usize, at: usize| (at * stride[axis]).wrapping_sub(padding[axis][0]);
            for x in (0..width).step_by(NR) {
                let len = NR.min(width - x);
                let place = Place { origin: [origin(0, z), origin(1, y), origin(2, x)], len, start };
                match len {
                    1..=4 if STRIDE == 1 => {
                        self.compute::<STRIDE, 4>(&place, &mut copy, output, mul_add);
                    }
                    5..=8 if STRIDE == 1 => {
                        self.compute::<STRIDE, 8>(&place, &mut copy, output, mul_add);
                    }
                    9..=12 if STRIDE == 1 => {
                        self.compute::<STRIDE, 12>(&place, &mut copy, output, mul_add);
                    }
                    _ => self.compute::<STRIDE, NR>(&place, &mut copy, output, mul_add),
                }
                start += len;
            }
        }
    }

    /// Computes and stores the sums at some positions, at most `LANES`. For WebAssembly a function of its own: in a large one its
    /// compiler runs out of registers.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    fn compute<const STRIDE: usize, const LANES: usize>(
        &self,
        place: &Place,
        copy: &mut [f32; SEGMENT],
        output: &mut [f32],
        mul_add: impl MulAdd,
    ) {
        let plane_len = (self.lines.len() * self.shape.window.output[2]).max(1);
        let sums = self.sums::<STRIDE, LANES>(place, copy, mul_add);
        // Lanes that are not copied are not computed.
        let mut stored = [[0.0; LANES]; ROWS];
        // As in `add_products`.
        if ROWS > 0 {
            stored[0] = first_lanes(&sums[0]);
        }
        if ROWS > 1 {
            stored[1] = first_lanes(&sums[1]);
        }
        for (stored, sums) in stored.iter_mut().zip(&sums).skip(2) {
            *stored = first_lanes(sums);
        }
        self.epilogue.apply(&mut stored, self.first, 0);
        for (sums, plane) in stored.iter().zip(output.chunks_exact_mut(plane_len)) {
            let values = plane.get_mut(place.start..).unwrap_or_default();
            values.iter_mut().zip(sums).take(place.len).for_each(|(value, sum)| *value = *sum);
        }
    }

    /// The sums at some positions.
    #[inline(always)]
    fn sums<const STRIDE: usize, const LANES: usize>(
        &self,
        place: &Place,
        copy: &mut [f32; SEGMENT],
        mul_add: impl MulAdd,
    ) -> [Lanes; ROWS] {
        let (window, weights) = (&self.shape.window, self.weights);
        let Window { input: [depth, height, width], kernel, dilation, mode, .. } = *window;
        let at = |axis: usize, tap: usize| place.origin[axis].wrapping_add(tap * dilation[axis]);
        // Taps that a copied segment has room for.
        let most_taps = if STRIDE == 0 { 1 } else { (SEGMENT - LANES * STRIDE) / dilation[2].max(1) + 1 };
        let whole = Segment::<STRIDE, LANES>::new(window, place, at(2, 0), most_taps.min(kernel[2]));
        let line_of_taps = kernel[2].wrapping_mul(weights.tap);
        let mut sums = [[0.0; NR]; ROWS];
        for channel in 0..self.shape.in_group {
            let mut weight = channel.wrapping_mul(weights.channel);
            let plane = self.planes.start + channel * window.plane_len();
            for kz in 0..kernel[0] {
                let z = mode.source(at(0, kz), depth);
                for ky in 0..kernel[1] {
                    let (Some(z), Some(y)) = (z, mode.source(at(1, ky), height)) else {
                        weight = weight.wrapping_add(line_of_taps);
                        continue;
                    };
                    let line = plane + (z * height + y) * width;
                    let (mut segment, mut first) = (whole, 0);
                    loop {
                        let mut seen = segment.read(window, self.planes.input, line, &mut *copy);
                        let Some((first_weight, rows)) = weights.of_taps(weight, segment.taps) else {
                            return sums;
                        };
                        if STRIDE == 1 && dilation[2] == 1 && weights.tap == 1 {
                            // Without a check for each tap.
                            for (lanes, tap) in seen.windows(LANES).zip(0..segment.taps) {
                                let lanes = first_lanes(&first_lanes::<LANES>(lanes));
                                add_products(&mut sums, &rows, tap, lanes, mul_add);
                            }
                        } else {
                            let mut tap = first_weight;
                            for _ in 0..segment.taps {
                                let Some(lanes) = lanes::<STRIDE, LANES>(seen) else { break };
                                add_products(&mut sums, &rows, tap, lanes, mul_add);
                                seen = seen.get(dilation[2]..).unwrap_or_default();
                                tap = tap.wrapping_add(weights.tap);
                            }
                        }
                        weight = weight.wrapping_add(segment.taps.wrapping_mul(weights.tap));
                        first += segment.taps;
                        if first >= kernel[2] {
                            break;
                        }
                        let taps = most_taps.min(kernel[2] - first);
                        segment = Segment::new(window, place, at(2, first), taps);
                    }
                }
            }
        }
        sums
    }
}

/// What the lanes see from neighbouring taps on a line of input.
#[derive(Clone, Copy)]
struct Segment<const STRIDE: usize, const LANES: usize> {
    /// What the first lane sees from the first tap; wraps around before the line.
    at: usize,
    taps: usize,
    /// How many values are seen.
    seen: usize,
    /// How many there must be to be read as whole vectors, where they lie.
    len: usize,
    is_inside: bool,
}

impl<const STRIDE: usize, const LANES: usize> Segment<STRIDE, LANES> {
    #[inline(always)]
    fn new(window: &Window, place: &Place, at: usize, taps: usize) -> Self {
        if STRIDE == 0 {
            return Self { at, taps, seen: place.len, len: LANES, is_inside: false };
        }
        let reach = taps.saturating_sub(1) * window.dilation[2];
        let seen = (place.len - 1) * STRIDE + reach + 1;
        let is_inside = at < window.input[2] && seen <= window.input[2] - at;
        Self { at, taps, seen, len: LANES * STRIDE + reach, is_inside }
    }

    /// The values, from the line of input that begins at `line` or copied with the padding. At stride 0, which is any, there is a
    /// value for each lane, of a single tap.
    #[inline(always)]
    fn read<'a>(
        &self,
        window: &Window,
        input: &'a [f32],
        line: usize,
        copy: &'a mut [f32; SEGMENT],
    ) -> &'a [f32] {
        if self.is_inside
            && let Some(values) = input.get(line + self.at..)
            && let Some(values) = values.get(..self.len)
        {
            return values;
        }
        let step = if STRIDE == 0 { window.stride[2] } else { 1 };
        copy_segment(window, input, line, self.at, step, copy.get_mut(..self.seen).unwrap_or_default());
        copy
    }
}

/// Copies values `step` apart from the line of input that begins at `line`, with its padding.
#[inline(never)]
fn copy_segment(window: &Window, input: &[f32], line: usize, at: usize, step: usize, copy: &mut [f32]) {
    let width = window.input[2];
    let line = input.get(line..).unwrap_or_default();
    let line = line.get(..width).unwrap_or_default();
    let pad = |copy: &mut [f32], mut at: usize| {
        for copy in copy {
            let source = window.mode.source(at, width).and_then(|x| line.get(x));
            *copy = source.copied().unwrap_or_default();
            at = at.wrapping_add(step);
        }
    };
    // What lies in the line is copied in one loop, unless values are apart.
    let before = if at > isize::MAX as usize && step == 1 { at.wrapping_neg() } else { 0 };
    let Some((padding, copy)) = copy.split_at_mut_checked(before) else { return pad(copy, at) };
    pad(padding, at);
    let at = at.wrapping_add(before);
    let inside = if step == 1 { line.get(at..).unwrap_or_default() } else { &[] };
    let inside_len = inside.len().min(copy.len());
    copy.iter_mut().zip(inside).for_each(|(copy, value)| *copy = *value);
    pad(copy.get_mut(inside_len..).unwrap_or_default(), at.wrapping_add(inside_len));
}

/// What the lanes see from the first tap of a segment, if there is a value for all of them.
#[inline(always)]
fn lanes<const STRIDE: usize, const LANES: usize>(segment: &[f32]) -> Option<Lanes> {
    if STRIDE < 2 {
        return Some(first_lanes(segment.first_chunk::<LANES>()?));
    }
    let values = segment.get(..LANES * STRIDE)?;
    let mut lanes = [0.0; NR];
    for i in 0..LANES {
        lanes[i] = values[i * STRIDE];
    }
    Some(lanes)
}

/// Adds the products of the lanes and the weights at `tap`.
#[inline(always)]
fn add_products<const ROWS: usize>(
    sums: &mut [Lanes; ROWS],
    rows: &[&[f32]; ROWS],
    tap: usize,
    lanes: Lanes,
    mul_add: impl MulAdd,
) {
    let weight = |row: usize| rows[row].get(tap).copied().unwrap_or_default();
    // Not a loop, which would remain one where code is to be small.
    if ROWS > 0 {
        sums[0] = mul_add(weight(0), lanes, sums[0]);
    }
    if ROWS > 1 {
        sums[1] = mul_add(weight(1), lanes, sums[1]);
    }
    for (row, sums) in sums.iter_mut().enumerate().skip(2) {
        *sums = mul_add(weight(row), lanes, *sums);
    }
}

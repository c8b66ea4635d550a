//! Whole vectors from slices, also where a slice ends within one.

use super::kernel::{Lanes, NR};

/// Writes `NR` values from `start` on, `stride` apart; 0 for those that are not in the input.
#[inline(always)]
pub(crate) fn fetch<const STRIDE: usize>(input: &[f32], start: usize, stride: usize, lanes: &mut [f32]) {
    let Some(lanes) = lanes.first_chunk_mut::<NR>() else {
        debug_assert!(false, "no room for a vector");
        return;
    };
    let values = input.get(start..).unwrap_or_default();
    if STRIDE == 1
        && let Some(values) = values.first_chunk::<NR>()
    {
        *lanes = *values;
    } else if STRIDE == 2
        && let Some(values) = values.first_chunk::<{ 2 * NR }>()
    {
        for i in 0..NR {
            lanes[i] = values[2 * i];
        }
    } else {
        fetch_each(input, start, stride, lanes);
    }
}

/// [`fetch`] value by value: for other strides, and at the ends of the input.
fn fetch_each(input: &[f32], start: usize, stride: usize, lanes: &mut Lanes) {
    for (i, lane) in lanes.iter_mut().enumerate() {
        let at = start.wrapping_add(i.wrapping_mul(stride));
        *lane = input.get(at).copied().unwrap_or_default();
    }
}

/// The first `NR` values of up to `ROWS` rows that begin `stride` apart, of which there are `count`; zeros for others, and for rows
/// that are too short.
///
/// References, so that no block of values goes through the stack.
#[inline(always)]
pub(crate) fn rows_at<const ROWS: usize>(values: &[f32], stride: usize, count: usize) -> [&Lanes; ROWS] {
    let mut rows = [&[0.0; NR]; ROWS];
    for (i, lanes) in rows.iter_mut().enumerate().take(count) {
        if let Some(values) = values.get(i * stride..)
            && let Some(row) = values.first_chunk()
        {
            *lanes = row;
        }
    }
    rows
}

/// [`rows_at`], of rows that are shorter: behind their values are those of the next row, or zeros.
#[cold]
#[inline(never)]
pub(crate) fn short_rows(values: &[f32], stride: usize, count: usize) -> [Lanes; NR] {
    let mut rows = [[0.0; NR]; NR];
    for (i, lanes) in rows.iter_mut().enumerate().take(count) {
        let row = values.get(i * stride..).unwrap_or_default();
        *lanes = row.first_chunk().copied().unwrap_or_else(|| padded(row));
    }
    rows
}

/// Fewer values than a vector, and zeros. A call, or else all copies become calls of `memcpy`.
#[cold]
#[inline(never)]
pub(crate) fn padded(values: &[f32]) -> Lanes {
    let mut lanes = [0.0; NR];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}

/// Writes vectors to as many lines as there are, each from its register: as a whole they would be copied by a call.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "loops over indices are unrolled into registers")]
pub(crate) fn put(vectors: [Lanes; NR], lines: &mut [Lanes]) {
    for i in 0..NR {
        if let Some(line) = lines.get_mut(i) {
            *line = vectors[i];
        }
    }
}

/// Zeros `len` values and up to `NR` more.
#[inline(always)]
pub(crate) fn zero(stage: &mut [f32], len: usize) {
    for zeros in stage.as_chunks_mut::<NR>().0.iter_mut().take(len.div_ceil(NR)) {
        *zeros = [0.0; NR];
    }
}

/// The first values of a slice, as many as there are, and zeros.
///
/// Copies of arrays stay in registers, loops over lanes need not where code is to be small.
#[inline(always)]
pub(crate) fn first_lanes<const LANES: usize>(values: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    if let Some(values) = values.first_chunk() {
        lanes = *values;
    } else if let (Some(lanes), Some(values)) = (lanes.first_chunk_mut::<12>(), values.first_chunk()) {
        *lanes = *values;
    } else if let (Some(lanes), Some(values)) = (lanes.first_chunk_mut::<8>(), values.first_chunk()) {
        *lanes = *values;
    } else if let (Some(lanes), Some(values)) = (lanes.first_chunk_mut::<4>(), values.first_chunk()) {
        *lanes = *values;
    }
    lanes
}

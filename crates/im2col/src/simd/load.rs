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

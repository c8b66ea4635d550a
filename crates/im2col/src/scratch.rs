//! The caller's scratch.

/// Values in a cache line: as many may be skipped at the front of a scratch.
pub(crate) const ALIGN: usize = 16;

/// Skips to a multiple of a cache line, so that no row of a panel straddles two of them.
#[inline(always)]
pub(crate) fn aligned(scratch: &mut [f32]) -> &mut [f32] {
    let skip = scratch.as_ptr().align_offset(ALIGN * size_of::<f32>()).min(ALIGN).min(scratch.len());
    &mut scratch[skip..]
}

//! From sums with channels in lanes to the output: to lines of it, or, where channels come last, to its positions.

use super::block::PANELS_AT_ONCE;
use crate::epilogue::Epilogue;
use crate::simd::{Kernel, Lanes, MulAdd, NR, Vectors};
use core::ops::Range;

/// Where the outputs of a block lie: its positions, `position_stride` apart, then those of other images. With channels last images
/// follow each other, so that their positions are as far apart.
pub(in crate::conv) struct Target<'a> {
    pub(in crate::conv) values: &'a mut [f32],
    /// Of an image in the block.
    pub(in crate::conv) positions: usize,
    pub(in crate::conv) position_stride: usize,
    pub(in crate::conv) channel_stride: usize,
    pub(in crate::conv) image_stride: usize,
}

/// Transposes sums that wait into lines of the output, where positions follow each other.
pub(in crate::conv) struct Store<'a, 'b> {
    pub(in crate::conv) waiting: &'a [Lanes],
    /// The first position in it.
    pub(in crate::conv) start: usize,
    pub(in crate::conv) panels: usize,
    pub(in crate::conv) channels: Range<usize>,
    pub(in crate::conv) epilogue: Epilogue<'a>,
    pub(in crate::conv) first: usize,
    pub(in crate::conv) len: usize,
    pub(in crate::conv) target: &'a mut Target<'b>,
}

impl Kernel for Store<'_, '_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self { waiting, start, panels, channels, epilogue, first, len, target } = self;
        let waiting: &[[Lanes; PANELS_AT_ONCE]] = waiting.as_chunks().0;
        for panel in 0..panels {
            let channels = channels.start + panel * NR..channels.end;
            for done in (0..len).step_by(NR) {
                let Some(sums) = waiting[start + done..].first_chunk::<NR>() else {
                    debug_assert!(false, "no room for the last vector");
                    break;
                };
                target.store(
                    &mut vectors.transpose(sums.each_ref().map(|sums| &sums[panel])),
                    channels.clone(),
                    first + done,
                    NR.min(len - done),
                    epilogue,
                );
            }
        }
    }
}

/// Finishes sums at `len` positions of the output, from `first` on, in which the channels of a position are neighbours.
pub(in crate::conv) struct StorePositions<'a, 'b> {
    /// The sums, unless they stand in the output already.
    pub(in crate::conv) waiting: Option<&'a [Lanes]>,
    pub(in crate::conv) channels: Range<usize>,
    pub(in crate::conv) epilogue: Epilogue<'a>,
    pub(in crate::conv) first: usize,
    pub(in crate::conv) len: usize,
    pub(in crate::conv) target: &'a mut Target<'b>,
}

impl Kernel for StorePositions<'_, '_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { waiting, channels, epilogue, first, len, target } = self;
        let epilogue = epilogue.by_columns();
        for place in 0..len {
            let at = (first + place) * target.position_stride + channels.start;
            let values = target.values.get_mut(at..).unwrap_or_default();
            let values = values.get_mut(..channels.len()).unwrap_or_default();
            for (panel, values) in values.chunks_mut(NR).enumerate() {
                let mut lanes = [[0.0; NR]];
                match (waiting, values.first_chunk()) {
                    (Some(waiting), _) => lanes = [waiting[place * PANELS_AT_ONCE + panel]],
                    (None, Some(values)) => lanes = [*values],
                    (None, None) => {}
                }
                epilogue.apply(&mut lanes, 0, channels.start + panel * NR);
                match values.first_chunk_mut() {
                    Some(values) => *values = lanes[0],
                    None => values.copy_from_slice(&lanes[0][..values.len()]),
                }
            }
        }
    }
}

impl Target<'_> {
    /// The output of channels that are neighbours and fill panels, at `len` positions from `first` on; and how far apart these lie.
    pub(super) fn places(
        &mut self,
        first: usize,
        len: usize,
        channels: &Range<usize>,
    ) -> (&mut [f32], usize) {
        let start = first * self.position_stride + channels.start;
        let end = start + (len - 1) * self.position_stride + channels.len();
        (&mut self.values[start..end], self.position_stride)
    }

    /// Finishes and stores `len` positions, from `place` of the block on, of the channels from
    /// `channels.start` on.
    #[inline(always)]
    fn store(
        &mut self,
        lines: &mut [Lanes; NR],
        channels: Range<usize>,
        place: usize,
        len: usize,
        epilogue: Epilogue<'_>,
    ) {
        let (image, position) = (place / self.positions, place % self.positions);
        if len < NR || position + NR > self.positions {
            self.store_part(lines, channels, place, len, epilogue);
            return;
        }
        let start = image * self.image_stride + channels.start * self.channel_stride + position;
        for (i, line) in lines.iter().enumerate().take(channels.len()) {
            if let Some(values) = self.values[start + i * self.channel_stride..].first_chunk_mut() {
                *values = *line;
            }
        }
        // Where the sums were stored, not before: between shuffles of whole vectors it would make the
        // compiler take them apart.
        if !epilogue.is_none() {
            for (i, channel) in channels.enumerate().take(NR) {
                if let Some(values) = self.values[start + i * self.channel_stride..].first_chunk_mut() {
                    let mut line: [Lanes; 1] = [*values];
                    epilogue.apply(&mut line, channel, 0);
                    *values = line[0];
                }
            }
        }
    }

    /// [`store`](Self::store) of positions that are fewer than a vector, or lie in several images.
    #[inline(never)]
    fn store_part(
        &mut self,
        lines: &mut [Lanes; NR],
        channels: Range<usize>,
        place: usize,
        len: usize,
        epilogue: Epilogue<'_>,
    ) {
        epilogue.apply(lines, channels.start, 0);
        let mut lane = 0;
        while lane < len {
            let (image, position) = ((place + lane) / self.positions, (place + lane) % self.positions);
            let end = len.min(lane + self.positions - position);
            let start = image * self.image_stride + channels.start * self.channel_stride + position;
            for (i, line) in lines.iter().enumerate().take(channels.len()) {
                self.values[start + i * self.channel_stride..][..end - lane]
                    .copy_from_slice(&line[lane..end]);
            }
            lane = end;
        }
    }
}

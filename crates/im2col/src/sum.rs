//! Long sums, without long chains.
//!
//! An addition rounds, and what is added first is rounded by every addition that follows: in one chain of `n`
//! values the error grows like `n`, and beyond 2^24 equal values it does not grow at all any more. Here values are
//! added in many short chains, the lanes of vectors, and the sums of chains by pairs: each value takes part in about
//! `16 + log2(n)` additions. The order depends on the lengths alone. N. J. Higham: The Accuracy of Floating Point
//! Summation (1993), section 3.

use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};

/// The vectors whose lanes are chains of additions.
const CHAINS: usize = 4;
/// The most values of a chain.
const CHAIN: usize = 16;
/// The most values that [`block`] adds without longer chains.
pub(crate) const BLOCK: usize = CHAIN * CHAINS * NR;
/// The most rows that [`SumColumns`] adds without longer chains.
const BLOCK_ROWS: usize = CHAIN * CHAINS;

/// The sum of at most [`BLOCK`] values: value `i` is added to chain `i % 64`, and the chains by pairs.
#[inline(always)]
pub(crate) fn block(values: &[f32]) -> f32 {
    let mut chains = [[0.0; NR]; CHAINS];
    let (groups, rest) = values.as_chunks::<{ CHAINS * NR }>();
    for group in groups {
        for (chain, vector) in chains.iter_mut().zip(group.as_chunks::<NR>().0) {
            add(chain, vector);
        }
    }
    let (vectors, rest) = rest.as_chunks::<NR>();
    for (chain, vector) in chains.iter_mut().zip(vectors) {
        add(chain, vector);
    }
    if let Some(chain) = chains.get_mut(vectors.len()) {
        chain.iter_mut().zip(rest).for_each(|(lane, value)| *lane += value);
    }
    lanes(added(chains))
}

/// The sum of the lanes, by pairs: of lanes 8 apart, then 4, 2 and 1.
#[inline(always)]
pub(crate) fn lanes(mut lanes: Lanes) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

#[inline(always)]
fn added([mut first, mut second, third, fourth]: [Lanes; CHAINS]) -> Lanes {
    add(&mut first, &third);
    add(&mut second, &fourth);
    add(&mut first, &second);
    first
}

#[inline(always)]
fn add<const N: usize>(sums: &mut [f32; N], values: &[f32; N]) {
    for i in 0..N {
        sums[i] += values[i];
    }
}

/// Adds numbers by pairs as they come, `N` sums side by side: of `count` of them each takes part in at most
/// `log2(count)` additions, rounded up.
#[derive(Debug)]
pub(crate) struct Pairwise<const N: usize> {
    /// Level `l` is the sum of `2^l` numbers, if bit `l` of the count is set.
    levels: [[f32; N]; usize::BITS as usize],
    count: usize,
}

impl<const N: usize> Pairwise<N> {
    #[inline(always)]
    pub(crate) const fn of_vectors() -> Self {
        Self { levels: [[0.0; N]; usize::BITS as usize], count: 0 }
    }

    #[inline(always)]
    pub(crate) fn push_vector(&mut self, mut sum: [f32; N]) {
        // As a counter carries: two sums of as many numbers become one of twice as many.
        let full = self.count.trailing_ones() as usize;
        for level in &self.levels[..full] {
            add(&mut sum, level);
        }
        self.levels[full] = sum;
        self.count += 1;
    }

    #[inline(always)]
    pub(crate) fn total_vector(&self) -> [f32; N] {
        let mut total = [0.0; N];
        let mut count = self.count;
        while count > 0 {
            add(&mut total, &self.levels[count.trailing_zeros() as usize]);
            count &= count - 1;
        }
        total
    }

    /// Empties the sum. The levels keep their values, which no longer count: a new sum would take as much of the stack again.
    #[inline(always)]
    pub(crate) const fn clear(&mut self) {
        self.count = 0;
    }
}

impl Pairwise<1> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self::of_vectors()
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, sum: f32) {
        self.push_vector([sum]);
    }

    /// Pushes the sums of blocks of the values.
    #[inline(always)]
    pub(crate) fn push_blocks(&mut self, values: &[f32]) {
        for values in values.chunks(BLOCK) {
            self.push(block(values));
        }
    }

    #[inline(always)]
    pub(crate) fn total(&self) -> f32 {
        let [total] = self.total_vector();
        total
    }
}

/// The sum of each channel of `[images, channels, plane_len]`, over images and planes.
pub(crate) struct SumPlanes<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) plane_len: usize,
    /// `[channels]`
    pub(crate) sums: &'a mut [f32],
}

impl SumPlanes<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for SumPlanes<'_> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { values, plane_len, sums } = self;
        if plane_len == 1 {
            return sum_columns(values, sums);
        }
        let channels = sums.len();
        for (channel, sum) in sums.iter_mut().enumerate() {
            let mut all = Pairwise::new();
            for plane in values.chunks_exact(plane_len).skip(channel).step_by(channels) {
                all.push_blocks(plane);
            }
            *sum = all.total();
        }
    }
}

/// The sum of each column of `[rows, columns]`.
pub(crate) struct SumColumns<'a> {
    pub(crate) values: &'a [f32],
    /// `[columns]`
    pub(crate) sums: &'a mut [f32],
}

impl Kernel for SumColumns<'_> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        sum_columns(self.values, self.sums);
    }
}

#[inline(always)]
fn sum_columns(values: &[f32], sums: &mut [f32]) {
    let columns = sums.len();
    for (panel, sums) in sums.chunks_mut(NR).enumerate() {
        let first = panel * NR;
        let whole = values.get(..BLOCK_ROWS * columns).unwrap_or(values);
        let mut total = block_of_columns(whole, columns, first);
        if values.len() > whole.len() {
            let mut all = Pairwise::<NR>::of_vectors();
            all.push_vector(total);
            for rows in values[whole.len()..].chunks(BLOCK_ROWS * columns) {
                all.push_vector(block_of_columns(rows, columns, first));
            }
            total = all.total_vector();
        }
        sums.copy_from_slice(&total[..sums.len()]);
    }
}

/// The sums of at most [`BLOCK_ROWS`] rows: row `i` is added to chain `i % 4`, and the chains by pairs. Lanes past the last
/// column count for nothing.
#[inline(always)]
fn block_of_columns(rows: &[f32], columns: usize, first: usize) -> Lanes {
    let mut chains = [[0.0; NR]; CHAINS];
    for group in rows.chunks(CHAINS * columns) {
        for (chain, row) in chains.iter_mut().zip((0..group.len()).step_by(columns)) {
            let row = &group[row + first..];
            match row.first_chunk::<NR>() {
                Some(lanes) => add(chain, lanes),
                None => chain.iter_mut().zip(row).for_each(|(lane, value)| *lane += value),
            }
        }
    }
    added(chains)
}

/// Adds an array to another.
pub(crate) struct Add<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) sums: &'a mut [f32],
}

impl Add<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for Add<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        for (sum, value) in self.sums.iter_mut().zip(self.values) {
            *sum += value;
        }
    }
}

/// Adds arrays of sums, too large for a [`Pairwise`], as they come: at most [`Cascade::CHAIN`] in one chain, of the
/// sums of these chains again as many, and so on.
#[derive(Debug)]
pub(crate) struct Cascade<'a> {
    total: &'a mut [f32],
    /// Arrays of the total's length, lowest level first.
    levels: &'a mut [f32],
    count: usize,
}

impl<'a> Cascade<'a> {
    /// The longest chain.
    pub(crate) const CHAIN: usize = 64;

    /// The most levels that any count of arrays needs.
    pub(crate) const MOST_LEVELS: usize = Self::levels(usize::MAX);

    /// How many arrays are needed besides the total, to add `count` of them.
    pub(crate) const fn levels(count: usize) -> usize {
        let mut levels = 0;
        let mut sums = count;
        while sums > Self::CHAIN {
            sums = sums.div_ceil(Self::CHAIN);
            levels += 1;
        }
        levels
    }

    /// Begins with zeros; `levels` has room for [`Cascade::levels`] arrays as long as the total.
    #[inline(always)]
    pub(crate) fn new(total: &'a mut [f32], levels: &'a mut [f32], count: usize) -> Self {
        let levels = &mut levels[..Self::levels(count) * total.len()];
        total.fill(0.0);
        levels.fill(0.0);
        Self { total, levels, count: 0 }
    }

    /// Where the next array is to be added.
    #[inline(always)]
    pub(crate) fn lowest(&mut self) -> &mut [f32] {
        if self.levels.is_empty() { self.total } else { &mut self.levels[..self.total.len()] }
    }

    /// Adds an array.
    #[inline(always)]
    pub(crate) fn add(&mut self, values: &[f32]) {
        for (sum, value) in self.lowest().iter_mut().zip(values) {
            *sum += value;
        }
        self.carry();
    }

    /// Carries, after an array has been added.
    #[inline(always)]
    pub(crate) fn carry(&mut self) {
        self.count += 1;
        let (mut level, mut count) = (0, self.count);
        while count.is_multiple_of(Self::CHAIN) && level * self.total.len() < self.levels.len() {
            self.fold(level);
            (level, count) = (level + 1, count / Self::CHAIN);
        }
    }

    /// Adds what the levels hold to the total.
    #[inline(always)]
    pub(crate) fn finish(mut self) {
        for level in 0..self.levels.len() / self.total.len().max(1) {
            self.fold(level);
        }
    }

    /// Adds a level to the one above, or to the total, and clears it.
    #[inline(always)]
    fn fold(&mut self, level: usize) {
        let len = self.total.len();
        let (low, high) = self.levels[level * len..].split_at_mut(len);
        let above = if high.is_empty() { &mut *self.total } else { high };
        for (sum, value) in above.iter_mut().zip(low) {
            *sum += core::mem::take(value);
        }
    }
}

#[cfg(test)]
mod tests;

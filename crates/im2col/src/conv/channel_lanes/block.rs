//! Blocks of positions, and where the input values lie that they see.

use crate::conv::shape::ConvShape;
use crate::padding::PaddingMode;
use crate::simd::load::fetch;
use crate::simd::load::zero;
use crate::simd::{Kernel, MulAdd, NR, Vectors};
use crate::window::{Window, checked_product, max};

/// How many panels of weights are used before the next positions.
pub(in crate::conv) const PANELS_AT_ONCE: usize = 2;
/// The most pairs whose sums are computed before they are stored: whole tiles of seven, three, or one.
pub(in crate::conv) const PAIRS_AT_ONCE: usize = 63;
/// The most products of a block, by the panels of a tile: their weights, of one panel or of two, take 16 or 24 KiB, and stay in an
/// L1 of 32 KiB while the tiles pass.
const PRODUCTS: [usize; PANELS_AT_ONCE] = [MOST_PRODUCTS, 192];
pub(in crate::conv) const MOST_PRODUCTS: usize = 256;
/// The most products of a block that read as many lines of input: 8 KiB of them.
pub(in crate::conv) const MOST_LINES: usize = 128;
/// The most values of a stage: 256 KiB, half of the smallest L2 in use.
const STAGE: usize = 64 * 1024;
/// Whole tiles, whether they have 14 positions (AVX-512), 6, or 2.
const TILES: usize = 42;
/// Values in the pages that a TLB of 64 entries knows.
const REACH: usize = 64 * 1024;
/// The smallest L1 in use: 32 KiB.
const L1_SETS: usize = 64;
const L1_WAYS: usize = 8;

/// The most positions whose sums wait to be transposed, those of the pairs and less than a vector of others: 13 KiB of
/// sums.
const MOST_WAITING: usize = (2 * PAIRS_AT_ONCE + NR).next_multiple_of(NR);

/// The most values of sums that wait to be transposed: what [`Block::sums_len`] never exceeds.
pub(in crate::conv) const SUMS_LEN: usize = (MOST_WAITING + 1) * PANELS_AT_ONCE * NR;

/// The most positions of a tile.
const TILE_POSITIONS: usize = 14;

/// Whether the input is copied before it is read: because of padding, or because the planes, or with channels last the
/// positions, that a block of products reads are so far apart that they need too many pages, or too few sets of L1 hold their
/// lines.
pub(in crate::conv) const fn is_staged(shape: &ConvShape) -> bool {
    if shape.input_layout.is_last() {
        return shape.window.is_padded() || positions_meet(shape);
    }
    let plane_len = shape.window.plane_len();
    let most = most_products(shape.window.kernel, 1).div_ceil(shape.window.taps());
    let planes = if shape.in_group < most { shape.in_group } else { most };
    // Planes that are a multiple of 2^n lines apart meet in one of 2^n sets.
    let shared = if plane_len.is_multiple_of(NR) { 1 << (plane_len / NR).trailing_zeros() } else { 1 };
    shape.window.is_padded()
        || planes.saturating_mul(plane_len) > REACH
        || planes.saturating_mul(shared) > L1_SETS * L1_WAYS / 2
}

/// The most products of a block, for tiles of one or two panels. Where taps are not side by side, a tile reads a line of input for
/// each product.
pub(in crate::conv) const fn most_products([.., width]: [usize; 3], panels: usize) -> usize {
    let most = PRODUCTS[panels - 1];
    if width > 1 || most < MOST_LINES { most } else { MOST_LINES }
}

/// Whether a tile whose input has channels last reads too many lines of L1 at once, one for each position and tap: more than half
/// of what their sets hold. Positions a multiple of `2^n` lines apart share one of `2^n` sets.
const fn positions_meet(shape: &ConvShape) -> bool {
    let Window { kernel, stride, .. } = shape.window;
    let [position_stride, ..] = shape.input_strides();
    let apart = position_stride.saturating_mul(stride[2]);
    let shared = if apart.is_multiple_of(NR) { 1 << (apart / NR).trailing_zeros() } else { 1 };
    let lines = kernel[2].saturating_add(TILE_POSITIONS).saturating_mul(kernel[1]).saturating_mul(kernel[0]);
    lines.saturating_mul(shared) > L1_SETS * L1_WAYS / 2
}

/// The positions that are computed together: the same ones of some images.
///
/// They follow each other in the output: only what covers an axis extends over several steps of the one
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::conv) struct Block {
    pub(in crate::conv) images: usize,
    pub(in crate::conv) positions: [usize; 3],
}

/// Where the input values of a block lie: a position's tap is at the sum of the steps.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv) struct Field {
    pub(in crate::conv) image: usize,
    pub(in crate::conv) channel: usize,
    pub(in crate::conv) tap: [usize; 3],
    pub(in crate::conv) position: [usize; 3],
}

/// Where a block begins.
#[derive(Clone, Copy, Default)]
pub(in crate::conv) struct Position {
    pub(in crate::conv) image: usize,
    pub(in crate::conv) at: [usize; 3],
}

impl Position {
    #[inline(always)]
    pub(in crate::conv) fn next(&mut self, block: &Block, shape: &ConvShape) {
        for axis in (0..3).rev() {
            self.at[axis] += block.positions[axis];
            if self.at[axis] < shape.window.output[axis] {
                return;
            }
            self.at[axis] = 0;
        }
        self.image += block.images;
    }
}

impl Block {
    /// The largest block whose stage has at most `most` values, if not of less than one position.
    pub(in crate::conv) const fn new(shape: &ConvShape, most: usize) -> Self {
        let most = if most < STAGE { most } else { STAGE };
        let mut block = Self { images: 1, positions: [1; 3] };
        let mut axis = 3;
        while axis > 0 {
            axis -= 1;
            let output = shape.window.output[axis];
            block.positions[axis] = output;
            let mut parts = 1;
            while block.positions[axis] > 1 && block.exceeds(shape, most) {
                parts *= 2;
                block.positions[axis] = output.div_ceil(parts);
            }
            if axis == 2 && parts > 1 && block.positions[axis] > TILES {
                block.positions[axis] -= block.positions[axis] % TILES;
            }
            if block.positions[axis] < output {
                return block;
            }
        }
        // As many as there is room for, so that fewer images never make a larger block.
        if let Some(len) = block.values(shape)
            && let Some(images) = most.checked_div(len)
            && images > 1
        {
            block.images = if shape.batch < images { max(shape.batch, 1) } else { images };
        }
        block
    }

    /// Spreads the images evenly over the blocks, of which there are as many as before.
    pub(in crate::conv) const fn evened(mut self, shape: &ConvShape) -> Self {
        let blocks = shape.batch.div_ceil(self.images);
        self.images = max(shape.batch.div_ceil(max(blocks, 1)), 1);
        self
    }

    /// How many pairs of positions its tiles have.
    pub(in crate::conv) const fn pairs(&self) -> usize {
        let [of_lines, of_images] = self.ways_to_pair();
        if self.pairs_images() { of_images } else { of_lines }
    }

    /// Whether a pair is one position of two images, and not two neighbours: where lines are of odd length, so that fewer are
    /// computed twice. The images need to be so small that whole ones are computed at once.
    pub(in crate::conv) const fn pairs_images(&self) -> bool {
        let ([of_lines, of_images], [planes, lines, width]) = (self.ways_to_pair(), self.positions);
        self.images > 1 && of_images < of_lines && planes * lines * width <= PAIRS_AT_ONCE
    }

    /// The numbers of pairs of neighbours and of images.
    const fn ways_to_pair(&self) -> [usize; 2] {
        let [planes, lines, width] = self.positions;
        [self.images * planes * lines * width.div_ceil(2), self.images.div_ceil(2) * planes * lines * width]
    }

    const fn exceeds(&self, shape: &ConvShape, most: usize) -> bool {
        match self.values(shape) {
            Some(len) => len > most,
            None => true,
        }
    }

    /// How many input values the block sees, with the padding among them.
    const fn values(&self, shape: &ConvShape) -> Option<usize> {
        let [z, y, x] = self.stage_dims(&shape.window);
        checked_product([self.images, staged_channels(shape), z, y, x])
    }

    /// The length of the sums that wait to be transposed: those of all positions of the block, or of the next
    /// [`MOST_WAITING`]. There is room for an overrun of less than `NR` positions, and for one position to spare at the end.
    pub(in crate::conv) const fn sums_len(&self) -> usize {
        let [planes, lines, width] = self.positions;
        let positions = self.images.saturating_mul(planes * lines * width).saturating_add(NR);
        (if positions < MOST_WAITING { positions } else { MOST_WAITING } + 1) * PANELS_AT_ONCE * NR
    }

    /// The length of the stage, if there is one: vectors are written less than `NR` values past its lines.
    pub(in crate::conv) const fn stage_len(&self, shape: &ConvShape) -> Option<usize> {
        if !is_staged(shape) {
            return Some(0);
        }
        match self.values(shape) {
            Some(len) => len.checked_add(NR),
            None => None,
        }
    }

    /// The size of a staged plane. An axis holds each value once, or, where taps are so far apart that
    /// this is less, the positions of each tap.
    pub(in crate::conv) const fn stage_dims(&self, window: &Window) -> [usize; 3] {
        let mut dims = [1; 3];
        let mut axis = 0;
        while axis < 3 {
            let apart = window.kernel[axis].saturating_mul(self.positions[axis]);
            let together = self.extent(window, axis);
            dims[axis] = if together <= apart { together } else { apart };
            axis += 1;
        }
        dims
    }

    /// How many values of an axis lie between the first and the last that the block sees.
    pub(in crate::conv) const fn extent(&self, window: &Window, axis: usize) -> usize {
        let Window { kernel, stride, dilation, .. } = window;
        // The taps of one position were checked; positions times stride may be anything.
        let reach = (kernel[axis] - 1) * dilation[axis];
        (self.positions[axis] - 1).saturating_mul(stride[axis]).saturating_add(reach).saturating_add(1)
    }
}

/// How many values a staged position takes: its channels, and with channels last one vector more if they fill an even number of
/// vectors, because positions that far apart would share few sets of L1.
const fn staged_channels(shape: &ConvShape) -> usize {
    let is_apart = shape.input_layout.is_last() && shape.in_group.is_multiple_of(2 * NR);
    shape.in_group + if is_apart { NR } else { 0 }
}

impl Field {
    /// The input itself, whose images are whole inputs apart.
    pub(in crate::conv) fn input(shape: &ConvShape) -> Self {
        let Window { input, stride, dilation, .. } = shape.window;
        let [position, channel, _] = shape.input_strides();
        let steps = [input[1] * input[2] * position, input[2] * position, position];
        let image = shape.groups * shape.in_group * shape.window.plane_len();
        let mut field = Self { image, channel, tap: [0; 3], position: [0; 3] };
        for axis in 0..3 {
            // Wrapping: a dilation counts only where there is a second tap, a stride where there is a
            // second position.
            field.tap[axis] = steps[axis].wrapping_mul(dilation[axis]);
            field.position[axis] = steps[axis].wrapping_mul(stride[axis]);
        }
        field
    }

    /// The stage of a block.
    pub(in crate::conv) fn stage(block: &Block, shape: &ConvShape) -> Self {
        let Window { stride, dilation, .. } = shape.window;
        let [z, y, x] = block.stage_dims(&shape.window);
        let channels = staged_channels(shape);
        let [position, channel] = shape.input_layout.strides(z * y * x, channels);
        let steps = [y * x * position, x * position, position];
        let mut field = Self { image: channels * z * y * x, channel, tap: [0; 3], position: [0; 3] };
        for axis in 0..3 {
            let together = [z, y, x][axis] == block.extent(&shape.window, axis);
            let (tap, position) =
                if together { (dilation[axis], stride[axis]) } else { (block.positions[axis], 1) };
            field.tap[axis] = steps[axis].wrapping_mul(tap);
            field.position[axis] = steps[axis].wrapping_mul(position);
        }
        field
    }

    #[inline(always)]
    pub(in crate::conv) fn at(&self, image: usize, [z, y, x]: [usize; 3]) -> usize {
        // Wrapping: see `Field::input`.
        (image * self.image)
            .wrapping_add(z.wrapping_mul(self.position[0]))
            .wrapping_add(y.wrapping_mul(self.position[1]))
            .wrapping_add(x.wrapping_mul(self.position[2]))
    }
}

pub(in crate::conv) struct FillPadded<'a> {
    pub(in crate::conv) block: &'a Block,
    pub(in crate::conv) first: &'a Position,
    pub(in crate::conv) shape: &'a ConvShape,
    pub(in crate::conv) field: &'a Field,
    pub(in crate::conv) input: &'a [f32],
    pub(in crate::conv) stage: &'a mut [f32],
}

impl Kernel for FillPadded<'_> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        self.block.fill(self.first, self.shape, self.field, self.input, self.stage);
    }
}

impl Block {
    /// The block that begins at `first`, cut off where the output ends.
    #[inline(always)]
    pub(in crate::conv) fn at(&self, first: &Position, shape: &ConvShape) -> Self {
        let mut block = *self;
        block.images = self.images.min(shape.batch - first.image);
        for axis in 0..3 {
            block.positions[axis] = self.positions[axis].min(shape.window.output[axis] - first.at[axis]);
        }
        block
    }

    /// Fills the stage. Whole vectors are written; what is written too much is in what comes next.
    #[inline(always)]
    fn fill(
        &self,
        first: &Position,
        shape: &ConvShape,
        input_field: &Field,
        input: &[f32],
        stage: &mut [f32],
    ) {
        if shape.input_layout.is_last() {
            self.fill_positions(first, shape, input_field, input, stage);
            return;
        }
        let window = &shape.window;
        let [planes, lines, columns] = StageAxis::all(self, first, window);
        // Taps that lie together are one run of values, others a run each.
        let (runs, run_len, step) = if columns.is_together {
            (1, columns.len, 1)
        } else {
            (window.kernel[2], columns.positions, window.stride[2])
        };
        let mut run = Run::new(window, columns.start, run_len, step);
        zero(stage, run.before);
        let mut at = 0;
        for image in first.image..first.image + self.images {
            for channel in 0..shape.in_group {
                let plane = image * input_field.image + channel * input_field.channel;
                for z in 0..planes.len {
                    let z = window.mode.source(planes.coordinate(z), window.input[0]);
                    for y in 0..lines.len {
                        let y = window.mode.source(lines.coordinate(y), window.input[1]);
                        let line = z.zip(y).map(|(z, y)| plane + (z * window.input[1] + y) * window.input[2]);
                        for tap in 0..runs {
                            let to = &mut stage[at..];
                            if runs > 1 {
                                let x = columns.start.wrapping_add(tap.wrapping_mul(columns.dilation));
                                run = Run::new(window, x, run_len, step);
                                zero(to, run.before);
                            }
                            match step {
                                1 => run.fill::<1>(window, input, line, to),
                                2 => run.fill::<2>(window, input, line, to),
                                _ => run.fill::<0>(window, input, line, to),
                            }
                            at += run_len;
                        }
                    }
                }
            }
        }
    }

    /// Fills the stage with the channels of one position after the other.
    #[inline(always)]
    fn fill_positions(
        &self,
        first: &Position,
        shape: &ConvShape,
        input_field: &Field,
        input: &[f32],
        stage: &mut [f32],
    ) {
        let (window, channels) = (&shape.window, shape.in_group);
        let [planes, lines, columns] = StageAxis::all(self, first, window);
        let ([position_stride, ..], staged) = (shape.input_strides(), staged_channels(shape));
        // The positions of a line inside the input, if they are as far apart there as in the stage: one run of values.
        let inside = if position_stride == staged && columns.is_together {
            let Run { before, inside, .. } = Run::new(window, columns.start, columns.len, 1);
            before..before + inside
        } else {
            0..0
        };
        let mut at = 0;
        for image in first.image..first.image + self.images {
            for z in 0..planes.len {
                let z = planes.coordinate(z);
                for y in 0..lines.len {
                    let y = lines.coordinate(y);
                    let mut i = 0;
                    while i < columns.len {
                        let x = columns.coordinate(i);
                        let run = if i == inside.start { inside.len().max(1) } else { 1 };
                        match window.source([z, y, x]) {
                            Some(place) => {
                                let from = image * input_field.image + place * position_stride;
                                for done in (0..(run - 1) * staged + channels).step_by(NR) {
                                    fetch::<1>(input, from + done, 1, &mut stage[at + done..]);
                                }
                            }
                            None => zero(&mut stage[at..], run * staged),
                        }
                        (i, at) = (i + run, at + run * staged);
                    }
                }
            }
        }
    }
}

/// An axis of the stage.
struct StageAxis {
    /// How many values it holds.
    len: usize,
    /// The coordinate of the first of them in the input.
    start: usize,
    /// Whether they follow each other in the input; otherwise they are those of the first tap, of the second, and so on.
    is_together: bool,
    positions: usize,
    stride: usize,
    dilation: usize,
}

impl StageAxis {
    /// The axes of the block that begins at `first`.
    #[inline(always)]
    fn all(block: &Block, first: &Position, window: &Window) -> [Self; 3] {
        let dims = block.stage_dims(window);
        core::array::from_fn(|axis| Self {
            len: dims[axis],
            start: (first.at[axis] * window.stride[axis]).wrapping_sub(window.padding[axis][0]),
            is_together: dims[axis] == block.extent(window, axis),
            positions: block.positions[axis],
            stride: window.stride[axis],
            dilation: window.dilation[axis],
        })
    }

    /// The coordinate of place `i`; before the input it wraps around.
    #[inline(always)]
    fn coordinate(&self, i: usize) -> usize {
        if self.is_together {
            return self.start.wrapping_add(i);
        }
        let (tap, position) = (i / self.positions, i % self.positions);
        self.start.wrapping_add(position * self.stride).wrapping_add(tap * self.dilation)
    }
}

/// Values of a line of input, `step` apart from `x` on, which may lie before the line: some in the padding before it, some
/// inside, the others in the padding after it.
#[derive(Clone, Copy)]
struct Run {
    x: usize,
    step: usize,
    len: usize,
    before: usize,
    inside: usize,
}

impl Run {
    #[inline(always)]
    fn new(window: &Window, x: usize, len: usize, step: usize) -> Self {
        // How many of the values lie before a place.
        let up_to = |end: usize| {
            let distance = (end.wrapping_sub(x) as isize).max(0) as usize;
            let values = if step == 1 { distance } else { distance.div_ceil(step) };
            values.min(len)
        };
        let before = up_to(0);
        Self { x, step, len, before, inside: up_to(window.input[2]) - before }
    }

    /// Writes the run of the line that begins at `line` of the input; where there is no line, zeros. The padding before it must be
    /// zeros already: behind its end each run writes as many for the next one.
    #[inline(always)]
    fn fill<const STEP: usize>(&self, window: &Window, input: &[f32], line: Option<usize>, to: &mut [f32]) {
        let Self { x, step, len, before, inside } = *self;
        let step = if STEP == 0 { step } else { STEP };
        let Some(line) = line else {
            zero(&mut to[before..], len);
            return;
        };
        let mut from = line.wrapping_add(x).wrapping_add(before.wrapping_mul(step));
        for lanes in to[before..].as_chunks_mut::<NR>().0.iter_mut().take(inside.div_ceil(NR)) {
            fetch::<STEP>(input, from, step, lanes);
            from = from.wrapping_add(NR.wrapping_mul(step));
        }
        zero(&mut to[before + inside..], len - inside);
        if window.mode != PaddingMode::Zeros && inside < len {
            self.fill_padding(window, &input[line..][..window.input[2]], to);
        }
    }

    /// Writes the values in the padding of a line.
    #[inline(never)]
    fn fill_padding(&self, window: &Window, line: &[f32], to: &mut [f32]) {
        let end = self.before + self.inside;
        for i in (0..self.before).chain(end..self.len) {
            let x = self.x.wrapping_add(i.wrapping_mul(self.step));
            to[i] = window.mode.source(x, line.len()).map_or(0.0, |x| line[x]);
        }
    }
}

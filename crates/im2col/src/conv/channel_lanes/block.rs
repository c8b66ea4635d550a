//! Blocks of positions, and where the input values lie that they see.

use crate::conv::shape::ConvShape;
use crate::layout::InputStrides;
use crate::simd::NR;
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
/// The length of lines that are paired, that of the last layers of many networks. With shorter ones there are no fewer tiles, and
/// of longer ones less is computed twice.
const PAIRED_LINE: usize = 7;
/// Whole tiles, whether they have 14 positions (AVX-512), 6, or 2.
const TILES: usize = 42;
/// Values in the pages that a TLB of 64 entries knows.
const REACH: usize = 64 * 1024;
/// The smallest L1 in use: 32 KiB.
const L1_SETS: usize = 64;
const L1_WAYS: usize = 8;

/// The most positions whose sums wait for more products or to be transposed, those of the pairs and less than a vector of others:
/// 18 KiB of sums.
const MOST_WAITING: usize = (2 * PAIRS_AT_ONCE + NR).next_multiple_of(NR);

/// The most values of sums that wait to be transposed: what [`Block::sums_len`] never exceeds.
pub(in crate::conv) const SUMS_LEN: usize = (MOST_WAITING + 1) * PANELS_AT_ONCE * NR;

/// The most positions of a tile.
const TILE_POSITIONS: usize = 14;

/// Whether the input is copied before it is read: because of padding, because it is a view, or because the planes, or with channels
/// last the positions, that a block of products reads are so far apart that they need too many pages, or too few sets of L1 hold
/// their lines.
pub(in crate::conv) const fn is_staged(shape: &ConvShape) -> bool {
    if shape.is_view {
        return true;
    }
    if shape.input_layout.is_last() {
        return shape.window.is_padded() || positions_meet(shape);
    }
    let plane_len = shape.window.plane_len();
    let most = most_products(shape.window.kernel[2] > 1, 1).div_ceil(shape.window.taps());
    let planes = if shape.in_group < most { shape.in_group } else { most };
    shape.window.is_padded()
        || planes.saturating_mul(plane_len) > REACH
        || planes.saturating_mul(conflict_factor(plane_len)) > L1_SETS * L1_WAYS / 2
}

/// How many times fewer sets of L1 hold values that are `apart` apart: `2^n` for an odd multiple of `2^n` cache lines, else 1.
const fn conflict_factor(apart: usize) -> usize {
    if apart > 0 && apart.is_multiple_of(NR) { 1 << (apart / NR).trailing_zeros() } else { 1 }
}

/// The most products of a block, for tiles of one or two panels. Where neither taps nor channels are side by side, a tile reads a
/// line of input for each product.
pub(in crate::conv) const fn most_products(are_together: bool, panels: usize) -> usize {
    let most = PRODUCTS[panels - 1];
    if are_together || most < MOST_LINES { most } else { MOST_LINES }
}

/// Whether a tile whose input has channels last reads too many lines of L1 at once, one for each position and tap: more than half
/// of what their sets hold.
const fn positions_meet(shape: &ConvShape) -> bool {
    let Window { kernel, stride, .. } = shape.window;
    let shared = conflict_factor(shape.input_strides().dims[2].saturating_mul(stride[2]));
    let lines = kernel[2].saturating_add(TILE_POSITIONS).saturating_mul(kernel[1]).saturating_mul(kernel[0]);
    lines.saturating_mul(shared) > L1_SETS * L1_WAYS / 2
}

/// The positions that are computed together: `positions` on each axis, the same ones in each of `images` images.
///
/// They follow each other in the output: a block of several steps on an axis, or of several images, covers all later axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::conv) struct Block {
    pub(in crate::conv) images: usize,
    pub(in crate::conv) positions: [usize; 3],
}

/// The strides of a block's input values: what a tap sees at a position lies at the sum of their steps.
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
    /// Which position of its image it is.
    #[inline(always)]
    pub(in crate::conv) fn place(&self, shape: &ConvShape) -> usize {
        let ([_, height, width], [z, y, x]) = (shape.window.output, self.at);
        (z * height + y) * width + x
    }

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
        let ([of_lines, of_images], [_, lines, width]) = (self.ways_to_pair(), self.positions);
        if self.pairs_images() {
            of_images
        } else if self.pairs_lines() {
            lines / 2 * width + lines % 2 * width.div_ceil(2)
        } else {
            of_lines
        }
    }

    /// Whether a pair is one position of two lines of an image: where pairs of neighbours would compute one position in eight
    /// twice. Of an odd number of lines the last one is left over, whose pairs are neighbours.
    pub(in crate::conv) const fn pairs_lines(&self) -> bool {
        let [planes, lines, width] = self.positions;
        self.images == 1 && planes == 1 && lines > 1 && width == PAIRED_LINE
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

    /// The block that begins at `first`, cut off behind the last of `batch` images and at the `ends` of the output's axes.
    #[inline(always)]
    pub(in crate::conv) fn at(&self, first: &Position, batch: usize, ends: [usize; 3]) -> Self {
        let mut block = *self;
        block.images = self.images.min(batch - first.image);
        block.positions = core::array::from_fn(|axis| self.positions[axis].min(ends[axis] - first.at[axis]));
        block
    }
}

/// How many values a staged position takes: its channels, and with channels last one vector more if they fill an even number of
/// vectors, because positions that far apart would share few sets of L1.
pub(super) const fn staged_channels(shape: &ConvShape) -> usize {
    let is_apart = shape.input_layout.is_last() && shape.in_group.is_multiple_of(2 * NR);
    shape.in_group + if is_apart { NR } else { 0 }
}

impl Field {
    /// The input itself.
    pub(super) fn input(shape: &ConvShape, strides: &InputStrides<3>) -> Self {
        let Window { stride, dilation, .. } = shape.window;
        let InputStrides { image, channel, dims: steps } = *strides;
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

//! Random shapes: kernels of 1 to 11 taps an axis, strides to 64, dilation, groups, few and many channels,
//! long thin and tiny images.

use im2col::Rounding;
use im2col_benches::ConvShape;

/// The most multiply-adds of a shape, and the most values of its input, weight and output together.
const MOST_MULTIPLY_ADDS: usize = 40_000_000;
const MOST_VALUES: usize = 4_000_000;

/// SplitMix64 (G. Steele, D. Lea, C. Flood, 2014).
pub(crate) struct Random {
    state: u64,
    /// If it is any, the shapes are those of Winograd's algorithm.
    rounding: Rounding,
}

impl Random {
    pub(crate) fn new(seed: u64, rounding: Rounding) -> Self {
        Self { state: seed, rounding }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..count`.
    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// A number in `1..=most`, whose logarithm is evenly distributed.
    fn log(&mut self, most: usize) -> usize {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((most as f64 + 1.0).powf(unit) as usize).clamp(1, most)
    }

    /// The next shape within the limits.
    pub(crate) fn shape(&mut self) -> ConvShape {
        loop {
            if let Some(shape) = self.draw() {
                return shape;
            }
        }
    }

    fn draw(&mut self) -> Option<ConvShape> {
        let square = !self.one_in(3);
        let input = match self.below(4) {
            0 => [1, self.log(50_000)],
            1 => [self.log(16), self.log(4096)],
            2 => [self.log(4096), self.log(16)],
            _ => [self.log(300), self.log(300)],
        };
        let kernel = [self.log(11), self.log(11)];
        let kernel = if square { [kernel[0]; 2] } else { kernel };
        let stride = if self.one_in(2) { [1, 1] } else { [self.log(64), self.log(64)] };
        let stride = if square { [stride[0]; 2] } else { stride };
        let dilation = if self.one_in(4) { [self.log(16), self.log(16)] } else { [1, 1] };
        // A single line has no kernel across it.
        let kernel = if input[0] == 1 { [1, kernel[1]] } else { kernel };
        let (kernel, stride, dilation) = if self.rounding == Rounding::Any {
            ([3, 3], [1, 1], [1, 1])
        } else {
            (kernel, stride, dilation)
        };
        let padding = [0, 1].map(|axis| {
            let reach = dilation[axis] * (kernel[axis] - 1);
            if self.one_in(2) { reach / 2 } else { self.below(reach + 1) }
        });
        let (mut in_channels, mut out_channels) = (self.log(512), self.log(512));
        let mut groups = 1;
        if self.one_in(6) {
            groups = self.log(64);
            if self.one_in(2) {
                (in_channels, out_channels) = (1, 1);
            }
            (in_channels, out_channels) = (in_channels.min(16) * groups, out_channels.min(16) * groups);
        }
        let batch = if self.one_in(4) { self.log(16) } else { 1 };
        for axis in 0..2 {
            if input[axis] + 2 * padding[axis] < dilation[axis] * (kernel[axis] - 1) + 1 {
                return None;
            }
        }
        let shape = ConvShape::new(batch, [in_channels, input[0], input[1]], out_channels, kernel)
            .stride(stride)
            .padding(padding)
            .dilation(dilation)
            .groups(groups);
        let values = shape.input_len().checked_add(shape.weight_len())?.checked_add(shape.output_len())?;
        (values <= MOST_VALUES && shape.multiply_adds() <= MOST_MULTIPLY_ADDS).then_some(shape)
    }
}

/// How many values of input and weight the convolution reads, each counted once.
pub(crate) fn values_read(shape: &ConvShape) -> usize {
    let [rows, columns] = [0, 1].map(|axis| {
        let mut is_read = vec![false; shape.input[axis]];
        for output in 0..shape.output()[axis] {
            for tap in 0..shape.kernel[axis] {
                let at = output * shape.stride[axis] + tap * shape.dilation[axis];
                if let Some(at) = at.checked_sub(shape.padding[axis])
                    && let Some(read) = is_read.get_mut(at)
                {
                    *read = true;
                }
            }
        }
        is_read.iter().filter(|read| **read).count()
    });
    shape.batch * shape.in_channels * rows * columns + shape.weight_len()
}

/// The shape in one word: channels, input, kernel, and what differs from the default.
pub(crate) fn describe(shape: &ConvShape) -> String {
    let ConvShape { batch, in_channels, input, out_channels, kernel, stride, padding, dilation, groups } =
        shape;
    let mut text = format!("{in_channels}-{out_channels}_{}x{}", input[0], input[1]);
    text += &format!("_k{}x{}", kernel[0], kernel[1]);
    if *batch != 1 {
        text += &format!("_n{batch}");
    }
    for (letter, values, default) in [("s", stride, 1), ("p", padding, 0), ("d", dilation, 1)] {
        if *values != [default; 2] {
            text += &format!("_{letter}{}x{}", values[0], values[1]);
        }
    }
    if *groups != 1 {
        text += &format!("_g{groups}");
    }
    text
}

//! Single operations on small tensors: what the reader of the page plays with.
//!
//! A convolution is what the name of the core says: its im2col matrix, then one product with the weights. Pooling takes the
//! maximum or the mean of the matrix's columns. The algorithms that a [`ConvPlan`](im2col::ConvPlan) chooses from would be half of
//! the module, for operands that none of them makes faster; the bits of convolutions are those of `Isa::SCALAR`.

use im2col::{Im2colParams, Im2colPlan, Isa, LinearParams, PaddingMode, RunError, ShapeError, naive};

use crate::Message;

/// The values of all operands of an operation: a picture of 400x300 in three channels, the im2col matrix of one of them under 3x3,
/// and the result.
pub const VALUES: usize = 1_800_100;
/// How many numbers describe an operation.
pub const NUMBERS: usize = 20;

/// An operation's description and its operands.
#[derive(Debug)]
pub struct Operands {
    /// What each operation takes; then what it has found.
    pub numbers: [u32; NUMBERS],
    /// The operands, one behind the other in the order of the operation; behind them the result.
    pub values: [f32; VALUES],
}

/// Why an operation did not run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// The sizes do not fit together.
    Shape(ShapeError),
    /// An operand is wrong.
    Run(RunError),
    /// The operands do not fit into [`VALUES`].
    TooLarge,
}

impl Failure {
    /// Writes the reason, without `core::fmt`: that takes as much code as the training.
    pub fn write(&self, message: &mut Message) {
        match self {
            Self::Shape(error) => message.set(error.message().as_str()),
            Self::Run(_) => message.set("an operand has another length than planned"),
            Self::TooLarge => message.set("the operands are larger than the memory of the page"),
        }
    }
}

impl From<ShapeError> for Failure {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl Operands {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { numbers: [0; _], values: [0.0; _] }
    }

    /// The im2col matrix of an image: `input` -> `columns`.
    ///
    /// Takes the numbers `in_channels, height, width, kernel_height, kernel_width, top, bottom, left, right, stride_height,
    /// stride_width, dilation_height, dilation_width, padding_mode` (0: zeros, 1: mirrored, 2: border values, 3: periodic). Returns
    /// `start of the matrix, 1, rows, columns`: a row for each channel and tap, a column for each position of the kernel.
    ///
    /// # Errors
    /// The sizes do not fit together.
    pub fn im2col(&mut self) -> Result<(), Failure> {
        let plan = self.patches(self.number(0))?;
        let [input, columns] = parts(&mut self.values, [plan.input_len(), plan.columns_len()])?;
        plan.im2col(input, columns)?;
        self.found([plan.input_len(), 1, plan.rows(), plan.output_dims().iter().product()]);
        Ok(())
    }

    /// The cross-correlation of an image with kernels: `input`, `weight`, `bias` -> `output`.
    ///
    /// Takes the numbers of [`im2col`](Self::im2col), then `out_channels, groups, has_bias`. Returns `start of output, channels,
    /// height, width`.
    ///
    /// # Errors
    /// The sizes do not fit together.
    pub fn convolve(&mut self) -> Result<(), Failure> {
        let [in_channels, out_channels, groups] = [self.number(0), self.number(14), self.number(15)];
        for (what, channels) in [("in_channels", in_channels), ("out_channels", out_channels)] {
            if groups == 0 || channels % groups != 0 {
                return Err(ShapeError::Groups { what, channels, groups }.into());
            }
        }
        let plan = self.patches(in_channels / groups)?;
        let (depth, [height, width]) = (plan.rows(), plan.output_dims());
        let positions = height * width;
        let bias_len = if self.number(16) == 0 { 0 } else { out_channels };
        let lens = [
            groups.saturating_mul(plan.input_len()),
            out_channels.saturating_mul(depth),
            bias_len,
            out_channels.saturating_mul(positions),
            plan.columns_len(),
        ];
        let [input, weight, bias, output, columns] = parts(&mut self.values, lens)?;
        output.fill(0.0);
        let rows = output.chunks_exact_mut(positions).zip(weight.chunks_exact(depth));
        let mut images = input.chunks_exact(plan.input_len());
        for (o, (row, weights)) in rows.enumerate() {
            if o % (out_channels / groups) == 0 {
                plan.im2col(images.next().unwrap_or_default(), columns)?;
            }
            for (&weight, column) in weights.iter().zip(columns.chunks_exact(positions)) {
                row.iter_mut().zip(column).for_each(|(sum, value)| *sum += weight * value);
            }
            if let Some(bias) = bias.get(o) {
                row.iter_mut().for_each(|sum| *sum += bias);
            }
        }
        let [input, weight, bias, ..] = lens;
        self.found([input + weight + bias, out_channels, height, width]);
        Ok(())
    }

    /// The maximum or mean of each window, which is a column of a channel's im2col matrix: `input` -> `output`.
    ///
    /// Takes the numbers `is_average, channels, height, width, window_height, window_width, padding_height, padding_width,
    /// stride_height, stride_width`. Returns `start of output, channels, height, width`. A mean counts the padding, a maximum does
    /// not.
    ///
    /// # Errors
    /// The sizes do not fit together.
    pub fn pool(&mut self) -> Result<(), Failure> {
        let [is_average, channels] = self.pair(0);
        let plan = Im2colParams::new(1, self.pair(4))
            .with_padding(self.pair(6))
            .with_stride(self.pair(8))
            .plan(1, self.pair(2))?
            .with_isa(Isa::SCALAR);
        let (taps, [height, width]) = (plan.rows(), plan.output_dims());
        let positions = height * width;
        let of_channels = |len: usize| channels.saturating_mul(len);
        let lens = [
            of_channels(plan.input_len()),
            of_channels(positions),
            plan.columns_len(),
            plan.input_len(),
            plan.columns_len(),
        ];
        let [input, output, columns, ones, inside] = parts(&mut self.values, lens)?;
        // Which taps see the image.
        ones.fill(1.0);
        plan.im2col(ones, inside)?;
        for (image, output) in input.chunks_exact(plan.input_len()).zip(output.chunks_exact_mut(positions)) {
            plan.im2col(image, columns)?;
            output.fill(if is_average == 0 { f32::NEG_INFINITY } else { 0.0 });
            for (row, inside) in columns.chunks_exact(positions).zip(inside.chunks_exact(positions)) {
                for ((result, value), inside) in output.iter_mut().zip(row).zip(inside) {
                    if is_average != 0 {
                        *result += value;
                    } else if *inside != 0.0 {
                        *result = result.max(*value);
                    }
                }
            }
            if is_average != 0 {
                output.iter_mut().for_each(|sum| *sum /= taps as f32);
            }
        }
        self.found([of_channels(plan.input_len()), channels, height, width]);
        Ok(())
    }

    /// A fully connected layer without a bias: `input`, `weight` -> `output`.
    ///
    /// Takes the numbers `rows of input, inputs, outputs`. Returns `start of output, 1, rows, outputs`.
    ///
    /// # Errors
    /// The sizes do not fit together.
    pub fn linear(&mut self) -> Result<(), Failure> {
        let (rows, [inputs, outputs]) = (self.number(0), self.pair(1));
        let plan = LinearParams::new(inputs, outputs).with_bias(false).plan(rows)?;
        let lens = [plan.input_len(), plan.weight_len(), plan.output_len()];
        let [input, weight, output] = parts(&mut self.values, lens)?;
        naive::linear_forward(&plan, input, weight, &[], output)?;
        self.found([plan.input_len() + plan.weight_len(), 1, rows, outputs]);
        Ok(())
    }

    /// The im2col matrix of an image of some channels.
    fn patches(&self, channels: usize) -> Result<Im2colPlan<2>, ShapeError> {
        let mode = match self.number(13) {
            0 => PaddingMode::Zeros,
            1 => PaddingMode::Reflect,
            2 => PaddingMode::Replicate,
            _ => PaddingMode::Circular,
        };
        let params = Im2colParams::new(channels, self.pair(3))
            .with_padding_per_side([self.pair(5), self.pair(7)])
            .with_stride(self.pair(9))
            .with_dilation(self.pair(11))
            .with_padding_mode(mode);
        Ok(params.plan(1, self.pair(1))?.with_isa(Isa::SCALAR))
    }

    fn number(&self, index: usize) -> usize {
        self.numbers.get(index).map_or(0, |&number| number as usize)
    }

    fn pair(&self, first: usize) -> [usize; 2] {
        [self.number(first), self.number(first + 1)]
    }

    fn found(&mut self, numbers: [usize; 4]) {
        for (place, number) in self.numbers.iter_mut().zip(numbers) {
            *place = number as u32;
        }
    }
}

impl Default for Operands {
    fn default() -> Self {
        Self::new()
    }
}

/// Operands of these lengths, one behind the other.
fn parts<const N: usize>(values: &mut [f32], lens: [usize; N]) -> Result<[&mut [f32]; N], Failure> {
    let mut rest = values;
    let mut parts = core::array::from_fn(|_| <&mut [f32]>::default());
    for (part, len) in parts.iter_mut().zip(lens) {
        (*part, rest) = rest.split_at_mut_checked(len).ok_or(Failure::TooLarge)?;
    }
    Ok(parts)
}

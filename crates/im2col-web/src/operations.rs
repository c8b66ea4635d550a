//! Single operations of the core on small tensors: what the reader of the page plays with.

use core::fmt;

use im2col::{
    Algorithm, ConvOperands, ConvParams, ConvPlan, Isa, LinearParams, PaddingMode,
    PoolKind, PoolParams, RunError, ShapeError, Weights, naive,
};

/// The values of all operands of an operation: those of a picture of three channels of 400x300, and of its result.
pub const VALUES: usize = 1 << 20;
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

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(error) => error.fmt(formatter),
            Self::Run(error) => error.fmt(formatter),
            Self::TooLarge => formatter.write_str("the operands are larger than the memory of the page"),
        }
    }
}

impl core::error::Error for Failure {}

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

    /// The cross-correlation of an image with kernels: `input`, `weight`, `bias` -> `output`.
    ///
    /// Takes the numbers `in_channels, out_channels, groups, has_bias, height, width, kernel_height, kernel_width, top, bottom,
    /// left, right, stride_height, stride_width, dilation_height, dilation_width, padding_mode` (0: zeros, 1: mirrored, 2: border
    /// values, 3: periodic). Returns `start of output, channels, height, width`.
    ///
    /// # Errors
    /// The sizes do not fit together.
    pub fn convolve(&mut self) -> Result<(), Failure> {
        let plan = self.conv_plan()?;
        let lens = [plan.input_len(), plan.weight_len(), plan.bias_len(), plan.output_len()];
        let [input, weight, bias, output] = parts(&mut self.values, lens).ok_or(Failure::TooLarge)?;
        if plan.algorithm() != Algorithm::InPlace {
            return Err(Failure::TooLarge);
        }
        plan.forward(ConvOperands { input, weight: Weights::Plain(weight), bias }, output, &mut [])?;
        let [height, width] = plan.output_dims();
        self.found([start(&lens), self.number(1), height, width]);
        Ok(())
    }

    /// The gradient of the kernels: `input`, `grad_output` -> `grad_weight`. Numbers as for [`convolve`](Self::convolve).
    ///
    /// # Errors
    /// The sizes do not fit together.
    pub fn convolve_backward_weight(&mut self) -> Result<(), Failure> {
        let plan = self.conv_plan()?;
        let lens = [plan.input_len(), plan.output_len(), plan.weight_len()];
        let [input, grad_output, grad_weight] = parts(&mut self.values, lens).ok_or(Failure::TooLarge)?;
        naive::conv_backward_weight(&plan, input, grad_output, grad_weight)?;
        self.found([start(&lens), self.number(1), self.number(6), self.number(7)]);
        Ok(())
    }

    /// The im2col matrix of an image: `input` -> `columns`. Numbers as for [`convolve`](Self::convolve). Returns `start of the
    /// matrix, 1, rows, columns`: a row for each channel and tap, a column for each position of the kernel.
    ///
    /// # Errors
    /// The sizes do not fit together.
    pub fn im2col(&mut self) -> Result<(), Failure> {
        let plan = self.conv_plan()?;
        let lens = [plan.input_len(), plan.columns_len()];
        let [input, columns] = parts(&mut self.values, lens).ok_or(Failure::TooLarge)?;
        plan.im2col(input, columns)?;
        let positions = plan.output_dims().iter().product::<usize>();
        self.found([start(&lens), 1, plan.columns_len() / positions, positions]);
        Ok(())
    }

    /// A convolution as a fully connected layer: `weight` -> `matrix`. Numbers as for [`convolve`](Self::convolve). Returns `start of
    /// the matrix, 1, outputs, inputs`.
    ///
    /// # Errors
    /// The sizes do not fit together.
    pub fn dense_matrix(&mut self) -> Result<(), Failure> {
        let plan = self.conv_plan()?;
        let (inputs, outputs) = (plan.input_len(), plan.output_len());
        let len = inputs.checked_mul(outputs).ok_or(Failure::TooLarge)?;
        let lens = [plan.weight_len(), len];
        let [weight, matrix] = parts(&mut self.values, lens).ok_or(Failure::TooLarge)?;
        naive::dense_matrix(&plan, weight, matrix)?;
        self.found([start(&lens), 1, outputs, inputs]);
        Ok(())
    }

    /// The maximum or mean of each window: `input` -> `output`.
    ///
    /// Takes the numbers `is_average, channels, height, width, window_height, window_width, padding_height, padding_width,
    /// stride_height, stride_width`. Returns `start of output, channels, height, width`.
    ///
    /// # Errors
    /// The sizes do not fit together.
    pub fn pool(&mut self) -> Result<(), Failure> {
        let [kind, channels] = self.pair(0);
        let kind = if kind == 0 { PoolKind::Max } else { PoolKind::Average };
        let plan = PoolParams::new(kind, self.pair(4))
            .with_padding(self.pair(6))
            .with_stride(self.pair(8))
            .plan(1, channels, self.pair(2))?
            .with_isa(Isa::SCALAR);
        let lens = [plan.input_len(), plan.output_len()];
        let [input, output] = parts(&mut self.values, lens).ok_or(Failure::TooLarge)?;
        naive::pool_forward(&plan, input, output)?;
        let [height, width] = plan.output_dims();
        self.found([start(&lens), channels, height, width]);
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
        let plan = LinearParams::new(inputs, outputs).with_bias(false).plan(rows)?.with_isa(Isa::SCALAR);
        let plan = plan.with_scratch_limit(0);
        let lens = [plan.input_len(), plan.weight_len(), plan.output_len()];
        let [input, weight, output] = parts(&mut self.values, lens).ok_or(Failure::TooLarge)?;
        naive::linear_forward(&plan, input, weight, &[], output)?;
        self.found([start(&lens), 1, rows, outputs]);
        Ok(())
    }

    /// Without scratch, so that one algorithm is enough for all.
    fn conv_plan(&self) -> Result<ConvPlan<2>, ShapeError> {
        let mode = match self.number(16) {
            0 => PaddingMode::Zeros,
            1 => PaddingMode::Reflect,
            2 => PaddingMode::Replicate,
            _ => PaddingMode::Circular,
        };
        let [in_channels, out_channels] = self.pair(0);
        let plan = ConvParams::new(in_channels, out_channels, self.pair(6))
            .with_groups(self.number(2))
            .with_bias(self.number(3) != 0)
            .with_padding_per_side([self.pair(8), self.pair(10)])
            .with_padding_mode(mode)
            .with_stride(self.pair(12))
            .with_dilation(self.pair(14))
            .plan(1, self.pair(4))?
            .with_algorithm(Algorithm::InPlace)?;
        Ok(plan.with_scratch_limit(0).with_backward_scratch_limit(0).with_isa(Isa::SCALAR))
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
fn parts<const N: usize>(values: &mut [f32], lens: [usize; N]) -> Option<[&mut [f32]; N]> {
    let mut rest = values;
    let mut parts = core::array::from_fn(|_| <&mut [f32]>::default());
    for (part, len) in parts.iter_mut().zip(lens) {
        (*part, rest) = rest.split_at_mut_checked(len)?;
    }
    Some(parts)
}

/// Where the last operand begins.
fn start(lens: &[usize]) -> usize {
    lens.split_last().map_or(0, |(_, before)| before.iter().sum())
}

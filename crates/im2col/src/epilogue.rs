//! What finished sums go through before they are stored: bias and ReLU.

use crate::activation::{Activation, relu};

/// The bias that is added to a sum, and whether ReLU follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epilogue<'a> {
    pub(crate) bias: Bias<'a>,
    is_relu: bool,
}

/// The summand that follows the products.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bias<'a> {
    None,
    /// One per row of sums: the output channels of a convolution.
    PerRow(&'a [f32]),
    /// One per column of sums: the outputs of a linear layer.
    PerColumn(&'a [f32]),
}

impl<'a> Epilogue<'a> {
    pub(crate) const NONE: Self = Self { bias: Bias::None, is_relu: false };

    /// Activations that are not fused are [completed](Activation::complete) by the caller.
    pub(crate) const fn new(bias: Bias<'a>, activation: Activation) -> Self {
        Self { bias, is_relu: matches!(activation, Activation::Relu) }
    }

    /// The epilogue of the transposed tile, whose rows are the columns of this one.
    #[inline(always)]
    pub(crate) fn by_columns(mut self) -> Self {
        self.bias = match self.bias {
            Bias::None | Bias::PerRow([]) => Bias::None,
            Bias::PerRow(bias) => Bias::PerColumn(bias),
            Bias::PerColumn(bias) => Bias::PerRow(bias),
        };
        self
    }

    /// Whether it leaves sums as they are.
    #[inline(always)]
    pub(crate) fn is_none(&self) -> bool {
        matches!(self.bias, Bias::None | Bias::PerRow([])) && !self.is_relu
    }

    /// Finishes the sums of a tile whose first is at (`row`, `column`).
    #[inline(always)]
    pub(crate) fn apply<const ROWS: usize, const LANES: usize>(
        &self,
        sums: &mut [[f32; LANES]; ROWS],
        row: usize,
        column: usize,
    ) {
        match self.bias {
            Bias::None | Bias::PerRow([]) => {}
            Bias::PerRow(bias) => {
                let mut rows = [0.0; ROWS];
                for (row, bias) in rows.iter_mut().zip(bias.get(row..).unwrap_or_default()) {
                    *row = *bias;
                }
                for i in 0..ROWS {
                    sums[i].iter_mut().for_each(|sum| *sum += rows[i]);
                }
            }
            Bias::PerColumn(bias) => {
                let bias = bias.get(column..).unwrap_or_default();
                let mut lanes = [0.0; LANES];
                match bias.first_chunk() {
                    Some(bias) => lanes = *bias,
                    None => lanes[..bias.len()].copy_from_slice(bias),
                }
                for sums in sums.iter_mut() {
                    for i in 0..LANES {
                        sums[i] += lanes[i];
                    }
                }
            }
        }
        if self.is_relu {
            sums.as_flattened_mut().iter_mut().for_each(|sum| *sum = relu(*sum));
        }
    }
}

/// Adds the bias of a plane, and applies ReLU if that is its activation.
#[inline(always)]
pub(crate) fn finish(plane: &mut [f32], bias: f32, activation: Activation) {
    if matches!(activation, Activation::Relu) {
        plane.iter_mut().for_each(|y| *y = relu(*y + bias));
    } else {
        plane.iter_mut().for_each(|y| *y += bias);
    }
}

//! What a network is made of: its layers and parameters, one by one.

use super::layer::{LayerPlan, Op, ValueShape};
use super::plan::Network;
use crate::activation::Activation;
use crate::pool::PoolKind;
use core::ops::Range;

/// One line of the table of a network's layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSummary {
    /// Counted from 0; parameters are named after it.
    pub index: usize,
    /// As PyTorch calls the layer: `"Conv2d"`, `"Sigmoid"`, `"AvgPool2d"` ...
    pub name: &'static str,
    /// How many parameters the layer has.
    pub params: usize,
    /// How many products the layer sums, for the whole batch. Pooling and activations have none.
    pub multiply_adds: usize,
    output: Dims,
}

impl LayerSummary {
    /// The shape of the layer's output, batch first: `[1, 6, 28, 28]`.
    #[must_use]
    pub fn output_dims(&self) -> &[usize] {
        self.output.as_slice()
    }
}

/// A tensor among the parameters of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The index of the layer that it belongs to.
    pub layer: usize,
    /// `"weight"` or `"bias"`.
    pub name: &'static str,
    /// Where it stands in the slice of all parameters.
    pub range: Range<usize>,
    /// How many inputs each of the layer's outputs sums: what initialisations are scaled by.
    pub fan_in: usize,
    /// How many outputs each of the layer's inputs goes into, as PyTorch counts: stride and groups
    /// aside.
    pub fan_out: usize,
    dims: Dims,
}

impl Parameter {
    /// The shape: `[out_channels, in_channels / groups, height, width]`, `[outputs, inputs]`, or one
    /// axis for a bias.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        self.dims.as_slice()
    }
}

/// A shape of one to four axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dims {
    sizes: [usize; 4],
    rank: usize,
}

impl Dims {
    fn new<const D: usize>(dims: [usize; D]) -> Self {
        let mut sizes = [1; 4];
        sizes[..D].copy_from_slice(&dims);
        Self { sizes, rank: D }
    }

    fn as_slice(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }
}

impl<const L: usize> Network<L> {
    /// The layers in order: the model, inspected by hand.
    ///
    /// ```
    /// use im2col::{Network, lenet::LENET, planned};
    ///
    /// const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));
    ///
    /// let first = NETWORK.layers().next().unwrap();
    /// assert_eq!((first.name, first.params), ("Conv2d", 6 * 25 + 6));
    /// assert_eq!(first.output_dims(), [1, 6, 28, 28]);
    /// assert_eq!(first.multiply_adds, 6 * 25 * 28 * 28);
    /// ```
    pub fn layers(&self) -> impl Iterator<Item = LayerSummary> {
        self.layers.iter().enumerate().map(|(index, layer)| LayerSummary {
            index,
            name: layer.op.name(),
            params: layer.op.sizes().weight + layer.op.sizes().bias,
            multiply_adds: layer.op.multiply_adds(),
            output: match layer.output {
                ValueShape::Planes([channels, height, width]) => {
                    Dims::new([self.batch, channels, height, width])
                }
                ValueShape::Features(features) => Dims::new([self.batch, features]),
            },
        })
    }

    /// The tensors among the parameters, in the order of PyTorch's `state_dict`: `0.weight`,
    /// `0.bias`, `3.weight` ...
    ///
    /// ```
    /// use im2col::{Network, lenet::LENET, planned};
    ///
    /// const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));
    ///
    /// let last = NETWORK.parameters().last().unwrap();
    /// assert_eq!((last.layer, last.name, last.dims()), (11, "bias", &[10][..]));
    /// assert_eq!(last.range, 61_696..61_706);
    /// ```
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> {
        let of_layer = |(index, layer): (usize, &LayerPlan)| {
            [layer.weight_parameter(index), layer.bias_parameter(index)]
        };
        self.layers.iter().enumerate().flat_map(of_layer).flatten()
    }
}

impl LayerPlan {
    fn weight_parameter(&self, layer: usize) -> Option<Parameter> {
        let dims = match self.op {
            Op::Conv(plan) => {
                let params = plan.params();
                let [height, width] = params.kernel();
                Dims::new([params.out_channels(), params.in_channels() / params.groups(), height, width])
            }
            Op::Linear(plan) => Dims::new([plan.params().outputs(), plan.params().inputs()]),
            Op::Pool(_) | Op::Activation(_) | Op::Flatten => return None,
        };
        let [outputs, inputs, height, width] = dims.sizes;
        let taps = height * width;
        let range = self.param_offset..self.param_offset + self.op.sizes().weight;
        Some(Parameter { layer, name: "weight", range, fan_in: inputs * taps, fan_out: outputs * taps, dims })
    }

    /// A bias is initialised by the fans of its layer's weight.
    fn bias_parameter(&self, layer: usize) -> Option<Parameter> {
        let weight = self.weight_parameter(layer)?;
        let range = weight.range.end..weight.range.end + self.op.sizes().bias;
        let dims = Dims::new([range.len()]);
        (!range.is_empty()).then_some(Parameter { name: "bias", range, dims, ..weight })
    }
}

impl Op {
    const fn multiply_adds(&self) -> usize {
        match self {
            Self::Conv(plan) => plan.multiply_adds(),
            Self::Linear(plan) => plan.multiply_adds(),
            Self::Pool(_) | Self::Activation(_) | Self::Flatten => 0,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Conv(_) => "Conv2d",
            Self::Pool(plan) => match (plan.params().kind(), plan.params().adaptive_output()) {
                (PoolKind::Max, None) => "MaxPool2d",
                (PoolKind::Average, None) => "AvgPool2d",
                (PoolKind::Max, Some(_)) => "AdaptiveMaxPool2d",
                (PoolKind::Average, Some(_)) => "AdaptiveAvgPool2d",
            },
            Self::Activation(Activation::Identity) => "Identity",
            Self::Activation(Activation::Relu) => "ReLU",
            Self::Activation(Activation::Sigmoid) => "Sigmoid",
            Self::Activation(Activation::Tanh) => "Tanh",
            Self::Flatten => "Flatten",
            Self::Linear(_) => "Linear",
        }
    }
}

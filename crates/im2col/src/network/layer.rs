//! A layer, what it is planned as, and its place in the slices that all layers share.

#![deny(clippy::arithmetic_side_effects)]

use crate::activation::Activation;
use crate::conv::{ConvParams, ConvPlan};
use crate::error::ShapeError;
use crate::linear::{LinearParams, LinearPlan};
use crate::pool::{PoolParams, PoolPlan};
use crate::simd::Isa;
use crate::weights::PackedLayout;
use crate::window::checked_product;

/// One layer of a [`Network`](crate::Network).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layer {
    /// Cross-correlation with a learned kernel, on `[channels, height, width]`.
    Conv(ConvParams<2>),
    /// Maximum or average over a window, on `[channels, height, width]`.
    Pool(PoolParams<2>),
    /// A function of each value.
    Activation(Activation),
    /// `[channels, height, width]` becomes `[features]`; nothing moves.
    Flatten,
    /// A fully connected layer, on `[features]`.
    Linear(LinearParams),
}

/// A layer that fits where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Conv(ConvPlan<2>),
    Pool(PoolPlan<2>),
    Activation(Activation),
    Flatten,
    Linear(LinearPlan),
}

/// A layer and its place in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LayerPlan {
    pub(super) op: Op,
    /// Inference leaves this activation to the layer before, which applies it while it stores.
    pub(super) fused: bool,
    /// What one image becomes.
    pub(super) output: ValueShape,
    /// For the whole batch.
    pub(super) output_len: usize,
    /// Where the output stands in the workspace. `None`: it is the network's own input, because
    /// there is nothing but Flatten up to here.
    pub(super) output_offset: Option<usize>,
    /// Where images are interleaved: where the output stands, in vectors, in what is kept of a block.
    pub(super) lane_offset: usize,
    /// Where the weight stands in the parameters; the bias follows it.
    pub(super) param_offset: usize,
}

/// What a layer asks of the slices that all layers share.
#[derive(Clone, Copy)]
pub(super) struct LayerSizes {
    pub(super) weight: usize,
    pub(super) bias: usize,
    pub(super) packed_weight: usize,
    pub(super) scratch: usize,
    pub(super) backward_scratch: usize,
}

/// What one image is between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueShape {
    Planes([usize; 3]),
    Features(usize),
}

impl LayerPlan {
    /// The length of one image of the output.
    pub(super) const fn image_len(&self) -> usize {
        match self.output {
            ValueShape::Planes([channels, height, width]) => {
                channels.wrapping_mul(height).wrapping_mul(width)
            }
            ValueShape::Features(features) => features,
        }
    }

    pub(super) const UNPLANNED: Self = Self {
        op: Op::Flatten,
        fused: false,
        output: ValueShape::Features(0),
        output_len: 0,
        output_offset: None,
        lane_offset: 0,
        param_offset: 0,
    };

    /// The layer's weight among all parameters; empty without one.
    pub(super) fn weight<'a>(&self, params: &'a [f32]) -> &'a [f32] {
        let weight = params.get(self.param_offset..).unwrap_or_default();
        weight.get(..self.op.sizes().weight).unwrap_or_default()
    }

    /// The layer's bias among all parameters; empty without one.
    pub(super) fn bias<'a>(&self, params: &'a [f32]) -> &'a [f32] {
        let sizes = self.op.sizes();
        // `place` has checked this sum.
        let bias = params.get(self.param_offset.wrapping_add(sizes.weight)..).unwrap_or_default();
        bias.get(..sizes.bias).unwrap_or_default()
    }

    /// Whether inference computes anything for this layer.
    pub(super) const fn is_step(&self) -> bool {
        !self.fused && !matches!(self.op, Op::Flatten)
    }
}

impl ValueShape {
    /// The checked length of `batch` images.
    pub(super) const fn batch_len(self, batch: usize) -> Result<usize, ShapeError> {
        let image_len = match self {
            Self::Planes(dims) => checked_product(dims),
            Self::Features(features) => Some(features),
        };
        match image_len {
            None => Err(ShapeError::Overflow { what: "an image" }),
            Some(0) => Err(ShapeError::Zero { what: "input" }),
            Some(len) => match len.checked_mul(batch) {
                Some(len) => Ok(len),
                None => Err(ShapeError::Overflow { what: "a batch" }),
            },
        }
    }
}

impl Op {
    pub(super) const fn plan(
        layer: Layer,
        index: usize,
        batch: usize,
        input: ValueShape,
    ) -> Result<Self, ShapeError> {
        match (layer, input) {
            (Layer::Conv(params), ValueShape::Planes([channels, height, width])) => {
                if channels != params.in_channels() {
                    return Err(mismatch(index, params.in_channels(), channels));
                }
                match params.plan(batch, [height, width]) {
                    Ok(plan) => Ok(Self::Conv(plan)),
                    Err(error) => Err(error),
                }
            }
            (Layer::Pool(params), ValueShape::Planes([channels, height, width])) => {
                match params.plan(batch, channels, [height, width]) {
                    Ok(plan) => Ok(Self::Pool(plan)),
                    Err(error) => Err(error),
                }
            }
            (Layer::Linear(params), ValueShape::Features(features)) => {
                if features != params.inputs() {
                    return Err(mismatch(index, params.inputs(), features));
                }
                match params.plan(batch) {
                    Ok(plan) => Ok(Self::Linear(plan)),
                    Err(error) => Err(error),
                }
            }
            (Layer::Activation(activation), _) => Ok(Self::Activation(activation)),
            (Layer::Flatten, _) => Ok(Self::Flatten),
            (Layer::Conv(params), ValueShape::Features(_)) => Err(mismatch(index, params.in_channels(), 0)),
            (Layer::Pool(_), ValueShape::Features(_)) => Err(mismatch(index, 1, 0)),
            (Layer::Linear(params), ValueShape::Planes(_)) => Err(mismatch(index, params.inputs(), 0)),
        }
    }

    /// What one image becomes.
    pub(super) const fn output(&self, input: ValueShape) -> ValueShape {
        match (self, input) {
            (Self::Conv(plan), _) => {
                let [height, width] = plan.output_dims();
                ValueShape::Planes([plan.params().out_channels(), height, width])
            }
            (Self::Pool(plan), _) => {
                let [height, width] = plan.output_dims();
                ValueShape::Planes([plan.channels(), height, width])
            }
            (Self::Linear(plan), _) => ValueShape::Features(plan.params().outputs()),
            (Self::Flatten, ValueShape::Planes([channels, height, width])) => {
                // `batch_len` has checked this product.
                ValueShape::Features(channels.wrapping_mul(height).wrapping_mul(width))
            }
            (Self::Flatten | Self::Activation(_), _) => input,
        }
    }

    /// Whether inference can leave a following activation to this layer.
    pub(super) const fn can_fuse(&self) -> bool {
        matches!(self, Self::Conv(_) | Self::Linear(_)) && matches!(self.activation(), Activation::Identity)
    }

    /// The activation that the layer itself applies.
    pub(super) const fn activation(&self) -> Activation {
        match self {
            Self::Conv(plan) => plan.params().activation(),
            Self::Linear(plan) => plan.params().activation(),
            Self::Pool(_) | Self::Activation(_) | Self::Flatten => Activation::Identity,
        }
    }

    /// The activation that made the layer's output: its own, or the one that it is.
    pub(super) const fn last_activation(&self) -> Activation {
        match self {
            Self::Activation(activation) => *activation,
            _ => self.activation(),
        }
    }

    /// Sets the fused activation of a layer that can have one.
    pub(super) const fn set_activation(&mut self, activation: Activation) {
        match self {
            Self::Conv(plan) => plan.set_activation(activation),
            Self::Linear(plan) => plan.set_activation(activation),
            Self::Pool(_) | Self::Activation(_) | Self::Flatten => {}
        }
    }

    pub(super) const fn with_isa(self, isa: Isa) -> Self {
        match self {
            Self::Conv(plan) => Self::Conv(plan.with_isa(isa)),
            Self::Pool(plan) => Self::Pool(plan.with_isa(isa)),
            Self::Linear(plan) => Self::Linear(plan.with_isa(isa)),
            Self::Activation(_) | Self::Flatten => self,
        }
    }

    pub(super) const fn sizes(&self) -> LayerSizes {
        match self {
            Self::Conv(plan) => LayerSizes {
                weight: plan.weight_len(),
                bias: plan.bias_len(),
                packed_weight: plan.packed_weight_len(),
                scratch: plan.scratch_len(),
                backward_scratch: plan.backward_scratch_len(),
            },
            Self::Linear(plan) => LayerSizes {
                weight: plan.weight_len(),
                bias: plan.bias_len(),
                packed_weight: plan.packed_weight_len(),
                scratch: plan.scratch_len(),
                backward_scratch: plan.backward_scratch_len(),
            },
            Self::Pool(_) | Self::Activation(_) | Self::Flatten => {
                LayerSizes { weight: 0, bias: 0, packed_weight: 0, scratch: 0, backward_scratch: 0 }
            }
        }
    }

    /// What packed weights must have been packed for; `None` without weights.
    pub(super) fn layout(&self) -> Option<PackedLayout> {
        match self {
            Self::Conv(plan) => Some(plan.layout()),
            Self::Linear(plan) => Some(plan.layout()),
            Self::Pool(_) | Self::Activation(_) | Self::Flatten => None,
        }
    }
}

const fn mismatch(layer: usize, required: usize, given: usize) -> ShapeError {
    ShapeError::Layer { layer, required, given }
}

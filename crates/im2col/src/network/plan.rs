//! Planning: each layer's own plan, and where its operands stand in the flat slices.

#![deny(clippy::arithmetic_side_effects)]

use super::{Layer, Network};
use crate::activation::Activation;
use crate::conv::ConvPlan;
use crate::error::ShapeError;
use crate::linear::LinearPlan;
use crate::pool::PoolPlan;
use crate::simd::Isa;
use crate::weights::Layout;
use crate::window::{checked_product, checked_sum};

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
    pub(super) output: Shape,
    /// For the whole batch.
    pub(super) output_len: usize,
    /// Where the output stands in the workspace. `None`: it is the network's own input, because
    /// there is nothing but Flatten up to here.
    pub(super) output_offset: Option<usize>,
    /// The same in vectors, where images are interleaved: in what is kept of a bundle.
    pub(super) lane_offset: usize,
    /// Where the weight stands in the parameters; the bias follows it.
    pub(super) param_offset: usize,
}

/// What a layer asks of the slices that all layers share.
#[derive(Clone, Copy)]
pub(super) struct Lens {
    pub(super) weight: usize,
    pub(super) bias: usize,
    pub(super) packed_weight: usize,
    pub(super) scratch: usize,
    pub(super) backward_scratch: usize,
}

/// What one image is between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Planes([usize; 3]),
    Features(usize),
}

impl<const L: usize> Network<L> {
    /// Plans `layers` for `batch` images of `[channels, height, width]`.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Layer`] where a layer's channels or features are not those that arrive. Flatten
    /// has to stand between planes and a linear layer, as in PyTorch; where it is missing, or where
    /// a convolution or pooling comes after it, `given` is 0. The errors of each layer's own plan;
    /// [`ShapeError::Zero`] for no layers or an empty image; [`ShapeError::Overflow`].
    pub const fn plan(layers: [Layer; L], batch: usize, input: [usize; 3]) -> Result<Self, ShapeError> {
        if L == 0 {
            return Err(ShapeError::Zero { what: "layers" });
        }
        let mut shape = Shape::Planes(input);
        let image_len = match shape.batch_len(1) {
            Ok(len) => len,
            Err(error) => return Err(error),
        };
        let input_len = match shape.batch_len(batch) {
            Ok(len) => len,
            Err(error) => return Err(error),
        };
        let mut network = Self {
            layers: [LayerPlan::UNPLANNED; L],
            batch,
            shard: 1,
            threads: 1,
            input_len,
            image_len,
            param_len: 0,
            packed_len: 0,
            workspace_len: 0,
            buffer_lens: [0; 2],
            scratch_len: 0,
            gradient_len: 0,
            train_scratch_len: 0,
            isa: None,
            interleaving: None,
            infers_interleaved: false,
            trains_interleaved: false,
            scratch_limit: usize::MAX,
        };
        let mut index = 0;
        while index < L {
            let op = match Op::plan(layers[index], index, batch, shape) {
                Ok(op) => op,
                Err(error) => return Err(error),
            };
            shape = op.output(shape);
            if let Err(error) = network.place(index, op, shape) {
                return Err(error);
            }
            index = index.wrapping_add(1);
        }
        network.gradient_len = network.longest_gradient();
        if let Err(error) = network.plan_inference(usize::MAX) {
            return Err(error);
        }
        if let Err(error) = network.plan_training(usize::MAX) {
            return Err(error);
        }
        network.interleave();
        Ok(network)
    }

    /// Appends a layer's operands to the parameters, the packed weights and the workspace.
    const fn place(&mut self, index: usize, op: Op, output: Shape) -> Result<(), ShapeError> {
        let output_len = match output.batch_len(self.batch) {
            Ok(len) => len,
            Err(error) => return Err(error),
        };
        let previous = if index == 0 { None } else { Some(self.layers[index.wrapping_sub(1)]) };
        let output_offset = match (op, previous) {
            (Op::Flatten, None) => None,
            (Op::Flatten, Some(previous)) => previous.output_offset,
            _ => Some(self.workspace_len),
        };
        let kept_len = if matches!(op, Op::Flatten) { 0 } else { output_len };
        let fused = match (op, previous) {
            (Op::Activation(_), Some(previous)) => previous.op.can_fuse(),
            _ => false,
        };
        self.layers[index] = LayerPlan {
            op,
            fused,
            output,
            output_len,
            output_offset,
            lane_offset: 0,
            param_offset: self.param_len,
        };

        let lens = op.lens();
        let Some(param_len) = checked_sum([self.param_len, lens.weight, lens.bias]) else {
            return Err(ShapeError::Overflow { what: "parameters" });
        };
        let Some(workspace_len) = checked_sum([self.workspace_len, kept_len]) else {
            return Err(ShapeError::Overflow { what: "workspace" });
        };
        self.param_len = param_len;
        self.workspace_len = workspace_len;
        Ok(())
    }

    /// The first layer that has parameters, or `L`: no gradient goes below it.
    pub(super) const fn first_trained(&self) -> usize {
        let mut index = 0;
        while index < L && self.layers[index].op.lens().weight == 0 {
            index = index.wrapping_add(1);
        }
        index
    }

    /// The last layer that computes at inference, or 0 if none does.
    pub(super) const fn last_step(&self) -> usize {
        let mut index = L.saturating_sub(1);
        while index > 0 && !self.layers[index].is_step() {
            index = index.wrapping_sub(1);
        }
        index
    }
}

impl LayerPlan {
    /// The length of one image of the output.
    pub(super) const fn image_len(&self) -> usize {
        match self.output {
            Shape::Planes([channels, height, width]) => channels.wrapping_mul(height).wrapping_mul(width),
            Shape::Features(features) => features,
        }
    }

    const UNPLANNED: Self = Self {
        op: Op::Flatten,
        fused: false,
        output: Shape::Features(0),
        output_len: 0,
        output_offset: None,
        lane_offset: 0,
        param_offset: 0,
    };

    /// Whether inference computes anything for this layer.
    pub(super) const fn is_step(&self) -> bool {
        !self.fused && !matches!(self.op, Op::Flatten)
    }
}

impl Shape {
    /// The checked length of `batch` images.
    const fn batch_len(self, batch: usize) -> Result<usize, ShapeError> {
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
    const fn plan(layer: Layer, index: usize, batch: usize, input: Shape) -> Result<Self, ShapeError> {
        match (layer, input) {
            (Layer::Conv(params), Shape::Planes([channels, height, width])) => {
                if channels != params.in_channels() {
                    return Err(mismatch(index, params.in_channels(), channels));
                }
                match params.plan(batch, [height, width]) {
                    Ok(plan) => Ok(Self::Conv(plan)),
                    Err(error) => Err(error),
                }
            }
            (Layer::Pool(params), Shape::Planes([channels, height, width])) => {
                match params.plan(batch, channels, [height, width]) {
                    Ok(plan) => Ok(Self::Pool(plan)),
                    Err(error) => Err(error),
                }
            }
            (Layer::Linear(params), Shape::Features(features)) => {
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
            (Layer::Conv(params), Shape::Features(_)) => Err(mismatch(index, params.in_channels(), 0)),
            (Layer::Pool(_), Shape::Features(_)) => Err(mismatch(index, 1, 0)),
            (Layer::Linear(params), Shape::Planes(_)) => Err(mismatch(index, params.inputs(), 0)),
        }
    }

    /// What one image becomes.
    const fn output(&self, input: Shape) -> Shape {
        match (self, input) {
            (Self::Conv(plan), _) => {
                let [height, width] = plan.output_dims();
                Shape::Planes([plan.params().out_channels(), height, width])
            }
            (Self::Pool(plan), _) => {
                let [height, width] = plan.output_dims();
                Shape::Planes([plan.channels(), height, width])
            }
            (Self::Linear(plan), _) => Shape::Features(plan.params().outputs()),
            (Self::Flatten, Shape::Planes([channels, height, width])) => {
                // `batch_len` has checked this product.
                Shape::Features(channels.wrapping_mul(height).wrapping_mul(width))
            }
            (Self::Flatten | Self::Activation(_), _) => input,
        }
    }

    /// Whether inference can leave a following activation to this layer.
    const fn can_fuse(&self) -> bool {
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

    pub(super) const fn with_activation(self, activation: Activation) -> Self {
        match self {
            Self::Conv(plan) => Self::Conv(plan.with_activation(activation)),
            Self::Linear(plan) => Self::Linear(plan.with_activation(activation)),
            Self::Pool(_) | Self::Activation(_) | Self::Flatten => self,
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

    pub(super) const fn lens(&self) -> Lens {
        match self {
            Self::Conv(plan) => Lens {
                weight: plan.weight_len(),
                bias: plan.bias_len(),
                packed_weight: plan.packed_weight_len(),
                scratch: plan.scratch_len(),
                backward_scratch: plan.backward_scratch_len(),
            },
            Self::Linear(plan) => Lens {
                weight: plan.weight_len(),
                bias: plan.bias_len(),
                packed_weight: plan.packed_weight_len(),
                scratch: plan.scratch_len(),
                backward_scratch: plan.backward_scratch_len(),
            },
            Self::Pool(_) | Self::Activation(_) | Self::Flatten => {
                Lens { weight: 0, bias: 0, packed_weight: 0, scratch: 0, backward_scratch: 0 }
            }
        }
    }

    /// What packed weights must have been packed for; `None` without weights.
    pub(super) fn layout(&self) -> Option<Layout> {
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

//! What a fully connected layer is, but for its batch.

use crate::activation::Activation;

/// A fully connected layer, without the size of its batch.
///
/// ```
/// use im2col::{LinearOperands, LinearParams, Weights};
///
/// let plan = LinearParams::new(3, 2).plan(1)?;
/// let operands =
///     LinearOperands { input: &[1., 2., 3.], weight: Weights::Plain(&[1., 0., 0., 1., 1., 1.]), bias: &[0.5, -1.] };
/// let mut output = [0.0; 2];
/// plan.forward(operands, &mut output, &mut vec![0.0; plan.scratch_len()])?;
/// assert_eq!(output, [1.5, 5.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearParams {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) bias: bool,
    pub(super) activation: Activation,
}

impl LinearParams {
    /// A layer with a bias and no activation.
    #[must_use]
    pub const fn new(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, bias: true, activation: Activation::Identity }
    }

    /// Whether each output has a bias.
    #[must_use]
    pub const fn with_bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// An activation that the forward pass applies to the sums before it stores them.
    #[must_use]
    pub const fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Features that go in.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Features that come out.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    /// See [`LinearParams::with_bias`].
    #[must_use]
    pub const fn has_bias(&self) -> bool {
        self.bias
    }

    /// See [`LinearParams::with_activation`].
    #[must_use]
    pub const fn activation(&self) -> Activation {
        self.activation
    }
}

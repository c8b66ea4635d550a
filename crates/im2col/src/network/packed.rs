//! Weights packed by the compiler.

use super::forward::{NetworkWeights, PackedNetwork};
use super::layer::Op;
use super::plan::Network;
use crate::error::{RunError, ShapeError, check_len};
use crate::weights::PackedWeights;

/// The packed weights of a network with their values, made by the compiler: in a `static` they lie in flash or in `.rodata`.
///
/// ```
/// use im2col::{Network, NetworkWeights, PackedLayers, lenet::LENET, planned};
///
/// const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));
/// static PARAMS: [f32; NETWORK.param_len()] = [0.01; NETWORK.param_len()];
/// # #[allow(long_running_const_eval)]
/// static PACKED: PackedLayers<{ NETWORK.packed_weight_len() }> = planned!(NETWORK.packed(&PARAMS));
///
/// let mut logits = [[0.0; NETWORK.output_len()]; 2];
/// let mut scratch = [0.0; NETWORK.scratch_len()];
/// for (weights, logits) in [NETWORK.weights(&PARAMS, &PACKED)?, NetworkWeights::Plain(&PARAMS)].into_iter().zip(&mut logits) {
///     NETWORK.forward(weights, &[1.0; 784], logits, &mut scratch)?;
/// }
/// assert_eq!(logits[0], logits[1]);
/// # Ok::<(), im2col::RunError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct PackedLayers<const N: usize> {
    panels: [f32; N],
}

impl<const L: usize> Network<L> {
    /// [`pack_weights`](Self::pack_weights) for constants: `N` is [`packed_weight_len`](Self::packed_weight_len).
    ///
    /// # Errors
    ///
    /// [`ShapeError::Length`] for `params` or the packed weights; [`ShapeError::InLayer`] with [`ShapeError::Inapplicable`] for a
    /// convolution by [`Algorithm::Winograd`](crate::Algorithm::Winograd), whose weights are transformed when the program runs.
    pub const fn packed<const N: usize>(&self, params: &[f32]) -> Result<PackedLayers<N>, ShapeError> {
        if params.len() != self.param_len {
            let (required, given) = (self.param_len, params.len());
            return Err(ShapeError::Length { operand: "params", required, given });
        }
        if N != self.packed_weight_len {
            return Err(ShapeError::Length { operand: "packed", required: self.packed_weight_len, given: N });
        }
        let mut panels = [0.0; N];
        let (mut place, mut index) = (0, 0);
        // Without packed weights the plan reads those of `params`.
        while index < L && N > 0 {
            let (op, start) = (self.inferring(index, self.batch), self.layers[index].param_offset);
            match &op {
                Op::Conv(plan) => {
                    if let Err(error) = plan.check_pack_constant() {
                        return Err(error.in_layer(index));
                    }
                    plan.pack_constant(params, start, &mut panels, place);
                }
                Op::Linear(plan) => plan.pack_constant(params, start, &mut panels, place),
                Op::Pool(_) | Op::Activation(_) | Op::Flatten => {}
            }
            place += op.sizes().packed_weight;
            index += 1;
        }
        Ok(PackedLayers { panels })
    }

    /// Parameters together with the weights among them that [`packed`](Self::packed) has packed.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if `params` is not [`param_len`](Self::param_len) or `packed` not
    /// [`packed_weight_len`](Self::packed_weight_len) long.
    pub fn weights<'a, const N: usize>(
        &self,
        params: &'a [f32],
        packed: &'a PackedLayers<N>,
    ) -> Result<NetworkWeights<'a, L>, RunError> {
        check_len("params", self.param_len, params.len())?;
        check_len("packed", self.packed_weight_len, N)?;
        let (mut layers, mut rest) = ([None; L], &packed.panels[..]);
        for (index, layer) in layers.iter_mut().enumerate() {
            let op = self.inferring(index, self.batch);
            if let (Some(layout), Some((panels, behind))) =
                (op.layout(), rest.split_at_checked(op.sizes().packed_weight))
                && N > 0
            {
                *layer = Some(PackedWeights { panels, layout });
                rest = behind;
            }
        }
        Ok(NetworkWeights::Packed { params, packed: PackedNetwork { layers } })
    }
}

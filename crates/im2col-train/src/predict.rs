//! The probability of each class.

use im2col::{Network, NetworkWeights, RunError};

use crate::shard::normalised;

/// The probability of each class; `image`: one byte for each input of the network, which is planned for one.
///
/// # Errors
/// The parameters or the image are not this network's.
pub fn probabilities<const L: usize>(
    network: &Network<L>,
    params: &[f32],
    image: &[u8],
) -> Result<Vec<f32>, RunError> {
    let input: Vec<f32> = image.iter().copied().map(normalised).collect();
    let mut logits = vec![0.0; network.output_len()];
    let mut scratch = vec![0.0; network.scratch_len()];
    network.forward(NetworkWeights::Plain(params), &input, &mut logits, &mut scratch)?;
    let mut probabilities = vec![0.0; logits.len()];
    im2col::softmax(&logits, logits.len(), &mut probabilities)?;
    Ok(probabilities)
}

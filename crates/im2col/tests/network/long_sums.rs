//! Gradients of many images, which are interleaved, and of large ones are sums of short chains.

use im2col::{ConvParams, Isa, Layer, LinearParams, Network, NetworkWeights};
use im2col_testkit::bound;
use im2col_testkit::operands::garbage;

/// The gradients of all parameters for images and gradients of one value, under the fastest instruction set.
fn gradients<const L: usize>(network: &Network<L>, value: f32) -> Vec<f32> {
    let network = network.with_isa(Isa::detect());
    let params = vec![1.0; network.param_len()];
    let input = vec![value; network.input_len()];
    let mut workspace = vec![f32::NAN; network.workspace_len()];
    let mut scratch = garbage(1, network.train_scratch_len());
    network.forward_train(NetworkWeights::Plain(&params), &input, &mut workspace, &mut scratch).unwrap();
    let grad_output = vec![1.0; network.output_len()];
    let (mut grads, mut scratch) = (garbage(2, params.len()), garbage(3, network.train_scratch_len()));
    network.backward(&params, &input, &workspace, &grad_output, &mut grads, &mut scratch).unwrap();
    grads
}

/// A lane sums at most 2048 positions, then 16 lanes by pairs; eight chains of each of 64 blocks; and 64 sums of those.
const MOST_ROUNDINGS: usize = 2048 + 4 + 8 * 64 + 2 * 64;

#[track_caller]
fn assert_counted(layer: Layer, dims: [usize; 3], batch: usize) {
    let network = Network::plan([layer, Layer::Flatten], batch, dims).unwrap();
    let terms = network.output_len() as f64;
    // Ones are counted exactly, where one chain would end at 2^24.
    assert_eq!(gradients(&network, 1.0), [terms as f32, terms as f32], "{layer:?}, {dims:?}, {batch}");
    let [of_weight, of_bias] = *gradients(&network, 0.1) else { panic!("one weight and a bias") };
    let exact = f64::from(0.1_f32) * terms;
    let error = (f64::from(of_weight) - exact).abs();
    assert!(error <= bound::gamma(MOST_ROUNDINGS) * exact, "{layer:?}, {dims:?}, {batch}: {of_weight}");
    assert_eq!(f64::from(of_bias), terms);
}

#[test]
fn batches_of_any_length_are_counted() {
    let linear = Layer::Linear(LinearParams::new(1, 1));
    // Where `usize` has 32 bits, fewer than 2^25 rows fit.
    let most = if usize::BITS > 32 { 1 << 25 } else { 3 << 23 };
    for batch in [1 << 12, 1 << 20, most] {
        let network = Network::plan([Layer::Flatten, linear], batch, [1, 1, 1]).unwrap();
        assert_eq!(gradients(&network, 1.0), [batch as f32; 2], "{batch}");
        let exact = f64::from(0.1_f32) * batch as f64;
        let error = (f64::from(gradients(&network, 0.1)[0]) - exact).abs();
        assert!(error <= bound::gamma(MOST_ROUNDINGS) * exact, "{batch}: {error:e}");
    }
}

#[test]
fn images_of_any_size_are_counted() {
    let conv = Layer::Conv(ConvParams::new(1, 1, [1, 1]));
    // One by one, in chains that end within the image, and where a block of a batch is not whole.
    assert_counted(conv, [1, 1024, 1024], 1);
    assert_counted(conv, [1, 64, 64], 16);
    assert_counted(conv, [1, 50, 100], 16);
    assert_counted(conv, [1, 3, 2100], 16);
    assert_counted(conv, [1, 1, 1], (1 << 16) + 1024);
    assert_counted(conv, [1, 64, 64], 4096 + 1024 + 512);
}

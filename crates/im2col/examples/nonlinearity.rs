//! Why a nonlinearity stands between two layers: without one, two layers compute no more than one does, and one
//! computes neither XOR nor what lies inside of a ring.

use im2col::{Activation, ConvOperands, ConvParams, Layer, LinearParams, Network, NetworkWeights, Weights};
use std::error::Error;

/// Two fully connected layers, from a point of the plane to eight numbers and on to one, with nothing between them.
const LINEAR: [Layer; 3] =
    [Layer::Flatten, Layer::Linear(LinearParams::new(2, 8)), Layer::Linear(LinearParams::new(8, 1))];
/// The same two with a hyperbolic tangent between them.
const TANH: [Layer; 4] = [LINEAR[0], LINEAR[1], Layer::Activation(Activation::Tanh), LINEAR[2]];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    // Two kernels in a row are one kernel: the edges of edges are seen by [1, -2, 1] as well.
    let row = [1., 1., 0., 0., 0., 0., 1., 1.];
    let twice = |row: &[f32], between| {
        convolve(&[1., -1.], &convolve(&[1., -1.], row, between)?, Activation::Identity)
    };
    let linear = twice(&row, Activation::Identity)?;
    let one_kernel = convolve(&[1., -2., 1.], &row, Activation::Identity)?;
    println!("the edges of the edges of {row:?}:\n");
    println!("  [1, -1], then [1, -1]           {linear:?}");
    println!("  [1, -2, 1]                      {one_kernel:?}");
    assert_eq!(linear, [-1., 1., 0., 0., 1., -1.]);
    assert_eq!(one_kernel, linear);

    // With a ReLU between them they are no kernel. A kernel gives the negative of its outputs if the row is negated;
    // this pair gives something else.
    let relu = twice(&row, Activation::Relu)?;
    let of_negated = twice(&row.map(|value| -value), Activation::Relu)?;
    println!("  [1, -1], ReLU, then [1, -1]     {relu:?}");
    println!("  and of the row times -1         {of_negated:?}");
    assert_eq!(relu, [-1., 1., 0., 0., 0., 0.]);
    assert_eq!(of_negated, [0., 0., 0., 0., -1., 1.]);

    // Fully connected layers: f(0, 0) + f(1, 1) = f(0, 1) + f(1, 0), whatever the weights are. XOR asks for 0 on the
    // left and 2 on the right, and the least squared error is to say 1/2 everywhere.
    let corners = [[0., 0.], [0., 1.], [1., 0.], [1., 1.]];
    let xor = [0., 1., 1., 0.];
    let (linear, tanh) = (learn(LINEAR, &corners, &xor)?, learn(TANH, &corners, &xor)?);
    println!("\nXOR, learned from all that there is:\n\n  x  y   XOR   linear   with tanh");
    for (i, [x, y]) in corners.into_iter().enumerate() {
        println!("  {x}  {y}   {:3}   {:6.3}   {:9.3}", xor[i], linear[i], tanh[i]);
        assert!((linear[i] - 0.5).abs() < 1e-3 && (tanh[i] - xor[i]).abs() < 1e-3);
    }

    // No line parts the inside of a ring from the outside. Since the points lie evenly around the middle, the best
    // that layers without a nonlinearity can do is to say everywhere how many are inside: 37 of 81.
    let points: Vec<[f32; 2]> =
        (0..81).map(|i| [i % 9, i / 9].map(|place| place as f32 / 4.0 - 1.0)).collect();
    let inside: Vec<f32> = points.iter().map(|[x, y]| if x.hypot(*y) < 0.8 { 1.0 } else { 0.0 }).collect();
    let (linear, tanh) = (learn(LINEAR, &points, &inside)?, learn(TANH, &points, &inside)?);
    println!("\ninside of a ring, learned from 81 points; # where a network says more than 1/2:\n");
    println!("  inside      linear      with tanh");
    for line in 0..9 {
        let [inside, linear, tanh] =
            [&inside, &linear, &tanh].map(|values| picture(&values[line * 9..][..9]));
        println!("  {inside}   {linear}   {tanh}");
        assert_eq!((linear.as_str(), tanh), (".........", inside));
    }
    println!("\nlinear: {:.3} at each point", linear[0]);
    assert!(linear.iter().all(|output| (output - 37.0 / 81.0).abs() < 1e-3));
    Ok(())
}

/// The cross-correlation of a row with a kernel, then the activation.
fn convolve(kernel: &[f32], row: &[f32], activation: Activation) -> Result<Vec<f32>> {
    let params = ConvParams::new(1, 1, [kernel.len()]).with_bias(false).with_activation(activation);
    let plan = params.plan(1, [row.len()])?;
    let mut output = vec![0.0; plan.output_len()];
    let operands = ConvOperands { input: row, weight: Weights::Plain(kernel), bias: &[] };
    plan.forward(operands, &mut output, &mut vec![0.0; plan.scratch_len()])?;
    Ok(output)
}

/// What the layers say of each point, after 1000 steps of gradient descent down the mean squared error.
fn learn<const L: usize>(layers: [Layer; L], points: &[[f32; 2]], targets: &[f32]) -> Result<Vec<f32>> {
    let network = Network::plan(layers, points.len(), [2, 1, 1])?;
    let input = points.as_flattened();
    // Any weights will do to begin with, as long as they differ: a saw tooth.
    let mut params: Vec<f32> = (0..network.param_len()).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let mut grad_params = vec![0.0; network.param_len()];
    let mut workspace = vec![0.0; network.workspace_len()];
    let mut scratch = vec![0.0; network.train_scratch_len()];
    for _ in 0..1000 {
        network.forward_train(NetworkWeights::Plain(&params), input, &mut workspace, &mut scratch)?;
        let output = network.layer_output(L - 1, &workspace).ok_or("no such layer")?;
        let grad_output: Vec<f32> =
            output.iter().zip(targets).map(|(y, t)| 2.0 * (y - t) / targets.len() as f32).collect();
        network.backward(&params, input, &workspace, &grad_output, &mut grad_params, &mut scratch)?;
        params.iter_mut().zip(&grad_params).for_each(|(value, grad)| *value -= 0.1 * grad);
    }
    let mut output = vec![0.0; network.output_len()];
    let mut scratch = vec![0.0; network.scratch_len()];
    network.forward(NetworkWeights::Plain(&params), input, &mut output, &mut scratch)?;
    Ok(output)
}

fn picture(values: &[f32]) -> String {
    values.iter().map(|&value| if value > 0.5 { '#' } else { '.' }).collect()
}

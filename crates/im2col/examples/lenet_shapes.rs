//! LeNet, layer by layer: space shrinks while channels grow, until a small multilayer perceptron can
//! read what is left.

use im2col::{Isa, Network, NetworkWeights, lenet::LENET, planned};
use std::error::Error;

const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));

/// The lecture's table.
const TABLE: [(&str, &[usize]); 12] = [
    ("Conv2d", &[1, 6, 28, 28]),
    ("Sigmoid", &[1, 6, 28, 28]),
    ("AvgPool2d", &[1, 6, 14, 14]),
    ("Conv2d", &[1, 16, 10, 10]),
    ("Sigmoid", &[1, 16, 10, 10]),
    ("AvgPool2d", &[1, 16, 5, 5]),
    ("Flatten", &[1, 400]),
    ("Linear", &[1, 120]),
    ("Sigmoid", &[1, 120]),
    ("Linear", &[1, 84]),
    ("Sigmoid", &[1, 84]),
    ("Linear", &[1, 10]),
];

fn main() -> Result<(), Box<dyn Error>> {
    // Any weights will do to see the shapes: a saw tooth scaled by the layer's inputs, so that the
    // sums stay small. The image is a grey ramp.
    let mut params = vec![0.0; NETWORK.param_len()];
    for parameter in NETWORK.parameters() {
        let scale = (parameter.fan_in as f32).sqrt().recip();
        for (i, value) in params[parameter.range].iter_mut().enumerate() {
            *value = scale * ((i * 37 % 101) as f32 / 50.0 - 1.0);
        }
    }
    let image: Vec<f32> = (0..NETWORK.input_len()).map(|i| i as f32 / 783.0).collect();

    // The pass that training uses keeps every layer's output, so each can be looked at.
    let weights = NetworkWeights::Plain(&params);
    let mut workspace = vec![0.0; NETWORK.workspace_len()];
    let mut scratch = vec![0.0; NETWORK.train_scratch_len()];
    NETWORK.forward_train(weights, &image, &mut workspace, &mut scratch)?;

    println!("layer       output             values  parameters  multiply-adds   smallest to largest value");
    println!("image       [1, 1, 28, 28]        784                              {}", range(&image));
    for (layer, (name, dims)) in NETWORK.layers().zip(TABLE) {
        assert_eq!((layer.name, layer.output_dims()), (name, dims));
        let values = NETWORK.layer_output(layer.index, &workspace).ok_or("no such layer")?;
        assert_eq!(values.len(), dims.iter().product::<usize>());
        let (shape, range) = (format!("{dims:?}"), range(values));
        println!(
            "{name:11} {shape:17} {:7} {:11} {:14}   {range}",
            values.len(),
            layer.params,
            layer.multiply_adds
        );
    }

    let params_of: Vec<usize> =
        NETWORK.layers().map(|layer| layer.params).filter(|&params| params > 0).collect();
    println!("\n{} parameters: {params_of:?}", NETWORK.param_len());
    assert_eq!(params_of, [156, 2_416, 48_120, 10_164, 850]);
    assert_eq!(NETWORK.param_len(), 61_706);

    // Inference keeps two layers at a time. It gives the same bits; the scalar kernels give the same
    // up to rounding.
    let logits = NETWORK.layer_output(11, &workspace).ok_or("no such layer")?;
    let mut again = [0.0; NETWORK.output_len()];
    NETWORK.forward(weights, &image, &mut again, &mut scratch)?;
    assert_eq!(again, logits);
    NETWORK.with_isa(Isa::SCALAR).forward(weights, &image, &mut again, &mut scratch)?;
    assert!(logits.iter().zip(again).all(|(a, b)| (a - b).abs() < 1e-5));
    Ok(())
}

fn range(values: &[f32]) -> String {
    let (min, max) = values.iter().fold((f32::MAX, f32::MIN), |(min, max), &v| (min.min(v), max.max(v)));
    format!("{min:6.3} to {max:6.3}")
}

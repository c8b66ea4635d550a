//! A 1x1 convolution sees no neighbours: it mixes the channels of each pixel by itself, which is a
//! fully connected layer whose batch is the pixels.

use im2col::{ConvOperands, ConvParams, LinearOperands, LinearParams, Weights};
use std::error::Error;

const IN: usize = 3;
const OUT: usize = 2;
const PIXELS: usize = 3 * 3;

fn main() -> Result<(), Box<dyn Error>> {
    // Red, green and blue of 3x3 pixels, mixed into two channels: brightness, and red against blue.
    let planes: [f32; IN * PIXELS] = std::array::from_fn(|i| (i * 5 % 11) as f32);
    let mix = [2., 5., 1., 1., 0., -1.];

    let conv = ConvParams::new(IN, OUT, [1, 1]).with_bias(false).plan(1, [3, 3])?;
    let mut maps = [0.0; OUT * PIXELS];
    let operands = ConvOperands { input: &planes, weight: Weights::Plain(&mix), bias: &[] };
    conv.forward(operands, &mut maps, &mut vec![0.0; conv.scratch_len()])?;

    // Transposed, [channels, pixels] becomes [pixels, channels]: a batch of nine, three features each.
    let pixels: [f32; PIXELS * IN] = std::array::from_fn(|i| planes[i % IN * PIXELS + i / IN]);
    let linear = LinearParams::new(IN, OUT).with_bias(false).plan(PIXELS)?;
    let mut features = [0.0; PIXELS * OUT];
    let operands = LinearOperands { input: &pixels, weight: Weights::Plain(&mix), bias: &[] };
    linear.forward(operands, &mut features, &mut vec![0.0; linear.scratch_len()])?;

    println!("pixel   red green blue   1x1 convolution   fully connected");
    for pixel in 0..PIXELS {
        let [red, green, blue] = [0, 1, 2].map(|channel| planes[channel * PIXELS + pixel]);
        let [light, warmth] = [0, 1].map(|channel| maps[channel * PIXELS + pixel]);
        let row = &features[pixel * OUT..][..OUT];
        println!("{pixel:5} {red:5} {green:5} {blue:4} {light:10} {warmth:6} {:11} {:5}", row[0], row[1]);
        assert_eq!(row, [light, warmth]);
        assert_eq!([light, warmth], [2.0 * red + 5.0 * green + blue, red - blue]);
    }
    assert_eq!(conv.multiply_adds(), linear.multiply_adds());

    // What it is for: fewer channels before an expensive kernel. A convolution costs
    // c_in x c_out x kernel x output positions multiply-adds.
    let cost = |from, to, kernel: usize| {
        let layer = ConvParams::new(from, to, [kernel; 2]).with_padding([kernel / 2; 2]);
        layer.plan(1, [56, 56]).map(|plan| plan.multiply_adds())
    };
    let direct = cost(256, 256, 3)?;
    let bottleneck = cost(256, 64, 1)? + cost(64, 64, 3)? + cost(64, 256, 1)?;
    println!("\n256 channels of 56x56 under 3x3 kernels, multiply-adds:");
    println!("  at once                      {direct:>11}");
    println!(
        "  1x1 to 64, 3x3, 1x1 to 256   {bottleneck:>11}: {:.1} times fewer",
        direct as f64 / bottleneck as f64
    );
    assert_eq!(direct, 256 * 256 * 9 * 56 * 56);
    assert_eq!((direct, bottleneck), (1_849_688_064, 218_365_952));
    Ok(())
}

//! A network and data of one's own: circles, squares and crosses, told apart after a few seconds.

use std::error::Error;

use im2col::{Activation, ConvParams, Layer, LinearParams, PoolParams};
use im2col_train::dataset::Dataset;
use im2col_train::optimiser::Optimiser;
use im2col_train::random::Random;
use im2col_train::train::{Options, Trainer};

const SIDE: usize = 16;

const NETWORK: [Layer; 7] = [
    Layer::Conv(ConvParams::new(1, 8, [5, 5]).with_padding([2, 2])),
    Layer::Activation(Activation::Relu),
    Layer::Pool(PoolParams::max([4, 4])),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(8 * 4 * 4, 32)),
    Layer::Activation(Activation::Relu),
    Layer::Linear(LinearParams::new(32, 3)),
];

fn main() -> Result<(), Box<dyn Error>> {
    let (train, test) = (shapes(3000, 1)?, shapes(1000, 2)?);
    let options = Options { epochs: 6, optimiser: Optimiser::adam(), rate: 0.003, ..Options::default() };
    let mut trainer = Trainer::new(NETWORK, &train, options)?;
    let mut accuracy = 0.0;
    for epoch in 1..=options.epochs {
        let totals = trainer.epoch(|_images| ())?;
        accuracy = trainer.test(&test)?.accuracy();
        println!("epoch {epoch}  loss {:.4}  test {:.2} %", totals.loss(), 100.0 * accuracy);
    }
    assert!(accuracy >= 0.99, "{accuracy}");
    Ok(())
}

/// Outlines of random size in random places, with some noise: 0 circle, 1 square, 2 cross.
fn shapes(count: usize, seed: u64) -> Result<Dataset, Box<dyn Error>> {
    let mut random = Random::new(seed);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let label = random.below(3) as u32;
        let radius = 3.0 + 2.5 * random.unit();
        let centre =
            [random.unit(), random.unit()].map(|place| radius + place * (SIDE as f32 - 1.0 - 2.0 * radius));
        for row in 0..SIDE {
            for col in 0..SIDE {
                let [y, x] = [row as f32 - centre[0], col as f32 - centre[1]].map(f32::abs);
                let distance = match label {
                    0 => (x.hypot(y) - radius).abs(),
                    1 => (x.max(y) - radius).abs(),
                    _ if x.max(y) > radius => f32::INFINITY,
                    _ => (x - y).abs(),
                };
                let ink = if distance < 0.8 { 200.0 } else { 0.0 };
                pixels.push((ink + 50.0 * random.unit()) as u8);
            }
        }
        labels.push(label);
    }
    Ok(Dataset::new([1, SIDE, SIDE], pixels, labels)?)
}

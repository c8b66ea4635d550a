//! Times a network of three convolutions, 3x32x32 images to ten classes: a training step, a test, and their layers.
//!
//! ```text
//! small_cnn [THREADS] [BATCH] [any]
//! ```
//!
//! One thread and 128 images by default; with `any`, sums in any order. The images are noise: the loss means nothing, the times are
//! those of any images.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use im2col::{Activation, ConvParams, Layer, LinearParams, PoolParams};
use im2col_benches::images::Images;
use im2col_benches::operand;
use im2col_train::optimiser::Optimiser;
use im2col_train::profile::measure;
use im2col_train::schedule::Schedule;
use im2col_train::train::{Options, Trainer};

/// 620,362 parameters.
const NETWORK: [Layer; 13] = [
    Layer::Conv(ConvParams::new(3, 32, [3, 3]).with_padding([1, 1])),
    Layer::Activation(Activation::Relu),
    Layer::Pool(PoolParams::max([2, 2])),
    Layer::Conv(ConvParams::new(32, 64, [3, 3]).with_padding([1, 1])),
    Layer::Activation(Activation::Relu),
    Layer::Pool(PoolParams::max([2, 2])),
    Layer::Conv(ConvParams::new(64, 128, [3, 3]).with_padding([1, 1])),
    Layer::Activation(Activation::Relu),
    Layer::Pool(PoolParams::max([2, 2])),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(2048, 256)),
    Layer::Activation(Activation::Relu),
    Layer::Linear(LinearParams::new(256, 10)),
];
const IMAGE_DIMS: [usize; 3] = [3, 32, 32];
const IMAGE_LEN: usize = 3 * 32 * 32;
const DURATION: Duration = Duration::from_secs(3);
const FEWEST_CALLS: usize = 10;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |default| arguments.next().map_or(Ok(default), |text| text.parse()).context("not a number");
    let (threads, batch) = (number(1)?, number(128)?);
    let any_rounding = match arguments.next().as_deref() {
        None => false,
        Some("any") => true,
        Some(other) => bail!("{other}: not `any`"),
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build_global()?;

    let images = Images {
        dims: IMAGE_DIMS,
        values: operand(batch * IMAGE_LEN, 1),
        labels: (0..batch as u32).map(|image| image % 10).collect(),
    };
    let options = Options {
        batch,
        optimiser: Optimiser::sgd(0.0),
        rate: 1e-4,
        schedule: Schedule::Constant,
        any_rounding,
        ..Options::default()
    };
    let mut trainer = Trainer::new(NETWORK, &images, options)?;
    let indices: Vec<usize> = (0..batch).collect();
    let step = median_seconds(|| Ok(trainer.step(&indices).map(drop)?))?;
    let test = median_seconds(|| Ok(trainer.test(&images).map(drop)?))?;
    for (name, seconds) in [("step", step), ("test", test)] {
        let rate = batch as f64 / seconds;
        println!("{name}: {:.2} ms, {rate:.0} images/s on {threads} threads, {batch} images", 1e3 * seconds);
    }
    if threads == 1 {
        println!("{}", measure(NETWORK, &images, options, DURATION)?.table());
    }
    Ok(())
}

/// The median of at least [`FEWEST_CALLS`] calls and [`DURATION`].
fn median_seconds(mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    call()?;
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < FEWEST_CALLS || begin.elapsed() < DURATION {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

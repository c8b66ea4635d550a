//! The same formula on one axis (series, speech, text) and on three (video, medical volumes).

use im2col::{ConvOperands, ConvParams, ConvPlan, RunError, Weights, argmax};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    // One axis. A mean of four neighbours removes what repeats every four steps and keeps the trend.
    println!("a series with a trend and a season, and its moving average:\n");
    let season = [0., 6., 2., -8.];
    let series: Vec<f32> = (0..12).map(|t| t as f32 + season[t % 4]).collect();
    let average = run(&conv([4]).plan(1, [12])?, &series, &[0.25; 4])?;
    println!("  {series:?}\n  {average:?}");
    assert_eq!(average, [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]);

    // A kernel that is the pattern itself answers most strongly where the pattern is.
    let pattern = [1., 1., 1., -1., -1., 1., -1.];
    let mut signal = [0., 1., -1., 0., 0., 1., 0., -1., 0., 0., 0., 1., 0., 0., -1., 0., 0., 1., 0., 0.];
    for (value, pattern) in signal[9..].iter_mut().zip(pattern) {
        *value += pattern;
    }
    let answer = run(&conv([7]).plan(1, [20])?, &signal, &pattern)?;
    let found = argmax(&answer).ok_or("no answer")?;
    println!("\na pattern {pattern:?}\nhidden in  {signal:?}\nanswers    {answer:?}");
    println!("found at {found}");
    assert_eq!(found, 9);

    // Three axes: time, height, width. The next frame minus this one is 0 where nothing moves. A
    // star stands in the upper left corner, a comet crosses the third row.
    let (frames, height, width) = (4, 4, 6);
    let video: Vec<f32> = (0..frames * height * width)
        .map(|i| (i / width / height, i / width % height, i % width))
        .map(|(t, y, x)| if (y, x) == (0, 0) || (y, x) == (2, t + 1) { 1.0 } else { 0.0 })
        .collect();
    let motion = run(&conv([2, 1, 1]).plan(1, [frames, height, width])?, &video, &[-1., 1.])?;
    println!("\nfour frames of a star (above) and a comet (below), and what moved in between:\n");
    for y in 0..height {
        let row = |values: &[f32], t: usize| -> String {
            let row = &values[(t * height + y) * width..][..width];
            row.iter()
                .map(|&v| {
                    if v > 0.0 {
                        '*'
                    } else if v < 0.0 {
                        '-'
                    } else {
                        '.'
                    }
                })
                .collect()
        };
        let [video, motion]: [Vec<String>; 2] =
            [(0..4).map(|t| row(&video, t)).collect(), (0..3).map(|t| row(&motion, t)).collect()];
        println!("  {}     {}", video.join(" "), motion.join(" "));
    }
    for t in 0..frames - 1 {
        let frame = &motion[t * height * width..][..height * width];
        let comet = 2 * width + t + 1;
        assert_eq!((frame[0], frame[comet], frame[comet + 1]), (0., -1., 1.));
        assert_eq!(frame.iter().filter(|&&value| value != 0.0).count(), 2);
    }

    // A volume: the sum of each 3x3x3 cube is largest where the blob is, even among dust.
    let mut volume: Vec<f32> = (0..6 * 6 * 6).map(|i| if i % 5 == 0 { 1.0 } else { 0.0 }).collect();
    for i in 0..27 {
        volume[((1 + i / 9) * 6 + 2 + i / 3 % 3) * 6 + 3 + i % 3] = 1.0;
    }
    let sums = run(&conv([3, 3, 3]).plan(1, [6, 6, 6])?, &volume, &[1.0; 27])?;
    let found = argmax(&sums).ok_or("no sums")?;
    let [z, y, x] = [found / 16, found / 4 % 4, found % 4];
    println!("\na blob in a 6x6x6 volume: found at {:?}, all {} of its voxels", [z, y, x], sums[found]);
    assert_eq!(([z, y, x], sums[found]), ([1, 2, 3], 27.0));
    Ok(())
}

fn conv<const D: usize>(kernel: [usize; D]) -> ConvParams<D> {
    ConvParams::new(1, 1, kernel).with_bias(false)
}

fn run<const D: usize>(plan: &ConvPlan<D>, input: &[f32], kernel: &[f32]) -> Result<Vec<f32>, RunError> {
    let mut output = vec![0.0; plan.output_len()];
    let operands = ConvOperands { input, weight: Weights::Plain(kernel), bias: &[] };
    plan.forward(operands, &mut output, &mut vec![0.0; plan.scratch_len()])?;
    Ok(output)
}

//! Many channels: going in, each has a kernel of its own and the results are summed; coming out,
//! each is a whole set of such kernels, a pattern of its own.

use im2col::naive::corr2d;
use im2col::{ConvOperands, ConvParams, Weights};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    // Two channels, [[0, 1, 2], [3, 4, 5], [6, 7, 8]] and the same plus 1.
    let image: [f32; 18] = std::array::from_fn(|i| (i % 9 + i / 9) as f32);
    // Their kernels, [[0, 1], [2, 3]] and [[1, 2], [3, 4]].
    let kernels: [f32; 8] = std::array::from_fn(|i| (i % 4 + i / 4) as f32);

    // By hand: each channel by itself, then the sum.
    let (mut first, mut second) = ([0.0; 4], [0.0; 4]);
    corr2d(&image[..9], [3, 3], &kernels[..4], [2, 2], &mut first)?;
    corr2d(&image[9..], [3, 3], &kernels[4..], [2, 2], &mut second)?;
    let sum: [f32; 4] = std::array::from_fn(|i| first[i] + second[i]);
    println!("two channels in, one out:\n");
    for row in 0..2 {
        let show = |matrix: [f32; 4]| format!("[{:3} {:3}]", matrix[2 * row], matrix[2 * row + 1]);
        let [plus, equals] = [[' ', ' '], ['+', '=']][row];
        println!("  {} {plus} {} {equals} {}", show(first), show(second), show(sum));
    }
    assert_eq!(first, [19., 25., 37., 43.]);
    assert_eq!(second, [37., 47., 67., 77.]);
    assert_eq!(sum, [56., 72., 104., 120.]);

    // Three outputs: the kernels w, w + 1 and w + 2 stacked. The weight has four axes now:
    // [out_channels, in_channels, height, width].
    let stacked: [f32; 24] = std::array::from_fn(|i| kernels[i % 8] + (i / 8) as f32);
    let plan = ConvParams::new(2, 3, [2, 2]).with_bias(false).plan(1, [3, 3])?;
    assert_eq!(plan.weight_len(), stacked.len());
    let mut maps = [0.0; 12];
    let operands = ConvOperands { input: &image, weight: Weights::Plain(&stacked), bias: &[] };
    plan.forward(operands, &mut maps, &mut vec![0.0; plan.scratch_len()])?;

    println!("\ntwo channels in, three out:\n");
    for row in 0..2 {
        let row: String =
            maps.chunks(4).map(|map| format!("  [{:3} {:3}]", map[2 * row], map[2 * row + 1])).collect();
        println!("{row}");
    }
    assert_eq!(maps, [56., 72., 104., 120., 76., 100., 148., 172., 96., 128., 192., 224.]);

    println!("\n3 x 2 x 2x2 = {} weights, {} multiply-adds", plan.weight_len(), plan.multiply_adds());
    assert_eq!((plan.weight_len(), plan.multiply_adds()), (24, 96));
    Ok(())
}

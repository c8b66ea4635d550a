//! Pooling takes the maximum or the mean of each window. It learns nothing; it makes the answer
//! less sensitive to where exactly something is.

use im2col::PoolParams;
use im2col::naive::corr2d;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let nine: Vec<f32> = (0..9).map(|i| i as f32).collect();
    let sixteen: Vec<f32> = (0..16).map(|i| i as f32).collect();

    // Unless told otherwise, a window moves by its own size.
    let max = PoolParams::max([2, 2]).with_stride([1, 1]);
    check("0..8 as 3x3, maximum of 2x2, stride 1", max, &nine, 3, &[4., 5., 7., 8.])?;
    let mean = PoolParams::average([2, 2]).with_stride([1, 1]);
    check("0..8 as 3x3, mean of 2x2, stride 1", mean, &nine, 3, &[2., 3., 5., 6.])?;

    let max = PoolParams::max([3, 3]);
    check("0..15 as 4x4, maximum of 3x3", max, &sixteen, 4, &[10.])?;
    let max = max.with_padding([1, 1]).with_stride([2, 2]);
    check("padding 1, stride 2", max, &sixteen, 4, &[5., 7., 13., 15.])?;
    let wide = PoolParams::max([2, 3]).with_padding([0, 1]);
    check("2x3, padding (0, 1), stride (2, 3)", wide, &sixteen, 4, &[5., 7., 13., 15.])?;

    // Channels are not summed: as many come out as went in.
    let two: Vec<f32> = sixteen.iter().copied().chain(sixteen.iter().map(|x| x + 1.0)).collect();
    let both = [5., 7., 13., 15., 6., 8., 14., 16.];
    check("3x3, padding 1, stride 2, with a second channel, x + 1", max, &two, 4, &both)?;

    // What it is for. An edge stands after column k of a 6x9 image, and moves by one pixel at a time.
    // Each move takes all six ones of the edge detector's map elsewhere. The 2x2 maxima do not even
    // notice, unless the edge leaves their window.
    println!("\nan edge moves right | the edge detector's map     | its 2x2 maxima     (one row of each)\n");
    let mut before: Option<(Vec<f32>, Vec<f32>)> = None;
    let mut noticed = [0, 0];
    for k in 1..=8 {
        let image: Vec<f32> = (0..6 * 9).map(|i| if i % 9 < k { 1.0 } else { 0.0 }).collect();
        let mut map = vec![0.0; 6 * 8];
        corr2d(&image, [6, 9], &[1., -1.], [1, 2], &mut map)?;
        let pooled = pool(PoolParams::max([2, 2]), &map, 1, [6, 8])?;
        let changes = match &before {
            Some((last_map, last_pooled)) => [changed(last_map, &map), changed(last_pooled, &pooled)],
            None => [0, 0],
        };
        let [a, b] = changes;
        println!(
            "  {} | {}  {a:2} changed | {}  {b} changed",
            row(&image[..9]),
            row(&map[..8]),
            row(&pooled[..4])
        );
        if before.is_some() {
            // Six ones leave and six arrive; three and three among the maxima.
            assert!(a == 12 && (b == 0 || b == 6));
            noticed = [noticed[0] + usize::from(a > 0), noticed[1] + usize::from(b > 0)];
        }
        before = Some((map, pooled));
    }
    println!("\nof 7 moves by one pixel the map noticed {}, the pooled map {}", noticed[0], noticed[1]);
    assert_eq!(noticed, [7, 3]);
    Ok(())
}

fn pool(
    params: PoolParams<2>,
    x: &[f32],
    channels: usize,
    dims: [usize; 2],
) -> Result<Vec<f32>, Box<dyn Error>> {
    let plan = params.plan(1, channels, dims)?;
    let mut y = vec![f32::NAN; plan.output_len()];
    plan.forward(x, &mut y)?;
    Ok(y)
}

/// Pools square channels of this width and compares.
fn check(
    what: &str,
    params: PoolParams<2>,
    x: &[f32],
    width: usize,
    y: &[f32],
) -> Result<(), Box<dyn Error>> {
    let pooled = pool(params, x, x.len() / (width * width), [width, width])?;
    println!("{what:56} {}", row(&pooled));
    assert_eq!(pooled, y);
    Ok(())
}

fn changed(before: &[f32], after: &[f32]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before != after).count()
}

fn row(values: &[f32]) -> String {
    values.iter().map(f32::to_string).collect::<Vec<_>>().join(" ")
}

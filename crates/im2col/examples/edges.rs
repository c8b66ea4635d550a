//! A kernel is a question to the image. `[1, -1]` asks at each place: do you differ from your
//! neighbour on the right?

use im2col::naive::corr2d;
use std::error::Error;

const KERNEL: [f32; 2] = [1., -1.];

fn main() -> Result<(), Box<dyn Error>> {
    // A black bar (0) on white (1).
    let row = [1., 1., 0., 0., 0., 0., 1., 1.];
    let image = [row; 6].concat();
    show("6x8 image, a black bar on white", &image, 8);

    let mut edges = [f32::NAN; 6 * 7];
    corr2d(&image, [6, 8], &KERNEL, [1, 2], &mut edges)?;
    show("under [1, -1]: 1 where white turns black, -1 where black turns white", &edges, 7);
    for row in edges.chunks(7) {
        assert_eq!(row, [0., 1., 0., 0., 0., -1., 0.]);
    }

    // On its side the bar has horizontal edges only, along which nothing changes from left to right.
    let transposed: Vec<f32> = (0..8 * 6).map(|i| image[i % 6 * 8 + i / 6]).collect();
    show("the same image on its side", &transposed, 6);
    let mut none = [f32::NAN; 8 * 5];
    corr2d(&transposed, [8, 6], &KERNEL, [1, 2], &mut none)?;
    show("under [1, -1]: nothing", &none, 5);
    assert_eq!(none, [0.0; 40]);

    // The kernel on its side finds them.
    let mut found = [f32::NAN; 7 * 6];
    corr2d(&transposed, [8, 6], &KERNEL, [2, 1], &mut found)?;
    show("under the same kernel as a column", &found, 6);
    for (i, row) in found.chunks(6).enumerate() {
        let expected = [0., 1., 0., 0., 0., -1., 0.][i];
        assert_eq!(row, [expected; 6]);
    }
    Ok(())
}

fn show(title: &str, matrix: &[f32], columns: usize) {
    println!("{title}");
    for row in matrix.chunks(columns) {
        let row: String = row.iter().map(|value| format!("{value:4}")).collect();
        println!("  {row}");
    }
    println!();
}

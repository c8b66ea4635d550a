//! Each kernel is an image effect: blur, sharpen, edges. One convolution with six output channels
//! makes six pictures of one, as LeNet's first layer does with kernels that it learned.
//!
//! `cargo run -p im2col --example image_effects [PICTURE.png [FOLDER]]`

use im2col::{ConvOperands, ConvParams, Weights};
use image::{DynamicImage, GrayImage, RgbImage};
use std::error::Error;
use std::path::{Path, PathBuf};

/// The sum of a kernel is what it does to an even surface: 1 keeps it, 0 turns it black. Those of sum
/// 0 are scaled so that the sharpest edge becomes white.
const EFFECTS: [(&str, [f32; 9]); 6] = [
    ("box_blur", [1. / 9.; 9]),
    ("gaussian_blur", [0.0625, 0.125, 0.0625, 0.125, 0.25, 0.125, 0.0625, 0.125, 0.0625]),
    ("sharpen", [0., -1., 0., -1., 5., -1., 0., -1., 0.]),
    ("edges", [-0.125, -0.125, -0.125, -0.125, 1., -0.125, -0.125, -0.125, -0.125]),
    ("vertical_edges", [-0.25, 0., 0.25, -0.5, 0., 0.5, -0.25, 0., 0.25]),
    ("horizontal_edges", [-0.25, -0.5, -0.25, 0., 0., 0., 0.25, 0.5, 0.25]),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let given = args.next();
    let folder = match args.next() {
        Some(folder) => folder,
        // Beside the program, which is in the target folder.
        None => std::env::current_exe()?.with_file_name("image_effects_pictures"),
    };
    std::fs::create_dir_all(&folder)?;

    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/assets/fashion.png");
    let path = given.as_ref().unwrap_or(&default);
    let picture = image::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (pixels, colours) = (width * height, if picture.color().has_color() { 3 } else { 1 });
    let bytes = if colours == 3 { picture.into_rgb8().into_raw() } else { picture.into_luma8().into_raw() };

    // A file has the colours of a pixel side by side; a convolution wants each colour as a plane. As
    // the effects do not mix colours, they are not three channels but a batch of three grey pictures.
    let planes: Vec<f32> =
        (0..bytes.len()).map(|i| f32::from(bytes[i % pixels * colours + i / pixels])).collect();
    let maps = apply(&planes, colours, [height, width])?;

    println!("{width} x {height} pixels, {colours} colour(s), mean {:.2}\n", mean(&planes));
    println!("  effect             kernel's sum   mean");
    for (effect, (name, kernel)) in EFFECTS.iter().enumerate() {
        let map: Vec<f32> = (0..bytes.len())
            .map(|i| maps[(i % colours * EFFECTS.len() + effect) * pixels + i / colours])
            // Edges from bright to dark are negative; they count as well.
            .map(|value| if name.ends_with("edges") { value.abs() } else { value })
            .collect();
        println!("  {name:16} {:14.2} {:6.2}", kernel.iter().sum::<f32>(), mean(&map));
        // The cast cuts off what is darker than black or brighter than white.
        let bytes = map.iter().map(|value| value.round() as u8).collect();
        let picture: Option<DynamicImage> = if colours == 3 {
            RgbImage::from_raw(width as u32, height as u32, bytes).map(Into::into)
        } else {
            GrayImage::from_raw(width as u32, height as u32, bytes).map(Into::into)
        };
        picture.ok_or("a picture of the wrong size")?.save(folder.join(name).with_extension("png"))?;
    }
    println!("\nthe six pictures are in {}", folder.display());
    if given.is_none() {
        check_default(&planes, &maps, width)?;
    }
    Ok(())
}

/// All effects on each plane: `[planes, effects, height, width]`.
fn apply(planes: &[f32], count: usize, dims: [usize; 2]) -> Result<Vec<f32>, Box<dyn Error>> {
    let conv = ConvParams::new(1, EFFECTS.len(), [3, 3]).with_padding([1, 1]).with_bias(false);
    let plan = conv.plan(count, dims)?;
    let kernels = EFFECTS.map(|(_, kernel)| kernel);
    let weight = Weights::Plain(kernels.as_flattened());
    let mut maps = vec![0.0; plan.output_len()];
    let mut scratch = vec![0.0; plan.scratch_len()];
    plan.forward(ConvOperands { input: planes, weight, bias: &[] }, &mut maps, &mut scratch)?;
    Ok(maps)
}

/// What must be true of `fashion.png`, and of an even wall.
fn check_default(picture: &[f32], maps: &[f32], width: usize) -> Result<(), Box<dyn Error>> {
    let maps: Vec<&[f32]> = maps.chunks(picture.len()).collect();
    // A blur spreads light. It loses only what it spreads over the rim.
    assert!((mean(picture) - 69.7834).abs() < 1e-4);
    assert!(maps[..2].iter().all(|blurred| (mean(blurred) - mean(picture)).abs() < 0.2));

    // A pixel on the shaft of the first boot, its neighbours, and what becomes of it.
    let middle = 20 * width + 20;
    let around: Vec<f32> = (0..9).map(|i| picture[middle + i / 3 * width + i % 3 - width - 1]).collect();
    assert_eq!(around, [190., 196., 198., 177., 245., 252., 0., 178., 208.]);
    let becomes: Vec<f32> = maps.iter().map(|map| map[middle]).collect();
    assert!((becomes[0] - 1644.0 / 9.0).abs() < 1e-4);
    assert_eq!(becomes[1..], [3182.0 / 16.0, 422.0, 561.0 / 8.0, 366.0 / 4.0, -216.0 / 4.0]);

    // In the middle of a wall of 90 there is nothing to blur, to sharpen or to find.
    let wall = apply(&[90.0; 9], 1, [3, 3])?;
    let becomes: Vec<f32> = wall.chunks(9).map(|map| map[4].round()).collect();
    assert_eq!(becomes, [90., 90., 90., 0., 0., 0.]);
    Ok(())
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64
}

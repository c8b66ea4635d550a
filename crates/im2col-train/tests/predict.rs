//! Pictures of digits of any size, place and format.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Output};

use im2col::lenet::LENET_RELU;
use im2col::{Network, argmax};
use im2col_testkit::golden::shared_dir;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::picture::{Preparation, prepare, read};
use im2col_train::predict::probabilities;
use im2col_train::random::Random;
use im2col_train::train::{Options, Trainer};
use im2col_train::weights::save;
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageFormat, Luma};

/// Two passes over the built-in digits.
fn trained() -> (Network<12>, Vec<f32>) {
    let digits = Dataset::built_in(Part::Train).unwrap();
    let options = Options { epochs: 2, ..Options::default() };
    let mut trainer = Trainer::new(LENET_RELU, &digits, options).unwrap();
    for _ in 0..options.epochs {
        trainer.epoch(|_| ()).unwrap();
    }
    (Network::plan(LENET_RELU, 1, [1, 28, 28]).unwrap(), trainer.params().to_vec())
}

fn digit(digits: &Dataset, index: usize) -> GrayImage {
    GrayImage::from_vec(28, 28, digits.pixels()[index * 784..][..784].to_vec()).unwrap()
}

fn encode(picture: &GrayImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    DynamicImage::from(picture.clone()).write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// The digit somewhere on a sheet, larger or smaller, dark on light or light on dark, in some format.
fn photo(digit: &GrayImage, random: &mut Random) -> Vec<u8> {
    let side = 20 + random.below(180) as u32;
    let digit = imageops::resize(digit, side, side, FilterType::CatmullRom);
    let (width, height) = (side + random.below(200) as u32, side + random.below(200) as u32);
    let mut sheet = GrayImage::new(width, height);
    let (left, top) = (random.below((width - side) as usize + 1), random.below((height - side) as usize + 1));
    imageops::replace(&mut sheet, &digit, left as i64, top as i64);
    // Paper is not white, ink is not black.
    let (paper, ink) = ([(230, 40), (20, 210), (255, 0)])[random.below(3)];
    for Luma([luma]) in sheet.pixels_mut() {
        *luma = (paper + (ink - paper) * i32::from(*luma) / 255) as u8;
    }
    let format = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Pnm][random.below(3)];
    encode(&sheet, format)
}

#[test]
fn photos_of_digits_are_read_as_well_as_the_digits() {
    let (network, params) = trained();
    let digits = Dataset::built_in(Part::Test).unwrap();
    let class = |image: &GrayImage| argmax(&probabilities(&network, &params, image).unwrap()).unwrap();
    let mut random = Random::new(1);
    let (mut plain_right, mut photo_right, mut squeezed_right) = (0, 0, 0);
    for index in 0..1000 {
        let (digit, label) = (digit(&digits, index), digits.labels()[index] as usize);
        let photo = read(&photo(&digit, &mut random)[..]).unwrap();
        plain_right += u32::from(class(&digit) == label);
        photo_right += u32::from(class(&prepare(&photo, Preparation::Digit).unwrap()) == label);
        squeezed_right += u32::from(class(&prepare(&photo, Preparation::Raw).unwrap()) == label);
    }
    println!("of 1,000 right: {plain_right} plain, {photo_right} photos, {squeezed_right} not prepared");
    assert!(plain_right >= 950);
    assert!(photo_right + 10 >= plain_right);
    // Otherwise this test would show nothing.
    assert!(squeezed_right < 500);
}

/// Pictures of the right size are not touched, whichever set they are from.
#[test]
fn images_of_both_sets_stay_as_they_are() {
    let shared = shared_dir().map(|shared| shared.join("data/fashion-mnist")).filter(|dir| dir.is_dir());
    if shared.is_none() {
        eprintln!("SKIPPED Fashion-MNIST: no shared/data, and IM2COL_SHARED is not set");
    }
    let garments = shared.map(|dir| (Dataset::load(&dir, Part::Test).unwrap(), Preparation::Garment));
    let digits = (Dataset::built_in(Part::Test).unwrap(), Preparation::Digit);
    for (images, preparation) in [Some(digits), garments].into_iter().flatten() {
        let mut changed = 0;
        for index in 0..images.len() {
            let image = digit(&images, index);
            changed += u32::from(prepare(&image, preparation).ok() != Some(image));
        }
        println!("{changed} of {} changed ({preparation:?})", images.len());
        assert_eq!(changed, 0);
    }
}

/// Whatever becomes of a file: an error or a picture, and no panic.
#[test]
fn damaged_files_are_errors_or_pictures() {
    let digit = digit(&Dataset::built_in(Part::Test).unwrap(), 0);
    let plain = |head: &str, values: String| format!("{head}{values}").into_bytes();
    let grey: Vec<String> = digit.iter().map(u8::to_string).collect();
    let bits: Vec<&str> = digit.iter().map(|&luma| if luma > 127 { "1" } else { "0" }).collect();
    let mut files = vec![
        encode(&digit, ImageFormat::Png),
        encode(&digit, ImageFormat::Jpeg),
        encode(&digit, ImageFormat::Pnm),
        plain("P2\n28 28\n255\n", grey.join(" ")),
        plain("P1\n28 28\n", bits.join("\n")),
    ];
    let mut colours = Cursor::new(Vec::new());
    DynamicImage::from(digit.clone()).to_rgb8().write_to(&mut colours, ImageFormat::Pnm).unwrap();
    files.push(colours.into_inner());
    let mut tried = 0;
    let mut refused = 0;
    for file in files {
        assert!(prepare(&read(&file[..]).unwrap(), Preparation::Digit).is_ok());
        for len in 0..file.len() {
            tried += 1;
            refused += u32::from(read(&file[..len]).is_err());
        }
        let mut damaged = file.clone();
        // All bits of the head, some of the rest.
        for bit in (0..8 * file.len().min(64)).chain((512..8 * file.len()).step_by(11)) {
            damaged[bit / 8] ^= 1 << (bit % 8);
            tried += 1;
            match read(&damaged[..]) {
                Ok(picture) => drop(prepare(&picture, Preparation::Digit)),
                Err(_) => refused += 1,
            }
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
    }
    println!("{refused} of {tried} damaged files refused");
    assert!(tried > 8_000 && refused > tried / 3);
}

#[test]
fn hostile_heads_take_no_memory() {
    for head in [
        "P5 8193 1 255 ",
        "P5 8192 8192 65535 ",
        "P6 4294967295 4294967295 255 ",
        "P5 0 0 255 ",
        "P4 1 99999 ",
    ] {
        let prepared = read(head.as_bytes()).and_then(|picture| prepare(&picture, Preparation::Digit));
        assert!(prepared.is_err(), "{head}");
    }
}

fn lenet(dir: &Path, args: &[&str], stdin: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lenet"));
    if let Some(file) = stdin {
        command.stdin(File::open(dir.join(file)).unwrap());
    }
    command.args(args).current_dir(dir).output().unwrap()
}

#[test]
fn the_command_takes_several_pictures_and_stdin() {
    let dir = tempfile::tempdir().unwrap();
    let (network, params) = trained();
    save(&dir.path().join("w"), "lenet-relu", &network, &params).unwrap();
    let digits = Dataset::built_in(Part::Test).unwrap();
    // The first test digits are a seven and a two.
    assert_eq!(digits.labels()[..2], [7, 2]);
    for (name, index, format) in [("7.png", 0, ImageFormat::Png), ("2.jpg", 1, ImageFormat::Jpeg)] {
        fs::write(dir.path().join(name), encode(&digit(&digits, index), format)).unwrap();
    }
    let run = |args: &[&str], stdin| {
        let output = lenet(dir.path(), &[&["predict", "--weights", "w"][..], args].concat(), stdin);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run(&["7.png", "2.jpg"], None);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[11]), (22, "7.png: 7", "2.jpg: 2"), "{text}");
    assert!(lines.iter().all(|line| line.len() < 80), "{text}");
    assert!(
        lines[8].starts_with("  7 ")
            && lines[8].ends_with(" % ##################################################"),
        "{text}"
    );

    let json: serde_json::Value = serde_json::from_str(&run(&["-", "--json"], Some("2.jpg"))).unwrap();
    assert_eq!((&json["file"], &json["class"], &json["name"]), (&"-".into(), &2.into(), &"2".into()));
    let sum: f64 = json["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6);
    let text = run(&["7.png", "--set", "fashion-mnist", "--raw-pixels"], None);
    assert!(text.starts_with("7.png: Sneaker\n  T-shirt/top "), "{text}");

    fs::write(dir.path().join("text.png"), "no picture").unwrap();
    GrayImage::new(50, 50).save(dir.path().join("black.png")).unwrap();
    for (file, cause) in [
        ("text.png", "format could not be determined"),
        ("black.png", "one colour"),
        ("gone.png", "No such file"),
    ] {
        let output = lenet(dir.path(), &["predict", "--weights", "w", file], None);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = stderr.lines().find(|line| line.starts_with(&format!("error: {file}: ")));
        assert!(error.is_some_and(|error| error.contains(cause)), "{stderr}");
    }
}

//! Pictures of digits of any size, place and format.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use im2col::lenet::LENET_RELU;
use im2col::{Network, argmax};
use im2col_testkit::golden::shared_dir;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::picture::{self, PictureError, Preparation, prepare};
use im2col_train::predict::probabilities;
use im2col_train::random::Random;
use im2col_train::train::{Options, Trainer};
use im2col_train::weights::save;
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageFormat, Luma};

/// Four passes over the built-in digits, once for all tests.
fn trained() -> (Network<12>, Vec<f32>) {
    static PARAMS: OnceLock<Vec<f32>> = OnceLock::new();
    let params = PARAMS.get_or_init(|| {
        let digits = Dataset::built_in(Part::Train).unwrap();
        let options = Options { epochs: 4, ..Options::default() };
        let mut trainer = Trainer::new(LENET_RELU, &digits, options).unwrap();
        for _ in 0..options.epochs {
            trainer.epoch(|_| ()).unwrap();
        }
        trainer.params().to_vec()
    });
    (Network::plan(LENET_RELU, 1, [1, 28, 28]).unwrap(), params.clone())
}

fn read(file: &[u8]) -> Result<GrayImage, PictureError> {
    picture::read(Path::new("some/picture"), file)
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

/// A small file of each format that is read, and of each kind of it.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let digit = digit(&Dataset::built_in(Part::Test).unwrap(), 0);
    let plain = |head: &str, values: String| format!("{head}{values}").into_bytes();
    let grey: Vec<String> = digit.iter().map(u8::to_string).collect();
    let colours: Vec<String> = digit.iter().map(|luma| format!("{luma} {luma} {luma}")).collect();
    let bits: Vec<&str> = digit.iter().map(|&luma| if luma > 127 { "1" } else { "0" }).collect();
    let bytes = |head: &str, values: &[u8]| [head.as_bytes(), values].concat();
    let rgb = DynamicImage::from(digit.clone()).to_rgb8();
    let mut colour_jpeg = Cursor::new(Vec::new());
    DynamicImage::from(rgb.clone()).write_to(&mut colour_jpeg, ImageFormat::Jpeg).unwrap();
    vec![
        ("PNG", encode(&digit, ImageFormat::Png)),
        ("JPEG", encode(&digit, ImageFormat::Jpeg)),
        ("JPEG in colours", colour_jpeg.into_inner()),
        ("progressive JPEG", include_bytes!("progressive.jpg").to_vec()),
        ("plain PBM", plain("P1\n28 28\n", bits.join("\n"))),
        ("plain PGM", plain("P2\n28 28\n255\n", grey.join(" ") + "\n")),
        ("plain PPM", plain("P3\n28 28\n255\n", colours.join("\n") + "\n")),
        ("PBM", bytes("P4\n28 28\n", &[0x5A; 4 * 28])),
        ("PGM", bytes("P5\n28 28\n255\n", &digit)),
        ("PPM", bytes("P6\n28 28\n255\n", &rgb)),
        ("PAM", encode(&digit, ImageFormat::Pnm)),
        ("PAM", bytes("P7\nWIDTH 28\nHEIGHT 28\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n", &digit)),
    ]
}

#[test]
fn every_truncated_file_is_an_error() {
    for (format, file) in files() {
        let whole = read(&file[..]).unwrap_or_else(|error| panic!("{format}: {error}"));
        let read_anyway: Vec<usize> = (0..file.len()).filter(|&len| read(&file[..len]).is_ok()).collect();
        assert!(read_anyway.is_empty(), "{format} of {} bytes: {read_anyway:?}", file.len());
        // What lies behind the end does not matter.
        assert_eq!(read(&[&file[..], b"\n\n"].concat()[..]).unwrap(), whole, "{format}");
    }
}

/// Some programs write an end behind what they have got.
#[test]
fn a_jpeg_file_whose_data_end_early_is_an_error() {
    for (format, file) in files().into_iter().filter(|(format, _)| format.starts_with("JPEG")) {
        let data = file.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap() + 14;
        let end = file.len() - 2;
        // The last bytes may only fill.
        for len in (data..end - 3).filter(|&len| file[len - 1] != 0xFF) {
            let ended = [&file[..len], &[0xFF, 0xD9]].concat();
            assert!(read(&ended[..]).is_err(), "{format}: {} of {} bytes of data", len - data, end - data);
        }
    }
}

/// Whatever becomes of a file: an error or a picture, and no panic.
#[test]
fn damaged_files_are_errors_or_pictures() {
    let (mut tried, mut refused) = (0, 0);
    for (_, file) in files() {
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

    let text = run(&["-q", "7.png", "2.jpg"], None);
    assert_eq!(text, "7.png: 7\n2.jpg: 2\n");

    let text = run(&["--show", "7.png"], None);
    let shown: Vec<&str> = text.lines().skip(11).collect();
    assert_eq!(shown.len(), 28, "{text}");
    for (row, pixels) in shown.iter().zip(digit(&digits, 0).rows()) {
        let row: Vec<char> = row.strip_prefix("  |").unwrap().strip_suffix('|').unwrap().chars().collect();
        for (pair, luma) in row.chunks(2).zip(pixels.map(|pixel| pixel.0[0])) {
            assert!(
                pair[0] == pair[1] && (pair[0] == ' ') == (luma < 29) && (pair[0] == '@') == (luma == 255)
            );
        }
    }
    let json: serde_json::Value = serde_json::from_str(&run(&["7.png", "--json", "--show"], None)).unwrap();
    assert_eq!(json["pixels"][7][6], *digit(&digits, 0).get_pixel(6, 7).0.first().unwrap());

    // A cross is not a digit.
    let cross = GrayImage::from_fn(28, 28, |x, y| Luma([if (x * 3 + y * 7) % 11 < 5 { 255 } else { 0 }]));
    cross.save(dir.path().join("odd.png")).unwrap();
    let text = run(&["odd.png"], None);
    assert!(text.starts_with("odd.png: unsure, perhaps "), "{text}");
    assert_eq!(run(&["odd.png", "-q"], None), "odd.png: unsure\n");
    let json: serde_json::Value = serde_json::from_str(&run(&["odd.png", "--json"], None)).unwrap();
    assert!(json["sure"] == false && json["confidence"].as_f64().unwrap() < 0.93, "{json}");
}

#[test]
fn every_picture_is_answered_or_has_its_error() {
    let dir = tempfile::tempdir().unwrap();
    let (network, params) = trained();
    save(&dir.path().join("w"), "lenet-relu", &network, &params).unwrap();
    let seven = digit(&Dataset::built_in(Part::Test).unwrap(), 0);
    let file = encode(&seven, ImageFormat::Jpeg);
    fs::write(dir.path().join("a.jpg"), &file).unwrap();
    fs::write(dir.path().join("b.png"), encode(&seven, ImageFormat::Png)).unwrap();
    fs::write(dir.path().join("cut.jpg"), &file[..file.len() * 3 / 4]).unwrap();
    fs::write(dir.path().join("text.png"), "no picture").unwrap();
    GrayImage::new(50, 50).save(dir.path().join("black.png")).unwrap();
    for (bad, cause) in [
        ("missing.png", "No such file"),
        ("cut.jpg", "truncated"),
        ("text.png", "magic at byte 0: [6e, 6f, 20, 70, 69, 63, 74, 75] begins no PNG, JPEG or PNM file"),
        ("black.png", "nothing to see"),
    ] {
        let args = ["predict", "--weights", "w", "-q", "a.jpg", bad, "b.png"];
        let output = lenet(dir.path(), &args, None);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "a.jpg: 7\nb.png: 7\n");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].starts_with(&format!("error: {bad}: ")), "{stderr}");
        assert!(errors[0].contains(cause), "{stderr}");

        let output = lenet(dir.path(), &[&args[..], &["--json"]].concat(), None);
        assert_eq!(output.status.code(), Some(1));
        let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.iter().map(|line| &line["file"]).collect::<Vec<_>>(), ["a.jpg", bad, "b.png"]);
        assert!(lines[1]["error"].as_str().unwrap().contains(cause) && lines[1]["class"].is_null());
        assert!(lines[0]["error"].is_null() && lines[2]["class"] == 7);
    }
}

/// A file name is bytes; JSON is text.
#[cfg(unix)]
#[test]
fn a_name_that_is_no_text_is_answered_too() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let (network, params) = trained();
    save(&dir.path().join("w"), "lenet-relu", &network, &params).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"b\xffd.png");
    fs::write(
        dir.path().join(name),
        encode(&digit(&Dataset::built_in(Part::Test).unwrap(), 0), ImageFormat::Png),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lenet"));
    let output =
        command.args(["predict", "--weights", "w", "--json"]).arg(name).current_dir(dir.path()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["file"], &json["class"]), (&"b\u{fffd}d.png".into(), &7.into()));
}

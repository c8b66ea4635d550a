//! The program from outside: what it prints, what it leaves, what it refuses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use im2col_train::dataset::{Dataset, Part};
use image::GrayImage;

const IMAGES: usize = 64;

fn lenet(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lenet")).args(args).current_dir(dir).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr_of_failure(output: &Output) -> String {
    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

/// The first digits of the test set, to learn and to be judged by.
fn write_digits(dir: &Path) {
    let digits = Dataset::built_in(Part::Test).unwrap();
    let images =
        [&[0, 0, 8, 3, 0, 0, 0, IMAGES as u8, 0, 0, 0, 28, 0, 0, 0, 28], &digits.pixels()[..IMAGES * 784]]
            .concat();
    let labels = [&[0, 0, 8, 1, 0, 0, 0, IMAGES as u8], &digits.labels()[..IMAGES]].concat();
    for part in ["train", "t10k"] {
        fs::write(dir.join(format!("{part}-images-idx3-ubyte")), &images).unwrap();
        fs::write(dir.join(format!("{part}-labels-idx1-ubyte")), &labels).unwrap();
    }
}

#[test]
fn train_eval_and_predict() {
    let dir = tempfile::tempdir().unwrap();
    write_digits(dir.path());
    let output =
        lenet(dir.path(), &["train", "--data", ".", "--epochs", "2", "--batch", "20", "--threads", "2"]);
    let printed = stdout(&output);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 5, "{printed}");
    assert!(lines[0].starts_with("lenet-relu: 61,706 parameters, 64 training images"), "{printed}");
    assert!(lines[1].starts_with("epoch  1/2  loss "), "{printed}");
    assert_eq!(lines[3], "saved runs/lenet/weights.safetensors");
    let accuracy = lines[4].strip_prefix("test accuracy: ").unwrap().strip_suffix(" %").unwrap();
    assert!((0.0..=100.0).contains(&accuracy.parse::<f64>().unwrap()));
    assert_eq!(accuracy.split_once('.').unwrap().1.len(), 2);

    let eval =
        stdout(&lenet(dir.path(), &["eval", "--data", ".", "--weights", "runs/lenet/weights.safetensors"]));
    assert_eq!(eval.trim_end(), lines[4]);

    let picture =
        GrayImage::from_fn(90, 120, |x, _| image::Luma([if (40..50).contains(&x) { 0 } else { 255 }]));
    picture.save(dir.path().join("one.png")).unwrap();
    let predict = stdout(&lenet(dir.path(), &["predict", "one.png"]));
    let lines: Vec<&str> = predict.lines().collect();
    assert_eq!(lines.len(), 11, "{predict}");
    let digit: usize = lines[0].strip_prefix("digit: ").unwrap().parse().unwrap();
    let percent = |line: &str| line[2..].trim_end_matches(" %").trim().parse::<f64>().unwrap();
    assert!(lines[1..].iter().all(|line| percent(line) <= percent(lines[1 + digit])), "{predict}");

    let other = lenet(dir.path(), &["eval", "--data", ".", "--network", "lenet"]);
    assert!(stderr_of_failure(&other).contains("these are weights of lenet-relu"));
}

#[test]
fn summary_lists_twelve_layers() {
    for (args, pool) in [(&["summary"][..], "MaxPool2d"), (&["summary", "--network", "lenet"], "AvgPool2d")] {
        let printed = stdout(&lenet(Path::new("."), args));
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), 14, "{printed}");
        assert!(lines.iter().all(|line| line.len() <= 80), "{printed}");
        assert!(lines[1].contains("Conv2d     (1, 6, 28, 28)"), "{printed}");
        assert!(lines[6].contains(pool) && lines[6].contains("(1, 16, 5, 5)"), "{printed}");
        assert!(lines[13].contains(" 61,706 "), "{printed}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let dir = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (&["train", "--batch", "0"][..], "--batch"),
        (&["train", "--lr", "nan"], "--lr"),
        (&["train", "--data", "nowhere"], "nowhere"),
        (&["eval", "--weights", "nothing"], "nothing"),
        (&["predict", "no.png", "--weights", "nothing"], "nothing"),
        (&["predict"], "IMAGE.png"),
        (&[], "Usage"),
    ] {
        let stderr = stderr_of_failure(&lenet(dir.path(), args));
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
    fs::write(dir.path().join("weights"), "no weights").unwrap();
    let stderr = stderr_of_failure(&lenet(dir.path(), &["eval", "--weights", "weights"]));
    assert!(stderr.contains("weights: not a sound safetensors file"), "{stderr}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was trained, nothing was made");
}

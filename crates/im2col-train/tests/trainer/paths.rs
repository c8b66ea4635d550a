//! Paths that are not Unicode, in every command.

#![cfg(unix)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use im2col_testkit::idx::write_idx;
use im2col_train::dataset::{Dataset, Part};
use image::{GrayImage, ImageFormat};
use serde_json::Value;

const SHOWN: &str = "b\u{fffd}d";

/// `b`, a byte that no UTF-8 text has, `d`, and an ending.
fn bad(ending: &str) -> OsString {
    let mut name = OsStr::from_bytes(b"b\xffd").to_owned();
    name.push(ending);
    name
}

/// Runs a command twice, for people and for programs, and returns what the second prints: values.
fn lenet(dir: &Path, args: &[&OsStr]) -> Vec<Value> {
    let run = |json: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lenet"));
        command.args(args).current_dir(dir);
        if json {
            command.arg("--json");
        }
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(false);
    run(true).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The one value of a command that prints one.
fn value(dir: &Path, args: &[&OsStr]) -> Value {
    let mut values = lenet(dir, args);
    assert_eq!(values.len(), 1, "{args:?}");
    values.remove(0)
}

macro_rules! args {
    ($($arg:expr),* $(,)?) => { &[$(OsStr::new(&$arg)),*] };
}

#[test]
fn every_command_takes_them() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (data, run) = (bad("ata"), bad("-run"));
    let digits = Dataset::built_in(Part::Test).unwrap();
    fs::create_dir(dir.join(&data)).unwrap();
    for part in ["train", "t10k"] {
        write_idx(&dir.join(&data), part, &digits.pixels()[..64 * 784], &digits.labels()[..64]);
    }
    let train = args!["train", "--data", data, "--epochs", "1", "--out", run, "--force"];
    assert_eq!(lenet(dir, train)[0]["kind"], "epoch");
    lenet(dir, args!["train", "--resume", run]);
    // The report finds the data where the run says that it is.
    let report = value(dir, args!["report", run]);
    assert_eq!(report["report"], format!("{SHOWN}-run/report.html"));
    let html = fs::read_to_string(dir.join(&run).join("report.html")).unwrap();
    assert!(html.contains(&format!("{SHOWN}ata")));

    let weights = PathBuf::from(&run).join("weights.safetensors");
    value(dir, args!["eval", "--weights", weights, "--data", data]);
    for (format, name) in [("raw", bad(".bin")), ("rust", bad(".rs")), ("safetensors", bad(""))] {
        let exported = value(dir, args!["export", "--weights", weights, "--format", format, "--out", name]);
        assert_eq!(exported["file"], name.to_string_lossy().as_ref());
        assert_eq!(exported["bytes"], fs::metadata(dir.join(&name)).unwrap().len());
    }
    let picture = bad(".png");
    let image = GrayImage::from_raw(28, 28, digits.pixels()[..784].to_vec()).unwrap();
    image.save_with_format(dir.join(&picture), ImageFormat::Png).unwrap();
    let predicted = value(dir, args!["predict", "--weights", bad(""), picture]);
    assert_eq!(predicted["file"], format!("{SHOWN}.png"));

    // The test set inside the program is the original: nothing is left to fetch.
    let fetched = bad("-fetched");
    fs::create_dir(dir.join(&fetched)).unwrap();
    for name in ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"] {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../im2col-digits/data").join(name);
        fs::copy(own, dir.join(&fetched).join(name)).unwrap();
    }
    let values = lenet(dir, args!["fetch", "mnist", "--part", "test", "--out", fetched]);
    assert_eq!(values[0]["file"], format!("{SHOWN}-fetched/t10k-images-idx3-ubyte.gz"));
    assert_eq!(values[2]["dir"], format!("{SHOWN}-fetched"));
}

#[test]
fn errors_show_them() {
    let dir = tempfile::tempdir().unwrap();
    let missing = bad("-missing");
    for args in [
        args!["eval", "--weights", missing] as &[&OsStr],
        args!["predict", "--weights", missing, "x.png"],
        args!["export", "--weights", missing, "--format", "raw", "--out", "x"],
        args!["report", missing],
        args!["train", "--data", missing],
        args!["train", "--resume", missing],
        args!["fetch", "mnist", "--mirror", "http://127.0.0.1:1/", "--out", missing],
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_lenet")).args(args).current_dir(dir.path()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.contains(&format!("{SHOWN}-missing")), "{args:?}: {stderr}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

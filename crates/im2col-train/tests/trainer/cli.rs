//! The program from outside: what it prints, what it leaves, what it refuses.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use im2col_testkit::idx::write_idx;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::metrics::Record;
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
    for part in ["train", "t10k"] {
        write_idx(dir, part, &digits.pixels()[..IMAGES * 784], &digits.labels()[..IMAGES]);
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
    assert_eq!(lines.len(), 8, "{printed}");
    assert_eq!(lines[0], "lenet-relu: 61,706 parameters; 64 images to train, 64 to test");
    assert!(lines[1].starts_with("threads: 2, kernels: "), "{printed}");
    assert!(lines[2].starts_with("epoch 1/2  loss "), "{printed}");
    assert!(lines.iter().all(|line| line.len() <= 80), "{printed}");
    assert_eq!(lines[4], "saved runs/lenet/weights.safetensors");
    assert_eq!(lines[5], "next: lenet report runs/lenet");
    assert_eq!(lines[6], "      lenet predict PICTURE --weights runs/lenet/weights.safetensors");
    let accuracy = lines[7].strip_prefix("test accuracy: ").unwrap().strip_suffix(" %").unwrap();
    assert!((0.0..=100.0).contains(&accuracy.parse::<f64>().unwrap()));
    assert_eq!(accuracy.split_once('.').unwrap().1.len(), 2);

    let eval =
        stdout(&lenet(dir.path(), &["eval", "--data", ".", "--weights", "runs/lenet/weights.safetensors"]));
    let eval: Vec<&str> = eval.lines().collect();
    assert_eq!((eval.len(), eval[0]), (2, lines[7]));
    assert!(eval[1].strip_prefix("test loss: ").unwrap().parse::<f64>().unwrap() > 0.0);

    let picture =
        GrayImage::from_fn(90, 120, |x, _| image::Luma([if (40..50).contains(&x) { 0 } else { 255 }]));
    picture.save(dir.path().join("one.png")).unwrap();
    let predict = stdout(&lenet(dir.path(), &["predict", "one.png"]));
    assert_eq!(predict.lines().count(), 11, "{predict}");
    assert!(predict.starts_with("one.png: "), "{predict}");

    let other = lenet(dir.path(), &["eval", "--data", ".", "--network", "lenet"]);
    assert!(stderr_of_failure(&other).contains("these are weights of lenet-relu"));
}

#[test]
fn a_run_that_is_not_finished_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    write_digits(dir.path());
    let train = ["train", "--data", ".", "--epochs", "1", "--threads", "1", "--out", "runs/lenet"];
    let first = stdout(&lenet(dir.path(), &train));
    let result = first.lines().last().unwrap();
    let resumed = stdout(&lenet(dir.path(), &["train", "--resume", "runs/lenet"]));
    assert!(resumed.starts_with("runs/lenet: the run is finished\n"), "{resumed}");
    assert_eq!(resumed.lines().last(), Some(result));

    // The checkpoint before the last is that of a run that is not finished.
    let run = dir.path().join("runs/lenet");
    fs::rename(run.join("previous.safetensors"), run.join("checkpoint.safetensors")).unwrap();
    let error = stderr_of_failure(&lenet(dir.path(), &train));
    assert!(error.contains("--resume runs/lenet") && error.contains("--force"), "{error}");
    let other_data = fs::read(dir.path().join("train-labels-idx1-ubyte")).unwrap();
    let mut labels = other_data.clone();
    labels[8] = 9 - labels[8];
    fs::write(dir.path().join("train-labels-idx1-ubyte"), labels).unwrap();
    let error = stderr_of_failure(&lenet(dir.path(), &["train", "--resume", "runs/lenet"]));
    assert!(error.contains("not the images of the run"), "{error}");
    fs::write(dir.path().join("train-labels-idx1-ubyte"), other_data).unwrap();
    let resumed = stdout(&lenet(dir.path(), &["train", "--resume", "runs/lenet"]));
    assert_eq!(resumed.lines().last(), Some(result));
    let replaced = stdout(&lenet(dir.path(), &[&train[..], &["--force"]].concat()));
    assert_eq!(replaced.lines().last(), Some(result));

    let error = stderr_of_failure(&lenet(dir.path(), &["train", "--resume", "nowhere"]));
    assert!(error.contains("nowhere: no run"), "{error}");
}

#[test]
fn quiet_and_json() {
    let dir = tempfile::tempdir().unwrap();
    write_digits(dir.path());
    let train = ["train", "--data", ".", "--epochs", "2", "--validation", "0.1"];
    let quiet = stdout(&lenet(dir.path(), &[&train[..], &["-q"]].concat()));
    assert!(quiet.starts_with("test accuracy: ") && quiet.lines().count() == 1, "{quiet}");
    let json = stdout(&lenet(dir.path(), &[&train[..], &["--json"]].concat()));
    let values: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), 3, "{json}");
    assert_eq!(values[1]["kind"], "epoch");
    assert_eq!(values[1]["test_accuracy"], values[2]["test_accuracy"]);
    assert!(values[0]["validation_loss"].as_f64().unwrap() > 0.0, "{json}");
    // Those who read the folder find the same.
    let records = im2col_train::metrics::read(&dir.path().join("runs/lenet-2")).unwrap();
    let epochs = records.iter().filter_map(|record| match record {
        Record::Epoch(epoch) => Some(serde_json::to_value(epoch).unwrap()["test_loss"].clone()),
        _ => None,
    });
    assert_eq!(epochs.collect::<Vec<_>>(), [values[0]["test_loss"].clone(), values[1]["test_loss"].clone()]);
    // Two epochs of two batches: a record where a fifth ends in a batch.
    assert_eq!(records.iter().filter(|record| matches!(record, Record::Progress(_))).count(), 4);
}

#[test]
fn a_loss_that_is_not_finite_is_said() {
    let dir = tempfile::tempdir().unwrap();
    write_digits(dir.path());
    let output = lenet(dir.path(), &["train", "--data", ".", "--lr", "1e30"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr_of_failure(&output).contains("in epoch 1: a smaller learning rate (--lr) may help"));
}

#[test]
fn summary_lists_twelve_layers_and_the_memory() {
    for (args, pool) in [(&["summary"][..], "MaxPool2d"), (&["summary", "--network", "lenet"], "AvgPool2d")] {
        let printed = stdout(&lenet(Path::new("."), args));
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), 14 + 1 + 11, "{printed}");
        assert!(lines.iter().all(|line| line.len() <= 80), "{printed}");
        assert!(lines[1].contains("Conv2d     (1, 6, 28, 28)"), "{printed}");
        assert!(lines[6].contains(pool) && lines[6].contains("(1, 16, 5, 5)"), "{printed}");
        assert!(lines[13].contains(" 61,706 "), "{printed}");
        assert!(lines[16].starts_with("flash   parameters ") && lines[16].ends_with(" 246,824"), "{printed}");
        assert!(lines[19].contains("inference, least memory: scratch  "), "{printed}");
        assert!(lines[19].ends_with(" 7,648"), "{printed}");
        assert!(lines[21].contains("training step, least memory  "), "{printed}");
        assert!(lines[21].ends_with(" 589,688"), "{printed}");

        let json = stdout(&lenet(Path::new("."), &[args, &["--json"]].concat()));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["layers"].as_array().unwrap().len(), 12);
        let bytes = serde_json::json!({
            "params": 246_824,
            "input": 3_136,
            "output": 40,
            "least_inference_scratch": 7_648,
            "full_speed_inference_scratch": 74_784,
            "least_training": {
                "params": 246_824,
                "gradients": 246_824,
                "workspace": 58_408,
                "scratch": 37_632,
                "total": 589_688,
            },
        });
        assert_eq!(json["bytes"], bytes);
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
        (&["predict"], "IMAGE"),
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

//! What `lenet train` says, to whom, and how: messages, hints, commands to paste, lines for programs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use im2col_testkit::idx::write_idx;
use im2col_train::dataset::{Dataset, Part};
use serde_json::Value;

const IMAGES: usize = 64;

fn command(dir: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lenet"));
    command.args(args.split_whitespace()).current_dir(dir);
    command
}

fn lenet(dir: &Path, args: &str) -> Output {
    command(dir, args).output().unwrap()
}

/// The standard output and the standard error of a command that succeeds.
fn succeeds(dir: &Path, args: &str) -> (String, String) {
    let output = lenet(dir, args);
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{args}: {stderr}");
    (stdout, stderr)
}

/// What a command says that fails with this exit code.
fn fails(dir: &Path, args: &str, code: i32) -> String {
    let output = lenet(dir, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args}: {stderr}");
    stderr
}

/// A folder with a folder `digits`: the first of the test set, to learn and to be judged by.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let digits = Dataset::built_in(Part::Test).unwrap();
    fs::create_dir(dir.path().join("digits")).unwrap();
    for part in ["train", "t10k"] {
        write_idx(
            &dir.path().join("digits"),
            part,
            &digits.pixels()[..IMAGES * 784],
            &digits.labels()[..IMAGES],
        );
    }
    dir
}

#[test]
fn a_reader_that_goes_does_not_end_the_training() {
    let dir = folder();
    let mut child = command(dir.path(), "train --data digits --epochs 40 --out run")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("lenet-relu: "), "{line}");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(dir.path().join("run/weights.safetensors").exists());

    // Other commands end, quietly: nobody is left to read.
    let mut summary = command(dir.path(), "summary");
    let mut child = summary.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn what_is_wrong_with_an_option_is_said() {
    let dir = folder();
    for (args, expected) in [
        ("--lr -0.1", "invalid value '-0.1' for '--lr <X>': must be finite and greater than 0"),
        ("--lr -inf", "invalid value '-inf' for '--lr <X>': must be finite and greater than 0"),
        ("--lr -.5", "invalid value '-.5' for '--lr <X>': must be finite and greater than 0"),
        ("--momentum -1e-3", "invalid value '-1e-3' for '--momentum <X>': must be finite and at least 0"),
        ("--epochs -1", "invalid value '-1' for '--epochs <N>': -1 is not in 1..=4294967295"),
        ("--optimizer adam --momentum 0.5", "--momentum is for --optimizer sgd, not for adam"),
        ("--network lenet --schedule step --warm-up 1", "--warm-up is for --schedule cosine"),
    ] {
        let said = fails(dir.path(), &format!("train --data digits {args}"), 2);
        assert!(said.contains(expected), "{args}: {said}");
    }
    let said = fails(dir.path(), "train --data digits --validation 0.001", 1);
    assert!(said.contains("a share of 0.001 of 64 images cannot be held back"), "{said}");
    assert!(!dir.path().join("runs").exists());
}

#[test]
fn printed_commands_can_be_pasted() {
    let dir = folder();
    let mut train = command(dir.path(), "train --data digits --epochs 1 --out");
    let output = train.arg("it's here").output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let next: Vec<&str> =
        printed.lines().filter_map(|line| line.split_once("lenet ")).map(|(_, args)| args).collect();
    assert_eq!(
        next,
        [r"report 'it'\''s here'", r"predict PICTURE --weights 'it'\''s here/weights.safetensors'"]
    );
    let pasted = format!("\"$0\" {}", next[0]);
    let program = env!("CARGO_BIN_EXE_lenet");
    let output = Command::new("sh").args(["-c", &pasted, program]).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(dir.path().join("it's here/report.html").exists());
}

#[test]
fn the_last_json_line_of_every_command_has_its_kind() {
    let dir = folder();
    let digits = Dataset::built_in(Part::Test).unwrap();
    let seven = [b"P5 28 28 255\n".as_slice(), &digits.pixels()[..784]].concat();
    fs::write(dir.path().join("seven.pgm"), seven).unwrap();
    for args in [
        "train --data digits --epochs 1",
        "train --resume runs/lenet",
        "eval --data digits",
        "predict seven.pgm",
        "export --format raw --out raw",
        "report",
        "summary",
        "profile --seconds 0.01",
    ] {
        let (printed, _) = succeeds(dir.path(), &format!("{args} --json"));
        let last: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
        assert!(last["kind"].is_string(), "{args}: {last}");
    }
}

#[test]
fn a_loss_that_does_not_move_is_remarked_upon() {
    let dir = folder();
    let train = "train --data digits --network lenet --optimizer sgd";
    // 64 steps in each epoch, or two.
    for (args, expected) in [
        ("--lr 1e-10 --batch 1 --epochs 3", 1),
        ("--lr 1e-10 --batch 1 --epochs 3 --json", 1),
        ("--lr 1e-10 --batch 1 --epochs 3 -q", 0),
        ("--lr 1e-10 --batch 1 --epochs 1", 0),
        ("--lr 1e-10 --epochs 3", 0),
        ("--network lenet-relu --lr 0.01 --batch 1 --epochs 3", 0),
    ] {
        let train = if args.contains("relu") { "train --data digits" } else { train };
        let (_, said) = succeeds(dir.path(), &format!("{train} {args}"));
        let hints = said.matches("hint: the loss has not moved from that of guessing, 2.").count();
        assert_eq!(hints, expected, "{args}: {said}");
    }
}

/// Chance is 10 %.
#[test]
fn every_network_learns_with_its_defaults() {
    let dir = tempfile::tempdir().unwrap();
    for args in ["--network lenet --epochs 2", "--optimizer adam --epochs 1", "--epochs 1"] {
        let (printed, said) = succeeds(dir.path(), &format!("train {args} --json --out run --force"));
        let last: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
        let accuracy = last["test_accuracy"].as_f64().unwrap();
        println!("{args}: {accuracy}");
        assert!(accuracy > 0.8, "{args}: {accuracy}");
        assert!(!said.contains("hint"), "{args}: {said}");
    }
}

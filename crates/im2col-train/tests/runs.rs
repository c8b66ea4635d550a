//! The life of a run from outside: it keeps what others have left, goes on from anywhere, and says what it cannot do
//! before it touches anything.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use im2col::Network;
use im2col::lenet::LENET_RELU;
use im2col_testkit::idx::write_idx;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::metrics::{self, Record};
use im2col_train::weights::{Weights, save};
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

/// A folder with a folder `digits`.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_digits(&dir.path().join("digits"), |_| ());
    dir
}

/// The first digits of the test set, to learn and to be judged by; `change` changes those to be judged by.
fn write_digits(dir: &Path, change: impl Fn(&mut [u8])) {
    let digits = Dataset::built_in(Part::Test).unwrap();
    fs::create_dir_all(dir).unwrap();
    let pixels = &digits.pixels()[..IMAGES * 784];
    let mut labels: Vec<u8> = digits.labels()[..IMAGES].iter().map(|label| *label as u8).collect();
    write_idx(dir, "train", pixels, &labels);
    change(&mut labels);
    write_idx(dir, "t10k", pixels, &labels);
}

/// The files of a run's folder, but for what stands in folders inside.
fn files(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn weights(run: &Path) -> Vec<f32> {
    let network = Network::plan(LENET_RELU, 1, [1, 28, 28]).unwrap();
    Weights::read(&run.join("weights.safetensors")).unwrap().params(&network).unwrap()
}

fn interrupt(dir: &Path, args: &str, until: impl Fn() -> bool) -> String {
    let mut child = command(dir, args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !until() {
        assert!(child.try_wait().unwrap().is_none(), "over too soon");
        sleep(Duration::from_millis(1));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    stderr
}

#[test]
fn a_new_run_takes_a_free_folder() {
    let dir = folder();
    let train = "train --data digits --epochs 1 -q";
    let (_, said) = succeeds(dir.path(), train);
    assert_eq!(said, "");
    let first = files(&dir.path().join("runs/lenet"));
    let (_, said) = succeeds(dir.path(), train);
    assert_eq!(said, "warning: runs/lenet: a run that is finished; this one goes to runs/lenet-2\n");
    let (stdout, said) = succeeds(dir.path(), &train.replace("-q", "--json"));
    assert_eq!(said, "warning: runs/lenet: a run that is finished; this one goes to runs/lenet-3\n");
    let last: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((last["kind"].as_str(), last["run"].as_str()), (Some("result"), Some("runs/lenet-3")));
    assert_eq!(last["weights"], "runs/lenet-3/weights.safetensors");
    assert_eq!(files(&dir.path().join("runs/lenet")), first);
    // What is asked without a folder is asked of the newest run.
    let (help, _) = succeeds(dir.path(), "eval --help");
    assert!(help.contains("runs/lenet-3/weights.safetensors]"), "{help}");
    fs::copy(dir.path().join("runs/lenet/weights.safetensors"), dir.path().join("copy")).unwrap();
    fs::rename(dir.path().join("copy"), dir.path().join("runs/lenet-2/weights.safetensors")).unwrap();
    let (help, _) = succeeds(dir.path(), "report --help");
    assert!(help.contains("[default: runs/lenet-2]"), "{help}");

    // Other people's files are none of ours.
    fs::create_dir(dir.path().join("mine")).unwrap();
    fs::write(dir.path().join("mine/weights.safetensors"), "precious").unwrap();
    let said = fails(dir.path(), "train --data digits --epochs 1 --out mine", 1);
    assert!(said.contains("mine: ") && said.contains("--force"), "{said}");
    assert_eq!(fs::read(dir.path().join("mine/weights.safetensors")).unwrap(), b"precious");
}

#[test]
fn an_unfinished_run_is_kept_too() {
    let dir = folder();
    let metrics = dir.path().join("runs/lenet/metrics.jsonl");
    let has_begun = || fs::read_to_string(&metrics).is_ok_and(|records| records.contains("epoch"));
    interrupt(dir.path(), "train --data digits --epochs 100000", has_begun);
    let kept = files(&dir.path().join("runs/lenet"));
    let (_, said) = succeeds(dir.path(), "train --data digits --epochs 1 -q");
    assert_eq!(said, "warning: runs/lenet: a run that is not finished; this one goes to runs/lenet-2\n");
    let said = fails(dir.path(), "train --data digits --epochs 1 --out runs/lenet", 1);
    assert!(said.contains("to go on: lenet train --resume runs/lenet; to replace it: --force"), "{said}");
    assert_eq!(files(&dir.path().join("runs/lenet")), kept);
}

#[test]
fn a_run_is_replaced_only_by_one_that_is_complete() {
    let dir = folder();
    let run = dir.path().join("run");
    let replacement = run.join("replacement");
    succeeds(dir.path(), "train --data digits --epochs 2 --out run");
    succeeds(dir.path(), "report run");
    let old = files(&run);
    let said = fails(dir.path(), "train --data digits --epochs 1 --out run", 1);
    assert!(said.contains("run: a run that is finished") && said.contains("--force"), "{said}");
    fails(dir.path(), "train --data nowhere --epochs 1 --out run --force", 1);
    assert!(!replacement.exists());
    let said = fails(dir.path(), "train --data digits --lr 1e30 --out run --force -q", 1);
    assert!(
        said.starts_with("warning: run: the run that is here will be replaced when this one is complete\n"),
        "{said}"
    );
    assert_eq!(files(&run), old);

    let has_begun = || {
        metrics::read(&replacement)
            .is_ok_and(|records| records.iter().any(|of| matches!(of, Record::Epoch(_))))
    };
    let said =
        interrupt(dir.path(), "train --data digits --epochs 100000 --out run --force --seed 7", has_begun);
    assert!(said.ends_with("to go on: lenet train --resume run\n"), "{said}");
    assert_eq!(files(&run), old);
    succeeds(dir.path(), "eval --data digits --weights run/weights.safetensors");

    let epochs = metrics::read(&replacement).unwrap();
    let done = epochs.iter().filter(|record| matches!(record, Record::Epoch(_))).count();
    // Interrupted in the epoch after the last whole one.
    succeeds(dir.path(), &format!("train --resume run --epochs {}", done + 1));
    assert!(!replacement.exists() && !run.join("report.html").exists());
    assert!(fs::read_to_string(run.join("run.json")).unwrap().contains("\"seed\": 7"));
    let epochs = metrics::read(&run).unwrap();
    assert_eq!(epochs.iter().filter(|record| matches!(record, Record::Epoch(_))).count(), done + 1);
    succeeds(dir.path(), "report run");
}

/// A crash while the files of a complete run take the places of another's.
#[test]
fn a_replacement_is_completed_after_a_crash() {
    let dir = folder();
    succeeds(dir.path(), "train --data digits --epochs 1 --out new --seed 7");
    let new = files(&dir.path().join("new"));
    let names = ["run.json", "metrics.jsonl", "weights.safetensors", "previous.safetensors"];
    for moved in 0..=names.len() {
        let (run, replacement) = (dir.path().join("run"), dir.path().join("run/replacement"));
        let _ = fs::remove_dir_all(&run);
        succeeds(dir.path(), "train --data digits --epochs 1 --out run");
        fs::create_dir(&replacement).unwrap();
        for (path, bytes) in &new {
            fs::write(replacement.join(path.file_name().unwrap()), bytes).unwrap();
        }
        for name in &names[..moved] {
            fs::rename(replacement.join(name), run.join(name)).unwrap();
        }
        let (printed, _) = succeeds(dir.path(), "train --resume run");
        assert!(printed.starts_with("run: the run is finished\n"), "{printed}");
        let all = files(&run);
        for (path, bytes) in &new {
            assert!(all[&run.join(path.file_name().unwrap())] == *bytes, "{moved} moved: {}", path.display());
        }
        assert!(!replacement.exists());
    }
    // One that had not begun is no run.
    fs::create_dir(dir.path().join("run/replacement")).unwrap();
    let (printed, _) = succeeds(dir.path(), "train --resume run");
    assert!(printed.starts_with("run: the run is finished\n"), "{printed}");
}

#[test]
fn everything_is_known_to_fit_before_anything_is_touched() {
    let dir = folder();
    let path = dir.path();
    write_digits(&path.join("stray"), |labels| labels[5] = 12);
    write_digits(&path.join("no test"), |_| ());
    fs::remove_file(path.join("no test/t10k-images-idx3-ubyte")).unwrap();
    let train = |data: &str| {
        let output = command(path, "train --epochs 1 --out run --data").arg(data).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(!path.join("run").exists(), "{data}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = train("stray");
    assert_eq!(
        said,
        "error: stray: images to test with: label 5 is 12; the network has 10 outputs, for labels from 0\n"
    );
    assert!(train("no test").contains("t10k-images"));

    fs::create_dir(path.join("large")).unwrap();
    for part in ["train", "t10k"] {
        let images = [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 32, 0, 0, 0, 32][..], &[0; 1024]].concat();
        fs::write(path.join(format!("large/{part}-images-idx3-ubyte")), images).unwrap();
        fs::write(path.join(format!("large/{part}-labels-idx1-ubyte")), [0, 0, 8, 1, 0, 0, 0, 1, 3]).unwrap();
    }
    let said = train("large");
    assert_eq!(said, "error: large: images to train with: images are 32x32, the network takes 28x28\n");
    // With images of the right size to train with.
    for name in ["images-idx3-ubyte", "labels-idx1-ubyte"] {
        let name = format!("train-{name}");
        fs::copy(path.join("digits").join(&name), path.join("large").join(&name)).unwrap();
    }
    let said = train("large");
    assert_eq!(said, "error: large: images to test with: images are 32x32, the network takes 28x28\n");
    succeeds(path, "train --data digits --epochs 1");
    let said = fails(path, "eval --data large", 1);
    assert!(said.contains("images are 32x32, the network takes 28x28"), "{said}");
}

#[test]
fn divergence_is_an_error_and_the_run_stays_readable() {
    let dir = folder();
    let run = dir.path().join("run");
    for (args, expected) in [
        // One batch, so that no later loss tells. The parameters are finite, what they make of the images is not.
        ("--epochs 1 --batch 64 --lr 1e30", "in epoch 1: a smaller learning rate (--lr) may help"),
        // The decay alone is a step of 1e43.
        (
            "--epochs 1 --batch 64 --lr 1e38 --weight-decay 1e6",
            ", not a finite number, in epoch 1: a smaller learning rate (--lr) may help",
        ),
        ("--epochs 1 --batch 64 --lr 1e30 --optimizer adam", "a smaller learning rate (--lr) may help"),
        ("--epochs 1 --batch 16 --lr 1e30 --checkpoint-seconds 0", "a smaller learning rate (--lr) may help"),
    ] {
        let _ = fs::remove_dir_all(&run);
        let said = fails(dir.path(), &format!("train --data digits --out run {args}"), 1);
        assert!(said.contains(expected), "{args}: {said}");
        assert!(!run.join("weights.safetensors").exists(), "{args}");
        assert!(!fs::read_to_string(run.join("metrics.jsonl")).unwrap().contains("null"), "{args}");
        metrics::read(&run).unwrap();
        // Going on says it again: the checkpoint is sound.
        let said = fails(dir.path(), "train --resume run", 1);
        assert!(said.contains("a smaller learning rate (--lr) may help"), "{args}: {said}");
    }
    // The weights of the epochs before stay.
    let _ = fs::remove_dir_all(&run);
    let said = fails(
        dir.path(),
        "train --data digits --out run --batch 64 --epochs 3 --schedule step --step-every 1 \
                           --step-factor 1e35",
        1,
    );
    assert!(said.contains("in epoch 2"), "{said}");
    assert!(weights(&run).iter().all(|weight| weight.is_finite()));
    succeeds(dir.path(), "report run");
}

#[test]
fn a_run_goes_on_from_another_folder_and_after_a_move() {
    let dir = folder();
    let elsewhere = dir.path().join("else/where");
    fs::create_dir_all(&elsewhere).unwrap();
    succeeds(dir.path(), "train --data digits --epochs 1 --out run");
    succeeds(&elsewhere, "train --resume ../../run --epochs 2");

    fs::rename(dir.path().join("digits"), dir.path().join("moved")).unwrap();
    fs::rename(dir.path().join("run"), elsewhere.join("my run")).unwrap();
    let resume = |args: &[&str]| {
        let mut command = command(&elsewhere, "train --resume");
        let output = command.arg("my run").args(args).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text)
    };
    let (success, said) = resume(&["--epochs=3"]);
    assert!(!success && said.contains("lenet train --resume 'my run' --data DIR"), "{said}");
    // Other pixels, other labels to test with.
    write_digits(&elsewhere.join("other"), |labels| labels[7] = 9 - labels[7]);
    let (success, said) = resume(&["--epochs=3", "--data=other"]);
    assert!(!success && said.contains("other: not the images of the run in my run"), "{said}");
    write_digits(&elsewhere.join("pale"), |_| ());
    let images = elsewhere.join("pale/train-images-idx3-ubyte");
    let mut bytes = fs::read(&images).unwrap();
    bytes[16..].iter_mut().for_each(|pixel| *pixel /= 2);
    fs::write(&images, bytes).unwrap();
    let (success, said) = resume(&["--epochs=3", "--data=pale"]);
    assert!(!success && said.contains("pale: not the images of the run in my run"), "{said}");
    let (success, said) = resume(&["--epochs=3", "--data=../../moved"]);
    assert!(success, "{said}");
    // From now on they are there.
    let (success, said) = resume(&["--epochs=4"]);
    assert!(success && said.contains("my run: goes on with epoch 4 of 4, batch 1\n"), "{said}");
    assert!(said.contains("next: lenet report 'my run'\n"), "{said}");
    // A run that is finished needs no data to say so.
    fs::remove_dir_all(dir.path().join("moved")).unwrap();
    let (success, said) = resume(&[]);
    assert!(success && said.starts_with("my run: the run is finished\n"), "{said}");
}

#[cfg(unix)]
#[test]
fn data_and_runs_have_any_names() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = folder();
    let name = OsStr::from_bytes(b"d\xff 1");
    fs::rename(dir.path().join("digits"), dir.path().join(name)).unwrap();
    let run = OsStr::from_bytes(b"r\xff 1");
    let mut train = command(dir.path(), "train --epochs 1 --json");
    let output = train.arg("--data").arg(name).arg("--out").arg(run).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut resume = command(dir.path(), "train --epochs 2");
    let output = resume.arg("--data").arg(name).arg("--resume").arg(run).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("next: lenet report $'r\\xff 1'\n"), "{printed}");
}

/// With a rate that does not depend on the number of epochs, more of them later are as many at once.
#[test]
fn a_finished_run_is_extended() {
    let dir = folder();
    let options = "--data digits --schedule constant --nesterov --batch 16";
    succeeds(dir.path(), &format!("train {options} --epochs 4 --out whole"));
    succeeds(dir.path(), &format!("train {options} --epochs 2 --out run"));
    let (printed, _) = succeeds(dir.path(), "train --resume run --epochs 2");
    assert!(printed.starts_with("run: the run is finished\n"), "{printed}");
    let said = fails(dir.path(), "train --resume run --epochs 1", 1);
    assert!(said.contains("--epochs 1: 2 are done already in run"), "{said}");
    let (printed, _) = succeeds(dir.path(), "train --resume run --epochs 4");
    assert!(printed.contains("run: goes on with epoch 3 of 4, batch 1\n"), "{printed}");
    let [whole, extended] = ["whole", "run"].map(|name| weights(&dir.path().join(name)));
    assert!(whole == extended);
    let (printed, _) = succeeds(dir.path(), "train --resume run");
    assert!(printed.starts_with("run: the run is finished\n"), "{printed}");
    assert!(fs::read_to_string(dir.path().join("run/run.json")).unwrap().contains("\"epochs\": 4"));
    let records = metrics::read(&dir.path().join("run")).unwrap();
    assert_eq!(records.iter().filter(|record| matches!(record, Record::Epoch(_))).count(), 4);
}

#[test]
fn training_starts_from_given_weights() {
    let dir = folder();
    succeeds(dir.path(), "train --data digits --epochs 1 --out first");
    // Steps too small to change anything.
    let train = "train --data digits --epochs 1 --lr 1e-30 --weights first/weights.safetensors --out second";
    succeeds(dir.path(), train);
    let [first, second] = ["first", "second"].map(|run| weights(&dir.path().join(run)));
    assert!(first == second);
    let said = fails(dir.path(), &format!("{train}2 --network lenet"), 1);
    assert!(said.contains("these are weights of lenet-relu"), "{said}");
    assert!(!dir.path().join("second2").exists());

    let network = Network::plan(LENET_RELU, 1, [1, 28, 28]).unwrap();
    let mut stray = first;
    stray[200] = f32::NAN;
    if save(&dir.path().join("stray"), "lenet-relu", &network, &stray).is_ok() {
        let said = fails(dir.path(), "train --data digits --weights stray --out third", 1);
        assert!(said.contains("stray") && said.contains("finite"), "{said}");
    }
    assert!(!dir.path().join("third").exists());
}

/// A run whose checkpoints were removed has results, and they stay.
#[test]
fn results_without_a_checkpoint_are_not_started_over() {
    let dir = folder();
    succeeds(dir.path(), "train --data digits --epochs 1 --out run");
    for name in ["checkpoint", "previous"] {
        fs::remove_file(dir.path().join(format!("run/{name}.safetensors"))).unwrap();
    }
    let kept = files(&dir.path().join("run"));
    let said = fails(dir.path(), "train --resume run", 1);
    assert!(said.contains("run: its checkpoints are gone"), "{said}");
    assert_eq!(files(&dir.path().join("run")), kept);
    let said = fails(dir.path(), "train --data digits --epochs 1 --out run", 1);
    assert!(said.contains("run: a run that is finished"), "{said}");
}

#[test]
fn a_cut_last_record_is_dropped() {
    let dir = folder();
    succeeds(dir.path(), "train --data digits --epochs 1 --out run");
    let file = dir.path().join("run/metrics.jsonl");
    let text = fs::read(&file).unwrap();
    for cut in [1, 20, 100] {
        fs::write(&file, &text[..text.len() - cut]).unwrap();
        succeeds(dir.path(), "report run");
        let before = metrics::read(&dir.path().join("run")).unwrap();
        succeeds(dir.path(), &format!("train --resume run --epochs {}", 2 + cut));
        let after = metrics::read(&dir.path().join("run")).unwrap();
        assert_eq!(after[..before.len()], before, "{cut}");
        // A start, and for each epoch two batches and the end.
        assert!(after.len() > before.len(), "{cut}");
        fs::remove_dir_all(dir.path().join("run")).unwrap();
        succeeds(dir.path(), "train --data digits --epochs 1 --out run");
    }
}

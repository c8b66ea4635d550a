//! The life of a run from outside: it keeps what others have left, and says what it cannot do before it touches
//! anything.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use im2col_train::metrics::{self, Record};
use serde_json::Value;

use crate::run_folders::{command, fails, files, folder, succeeds, weights, write_digits};

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

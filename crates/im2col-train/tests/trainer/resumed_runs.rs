//! A run goes on from anywhere, with other epochs, from other weights, and after a loss of files.

use std::fs;

use im2col::lenet::LENET_RELU;
use im2col::{Isa, Network};
use im2col_train::metrics::{self, Record};
use im2col_train::weights::save;

use crate::run_folders::{command, fails, files, folder, succeeds, weights, write_digits};

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

#[test]
fn the_instruction_set_stays_that_of_the_run() {
    let dir = folder();
    let options = "--data digits --schedule constant --batch 16";
    succeeds(dir.path(), &format!("train {options} --isa scalar --epochs 4 --threads 1 --out whole"));
    let (printed, _) =
        succeeds(dir.path(), &format!("train {options} --isa scalar --epochs 2 --threads 2 --out run"));
    assert!(printed.contains("threads: 2, kernels: scalar\n"), "{printed}");
    let (printed, _) = succeeds(dir.path(), "train --resume run --epochs 4 --threads 3");
    assert!(printed.contains("threads: 3, kernels: scalar\n"), "{printed}");
    let [whole, resumed] = ["whole", "run"].map(|name| weights(&dir.path().join(name)));
    assert!(whole == resumed);
    let starts = metrics::read(&dir.path().join("run")).unwrap().into_iter();
    let isa = |record| if let Record::Start(start) = record { Some(start.isa) } else { None };
    let isas: Vec<_> = starts.filter_map(isa).collect();
    assert_eq!(isas, ["scalar", "scalar"]);

    // Runs from before there was a choice, and runs without one, do not name it.
    succeeds(dir.path(), &format!("train {options} --epochs 1 --out free"));
    let asked = fs::read_to_string(dir.path().join("free/run.json")).unwrap();
    assert!(!asked.contains("isa"), "{asked}");

    let said = fails(dir.path(), &format!("train {options} --isa sse9 --out other"), 2);
    assert!(said.contains("invalid value 'sse9' for '--isa <ISA>'") && said.contains("avx2+fma"), "{said}");
    let said = fails(dir.path(), "train --resume run --isa wide --epochs 5", 2);
    assert!(said.contains("--isa <ISA>") && said.contains("--resume"), "{said}");
    if Isa::avx512f().is_none() {
        let said = fails(dir.path(), &format!("train {options} --isa avx512f --out other"), 1);
        assert!(said.starts_with("error: this CPU lacks avx512f; it has scalar, wide"), "{said}");
    }
    assert!(!dir.path().join("other").exists());
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

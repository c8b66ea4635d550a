//! Checkpoints that are damaged in any way are refused, by name, and the one before is offered.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use im2col::{Activation, Layer, LinearParams};
use im2col_testkit::idx::write_idx;
use im2col_train::checkpoint::{Checkpoint, CheckpointError, Configuration, RunRecord, save};
use im2col_train::dataset::{Dataset, Part};
use im2col_train::optimiser::Optimiser;
use im2col_train::train::{Options, Trainer};

const LAYERS: [Layer; 3] =
    [Layer::Flatten, Layer::Linear(LinearParams::new(4, 3)), Layer::Activation(Activation::Sigmoid)];
const OPTIONS: Options = Options {
    epochs: 3,
    batch: 2,
    optimiser: Optimiser::adam(),
    rate: 0.1,
    schedule: im2col_train::schedule::Schedule::Constant,
    shift: 1,
    validation: 0.0,
    seed: 1,
};

fn dataset(first_label: u32) -> Dataset {
    Dataset::new([1, 2, 2], (0..20).map(|pixel| pixel * 10).collect(), vec![first_label, 1, 2, 0, 1]).unwrap()
}

fn configuration(options: Options) -> Configuration {
    let (version, network) = ("0".to_owned(), "small".to_owned());
    Configuration { version, network, data: None, stream: false, options }
}

/// In the middle of the second epoch.
fn saved(dataset: &Dataset) -> Vec<u8> {
    let mut trainer = Trainer::new(LAYERS, dataset, OPTIONS).unwrap();
    trainer.epoch(|_| ()).unwrap();
    trainer.next_batch().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (file, previous) = (dir.path().join("now"), dir.path().join("before"));
    let record = RunRecord { best_validation: Some(0.1), metrics_len: 7, seconds: 0.3 };
    save(&file, &previous, &configuration(OPTIONS), &record, &trainer).unwrap();
    fs::read(file).unwrap()
}

fn read(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::from_bytes(Path::new("some/checkpoint.safetensors"), bytes.to_vec())
}

#[test]
fn a_trainer_goes_on_where_it_was() {
    let data = dataset(0);
    let checkpoint = read(&saved(&data)).unwrap();
    let state = checkpoint.state();
    assert_eq!((state.position.epoch, state.position.batch, state.position.step), (1, 1, 4));
    assert_eq!(state.record, RunRecord { best_validation: Some(0.1), metrics_len: 7, seconds: 0.3 });
    assert_eq!(state.configuration, configuration(OPTIONS));

    let mut resumed = Trainer::new(LAYERS, &data, OPTIONS).unwrap();
    checkpoint.restore(&mut resumed).unwrap();
    let last = resumed.epoch(|_| ()).unwrap();
    let mut whole = Trainer::new(LAYERS, &data, OPTIONS).unwrap();
    whole.epoch(|_| ()).unwrap();
    assert_eq!(last, whole.epoch(|_| ()).unwrap());
    assert_eq!(resumed.epoch(|_| ()).unwrap(), whole.epoch(|_| ()).unwrap());
    assert_eq!(resumed.params(), whole.params());
    assert_eq!(resumed.position(), whole.position());
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    let bytes = saved(&dataset(0));
    let mut tried = 0;
    let mut assert_refused = |mutation: &[u8], what: &str| {
        let error = read(mutation).err().unwrap_or_else(|| unreachable!("{what} is not noticed")).to_string();
        assert!(error.starts_with("some/checkpoint.safetensors: "), "{what}: {error}");
        assert!(error.len() > "some/checkpoint.safetensors: ".len(), "{what}");
        tried += 1;
    };
    for len in 0..bytes.len() {
        assert_refused(&bytes[..len], &format!("the end at {len}"));
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_refused(&flipped, &format!("bit {bit}"));
    }
    assert_refused(&[&bytes[..], &[0]].concat(), "a longer file");
    println!("{tried} mutations of {} bytes refused", bytes.len());
    assert!(tried >= 1000);
}

#[test]
fn other_trainers_are_refused() {
    let data = dataset(0);
    let checkpoint = read(&saved(&data)).unwrap();
    let mut trainer = Trainer::new(LAYERS, &data, Options { rate: 0.2, ..OPTIONS }).unwrap();
    assert!(matches!(checkpoint.restore(&mut trainer), Err(CheckpointError::Options { .. })));
    let other = dataset(1);
    let mut trainer = Trainer::new(LAYERS, &other, OPTIONS).unwrap();
    assert!(matches!(checkpoint.restore(&mut trainer), Err(CheckpointError::Data { .. })));
    let layers = [Layer::Flatten, Layer::Linear(LinearParams::new(4, 4)), LAYERS[2]];
    let mut trainer = Trainer::new(layers, &data, OPTIONS).unwrap();
    let error = checkpoint.restore(&mut trainer).unwrap_err();
    assert_eq!(
        error.to_string(),
        "some/checkpoint.safetensors: 1.weight is F32 [3, 4], the network needs F32 [4, 4]"
    );
}

/// What the program says, and that it goes on as it says.
#[test]
fn the_one_before_is_offered() {
    let dir = tempfile::tempdir().unwrap();
    let digits = Dataset::built_in(Part::Test).unwrap();
    for part in ["train", "t10k"] {
        write_idx(dir.path(), part, &digits.pixels()[..64 * 784], &digits.labels()[..64]);
    }
    let lenet = |args: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lenet"));
        let output = command.args(args.split_whitespace()).current_dir(dir.path()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, whole, stderr) = lenet("train --data . --epochs 2 --out run");
    assert_eq!(code, Some(0), "{stderr}");
    let file = dir.path().join("run/checkpoint.safetensors");
    let sound = fs::read(&file).unwrap();
    let mutations = (0..60).map(|index| {
        let mut mutation = sound.clone();
        let place = index * sound.len() / 60;
        if index % 2 == 0 {
            mutation.truncate(place)
        } else {
            mutation[place] ^= 1 << (index % 8)
        }
        mutation
    });
    for mutation in mutations {
        fs::write(&file, mutation).unwrap();
        let (code, _, stderr) = lenet("train --resume run");
        assert_eq!(code, Some(1));
        let lines: Vec<&str> = stderr.lines().collect();
        assert!(lines[0].starts_with("error: run/checkpoint.safetensors: "), "{stderr}");
        assert_eq!(
            lines[1],
            "run/previous.safetensors: sound, from epoch 2, batch 1; to go on from there: \
             lenet train --resume run --previous"
        );
    }
    let (code, resumed, stderr) = lenet("train --resume run --previous");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(resumed.lines().last(), whole.lines().last());

    // If both are damaged there is nothing to offer.
    fs::write(&file, "").unwrap();
    fs::write(dir.path().join("run/previous.safetensors"), "").unwrap();
    let (code, _, stderr) = lenet("train --resume run");
    assert!(code == Some(1) && stderr.contains("there is no sound checkpoint before it"), "{stderr}");
    let (code, _, stderr) = lenet("train --resume run --previous");
    assert!(code == Some(1) && stderr.contains("run/previous.safetensors: "), "{stderr}");
}

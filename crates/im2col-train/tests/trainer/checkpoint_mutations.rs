//! Checkpoints that are damaged in any way are refused, by name, and the one before is offered.

use std::fs;
use std::path::Path;
use std::process::Command;

use im2col::{Activation, Layer, LinearParams};
use im2col_testkit::idx::write_idx;
use im2col_train::checkpoint::{Checkpoint, CheckpointError, Configuration, RunRecord, save};
use im2col_train::dataset::{Dataset, Part};
use im2col_train::optimiser::Optimiser;
use im2col_train::train::{Options, TrainError, Trainer};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

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
    isa: None,
    any_rounding: false,
};

fn dataset(first_label: u32) -> Dataset {
    Dataset::new([1, 2, 2], (0..20).map(|pixel| pixel * 10).collect(), vec![first_label, 1, 2, 0, 1]).unwrap()
}

fn configuration(options: Options) -> Configuration {
    let (version, network) = ("0".to_owned(), "small".to_owned());
    let (data, data_sha256, weights, called_in) = (None, None, None, None);
    Configuration { version, network, data, data_sha256, stream: false, weights, called_in, options }
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

/// The file with another value, and the digest that is right for it.
fn with_value(bytes: &[u8], tensor: &str, position: usize, value: f32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let data = SafeTensors::deserialize(&bytes).unwrap().tensor(tensor).unwrap().data().as_ptr();
    let offset = data as usize - bytes.as_ptr() as usize + 4 * position;
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    with_digest(bytes)
}

/// The file with another text of the same length in its header, and the digest that is right for it.
fn with_text(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places = bytes.windows(from.len()).filter(|window| *window == from.as_bytes());
    assert_eq!(places.count(), 1, "{from}");
    let place = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    with_digest(bytes)
}

fn with_digest(mut bytes: Vec<u8>) -> Vec<u8> {
    let key = b"\"sha256\":\"";
    let place = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    bytes[place..place + 64].fill(b'0');
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    bytes[place..place + 64].copy_from_slice(digest.as_bytes());
    bytes
}

#[test]
fn counters_that_contradict_each_other_are_refused_by_name() {
    let data = dataset(0);
    let sound = saved(&data);
    for (from, to, expected) in [
        ("epoch\\\":1,", "epoch\\\":9,", "position.epoch is 9, but should be at most 3"),
        ("batch\\\":1,", "batch\\\":9,", "position.batch is 9, but should be at most 3"),
        ("batch\\\":1,", "batch\\\":2,", "position.step is 4, but should be 5"),
        ("step\\\":4,", "step\\\":7,", "position.step is 7, but should be 4"),
        // 12 weights; the order of 5 images and their shifts; the order again and 2 shifts.
        ("epoch_draws\\\":21,", "epoch_draws\\\":20,", "position.epoch_draws is 20, but should be 21"),
        (",\\\"draws\\\":27,", ",\\\"draws\\\":28,", "position.draws is 28, but should be 27"),
        ("images\\\":2,", "images\\\":3,", "position.totals.images is 3, but should be 2"),
        ("loss\\\":", "loss\\\":-", "position.totals.loss is -"),
    ] {
        // One digit less makes room for the sign.
        let file = match to.ends_with('-') {
            false => with_text(&sound, from, to),
            true => {
                let place = sound.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
                let (start, rest) = sound.split_at(place + from.len());
                let end = rest.iter().position(|&byte| byte == b',').unwrap();
                with_digest([start, b"-", &rest[..end - 1], &rest[end..]].concat())
            }
        };
        let mut trainer = Trainer::new(LAYERS, &data, OPTIONS).unwrap();
        let error = read(&file).unwrap().restore(&mut trainer).unwrap_err();
        assert!(matches!(error, CheckpointError::Counter { .. }));
        let expected = format!("some/checkpoint.safetensors: {expected}");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    for (from, to, expected) in [
        // A control character of two bytes.
        ("{\\\"epoch\\\":", "{\\\"ep\u{9b}h\\\":", "\"position\" unknown field `ep\u{fffd}h`"),
        (
            "best_validation\\\":0.1,",
            "best_validation\\\":1.1,",
            "best_validation is 1.1, but should be from 0 to 1",
        ),
        ("seconds\\\":0.3", "seconds\\\":-.3", "not a checkpoint"),
        ("seconds\\\":0.3", "seconds\\\":-03", "not a checkpoint"),
        ("seconds\\\":0.3", "seconds\\\":-3 ", "seconds is -3, but should be at least 0"),
    ] {
        let error = read(&with_text(&sound, from, to)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// What nobody could go on from is not written.
#[test]
fn steps_out_of_turn_are_not_saved() {
    let data = dataset(0);
    let mut trainer = Trainer::new(LAYERS, &data, OPTIONS).unwrap();
    trainer.step(&[0, 1]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (file, previous) = (dir.path().join("now"), dir.path().join("before"));
    let error = save(&file, &previous, &configuration(OPTIONS), &RunRecord::default(), &trainer).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: position.step is 1, but should be 0", file.display()));
    assert!(!file.exists() && !previous.exists());
}

#[test]
fn values_that_are_not_finite_are_neither_read_nor_saved() {
    let data = dataset(0);
    let sound = saved(&data);
    read(&with_value(&sound, "1.weight", 5, 7.0)).unwrap();
    for (tensor, position, value, expected) in [
        ("1.weight", 5, f32::NAN, "1.weight: value 5 is NaN, not a finite number"),
        ("1.bias", 2, f32::INFINITY, "1.bias: value 2 is inf, not a finite number"),
        (
            "optimizer.second_moment.1.bias",
            0,
            f32::NEG_INFINITY,
            "optimizer.second_moment.1.bias: value 0 is -inf, not a finite number",
        ),
    ] {
        let error = read(&with_value(&sound, tensor, position, value)).unwrap_err();
        assert_eq!(error.to_string(), format!("some/checkpoint.safetensors: {expected}"));
    }

    let optimiser = Optimiser::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.1 };
    let options = Options { rate: 1e30, optimiser, ..OPTIONS };
    let stray = Trainer::new(LAYERS, &data, options).unwrap().with_params(vec![f32::NAN; 15]);
    assert!(matches!(stray, Err(TrainError::NotFinite(_))));
    let mut trainer = Trainer::new(LAYERS, &data, options).unwrap().with_params(vec![1e30; 15]).unwrap();
    // The decay alone is a step of 1e59.
    trainer.next_batch().unwrap();
    assert_eq!(trainer.params()[0], f32::NEG_INFINITY);
    let dir = tempfile::tempdir().unwrap();
    let (file, previous) = (dir.path().join("now"), dir.path().join("before"));
    fs::write(&file, &sound).unwrap();
    let error = save(&file, &previous, &configuration(options), &RunRecord::default(), &trainer).unwrap_err();
    assert!(matches!(error, CheckpointError::Diverged { .. }), "{error}");
    assert!(fs::read(&file).unwrap() == sound && !previous.exists());
}

#[test]
fn other_trainers_are_refused() {
    let data = dataset(0);
    let checkpoint = read(&saved(&data)).unwrap();
    let mut trainer = Trainer::new(LAYERS, &data, Options { rate: 0.2, ..OPTIONS }).unwrap();
    assert_eq!(
        checkpoint.restore(&mut trainer).unwrap_err().to_string(),
        "some/checkpoint.safetensors: a run with other options: configuration.options.rate is 0.1, not 0.2"
    );
    let isa = Some(im2col_train::train::IsaName::Scalar);
    let mut trainer = Trainer::new(LAYERS, &data, Options { isa, ..OPTIONS }).unwrap();
    let error = checkpoint.restore(&mut trainer).unwrap_err().to_string();
    assert!(error.ends_with("configuration.options.isa is null, not \"scalar\""), "{error}");
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
    assert!(code == Some(1) && stderr.contains("there is no sound checkpoint beside it"), "{stderr}");
    let (code, _, stderr) = lenet("train --resume run --previous");
    assert!(code == Some(1) && stderr.contains("run/previous.safetensors: "), "{stderr}");
}

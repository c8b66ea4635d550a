//! Twenty steps as PyTorch takes them, where the reference data is at hand.

use std::path::{Path, PathBuf};

use im2col::Layer;
use im2col::lenet::{LENET, LENET_RELU};
use im2col_testkit::golden::{Tensors, read_json, shared_dir};
use im2col_train::dataset::{Dataset, Part};
use im2col_train::optimiser::Optimiser;
use im2col_train::schedule::Schedule;
use im2col_train::train::{Options, Trainer};
use im2col_train::weights::{Weights, save};

const NETWORKS: [(&str, [Layer; 12]); 2] = [("sigmoid_avg", LENET), ("relu_max", LENET_RELU)];
const BATCH: usize = 32;
/// The references are losses in f64; see "Numbers" in ARCHITECTURE.md.
const RELATIVE_TOLERANCE: f64 = 1e-5;

fn golden_dir() -> Option<PathBuf> {
    let dir = shared_dir().map(|shared| shared.join("golden"));
    if dir.is_none() {
        eprintln!("SKIPPED: no folder shared/golden above this crate, and IM2COL_SHARED is not set");
    }
    dir
}

/// `NAME/init/0.weight` ... as one slice.
fn initial_params(golden: &Path, name: &str, trainer: &Trainer<'_, 12>) -> Vec<f32> {
    let tensors = Tensors::read(&golden.join("lenet.safetensors")).unwrap();
    let parameters = trainer.network().parameters();
    parameters
        .flat_map(|parameter| {
            let key = format!("{name}/init/{}.{}", parameter.layer, parameter.name);
            let tensor = tensors.f32(&key).unwrap_or_else(|| panic!("{key} is missing"));
            assert_eq!(tensor.shape, parameter.dims(), "{key}");
            tensor.values.clone()
        })
        .collect()
}

/// Step `i` takes the training images `32 i` to `32 i + 31`; they are among the built-in digits.
#[test]
fn losses_are_those_of_pytorch() {
    let Some(golden) = golden_dir() else { return };
    let steps = read_json(&golden.join("lenet_steps.json")).unwrap();
    let digits = Dataset::built_in(Part::Train).unwrap();
    for (name, layers) in NETWORKS {
        let reference = &steps[name];
        assert_eq!(reference["batch"].as_u64(), Some(BATCH as u64));
        let number = |key: &str| reference[key].as_f64().unwrap();
        let options = Options {
            epochs: 1,
            batch: BATCH,
            rate: number("lr"),
            schedule: Schedule::Constant,
            optimiser: Optimiser::sgd(number("momentum")),
            ..Options::default()
        };
        let trainer = Trainer::new(layers, &digits, options).unwrap();
        let params = initial_params(&golden, name, &trainer);
        let mut trainer = trainer.with_params(params).unwrap();
        let losses = reference["losses"].as_array().unwrap();
        assert_eq!(losses.len(), 20);
        let mut largest = 0.0_f64;
        for (step, expected) in losses.iter().enumerate() {
            let images: Vec<usize> = (step * BATCH..(step + 1) * BATCH).collect();
            let loss = trainer.step(&images).unwrap().loss();
            let expected = expected.as_f64().unwrap();
            let difference = (loss - expected).abs() / expected;
            assert!(difference <= RELATIVE_TOLERANCE, "{name}, step {step}: {loss}, PyTorch {expected}");
            largest = largest.max(difference);
        }
        println!("{name}: 20 losses, largest relative difference {largest:.1e}");
    }
}

#[test]
fn saved_files_have_the_names_and_values_of_state_dict() {
    let Some(golden) = golden_dir() else { return };
    let digits = Dataset::built_in(Part::Train).unwrap();
    let reference = Tensors::read(&golden.join("lenet.safetensors")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (name, layers) in NETWORKS {
        let trainer = Trainer::new(layers, &digits, Options::default()).unwrap();
        let params = initial_params(&golden, name, &trainer);
        let file = dir.path().join(name);
        save(&file, name, trainer.network(), &params).unwrap();
        let saved = Tensors::read(&file).unwrap();
        for key in [0, 3, 7, 9, 11]
            .into_iter()
            .flat_map(|layer| ["weight", "bias"].map(|of| format!("{layer}.{of}")))
        {
            assert_eq!(saved.f32(&key), reference.f32(&format!("{name}/init/{key}")), "{name} {key}");
        }
        assert_eq!(Weights::read(&file).unwrap().params(trainer.network()).unwrap(), params);
    }
}

//! What files of weights say about themselves, and what the commands make of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use im2col::Network;
use im2col::lenet::{LENET, LENET_RELU};
use im2col_testkit::idx::write_idx;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::train::{Options, Trainer};
use im2col_train::weights::{Description, NORMALISATION, Weights, save};
use image::GrayImage;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

fn lenet(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lenet")).args(args).current_dir(dir).output().unwrap()
}

/// What a successful command prints, and what it says beside it.
fn said(output: &Output) -> (&str, &str) {
    let stderr = std::str::from_utf8(&output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    (std::str::from_utf8(&output.stdout).unwrap(), stderr)
}

fn refused(output: &Output) -> &str {
    let stderr = std::str::from_utf8(&output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{stderr}");
    stderr
}

fn params() -> (Network<12>, Vec<f32>) {
    let network = Network::plan(LENET_RELU, 1, [1, 28, 28]).unwrap();
    let black = Dataset::new([1, 28, 28], vec![0; 784], vec![0]).unwrap();
    let options = Options { seed: 5, ..Options::default() };
    (network, Trainer::new(LENET_RELU, &black, options).unwrap().params().to_vec())
}

fn save_as(dir: &Path, description: Description) {
    let (network, params) = params();
    save(&dir.join("w"), description, &network, &params).unwrap();
}

/// A set that the program knows: its name, and those of its classes.
type KnownSet = (&'static str, [&'static str; 10]);

const MNIST: KnownSet = ("mnist", ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
const FASHION_MNIST: KnownSet = (
    "fashion-mnist",
    [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
);

fn described(network: &str, (name, classes): KnownSet) -> Description {
    Description {
        network: Some(network.into()),
        data_set: Some(name.into()),
        classes: Some(classes.map(str::to_owned).to_vec()),
        normalisation: Some(NORMALISATION.into()),
    }
}

/// A file of the same parameters as another program writes it: its names, types and no metadata.
fn save_foreign(dir: &Path, dtype: Dtype, modules: [&str; 5]) {
    let (network, params) = params();
    let layers = [0, 3, 7, 9, 11];
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = network
        .parameters()
        .map(|parameter| {
            let module = modules[layers.iter().position(|&layer| layer == parameter.layer).unwrap()];
            let values = params[parameter.range.clone()].iter();
            let bytes = match dtype {
                Dtype::BF16 => values.flat_map(|value| value.to_le_bytes()[2..].to_vec()).collect(),
                _ => values.flat_map(|value| value.to_le_bytes()).collect(),
            };
            (format!("{module}.{}", parameter.name), parameter.dims().to_vec(), bytes)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, dims, bytes)| (name, TensorView::new(dtype, dims.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, None, &dir.join("w")).unwrap();
}

fn write_picture(dir: &Path) {
    let digits = Dataset::built_in(Part::Test).unwrap();
    let picture = GrayImage::from_raw(28, 28, digits.pixels()[..784].to_vec()).unwrap();
    picture.save(dir.join("7.png")).unwrap();
}

const EVAL: [&str; 3] = ["eval", "--weights", "w"];
const PREDICT: [&str; 4] = ["predict", "--weights", "w", "7.png"];
const TAKEN_FOR: &str = "warning: w: does not say which network it is of: taken for lenet-relu (ReLU and max pooling); if \
                         it is lenet (sigmoid and average pooling): --network lenet\n";

/// Sigmoid and ReLU have the same tensors: 40 % instead of 80 %, and nobody noticed.
#[test]
fn what_is_assumed_is_said() {
    let dir = tempfile::tempdir().unwrap();
    save_foreign(dir.path(), Dtype::F32, ["0", "3", "7", "9", "11"]);
    write_picture(dir.path());
    let pixels = "warning: w: does not say how inputs are made of pixels: taken for pixel / 255\n";
    let judged =
        "warning: w: does not say what the network has learned: judged by digits; for others: --data DIR\n";
    for extra in [&[][..], &["-q"], &["--json"]] {
        let output = lenet(dir.path(), &[&EVAL[..], extra].concat());
        assert_eq!(said(&output).1, format!("{TAKEN_FOR}{pixels}{judged}"));
    }
    let asked = lenet(dir.path(), &[&EVAL[..], &["--network", "lenet-relu"]].concat());
    assert_eq!(said(&asked).1, format!("{pixels}{judged}"));
    let other = lenet(dir.path(), &[&EVAL[..], &["--network", "lenet"]].concat());
    assert_ne!(said(&asked).0, said(&other).0);

    let learned = "warning: w: does not say what the network has learned: taken for digits; for clothes: --set \
                   fashion-mnist\n";
    assert_eq!(said(&lenet(dir.path(), &PREDICT)).1, format!("{TAKEN_FOR}{pixels}{learned}"));
    let asked = ["--network", "lenet-relu", "--set", "mnist"];
    assert_eq!(said(&lenet(dir.path(), &[&PREDICT[..], &asked].concat())).1, pixels);

    // What was assumed does not become what the next file says.
    let export = ["export", "--weights", "w", "--format", "safetensors", "--out", "copy"];
    assert_eq!(said(&lenet(dir.path(), &export)).1, TAKEN_FOR);
    assert_eq!(Weights::read(&dir.path().join("copy")).unwrap().network(), None);
    assert_eq!(said(&lenet(dir.path(), &[&export[..], &["--network", "lenet"]].concat())).1, "");
    assert_eq!(Weights::read(&dir.path().join("copy")).unwrap().network(), Some("lenet"));
}

#[test]
fn what_a_file_says_decides() {
    let dir = tempfile::tempdir().unwrap();
    write_picture(dir.path());
    save_as(dir.path(), described("lenet-relu", MNIST));
    for command in [&EVAL[..], &PREDICT] {
        assert_eq!(said(&lenet(dir.path(), command)).1, "");
    }
    let wrong = lenet(dir.path(), &[&PREDICT[..], &["--set", "fashion-mnist"]].concat());
    assert_eq!(refused(&wrong), "error: w: the network has learned mnist, not fashion-mnist\n");
    let wrong = lenet(dir.path(), &[&EVAL[..], &["--network", "lenet"]].concat());
    assert_eq!(refused(&wrong), "error: w: these are weights of lenet-relu\n");

    let (network, params) = params();
    let sigmoid = Network::plan(LENET, 1, [1, 28, 28]).unwrap();
    assert_eq!(network.param_len(), sigmoid.param_len());
    save(&dir.path().join("w"), described("lenet", MNIST), &sigmoid, &params).unwrap();
    let named = said(&lenet(dir.path(), &EVAL)).0.to_owned();
    save(&dir.path().join("w"), Description::default(), &sigmoid, &params).unwrap();
    let requested = lenet(dir.path(), &[&EVAL[..], &["--network", "lenet"]].concat());
    assert_eq!(said(&requested).0, named);

    let normalised =
        Description { normalisation: Some("(pixel / 255 - 0.1307) / 0.3081".into()), ..Default::default() };
    save_as(dir.path(), Description { network: Some("lenet".into()), ..normalised });
    for command in [&EVAL[..], &PREDICT] {
        let output = lenet(dir.path(), command);
        assert!(refused(&output).contains("inputs made by \"(pixel / 255 - 0.1307) / 0.3081\""));
    }
}

#[test]
fn clothes_are_not_judged_as_digits() {
    let dir = tempfile::tempdir().unwrap();
    write_picture(dir.path());
    save_as(dir.path(), described("lenet-relu", FASHION_MNIST));
    assert_eq!(
        refused(&lenet(dir.path(), &EVAL)),
        "error: w: the network has learned \"fashion-mnist\", the images are of mnist: name the folder of its test \
         images with --data DIR\n"
    );
    // Whoever names the folder may have a reason.
    let digits = Dataset::built_in(Part::Test).unwrap();
    write_idx(dir.path(), "t10k", digits.pixels(), digits.labels());
    let output = lenet(dir.path(), &[&EVAL[..], &["--data", "."]].concat());
    assert_eq!(
        said(&output).1,
        "warning: w: the network has learned \"fashion-mnist\", the images are of mnist\n"
    );
    let output = lenet(dir.path(), &PREDICT);
    let (stdout, stderr) = said(&output);
    let names: Vec<&str> = stdout.lines().skip(1).map(|line| line[2..13].trim_end()).collect();
    assert_eq!(names, FASHION_MNIST.1);
    assert_eq!(stderr, "");
}

#[test]
fn names_of_classes_come_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    write_picture(dir.path());
    let letters = |count| {
        Some(["A", "B", "C", "D", "E", "F", "G", "H", "I", "größe"].map(str::to_owned)[..count].to_vec())
    };
    let own = Description {
        network: Some("lenet-relu".into()),
        data_set: Some("letters".into()),
        normalisation: Some(NORMALISATION.into()),
        ..Default::default()
    };
    save_as(dir.path(), Description { classes: letters(10), ..own.clone() });
    let output = lenet(dir.path(), &[&PREDICT[..], &["--json"]].concat());
    let (stdout, stderr) = said(&output);
    let value: serde_json::Value = serde_json::from_str(stdout).unwrap();
    let class = value["class"].as_u64().unwrap() as usize;
    assert_eq!(value["name"], letters(10).unwrap()[class]);
    let assumed = "warning: w: the program does not know the set \"letters\": taken for digits; for clothes: --set \
                   fashion-mnist\n";
    assert_eq!(stderr, assumed);

    save_as(dir.path(), Description { classes: letters(9), ..own.clone() });
    let output = lenet(dir.path(), &PREDICT);
    let error = "error: w: 9 names of classes for the network's 10 outputs\n";
    assert_eq!(refused(&output), format!("{assumed}{error}"));
    save_as(dir.path(), own);
    let output = lenet(dir.path(), &[&PREDICT[..], &["--set", "fashion-mnist"]].concat());
    assert_eq!((said(&output).0.lines().count(), said(&output).1), (11, ""));
    assert!(said(&output).0.contains("\n  Ankle boot "));

    let export = ["export", "--weights", "w", "--format", "rust", "--out", "w.rs"];
    save_as(dir.path(), described("lenet-relu", FASHION_MNIST));
    said(&lenet(dir.path(), &export));
    let source = fs::read_to_string(dir.path().join("w.rs")).unwrap();
    assert!(source.contains(
        "// data set: fashion-mnist\n// inputs: pixel / 255\n// classes: 0 T-shirt/top, 1 Trouser"
    ));
}

#[test]
fn training_says_what_was_learned() {
    let dir = tempfile::tempdir().unwrap();
    let digits = Dataset::built_in(Part::Test).unwrap();
    fs::create_dir(dir.path().join("few")).unwrap();
    for part in ["train", "t10k"] {
        write_idx(&dir.path().join("few"), part, &digits.pixels()[..64 * 784], &digits.labels()[..64]);
    }
    let train =
        ["train", "--data", "few", "--epochs", "1", "--network", "lenet", "--out", "run", "--lr", "0.9"];
    said(&lenet(dir.path(), &train));
    let file = dir.path().join("run/weights.safetensors");
    let weights = Weights::read(&file).unwrap();
    let expected = Description {
        network: Some("lenet".into()),
        data_set: Some("few".into()),
        classes: None,
        normalisation: Some(NORMALISATION.into()),
    };
    assert_eq!(weights.description().unwrap(), expected);
    let eval = ["eval", "--weights", "run/weights.safetensors"];
    assert_eq!(said(&lenet(dir.path(), &[&eval[..], &["--data", "few"]].concat())).1, "");
    // Digits too, perhaps.
    let warning =
        "warning: run/weights.safetensors: the network has learned \"few\", the images are of mnist\n";
    assert_eq!(said(&lenet(dir.path(), &eval)).1, warning);
}

#[test]
fn tensors_of_other_programs_are_taken_with_a_line_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write_picture(dir.path());
    save_as(dir.path(), described("lenet-relu", MNIST));
    let asked = ["--network", "lenet-relu", "--set", "mnist"];
    let expected = said(&lenet(dir.path(), &PREDICT)).0.to_owned();
    for (dtype, modules, note) in [
        (
            Dtype::F32,
            ["module.0", "module.3", "module.7", "module.9", "module.11"],
            "w: took the names without their prefix \"module.\"\n",
        ),
        (
            Dtype::F32,
            ["conv1", "conv2", "fc1", "fc2", "fc3"],
            "w: took conv1, conv2, fc1, fc2, fc3 for layers 0, 3, 7, 9, 11, by their dimensions\n",
        ),
        (Dtype::BF16, ["0", "3", "7", "9", "11"], "w: took BF16 converted to F32\n"),
    ] {
        save_foreign(dir.path(), dtype, modules);
        let output = lenet(dir.path(), &[&PREDICT[..], &asked].concat());
        let (stdout, stderr) = said(&output);
        let pixels = "warning: w: does not say how inputs are made of pixels: taken for pixel / 255\n";
        assert_eq!(stderr, format!("{note}{pixels}"));
        if dtype == Dtype::F32 {
            assert_eq!(stdout, expected);
        }
        // Exported, the tensors have the names that PyTorch's Sequential gives them.
        let export = [
            "export",
            "--weights",
            "w",
            "--network",
            "lenet-relu",
            "--format",
            "safetensors",
            "--out",
            "own",
        ];
        assert_eq!(said(&lenet(dir.path(), &export)).1, note);
        let loaded = Weights::read(&dir.path().join("own")).unwrap().load(&params().0).unwrap();
        assert_eq!(loaded.note, None);
        if dtype == Dtype::F32 {
            assert_eq!(loaded.params, params().1);
        }
    }
    save_foreign(dir.path(), Dtype::F32, ["conv2", "conv1", "fc1", "fc2", "fc3"]);
    let output = lenet(dir.path(), &EVAL);
    let error = "error: w: conv2: by its dimensions it comes before conv1, by its name after it\n";
    assert!(refused(&output).ends_with(error));
}

#[test]
fn values_that_are_not_finite_are_refused_by_every_command() {
    let dir = tempfile::tempdir().unwrap();
    write_picture(dir.path());
    save_as(dir.path(), described("lenet-relu", MNIST));
    let mut bytes = fs::read(dir.path().join("w")).unwrap();
    let len = bytes.len();
    // The last tensor of the file is 9.weight [84, 120]. Finite weights may have sums that are not.
    for value in bytes[len - 4 * 84 * 120..].chunks_exact_mut(4) {
        value.copy_from_slice(&f32::MAX.to_le_bytes());
    }
    fs::write(dir.path().join("w"), &bytes).unwrap();
    assert!(refused(&lenet(dir.path(), &EVAL)).contains("error: the test loss is "));
    assert!(refused(&lenet(dir.path(), &PREDICT)).contains("what the network says is no number"));
    bytes[len - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    fs::write(dir.path().join("w"), bytes).unwrap();
    let export = ["export", "--weights", "w", "--format", "raw", "--out", "x"];
    for command in [&EVAL[..], &PREDICT, &export] {
        let output = lenet(dir.path(), command);
        assert_eq!(refused(&output), "error: w: 9.weight[83, 119] is inf in F32: not a finite number\n");
    }
    assert!(!dir.path().join("x").exists());
}

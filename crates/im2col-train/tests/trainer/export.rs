//! What other programs make of exported parameters.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, serialize_to_file};
use im2col::lenet::{LENET, LENET_RELU};
use im2col::{Layer, Network, NetworkWeights};
use im2col_testkit::golden::{Tensors, shared_dir};
use im2col_train::dataset::{Dataset, Part};
use im2col_train::export::{ExportError, raw, rust, safetensors};
use im2col_train::train::{Options, Trainer};
use im2col_train::weights::{Weights, save};

/// Digits to compare scores by.
const DIGITS: usize = 20;

fn network(layers: [Layer; 12]) -> Network<12> {
    Network::plan(layers, 1, [1, 28, 28]).unwrap()
}

/// Random parameters of any LeNet, and among them some that are hard to write down.
fn params() -> Vec<f32> {
    let black = Dataset::new([1, 28, 28], vec![0; 784], vec![0]).unwrap();
    let mut params = Trainer::new(LENET, &black, Options::default()).unwrap().params().to_vec();
    let hard = [
        -0.0,
        f32::from_bits(1),
        -f32::MIN_POSITIVE,
        1e-20,
        0.1,
        1.0,
        std::f32::consts::FRAC_1_PI,
        1.0 / 3.0,
        16_777_217.0,
    ];
    params[100..100 + hard.len()].copy_from_slice(&hard);
    params
}

/// Runs `lenet export` in a folder.
fn export(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lenet")).arg("export").args(args).current_dir(dir).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn raw_is_every_bit_in_order() {
    let network = network(LENET);
    let params = params();
    let bytes = raw(&network, &params).unwrap();
    assert_eq!(bytes.len(), 4 * 61_706);
    for (bytes, value) in bytes.chunks(4).zip(&params) {
        assert_eq!(u32::from_le_bytes(bytes.try_into().unwrap()), value.to_bits());
    }
}

#[test]
fn what_cannot_be_written_is_named() {
    let network = network(LENET);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut params = params();
        // The second bias of the second convolution.
        params[156 + 2400 + 1] = value;
        let expected = format!("3.bias: value 1 is {value}, not a finite number");
        assert_eq!(rust("x", "y", &network, &params).unwrap_err().to_string(), expected);
        assert_eq!(raw(&network, &params).unwrap_err().to_string(), expected);
        assert_eq!(safetensors("x", &network, &params).unwrap_err().to_string(), expected);
    }
    for len in [0, 61_705, 61_707] {
        let error = rust("x", "y", &network, &vec![0.0; len]).unwrap_err();
        assert!(matches!(error, ExportError::Params { required: 61_706, given } if given == len), "{error}");
    }
}

/// A file as `save_file(net.state_dict(), ...)` of PyTorch writes it: tensors of PyTorch's own, and no network's name.
fn torch_file(dir: &Path) -> Option<(PathBuf, Vec<f32>)> {
    let Some(shared) = shared_dir() else {
        eprintln!("SKIPPED: no folder shared/golden above this crate, and IM2COL_SHARED is not set");
        return None;
    };
    let tensors = Tensors::read(&shared.join("golden/lenet.safetensors")).unwrap();
    let mut params = Vec::new();
    let mut saved = Vec::new();
    for parameter in network(LENET).parameters() {
        let name = format!("{}.{}", parameter.layer, parameter.name);
        let tensor = tensors.f32(&format!("sigmoid_avg/init/{name}")).unwrap();
        let bytes: Vec<u8> = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        params.extend(&tensor.values);
        saved.push((name, tensor.shape.clone(), bytes));
    }
    let views = saved
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let file = dir.join("torch.safetensors");
    serialize_to_file(views, None, &file).unwrap();
    Some((file, params))
}

#[test]
fn parameters_of_pytorch_go_through() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_, params)) = torch_file(dir.path()) else { return };
    let from = ["--network", "lenet", "--weights", "torch.safetensors"];
    let output = export(dir.path(), &[&from[..], &["--format", "raw", "--out", "raw.bin"]].concat());
    assert_eq!(fs::read(dir.path().join("raw.bin")).unwrap(), raw(&network(LENET), &params).unwrap());
    let printed = stdout(&output);
    assert!(printed.starts_with("raw.bin: 246824 bytes, SHA-256 "), "{printed}");
    assert!(
        printed.ends_with("static PARAMS: [f32; 61706] = im2col::include_f32!(\"raw.bin\");\n"),
        "{printed}"
    );

    stdout(&export(dir.path(), &[&from[..], &["--format", "safetensors", "--out", "named"]].concat()));
    let named = Weights::read(&dir.path().join("named")).unwrap();
    assert_eq!(named.network(), Some("lenet"));
    assert_eq!(named.params(&network(LENET)).unwrap(), params);

    let json = export(dir.path(), &["--weights", "named", "--format", "rust", "--out", "lenet.rs", "--json"]);
    let json: serde_json::Value = serde_json::from_str(stdout(&json)).unwrap();
    assert_eq!((&json["network"], &json["params"]), (&"lenet".into(), &61_706.into()));
    assert_eq!(json["bytes"], fs::metadata(dir.path().join("lenet.rs")).unwrap().len());
}

#[test]
fn the_command_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let network = network(LENET_RELU);
    let file = dir.path().join("weights");
    save(&file, "lenet-relu", &network, &vec![0.0; 61_706]).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let not_a_number = f32::NAN.to_le_bytes();
    let values = bytes.len() - 4 * 61_706;
    bytes[values..].chunks_mut(4).for_each(|value| value.copy_from_slice(&not_a_number));
    fs::write(&file, bytes).unwrap();
    for (args, expected) in [
        (&["--format", "raw", "--out", "x"][..], "runs/lenet/weights.safetensors"),
        (&["--format", "rust", "--out", "x", "--weights", "weights"], "weights: 0.weight[0, 0, 0, 0] is NaN"),
        (&["--format", "onnx", "--out", "x"], "safetensors, raw, rust"),
        (&["--format", "raw"], "--out"),
    ] {
        let output = export(dir.path(), args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains(expected), "{args:?}: {stderr}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was written");
}

/// A program of another crate, without std but for reading and printing, has the same parameters and computes the
/// same scores, bit for bit.
#[test]
fn another_program_computes_the_same() {
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exported");
    fs::create_dir_all(project.join("src")).unwrap();
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../im2col");
    let manifest = format!(
        "[package]\nname = \"exported\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\nim2col = \
         {{ path = {core:?}, default-features = false }}\n\n[workspace]\n"
    );
    fs::write(project.join("Cargo.toml"), manifest).unwrap();
    fs::copy(core.join("../../Cargo.lock"), project.join("Cargo.lock")).unwrap();
    fs::write(project.join("src/lib.rs"), LIBRARY).unwrap();
    fs::write(project.join("src/main.rs"), PROGRAM).unwrap();

    let mut expected = String::new();
    let digits = Dataset::built_in(Part::Test).unwrap();
    let pixels = &digits.pixels()[..DIGITS * 784];
    for (name, layers) in [("lenet", LENET), ("lenet-relu", LENET_RELU)] {
        let network = network(layers);
        let params = params();
        save(&project.join("weights"), name, &network, &params).unwrap();
        for (format, extension) in [("rust", "rs"), ("raw", "bin")] {
            let out = format!("src/{}.{extension}", name.replace('-', "_"));
            stdout(&export(&project, &["--weights", "weights", "--format", format, "--out", &out]));
        }
        for pixels in pixels.chunks(784) {
            let image: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
            let mut logits = vec![0.0; 10];
            let mut scratch = vec![0.0; network.scratch_len()];
            network.forward(NetworkWeights::Plain(&params), &image, &mut logits, &mut scratch).unwrap();
            let bits: Vec<u32> = logits.iter().map(|value| value.to_bits()).collect();
            expected += &format!("{} {bits:?}\n", im2col::argmax(&logits).unwrap());
        }
    }

    let mut program = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--target-dir"])
        .arg(project.join("target"))
        .current_dir(&project)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    program.stdin.take().unwrap().write_all(pixels).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

const LIBRARY: &str = r#"#![no_std]
#![deny(warnings)]

pub mod lenet;
pub mod lenet_relu;

pub static RAW: [f32; lenet::NETWORK.param_len()] = im2col::include_f32!("lenet.bin");
pub static RAW_RELU: [f32; lenet_relu::NETWORK.param_len()] = im2col::include_f32!("lenet_relu.bin");
"#;

const PROGRAM: &str = r#"use std::io::{Read, stdin};

use exported::{RAW, RAW_RELU, lenet, lenet_relu};

fn main() {
    for (rust, raw) in [(&lenet::PARAMS, &RAW), (&lenet_relu::PARAMS, &RAW_RELU)] {
        assert!(rust.iter().zip(raw).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
    let mut pixels = Vec::new();
    stdin().read_to_end(&mut pixels).unwrap();
    let images: Vec<[f32; 784]> = pixels
        .chunks(784)
        .map(|pixels| std::array::from_fn(|index| f32::from(pixels[index]) / 255.0))
        .collect();
    let mut scratch = [f32::NAN; lenet::NETWORK.scratch_len()];
    for image in &images {
        let logits = lenet::logits(image, &mut scratch).unwrap();
        println!("{} {:?}", lenet::class(image, &mut scratch).unwrap(), logits.map(f32::to_bits));
    }
    let mut scratch = [f32::NAN; lenet_relu::NETWORK.scratch_len()];
    for image in &images {
        let logits = lenet_relu::logits(image, &mut scratch).unwrap();
        println!("{} {:?}", lenet_relu::class(image, &mut scratch).unwrap(), logits.map(f32::to_bits));
    }
}
"#;

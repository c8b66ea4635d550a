//! Parameters survive the way through a file; files that are not theirs are refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use im2col::{Activation, Layer, LinearParams, Network};
use im2col_train::weights::{Weights, WeightsError, save};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Parameters `1.weight` `[2, 3]` and `1.bias` `[2]`.
fn network() -> Network<3> {
    let layers =
        [Layer::Flatten, Layer::Linear(LinearParams::new(3, 2)), Layer::Activation(Activation::Sigmoid)];
    Network::plan(layers, 1, [1, 1, 3]).unwrap()
}

const PARAMS: [f32; 8] = [1.5, -2.0, f32::MIN_POSITIVE, 4.0, f32::INFINITY, -0.0, 7.0, 0.1];

fn read(bytes: &[u8]) -> Result<Vec<f32>, WeightsError> {
    Weights::from_bytes(Path::new("some.safetensors"), bytes.to_vec())?.params(&network())
}

/// To compare infinities and signed zeros too.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn saved() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weights.safetensors");
    save(&file, "small", &network(), &PARAMS).unwrap();
    fs::read(file).unwrap()
}

#[test]
fn parameters_survive() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weights.safetensors");
    for params in [[0.0; 8], PARAMS] {
        save(&file, "small", &network(), &params).unwrap();
        let weights = Weights::read(&file).unwrap();
        assert_eq!(weights.network(), Some("small"));
        assert_eq!(bits(&weights.params(&network()).unwrap()), bits(&params));
    }
    // Nothing is left of the temporary files.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(saved(), saved(), "the same parameters are the same bytes");
}

#[test]
fn a_failed_save_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let occupied = dir.path().join("weights.safetensors");
    fs::create_dir(&occupied).unwrap();
    let error = save(&occupied, "small", &network(), &PARAMS).unwrap_err();
    assert!(error.to_string().contains("weights.safetensors"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let error = save(&dir.path().join("params"), "small", &network(), &PARAMS[1..]).unwrap_err();
    assert!(matches!(error, WeightsError::Params { required: 8, given: 7 }));
    let error = save(&dir.path().join("missing/params"), "small", &network(), &PARAMS).unwrap_err();
    assert!(matches!(error, WeightsError::Io { .. }));
    let error = Weights::read(&dir.path().join("missing")).unwrap_err();
    assert!(matches!(error, WeightsError::Io { .. }));
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let bytes = saved();
    for len in 0..bytes.len() {
        assert!(matches!(read(&bytes[..len]), Err(WeightsError::Format { .. })), "{len}");
    }
    assert!(matches!(read(&[bytes, vec![0]].concat()), Err(WeightsError::Format { .. })));
}

#[test]
fn flipped_bits_are_refused_or_change_values_only() {
    let bytes = saved();
    let header_len = bytes.len() - 4 * PARAMS.len();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match read(&flipped) {
            Ok(params) if bit / 8 < header_len => {
                // In the header, only the metadata may change unnoticed.
                assert_eq!(bits(&params), bits(&PARAMS), "bit {bit}");
            }
            Ok(params) => assert_eq!(params.len(), PARAMS.len()),
            Err(error) => assert!(error.to_string().starts_with("some.safetensors: "), "{error}"),
        }
    }
}

#[test]
fn other_tensors_are_refused_by_name() {
    let file = |tensors: &[(&str, Dtype, &[usize])]| {
        let data = vec![0; 256];
        let views = tensors.iter().map(|&(name, dtype, dims)| {
            let len = dims.iter().product::<usize>() * dtype.bitsize() / 8;
            (name, TensorView::new(dtype, dims.to_vec(), &data[..len]).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    };
    let weight = ("1.weight", Dtype::F32, [2, 3].as_slice());
    let bias = ("1.bias", Dtype::F32, [2].as_slice());
    assert_eq!(read(&file(&[weight, bias])).unwrap(), [0.0; 8]);

    let message = |tensors: &[(&str, Dtype, &[usize])]| read(&file(tensors)).unwrap_err().to_string();
    assert_eq!(message(&[weight]), "some.safetensors: 1.bias is missing");
    assert_eq!(
        message(&[weight, bias, ("2.bias", Dtype::F32, &[2])]),
        "some.safetensors: 2.bias is not a parameter of the network"
    );
    assert_eq!(
        message(&[("1.weight", Dtype::F32, &[3, 2]), bias]),
        "some.safetensors: 1.weight is F32 [3, 2], the network needs F32 [2, 3]"
    );
    assert_eq!(
        message(&[weight, ("1.bias", Dtype::F64, &[2])]),
        "some.safetensors: 1.bias is F64 [2], the network needs F32 [2]"
    );
    let unnamed = Weights::from_bytes(Path::new("x"), file(&[weight, bias])).unwrap();
    assert_eq!(unnamed.network(), None);
}

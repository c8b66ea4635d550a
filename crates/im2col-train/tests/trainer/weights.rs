//! Parameters survive the way through a file; files that are not theirs are refused.

use std::fs;
use std::path::Path;

use im2col::{Activation, Layer, LinearParams, Network};
use im2col_train::file::FileError;
use im2col_train::weights::{Description, NORMALISATION, Weights, WeightsError, save};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Parameters `1.weight` `[2, 3]` and `1.bias` `[2]`.
fn network() -> Network<3> {
    let layers =
        [Layer::Flatten, Layer::Linear(LinearParams::new(3, 2)), Layer::Activation(Activation::Sigmoid)];
    Network::plan(layers, 1, [1, 1, 3]).unwrap()
}

const PARAMS: [f32; 8] = [1.5, -2.0, f32::MIN_POSITIVE, 4.0, f32::MAX, -0.0, 7.0, 0.1];

fn read(bytes: &[u8]) -> Result<Vec<f32>, WeightsError> {
    Weights::from_bytes(Path::new("some.safetensors"), bytes.to_vec())?.params(&network())
}

/// To compare signed zeros too.
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
fn what_a_file_says_survives() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weights.safetensors");
    let description = Description {
        network: Some("small".into()),
        data_set: Some("lamps".into()),
        classes: Some(vec!["on \"1\"".into(), "off, größer".into()]),
        normalisation: Some(NORMALISATION.into()),
    };
    let mut files = Vec::new();
    // Several entries, always in one order.
    for _ in 0..8 {
        save(&file, description.clone(), &network(), &PARAMS).unwrap();
        let weights = Weights::read(&file).unwrap();
        assert_eq!(weights.description().unwrap(), description);
        assert_eq!(bits(&weights.params(&network()).unwrap()), bits(&PARAMS));
        files.push(fs::read(&file).unwrap());
    }
    files.dedup();
    assert_eq!(files.len(), 1, "the same weights are the same bytes");
    // As this crate wrote them before there was more to say.
    save(&file, "small", &network(), &PARAMS).unwrap();
    assert_eq!(Weights::read(&file).unwrap().description().unwrap(), "small".into());
    save(&file, Description::default(), &network(), &PARAMS).unwrap();
    assert_eq!(Weights::read(&file).unwrap().description().unwrap(), Description::default());
}

#[test]
fn metadata_that_cannot_be_understood_are_refused() {
    let bytes = |entries: &[(&str, &str)]| {
        let metadata = entries.iter().map(|(key, text)| (key.to_string(), text.to_string())).collect();
        let data = [0; 4];
        let view = TensorView::new(Dtype::F32, vec![1], &data).unwrap();
        safetensors::serialize([("x", view)], Some(metadata)).unwrap()
    };
    let describe = |entries| Weights::from_bytes(Path::new("x"), bytes(entries)).unwrap().description();
    assert_eq!(describe(&[("format", "pt")]).unwrap(), Description::default());
    let error = describe(&[("classes", "[1]")]).unwrap_err().to_string();
    assert!(error.starts_with("x: metadata \"classes\": invalid type"), "{error}");
    let error = describe(&[("network", "\u{1b}[2J")]).unwrap_err().to_string();
    assert_eq!(error, "x: metadata \"network\": has control characters");
}

#[test]
fn values_that_are_not_finite_are_neither_written_nor_read() {
    let dir = tempfile::tempdir().unwrap();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (position, place) in [(5, "1.weight[1, 2]"), (7, "1.bias[1]")] {
            let mut params = PARAMS;
            params[position] = value;
            let error = save(&dir.path().join("w"), "small", &network(), &params).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("w: {place} is {value} in F32: not a finite number")),
                "{error}"
            );

            let mut bytes = saved();
            // In a file, the bias comes first.
            let stored = if position < 6 { position + 2 } else { position - 6 };
            let offset = bytes.len() - 4 * PARAMS.len() + 4 * stored;
            bytes[offset..][..4].copy_from_slice(&value.to_le_bytes());
            let error = read(&bytes).unwrap_err().to_string();
            assert_eq!(error, format!("some.safetensors: {place} is {value} in F32: not a finite number"));
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
    // Finite in F64 only.
    let weight = [1e300_f64; 6].map(f64::to_le_bytes).concat();
    let bias = [0; 8];
    let views = [
        ("1.weight", TensorView::new(Dtype::F64, vec![2, 3], &weight).unwrap()),
        ("1.bias", TensorView::new(Dtype::F32, vec![2], &bias).unwrap()),
    ];
    let error = read(&safetensors::serialize(views, None).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "some.safetensors: 1.weight[0, 0] is inf in F32: not a finite number");
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
    assert!(matches!(error, WeightsError::File(FileError::Io { .. })));
    let error = Weights::read(&dir.path().join("missing")).unwrap_err();
    assert!(matches!(error, WeightsError::File(FileError::Io { .. })));
}

/// What could not be read is not written.
#[test]
fn a_header_beyond_the_limit_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("w");
    let error = save(&file, "x".repeat(1 << 20).as_str(), &network(), &PARAMS).unwrap_err();
    assert!(error.to_string().ends_with("header too large") && !file.exists(), "{error}");
    save(&file, "x".repeat(1_000_000).as_str(), &network(), &PARAMS).unwrap();
    Weights::read(&file).unwrap();
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let bytes = saved();
    for len in 0..bytes.len() {
        assert!(matches!(read(&bytes[..len]), Err(WeightsError::Header { .. })), "{len}");
    }
    assert!(matches!(read(&[bytes, vec![0]].concat()), Err(WeightsError::Header { .. })));
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

/// A file of tensors that each hold 0.5, 1.0, 1.5 ...
fn file(tensors: &[(&str, Dtype, &[usize])]) -> Vec<u8> {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|&(name, dtype, dims)| {
            let numbers = (0..dims.iter().product()).map(|index: usize| 0.5 * (index + 1) as f64);
            let data: Vec<u8> = match dtype {
                Dtype::F64 => numbers.flat_map(f64::to_le_bytes).collect(),
                Dtype::F16 => numbers.flat_map(|number| half(number).to_le_bytes()).collect(),
                // The upper half of an f32.
                Dtype::BF16 => {
                    numbers.flat_map(|number| (number as f32).to_le_bytes()[2..].to_vec()).collect()
                }
                _ => numbers.flat_map(|number| (number as f32).to_le_bytes()).collect(),
            };
            (name, dtype, dims, data)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, dtype, dims, data)| (name, TensorView::new(*dtype, dims.to_vec(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// A normal number of at most eleven binary digits in half precision.
fn half(number: f64) -> u16 {
    let exponent = number.log2().floor() as i32;
    let fraction = number / 2.0_f64.powi(exponent) - 1.0;
    ((exponent + 15) as u16) << 10 | (fraction * 1024.0) as u16
}

fn message(tensors: &[(&str, Dtype, &[usize])]) -> String {
    read(&file(tensors)).unwrap_err().to_string()
}

/// The parameters and the note.
fn taken(tensors: &[(&str, Dtype, &[usize])]) -> (Vec<f32>, Option<String>) {
    let loaded = Weights::from_bytes(Path::new("x"), file(tensors)).unwrap().load(&network()).unwrap();
    (loaded.params, loaded.note)
}

const EXPECTED: [f32; 8] = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 0.5, 1.0];

#[test]
fn other_tensors_are_refused_by_name() {
    let weight = ("1.weight", Dtype::F32, [2, 3].as_slice());
    let bias = ("1.bias", Dtype::F32, [2].as_slice());
    assert_eq!(taken(&[weight, bias]), (EXPECTED.to_vec(), None));
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
        message(&[weight, ("1.bias", Dtype::I32, &[2])]),
        "some.safetensors: 1.bias is I32 [2], the network needs F32 [2]"
    );
    let unnamed = Weights::from_bytes(Path::new("x"), file(&[weight, bias])).unwrap();
    assert_eq!(unnamed.network(), None);
}

#[test]
fn other_types_are_converted() {
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F64] {
        let (params, note) = taken(&[("1.weight", dtype, &[2, 3]), ("1.bias", dtype, &[2])]);
        assert_eq!((params.as_slice(), note), (&EXPECTED[..], Some(format!("{dtype:?} converted to F32"))));
    }
    let (params, note) = taken(&[("1.weight", Dtype::F64, &[2, 3]), ("1.bias", Dtype::BF16, &[2])]);
    assert_eq!(params, EXPECTED);
    assert_eq!(note.unwrap(), "F64 converted to F32; BF16 converted to F32");
}

#[test]
fn a_prefix_of_all_names_is_dropped() {
    for prefix in ["module.", "_orig_mod.module.", "1.", "net.1."] {
        let (weight, bias) = (format!("{prefix}1.weight"), format!("{prefix}1.bias"));
        let (params, note) = taken(&[(&weight, Dtype::F32, &[2, 3]), (&bias, Dtype::F16, &[2])]);
        assert_eq!(params, EXPECTED);
        assert_eq!(note.unwrap(), format!("the names without their prefix {prefix:?}; F16 converted to F32"));
    }
    let weight = ("module.1.weight", Dtype::F32, [2, 3].as_slice());
    let bias = ("module.1.bias", Dtype::F32, [2].as_slice());
    assert_eq!(
        message(&[weight, bias, ("module.2.bias", Dtype::F32, &[2])]),
        "some.safetensors: module.2.bias is not a parameter of the network"
    );
    assert_eq!(
        message(&[("module.1.weight", Dtype::F32, &[3, 2]), bias]),
        "some.safetensors: module.1.weight is F32 [3, 2], the network needs F32 [2, 3]"
    );
    // A name of PyTorch's and a prefixed one.
    assert_eq!(message(&[weight, ("1.bias", Dtype::F32, &[2])]), "some.safetensors: 1.weight is missing");
}

#[test]
fn names_of_their_own_are_told_by_dimensions() {
    let (params, note) = taken(&[("fc.weight", Dtype::F32, &[2, 3]), ("fc.bias", Dtype::F32, &[2])]);
    assert_eq!(params, EXPECTED);
    assert_eq!(note.unwrap(), "fc for layers 1, by their dimensions");
    let refused = |tensors: &[(&str, &[usize])], expected: &str| {
        let tensors: Vec<_> = tensors.iter().map(|&(name, dims)| (name, Dtype::F32, dims)).collect();
        assert_eq!(message(&tensors), format!("some.safetensors: {expected}"));
    };
    let none = "1.weight: no module of the file has weight [2, 3] and bias [2]";
    refused(&[], none);
    refused(&[("fc.weight", &[2, 3])], none);
    refused(&[("fc.weight", &[3, 2]), ("fc.bias", &[2])], none);
    refused(&[("fc.weight", &[2, 3]), ("other.bias", &[2])], none);
    refused(&[("weight", &[2, 3]), ("bias", &[2])], none);
    refused(&[("fc.weight", &[2, 3]), ("fc.bias", &[2]), ("fc.extra", &[1])], none);
    let fc = [("fc.weight", &[2, 3][..]), ("fc.bias", &[2])];
    refused(&[fc[0], fc[1], ("norm.weight", &[2])], "norm.weight is not a parameter of the network");
    refused(
        &[fc[0], fc[1], ("head.weight", &[2, 3]), ("head.bias", &[2])],
        "1.weight: fc, head all have weight [2, 3] and bias [2]",
    );
}

/// Layers of dimensions of their own, and two that are alike.
#[test]
fn what_is_ambiguous_is_refused() {
    let linear = |inputs, outputs| Layer::Linear(LinearParams::new(inputs, outputs));
    let read = |layers: [Layer; 4], tensors: &[(&str, [usize; 2])]| {
        let tensors: Vec<(String, Vec<usize>)> = tensors
            .iter()
            .flat_map(|(name, dims)| {
                [(format!("{name}.weight"), dims.to_vec()), (format!("{name}.bias"), vec![dims[0]])]
            })
            .collect();
        let tensors: Vec<_> =
            tensors.iter().map(|(name, dims)| (name.as_str(), Dtype::F32, dims.as_slice())).collect();
        let network = Network::plan(layers, 1, [1, 1, 3]).unwrap();
        let weights = Weights::from_bytes(Path::new("w"), file(&tensors)).unwrap();
        weights.load(&network).map(|loaded| loaded.note.unwrap_or_default()).unwrap_or_else(|e| e.to_string())
    };
    let different = [Layer::Flatten, linear(3, 2), linear(2, 4), linear(4, 2)];
    assert_eq!(
        read(different, &[("fc1", [2, 3]), ("fc2", [4, 2]), ("fc10", [2, 4])]),
        "fc1, fc2, fc10 for layers 1, 2, 3, by their dimensions"
    );
    assert_eq!(
        read(different, &[("features.0", [2, 3]), ("features.2", [4, 2]), ("classifier.0", [2, 4])]),
        "features.0, features.2, classifier.0 for layers 1, 2, 3, by their dimensions"
    );
    assert_eq!(
        read(different, &[("fc2", [2, 3]), ("fc1", [4, 2]), ("fc3", [2, 4])]),
        "w: fc2: by its dimensions it comes before fc1, by its name after it"
    );
    let alike = [Layer::Flatten, linear(3, 3), linear(3, 3), linear(3, 2)];
    assert_eq!(
        read(alike, &[("fc1", [3, 3]), ("fc2", [3, 3]), ("fc3", [2, 3])]),
        "w: 1.weight: fc1, fc2 all have weight [3, 3] and bias [3]"
    );
    assert_eq!(
        read(alike, &[("fc1", [3, 3]), ("fc3", [2, 3])]),
        "w: 2.weight: fc1 is not the only layer with weight [3, 3] and bias [3]"
    );
    // With PyTorch's names nothing is unclear.
    assert_eq!(read(alike, &[("1", [3, 3]), ("2", [3, 3]), ("3", [2, 3])]), "");
}

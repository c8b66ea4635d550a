//! Checkpoints and weights: safetensors files.

use std::fs;
use std::path::Path;

use im2col::{Activation, Layer, LinearParams, Network};
use im2col_train::checkpoint::{self, Checkpoint, Configuration, RunRecord};
use im2col_train::dataset::Dataset;
use im2col_train::optimiser::Optimiser;
use im2col_train::schedule::Schedule;
use im2col_train::train::{Options, Trainer};
use im2col_train::weights::{self, Weights};

use crate::kind::{Counts, Kind, Reading};

const LAYERS: [Layer; 3] =
    [Layer::Flatten, Layer::Linear(LinearParams::new(4, 3)), Layer::Activation(Activation::Sigmoid)];
const OPTIONS: Options = Options {
    epochs: 3,
    batch: 2,
    optimiser: Optimiser::adam(),
    rate: 0.1,
    schedule: Schedule::Constant,
    shift: 1,
    validation: 0.0,
    seed: 1,
    isa: None,
    any_rounding: false,
};
/// The longest header that is read.
const MAX_HEADER_LEN: usize = 1 << 20;

pub(crate) fn all() -> Counts {
    checkpoints() + saved_weights() + headers() + large_headers()
}

/// The copy that is handed to the reader, and for each byte of the header its tables.
fn limit(len: usize) -> usize {
    len + 20 * len.min(MAX_HEADER_LEN)
}

fn checkpoint_file() -> Vec<u8> {
    let pixels = (0..20).map(|pixel| pixel * 10).collect();
    let data = Dataset::new([1, 2, 2], pixels, vec![0, 1, 2, 0, 1]).unwrap();
    let mut trainer = Trainer::new(LAYERS, &data, OPTIONS).unwrap();
    trainer.epoch(|_| ()).unwrap();
    let (version, network) = ("0".to_owned(), "small".to_owned());
    let (data, data_sha256, weights, called_in) = (None, None, None, None);
    let configuration = Configuration {
        version,
        network,
        data,
        data_sha256,
        stream: false,
        weights,
        called_in,
        options: OPTIONS,
    };
    let dir = tempfile::tempdir().unwrap();
    let (file, previous) = (dir.path().join("now"), dir.path().join("before"));
    checkpoint::save(&file, &previous, &configuration, &RunRecord::default(), &trainer).unwrap();
    fs::read(file).unwrap()
}

fn read_checkpoint(name: &Path, file: &[u8]) -> Reading<()> {
    Checkpoint::from_bytes(name, file.to_vec()).map(drop).map_err(|error| error.to_string())
}

fn checkpoints() -> Counts {
    let mut kind = Kind::new("checkpoints", &read_checkpoint, &limit);
    let file = checkpoint_file();
    assert_eq!(kind.try_file(&file), Some(()));
    kind.reject_every_truncation(&file);
    kind.reject_every_flipped_bit(&file);
    kind.assert_rejected(&[&file[..], &[0]].concat(), "a byte behind the end");
    kind.report()
}

/// The parameters as bits.
fn read_weights(name: &Path, file: &[u8]) -> Reading<Vec<u32>> {
    let network = Network::plan(LAYERS, 1, [1, 2, 2]).unwrap();
    let read = || {
        let weights = Weights::from_bytes(name, file.to_vec())?;
        weights.description()?;
        weights.params(&network)
    };
    let params = read().map_err(|error: weights::WeightsError| error.to_string())?;
    Ok(params.into_iter().map(f32::to_bits).collect())
}

fn weights_file(params: &[f32]) -> Vec<u8> {
    let network = Network::plan(LAYERS, 1, [1, 2, 2]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights");
    weights::save(&path, "small", &network, params).unwrap();
    fs::read(path).unwrap()
}

fn saved_weights() -> Counts {
    let mut kind = Kind::new("weights", &read_weights, &limit);
    let params: Vec<f32> = (0..15).map(|index| index as f32 - 7.5).collect();
    let file = weights_file(&params);
    let sound = kind.try_file(&file).unwrap();
    assert_eq!(sound, params.iter().map(|value| value.to_bits()).collect::<Vec<_>>());

    kind.reject_every_truncation(&file);
    let data = (file.len() - 15 * 4) * 8;
    kind.flip_every_bit(&file, |bit, read| match (bit.checked_sub(data), read) {
        // Names and texts may change, and which of two tensors is which; no value may.
        (None, Some(mut params)) => {
            let mut expected = sound.clone();
            expected.sort_unstable();
            params.sort_unstable();
            assert_eq!(params, expected, "bit {bit} of the header");
        }
        (None, None) => {}
        (Some(bit), read) => {
            // The file begins with the three biases, the parameters end with them.
            let index = (bit / 32 + 12) % 15;
            let flipped = sound[index] ^ 1 << (bit % 32);
            match read {
                Some(params) => assert_eq!(params[index], flipped),
                None => assert!(!f32::from_bits(flipped).is_finite(), "bit {bit} of the values"),
            }
        }
    });
    kind.assert_rejected(&[&file[..], &[0]].concat(), "a byte behind the end");
    kind.report()
}

fn tensor(name: &str, dtype: &str, shape: &str, begin: &str, end: &str) -> String {
    format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{begin},{end}]}}")
}

/// A file with this header, then 60 bytes of zeros.
fn file_of(entries: &[String]) -> Vec<u8> {
    let header = format!("{{{}}}", entries.join(","));
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 60]].concat()
}

/// The two tensors of the network.
fn sound_tensors() -> [String; 2] {
    [tensor("1.weight", "F32", "[3,4]", "0", "48"), tensor("1.bias", "F32", "[3]", "48", "60")]
}

/// Headers that lie about what follows them.
fn headers() -> Counts {
    let mut kind = Kind::new("safetensors headers", &read_weights, &limit);
    let [weight, bias] = sound_tensors();
    assert_eq!(kind.try_file(&file_of(&[weight.clone(), bias.clone()])).unwrap(), [0; 15]);

    let other = tensor("1.weight", "I32", "[12]", "0", "48");
    for first in [&weight, &other] {
        for second in [&weight, &other] {
            let twice = [first.clone(), second.clone(), bias.clone()];
            kind.assert_rejected(&file_of(&twice), "a name that stands twice");
        }
    }
    let huge = u64::MAX.to_string();
    let numbers = ["0", "1", "47", "48", "49", "60", "61", "4294967296", "1e3", "-1", "1.5", "null", &huge];
    for begin in numbers {
        for end in numbers {
            if (begin, end) != ("0", "48") {
                let lie = tensor("1.weight", "F32", "[3,4]", begin, end);
                kind.assert_rejected(
                    &file_of(&[lie, bias.clone()]),
                    &format!("a tensor at {begin} to {end}"),
                );
            }
        }
    }
    for first in numbers {
        for second in numbers {
            let lie = tensor("1.weight", "F32", &format!("[{first},{second}]"), "0", "48");
            kind.assert_rejected(&file_of(&[lie, bias.clone()]), &format!("dimensions {first}, {second}"));
        }
    }
    for dtype in ["F64", "F16", "BF16", "I32", "U8", "BOOL", "F4", "X", "", "\\u001b[2J"] {
        let lie = tensor("1.weight", dtype, "[3,4]", "0", "48");
        kind.assert_rejected(&file_of(&[lie, bias.clone()]), dtype);
    }
    let lists = format!("\"a\":{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for (tensors, what) in [
        (vec![], "no tensor"),
        (vec![weight.clone()], "a tensor that is missing"),
        (vec![weight.clone(), bias.clone(), tensor("x", "F32", "[0]", "60", "60")], "a tensor too many"),
        (vec![weight.clone(), tensor("1.bias", "F32", "[3]", "36", "48")], "tensors over each other"),
        (
            vec![weight.clone(), bias.clone(), "\"__metadata__\":{\"a\":1}".to_owned()],
            "metadata that are no text",
        ),
        (
            vec![weight.clone(), bias.clone(), "\"__metadata__\":{\"network\":\"\\u0007\"}".to_owned()],
            "a network's name that rings",
        ),
        (
            vec![weight.clone(), bias.clone(), tensor("\\u0007", "F32", "[0]", "60", "60")],
            "a name that rings",
        ),
        (vec![weight, bias, lists], "10,000 lists"),
    ] {
        // Names are no matter of lengths, but nothing of this is read either.
        kind.assert_rejected(&file_of(&tensors), what);
    }
    for len in [0, 1, 7, 60, 1 << 20, (1 << 20) + 1, 100_000_000, 1 << 32, u64::MAX - 7, u64::MAX] {
        let file = [&len.to_le_bytes()[..], &[b' '; 60]].concat();
        kind.assert_rejected(&file, &format!("a header of {len} bytes"));
    }
    kind.report()
}

/// Headers of 1 MiB that make tables of what they repeat.
fn large_headers() -> Counts {
    let mut kind = Kind::new("large headers", &read_weights, &limit);
    let entry: [(&str, &dyn Fn(usize) -> String); 5] = [
        ("tensors", &|index| tensor(&format!("{index:x}"), "F32", "[0]", "60", "60")),
        ("tensors of eight dimensions", &|index| {
            tensor(&format!("{index:x}"), "U8", "[0,0,0,0,0,0,0,0]", "60", "60")
        }),
        ("tensors under one name", &|_| tensor("", "U8", "[0]", "60", "60")),
        ("tensors with other fields", &|index| {
            format!("\"{index:x}\":{{\"x\":[{}]}}", "0,".repeat(100) + "0")
        }),
        ("dimensions", &|_| tensor("x", "U8", &format!("[{}]", "0,".repeat(1000) + "0"), "60", "60")),
    ];
    for (what, entry) in entry {
        let mut entries = sound_tensors().to_vec();
        let most = (MAX_HEADER_LEN - entries.concat().len() - 4) / (entry(0xfffff).len() + 1);
        entries.extend((0..most).map(entry));
        let file = file_of(&entries);
        assert!(file.len() <= MAX_HEADER_LEN + 68);
        kind.assert_rejected(&file, what);
    }
    let texts: Vec<String> = (0..MAX_HEADER_LEN / 11).map(|index| format!("\"{index:x}\":\"\"")).collect();
    let metadata = format!("\"__metadata__\":{{{}}}", texts.join(","));
    let [weight, bias] = sound_tensors();
    let file = file_of(&[weight, bias, metadata]);
    assert!(file.len() <= MAX_HEADER_LEN + 68, "{}", file.len());
    assert_eq!(kind.try_file(&file).unwrap(), [0; 15]);
    kind.report()
}

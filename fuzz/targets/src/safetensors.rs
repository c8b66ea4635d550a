//! Checkpoints and weights.
//!
//! A file that begins with zeros gets the length of its header, and where it has zeros for a digest it gets the digest
//! that is right: so that what lies behind them is reached.

use im2col::{Activation, Layer, LinearParams, Network, planned};
use im2col_testkit::alloc::peak_bytes;
use im2col_train::checkpoint::Checkpoint;
use im2col_train::dataset::Dataset;
use im2col_train::train::{Options, Trainer};
use im2col_train::weights::Weights;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::LazyLock;

const LAYERS: [Layer; 3] =
    [Layer::Flatten, Layer::Linear(LinearParams::new(4, 3)), Layer::Activation(Activation::Sigmoid)];
const NETWORK: Network<3> = planned!(Network::plan(LAYERS, 1, [1, 2, 2]));
static DATA: LazyLock<Dataset> =
    LazyLock::new(|| Dataset::new([1, 2, 2], vec![1; 20], vec![0, 1, 2, 0, 1]).unwrap());

/// For each byte of the file: its copy, and the parsed header, whose smallest tensor takes some 50 bytes of text.
const PER_BYTE: usize = 16;
const OVERHEAD: usize = 16 << 10;

/// Reading a checkpoint takes memory in proportion to the file only; what was read is restored and trained from, or
/// refused. Returns whether it was trained from.
pub fn checkpoint(data: &[u8]) -> bool {
    let mut file = with_header_len(data);
    fill_configuration_digest(&mut file);
    fill_digest(&mut file, b"\"sha256\":\"", None);
    let limit = PER_BYTE * file.len() + OVERHEAD;
    let (checkpoint, most) = peak_bytes(|| Checkpoint::from_bytes(Path::new("file"), file));
    assert!(most <= limit, "{most} bytes allocated, at most {limit} promised");
    let Ok(checkpoint) = checkpoint else { return false };
    let options = checkpoint.state().configuration.options;
    if options.epochs < 100
        && let Ok(mut trainer) =
            Trainer::new(LAYERS, &*DATA, Options { shift: options.shift.min(9), ..options })
        && checkpoint.restore(&mut trainer).is_ok()
    {
        let _ = trainer.next_batch();
        return true;
    }
    false
}

/// Reading weights takes memory in proportion to the file only; what was read are the network's parameters, finite. Returns
/// whether they were read.
pub fn weights(data: &[u8]) -> bool {
    let file = with_header_len(data);
    let limit = PER_BYTE * file.len() + OVERHEAD;
    let (is_read, most) = peak_bytes(|| {
        let Ok(weights) = Weights::from_bytes(Path::new("file"), file) else { return false };
        let _ = weights.description();
        let Ok(params) = weights.params(&NETWORK) else { return false };
        assert_eq!(params.len(), NETWORK.param_len());
        assert!(params.iter().all(|value| value.is_finite()));
        true
    });
    assert!(most <= limit, "{most} bytes allocated, at most {limit} promised");
    is_read
}

/// Where a file begins with eight zeros, the length up to its last brace.
fn with_header_len(data: &[u8]) -> Vec<u8> {
    let mut file = data.to_vec();
    if let Some((len @ [0, 0, 0, 0, 0, 0, 0, 0], rest)) = file.split_first_chunk_mut()
        && let Some(end) = rest.iter().rposition(|&byte| byte == b'}')
    {
        *len = (end as u64 + 1).to_le_bytes();
    }
    file
}

/// Where a text begins. The fuzzer sees each comparison of slices, and takes its time: most end at the first byte.
fn find(file: &[u8], text: &[u8]) -> Option<usize> {
    file.windows(text.len()).position(|window| window.first() == text.first() && window == text)
}

/// Puts the SHA-256 of `text`, or of the whole file, where the file has zeros behind `key`.
fn fill_digest(file: &mut [u8], key: &[u8], text: Option<&[u8]>) {
    const DIGITS: usize = 64;
    let Some(place) = find(file, key) else { return };
    let start = place + key.len();
    if file.get(start..start + DIGITS) == Some(&[b'0'; DIGITS]) {
        let digest = Sha256::digest(text.unwrap_or(file));
        for (digits, byte) in file[start..].chunks_mut(2).zip(digest) {
            digits.copy_from_slice(
                &[byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]),
            );
        }
    }
}

fn fill_configuration_digest(file: &mut [u8]) {
    const KEY: &[u8] = b"\"configuration_sha256\":\"00000000";
    const TEXT: &[u8] = b"\"configuration\":";
    let (Some(_), Some(place)) = (find(file, KEY), find(file, TEXT)) else { return };
    let mut texts = serde_json::Deserializer::from_slice(&file[place + TEXT.len()..]).into_iter::<String>();
    if let Some(Ok(configuration)) = texts.next() {
        fill_digest(file, &KEY[..KEY.len() - 8], Some(configuration.as_bytes()));
    }
}

//! Reading a checkpoint or weights never panics on arbitrary bytes, and takes memory in proportion to them only.
//!
//! A file with zeros for its digest gets the one that is right, so that what lies behind it is reached too.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use im2col::{Activation, Layer, LinearParams, Network};
use im2col_train::checkpoint::Checkpoint;
use im2col_train::dataset::Dataset;
use im2col_train::train::{Options, Trainer};
use im2col_train::weights::Weights;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

const LAYERS: [Layer; 3] =
    [Layer::Flatten, Layer::Linear(LinearParams::new(4, 3)), Layer::Activation(Activation::Sigmoid)];
/// For each byte of the file: its copy, and the parsed header, whose smallest tensor takes some 50 bytes of text.
const PER_BYTE: usize = 16;
const OVERHEAD: usize = 16 << 10;
const ZEROS: &str = "\"sha256\":\"0000000000000000000000000000000000000000000000000000000000000000\"";

fuzz_target!(|file: &[u8]| {
    let file = with_digest(file);
    let limit = PER_BYTE * file.len() + OVERHEAD;
    let name = Path::new("file");
    let (checkpoint, most) = peak(|| Checkpoint::from_bytes(name, file.clone()));
    assert!(most <= limit, "{most} bytes allocated, at most {limit} promised");
    if let Ok(checkpoint) = checkpoint {
        let data = Dataset::new([1, 2, 2], vec![1; 20], vec![0, 1, 2, 0, 1]).unwrap();
        let options = checkpoint.state().configuration.options;
        if options.epochs < 100
            && let Ok(mut trainer) =
                Trainer::new(LAYERS, &data, Options { shift: options.shift.min(9), ..options })
            && checkpoint.restore(&mut trainer).is_ok()
        {
            let _ = trainer.next_batch();
        }
    }
    if let Ok(weights) = Weights::from_bytes(name, file.clone()) {
        let _ = weights.description();
    }
    let network = Network::plan(LAYERS, 1, [1, 2, 2]).unwrap();
    let (_, most) =
        peak(|| Weights::from_bytes(name, file.clone()).and_then(|weights| weights.params(&network)));
    assert!(most <= limit, "{most} bytes allocated, at most {limit} promised");
});

/// Where a file has zeros for its digest, the digest.
fn with_digest(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    if let Some(place) = file.windows(ZEROS.len()).position(|window| window == ZEROS.as_bytes()) {
        let digest: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
        let end = place + ZEROS.len() - 1;
        file[end - digest.len()..end].copy_from_slice(digest.as_bytes());
    }
    file
}

#[global_allocator]
static ALLOCATOR: PeakAllocator = PeakAllocator;
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Runs `f` and tells how many bytes it held at most.
fn peak<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = f();
    (result, PEAK.load(Relaxed) - before)
}

/// The system's allocator; adds up what is allocated.
struct PeakAllocator;

// SAFETY: every method hands its arguments unchanged to `System` and returns what it returns.
unsafe impl GlobalAlloc for PeakAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(LIVE.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's obligations are those of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's obligations are those of `System.dealloc`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        LIVE.fetch_sub(layout.size(), Relaxed);
        PEAK.fetch_max(LIVE.fetch_add(new_size, Relaxed) + new_size, Relaxed);
        // SAFETY: the caller's obligations are those of `System.realloc`.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

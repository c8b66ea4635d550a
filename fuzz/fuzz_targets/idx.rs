//! The IDX reader never panics on arbitrary bytes, never takes more memory than it promises, and
//! reads the same from a file as from the same file compressed.

#![no_main]

use flate2::Compression;
use flate2::read::{GzEncoder, MultiGzDecoder};
use im2col_train::idx::{Images, parse_images, parse_labels};
use libfuzzer_sys::fuzz_target;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What the reader may take beyond the values: the text of an error, and the state of the decoder
/// (91 KiB with flate2 1.1).
const PLAIN_OVERHEAD: usize = 4 << 10;
const GZIP_OVERHEAD: usize = 128 << 10;

fuzz_target!(|file: &[u8]| {
    let plain = parse(file);
    if !is_gzip(file) {
        let mut compressed = Vec::new();
        GzEncoder::new(file, Compression::fast()).read_to_end(&mut compressed).unwrap();
        assert_eq!(plain, parse(&compressed));
    }
});

fn is_gzip(file: &[u8]) -> bool {
    file.starts_with(&[0x1f, 0x8b])
}

fn parse(file: &[u8]) -> (Option<Images>, Option<Vec<u8>>) {
    let limit =
        if is_gzip(file) { 2 * inflated_len(file) + GZIP_OVERHEAD } else { file.len() + PLAIN_OVERHEAD };
    let (images, images_peak) = peak(|| parse_images(file).ok());
    let (labels, labels_peak) = peak(|| parse_labels(file).ok());
    let most = images_peak.max(labels_peak);
    assert!(most <= limit, "{most} bytes allocated, at most {limit} promised");
    (images, labels)
}

/// How much the compressed file inflates to, as far as it is sound.
fn inflated_len(file: &[u8]) -> usize {
    let mut decoder = MultiGzDecoder::new(file);
    let (mut len, mut buffer) = (0, [0; 4096]);
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return len,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return len,
        }
    }
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

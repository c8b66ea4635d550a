//! A global allocator that counts, to prove that code does not allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Of all threads.
static ALL_CALLS: AtomicUsize = AtomicUsize::new(0);
/// Bytes that all threads hold, and the most that they held.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Constant and without a destructor: reading it never allocates and never fails.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator; counts the allocations of each thread and the bytes of all.
///
/// ```
/// use im2col_testkit::alloc::{CountingAllocator, count_allocations, peak_bytes};
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// assert_eq!(count_allocations(|| 1 + 1), (2, 0));
/// assert_eq!(count_allocations(|| Box::new(1)).1, 1);
/// assert!(peak_bytes(|| vec![0_u8; 5000].len()).1 >= 5000);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

/// Runs `f` and counts the allocations and reallocations that this thread makes meanwhile.
///
/// Always 0 unless [`CountingAllocator`] is the program's global allocator.
pub fn count_allocations<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let before = CALLS.get();
    let result = f();
    (result, CALLS.get() - before)
}

/// The same for all threads of the program.
pub fn count_all_allocations<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let before = ALL_CALLS.load(Relaxed);
    let result = f();
    (result, ALL_CALLS.load(Relaxed) - before)
}

/// Runs `f` and tells how many bytes more than before the program held at most, on all threads.
pub fn peak_bytes<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = f();
    (result, PEAK.load(Relaxed) - before)
}

fn count(bytes: usize) {
    CALLS.set(CALLS.get() + 1);
    ALL_CALLS.fetch_add(1, Relaxed);
    PEAK.fetch_max(LIVE.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

fn release(bytes: usize) {
    LIVE.fetch_sub(bytes, Relaxed);
}

#[allow(unsafe_code, reason = "a global allocator cannot be written without")]
// SAFETY: every method hands its arguments unchanged to `System`, which is a correct allocator, and
// returns what it returns. Counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's obligations are exactly those of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's obligations are exactly those of `System.alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        release(layout.size());
        // SAFETY: every block came from `System`; the rest the caller guarantees.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        release(layout.size());
        // SAFETY: every block came from `System`; the rest the caller guarantees.
        unsafe { System.dealloc(block, layout) }
    }
}

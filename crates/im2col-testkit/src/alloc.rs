//! A global allocator that counts, to prove that code does not allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Constant and without a destructor: reading it never allocates and never fails.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator; counts the allocations of each thread.
///
/// ```
/// use im2col_testkit::alloc::{CountingAllocator, count_allocations};
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// assert_eq!(count_allocations(|| 1 + 1), (2, 0));
/// assert_eq!(count_allocations(|| Box::new(1)).1, 1);
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

fn count() {
    CALLS.set(CALLS.get() + 1);
}

#[allow(unsafe_code, reason = "a global allocator cannot be written without")]
// SAFETY: every method hands its arguments unchanged to `System`, which is a correct allocator, and
// returns what it returns. Counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's obligations are exactly those of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's obligations are exactly those of `System.alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: every block came from `System`; the rest the caller guarantees.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: every block came from `System`; the rest the caller guarantees.
        unsafe { System.dealloc(block, layout) }
    }
}

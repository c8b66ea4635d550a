//! Memory between two pages that may not be touched: who reads or writes one element past an end dies of it.

#[cfg(not(all(unix, not(miri))))]
use fallback as pages;
#[cfg(all(unix, not(miri)))]
use mapped as pages;
use std::cell::RefCell;
use std::fmt::Debug;

/// Which end of a slice lies against a page that may not be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// The element before the first one is a fault.
    Start,
    /// The element behind the last one is a fault.
    End,
}

impl Flush {
    /// Both ends, one after the other.
    pub const BOTH: [Self; 2] = [Self::Start, Self::End];
}

/// Whether the target has pages that may not be touched. Without them a [`Guarded`] is an ordinary vector.
pub const HAS_PAGES: bool = cfg!(all(unix, not(miri)));

/// Values between two pages that may not be touched. Slices of any length lie against one of them.
///
/// ```
/// use im2col_testkit::guard::{Flush, Guarded};
///
/// let mut values = Guarded::new();
/// assert_eq!(values.holding(&[1.0, 2.0, 3.0], Flush::End), [1.0, 2.0, 3.0]);
/// assert_eq!(values.filled(0.5, 2, Flush::Start), [0.5; 2]);
/// ```
#[derive(Debug)]
pub struct Guarded(Option<pages::Pages>);

thread_local! {
    /// Pages that are free again: to map and protect them takes longer than most calls of a kernel.
    static FREE: RefCell<Vec<pages::Pages>> = const { RefCell::new(Vec::new()) };
}

impl Guarded {
    /// Pages that are free again, or none. They grow with the slices that are asked for.
    #[must_use]
    pub fn new() -> Self {
        Self(FREE.with_borrow_mut(Vec::pop))
    }

    /// `len` values, with one end against a page that may not be touched. They hold any values.
    #[must_use]
    pub fn slice(&mut self, len: usize, flush: Flush) -> &mut [f32] {
        if self.0.as_mut().is_none_or(|pages| pages.values().len() < len) {
            self.0 = None;
        }
        let values = self.0.get_or_insert_with(|| pages::Pages::new(len.next_power_of_two())).values();
        match flush {
            Flush::Start => &mut values[..len],
            Flush::End => {
                let first = values.len() - len;
                &mut values[first..]
            }
        }
    }

    /// `len` values, all of them `value`.
    #[must_use]
    pub fn filled(&mut self, value: f32, len: usize, flush: Flush) -> &mut [f32] {
        let slice = self.slice(len, flush);
        slice.fill(value);
        slice
    }

    /// A copy of `values`.
    #[must_use]
    pub fn holding(&mut self, values: &[f32], flush: Flush) -> &mut [f32] {
        let slice = self.slice(values.len(), flush);
        slice.copy_from_slice(values);
        slice
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // When a thread ends there may be no list any more.
        let _ = FREE.try_with(|free| free.borrow_mut().extend(self.0.take()));
    }
}

impl Default for Guarded {
    fn default() -> Self {
        Self::new()
    }
}

/// The memory of one call at a time: operands, results and scratch, each of them guarded.
#[derive(Debug, Default)]
pub struct Memory {
    operands: [Guarded; 4],
    results: [Guarded; 3],
    scratch: Guarded,
}

impl Memory {
    /// Calls `f(operands, result, scratch)` with copies of the operands, and with `[result, scratch]` values of NaN, and
    /// returns the result.
    ///
    /// # Panics
    /// If the call is an error.
    #[track_caller]
    pub fn call<E: Debug>(
        &mut self,
        flush: Flush,
        operands: [&[f32]; 4],
        [result, scratch]: [usize; 2],
        f: impl FnOnce([&[f32]; 4], &mut [f32], &mut [f32]) -> Result<(), E>,
    ) -> &[f32] {
        self.call_for_three(flush, operands, [result, 0, 0], scratch, |operands, [result, ..], scratch| {
            f(operands, result, scratch)
        })[0]
    }

    /// As [`Memory::call`], with three results, of these lengths.
    ///
    /// # Panics
    /// If the call is an error.
    #[track_caller]
    pub fn call_for_three<E: Debug>(
        &mut self,
        flush: Flush,
        operands: [&[f32]; 4],
        results: [usize; 3],
        scratch: usize,
        f: impl FnOnce([&[f32]; 4], [&mut [f32]; 3], &mut [f32]) -> Result<(), E>,
    ) -> [&[f32]; 3] {
        let mut operands = operands.into_iter();
        let mut copy = |memory| -> &[f32] { Guarded::holding(memory, operands.next().unwrap_or(&[]), flush) };
        let [a, b, c, d] = &mut self.operands;
        let copies = [copy(a), copy(b), copy(c), copy(d)];
        let [a, b, c] = &mut self.results;
        let a = a.filled(f32::NAN, results[0], flush);
        let b = b.filled(f32::NAN, results[1], flush);
        let c = c.filled(f32::NAN, results[2], flush);
        let result = f(copies, [&mut *a, &mut *b, &mut *c], self.scratch.filled(f32::NAN, scratch, flush));
        #[allow(clippy::panic, reason = "this is how a test fails")]
        if let Err(error) = result {
            panic!("{error:?}");
        }
        [a, b, c]
    }
}

/// The first or the last `len` bytes of values, for operands of other types.
///
/// # Panics
/// If the values have fewer.
pub fn bytes(values: &mut [f32], len: usize, flush: Flush) -> &mut [u8] {
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(values);
    match flush {
        Flush::Start => &mut bytes[..len],
        Flush::End => {
            let first = bytes.len() - len;
            &mut bytes[first..]
        }
    }
}

#[cfg(all(unix, not(miri)))]
mod mapped {
    use mmap_rs::{MmapMut, MmapNone, MmapOptions};

    /// Pages of values, and one page before and one behind them.
    #[derive(Debug)]
    pub(super) struct Pages {
        before: MmapNone,
        values: MmapMut,
        behind: MmapNone,
    }

    impl Pages {
        /// At least `len` values, all of them 0.
        ///
        /// # Panics
        /// If there is no memory for them.
        #[allow(clippy::expect_used, reason = "without memory a test fails")]
        pub(super) fn new(len: usize) -> Self {
            let page = MmapOptions::page_size();
            let bytes = (len * size_of::<f32>()).next_multiple_of(page);
            let options = MmapOptions::new(bytes + 2 * page).expect("a size above 0");
            let mut values = options.map_mut().expect("memory for the test");
            let before = values.split_to(page).expect("a whole page");
            let behind = values.split_off(bytes).expect("whole pages");
            let guard = |pages: MmapMut| pages.make_none().map_err(|(error, _)| error).expect("mprotect");
            Self { before: guard(before), values, behind: guard(behind) }
        }

        pub(super) fn values(&mut self) -> &mut [f32] {
            // The pages around the values live as long as they do.
            debug_assert!(
                self.before.end() == self.values.start() && self.values.end() == self.behind.start()
            );
            bytemuck::cast_slice_mut(self.values.as_mut_slice())
        }
    }
}

#[cfg(not(all(unix, not(miri))))]
mod fallback {
    /// Values without pages around them.
    #[derive(Debug)]
    pub(super) struct Pages(Vec<f32>);

    impl Pages {
        pub(super) fn new(len: usize) -> Self {
            Self(vec![0.0; len])
        }

        pub(super) fn values(&mut self) -> &mut [f32] {
            &mut self.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Flush, Guarded};

    #[test]
    fn slices_hold_what_they_are_given() {
        let mut values = Guarded::new();
        for len in [0, 1, 1023, 1024, 1025, 5000] {
            for flush in Flush::BOTH {
                let given: Vec<f32> = (0..len).map(|i| i as f32).collect();
                assert_eq!(values.holding(&given, flush), given);
                assert_eq!(values.slice(len, flush), given);
                assert_eq!(values.filled(-1.0, len, flush), vec![-1.0; len]);
            }
        }
    }

    /// The system, asked to read for this process, reads the first and the last value and nothing past them.
    #[cfg(target_os = "linux")]
    #[test]
    fn past_an_end_is_a_fault() {
        use nix::errno::Errno;
        use nix::sys::uio::{RemoteIoVec, process_vm_readv};
        use nix::unistd::Pid;
        use std::io::IoSliceMut;

        let read = |address: usize| {
            let mut value = [0; size_of::<f32>()];
            let from = RemoteIoVec { base: address, len: value.len() };
            let count = process_vm_readv(Pid::this(), &mut [IoSliceMut::new(&mut value)], &[from])?;
            assert_eq!(count, value.len());
            Ok(f32::from_ne_bytes(value))
        };
        for len in [1, 3, 1024, 1030] {
            let mut values = Guarded::new();
            let ends = values.filled(1.5, len, Flush::Start).as_ptr_range();
            assert_eq!(read(ends.start.addr()), Ok(1.5));
            assert_eq!(read(ends.start.addr() - size_of::<f32>()), Err(Errno::EFAULT));
            let ends = values.filled(2.5, len, Flush::End).as_ptr_range();
            assert_eq!(read(ends.end.addr() - size_of::<f32>()), Ok(2.5));
            assert_eq!(read(ends.end.addr()), Err(Errno::EFAULT));
        }
    }
}

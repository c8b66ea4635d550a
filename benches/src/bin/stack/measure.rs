//! How much stack a call takes, to the byte and without `unsafe`: a thread paints its stack, calls, and waits while another thread
//! reads from `/proc/self/mem` how much of the paint is left.

use anyhow::{Context, Result, ensure};
use im2col::Isa;
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Bytes that are painted: the stack of a thread of the standard library, 2 MiB, less what such a thread begins with.
pub(crate) const PAINTED: usize = if cfg!(debug_assertions) { (2 << 20) - (16 << 10) } else { 64 << 10 };
const PAINT: u8 = 0xA5;

/// The most bytes of stack that each function takes on each instruction set.
pub(crate) struct Table {
    pub(crate) isas: Vec<Isa>,
    pub(crate) rows: Vec<Row>,
    memory: File,
}

/// A function, and its bytes on each instruction set; 0 where it was not called.
pub(crate) struct Row {
    pub(crate) function: String,
    pub(crate) bytes: Vec<usize>,
}

impl Table {
    pub(crate) fn new() -> Result<Self> {
        let memory = File::open("/proc/self/mem").context("only Linux has /proc/self/mem")?;
        Ok(Self { isas: Isa::available().collect(), rows: Vec::new(), memory })
    }

    /// Measures a call on an instruction set. What the caller keeps for it does not count: the result.
    pub(crate) fn call<R>(
        &mut self,
        function: &str,
        isa: Isa,
        call: impl FnOnce() -> R + Send,
    ) -> Result<()> {
        self.call_with(function, isa, 0, call)
    }

    /// Measures a call that takes `kept` bytes of arguments by value, which the caller keeps too.
    pub(crate) fn call_with<R>(
        &mut self,
        function: &str,
        isa: Isa,
        kept: usize,
        call: impl FnOnce() -> R + Send,
    ) -> Result<()> {
        let bytes = self.measured(function, call)?.saturating_sub(kept);
        let column = self.isas.iter().position(|&other| other == isa).context("no such instruction set")?;
        let row = self.row(function);
        row.bytes[column] = row.bytes[column].max(bytes);
        Ok(())
    }

    /// Measures a call that is the same on each instruction set.
    pub(crate) fn call_any<R>(&mut self, function: &str, call: impl FnOnce() -> R + Send) -> Result<()> {
        let bytes = self.measured(function, call)?;
        for most in &mut self.row(function).bytes {
            *most = bytes.max(*most);
        }
        Ok(())
    }

    fn measured<R>(&mut self, function: &str, call: impl FnOnce() -> R + Send) -> Result<usize> {
        let mut call = Some(call);
        let mut call = || {
            if let Some(call) = call.take() {
                black_box(&call());
            }
        };
        let bytes =
            stack_of(&mut self.memory, &mut call).with_context(|| format!("the stack of {function}"))?;
        Ok(bytes.saturating_sub(size_of::<R>()))
    }

    fn row(&mut self, function: &str) -> &mut Row {
        let index = self.rows.iter().position(|row| row.function == function).unwrap_or_else(|| {
            self.rows.push(Row { function: function.to_owned(), bytes: vec![0; self.isas.len()] });
            self.rows.len() - 1
        });
        &mut self.rows[index]
    }
}

/// The bytes of stack that a call touches, with its caller's copies of arguments and its result.
fn stack_of(memory: &mut File, call: &mut (dyn FnMut() + Send)) -> Result<usize> {
    let (top, is_read) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let painter = thread::Builder::new().stack_size(4 << 20);
        painter.spawn_scoped(scope, || on_paint(call, &top, &is_read))?;
        let top = loop {
            match top.load(Ordering::Acquire) {
                0 => thread::yield_now(),
                top => break top,
            }
        };
        let mut stack = vec![0; PAINTED];
        let read =
            memory.seek(SeekFrom::Start((top - PAINTED) as u64)).and_then(|_| memory.read_exact(&mut stack));
        is_read.store(true, Ordering::Release);
        read.context("cannot read the stack")?;
        let untouched = stack.iter().take_while(|&&byte| byte == PAINT).count();
        ensure!(untouched >= 64, "more than {PAINTED} bytes");
        Ok(PAINTED - untouched)
    })
}

/// Paints the stack below its frame, calls, and waits until the stack is read.
#[inline(never)]
fn on_paint(call: &mut (dyn FnMut() + Send), top: &AtomicUsize, is_read: &AtomicBool) {
    let here = black_box(0_u8);
    paint();
    call();
    top.store((&raw const here).addr(), Ordering::Release);
    while !is_read.load(Ordering::Acquire) {
        thread::yield_now();
    }
    black_box(&here);
}

#[inline(never)]
fn paint() {
    black_box(&mut [PAINT; PAINTED]);
}

//! The machine: its console, its clock, its memory, and what happens when a program panics.

use crate::console::Console;
use crate::digits;
use core::panic::PanicInfo;
use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::STACK_PAINT_VALUE;
use cortex_m_semihosting::{debug, hio};

// Where the linker has put the parts of the program.
unsafe extern "C" {
    static __erodata: u32;
    static __sdata: u32;
    static __edata: u32;
    static __ebss: u32;
    static _stack_start: u32;
    static _stack_end: u32;
}

/// The debugger that runs the machine.
pub struct Debugger(hio::HostStream);

impl Debugger {
    /// Its standard output.
    #[must_use]
    pub fn new() -> Option<Self> {
        hio::hstdout().ok().map(Self)
    }

    /// Prints what the program takes of the machine's memories.
    pub fn memory(&mut self) {
        let data = address(&raw const __edata) - address(&raw const __sdata);
        let flash = address(&raw const __erodata) + data;
        let (params, digits) = (size_of_val(&crate::PARAMS), digits::LEN);
        self.line("parameters in flash", params, "bytes");
        self.line("digits in flash", digits, "bytes");
        self.line("program in flash", flash - params - digits, "bytes");
        self.line("RAM", address(&raw const __ebss) - address(&raw const __sdata), "bytes");
        self.line("stack", stack_used(), "bytes at most");
    }

    /// Prints a line with a number of the machine, which the host does not print.
    pub fn line(&mut self, what: &str, number: usize, behind: &str) {
        self.text("machine: ");
        self.text(what);
        self.text(": ");
        self.number(number);
        self.text(" ");
        self.text(behind);
        self.text("\n");
    }
}

impl Console for Debugger {
    fn text(&mut self, text: &str) {
        // Where nobody listens, the machine goes on.
        let _ = self.0.write_all(text.as_bytes());
    }
}

/// Counts instructions in a QEMU that takes a nanosecond for each (`-icount shift=0`); on a chip, 40 for each cycle of its timer.
#[derive(Debug)]
pub struct Counter {
    started: u32,
    most: u32,
    is_running: bool,
}

/// Instructions in a cycle of the timer, which has 25 MHz.
const CYCLE: usize = 40;
/// The values of the timer, which counts down.
const TIMER: u32 = 1 << 24;

impl Counter {
    /// Starts the timer, if it is free.
    #[must_use]
    pub fn new() -> Option<Self> {
        let mut timer = Peripherals::take()?.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(TIMER - 1);
        timer.clear_current();
        timer.enable_counter();
        Some(Self { started: 0, most: 0, is_running: false })
    }

    /// Called before and after what is counted.
    pub fn toggle(&mut self) {
        let now = SYST::get_current();
        if self.is_running {
            self.most = self.most.max(self.started.wrapping_sub(now) % TIMER);
        }
        self.started = now;
        self.is_running = !self.is_running;
    }

    /// The most instructions between two calls.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most as usize * CYCLE
    }
}

/// The bytes of the stack that have ever been used: those that are no longer painted.
fn stack_used() -> usize {
    let (mut place, top) = (&raw const _stack_end, &raw const _stack_start);
    // SAFETY: from `_stack_end` to `_stack_start` lies the memory of the stack, all of which has been painted.
    while place < top && unsafe { place.read_volatile() } == STACK_PAINT_VALUE {
        place = place.wrapping_add(1);
    }
    address(top) - address(place)
}

fn address(symbol: *const u32) -> usize {
    symbol as usize
}

/// Ends the program; the exit code of QEMU is 0 if it went well.
pub fn exit(is_good: bool) -> ! {
    loop {
        debug::exit(if is_good { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(false)
}

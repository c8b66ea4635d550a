//! What JavaScript calls.
//!
//! A function that can fail returns 0, or 1 and has the reason in [`message`]. Nothing else runs in the meantime, so the memory is
//! locked when a function begins only if the one before has panicked; then this one stops, too.

#![expect(unsafe_code, reason = "exported functions keep their names")]

use spin::{Mutex, MutexGuard};

use crate::Memory;
use crate::networks::{Kind, LAYERS};
use crate::operations::{Failure, Operands, VALUES};
use crate::training::{Options, Totals};

static MEMORY: Mutex<Memory> = Mutex::new(Memory::new());

fn memory() -> MutexGuard<'static, Memory> {
    MEMORY.try_lock().unwrap_or_else(|| core::arch::wasm32::unreachable())
}

fn kind(is_sigmoid: u32) -> Kind {
    if is_sigmoid == 0 { Kind::Relu } else { Kind::Sigmoid }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// The reason of the last failure; see [`message_len`].
#[unsafe(no_mangle)]
extern "C" fn message() -> *const u8 {
    memory().message.bytes().as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn message_len() -> usize {
    memory().message.bytes().len()
}

/// [`Operands::numbers`]
#[unsafe(no_mangle)]
extern "C" fn numbers() -> *mut u32 {
    memory().operands.numbers.as_mut_ptr()
}

/// [`Operands::values`]
#[unsafe(no_mangle)]
extern "C" fn values() -> *mut f32 {
    memory().operands.values.as_mut_ptr()
}

/// How many values there is room for.
#[unsafe(no_mangle)]
extern "C" fn values_len() -> usize {
    VALUES
}

fn operate(operation: fn(&mut Operands) -> Result<(), Failure>) -> u32 {
    let memory = &mut *memory();
    match operation(&mut memory.operands) {
        Ok(()) => 0,
        Err(failure) => {
            failure.write(&mut memory.message);
            1
        }
    }
}

/// [`Operands::convolve`]
#[unsafe(no_mangle)]
extern "C" fn convolve() -> u32 {
    operate(Operands::convolve)
}

/// [`Operands::im2col`]
#[unsafe(no_mangle)]
extern "C" fn im2col() -> u32 {
    operate(Operands::im2col)
}

/// [`Operands::pool`]
#[unsafe(no_mangle)]
extern "C" fn pool() -> u32 {
    operate(Operands::pool)
}

/// [`Operands::linear`]
#[unsafe(no_mangle)]
extern "C" fn linear() -> u32 {
    operate(Operands::linear)
}

/// The parameters of the network that reads: 61,706 numbers.
#[unsafe(no_mangle)]
extern "C" fn inference_params() -> *mut f32 {
    memory().inference.params.as_mut_ptr()
}

/// The image to be read: 784 bytes.
#[unsafe(no_mangle)]
extern "C" fn inference_pixels() -> *mut u8 {
    memory().inference.pixels.as_mut_ptr()
}

/// Reads the image `times` times; returns the digit.
#[unsafe(no_mangle)]
extern "C" fn infer(is_sigmoid: u32, times: u32) -> usize {
    let inference = &mut memory().inference;
    (0..times).fold(0, |_, _| inference.infer(kind(is_sigmoid)).unwrap_or_default())
}

/// The output of a layer of the network that reads.
#[unsafe(no_mangle)]
extern "C" fn layer(index: usize) -> *const f32 {
    memory().inference.layer(index).as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn layer_len(index: usize) -> usize {
    memory().inference.layer(index).len()
}

/// How many layers there are.
#[unsafe(no_mangle)]
extern "C" fn layers() -> usize {
    LAYERS
}

/// The images of the digits, `[11024, 28, 28]`: 10,000 to learn and 1,024 to be tested on.
#[unsafe(no_mangle)]
extern "C" fn digit_pixels() -> *mut u8 {
    memory().digits.pixels.as_mut_ptr()
}

/// The labels of the digits.
#[unsafe(no_mangle)]
extern "C" fn digit_labels() -> *mut u8 {
    memory().digits.labels.as_mut_ptr()
}

/// The parameters of the network that learns: 61,706 numbers.
#[unsafe(no_mangle)]
extern "C" fn training_params() -> *mut f32 {
    memory().training.params.as_mut_ptr()
}

/// [`Training::start`](crate::training::Training::start)
#[unsafe(no_mangle)]
extern "C" fn training_start(is_sigmoid: u32, seed: u32, digits: usize, batch: usize) {
    memory().training.start(Options { kind: kind(is_sigmoid), seed: u64::from(seed), digits, batch });
}

/// [`Training::step`](crate::training::Training::step): the number of digits; then [`loss`] and [`correct`] tell more.
#[unsafe(no_mangle)]
extern "C" fn training_step(rate: f64) -> usize {
    let memory = &mut *memory();
    let totals = memory.training.step(&memory.digits, rate);
    memory.tell(totals.unwrap_or_default())
}

/// [`Training::test`](crate::training::Training::test): the number of digits; then [`loss`] and [`correct`] tell more.
#[unsafe(no_mangle)]
extern "C" fn training_test(first: usize) -> usize {
    let memory = &mut *memory();
    let totals = memory.training.test(&memory.digits, first);
    memory.tell(totals.unwrap_or_default())
}

/// The sum of the cross entropies of the last step or test.
#[unsafe(no_mangle)]
extern "C" fn loss() -> f64 {
    memory().totals.loss
}

/// How many digits the last step or test got right.
#[unsafe(no_mangle)]
extern "C" fn correct() -> usize {
    memory().totals.correct
}

impl Memory {
    fn tell(&mut self, totals: Totals) -> usize {
        self.totals = totals;
        totals.digits
    }
}

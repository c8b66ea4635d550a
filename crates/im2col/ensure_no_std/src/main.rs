//! Links the core without std and without an allocator, runs it, and compares two answers.
//!
//! The exit code is 0 if the convolution equals the definition and LeNet gives the same logits
//! under the detected instruction set as under the scalar one; otherwise it tells which failed.

#![no_std]
#![no_main]

use core::ffi::c_int;
use im2col::lenet::LENET;
use im2col::{
    ConvOperands, ConvParams, ConvPlan, Isa, Network, NetworkWeights, RunError, Weights, naive, planned,
};

// The C library starts the program and brings `memcpy` and `memset`; nothing else of it is used.
#[link(name = "c")]
unsafe extern "C" {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

const CONV: ConvPlan<2> = planned!(ConvParams::new(3, 8, [5, 5]).with_padding([2, 2]).plan(2, [13, 11]));
const NET: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));

static CONV_INPUT: [f32; CONV.input_len()] = small_integers();
static CONV_WEIGHT: [f32; CONV.weight_len()] = small_integers();
static CONV_BIAS: [f32; CONV.bias_len()] = small_integers();
static IMAGE: [f32; NET.input_len()] = small_integers();
static PARAMS: [f32; NET.param_len()] = small_integers();

/// Integers in -4..=4: sums of their products are exact in any order.
const fn small_integers<const N: usize>() -> [f32; N] {
    let mut values = [0.0; N];
    let mut state = 1_u32;
    let mut i = 0;
    while i < N {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        values[i] = ((state >> 16) % 9) as f32 - 4.0;
        i += 1;
    }
    values
}

fn convolution_is_the_definition() -> Result<bool, RunError> {
    let mut output = [f32::NAN; CONV.output_len()];
    let mut scratch = [f32::NAN; CONV.scratch_len()];
    let operands =
        ConvOperands { input: &CONV_INPUT, weight: Weights::Plain(&CONV_WEIGHT), bias: &CONV_BIAS };
    CONV.forward(operands, &mut output, &mut scratch)?;
    let mut expected = [f32::NAN; CONV.output_len()];
    naive::conv_forward(&CONV, &CONV_INPUT, &CONV_WEIGHT, &CONV_BIAS, &mut expected)?;
    Ok(output == expected)
}

fn lenet_agrees_across_instruction_sets() -> Result<bool, RunError> {
    let mut logits = [f32::NAN; NET.output_len()];
    let mut expected = [f32::NAN; NET.output_len()];
    let mut scratch = [f32::NAN; NET.scratch_len()];
    let weights = NetworkWeights::Plain(&PARAMS);
    NET.forward(weights, &IMAGE, &mut logits, &mut scratch)?;
    NET.with_isa(Isa::SCALAR).forward(weights, &IMAGE, &mut expected, &mut scratch)?;
    Ok(logits.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-3))
}

#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const u8) -> c_int {
    match (convolution_is_the_definition(), lenet_agrees_across_instruction_sets()) {
        (Ok(true), Ok(true)) => 0,
        (Ok(true), _) => 2,
        _ => 1,
    }
}

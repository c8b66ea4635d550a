//! Runs a convolution of the catalogue `count` times and nothing else: `calls shape isa count`. What a
//! profiler counts of two runs differs by the calls alone. `calls list` prints all shapes and their multiply-adds.

use anyhow::{Context, Result, bail};
use im2col::{ConvOperands, Weights};
use im2col_benches::catalogue::CONVOLUTIONS;
use im2col_benches::{isa_by_name, operand};
use std::env;
use std::hint::black_box;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments == ["list"] {
        for (name, shape) in &CONVOLUTIONS {
            println!("{name} {}", shape.params().plan(shape.batch, shape.input)?.multiply_adds());
        }
        return Ok(());
    }
    let [name, isa, count] = arguments.as_slice() else {
        bail!("usage: calls shape isa count, or calls list");
    };
    let (_, shape) = CONVOLUTIONS.iter().find(|(known, _)| known == name).context("no such shape")?;
    let plan = shape.params().plan(shape.batch, shape.input)?.with_isa(isa_by_name(isa)?);
    let (input, weight) = (operand(shape.input_len(), 1), operand(shape.weight_len(), 2));
    let mut packed = vec![0.0; plan.packed_weight_len()];
    let weight = Weights::Packed(plan.pack_weights(&weight, &mut packed)?);
    let mut output = vec![0.0; shape.output_len()];
    let mut scratch = vec![0.0; plan.scratch_len()];
    for _ in 0..count.parse()? {
        plan.forward(ConvOperands { input: &input, weight, bias: &[] }, &mut output, &mut scratch)?;
        black_box(&mut output);
    }
    Ok(())
}

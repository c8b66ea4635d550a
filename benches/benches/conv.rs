//! Convolution on one thread: the definition, explicit im2col and matrixmultiply, and this crate.

use anyhow::{Context, Result};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use im2col::{ConvOperands, ConvParams, RunError, Weights, naive};
use im2col_benches::catalogue::CONVOLUTIONS;
use im2col_benches::explicit::Explicit;
use im2col_benches::{ConvShape, check, operand};
use std::hint::black_box;
use std::time::Duration;

/// The definition takes a nanosecond or more for each: a call may take some tenths of a second.
const NAIVE_MULTIPLY_ADDS: usize = 1 << 27;

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for (name, shape) in CONVOLUTIONS {
        Contest::new(shape).run(criterion.benchmark_group(name)).context(name)?;
    }
    criterion.final_summary();
    Ok(())
}

/// One shape and its operands.
struct Contest {
    shape: ConvShape,
    input: Vec<f32>,
    weight: Vec<f32>,
    output: Vec<f32>,
}

impl Contest {
    fn new(shape: ConvShape) -> Self {
        Self {
            shape,
            input: operand(shape.input_len(), 1),
            weight: operand(shape.weight_len(), 2),
            output: vec![f32::NAN; shape.output_len()],
        }
    }

    fn run(mut self, mut group: BenchmarkGroup<'_, WallTime>) -> Result<()> {
        group.throughput(Throughput::Elements(self.shape.multiply_adds() as u64));
        if self.shape.multiply_adds() <= NAIVE_MULTIPLY_ADDS {
            self.naive(&mut group)?;
        }
        self.explicit(&mut group)?;
        match self.shape.params_1d() {
            Some(params) => self.ours(&mut group, params, [self.shape.input[1]])?,
            None => self.ours(&mut group, self.shape.params(), self.shape.input)?,
        }
        group.finish();
        Ok(())
    }

    fn naive(&mut self, group: &mut BenchmarkGroup<'_, WallTime>) -> Result<()> {
        let plan = self.shape.params().plan(self.shape.batch, self.shape.input)?;
        self.contend(group, "naive", |input, weight, output| {
            naive::conv_forward(&plan, input, weight, &[], output)
        })
    }

    fn explicit(&mut self, group: &mut BenchmarkGroup<'_, WallTime>) -> Result<()> {
        let mut explicit = Explicit::new(self.shape);
        self.contend(group, "im2col+matrixmultiply", |input, weight, output| {
            explicit.forward(input, weight, output);
            Ok(())
        })
    }

    fn ours<const D: usize>(
        &mut self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        params: ConvParams<D>,
        dims: [usize; D],
    ) -> Result<()> {
        let plan = params.plan(self.shape.batch, dims)?;
        let mut packed = vec![0.0; plan.packed_weight_len()];
        let weight = Weights::Packed(plan.pack_weights(&self.weight, &mut packed)?);
        let mut scratch = vec![0.0; plan.scratch_len()];
        self.contend(group, "ours", |input, _, output| {
            plan.forward(ConvOperands { input, weight, bias: &[] }, output, &mut scratch)
        })
    }

    /// Checks what `call` makes of input and weight, then times it.
    fn contend(
        &mut self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        mut call: impl FnMut(&[f32], &[f32], &mut [f32]) -> Result<(), RunError>,
    ) -> Result<()> {
        let Self { shape, input, weight, output } = self;
        output.fill(f32::NAN);
        call(input, weight, output)?;
        check::conv(shape, input, weight, output).context(name.to_owned())?;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let result = call(input, weight, output);
                black_box(&mut *output);
                result
            });
        });
        Ok(())
    }
}

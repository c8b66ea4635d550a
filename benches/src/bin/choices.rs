//! Prints what each algorithm takes for the shapes of the catalogue, and whether the plan chooses the
//! best: `choices [pattern] [isa]`.

use anyhow::{Context, Result, bail};
use im2col::{Algorithm, ConvOperands, ConvParams, ConvPlan, Isa, RunError, Weights};
use im2col_benches::catalogue::CONVOLUTIONS;
use im2col_benches::{ConvShape, check, isa_by_name, operand};
use std::env;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The columns of the table.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Im2col,
    Algorithm::Pointwise,
    Algorithm::Broadcast,
    Algorithm::Direct,
    Algorithm::Depthwise,
    Algorithm::InPlace,
];

/// A choice that takes at most this much longer than the fastest counts as the best.
const DRAW: f64 = 1.05;
/// How far two algorithms may be apart, of the largest output: they may round differently.
const TOLERANCE: f32 = 1e-4;
/// A sample is at least this long: the clock's own cost then stays under a percent.
const SAMPLE: Duration = Duration::from_micros(20);
/// Rounds of samples go on for so long, but there are at least so many.
const SHAPE: Duration = Duration::from_millis(500);
const LEAST_ROUNDS: usize = 5;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let pattern = arguments.next().unwrap_or_default();
    let isa = arguments.next().map_or_else(|| Ok(Isa::detect()), |name| isa_by_name(&name))?;
    if arguments.next().is_some() {
        bail!("usage: choices [pattern] [isa]");
    }
    println!("Median us under {}; * is the plan's choice.", isa.name());
    print!("{:<22}", "");
    for algorithm in ALGORITHMS {
        print!("{:>12} ", format!("{algorithm:?}"));
    }
    println!();
    let (mut best, mut all) = (0, 0);
    for (name, shape) in CONVOLUTIONS.iter().filter(|(name, _)| name.contains(&pattern)) {
        let times = match shape.params_1d() {
            Some(params) => times(shape, params, [shape.input[1]], isa),
            None => times(shape, shape.params(), shape.input, isa),
        };
        let (chosen, times) = times.context(*name)?;
        best += usize::from(print(name, chosen, &times)?);
        all += 1;
    }
    println!("choices: {best} of {all} were the best");
    Ok(())
}

/// The plan's choice, and the median microseconds of each algorithm that takes the shape.
fn times<const D: usize>(
    shape: &ConvShape,
    params: ConvParams<D>,
    dims: [usize; D],
    isa: Isa,
) -> Result<(Algorithm, Vec<(Algorithm, f64)>)> {
    let plan = params.plan(shape.batch, dims)?.with_isa(isa);
    let (input, weight) = (operand(shape.input_len(), 1), operand(shape.weight_len(), 2));
    let plans: Vec<_> =
        ALGORITHMS.iter().filter_map(|algorithm| plan.with_algorithm(*algorithm).ok()).collect();
    let mut packed: Vec<_> = plans.iter().map(|plan| vec![0.0; plan.packed_weight_len()]).collect();
    let mut contenders = Vec::with_capacity(plans.len());
    for (plan, packed) in plans.into_iter().zip(&mut packed) {
        contenders.push(Contender::new(plan, &input, &weight, packed)?);
    }

    let chosen = contenders.iter().find(|contender| contender.plan == plan);
    let expected = &chosen.context("the plan's choice is not in the table")?.output;
    check::conv(shape, &input, &weight, expected)?;
    for Contender { plan, output, .. } in &contenders {
        check::close(output, expected, TOLERANCE).with_context(|| format!("{:?}", plan.algorithm()))?;
    }

    let begin = Instant::now();
    let mut rounds = 0;
    while rounds < LEAST_ROUNDS || begin.elapsed() < SHAPE {
        for contender in &mut contenders {
            contender.sample()?;
        }
        rounds += 1;
    }
    let times = contenders.iter_mut().map(|contender| (contender.plan.algorithm(), contender.median()));
    Ok((plan.algorithm(), times.collect()))
}

/// Prints a shape's row; whether the choice was the best.
fn print(name: &str, chosen: Algorithm, times: &[(Algorithm, f64)]) -> Result<bool> {
    let time = |algorithm| times.iter().find(|(timed, _)| *timed == algorithm).map(|(_, time)| *time);
    print!("{name:<22}");
    for algorithm in ALGORITHMS {
        let mark = if algorithm == chosen { '*' } else { ' ' };
        match time(algorithm) {
            Some(time) => print!("{time:>12.2}{mark}"),
            None => print!("{:>12}{mark}", "-"),
        }
    }
    let (fastest, least) = times.iter().min_by(|a, b| a.1.total_cmp(&b.1)).context("no algorithm")?;
    let loss = time(chosen).context("no choice")? / least;
    if loss <= DRAW {
        println!("  best");
    } else {
        println!("  {fastest:?} is {loss:.2}x as fast");
    }
    Ok(loss <= DRAW)
}

/// An algorithm with everything that it needs for a call.
struct Contender<'a, const D: usize> {
    plan: ConvPlan<D>,
    operands: ConvOperands<'a>,
    output: Vec<f32>,
    scratch: Vec<f32>,
    /// Microseconds of a call.
    samples: Vec<f64>,
}

impl<'a, const D: usize> Contender<'a, D> {
    /// Packs the weights, if the algorithm takes packed ones, and calls once.
    fn new(
        plan: ConvPlan<D>,
        input: &'a [f32],
        weight: &'a [f32],
        packed: &'a mut [f32],
    ) -> Result<Self, RunError> {
        let packed = Weights::Packed(plan.pack_weights(weight, packed)?);
        let mut contender = Self {
            plan,
            operands: ConvOperands { input, weight: packed, bias: &[] },
            output: vec![f32::NAN; plan.output_len()],
            scratch: vec![0.0; plan.scratch_len()],
            samples: Vec::new(),
        };
        match contender.call() {
            Err(RunError::PackedWeights { .. }) => {
                contender.operands.weight = Weights::Plain(weight);
                contender.call()?;
            }
            result => result?,
        }
        Ok(contender)
    }

    fn call(&mut self) -> Result<(), RunError> {
        self.plan.forward(self.operands, &mut self.output, &mut self.scratch)?;
        black_box(&mut self.output);
        Ok(())
    }

    /// Times as many calls as fill [`SAMPLE`], after one that finds the caches as another algorithm left
    /// them and tells how many that are.
    fn sample(&mut self) -> Result<(), RunError> {
        let start = Instant::now();
        self.call()?;
        let calls = SAMPLE.as_nanos().div_ceil(start.elapsed().as_nanos().max(1)) as u32;
        let start = Instant::now();
        for _ in 0..calls {
            self.call()?;
        }
        self.samples.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(calls));
        Ok(())
    }

    fn median(&mut self) -> f64 {
        let half = self.samples.len() / 2;
        *self.samples.select_nth_unstable_by(half, f64::total_cmp).1
    }
}

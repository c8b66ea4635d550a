//! Prints what each algorithm takes for the shapes of the catalogue, and whether the plan chooses the
//! best: `choices [pattern] [isa]`.
//!
//! `choices --random N [--seed S] [isa]` does so for `N` random shapes, and sums up how far the choices are
//! from the best, how much scratch they take, and the time of a multiply-add or value.
//!
//! With `--any-rounding`, plans may round in any order, and the random shapes are those that Winograd's algorithm takes.

mod random;

use anyhow::{Context, Result, ensure};
use im2col::{Algorithm, ConvOperands, ConvParams, ConvPlan, Isa, Rounding, RunError, Weights};
use im2col_benches::catalogue::CONVOLUTIONS;
use im2col_benches::{ConvShape, check, isa_by_name, operand};
use random::Random;
use std::env;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The columns of the table.
const ALGORITHMS: [Algorithm; 7] = [
    Algorithm::Im2col,
    Algorithm::Pointwise,
    Algorithm::Broadcast,
    Algorithm::Direct,
    Algorithm::Depthwise,
    Algorithm::InPlace,
    Algorithm::Winograd,
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
/// Of a random shape, of which there are many.
const RANDOM_SHAPE: Duration = Duration::from_millis(15);
/// How close to the best a choice should be, and how close it must be.
const CLOSE: f64 = 1.2;
const FAR: f64 = 2.0;
/// Scratch that any shape may have: a block of 65,536 values, sums that wait to be stored, and alignment.
const BLOCK: usize = 70_000;

fn main() -> Result<()> {
    let mut words = Vec::new();
    let (mut random, mut seed, mut rounding) = (None, 1, Rounding::Ordered);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--random" => random = Some(arguments.next().context("--random needs a number")?.parse()?),
            "--any-rounding" => rounding = Rounding::Any,
            "--seed" => seed = arguments.next().context("--seed needs a number")?.parse()?,
            _ => words.push(argument),
        }
    }
    let pattern = if random.is_none() && !words.is_empty() { words.remove(0) } else { String::new() };
    ensure!(words.len() < 2, "usage: choices [--any-rounding] [pattern | --random N [--seed S]] [isa]");
    let isa = words.first().map_or_else(|| Ok(Isa::detect()), |name| isa_by_name(name))?;
    match random {
        Some(count) => random_shapes(count, seed, (isa, rounding)),
        None => catalogue(&pattern, (isa, rounding)),
    }
}

/// The instruction set, and how plans may round.
type How = (Isa, Rounding);

fn print_head(statistic: &str, (isa, rounding): How) {
    println!("{statistic} us under {}, rounding {rounding:?}; * is the plan's choice.", isa.name());
    print!("{:<22}", "");
    for algorithm in ALGORITHMS {
        print!("{:>12} ", format!("{algorithm:?}"));
    }
    println!();
}

fn catalogue(pattern: &str, how: How) -> Result<()> {
    print_head("Median", how);
    let (mut best, mut all) = (0, 0);
    for (name, shape) in CONVOLUTIONS.iter().filter(|(name, _)| name.contains(pattern)) {
        let (chosen, times) = times(shape, how, SHAPE, median).context(*name)?;
        best += usize::from(print(name, chosen, &times)? <= DRAW);
        all += 1;
    }
    println!("choices: {best} of {all} were the best");
    Ok(())
}

/// Prints each random shape, then the worst loss, the share of close choices, the largest scratch beside what is
/// read, and the most nanoseconds of a multiply-add or value.
fn random_shapes(count: usize, seed: u64, how: How) -> Result<()> {
    print_head("Least", how);
    let mut random = Random::new(seed, how.1);
    let (mut losses, mut scratch, mut cost) =
        (Vec::with_capacity(count), (0.0, String::new()), (0.0, String::new()));
    for _ in 0..count {
        let shape = random.shape();
        let name = random::describe(&shape);
        let (chosen, times) = times(&shape, how, RANDOM_SHAPE, least).context(name.clone())?;
        losses.push((print(&name, chosen, &times)?, name.clone()));
        let plan = shape.params().plan(shape.batch, shape.input)?;
        let read = random::values_read(&shape);
        scratch =
            larger(scratch, plan.packed_scratch_len().saturating_sub(BLOCK) as f64 / read as f64, &name);
        let time = times.iter().find(|(algorithm, _)| *algorithm == chosen).map_or(0.0, |(_, time)| *time);
        let work = plan.multiply_adds() + plan.input_len() + plan.weight_len() + plan.output_len();
        // A call has a cost of its own.
        cost = larger(cost, (time - 1.0) * 1e3 / work as f64, &name);
    }
    losses.sort_by(|a, b| b.0.total_cmp(&a.0));
    let within = |most: f64| losses.iter().filter(|(loss, _)| *loss <= most).count();
    println!(
        "choices: {} of {count} within {CLOSE} of the best ({:.1} %), {} over {FAR}",
        within(CLOSE),
        100.0 * within(CLOSE) as f64 / count as f64,
        count - within(FAR)
    );
    println!("worst choices:");
    for (loss, name) in losses.iter().take(10) {
        println!("  {loss:.2} {name}");
    }
    println!(
        "scratch with packed weights beyond a block of {BLOCK} values, over the values read: at most {:.2} ({})",
        scratch.0, scratch.1
    );
    println!("time beyond 1 us of a multiply-add or value: at most {:.2} ns ({})", cost.0, cost.1);
    Ok(())
}

fn larger(most: (f64, String), value: f64, name: &str) -> (f64, String) {
    if value > most.0 { (value, name.to_owned()) } else { most }
}

/// The plan's choice, and the microseconds of each algorithm that takes the shape.
type Times = (Algorithm, Vec<(Algorithm, f64)>);

fn times(shape: &ConvShape, how: How, time: Duration, statistic: fn(&mut [f64]) -> f64) -> Result<Times> {
    match shape.params_1d() {
        Some(params) => times_of(shape, params, [shape.input[1]], how, time, statistic),
        None => times_of(shape, shape.params(), shape.input, how, time, statistic),
    }
}

fn times_of<const D: usize>(
    shape: &ConvShape,
    params: ConvParams<D>,
    dims: [usize; D],
    (isa, rounding): How,
    time: Duration,
    statistic: fn(&mut [f64]) -> f64,
) -> Result<Times> {
    let plan = params.plan(shape.batch, dims)?.with_isa(isa).with_rounding(rounding);
    let (input, weight) = (operand(shape.input_len(), 1), operand(shape.weight_len(), 2));
    let algorithms = ALGORITHMS.iter().filter(|algorithm| is_asked_for(**algorithm, rounding));
    let plans: Vec<_> = algorithms.filter_map(|algorithm| plan.with_algorithm(*algorithm).ok()).collect();
    let mut packed: Vec<_> = plans.iter().map(|plan| vec![0.0; plan.packed_weight_len()]).collect();
    let mut contenders = Vec::with_capacity(plans.len());
    for (plan, packed) in plans.into_iter().zip(&mut packed) {
        contenders.push(Contender::new(plan, &input, &weight, packed)?);
    }

    let ordered = plan.with_rounding(Rounding::Ordered).algorithm();
    let ordered = contenders.iter().find(|contender| contender.plan.algorithm() == ordered);
    let expected = &ordered.context("the plan's choice is not in the table")?.output;
    check::conv(shape, &input, &weight, expected)?;
    for Contender { plan, output, .. } in &contenders {
        check::close(output, expected, TOLERANCE).with_context(|| format!("{:?}", plan.algorithm()))?;
    }

    let begin = Instant::now();
    let mut rounds = 0;
    while rounds < LEAST_ROUNDS || begin.elapsed() < time {
        for contender in &mut contenders {
            contender.sample()?;
        }
        rounds += 1;
    }
    let times = contenders.iter_mut();
    let times = times.map(|contender| (contender.plan.algorithm(), statistic(&mut contender.samples)));
    Ok((plan.algorithm(), times.collect()))
}

fn is_asked_for(algorithm: Algorithm, rounding: Rounding) -> bool {
    algorithm != Algorithm::Winograd || rounding == Rounding::Any
}

/// The median of the samples.
fn median(samples: &mut [f64]) -> f64 {
    let half = samples.len() / 2;
    *samples.select_nth_unstable_by(half, f64::total_cmp).1
}

/// The least of the samples.
fn least(samples: &mut [f64]) -> f64 {
    samples.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Prints a shape's row; returns the time of the choice over that of the best.
fn print(name: &str, chosen: Algorithm, times: &[(Algorithm, f64)]) -> Result<f64> {
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
    Ok(loss)
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
}

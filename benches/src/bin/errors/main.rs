//! The rounding errors of the catalogue's convolutions against sums in f64, as tables: one column for each algorithm and
//! for the gradients of input, weight and bias. Values are uniform in -1..1; of each result some hundred are compared.
//!
//! An error that exceeds its documented bound ends the program with an error.

mod exact;

use anyhow::{Result, ensure};
use im2col::{Algorithm, ConvOperands, ConvPlan, Isa, Weights};
use im2col_benches::catalogue::CONVOLUTIONS;
use im2col_benches::check::{self, gamma};
use im2col_benches::{ConvShape, operand};
use std::collections::BTreeMap;

/// Values compared of one result.
const SAMPLES: usize = 400;
/// Without vectors larger layers take minutes.
const MOST_SCALAR_PRODUCTS: usize = 1 << 27;
/// A prime that no size here has as a factor.
const STEP: usize = 10_007;

/// Columns in their order.
const COLUMNS: [&str; 10] = [
    "Im2col",
    "Pointwise",
    "Broadcast",
    "Direct",
    "Depthwise",
    "InPlace",
    "Winograd",
    "grad_input",
    "grad_weight",
    "grad_bias",
];

/// The errors of one result.
#[derive(Clone, Copy, Default)]
struct Errors {
    /// The largest, in parts of its bound.
    most: f64,
    /// The mean, in parts of the bounds.
    mean: f64,
    /// The largest, in parts of the largest value.
    relative: f64,
    values: usize,
}

impl Errors {
    /// Of `given`, with `exact(index)` the sum and the sum of magnitudes, and `bound(magnitude)`.
    fn new(given: &[f32], exact: impl Fn(usize) -> (f64, f64), bound: impl Fn(f64) -> f64) -> Self {
        let values = given.len().min(SAMPLES);
        let (mut errors, mut largest, mut error) = (Self { values, ..Self::default() }, 0.0_f64, 0.0_f64);
        for index in (0..values).map(|visit| visit * STEP % given.len()) {
            let (sum, magnitude) = exact(index);
            let difference = (f64::from(given[index]) - sum).abs();
            // Where nothing is added, nothing may differ. A NaN is an infinite error.
            let of_bound = if difference == 0.0 { 0.0 } else { difference / bound(magnitude) };
            let of_bound = if of_bound.is_nan() { f64::INFINITY } else { of_bound };
            errors.most = errors.most.max(of_bound);
            errors.mean += of_bound / values as f64;
            error = error.max(difference);
            largest = largest.max(sum.abs());
        }
        errors.relative = error / largest;
        errors
    }
}

/// The operands of one layer.
struct Layer {
    shape: ConvShape,
    plan: ConvPlan<2>,
    input: Vec<f32>,
    weight: Vec<f32>,
    grad_output: Vec<f32>,
}

impl Layer {
    fn new(shape: ConvShape, isa: Isa) -> Result<Self> {
        let plan = shape.params().with_bias(true).plan(shape.batch, shape.input)?.with_isa(isa);
        let (input, weight) = (operand(shape.input_len(), 1), operand(shape.weight_len(), 2));
        Ok(Self { shape, plan, input, weight, grad_output: operand(shape.output_len(), 3) })
    }

    fn forward(&self, algorithm: Algorithm) -> Result<Errors> {
        let plan = self.plan.with_algorithm(algorithm)?;
        let (mut output, mut scratch) =
            (vec![f32::NAN; plan.output_len()], vec![f32::NAN; plan.scratch_len()]);
        let bias = vec![0.0; plan.bias_len()];
        let operands = ConvOperands { input: &self.input, weight: Weights::Plain(&self.weight), bias: &bias };
        plan.forward(operands, &mut output, &mut scratch)?;
        let (products, channels) = (self.shape.patch_len(), self.shape.in_channels / self.shape.groups);
        let exact = |index| check::exact(&self.shape, &self.input, &self.weight, index);
        // No value exceeds 1.
        let of_winograd = 620.0 * gamma(channels + 31) * channels as f64;
        Ok(match algorithm {
            Algorithm::Winograd => Errors::new(&output, exact, |_| of_winograd),
            _ => Errors::new(&output, exact, |magnitude| gamma(products + 2) * magnitude),
        })
    }

    fn grad_input(&self) -> Result<Errors> {
        let Self { shape, plan, weight, grad_output, .. } = self;
        let mut grad = vec![f32::NAN; plan.input_len()];
        plan.backward_input(
            weight,
            grad_output,
            &mut grad,
            &mut vec![f32::NAN; plan.backward_input_scratch_len()],
        )?;
        let products = shape.out_channels / shape.groups * shape.kernel[0] * shape.kernel[1];
        let exact = |index| exact::grad_input(shape, weight, grad_output, index);
        Ok(Errors::new(&grad, exact, |magnitude| gamma(products + 2) * magnitude))
    }

    fn grad_weight(&self) -> Result<Errors> {
        let Self { shape, plan, input, grad_output, .. } = self;
        let mut grad = vec![f32::NAN; plan.weight_len()];
        plan.backward_weight(
            input,
            grad_output,
            &mut grad,
            &mut vec![f32::NAN; plan.backward_weight_scratch_len()],
        )?;
        let products = chained(shape.batch * shape.positions());
        let exact = |index| exact::grad_weight(shape, input, grad_output, index);
        Ok(Errors::new(&grad, exact, |magnitude| gamma(products + 2) * magnitude))
    }

    fn grad_bias(&self) -> Result<Errors> {
        let Self { shape, plan, grad_output, .. } = self;
        let mut grad = vec![f32::NAN; plan.bias_len()];
        plan.backward_bias(grad_output, &mut grad)?;
        let terms = shape.batch * shape.positions();
        let roundings = terms.min(16 + terms.ilog2() as usize);
        let exact = |channel| exact::grad_bias(shape, grad_output, channel);
        Ok(Errors::new(&grad, exact, |magnitude| gamma(roundings) * magnitude))
    }

    fn all(&self) -> Result<BTreeMap<String, Errors>> {
        let mut all = BTreeMap::new();
        for algorithm in self.plan.algorithms() {
            all.insert(format!("{algorithm:?}"), self.forward(algorithm)?);
        }
        all.insert("grad_input".into(), self.grad_input()?);
        all.insert("grad_weight".into(), self.grad_weight()?);
        all.insert("grad_bias".into(), self.grad_bias()?);
        Ok(all)
    }
}

/// `K` of the gradient of a weight that is a sum of `products`, as `ConvPlan::backward_weight` says.
fn chained(products: usize) -> usize {
    let (mut roundings, mut most) = (2048, 512);
    while most < products {
        (roundings, most) = (roundings + 64, most * 64);
    }
    roundings.min(products)
}

type Row<'a> = (&'a str, BTreeMap<String, Errors>);

fn print_table(title: &str, rows: &[Row<'_>], cell: impl Fn(&Errors) -> String) {
    println!("\n{title}\n\n| layer | {} |", COLUMNS.join(" | "));
    println!("|---|{}", "---:|".repeat(COLUMNS.len()));
    for (name, errors) in rows {
        let cells = COLUMNS.map(|column| errors.get(column).map(&cell).unwrap_or_default());
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn main() -> Result<()> {
    let (mut values, mut most) = (0, 0.0_f64);
    for isa in [Isa::detect(), Isa::SCALAR] {
        let mut rows = Vec::new();
        for (name, shape) in CONVOLUTIONS {
            if isa == Isa::SCALAR && shape.multiply_adds() > MOST_SCALAR_PRODUCTS {
                continue;
            }
            let all = Layer::new(shape, isa)?.all()?;
            for (what, errors) in &all {
                ensure!(
                    errors.most <= 1.0,
                    "{name}, {what}, {}: {} times the bound",
                    isa.name(),
                    errors.most
                );
                values += errors.values;
                most = most.max(errors.most);
            }
            rows.push((name, all));
        }
        let title = format!("Largest and mean error in percent of the documented bound, {}:", isa.name());
        print_table(&title, &rows, |e| format!("{:.2} {:.3}", 100.0 * e.most, 100.0 * e.mean));
        let title =
            format!("Largest error relative to the largest value, in units of 2^-24, {}:", isa.name());
        print_table(&title, &rows, |e| format!("{:.1}", e.relative * 2_f64.powi(24)));
    }
    println!(
        "\nerrors: {values} values, 0 outside the bound, the largest error is {:.1} % of it",
        100.0 * most
    );
    Ok(())
}

//! The operations against PyTorch's results, forward and backward, under every instruction set.
//!
//! The reference is PyTorch's float64 result rounded to `f32`; the error bound's magnitudes come
//! from the oracle, which is held to the reference as well. This test has a `main` of its own so
//! that its last line can count the cases.

use im2col::{ConvOperands, ConvParams, Isa, PoolParams, Weights};
use im2col_testkit::bound;
use im2col_testkit::golden::{Tensor, Tensors, read_json, shared_dir};
use im2col_testkit::oracle::{ConvCase, PoolCase, Sum};
use serde_json::Value;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

type Checked = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    // Test runners ask for a list; other arguments of the standard harness change nothing.
    if std::env::args().any(|argument| argument == "--list") {
        println!("golden: test");
        return ExitCode::SUCCESS;
    }
    let Some(shared) = shared_dir() else {
        println!(
            "golden: SKIPPED, nothing was tested: no shared/golden above this crate and no IM2COL_SHARED"
        );
        return ExitCode::SUCCESS;
    };
    match run(&shared) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("golden: FAILED: {}: {error}", shared.display());
            ExitCode::FAILURE
        }
    }
}

/// Runs all cases; whether none failed.
fn run(shared: &Path) -> Result<bool, Box<dyn Error>> {
    let tensors = Tensors::read(&shared.join("golden/ops.safetensors"))?;
    let file = read_json(&shared.join("golden/ops.json"))?;
    let cases = file["cases"].as_array().ok_or("ops.json has no cases")?;
    let isas: Vec<_> = Isa::available().map(Isa::name).collect();
    println!("golden: instruction sets {}", isas.join(", "));

    let (mut passed, mut skipped) = (0, 0);
    for json in cases {
        let case = Case { json, tensors: &tensors };
        if case.is_foreign() {
            skipped += 1;
            continue;
        }
        match case.run() {
            Ok(()) => passed += 1,
            Err(error) => println!("golden: FAILED: {}: {error}", case.text("name")),
        }
    }
    println!("golden: {passed} of {} passed, {skipped} skipped", cases.len());
    Ok(passed + skipped == cases.len())
}

#[derive(Clone, Copy)]
struct Case<'a> {
    json: &'a Value,
    tensors: &'a Tensors,
}

impl<'a> Case<'a> {
    /// Whether the operation does not exist in this crate.
    fn is_foreign(&self) -> bool {
        let supported = matches!(self.text("op"), "conv" | "conv_same" | "max_pool" | "avg_pool" | "im2col");
        let zeros = matches!(self.text("padding_mode"), "" | "zeros");
        let ceil_mode = self.json["ceil_mode"].as_bool() == Some(true);
        !supported || !zeros || ceil_mode
    }

    fn run(&self) -> Checked {
        match self.json["rank"].as_u64() {
            Some(1) => self.run_rank::<1>(),
            Some(2) => self.run_rank::<2>(),
            Some(3) => self.run_rank::<3>(),
            rank => Err(format!("rank {rank:?}").into()),
        }
    }

    fn run_rank<const D: usize>(&self) -> Checked {
        match self.text("op") {
            "conv" | "conv_same" => conv::<D>(self),
            "im2col" => im2col::<D>(self),
            "max_pool" => max_pool::<D>(self),
            "avg_pool" => average_pool::<D>(self),
            op => Err(format!("operation {op}").into()),
        }
    }

    fn text(&self, key: &str) -> &'a str {
        self.json[key].as_str().unwrap_or("")
    }

    /// One size per axis, after as many ones as it takes; all ones where the case does not say.
    fn sizes(&self, key: &str) -> [usize; 3] {
        self.json[key].as_array().map_or([1; 3], |sizes| {
            let sizes: Vec<usize> = sizes.iter().filter_map(size).collect();
            lift(&sizes, 1)
        })
    }

    fn padding(&self) -> Option<[[usize; 2]; 3]> {
        let sides = |pair: &Value| Some([size(&pair[0])?, size(&pair[1])?]);
        let padding: Option<Vec<_>> = self.json["padding"].as_array()?.iter().map(sides).collect();
        Some(lift(&padding?, [0, 0]))
    }

    fn tensor(&self, role: &str) -> Result<&'a Tensor<f32>, String> {
        let name = self.json["tensors"][role].as_str();
        name.and_then(|name| self.tensors.f32(name)).ok_or_else(|| format!("no tensor {role}"))
    }

    fn values(&self, role: &str) -> Result<&'a [f32], String> {
        Ok(&self.tensor(role)?.values)
    }

    /// Checks `given` against the reference, which the oracle says how far to trust.
    fn check(&self, role: &str, given: &[f32], oracle: &[Sum], products: usize) -> Checked {
        let reference = self.values(role)?;
        bound::check(reference, oracle, 0).map_err(|error| format!("{role}, oracle: {error}"))?;
        let sums = reference.iter().zip(oracle);
        let expected: Vec<Sum> = sums.map(|(&value, sum)| Sum { value: f64::from(value), ..*sum }).collect();
        bound::check(given, &expected, products).map_err(|error| format!("{role}: {error}").into())
    }

    fn check_exact(&self, role: &str, given: &[f32]) -> Checked {
        let reference = self.values(role)?;
        if given == reference { Ok(()) } else { Err(format!("{role}: {given:?}, not {reference:?}").into()) }
    }
}

fn size(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|size| usize::try_from(size).ok())
}

fn lift<T: Copy>(values: &[T], fill: T) -> [T; 3] {
    let mut lifted = [fill; 3];
    lifted[3 - values.len()..].copy_from_slice(values);
    lifted
}

/// The last `D` of three: what [`lift`] was given.
fn lower<T: Copy, const D: usize>(values: [T; 3]) -> [T; D] {
    std::array::from_fn(|axis| values[3 - D + axis])
}

/// Results and scratch start as NaN, so that what is not written or is read too early shows.
fn unwritten(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

fn on_every_isa(check: impl Fn(Isa) -> Checked) -> Checked {
    for isa in Isa::available() {
        check(isa).map_err(|error| format!("{}: {error}", isa.name()))?;
    }
    Ok(())
}

fn conv<const D: usize>(case: &Case<'_>) -> Checked {
    let (input, weight) = (case.tensor("input")?, case.tensor("weight")?);
    let bias = case.values("bias").unwrap_or(&[]);
    let (kernel, dilation) = (lift(&weight.shape[2..], 1), case.sizes("dilation"));
    // Padding "same": what keeps the size at stride 1; the odd one goes behind.
    let same = std::array::from_fn(|axis| {
        let total = dilation[axis] * (kernel[axis] - 1);
        [total / 2, total - total / 2]
    });
    let oracle = ConvCase {
        batch: input.shape[0],
        in_channels: input.shape[1],
        out_channels: weight.shape[0],
        groups: size(&case.json["groups"]).ok_or("groups")?,
        input: lift(&input.shape[2..], 1),
        kernel,
        stride: case.sizes("stride"),
        padding: case.padding().unwrap_or(same),
        dilation,
    };
    let plan = ConvParams::<D>::new(oracle.in_channels, oracle.out_channels, lower(kernel))
        .with_stride(lower(oracle.stride))
        .with_padding_per_side(lower(oracle.padding))
        .with_dilation(lower(dilation))
        .with_groups(oracle.groups)
        .with_bias(!bias.is_empty())
        .plan(oracle.batch, lower(oracle.input))?;

    let (input, weight) = (&input.values, &weight.values);
    let forward = oracle.forward(input, weight, bias);
    on_every_isa(|isa| {
        let mut output = unwritten(plan.output_len());
        let operands = ConvOperands { input, weight: Weights::Plain(weight), bias };
        plan.with_isa(isa).forward(operands, &mut output, &mut unwritten(plan.scratch_len()))?;
        case.check("output", &output, &forward, oracle.forward_products())
    })?;

    let Ok(grad_output) = case.values("grad_output") else { return Ok(()) };
    let grads = [
        oracle.grad_input(weight, grad_output),
        oracle.grad_weight(input, grad_output),
        oracle.grad_bias(grad_output),
    ];
    on_every_isa(|isa| {
        let plan = plan.with_isa(isa);
        let mut grad_input = unwritten(plan.input_len());
        let scratch = &mut unwritten(plan.backward_input_scratch_len());
        plan.backward_input(weight, grad_output, &mut grad_input, scratch)?;
        case.check("grad_input", &grad_input, &grads[0], oracle.grad_input_products())?;

        let mut grad_weight = unwritten(plan.weight_len());
        let scratch = &mut unwritten(plan.backward_weight_scratch_len());
        plan.backward_weight(input, grad_output, &mut grad_weight, scratch)?;
        case.check("grad_weight", &grad_weight, &grads[1], oracle.grad_weight_products())?;

        if bias.is_empty() {
            return Ok(());
        }
        let mut grad_bias = unwritten(plan.bias_len());
        plan.backward_bias(grad_output, &mut grad_bias)?;
        case.check("grad_bias", &grad_bias, &grads[2], oracle.grad_weight_products())
    })
}

/// im2col is the convolution by the identity, and col2im its gradient; this is all the oracle needs.
fn im2col<const D: usize>(case: &Case<'_>) -> Checked {
    let input = case.tensor("input")?;
    let (batch, channels, kernel) = (input.shape[0], input.shape[1], case.sizes("kernel"));
    let rows = channels * kernel.iter().product::<usize>();
    let oracle = ConvCase {
        batch,
        in_channels: channels,
        out_channels: rows,
        groups: 1,
        input: lift(&input.shape[2..], 1),
        kernel,
        stride: case.sizes("stride"),
        padding: case.padding().ok_or("padding")?,
        dilation: case.sizes("dilation"),
    };
    let identity: Vec<f32> = (0..rows * rows).map(|i| if i % (rows + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let sums = oracle.grad_input(&identity, case.values("columns_in")?);
    let plan = ConvParams::<D>::new(channels, rows, lower(kernel))
        .with_stride(lower(oracle.stride))
        .with_padding_per_side(lower(oracle.padding))
        .with_dilation(lower(oracle.dilation))
        .plan(batch, lower(oracle.input))?;
    on_every_isa(|isa| {
        let plan = plan.with_isa(isa);
        let mut columns = unwritten(plan.columns_len());
        plan.im2col(&input.values, &mut columns)?;
        case.check_exact("columns", &columns)?;

        let mut input_sums = unwritten(plan.input_len());
        plan.col2im(case.values("columns_in")?, &mut input_sums)?;
        case.check("col2im", &input_sums, &sums, oracle.kernel.iter().product())
    })
}

fn pool_case(case: &Case<'_>) -> Result<PoolCase, Box<dyn Error>> {
    let input = case.tensor("input")?;
    Ok(PoolCase {
        batch: input.shape[0],
        channels: input.shape[1],
        input: lift(&input.shape[2..], 1),
        window: case.sizes("kernel"),
        stride: case.sizes("stride"),
        padding: case.padding().ok_or("padding")?,
        dilation: case.sizes("dilation"),
        count_include_pad: case.json["count_include_pad"].as_bool().unwrap_or(true),
    })
}

fn max_pool<const D: usize>(case: &Case<'_>) -> Checked {
    let (input, grad_output) = (case.values("input")?, case.values("grad_output")?);
    let oracle = pool_case(case)?;
    let plan = PoolParams::<D>::max(lower(oracle.window))
        .with_stride(lower(oracle.stride))
        .with_padding_per_side(lower(oracle.padding))
        .with_dilation(lower(oracle.dilation))
        .plan(oracle.batch, oracle.channels, lower(oracle.input))?;
    let grads = oracle.max_grad_input(input, grad_output);
    on_every_isa(|isa| {
        let plan = plan.with_isa(isa);
        let mut output = unwritten(plan.output_len());
        plan.forward(input, &mut output)?;
        case.check_exact("output", &output)?;

        let mut grad_input = unwritten(plan.input_len());
        plan.backward(input, grad_output, &mut grad_input)?;
        case.check("grad_input", &grad_input, &grads, oracle.products())
    })
}

fn average_pool<const D: usize>(case: &Case<'_>) -> Checked {
    let (input, grad_output) = (case.values("input")?, case.values("grad_output")?);
    let oracle = pool_case(case)?;
    let plan = PoolParams::<D>::average(lower(oracle.window))
        .with_stride(lower(oracle.stride))
        .with_padding_per_side(lower(oracle.padding))
        .with_count_include_pad(oracle.count_include_pad)
        .plan(oracle.batch, oracle.channels, lower(oracle.input))?;
    let (means, grads) = (oracle.average(input), oracle.average_grad_input(grad_output));
    on_every_isa(|isa| {
        let plan = plan.with_isa(isa);
        let mut output = unwritten(plan.output_len());
        plan.forward(input, &mut output)?;
        case.check("output", &output, &means, oracle.products())?;

        let mut grad_input = unwritten(plan.input_len());
        plan.backward(input, grad_output, &mut grad_input)?;
        case.check("grad_input", &grad_input, &grads, oracle.products())
    })
}

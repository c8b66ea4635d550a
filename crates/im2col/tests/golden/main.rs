//! The operations against PyTorch's results, forward and backward, under every instruction set.
//!
//! The reference is PyTorch's float64 result rounded to `f32`; the error bound's magnitudes come
//! from the oracle, which is held to the reference as well. This test has a `main` of its own so
//! that its last line can count the cases.

mod conv;
mod pool;
mod transpose;

use im2col::Isa;
use im2col_testkit::bound;
use im2col_testkit::golden::{Tensor, Tensors, read_json, shared_dir};
use im2col_testkit::oracle::Sum;
use serde_json::Value;
use std::collections::BTreeMap;
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

    // Passed and in all, by operation and rank.
    let mut counts = BTreeMap::new();
    for json in cases {
        let case = Case { json, tensors: &tensors };
        let count: &mut [usize; 2] = counts.entry((case.text("op"), json["rank"].as_u64())).or_default();
        count[1] += 1;
        match case.run() {
            Ok(()) => count[0] += 1,
            Err(error) => println!("golden: FAILED: {}: {error}", case.text("name")),
        }
    }
    for ((op, rank), [passed, all]) in &counts {
        println!("golden: {op} {}-D: {passed} of {all}", rank.unwrap_or_default());
    }
    let passed: usize = counts.values().map(|[passed, _]| passed).sum();
    println!("golden: {passed} of {} passed", cases.len());
    Ok(passed == cases.len())
}

#[derive(Clone, Copy)]
struct Case<'a> {
    json: &'a Value,
    tensors: &'a Tensors,
}

impl<'a> Case<'a> {
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
            "conv" | "conv_same" => conv::forward_and_backward::<D>(self),
            "conv_transpose" => transpose::forward_and_backward::<D>(self),
            "im2col" => conv::im2col::<D>(self),
            "max_pool" => pool::max::<D>(self),
            "avg_pool" => pool::average::<D>(self),
            "adaptive_max_pool" => pool::adaptive_max::<D>(self),
            "adaptive_avg_pool" => pool::adaptive_average::<D>(self),
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

    fn indices(&self, role: &str) -> Option<&'a [i64]> {
        let name = self.json["tensors"][role].as_str()?;
        Some(&self.tensors.i64(name)?.values)
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

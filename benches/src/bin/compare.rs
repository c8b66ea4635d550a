//! Prints markdown tables from results that contain `ours`, `im2col+mm` and `naive`:
//! `compare results.csv [threads]`.

use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::{env, fs};

const PEERS: [&str; 3] = ["ours", "im2col+mm", "naive"];

/// Median microseconds of (peer, shape): of several passes, the lowest.
type Medians = HashMap<(String, String), f64>;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().context("usage: compare results.csv [threads]")?;
    let threads = arguments.next().unwrap_or_else(|| "1".to_owned());
    let (medians, shapes) = read(&fs::read_to_string(&path).context(path)?, &threads)?;
    let (gemms, convolutions): (Vec<_>, Vec<_>) = shapes.iter().partition(|shape| shape.starts_with("gemm_"));
    for (title, shapes) in [("convolution", convolutions), ("matrix product", gemms)] {
        if !shapes.is_empty() {
            print(title, &shapes, &medians);
        }
    }
    Ok(())
}

/// The medians, and the shapes in the order of their appearance.
fn read(text: &str, threads: &str) -> Result<(Medians, Vec<String>)> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().context("no header")?.split(',').collect();
    let column = |name| header.iter().position(|field| *field == name).context(name);
    let [peer, shape, thread] = [column("peer")?, column("shape")?, column("threads")?];
    let [median, error, max] = [column("median_us")?, column("max_abs_err")?, column("ref_max_abs")?];
    let (mut medians, mut shapes) = (Medians::new(), Vec::new());
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        ensure!(fields.len() == header.len(), "not {} fields: {line}", header.len());
        let compared = PEERS.contains(&fields[peer]) && fields[thread] == threads;
        if !compared || fields[median].is_empty() {
            continue;
        }
        let (error, max): (f64, f64) = (fields[error].parse()?, fields[max].parse()?);
        ensure!(error <= 1e-3 * max, "a wrong answer was timed: {line}");
        let value: f64 = fields[median].parse()?;
        medians
            .entry((fields[peer].to_owned(), fields[shape].to_owned()))
            .and_modify(|lowest| *lowest = lowest.min(value))
            .or_insert(value);
        if !shapes.iter().any(|known| known == fields[shape]) {
            shapes.push(fields[shape].to_owned());
        }
    }
    Ok((medians, shapes))
}

fn print(title: &str, shapes: &[&String], medians: &Medians) {
    let median = |peer: &str, shape: &str| medians.get(&(peer.to_owned(), shape.to_owned())).copied();
    let mut gains = Vec::new();
    println!("| {title}, us | ours | im2col + matrixmultiply | | naive | |");
    println!("|---|--:|--:|--:|--:|--:|");
    for shape in shapes {
        let (Some(ours), Some(explicit)) = (median("ours", shape), median("im2col+mm", shape)) else {
            continue;
        };
        gains.push(explicit / ours);
        print!("| {shape} | {} | {} | {:.2}x |", number(ours), number(explicit), explicit / ours);
        match median("naive", shape) {
            Some(naive) => println!(" {} | {:.0}x |", number(naive), naive / ours),
            None => println!(" - | |"),
        }
    }
    let mean = (gains.iter().map(|gain| gain.ln()).sum::<f64>() / gains.len() as f64).exp();
    let least = gains.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "\n{} shapes: {mean:.2}x im2col + matrixmultiply in the geometric mean, {least:.2}x at least.\n",
        gains.len()
    );
}

/// Three or more digits.
fn number(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

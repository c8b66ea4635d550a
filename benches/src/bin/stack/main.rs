//! How much stack each public function of the core takes, as a table: bytes on each instruction set, the most over the shapes
//! tried. What the caller keeps for a call does not count: its result, and the weights that a network takes by value.
//!
//! `stack --limits` fails where a function takes more than 16 KiB, or LeNet's inference more than 8 KiB; in a debug build, where
//! one takes more than a thread of 2 MiB has.

mod layers;
mod measure;
mod networks;
mod products;

use anyhow::{Result, bail, ensure};
use measure::{PAINTED, Table};
use std::env;

const MOST: usize = if cfg!(debug_assertions) { PAINTED } else { 16 << 10 };
/// Of LeNet's inference.
const MOST_OF_LENET: usize = if cfg!(debug_assertions) { PAINTED } else { 8 << 10 };

const LENET: [&str; 2] = ["Network::forward, ", "Network::forward_pixels, "];

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has_limits = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--limits"] => true,
        _ => bail!("usage: stack [--limits]"),
    };
    let mut table = Table::new()?;
    table.call_any("nothing", || ())?;
    products::measure(&mut table)?;
    layers::measure(&mut table)?;
    networks::measure(&mut table)?;
    print(&table);
    if has_limits {
        check(&table)?;
    }
    Ok(())
}

fn print(table: &Table) {
    let width = table.rows.iter().map(|row| row.function.len()).max().unwrap_or_default();
    print!("{:width$}", "bytes of stack");
    for isa in &table.isas {
        print!(" {:>9}", isa.name());
    }
    println!();
    for row in &table.rows {
        print!("{:width$}", row.function);
        for bytes in &row.bytes {
            print!(" {bytes:>9}");
        }
        println!();
    }
}

fn check(table: &Table) -> Result<()> {
    let mut too_deep = Vec::new();
    for row in &table.rows {
        for (isa, &bytes) in table.isas.iter().zip(&row.bytes) {
            let is_lenet = LENET.iter().any(|name| row.function.starts_with(name));
            let most = if is_lenet { MOST_OF_LENET } else { MOST };
            if bytes > most {
                too_deep.push(format!("{} on {}: {bytes} bytes, at most {most}", row.function, isa.name()));
            }
        }
    }
    let deepest = table.rows.iter().max_by_key(|row| row.bytes.iter().max().copied());
    if let Some(row) = deepest {
        let bytes = row.bytes.iter().max().copied().unwrap_or_default();
        println!("stack: {} functions, at most {bytes} bytes: {}", table.rows.len(), row.function);
    }
    ensure!(too_deep.is_empty(), "too much stack:\n{}", too_deep.join("\n"));
    Ok(())
}

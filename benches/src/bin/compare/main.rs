//! Makes tables and a picture of the results of a run beside other libraries:
//! `compare recipe|peers|picture results.csv [threads]`.

mod picture;
mod results;
mod tables;

use anyhow::{Context, Result, bail};
use results::Results;
use std::{env, fs};

const USAGE: &str = "usage: compare recipe|peers|picture results.csv [threads]";

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let view = arguments.next().context(USAGE)?;
    let path = arguments.next().context(USAGE)?;
    let threads = arguments.next().unwrap_or_else(|| "1".to_owned());
    let results = Results::parse(&fs::read_to_string(&path).context(path)?, &threads)?;
    let text = match view.as_str() {
        "recipe" => tables::recipe(&results)?,
        "peers" => tables::peers(&results)?,
        "picture" => picture::draw(&results, &threads)?,
        _ => bail!(USAGE),
    };
    print!("{text}");
    Ok(())
}

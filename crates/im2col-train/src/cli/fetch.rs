//! `lenet fetch`

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::output::Output;
use super::sets::set_parser;
use crate::fetch::{Fetched, Fetcher, RemoteFile, RemoteSet, Timeouts};
use crate::known::KnownSet;
use crate::paths::shown;
use crate::summary::grouped;

const EXAMPLES: &str = "\
Without --mirror the files come from public mirrors. Fetching again does nothing where all is there, and goes on \
where it was interrupted. A mirror of your own is any server of the files; it need not be trusted, since their \
SHA-256 are known.

Examples:
  lenet fetch mnist --part test --mirror http://127.0.0.1:8000/
  lenet fetch mnist --part test --mirror http://127.0.0.1:8000/ --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Data set
    #[arg(value_name = "SET", value_parser = set_parser(["Handwritten digits, 11.6 MB", "Pictures of clothes, 30.9 MB"]))]
    set: KnownSet,
    /// Which of its two parts
    #[arg(long, value_enum, default_value_t)]
    part: PartName,
    /// Folder for the files [default: data/SET]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where to take them from, instead of the public mirrors: the URL of a folder; may be repeated
    #[arg(long = "mirror", value_name = "URL")]
    mirrors: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum PartName {
    /// To learn from and to be judged by
    #[default]
    Both,
    /// 60,000 images to learn from
    Train,
    /// 10,000 images to be judged by
    Test,
}

impl PartName {
    fn files(self, set: &RemoteSet) -> Vec<RemoteFile<'static>> {
        match self {
            Self::Both => [set.train, set.test].concat(),
            Self::Train => set.train.to_vec(),
            Self::Test => set.test.to_vec(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    let set = RemoteSet::of(arguments.set);
    let dir = arguments.out.clone().unwrap_or_else(|| Path::new("data").join(arguments.set.name()));
    let mirrors = if arguments.mirrors.is_empty() {
        set.mirrors.to_vec()
    } else {
        arguments.mirrors.iter().map(String::as_str).collect()
    };
    let files = arguments.part.files(&set);
    // The deepest first.
    let missing: Vec<&Path> = dir.ancestors().take_while(|folder| !folder.exists()).collect();
    fetch(&files, &mirrors, &dir, output).inspect_err(|_| {
        // What is not empty stays.
        missing.iter().take_while(|folder| fs::remove_dir(folder).is_ok()).for_each(drop);
    })?;
    output.result(
        format_args!("{}: {} files, their SHA-256 are right", dir.display(), files.len()),
        &json!({ "dir": shown(&dir), "files": files.len() }),
    )
}

fn fetch(files: &[RemoteFile<'_>], mirrors: &[&str], dir: &Path, output: Output) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| shown(dir))?;
    let fetcher = Fetcher::new(Timeouts::default());
    for file in files {
        let bar = progress_bar(file, output)?;
        let fetched = fetcher.fetch(file, mirrors, dir, |len| bar.set_position(len));
        bar.finish_and_clear();
        let (told, url) = match fetched? {
            Fetched::AlreadyThere => ("already there".to_owned(), None),
            Fetched::From(url) => (format!("from {url}"), Some(url)),
        };
        output.event(
            format_args!("{:<26} {:>10} bytes  {told}", file.name, grouped(file.len as usize)),
            &json!({
                "file": shown(&dir.join(file.name)),
                "bytes": file.len,
                "sha256": file.sha256,
                "from": url,
            }),
        )?;
    }
    Ok(())
}

/// On stderr, and only if that is a terminal.
fn progress_bar(file: &RemoteFile<'_>, output: Output) -> Result<ProgressBar> {
    if !output.shows_progress() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{prefix:<26} [{bar:20}] {bytes:>11} of {total_bytes}, {eta}")?;
    Ok(ProgressBar::new(file.len).with_style(style.progress_chars("=> ")).with_prefix(file.name.to_owned()))
}

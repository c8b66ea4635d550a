//! What happens around a run: it is killed, its disk is full or read-only, its files are damaged or changed, another process
//! or another time comes. Each test looks at the folder and at the sentence that says what to do.
//!
//! A few of each by default; the environment asks for more (`IM2COL_KILLS`, `IM2COL_FULL_DISKS`, `IM2COL_CALLS`).

#![cfg(unix)]

mod clocks;
mod damaged;
mod failed_calls;
mod full_disks;
mod kill;
mod read_only;
mod streamed;
mod two_processes;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use im2col_testkit::idx::write_idx;
use im2col_train::checkpoint::Checkpoint;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::metrics::{self, Record};
use sha2::{Digest, Sha256};

/// How many faults, unless the environment says another number.
fn count(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |number| number.parse().unwrap())
}

/// Says that a fault cannot be made here; in CI it must be.
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
}

/// A folder with 400 digits to learn, in the folder `digits`.
fn many_digits() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let digits = Dataset::built_in(Part::Test).unwrap();
    fs::create_dir(dir.path().join("digits")).unwrap();
    for (part, count) in [("train", 400), ("t10k", 64)] {
        let (pixels, labels) = (&digits.pixels()[..count * 784], &digits.labels()[..count]);
        write_idx(&dir.path().join("digits"), part, pixels, labels);
    }
    dir
}

fn lenet(dir: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lenet"));
    command.args(args.split_whitespace()).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn run(dir: &Path, args: &str) {
    let output = lenet(dir, args).output().unwrap();
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a process says that ends with this exit code.
fn failed(output: Output, code: i32) -> String {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

/// Starts a command and waits until its run has a record with this text.
fn start(dir: &Path, args: &str, run: &Path, text: &str) -> Child {
    let mut child = lenet(dir, args).spawn().unwrap();
    while !metrics(run).contains(text) {
        assert!(child.try_wait().unwrap().is_none(), "over too soon");
        sleep(Duration::from_millis(1));
    }
    child
}

fn metrics(run: &Path) -> String {
    fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default()
}

/// Everything that must be the same at the end: the SHA-256 of the weights, the place of the last checkpoint, and the records
/// without times.
#[derive(Debug, PartialEq)]
struct Outcome {
    weights_sha256: String,
    state: String,
    records: Vec<Record>,
}

impl Outcome {
    fn of(run: &Path) -> Self {
        let weights = Sha256::digest(fs::read(run.join("weights.safetensors")).unwrap());
        let last = Checkpoint::read(&run.join("checkpoint.safetensors")).unwrap();
        let state = last.state();
        let mut records = metrics::read(run).unwrap();
        records.retain(|record| !matches!(record, Record::Start(_)));
        for record in &mut records {
            if let Record::Epoch(epoch) = record {
                (epoch.seconds, epoch.images_per_second) = (0.0, 0.0);
            }
        }
        Self {
            weights_sha256: weights.iter().map(|byte| format!("{byte:02x}")).collect(),
            state: format!("{:?} {:?} {:?}", state.position, state.data, state.record.best_validation),
            records,
        }
    }
}

/// The epoch and the batch of the newest checkpoint that is sound, or that there is none yet; `None`: there are checkpoints, and
/// none can be read.
fn sound_checkpoint(run: &Path) -> Option<String> {
    let files = ["checkpoint", "previous"].map(|name| run.join(format!("{name}.safetensors")));
    let Some(checkpoint) = files.iter().find_map(|file| Checkpoint::read(file).ok()) else {
        return files.iter().all(|file| !file.exists()).then(|| "the start".to_owned());
    };
    let position = checkpoint.state().position;
    Some(format!("{}.{}", position.epoch, position.batch))
}

/// The states that runs were left in.
#[derive(Debug, Default)]
struct Found {
    places: Vec<String>,
    unreadable: usize,
}

impl Found {
    fn add(&mut self, run: &Path) {
        match sound_checkpoint(run) {
            Some(place) => self.places.push(place),
            None => self.unreadable += 1,
        }
    }

    fn count(&self) -> usize {
        self.places.len() + self.unreadable
    }

    /// Prints how many there were of `faults`, after all runs have ended like the whole one.
    fn print(&self, faults: &str, whole: &Outcome) {
        let Self { places, unreadable } = self;
        println!("{faults} at epoch.batch {}", places.join(", "));
        println!(
            "{faults}: {}, {unreadable} unreadable, weights sha256 equal ({:.16})",
            self.count(),
            whole.weights_sha256
        );
        assert_eq!(*unreadable, 0);
    }
}

/// Where the run of a command that failed, or was killed, can go on: from its own state, or from the start.
fn go_on(dir: &Path, run: &str, begin: &str) -> String {
    let has_begun = dir.join(run).join("run.json").exists();
    if has_begun { format!("train --quiet --resume {run}") } else { begin.to_owned() }
}

/// A file system that ends with the value.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// A disk in memory of this many bytes; `None` where nothing may be mounted.
    fn disk(folder: &'a Path, bytes: usize) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        Self::mount(folder, &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
    }

    /// The folder itself, where from now on nobody can write; `view`: an empty folder. At one moment: of a mount that is read-only
    /// already.
    fn read_only(folder: &'a Path, view: &Path) -> Option<Self> {
        let shown = Mounted::mount(view, &["--bind", folder.to_str()?])?;
        shown.remount("bind,ro");
        Self::mount(folder, &["--bind", view.to_str()?])
    }

    fn mount(folder: &'a Path, args: &[&str]) -> Option<Self> {
        let status = Command::new("mount").args(args).arg(folder).stderr(Stdio::null()).status();
        let mounted = status.is_ok_and(|status| status.success()).then_some(Self(folder));
        if mounted.is_none() {
            skip("nothing may be mounted here: no disk is full, no folder read-only");
        }
        mounted
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

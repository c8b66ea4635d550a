//! Folders of digits and runs, and the commands that work on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use im2col::Network;
use im2col::lenet::LENET_RELU;
use im2col_testkit::idx::write_idx;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::weights::Weights;

const IMAGES: usize = 64;

pub(crate) fn command(dir: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lenet"));
    command.args(args.split_whitespace()).current_dir(dir);
    command
}

pub(crate) fn lenet(dir: &Path, args: &str) -> Output {
    command(dir, args).output().unwrap()
}

/// The standard output and the standard error of a command that succeeds.
pub(crate) fn succeeds(dir: &Path, args: &str) -> (String, String) {
    let output = lenet(dir, args);
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{args}: {stderr}");
    (stdout, stderr)
}

/// What a command says that fails with this exit code.
pub(crate) fn fails(dir: &Path, args: &str, code: i32) -> String {
    let output = lenet(dir, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args}: {stderr}");
    stderr
}

/// A folder with a folder `digits`.
pub(crate) fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_digits(&dir.path().join("digits"), |_| ());
    dir
}

/// The first digits of the test set, to learn and to be judged by; `change` changes those to be judged by.
pub(crate) fn write_digits(dir: &Path, change: impl Fn(&mut [u8])) {
    let digits = Dataset::built_in(Part::Test).unwrap();
    fs::create_dir_all(dir).unwrap();
    let pixels = &digits.pixels()[..IMAGES * 784];
    let mut labels: Vec<u8> = digits.labels()[..IMAGES].iter().map(|label| *label as u8).collect();
    write_idx(dir, "train", pixels, &labels);
    change(&mut labels);
    write_idx(dir, "t10k", pixels, &labels);
}

/// The files of a run's folder, but for what stands in folders inside.
pub(crate) fn files(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The trained parameters of a run.
pub(crate) fn weights(run: &Path) -> Vec<f32> {
    let network = Network::plan(LENET_RELU, 1, [1, 28, 28]).unwrap();
    Weights::read(&run.join("weights.safetensors")).unwrap().params(&network).unwrap()
}

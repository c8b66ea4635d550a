//! Checkpoints that a disk has lost or changed: the run goes on from the other one, or says how to start over.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Outcome, failed, lenet, run};
use crate::run_folders::{files, folder};

const TRAIN: &str = "train --data digits --schedule constant --nesterov --batch 16";
const START_OVER: &str =
    "to start over, with the options that run/run.json names: lenet train --force --out run\n";

/// A run of four epochs that is left alone, and one that has come half as far.
struct Runs {
    dir: tempfile::TempDir,
    run: PathBuf,
    whole: Outcome,
    begun: BTreeMap<PathBuf, Vec<u8>>,
}

impl Runs {
    fn new() -> Self {
        let dir = folder();
        run(dir.path(), &format!("{TRAIN} --epochs 4 --out whole"));
        run(dir.path(), &format!("{TRAIN} --epochs 2 --checkpoint-seconds 0 --out run"));
        let (whole, path) = (Outcome::of(&dir.path().join("whole")), dir.path().join("run"));
        Self { whole, begun: files(&path), run: path, dir }
    }

    /// The run half-way, with other files of these names: `None` for one that is missing.
    fn damage(&self, damages: &[(&str, Option<&[u8]>)]) {
        let _ = fs::remove_dir_all(&self.run);
        fs::create_dir(&self.run).unwrap();
        self.begun.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        for (name, bytes) in damages {
            let file = self.run.join(name);
            match bytes {
                Some(bytes) => fs::write(file, bytes).unwrap(),
                None => fs::remove_file(file).unwrap(),
            }
        }
    }

    fn bytes(&self, name: &str) -> &[u8] {
        &self.begun[&self.run.join(name)]
    }

    fn refused(&self, option: &str) -> String {
        let before = files(&self.run);
        let said = failed(self.command(option), 1);
        assert_eq!(files(&self.run), before, "{said}");
        said
    }

    fn goes_on(&self, option: &str) {
        let output = self.command(option);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(Outcome::of(&self.run), self.whole);
    }

    fn command(&self, option: &str) -> std::process::Output {
        lenet(self.dir.path(), &format!("train --resume run --epochs 4 {option}")).output().unwrap()
    }
}

/// What a disk makes of a file: a flipped bit, a cut, nothing, zeros, bytes of another file.
fn damages(sound: &[u8], other: &[u8]) -> Vec<Vec<u8>> {
    let flipped = |place: usize| {
        let mut bytes = sound.to_vec();
        bytes[place] ^= 1;
        bytes
    };
    let len = sound.len();
    vec![
        flipped(0),
        flipped(len / 2),
        flipped(len - 1),
        sound[..len / 2].to_vec(),
        sound[..len - 1].to_vec(),
        Vec::new(),
        vec![0; len],
        other.to_vec(),
    ]
}

#[test]
fn the_checkpoint_before_the_last_ends_with_the_same_bits() {
    let runs = Runs::new();
    let last = "checkpoint.safetensors";
    for damaged in damages(runs.bytes(last), runs.bytes("weights.safetensors")) {
        runs.damage(&[(last, Some(&damaged))]);
        let said = runs.refused("");
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with("error: run/checkpoint.safetensors: "), "{said}");
        assert_eq!(
            lines[1..],
            ["run/previous.safetensors: sound, from epoch 2, batch 5; to go on from there: \
              lenet train --resume run --previous"]
        );
        runs.goes_on("--previous");
    }
    // If it is gone, the other one is the last.
    for option in ["", "--previous"] {
        runs.damage(&[(last, None)]);
        runs.goes_on(option);
    }
}

#[test]
fn a_damaged_checkpoint_before_the_last_is_not_needed() {
    let runs = Runs::new();
    let before = "previous.safetensors";
    for damaged in [Some(&b"damaged"[..]), None] {
        runs.damage(&[(before, damaged)]);
        let said = runs.refused("--previous");
        assert!(said.starts_with("error: run/previous.safetensors: "), "{said}");
        assert!(
            said.ends_with(
                "\nrun/checkpoint.safetensors: sound, from epoch 3, batch 1; to go on from there: lenet train --resume \
                 run\n"
            ),
            "{said}"
        );
        runs.goes_on("");
    }
}

#[test]
fn without_a_sound_checkpoint_the_run_starts_over() {
    let runs = Runs::new();
    let [last, before] = ["checkpoint.safetensors", "previous.safetensors"];
    let start_over = |run: &Path| {
        // As it says, with the options of the run.
        let options = TRAIN.strip_prefix("train").unwrap();
        super::run(runs.dir.path(), &format!("train --force --out run {options} --epochs 4"));
        assert_eq!(Outcome::of(run), runs.whole);
        assert!(!run.join("replacement").exists());
    };
    for (damage, option) in [
        ([Some(&b""[..]), Some(&b"damaged"[..])], ""),
        ([Some(b""), Some(b"damaged")], "--previous"),
        ([None, Some(b"damaged")], ""),
        ([Some(b"damaged"), None], ""),
    ] {
        runs.damage(&[(last, damage[0]), (before, damage[1])]);
        let said = runs.refused(option);
        let advice = format!("\nthere is no sound checkpoint beside it; {START_OVER}");
        assert!(said.starts_with("error: run/") && said.ends_with(&advice), "{said}");
    }
    start_over(&runs.run);
    runs.damage(&[(last, None), (before, None)]);
    let said = runs.refused("");
    assert_eq!(said, format!("error: run: its checkpoints are gone, so the run cannot go on\n{START_OVER}"));
    start_over(&runs.run);
}

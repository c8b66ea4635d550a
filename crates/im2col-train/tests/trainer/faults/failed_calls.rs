//! Each call that changes a disk fails in turn, or is the last one before a kill. Under strace, which makes them fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{Found, Outcome, count, failed, many_digits, run, skip};

/// A checkpoint at each of three batches.
const TRAIN: &str = "train --data digits --epochs 1 --batch 160 --nesterov --quiet --checkpoint-seconds 0 --threads 1 \
                     --force --out run";
/// What changes a disk, by the names that the systems have for it. A file that is opened may be made.
const CALLS: &str = "write,fsync,ftruncate,fchmod,openat,/^rename,/^mkdir,/^unlink";
/// An error is told in at most so many writes, which strace counts apart from those of the thread that trains.
const WRITES_OF_ERROR: usize = 4;
const FULL: &str = "No space left on device (os error 28)";

/// A run in a folder of its own, or in one where it replaces another.
struct Runs {
    dir: tempfile::TempDir,
    replaces: bool,
    /// How often the thread that trains makes each call.
    calls: BTreeMap<String, usize>,
    old: Outcome,
    whole: Outcome,
}

impl Runs {
    /// `None` without strace.
    fn new(replaces: bool) -> Option<Self> {
        let dir = many_digits();
        run(dir.path(), &TRAIN.replace("--out run", "--out old --seed 7"));
        prepare(dir.path(), replaces);
        let mut counted = traced(dir.path(), &["-o", "calls", "-e", &format!("trace={CALLS}")]);
        if !counted.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            skip("there is no strace, or it may trace nothing: no call fails");
            return None;
        }
        let calls = calls(&fs::read_to_string(dir.path().join("calls")).unwrap());
        let [old, whole] = ["old", "run"].map(|name| Outcome::of(&dir.path().join(name)));
        Some(Self { dir, replaces, calls, old, whole })
    }

    /// Does `fault` to some of the calls, to each if there are so many, and goes on each time.
    fn suffer(
        &self,
        fault: &str,
        faults: &str,
        fails: impl Fn(&str) -> bool,
        judge: impl Fn(Output, bool, bool),
    ) {
        let (mut found, mut all) = (Found::default(), 0);
        let most = count("IM2COL_CALLS", 1);
        for (name, &times) in self.calls.iter().filter(|(name, _)| fails(name)) {
            all += times;
            for time in (1..=times).rev().step_by(times.div_ceil(most)) {
                prepare(self.dir.path(), self.replaces);
                let injection = format!("inject={name}:{fault}:when={time}");
                let options = ["-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &injection];
                let output = traced(self.dir.path(), &options).output().unwrap();
                if output.status.success() {
                    // A word less of a warning.
                    assert!(name == "write" && self.replaces, "{injection}");
                    assert_eq!(Outcome::of(&self.dir.path().join("run")), self.whole, "{injection}");
                    all -= 1;
                    continue;
                }
                let has_begun = self.has_begun(&mut found);
                judge(output, has_begun, name != "write" || time > WRITES_OF_ERROR);
                run(self.dir.path(), if has_begun { "train --quiet --resume run" } else { TRAIN });
                assert_eq!(Outcome::of(&self.dir.path().join("run")), self.whole, "{injection}");
                assert!(!self.dir.path().join("run/replacement").exists(), "{injection}");
            }
        }
        println!("{faults} at {} of {all} calls", found.count());
        found.print(faults, &self.whole);
    }

    /// Whether the new run has begun. Until it has, and until it is complete, the old one is whole.
    fn has_begun(&self, found: &mut Found) -> bool {
        let folder = self.dir.path().join("run");
        let is_run = |place: &Path| {
            ["run.json", "checkpoint.safetensors"].iter().any(|name| place.join(name).exists())
        };
        let replacement = folder.join("replacement");
        let place = if is_run(&replacement) { replacement } else { folder.clone() };
        found.add(&place);
        if !self.replaces || place != folder {
            return is_run(&place);
        }
        let outcome = Outcome::of(&folder);
        assert!(outcome == self.old || outcome == self.whole, "neither the old run nor the new one");
        outcome == self.whole
    }
}

/// The folder as it was before.
fn prepare(dir: &Path, replaces: bool) {
    let folder = dir.join("run");
    let _ = fs::remove_dir_all(&folder);
    if replaces {
        fs::create_dir(&folder).unwrap();
        for (path, bytes) in crate::run_folders::files(&dir.join("old")) {
            fs::write(folder.join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
}

fn traced(dir: &Path, options: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq"]).args(options).arg(env!("CARGO_BIN_EXE_lenet"));
    command.args(TRAIN.split_whitespace()).current_dir(dir).stdout(Stdio::null());
    command
}

/// How often the thread that makes the first `fsync` makes each call, by strace's lines: `4711 fsync(3) = 0`.
fn calls(trace: &str) -> BTreeMap<String, usize> {
    let lines = trace.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let calls: Vec<(&str, &str)> =
        lines.filter_map(|(thread, call)| Some((thread, call.trim_start().split_once('(')?.0))).collect();
    let (trains, _) = calls.iter().find(|(_, name)| *name == "fsync").unwrap();
    let mut counts = BTreeMap::new();
    // `???` is a call that strace did not get to see before the process ended.
    for (_, name) in calls.iter().filter(|(thread, name)| thread == trains && *name != "???") {
        *counts.entry((*name).to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn failed_calls_change_nothing() {
    // Libraries are opened too; most of what is to be removed is not there.
    let fails = |name: &str| name != "openat" && !name.starts_with("unlink");
    for (replaces, faults) in [(false, "failed calls"), (true, "failed calls of a replacement")] {
        let Some(runs) = Runs::new(replaces) else { return };
        runs.suffer("error=ENOSPC", faults, fails, |output, has_begun, is_whole| {
            let said = failed(output, 1);
            let advice = if has_begun {
                "nothing that was saved is lost; make room, then go on: lenet train --resume run\n"
            } else {
                "make room, or choose another folder: --out DIR\n"
            };
            let is_said = ["error: run", "error: stdout"].iter().any(|begins| said.contains(begins))
                && said.ends_with(&format!("{FULL}\n{advice}"));
            assert!(is_said || !is_whole, "{said}");
        });
    }
}

#[test]
fn kills_at_calls_change_nothing() {
    for (replaces, faults) in [(false, "kills at calls"), (true, "kills at calls of a replacement")] {
        let Some(runs) = Runs::new(replaces) else { return };
        runs.suffer(
            "signal=KILL",
            faults,
            |_| true,
            |output, _, _| {
                assert_eq!(output.status.code(), None, "{}", String::from_utf8_lossy(&output.stderr));
            },
        );
    }
}

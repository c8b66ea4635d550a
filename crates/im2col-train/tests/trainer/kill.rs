//! A run that is killed, again and again, ends with the same bits as one that is not.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use im2col_testkit::golden::Tensors;
use im2col_testkit::idx::write_idx;
use im2col_train::checkpoint::Checkpoint;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::metrics::{self, Record};
use im2col_train::random::Random;

/// How many kills, or full disks, unless the environment says another number.
fn count(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |number| number.parse().unwrap())
}

const OPTIONS: &str = "--data digits --epochs 12 --batch 20 --nesterov --weight-decay 0.001 --shift 2 --warm-up 1 \
                       --validation 0.1 --quiet";

/// 400 digits to learn: 18 batches an epoch, 216 in all.
fn folder() -> tempfile::TempDir {
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

/// Everything that must be the same: the bits of the weights and of the last checkpoint, and the records without
/// times.
fn outcome(run: &Path) -> (Vec<Vec<u32>>, String, Vec<Record>) {
    let tensors = Tensors::read(&run.join("weights.safetensors")).unwrap();
    let names = [0, 3, 7, 9, 11].map(|layer| ["weight", "bias"].map(|of| format!("{layer}.{of}")));
    let bits = |name| tensors.f32(name).unwrap().values.iter().map(|value: &f32| value.to_bits()).collect();
    let weights = names.as_flattened().iter().map(|name| bits(name.as_str())).collect();
    let mut records = metrics::read(run).unwrap();
    records.retain(|record| !matches!(record, Record::Start(_)));
    for record in &mut records {
        if let Record::Epoch(epoch) = record {
            (epoch.seconds, epoch.images_per_second) = (0.0, 0.0);
        }
    }
    let last = Checkpoint::read(&run.join("checkpoint.safetensors")).unwrap();
    let state = last.state();
    let state = format!("{:?} {:?} {:?}", state.position, state.data, state.record.best_validation);
    (weights, state, records)
}

fn begin(dir: &Path, threads: usize) -> Child {
    let args = format!("train {OPTIONS} --out killed --checkpoint-seconds 0 --threads {threads}");
    lenet(dir, &args).spawn().unwrap()
}

fn resume(dir: &Path, threads: usize) -> Child {
    let args = format!("train --resume killed --quiet --checkpoint-seconds 0 --threads {threads}");
    lenet(dir, &args).spawn().unwrap()
}

/// The epoch and the batch of the newest checkpoint that is sound, or that there is none yet.
fn sound_checkpoint(run: &Path) -> String {
    let files = ["checkpoint", "previous"].map(|name| run.join(format!("{name}.safetensors")));
    let read = files.iter().find_map(|file| Checkpoint::read(file).ok());
    assert!(read.is_some() || files.iter().all(|file| !file.exists()), "no checkpoint in {run:?} is sound");
    read.map_or("the start".to_owned(), |checkpoint| {
        let position = checkpoint.state().position;
        format!("{}.{}", position.epoch, position.batch)
    })
}

#[test]
fn kills_change_nothing() {
    let kills = count("IM2COL_KILLS", 20);
    let dir = folder();
    let start = Instant::now();
    run(dir.path(), &format!("train {OPTIONS} --out whole --checkpoint-seconds 0"));
    let whole = start.elapsed();

    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}; a whole run takes {whole:?}");
    let mut random = Random::new(seed);
    let mut places = Vec::new();
    let killed = dir.path().join("killed");
    let mut child = begin(dir.path(), 1);
    while places.len() < kills {
        sleep(whole.mul_f32(random.unit() * 0.1));
        child.kill().unwrap();
        let threads = 1 + places.len() % 3;
        if child.wait().unwrap().success() {
            // It was over before the kill: another one, then.
            fs::remove_dir_all(&killed).unwrap();
            child = begin(dir.path(), threads);
            continue;
        }
        places.push(sound_checkpoint(&killed));
        let has_begun = killed.join("run.json").exists();
        child = if has_begun { resume(dir.path(), threads) } else { begin(dir.path(), threads) };
    }
    println!("killed at epoch.batch {}", places.join(", "));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(outcome(&killed) == outcome(&dir.path().join("whole")), "seed {seed}");
    println!("kills: {kills}, no unreadable state, the bits of the whole run");
    // Nothing half done is left.
    let mut names: Vec<_> = fs::read_dir(&killed).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            ".lock",
            "checkpoint.safetensors",
            "metrics.jsonl",
            "previous.safetensors",
            "run.json",
            "weights.safetensors"
        ]
    );
}

/// A file system in memory of this many bytes, which ends with the value.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where nothing may be mounted.
    fn mount(folder: &'a Path, bytes: usize) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let options = format!("size={bytes}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    fn resize(&self, bytes: usize) {
        let options = format!("remount,size={bytes}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// Disks of all sizes, up to that of a whole run: at every one of its writes some disk is full. The run says so, goes on where
/// there is room, and ends with the bits of a run that always had it.
#[test]
fn full_disks_change_nothing() {
    const PAGE: usize = 4096;
    const ROOM: usize = 16 << 20;
    // A checkpoint at each of three batches. A run that is left alone takes two, the next one, and weights.
    const SHORT: &str = "--data digits --epochs 1 --batch 160 --nesterov --quiet --checkpoint-seconds 0";
    const PAGES: usize = (3 * 497_000 + 248_000) / PAGE + 8;
    let disks = count("IM2COL_FULL_DISKS", 12);
    let dir = folder();
    let path = dir.path().join("disk");
    let Some(disk) = SmallDisk::mount(&path, ROOM) else {
        eprintln!("SKIPPED: nothing may be mounted here, so no disk is full");
        return;
    };
    run(dir.path(), &format!("train {SHORT} --out disk/run"));
    let whole = outcome(&path.join("run"));

    let (mut full, mut places) = (0, Vec::new());
    for disk_index in 0.. {
        if full == disks {
            break;
        }
        // Every number of pages once, in a mixed order: 7919 is a prime.
        let pages = 1 + disk_index * 7919 % PAGES;
        fs::remove_dir_all(path.join("run")).unwrap();
        disk.resize(pages * PAGE);
        let output = lenet(dir.path(), &format!("train {SHORT} --out disk/run")).output().unwrap();
        if !output.status.success() {
            full += 1;
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            let said = stderr.starts_with("error: disk/run") && stderr.contains("No space left on device");
            assert!(said, "{pages} pages: {stderr}");
            let is_begun = path.join("run/run.json").exists();
            assert_eq!(
                stderr.ends_with("make room, then go on: lenet train --resume disk/run\n"),
                is_begun,
                "{stderr}"
            );
            places.push(sound_checkpoint(&path.join("run")));
            disk.resize(ROOM);
            let go_on = if is_begun {
                "train --quiet --resume disk/run".to_owned()
            } else {
                format!("train {SHORT} --out disk/run")
            };
            run(dir.path(), &go_on);
        }
        assert!(outcome(&path.join("run")) == whole, "{pages} pages");
    }
    println!("full at epoch.batch {}", places.join(", "));
    println!("full disks: {full}, no unreadable state, the bits of the whole run");
}

#[test]
fn a_signal_saves() {
    let dir = folder();
    run(dir.path(), &format!("train {OPTIONS} --out whole"));
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let _ = fs::remove_dir_all(dir.path().join("killed"));
        // No checkpoints in between: what is saved is saved by the signal.
        let mut child = lenet(dir.path(), &format!("train {OPTIONS} --out killed")).spawn().unwrap();
        let metrics = dir.path().join("killed/metrics.jsonl");
        while !fs::read_to_string(&metrics).is_ok_and(|records| records.contains("progress")) {
            assert!(child.try_wait().unwrap().is_none(), "over too soon");
            sleep(Duration::from_millis(1));
        }
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert_eq!(stderr, "interrupted and saved; to go on: lenet train --resume killed\n");
        let checkpoint = Checkpoint::read(&dir.path().join("killed/checkpoint.safetensors")).unwrap();
        let position = checkpoint.state().position;
        assert!(position.step > 0 && position.epoch < 12, "{position:?}");
        run(dir.path(), "train --resume killed --quiet");
        assert!(outcome(&dir.path().join("killed")) == outcome(&dir.path().join("whole")), "{signal}");
    }
}

#[test]
fn a_second_process_is_refused() {
    let dir = folder();
    let mut first = begin(dir.path(), 1);
    while !dir.path().join("killed/checkpoint.safetensors").exists() {
        sleep(Duration::from_millis(1));
    }
    let second = resume(dir.path(), 1).wait_with_output().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8(second.stderr).unwrap().contains("killed: another process trains here"));
}

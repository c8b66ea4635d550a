//! A run that is killed, again and again, ends with the same bits as one that is not.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use im2col_train::checkpoint::Checkpoint;
use im2col_train::random::Random;

use super::{Found, Outcome, count, failed, go_on, lenet, many_digits, run, start};

/// 18 batches an epoch, 108 in all.
const OPTIONS: &str = "--data digits --epochs 6 --batch 20 --nesterov --weight-decay 0.001 --shift 2 --warm-up 1 \
                       --validation 0.1 --quiet";

fn spawn(dir: &Path, args: &str, threads: usize) -> Child {
    lenet(dir, &format!("{args} --checkpoint-seconds 0 --threads {threads}")).spawn().unwrap()
}

#[test]
fn kills_change_nothing() {
    let kills = count("IM2COL_KILLS", 12);
    let dir = many_digits();
    let start = Instant::now();
    run(dir.path(), &format!("train {OPTIONS} --out whole --checkpoint-seconds 0"));
    let (whole, took) = (Outcome::of(&dir.path().join("whole")), start.elapsed());

    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}; a whole run takes {took:?}");
    let mut random = Random::new(seed);
    let mut found = Found::default();
    let killed = dir.path().join("killed");
    let begin = format!("train {OPTIONS} --out killed");
    let mut child = spawn(dir.path(), &begin, 1);
    while found.count() < kills {
        sleep(took.mul_f32(random.unit() * 0.15));
        child.kill().unwrap();
        let threads = 1 + found.count() % 3;
        if child.wait().unwrap().success() {
            // It was over before the kill: another one, then.
            assert_eq!(Outcome::of(&killed), whole, "seed {seed}");
            fs::remove_dir_all(&killed).unwrap();
        } else {
            found.add(&killed);
        }
        child = spawn(dir.path(), &go_on(dir.path(), "killed", &begin), threads);
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(Outcome::of(&killed), whole, "seed {seed}");
    found.print("kills", &whole);
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

#[test]
fn a_signal_saves() {
    let dir = many_digits();
    run(dir.path(), &format!("train {OPTIONS} --out whole"));
    let killed = dir.path().join("killed");
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let _ = fs::remove_dir_all(&killed);
        // No checkpoints in between: what is saved is saved by the signal.
        let child = start(dir.path(), &format!("train {OPTIONS} --out killed"), &killed, "progress");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
        let stderr = failed(child.wait_with_output().unwrap(), code);
        assert_eq!(stderr, "interrupted and saved; to go on: lenet train --resume killed\n");
        let checkpoint = Checkpoint::read(&killed.join("checkpoint.safetensors")).unwrap();
        let position = checkpoint.state().position;
        assert!(position.step > 0 && position.epoch < 6, "{position:?}");
        run(dir.path(), "train --resume killed --quiet");
        assert_eq!(Outcome::of(&killed), Outcome::of(&dir.path().join("whole")), "{signal}");
    }
}

//! Two processes in one folder.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use super::{Outcome, count, failed, lenet, run, start};
use crate::run_folders::{files, folder};

const TRAIN: &str = "train --data digits --schedule constant --quiet";
const LOCKED: &str = "run: another process trains here: it has locked run/.lock";

fn interrupt(child: Child) -> String {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    failed(child.wait_with_output().unwrap(), 130)
}

#[test]
fn a_second_process_is_refused() {
    let dir = folder();
    run(dir.path(), &format!("{TRAIN} --epochs 4 --out whole"));
    let folder = dir.path().join("run");
    let mut first = start(dir.path(), &format!("{TRAIN} --epochs 100000 --out run"), &folder, "epoch\":1,");
    let fails = |args: &str| failed(lenet(dir.path(), args).output().unwrap(), 1);
    let go_on = "wait until it ends, then go on: lenet train --resume run\n";
    assert_eq!(fails("train --resume run"), format!("error: {LOCKED}\n{go_on}"));
    assert_eq!(fails("train --resume run --previous"), format!("error: {LOCKED}\n{go_on}"));
    let other = "wait until it ends, or choose another folder: --out DIR\n";
    assert_eq!(fails(&format!("{TRAIN} --force --out run")), format!("error: {LOCKED}\n{other}"));
    assert!(!folder.join("replacement").exists());
    // None of them has disturbed the first.
    let records = fs::read_to_string(folder.join("metrics.jsonl")).unwrap().len();
    while fs::read_to_string(folder.join("metrics.jsonl")).unwrap().len() == records {
        assert!(first.try_wait().unwrap().is_none());
        sleep(Duration::from_millis(1));
    }
    // The lock of a process that died, or that was copied with its folder, binds nobody.
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(folder.join(".lock").exists());
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(".lock"), "4711").unwrap();
    run(dir.path(), &format!("{TRAIN} --epochs 2 --out run"));
    fs::write(folder.join(".lock"), "4711").unwrap();
    run(dir.path(), "train --resume run --epochs 4");
    assert_eq!(Outcome::of(&folder), Outcome::of(&dir.path().join("whole")));
}

/// The one that is refused, and what it says; and the other one.
fn loser([mut first, mut second]: [Child; 2]) -> (String, Child) {
    loop {
        let ends = [&mut first, &mut second].map(|child| child.try_wait().unwrap().is_some());
        match ends {
            [true, _] => return (failed(first.wait_with_output().unwrap(), 1), second),
            [_, true] => return (failed(second.wait_with_output().unwrap(), 1), first),
            _ => sleep(Duration::from_millis(1)),
        }
    }
}

fn epochs_done(run: &Path) -> usize {
    super::metrics(run).matches("\"kind\":\"epoch\"").count()
}

/// Of two processes that would replace one run at the same time, exactly one does.
#[test]
fn of_two_with_force_one_wins() {
    let dir = folder();
    run(dir.path(), &format!("{TRAIN} --seed 7 --epochs 2 --out run"));
    run(dir.path(), &format!("{TRAIN} --epochs 2 --out whole"));
    let (folder, whole) = (dir.path().join("run"), Outcome::of(&dir.path().join("whole")));
    let old = files(&folder);
    for _ in 0..count("IM2COL_KILLS", 4).min(40) {
        let force =
            || lenet(dir.path(), &format!("{TRAIN} --epochs 100000 --force --out run")).spawn().unwrap();
        let (said, mut winner) = loser([force(), force()]);
        let expected = format!("error: {LOCKED}\nwait until it ends, or choose another folder: --out DIR\n");
        assert_eq!(said, expected);
        while epochs_done(&folder.join("replacement")) < 1 {
            assert!(winner.try_wait().unwrap().is_none());
            sleep(Duration::from_millis(1));
        }
        let said = interrupt(winner);
        assert!(said.ends_with("interrupted and saved; to go on: lenet train --resume run\n"), "{said}");
        assert_eq!(files(&folder), old, "the run that is to be replaced");
        fs::remove_dir_all(folder.join("replacement")).unwrap();
    }
    run(dir.path(), &format!("{TRAIN} --epochs 2 --force --out run"));
    assert_eq!(Outcome::of(&folder), whole);
    assert!(!folder.join("replacement").exists());
}

/// Two that begin at the same time, without a folder's name, take two folders.
#[test]
fn two_that_begin_take_two_folders() {
    let dir = folder();
    run(dir.path(), &format!("{TRAIN} --epochs 3 --out whole"));
    let whole = Outcome::of(&dir.path().join("whole"));
    for _ in 0..count("IM2COL_KILLS", 4).min(40) {
        let begin = || lenet(dir.path(), &format!("{TRAIN} --epochs 3")).spawn().unwrap();
        for child in [begin(), begin()] {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        for name in ["lenet", "lenet-2"] {
            assert_eq!(Outcome::of(&dir.path().join("runs").join(name)), whole);
        }
        assert!(!dir.path().join("runs/lenet-3").exists());
        fs::remove_dir_all(dir.path().join("runs")).unwrap();
    }
}

//! A run whose disk is full says so, goes on where there is room, and ends with the bits of one that always had it.

use std::fs::{self, File};

use super::{Found, Mounted, Outcome, count, failed, go_on, lenet, many_digits, run};

/// A checkpoint at each of three batches.
const TRAIN: &str =
    "train --data digits --epochs 1 --batch 160 --nesterov --quiet --checkpoint-seconds 0 --out";
const PAGE: usize = 4096;
const ROOM: usize = 16 << 20;

/// Disks of all sizes, page by page up to that of a whole run.
#[test]
fn full_disks_change_nothing() {
    // A run that is left alone takes two checkpoints, the next one, and weights.
    const PAGES: usize = (3 * 497_000 + 248_000) / PAGE;
    let step = PAGES.div_ceil(count("IM2COL_FULL_DISKS", 8)).max(1);
    let dir = many_digits();
    let path = dir.path().join("disk");
    let Some(disk) = Mounted::disk(&path, ROOM) else { return };
    let (folder, begin) = (path.join("run"), format!("{TRAIN} disk/run"));
    run(dir.path(), &begin);
    let whole = Outcome::of(&folder);
    let mut found = Found::default();
    for pages in (1..).step_by(step) {
        fs::remove_dir_all(&folder).unwrap();
        disk.remount(&format!("size={}", pages * PAGE));
        let output = lenet(dir.path(), &begin).output().unwrap();
        if output.status.success() {
            break;
        }
        let said = failed(output, 1);
        assert!(said.starts_with("error: disk/run"), "{pages} pages: {said}");
        let advice = if folder.join("run.json").exists() {
            "nothing that was saved is lost; make room, then go on: lenet train --resume disk/run\n"
        } else {
            "make room, or choose another folder: --out DIR\n"
        };
        assert!(said.ends_with(&format!("No space left on device (os error 28)\n{advice}")), "{said}");
        found.add(&folder);
        disk.remount(&format!("size={ROOM}"));
        run(dir.path(), &go_on(dir.path(), "disk/run", &begin));
        assert_eq!(Outcome::of(&folder), whole, "{pages} pages");
    }
    assert_eq!(Outcome::of(&folder), whole, "the first disk that is large enough");
    found.print("full disks", &whole);
}

/// What is printed goes to a full disk, where there is room for the run.
#[test]
fn a_full_disk_for_what_is_printed_loses_no_run() {
    let dir = many_digits();
    let train = TRAIN.replace("--quiet", "");
    run(dir.path(), &format!("{train} whole"));
    for resumed in [false, true] {
        let args = if resumed { "train --resume run".to_owned() } else { format!("{train} run") };
        let full = File::options().write(true).open("/dev/full").unwrap();
        let said = failed(lenet(dir.path(), &args).stdout(full).output().unwrap(), 1);
        assert_eq!(
            said,
            "error: stdout: No space left on device (os error 28)\nnothing that was saved is lost; make room, then go on: \
             lenet train --resume run\n"
        );
    }
    run(dir.path(), "train --resume run");
    assert_eq!(Outcome::of(&dir.path().join("run")), Outcome::of(&dir.path().join("whole")));
}

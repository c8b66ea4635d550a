//! A folder in which nobody can write, from the start or all of a sudden.

use std::path::Path;

use super::{Mounted, Outcome, failed, lenet, run, start};
use crate::run_folders::{files, folder};

const ROOM: usize = 16 << 20;
const REFUSED: &str = "Read-only file system (os error 30)";

fn fails(dir: &Path, args: &str) -> String {
    failed(lenet(dir, args).output().unwrap(), 1)
}

#[test]
fn nothing_begins_in_a_read_only_folder() {
    let dir = folder();
    let path = dir.path().join("disk");
    let Some(disk) = Mounted::disk(&path, ROOM) else { return };
    run(dir.path(), "train --data digits --epochs 1 --out disk/old");
    let old = files(&path.join("old"));
    disk.remount("ro");
    let advice = "make it writable, or choose another folder: --out DIR";
    let said = fails(dir.path(), "train --data digits --out disk/run");
    assert_eq!(said, format!("error: disk/run: {REFUSED}\n{advice}\n"));
    // Without --out, where the folder that one is in is read-only.
    let said = fails(&path, "train --data ../digits");
    assert_eq!(said, format!("error: runs/lenet: {REFUSED}\n{advice}\n"));
    let said = fails(dir.path(), "train --data digits --force --out disk/old");
    assert_eq!(said, format!("error: disk/old/.lock: {REFUSED}\n{advice}\n"));
    assert_eq!(files(&path.join("old")), old);
    let names: Vec<_> = path.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["old"]);
    disk.remount("rw");
    run(dir.path(), "train --data digits --epochs 1 --out disk/run");
    assert_eq!(Outcome::of(&path.join("run")), Outcome::of(&path.join("old")));
}

#[test]
fn a_run_goes_on_where_its_folder_can_be_written_to_again() {
    let dir = folder();
    let path = dir.path().join("disk");
    let Some(disk) = Mounted::disk(&path, ROOM) else { return };
    let train = "train --data digits --epochs 4 --schedule constant --out";
    run(dir.path(), &format!("{train} whole"));
    run(dir.path(), &format!("{train} disk/run --epochs 2").replacen("--epochs 4", "", 1));
    let begun = files(&path.join("run"));
    disk.remount("ro");
    let said = fails(dir.path(), "train --resume disk/run --epochs 4");
    assert_eq!(
        said,
        format!(
            "error: disk/run/.lock: {REFUSED}\nmake it writable, then go on: lenet train --resume disk/run\n"
        )
    );
    assert_eq!(files(&path.join("run")), begun);
    // What only reads goes on.
    run(dir.path(), "eval --weights disk/run/weights.safetensors");
    disk.remount("rw");
    run(dir.path(), "train --resume disk/run --epochs 4");
    assert_eq!(Outcome::of(&path.join("run")), Outcome::of(&dir.path().join("whole")));
}

#[test]
fn a_folder_becomes_read_only_while_a_run_trains() {
    let dir = folder();
    let train = "train --data digits --epochs 40 --quiet --out";
    run(dir.path(), &format!("{train} whole"));
    let folder = dir.path().join("run");
    let view = dir.path().join("view");
    std::fs::create_dir(&view).unwrap();
    let child = start(dir.path(), &format!("{train} run"), &folder, "epoch\":1,");
    let mounted = Mounted::read_only(&folder, &view);
    let output = child.wait_with_output().unwrap();
    let Some(mounted) = mounted else { return };
    let said = failed(output, 1);
    let advice = "nothing that was saved is lost; make it writable, then go on: lenet train --resume run";
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with("error: run/") && lines[0].ends_with(&format!(".safetensors: {REFUSED}")),
        "{said}"
    );
    assert_eq!(lines[1..], [advice], "{said}");
    let left = files(&folder);
    let said = fails(dir.path(), "train --resume run");
    assert!(said.ends_with("make it writable, then go on: lenet train --resume run\n"), "{said}");
    assert_eq!(files(&folder), left);
    drop(mounted);
    run(dir.path(), "train --resume run");
    assert_eq!(Outcome::of(&folder), Outcome::of(&dir.path().join("whole")));
}

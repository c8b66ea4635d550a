//! What happens to a file of images while a run streams it.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use super::{Outcome, failed, lenet, run, start};
use crate::run_folders::{files, folder};

const TRAIN: &str = "train --stream --data digits --epochs 40 --quiet --out";
const IMAGES: &str = "digits/train-images-idx3-ubyte";
const HEADER: usize = 16;
/// What to do where a process that starts anew does not find the images.
const RESTORE: &str =
    "\nrestore the data of the run; if they are elsewhere now: lenet train --resume run --data DIR\n";

/// What is done to the file, and what a process says that opens it then.
type Fault<'a> = (&'a dyn Fn(&Path), &'a str);

/// A folder with a whole run, and the bytes of the images.
fn whole() -> (tempfile::TempDir, Vec<u8>) {
    let dir = folder();
    run(dir.path(), &format!("{TRAIN} whole"));
    let images = fs::read(dir.path().join(IMAGES)).unwrap();
    (dir, images)
}

fn inverted(images: &[u8]) -> Vec<u8> {
    let pixels = images[HEADER..].iter().map(|pixel| !pixel);
    images[..HEADER].iter().copied().chain(pixels).collect()
}

/// The file keeps its name and gets other bytes, as an editor, `cp` or a download does it.
fn overwrite(file: &Path, bytes: &[u8]) {
    let mut file = File::options().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(bytes).unwrap();
}

/// An open file keeps its bytes when another takes its name, or none.
#[test]
fn files_that_are_removed_or_replaced_are_read_to_the_end() {
    let (dir, images) = whole();
    let (file, run_folder) = (dir.path().join(IMAGES), dir.path().join("run"));
    let remove = |file: &Path| fs::remove_file(file).unwrap();
    let replace = |file: &Path| {
        fs::write(file.with_extension("new"), inverted(&images)).unwrap();
        fs::rename(file.with_extension("new"), file).unwrap();
    };
    let faults: [Fault; 2] = [
        (&remove, "digits: there is none of train-images-idx3-ubyte, "),
        (&replace, "digits: not the images of the run in run, their SHA-256 differ\n"),
    ];
    for (fault, expected) in faults {
        let _ = fs::remove_dir_all(&run_folder);
        let child = start(dir.path(), &format!("{TRAIN} run"), &run_folder, "progress");
        fault(&file);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(Outcome::of(&run_folder), Outcome::of(&dir.path().join("whole")));
        // A process that opens it anew finds that it is gone, or another.
        let kept = files(&run_folder);
        let said = failed(lenet(dir.path(), "train --resume run --epochs 41").output().unwrap(), 1);
        assert!(said.contains(expected) && said.ends_with(RESTORE), "{said}");
        assert_eq!(files(&run_folder), kept);
        fs::write(&file, &images).unwrap();
    }
}

#[test]
fn files_that_are_written_to_end_the_run() {
    let (dir, images) = whole();
    let (file, run_folder) = (dir.path().join(IMAGES), dir.path().join("run"));
    let shorten = |file: &Path| File::options().write(true).open(file).unwrap().set_len(1000).unwrap();
    let empty = |file: &Path| drop(File::create(file).unwrap());
    let lengthen = |file: &Path| overwrite(file, &[&images[..], &[0]].concat());
    let change = |file: &Path| overwrite(file, &inverted(&images));
    let faults: [Fault; 4] = [
        (
            &shorten,
            "train-images-idx3-ubyte: pixels at byte 16: the file ends before the required 50176 bytes\n",
        ),
        (&empty, "train-images-idx3-ubyte: magic at byte 0: the file ends before the required 4 bytes\n"),
        (&lengthen, "train-images-idx3-ubyte: byte 50192: the file should end here and goes on\n"),
        (&change, "digits: not the images of the run in run, their SHA-256 differ\n"),
    ];
    for (fault, expected) in faults {
        let _ = fs::remove_dir_all(&run_folder);
        let child = start(dir.path(), &format!("{TRAIN} run"), &run_folder, "epoch\":1,");
        fault(&file);
        let said = failed(child.wait_with_output().unwrap(), 1);
        assert_eq!(
            said,
            format!(
                "error: {IMAGES}: has changed while it was streamed\nnothing that was saved is lost; restore it, then go \
                 on: lenet train --resume run\n"
            )
        );
        // Nothing learns from what is there now.
        let kept = fs::read(run_folder.join("checkpoint.safetensors")).unwrap();
        let said = failed(lenet(dir.path(), "train --resume run").output().unwrap(), 1);
        assert!(said.contains(expected) && said.ends_with(RESTORE), "{said}");
        assert_eq!(fs::read(run_folder.join("checkpoint.safetensors")).unwrap(), kept);
        fs::write(&file, &images).unwrap();
        run(dir.path(), "train --resume run");
        assert_eq!(Outcome::of(&run_folder), Outcome::of(&dir.path().join("whole")));
    }
}

//! A clock that was set: times of files in the past and in the future.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use im2col_train::metrics::{self, Record};

use super::{Outcome, run};
use crate::run_folders::{folder, succeeds};

const TRAIN: &str = "train --data digits --schedule constant --stream --quiet";
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn date(file: &Path, time: SystemTime) {
    let open = File::options().write(true).open(file).unwrap();
    open.set_times(FileTimes::new().set_modified(time).set_accessed(time)).unwrap();
}

/// Whatever the dates of the run's files and of its images, it goes on as if they were right.
#[test]
fn a_run_goes_on_whatever_its_dates() {
    let dir = folder();
    run(dir.path(), &format!("{TRAIN} --epochs 4 --out whole"));
    let (whole, folder) = (Outcome::of(&dir.path().join("whole")), dir.path().join("run"));
    let now = SystemTime::now();
    for time in [SystemTime::UNIX_EPOCH, now - YEAR, now + YEAR, now + 60 * YEAR] {
        let _ = fs::remove_dir_all(&folder);
        run(dir.path(), &format!("{TRAIN} --epochs 2 --out run"));
        for place in [&folder, &dir.path().join("digits")] {
            for entry in fs::read_dir(place).unwrap() {
                date(&entry.unwrap().path(), time);
            }
        }
        run(dir.path(), "train --resume run --epochs 4");
        assert_eq!(Outcome::of(&folder), whole);
        for record in metrics::read(&folder).unwrap() {
            if let Record::Epoch(epoch) = record {
                assert!(epoch.seconds > 0.0 && epoch.images_per_second > 0.0, "{epoch:?}");
            }
        }
    }
}

/// Of several runs the newest is taken; where the clock leaves open which that is, the program says so.
#[test]
fn the_newest_run_is_taken_and_doubts_are_told() {
    let dir = folder();
    run(dir.path(), &format!("{TRAIN} --epochs 1"));
    let runs = dir.path().join("runs");
    for name in ["lenet-2", "lenet-9", "lenet-10"] {
        fs::create_dir(runs.join(name)).unwrap();
        fs::copy(runs.join("lenet/weights.safetensors"), runs.join(name).join("weights.safetensors"))
            .unwrap();
    }
    let now = SystemTime::now();
    let taken = |dates: [SystemTime; 4]| {
        for (name, time) in ["lenet", "lenet-2", "lenet-9", "lenet-10"].into_iter().zip(dates) {
            date(&runs.join(name).join("weights.safetensors"), time);
        }
        let (help, said) = succeeds(dir.path(), "eval --help");
        assert_eq!(said, "");
        let (before, _) = help.split_once("/weights.safetensors]").unwrap();
        let (_, name) = before.rsplit_once("runs/").unwrap();
        (name.to_owned(), succeeds(dir.path(), "eval --data digits").1)
    };
    let name = |name: &str, said: &str| (name.to_owned(), said.to_owned());
    let [old, older] = [now - YEAR, now - 2 * YEAR];
    assert_eq!(taken([older, old, older, older]), name("lenet-2", ""));
    // Saved within one tick of the clock, the last that took a number is the newest.
    assert_eq!(taken([old; 4]), name("lenet-10", ""));
    // A clock that is a few seconds ahead is nothing to speak of.
    assert_eq!(taken([old, old, now + Duration::from_secs(20), old]), name("lenet-9", ""));
    let doubt = "warning: runs/lenet: taken for the newest run, but saved in the future, so the clock was set: to be sure, \
                 name the run\n";
    assert_eq!(taken([now + YEAR, old, now, old]), name("lenet", doubt));
    let (_, said) = succeeds(dir.path(), "eval --data digits --weights runs/lenet-9/weights.safetensors");
    assert_eq!(said, "");
    // Training has no use for the newest run.
    let (_, said) = succeeds(dir.path(), &format!("{TRAIN} --epochs 1 --out other"));
    assert_eq!(said, "");
}

/// What trains asks no clock that can be set: only the choice of the newest run does, and what compares dates for equality.
#[test]
fn no_run_asks_a_clock_that_can_be_set() {
    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if fs::read_to_string(&path).unwrap().contains("SystemTime") {
                found.push(path.strip_prefix(src()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    fn src() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
    }
    let mut found = Vec::new();
    sources(&src(), &mut found);
    found.sort();
    assert_eq!(found, ["cli.rs", "run/place.rs", "stream.rs"]);
}

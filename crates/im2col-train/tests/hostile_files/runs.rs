//! Folders of runs: what was asked for, and the records.

use std::fs;
use std::path::Path;

use im2col_train::checkpoint::Configuration;
use im2col_train::metrics::{self, Epoch, Progress, Record};
use im2col_train::run::Run;
use im2col_train::run::files::{METRICS_FILE, RUN_FILE};
use im2col_train::train::Options;

use crate::is_soak;
use crate::kind::{Counts, Kind, NAME, Reading};

pub(crate) fn all() -> Counts {
    records() + configurations()
}

/// The error of a file in a folder, as if the file had the name of all hostile files.
fn said(file: &Path, error: &dyn std::error::Error) -> String {
    error.to_string().replace(&file.display().to_string(), NAME)
}

fn records() -> Counts {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(METRICS_FILE);
    let read = |_: &Path, file: &[u8]| -> Reading<usize> {
        fs::write(&path, file).unwrap();
        metrics::read(dir.path()).map(|records| records.len()).map_err(|error| said(&path, &error))
    };
    // The file in memory, and for each of its lines, of 60 bytes at least, a record in a list that grows.
    let mut kind = Kind::new("records", &read, &|len| 8 * len);
    let epoch = Epoch {
        epoch: 1,
        train_loss: 2.25,
        train_accuracy: 0.125,
        validation_loss: None,
        validation_accuracy: Some(0.1),
        test_loss: 2.0,
        test_accuracy: 0.5,
        rate: 0.9,
        seconds: 0.5,
        images_per_second: 1.0,
    };
    let records = [
        Record::Progress(Progress { epoch: 0.2, train_loss: 2.3, train_accuracy: 0.1 }),
        Record::Epoch(epoch),
    ];
    let lines: Vec<String> =
        records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect();
    let file = lines.concat().into_bytes();
    assert_eq!(kind.try_file(&file), Some(2));
    for len in 0..file.len() {
        // A line without its end is left out.
        assert_eq!(kind.try_file(&file[..len]), Some(usize::from(len >= lines[0].len())));
    }
    kind.flip_every_bit(&file, |_, _| ());
    assert_eq!(kind.try_file(lines[0].repeat(1 << 13).as_bytes()), Some(1 << 13));
    kind.assert_rejected("{\"kind\":\"\u{9b}2J\"}\n".as_bytes(), "a kind that clears the screen");
    kind.report()
}

fn configurations() -> Counts {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(RUN_FILE);
    let read = |_: &Path, file: &[u8]| -> Reading<Configuration> {
        fs::write(&path, file).unwrap();
        let run = Run::resume(dir.path(), false).map_err(|error| said(&path, &error))?;
        Ok(run.0.configuration().clone())
    };
    let mut kind = Kind::new("configurations", &read, &|len| 4 * len);
    let (version, network) = ("0".to_owned(), "small".to_owned());
    let (data, data_sha256, weights, called_in) = (None, None, None, None);
    let options = Options::default();
    let sound =
        Configuration { version, network, data, data_sha256, stream: false, weights, called_in, options };
    let file = serde_json::to_vec(&sound).unwrap();
    assert_eq!(kind.try_file(&file), Some(sound));
    kind.reject_every_truncation(&file);
    if is_soak() {
        kind.flip_every_bit(&file, |_, _| ());
    }
    kind.assert_rejected("{\"\u{9b}2J\":0}".as_bytes(), "a field that clears the screen");
    kind.assert_rejected(&[b' '; (1 << 20) + 1], "more than 1 MiB");
    kind.report()
}

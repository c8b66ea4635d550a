//! What happened in a run, for others to read: a file with a JSON line for each thing.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::file::{self, FileError};
use crate::run::files::METRICS_FILE;

/// No longer file of records is read.
const MAX_FILE_LEN: u64 = 1 << 30;

/// A line of [`METRICS_FILE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Record {
    /// A process began to train, or went on.
    Start(Start),
    /// A part of an epoch is done.
    Progress(Progress),
    /// An epoch is done.
    Epoch(Epoch),
}

/// Where a process trains, and from where on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Of this crate.
    pub version: String,
    /// The instruction set of the kernels.
    pub isa: String,
    /// How many threads there are, in each process.
    pub threads: usize,
    /// How many processes train together.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub processes: usize,
    /// How many epochs were done before.
    pub epoch: usize,
    /// How many batches of the next one were done before.
    pub batch: usize,
}

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

/// The images of an epoch so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// How often each image has been seen: 0.2, 0.4 ...
    pub epoch: f64,
    /// The mean cross entropy of the images of this epoch so far.
    pub train_loss: f64,
    /// The share of them that the network got right.
    pub train_accuracy: f64,
}

/// An epoch, and how the network does after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// The mean cross entropy of the images as they were learned from.
    pub train_loss: f64,
    /// The share of them that the network got right.
    pub train_accuracy: f64,
    /// Likewise of the images that were held back, if any were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// Likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// Likewise of the test images.
    pub test_loss: f64,
    /// Likewise.
    pub test_accuracy: f64,
    /// The learning rate of the epoch's last step.
    pub rate: f64,
    /// What learning took, without the tests.
    pub seconds: f64,
    /// How many images were learned from in a second.
    pub images_per_second: f64,
}

/// The records of a run's folder, in order. A last line without an end is left out, whatever it holds: a process died
/// while writing it.
///
/// # Errors
/// The file cannot be read, or a line is no record.
pub fn read(folder: &Path) -> Result<Vec<Record>, FileError> {
    let file = folder.join(METRICS_FILE);
    let text = file::read(&file, MAX_FILE_LEN)?;
    let (mut records, mut offset) = (Vec::new(), 0);
    for (index, line) in text[..whole_lines_len(&text)].split_inclusive(|&byte| byte == b'\n').enumerate() {
        let record = serde_json::from_slice(line).map_err(|error| {
            let said = file::printable(&error.to_string());
            let problem = format!("line {} at byte {offset}: {said}", index + 1);
            FileError::at(&file)(io::Error::new(io::ErrorKind::InvalidData, problem))
        })?;
        records.push(record);
        offset += line.len();
    }
    Ok(records)
}

/// The length of the lines that have an end.
pub(crate) fn whole_lines_len(text: &[u8]) -> usize {
    text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn records_survive() {
        let folder = tempfile::tempdir().unwrap();
        let records = [
            Record::Start(Start {
                version: "0.1.0".into(),
                isa: "scalar".into(),
                threads: 2,
                processes: 4,
                epoch: 0,
                batch: 0,
            }),
            Record::Progress(Progress { epoch: 0.2, train_loss: 2.3, train_accuracy: 0.1 }),
            Record::Epoch(Epoch {
                epoch: 1,
                train_loss: 2.25,
                train_accuracy: 0.125,
                validation_loss: None,
                validation_accuracy: Some(0.1),
                test_loss: 2.0,
                test_accuracy: 0.5,
                rate: 0.9,
                seconds: 0.5,
                images_per_second: 120_000.0,
            }),
        ];
        // From before there could be several processes.
        let start = r#"{"kind":"start","version":"0.1.0","isa":"wide","threads":2,"epoch":3,"batch":0}"#;
        let Record::Start(start) = serde_json::from_str(start).unwrap() else { panic!("{start}") };
        assert_eq!(start.processes, 1);
        assert!(!serde_json::to_string(&start).unwrap().contains("processes"));

        let mut text = String::new();
        for record in &records {
            text += &(serde_json::to_string(record).unwrap() + "\n");
        }
        assert!(text.contains(r#"{"kind":"progress","epoch":0.2,"#), "{text}");
        for cut in [&b"{\"kind\":\"ep"[..], b"{\"kind\":\"\xc3", b"\0\0\xff"] {
            fs::write(folder.path().join(METRICS_FILE), [text.as_bytes(), cut].concat()).unwrap();
            assert_eq!(read(folder.path()).unwrap(), records);
        }

        let expected = format!("metrics.jsonl: line 4 at byte {}: ", text.len());
        fs::write(folder.path().join(METRICS_FILE), text + "{}\n").unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&expected), "{error}");
    }
}

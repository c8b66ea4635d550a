//! The built-in digits, and folders of IDX files.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use im2col::{Layer, LinearParams};
use im2col_train::dataset::{Dataset, Part};
use im2col_train::samples::{DatasetError, Fingerprint, Samples};
use im2col_train::stream::IdxStream;
use im2col_train::train::{Options, TrainError, Trainer};

fn write_part(dir: &Path, prefix: &str, count: u8, labels: &[u8]) {
    let mut images = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 1, 0, 0, 0, 2];
    images.extend(0..2 * count);
    fs::write(dir.join(format!("{prefix}-images-idx3-ubyte")), images).unwrap();
    let labels = [&[0, 0, 8, 1, 0, 0, 0, labels.len() as u8], labels].concat();
    fs::write(dir.join(format!("{prefix}-labels-idx1-ubyte")), labels).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_built_in_digits_are_mnist() {
    for (part, first_labels, label_counts) in [
        (Part::Train, [5, 0, 4, 1, 9], [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]),
        (Part::Test, [7, 2, 1, 0, 4], [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    ] {
        let digits = Dataset::built_in(part).unwrap();
        assert_eq!((digits.len(), digits.image_dims()), (10_000, [1, 28, 28]));
        assert_eq!(digits.labels()[..5], first_labels);
        let mut counts = [0; 10];
        digits.labels().iter().for_each(|&label| counts[label as usize] += 1);
        assert_eq!(counts, label_counts);
    }
}

#[test]
fn a_folder_is_read() {
    let dir = tempfile::tempdir().unwrap();
    write_part(dir.path(), "train", 2, &[3, 9]);
    write_part(dir.path(), "t10k", 1, &[0]);
    let train = Dataset::load(dir.path(), Part::Train).unwrap();
    assert_eq!((train.pixels(), train.labels()), ([0, 1, 2, 3].as_slice(), [3, 9].as_slice()));
    let test = Dataset::load(dir.path(), Part::Test).unwrap();
    assert_eq!((test.len(), test.image_dims(), test.is_empty()), (1, [1, 1, 2], false));
}

/// The names that others give to the files, each plain and compressed.
#[test]
fn files_are_found_under_every_name() {
    let plain = tempfile::tempdir().unwrap();
    write_part(plain.path(), "train", 2, &[3, 9]);
    write_part(plain.path(), "t10k", 1, &[0]);
    for part in [Part::Train, Part::Test] {
        let expected = Dataset::load(plain.path(), part).unwrap();
        for (kaggle, compressed) in [(false, true), (true, false), (true, true)] {
            let dir = tempfile::tempdir().unwrap();
            for file in fs::read_dir(plain.path()).unwrap().map(Result::unwrap) {
                let name = file.file_name().into_string().unwrap();
                let name = if kaggle { name.replace("-idx", ".idx") } else { name };
                let bytes = fs::read(file.path()).unwrap();
                if compressed {
                    fs::write(dir.path().join(name + ".gz"), gzip(&bytes)).unwrap();
                } else {
                    // Kaggle's archive has folders with the usual names beside them.
                    fs::create_dir(dir.path().join(file.file_name())).unwrap();
                    fs::write(dir.path().join(name), bytes).unwrap();
                }
            }
            assert_eq!(Dataset::load(dir.path(), part).unwrap(), expected, "{kaggle} {compressed}");
            let streamed = IdxStream::open(dir.path(), part);
            if compressed {
                assert!(matches!(streamed, Err(DatasetError::Compressed { .. })));
            } else {
                assert_eq!(streamed.unwrap().labels(), expected.labels());
            }
        }
    }
}

/// A plain file can be streamed, whatever else is there.
#[test]
fn plain_files_come_first() {
    let dir = tempfile::tempdir().unwrap();
    write_part(dir.path(), "train", 2, &[3, 9]);
    let images = dir.path().join("train-images-idx3-ubyte");
    fs::write(dir.path().join("train-images-idx3-ubyte.gz"), gzip(b"something else")).unwrap();
    fs::rename(&images, dir.path().join("train-images.idx3-ubyte")).unwrap();
    assert_eq!(IdxStream::open(dir.path(), Part::Train).unwrap().labels(), [3, 9]);
}

#[test]
fn what_is_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = || Dataset::load(dir.path(), Part::Train).unwrap_err();
    assert!(matches!(error(), DatasetError::Missing { .. }));
    let names = "train-images-idx3-ubyte, train-images.idx3-ubyte, train-images-idx3-ubyte.gz, \
                 train-images.idx3-ubyte.gz";
    assert_eq!(
        error().to_string(),
        format!(
            "{}: there is none of {names}; `lenet fetch mnist` or `lenet fetch fashion-mnist` downloads such files",
            dir.path().display()
        )
    );
    let streamed = IdxStream::open(dir.path(), Part::Train).unwrap_err();
    assert_eq!(streamed.to_string(), error().to_string());

    write_part(dir.path(), "train", 2, &[3, 9, 1]);
    assert!(matches!(error(), DatasetError::Counts { images: 2, labels: 3, .. }));
    let labels = dir.path().join("train-labels-idx1-ubyte").display().to_string();
    let expected = format!("{labels}: label count at byte 4: 3 labels, but 2 images");
    assert_eq!(error().to_string(), expected);
    assert_eq!(IdxStream::open(dir.path(), Part::Train).unwrap_err().to_string(), expected);
    write_part(dir.path(), "train", 0, &[]);
    let images = dir.path().join("train-images-idx3-ubyte").display().to_string();
    let expected = format!("{images}: image count at byte 4: must be at least 1");
    assert_eq!(error().to_string(), expected);
    assert_eq!(IdxStream::open(dir.path(), Part::Train).unwrap_err().to_string(), expected);

    write_part(dir.path(), "train", 2, &[3, 9]);
    fs::write(dir.path().join("train-labels-idx1-ubyte"), [0, 0, 8]).unwrap();
    assert!(matches!(error(), DatasetError::Idx { .. }));
    assert!(error().to_string().contains("train-labels-idx1-ubyte: magic at byte 0"), "{}", error());

    let pixels = Dataset::new([1, usize::MAX, 2], vec![0; 2], vec![0]);
    assert!(matches!(pixels, Err(DatasetError::Pixels { .. })));
}

#[test]
fn labels_exceed_a_byte() {
    let layers = [Layer::Flatten, Layer::Linear(LinearParams::new(1, 300))];
    let samples = Dataset::new([1, 1, 1], vec![7; 2], vec![0, 299]).unwrap();
    let trainer = Trainer::new(layers, &samples, Options::default()).unwrap();
    let mut trainer = trainer.with_params(vec![0.0; 600]).unwrap();
    // Nothing is preferred, and the first class taken.
    let totals = trainer.test(&samples).unwrap();
    assert!((totals.loss() - 300_f64.ln()).abs() < 1e-5, "{}", totals.loss());
    assert_eq!(totals.accuracy(), 0.5);
    let stray = Dataset::new([1, 1, 1], vec![7; 2], vec![0, 300]).unwrap();
    let error = trainer.test(&stray).unwrap_err();
    assert!(matches!(error, TrainError::Label { position: 1, label: 300, classes: 300 }), "{error}");

    // A byte each where that suffices: data sets are known by it.
    let digest = |labels: Vec<u32>| {
        let pixels = vec![7; labels.len()];
        Fingerprint::of(&Dataset::new([1, 1, 1], pixels, labels).unwrap()).labels_sha256
    };
    let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(digest(vec![97, 98, 99]), of_abc);
    assert_ne!(digest(vec![97, 98, 99 + 256]), of_abc);
}

//! Data sets: IDX files, plain and gzip, of images and labels, alone and in folders.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use im2col_testkit::alloc::peak_bytes;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::idx::{IdxError, parse_images, parse_labels};
use im2col_train::samples::{DatasetError, Samples};
use im2col_train::stream::IdxStream;

use crate::kind::{Counts, Kind, NAME, Reading};

const PIXELS: [u8; 24] = [9; 24];

pub(crate) fn all() -> Counts {
    idx() + compressed_idx() + folders()
}

/// An IDX file of images.
fn images_file(dims: [u32; 3], pixels: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_be_bytes()).collect();
    [&[0, 0, 8, 3], &dims[..], pixels].concat()
}

fn labels_file() -> Vec<u8> {
    vec![0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn said(file: &Path, error: IdxError) -> String {
    DatasetError::Idx { file: file.to_owned(), error }.to_string()
}

fn read_pixels(name: &Path, file: &[u8]) -> Reading<Vec<u8>> {
    parse_images(file).map(|images| images.pixels).map_err(|error| said(name, error))
}

/// Sizes whose products are 0, small, as long as any file, and more than 64 bits can count.
const EXTREMES: [u32; 8] = [0, 1, 2, 24, 1 << 16, 1 << 30, 1 << 31, u32::MAX];

fn extreme_dims() -> impl Iterator<Item = [u32; 3]> {
    let axis = || EXTREMES.into_iter();
    axis().flat_map(move |count| axis().flat_map(move |rows| axis().map(move |cols| [count, rows, cols])))
}

/// Headers with every combination of sizes over 24 pixels, `pack`ed.
fn try_extreme_dims(kind: &mut Kind<'_, Vec<u8>>, pack: impl Fn(Vec<u8>) -> Vec<u8>) {
    for dims in extreme_dims() {
        let file = pack(images_file(dims, &PIXELS));
        if dims.iter().map(|&dim| u128::from(dim)).product::<u128>() == 24 {
            assert_eq!(kind.try_file(&file).unwrap(), PIXELS, "{dims:?}");
        } else {
            kind.assert_rejected(&file, &format!("{dims:?}"));
        }
    }
}

fn idx() -> Counts {
    // Exactly the pixels, and an error's text.
    let mut kind = Kind::new("IDX", &read_pixels, &|len| len);
    let images = images_file([2, 4, 3], &PIXELS);
    assert_eq!(kind.try_file(&images).unwrap(), PIXELS);
    kind.reject_every_truncation(&images);
    kind.flip_every_bit(&images, |bit, pixels| match bit.checked_sub(16 * 8) {
        None => assert_eq!(pixels, None, "bit {bit} of the header"),
        Some(bit) => {
            let mut expected = PIXELS.to_vec();
            expected[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(pixels.unwrap(), expected);
        }
    });
    kind.assert_rejected(&[&images[..], &[0]].concat(), "a byte behind the end");
    try_extreme_dims(&mut kind, |file| file);
    // Pixels once, and nothing for those that are promised only.
    let large = images_file([1000, 32, 32], &vec![7; 1000 * 32 * 32]);
    assert_eq!(kind.try_file(&large).unwrap().len(), 1000 * 32 * 32);
    kind.assert_rejected(&large[..large.len() - 1], "a pixel too few");

    let read = |name: &Path, file: &[u8]| parse_labels(file).map_err(|error| said(name, error));
    let mut labels = Kind::new("IDX labels", &read, &|len| len);
    labels.reject_every_truncation(&labels_file());
    labels.flip_every_bit(&labels_file(), |bit, values| {
        assert_eq!(values.is_some(), bit >= 8 * 8, "bit {bit}");
    });
    kind.report() + labels.report()
}

fn compressed_idx() -> Counts {
    // 24 pixels, however much the file might unpack to, and with the overhead 80 KiB for the decoder.
    let mut kind = Kind::new("gzip", &read_pixels, &|_| 16 << 10);
    let plain = images_file([2, 4, 3], &PIXELS);
    let file = gzip(&plain);
    assert_eq!(kind.try_file(&file).unwrap(), PIXELS);
    kind.reject_every_truncation(&file);
    kind.flip_every_bit(&file, |bit, pixels| match pixels {
        // Flags whose parts the file does not have, the time of its making, its compressor, its system.
        Some(pixels) => assert!(pixels == PIXELS && (3 * 8..10 * 8).contains(&bit), "bit {bit}"),
        None => assert!(!(4 * 8..10 * 8).contains(&bit), "bit {bit} has no meaning"),
    });
    try_extreme_dims(&mut kind, |file| gzip(&file));
    // 64 MiB of zeros in 64 KiB: behind the pixels, and as a member of its own.
    let zeros = vec![0; 64 << 20];
    kind.assert_rejected(&gzip(&[&plain[..], &zeros].concat()), "64 MiB behind the end");
    let zeros = gzip(&zeros);
    kind.assert_rejected(&[&file[..], &zeros].concat(), "a member of 64 MiB");
    kind.assert_rejected(&gzip(&zeros), "gzip within gzip");
    kind.assert_rejected(&[&file[..], &file].concat(), "a second file");
    let empty = gzip(&[]);
    let many = [&empty.repeat(1000)[..], &file, &empty.repeat(1000)].concat();
    assert_eq!(kind.try_file(&many).unwrap(), PIXELS);
    kind.report()
}

/// Folders in which one of the two files is hostile, read whole and as a stream.
fn folders() -> Counts {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let part = |name: &str| folder.join(name);
    let names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
    let sound = [images_file([3, 2, 4], &PIXELS), labels_file()];
    let mut counts = Counts::default();
    for hostile in [0, 1] {
        let path = part(names[hostile]);
        let read = |_: &Path, file: &[u8]| -> Reading<Vec<u32>> {
            fs::write(&path, file).unwrap();
            let loaded = Dataset::load(folder, Part::Train).map(|data| data.labels().to_vec());
            let streamed = IdxStream::open(folder, Part::Train).map(|data| data.labels().to_vec());
            let [loaded, streamed] = [loaded, streamed].map(|labels| {
                // Whichever file the error names: where the two contradict each other, both are read.
                labels.map_err(|error| {
                    names.iter().fold(error.to_string(), |text, name| {
                        text.replace(&part(name).display().to_string(), NAME)
                    })
                })
            });
            assert_eq!(loaded.is_ok(), streamed.is_ok(), "{loaded:?} {streamed:?}");
            loaded.and(streamed)
        };
        for (name, file) in names.iter().zip(&sound) {
            fs::write(part(name), file).unwrap();
        }
        let mut kind = Kind::new(["folders, images", "folders, labels"][hostile], &read, &|len| 3 * len);
        assert_eq!(kind.try_file(&sound[hostile]).unwrap(), [7, 8, 9]);
        kind.reject_every_truncation(&sound[hostile]);
        kind.flip_every_bit(&sound[hostile], |_, _| ());
        for count in EXTREMES {
            let dims = images_file([count, 2, 4], &PIXELS);
            let labels = [&[0, 0, 8, 1][..], &count.to_be_bytes(), &[7, 8, 9]].concat();
            kind.assert_rejected(&[dims, labels][hostile], &format!("{count} images"));
        }
        counts = counts + kind.report();
    }
    bounded_memory_of_large_files(folder, names);
    counts
}

/// The file once, its pixels once more, of labels five bytes each.
fn bounded_memory_of_large_files(folder: &Path, names: [&str; 2]) {
    const COUNT: usize = 1 << 18;
    let count = u32::try_from(COUNT).unwrap();
    let labels = [&[0, 0, 8, 1][..], &count.to_be_bytes(), &[7; COUNT]].concat();
    fs::write(folder.join(names[0]), images_file([count, 4, 4], &vec![9; 16 * COUNT])).unwrap();
    fs::write(folder.join(names[1]), labels).unwrap();
    let (data, peak) = peak_bytes(|| Dataset::load(folder, Part::Train).unwrap());
    let limit = 2 * 16 * COUNT + 6 * COUNT + (64 << 10);
    assert!(data.len() == COUNT && peak <= limit, "{peak} bytes, at most {limit}");
}

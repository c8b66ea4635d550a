//! Files from strangers: data sets, checkpoints, weights and pictures that are cut at every byte, have every bit flipped,
//! or lie in their headers. None makes a panic, what is damaged is rejected, and what is accepted is what the file says.
//! One test only: the allocator counts the bytes of the whole program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use im2col::{Activation, Layer, LinearParams, Network};
use im2col_testkit::alloc::{CountingAllocator, peak_bytes};
use im2col_train::checkpoint::{self, Checkpoint, Configuration, RunRecord};
use im2col_train::dataset::Dataset;
use im2col_train::idx::{parse_images, parse_labels};
use im2col_train::optimiser::Optimiser;
use im2col_train::picture::{self, Preparation};
use im2col_train::schedule::Schedule;
use im2col_train::train::{Options, Trainer};
use im2col_train::weights::{self, Weights};
use image::{DynamicImage, GrayImage, ImageFormat, Luma};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Besides what is said of each kind: buffers of readers, tables of decoders, texts of errors.
const OVERHEAD: usize = 64 << 10;

/// The files of one kind, and what was made of them.
struct Kind<'a, T> {
    name: &'static str,
    read: &'a dyn Fn(&[u8]) -> Option<T>,
    /// The most bytes that reading a file of this length may allocate, besides [`OVERHEAD`].
    limit: &'a dyn Fn(usize) -> usize,
    seen: HashSet<u64>,
    accepted: usize,
    peak: usize,
}

impl<'a, T: PartialEq + std::fmt::Debug> Kind<'a, T> {
    fn new(
        name: &'static str,
        read: &'a dyn Fn(&[u8]) -> Option<T>,
        limit: &'a dyn Fn(usize) -> usize,
    ) -> Self {
        Self { name, read, limit, seen: HashSet::new(), accepted: 0, peak: 0 }
    }

    /// What is read of a file, within the limit of memory.
    fn try_file(&mut self, file: &[u8]) -> Option<T> {
        let mut hasher = DefaultHasher::new();
        file.hash(&mut hasher);
        let is_new = self.seen.insert(hasher.finish());
        let (value, peak) = peak_bytes(|| (self.read)(file));
        let limit = (self.limit)(file.len()) + OVERHEAD;
        assert!(peak <= limit, "{}: {peak} bytes for a file of {}, at most {limit}", self.name, file.len());
        self.peak = self.peak.max(peak.saturating_sub(file.len()));
        self.accepted += usize::from(is_new && value.is_some());
        value
    }

    fn assert_rejected(&mut self, file: &[u8], what: &str) {
        let value = self.try_file(file);
        assert_eq!(value, None, "{}: {what} is accepted", self.name);
    }

    /// Cuts the file after each of its bytes but the last.
    fn reject_every_truncation(&mut self, file: &[u8]) {
        for len in 0..file.len() {
            self.assert_rejected(&file[..len], &format!("the first {len} bytes"));
        }
    }

    /// Flips each bit of the file, whose number `check` is given with what was read.
    fn flip_every_bit(&mut self, file: &[u8], check: impl Fn(usize, Option<T>)) {
        let mut flipped = file.to_vec();
        for bit in 0..file.len() * 8 {
            flipped[bit / 8] ^= 1 << (bit % 8);
            let value = self.try_file(&flipped);
            check(bit, value);
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
    }

    /// Prints a line, and returns how many files there were.
    fn report(self) -> usize {
        let (name, files, accepted, peak) = (self.name, self.seen.len(), self.accepted, self.peak);
        println!("{name}: {files} files, {} rejected, {peak} bytes beyond the file's", files - accepted);
        files
    }
}

#[test]
fn hostile_files_are_rejected_or_read() {
    let files =
        idx() + compressed_idx() + checkpoints() + saved_weights() + safetensors_headers() + pictures();
    println!("hostile files: {files} distinct, 0 panics");
    assert!(files >= 10_000, "{files}");
}

// --- data sets ---

const PIXELS: [u8; 24] = [9; 24];

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

fn read_pixels(file: &[u8]) -> Option<Vec<u8>> {
    parse_images(file).ok().map(|images| images.pixels)
}

/// Sizes whose products are 0, small, as long as any file, and more than 64 bits can count.
const EXTREMES: [u32; 8] = [0, 1, 2, 24, 1 << 16, 1 << 30, 1 << 31, u32::MAX];

fn extreme_dims() -> impl Iterator<Item = [u32; 3]> {
    let axis = || EXTREMES.into_iter();
    axis().flat_map(move |count| axis().flat_map(move |rows| axis().map(move |cols| [count, rows, cols])))
}

/// Whether a file with 24 pixels may have these dimensions.
fn are_of_24(dims: [u32; 3]) -> bool {
    dims.iter().map(|&dim| u128::from(dim)).product::<u128>() == 24
}

fn idx() -> usize {
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
    for dims in extreme_dims() {
        let pixels = kind.try_file(&images_file(dims, &PIXELS));
        assert_eq!(pixels.is_some(), are_of_24(dims), "{dims:?}");
    }

    let read = |file: &[u8]| parse_labels(file).ok();
    let mut labels = Kind::new("IDX labels", &read, &|len| len);
    labels.reject_every_truncation(&labels_file());
    labels.flip_every_bit(&labels_file(), |bit, values| {
        assert_eq!(values.is_some(), bit >= 8 * 8, "bit {bit}")
    });
    kind.report() + labels.report()
}

fn compressed_idx() -> usize {
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
    for dims in extreme_dims() {
        let pixels = kind.try_file(&gzip(&images_file(dims, &PIXELS)));
        assert_eq!(pixels.is_some(), are_of_24(dims), "{dims:?}");
    }
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

// --- safetensors ---

const LAYERS: [Layer; 3] =
    [Layer::Flatten, Layer::Linear(LinearParams::new(4, 3)), Layer::Activation(Activation::Sigmoid)];
const OPTIONS: Options = Options {
    epochs: 3,
    batch: 2,
    optimiser: Optimiser::adam(),
    rate: 0.1,
    schedule: Schedule::Constant,
    shift: 1,
    validation: 0.0,
    seed: 1,
    isa: None,
};

fn checkpoint_file() -> Vec<u8> {
    let pixels = (0..20).map(|pixel| pixel * 10).collect();
    let data = Dataset::new([1, 2, 2], pixels, vec![0, 1, 2, 0, 1]).unwrap();
    let mut trainer = Trainer::new(LAYERS, &data, OPTIONS).unwrap();
    trainer.epoch(|_| ()).unwrap();
    let (version, network) = ("0".to_owned(), "small".to_owned());
    let (data, data_sha256, weights, called_in) = (None, None, None, None);
    let configuration = Configuration {
        version,
        network,
        data,
        data_sha256,
        stream: false,
        weights,
        called_in,
        options: OPTIONS,
    };
    let dir = tempfile::tempdir().unwrap();
    let (file, previous) = (dir.path().join("now"), dir.path().join("before"));
    checkpoint::save(&file, &previous, &configuration, &RunRecord::default(), &trainer).unwrap();
    fs::read(file).unwrap()
}

/// The copy that is handed to the reader, the text and the tree of the header, and what is made of them.
fn safetensors_limit(len: usize) -> usize {
    8 * len
}

fn checkpoints() -> usize {
    let path = Path::new("a/checkpoint");
    let read = |file: &[u8]| match Checkpoint::from_bytes(path, file.to_vec()) {
        Ok(_) => Some(()),
        Err(error) => {
            assert!(error.to_string().starts_with("a/checkpoint: "), "{error}");
            None
        }
    };
    let mut kind = Kind::new("checkpoints", &read, &safetensors_limit);
    let file = checkpoint_file();
    assert_eq!(kind.try_file(&file), Some(()));
    kind.reject_every_truncation(&file);
    kind.flip_every_bit(&file, |bit, read| assert_eq!(read, None, "bit {bit}"));
    kind.assert_rejected(&[&file[..], &[0]].concat(), "a byte behind the end");
    kind.report()
}

/// The parameters as bits, or nothing.
fn read_weights(file: &[u8]) -> Option<Vec<u32>> {
    let network = Network::plan(LAYERS, 1, [1, 2, 2]).unwrap();
    let params = Weights::from_bytes(Path::new("some/weights"), file.to_vec()).and_then(|weights| {
        let _ = weights.description();
        weights.params(&network)
    });
    match params {
        Ok(params) => Some(params.into_iter().map(f32::to_bits).collect()),
        Err(error) => {
            assert!(error.to_string().starts_with("some/weights: "), "{error}");
            None
        }
    }
}

fn saved_weights() -> usize {
    let mut kind = Kind::new("weights", &read_weights, &safetensors_limit);
    let network = Network::plan(LAYERS, 1, [1, 2, 2]).unwrap();
    let params: Vec<f32> = (0..15).map(|index| index as f32 - 7.5).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights");
    weights::save(&path, "small", &network, &params).unwrap();
    let file = fs::read(path).unwrap();
    let sound = kind.try_file(&file).unwrap();
    assert_eq!(sound, params.iter().map(|value| value.to_bits()).collect::<Vec<_>>());

    kind.reject_every_truncation(&file);
    let data = (file.len() - 15 * 4) * 8;
    kind.flip_every_bit(&file, |bit, read| match (bit.checked_sub(data), read) {
        // Names and texts may change, and which of two tensors is which; no value may.
        (None, Some(mut params)) => {
            let mut expected = sound.clone();
            expected.sort_unstable();
            params.sort_unstable();
            assert_eq!(params, expected, "bit {bit} of the header");
        }
        (None, None) => {}
        (Some(bit), read) => {
            // The file begins with the three biases, the parameters end with them.
            let index = (bit / 32 + 12) % 15;
            let flipped = sound[index] ^ 1 << (bit % 32);
            match read {
                Some(params) => assert_eq!(params[index], flipped),
                None => assert!(!f32::from_bits(flipped).is_finite(), "bit {bit} of the values"),
            }
        }
    });
    kind.assert_rejected(&[&file[..], &[0]].concat(), "a byte behind the end");
    kind.report()
}

/// Headers that lie about what follows them.
fn safetensors_headers() -> usize {
    let mut kind = Kind::new("safetensors headers", &read_weights, &safetensors_limit);
    let tensor = |name: &str, dtype: &str, shape: &str, begin: &str, end: &str| {
        format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{begin},{end}]}}")
    };
    let file = |tensors: &[String]| {
        let header = format!("{{{}}}", tensors.join(","));
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 60]].concat()
    };
    let bias = tensor("1.bias", "F32", "[3]", "48", "60");
    let weight = tensor("1.weight", "F32", "[3,4]", "0", "48");
    assert_eq!(kind.try_file(&file(&[weight.clone(), bias.clone()])).unwrap(), [0; 15]);

    let first = tensor("1.weight", "I32", "[12]", "0", "48");
    let twice = file(&[first.clone(), weight.clone(), bias.clone()]);
    kind.assert_rejected(&twice, "a name that stands twice, with the right tensor last");
    kind.assert_rejected(&file(&[weight.clone(), first, bias.clone()]), "a name that stands twice");

    let huge = u64::MAX.to_string();
    let numbers = ["0", "1", "47", "48", "49", "60", "61", "4294967296", "1e3", "-1", "1.5", "null", &huge];
    for begin in numbers {
        for end in numbers {
            if (begin, end) != ("0", "48") {
                let lie = tensor("1.weight", "F32", "[3,4]", begin, end);
                kind.assert_rejected(&file(&[lie, bias.clone()]), &format!("a tensor at {begin} to {end}"));
            }
        }
    }
    for first in numbers {
        for second in numbers {
            let lie = tensor("1.weight", "F32", &format!("[{first},{second}]"), "0", "48");
            kind.assert_rejected(&file(&[lie, bias.clone()]), &format!("dimensions {first}, {second}"));
        }
    }
    for dtype in ["F64", "F16", "BF16", "I32", "U8", "BOOL", "F4", "X", ""] {
        let lie = tensor("1.weight", dtype, "[3,4]", "0", "48");
        kind.assert_rejected(&file(&[lie, bias.clone()]), dtype);
    }
    for (tensors, what) in [
        (vec![], "no tensor"),
        (vec![weight.clone()], "a tensor that is missing"),
        (vec![weight.clone(), bias.clone(), tensor("x", "F32", "[0]", "60", "60")], "a tensor too many"),
        (vec![weight.clone(), tensor("1.bias", "F32", "[3]", "36", "48")], "tensors over each other"),
        (
            vec![weight.clone(), bias.clone(), "\"__metadata__\":{\"a\":1}".to_owned()],
            "metadata that are no text",
        ),
        (vec![weight, bias, format!("\"a\":{}{}", "[".repeat(10_000), "]".repeat(10_000))], "10,000 lists"),
    ] {
        kind.assert_rejected(&file(&tensors), what);
    }
    for len in [0, 1, 7, 60, 1 << 20, 100_000_000, 100_000_001, 1 << 32, u64::MAX - 7, u64::MAX] {
        kind.assert_rejected(
            &[&len.to_le_bytes()[..], &[b' '; 60]].concat(),
            &format!("a header of {len} bytes"),
        );
    }
    kind.report()
}

// --- pictures ---

/// 12 x 10 pixels, a dark stroke on light paper.
fn sheet() -> GrayImage {
    GrayImage::from_fn(12, 10, |x, y| {
        Luma([if (5..8).contains(&x) && (2..8).contains(&y) { 20 } else { 240 }])
    })
}

fn written(format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let sheet = DynamicImage::from(sheet());
    let sheet = if format == ImageFormat::Jpeg { DynamicImage::from(sheet.to_rgb8()) } else { sheet };
    sheet.write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// The pixels as they are, and that they can be prepared.
fn read_picture(file: &[u8]) -> Option<GrayImage> {
    let picture = picture::read(Path::new("some/picture"), file).ok()?;
    for preparation in [Preparation::Digit, Preparation::Garment, Preparation::Raw] {
        if let Ok(prepared) = picture::prepare(&picture, preparation) {
            assert_eq!(prepared.dimensions(), (picture::SIDE, picture::SIDE));
        }
    }
    Some(picture)
}

fn pictures() -> usize {
    // Tables and buffers of decoders; a flipped bit may double a side, or make it 8192 and 12 pixels.
    const MOST: usize = 1 << 20;
    let mut files = 0;
    let text: Vec<String> = sheet().iter().map(u8::to_string).collect();
    let pgm_text = format!("P2\n12 10\n255\n{}\n", text.join(" ")).into_bytes();
    for (name, file) in [
        ("PNG", written(ImageFormat::Png)),
        ("JPEG", written(ImageFormat::Jpeg)),
        ("PGM", written(ImageFormat::Pnm)),
        ("PGM in text", pgm_text),
    ] {
        let mut kind = Kind::new(name, &read_picture, &|_| MOST);
        let sound = kind.try_file(&file).unwrap();
        assert_eq!(sound.dimensions(), (12, 10));
        for len in 0..file.len() {
            let cut = kind.try_file(&file[..len]);
            assert!(cut.is_none_or(|cut| cut == sound), "{name}: {len} bytes are another picture");
        }
        kind.flip_every_bit(&file, |bit, flipped| {
            // Every byte of a PNG file is under a checksum. Of a PGM file, those that are not its pixels say its size.
            if name == "PNG" {
                assert!(flipped.is_none_or(|flipped| flipped == sound), "{name}: bit {bit}");
            }
        });
        files += kind.report();
    }
    files + huge_pictures()
}

/// Headers of pictures that are not there.
fn huge_pictures() -> usize {
    let mut kind = Kind::new("sizes of pictures", &read_picture, &|_| 4 * 8192 * 8192);
    let sizes = [0_u32, 1, 8192, 8193, 65_535, 65_536, 1 << 31, u32::MAX];
    for width in sizes {
        for height in sizes {
            for magic in ["P1", "P2", "P3", "P4", "P5", "P6"] {
                let most = if matches!(magic, "P1" | "P4") { "" } else { "255\n" };
                let file = format!("{magic}\n{width} {height}\n{most}");
                kind.assert_rejected(file.as_bytes(), &format!("{magic} of {width} x {height}"));
            }
            kind.assert_rejected(&png_of(width, height), &format!("PNG of {width} x {height}"));
        }
    }
    kind.report()
}

/// A PNG file, checksums and all, whose picture has this size and one pixel of data.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let mut data = flate2::write::ZlibEncoder::new(Vec::new(), Compression::best());
    data.write_all(&[0]).unwrap();
    for (name, chunk) in [(b"IHDR", header), (b"IDAT", data.finish().unwrap()), (b"IEND", Vec::new())] {
        let mut crc = flate2::Crc::new();
        crc.update(name);
        crc.update(&chunk);
        let len = u32::try_from(chunk.len()).unwrap();
        file.extend([&len.to_be_bytes()[..], name, &chunk, &crc.sum().to_be_bytes()].concat());
    }
    file
}

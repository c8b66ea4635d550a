//! The files of one kind, and what is made of them.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Add;
use std::path::Path;

use im2col_testkit::alloc::peak_bytes;

/// The name that files in memory have in errors.
pub(crate) const NAME: &str = "from/a stranger";

/// Besides what is said of each kind: buffers of readers, tables of decoders, texts of errors.
const OVERHEAD: usize = 64 << 10;

/// Where an error may say that something is wrong, other than at a byte: the length, parts of a checkpoint, tensors.
const FIELDS: [&str; 10] = [
    "SHA-256",
    "larger than ",
    " is not a parameter of the network",
    "\"sha256\"",
    "\"configuration",
    "\"position\"",
    "\"classes\"",
    "\"network\"",
    "1.weight",
    "1.bias",
];

/// What is read of a file, or the text of the error.
pub(crate) type Reading<T> = Result<T, String>;

/// The files of one kind, and what was made of them.
pub(crate) struct Kind<'a, T> {
    name: &'static str,
    read: &'a dyn Fn(&Path, &[u8]) -> Reading<T>,
    /// The most bytes that reading a file of this length may allocate, besides the file and [`OVERHEAD`].
    limit: &'a dyn Fn(usize) -> usize,
    seen: HashSet<u64>,
    counts: Counts,
    peak: usize,
}

/// How many files there were.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) files: usize,
    pub(crate) rejected: usize,
    /// How many of them had to be rejected, since a length, a header or a digest says so.
    pub(crate) certain: usize,
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            rejected: self.rejected + other.rejected,
            certain: self.certain + other.certain,
        }
    }
}

impl<'a, T: PartialEq + std::fmt::Debug> Kind<'a, T> {
    pub(crate) fn new(
        name: &'static str,
        read: &'a dyn Fn(&Path, &[u8]) -> Reading<T>,
        limit: &'a dyn Fn(usize) -> usize,
    ) -> Self {
        Self { name, read, limit, seen: HashSet::new(), counts: Counts::default(), peak: 0 }
    }

    /// What is read of a file, within the limit of memory. An error names the file, and a byte or a field.
    pub(crate) fn try_file(&mut self, file: &[u8]) -> Option<T> {
        self.try_new(file).0
    }

    /// The same, and whether the file is the first of its bytes.
    fn try_new(&mut self, file: &[u8]) -> (Option<T>, bool) {
        let mut hasher = DefaultHasher::new();
        file.hash(&mut hasher);
        let is_new = self.seen.insert(hasher.finish());
        let (reading, peak) = peak_bytes(|| (self.read)(Path::new(NAME), file));
        let limit = (self.limit)(file.len()) + OVERHEAD;
        assert!(peak <= limit, "{}: {peak} bytes for a file of {}, at most {limit}", self.name, file.len());
        self.peak = self.peak.max(peak);
        self.counts.files += usize::from(is_new);
        if let Err(message) = &reading {
            assert!(names_its_place(message), "{}: {message}", self.name);
            assert!(
                !message.chars().any(char::is_control) && message.len() < 1000,
                "{}: {message:?}",
                self.name
            );
            self.counts.rejected += usize::from(is_new);
        }
        (reading.ok(), is_new)
    }

    /// A file that cannot be sound: a length, its header or a digest says so.
    pub(crate) fn assert_rejected(&mut self, file: &[u8], what: &str) {
        let (value, is_new) = self.try_new(file);
        assert_eq!(value, None, "{}: {what} is accepted", self.name);
        self.counts.certain += usize::from(is_new);
    }

    /// Cuts the file after each of its bytes but the last.
    pub(crate) fn reject_every_truncation(&mut self, file: &[u8]) {
        for len in 0..file.len() {
            self.assert_rejected(&file[..len], &format!("the first {len} bytes"));
        }
    }

    /// Flips each bit of the file, of which no byte may be another.
    pub(crate) fn reject_every_flipped_bit(&mut self, file: &[u8]) {
        for (bit, flipped) in flipped(file) {
            self.assert_rejected(&flipped, &format!("bit {bit}"));
        }
    }

    /// Flips each bit of the file, whose number `check` is given with what was read.
    pub(crate) fn flip_every_bit(&mut self, file: &[u8], check: impl Fn(usize, Option<T>)) {
        for (bit, flipped) in flipped(file) {
            check(bit, self.try_file(&flipped));
        }
    }

    /// Prints a line.
    pub(crate) fn report(self) -> Counts {
        let Counts { files, rejected, certain } = self.counts;
        println!(
            "{}: {files} files, {rejected} rejected ({certain} had to be), {} bytes at most",
            self.name, self.peak
        );
        self.counts
    }
}

/// The file with each of its bits flipped, and the number of the bit.
fn flipped(file: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..file.len() * 8).map(|bit| {
        let mut flipped = file.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit, flipped)
    })
}

/// Whether an error names the file first, then a byte, a line and a column of a text, or one of the [`FIELDS`].
fn names_its_place(message: &str) -> bool {
    let Some(rest) = message.strip_prefix(NAME).and_then(|rest| rest.strip_prefix(": ")) else {
        return false;
    };
    let has_number = |word: &str| {
        rest.split(word).skip(1).any(|after| after.starts_with(|first: char| first.is_ascii_digit()))
    };
    has_number("byte ")
        || (has_number("line ") && has_number("column "))
        || FIELDS.iter().any(|field| rest.contains(field))
}

/// The checks can fail.
pub(crate) fn check_the_checks() {
    for (message, is_good) in [
        ("from/a stranger: magic at byte 0: wrong", true),
        ("from/a stranger: 1.bias is missing", true),
        ("from/a stranger: no JSON at line 1 column 2", true),
        ("from/a stranger: no JSON at line 1", false),
        ("from/a stranger: damaged at some byte or other", false),
        ("from/a stranger: damaged", false),
        ("magic at byte 0: wrong", false),
        ("other: from/a stranger: magic at byte 0", false),
    ] {
        assert_eq!(names_its_place(message), is_good, "{message}");
    }
}

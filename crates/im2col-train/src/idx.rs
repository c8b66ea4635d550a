//! The IDX files of MNIST and its relatives, plain or gzip. Nothing in a file is trusted. A gzip file may have several
//! members (`cat a.gz b.gz`, bgzip), whose contents follow one another.
//!
//! ```text
//! images   00 00 08 03 | count | rows | columns | pixels, one byte each
//! labels   00 00 08 01 | count | labels, one byte each            (numbers are big-endian u32)
//! ```
//!
//! Memory is taken for bytes that are there, never for bytes that a header promises: for a plain file exactly
//! its values, for a compressed one as they come, until the header's length or [`MAX_INFLATED_LEN`].

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::cmp::Ordering;
use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use thiserror::Error;

/// The most values that a compressed file may inflate to: 1 GiB, twice the largest of MNIST's relatives
/// (EMNIST by class, 697,932 training images).
pub const MAX_INFLATED_LEN: usize = 1 << 30;

/// Where the pixels begin.
pub(crate) const IMAGES_HEADER_LEN: usize = 16;
const IMAGE_FIELDS: [&str; 3] = ["image count", "row count", "column count"];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The third byte of the magic number: the values are unsigned bytes.
const UNSIGNED_BYTE: u8 = 0x08;

/// Why a file is not the IDX file that was expected. Offsets count uncompressed bytes.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdxError {
    /// The file ends too early.
    #[error("{field} at byte {offset}: the file ends before the required {required} bytes")]
    Truncated {
        /// What was being read.
        field: &'static str,
        /// Where it begins.
        offset: usize,
        /// How many bytes it takes.
        required: usize,
    },
    /// The first four bytes are others: the wrong kind of file.
    #[error("magic at byte 0: {found:02x?} instead of {expected:02x?}")]
    Magic {
        /// The bytes of the expected kind.
        expected: [u8; 4],
        /// The file's bytes.
        found: [u8; 4],
    },
    /// An image without rows or columns, or a data set without images.
    #[error("{field} at byte {offset}: must be at least 1")]
    Zero {
        /// Which dimension.
        field: &'static str,
        /// Where it is.
        offset: usize,
    },
    /// The product of the dimensions is out of bounds.
    #[error("dimensions {dims:?} at byte 4: more than the limit of {limit} bytes")]
    TooLong {
        /// The header's dimensions.
        dims: Vec<usize>,
        /// The most bytes that they may take.
        limit: usize,
    },
    /// The file goes on after its last value.
    #[error("byte {offset}: the file should end here and goes on")]
    Trailing {
        /// Where the file should end.
        offset: usize,
    },
    /// The compressed stream is damaged.
    #[error("{field} at byte {offset}: gzip: {error}")]
    Gzip {
        /// What was being read.
        field: &'static str,
        /// Where it begins.
        offset: usize,
        /// What the decoder says.
        error: io::Error,
    },
}

impl IdxError {
    /// A file that is sound, but has no image.
    pub(crate) const NO_IMAGES: Self = Self::Zero { field: IMAGE_FIELDS[0], offset: 4 };
}

/// Grey images of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// How many images.
    pub count: usize,
    /// An image's height, at least 1.
    pub rows: usize,
    /// An image's width, at least 1.
    pub cols: usize,
    /// `[count, rows, cols]`
    pub pixels: Vec<u8>,
}

/// Reads an IDX file of images.
///
/// # Errors
/// The file is damaged, or is not an IDX file of rank 3 with unsigned bytes.
pub fn parse_images(file: &[u8]) -> Result<Images, IdxError> {
    let ([count, rows, cols], pixels) = parse(file, IMAGE_FIELDS, "pixels")?;
    Ok(Images { count, rows, cols, pixels })
}

/// Reads an IDX file of labels.
///
/// # Errors
/// The file is damaged, or is not an IDX file of rank 1 with unsigned bytes.
pub fn parse_labels(file: &[u8]) -> Result<Vec<u8>, IdxError> {
    let ([_count], labels) = parse(file, ["label count"], "labels")?;
    Ok(labels)
}

/// The dimensions in the header of a plain file of images that is `file_len` bytes long.
pub(crate) fn parse_image_header(header: &[u8], file_len: u64) -> Result<[usize; 3], IdxError> {
    let mut reader = IdxReader { source: header, offset: 0 };
    let dims = reader.header(IMAGE_FIELDS)?;
    let len = checked_len(&dims, usize::MAX)?;
    let end = (len as u64).saturating_add(reader.offset as u64);
    match file_len.cmp(&end) {
        Ordering::Less => Err(IdxError::Truncated { field: "pixels", offset: reader.offset, required: len }),
        Ordering::Equal => Ok(dims),
        Ordering::Greater => Err(IdxError::Trailing { offset: reader.offset.saturating_add(len) }),
    }
}

/// Whether a file that begins so is compressed.
pub(crate) fn is_gzip(file: &[u8]) -> bool {
    file.starts_with(&GZIP_MAGIC)
}

/// The dimensions and the values of a file of rank `D`.
fn parse<const D: usize>(
    file: &[u8],
    dim_fields: [&'static str; D],
    value_field: &'static str,
) -> Result<([usize; D], Vec<u8>), IdxError> {
    if !is_gzip(file) {
        let mut reader = IdxReader { source: file, offset: 0 };
        let dims = reader.header(dim_fields)?;
        let len = checked_len(&dims, usize::MAX)?;
        if len > reader.source.len() {
            return Err(IdxError::Truncated { field: value_field, offset: reader.offset, required: len });
        }
        return Ok((dims, reader.values(value_field, len, Vec::with_capacity(len))?));
    }
    let mut reader = IdxReader { source: Members::new(file), offset: 0 };
    let dims = reader.header(dim_fields)?;
    let len = checked_len(&dims, MAX_INFLATED_LEN)?;
    let values = reader.values(value_field, len, Vec::new())?;
    if !reader.source.rest().is_empty() {
        return Err(IdxError::Trailing { offset: reader.offset });
    }
    Ok((dims, values))
}

/// The product of the dimensions, if it does not exceed the limit.
fn checked_len(dims: &[usize], limit: usize) -> Result<usize, IdxError> {
    // From the last dimension on, so that an image's length is in bounds even where there is no image.
    dims.iter()
        .rev()
        .try_fold(1, |len: usize, &dim| len.checked_mul(dim))
        .filter(|&len| len <= limit)
        .ok_or_else(|| IdxError::TooLong { dims: dims.to_vec(), limit })
}

/// What the members of a gzip file hold, one after the other. Ends before bytes that do not begin a member.
struct Members<'a>(Option<GzDecoder<&'a [u8]>>);

impl<'a> Members<'a> {
    fn new(file: &'a [u8]) -> Self {
        Self(Some(GzDecoder::new(file)))
    }

    /// What has not been read of the file.
    fn rest(&self) -> &'a [u8] {
        self.0.as_ref().map_or(&[], |decoder| decoder.get_ref())
    }
}

impl Read for Members<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.0 {
            let read = decoder.read(bytes)?;
            let rest = self.rest();
            if read > 0 || bytes.is_empty() || !is_gzip(rest) {
                return Ok(read);
            }
            // One decoder at a time: it takes more memory than all else.
            self.0 = None;
            self.0 = Some(GzDecoder::new(rest));
        }
        Ok(0)
    }
}

struct IdxReader<R> {
    source: R,
    offset: usize,
}

impl<R: Read> IdxReader<R> {
    fn header<const D: usize>(&mut self, dim_fields: [&'static str; D]) -> Result<[usize; D], IdxError> {
        let expected = [0, 0, UNSIGNED_BYTE, u8::try_from(D).unwrap_or(u8::MAX)];
        let found = self.word("magic")?;
        if found != expected {
            return Err(IdxError::Magic { expected, found });
        }
        let mut dims = [0; D];
        for (axis, (dim, field)) in dims.iter_mut().zip(dim_fields).enumerate() {
            let offset = self.offset;
            *dim = u32::from_be_bytes(self.word(field)?) as usize;
            // A file without images is sound, an image without pixels is not.
            if *dim == 0 && axis > 0 {
                return Err(IdxError::Zero { field, offset });
            }
        }
        Ok(dims)
    }

    fn word(&mut self, field: &'static str) -> Result<[u8; 4], IdxError> {
        let mut word = [0; 4];
        self.source.read_exact(&mut word).map_err(|error| self.failed(field, word.len(), error))?;
        self.offset = self.offset.saturating_add(word.len());
        Ok(word)
    }

    /// Reads exactly `len` values into the empty `values` and checks that nothing follows them.
    fn values(&mut self, field: &'static str, len: usize, mut values: Vec<u8>) -> Result<Vec<u8>, IdxError> {
        self.source
            .by_ref()
            .take(len as u64)
            .read_to_end(&mut values)
            .map_err(|error| self.failed(field, len, error))?;
        if values.len() < len {
            return Err(IdxError::Truncated { field, offset: self.offset, required: len });
        }
        self.offset = self.offset.saturating_add(len);
        // This read is also where the gzip decoder compares its checksum.
        let mut next = [0];
        match self.source.read(&mut next) {
            Ok(0) => Ok(values),
            Ok(_) => Err(IdxError::Trailing { offset: self.offset }),
            Err(error) => Err(self.failed("checksum", 8, error)),
        }
    }

    fn failed(&self, field: &'static str, required: usize, error: io::Error) -> IdxError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => IdxError::Truncated { field, offset: self.offset, required },
            _ => IdxError::Gzip { field, offset: self.offset, error },
        }
    }
}

//! IDX files that stay on the disk: for data sets larger than memory.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::dataset::{MAX_FILE_LEN, Part, check_counts};
use crate::file::{self, FileError};
use crate::idx;
use crate::samples::{DatasetError, Samples, normalised};

/// How many pixels are read at a time.
const BUFFER_LEN: usize = 4096;

/// The images of an IDX file, read one by one when a network asks for them. The labels are in memory.
///
/// The file of images has to be plain: in a compressed one there is no going to and fro. If it is written to or becomes shorter,
/// reading is an error from then on. Where the system keeps open files that lose their name, as Unix does, one that is removed or
/// replaced stays what it was.
#[derive(Debug)]
pub struct IdxStream {
    path: PathBuf,
    images: Positioned,
    version: Version,
    image_dims: [usize; 3],
    image_len: usize,
    labels: Vec<u32>,
}

impl IdxStream {
    /// Opens the two IDX files of one part. The file of labels may be gzip.
    ///
    /// # Errors
    /// A file is missing or damaged, the images are compressed, or the two do not belong together.
    pub fn open(dir: &Path, part: Part) -> Result<Self, DatasetError> {
        let path = part.images_file(dir)?;
        let idx_error = |error| DatasetError::Idx { file: path.clone(), error };
        let mut file = File::open(&path).map_err(FileError::at(&path))?;
        let version = Version::of(&file.metadata().map_err(FileError::at(&path))?);
        let mut header = Vec::new();
        file.by_ref()
            .take(idx::IMAGES_HEADER_LEN as u64)
            .read_to_end(&mut header)
            .map_err(FileError::at(&path))?;
        if idx::is_gzip(&header) {
            return Err(DatasetError::Compressed { file: path });
        }
        let [count, rows, cols] = idx::parse_image_header(&header, version.len).map_err(idx_error)?;

        let labels_path = part.labels_file(dir)?;
        let labels = idx::parse_labels(&file::read(&labels_path, MAX_FILE_LEN)?)
            .map_err(|error| DatasetError::Idx { file: labels_path.clone(), error })?;
        check_counts((path.clone(), count), (labels_path, labels.len()))?;
        let (image_dims, labels) = ([1, rows, cols], labels.into_iter().map(u32::from).collect());
        let (images, image_len) = (Positioned::new(file), rows * cols);
        Ok(Self { path, images, version, image_dims, image_len, labels })
    }
}

impl Samples for IdxStream {
    fn image_dims(&self) -> [usize; 3] {
        self.image_dims
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn read(&self, index: usize, image: &mut [f32]) -> Result<(), DatasetError> {
        let mut buffer = [0; BUFFER_LEN];
        let mut offset = idx::IMAGES_HEADER_LEN as u64 + index as u64 * self.image_len as u64;
        for values in image.chunks_mut(BUFFER_LEN) {
            let pixels = &mut buffer[..values.len()];
            self.images.read_exact_at(pixels, offset).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => DatasetError::Changed { file: self.path.clone() },
                kind => {
                    let problem = format!("pixels of image {index} at byte {offset}: {error}");
                    FileError::at(&self.path)(io::Error::new(kind, problem)).into()
                }
            })?;
            values.iter_mut().zip(pixels).for_each(|(value, pixel)| *value = normalised(*pixel));
            offset += values.len() as u64;
        }
        // After the reading: what is written before it has changed the version by now.
        if Version::of(&self.images.metadata().map_err(FileError::at(&self.path))?) != self.version {
            return Err(DatasetError::Changed { file: self.path.clone() });
        }
        Ok(())
    }
}

/// What differs in a file after somebody has written to it. No order of times is taken for granted: clocks are set.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Version {
    len: u64,
    modified: Option<SystemTime>,
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self { len: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// A file that threads read at positions of their own.
#[cfg(unix)]
#[derive(Debug)]
struct Positioned(File);

#[cfg(unix)]
impl Positioned {
    fn new(file: File) -> Self {
        Self(file)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, bytes, offset)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }
}

/// Where the system has no such call, one thread after the other.
#[cfg(not(unix))]
#[derive(Debug)]
struct Positioned(std::sync::Mutex<File>);

#[cfg(not(unix))]
impl Positioned {
    fn new(file: File) -> Self {
        Self(std::sync::Mutex::new(file))
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        use std::io::{Seek, SeekFrom};
        let mut file = self.lock();
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.lock().metadata()
    }

    /// A thread that died here left at most a position, which is set anew.
    fn lock(&self) -> std::sync::MutexGuard<'_, File> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

//! Images in memory, for the trainer to learn from.

use im2col_train::samples::{DatasetError, Samples};

/// Images with their labels.
#[derive(Debug)]
pub struct Images {
    /// Channels, rows and columns of an image.
    pub dims: [usize; 3],
    /// The values of all images, `[images, channels, rows, columns]`.
    pub values: Vec<f32>,
    /// The class of each image.
    pub labels: Vec<u32>,
}

impl Samples for Images {
    fn image_dims(&self) -> [usize; 3] {
        self.dims
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn read(&self, index: usize, image: &mut [f32]) -> Result<(), DatasetError> {
        let len = self.dims.iter().product::<usize>();
        image.copy_from_slice(&self.values[index * len..][..len]);
        Ok(())
    }
}

//! The images that commands are given.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::dataset::{Dataset, Part};
use crate::samples::Samples;
use crate::summary::dims_text;

/// Height and width of a digit.
pub(super) const SIDE: usize = 28;

/// The folder's data set, or the built-in one.
pub(super) fn dataset(dir: Option<&Path>, part: Part) -> Result<Dataset> {
    let Some(dir) = dir else { return Ok(Dataset::built_in(part)?) };
    let dataset = Dataset::load(dir, part)?;
    check_image_size(&dataset).with_context(|| format!("{}: {}", dir.display(), images_of(part)))?;
    Ok(dataset)
}

/// All networks take images of one size.
pub(super) fn check_image_size(samples: &dyn Samples) -> Result<()> {
    match samples.image_dims() {
        [1, SIDE, SIDE] => Ok(()),
        [1, rows, columns] => {
            bail!(
                "images are {}, the network takes {}",
                dims_text(&[rows, columns]),
                dims_text(&[SIDE, SIDE])
            )
        }
        dims => bail!("images are {}, the network takes {}", dims_text(&dims), dims_text(&[1, SIDE, SIDE])),
    }
}

pub(super) fn images_of(part: Part) -> &'static str {
    match part {
        Part::Train => "images to train with",
        Part::Test => "images to test with",
    }
}

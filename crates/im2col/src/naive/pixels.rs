//! The values of pixels.

use crate::error::{RunError, check_len};
use crate::pixels::Pixels;

/// The values that pixels stand for: `values[i] = pixel[i] * scale + shift`, rounded after the product and after the sum.
///
/// [`Pixels`] has an example.
///
/// # Errors
///
/// If `values` is not as long as the pixels.
pub fn pixel_values(pixels: Pixels<'_>, values: &mut [f32]) -> Result<(), RunError> {
    let Pixels { values: pixels, scale, shift } = pixels;
    check_len("values", pixels.len(), values.len())?;
    for (i, pixel) in pixels.iter().enumerate() {
        let product = f32::from(*pixel) * scale;
        values[i] = product + shift;
    }
    Ok(())
}

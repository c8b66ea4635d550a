//! Images of 8-bit pixels.

/// Images of 8-bit pixels, as cameras and MNIST give them, for [`Network::forward_pixels`](crate::Network::forward_pixels).
///
/// A pixel stands for the value `pixel * scale + shift`: a multiplication and an addition, each rounded to `f32`, on every
/// instruction set and target. What PyTorch's `ToTensor` and `Normalize(mean, std)` make of a pixel, `(pixel / 255 - mean) / std`, is
/// this up to rounding, with `scale = 1 / (255 std)` and `shift = -mean / std`. Padding is that of the values: its zeros are `0.0`,
/// not `shift`.
///
/// ```
/// use im2col::{Pixels, naive};
///
/// let mut values = [0.0; 4];
/// naive::pixel_values(Pixels { values: &[0, 128, 160, 255], scale: 1.0 / 128.0, shift: -1.0 }, &mut values)?;
/// assert_eq!(values, [-1.0, 0.0, 0.25, 0.9921875]);
///
/// // A quotient is rounded once, the product with a rounded reciprocal twice: they may differ in the last bit.
/// naive::pixel_values(Pixels { values: &[0, 1, 2, 255], scale: 1.0 / 255.0, shift: 0.0 }, &mut values)?;
/// assert_eq!(values, [0.0, 1.0 / 255.0, 2.0 / 255.0, 1.0]);
/// let sevens = [7.0 / 255.0, 7.0 * (1.0 / 255.0_f32)];
/// assert!(sevens[0] != sevens[1] && (sevens[0] - sevens[1]).abs() < 2e-9);
/// # Ok::<(), im2col::RunError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pixels<'a> {
    /// `[batch, channels, height, width]`, plane by plane, or in the network's [layout](crate::Network::with_input_layout):
    /// `[batch, height, width, channels]`, the colours of a pixel side by side.
    pub values: &'a [u8],
    /// What a step of one makes.
    pub scale: f32,
    /// The value of pixel 0.
    pub shift: f32,
}

impl Pixels<'_> {
    /// The first `len` pixels and the others; all of them where there are fewer.
    pub(crate) fn split_at(self, len: usize) -> (Self, Self) {
        let (first, rest) = self.values.split_at_checked(len).unwrap_or((self.values, &[]));
        (Self { values: first, ..self }, Self { values: rest, ..self })
    }

    /// Converts pixels that are `step` apart, as many as both have.
    pub(crate) fn convert(self, step: usize, values: &mut [f32]) {
        let value_of = |pixel: u8| f32::from(pixel) * self.scale + self.shift;
        // A step that is known when this is compiled makes vector code.
        if step == 1 {
            values.iter_mut().zip(self.values).for_each(|(value, pixel)| *value = value_of(*pixel));
        } else {
            let pixels = self.values.iter().step_by(step.max(1));
            values.iter_mut().zip(pixels).for_each(|(value, pixel)| *value = value_of(*pixel));
        }
    }
}

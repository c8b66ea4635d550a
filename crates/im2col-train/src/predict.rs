//! What a network says about a picture, and how sure of it it is.

use im2col::{Network, NetworkWeights, RunError};
use image::GrayImage;

use crate::samples::normalised;

/// An answer with less [confidence](Answer::confidence) is unsure.
///
/// Of 120 digits under uneven light, a network that has learned the built-in digits (8 epochs) answers 111 right and
/// surely and none wrong and surely; of 60 pictures without a digit it takes 6 for one surely (the sheets of
/// `tests/uneven_light.rs`, seeds 2 to 4). Letters that look like digits are among them: an H is an open 4.
pub const LEAST_CONFIDENCE: f32 = 0.93;

/// Copies of a picture that show the same: moved, turned, or of another size.
const COPIES: [Copy; 10] = [
    Copy::moved(1.0, 0.0),
    Copy::moved(-1.0, 0.0),
    Copy::moved(0.0, 1.0),
    Copy::moved(0.0, -1.0),
    Copy { turn: 0.17, ..Copy::scaled(1.0, 1.0) },
    Copy { turn: -0.17, ..Copy::scaled(1.0, 1.0) },
    Copy::scaled(0.9, 0.9),
    Copy::scaled(1.1, 1.1),
    Copy::scaled(0.85, 1.0),
    Copy::scaled(1.15, 1.0),
];

/// What a network says about a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The class with the largest probability.
    pub class: usize,
    /// The probability of each class.
    pub probabilities: Vec<f32>,
    /// The mean probability of the class, 0 to 1, for the picture and ten copies of it: moved by a pixel each way, turned
    /// by 0.17 each way (about 10 degrees), and scaled to 90 %, 110 %, 85 % of the width and 115 % of the width. What a
    /// network has learned stays what it is; what it has never seen falls apart.
    pub confidence: f32,
}

impl Answer {
    /// Whether the confidence is at least [`LEAST_CONFIDENCE`].
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.confidence >= LEAST_CONFIDENCE
    }
}

/// What the network, which is planned for one image of one channel, says about a picture of its size.
///
/// Where a weight is not finite, neither is the confidence, and the answer is not sure.
///
/// # Errors
/// The parameters or the picture are not this network's.
pub fn answer<const L: usize>(
    network: &Network<L>,
    params: &[f32],
    picture: &GrayImage,
) -> Result<Answer, RunError> {
    let probabilities = probabilities(network, params, picture)?;
    let class = im2col::argmax(&probabilities).unwrap_or_default();
    let mut sum = probabilities.get(class).copied().unwrap_or(f32::NAN);
    for copy in COPIES {
        let seen = self::probabilities(network, params, &copy.of(picture))?;
        sum += seen.get(class).copied().unwrap_or(f32::NAN);
    }
    Ok(Answer { class, probabilities, confidence: sum / (COPIES.len() + 1) as f32 })
}

/// The probability of each class; `image`: one byte for each input of the network, which is planned for one.
///
/// # Errors
/// The parameters or the image are not this network's.
pub fn probabilities<const L: usize>(
    network: &Network<L>,
    params: &[f32],
    image: &[u8],
) -> Result<Vec<f32>, RunError> {
    let input: Vec<f32> = image.iter().copied().map(normalised).collect();
    let mut logits = vec![0.0; network.output_len()];
    let mut scratch = vec![0.0; network.scratch_len()];
    network.forward(NetworkWeights::Plain(params), &input, &mut logits, &mut scratch)?;
    let mut probabilities = vec![0.0; logits.len()];
    im2col::softmax(&logits, logits.len(), &mut probabilities)?;
    Ok(probabilities)
}

/// How a copy differs from its picture.
#[derive(Clone, Copy, Debug)]
struct Copy {
    /// Pixels to the right and down.
    shift: [f32; 2],
    /// About the middle, in radians.
    turn: f32,
    /// Width and height over the picture's.
    scale: [f32; 2],
}

impl Copy {
    const fn moved(right: f32, down: f32) -> Self {
        Self { shift: [right, down], turn: 0.0, scale: [1.0; 2] }
    }

    const fn scaled(wide: f32, high: f32) -> Self {
        Self { shift: [0.0; 2], turn: 0.0, scale: [wide, high] }
    }

    /// The copy, of the picture's size, black where the picture has nothing.
    fn of(self, picture: &GrayImage) -> GrayImage {
        let middle = [picture.width(), picture.height()].map(|side| (side as f32 - 1.0) / 2.0);
        let (sine, cosine) = self.turn.sin_cos();
        GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
            let (x, y) = (x as f32 - middle[0] - self.shift[0], y as f32 - middle[1] - self.shift[1]);
            let x_there = (cosine * x + sine * y) / self.scale[0] + middle[0];
            let y_there = (cosine * y - sine * x) / self.scale[1] + middle[1];
            image::Luma([between_pixels(picture, x_there, y_there)])
        })
    }
}

/// Bilinear.
fn between_pixels(picture: &GrayImage, x: f32, y: f32) -> u8 {
    let pixel = |x: f32, y: f32| match x >= 0.0 && y >= 0.0 {
        true => picture.get_pixel_checked(x as u32, y as u32).map_or(0.0, |pixel| f32::from(pixel.0[0])),
        false => 0.0,
    };
    let (left, top) = (x.floor(), y.floor());
    let (right, down) = (x - left, y - top);
    let upper = pixel(left, top) * (1.0 - right) + pixel(left + 1.0, top) * right;
    let lower = pixel(left, top + 1.0) * (1.0 - right) + pixel(left + 1.0, top + 1.0) * right;
    (upper * (1.0 - down) + lower * down).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use im2col::lenet::LENET;
    use image::Luma;

    #[test]
    fn copies_are_moved_turned_and_scaled() {
        let picture = GrayImage::from_fn(5, 5, |x, y| Luma([(10 * x + y) as u8]));
        assert_eq!(Copy::scaled(1.0, 1.0).of(&picture), picture);
        let right = Copy::moved(1.0, 0.0).of(&picture);
        assert_eq!([0, 1, 4].map(|x| right.get_pixel(x, 2).0[0]), [0, 2, 32]);
        let down = Copy::moved(0.0, 1.0).of(&picture);
        assert_eq!([0, 1, 4].map(|y| down.get_pixel(3, y).0[0]), [0, 30, 33]);
        // The right end goes down, and a half of the width is as far.
        let quarter = Copy { turn: std::f32::consts::FRAC_PI_2, ..Copy::scaled(1.0, 1.0) }.of(&picture);
        assert_eq!(quarter.get_pixel(2, 4).0[0], 42);
        assert_eq!(Copy::scaled(0.5, 1.0).of(&picture).get_pixel(1, 2).0[0], 2);
        assert_eq!(Copy::scaled(1.0, 2.0).of(&picture).get_pixel(0, 0).0[0], 1);
    }

    #[test]
    fn confidence_is_the_mean_of_eleven_probabilities() {
        let network = Network::plan(LENET, 1, [1, 28, 28]).unwrap();
        // All weights are zero: every class is as likely as any other.
        let params = vec![0.0; network.param_len()];
        let picture = GrayImage::from_fn(28, 28, |x, y| Luma([(x * y % 251) as u8]));
        let Answer { class, probabilities, confidence } = answer(&network, &params, &picture).unwrap();
        assert_eq!((class, probabilities), (0, vec![0.1; 10]));
        assert!((confidence - 0.1).abs() < 1e-6);

        // A bias of the last layer decides, whatever the picture shows: e^8 / (e^8 + 9).
        let mut params = params;
        *params.last_mut().unwrap() = 8.0;
        let certain = answer(&network, &params, &picture).unwrap();
        assert!(certain.is_sure() && (certain.confidence - 0.996_990).abs() < 1e-5, "{certain:?}");
        assert_eq!(certain.class, 9);

        *params.last_mut().unwrap() = f32::NAN;
        assert!(!answer(&network, &params, &picture).unwrap().is_sure());
    }
}

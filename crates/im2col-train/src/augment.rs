//! Augmentation: a network that sees each image a little elsewhere each time learns what matters.

use crate::random::Random;

/// An image of a batch, and how far it is moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AugmentedSample {
    /// The image's position in the data set.
    pub(crate) image: usize,
    /// By how many rows down and columns to the right.
    pub(crate) shift: [isize; 2],
}

impl From<usize> for AugmentedSample {
    /// The image where it is.
    fn from(image: usize) -> Self {
        Self { image, shift: [0, 0] }
    }
}

impl AugmentedSample {
    /// The image, moved by up to `most` pixels each way: takes one random number, or none where `most` is 0.
    pub(crate) fn shifted(image: usize, most: usize, random: &mut Random) -> Self {
        if most == 0 {
            return Self::from(image);
        }
        // No image is larger; the square must not overflow.
        let most = most.min(1 << 15);
        let side = 2 * most + 1;
        let place = random.below(side * side);
        let from_middle = |place: usize| place as isize - most as isize;
        Self { image, shift: [from_middle(place / side), from_middle(place % side)] }
    }
}

/// Moves an image in place; what comes in from outside is 0. `image`: `[channels, rows, columns]`.
pub(crate) fn shift(image: &mut [f32], [_, rows, cols]: [usize; 3], [down, right]: [isize; 2]) {
    if [down, right] == [0, 0] {
        return;
    }
    for plane in image.chunks_exact_mut(rows * cols) {
        shift_items(plane, down.saturating_mul(cols as isize));
        plane.chunks_exact_mut(cols).for_each(|row| shift_items(row, right));
    }
}

/// Moves items `by` places to the right.
fn shift_items(items: &mut [f32], by: isize) {
    let (len, distance) = (items.len(), by.unsigned_abs().min(items.len()));
    if by > 0 {
        items.copy_within(..len - distance, distance);
        items[..distance].fill(0.0);
    } else {
        items.copy_within(distance.., 0);
        items[len - distance..].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn images_move() {
        let image = [1.0, 2.0, 3.0,
                     4.0, 5.0, 6.0];
        for (by, expected) in [
            ([0, 0], image),
            ([0, 1], [0.0, 1.0, 2.0, 0.0, 4.0, 5.0]),
            ([0, -2], [3.0, 0.0, 0.0, 6.0, 0.0, 0.0]),
            ([1, 0], [0.0, 0.0, 0.0, 1.0, 2.0, 3.0]),
            ([-1, 1], [0.0, 4.0, 5.0, 0.0, 0.0, 0.0]),
            ([0, 9], [0.0; 6]),
            ([isize::MIN, 0], [0.0; 6]),
        ] {
            let mut planes = [image, image].concat();
            shift(&mut planes, [2, 2, 3], by);
            assert_eq!(planes, [expected, expected].concat(), "{by:?}");
        }
    }

    #[test]
    fn every_shift_is_as_likely() {
        let mut random = Random::new(2);
        let mut counts = [[0; 5]; 5];
        for _ in 0..25_000 {
            let AugmentedSample { image, shift: [down, right] } = AugmentedSample::shifted(7, 2, &mut random);
            assert_eq!(image, 7);
            counts[(down + 2) as usize][(right + 2) as usize] += 1;
        }
        // 1,000 expected, standard deviation 31.
        assert!(counts.as_flattened().iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!(random.draws(), 25_000);
        assert_eq!(AugmentedSample::shifted(7, 0, &mut random), AugmentedSample::from(7));
        assert_eq!(random.draws(), 25_000);
    }
}

//! Which images are learned from, and which are held back to judge the network by.

use crate::augment::AugmentedSample;
use crate::error::TrainError;
use crate::random::Random;

/// The images to learn from in their own order, and those held back.
pub(super) fn split(
    images: usize,
    share: f64,
    random: &mut Random,
) -> Result<(Vec<usize>, Vec<AugmentedSample>), TrainError> {
    let held_back = (share * images as f64).round();
    // Not a number, too: no comparison holds.
    if !(0.0..images as f64).contains(&held_back) || (held_back == 0.0 && share != 0.0) {
        return Err(TrainError::Validation { share, images });
    }
    let mut learned: Vec<usize> = (0..images).collect();
    if held_back == 0.0 {
        return Ok((learned, Vec::new()));
    }
    random.shuffle(&mut learned);
    let mut held_back = learned.split_off(images - held_back as usize);
    learned.sort_unstable();
    held_back.sort_unstable();
    Ok((learned, held_back.into_iter().map(AugmentedSample::from).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_held_back() {
        let (learned, held_back) = split(10, 0.31, &mut Random::new(1)).unwrap();
        assert_eq!((learned.len(), held_back.len()), (7, 3));
        let mut all: Vec<usize> = held_back.iter().map(|sample| sample.image).chain(learned).collect();
        assert_ne!(all[..3], [0, 1, 2]);
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());

        let mut random = Random::new(1);
        let (learned, held_back) = split(10, 0.0, &mut random).unwrap();
        assert_eq!((learned.len(), held_back.len(), random.draws()), (10, 0, 0));
        for share in [0.96, 1.0, -0.1, 0.04, -0.04, f64::NAN, f64::INFINITY] {
            assert!(matches!(split(10, share, &mut random), Err(TrainError::Validation { .. })), "{share}");
        }
        assert!(split(0, 0.0, &mut random).is_err());
    }
}

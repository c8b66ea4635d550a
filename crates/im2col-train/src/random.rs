//! Random numbers that are the same everywhere: PCG64 (XSL RR 128/64), and the few draws that training needs.
//!
//! A run has one generator, made from its seed. It draws the initial weights first, then which images are held
//! back, if any are, then for each epoch the order of the images and, batch by batch, how far each is shifted.
//! The seed and the number of draws are its whole state: [`Random::at`] makes it again.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// The generator of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    generator: Pcg64,
    draws: u64,
}

impl Random {
    /// The generator with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::at(seed, 0)
    }

    /// The generator with this seed after so many draws.
    #[must_use]
    pub fn at(seed: u64, draws: u64) -> Self {
        let mut generator = Pcg64::seed_from_u64(seed);
        generator.advance(u128::from(draws));
        Self { generator, draws }
    }

    /// How many draws there were.
    #[must_use]
    pub fn draws(&self) -> u64 {
        self.draws
    }

    fn draw(&mut self) -> u64 {
        self.draws = self.draws.wrapping_add(1);
        self.generator.next_u64()
    }

    /// A multiple of 2^-24 in `0.0..1.0`: the upper 24 bits of one draw.
    pub fn unit(&mut self) -> f32 {
        (self.draw() >> 40) as f32 / (1 << 24) as f32
    }

    /// A number below `bound`: the upper half of one draw times `bound`. No number is more likely than another
    /// by more than 2^-64.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.draw()) * bound as u128) >> 64) as usize
    }

    /// Puts the items in a random order (Fisher and Yates, from the last item down).
    pub fn shuffle(&mut self, items: &mut [usize]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seed of a run is a promise to whoever wants to repeat it: these draws must never change.
    /// They are those of the algorithm written out in Python.
    #[test]
    fn draws_are_stable() {
        let mut random = Random::new(1);
        assert_eq!(
            [random.unit(), random.unit(), random.unit()],
            [0.839_873_6, 0.017_298_639, 0.113_901_675]
        );
        let mut items: Vec<usize> = (0..10).collect();
        random.shuffle(&mut items);
        assert_eq!(items, [8, 6, 0, 4, 5, 2, 1, 3, 7, 9]);
    }

    #[test]
    fn a_generator_is_made_again() {
        let mut random = Random::new(3);
        let mut items: Vec<usize> = (0..100).collect();
        random.shuffle(&mut items);
        random.unit();
        assert_eq!(random.draws(), 100);
        let mut again = Random::at(3, random.draws());
        assert_eq!(again, random);
        assert_eq!(again.unit(), random.unit());
        assert_eq!(Random::at(3, 0), Random::new(3));
    }

    #[test]
    fn shuffle_permutes_evenly() {
        let mut random = Random::new(7);
        let mut seen = [[0_u32; 5]; 5];
        for _ in 0..10_000 {
            let mut items = [0, 1, 2, 3, 4];
            random.shuffle(&mut items);
            for (place, item) in items.into_iter().enumerate() {
                seen[place][item] += 1;
            }
        }
        // 2,000 expected, standard deviation 40.
        for count in seen.as_flattened() {
            assert!((1800..2200).contains(count), "{seen:?}");
        }
    }
}

//! The data sets whose labels are known, and the names of their classes.

use crate::samples::Fingerprint;

/// A data set that is told by its labels: the training or the test set, or the digits inside the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownSet {
    /// Handwritten digits.
    Mnist,
    /// Pictures of clothes.
    FashionMnist,
}

/// SHA-256 of the labels, one byte each.
const LABELS: [(&str, KnownSet); 5] = [
    // The first 10,000 of 60,000; all; of the test set.
    ("2f345bad07338ec537641465e169cc4b7288a44244f251211c7f842641e7d927", KnownSet::Mnist),
    ("1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13", KnownSet::Mnist),
    ("ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5", KnownSet::Mnist),
    // All 60,000; of the test set.
    ("657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7", KnownSet::FashionMnist),
    ("3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9", KnownSet::FashionMnist),
];

impl KnownSet {
    pub(crate) const ALL: [Self; 2] = [Self::Mnist, Self::FashionMnist];

    /// The set that has these labels, in this order.
    pub(crate) fn of(data: &Fingerprint) -> Option<Self> {
        LABELS.iter().find(|(digest, _)| *digest == data.labels_sha256).map(|&(_, set)| set)
    }

    /// The set of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// Its usual name, in lower case: `mnist`, `fashion-mnist`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
        }
    }

    /// What its labels, from 0 to 9, stand for.
    pub(crate) fn classes(self) -> [&'static str; 10] {
        match self {
            Self::Mnist => ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
            Self::FashionMnist => [
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ],
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::dataset::{Dataset, Part};
    use std::env;
    use std::path::{Path, PathBuf};

    /// The folder of the real data sets, as `shared_dir` of the testkit finds it. The published package has no testkit.
    pub(crate) fn shared_data() -> Option<PathBuf> {
        let above = || {
            let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join("shared"));
            above.find(|shared| shared.join("golden").is_dir())
        };
        let shared = env::var_os("IM2COL_SHARED").map(PathBuf::from).or_else(above)?;
        Some(shared.join("data")).filter(|data| data.is_dir())
    }

    fn set_of(data: &Dataset) -> Option<KnownSet> {
        KnownSet::of(&Fingerprint::of(data))
    }

    #[test]
    fn sets_are_told_by_their_labels() {
        for part in [Part::Train, Part::Test] {
            let digits = Dataset::built_in(part).unwrap();
            assert_eq!(set_of(&digits), Some(KnownSet::Mnist));
            let (pixels, labels) = (digits.pixels()[784..].to_vec(), digits.labels()[1..].to_vec());
            assert_eq!(
                set_of(&Dataset::new([1, 28, 28], pixels, labels).unwrap()),
                None,
                "without the first"
            );
        }
        let Some(data_sets) = shared_data() else {
            eprintln!("SKIPPED: no folder shared/data above this crate, and IM2COL_SHARED is not set");
            return;
        };
        for set in KnownSet::ALL {
            for part in [Part::Train, Part::Test] {
                let data = Dataset::load(&data_sets.join(set.name()), part).unwrap();
                assert_eq!(set_of(&data), Some(set));
            }
        }
    }

    #[test]
    fn sets_are_found_by_name() {
        assert_eq!(KnownSet::ALL.map(|set| KnownSet::from_name(set.name())), KnownSet::ALL.map(Some));
        assert_eq!(KnownSet::from_name("MNIST"), None);
        assert_eq!(KnownSet::FashionMnist.classes()[9], "Ankle boot");
    }
}

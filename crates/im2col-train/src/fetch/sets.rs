//! What is fetched from where.

use crate::known::KnownSet;

/// A file that others serve: which one it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RemoteFile<'a> {
    /// Its name on a mirror and on the disk.
    pub name: &'a str,
    /// Its length in bytes.
    pub len: u64,
    /// Its SHA-256 in lower-case hexadecimal digits.
    pub sha256: &'a str,
}

/// The four files of a data set and the folders that serve them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RemoteSet {
    /// URLs that end in a slash, the best one first.
    pub mirrors: &'static [&'static str],
    /// Images and labels to learn from.
    pub train: [RemoteFile<'static>; 2],
    /// Images and labels to be judged by.
    pub test: [RemoteFile<'static>; 2],
}

impl RemoteSet {
    /// Where a set is fetched from.
    pub(crate) const fn of(set: KnownSet) -> Self {
        match set {
            KnownSet::Mnist => MNIST,
            KnownSet::FashionMnist => FASHION_MNIST,
        }
    }
}

/// Handwritten digits (Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0).
const MNIST: RemoteSet = RemoteSet {
    mirrors: &[
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    train: [
        RemoteFile {
            name: "train-images-idx3-ubyte.gz",
            len: 9_912_422,
            sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        },
        RemoteFile {
            name: "train-labels-idx1-ubyte.gz",
            len: 28_881,
            sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        },
    ],
    test: [
        RemoteFile {
            name: "t10k-images-idx3-ubyte.gz",
            len: 1_648_877,
            sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        },
        RemoteFile {
            name: "t10k-labels-idx1-ubyte.gz",
            len: 4_542,
            sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ],
};

/// Pictures of clothes (H. Xiao, K. Rasul, R. Vollgraf, Zalando SE; MIT).
const FASHION_MNIST: RemoteSet = RemoteSet {
    mirrors: &[
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        // Without TLS; what arrives is checked in any case.
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ],
    train: [
        RemoteFile {
            name: "train-images-idx3-ubyte.gz",
            len: 26_421_880,
            sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        },
        RemoteFile {
            name: "train-labels-idx1-ubyte.gz",
            len: 29_515,
            sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        },
    ],
    test: [
        RemoteFile {
            name: "t10k-images-idx3-ubyte.gz",
            len: 4_422_102,
            sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        },
        RemoteFile {
            name: "t10k-labels-idx1-ubyte.gz",
            len: 5_148,
            sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ],
};

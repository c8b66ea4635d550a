//! How the page calls the data and its classes.

use std::path::Path;

use crate::dataset::Dataset;
use crate::known::KnownSet;
use crate::samples::Fingerprint;

/// How the page calls the data and its classes.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) data: String,
    pub(super) classes: Vec<String>,
    pub(super) is_fashion: bool,
}

impl Names {
    pub(super) fn new(data: Option<&Path>, test: &Dataset, classes: usize) -> Self {
        let known = KnownSet::of(&Fingerprint::of(test));
        let folder = data.map(|data| data.display().to_string());
        let is_called_fashion =
            data.and_then(Path::file_name).is_some_and(|name| name.to_string_lossy().contains("fashion"));
        let is_fashion = classes == 10 && (known == Some(KnownSet::FashionMnist) || is_called_fashion);
        let data = match folder {
            None => "the built-in digits".to_owned(),
            Some(_) if is_fashion => "Fashion-MNIST".to_owned(),
            Some(_) if known == Some(KnownSet::Mnist) => "MNIST".to_owned(),
            Some(folder) => folder,
        };
        let fashion_classes = KnownSet::FashionMnist.classes();
        let class = |class: usize| match fashion_classes.get(class) {
            Some(name) if is_fashion => (*name).to_owned(),
            _ => class.to_string(),
        };
        Self { data, classes: (0..classes).map(class).collect(), is_fashion }
    }
}

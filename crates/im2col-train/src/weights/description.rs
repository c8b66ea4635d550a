//! What a file of weights says about them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::known::KnownSet;
use crate::paths::shown;
use crate::samples::{Fingerprint, Samples};

pub(crate) const NETWORK_KEY: &str = "network";
const DATA_SET_KEY: &str = "data_set";
const CLASSES_KEY: &str = "classes";
const NORMALISATION_KEY: &str = "normalisation";
/// No longer list of class names is read.
const MOST_CLASSES_LEN: usize = 1 << 16;

/// How this crate makes an input of a pixel of an image: 0 becomes 0.0, 255 becomes 1.0.
pub const NORMALISATION: &str = "pixel / 255";

/// What a file of weights says about them, in its metadata. `None` where it is silent.
///
/// The tensors alone do not tell sigmoid from ReLU, nor digits from clothes. PyTorch can write the same:
/// `save_file(network.state_dict(), file, metadata={"network": "lenet", "data_set": "mnist"})`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The network's name. Key: `network`.
    pub network: Option<String>,
    /// What it learned: `mnist` or `fashion-mnist`, which are known by their labels, or the name of another set's
    /// folder. Key: `data_set`.
    pub data_set: Option<String>,
    /// The names of the classes, in the order of the labels. Key: `classes`, a JSON list of texts.
    pub classes: Option<Vec<String>>,
    /// How inputs are made of pixels: [`NORMALISATION`] if this crate trained. Key: `normalisation`.
    pub normalisation: Option<String>,
}

impl Description {
    /// Of a network that learns from these images, which are in a folder of IDX files, inside the program, or made by
    /// the caller: then nothing is said about them.
    #[must_use]
    pub fn new(network: &str, samples: &dyn Samples, folder: Option<&Path>) -> Self {
        let known = KnownSet::of(&Fingerprint::of(samples));
        // A folder such as `.` has its name only once it is looked up.
        let folder_name = || {
            let folder = folder?.canonicalize().ok()?;
            Some(shown(Path::new(folder.file_name()?)))
        };
        Self {
            network: Some(network.to_owned()),
            data_set: known.map(|set| set.name().to_owned()).or_else(folder_name),
            classes: known.map(|set| set.classes().map(str::to_owned).to_vec()),
            normalisation: (known.is_some() || folder.is_some()).then(|| NORMALISATION.to_owned()),
        }
    }

    /// Reads the metadata of a file. The error: the key whose text cannot be understood, and why.
    pub(super) fn from_metadata(entries: &HashMap<String, String>) -> Result<Self, (&'static str, String)> {
        let text = |key: &'static str| match entries.get(key) {
            Some(text) if text.chars().any(char::is_control) => {
                Err((key, "has control characters".to_owned()))
            }
            text => Ok(text.cloned()),
        };
        let classes = text(CLASSES_KEY)?.map(|text| parse_classes(&text)).transpose();
        Ok(Self {
            network: text(NETWORK_KEY)?,
            data_set: text(DATA_SET_KEY)?,
            classes: classes.map_err(|problem| (CLASSES_KEY, problem))?,
            normalisation: text(NORMALISATION_KEY)?,
        })
    }

    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        let classes = self.classes.as_ref().map(|names| serde_json::Value::from(names.clone()).to_string());
        [
            (NETWORK_KEY, self.network.clone()),
            (DATA_SET_KEY, self.data_set.clone()),
            (CLASSES_KEY, classes),
            (NORMALISATION_KEY, self.normalisation.clone()),
        ]
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), text?)))
        .collect()
    }
}

/// A description that names the network only.
impl From<&str> for Description {
    fn from(network: &str) -> Self {
        Self { network: Some(network.to_owned()), ..Self::default() }
    }
}

/// Names that can be printed as they are.
fn parse_classes(text: &str) -> Result<Vec<String>, String> {
    if text.len() > MOST_CLASSES_LEN {
        return Err(format!("is longer than {MOST_CLASSES_LEN} bytes"));
    }
    let names: Vec<String> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match names.iter().any(|name| name.chars().any(char::is_control)) {
        true => Err("has control characters".to_owned()),
        false => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, Part};

    fn read(key: &str, text: &str) -> Result<Description, (&'static str, String)> {
        Description::from_metadata(&HashMap::from([(key.to_owned(), text.to_owned())]))
    }

    #[test]
    fn descriptions_survive() {
        let digits = Dataset::built_in(Part::Train).unwrap();
        let full = Description::new("lenet", &digits, None);
        assert_eq!(full.data_set.as_deref(), Some("mnist"));
        assert_eq!(full.classes.as_ref().unwrap().last().unwrap(), "9");
        assert_eq!(full.normalisation.as_deref(), Some("pixel / 255"));
        for description in [full, Description::default(), "lenet".into()] {
            let entries = description.metadata().into_iter().collect();
            assert_eq!(Description::from_metadata(&entries).unwrap(), description);
        }
    }

    #[test]
    fn sets_of_ones_own_have_the_name_of_their_folder() {
        let data = Dataset::new([1, 1, 1], vec![0, 1], vec![1, 0]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let lamps = folder.path().join("lamps");
        std::fs::create_dir(&lamps).unwrap();
        let described = Description::new("own", &data, Some(&lamps.join(".")));
        assert_eq!((described.data_set.as_deref(), described.classes), (Some("lamps"), None));
        assert_eq!(described.normalisation.as_deref(), Some(NORMALISATION));
        // Images from nobody knows where.
        assert_eq!(Description::new("own", &data, None), "own".into());
    }

    #[test]
    fn what_cannot_be_printed_is_refused() {
        for text in ["7", "[1]", "[\"a\"", "[\"\\u001b[2J\"]", &format!("[\"{}\"]", "x".repeat(1 << 16))] {
            assert_eq!(read("classes", text).unwrap_err().0, "classes", "{text:.20}");
        }
        for key in ["network", "data_set", "normalisation"] {
            assert_eq!(read(key, "a\nb").unwrap_err(), (key, "has control characters".to_owned()));
            assert!(read(key, "größe").is_ok());
        }
        assert_eq!(read("classes", "[\"größe\", \"\"]").unwrap().classes.unwrap(), ["größe", ""]);
    }
}

//! Paths as text: a path need not be Unicode.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path to be read by people, or by programs as a JSON string. What is not Unicode in it becomes U+FFFD.
#[must_use]
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A path in a JSON file that is to be found again: its text or, where it is not Unicode, the numbers that the system
/// knows it by (bytes, on Windows 16-bit units).
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Text(String),
    #[cfg(not(windows))]
    Units(Vec<u8>),
    #[cfg(windows)]
    Units(Vec<u16>),
}

impl From<&Path> for Stored {
    fn from(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            #[cfg(not(windows))]
            None => Self::Units(path.as_os_str().as_encoded_bytes().to_vec()),
            #[cfg(windows)]
            None => Self::Units(std::os::windows::ffi::OsStrExt::encode_wide(path.as_os_str()).collect()),
        }
    }
}

impl From<Stored> for PathBuf {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Text(text) => text.into(),
            #[cfg(unix)]
            Stored::Units(bytes) => <OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into(),
            #[cfg(windows)]
            Stored::Units(units) => {
                <OsString as std::os::windows::ffi::OsStringExt>::from_wide(&units).into()
            }
            #[cfg(not(any(unix, windows)))]
            Stored::Units(bytes) => OsString::from(String::from_utf8_lossy(&bytes).into_owned()).into(),
        }
    }
}

/// For `#[serde(serialize_with)]`.
pub(crate) fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(Stored::from).serialize(serializer)
}

/// For `#[serde(deserialize_with)]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(Option::<Stored>::deserialize(deserializer)?.map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Fields {
        #[serde(with = "super")]
        data: Option<PathBuf>,
    }

    fn there_and_back(path: Option<PathBuf>, expected: serde_json::Value) {
        let record = Fields { data: path };
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["data"], expected);
        assert_eq!(serde_json::from_value::<Fields>(json).unwrap(), record);
    }

    #[test]
    fn paths_are_stored_as_text() {
        there_and_back(None, json!(null));
        there_and_back(Some("data/größer \"1\"".into()), json!("data/größer \"1\""));
        for wrong in [json!(1), json!({}), json!([1, 300]), json!([-1])] {
            assert!(serde_json::from_value::<Fields>(json!({ "data": wrong })).is_err(), "{wrong}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn paths_that_are_not_unicode_are_found_again() {
        let path = PathBuf::from(<OsString as std::os::unix::ffi::OsStringExt>::from_vec(b"b\xffd".to_vec()));
        assert_eq!(shown(&path), "b\u{fffd}d");
        there_and_back(Some(path), json!([98, 255, 100]));
    }
}

//! The header of a safetensors file, checked before anything is made of it.
//!
//! ```text
//! length of the header, little-endian u64 | header, JSON | bytes of the tensors, without holes
//! {"__metadata__": {text: text, ...}, name: {"dtype": "F32", "shape": [6, 25], "data_offsets": [0, 600]}, ...}
//! ```
//!
//! The crate `safetensors` takes of two tensors with one name the last, and many times the memory of a long header.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{self, Formatter};

use safetensors::Dtype;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::file::FormatError;

/// No longer header is read or written; LeNet's has 1 kB.
pub(crate) const MAX_HEADER_LEN: usize = 1 << 20;
/// The most dimensions of a tensor.
const MAX_DIMS: usize = 8;
/// The most bytes of a tensor's name.
const MAX_NAME_LEN: usize = 256;
const LEN_LEN: usize = size_of::<u64>();
const METADATA_KEY: &str = "__metadata__";

/// Checks that names differ, that each tensor is as long as its type and dimensions say, and that the tensors follow one
/// another up to the end of the file.
pub(crate) fn check(file: &[u8]) -> Result<(), FormatError> {
    let header = header(file)?;
    let text =
        str::from_utf8(header).map_err(|error| in_header(error.valid_up_to(), "is not UTF-8".to_owned()))?;
    let Header(mut tensors) =
        serde_json::from_str(text).map_err(|error| in_header(position(text, &error), problem(&error)))?;
    tensors.sort_unstable_by_key(|tensor| (tensor.begin, tensor.end));
    check_places(&tensors, to_u64(header.len().saturating_add(LEN_LEN)), to_u64(file.len()))
}

fn header(file: &[u8]) -> Result<&[u8], FormatError> {
    let error = |field: String, problem: String| FormatError::new(field, 0, problem);
    let Some((len, rest)) = file.split_first_chunk() else {
        let problem = format!("the file ends at byte {}", file.len());
        return Err(error("header length".to_owned(), problem));
    };
    let len = u64::from_le_bytes(*len);
    let field = format!("header length {len}");
    if len > to_u64(MAX_HEADER_LEN) {
        return Err(error(field, format!("more than the limit of {MAX_HEADER_LEN}")));
    }
    let header = usize::try_from(len).ok().and_then(|len| rest.get(..len));
    header.ok_or_else(|| error(field, format!("the file ends at byte {}", file.len())))
}

/// Checks tensors, which are sorted by their places, in a file that is `file_len` bytes long and whose tensors begin at
/// byte `start`.
fn check_places(tensors: &[Tensor<'_>], start: u64, file_len: u64) -> Result<(), FormatError> {
    let mut end = start;
    for tensor in tensors {
        let in_file = |offset: u64| start.saturating_add(offset);
        let (tensor_start, tensor_end) = (in_file(tensor.begin), in_file(tensor.end));
        let problem = if tensor.end < tensor.begin {
            format!("it ends at byte {tensor_end}")
        } else if tensor_start < end {
            format!("the tensor before it ends at byte {end}")
        } else if tensor_start > end {
            format!("no tensor has the bytes before it, from byte {end}")
        } else if tensor_end > file_len {
            format!("it ends at byte {tensor_end}, the file at byte {file_len}")
        } else if tensor.begin.checked_add(tensor.len) != Some(tensor.end) {
            format!("it ends at byte {tensor_end}, its type and shape take {} bytes", tensor.len)
        } else {
            end = tensor_end;
            continue;
        };
        let field = format!("tensor {:?}", tensor.name);
        return Err(FormatError::new(field, tensor_start, problem));
    }
    if end < file_len {
        let problem = format!("the file should end here, but ends at byte {file_len}");
        return Err(FormatError::new("end of the tensors", end, problem));
    }
    Ok(())
}

fn in_header(position: usize, problem: String) -> FormatError {
    FormatError::new("header", to_u64(position.saturating_add(LEN_LEN)), problem)
}

/// What the parser says, without the line and the column.
fn problem(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(&*message, |(problem, _)| problem).to_owned()
}

/// Where in the text the parser stopped.
fn position(text: &str, error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>().saturating_add(error.column().saturating_sub(1))
}

fn to_u64(len: usize) -> u64 {
    len as u64
}

/// The tensors, in the order of the header.
struct Header<'a>(Vec<Tensor<'a>>);

struct Tensor<'a> {
    name: Cow<'a, str>,
    /// From the first byte of the first tensor.
    begin: u64,
    end: u64,
    /// In bytes, by type and shape.
    len: u64,
}

/// What the header says of a tensor.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (u64, u64),
}

/// The number of values.
struct Shape(u64);

/// Borrowed from the header unless it has escapes.
#[derive(serde::Deserialize, PartialEq, Eq, Hash)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Texts by different names.
struct Metadata;

impl<'de> Deserialize<'de> for Header<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header<'de>;

            fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                formatter.write_str("tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut names, mut tensors) = (HashSet::new(), Vec::new());
                while let Some(Text(name)) = map.next_key()? {
                    if name.len() > MAX_NAME_LEN || name.chars().any(char::is_control) {
                        let problem =
                            format!("a name of over {MAX_NAME_LEN} bytes, or with control characters");
                        return Err(A::Error::custom(problem));
                    }
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format_args!("a name that stands twice: {name:?}")));
                    }
                    if name == METADATA_KEY {
                        map.next_value::<Option<Metadata>>()?;
                        continue;
                    }
                    let Info { dtype, shape: Shape(values), data_offsets: (begin, end) } =
                        map.next_value()?;
                    let bits = values.checked_mul(to_u64(dtype.bitsize())).filter(|bits| bits % 8 == 0);
                    let bits = bits.ok_or_else(|| {
                        A::Error::custom(format_args!("type and shape of {name:?} are no number of bytes"))
                    })?;
                    tensors.push(Tensor { name, begin, end, len: bits / 8 });
                }
                Ok(Header(tensors))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Metadata;

            fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                formatter.write_str("texts by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut keys = HashSet::new();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    if let Some(Text(key)) = keys.replace(key) {
                        return Err(A::Error::custom(format_args!("metadata that stand twice: {key:?}")));
                    }
                    map.next_value::<Text<'de>>()?;
                }
                Ok(Metadata)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Dims;
        impl<'de> Visitor<'de> for Dims {
            type Value = Shape;

            fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                write!(formatter, "at most {MAX_DIMS} dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut dims: A) -> Result<Self::Value, A::Error> {
                let mut values = 1_u64;
                for _ in 0..MAX_DIMS {
                    let Some(dim) = dims.next_element()? else { return Ok(Shape(values)) };
                    values =
                        values.checked_mul(dim).ok_or_else(|| A::Error::custom("a shape that overflows"))?;
                }
                match dims.next_element::<u64>()? {
                    Some(_) => {
                        Err(A::Error::custom(format_args!("a shape of more than {MAX_DIMS} dimensions")))
                    }
                    None => Ok(Shape(values)),
                }
            }
        }
        deserializer.deserialize_seq(Dims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data_len: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data_len]].concat()
    }

    fn tensor(name: &str, shape: &str, begin: u64, end: u64) -> String {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{begin},{end}]}}")
    }

    /// What is said about a file of these entries and 20 bytes of tensors.
    fn said(entries: &[String]) -> String {
        check(&file(&format!("{{{}}}", entries.join(",")), 20))
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn sound_headers_are_accepted() {
        let (a, b) = (tensor("a", "[3]", 0, 12), tensor("b", "[2,1]", 12, 20));
        assert_eq!(said(&[a.clone(), b.clone()]), "");
        assert_eq!(said(&[b.clone(), a.clone(), "\"__metadata__\":{\"a\":\"\\n\"}".to_owned()]), "");
        assert_eq!(said(&[b, a, tensor("none", "[0]", 12, 12), "\"__metadata__\":null".to_owned()]), "");
        assert_eq!(check(&file("{} ", 0)), Ok(()));
    }

    #[test]
    fn the_length_of_the_header_is_checked() {
        let said = |file: &[u8]| check(file).unwrap_err().to_string();
        assert_eq!(said(&[1, 0, 0]), "header length at byte 0: the file ends at byte 3");
        assert_eq!(
            said(&[9, 0, 0, 0, 0, 0, 0, 0, b'{']),
            "header length 9 at byte 0: the file ends at byte 9"
        );
        let most = MAX_HEADER_LEN + 1;
        let long = format!("header length {most} at byte 0: more than the limit of {MAX_HEADER_LEN}");
        assert_eq!(said(&file(&" ".repeat(most), 0)), long);
        assert_eq!(
            said(&file(&" ".repeat(MAX_HEADER_LEN), 0)),
            "header at byte 1048583: EOF while parsing a value"
        );
    }

    #[test]
    fn places_that_contradict_each_other_name_the_tensor() {
        let a = tensor("a", "[3]", 0, 12);
        for (second, expected) in [
            (tensor("b", "[3]", 8, 20), "the tensor before it ends at byte"),
            (tensor("b", "[1]", 16, 20), "no tensor has the bytes before it, from byte"),
            (tensor("b", "[3]", 12, 24), "it ends at byte"),
            (tensor("b", "[3]", 12, 20), "it ends at byte"),
            (tensor("b", "[3]", 12, 8), "it ends at byte"),
            (tensor("b", "[3]", u64::MAX, u64::MAX), "no tensor has the bytes before it, from byte"),
        ] {
            let message = said(&[second, a.clone()]);
            assert!(message.starts_with("tensor \"b\" at byte ") && message.contains(expected), "{message}");
        }
        let start = 8 + "{}".len() + a.len();
        let expected = format!(
            "end of the tensors at byte {}: the file should end here, but ends at byte {}",
            start + 12,
            start + 20
        );
        assert_eq!(said(&[a]), expected);
    }

    #[test]
    fn names_that_stand_twice_are_refused_where_they_do() {
        let a = tensor("a", "[3]", 0, 12);
        // The same name, written with an escape.
        let second = tensor("\\u0061", "[2]", 12, 20);
        let expected = format!("header at byte {}: a name that stands twice: \"a\"", 8 + 1 + a.len() + 1 + 7);
        assert_eq!(said(&[a.clone(), second]), expected);
        let metadata = "\"__metadata__\":{\"k\":\"\",\"k\":\"\"}".to_owned();
        assert_eq!(said(&[metadata]), "header at byte 34: metadata that stand twice: \"k\"");
        let empty = "\"__metadata__\":{}".to_owned();
        assert!(said(&[empty.clone(), empty]).contains("stands twice"));
    }

    #[test]
    fn what_is_no_header_is_named_by_its_byte() {
        for (entry, expected) in [
            (tensor("a", "[3,1,1,1,1,1,1,1,1]", 0, 12), "a shape of more than 8 dimensions"),
            (tensor("a", "[4294967296,4294967296]", 0, 12), "a shape that overflows"),
            (tensor("a", "[4294967296,2147483648]", 0, 12), "type and shape of \"a\" are no number of bytes"),
            (tensor("a", "[1]", 0, 4).replace("F32", "F4"), "type and shape of \"a\" are no number of bytes"),
            (tensor("a", "[1]", 0, 4).replace("F32", "\\u001b["), "unknown variant `\u{fffd}[`"),
            (tensor("a", "[1]", 0, 4).replace("shape", "shapes"), "unknown field `shapes`"),
            (tensor("\\u001b", "[1]", 0, 4), "a name of over 256 bytes, or with control characters"),
            (tensor(&"a".repeat(257), "[1]", 0, 4), "a name of over 256 bytes, or with control characters"),
            ("\"__metadata__\":{\"a\":1}".to_owned(), "invalid type: integer `1`"),
            ("\"a\":[".to_owned(), "expected value"),
        ] {
            let message = said(&[entry]);
            assert!(message.starts_with("header at byte ") && message.contains(expected), "{message}");
        }
        assert_eq!(
            check(&file("{\n\n  x}", 0)).unwrap_err().to_string(),
            "header at byte 13: key must be a string"
        );
        let broken = [&[3, 0, 0, 0, 0, 0, 0, 0][..], b"{\xff}"].concat();
        assert_eq!(check(&broken).unwrap_err().to_string(), "header at byte 9: is not UTF-8");
    }
}

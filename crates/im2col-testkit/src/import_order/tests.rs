#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use super::*;

const MODULES: [&str; 8] = ["lib", "a", "b", "b/c", "b/c/d", "b/e", "f", "g"];

/// What a module with this text imports, with the lines.
fn found(module: &str, text: &str) -> Vec<(String, usize)> {
    imports(module, text, &MODULES.into()).into_iter().collect()
}

/// The names of what it imports.
fn names(module: &str, text: &str) -> Vec<String> {
    found(module, text).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn every_kind_of_import_is_found() {
    assert_eq!(names("a", "use crate::f::Item;"), ["f"]);
    assert_eq!(names("a", "use crate::f;"), ["f"]);
    assert_eq!(names("a", "pub(crate) use crate::b::c::{self, Item as Other};"), ["b/c"]);
    assert_eq!(names("a", "use crate::{f, b::{c::{d::Item, more}, e::*}};"), ["b/c", "b/c/d", "b/e", "f"]);
    assert_eq!(names("b/c", "use super::Item;"), ["b"]);
    assert_eq!(names("b/c", "use super::e::Item;"), ["b/e"]);
    assert_eq!(names("b/c", "use super::super::{f::x, Item};"), ["f", "lib"]);
    assert_eq!(names("b/c", "use self::d::Item;"), ["b/c/d"]);
    assert_eq!(names("b/c", "mod d;\npub use d::Item;"), ["b/c/d"]);
    assert_eq!(names("b/c", "fn g() { d::run() }"), ["b/c/d"]);
    assert_eq!(names("a", "fn g(x: &crate::f::Type) -> f32 { crate::b::e::run::<u8>(x) }"), ["b/e", "f"]);
    assert_eq!(names("a", "macro_rules! m { () => { $crate::f::run() } }"), ["f"]);
    assert_eq!(names("a", "#[serde(with = \"crate::f\")] struct S;"), ["f"]);
    assert_eq!(names("a", "use crate::Item;"), ["lib"]);
    assert_eq!(names("lib", "mod a; pub use a::Item; pub use crate::f::Item;"), ["a", "f"]);
}

#[test]
fn lines_are_those_of_the_import() {
    let text = "//! About.\n\nuse std::fmt;\nuse crate::{\n    a,\n    b::{\n        c,\n        e::Item,\n    },\n};\n";
    let expected = [("a", 5), ("b/c", 7), ("b/e", 8)].map(|(name, line)| (name.to_owned(), line));
    assert_eq!(found("g", text), expected);
}

#[test]
fn what_is_no_import_is_left_out() {
    for text in [
        "use std::f; use serde::{a, b}; use f::Item;",
        "// use crate::f;\n/* crate::f::x /* nested */ crate::f::y */ /// [`crate::f`]\n",
        "const S: &str = \"use crate::f \\\" crate::f::x\"; const R: &str = r#\"\"crate::f::x\"#;",
        "const C: [char; 3] = ['\"', '\\'', 'x']; fn g<'x>(_: &'x str) {} // crate::f::x",
        "#[cfg(test)]\nmod tests {\n    use crate::f::x;\n    fn t() { crate::f::x() }\n}",
        "#[cfg(all(test, unix))] #[allow(unused)] use crate::{f::x, g}; #[cfg(test)] mod t;",
        "#[cfg(test)]\nfn g(x: [u8; 3]) { crate::f::x(); }",
        "mod inner { use super::Item; fn g() { super::super::a::x() } }",
        "use crate::a::Item; use self::Item; use super::a::Item;",
        "pub(in crate::f) struct S { pub(in crate::b::e) x: u8, pub(crate) y: u8 }",
        "macro_rules! m { () => { $crate::root_item(1) } }",
    ] {
        assert_eq!(names("a", text), [""; 0], "{text}");
    }
    // What follows them is read.
    for before in
        ["#[cfg(test)] mod t { fn g() {} }", "#[cfg(test)] use crate::{b, g};", "mod i { fn g() {} }"]
    {
        assert_eq!(names("a", &format!("{before} use super::f::x;")), ["f"], "{before}");
    }
    assert_eq!(names("a", "#[cfg(not(test))] use crate::f;"), ["f"]);
    assert_eq!(names("a", "#[cfg(unix)] use crate::f;"), ["f"]);
}

fn sources(texts: &[(&str, &str)]) -> BTreeMap<String, String> {
    texts.iter().map(|&(module, text)| (module.to_owned(), text.to_owned())).collect()
}

#[test]
fn only_imports_that_point_down_pass() {
    let down = sources(&[("lib", "mod a; mod b;"), ("a", ""), ("b", "use crate::a::Item;")]);
    assert_eq!(check_sources(&down, &[&["a"], &["b"], &["lib"]]), Ok(()));
    assert_eq!(
        check_sources(&down, &[&["b"], &["a"], &["lib"]]),
        Err(vec!["b.rs:1: b (layer 0) imports a (layer 1), which points up".to_owned()])
    );
    assert_eq!(
        check_sources(&down, &[&["a", "b"], &["lib"]]),
        Err(vec!["b.rs:1: b (layer 0) imports a (layer 0), which points sideways".to_owned()])
    );
    // A parent and its child may not need each other.
    let circle = sources(&[("b", "mod c;\nuse c::Item;"), ("b/c", "\nuse super::Other;")]);
    let problems = check_sources(&circle, &[&["b/c"], &["b"]]).unwrap_err();
    assert_eq!(problems, ["b/c.rs:2: b/c (layer 0) imports b (layer 1), which points up"]);
}

#[test]
fn every_file_stands_in_one_layer() {
    let two = sources(&[("a", ""), ("b", "")]);
    let problems = |layers: &[&[&str]]| check_sources(&two, layers).unwrap_err();
    assert_eq!(problems(&[&["a"]]), ["b stands in no layer"]);
    assert_eq!(problems(&[&["a"], &["b", "a"]]), ["a stands in two layers"]);
    assert_eq!(problems(&[&["a"], &["b", "c"]]), ["c stands in a layer and has no file"]);
}

#[test]
fn files_are_read_from_a_folder() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    read_folder(&src, "", &mut files).unwrap();
    assert!(
        ["lib", "oracle", "oracle/pool", "import_order/tokens"].iter().all(|name| files.contains_key(*name))
    );
    assert!(!files.keys().any(|name| name.ends_with("tests")));
    let all = |layers: [&[&str]; 2]| {
        let problems = check(&src, &layers).unwrap_err();
        problems.into_iter().filter(|problem| problem.contains("import_order")).collect::<Vec<_>>()
    };
    let problems = all([&["import_order"], &["import_order/tokens"]]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].ends_with("imports import_order/tokens (layer 1), which points up"), "{problems:?}");
    assert_eq!(all([&["import_order/tokens"], &["import_order"]]), [""; 0]);
    assert!(check(Path::new("no/such/folder"), &[]).unwrap_err()[0].contains("no/such/folder"));
}

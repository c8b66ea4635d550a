//! Checks that the modules of a crate stand in a strict order, in which imports point down.
//!
//! The order is a list of layers, lowest first. A module may import from modules of lower layers only: not from its own
//! layer, and not from its parent, unless that is lower. Modules are named as their files are: `conv/plan` for
//! `src/conv/plan.rs`, `lib` for the root.
//!
//! An import is a `use` (also nested, and in a macro) or a path in code or in a string that begins with `crate::`, `super::`,
//! `self::` or the name of a child module. What a method call reaches has no path and is not seen. Left out are tests
//! (`#[cfg(test)]`, and files called `tests`) and programs (`main.rs`, `bin/`).

mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tokens::{Token, tokens};

/// Checks all files of `src_dir` against the layers, lowest first.
///
/// # Errors
/// Sentences, one for each import that does not point down, each file in no layer or in two, and each name without a file.
pub fn check(src_dir: &Path, layers: &[&[&str]]) -> Result<(), Vec<String>> {
    let mut sources = BTreeMap::new();
    read_folder(src_dir, "", &mut sources).map_err(|problem| vec![problem])?;
    check_sources(&sources, layers)
}

/// Adds the text of each file in a folder, by the name of its module, which begins with `prefix`.
fn read_folder(folder: &Path, prefix: &str, sources: &mut BTreeMap<String, String>) -> Result<(), String> {
    let in_folder = |error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(in_folder)? {
        let path = entry.map_err(in_folder)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name == "tests" || (prefix.is_empty() && ["bin", "main"].contains(&&*name)) {
            continue;
        }
        if path.is_dir() {
            read_folder(&path, &format!("{prefix}{name}/"), sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let module = if name == "mod" {
                prefix.trim_end_matches('/').to_owned()
            } else {
                prefix.to_owned() + &name
            };
            sources.insert(module, text);
        }
    }
    Ok(())
}

fn check_sources(sources: &BTreeMap<String, String>, layers: &[&[&str]]) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    let mut layer_of = BTreeMap::new();
    for (layer, modules) in layers.iter().enumerate() {
        for &module in *modules {
            if layer_of.insert(module, layer).is_some() {
                problems.push(format!("{module} stands in two layers"));
            }
            if !sources.contains_key(module) {
                problems.push(format!("{module} stands in a layer and has no file"));
            }
        }
    }
    let modules: BTreeSet<&str> = sources.keys().map(String::as_str).collect();
    for (module, text) in sources {
        let Some(&own) = layer_of.get(&**module) else {
            problems.push(format!("{module} stands in no layer"));
            continue;
        };
        for (target, line) in imports(module, text, &modules) {
            match layer_of.get(&*target) {
                Some(&layer) if layer >= own => {
                    let direction = if layer > own { "up" } else { "sideways" };
                    problems.push(format!(
                        "{module}.rs:{line}: {module} (layer {own}) imports {target} (layer {layer}), which points \
                         {direction}"
                    ));
                }
                _ => {}
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The modules that a module imports, each with the line that does so first.
fn imports(module: &str, text: &str, modules: &BTreeSet<&str>) -> BTreeMap<String, usize> {
    let tokens = tokens(text);
    let mut reader =
        Reader { module, modules, tokens: &tokens, next: 0, inline: Vec::new(), found: BTreeMap::new() };
    reader.read();
    reader.found
}

/// Reads the tokens of one file.
struct Reader<'a> {
    module: &'a str,
    modules: &'a BTreeSet<&'a str>,
    tokens: &'a [Token<'a>],
    /// The position of the token to be read next.
    next: usize,
    /// The modules within the file that the token is in: their names, and how many braces are open inside each.
    inline: Vec<(&'a str, usize)>,
    found: BTreeMap<String, usize>,
}

impl<'a> Reader<'a> {
    fn read(&mut self) {
        while let Some(text) = self.text(0) {
            match text {
                "#" => self.attribute(),
                // Who may import an item is no import.
                "pub" if self.text(1) == Some("(") => {
                    self.next += 1;
                    self.skip_brackets();
                }
                // What a macro names in the crate that it is used in.
                "$" if self.text(1) == Some("crate") && !self.is_module(3) => self.next += 2,
                "use" => {
                    self.next += 1;
                    self.use_tree(&[]);
                }
                "mod" if self.text(2) == Some("{") => {
                    self.inline.extend(self.text(1).map(|name| (name, 1)));
                    self.next += 3;
                }
                "{" => {
                    self.inline.iter_mut().for_each(|(_, depth)| *depth += 1);
                    self.next += 1;
                }
                "}" => {
                    self.inline.iter_mut().for_each(|(_, depth)| *depth -= 1);
                    self.inline.retain(|&(_, depth)| depth > 0);
                    self.next += 1;
                }
                _ if is_name(text) && self.text(1) == Some("::") => {
                    let (path, line) = (self.path(), self.tokens[self.next - 1].line);
                    self.found_path(&path, line);
                }
                _ => self.next += 1,
            }
        }
    }

    /// Whether the token `ahead` tokens after the next one names a module of the crate's root.
    fn is_module(&self, ahead: usize) -> bool {
        self.text(ahead).is_some_and(|name| self.modules.contains(name))
    }

    /// The text of the token `ahead` tokens after the next one.
    fn text(&self, ahead: usize) -> Option<&'a str> {
        self.tokens.get(self.next + ahead).map(|token| token.text)
    }

    /// Skips an attribute that says that what follows is for tests, and what follows; of another one, its sign.
    fn attribute(&mut self) {
        let start = self.next;
        self.next += 1;
        if self.text(0) == Some("!") {
            self.next += 1;
        }
        self.skip_brackets();
        let words = self.tokens[start..self.next].iter().map(|token| token.text);
        let words: Vec<&str> = words.filter(|text| is_name(text)).collect();
        if words.first() == Some(&"cfg") && words.contains(&"test") && !words.contains(&"not") {
            self.skip_item();
        } else {
            self.next = start + 1;
        }
    }

    /// Skips what stands in the brackets or braces that the next token opens, and them.
    fn skip_brackets(&mut self) {
        let mut depth = 0;
        while let Some(text) = self.text(0) {
            self.next += 1;
            match text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Skips an item with its attributes: up to a semicolon, or a pair of braces that is not a group of imports.
    fn skip_item(&mut self) {
        let mut is_use = false;
        while let Some(text) = self.text(0) {
            match text {
                ";" => {
                    self.next += 1;
                    return;
                }
                "{" if !is_use => return self.skip_brackets(),
                "(" | "[" | "{" => self.skip_brackets(),
                _ => {
                    is_use |= text == "use";
                    self.next += 1;
                }
            }
        }
    }

    /// The names of a path, whose first one is the next token. Stops behind the last name.
    fn path(&mut self) -> Vec<&'a str> {
        let mut path = Vec::new();
        while let Some(name) = self.text(0).filter(|text| is_name(text)) {
            path.push(name);
            self.next += 1;
            if self.text(0) != Some("::") || !self.text(1).is_some_and(is_name) {
                break;
            }
            self.next += 1;
        }
        path
    }

    /// What a `use` imports, from behind `prefix` on; stops behind its end.
    fn use_tree(&mut self, prefix: &[&'a str]) {
        let mut path = prefix.to_vec();
        let line = self.tokens.get(self.next).map_or(0, |token| token.line);
        while let Some(text) = self.text(0) {
            match text {
                "{" => {
                    self.next += 1;
                    while !matches!(self.text(0), Some("}") | None) {
                        self.use_tree(&path);
                    }
                    self.next += 1;
                    path.clear();
                }
                "," | ";" => {
                    self.next += 1;
                    break;
                }
                "}" => break,
                "as" => self.next += 2,
                _ => {
                    if is_name(text) {
                        path.push(text);
                    }
                    self.next += 1;
                }
            }
        }
        self.found_path(&path, line);
    }

    /// Notes the module that a path leads to, if it is another one of this crate.
    fn found_path(&mut self, path: &[&str], line: usize) {
        let Some(first) = path.first() else { return };
        let own: Vec<&str> = if self.module == "lib" { Vec::new() } else { self.module.split('/').collect() };
        let here: Vec<&str> = own.iter().copied().chain(self.inline.iter().map(|&(name, _)| name)).collect();
        let supers = path.iter().take_while(|name| **name == "super").count();
        let child = [&here[..], &[first]].concat().join("/");
        let absolute: Vec<&str> = match *first {
            "crate" => path[1..].to_vec(),
            "self" => [&here, &path[1..]].concat(),
            "super" => [&here[..here.len().saturating_sub(supers)], &path[supers..]].concat(),
            _ if self.modules.contains(&*child) => [&here, path].concat(),
            _ => return,
        };
        let prefixes = (1..=absolute.len()).rev().map(|len| absolute[..len].join("/"));
        let target = prefixes.into_iter().find(|prefix| self.modules.contains(&**prefix));
        let target = target.unwrap_or_else(|| "lib".to_owned());
        if target != self.module {
            self.found.entry(target).or_insert(line);
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

#[cfg(test)]
mod tests;

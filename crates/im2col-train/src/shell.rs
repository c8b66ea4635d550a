//! Paths in commands that are printed, to be pasted into a shell.

use std::path::Path;

/// The path as one word of a POSIX shell's command line, in quotes where it needs them. It is never taken for an
/// option.
///
/// A path that is not UTF-8 is written as bash, zsh and ksh read it: `$'b\xffd'`.
pub(crate) fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let option = if bytes.starts_with(b"-") { "./" } else { "" };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(byte);
    match str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && bytes.iter().all(is_plain) => format!("{option}{text}"),
        Ok(text) if !text.contains(char::is_control) => {
            format!("'{option}{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let byte = |&byte: &u8| match byte {
                b'\'' | b'\\' => format!("\\{}", char::from(byte)),
                b' '..=b'~' => char::from(byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            };
            format!("$'{option}{}'", bytes.iter().map(byte).collect::<String>())
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    #[test]
    fn paths_are_quoted_where_they_need_it() {
        for (path, expected) in [
            (&b"runs/lenet"[..], "runs/lenet"),
            (b"my runs/it's", r"'my runs/it'\''s'"),
            (b"-f", "./-f"),
            (b"b\xffd", r"$'b\xffd'"),
        ] {
            assert_eq!(quoted(Path::new(OsStr::from_bytes(path))), expected);
        }
    }

    /// A real shell gives back what was quoted.
    #[test]
    fn a_shell_reads_the_path() {
        for path in [
            &b"runs/lenet-2"[..],
            b"a b",
            b"it's",
            b"$HOME/`x`\"\\",
            b"*",
            b"~",
            b"",
            b"#x;y|z&",
            "é ü".as_bytes(),
            b"-rf",
            b"- x",
            b"b\xffd'\\ 1",
            b"new\nline",
        ] {
            let quoted = quoted(Path::new(OsStr::from_bytes(path)));
            let output = Command::new("bash").args(["-c", &format!("printf %s {quoted}")]).output().unwrap();
            let expected = if path.starts_with(b"-") { [b"./", path].concat() } else { path.to_vec() };
            assert_eq!(output.stdout, expected, "{quoted}");
        }
    }
}

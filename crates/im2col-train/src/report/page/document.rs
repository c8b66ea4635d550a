//! The frame of a page: its head, style and foot.

const STYLE: &str = include_str!("../style.css");

/// A page: its title and what is on it, as HTML.
pub(super) fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\"/>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         {body}</main>\n\
         <footer>Made by <code>lenet report</code>, im2col {}. This page loads nothing and runs no script.</footer>\n\
         </body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
    )
}

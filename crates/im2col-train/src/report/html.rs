//! Text and numbers as HTML.

/// Text as HTML shows it, in elements and in attributes. Control characters, which a folder's name may have, are
/// replaced.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            other => escaped.push(other),
        }
    }
    escaped
}

/// `0.8234` as `82.3 %`, with a space that does not break. Only all is 100 %, and only nothing 0 %.
pub(super) fn percent(share: f64, digits: usize) -> String {
    let least = 0.1_f64.powi(digits as i32);
    let percents = match 100.0 * share {
        percents if share < 1.0 => percents.min(100.0 - least),
        percents => percents,
    };
    let percents = if share > 0.0 { percents.max(least) } else { percents };
    format!("{percents:.digits$}\u{a0}%")
}

/// `8.1 s`, `4 min 05 s`, `2 h 03 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1}\u{a0}s"),
        60..3600 => format!("{}\u{a0}min {:02}\u{a0}s", whole / 60, whole % 60),
        _ => format!("{}\u{a0}h {:02}\u{a0}min", whole / 3600, whole % 3600 / 60),
    }
}

//! Markdown tables.

use crate::results::{Kind, OURS, Results, geometric_mean};
use anyhow::Result;
use std::fmt::Write;

/// `ours` beside the plain recipe and the definition.
pub(crate) fn recipe(results: &Results) -> Result<String> {
    let mut text = String::new();
    for (title, kind) in [("convolution", Kind::Convolution), ("matrix product", Kind::Product)] {
        let mut gains = Vec::new();
        let mut rows = String::new();
        for case in results.cases(kind) {
            let (Some(ours), Some(explicit)) =
                (results.median(OURS, case), results.median("im2col+mm", case))
            else {
                continue;
            };
            gains.push(explicit / ours);
            let (ours_us, explicit_us) = (number(ours), number(explicit));
            write!(rows, "| {case} | {ours_us} | {explicit_us} | {:.2}x |", explicit / ours)?;
            match results.median("naive", case) {
                Some(naive) => writeln!(rows, " {} | {:.0}x |", number(naive), naive / ours)?,
                None => writeln!(rows, " - | |")?,
            }
        }
        let Some(mean) = geometric_mean(&gains) else {
            continue;
        };
        let least = gains.iter().copied().fold(f64::INFINITY, f64::min);
        writeln!(text, "| {title}, us | ours | im2col + matrixmultiply | | naive | |")?;
        writeln!(text, "|---|--:|--:|--:|--:|--:|\n{rows}")?;
        let count = gains.len();
        writeln!(
            text,
            "{count} shapes: {mean:.2}x im2col + matrixmultiply in the geometric mean, {least:.2}x at least.\n"
        )?;
    }
    Ok(text)
}

/// `ours` beside everybody, the fastest in bold.
pub(crate) fn peers(results: &Results) -> Result<String> {
    let mut text = String::new();
    let titles = [
        ("convolution", Kind::Convolution),
        ("pooling, networks", Kind::Other),
        ("matrix product", Kind::Product),
    ];
    for (title, kind) in titles {
        let cases = results.cases(kind);
        if cases.is_empty() {
            continue;
        }
        let peers = results.peers_of(&cases);
        writeln!(text, "| {title}, us | {} | fastest peer / ours |", peers.join(" | "))?;
        writeln!(text, "|---|{}--:|", "--:|".repeat(peers.len()))?;
        for case in &cases {
            let least = peers.iter().filter_map(|peer| results.median(peer, case)).reduce(f64::min);
            write!(text, "| {case} |")?;
            for peer in &peers {
                match results.median(peer, case) {
                    Some(value) if Some(value) == least => write!(text, " **{}** |", number(value))?,
                    Some(value) => write!(text, " {} |", number(value))?,
                    None => write!(text, " - |")?,
                }
            }
            match results.fastest_other(case) {
                Some((_, ratio)) => writeln!(text, " {ratio:.2} |")?,
                None => writeln!(text, " - |")?,
            }
        }
        writeln!(text)?;
        if kind == Kind::Convolution {
            writeln!(text, "{}", means(results, &cases)?)?;
        }
    }
    Ok(text)
}

/// Every other's time by ours in the geometric mean, and that of the fastest of each case.
fn means(results: &Results, cases: &[&str]) -> Result<String> {
    let mut means: Vec<_> = results
        .peers_of(cases)
        .into_iter()
        .filter(|peer| *peer != OURS)
        .filter_map(|peer| Some((peer, results.mean_ratio(peer, cases)?)))
        .collect();
    means.sort_by(|a, b| a.1.0.total_cmp(&b.1.0));
    let mut text = format!("Time / ours in the geometric mean of {} convolutions: ", cases.len());
    for (peer, (mean, count)) in means {
        let of = if count < cases.len() { format!(" (of {count})") } else { String::new() };
        write!(text, "{peer} {mean:.2}{of}, ")?;
    }
    let fastest: Vec<_> = cases.iter().filter_map(|case| Some(results.fastest_other(case)?.1)).collect();
    match geometric_mean(&fastest) {
        Some(mean) => writeln!(text, "the fastest of each {mean:.2}.")?,
        None => writeln!(text, "nobody else has run any.")?,
    }
    Ok(text)
}

/// Three or more digits.
fn number(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::CSV;

    #[test]
    fn every_peer_has_a_column() {
        let table = peers(&Results::parse(CSV, "1").unwrap()).unwrap();
        let expected = "\
| convolution, us | ours | torch | ort | fastest peer / ours |
|---|--:|--:|--:|--:|
| lenet1_n1 | 2.00 | 8.00 | **1.00** | 0.50 |
| lenet2_n1 | **1.00** | - | 8.00 | 8.00 |

Time / ours in the geometric mean of 2 convolutions: ort 2.00, torch 4.00 (of 1), the fastest of each 2.00.

| pooling, networks, us | ours | fastest peer / ours |
|---|--:|--:|
| max2x2s2_64_112 | **40.0** | - |

| matrix product, us | ours | torch | fastest peer / ours |
|---|--:|--:|--:|
| gemm_64 | **1.50** | 3.00 | 2.00 |

";
        assert_eq!(table, expected);
    }

    #[test]
    fn the_recipe_is_a_peer() {
        let csv = CSV.replace("ort,", "im2col+mm,").replace("torch,", "naive,");
        let table = recipe(&Results::parse(&csv, "1").unwrap()).unwrap();
        let expected = "\
| convolution, us | ours | im2col + matrixmultiply | | naive | |
|---|--:|--:|--:|--:|--:|
| lenet1_n1 | 2.00 | 1.00 | 0.50x | 8.00 | 4x |
| lenet2_n1 | 1.00 | 8.00 | 8.00x | - | |

2 shapes: 2.00x im2col + matrixmultiply in the geometric mean, 0.50x at least.

";
        assert_eq!(table, expected);
    }
}

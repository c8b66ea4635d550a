//! An SVG picture of everybody's times by ours: a row for each convolution, a mark for each peer.

use crate::results::{Kind, OURS, Results};
use anyhow::{Context, Result};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
/// The plot, between the names of the cases and those of the fastest peers.
const LEFT: f64 = 184.0;
const RIGHT: f64 = 700.0;
const ROW: f64 = 22.0;
const LEGEND_TOP: f64 = 76.0;
const LEGEND_COLUMNS: usize = 5;
/// How many peers differ by colour; the next ones have the same colours and another shape.
const COLOURS: usize = 5;
/// Two orders of magnitude slower than anybody else: its marks would leave no room for theirs.
const LEFT_OUT: &str = "naive";

/// Colours of medium lightness, which stand out from white and from black.
const STYLE: &str = "
.paper { fill: #ffffff } text { fill: #24292f; font: 12px system-ui, sans-serif }
.grid { stroke: #d8dee4 } .span { stroke: #d8dee4; stroke-width: 2 } .faint { fill: #57606a }
.title { font-size: 17px; font-weight: 600 } .strong { font-weight: 600 } .right { text-anchor: end } .middle { text-anchor: middle }
.mark { stroke: #ffffff; stroke-width: 1 }
.p0 { fill: #4c8ee0 } .p1 { fill: #21a179 } .p2 { fill: #b072d1 } .p3 { fill: #c99a1c } .p4 { fill: #808a96 }
.ours { fill: #e5484d } .ring { fill: none; stroke: #e5484d; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117 } text { fill: #e6edf3 } .faint { fill: #9198a1 }
.grid, .span { stroke: #30363d } .mark { stroke: #0d1117 } .ours { fill: #ff6369 } .ring { stroke: #ff6369 } }
";

/// Where ratios lie: powers of two from `low` to `high`, evenly.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    /// Reaches over all ratios, and at least from 1/2 to 2.
    fn over(ratios: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ratios.fold((-1.0, 1.0), |(low, high): (f64, f64), ratio| {
            (low.min(ratio.log2().floor()), high.max(ratio.log2().ceil()))
        });
        Self { low: low as i32, high: high as i32 }
    }

    fn x(&self, ratio: f64) -> f64 {
        let part = (ratio.log2() - f64::from(self.low)) / f64::from(self.high - self.low);
        LEFT + part * (RIGHT - LEFT)
    }
}

/// The picture of the convolutions, and a row for the geometric means.
pub(crate) fn draw(results: &Results, threads: &str) -> Result<String> {
    let cases = results.cases(Kind::Convolution);
    let peers: Vec<_> =
        results.peers_of(&cases).into_iter().filter(|peer| ![OURS, LEFT_OUT].contains(peer)).collect();
    let ratios = cases.iter().flat_map(|case| peers.iter().filter_map(|peer| results.ratio(peer, case)));
    let scale = Scale::over(ratios);
    let top = LEGEND_TOP + 20.0 * (peers.len() + 1).div_ceil(LEGEND_COLUMNS) as f64 + 26.0;
    // One row more for the means, after a gap.
    let means_y = top + ROW * (cases.len() as f64 + 1.0);
    let bottom = means_y + 0.7 * ROW;
    let height = bottom + 46.0;

    let mut svg = String::new();
    let threads = if threads == "1" { "one thread".to_owned() } else { format!("{threads} threads") };
    let title = format!("{} convolutions, {threads}: other libraries' time / ours", cases.len());
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">"#
    )?;
    writeln!(svg, "<title>{title}</title>\n<style>{STYLE}</style>")?;
    writeln!(svg, r#"<rect class="paper" width="{WIDTH}" height="{height}"/>"#)?;
    writeln!(svg, r#"<text class="title" x="20" y="32">{title}</text>"#)?;
    let subtitle =
        "Left of the line: faster than ours; right of it: slower. Every step of the grid is a factor of two.";
    writeln!(svg, r#"<text class="faint" x="20" y="54">{subtitle}</text>"#)?;
    legend(&mut svg, &peers)?;
    grid(&mut svg, &scale, top, bottom)?;

    writeln!(
        svg,
        r#"<text class="faint right" x="{}" y="{}">fastest peer / ours</text>"#,
        WIDTH - 20.0,
        top - 12.0
    )?;
    for (row, case) in cases.iter().enumerate() {
        let y = top + ROW * (row as f64 + 0.5);
        let ratios: Vec<_> = peers.iter().map(|peer| results.ratio(peer, case)).collect();
        marks(&mut svg, &scale, y, case, &ratios)?;
        if let Some((peer, ratio)) = results.fastest_other(case) {
            verdict(&mut svg, y, peer, ratio)?;
        }
    }
    let means: Vec<_> = peers.iter().map(|peer| Some(results.mean_ratio(peer, &cases)?.0)).collect();
    marks(&mut svg, &scale, means_y, "geometric mean", &means)?;
    let mean_of = |(peer, mean): (&&str, &Option<f64>)| Some((peer.to_string(), (*mean)?));
    let fastest = peers.iter().zip(&means).filter_map(mean_of).min_by(|a, b| a.1.total_cmp(&b.1));
    let (peer, mean) = fastest.context("nobody else has run any convolution")?;
    verdict(&mut svg, means_y, &peer, mean)?;
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// A mark and a name for ours and for each peer.
fn legend(svg: &mut String, peers: &[&str]) -> Result<()> {
    for place in 0..=peers.len() {
        let x = 26.0 + (place % LEGEND_COLUMNS) as f64 * 160.0;
        let y = LEGEND_TOP + (place / LEGEND_COLUMNS) as f64 * 20.0;
        let name = match place.checked_sub(1) {
            None => {
                writeln!(svg, r#"<circle class="ring" cx="{x}" cy="{y}" r="5.5"/>"#)?;
                OURS
            }
            Some(peer) => {
                mark(svg, peer, x, y)?;
                peers[peer]
            }
        };
        writeln!(svg, r#"<text x="{}" y="{}">{name}</text>"#, x + 12.0, y + 4.0)?;
    }
    Ok(())
}

/// A line for each power of two, the one at 1 highlighted, and the axis below.
fn grid(svg: &mut String, scale: &Scale, top: f64, bottom: f64) -> Result<()> {
    for exponent in scale.low..=scale.high {
        let x = scale.x(f64::from(exponent).exp2());
        let class = if exponent == 0 { "ring" } else { "grid" };
        writeln!(svg, r#"<line class="{class}" x1="{x:.1}" y1="{top}" x2="{x:.1}" y2="{bottom:.1}"/>"#)?;
        let label = match exponent {
            0.. => format!("{}", 1_u64 << exponent),
            _ => format!("1/{}", 1_u64 << -exponent),
        };
        for y in [top - 8.0, bottom + 16.0] {
            writeln!(svg, r#"<text class="faint middle" x="{x:.1}" y="{y:.1}">{label}</text>"#)?;
        }
    }
    let (x, y) = (f64::midpoint(LEFT, RIGHT), bottom + 35.0);
    writeln!(svg, r#"<text class="middle" x="{x}" y="{y:.1}">time / ours, logarithmic</text>"#)?;
    Ok(())
}

/// A row: its name, a line from the least to the largest ratio, a mark for each, and a ring for ours, which hides
/// none of them.
fn marks(svg: &mut String, scale: &Scale, y: f64, name: &str, ratios: &[Option<f64>]) -> Result<()> {
    writeln!(svg, r#"<text class="right" x="{}" y="{:.1}">{name}</text>"#, LEFT - 14.0, y + 4.0)?;
    let (low, high) = ratios.iter().flatten().fold((1.0_f64, 1.0_f64), |(l, h), r| (l.min(*r), h.max(*r)));
    let (from, to) = (scale.x(low), scale.x(high));
    writeln!(svg, r#"<line class="span" x1="{from:.1}" y1="{y:.1}" x2="{to:.1}" y2="{y:.1}"/>"#)?;
    for (peer, ratio) in ratios.iter().enumerate() {
        if let Some(ratio) = ratio {
            mark(svg, peer, scale.x(*ratio), y)?;
        }
    }
    writeln!(svg, r#"<circle class="ring" cx="{:.1}" cy="{y:.1}" r="5.5"/>"#, scale.x(1.0))?;
    Ok(())
}

/// A circle, or from [`COLOURS`] on a diamond.
fn mark(svg: &mut String, peer: usize, x: f64, y: f64) -> Result<()> {
    let class = peer % COLOURS;
    if peer < COLOURS {
        writeln!(svg, r#"<circle class="p{class} mark" cx="{x:.1}" cy="{y:.1}" r="4.5"/>"#)?;
    } else {
        writeln!(
            svg,
            r#"<path class="p{class} mark" d="M{x:.1} {:.1}l5.5 5.5-5.5 5.5-5.5-5.5z"/>"#,
            y - 5.5
        )?;
    }
    Ok(())
}

/// The fastest peer of a row, in our colour where it is slower than we are.
fn verdict(svg: &mut String, y: f64, peer: &str, ratio: f64) -> Result<()> {
    let class = if ratio >= 1.0 { "ours strong" } else { "faint" };
    let (x, y) = (WIDTH - 20.0, y + 4.0);
    writeln!(svg, r#"<text class="right {class}" x="{x}" y="{y:.1}">{peer} {ratio:.2}</text>"#)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::CSV;

    #[test]
    fn one_lies_between_a_half_and_two() {
        let scale = Scale::over([0.7, 5.0].into_iter());
        assert_eq!((scale.low, scale.high), (-1, 3));
        assert_eq!([0.5, 8.0].map(|ratio| scale.x(ratio)), [LEFT, RIGHT]);
        assert_eq!(scale.x(1.0) - LEFT, (RIGHT - LEFT) / 4.0);
    }

    #[test]
    fn every_ratio_has_a_mark() {
        let svg = draw(&Results::parse(CSV, "1").unwrap(), "1").unwrap();
        // In the legend, in one row or two, and among the means.
        assert_eq!(svg.matches(r#"class="p0 mark""#).count(), 3);
        assert_eq!(svg.matches(r#"class="p1 mark""#).count(), 4);
        assert!(svg.contains(">ort 0.50</text>") && svg.contains(">ort 8.00</text>"));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}

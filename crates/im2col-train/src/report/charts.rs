//! Line charts in SVG.

use std::fmt::Write;

use super::curves::Curve;
use super::html::escape;

/// In the units of the view box, which a phone shows at about three quarters and a desktop at one and a sixth.
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 382.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 258.0;
/// The least distance of two labels' baselines.
const LABEL_HEIGHT: f64 = 15.0;
/// A finer line would show nothing more.
const MOST_POINTS: usize = 600;

/// A line of a chart.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    /// The style sheet has its colour and dashes.
    pub(super) class: &'static str,
    pub(super) points: Curve,
    /// A dot on each point.
    pub(super) dots: bool,
}

/// Lines over epochs.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) description: String,
    /// What the vertical axis shows at least; lines beyond are cut off.
    pub(super) range: [f64; 2],
    /// A number at the axis, as short as it is exact.
    pub(super) tick: fn(f64) -> String,
    /// A number at the end of a line.
    pub(super) value: fn(f64) -> String,
    pub(super) series: Vec<Series>,
}

impl Chart {
    pub(super) fn svg(&self) -> String {
        let last =
            self.series.iter().flat_map(|series| &series.points).fold(1.0_f64, |last, p| last.max(p.0));
        let x_ticks = Ticks::new(0.0, last, 10, 1.0);
        let y_ticks = Ticks::new(self.range[0], self.range[1], 6, 0.0);
        let place = Place { x: [0.0, last], y: [y_ticks.low, y_ticks.high] };
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
             <title>{}</title><desc>{}</desc>\n",
            escape(&self.title),
            escape(&self.description)
        );
        for y in y_ticks.values() {
            let (at, text) = (place.y(y), (self.tick)(y));
            put(&mut svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/>"));
            put(
                &mut svg,
                format_args!(
                    "<text class=\"tick end\" x=\"{}\" y=\"{:.1}\">{text}</text>",
                    LEFT - 8.0,
                    at + 4.0
                ),
            );
        }
        for x in x_ticks.values().filter(|&x| x <= last) {
            let at = place.x(x);
            put(
                &mut svg,
                format_args!("<text class=\"tick middle\" x=\"{at:.1}\" y=\"{}\">{x}</text>", BOTTOM + 18.0),
            );
        }
        let middle = f64::midpoint(LEFT, RIGHT);
        put(
            &mut svg,
            format_args!("<text class=\"tick middle\" x=\"{middle}\" y=\"{}\">epoch</text>", HEIGHT - 6.0),
        );
        self.lines(&mut svg, &place);
        self.last_values(&mut svg, &place);
        svg.push_str("</svg>\n");
        svg
    }

    /// A nested picture cuts off what is out of range.
    fn lines(&self, svg: &mut String, place: &Place) {
        let (width, height) = (RIGHT - LEFT, BOTTOM - TOP);
        put(
            svg,
            format_args!(
                "<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" viewBox=\"{} {} {} {}\">",
                LEFT - 5.0,
                TOP - 5.0,
                width + 10.0,
                height + 10.0,
                LEFT - 5.0,
                TOP - 5.0,
                width + 10.0,
                height + 10.0,
            ),
        );
        for series in &self.series {
            let step = series.points.len().div_ceil(MOST_POINTS).max(1);
            // From the end, so that the last point is there.
            let points = || series.points.iter().rev().step_by(step).map(|&(x, y)| (place.x(x), place.y(y)));
            let mut path = String::new();
            for (x, y) in points() {
                let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
            }
            if !path.is_empty() {
                put(svg, format_args!("<path class=\"line {}\" d=\"{path}\"/>", series.class));
            }
            for (x, y) in points().filter(|_| series.dots) {
                put(
                    svg,
                    format_args!(
                        "<circle class=\"dot {}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>",
                        series.class
                    ),
                );
            }
        }
        svg.push_str("</svg>\n");
    }

    /// Right of the chart, where the lines end.
    fn last_values(&self, svg: &mut String, place: &Place) {
        let mut labels: Vec<(f64, String, &str)> = self
            .series
            .iter()
            .filter_map(|series| series.points.last().map(|&(_, y)| (series.class, y)))
            .map(|(class, value)| (place.y(value).clamp(TOP, BOTTOM), (self.value)(value), class))
            .collect();
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ys = spread(&labels.iter().map(|label| label.0).collect::<Vec<_>>());
        for ((_, text, class), y) in labels.iter().zip(ys) {
            let (x, y) = (RIGHT + 8.0, y + 4.0);
            put(svg, format_args!("<text class=\"value {class}\" x=\"{x}\" y=\"{y:.1}\">{text}</text>"));
        }
    }

    /// What the lines are: a list, above the picture.
    pub(super) fn legend(&self) -> String {
        let mut legend = "<ul class=\"legend\">".to_owned();
        for Series { name, class, dots, .. } in self.series.iter().filter(|series| !series.points.is_empty())
        {
            let dot = if *dots {
                format!("<circle class=\"dot {class}\" cx=\"14\" cy=\"6\" r=\"3\"/>")
            } else {
                String::new()
            };
            put(
                &mut legend,
                format_args!(
                    "<li><svg width=\"28\" height=\"12\" aria-hidden=\"true\"><path class=\"line {class}\" d=\"M0 6H28\"/>{dot}</svg>{}</li>",
                    escape(name)
                ),
            );
        }
        legend + "</ul>\n"
    }
}

/// Writing to a string does not fail.
fn put(svg: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(svg, "{line}");
}

/// Where values are drawn.
struct Place {
    x: [f64; 2],
    y: [f64; 2],
}

impl Place {
    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (value - self.y[0]) / (self.y[1] - self.y[0]) * (BOTTOM - TOP)
    }
}

/// Round numbers that enclose a range.
#[derive(Debug, PartialEq)]
struct Ticks {
    low: f64,
    high: f64,
    step: f64,
}

impl Ticks {
    /// At most `most` steps of 1, 2 or 5 times a power of ten, none shorter than `least`.
    fn new(low: f64, high: f64, most: u32, least: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let rough = ((high - low) / f64::from(most)).max(least).max(1e-9);
        let power = 10_f64.powf((rough + f64::EPSILON).log10().floor());
        let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999_999);
        let step = factor.unwrap_or(10.0) * power;
        // A little more than a multiple of the step still counts as one.
        let low = ((low / step + 1e-6).floor()) * step;
        let high = ((high / step - 1e-6).ceil()) * step;
        Self { low, high, step }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let count = ((self.high - self.low) / self.step).round() as u32;
        // Rounded, so that a label is 0.3, not 0.30000000000000004.
        (0..=count).map(|tick| ((self.low + f64::from(tick) * self.step) * 1e9).round() / 1e9)
    }
}

/// Ascending positions, moved apart where they are too close, as little as a simple rule can: down from above,
/// then up from below.
fn spread(positions: &[f64]) -> Vec<f64> {
    let mut spread = positions.to_vec();
    for i in 1..spread.len() {
        spread[i] = spread[i].max(spread[i - 1] + LABEL_HEIGHT);
    }
    let mut limit = BOTTOM;
    for position in spread.iter_mut().rev() {
        *position = position.min(limit);
        limit = *position - LABEL_HEIGHT;
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_lie_at_known_places() {
        let chart = Chart {
            title: "Loss & accuracy".into(),
            description: "of <a> run".into(),
            range: [0.0, 2.0],
            tick: |value| format!("{value:.1}"),
            value: |value| format!("{value:.1}"),
            series: vec![
                Series {
                    name: "loss".into(),
                    class: "loss",
                    points: vec![(1.0, 2.0), (2.0, 1.0)],
                    dots: false,
                },
                Series { name: "test".into(), class: "test", points: vec![(2.0, 0.5)], dots: true },
                Series { name: "validation".into(), class: "validation", points: vec![], dots: true },
            ],
        };
        let svg = chart.svg();
        // x: 0..2 is 46..382; y: 0..2 is 258..14.
        assert!(svg.contains("<path class=\"line loss\" d=\"M382.0 136.0L214.0 14.0\"/>"), "{svg}");
        assert!(svg.contains("<circle class=\"dot test\" cx=\"382.0\" cy=\"197.0\" r=\"3\"/>"), "{svg}");
        assert!(svg.contains("<text class=\"tick end\" x=\"38\" y=\"262.0\">0.0</text>"), "{svg}");
        assert!(svg.contains("<text class=\"value loss\" x=\"390\" y=\"140.0\">1.0</text>"), "{svg}");
        assert!(svg.contains("<title>Loss &amp; accuracy</title><desc>of &lt;a&gt; run</desc>"), "{svg}");
        assert!(!svg.contains("validation") && !chart.legend().contains("validation"));
        assert!(chart.legend().contains("</svg>loss</li>"));
    }

    #[test]
    fn ticks_are_round_numbers() {
        let values = |low, high, most, least| Ticks::new(low, high, most, least).values().collect::<Vec<_>>();
        assert_eq!(values(0.0, 2.31, 6, 0.0), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(values(0.96, 1.0, 6, 0.0), [0.96, 0.97, 0.98, 0.99, 1.0]);
        assert_eq!(values(0.0, 3.0, 10, 1.0), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(values(0.0, 30.0, 10, 1.0), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(values(0.5, 0.5, 6, 0.0).first(), Some(&0.4), "an empty range is widened");
    }

    #[test]
    fn labels_do_not_overlap() {
        assert_eq!(spread(&[20.0, 22.0, 100.0]), [20.0, 35.0, 100.0]);
        assert_eq!(spread(&[250.0, 257.0]), [243.0, 258.0]);
        assert!(spread(&[]).is_empty());
    }

    #[test]
    fn long_curves_are_thinned_and_keep_their_end() {
        let points: Curve = (1..=5000).map(|point| (f64::from(point) / 100.0, 0.5)).collect();
        let chart = Chart {
            title: String::new(),
            description: String::new(),
            range: [0.0, 1.0],
            tick: |value| value.to_string(),
            value: |value| value.to_string(),
            series: vec![Series { name: "loss".into(), class: "loss", points, dots: false }],
        };
        let svg = chart.svg();
        assert!(svg.contains("d=\"M382.0 136.0L"), "{svg}");
        assert!(svg.matches('L').count() < MOST_POINTS);
    }
}

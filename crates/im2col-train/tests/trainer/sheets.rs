//! Sheets of paper under uneven light, with a digit on them or without.
//!
//! A sheet reflects a share of the light: paper 0.80 to 0.95, ink 0.08 to 0.25. What a camera sees is that share times
//! the light, which is the product of a gradient, which takes 20 to 55 % from one side of the sheet to the other, and a
//! shadow beyond a line in any place and direction, which takes 30 to 60 %, with an edge of 2 to 40 pixels; and noise of
//! 2.5 levels (standard deviation).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::f32::consts::PI;

use im2col_train::dataset::Dataset;
use im2col_train::random::Random;
use image::imageops::{self, FilterType};
use image::{GrayImage, Luma};

pub(crate) type Point = [f32; 2];

/// Ten digits as a hand draws them: strokes through points of a unit square.
const DIGITS: [&[&[Point]]; 10] = [
    &[&[
        [0.5, 0.02],
        [0.3, 0.1],
        [0.19, 0.3],
        [0.17, 0.55],
        [0.22, 0.8],
        [0.38, 0.96],
        [0.58, 0.97],
        [0.75, 0.83],
        [0.82, 0.58],
        [0.8, 0.3],
        [0.7, 0.1],
        [0.5, 0.02],
    ]],
    &[&[[0.5, 0.02], [0.5, 0.5], [0.5, 0.98]]],
    &[&[
        [0.2, 0.24],
        [0.3, 0.08],
        [0.5, 0.02],
        [0.7, 0.08],
        [0.78, 0.25],
        [0.7, 0.45],
        [0.45, 0.7],
        [0.18, 0.96],
        [0.5, 0.95],
        [0.84, 0.95],
    ]],
    &[&[
        [0.2, 0.1],
        [0.45, 0.02],
        [0.7, 0.1],
        [0.75, 0.25],
        [0.65, 0.4],
        [0.42, 0.47],
        [0.68, 0.55],
        [0.8, 0.72],
        [0.7, 0.9],
        [0.45, 0.98],
        [0.18, 0.88],
    ]],
    &[
        &[[0.3, 0.05], [0.22, 0.3], [0.2, 0.52], [0.5, 0.54], [0.84, 0.5]],
        &[[0.7, 0.05], [0.66, 0.5], [0.62, 0.98]],
    ],
    &[&[
        [0.78, 0.04],
        [0.5, 0.05],
        [0.3, 0.06],
        [0.26, 0.42],
        [0.5, 0.38],
        [0.74, 0.5],
        [0.78, 0.72],
        [0.65, 0.92],
        [0.42, 0.97],
        [0.2, 0.88],
    ]],
    &[&[
        [0.65, 0.03],
        [0.42, 0.2],
        [0.27, 0.5],
        [0.25, 0.75],
        [0.38, 0.95],
        [0.6, 0.95],
        [0.74, 0.78],
        [0.66, 0.6],
        [0.45, 0.57],
        [0.29, 0.7],
    ]],
    &[&[[0.18, 0.06], [0.5, 0.06], [0.8, 0.05], [0.64, 0.3], [0.52, 0.6], [0.44, 0.98]]],
    &[&[
        [0.5, 0.48],
        [0.29, 0.33],
        [0.28, 0.14],
        [0.5, 0.03],
        [0.71, 0.14],
        [0.7, 0.33],
        [0.5, 0.48],
        [0.26, 0.65],
        [0.24, 0.85],
        [0.5, 0.97],
        [0.76, 0.85],
        [0.74, 0.65],
        [0.5, 0.48],
    ]],
    &[&[
        [0.7, 0.26],
        [0.6, 0.43],
        [0.42, 0.46],
        [0.28, 0.3],
        [0.33, 0.11],
        [0.53, 0.03],
        [0.7, 0.13],
        [0.71, 0.4],
        [0.64, 0.98],
    ]],
];

/// Letters and shapes that no digit looks like.
const OTHERS: [&[&[Point]]; 10] = [
    // A
    &[&[[0.05, 1.0], [0.5, 0.0], [0.95, 1.0]], &[[0.22, 0.62], [0.78, 0.62]]],
    // E
    &[&[[0.9, 0.0], [0.1, 0.0], [0.1, 1.0], [0.9, 1.0]], &[[0.1, 0.5], [0.75, 0.5]]],
    // H
    &[&[[0.1, 0.0], [0.1, 1.0]], &[[0.9, 0.0], [0.9, 1.0]], &[[0.1, 0.5], [0.9, 0.5]]],
    // K
    &[&[[0.1, 0.0], [0.1, 1.0]], &[[0.9, 0.0], [0.1, 0.55], [0.9, 1.0]]],
    // M
    &[&[[0.05, 1.0], [0.1, 0.0], [0.5, 0.7], [0.9, 0.0], [0.95, 1.0]]],
    // W
    &[&[[0.0, 0.0], [0.25, 1.0], [0.5, 0.3], [0.75, 1.0], [1.0, 0.0]]],
    // X
    &[&[[0.05, 0.0], [0.95, 1.0]], &[[0.95, 0.0], [0.05, 1.0]]],
    // A star of six points
    &[&[[0.5, 0.0], [0.5, 1.0]], &[[0.07, 0.25], [0.93, 0.75]], &[[0.93, 0.25], [0.07, 0.75]]],
    // A triangle
    &[&[[0.5, 0.05], [0.02, 0.9], [0.98, 0.9], [0.5, 0.05]]],
    // A window
    &[
        &[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]],
        &[[0.5, 0.0], [0.5, 1.0]],
        &[[0.0, 0.5], [1.0, 0.5]],
    ],
];

/// From `low` to `high`.
fn between(random: &mut Random, low: f32, high: f32) -> f32 {
    low + (high - low) * random.unit()
}

/// A sheet on which a share of each pixel is ink, 0 to 1.
pub(crate) struct Sheet {
    width: u32,
    height: u32,
    ink: Vec<f32>,
}

impl Sheet {
    pub(crate) fn blank(random: &mut Random) -> Self {
        let (width, height) = (240 + random.below(300) as u32, 240 + random.below(300) as u32);
        Self { width, height, ink: vec![0.0; (width * height) as usize] }
    }

    /// With a digit in a hand of the test set, resized.
    pub(crate) fn of_test_digit(digits: &Dataset, image: usize, random: &mut Random) -> Self {
        let mut sheet = Self::blank(random);
        let digit = GrayImage::from_vec(28, 28, digits.pixels()[image * 784..][..784].to_vec()).unwrap();
        let side = 80 + random.below(160) as u32;
        let digit = imageops::resize(&digit, side, side, FilterType::CatmullRom);
        let left = random.below((sheet.width - side) as usize + 1) as u32;
        let top = random.below((sheet.height - side) as usize + 1) as u32;
        for (x, y, &Luma([luma])) in digit.enumerate_pixels() {
            sheet.ink[((top + y) * sheet.width + left + x) as usize] = f32::from(luma) / 255.0;
        }
        sheet
    }

    /// With a digit drawn with a pen of 6 to 14 % of its height, leaning up to 15 degrees.
    pub(crate) fn of_strokes(digit: usize, random: &mut Random) -> Self {
        let mut sheet = Self::blank(random);
        sheet.draw_figure(DIGITS[digit], [0.55, 0.75], true, random);
        sheet
    }

    fn draw_figure(&mut self, strokes: &[&[Point]], aspect: [f32; 2], is_curved: bool, random: &mut Random) {
        let height = between(random, 80.0, 200.0);
        let width = height * between(random, aspect[0], aspect[1]);
        let pen = height * between(random, 0.06, 0.14);
        let lean = between(random, -0.26, 0.26);
        let left = 20.0 + between(random, 0.0, self.width as f32 - width - 40.0);
        let top = 15.0 + between(random, 0.0, self.height as f32 - height - 30.0);
        for stroke in strokes {
            let mut points: Vec<Point> = stroke
                .iter()
                .map(|&[x, y]| {
                    let (x, y) = (x + between(random, -0.03, 0.03), y + between(random, -0.02, 0.02));
                    [left + width * x + lean * height * (0.5 - y) * 0.5, top + height * y]
                })
                .collect();
            for _ in 0..if is_curved { 3 } else { 0 } {
                points = rounded(&points);
            }
            self.draw(&points, pen);
        }
    }

    /// A line through the points.
    fn draw(&mut self, points: &[Point], pen: f32) {
        for (at, ink) in self.ink.iter_mut().enumerate() {
            let place = [(at as u32 % self.width) as f32, (at as u32 / self.width) as f32];
            let distance =
                points.windows(2).map(|ends| distance(place, ends[0], ends[1])).fold(f32::MAX, f32::min);
            *ink = ink.max((pen / 2.0 - distance + 0.5).clamp(0.0, 1.0));
        }
    }

    /// What a camera sees of it.
    pub(crate) fn lit(&self, random: &mut Random) -> GrayImage {
        let (paper, ink) = (between(random, 0.8, 0.95), between(random, 0.08, 0.25));
        let lamp = between(random, 220.0, 255.0);
        let gradient = Slope::new(self, random);
        let lost = between(random, 0.2, 0.55);
        let shadow = Slope::new(self, random);
        let (taken, place) = (between(random, 0.3, 0.6), between(random, 0.25, 0.75));
        let edge = between(random, 2.0, 40.0) / shadow.length;
        GrayImage::from_fn(self.width, self.height, |x, y| {
            let ink_here = self.ink[(y * self.width + x) as usize];
            let reflected = paper + (ink - paper) * ink_here;
            let in_shadow = ((shadow.at(x, y) - place) / edge + 0.5).clamp(0.0, 1.0);
            let light = (1.0 - lost * gradient.at(x, y)) * (1.0 - taken * in_shadow);
            // The sum of twelve has a variance of one.
            let noise = (0..12).map(|_| random.unit()).sum::<f32>() - 6.0;
            Luma([(lamp * light * reflected + 2.5 * noise).round().clamp(0.0, 255.0) as u8])
        })
    }
}

/// From 0 on one side of a sheet to 1 on the other, in some direction.
struct Slope {
    direction: Point,
    start: f32,
    length: f32,
}

impl Slope {
    fn new(sheet: &Sheet, random: &mut Random) -> Self {
        let angle = between(random, 0.0, 2.0 * PI);
        let direction = [angle.cos(), angle.sin()];
        let (width, height) = (sheet.width as f32 * direction[0], sheet.height as f32 * direction[1]);
        let start = width.min(0.0) + height.min(0.0);
        Self { direction, start, length: width.abs() + height.abs() }
    }

    fn at(&self, x: u32, y: u32) -> f32 {
        (x as f32 * self.direction[0] + y as f32 * self.direction[1] - self.start) / self.length
    }
}

fn distance(place: Point, from: Point, to: Point) -> f32 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let off = [place[0] - from[0], place[1] - from[1]];
    let length = along[0] * along[0] + along[1] * along[1];
    let share = ((off[0] * along[0] + off[1] * along[1]) / length.max(1e-6)).clamp(0.0, 1.0);
    let [x, y] = [off[0] - share * along[0], off[1] - share * along[1]];
    (x * x + y * y).sqrt()
}

/// Cuts the corners of a line (Chaikin).
fn rounded(points: &[Point]) -> Vec<Point> {
    let mix = |a: Point, b: Point, share: f32| [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share];
    let mut line = vec![points[0]];
    line.extend(
        points.windows(2).flat_map(|ends| [mix(ends[0], ends[1], 0.25), mix(ends[0], ends[1], 0.75)]),
    );
    line.extend(points.last());
    line
}

/// Forty digits, each four times: twice in a hand of the test set, twice drawn.
pub(crate) fn digits(test: &Dataset, seed: u64) -> Vec<(usize, GrayImage)> {
    let mut random = Random::new(seed);
    let sheets = (0..40).map(|sheet| {
        let (digit, is_drawn) = (sheet % 10, sheet / 10 % 2 == 1);
        let sheet = if is_drawn {
            Sheet::of_strokes(digit, &mut random)
        } else {
            let from = random.below(test.len() - 1000);
            let image = (from..).find(|&image| test.labels()[image] as usize == digit).unwrap();
            Sheet::of_test_digit(test, image, &mut random)
        };
        (digit, sheet.lit(&mut random))
    });
    sheets.collect()
}

/// Twenty pictures without a digit: paper, light alone, noise, lines, letters and shapes.
pub(crate) fn others(seed: u64) -> Vec<(String, GrayImage)> {
    let mut random = Random::new(seed);
    let mut pictures = Vec::new();
    for count in 0..4 {
        pictures.push((format!("paper {count}"), Sheet::blank(&mut random).lit(&mut random)));
    }
    for count in 0..3 {
        let sheet = Sheet::blank(&mut random);
        let slope = Slope::new(&sheet, &mut random);
        let light = |x, y| Luma([(20.0 + 230.0 * slope.at(x, y)) as u8]);
        pictures.push((format!("gradient {count}"), GrayImage::from_fn(sheet.width, sheet.height, light)));
    }
    for grain in [1, 4, 16] {
        let Sheet { width, height, .. } = Sheet::blank(&mut random);
        let noise = GrayImage::from_fn(width / grain, height / grain, |_, _| Luma([random.below(256) as u8]));
        pictures
            .push((format!("noise {grain}"), imageops::resize(&noise, width, height, FilterType::Triangle)));
    }
    for (name, down, across) in
        [("ruled", 9, 0), ("squared", 8, 8), ("three lines", 3, 0), ("one line", 1, 0)]
    {
        let mut sheet = Sheet::blank(&mut random);
        let (width, height) = (sheet.width as f32, sheet.height as f32);
        for line in 1..=down {
            let y = height * line as f32 / (down + 1) as f32;
            sheet.draw(&[[0.0, y], [width, y]], 3.0);
        }
        for line in 1..=across {
            let x = width * line as f32 / (across + 1) as f32;
            sheet.draw(&[[x, 0.0], [x, height]], 3.0);
        }
        pictures.push((name.to_owned(), sheet.lit(&mut random)));
    }
    for count in 0..6 {
        let figure = (seed as usize * 6 + count) % OTHERS.len();
        let mut sheet = Sheet::blank(&mut random);
        sheet.draw_figure(OTHERS[figure], [0.8, 1.0], false, &mut random);
        pictures.push((format!("figure {figure}"), sheet.lit(&mut random)));
    }
    pictures
}

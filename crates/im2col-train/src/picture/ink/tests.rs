//! Each step against its definition, written as loops over the windows of single pixels.

use super::*;

/// Values without a pattern, the same in every run.
fn noise(width: u32, height: u32) -> GrayImage {
    let mut state = 1_u32;
    GrayImage::from_fn(width, height, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Luma([(state >> 24) as u8])
    })
}

/// The values within `reach` of a place, as far as there are any.
fn around(picture: &GrayImage, [x, y]: [u32; 2], reach: [u32; 2]) -> Vec<u8> {
    let pixels = picture.enumerate_pixels();
    let near =
        pixels.filter(|(column, row, _)| column.abs_diff(x) <= reach[0] && row.abs_diff(y) <= reach[1]);
    near.map(|(_, _, luma)| luma.0[0]).collect()
}

#[test]
fn windows_have_their_largest_and_their_smallest_value() {
    for (width, reach) in
        [(1, 0), (1, 3), (7, 0), (7, 1), (23, 2), (24, 2), (25, 2), (26, 2), (27, 3), (9, 40)]
    {
        let picture = noise(width, 3);
        let largest = of_windows(&picture, reach as usize, u8::max);
        let smallest = of_windows(&picture, reach as usize, u8::min);
        for (x, y, _) in picture.enumerate_pixels() {
            let values = around(&picture, [x, y], [reach, 0]);
            let given = [&largest, &smallest].map(|result| Some(result.get_pixel(x, y).0[0]));
            assert_eq!(
                given,
                [values.iter().copied().max(), values.iter().copied().min()],
                "{width} {reach} {x}"
            );
        }
    }
}

#[test]
fn means_are_those_of_their_windows() {
    for (width, height, reach) in [(1, 1, 2), (5, 4, 0), (9, 7, 1), (8, 13, 3), (6, 5, 9)] {
        let picture = noise(width, height);
        let values: Vec<f32> = picture.iter().map(|&luma| f32::from(luma)).collect();
        let means = means_of_windows(&values, width as usize, reach as usize);
        assert_eq!(means.len(), values.len());
        for ((x, y, _), mean) in picture.enumerate_pixels().zip(means) {
            let window = around(&picture, [x, y], [reach, reach]);
            let sum: u32 = window.iter().copied().map(u32::from).sum();
            assert!(
                (mean - sum as f32 / window.len() as f32).abs() < 1e-3,
                "{width} {height} {reach} at {x} {y}"
            );
        }
    }
}

#[test]
fn smoothing_takes_nine_pixels_and_the_border_again() {
    let (width, height) = (6, 5);
    let picture = noise(width, height);
    for (x, y, &Luma([mean])) in smooth(&picture).enumerate_pixels() {
        let mut sum = 4;
        for (dx, dy) in (0..3).flat_map(|dx| (0..3).map(move |dy| (dx, dy))) {
            let at = [(x + dx).clamp(1, width) - 1, (y + dy).clamp(1, height) - 1];
            sum += u32::from(picture.get_pixel(at[0], at[1]).0[0]);
        }
        assert_eq!(u32::from(mean), sum / 9, "{x} {y}");
    }
}

/// Three neighbours have it, in whichever direction and corner; a pixel or two of another brightness do not count.
#[test]
fn the_strongest_ink_is_no_single_pixel() {
    let of = |bright: &[(u32, u32)]| {
        let mut ink = GrayImage::new(6, 5);
        bright.iter().for_each(|&(x, y)| ink.put_pixel(x, y, Luma([200])));
        (0..3).for_each(|x| ink.put_pixel(x, 4, Luma([90])));
        strongest(&ink)
    };
    for three in
        [[0, 0, 1, 0, 2, 0], [5, 0, 5, 1, 5, 2], [2, 0, 3, 1, 4, 2], [5, 0, 4, 1, 3, 2], [4, 4, 5, 4, 5, 3]]
    {
        let [a, b, c, d, e, f] = three;
        assert_eq!([of(&[(a, b), (c, d), (e, f)]), of(&[(a, b), (c, d)])], [200, 90], "{three:?}");
    }
    assert_eq!([of(&[]), of(&[(5, 0)]), of(&[(0, 0), (2, 0), (4, 0), (0, 2), (2, 2), (4, 2)])], [90; 3]);
    // Where there are no three.
    let few =
        |values: &[u8]| strongest(&GrayImage::from_vec(values.len() as u32, 1, values.to_vec()).unwrap());
    assert_eq!([few(&[70]), few(&[30, 80]), few(&[0, 0]), few(&[50, 60, 70])], [70, 80, 0, 70]);
}

#[test]
fn pieces_hang_together_by_edges_and_corners() {
    // Two crossing diagonals, a speck beside the border, and a pixel that is not brighter than the level.
    let rows = ["1000100", "0202002", "0010000", "0101000", "1000000"];
    let ink = GrayImage::from_fn(7, 5, |x, y| Luma([50 * (rows[y as usize].as_bytes()[x as usize] - b'0')]));
    let found = pieces(&ink, 0);
    let summary: Vec<_> = found.iter().map(|piece| (piece.pixels.len(), piece.mass, piece.peak)).collect();
    assert_eq!(summary, [(8, 500, 100), (1, 100, 100)]);
    assert_eq!(found[1].pixels, [13]);
    let bright: Vec<_> = pieces(&ink, 50).iter().map(|piece| piece.pixels.clone()).collect();
    assert_eq!(bright, [[8], [10], [13]]);
}

/// In a picture of 50 x 100 the margins are 6 and 12 wide.
#[test]
fn frames_and_rules_are_told_by_where_they_lie() {
    let ink = GrayImage::new(50, 100);
    let is_one = |upright: bool, is_ink: &dyn Fn(usize, usize) -> bool| {
        let pixels = (0..5000).filter(|at| is_ink(at % 50, at / 50)).collect();
        is_frame_or_rule(&Piece { pixels, mass: 1, peak: 1 }, &ink, upright)
    };
    let at_border = |x: usize, y: usize| [x.min(49 - x), y.min(99 - y)];
    // Lines along two sides span all but the margins.
    assert!(is_one(false, &|x, y| (6..44).contains(&x) && y == 11 || (12..88).contains(&y) && x == 5));
    assert!(is_one(false, &|x, y| (6..44).contains(&x) && y == 88 || (12..88).contains(&y) && x == 44));
    for (width, height) in [(37, 76), (38, 75)] {
        let is_ink = |x: usize, y: usize| x < width && y == 11 || x == 5 && (12..11 + height).contains(&y);
        assert!(!is_one(false, &is_ink), "{width} {height}");
    }
    // Not outside of the margins, at either side.
    for [x, y] in [[6, 12], [43, 12], [6, 87], [43, 87]] {
        assert!(!is_one(false, &|column, row| at_border(column, row).contains(&0) || (column, row) == (x, y)));
    }
    // A rule spans the width and is not higher than the margin.
    assert!(is_one(false, &|_, y| (40..52).contains(&y)));
    assert!(!is_one(false, &|_, y| (40..53).contains(&y)));
    assert!(!is_one(false, &|x, y| x > 0 && (40..42).contains(&y)));
    assert!(!is_one(false, &|x, y| x < 49 && (40..42).contains(&y)));
    // An upright line, only where that is asked for.
    for (columns, is_rule) in [(20..26, true), (20..27, false)] {
        assert_eq!(is_one(true, &|x, _| columns.contains(&x)), is_rule);
        assert!(!is_one(false, &|x, _| columns.contains(&x)));
    }
    assert!(!is_one(true, &|x, y| x == 20 && y > 0) && !is_one(true, &|x, y| x == 20 && y < 99));
}

#[test]
fn sizes_follow_from_the_longer_side() {
    assert_eq!([(10, 100), (100, 10), (1, 1)].map(|(w, h)| reach(&GrayImage::new(w, h))), [20, 20, 1]);
    let smaller = |width, height| smaller(&GrayImage::new(width, height)).dimensions();
    assert_eq!(smaller(1024, 1000), (1024, 1000));
    assert_eq!([smaller(2048, 1000), smaller(1000, 2048)], [(1024, 500), (500, 1024)]);
    assert_eq!([smaller(3000, 1), smaller(1025, 1025)], [(1024, 1), (1024, 1024)]);
}

/// Contrast, strength, mass and number at the limits, in pictures whose paper is black already.
#[test]
fn what_is_left_of_the_ink() {
    // Blocks of width, height and value side by side; the size of each that is left, by its brightest pixel.
    let left = |blocks: &[(u32, u32, u8)]| {
        let mut ink = GrayImage::new(80, 60);
        let place = |block: usize| (8 + 16 * (block as u32 % 4), 8 + 13 * (block as u32 / 4));
        for (block, &(width, height, luma)) in blocks.iter().enumerate() {
            let (left, top) = place(block);
            for (x, y) in (0..width).flat_map(|x| (0..height).map(move |y| (left + x, top + y))) {
                ink.put_pixel(x, y, Luma([luma]));
            }
        }
        clean(&mut ink).then(|| -> Vec<u8> {
            (0..blocks.len()).map(|block| ink.get_pixel(place(block).0, place(block).1).0[0]).collect()
        })
    };
    assert_eq!([left(&[(5, 9, 24)]), left(&[(5, 9, 23)])], [Some(vec![255]), None]);
    // 25 of 200 is no ink, half of it is enough for a piece.
    assert_eq!(left(&[(10, 10, 200), (10, 10, 100), (10, 10, 99)]), Some(vec![255, 109, 0]));
    // A tenth of the largest one's mass.
    assert_eq!(left(&[(10, 10, 200), (2, 5, 200), (3, 3, 200)]), Some(vec![255, 255, 0]));
    assert_eq!(left(&[(3, 4, 80); 12]), Some(vec![255; 12]));
    assert_eq!(left(&[(3, 4, 80); 13]), None);
    assert_eq!(left(&[]), None);
}

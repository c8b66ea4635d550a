//! Windows that adapt, counted.

use crate::pool::PoolParams;

#[test]
fn the_largest_adaptive_window_is_no_larger() {
    for input in 1..=60 {
        for output in 1..=60 {
            let plan = PoolParams::adaptive_max([output]).plan(1, 1, [input]).unwrap();
            // From floor(o n / m) to before ceil((o + 1) n / m).
            let taps = |o: usize| ((o + 1) * input).div_ceil(output) - o * input / output;
            let largest = (0..output).map(taps).max();
            assert_eq!(Some(plan.pooling.window.taps()), largest, "{input} to {output}");
            assert_eq!(plan.pooling.adaptive, input % output != 0);
        }
    }
}

/// Sizes whose products need more than 64 bits.
#[test]
fn adaptive_windows_of_huge_inputs() {
    let plan = PoolParams::adaptive_max([usize::MAX / 5]).plan(0, 1, [usize::MAX / 3]).unwrap();
    let (input, output) = ((usize::MAX / 3) as u128, (usize::MAX / 5) as u128);
    for o in [0, 1, usize::MAX / 7, usize::MAX / 5 - 1] {
        let start = o as u128 * input / output;
        let end = ((o as u128 + 1) * input).div_ceil(output);
        assert_eq!(plan.pooling.start(2, o) as u128, start);
        assert_eq!(plan.pooling.taps(2, o).len() as u128, end - start);
    }
}

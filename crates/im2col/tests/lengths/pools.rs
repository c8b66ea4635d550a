//! Poolings that slide and poolings that adapt.

use super::Draw;
use im2col::{PoolKind, PoolParams, ShapeError};

pub(super) fn lines(lines: &mut Vec<String>) {
    for seed in 0..60 {
        let mut draw = Draw::new(seed);
        let kind = draw.of(&[PoolKind::Max, PoolKind::Average]);
        let params = PoolParams::new(kind, draw.three(&[1, 2, 3, 7]))
            .with_stride(draw.three(&[1, 2, 3]))
            .with_dilation(draw.three(&[1, 1, 2]))
            .with_padding(draw.three(&[0, 0, 1]))
            .with_ceil_mode(draw.of(&[true, false]));
        let input = draw.three(&[5, 8, 17, 33]);
        match params.plan(draw.of(&[0, 1, 3]), draw.of(&[1, 4]), input) {
            Ok(plan) => lines.push(format!(
                "pool {seed}: {:?} {:?}, lengths {} {}, workspace {}",
                plan.output_dims(),
                plan.padding(),
                plan.input_len(),
                plan.output_len(),
                plan.workspace_bytes()
            )),
            Err(error) => lines.push(format!("pool {seed}: {error}")),
        }
    }
}

/// A tap takes a byte up to 256 of them, then two, then four: of the largest window.
#[test]
fn a_workspace_counts_the_taps_of_the_largest_window() {
    let sliding = |window: usize| PoolParams::max([window]).plan(2, 3, [window]).unwrap().workspace_bytes();
    let sizes =
        [(1, 1), (256, 1), (257, 2), (1 << 16, 2), ((1 << 16) + 1, 4), (1 << 32, 4), ((1 << 32) + 1, 8)];
    for (window, bytes) in sizes {
        assert_eq!(sliding(window), 6 * bytes, "{window}");
    }
    // Windows of 256 inputs; of 256 and 257, where an end cuts one; of 256, 257 and 258 where both do.
    for (input, output, bytes) in
        [(512, 2, 1), (513, 2, 2), (511, 2, 1), (1280, 5, 1), (1273, 5, 1), (1272, 5, 1)]
    {
        let plan = PoolParams::adaptive_max([output]).plan(1, 1, [input]).unwrap();
        let largest = (0..output).map(|at| ((at + 1) * input).div_ceil(output) - at * input / output).max();
        assert_eq!(largest.unwrap() > 256, bytes == 2, "{input} {output}");
        assert_eq!(plan.workspace_bytes(), output * bytes, "{input} {output}");
    }
    let plan = PoolParams::average([300]).plan(1, 1, [300]).unwrap();
    assert_eq!(plan.workspace_bytes(), 0);
}

/// Options that mean nothing to an operation are named.
#[test]
fn options_that_do_not_apply() {
    let adaptive = PoolParams::adaptive_average([2, 2]);
    let same = im2col::Padding::SameUpper;
    for (params, option) in [
        (adaptive.with_stride([0, 1]), "stride"),
        (adaptive.with_stride([1, 0]), "stride"),
        (adaptive.with_padding_per_side([[0, 0], [1, 0]]), "padding"),
        (adaptive.with_padding_per_side([[0, 1], [0, 0]]), "padding"),
        (adaptive.with_padding_rule(same), "padding"),
        (adaptive.with_dilation([1, 2]), "dilation"),
        (adaptive.with_ceil_mode(true), "ceil_mode"),
        (adaptive.with_count_include_pad(false), "count_include_pad"),
        (adaptive.with_divisor_override(3), "divisor"),
    ] {
        let error = ShapeError::Inapplicable { option, operation: "adaptive pooling" };
        assert_eq!(params.plan(1, 1, [5, 5]).map(|_| ()), Err(error));
    }
    assert!(adaptive.plan(1, 1, [5, 5]).is_ok());
    let error = ShapeError::Inapplicable { option: "divisor", operation: "maximum pooling" };
    assert_eq!(PoolParams::max([2]).with_divisor_override(2).plan(1, 1, [4]).map(|_| ()), Err(error));
    let zero = |what| Err(ShapeError::Zero { what });
    assert_eq!(
        PoolParams::average([2]).with_divisor_override(0).plan(1, 1, [4]).map(|_| ()),
        zero("divisor")
    );
    assert_eq!(PoolParams::adaptive_max([1, 0]).plan(1, 1, [4, 4]).map(|_| ()), zero("output"));
}

#[test]
fn sizes_that_do_not_fit() {
    let overflow = |what| Err(ShapeError::Overflow { what });
    let len = 1 << 32;
    let pool = PoolParams::max([1, 1]);
    assert_eq!(pool.plan(len, len, [1, 1]).map(|_| ()), overflow("input"));
    assert_eq!(pool.plan(1, len, [len, 1]).map(|_| ()), overflow("input"));
    assert_eq!(PoolParams::adaptive_max([len, len]).plan(1, 1, [1, 1]).map(|_| ()), overflow("output"));
    assert_eq!(PoolParams::adaptive_max([len]).plan(len, 1, [1]).map(|_| ()), overflow("output"));
    // Two bytes for each output, and for each output of one plane where there is no image.
    let wide = PoolParams::max([1 << 9]).with_stride([1]).with_padding([1 << 8]);
    assert_eq!(wide.plan(1, 1 << 32, [1 << 31]).map(|_| ()), overflow("workspace"));
    assert!(wide.plan(1, 1 << 30, [1 << 31]).is_ok());
}

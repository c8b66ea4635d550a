//! Convolutions, plain and transposed, under limits of scratch and on several threads.

use super::Draw;
use im2col::{Activation, ConvParams, ConvPlan, Padding, PaddingMode, ShapeError};
use std::fmt::Write;

const SHAPES: u64 = 160;

fn params(draw: &mut Draw) -> ConvParams<3> {
    let groups = draw.of(&[1, 1, 1, 2, 5]);
    let (inputs, outputs) = (draw.of(&[1, 3, 16, 40]), draw.of(&[1, 5, 7, 24, 70]));
    // A third of them have a multiplier of one: depthwise.
    let (inputs, outputs) = if draw.of(&[true, false, false]) { (1, 1) } else { (inputs, outputs) };
    let modes = [PaddingMode::Zeros, PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Circular];
    let axes = draw.of(&[[false, false, true], [false, true, true], [false, true, true], [true, true, true]]);
    let (kernel, stride) = (draw.three(&[1, 1, 2, 3, 3, 5]), draw.three(&[1, 1, 1, 2, 3]));
    let (dilation, padding) = (draw.three(&[1, 1, 2]), [draw.three(&[0, 1, 2]), draw.three(&[0, 1, 1])]);
    let if_axis = |axis: usize, value: usize, other: usize| if axes[axis] { value } else { other };
    ConvParams::new(
        inputs * groups,
        outputs * groups,
        std::array::from_fn(|axis| if_axis(axis, kernel[axis], 1)),
    )
    .with_groups(groups)
    .with_stride(std::array::from_fn(|axis| if_axis(axis, stride[axis], 1)))
    .with_dilation(dilation)
    .with_padding_per_side(std::array::from_fn(|axis| padding.map(|side| if_axis(axis, side[axis], 0))))
    .with_padding_mode(draw.of(&modes))
}

fn input(draw: &mut Draw, params: &ConvParams<3>) -> [usize; 3] {
    let small = draw.three(&[7, 9, 14, 21]);
    let large = [1, draw.of(&[28, 56]), draw.of(&[28, 57, 112])];
    let dims = if draw.of(&[true, false]) { small } else { large };
    // An axis without a kernel may be absent.
    std::array::from_fn(|axis| if axis == 0 && params.kernel()[0] == 1 { 1 } else { dims[axis] })
}

/// Algorithm and scratch, with plain and with packed weights.
fn forward(plan: &ConvPlan<3>) -> String {
    format!("{} {}/{}", plan.algorithm().name(), plan.scratch_len(), plan.packed_scratch_len())
}

pub(super) fn lines(lines: &mut Vec<String>) {
    for seed in 0..SHAPES {
        let mut draw = Draw::new(seed);
        let params = params(&mut draw);
        let (input, batch) = (input(&mut draw, &params), draw.of(&[1, 1, 2, 8]));
        match params.plan(batch, input) {
            Ok(plan) => {
                lines.push(format!("conv {seed}: {}", planned(&plan)));
                #[cfg(feature = "rayon")]
                lines.push(threaded(&plan));
            }
            Err(error) => lines.push(format!("conv {seed}: {error}")),
        }
        match params.plan_transposed(batch.min(2), input.map(|len| len.min(14))) {
            Ok(plan) => {
                let mut line = format!(
                    "transposed {seed}: {:?}, lengths {} {} {} {}, packed {}, multiply-adds {}; scratch",
                    plan.output_dims(),
                    plan.input_len(),
                    plan.weight_len(),
                    plan.bias_len(),
                    plan.output_len(),
                    plan.packed_weight_len(),
                    plan.multiply_adds(),
                );
                for limit in [usize::MAX, plan.scratch_len() / 2, 0] {
                    let plan = plan.with_scratch_limit(limit).with_backward_scratch_limit(limit);
                    let (plain, packed) = (plan.scratch_len(), plan.packed_scratch_len());
                    let (input, weight) =
                        (plan.backward_input_scratch_len(), plan.backward_weight_scratch_len());
                    write!(line, " {plain}/{packed} {input} {weight};").unwrap();
                }
                lines.push(line);
            }
            Err(error) => lines.push(format!("transposed {seed}: {error}")),
        }
    }
}

fn planned(plan: &ConvPlan<3>) -> String {
    let mut line = format!(
        "{:?}, lengths {} {} {} {}, packed {}, columns {}, multiply-adds {};",
        plan.output_dims(),
        plan.input_len(),
        plan.weight_len(),
        plan.bias_len(),
        plan.output_len(),
        plan.packed_weight_len(),
        plan.columns_len(),
        plan.multiply_adds(),
    );
    let full = plan.scratch_len();
    write!(line, " {};", forward(plan)).unwrap();
    for limit in [full.saturating_sub(1), full / 2, 3000] {
        write!(line, " {limit}: {};", forward(&plan.with_scratch_limit(limit))).unwrap();
    }
    for algorithm in plan.algorithms().filter(|algorithm| *algorithm != plan.algorithm()) {
        write!(line, " {};", forward(&plan.with_algorithm(algorithm).unwrap())).unwrap();
    }
    let of_gradients =
        |plan: &ConvPlan<3>| (plan.backward_input_scratch_len(), plan.backward_weight_scratch_len());
    let (input, weight) = of_gradients(plan);
    write!(line, " gradients {input} {weight}").unwrap();
    for limit in [input.max(weight).saturating_sub(1), input.min(weight).saturating_sub(1), 3000, 0] {
        let (input, weight) = of_gradients(&plan.with_backward_scratch_limit(limit));
        write!(line, "; {limit}: {input} {weight}").unwrap();
    }
    line
}

/// On two and more threads, and where three scratches are all that there may be.
#[cfg(feature = "rayon")]
fn threaded(plan: &ConvPlan<3>) -> String {
    let mut line = "threads:".to_owned();
    for threads in [2, 64] {
        let limited = plan.with_threads(threads).with_scratch_limit(3 * plan.scratch_len());
        write!(line, " {threads}: {}, {};", forward(&plan.with_threads(threads)), forward(&limited)).unwrap();
    }
    line
}

/// A limit is kept, by any of the gradients as well; without scratch everything runs in place.
#[test]
fn limits_are_kept() {
    for seed in 0..SHAPES {
        let mut draw = Draw::new(seed);
        let params = params(&mut draw);
        let input = input(&mut draw, &params);
        let Ok(plan) = params.plan(2, input) else { continue };
        let lens = |plan: &ConvPlan<3>| {
            [plan.scratch_len(), plan.backward_input_scratch_len(), plan.backward_weight_scratch_len()]
        };
        for limit in lens(&plan).into_iter().flat_map(|len| [len, len.saturating_sub(1), len / 3]).chain([0])
        {
            let limited = plan.with_scratch_limit(limit).with_backward_scratch_limit(limit);
            assert!(lens(&limited).into_iter().all(|len| len <= limit), "{limit} {limited:?}");
            for (full, limited) in lens(&plan).into_iter().zip(lens(&limited)) {
                assert!(limited == full || limit < full, "{limit} {limited} {full}");
            }
        }
    }
}

/// What is larger than an address space, by name; the largest that is not.
#[test]
fn sizes_that_do_not_fit() {
    let huge = usize::MAX / 2;
    let overflow = |what| ShapeError::Overflow { what };
    let plan = |params: ConvParams<1>, batch: usize, len: usize| params.plan(batch, [len]).map(|_| ());
    let one = ConvParams::new(1, 1, [1]);
    assert_eq!(plan(one.with_dilation([usize::MAX]), 1, 1), Ok(()));
    assert_eq!(plan(ConvParams::new(1, 1, [3]).with_dilation([huge + 1]), 1, 1), Err(overflow("kernel")));
    assert_eq!(plan(one.with_padding([huge / 2 + 1]), 1, 1), Err(overflow("padded input")));
    assert_eq!(plan(one.with_padding_per_side([[usize::MAX, 1]]), 1, 1), Err(overflow("padded input")));
    assert_eq!(ConvParams::new(1, 1, [1, 1]).plan(1, [huge, 3]).map(|_| ()), Err(overflow("input")));
    let square = ConvParams::new(1, 1, [1 << 32, 1 << 32]).with_padding([1 << 32, 1 << 32]);
    assert_eq!(square.plan(1, [1, 1]).map(|_| ()), Err(overflow("kernel")));
    let square = ConvParams::new(1, 1, [1, 1]).with_padding([1 << 32, 1 << 32]);
    assert_eq!(square.plan(1, [1, 1]).map(|_| ()), Err(overflow("output")));
    let operand = Err(overflow("an operand or scratch"));
    assert_eq!(plan(one, 1 << 40, 1 << 24), operand);
    assert_eq!(plan(one, 1, 1 << 61), operand);
    assert_eq!(plan(one, 1, 1 << 48), Ok(()));
    assert_eq!(plan(ConvParams::new(1 << 33, 1 << 33, [1]), 0, 1), operand);
    assert_eq!(plan(ConvParams::new(1 << 33, 1, [1 << 33]).with_padding([1 << 32]), 0, 1), operand);
}

/// Parameters and plans say what was asked for, and what it is without.
#[test]
fn parameters_are_what_was_asked_for() {
    let plain = ConvParams::new(6, 4, [2, 3]);
    assert_eq!(
        (plain.in_channels(), plain.out_channels(), plain.kernel(), plain.groups()),
        (6, 4, [2, 3], 1)
    );
    assert_eq!((plain.stride(), plain.dilation(), plain.output_padding()), ([1, 1], [1, 1], [0, 0]));
    assert_eq!((plain.padding(), plain.padding_mode()), (Padding::PerSide([[0; 2]; 2]), PaddingMode::Zeros));
    assert_eq!((plain.has_bias(), plain.activation()), (true, Activation::Identity));
    assert_eq!(plain.with_padding([1, 2]).padding(), Padding::PerSide([[1, 1], [2, 2]]));
    let other = plain
        .with_stride([2, 3])
        .with_dilation([3, 2])
        .with_groups(2)
        .with_bias(false)
        .with_activation(Activation::Tanh)
        .with_padding_rule(Padding::Full)
        .with_padding_mode(PaddingMode::Circular);
    assert_eq!((other.stride(), other.dilation(), other.groups()), ([2, 3], [3, 2], 2));
    assert_eq!((other.padding(), other.padding_mode()), (Padding::Full, PaddingMode::Circular));
    assert_eq!((other.has_bias(), other.activation()), (false, Activation::Tanh));
    assert_eq!(plain.with_output_padding([1, 0]).output_padding(), [1, 0]);
    let plan = other.plan(5, [7, 8]).unwrap();
    assert_eq!((plan.params(), plan.batch(), plan.input_dims()), (other, 5, [7, 8]));
    assert_eq!((plan.padding(), plan.output_dims(), plan.bias_len()), ([[3, 3], [4, 4]], [5, 4], 0));
    assert_eq!(plain.plan(1, [7, 8]).unwrap().bias_len(), 4);
    for (output_padding, axis) in [([1, 0], 0), ([0, 1], 1)] {
        let error = ShapeError::Inapplicable { option: "output padding", operation: "convolution" };
        assert_eq!(
            plain.with_output_padding(output_padding).plan(1, [7, 8]).map(|_| ()),
            Err(error),
            "{axis}"
        );
    }
    let groups = |inputs, outputs, groups| {
        ConvParams::new(inputs, outputs, [1]).with_groups(groups).plan(1, [1]).map(|_| ())
    };
    let error = |what, channels, groups| Err(ShapeError::Groups { what, channels, groups });
    assert_eq!(groups(3, 4, 2), error("in_channels", 3, 2));
    assert_eq!(groups(4, 3, 2), error("out_channels", 3, 2));
    let zero = |what| Err(ShapeError::Zero { what });
    assert_eq!(
        [groups(0, 2, 1), groups(2, 0, 1), groups(2, 2, 0)],
        ["in_channels", "out_channels", "groups"].map(zero)
    );
}

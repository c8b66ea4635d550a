//! What makes a layer a convolution: it does the same everywhere, and it looks at neighbours only.
//! Exact, on integers, by every algorithm under every instruction set.

use crate::plans::{Operands, algorithms, conv_plan, each_rank, forward, isas};
use im2col::Activation;
use im2col_testkit::operands::{Rng, integers};
use im2col_testkit::oracle::{ConvCase, Mode};

/// Other padding is a view of the input that neither moves with it nor stays near it.
fn zero_padded(case: &ConvCase) -> ConvCase {
    ConvCase { mode: Mode::Zeros, ..*case }
}

each_rank!(translation, 500, conv_case, a_moved_input_moves_the_output);

/// The input moves by whole strides, so the output moves by whole positions. What enters from outside
/// is arbitrary; outputs that see it, or padding where there was input, are not compared.
fn a_moved_input_moves_the_output<const D: usize>(case: &ConvCase, seed: u64) {
    let case = &zero_padded(case);
    let mut rng = Rng::new(!seed);
    let by = case.output().map(|positions| (rng.bits() % 3).min(positions as u64 / 2) as usize);
    let input_by = [0, 1, 2].map(|axis| by[axis] * case.stride[axis]);

    let operands = Operands::integers(case, seed);
    let mut moved = Operands::integers(case, seed);
    moved.input = integers(!seed, case.input_len());
    for (i, value) in moved.input.iter_mut().enumerate() {
        if let Some(source) = moved_from(i, case.input, input_by) {
            *value = operands.input[source];
        }
    }

    // Both windows see the same if each tap sees what moved, or padding before and after.
    let unchanged = |o: usize| {
        let at = position(o, case.output());
        (0..3).all(|axis| {
            (0..case.kernel[axis]).all(|tap| {
                let padded = at[axis] * case.stride[axis] + tap * case.dilation[axis];
                let (before, len, by) = (case.padding[axis][0], case.input[axis], input_by[axis]);
                padded < before
                    || (before + by..before + len).contains(&padded)
                    || padded >= before + len + by
            })
        })
    };
    let pairs: Vec<(usize, usize)> = (0..case.output_len())
        .filter(|&o| unchanged(o))
        .filter_map(|o| Some((o, moved_from(o, case.output(), by)?)))
        .collect();
    if case.padding == [[0; 2]; 3] {
        let compared: usize = case.output().iter().zip(by).map(|(positions, by)| positions - by).product();
        assert_eq!(pairs.len(), case.batch * case.out_channels * compared);
    }

    for plan in algorithms(conv_plan::<D>(case, &operands, Activation::Identity)).flat_map(isas) {
        let (before, after) = (forward(&plan, &operands), forward(&plan, &moved));
        for &(o, source) in &pairs {
            assert_eq!(after[o], before[source], "output {o} and {source}, moved by {by:?}: {plan:?}");
        }
    }
}

each_rank!(locality, 500, conv_case, an_input_reaches_the_windows_that_cover_it);

/// One input grows by 1. An output grows by the weight through which it sees that input, and does not
/// change if it does not see it.
fn an_input_reaches_the_windows_that_cover_it<const D: usize>(case: &ConvCase, seed: u64) {
    let case = &zero_padded(case);
    let mut operands = Operands::integers(case, seed);
    if operands.input.is_empty() {
        return;
    }
    // Without a weight of 0, what sees the input changes.
    for weight in operands.weight.iter_mut().filter(|weight| **weight == 0.0) {
        *weight = 1.0;
    }
    let touched = (Rng::new(!seed).bits() % operands.input.len() as u64) as usize;
    let reach: Vec<f32> = (0..case.output_len())
        .map(|o| weight_between(case, touched, o).map_or(0.0, |weight| operands.weight[weight]))
        .collect();

    for plan in algorithms(conv_plan::<D>(case, &operands, Activation::Identity)).flat_map(isas) {
        let before = forward(&plan, &operands);
        operands.input[touched] += 1.0;
        let after = forward(&plan, &operands);
        operands.input[touched] -= 1.0;
        for (o, reach) in reach.iter().enumerate() {
            assert_eq!(after[o] - before[o], *reach, "input {touched}, output {o}: {plan:?}");
        }
    }
}

/// The index of the weight through which output `o` sees input `i`.
fn weight_between(case: &ConvCase, i: usize, o: usize) -> Option<usize> {
    let (seen, window) = (position(i, case.input), position(o, case.output()));
    let mut tap = 0;
    for axis in 0..3 {
        let offset = (seen[axis] + case.padding[axis][0]).checked_sub(window[axis] * case.stride[axis])?;
        let (step, dilation) = (offset / case.dilation[axis], case.dilation[axis]);
        if offset % dilation != 0 || step >= case.kernel[axis] {
            return None;
        }
        tap = tap * case.kernel[axis] + step;
    }
    let [group_in, group_out] = [case.in_channels, case.out_channels].map(|channels| channels / case.groups);
    let [plane_in, plane_out] = [i / volume(case.input), o / volume(case.output())];
    let [image_in, image_out] = [plane_in / case.in_channels, plane_out / case.out_channels];
    let [channel_in, channel_out] = [plane_in % case.in_channels, plane_out % case.out_channels];
    if image_in != image_out || channel_in / group_in != channel_out / group_out {
        return None;
    }
    Some((channel_out * group_in + channel_in % group_in) * volume(case.kernel) + tap)
}

/// Where the value at index `i` of a row of planes came from when each plane moved by `by`; `None`
/// if it came from outside.
fn moved_from(i: usize, dims: [usize; 3], by: [usize; 3]) -> Option<usize> {
    let at = position(i, dims);
    let inside = at.iter().zip(by).all(|(at, by)| *at >= by);
    inside.then(|| i - (by[0] * dims[1] + by[1]) * dims[2] - by[2])
}

/// Where in its plane the value at index `i` stands.
fn position(i: usize, [depth, height, width]: [usize; 3]) -> [usize; 3] {
    [i / width / height % depth, i / width % height, i % width]
}

fn volume(dims: [usize; 3]) -> usize {
    dims.iter().product()
}

//! Convolution: the forward pass and the gradients.

use crate::bytes::{ALGORITHMS, Bytes, Numbers, garbage};
use crate::compare::{Expected, assert_same_bits};
use im2col::{
    Activation, Algorithm, ConvOperands, ConvParams, ConvPlan, Gradients, InputStrides, Isa, Layout,
    PaddingMode, Weights, naive,
};
use im2col_testkit::bound::{UNIT_ROUNDOFF, chained, gamma, pairwise, winograd};
use im2col_testkit::operands::{channels_first, channels_last};
use im2col_testkit::oracle::{ConvCase, Mode, Sum};

/// Enough for every tail of the tiles.
const MAX_MULTIPLY_ADDS: usize = 1 << 12;

/// The forward pass by any algorithm, with every instruction set, plain and packed weights, bias and activation, under a
/// limit of scratch or none.
pub fn conv(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    match bytes.below(3) {
        0 => forward::<1>(&mut bytes),
        1 => forward::<2>(&mut bytes),
        _ => forward::<3>(&mut bytes),
    }
}

/// The gradients of input, weight and bias with every instruction set, under a limit of scratch, in place, or without.
pub fn conv_backward(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    match bytes.below(3) {
        0 => backward::<1>(&mut bytes),
        1 => backward::<2>(&mut bytes),
        _ => backward::<3>(&mut bytes),
    }
}

/// A convolution of some rank that can be planned, and is small.
fn conv_case(rank: usize, bytes: &mut Bytes<'_>) -> ConvCase {
    let kind = bytes.below(4);
    let mut case = ConvCase {
        batch: 1 + bytes.below(3),
        in_channels: bytes.size(14),
        out_channels: bytes.size(40),
        groups: 1 + bytes.below(3),
        input: [1; 3],
        kernel: [1; 3],
        stride: [1; 3],
        padding: [[0; 2]; 3],
        mode: bytes.pick([Mode::Zeros, Mode::Zeros, Mode::Reflect, Mode::Replicate, Mode::Circular]),
        dilation: [1; 3],
    };
    if bytes.below(4) == 3 {
        // One channel in and one out per group.
        (case.groups, case.in_channels, case.out_channels) = (case.out_channels, 1, 1);
    }
    for axis in 3 - rank..3 {
        case.input[axis] = bytes.size([80, 20, 7][rank - 1]);
        let most = case.mode.limit(case.input[axis]);
        case.padding[axis] = [bytes.below(5), bytes.below(5)].map(|pad| pad.min(most));
        let (stride, dilation, kernel) = (1 + bytes.below(4), 1 + bytes.below(3), 1 + bytes.below(5));
        (case.stride[axis], case.dilation[axis], case.kernel[axis]) = match kind {
            0 => (stride, dilation, kernel),
            // As most networks have it.
            1 => (1, 1, 3),
            2 => (stride.min(2), 1, if kernel > 3 { 5 } else { 3 }),
            _ => (1, 1, 1),
        };
        let padded = case.input[axis] + case.padding[axis][0] + case.padding[axis][1];
        case.kernel[axis] = case.kernel[axis].min((padded - 1) / case.dilation[axis] + 1);
    }
    // From here on the channels are those of all groups.
    (case.in_channels, case.out_channels) = (case.in_channels * case.groups, case.out_channels * case.groups);
    shrink(&mut case);
    case
}

/// Takes away images, groups, channels and taps until the convolution is small.
fn shrink(case: &mut ConvCase) {
    while case.multiply_adds() > MAX_MULTIPLY_ADDS {
        let [group_in, group_out] = [case.in_channels, case.out_channels].map(|all| all / case.groups);
        if case.batch > 1 {
            case.batch = 1;
        } else if case.groups > 1 {
            let groups = case.groups / 2;
            (case.groups, case.in_channels, case.out_channels) =
                (groups, groups * group_in, groups * group_out);
        } else if group_in > 2 {
            case.in_channels /= 2;
        } else if group_out > 2 {
            case.out_channels /= 2;
        } else if let Some(kernel) = case.kernel.iter_mut().find(|kernel| **kernel > 1) {
            *kernel -= 1;
        } else {
            case.out_channels = 1;
            case.in_channels = 1;
            return;
        }
    }
}

/// The last `D` of three.
pub(crate) fn last<T: Copy, const D: usize>(of: [T; 3]) -> [T; D] {
    std::array::from_fn(|axis| of[3 - D + axis])
}

fn plan<const D: usize>(case: &ConvCase, has_bias: bool, activation: Activation) -> ConvPlan<D> {
    let mode = match case.mode {
        Mode::Zeros => PaddingMode::Zeros,
        Mode::Reflect => PaddingMode::Reflect,
        Mode::Replicate => PaddingMode::Replicate,
        Mode::Circular => PaddingMode::Circular,
    };
    ConvParams::<D>::new(case.in_channels, case.out_channels, last(case.kernel))
        .with_stride(last(case.stride))
        .with_padding_per_side(last(case.padding))
        .with_padding_mode(mode)
        .with_dilation(last(case.dilation))
        .with_groups(case.groups)
        .with_bias(has_bias)
        .with_activation(activation)
        .plan(case.batch, last(case.input))
        .unwrap()
}

/// Integers stay exact under these only.
pub(crate) fn activation(bytes: &mut Bytes<'_>, is_real: bool) -> Activation {
    match bytes.activation() {
        Activation::Sigmoid if !is_real => Activation::Identity,
        Activation::Tanh if !is_real => Activation::Relu,
        any => any,
    }
}

/// The activations of sums.
pub(crate) fn activated(activation: Activation, sums: Vec<Sum>) -> Vec<Sum> {
    let apply = |x: f64| match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    };
    sums.into_iter().map(|sum| Sum { value: apply(sum.value), ..sum }).collect()
}

/// How far the activation of a sum may be off that is off by `error`: the slopes are at most 1, and values of at most 1
/// have a few roundings of their own.
pub(crate) fn after(activation: Activation, error: f64) -> f64 {
    match activation {
        Activation::Sigmoid => error / 4.0 + 8.0 * UNIT_ROUNDOFF,
        Activation::Tanh => error + 8.0 * UNIT_ROUNDOFF,
        _ => error,
    }
}

fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |largest: f64, &value| largest.max(f64::from(value).abs()))
}

fn forward<const D: usize>(bytes: &mut Bytes<'_>) {
    let case = conv_case(D, bytes);
    let mut numbers = bytes.numbers();
    let is_real = numbers.is_real;
    let plan = plan::<D>(&case, bytes.flag(), activation(bytes, is_real));
    let fitting = ALGORITHMS.map(|algorithm| plan.with_algorithm(algorithm).ok());
    let fitting: Vec<_> = fitting.into_iter().flatten().collect();
    let plan = fitting[bytes.below(fitting.len())];
    // All of the scratch that it takes, or less.
    let share = bytes.below(8);
    let plan = if share < 4 { plan.with_scratch_limit(plan.scratch_len() / 4 * share) } else { plan };
    let [input, weight, bias] =
        [plan.input_len(), plan.weight_len(), plan.bias_len()].map(|len| numbers.operand(len));
    // Channels last are the values of channels first in another order.
    let layouts = [bytes.flag(), bytes.flag()]
        .map(|is_last| if is_last { Layout::ChannelsLast } else { Layout::ChannelsFirst });
    let in_layouts = plan.with_input_layout(layouts[0]).and_then(|plan| plan.with_output_layout(layouts[1]));
    let margin = bytes.below(4);

    let mut output = garbage(plan.output_len());
    naive::conv_forward(&plan, &input, &weight, &bias, &mut output).unwrap();
    let activation = plan.params().activation();
    let gamma_of_sum = gamma(case.forward_products() + 2);
    let bound = |sum: &Sum| after(activation, gamma_of_sum * sum.magnitude);
    let sums = || activated(activation, case.forward(&input, &weight, &bias));
    let expected = Expected::new(output, is_real, sums, bound);
    let of_tile = winograd(case.in_channels / case.groups, largest(&input), largest(&weight));
    let winograd_bound = |sum: &Sum| {
        after(activation, of_tile + gamma(2) * (sum.magnitude + of_tile) * f64::from(!bias.is_empty()))
    };

    let [height, width] = [case.input[1] + margin, case.input[2] + margin];
    let plane = case.input[0] * height * width;
    let dims = last([height * width, width, 1]);
    let cropped = InputStrides { image: case.in_channels * plane, channel: plane, dims };
    let crop = plan.with_input_strides(cropped).unwrap();
    let mut view = vec![f32::NAN; crop.input_len()];
    for (line, values) in input.chunks_exact(case.input[2]).enumerate() {
        let (above, line) = (line / case.input[1], line % case.input[1]);
        view[(above * height + line) * width..][..values.len()].copy_from_slice(values);
    }

    for isa in Isa::available() {
        // Another algorithm runs where lines do not follow each other.
        if crop.algorithm() != Algorithm::Winograd {
            let crop = crop.with_isa(isa);
            expected.check(&run_forward(&crop, &view, &weight, &bias), bound, &crop);
        }
        let plan = plan.with_isa(isa);
        let output = run_forward(&plan, &input, &weight, &bias);
        if plan.algorithm() == Algorithm::Winograd {
            expected.check_rounded(&output, winograd_bound, &plan);
        } else {
            expected.check(&output, bound, &plan);
        }
        // Another algorithm runs where this one does not.
        if let Ok(plan) = in_layouts.map(|plan| plan.with_isa(isa))
            && plan.algorithm() != Algorithm::Winograd
        {
            let output = match layouts[0] {
                Layout::ChannelsFirst => run_forward(&plan, &input, &weight, &bias),
                Layout::ChannelsLast => {
                    run_forward(&plan, &channels_last(&input, case.batch, case.in_channels), &weight, &bias)
                }
            };
            match layouts[1] {
                Layout::ChannelsFirst => expected.check(&output, bound, &plan),
                Layout::ChannelsLast => {
                    expected.check(&channels_first(&output, case.batch, case.out_channels), bound, &plan);
                }
            }
        }
    }
}

/// The output with plain weights, which is that with packed weights bit for bit.
fn run_forward<const D: usize>(plan: &ConvPlan<D>, input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let mut output = garbage(plan.output_len());
    let operands = ConvOperands { input, weight: Weights::Plain(weight), bias };
    plan.forward(operands, &mut output, &mut garbage(plan.scratch_len())).unwrap();
    // That crate packs for itself.
    if plan.algorithm() != Algorithm::Matrixmultiply {
        let mut packed = garbage(plan.packed_weight_len());
        let weight = Weights::Packed(plan.pack_weights(weight, &mut packed).unwrap());
        let mut again = garbage(plan.output_len());
        let mut scratch = garbage(plan.packed_scratch_len());
        plan.forward(ConvOperands { input, weight, bias }, &mut again, &mut scratch).unwrap();
        assert_same_bits(&again, &output, &plan);
    }
    output
}

fn backward<const D: usize>(bytes: &mut Bytes<'_>) {
    let case = conv_case(D, bytes);
    let mut numbers = bytes.numbers();
    let plan = plan::<D>(&case, bytes.flag(), Activation::Identity);
    let limit = [usize::MAX, plan.backward_scratch_len() / 4 * bytes.below(4), 0][bytes.below(3)];
    let operands = BackwardOperands::new(&plan, &mut numbers);
    let expected = operands.expected(&case, &plan, numbers.is_real);
    let plan = plan.with_backward_scratch_limit(limit);
    for isa in Isa::available() {
        let plan = plan.with_isa(isa);
        let BackwardOperands { input, weight, grad_output } = &operands;
        let mut grads = [plan.input_len(), plan.weight_len(), plan.bias_len()].map(garbage);
        let [grad_input, grad_weight, grad_bias] = &mut grads;
        let gradients = Gradients { input: grad_input, weight: grad_weight, bias: grad_bias };
        let mut scratch = garbage(plan.backward_scratch_len());
        plan.backward(input, weight, grad_output, gradients, &mut scratch).unwrap();
        for ((expected, grad), roundings) in expected.iter().zip(&grads).zip(roundings(&case)) {
            expected.check(grad, |sum| gamma(roundings) * sum.magnitude, &(limit, plan));
        }
    }
}

/// How often a term of each gradient is rounded at most.
fn roundings(case: &ConvCase) -> [usize; 3] {
    let positions = case.grad_weight_products();
    [case.grad_input_products() + 2, chained(positions) + 2, pairwise(positions)]
}

struct BackwardOperands {
    input: Vec<f32>,
    weight: Vec<f32>,
    grad_output: Vec<f32>,
}

impl BackwardOperands {
    fn new<const D: usize>(plan: &ConvPlan<D>, numbers: &mut Numbers) -> Self {
        let [input, weight, grad_output] =
            [plan.input_len(), plan.weight_len(), plan.output_len()].map(|len| numbers.operand(len));
        Self { input, weight, grad_output }
    }

    /// The gradients of input, weight and bias.
    fn expected<const D: usize>(&self, case: &ConvCase, plan: &ConvPlan<D>, is_real: bool) -> [Expected; 3] {
        let Self { input, weight, grad_output } = self;
        let [mut of_input, mut of_weight, mut of_bias] =
            [plan.input_len(), plan.weight_len(), plan.bias_len()].map(garbage);
        naive::conv_backward_input(plan, weight, grad_output, &mut of_input).unwrap();
        naive::conv_backward_weight(plan, input, grad_output, &mut of_weight).unwrap();
        naive::conv_backward_bias(plan, grad_output, &mut of_bias).unwrap();
        // The definition adds in one chain.
        let [of_input_terms, _, _] = roundings(case);
        let chain = case.grad_weight_products() + 2;
        let bias_sums = || if plan.params().has_bias() { case.grad_bias(grad_output) } else { Vec::new() };
        let bound = |roundings| move |sum: &Sum| gamma(roundings) * sum.magnitude;
        [
            Expected::new(of_input, is_real, || case.grad_input(weight, grad_output), bound(of_input_terms)),
            Expected::new(of_weight, is_real, || case.grad_weight(input, grad_output), bound(chain)),
            Expected::new(of_bias, is_real, bias_sums, bound(chain)),
        ]
    }
}

//! Proptest strategies: shapes that are valid, with weight on the edges, and shapes that are hostile.

use crate::operands::INTEGER_BOUND;
use crate::oracle::{ConvCase, Mode, PoolCase, TransposeCase};
use proptest::prelude::*;

/// The most multiply-adds of most cases, so that a hundred thousand of them take seconds.
const FEW_MULTIPLY_ADDS: usize = 1 << 15;
/// The most multiply-adds of those that fill more than one cache block.
const MANY_MULTIPLY_ADDS: usize = 1 << 18;

/// One axis of a sliding window.
#[derive(Clone, Copy, Debug)]
struct Axis {
    input: usize,
    kernel: usize,
    stride: usize,
    padding: [usize; 2],
    dilation: usize,
}

/// The axis of a lower rank.
const TRIVIAL: Axis = Axis { input: 1, kernel: 1, stride: 1, padding: [0; 2], dilation: 1 };

impl Axis {
    /// The axis with about `output` positions; `slack` input values after the last are never seen.
    fn new(
        (kernel, stride, dilation): (usize, usize, usize),
        padding: [usize; 2],
        output: usize,
        slack: usize,
    ) -> Self {
        let padded = (output - 1) * stride + dilation * (kernel - 1) + 1 + slack % stride;
        // Where the padding alone is that large, one input value is left and there are more outputs.
        let input = padded.saturating_sub(padding[0] + padding[1]).max(1);
        Self { input, kernel, stride, padding, dilation }
    }
}

fn axis(positions: BoxedStrategy<usize>) -> impl Strategy<Value = Axis> {
    let kernel = prop_oneof![3 => Just(1), 2 => Just(2), 4 => Just(3), 2 => 4..=5_usize, 1 => 6..=8_usize];
    let stride = prop_oneof![5 => Just(1), 3 => Just(2), 1 => 3..=5_usize];
    let dilation = prop_oneof![5 => Just(1), 2 => Just(2), 1 => 3..=4_usize];
    let pad = || prop_oneof![4 => Just(0), 3 => Just(1), 2 => 2..=4_usize, 1 => 5..=9_usize];
    ((kernel, stride, dilation), [pad(), pad()], positions, 0..5_usize)
        .prop_map(|(window, padding, output, slack)| Axis::new(window, padding, output, slack))
}

fn axes(rank: usize, positions: BoxedStrategy<usize>) -> impl Strategy<Value = [Axis; 3]> {
    [axis(positions.clone()), axis(positions.clone()), axis(positions)].prop_map(move |mut axes| {
        axes[..3 - rank].fill(TRIVIAL);
        axes
    })
}

/// Positions per axis, around the widths of a tile where the rank leaves room.
fn few_positions(rank: usize) -> BoxedStrategy<usize> {
    match rank {
        1 => prop_oneof![
            2 => Just(1), 3 => 2..=6_usize, 2 => 15..=17_usize, 2 => 31..=33_usize, 2 => 7..=70_usize
        ]
        .boxed(),
        2 => prop_oneof![2 => Just(1), 4 => 2..=6_usize, 2 => 7..=17_usize].boxed(),
        _ => prop_oneof![2 => Just(1), 4 => 2..=4_usize, 1 => 5..=6_usize].boxed(),
    }
}

/// Positions per axis that make 129 to 400 in all.
fn many_positions(rank: usize) -> BoxedStrategy<usize> {
    match rank {
        1 => (129..=400_usize).boxed(),
        2 => (12..=20_usize).boxed(),
        _ => (5..=7_usize).boxed(),
    }
}

fn batch() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0), 8 => Just(1), 3 => Just(2), 2 => Just(3)]
}

/// Valid convolutions of rank 1, 2 or 3: most of them small, some of an empty batch, one in forty
/// large enough to be split into blocks.
pub fn conv_case(rank: usize) -> impl Strategy<Value = ConvCase> {
    let zeros = prop_oneof![39 => small_conv_case(rank), 1 => large_conv_case(rank)];
    (zeros, mode()).prop_map(|(case, mode)| {
        let shown = with_mode(case, mode);
        // Much padding that shows one value of the input can give it more products than add up exactly.
        if sums_of_integers_are_exact(&shown) { shown } else { case }
    })
}

/// Whether no sum of products of integer operands reaches 2^24, forward or backward.
fn sums_of_integers_are_exact(case: &ConvCase) -> bool {
    let largest = (INTEGER_BOUND * INTEGER_BOUND) as usize;
    let products = case.forward_products().max(case.grad_input_products()).max(case.grad_weight_products());
    (products + 1) * largest < 1 << 24
}

/// Convolutions whose gradients of weights are sums of more than one chain: of so many images that they have more
/// than 2048 positions, of images that have more alone, or of thin ones, which are cut along another axis.
pub fn long_conv_case(rank: usize) -> impl Strategy<Value = ConvCase> {
    let small = || prop_oneof![2 => Just(1), 3 => 2..=4_usize, 1 => 5..=9_usize];
    let planes = match rank {
        1 => prop_oneof![(2049..=6000_usize).prop_map(|width| [1, 1, width])].boxed(),
        2 => prop_oneof![
            (46..=70_usize, 46..=70_usize).prop_map(|(height, width)| [1, height, width]),
            (1..=2_usize, 2049..=3000_usize).prop_map(|(height, width)| [1, height, width]),
            (2049..=3000_usize, 1..=2_usize).prop_map(|(height, width)| [1, height, width]),
        ]
        .boxed(),
        _ => [13..=18_usize, 13..=18, 13..=18].boxed(),
    };
    let many =
        (1..=2_usize, 0..=30_usize, [small(), small(), small()]).prop_map(move |(chains, more, mut dims)| {
            dims[..3 - rank].fill(1);
            let positions: usize = dims.iter().product();
            (2048 / positions * chains + 1 + more % (2048 / positions), dims)
        });
    let images = prop_oneof![many, (1..=2_usize, planes)];
    let window =
        || (1..=3_usize, prop_oneof![2 => Just(1), 1 => Just(2)], prop_oneof![3 => Just(1), 1 => Just(2)]);
    let pad = || prop_oneof![3 => Just(0), 2 => Just(1), 1 => Just(2)];
    let axes = [(window(), [pad(), pad()]), (window(), [pad(), pad()]), (window(), [pad(), pad()])];
    let channels = (prop_oneof![3 => Just(1), 1 => Just(2)], 1..=2_usize, 1..=3_usize);
    (images, channels, axes, mode()).prop_map(
        move |((batch, dims), (groups, inputs, outputs), axes, mode)| {
            let mut at = 0;
            let mut axes = axes.map(|(window, padding)| {
                at += 1;
                Axis::new(window, padding, dims[at - 1], 0)
            });
            axes[..3 - rank].fill(TRIVIAL);
            let mut case = case(batch, [groups * inputs, groups * outputs], groups, axes);
            // Padding on every axis can make sixteen positions and more of one.
            while !sums_of_integers_are_exact(&case) {
                case.batch = case.batch.div_ceil(2);
            }
            // Less padding makes fewer positions.
            let shown = with_mode(case, mode);
            let is_long = shown.grad_weight_products() > 2048;
            if is_long && sums_of_integers_are_exact(&shown) { shown } else { case }
        },
    )
}

/// Linear layers for batches of more than one chain of 2048 inputs.
pub fn long_linear_case() -> impl Strategy<Value = ConvCase> {
    let features = || prop_oneof![1 => Just(1), 3 => 2..=9_usize, 1 => 15..=18_usize];
    (2049..=7000_usize, features(), features())
        .prop_map(|(batch, inputs, outputs)| ConvCase::linear(batch, inputs, outputs))
}

/// Depthwise convolutions of rank 2 that have a kernel of their own: 3x3 and 5x5, stride 1 and 2 on
/// both axes, widths around one, two and three vectors, padding that may exceed the kernel.
pub fn depthwise_case() -> impl Strategy<Value = ConvCase> {
    let kernel = prop_oneof![Just(3), Just(5)];
    let pads = || prop_oneof![4 => 0..=2_usize, 1 => 3..=20_usize];
    let width = prop_oneof![1..=20_usize, 30..=35_usize, 46..=50_usize];
    let padding = [[pads(), pads()], [pads(), pads()]];
    ((0..=2_usize, 1..=4_usize), (kernel, 1..=2_usize), (1..=11_usize, width), padding).prop_map(
        |((batch, channels), (kernel, stride), (height, width), [pad_y, pad_x])| {
            let axis = |padding, positions| Axis::new((kernel, stride, 1), padding, positions, positions);
            let axes = [TRIVIAL, axis(pad_y, height), axis(pad_x, width)];
            case(batch, [channels, channels], channels, axes)
        },
    )
}

/// Convolutions of 3x3 on the last two of three axes, of stride 1: output sizes around one and some tiles
/// of four by four, rows of more tiles than a block has, channels around one, two and three vectors.
pub fn winograd_case() -> impl Strategy<Value = ConvCase> {
    let pads = || prop_oneof![4 => 0..=2_usize, 1 => 3..=9_usize];
    let plane = prop_oneof![
        8 => (1..=9_usize, 1..=17_usize), 2 => (10..=30_usize, 10..=30_usize), 1 => (1..=6_usize, 300..=330_usize)
    ];
    let channels = || prop_oneof![4 => 1..=8_usize, 2 => 15..=17_usize, 1 => 31..=50_usize];
    let depth = prop_oneof![6 => Just((1, 0)), 1 => (1..=3_usize, 0..=1_usize)];
    let padding = [[pads(), pads()], [pads(), pads()]];
    let dilations = prop_oneof![3 => Just([1; 2]), 1 => [1..=5_usize, 1..=5_usize]];
    ((batch(), 1..=3_usize), [channels(), channels()], (depth, plane), padding, (mode(), dilations)).prop_map(
        |(
            (batch, groups),
            channels,
            ((planes, pad_z), (height, width)),
            [pad_y, pad_x],
            (mode, dilations),
        )| {
            // Long rows of tiles are for kernels without dilation.
            let [dy, dx] = if width < 200 { dilations } else { [1; 2] };
            let axis = |padding, positions, dilation| Axis::new((3, 1, dilation), padding, positions, 0);
            let z = Axis { input: planes, padding: [pad_z, 0], ..TRIVIAL };
            let channels = channels.map(|channels| groups * channels);
            let case = case(batch, channels, groups, [z, axis(pad_y, height, dy), axis(pad_x, width, dx)]);
            let mut case = with_mode(capped(case, MANY_MULTIPLY_ADDS), mode);
            for axis in 1..3 {
                case.dilation[axis] = case.dilation[axis].min(case.output()[axis]);
            }
            case
        },
    )
}

/// Zeros half of the time.
fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        3 => Just(Mode::Zeros), 1 => Just(Mode::Reflect), 1 => Just(Mode::Replicate), 1 => Just(Mode::Circular)
    ]
}

/// The case with other padding, cut down to what is defined for its input; the input grows instead
/// where the kernel would not fit any more.
fn with_mode(mut case: ConvCase, mode: Mode) -> ConvCase {
    case.mode = mode;
    for axis in 0..3 {
        let input = case.input[axis];
        case.padding[axis] = case.padding[axis].map(|padding| padding.min(mode.limit(input)));
        let extent = case.dilation[axis] * (case.kernel[axis] - 1) + 1;
        let padding = case.padding[axis][0] + case.padding[axis][1];
        case.input[axis] = input.max(extent.saturating_sub(padding));
    }
    case
}

fn small_conv_case(rank: usize) -> impl Strategy<Value = ConvCase> {
    let groups = prop_oneof![7 => Just(1), 2 => Just(2), 1 => 3..=6_usize];
    let group_in = prop_oneof![3 => Just(1), 3 => 2..=3_usize, 2 => 4..=9_usize, 1 => 10..=40_usize];
    let group_out =
        prop_oneof![3 => Just(1), 2 => 2..=5_usize, 2 => 6..=7_usize, 1 => 11..=13_usize, 1 => 8..=20_usize];
    (batch(), groups, group_in, group_out, axes(rank, few_positions(rank))).prop_map(
        |(batch, groups, group_in, group_out, axes)| {
            let channels = [groups * group_in, groups * group_out];
            capped(case(batch, channels, groups, axes), FEW_MULTIPLY_ADDS)
        },
    )
}

/// Sums of more products than a block has, in the forward pass and the gradient of the weight or in
/// the gradient of the input: many of them, or over several images.
fn large_conv_case(rank: usize) -> impl Strategy<Value = ConvCase> {
    let images = prop_oneof![
        (Just(1), axes(rank, many_positions(rank))),
        (2..=3_usize, axes(rank, few_positions(rank))),
    ];
    (any::<bool>(), 257..=300_usize, 1..=8_usize, images).prop_map(|(deep, many, few, (batch, axes))| {
        let taps = axes.iter().map(|axis| axis.kernel).product();
        let channels = if deep { [many.div_ceil(taps), few] } else { [1, many] };
        capped(case(batch, channels, 1, axes), MANY_MULTIPLY_ADDS)
    })
}

fn case(batch: usize, [in_channels, out_channels]: [usize; 2], groups: usize, axes: [Axis; 3]) -> ConvCase {
    ConvCase {
        batch,
        in_channels,
        out_channels,
        groups,
        input: axes.map(|axis| axis.input),
        kernel: axes.map(|axis| axis.kernel),
        stride: axes.map(|axis| axis.stride),
        padding: axes.map(|axis| axis.padding),
        mode: Mode::Zeros,
        dilation: axes.map(|axis| axis.dilation),
    }
}

/// Takes images, groups and channels away until the case is small enough or has none to spare.
fn capped(mut case: ConvCase, multiply_adds: usize) -> ConvCase {
    while case.multiply_adds() > multiply_adds {
        let (group_in, group_out) = (case.in_channels / case.groups, case.out_channels / case.groups);
        if case.batch > 1 {
            case.batch = 1;
        } else if case.groups > 1 {
            (case.groups, case.in_channels, case.out_channels) = (1, group_in, group_out);
        } else if group_in.max(group_out) == 1 {
            break;
        } else if group_out > group_in {
            case.out_channels = group_out / 2;
        } else {
            case.in_channels = group_in / 2;
        }
    }
    case
}

/// Valid transposed convolutions of rank 1, 2 or 3: the sizes of a convolution, its positions taken
/// as inputs, of padding at most what leaves an output.
pub fn transpose_case(rank: usize) -> impl Strategy<Value = TransposeCase> {
    let sizes = prop_oneof![39 => small_conv_case(rank), 1 => large_conv_case(rank)];
    (sizes, [0..5_usize, 0..5, 0..5]).prop_map(|(conv, more)| {
        let mut case = TransposeCase {
            batch: conv.batch,
            in_channels: conv.in_channels,
            out_channels: conv.out_channels,
            groups: conv.groups,
            input: conv.output(),
            kernel: conv.kernel,
            stride: conv.stride,
            padding: [[0; 2]; 3],
            output_padding: [0, 1, 2].map(|axis| more[axis] % conv.stride[axis].max(conv.dilation[axis])),
            dilation: conv.dilation,
        };
        for (axis, uncropped) in case.output().into_iter().enumerate() {
            let [before, after] = conv.padding[axis];
            let before = before.min(uncropped - 1);
            case.padding[axis] = [before, after.min(uncropped - 1 - before)];
        }
        case
    })
}

/// Valid max poolings of rank 1, 2 or 3: some that cut the input into tiles, and others, dilated and
/// with padding, which mostly is at most half the window.
pub fn max_pool_case(rank: usize) -> impl Strategy<Value = PoolCase> {
    let axes = prop_oneof![
        6 => axes(rank, few_positions(rank)),
        1 => axes(rank, many_positions(rank)),
        3 => tiles(rank),
    ];
    pool_case(axes.boxed())
}

fn pool_case(axes: BoxedStrategy<[Axis; 3]>) -> impl Strategy<Value = PoolCase> {
    let seldom = || prop_oneof![3 => Just(false), 1 => Just(true)];
    let options = (any::<bool>(), seldom(), seldom());
    (batch(), 1..=4_usize, options, axes).prop_map(|(batch, channels, options, axes)| {
        let (count_include_pad, ceil_mode, much_padding) = options;
        let axes = axes.map(|axis| {
            let most = if much_padding { usize::MAX } else { axis.kernel / 2 };
            let padding = axis.padding.map(|pad| pad.min(most));
            // Padding that was cut leaves the window less to slide over.
            let extent = axis.dilation * (axis.kernel - 1) + 1;
            let input = axis.input.max(extent.saturating_sub(padding[0] + padding[1]));
            Axis { input, padding, ..axis }
        });
        PoolCase {
            batch,
            channels,
            input: axes.map(|axis| axis.input),
            window: axes.map(|axis| axis.kernel),
            stride: axes.map(|axis| axis.stride),
            padding: axes.map(|axis| axis.padding),
            dilation: axes.map(|axis| axis.dilation),
            count_include_pad,
            ceil_mode,
            divisor: None,
            adaptive: None,
        }
    })
}

/// Axes on which windows of one size lie side by side, as in most networks.
fn tiles(rank: usize) -> impl Strategy<Value = [Axis; 3]> {
    let size = prop_oneof![3 => Just(2), 1 => 3..=4_usize];
    let positions = few_positions(rank);
    let positions = [positions.clone(), positions.clone(), positions];
    (size, positions, [0..4_usize, 0..4, 0..4]).prop_map(move |(size, positions, slack)| {
        let mut axes = [0, 1, 2].map(|i| Axis::new((size, size, 1), [0; 2], positions[i], slack[i]));
        axes[..3 - rank].fill(TRIVIAL);
        axes
    })
}

/// Valid average poolings: as [`max_pool_case`], and some with a divisor.
pub fn average_pool_case(rank: usize) -> impl Strategy<Value = PoolCase> {
    with_divisor(max_pool_case(rank))
}

/// Valid average poolings whose windows have many values: more than one chain, more than one block of a row, and
/// rows that lie together.
pub fn long_pool_case(rank: usize) -> impl Strategy<Value = PoolCase> {
    let kernel = prop_oneof![2 => 1..=4_usize, 3 => 5..=40_usize, 1 => 500..=1100_usize];
    let step = || prop_oneof![3 => Just(1), 1 => 2..=3_usize];
    let pad = || prop_oneof![2 => Just(0), 1 => 1..=40_usize, 1 => 400..=1200_usize];
    let positions = prop_oneof![2 => Just(1), 3 => 2..=5_usize, 2 => 15..=20_usize];
    let axis = move || {
        ((kernel.clone(), step(), step()), [pad(), pad()], positions.clone(), 0..3_usize)
            .prop_map(|(window, padding, output, slack)| Axis::new(window, padding, output, slack))
    };
    let axes = [axis(), axis(), axis()].prop_map(move |mut axes| {
        axes[..3 - rank].fill(TRIVIAL);
        // One long axis is enough, and the others only where they do not make too many taps.
        for axis in axes.iter_mut().take(2).skip(3 - rank) {
            let Axis { kernel, stride, dilation, padding, .. } = *axis;
            *axis = Axis::new((kernel.min(5), stride, dilation), padding.map(|pad| pad.min(2)), 2, 0);
        }
        let taps = |axis: &Axis| axis.kernel * (axis.input + axis.padding[0] + axis.padding[1]);
        for i in 0..2 {
            // More than 2^32 where all three are long.
            if axes.iter().map(taps).fold(1, usize::saturating_mul) > 1 << 20 {
                axes[i] = TRIVIAL;
            }
        }
        axes
    });
    let few = |case: PoolCase| PoolCase { batch: 1, channels: case.channels.min(2), ..case };
    with_divisor(pool_case(axes.boxed()).prop_map(few))
}

fn with_divisor(cases: impl Strategy<Value = PoolCase>) -> impl Strategy<Value = PoolCase> {
    let divisor = prop_oneof![5 => Just(None), 1 => (1..=20_usize).prop_map(Some)];
    (cases, divisor).prop_map(|(case, divisor)| PoolCase { divisor, ..case })
}

/// Poolings that adapt to the size of their output: a divisor of the input's on a third of the axes,
/// and on a few more than the input's.
pub fn adaptive_pool_case(rank: usize) -> impl Strategy<Value = PoolCase> {
    let axis = || {
        let output = prop_oneof![2 => Just(1), 5 => 2..=7_usize, 1 => 8..=20_usize];
        (output, 1..=4_usize, 1..=20_usize, 0..3_usize)
            .prop_map(|(output, times, input, kind)| (if kind == 0 { output * times } else { input }, output))
    };
    (batch(), 1..=3_usize, [axis(), axis(), axis()]).prop_map(move |(batch, channels, mut axes)| {
        axes[..3 - rank].fill((1, 1));
        if rank == 3 {
            axes = axes.map(|(input, output)| (input.min(8), output.min(8)));
        }
        PoolCase {
            batch,
            channels,
            input: axes.map(|axis| axis.0),
            window: [1; 3],
            stride: [1; 3],
            padding: [[0; 2]; 3],
            dilation: [1; 3],
            count_include_pad: true,
            ceil_mode: false,
            divisor: None,
            adaptive: Some(axes.map(|axis| axis.1)),
        }
    })
}

/// Linear layers: few and many inputs, outputs around the height of a tile.
pub fn linear_case() -> impl Strategy<Value = ConvCase> {
    let features = || prop_oneof![1 => Just(1), 4 => 2..=20_usize, 2 => 21..=90_usize, 1 => 250..=300_usize];
    let batch = prop_oneof![1 => Just(0), 4 => Just(1), 4 => 2..=7_usize, 1 => 8..=35_usize];
    (batch, features(), features())
        .prop_map(|(batch, inputs, outputs)| ConvCase::linear(batch, inputs, outputs))
}

/// Sizes that nobody sends by accident.
pub fn hostile_size() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0..=3_usize,
        2 => 4..=40_usize,
        1 => (0..usize::BITS).prop_map(|bit| 1 << bit),
        1 => (0..usize::BITS).prop_map(|bit| (1 << bit) - 1),
        2 => (0..3_usize).prop_map(|below| usize::MAX - below),
        1 => any::<usize>(),
    ]
}

/// Convolutions of any sizes at all; the oracle must not be asked about them.
pub fn hostile_conv_case(rank: usize) -> impl Strategy<Value = ConvCase> {
    let size = hostile_size;
    let channels = (size(), size(), size(), size(), mode());
    let axis = || (size(), size(), size(), [size(), size()], size());
    (channels, [axis(), axis(), axis()]).prop_map(
        move |((batch, in_channels, out_channels, groups, mode), mut axes)| {
            axes[..3 - rank].fill((1, 1, 1, [0; 2], 1));
            ConvCase {
                batch,
                in_channels,
                out_channels,
                groups,
                input: axes.map(|axis| axis.0),
                kernel: axes.map(|axis| axis.1),
                stride: axes.map(|axis| axis.2),
                padding: axes.map(|axis| axis.3),
                mode,
                dilation: axes.map(|axis| axis.4),
            }
        },
    )
}

/// A valid case of which a few sizes are replaced by hostile ones: the operands often stay small, so
/// what can be planned can be run as well.
pub fn partly_hostile_conv_case(rank: usize) -> impl Strategy<Value = ConvCase> {
    let sizes = [hostile_size(), hostile_size(), hostile_size()];
    (conv_case(rank), 3 - rank..3, 0..6, sizes).prop_map(|(mut case, axis, which, [a, b, c])| {
        match which {
            0 => (case.stride[axis], case.padding[axis]) = (a, [b, c]),
            1 => (case.stride[axis], case.padding[axis]) = (a, [a, a.wrapping_add(b)]),
            2 => (case.dilation[axis], case.padding[axis]) = (a, [b, a]),
            3 => (case.dilation[axis], case.stride[axis]) = (a, b),
            4 => (case.batch, case.groups) = (a, b),
            _ => case.stride[axis] = a,
        }
        case
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::{cases, for_all};

    #[test]
    fn integers_add_up_exactly() {
        for rank in 1..=3 {
            for_all(cases(1000), conv_case(rank), |case| assert!(sums_of_integers_are_exact(&case)));
            for_all(cases(200), long_conv_case(rank), |case| {
                assert!(sums_of_integers_are_exact(&case) && case.grad_weight_products() > 2048);
            });
        }
        // A corner that 270 channels see through 27 rows and 12 columns of its copies.
        let axes = [TRIVIAL, Axis::new((3, 1, 1), [0, 9], 10, 10), Axis::new((3, 1, 1), [0, 3], 4, 4)];
        let corner = case(2, [1, 270], 1, axes);
        assert_eq!((corner.input, corner.output()), ([1, 3, 3], [1, 10, 4]));
        assert!(sums_of_integers_are_exact(&corner));
        assert!(!sums_of_integers_are_exact(&with_mode(corner, Mode::Replicate)));
    }

    #[test]
    fn windows_fit() {
        for rank in 1..=3 {
            let cases = cases(1000);
            for_all(cases, conv_case(rank), |case| assert!(!case.output().contains(&0)));
            for_all(cases, max_pool_case(rank), |case| assert!(!case.output().contains(&0)));
            for_all(cases, average_pool_case(rank), |case| assert!(!case.output().contains(&0)));
            for_all(cases, long_pool_case(rank), |case| assert!(!case.output().contains(&0)));
        }
    }
}

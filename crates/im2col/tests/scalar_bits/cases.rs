//! The cases: layers of all kinds, losses and networks.
//!
//! Nothing here needs `std` or an allocator, so that firmware can include this file: memory is one slice.

mod case;

pub(crate) use case::{Computed, hash};

use case::{activations, case, convolution, linear, losses, network, pool, transposed_convolution};
use im2col::lenet::{LENET, LENET_RELU};
use im2col::{Activation, ConvParams, Layer, LinearParams, Padding, PaddingMode, PoolParams};

/// How many values of memory [`layers`] needs.
pub(crate) const LAYERS_LEN: usize = 1 << 18;
/// How many values of memory [`networks`] needs for a batch of one, and for a batch of 16.
pub(crate) const NETWORKS_LEN: [usize; 2] = [1 << 18, 1 << 19];

/// What is told of each result.
type Tell<'a> = &'a mut dyn FnMut(Computed<'_>);

/// Name, batch, size of the input and convolution.
type Conv<const D: usize> = (&'static str, usize, [usize; D], ConvParams<D>);

const CONV_1D: [Conv<1>; 3] = [
    ("conv 1d", 2, [37], ConvParams::new(3, 5, [4]).with_padding([2])),
    (
        "conv 1d, strided and dilated",
        3,
        [61],
        ConvParams::new(4, 18, [3]).with_stride([3]).with_dilation([2]),
    ),
    ("conv 1d, a long line", 1, [5000], ConvParams::new(1, 2, [7]).with_padding_rule(Padding::SameUpper)),
];

const CONV_2D: [Conv<2>; 12] = [
    (
        "conv 3x3",
        2,
        [14, 13],
        ConvParams::new(8, 20, [3, 3]).with_padding([1, 1]).with_activation(Activation::Relu),
    ),
    (
        "conv 5x5, one channel",
        1,
        [28, 28],
        ConvParams::new(1, 6, [5, 5]).with_padding([2, 2]).with_activation(Activation::Sigmoid),
    ),
    (
        "conv 3x3, many channels",
        1,
        [6, 6],
        ConvParams::new(300, 5, [3, 3]).with_bias(false).with_activation(Activation::Tanh),
    ),
    (
        "conv 3x2, strided, circular",
        2,
        [11, 12],
        ConvParams::new(3, 17, [3, 2])
            .with_stride([2, 3])
            .with_padding([2, 1])
            .with_padding_mode(PaddingMode::Circular),
    ),
    (
        "conv 3x3, reflect",
        1,
        [9, 21],
        ConvParams::new(2, 7, [3, 3]).with_padding([2, 2]).with_padding_mode(PaddingMode::Reflect),
    ),
    (
        "conv 3x3, dilated, replicate",
        1,
        [17, 9],
        ConvParams::new(2, 16, [3, 3])
            .with_dilation([3, 2])
            .with_padding([4, 5])
            .with_padding_mode(PaddingMode::Replicate),
    ),
    (
        "conv 2x4 in groups, full padding",
        2,
        [8, 9],
        ConvParams::new(6, 9, [2, 4]).with_groups(3).with_padding_rule(Padding::Full),
    ),
    ("conv 3x3, depthwise", 2, [15, 18], ConvParams::new(5, 5, [3, 3]).with_groups(5).with_padding([1, 1])),
    (
        "conv 5x5, depthwise, stride 2",
        1,
        [19, 20],
        ConvParams::new(3, 3, [5, 5]).with_groups(3).with_padding([2, 2]).with_stride([2, 2]),
    ),
    ("conv 1x1", 2, [9, 9], ConvParams::new(37, 40, [1, 1])),
    ("conv 1x1, strided", 1, [12, 12], ConvParams::new(16, 33, [1, 1]).with_stride([2, 2])),
    (
        "conv 2x2, a large plane",
        2,
        [64, 66],
        ConvParams::new(1, 3, [2, 2]).with_padding_rule(Padding::SameLower),
    ),
];

const CONV_3D: [Conv<3>; 2] = [
    (
        "conv 3d",
        2,
        [5, 6, 7],
        ConvParams::new(2, 6, [3, 2, 3]).with_padding([1, 1, 2]).with_stride([1, 2, 1]).with_groups(2),
    ),
    (
        "conv 3d, dilated",
        1,
        [4, 7, 8],
        ConvParams::new(3, 4, [2, 3, 3]).with_dilation([2, 1, 1]).with_padding([1, 1, 1]),
    ),
];

const TRANSPOSED_1D: [Conv<1>; 1] = [(
    "conv transpose 1d",
    2,
    [13],
    ConvParams::new(4, 3, [5]).with_stride([3]).with_output_padding([1]).with_padding([1]),
)];

const TRANSPOSED_2D: [Conv<2>; 2] = [
    ("conv transpose 4x4", 2, [8, 9], ConvParams::new(8, 4, [4, 4]).with_stride([2, 2]).with_padding([1, 1])),
    (
        "conv transpose 3x2 in groups, dilated",
        1,
        [7, 6],
        ConvParams::new(6, 8, [3, 2]).with_groups(2).with_dilation([2, 3]).with_activation(Activation::Tanh),
    ),
];

const TRANSPOSED_3D: [Conv<3>; 1] = [(
    "conv transpose 3d",
    1,
    [3, 4, 5],
    ConvParams::new(2, 3, [3, 2, 2]).with_stride([2, 1, 2]).with_bias(false),
)];

/// Name, size of the input and pool.
type Pool<const D: usize> = (&'static str, [usize; D], PoolParams<D>);

const POOLS_1D: [Pool<1>; 2] = [
    ("average pool of 100", [1000], PoolParams::average([100]).with_stride([50])),
    ("global average of a line", [3001], PoolParams::global_average()),
];

const POOLS_2D: [Pool<2>; 8] = [
    ("average pool 2x2", [28, 28], PoolParams::average([2, 2])),
    (
        "average pool 3x2, padded",
        [13, 17],
        PoolParams::average([3, 2]).with_stride([2, 1]).with_padding([1, 1]).with_count_include_pad(false),
    ),
    (
        "average pool 7x9, overlapping",
        [20, 41],
        PoolParams::average([7, 9]).with_stride([2, 3]).with_ceil_mode(true),
    ),
    ("adaptive average pool", [10, 11], PoolParams::adaptive_average([3, 4])),
    ("global average of a plane", [33, 65], PoolParams::global_average()),
    ("max pool 2x2", [28, 28], PoolParams::max([2, 2])),
    ("max pool 3x3", [15, 37], PoolParams::max([3, 3]).with_stride([2, 2]).with_padding([1, 1])),
    ("max pool 2x3, dilated", [14, 16], PoolParams::max([2, 3]).with_stride([1, 2]).with_dilation([3, 2])),
];

const POOLS_3D: [Pool<3>; 1] = [("average pool 3d", [6, 9, 8], PoolParams::average([2, 3, 2]))];

/// Name, batch and layer.
const LINEAR: [(&str, usize, LinearParams); 4] = [
    ("linear 400 to 120, one image", 1, LinearParams::new(400, 120).with_activation(Activation::Sigmoid)),
    ("linear 84 to 10, three images", 3, LinearParams::new(84, 10)),
    ("linear 70 to 33, 17 images", 17, LinearParams::new(70, 33).with_activation(Activation::Tanh)),
    ("linear 3000 to 2, five images", 5, LinearParams::new(3000, 2).with_activation(Activation::Relu)),
];

/// What LeNet has not: groups, strides, padding that shows the input, maxima that overlap, means with padding.
const ODD: [Layer; 9] = [
    Layer::Conv(ConvParams::new(2, 6, [3, 2]).with_padding([2, 1]).with_padding_mode(PaddingMode::Reflect)),
    Layer::Activation(Activation::Tanh),
    Layer::Pool(PoolParams::max([3, 3]).with_stride([1, 2])),
    Layer::Conv(ConvParams::new(6, 8, [3, 4]).with_stride([2, 1]).with_padding([1, 2]).with_groups(2)),
    Layer::Pool(PoolParams::average([2, 2]).with_stride([1, 1]).with_padding([1, 0])),
    Layer::Activation(Activation::Sigmoid),
    Layer::Pool(PoolParams::adaptive_average([3, 2])),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(48, 7)),
];

/// All layers, the losses and the activations, on [`LAYERS_LEN`] values of memory.
pub(crate) fn layers(memory: &mut [f32], tell: Tell<'_>) {
    convolutions(memory, tell, &CONV_1D);
    convolutions(memory, tell, &CONV_2D);
    convolutions(memory, tell, &CONV_3D);
    transposed_convolutions(memory, tell, &TRANSPOSED_1D);
    transposed_convolutions(memory, tell, &TRANSPOSED_2D);
    transposed_convolutions(memory, tell, &TRANSPOSED_3D);
    pools(memory, tell, &POOLS_1D);
    pools(memory, tell, &POOLS_2D);
    pools(memory, tell, &POOLS_3D);
    for (name, batch, params) in LINEAR {
        case(memory, tell, name, |case| linear(case, params, batch));
    }
    for (name, activation) in
        [("relu", Activation::Relu), ("sigmoid", Activation::Sigmoid), ("tanh", Activation::Tanh)]
    {
        case(memory, tell, name, |case| activations(case, activation));
    }
    for (name, classes, positions) in
        [("10 classes", 10, 1), ("300 classes", 300, 1), ("19 classes at 21 positions", 19, 21)]
    {
        case(memory, tell, name, |case| losses(case, classes, positions));
    }
}

fn convolutions<const D: usize>(memory: &mut [f32], tell: Tell<'_>, convs: &[Conv<D>]) {
    for &(name, batch, dims, params) in convs {
        case(memory, tell, name, |case| convolution(case, params, batch, dims));
    }
}

fn transposed_convolutions<const D: usize>(memory: &mut [f32], tell: Tell<'_>, convs: &[Conv<D>]) {
    for &(name, batch, dims, params) in convs {
        case(memory, tell, name, |case| transposed_convolution(case, params, batch, dims));
    }
}

fn pools<const D: usize>(memory: &mut [f32], tell: Tell<'_>, pools: &[Pool<D>]) {
    for &(name, dims, params) in pools {
        case(memory, tell, name, |case| pool(case, params, dims));
    }
}

/// Inference and the gradients of a training step of three networks, for a batch of one and, interleaved, of 16, if it
/// fits into the memory: [`NETWORKS_LEN`].
pub(crate) fn networks(memory: &mut [f32], tell: Tell<'_>) {
    let names = ["lenet", "lenet with relu", "odd network"];
    let names_of_16 = ["lenet, 16 images", "lenet with relu, 16 images", "odd network, 16 images"];
    for ([lenet, relu, odd], batch, len) in [(names, 1, NETWORKS_LEN[0]), (names_of_16, 16, NETWORKS_LEN[1])]
    {
        let Some(memory) = memory.get_mut(..len) else { return };
        case(memory, tell, lenet, |case| network(case, LENET, [1, 28, 28], batch));
        case(memory, tell, relu, |case| network(case, LENET_RELU, [1, 28, 28], batch));
        case(memory, tell, odd, |case| network(case, ODD, [2, 11, 13], batch));
    }
}

//! The shapes that everything is measured on: layers of networks that people run.

use crate::ConvShape;
use im2col::PoolParams;

/// Convolutions: LeNet one image and in batches, two small ones, ResNet-50, VGG, the depthwise
/// layers of MobileNet, a dilated one, and one over a single axis.
pub const CONVOLUTIONS: [(&str, ConvShape); 24] = [
    ("lenet1_n1", lenet1(1)),
    ("lenet1_n64", lenet1(64)),
    ("lenet1_n256", lenet1(256)),
    ("lenet2_n1", lenet2(1)),
    ("lenet2_n64", lenet2(64)),
    ("lenet2_n256", lenet2(256)),
    ("tiny_3x3_8_16", same_3x3(8, 16, 16)),
    ("c5x5_32_28", ConvShape::new(1, [32, 28, 28], 64, [5, 5]).padding([2, 2])),
    ("rn50_conv1_7x7s2", ConvShape::new(1, [3, 224, 224], 64, [7, 7]).stride([2, 2]).padding([3, 3])),
    ("rn50_3x3_64_56", same_3x3(64, 56, 64)),
    ("rn50_3x3_128_28", same_3x3(128, 28, 128)),
    ("rn50_3x3_256_14", same_3x3(256, 14, 256)),
    ("rn50_3x3_512_7", same_3x3(512, 7, 512)),
    ("rn50_1x1_64_256_56", pointwise(64, 56, 256)),
    ("rn50_1x1_256_64_56", pointwise(256, 56, 64)),
    ("rn50_1x1_1024_256_14", pointwise(1024, 14, 256)),
    ("rn50_1x1_512_2048_7", pointwise(512, 7, 2048)),
    ("rn50_1x1s2_256_512_56", pointwise(256, 56, 512).stride([2, 2])),
    ("vgg_3x3_64_224", same_3x3(64, 224, 64)),
    ("mb_dw3x3_32_112", same_3x3(32, 112, 32).groups(32)),
    ("mb_dw3x3_512_14", same_3x3(512, 14, 512).groups(512)),
    ("mb_dw3x3s2_64_112", same_3x3(64, 112, 64).groups(64).stride([2, 2])),
    ("dil2_3x3_256_32", same_3x3(256, 32, 256).padding([2, 2]).dilation([2, 2])),
    ("conv1d_k9_64_16000", ConvShape::new(1, [64, 1, 16_000], 64, [1, 9]).padding([0, 4])),
];

const fn lenet1(batch: usize) -> ConvShape {
    ConvShape::new(batch, [1, 28, 28], 6, [5, 5]).padding([2, 2])
}

const fn lenet2(batch: usize) -> ConvShape {
    ConvShape::new(batch, [6, 14, 14], 16, [5, 5])
}

const fn same_3x3(in_channels: usize, side: usize, out_channels: usize) -> ConvShape {
    ConvShape::new(1, [in_channels, side, side], out_channels, [3, 3]).padding([1, 1])
}

const fn pointwise(in_channels: usize, side: usize, out_channels: usize) -> ConvShape {
    ConvShape::new(1, [in_channels, side, side], out_channels, [1, 1])
}

/// A pooling layer over `batch` images of `channels` planes.
#[derive(Clone, Copy, Debug)]
pub struct PoolShape {
    /// Window, stride and padding.
    pub params: PoolParams<2>,
    /// Images.
    pub batch: usize,
    /// Planes of an image.
    pub channels: usize,
    /// Height and width of an input plane.
    pub input: [usize; 2],
}

/// Pooling: VGG's, ResNet's, and LeNet's first.
pub const POOLS: [(&str, PoolShape); 3] = [
    ("max2x2s2_64_112", pool(PoolParams::max([2, 2]), 1, 64, 112)),
    ("max3x3s2p1_64_112", pool(PoolParams::max([3, 3]).with_stride([2, 2]).with_padding([1, 1]), 1, 64, 112)),
    ("avg2x2s2_256x6_28", pool(PoolParams::average([2, 2]), 256, 6, 28)),
];

const fn pool(params: PoolParams<2>, batch: usize, channels: usize, side: usize) -> PoolShape {
    PoolShape { params, batch, channels, input: [side, side] }
}

// error: layer 3 takes 100 channels or features and is given 128
#![no_std]

use im2col::{ConvParams, Layer, LinearParams, Network, planned};

pub const NETWORK: Network<4> = planned!(Network::plan(
    [
        Layer::Conv(ConvParams::new(1, 8, [3, 3]).with_padding([1, 1])),
        Layer::Conv(ConvParams::new(8, 8, [3, 3]).with_padding([1, 1]).with_stride([2, 2])),
        Layer::Flatten,
        Layer::Linear(LinearParams::new(100, 3)),
    ],
    1,
    [1, 8, 8]
));

// error: layer 1: axis 0: the dilated kernel spans 9, the padded input has 4
#![no_std]

use im2col::{ConvParams, Layer, Network, planned};

pub const NETWORK: Network<2> = planned!(Network::plan(
    [
        Layer::Conv(ConvParams::new(1, 8, [3, 3]).with_stride([2, 2]).with_padding([1, 1])),
        Layer::Conv(ConvParams::new(8, 8, [9, 3])),
    ],
    1,
    [1, 8, 8]
));

//! LeNet, the convolutional network for handwritten digits: Y. LeCun, L. Bottou, Y. Bengio,
//! P. Haffner: Gradient-Based Learning Applied to Document Recognition (1998), without the Gaussian
//! activation of its last layer.
//!
//! For images of `[1, 28, 28]`. Space shrinks while channels grow, and a small multilayer perceptron
//! reads what is left:
//!
//! ```
//! use im2col::{Network, lenet::LENET, planned};
//!
//! const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));
//!
//! let table: [(&str, &[usize]); 12] = [
//!     ("Conv2d", &[1, 6, 28, 28]),
//!     ("Sigmoid", &[1, 6, 28, 28]),
//!     ("AvgPool2d", &[1, 6, 14, 14]),
//!     ("Conv2d", &[1, 16, 10, 10]),
//!     ("Sigmoid", &[1, 16, 10, 10]),
//!     ("AvgPool2d", &[1, 16, 5, 5]),
//!     ("Flatten", &[1, 400]),
//!     ("Linear", &[1, 120]),
//!     ("Sigmoid", &[1, 120]),
//!     ("Linear", &[1, 84]),
//!     ("Sigmoid", &[1, 84]),
//!     ("Linear", &[1, 10]),
//! ];
//! for (layer, (name, output_dims)) in NETWORK.layers().zip(table) {
//!     assert_eq!((layer.name, layer.output_dims()), (name, output_dims));
//! }
//! assert_eq!(NETWORK.param_len(), 61_706);
//! ```

use crate::activation::Activation;
use crate::conv::ConvParams;
use crate::linear::LinearParams;
use crate::network::Layer;
use crate::pool::PoolParams;

/// The lecture's network: sigmoid and average pooling.
pub const LENET: [Layer; 12] = [
    Layer::Conv(ConvParams::new(1, 6, [5, 5]).with_padding([2, 2])),
    Layer::Activation(Activation::Sigmoid),
    Layer::Pool(PoolParams::average([2, 2])),
    Layer::Conv(ConvParams::new(6, 16, [5, 5])),
    Layer::Activation(Activation::Sigmoid),
    Layer::Pool(PoolParams::average([2, 2])),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(16 * 5 * 5, 120)),
    Layer::Activation(Activation::Sigmoid),
    Layer::Linear(LinearParams::new(120, 84)),
    Layer::Activation(Activation::Sigmoid),
    Layer::Linear(LinearParams::new(84, 10)),
];

/// The same network as it is built today: ReLU and maximum pooling. It learns in a fraction of the
/// time.
pub const LENET_RELU: [Layer; 12] = [
    Layer::Conv(ConvParams::new(1, 6, [5, 5]).with_padding([2, 2])),
    Layer::Activation(Activation::Relu),
    Layer::Pool(PoolParams::max([2, 2])),
    Layer::Conv(ConvParams::new(6, 16, [5, 5])),
    Layer::Activation(Activation::Relu),
    Layer::Pool(PoolParams::max([2, 2])),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(16 * 5 * 5, 120)),
    Layer::Activation(Activation::Relu),
    Layer::Linear(LinearParams::new(120, 84)),
    Layer::Activation(Activation::Relu),
    Layer::Linear(LinearParams::new(84, 10)),
];

//! Networks and their layers, under limits.

use im2col::lenet::{LENET, LENET_RELU};
use im2col::{Activation, ConvParams, Layer, LinearParams, Network, PoolParams, ShapeError};
use std::fmt::Write;

const CONV: Layer = Layer::Conv(ConvParams::new(2, 5, [3, 3]).with_padding([1, 1]));
const WIDE: Layer = Layer::Conv(ConvParams::new(5, 40, [3, 3]).with_stride([2, 1]));
const POOL: Layer = Layer::Pool(PoolParams::max([2, 2]));
const TANH: Layer = Layer::Activation(Activation::Tanh);
const LINEAR: Layer = Layer::Linear(LinearParams::new(2 * 5 * 6, 70));
/// More than 2^17 parameters: images are not interleaved.
const LARGE: Layer = Layer::Linear(LinearParams::new(70, 2000));

pub(super) fn lines(lines: &mut Vec<String>) {
    for batch in [0, 1, 3, 8, 40, 300] {
        add(lines, "lenet", Network::plan(LENET, batch, [1, 28, 28]));
        add(lines, "lenet of today", Network::plan(LENET_RELU, batch, [1, 28, 28]));
        add(lines, "convolutions", Network::plan([CONV, TANH, WIDE, POOL, TANH], batch, [2, 11, 13]));
        add(lines, "pooling first", Network::plan([POOL, CONV, POOL, POOL], batch, [2, 26, 19]));
        add(lines, "flat", Network::plan([Layer::Flatten, TANH, LINEAR, LARGE, TANH], batch, [2, 5, 6]));
        add(lines, "no parameters", Network::plan([POOL, TANH, Layer::Flatten], batch, [3, 8, 8]));
    }
}

fn add<const L: usize>(lines: &mut Vec<String>, name: &str, network: Result<Network<L>, ShapeError>) {
    let network = network.unwrap();
    let mut line = format!(
        "{name} of {}: lengths {} {}, parameters {}, packed {} ({}), workspace {};",
        network.batch(),
        network.input_len(),
        network.output_len(),
        network.param_len(),
        network.packed_weight_len(),
        network.reads_packed_weights(),
        network.workspace_len(),
    );
    let (scratch, train) = (network.scratch_len(), network.train_scratch_len());
    let (least, least_train) = (network.least_scratch_len(), network.least_train_scratch_len());
    write!(line, " scratch {scratch} {least}, training {train} {least_train}").unwrap();
    for limit in [scratch.saturating_sub(1), scratch / 2, least + 2000, least + 100, least] {
        match network.with_scratch_limit(limit) {
            Ok(limited) => {
                write!(line, "; {limit}: {} {}", limited.scratch_len(), limited.packed_weight_len())
            }
            Err(error) => write!(line, "; {limit}: {error}"),
        }
        .unwrap();
    }
    for limit in [train.saturating_sub(1), train / 2, least_train + 2000, least_train] {
        match network.with_train_scratch_limit(limit) {
            Ok(limited) => {
                write!(line, "; {limit}: {} {}", limited.train_scratch_len(), limited.workspace_len())
            }
            Err(error) => write!(line, "; {limit}: {error}"),
        }
        .unwrap();
    }
    lines.push(line);
    #[cfg(feature = "rayon")]
    lines.push(format!(
        "threads: {}, {}",
        network.with_threads(2).scratch_len(),
        network.with_threads(50).scratch_len()
    ));
    for (index, layer) in network.layers().enumerate() {
        lines.push(format!(
            "  {index} {} {:?} {} {}",
            layer.name,
            layer.output_dims(),
            layer.params,
            layer.multiply_adds
        ));
    }
}

/// A layer that does not take what arrives is named, with both numbers.
#[test]
fn layers_that_do_not_fit() {
    let layer = |layer, required, given| Err(ShapeError::Layer { layer, required, given });
    let plan = |layers: [Layer; 2], dims| Network::plan(layers, 1, dims).map(|_| ());
    assert_eq!(plan([TANH, CONV], [3, 5, 5]), layer(1, 2, 3));
    assert_eq!(plan([LINEAR, TANH], [2, 5, 6]), layer(0, 60, 0));
    assert_eq!(plan([Layer::Flatten, LINEAR], [2, 5, 7]), layer(1, 60, 70));
    assert_eq!(plan([Layer::Flatten, CONV], [2, 5, 7]), layer(1, 2, 0));
    assert_eq!(plan([Layer::Flatten, POOL], [2, 5, 7]), layer(1, 1, 0));
    assert_eq!(plan([TANH, TANH], [2, 0, 7]), Err(ShapeError::Zero { what: "input" }));
    assert_eq!(Network::plan([], 1, [1, 1, 1]).map(|_| ()), Err(ShapeError::Zero { what: "layers" }));
    let overflow = |what| Err(ShapeError::Overflow { what });
    assert_eq!(plan([TANH, TANH], [1 << 32, 1 << 32, 1]), overflow("an image"));
    assert_eq!(Network::plan([TANH], 1 << 32, [1 << 32, 1, 1]).map(|_| ()), overflow("a batch"));
}

//! Layers made from bytes, each of which takes what the one before it gives.

use crate::bytes::Bytes;
use im2col::{Activation, ConvParams, Layer, LinearParams, PaddingMode, PoolKind, PoolParams};

/// Shorter networks end in layers that do nothing.
pub(super) const LAYERS: usize = 6;
/// The most products of a layer, for the whole batch.
const MAX_MULTIPLY_ADDS: usize = 1 << 12;

/// What one image is between two layers: planes, or features as channels of one value.
#[derive(Clone, Copy)]
struct Shape {
    dims: [usize; 3],
    is_flat: bool,
}

/// A network that can be planned, and the size of its input. Unless `is_real`, integers stay integers or become
/// quarters.
pub(super) fn layers(bytes: &mut Bytes<'_>, batch: usize, is_real: bool) -> ([Layer; LAYERS], [usize; 3]) {
    let most = MAX_MULTIPLY_ADDS / batch;
    let side = if batch > 7 { 9 } else { 17 };
    let mut dims = [1 + bytes.below(4), bytes.size(side), bytes.size(side)];
    while dims.iter().product::<usize>() > most / 4 {
        dims[1] = dims[1].div_ceil(2);
        dims[2] = dims[2].div_ceil(2);
    }
    let mut shape = Shape { dims, is_flat: false };
    let mut layers = [Layer::Flatten; LAYERS];
    let len = 1 + bytes.below(LAYERS);
    layers[..len].fill_with(|| layer(bytes, &mut shape, most, is_real));
    if layers.iter().all(|layer| matches!(layer, Layer::Flatten)) {
        layers[0] = Layer::Activation(Activation::Relu);
    }
    (layers, dims)
}

fn layer(bytes: &mut Bytes<'_>, shape: &mut Shape, most: usize, is_real: bool) -> Layer {
    let Shape { dims, is_flat } = *shape;
    match (bytes.below(10), is_flat) {
        (0..6, true) => linear(bytes, shape, most, is_real),
        (0..4, false) => conv(bytes, shape, most, is_real),
        (4..7, false) => pool(bytes, shape, is_real),
        (7, _) => {
            *shape = Shape { dims: [dims.iter().product(), 1, 1], is_flat: true };
            Layer::Flatten
        }
        _ => Layer::Activation(crate::conv::activation(bytes, is_real)),
    }
}

fn linear(bytes: &mut Bytes<'_>, shape: &mut Shape, most: usize, is_real: bool) -> Layer {
    let inputs = shape.dims[0];
    let outputs = bytes.size(40).min(most / inputs).max(1);
    shape.dims = [outputs, 1, 1];
    let linear = LinearParams::new(inputs, outputs).with_bias(bytes.flag());
    Layer::Linear(linear.with_activation(own_activation(bytes, is_real)))
}

/// None in half of the layers.
fn own_activation(bytes: &mut Bytes<'_>, is_real: bool) -> Activation {
    let activation = crate::conv::activation(bytes, is_real);
    if bytes.flag() { activation } else { Activation::Identity }
}

fn conv(bytes: &mut Bytes<'_>, shape: &mut Shape, most: usize, is_real: bool) -> Layer {
    let [channels, height, width] = shape.dims;
    let groups = bytes.pick([1, 1, channels, if channels.is_multiple_of(2) { 2 } else { 1 }]);
    let mut out_group = bytes.size(if groups == 1 { 20 } else { 3 });
    let mode = bytes.pick([
        PaddingMode::Zeros,
        PaddingMode::Zeros,
        PaddingMode::Reflect,
        PaddingMode::Replicate,
        PaddingMode::Circular,
    ]);
    let mut axes = [height, width].map(|len| {
        let limit = if mode == PaddingMode::Reflect { len - 1 } else { len };
        let padding = [bytes.below(3), bytes.below(3)].map(|pad| pad.min(limit));
        let (stride, dilation) = (bytes.pick([1, 1, 2, 3]), bytes.pick([1, 1, 1, 2]));
        let most = (len + padding[0] + padding[1] - 1) / dilation + 1;
        ((1 + bytes.below(5)).min(most), stride, dilation, padding)
    });
    let (has_bias, activation) = (bytes.flag(), own_activation(bytes, is_real));
    loop {
        let params = ConvParams::new(channels, groups * out_group, axes.map(|axis| axis.0))
            .with_stride(axes.map(|axis| axis.1))
            .with_dilation(axes.map(|axis| axis.2))
            .with_padding_per_side(axes.map(|axis| axis.3))
            .with_padding_mode(mode)
            .with_groups(groups)
            .with_bias(has_bias)
            .with_activation(activation);
        let plan = params.plan(1, [height, width]).unwrap();
        if plan.multiply_adds() <= most || (out_group == 1 && axes.iter().all(|axis| axis.0 == 1)) {
            let [height, width] = plan.output_dims();
            shape.dims = [groups * out_group, height, width];
            return Layer::Conv(params);
        }
        if out_group > 1 {
            out_group /= 2;
        } else {
            axes.iter_mut().for_each(|axis| axis.0 = (axis.0 - 1).max(1));
        }
    }
}

fn pool(bytes: &mut Bytes<'_>, shape: &mut Shape, is_real: bool) -> Layer {
    let [channels, height, width] = shape.dims;
    let kind = bytes.pick([PoolKind::Max, PoolKind::Average]);
    let adaptive = [height, width].map(|len| 1 + bytes.below(len + 2));
    let window = [height, width].map(|len| bytes.size(len.min(6)));
    let sliding = PoolParams::new(kind, window)
        .with_stride([bytes.pick([window[0], 1, 2]), bytes.pick([window[1], 1, 3])])
        // Maxima of nothing but padding are infinite, and so would be what follows.
        .with_padding(window.map(|size| bytes.below(size / 2 + 1)))
        .with_ceil_mode(bytes.below(4) == 3)
        .with_count_include_pad(bytes.flag());
    let tiles = PoolParams::new(kind, [height, width].map(|len| len.min(2)));
    let params = match (bytes.below(4), kind) {
        (0, PoolKind::Max) => PoolParams::adaptive_max(adaptive),
        (0, PoolKind::Average) if is_real => PoolParams::adaptive_average(adaptive),
        (1, _) => tiles,
        // Others do not keep quarters.
        (_, PoolKind::Average) if !is_real => tiles,
        _ => sliding,
    };
    let params = if params.plan(1, channels, [height, width]).is_ok() { params } else { tiles };
    let [height, width] = params.plan(1, channels, [height, width]).unwrap().output_dims();
    shape.dims = [channels, height, width];
    Layer::Pool(params)
}

//! A network in `f64`, each layer from its definition, one output at a time.

use im2col::{Activation, ConvParams, Layer, LinearParams, Padding, PoolKind, PoolParams};

/// Values on their way through a network: `[batch, channels, height, width]`; features are channels.
struct Planes {
    batch: usize,
    dims: [usize; 3],
    values: Vec<f64>,
}

impl Planes {
    /// 0 outside, as padding is.
    fn at(&self, n: usize, c: usize, y: Option<usize>, x: Option<usize>) -> Option<f64> {
        let [channels, height, width] = self.dims;
        let (y, x) = (y.filter(|&y| y < height)?, x.filter(|&x| x < width)?);
        Some(self.values[((n * channels + c) * height + y) * width + x])
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { values: self.values.into_iter().map(f).collect(), ..self }
    }

    /// New planes of `[channels, height, width]`, each value from its image and coordinates.
    fn build(&self, dims: [usize; 3], value: impl Fn(usize, [usize; 3]) -> f64) -> Self {
        let [channels, height, width] = dims;
        let mut values = Vec::new();
        for n in 0..self.batch {
            for c in 0..channels {
                for y in 0..height {
                    values.extend((0..width).map(|x| value(n, [c, y, x])));
                }
            }
        }
        Self { batch: self.batch, dims, values }
    }
}

/// The output of the last layer.
pub(crate) fn forward(
    layers: &[Layer],
    input_dims: [usize; 3],
    mut params: &[f64],
    input: &[f64],
) -> Vec<f64> {
    let batch = input.len() / input_dims.iter().product::<usize>();
    let mut planes = Planes { batch, dims: input_dims, values: input.to_vec() };
    for layer in layers {
        planes = match *layer {
            Layer::Conv(conv) => convolve(&planes, conv, &mut params),
            Layer::Pool(pool) => pool_windows(&planes, pool),
            Layer::Linear(linear) => multiply(&planes, linear, &mut params),
            Layer::Activation(activation) => activate(planes, activation),
            Layer::Flatten => Planes { dims: [planes.dims.iter().product(), 1, 1], ..planes },
            _ => panic!("a layer without a definition"),
        };
    }
    assert!(params.is_empty());
    planes.values
}

fn take<'a>(params: &mut &'a [f64], len: usize) -> &'a [f64] {
    let (taken, rest) = params.split_at(len);
    *params = rest;
    taken
}

fn activate(planes: Planes, activation: Activation) -> Planes {
    planes.map(|x| match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    })
}

fn output_size(input: usize, kernel: usize, stride: usize, padding: [usize; 2], dilation: usize) -> usize {
    (input + padding[0] + padding[1] - dilation * (kernel - 1) - 1) / stride + 1
}

fn convolve(input: &Planes, params: ConvParams<2>, values: &mut &[f64]) -> Planes {
    let (in_group, out_group) =
        (params.in_channels() / params.groups(), params.out_channels() / params.groups());
    let ([kernel_h, kernel_w], stride) = (params.kernel(), params.stride());
    let (Padding::PerSide(padding), dilation) = (params.padding(), params.dilation()) else {
        panic!("the reference knows explicit padding only");
    };
    let weight = take(values, params.out_channels() * in_group * kernel_h * kernel_w);
    let bias = take(values, if params.has_bias() { params.out_channels() } else { 0 });
    let height = output_size(input.dims[1], kernel_h, stride[0], padding[0], dilation[0]);
    let width = output_size(input.dims[2], kernel_w, stride[1], padding[1], dilation[1]);
    let sums = input.build([params.out_channels(), height, width], |n, [o, y, x]| {
        let mut sum = bias.get(o).copied().unwrap_or(0.0);
        for c in 0..in_group {
            for ky in 0..kernel_h {
                for kx in 0..kernel_w {
                    let y = (y * stride[0] + ky * dilation[0]).checked_sub(padding[0][0]);
                    let x = (x * stride[1] + kx * dilation[1]).checked_sub(padding[1][0]);
                    let w = weight[((o * in_group + c) * kernel_h + ky) * kernel_w + kx];
                    sum += w * input.at(n, o / out_group * in_group + c, y, x).unwrap_or(0.0);
                }
            }
        }
        sum
    });
    activate(sums, params.activation())
}

fn pool_windows(input: &Planes, params: PoolParams<2>) -> Planes {
    let ([window_h, window_w], stride, padding) = (params.window(), params.stride(), params.padding());
    let height = output_size(input.dims[1], window_h, stride[0], padding[0], 1);
    let width = output_size(input.dims[2], window_w, stride[1], padding[1], 1);
    input.build([input.dims[0], height, width], |n, [c, y, x]| {
        let (mut sum, mut max) = (0.0, f64::NEG_INFINITY);
        for ky in 0..window_h {
            for kx in 0..window_w {
                let y = (y * stride[0] + ky).checked_sub(padding[0][0]);
                let x = (x * stride[1] + kx).checked_sub(padding[1][0]);
                sum += input.at(n, c, y, x).unwrap_or(0.0);
                max = input.at(n, c, y, x).map_or(max, |x| max.max(x));
            }
        }
        match params.kind() {
            PoolKind::Max => max,
            PoolKind::Average => sum / (window_h * window_w) as f64,
        }
    })
}

fn multiply(input: &Planes, params: LinearParams, values: &mut &[f64]) -> Planes {
    let inputs = params.inputs();
    let weight = take(values, params.outputs() * inputs);
    let bias = take(values, if params.has_bias() { params.outputs() } else { 0 });
    let sums = input.build([params.outputs(), 1, 1], |n, [o, _, _]| {
        let products = (0..inputs).map(|i| weight[o * inputs + i] * input.values[n * inputs + i]);
        bias.get(o).copied().unwrap_or(0.0) + products.sum::<f64>()
    });
    activate(sums, params.activation())
}

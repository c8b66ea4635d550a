//! Plans of any sizes.

use crate::bytes::ALGORITHMS;
use crate::hostile::{Random, Size, activation, dim_pairs, dims, probe_lengths};
use arbitrary::{Arbitrary, Unstructured};
use im2col::{
    ConvOperands, ConvParams, ConvPlan, Layer, Layout, LinearOperands, LinearParams, Network, NetworkWeights,
    Pixels, PoolKind, PoolParams, PoolPlan, Weights,
};

const MAX_RUN_LEN: usize = 1 << 10;
const MAX_RUN_MULTIPLY_ADDS: usize = 1 << 12;

#[derive(Arbitrary, Debug)]
struct Conv {
    channels: [Size; 2],
    kernel: [Size; 3],
    stride: [Size; 3],
    padding: [[Size; 2]; 3],
    dilation: [Size; 3],
    groups: Size,
    bias: bool,
    activation: u8,
}

impl Conv {
    fn params<const D: usize>(&self) -> ConvParams<D> {
        ConvParams::new(self.channels[0].get(), self.channels[1].get(), dims(self.kernel))
            .with_stride(dims(self.stride))
            .with_padding_per_side(dim_pairs(self.padding))
            .with_dilation(dims(self.dilation))
            .with_groups(self.groups.get())
            .with_bias(self.bias)
            .with_activation(activation(self.activation))
    }
}

#[derive(Arbitrary, Debug)]
struct Pool {
    max: bool,
    window: [Size; 3],
    stride: [Size; 3],
    padding: [[Size; 2]; 3],
    dilation: [Size; 3],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: Option<Size>,
    adaptive: bool,
}

impl Pool {
    fn params<const D: usize>(&self) -> PoolParams<D> {
        let window = dims(self.window);
        match (self.adaptive, self.max) {
            (true, true) => return PoolParams::adaptive_max(window),
            (true, false) => return PoolParams::adaptive_average(window),
            _ => (),
        }
        let kind = if self.max { PoolKind::Max } else { PoolKind::Average };
        let params = PoolParams::new(kind, window)
            .with_stride(dims(self.stride))
            .with_padding_per_side(dim_pairs(self.padding))
            .with_dilation(dims(self.dilation))
            .with_ceil_mode(self.ceil_mode)
            .with_count_include_pad(self.count_include_pad);
        self.divisor.map_or(params, |divisor| params.with_divisor_override(divisor.get()))
    }
}

#[derive(Arbitrary, Debug)]
struct Linear {
    inputs: Size,
    outputs: Size,
    bias: bool,
    activation: u8,
}

impl Linear {
    fn params(&self) -> LinearParams {
        LinearParams::new(self.inputs.get(), self.outputs.get())
            .with_bias(self.bias)
            .with_activation(activation(self.activation))
    }
}

#[derive(Arbitrary, Debug)]
enum NetworkLayer {
    Conv(Conv),
    Pool(Pool),
    Activation(u8),
    Flatten,
    Linear(Linear),
}

impl NetworkLayer {
    fn layer(&self) -> Layer {
        match self {
            Self::Conv(conv) => Layer::Conv(conv.params()),
            Self::Pool(pool) => Layer::Pool(pool.params()),
            Self::Activation(byte) => Layer::Activation(activation(*byte)),
            Self::Flatten => Layer::Flatten,
            Self::Linear(linear) => Layer::Linear(linear.params()),
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Conv(Conv),
    Pool(Pool, Size),
    Linear(Linear),
    Network([NetworkLayer; 3]),
}

#[derive(Arbitrary, Debug)]
struct Case {
    rank: u8,
    batch: Size,
    input: [Size; 3],
    operation: Operation,
    random: Random,
}

/// Planning a convolution, a pooling, a linear layer or a network never panics and never overflows, whatever the sizes.
/// What is planned small runs on operands of the planned lengths, and on no others.
pub fn plan(data: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let (batch, random) = (case.batch.get(), case.random);
    match &case.operation {
        Operation::Conv(conv) => match case.rank % 3 {
            0 => run_conv(conv.params::<1>().plan(batch, dims(case.input)).ok(), random),
            1 => run_conv(conv.params::<2>().plan(batch, dims(case.input)).ok(), random),
            _ => run_conv(conv.params::<3>().plan(batch, dims(case.input)).ok(), random),
        },
        Operation::Pool(pool, channels) => match case.rank % 3 {
            0 => run_pool(pool.params::<1>().plan(batch, channels.get(), dims(case.input)).ok(), random),
            1 => run_pool(pool.params::<2>().plan(batch, channels.get(), dims(case.input)).ok(), random),
            _ => run_pool(pool.params::<3>().plan(batch, channels.get(), dims(case.input)).ok(), random),
        },
        Operation::Linear(linear) => run_linear(linear.params(), batch, random),
        Operation::Network(layers) => run_network(layers, batch, dims(case.input), random),
    }
}

fn small(lens: &[usize], multiply_adds: usize) -> bool {
    lens.iter().all(|&len| len <= MAX_RUN_LEN) && multiply_adds <= MAX_RUN_MULTIPLY_ADDS
}

fn run_conv<const D: usize>(plan: Option<ConvPlan<D>>, random: Random) {
    let Some(plan) = plan else { return };
    let fitting = ALGORITHMS.map(|algorithm| plan.with_algorithm(algorithm).ok());
    let fitting: Vec<_> = fitting.into_iter().flatten().collect();
    let mut choice = random;
    let Some(plan) = fitting.get(choice.below(fitting.len().max(1))) else { return };
    let (input, weight, bias, output) =
        (plan.input_len(), plan.weight_len(), plan.bias_len(), plan.output_len());
    let (forward, packed, columns) = (plan.scratch_len(), plan.packed_weight_len(), plan.columns_len());
    let (grad_input, grad_weight) = (plan.backward_input_scratch_len(), plan.backward_weight_scratch_len());
    let lens = [input, weight, bias, output, forward, packed, columns, grad_input, grad_weight];
    if !small(&lens, plan.multiply_adds()) {
        return;
    }
    probe_lengths(
        [input, weight, bias, output, forward],
        random,
        |[input, weight, bias, output, scratch]| {
            plan.forward(ConvOperands { input, weight: Weights::Plain(weight), bias }, output, scratch)
        },
    );
    probe_lengths([weight, packed, 0], random, |[weight, packed, _]| {
        plan.pack_weights(weight, packed).map(|_| ())
    });
    probe_lengths(
        [weight, output, input, grad_input],
        random,
        |[weight, grad_output, grad_input, scratch]| {
            plan.backward_input(weight, grad_output, grad_input, scratch)
        },
    );
    probe_lengths(
        [input, output, weight, grad_weight],
        random,
        |[input, grad_output, grad_weight, scratch]| {
            plan.backward_weight(input, grad_output, grad_weight, scratch)
        },
    );
    probe_lengths([output, bias, 0], random, |[grad_output, grad_bias, _]| {
        plan.backward_bias(grad_output, grad_bias)
    });
    probe_lengths([input, columns, 0], random, |[input, columns, _]| plan.im2col(input, columns));
    probe_lengths([columns, input, 0], random, |[columns, input, _]| plan.col2im(columns, input));
}

fn run_pool<const D: usize>(plan: Option<PoolPlan<D>>, random: Random) {
    let Some(plan) = plan else { return };
    run_pool_plan(plan, random);
    if let Ok(plan) = plan.with_layout(Layout::ChannelsLast) {
        run_pool_plan(plan, random);
    }
}

fn run_pool_plan<const D: usize>(plan: PoolPlan<D>, random: Random) {
    let (input, output) = (plan.input_len(), plan.output_len());
    // A window that adapts may see all of the input.
    let window: usize = match plan.params().adaptive_output() {
        Some(_) => plan.input_dims().iter().product(),
        None => plan.params().window().iter().product(),
    };
    if !small(&[input, output], output.saturating_mul(window)) {
        return;
    }
    probe_lengths([input, output, 0], random, |[input, output, _]| plan.forward(input, output));
    probe_lengths([input, output, input, 0], random, |[input, grad_output, grad_input, _]| {
        plan.backward(input, grad_output, grad_input)
    });
    let mut random = random;
    let (x, mut y) = (random.hostile_floats(input), vec![0.0; output]);
    let mut workspace = vec![0; plan.workspace_bytes()];
    assert_eq!(plan.forward_train(&x, &mut y, &mut workspace), Ok(()));
    probe_lengths([output, input, 0], random, |[grad_output, grad_input, _]| {
        plan.backward_from_workspace(&workspace, grad_output, grad_input)
    });
    // Bytes and indices that nobody wrote are errors or are used, but nothing else.
    let any = random.integers(workspace.len());
    any.iter().zip(&mut workspace).for_each(|(v, byte)| *byte = *v as i8 as u8);
    let _ = plan.backward_from_workspace(&workspace, &y, &mut vec![0.0; input]);
    let indices: Vec<i64> = random.integers(output).into_iter().map(|v| v as i64).collect();
    let _ = plan.unpool(&y, &indices, &mut vec![0.0; input]);
    let _ = plan.unpool_backward(&x, &indices, &mut vec![0.0; output]);
    let mut indices = vec![0; output];
    let result = plan.forward_with_indices(&x, &mut y, &mut indices);
    assert_eq!(result.is_ok(), plan.params().kind() == PoolKind::Max);
    assert!(result.is_err() || plan.unpool(&y, &indices, &mut vec![0.0; input]).is_ok());
}

fn run_linear(params: LinearParams, batch: usize, random: Random) {
    let Ok(plan) = params.plan(batch) else { return };
    let (input, weight, bias, output) =
        (plan.input_len(), plan.weight_len(), plan.bias_len(), plan.output_len());
    let (forward, packed) = (plan.scratch_len(), plan.packed_weight_len());
    let (grad_input, grad_weight) = (plan.backward_input_scratch_len(), plan.backward_weight_scratch_len());
    if !small(&[input, weight, output, forward, packed, grad_input, grad_weight], 0) {
        return;
    }
    probe_lengths(
        [input, weight, bias, output, forward],
        random,
        |[input, weight, bias, output, scratch]| {
            plan.forward(LinearOperands { input, weight: Weights::Plain(weight), bias }, output, scratch)
        },
    );
    probe_lengths([weight, packed, 0], random, |[weight, packed, _]| {
        plan.pack_weights(weight, packed).map(|_| ())
    });
    probe_lengths(
        [weight, output, input, grad_input],
        random,
        |[weight, grad_output, grad_input, scratch]| {
            plan.backward_input(weight, grad_output, grad_input, scratch)
        },
    );
    probe_lengths(
        [input, output, weight, grad_weight],
        random,
        |[input, grad_output, grad_weight, scratch]| {
            plan.backward_weight(input, grad_output, grad_weight, scratch)
        },
    );
    probe_lengths([output, bias, 0], random, |[grad_output, grad_bias, _]| {
        plan.backward_bias(grad_output, grad_bias)
    });
}

fn run_network(layers: &[NetworkLayer; 3], batch: usize, input: [usize; 3], random: Random) {
    let layers = layers.each_ref().map(NetworkLayer::layer);
    let Ok(net) = Network::plan(layers, batch, input) else { return };
    let multiply_adds = net.layers().fold(0_usize, |sum, layer| sum.saturating_add(layer.multiply_adds));
    assert!(net.parameters().all(|parameter| parameter.range.end <= net.param_len()));
    let (params, packed, input, output) =
        (net.param_len(), net.packed_weight_len(), net.input_len(), net.output_len());
    let (scratch, workspace, train_scratch) =
        (net.scratch_len(), net.workspace_len(), net.train_scratch_len());
    let pixel_scratch = net.pixel_scratch_len();
    let lens = [params, packed, input, output, scratch, pixel_scratch, workspace, train_scratch];
    if !small(&lens, multiply_adds) {
        return;
    }
    probe_lengths([params, input, output, scratch], random, |[params, input, output, scratch]| {
        net.forward(NetworkWeights::Plain(params), input, output, scratch)
    });
    probe_lengths([params, input, output, pixel_scratch], random, |[params, input, output, scratch]| {
        let values: Vec<u8> = input.iter().map(|value| value.to_bits() as u8).collect();
        let pixels = Pixels { values: &values, scale: 0.01, shift: -1.0 };
        net.forward_pixels(NetworkWeights::Plain(params), pixels, output, scratch)
    });
    probe_lengths([params, packed, 0], random, |[params, packed, _]| {
        net.pack_weights(params, packed).map(|_| ())
    });
    probe_lengths(
        [params, input, workspace, train_scratch],
        random,
        |[params, input, workspace, scratch]| {
            net.forward_train(NetworkWeights::Plain(params), input, workspace, scratch)
        },
    );
    probe_lengths(
        [params, input, workspace, output, params, train_scratch],
        random,
        |[params, input, workspace, grad_output, grad_params, scratch]| {
            net.backward(params, input, workspace, grad_output, grad_params, scratch)
        },
    );
}

//! A network in `f64` and its gradients, each layer from its definition, one output at a time.

use im2col::{
    Activation, ConvParams, Layer, LinearParams, Padding, PaddingMode, PoolKind, PoolParams, PoolPlan,
};
use im2col_testkit::oracle::Sum;

/// What a network computes, and how large the terms are that it is the sum of.
pub(crate) struct Reference {
    pub(crate) output: Vec<Sum>,
    pub(crate) grads: Vec<Sum>,
    /// How close a maximum or a sign was to another decision, relative to the terms.
    pub(crate) margin: f64,
}

/// Output and gradients of the parameters, for a whole batch.
pub(crate) fn run(
    layers: &[Layer],
    input_dims: [usize; 3],
    params: &[f32],
    input: &[f32],
    grad_output: &[f32],
) -> Reference {
    let images = input.len() / input_dims.iter().product::<usize>();
    let mut all = Reference { output: vec![], grads: vec![Sum::default(); params.len()], margin: 1.0 };
    let chunks = input.chunks(input.len() / images).zip(grad_output.chunks(grad_output.len() / images));
    for (image, grad_output) in chunks {
        let mut tape = Tape::default();
        params.iter().chain(image).for_each(|x| tape.leaf(f64::from(*x)));
        let mut planes =
            Planes { dims: input_dims, nodes: (params.len()..params.len() + image.len()).collect() };
        let mut next = 0;
        for layer in layers {
            planes = match *layer {
                Layer::Conv(conv) => convolve(&mut tape, &planes, conv, &mut next),
                Layer::Pool(pool) => pool_windows(&mut tape, &planes, pool),
                Layer::Linear(linear) => multiply(&mut tape, &planes, linear, &mut next),
                Layer::Activation(activation) => activate(&mut tape, planes, activation),
                Layer::Flatten => Planes { dims: [planes.dims.iter().product(), 1, 1], ..planes },
                _ => panic!("a layer without a definition"),
            };
        }
        assert_eq!(next, params.len());
        all.output.extend(planes.nodes.iter().map(|&node| tape.sum_of(node)));
        let grads = tape.backward(&planes.nodes, grad_output);
        for (all, grad) in all.grads.iter_mut().zip(grads) {
            (all.value, all.magnitude) = (all.value + grad.value, all.magnitude + grad.magnitude);
        }
        all.margin = all.margin.min(tape.margin);
    }
    all
}

/// Everything that was computed, in order: a node is a function of earlier ones.
struct Tape {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    margin: f64,
}

struct Node {
    value: f64,
    magnitude: f64,
    /// One beyond its last edge.
    edges_end: usize,
}

/// The derivative of a node by an earlier one, and how large its terms are.
struct Edge {
    from: usize,
    slope: f64,
    magnitude: f64,
}

impl Default for Tape {
    fn default() -> Self {
        Self { nodes: vec![], edges: vec![], margin: 1.0 }
    }
}

impl Tape {
    fn leaf(&mut self, value: f64) {
        self.nodes.push(Node { value, magnitude: value.abs(), edges_end: 0 });
    }

    fn sum_of(&self, node: usize) -> Sum {
        Sum { value: self.nodes[node].value, magnitude: self.nodes[node].magnitude }
    }

    /// A node of which all edges have been pushed.
    fn push(&mut self, value: f64, magnitude: f64) -> usize {
        self.nodes.push(Node { value, magnitude, edges_end: self.edges.len() });
        self.nodes.len() - 1
    }

    /// `sum of a * b`, plus a bias.
    fn products(&mut self, pairs: impl Iterator<Item = (usize, usize)>, bias: Option<usize>) -> usize {
        let mut sum = bias.map_or_else(Sum::default, |bias| self.sum_of(bias));
        self.edges.extend(bias.map(|from| Edge { from, slope: 1.0, magnitude: 1.0 }));
        for (a, b) in pairs {
            let (x, y) = (self.sum_of(a), self.sum_of(b));
            sum.value += x.value * y.value;
            sum.magnitude += x.magnitude * y.magnitude;
            self.edges.push(Edge { from: a, slope: y.value, magnitude: y.magnitude });
            self.edges.push(Edge { from: b, slope: x.value, magnitude: x.magnitude });
        }
        self.push(sum.value, sum.magnitude)
    }

    fn mean(&mut self, nodes: &[usize], divisor: f64) -> usize {
        let mut mean = Sum::default();
        for &from in nodes {
            mean.value += self.nodes[from].value / divisor;
            mean.magnitude += self.nodes[from].magnitude / divisor;
            self.edges.push(Edge { from, slope: 1.0 / divisor, magnitude: 1.0 / divisor });
        }
        self.push(mean.value, mean.magnitude)
    }

    /// The first of the largest.
    fn max(&mut self, nodes: &[usize]) -> usize {
        let value = |node: usize| self.nodes[node].value;
        let winner = nodes.iter().copied().reduce(|best, i| if value(i) > value(best) { i } else { best });
        let winner = winner.unwrap();
        for &other in nodes {
            let size = self.nodes[winner].magnitude.max(self.nodes[other].magnitude);
            // Equal terms are equal everywhere.
            if self.nodes[other].value != self.nodes[winner].value {
                let distance = self.nodes[winner].value - self.nodes[other].value;
                self.margin = self.margin.min(distance / size);
            }
        }
        winner
    }

    fn activate(&mut self, from: usize, activation: Activation) -> usize {
        let Sum { value: x, magnitude } = self.sum_of(from);
        // Where the slope changes with `x`, it does so by at most the change of `x`.
        let (value, slope, size, curvature) = match activation {
            Activation::Identity => return from,
            Activation::Relu => {
                if x != 0.0 {
                    self.margin = self.margin.min(x.abs() / magnitude);
                }
                (x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 }, magnitude, 0.0)
            }
            Activation::Sigmoid => {
                let y = 1.0 / (1.0 + (-x).exp());
                (y, y * (1.0 - y), magnitude.max(1.0), magnitude.max(1.0))
            }
            Activation::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2), magnitude, magnitude.max(1.0)),
        };
        self.edges.push(Edge { from, slope, magnitude: slope + curvature });
        self.push(value, size)
    }

    /// The derivatives of `sum of grad_output * outputs` by all nodes.
    fn backward(&self, outputs: &[usize], grad_output: &[f32]) -> Vec<Sum> {
        let mut grads = vec![Sum::default(); self.nodes.len()];
        for (&node, &grad) in outputs.iter().zip(grad_output) {
            grads[node].value += f64::from(grad);
            grads[node].magnitude += f64::from(grad.abs());
        }
        let mut end = self.edges.len();
        for (node, Node { edges_end, .. }) in self.nodes.iter().enumerate().rev() {
            // A leaf has none.
            let start = self.nodes[..node].last().map_or(0, |before| before.edges_end).min(*edges_end);
            assert!(*edges_end == end || *edges_end == 0);
            for edge in &self.edges[start..*edges_end] {
                let Sum { value, magnitude } = grads[node];
                grads[edge.from].value += value * edge.slope;
                grads[edge.from].magnitude += magnitude * edge.magnitude;
            }
            end = start;
        }
        grads
    }
}

/// Nodes on their way through a network: `[channels, height, width]`; features are channels.
struct Planes {
    dims: [usize; 3],
    nodes: Vec<usize>,
}

impl Planes {
    fn at(&self, channel: usize, y: usize, x: usize) -> usize {
        self.nodes[(channel * self.dims[1] + y) * self.dims[2] + x]
    }

    /// New planes of `[channels, height, width]`, each node from its coordinates.
    fn build(dims: [usize; 3], mut node: impl FnMut([usize; 3]) -> usize) -> Self {
        let [channels, height, width] = dims;
        let points =
            (0..channels * height * width).map(|i| [i / width / height, i / width % height, i % width]);
        Self { dims, nodes: points.map(&mut node).collect() }
    }
}

fn activate(tape: &mut Tape, planes: Planes, activation: Activation) -> Planes {
    let nodes = planes.nodes.iter().map(|&node| tape.activate(node, activation)).collect();
    Planes { nodes, ..planes }
}

/// `[before, after]` of an axis.
fn padding_of(rule: Padding<2>, axis: usize, [input, kernel, stride, dilation]: [usize; 4]) -> [usize; 2] {
    let reach = dilation * (kernel - 1);
    let same = (input.div_ceil(stride) - 1) * stride + reach + 1;
    let total = same.saturating_sub(input);
    match rule {
        Padding::PerSide(padding) => padding[axis],
        Padding::SameUpper => [total / 2, total - total / 2],
        Padding::SameLower => [total - total / 2, total / 2],
        Padding::Full => [reach; 2],
    }
}

/// Where in `0..len` a value is found that is shown at `at`, counted from the start of the input.
fn shown(mode: PaddingMode, at: isize, len: usize) -> Option<usize> {
    let end = len as isize - 1;
    let place = match mode {
        PaddingMode::Zeros => at,
        PaddingMode::Replicate => at.clamp(0, end),
        PaddingMode::Circular => at.rem_euclid(len as isize),
        PaddingMode::Reflect => end - (end - at.abs()).abs(),
    };
    usize::try_from(place).ok().filter(|place| *place < len)
}

fn convolve(tape: &mut Tape, input: &Planes, params: ConvParams<2>, next: &mut usize) -> Planes {
    let (in_group, out_group) =
        (params.in_channels() / params.groups(), params.out_channels() / params.groups());
    let ([kernel_h, kernel_w], stride, dilation) = (params.kernel(), params.stride(), params.dilation());
    let [height, width] = [input.dims[1], input.dims[2]];
    let padding = [0, 1].map(|axis| {
        let sizes = [[height, width][axis], params.kernel()[axis], stride[axis], dilation[axis]];
        padding_of(params.padding(), axis, sizes)
    });
    let output = |axis: usize, input: usize, kernel: usize| {
        (input + padding[axis][0] + padding[axis][1] - dilation[axis] * (kernel - 1) - 1) / stride[axis] + 1
    };
    let dims = [params.out_channels(), output(0, height, kernel_h), output(1, width, kernel_w)];
    let weight = *next;
    let bias = weight + params.out_channels() * in_group * kernel_h * kernel_w;
    *next = bias + if params.has_bias() { params.out_channels() } else { 0 };
    Planes::build(dims, |[o, y, x]| {
        let taps = (0..in_group * kernel_h * kernel_w).filter_map(|k| {
            let (c, ky, kx) = (k / kernel_w / kernel_h, k / kernel_w % kernel_h, k % kernel_w);
            let at = |axis: usize, o: usize, k: usize| {
                (o * stride[axis] + k * dilation[axis]) as isize - padding[axis][0] as isize
            };
            let y = shown(params.padding_mode(), at(0, y, ky), height)?;
            let x = shown(params.padding_mode(), at(1, x, kx), width)?;
            Some((
                weight + o * in_group * kernel_h * kernel_w + k,
                input.at(o / out_group * in_group + c, y, x),
            ))
        });
        let node = tape.products(taps, params.has_bias().then_some(bias + o));
        tape.activate(node, params.activation())
    })
}

fn pool_windows(tape: &mut Tape, input: &Planes, params: PoolParams<2>) -> Planes {
    let [channels, height, width] = input.dims;
    // The sizes of outputs have tests of their own.
    let plan: PoolPlan<2> = params.plan(1, channels, [height, width]).unwrap();
    let [out_height, out_width] = plan.output_dims();
    let (sizes, out_sizes) = ([height, width], [out_height, out_width]);
    // Which inputs a window sees on an axis, and how many taps count where padding does.
    let seen = |axis: usize, o: usize| -> (Vec<usize>, usize) {
        let (len, outputs) = (sizes[axis], out_sizes[axis]);
        if params.adaptive_output().is_some() {
            let seen: Vec<usize> = (o * len / outputs..((o + 1) * len).div_ceil(outputs)).collect();
            return (seen.clone(), seen.len());
        }
        let (kernel, stride, dilation) =
            (params.window()[axis], params.stride()[axis], params.dilation()[axis]);
        let [before, after] = padding_of(params.padding(), axis, [len, kernel, stride, dilation]);
        let padded = (0..kernel).map(|k| o * stride + k * dilation).filter(|i| *i < before + len + after);
        let seen = padded.clone().filter(|i| (before..before + len).contains(i)).map(|i| i - before);
        (seen.collect(), padded.count())
    };
    Planes::build([channels, out_height, out_width], |[c, y, x]| {
        let ((rows, counted_rows), (columns, counted_columns)) = (seen(0, y), seen(1, x));
        let nodes: Vec<usize> =
            rows.iter().flat_map(|y| columns.iter().map(|x| input.at(c, *y, *x))).collect();
        let counted =
            if params.count_include_pad() { counted_rows * counted_columns } else { nodes.len().max(1) };
        match params.kind() {
            PoolKind::Max => tape.max(&nodes),
            PoolKind::Average => tape.mean(&nodes, params.divisor_override().unwrap_or(counted) as f64),
        }
    })
}

fn multiply(tape: &mut Tape, input: &Planes, params: LinearParams, next: &mut usize) -> Planes {
    let (inputs, outputs, weight) = (params.inputs(), params.outputs(), *next);
    let bias = weight + outputs * inputs;
    *next = bias + if params.has_bias() { outputs } else { 0 };
    Planes::build([outputs, 1, 1], |[o, _, _]| {
        let pairs = (0..inputs).map(|i| (weight + o * inputs + i, input.nodes[i]));
        let node = tape.products(pairs, params.has_bias().then_some(bias + o));
        tape.activate(node, params.activation())
    })
}

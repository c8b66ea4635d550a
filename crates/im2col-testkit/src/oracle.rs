//! The definitions in `f64`, written in another way than the core's `naive` module.
//!
//! A convolution here pads a copy of its input, so no sum asks where the border is. Every value
//! comes with its magnitude, the sum of the absolute values of its terms: what its error bound
//! ([`crate::bound`]) is proportional to.

mod loss;
mod pool;
mod transpose;

pub use loss::LossCase;
pub use pool::{Argmax, PoolCase};
pub use transpose::TransposeCase;

/// A sum and the sum of its terms' absolute values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    /// The sum.
    pub value: f64,
    /// The sum of the absolute values.
    pub magnitude: f64,
}

impl Sum {
    fn add(&mut self, term: f64) {
        self.value += term;
        self.magnitude += term.abs();
    }

    /// `max(value, 0)`. An error of the sum is at most as large after it, so the magnitude stays.
    #[must_use]
    pub fn relu(self) -> Self {
        Self { value: self.value.max(0.0), ..self }
    }
}

/// A convolution of rank 3; of lower rank where the leading axes are trivial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvCase {
    /// How many images.
    pub batch: usize,
    /// Input channels, a multiple of `groups`.
    pub in_channels: usize,
    /// Output channels, a multiple of `groups`.
    pub out_channels: usize,
    /// Groups of channels that see only each other.
    pub groups: usize,
    /// Input size per axis.
    pub input: [usize; 3],
    /// Kernel size per axis.
    pub kernel: [usize; 3],
    /// Stride per axis.
    pub stride: [usize; 3],
    /// Padding per axis, `[before, after]`.
    pub padding: [[usize; 2]; 3],
    /// What the padding holds.
    pub mode: Mode,
    /// Dilation per axis.
    pub dilation: [usize; 3],
}

/// What padding holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Zeros.
    #[default]
    Zeros,
    /// The input mirrored, its border not repeated.
    Reflect,
    /// The border.
    Replicate,
    /// The input again.
    Circular,
}

impl Mode {
    /// The padding that is defined for so many input values.
    #[must_use]
    pub fn limit(self, input: usize) -> usize {
        match self {
            Self::Zeros | Self::Replicate => usize::MAX,
            Self::Reflect => input - 1,
            Self::Circular => input,
        }
    }

    /// The indices of a padded axis of `input` values; `None` for a zero.
    fn axis(self, input: usize, [before, after]: [usize; 2]) -> Vec<Option<usize>> {
        let around: [Vec<Option<usize>>; 2] = match self {
            Self::Zeros => [vec![None; before], vec![None; after]],
            Self::Reflect => {
                [(1..=before).rev().map(Some).collect(), (1..=after).map(|i| Some(input - 1 - i)).collect()]
            }
            Self::Replicate => [vec![Some(0); before], vec![Some(input - 1); after]],
            Self::Circular => [(input - before..input).map(Some).collect(), (0..after).map(Some).collect()],
        };
        let [before, after] = around;
        before.into_iter().chain((0..input).map(Some)).chain(after).collect()
    }
}

/// `y[o] = sum over k of x[o s + k d] w[k]` and its gradients; `x` is the padded input.
///
/// Operands are row-major: input `[batch, in_channels, dims..]`, weight
/// `[out_channels, in_channels / groups, kernel..]`, output `[batch, out_channels, dims..]`.
impl ConvCase {
    /// A linear layer: a convolution of one pixel. Weight `[outputs, inputs]`.
    #[must_use]
    pub fn linear(batch: usize, inputs: usize, outputs: usize) -> Self {
        let one = [1; 3];
        Self {
            batch,
            in_channels: inputs,
            out_channels: outputs,
            groups: 1,
            input: one,
            kernel: one,
            stride: one,
            padding: [[0; 2]; 3],
            mode: Mode::Zeros,
            dilation: one,
        }
    }

    /// Output size per axis.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        output(self.padded(), self.kernel, self.stride, self.dilation)
    }

    /// How many values the input has.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * volume(self.input)
    }

    /// How many values the weight has.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.group_in() * volume(self.kernel)
    }

    /// How many values the output has.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * volume(self.output())
    }

    /// How many products one output sums.
    #[must_use]
    pub fn forward_products(&self) -> usize {
        self.group_in() * volume(self.kernel)
    }

    /// How many products one value of `grad_input` sums at most: on each axis, as many as there are
    /// pairs of an output and a tap that see the value, in its place or in the padding.
    #[must_use]
    pub fn grad_input_products(&self) -> usize {
        let output = self.output();
        let pairs = [0, 1, 2].map(|axis| {
            let shown = self.mode.axis(self.input[axis], self.padding[axis]);
            let mut pairs = vec![0; self.input[axis]];
            for o in 0..output[axis] {
                for k in 0..self.kernel[axis] {
                    if let Some(i) = shown[o * self.stride[axis] + k * self.dilation[axis]] {
                        pairs[i] += 1;
                    }
                }
            }
            pairs.into_iter().max().unwrap_or(0)
        });
        self.out_channels / self.groups * volume(pairs)
    }

    /// How many products one value of `grad_weight` (or terms of `grad_bias`) sums at most.
    #[must_use]
    pub fn grad_weight_products(&self) -> usize {
        self.batch * volume(self.output())
    }

    /// How many products the whole convolution has.
    #[must_use]
    pub fn multiply_adds(&self) -> usize {
        self.output_len() * self.forward_products()
    }

    /// The output. An empty `bias` adds nothing.
    #[must_use]
    pub fn forward(&self, input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<Sum> {
        let padded = self.pad(input);
        let mut sums = vec![Sum::default(); self.output_len()];
        self.for_each_product(|o, i, w| sums[o].add(padded[i] * f64::from(weight[w])));
        if !bias.is_empty() {
            let positions = volume(self.output());
            for (o, sum) in sums.iter_mut().enumerate() {
                sum.add(f64::from(bias[o / positions % self.out_channels]));
            }
        }
        sums
    }

    /// The gradient of the input.
    #[must_use]
    pub fn grad_input(&self, weight: &[f32], grad_output: &[f32]) -> Vec<Sum> {
        let planes = self.batch * self.in_channels;
        let mut sums = vec![Sum::default(); planes * volume(self.padded())];
        self.for_each_product(|o, i, w| sums[i].add(f64::from(grad_output[o]) * f64::from(weight[w])));
        // Each value of the padding hands its gradient on to the value that it shows.
        let mut grads = vec![Sum::default(); self.input_len()];
        for (source, sum) in sources(planes, self.input, self.padding, self.mode).into_iter().zip(&sums) {
            if let Some(i) = source {
                grads[i].value += sum.value;
                grads[i].magnitude += sum.magnitude;
            }
        }
        grads
    }

    /// The gradient of the weight.
    #[must_use]
    pub fn grad_weight(&self, input: &[f32], grad_output: &[f32]) -> Vec<Sum> {
        let padded = self.pad(input);
        let mut sums = vec![Sum::default(); self.weight_len()];
        self.for_each_product(|o, i, w| sums[w].add(padded[i] * f64::from(grad_output[o])));
        sums
    }

    /// The gradient of the bias.
    #[must_use]
    pub fn grad_bias(&self, grad_output: &[f32]) -> Vec<Sum> {
        let positions = volume(self.output());
        let mut sums = vec![Sum::default(); self.out_channels];
        for (o, &grad) in grad_output.iter().enumerate() {
            sums[o / positions % self.out_channels].add(f64::from(grad));
        }
        sums
    }

    fn group_in(&self) -> usize {
        self.in_channels / self.groups
    }

    fn padded(&self) -> [usize; 3] {
        padded(self.input, self.padding)
    }

    fn pad(&self, input: &[f32]) -> Vec<f64> {
        let sources = sources(self.batch * self.in_channels, self.input, self.padding, self.mode);
        sources.into_iter().map(|source| source.map_or(0.0, |i| f64::from(input[i]))).collect()
    }

    /// Calls `product` with the offsets of every output, padded input and weight that meet.
    fn for_each_product(&self, mut product: impl FnMut(usize, usize, usize)) {
        let (kernel, output, padded) = (self.kernel, self.output(), self.padded());
        let group_out = self.out_channels / self.groups;
        for o in 0..self.output_len() {
            let [image, channel_out, oz, oy, ox] = unravel(o, [self.batch, self.out_channels], output);
            for tap in 0..self.forward_products() {
                let [_, channel, kz, ky, kx] = unravel(tap, [1, self.group_in()], kernel);
                let channel_in = channel_out / group_out * self.group_in() + channel;
                let z = oz * self.stride[0] + kz * self.dilation[0];
                let y = oy * self.stride[1] + ky * self.dilation[1];
                let x = ox * self.stride[2] + kx * self.dilation[2];
                let plane = image * self.in_channels + channel_in;
                let i = ((plane * padded[0] + z) * padded[1] + y) * padded[2] + x;
                product(o, i, channel_out * self.forward_products() + tap);
            }
        }
    }
}

fn volume([d, h, w]: [usize; 3]) -> usize {
    d * h * w
}

fn padded(input: [usize; 3], padding: [[usize; 2]; 3]) -> [usize; 3] {
    std::array::from_fn(|axis| padding[axis][0] + input[axis] + padding[axis][1])
}

fn output(padded: [usize; 3], kernel: [usize; 3], stride: [usize; 3], dilation: [usize; 3]) -> [usize; 3] {
    std::array::from_fn(|axis| {
        let extent = dilation[axis] * (kernel[axis] - 1) + 1;
        (padded[axis] - extent) / stride[axis] + 1
    })
}

/// A flat offset's coordinates in an array of shape `[planes.., dims..]`.
fn unravel(offset: usize, [_, channels]: [usize; 2], [d, h, w]: [usize; 3]) -> [usize; 5] {
    let plane = offset / (d * h * w);
    [plane / channels, plane % channels, offset / (h * w) % d, offset / w % h, offset % w]
}

/// For every value of an array whose planes are padded, the offset of the value that it shows.
fn sources(planes: usize, input: [usize; 3], padding: [[usize; 2]; 3], mode: Mode) -> Vec<Option<usize>> {
    let [depth, height, width] = [0, 1, 2].map(|axis| mode.axis(input[axis], padding[axis]));
    let mut sources = Vec::new();
    for plane in 0..planes {
        for &z in &depth {
            for &y in &height {
                for &x in &width {
                    let offset = |z, y, x| ((plane * input[0] + z) * input[1] + y) * input[2] + x;
                    sources.push(z.zip(y).zip(x).map(|((z, y), x)| offset(z, y, x)));
                }
            }
        }
    }
    sources
}

/// Surrounds every plane with `fill`.
fn pad<T: Copy>(x: &[T], planes: usize, input: [usize; 3], padding: [[usize; 2]; 3], fill: T) -> Vec<T> {
    let sources = sources(planes, input, padding, Mode::Zeros);
    sources.into_iter().map(|source| source.map_or(fill, |i| x[i])).collect()
}

#[cfg(test)]
mod tests;

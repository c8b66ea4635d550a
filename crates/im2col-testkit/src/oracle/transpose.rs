//! Transposed convolution in `f64`: every input spreads the kernel over an output that is not
//! cropped yet.

use super::{Sum, unravel, volume};

/// A transposed convolution of rank 3; of lower rank where the leading axes are trivial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransposeCase {
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
    /// What is cropped, per axis, `[before, after]`.
    pub padding: [[usize; 2]; 3],
    /// What is appended, per axis.
    pub output_padding: [usize; 3],
    /// Dilation per axis.
    pub dilation: [usize; 3],
}

/// Operands are row-major: input `[batch, in_channels, dims..]`, weight
/// `[in_channels, out_channels / groups, kernel..]`, output `[batch, out_channels, dims..]`.
impl TransposeCase {
    /// Output size per axis.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        let uncropped = self.uncropped();
        [0, 1, 2].map(|axis| uncropped[axis] - self.padding[axis][0] - self.padding[axis][1])
    }

    /// How many values the input has.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * volume(self.input)
    }

    /// How many values the weight has.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.in_channels * self.group_out() * volume(self.kernel)
    }

    /// How many values the output has.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * volume(self.output())
    }

    /// How many products one output sums at most.
    #[must_use]
    pub fn forward_products(&self) -> usize {
        self.in_channels / self.groups * volume(self.kernel)
    }

    /// How many products one value of `grad_input` sums at most.
    #[must_use]
    pub fn grad_input_products(&self) -> usize {
        self.group_out() * volume(self.kernel)
    }

    /// How many products one value of `grad_weight` sums at most.
    #[must_use]
    pub fn grad_weight_products(&self) -> usize {
        self.batch * volume(self.input)
    }

    /// How many terms one value of `grad_bias` sums.
    #[must_use]
    pub fn grad_bias_terms(&self) -> usize {
        self.batch * volume(self.output())
    }

    /// How many products the whole operation has, cropped ones included.
    #[must_use]
    pub fn multiply_adds(&self) -> usize {
        self.input_len() * self.grad_input_products()
    }

    /// The output. An empty `bias` adds nothing.
    #[must_use]
    pub fn forward(&self, input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<Sum> {
        let mut sums = vec![Sum::default(); self.output_len()];
        self.for_each_product(|i, o, w| sums[o].add(f64::from(input[i]) * f64::from(weight[w])));
        if !bias.is_empty() {
            let plane_len = volume(self.output());
            for (o, sum) in sums.iter_mut().enumerate() {
                sum.add(f64::from(bias[o / plane_len % self.out_channels]));
            }
        }
        sums
    }

    /// The gradient of the input.
    #[must_use]
    pub fn grad_input(&self, weight: &[f32], grad_output: &[f32]) -> Vec<Sum> {
        let mut sums = vec![Sum::default(); self.input_len()];
        self.for_each_product(|i, o, w| sums[i].add(f64::from(grad_output[o]) * f64::from(weight[w])));
        sums
    }

    /// The gradient of the weight.
    #[must_use]
    pub fn grad_weight(&self, input: &[f32], grad_output: &[f32]) -> Vec<Sum> {
        let mut sums = vec![Sum::default(); self.weight_len()];
        self.for_each_product(|i, o, w| sums[w].add(f64::from(grad_output[o]) * f64::from(input[i])));
        sums
    }

    /// The gradient of the bias.
    #[must_use]
    pub fn grad_bias(&self, grad_output: &[f32]) -> Vec<Sum> {
        let plane_len = volume(self.output());
        let mut sums = vec![Sum::default(); self.out_channels];
        for (o, &grad) in grad_output.iter().enumerate() {
            sums[o / plane_len % self.out_channels].add(f64::from(grad));
        }
        sums
    }

    fn group_out(&self) -> usize {
        self.out_channels / self.groups
    }

    fn uncropped(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| {
            let last = (self.input[axis] - 1) * self.stride[axis];
            last + self.dilation[axis] * (self.kernel[axis] - 1) + 1 + self.output_padding[axis]
        })
    }

    /// Calls `product` with the offsets of every input, output and weight that meet.
    fn for_each_product(&self, mut product: impl FnMut(usize, usize, usize)) {
        let output = self.output();
        for i in 0..self.input_len() {
            let [image, channel, position @ ..] = unravel(i, [self.batch, self.in_channels], self.input);
            for tap in 0..self.grad_input_products() {
                let [_, out, k @ ..] = unravel(tap, [1, self.group_out()], self.kernel);
                let at = [0, 1, 2].map(|axis| {
                    let uncropped = position[axis] * self.stride[axis] + k[axis] * self.dilation[axis];
                    uncropped.checked_sub(self.padding[axis][0]).filter(|&at| at < output[axis])
                });
                if let [Some(z), Some(y), Some(x)] = at {
                    let group = channel / (self.in_channels / self.groups);
                    let plane = image * self.out_channels + group * self.group_out() + out;
                    let o = ((plane * output[0] + z) * output[1] + y) * output[2] + x;
                    product(i, o, channel * self.grad_input_products() + tap);
                }
            }
        }
    }
}

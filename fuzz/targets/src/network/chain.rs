//! A network as the definitions of its layers in a row, forward and backward.

use im2col::{Activation, ConvPlan, Layer, LinearPlan, PoolKind, PoolPlan, naive};

/// The layers of a network, planned one by one.
pub(super) struct Chain {
    steps: Vec<Step>,
}

enum Step {
    Conv(ConvPlan<2>),
    Linear(LinearPlan),
    Pool(PoolPlan<2>),
    Activation(Activation),
    Flatten,
}

/// What a run has given.
pub(super) struct Pass {
    pub(super) output: Vec<f32>,
    /// Of the parameters.
    pub(super) grads: Vec<f32>,
    /// The largest absolute value of all.
    pub(super) largest: f64,
}

impl Chain {
    pub(super) fn new(layers: &[Layer], batch: usize, input: [usize; 3]) -> Self {
        let mut dims = input;
        let steps = layers.iter().map(|layer| match *layer {
            Layer::Conv(params) => {
                let plan = params.plan(batch, [dims[1], dims[2]]).unwrap();
                let [height, width] = plan.output_dims();
                dims = [params.out_channels(), height, width];
                Step::Conv(plan)
            }
            Layer::Pool(params) => {
                let plan = params.plan(batch, dims[0], [dims[1], dims[2]]).unwrap();
                let [height, width] = plan.output_dims();
                dims = [dims[0], height, width];
                Step::Pool(plan)
            }
            Layer::Linear(params) => {
                dims = [params.outputs(), 1, 1];
                Step::Linear(params.plan(batch).unwrap())
            }
            Layer::Activation(activation) => Step::Activation(activation),
            Layer::Flatten => {
                dims = [dims.iter().product(), 1, 1];
                Step::Flatten
            }
            _ => panic!("a layer without a definition"),
        });
        Self { steps: steps.collect() }
    }

    pub(super) fn param_len(&self) -> usize {
        self.steps.iter().map(|step| step.weight_len() + step.bias_len()).sum()
    }

    /// How many means of four values there are.
    pub(super) fn means(&self) -> i32 {
        let means = self.steps.iter().filter(|step| matches!(step, Step::Pool(plan) if is_mean(plan)));
        means.count() as i32
    }

    /// Whether there is nothing that makes other numbers than integers of integers, but for quarters.
    pub(super) fn keeps_integers(&self) -> bool {
        self.steps.iter().all(|step| match step {
            Step::Pool(plan) if is_mean(plan) => {
                plan.params().adaptive_output().is_none()
                    && matches!(plan.params().window(), [1 | 2, 1 | 2])
                    && plan.params().stride() == plan.params().window()
                    && plan.padding() == [[0; 2]; 2]
                    && !plan.params().ceil_mode()
            }
            _ => !matches!(step.activation(), Activation::Sigmoid | Activation::Tanh),
        })
    }

    /// Whether no step chooses among values.
    pub(super) fn is_smooth(&self) -> bool {
        self.steps.iter().all(|step| match step {
            Step::Pool(plan) => is_mean(plan),
            _ => step.activation() != Activation::Relu,
        })
    }

    /// How often a term of any result is rounded at most: once for each that is added to it, a few times more in each
    /// layer, forward and backward.
    pub(super) fn roundings(&self) -> usize {
        let of_step = |step: &Step| match step {
            Step::Conv(plan) => {
                let [inputs, outputs] = [plan.params().in_channels(), plan.params().out_channels()];
                let taps: usize = plan.params().kernel().iter().product();
                // A value may be seen by each tap at each place, where padding shows it.
                (inputs + outputs) * taps + plan.output_len()
            }
            Step::Linear(plan) => plan.params().inputs() + plan.params().outputs() + plan.batch(),
            Step::Pool(plan) => plan.input_len().max(plan.output_len()),
            _ => 0,
        };
        self.steps.iter().map(|step| of_step(step) + 32).sum()
    }

    /// The output and the gradients; with `are_sizes`, of operands that are not negative, a bound of their terms.
    pub(super) fn run(&self, params: &[f32], input: &[f32], grad_output: &[f32], are_sizes: bool) -> Pass {
        let mut values = vec![input.to_vec()];
        let mut rest = params;
        for (index, step) in self.steps.iter().enumerate() {
            let (weight, after) = rest.split_at(step.weight_len());
            let (bias, after) = after.split_at(step.bias_len());
            rest = after;
            values.push(step.forward(&values[index], weight, bias, are_sizes));
        }
        let mut grads = vec![0.0; params.len()];
        let mut grad = grad_output.to_vec();
        let mut end = params.len();
        let mut largest = 0.0_f64;
        let mut see = |values: &[f32]| {
            largest = values.iter().fold(largest, |largest, &x| largest.max(f64::from(x).abs()));
        };
        for (index, step) in self.steps.iter().enumerate().rev() {
            let start = end - step.weight_len() - step.bias_len();
            let weight = &params[start..start + step.weight_len()];
            let output = &values[index + 1];
            see(output);
            through(step.activation(), output, &mut grad, are_sizes);
            see(&grad);
            grad = step.backward(&values[index], weight, &grad, &mut grads[start..end], are_sizes);
            see(&grad);
            end = start;
        }
        see(&grads);
        Pass { output: values.pop().unwrap_or_default(), grads, largest }
    }
}

fn is_mean(plan: &PoolPlan<2>) -> bool {
    plan.params().kind() == PoolKind::Average
}

/// The gradient before an activation, from that after it. A slope is off by at most twice what the value is.
fn through(activation: Activation, output: &[f32], grad: &mut [f32], are_sizes: bool) {
    let slope = |y: f32| match activation {
        Activation::Identity => 1.0,
        Activation::Relu if are_sizes => 1.0,
        Activation::Relu => f32::from(y > 0.0),
        _ if are_sizes => 1.0 + 2.0 * y,
        Activation::Sigmoid => y * (1.0 - y),
        Activation::Tanh => 1.0 - y * y,
    };
    grad.iter_mut().zip(output).for_each(|(grad, &y)| *grad *= slope(y));
}

/// The activation of each value; of sizes, what the value and its error are at most.
fn activate(activation: Activation, values: &mut [f32], are_sizes: bool) {
    let apply = |x: f32| match activation {
        Activation::Sigmoid if are_sizes => x.max(1.0),
        _ if are_sizes => x,
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    };
    values.iter_mut().for_each(|x| *x = apply(*x));
}

impl Step {
    fn weight_len(&self) -> usize {
        match self {
            Self::Conv(plan) => plan.weight_len(),
            Self::Linear(plan) => plan.weight_len(),
            _ => 0,
        }
    }

    fn bias_len(&self) -> usize {
        match self {
            Self::Conv(plan) => plan.bias_len(),
            Self::Linear(plan) => plan.bias_len(),
            _ => 0,
        }
    }

    fn activation(&self) -> Activation {
        match self {
            Self::Conv(plan) => plan.params().activation(),
            Self::Linear(plan) => plan.params().activation(),
            Self::Activation(activation) => *activation,
            _ => Activation::Identity,
        }
    }

    fn forward(&self, input: &[f32], weight: &[f32], bias: &[f32], are_sizes: bool) -> Vec<f32> {
        let mut output = match self {
            Self::Conv(plan) => vec![0.0; plan.output_len()],
            Self::Linear(plan) => vec![0.0; plan.output_len()],
            Self::Pool(plan) => vec![0.0; plan.output_len()],
            Self::Activation(_) | Self::Flatten => input.to_vec(),
        };
        match self {
            // The activation follows.
            Self::Conv(plan) => {
                let params = plan.params().with_activation(Activation::Identity);
                let plan = params.plan(plan.batch(), plan.input_dims()).unwrap();
                naive::conv_forward(&plan, input, weight, bias, &mut output).unwrap();
            }
            Self::Linear(plan) => {
                let params = plan.params().with_activation(Activation::Identity);
                let plan = params.plan(plan.batch()).unwrap();
                naive::linear_forward(&plan, input, weight, bias, &mut output).unwrap();
            }
            Self::Pool(plan) => naive::pool_forward(plan, input, &mut output).unwrap(),
            Self::Activation(_) | Self::Flatten => {}
        }
        activate(self.activation(), &mut output, are_sizes);
        output
    }

    /// The gradient of the input; `grads` receives those of weight and bias.
    fn backward(
        &self,
        input: &[f32],
        weight: &[f32],
        grad_output: &[f32],
        grads: &mut [f32],
        are_sizes: bool,
    ) -> Vec<f32> {
        let mut grad_input = vec![0.0; input.len()];
        let (of_weight, of_bias) = grads.split_at_mut(weight.len());
        match self {
            Self::Conv(plan) => {
                naive::conv_backward_input(plan, weight, grad_output, &mut grad_input).unwrap();
                naive::conv_backward_weight(plan, input, grad_output, of_weight).unwrap();
                naive::conv_backward_bias(plan, grad_output, of_bias).unwrap();
            }
            Self::Linear(plan) => {
                naive::linear_backward_input(plan, weight, grad_output, &mut grad_input).unwrap();
                naive::linear_backward_weight(plan, input, grad_output, of_weight).unwrap();
                naive::linear_backward_bias(plan, grad_output, of_bias).unwrap();
            }
            // The largest value is not that of the largest size.
            Self::Pool(plan) if are_sizes && !is_mean(plan) => {
                let planes = plan.batch() * plan.channels();
                let sums = grad_output.chunks(grad_output.len() / planes);
                for (grad_input, sums) in grad_input.chunks_mut(input.len() / planes).zip(sums) {
                    grad_input.fill(sums.iter().sum());
                }
            }
            Self::Pool(plan) => naive::pool_backward(plan, input, grad_output, &mut grad_input).unwrap(),
            Self::Activation(_) | Self::Flatten => grad_input.copy_from_slice(grad_output),
        }
        grad_input
    }
}

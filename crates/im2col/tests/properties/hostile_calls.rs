//! Random calls of every public function, with operands of right and wrong lengths that hold NaN and
//! infinity: none panics (overflow checks are on), a wrong length is an error, and an error leaves the
//! output as it was.
//!
//! `PROPTEST_CASES=25000 cargo test -p im2col --test properties hostile_calls` makes over a million.

use crate::layouts::{LAYOUTS, with_layouts};
use crate::plans::{conv_params, im2col_params, last, report};
use im2col::{
    Activation, Algorithm, ConvOperands, ConvPlan, ConvTransposePlan, CrossEntropy, Gradients, Im2colPlan,
    Isa, Layer, LinearOperands, LinearParams, LinearPlan, Network, NetworkWeights, Pixels, PoolParams,
    PoolPlan, RunError, Softmax, Weights, argmax, lenet, naive,
};
use im2col_testkit::operands::{Rng, garbage, specials};
use im2col_testkit::oracle::ConvCase;
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::partly_hostile_conv_case;
use proptest::prelude::{Strategy, any};
use std::cell::RefCell;

/// Plans with longer operands are not called.
const LONGEST: usize = 1 << 11;

/// Calls with operands, an output and a scratch, and says whether that was an error.
type IsRefused<'a> = dyn FnMut(&[Vec<f32>], &mut [f32], &mut [f32]) -> bool + 'a;

struct Caller {
    rng: Rng,
    calls: u64,
    errors: u64,
}

impl Caller {
    fn below(&mut self, end: usize) -> usize {
        (self.rng.bits() % end.max(1) as u64) as usize
    }

    /// The right length three times out of four.
    fn length(&mut self, right: usize) -> usize {
        match self.below(16) {
            0 => 0,
            1 => right + 1,
            2 => right.saturating_sub(1),
            3 => self.below(40),
            _ => right,
        }
    }

    fn isa(&mut self) -> Isa {
        let isas: Vec<Isa> = Isa::available().collect();
        isas[self.below(isas.len())]
    }

    /// Calls `f(operands, output, scratch)` with lengths that may be wrong.
    fn call<E>(
        &mut self,
        operands: &[usize],
        output: usize,
        scratch: usize,
        f: impl FnOnce(&[Vec<f32>], &mut [f32], &mut [f32]) -> Result<(), E>,
    ) {
        let mut f = Some(f);
        self.call_once(operands, output, scratch, &mut |given, output, scratch| {
            f.take().is_some_and(|f| f(given, output, scratch).is_err())
        });
    }

    /// Compiled once, not for every `f`, which says whether it refused its operands.
    fn call_once(&mut self, operands: &[usize], output: usize, scratch: usize, f: &mut IsRefused<'_>) {
        let given: Vec<Vec<f32>> = operands
            .iter()
            .map(|&right| {
                let len = self.length(right);
                specials(self.rng.bits(), len)
            })
            .collect();
        let before = garbage(self.rng.bits(), self.length(output));
        let (mut after, mut scratch_given) = (before.clone(), garbage(1, self.length(scratch)));
        let right = before.len() == output
            && scratch_given.len() >= scratch
            && operands.iter().zip(&given).all(|(right, given)| given.len() == *right);
        self.calls += 1;
        if f(&given, &mut after, &mut scratch_given) {
            self.errors += 1;
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&after), bits(&before), "an error touched the output");
        } else {
            assert!(right, "a wrong length is no error");
        }
    }
}

fn conv<const D: usize>(caller: &mut Caller, plan: &ConvPlan<D>) {
    // Weights are packed below. (Without its feature the last one has no name that this could compare.)
    let takes_packed = |algorithm: &Algorithm| format!("{algorithm:?}") != "Matrixmultiply";
    let algorithms: Vec<Algorithm> = plan.algorithms().filter(takes_packed).collect();
    let algorithm = algorithms[caller.below(algorithms.len())];
    let plan = plan.with_algorithm(algorithm).unwrap().with_isa(caller.isa());
    let layouts = if caller.below(4) == 0 { LAYOUTS[caller.below(4)] } else { LAYOUTS[0] };
    let plan = with_layouts(plan, layouts);
    let plan = if caller.below(4) == 0 { plan.with_scratch_limit(caller.below(3000)) } else { plan };
    let plan = if caller.below(4) == 0 { plan.with_backward_scratch_limit(caller.below(3000)) } else { plan };
    let [x, w, b, y] = [plan.input_len(), plan.weight_len(), plan.bias_len(), plan.output_len()];
    if plan.scratch_len() > 16 * LONGEST {
        return;
    }
    caller.call(&[x, w, b], y, plan.scratch_len(), |given, output, scratch| {
        let operands = ConvOperands { input: &given[0], weight: Weights::Plain(&given[1]), bias: &given[2] };
        plan.forward(operands, output, scratch)
    });
    caller.call(&[w], plan.packed_weight_len(), 0, |given, packed, _| {
        plan.pack_weights(&given[0], packed).map(|_| ())
    });
    let mut packed = garbage(1, plan.packed_weight_len());
    let packed = plan.pack_weights(&specials(2, w), &mut packed).unwrap();
    caller.call(&[x, b], y, plan.packed_scratch_len(), |given, output, scratch| {
        let operands = ConvOperands { input: &given[0], weight: Weights::Packed(packed), bias: &given[1] };
        plan.forward(operands, output, scratch)
    });
    if layouts != LAYOUTS[0] {
        return;
    }
    caller.call(&[w, y], x, plan.backward_input_scratch_len(), |given, grad, scratch| {
        plan.backward_input(&given[0], &given[1], grad, scratch)
    });
    caller.call(&[x, y], w, plan.backward_weight_scratch_len(), |given, grad, scratch| {
        plan.backward_weight(&given[0], &given[1], grad, scratch)
    });
    caller.call(&[y], b, 0, |given, grad, _| plan.backward_bias(&given[0], grad));
    together(caller, [x, w, b, y], plan.backward_scratch_len(), |operands, gradients, scratch| {
        plan.backward(operands[0], operands[1], operands[2], gradients, scratch)
    });
    caller.call(&[x], plan.columns_len(), 0, |given, columns, _| plan.im2col(&given[0], columns));
    caller.call(&[plan.columns_len()], x, 0, |given, sums, _| plan.col2im(&given[0], sums));
    caller.call(&[x, w, b], y, 0, |given, output, _| {
        naive::conv_forward(&plan, &given[0], &given[1], &given[2], output)
    });
    caller
        .call(&[w, y], x, 0, |given, grad, _| naive::conv_backward_input(&plan, &given[0], &given[1], grad));
    caller
        .call(&[x, y], w, 0, |given, grad, _| naive::conv_backward_weight(&plan, &given[0], &given[1], grad));
    caller.call(&[y], b, 0, |given, grad, _| naive::conv_backward_bias(&plan, &given[0], grad));
    view(caller, &plan);
}

/// All gradients in one call: those of input, weight and bias lie one behind the other in what is written.
fn together(
    caller: &mut Caller,
    [x, w, b, y]: [usize; 4],
    scratch: usize,
    backward: impl FnOnce([&[f32]; 3], Gradients<'_>, &mut [f32]) -> Result<(), RunError>,
) {
    caller.call(&[x, w, y], x + w + b, scratch, |given, grads, scratch| {
        let len = grads.len();
        let (input, rest) = grads.split_at_mut(x.min(len));
        let (weight, bias) = rest.split_at_mut(w.min(rest.len()));
        let gradients = Gradients { input, weight, bias };
        backward([&given[0], &given[1], &given[2]], gradients, scratch)
    });
}

/// The im2col matrices without a convolution.
fn matrices<const D: usize>(caller: &mut Caller, plan: &Im2colPlan<D>) {
    let plan = plan.with_isa(caller.isa());
    let (x, columns) = (plan.input_len(), plan.columns_len());
    caller.call(&[x], columns, 0, |given, columns, _| plan.im2col(&given[0], columns));
    caller.call(&[columns], x, 0, |given, sums, _| plan.col2im(&given[0], sums));
    let input = specials(1, caller.length(x));
    let view = plan.columns(&input);
    assert_eq!(view.is_ok(), input.len() == x);
    if let Ok(view) = view {
        let _ = view.get(caller.below(plan.rows() + 2), caller.below(columns + 2));
    }
    caller.calls += 1;
}

/// The view of the im2col matrix, and the dense matrix.
fn view<const D: usize>(caller: &mut Caller, plan: &ConvPlan<D>) {
    let input = specials(1, plan.input_len());
    let columns = plan.columns(&input).unwrap();
    let mut end = |len: usize| match caller.below(8) {
        0 => usize::MAX,
        1 => len + 1,
        _ => caller.below(len + 1),
    };
    let (rows, range) =
        (end(columns.rows())..end(columns.rows()), end(columns.columns())..end(columns.columns()));
    let _ = columns.get(rows.start, range.start);
    let len = rows.len().saturating_mul(range.len()).min(LONGEST);
    caller.call(&[], len, 0, |_, block, _| columns.copy_block(rows, range, block));
    let images = plan.batch().max(1);
    let dense = (plan.input_len() / images).saturating_mul(plan.output_len() / images);
    if plan.batch() > 0 && dense <= 4 * LONGEST {
        caller.call(&[plan.weight_len()], dense, 0, |given, matrix, _| {
            naive::dense_matrix(plan, &given[0], matrix)
        });
    }
}

fn transposed<const D: usize>(caller: &mut Caller, plan: &ConvTransposePlan<D>) {
    let plan = plan.with_isa(caller.isa());
    let plan = if caller.below(4) == 0 { plan.with_scratch_limit(caller.below(3000)) } else { plan };
    let plan = if caller.below(4) == 0 { plan.with_backward_scratch_limit(caller.below(3000)) } else { plan };
    let [x, w, b, y] = [plan.input_len(), plan.weight_len(), plan.bias_len(), plan.output_len()];
    caller.call(&[x, w, b], y, plan.scratch_len(), |given, output, scratch| {
        let operands = ConvOperands { input: &given[0], weight: Weights::Plain(&given[1]), bias: &given[2] };
        plan.forward(operands, output, scratch)
    });
    let mut packed = garbage(1, plan.packed_weight_len());
    let packed = plan.pack_weights(&specials(2, w), &mut packed).unwrap();
    caller.call(&[x, b], y, plan.packed_scratch_len(), |given, output, scratch| {
        let operands = ConvOperands { input: &given[0], weight: Weights::Packed(packed), bias: &given[1] };
        plan.forward(operands, output, scratch)
    });
    caller.call(&[w], plan.packed_weight_len(), 0, |given, packed, _| {
        plan.pack_weights(&given[0], packed).map(|_| ())
    });
    caller.call(&[w, y], x, plan.backward_input_scratch_len(), |given, grad, scratch| {
        plan.backward_input(&given[0], &given[1], grad, scratch)
    });
    caller.call(&[x, y], w, plan.backward_weight_scratch_len(), |given, grad, scratch| {
        plan.backward_weight(&given[0], &given[1], grad, scratch)
    });
    caller.call(&[y], b, 0, |given, grad, _| plan.backward_bias(&given[0], grad));
    together(caller, [x, w, b, y], plan.backward_scratch_len(), |operands, gradients, scratch| {
        plan.backward(operands[0], operands[1], operands[2], gradients, scratch)
    });
    caller.call(&[x, w, b], y, 0, |given, output, _| {
        naive::conv_transpose_forward(&plan, &given[0], &given[1], &given[2], output)
    });
    caller.call(&[w, y], x, 0, |given, grad, _| {
        naive::conv_transpose_backward_input(&plan, &given[0], &given[1], grad)
    });
    caller.call(&[x, y], w, 0, |given, grad, _| {
        naive::conv_transpose_backward_weight(&plan, &given[0], &given[1], grad)
    });
    caller.call(&[y], b, 0, |given, grad, _| naive::conv_transpose_backward_bias(&plan, &given[0], grad));
}

fn pooling<const D: usize>(caller: &mut Caller, plan: &PoolPlan<D>) {
    let plan = plan.with_isa(caller.isa());
    let (x, y) = (plan.input_len(), plan.output_len());
    caller.call(&[x], y, 0, |given, output, _| plan.forward(&given[0], output));
    caller.call(&[x, y], x, 0, |given, grad, _| plan.backward(&given[0], &given[1], grad));
    caller.call(&[x], y, 0, |given, output, _| naive::pool_forward(&plan, &given[0], output));
    caller.call(&[x, y], x, 0, |given, grad, _| naive::pool_backward(&plan, &given[0], &given[1], grad));
    let wild = |caller: &mut Caller, right: usize| -> Vec<i64> {
        let len = caller.length(right);
        let most = [2, 70][caller.below(2)];
        (0..len).map(|_| caller.below(most) as i64 - 1).collect()
    };
    let mut indices = wild(caller, y);
    let right = indices.len() == y;
    caller.call(&[x], y, 0, |given, output, _| {
        let result = plan.forward_with_indices(&given[0], output, &mut indices);
        assert!(right || result.is_err());
        result
    });
    let indices = wild(caller, y);
    caller.call(&[y], x, 0, |given, output, _| plan.unpool(&given[0], &indices, output));
    caller.call(&[x], y, 0, |given, grad, _| plan.unpool_backward(&given[0], &indices, grad));
    caller.call(&[y], x, 0, |given, output, _| naive::unpool(&plan, &given[0], &indices, output));
    caller.call(&[x], y, 0, |given, grad, _| naive::unpool_backward(&plan, &given[0], &indices, grad));
    let len = caller.length(plan.workspace_bytes());
    let mut workspace: Vec<u8> = (0..len).map(|_| caller.below(256) as u8).collect();
    caller.call(&[y], x, 0, |given, grad, _| plan.backward_from_workspace(&workspace, &given[0], grad));
    caller.call(&[x], y, 0, |given, output, _| plan.forward_train(&given[0], output, &mut workspace));
}

fn linear(caller: &mut Caller, plan: &LinearPlan) {
    let plan = plan.with_isa(caller.isa());
    let plan = if caller.below(4) == 0 { plan.with_scratch_limit(caller.below(3000)) } else { plan };
    let plan = if caller.below(4) == 0 { plan.with_backward_scratch_limit(caller.below(3000)) } else { plan };
    let [x, w, b, y] = [plan.input_len(), plan.weight_len(), plan.bias_len(), plan.output_len()];
    caller.call(&[x, w, b], y, plan.scratch_len(), |given, output, scratch| {
        let operands =
            LinearOperands { input: &given[0], weight: Weights::Plain(&given[1]), bias: &given[2] };
        plan.forward(operands, output, scratch)
    });
    caller.call(&[w], plan.packed_weight_len(), 0, |given, packed, _| {
        plan.pack_weights(&given[0], packed).map(|_| ())
    });
    caller.call(&[w, y], x, plan.backward_input_scratch_len(), |given, grad, scratch| {
        plan.backward_input(&given[0], &given[1], grad, scratch)
    });
    caller.call(&[x, y], w, plan.backward_weight_scratch_len(), |given, grad, scratch| {
        plan.backward_weight(&given[0], &given[1], grad, scratch)
    });
    caller.call(&[y], b, 0, |given, grad, _| plan.backward_bias(&given[0], grad));
    together(caller, [x, w, b, y], plan.backward_scratch_len(), |operands, gradients, scratch| {
        plan.backward(operands[0], operands[1], operands[2], gradients, scratch)
    });
    caller.call(&[x, w, b], y, 0, |given, output, _| {
        naive::linear_forward(&plan, &given[0], &given[1], &given[2], output)
    });
    caller.call(&[w, y], x, 0, |given, output, _| {
        naive::linear_backward_input(&plan, &given[0], &given[1], output)
    });
    caller.call(&[x, y], w, 0, |given, output, _| {
        naive::linear_backward_weight(&plan, &given[0], &given[1], output)
    });
    caller.call(&[y], b, 0, |given, output, _| naive::linear_backward_bias(&plan, &given[0], output));
}

fn elementwise(caller: &mut Caller) {
    let activations = [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh];
    let activation = activations[caller.below(activations.len())];
    let (len, isa) = (caller.below(70), caller.isa());
    caller.call(&[len], len, 0, |given, output, _| {
        // Any two equal lengths are right here.
        if given[0].len() == output.len() && output.len() != len {
            return Err(());
        }
        activation.forward_with_isa(isa, &given[0], output).map_err(|_| ())
    });
    let mut values = specials(caller.rng.bits(), len);
    activation.forward_in_place_with_isa(isa, &mut values);
    let (output, logits) = (specials(1, len), specials(2, caller.length(len)));
    let mut grad = specials(3, caller.length(len));
    let _ = activation.backward_with_isa(isa, &output, &logits, &mut grad);
    let _ = activation.backward_in_place_with_isa(isa, &output, &mut grad);
    caller.calls += 3;
    let dims = [caller.below(6), caller.below(6), caller.below(4), caller.below(4)];
    let [h, w, kh, kw] = dims;
    let positions = |n: usize, k: usize| if k == 0 { 0 } else { (n + 1).saturating_sub(k) };
    for definition in [naive::corr2d, naive::true_conv2d] {
        caller.call(&[h * w, kh * kw], positions(h, kh) * positions(w, kw), 0, |given, output, _| {
            definition(&given[0], [h, w], &given[1], [kh, kw], output)
        });
    }
}

fn losses(caller: &mut Caller) {
    let mut size = |most: usize| if caller.below(16) == 0 { usize::MAX } else { caller.below(most) };
    let (batch, classes, positions) = (size(4), size(40), size(20));
    let len = batch.saturating_mul(classes).saturating_mul(positions);
    let rows = batch.saturating_mul(positions);
    if len > LONGEST || rows > LONGEST {
        let mut output = garbage(1, caller.length(60));
        let (softmax, loss) = (Softmax::new(classes), CrossEntropy::new(classes));
        let (softmax, loss) = (softmax.with_positions(positions), loss.with_positions(positions));
        let (values, labels) = (specials(2, caller.length(60)), [0, 1, 2]);
        let _ = softmax.forward(&values, &mut output);
        let _ = softmax.backward(&values, &values, &mut output);
        let _ = loss.backward(&values, &labels[..caller.below(4)], 0.5, &mut output);
        let _ = loss.backward_soft(&values, &values, 0.5, &mut output);
        caller.calls += 4;
        return;
    }
    let softmax = Softmax::new(classes).with_positions(positions).with_isa(caller.isa());
    // Another number of images would be right as well, so what is then written goes elsewhere.
    caller.call(&[len], len, 0, |given, output, _| {
        if given[0].len() == len {
            return softmax.forward(&given[0], output).map_err(|_| ());
        }
        let _ = softmax.forward(&given[0], &mut output.to_vec());
        Err(())
    });
    caller.call(&[len, len], len, 0, |given, output, _| {
        if given[0].len() == len {
            return softmax.backward(&given[0], &given[1], output).map_err(|_| ());
        }
        let _ = softmax.backward(&given[0], &given[1], &mut output.to_vec());
        Err(())
    });
    let loss = CrossEntropy::new(classes).with_positions(positions).with_isa(caller.isa());
    let loss = if caller.below(2) == 0 { loss.with_ignore_index(-1) } else { loss };
    let loss = if caller.below(2) == 0 { loss.with_mean() } else { loss };
    let mut label = || (caller.below(classes.saturating_add(1)) as i8).wrapping_sub(1);
    let mut labels: Vec<i8> = (0..rows).map(|_| label()).collect();
    labels.resize(caller.length(rows), 0);
    caller.call(&[len], len, 0, |given, output, _| {
        if given[0].len() == len && labels.len() == rows {
            return loss.backward(&given[0], &labels, 0.5, output).map(|_| ()).map_err(|_| ());
        }
        let _ = loss.backward(&given[0], &labels, 0.5, &mut output.to_vec());
        Err(())
    });
    caller.call(&[len, len], len, 0, |given, output, _| {
        if given[0].len() == len {
            return loss.backward_soft(&given[0], &given[1], 0.5, output).map(|_| ()).map_err(|_| ());
        }
        let _ = loss.backward_soft(&given[0], &given[1], 0.5, &mut output.to_vec());
        Err(())
    });
    let dims = [batch, classes, positions];
    caller.call(&[len], len, 0, |given, output, _| naive::softmax(&given[0], dims, output));
    caller.call(&[len, len], len, 0, |given, output, _| {
        naive::softmax_backward(&given[0], &given[1], dims, output)
    });
    caller.call(&[len, len], len, 0, |given, output, _| {
        naive::cross_entropy_backward(&given[0], &given[1], dims, output)
    });
    caller
        .call(&[len], len, 0, |given, targets, _| naive::cross_entropy(&given[0], targets, dims).map(|_| ()));
    let _ = argmax(&specials(caller.rng.bits(), len));
    caller.calls += 1;
}

fn network<const L: usize>(caller: &mut Caller, layers: [Layer; L]) {
    let sides = [28, 0, 1, 27, usize::MAX];
    let (batch, side) = (caller.below(3), sides[caller.below(8).min(4)]);
    let side = if caller.below(2) == 0 { 28 } else { side };
    caller.calls += 1;
    let Ok(network) = Network::plan(layers, batch, [1, side, side]) else { return };
    let network = network.with_isa(caller.isa());
    let mut limit = || match caller.below(4) {
        0 => caller.below(network.scratch_len().saturating_add(2)),
        1 => caller.below(40_000),
        _ => usize::MAX,
    };
    let (inference, training) = (limit(), limit());
    let interleaved = |network: Network<L>, choice| match choice {
        0 => network,
        choice => network.with_interleaving(choice == 1).unwrap_or(network),
    };
    let network = interleaved(network, caller.below(3));
    let network = network.with_scratch_limit(inference).unwrap_or(network);
    let network = network.with_train_scratch_limit(training).unwrap_or(network);
    let network = interleaved(network, caller.below(3));
    let [p, x, y] = [network.param_len(), network.input_len(), network.output_len()];
    caller.call(&[p, x], y, network.scratch_len(), |given, output, scratch| {
        network.forward(NetworkWeights::Plain(&given[0]), &given[1], output, scratch)
    });
    caller.call(&[p, x], y, network.pixel_scratch_len(), |given, output, scratch| {
        let values: Vec<u8> = given[1].iter().map(|value| value.to_bits() as u8).collect();
        let pixels = Pixels { values: &values, scale: given[0].first().copied().unwrap_or(1.0), shift: -1.0 };
        network.forward_pixels(NetworkWeights::Plain(&given[0]), pixels, output, scratch)
    });
    let workspace = network.workspace_len();
    caller.call(&[p, x], workspace, network.train_scratch_len(), |given, workspace, scratch| {
        network.forward_train(NetworkWeights::Plain(&given[0]), &given[1], workspace, scratch)
    });
    caller.call(&[p, x, workspace, y], p, network.train_scratch_len(), |given, grads, scratch| {
        network.backward(&given[0], &given[1], &given[2], &given[3], grads, scratch)
    });
    caller.call(&[p], network.packed_weight_len(), 0, |given, packed, _| {
        network.pack_weights(&given[0], packed).map(|_| ())
    });
    let values = garbage(1, caller.length(workspace));
    let _ = network.layer_output(caller.below(20), &values);
    caller.calls += 1;
}

fn of_rank<const D: usize>(caller: &mut Caller, case: &ConvCase) {
    let fits = |lens: &[usize]| lens.iter().all(|&len| len <= LONGEST);
    let (params, input) = (conv_params::<D>(case), last(case.input));
    caller.calls += 4;
    if let Ok(plan) = params.plan(case.batch, input) {
        let lens = [
            plan.input_len(),
            plan.weight_len(),
            plan.output_len(),
            plan.columns_len() / 8,
            plan.multiply_adds() / 16,
        ];
        let scratches = [plan.backward_input_scratch_len() / 16, plan.backward_weight_scratch_len() / 16];
        if fits(&lens) && fits(&scratches) {
            conv(caller, &plan);
        }
    }
    if let Ok(plan) = im2col_params::<D>(case).plan(case.batch, input)
        && fits(&[plan.input_len(), plan.columns_len() / 8])
    {
        matrices(caller, &plan);
    }
    let output_padding = [caller.below(3); D];
    if let Ok(plan) = params.with_output_padding(output_padding).plan_transposed(case.batch, input) {
        let lens = [plan.input_len(), plan.weight_len(), plan.output_len(), plan.multiply_adds() / 16];
        if fits(&lens) && fits(&[plan.scratch_len() / 16, plan.backward_input_scratch_len() / 16]) {
            transposed(caller, &plan);
        }
    }
    let (kernel, padding) = (last(case.kernel), last(case.padding));
    let pool = match caller.below(4) {
        0 => PoolParams::adaptive_average(kernel),
        1 => PoolParams::adaptive_max(kernel),
        2 => PoolParams::max(kernel).with_dilation(last(case.dilation)).with_padding_per_side(padding),
        _ => PoolParams::average(kernel).with_dilation(last(case.dilation)).with_padding_per_side(padding),
    };
    let pool =
        if caller.below(2) == 0 { pool } else { pool.with_ceil_mode(true).with_stride(last(case.stride)) };
    if let Ok(plan) = pool.plan(case.batch, case.in_channels, input) {
        let taps = case.kernel.iter().fold(1, |taps: usize, &k| taps.saturating_mul(k));
        if fits(&[plan.input_len(), plan.output_len(), plan.output_len().saturating_mul(taps) / 8]) {
            pooling(caller, &plan);
        }
    }
}

#[test]
fn no_call_panics() {
    let total = RefCell::new([0_u64; 2]);
    // Boxed: three trees of choices by value are more than a test's stack holds.
    let case = [1, 2, 3].map(|rank| partly_hostile_conv_case(rank).boxed());
    for_all(cases(300), (case, any::<u64>()), |(cases, seed)| {
        let mut caller = Caller { rng: Rng::new(seed), calls: 0, errors: 0 };
        of_rank::<1>(&mut caller, &cases[0]);
        of_rank::<2>(&mut caller, &cases[1]);
        of_rank::<3>(&mut caller, &cases[2]);
        if let Ok(plan) = LinearParams::new(caller.below(20), caller.below(20)).plan(caller.below(5)) {
            linear(&mut caller, &plan);
        }
        elementwise(&mut caller);
        losses(&mut caller);
        if seed.is_multiple_of(16) {
            network(&mut caller, lenet::LENET);
            network(&mut caller, lenet::LENET_RELU);
        }
        let mut total = total.borrow_mut();
        *total = [total[0] + caller.calls, total[1] + caller.errors];
    });
    let [calls, errors] = total.into_inner();
    report(&format!("hostile calls: {calls}, {errors} errors, no panic, no output touched by an error"));
}

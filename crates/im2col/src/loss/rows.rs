//! The cross-entropy of each row, and its gradient.

use super::classes::{Axis, RowTile, Sum, Ties};
use crate::math;
use crate::simd::{Kernel, MulAdd, Vectors};
use crate::sum::Pairwise;

/// What each row should be.
#[derive(Clone, Copy)]
pub(super) enum Targets<'a> {
    /// The class of a row, or none if it is ignored. A function, so that one kernel serves all types of labels.
    Labels(&'a dyn Fn(usize) -> Option<usize>),
    /// `[batch, classes, positions]`
    Probabilities(&'a [f32]),
}

pub(super) struct Gradient<'a> {
    pub(super) scale: f32,
    /// `[batch, classes, positions]`
    pub(super) values: &'a mut [f32],
}

/// The loss of all rows, and its gradient if that is wanted.
pub(super) struct Losses<'a, const W: usize> {
    pub(super) axis: Axis,
    pub(super) logits: &'a [f32],
    pub(super) targets: Targets<'a>,
    pub(super) gradient: Option<Gradient<'a>>,
    pub(super) loss: &'a mut f32,
}

impl<const W: usize> Kernel for Losses<'_, W> {
    const USES_AVX512: bool = false;
    // Neighbouring positions are loaded and stored for most of the time.
    const USES_AVX2: bool = W == 1;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { axis, logits, targets, mut gradient, loss } = self;
        let mut sums = (Sum::<W>::new(), Ties::new());
        let mut total = Pairwise::new();
        for tile in axis.tiles::<W>(logits.len()) {
            let max = axis.max(logits, tile);
            let powers = gradient.as_mut().map(|gradient| &mut *gradient.values);
            let others = axis.other_powers(logits, tile, max, powers, &mut sums);
            let mut logs = others;
            logs.iter_mut().for_each(|x| *x = math::ln_1p(*x));
            let row = LossRow { axis, tile, max, others, logs };
            match targets {
                Targets::Labels(class_of) => {
                    let mut classes = [None; W];
                    for (w, class) in classes[..tile.width].iter_mut().enumerate() {
                        *class = class_of(tile.row + w);
                        if let Some(class) = *class {
                            let logit = logits[tile.start + class * axis.positions + w];
                            total.push(logs[w] + (max[w] - logit));
                        }
                    }
                    if let Some(Gradient { scale, values }) = &mut gradient {
                        row.label_gradient(classes, *scale, values);
                    }
                }
                Targets::Probabilities(targets) => {
                    let losses = row.soft_losses(logits, targets, &mut sums.0);
                    losses[..tile.width].iter().for_each(|loss| total.push(*loss));
                    if let Some(Gradient { scale, values }) = &mut gradient {
                        row.soft_gradient(targets, *scale, values, &mut sums.0);
                    }
                }
            }
        }
        *loss = total.total();
    }
}

/// Neighbouring rows: the logits of one class are neighbours.
struct LossRow<const W: usize> {
    axis: Axis,
    tile: RowTile,
    /// The largest logits.
    max: [f32; W],
    /// The sums of e^(logit - max), less 1.
    others: [f32; W],
    /// The logarithms of the whole sums: `ln_1p(others)`.
    logs: [f32; W],
}

impl<const W: usize> LossRow<W> {
    /// Turns powers into the gradient; `classes`: the label of each row, or none if it is ignored.
    #[inline(always)]
    fn label_gradient(&self, classes: [Option<usize>; W], scale: f32, grad: &mut [f32]) {
        let Self { axis, tile, .. } = *self;
        let mut of_labels = [0.0; W];
        for (w, class) in classes.iter().enumerate() {
            if let Some(class) = class {
                let power = grad[tile.start + class * axis.positions + w];
                of_labels[w] = (power / (1.0 + self.others[w]) - 1.0) * scale;
            }
        }
        let ignored = classes.map(|class| class.is_none());
        for first in axis.groups() {
            let mut group = axis.load::<W>(grad, tile, first, 0.0);
            for row in &mut group[..axis.rows::<W>(first)] {
                for (g, (others, ignored)) in row.iter_mut().zip(self.others.iter().zip(&ignored)) {
                    let scaled = *g / (1.0 + others) * scale;
                    *g = if *ignored { 0.0 } else { scaled };
                }
            }
            axis.store(&group, grad, tile, first);
        }
        for (w, class) in classes.iter().enumerate() {
            if let Some(class) = class {
                grad[tile.start + class * axis.positions + w] = of_labels[w];
            }
        }
    }

    /// The loss of each row; targets: `[batch, classes, positions]`, as the logits.
    #[inline(always)]
    fn soft_losses(&self, logits: &[f32], targets: &[f32], sum: &mut Sum<W>) -> [f32; W] {
        let Self { axis, tile, .. } = *self;
        for first in axis.groups() {
            let mut group = axis.load::<W>(targets, tile, first, 0.0);
            let logits = axis.load::<W>(logits, tile, first, 0.0);
            let group = &mut group[..axis.rows::<W>(first)];
            for (row, logits) in group.iter_mut().zip(&logits) {
                for ((q, x), (max, log)) in row.iter_mut().zip(logits).zip(self.max.iter().zip(&self.logs)) {
                    let loss = *q * (log + (max - x));
                    *q = if *q == 0.0 { 0.0 } else { loss };
                }
            }
            sum.add(group);
        }
        sum.take()
    }

    /// Turns powers into the gradient.
    #[inline(always)]
    fn soft_gradient(&self, targets: &[f32], scale: f32, grad: &mut [f32], sum: &mut Sum<W>) {
        let Self { axis, tile, .. } = *self;
        for first in axis.groups() {
            let targets = axis.load::<W>(targets, tile, first, 0.0);
            sum.add(&targets[..axis.rows::<W>(first)]);
        }
        let totals = sum.take();
        for first in axis.groups() {
            let mut group = axis.load::<W>(grad, tile, first, 0.0);
            let targets = axis.load::<W>(targets, tile, first, 0.0);
            for (row, targets) in group[..axis.rows::<W>(first)].iter_mut().zip(&targets) {
                for ((g, q), (others, total)) in
                    row.iter_mut().zip(targets).zip(self.others.iter().zip(&totals))
                {
                    *g = (*g / (1.0 + others) * total - q) * scale;
                }
            }
            axis.store(&group, grad, tile, first);
        }
    }
}

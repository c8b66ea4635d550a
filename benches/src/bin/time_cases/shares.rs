//! A batch, shared out over the threads of the pool.

use anyhow::{Context, Result};
use im2col::{RunError, ShapeError};
use rayon::prelude::*;

/// Multiply-adds of the whole batch below which waking threads costs more than they save.
const WORTH_SHARING: usize = 1 << 20;

/// A batch cut into equal runs of images, one for each thread; the last may be shorter.
///
/// A batch with less than two images for a thread, or with little work, stays whole.
#[derive(Debug)]
pub(crate) struct Shares<P> {
    batch: usize,
    images: usize,
    /// A plan for each run, and its scratch.
    plans: Vec<(P, Vec<f32>)>,
}

impl<P: Send> Shares<P> {
    /// Plans every run with `plan(images)`.
    pub(crate) fn new(
        batch: usize,
        multiply_adds: usize,
        plan: impl Fn(usize) -> Result<P, ShapeError>,
        scratch_len: impl Fn(&P) -> usize,
    ) -> Result<Self> {
        let threads = rayon::current_num_threads();
        let shared = batch >= 2 * threads && multiply_adds >= WORTH_SHARING;
        let images = if shared { batch.div_ceil(threads) } else { batch };
        let runs = (0..batch).step_by(images).map(|first| {
            let plan = plan(images.min(batch - first))?;
            let scratch = vec![0.0; scratch_len(&plan)];
            Ok((plan, scratch))
        });
        Ok(Self { batch, images, plans: runs.collect::<Result<_>>()? })
    }

    /// The plan of the first run.
    pub(crate) fn first(&self) -> Result<&P> {
        self.plans.first().map(|(plan, _)| plan).context("an empty batch")
    }

    /// Runs `call(plan, input, output, scratch)` for every run.
    pub(crate) fn run<F>(&mut self, input: &[f32], output: &mut [f32], call: F) -> Result<(), RunError>
    where
        F: Fn(&P, &[f32], &mut [f32], &mut [f32]) -> Result<(), RunError> + Sync,
    {
        if let [(plan, scratch)] = self.plans.as_mut_slice() {
            return call(plan, input, output, scratch);
        }
        let inputs = input.par_chunks(input.len() / self.batch * self.images);
        let outputs = output.par_chunks_mut(output.len() / self.batch * self.images);
        (&mut self.plans, inputs, outputs)
            .into_par_iter()
            .try_for_each(|((plan, scratch), input, output)| call(plan, input, output, scratch))
    }
}

//! The weights depend on the seed and on nothing else: not on the threads, not on what ran before.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use im2col::lenet::LENET_RELU;
use im2col_testkit::alloc::{CountingAllocator, count_allocations};
use im2col_train::dataset::{Dataset, Part};
use im2col_train::schedule::Schedule;
use im2col_train::train::{Options, TrainError, Trainer};
use rayon::ThreadPoolBuilder;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Batches of 140 images are eight whole shards and one of 12; the last batch of the epoch has 20.
const IMAGES: usize = 300;
const OPTIONS: Options =
    Options { epochs: 2, batch: 140, rate: 0.05, schedule: Schedule::Cosine, momentum: 0.9, seed: 5 };

fn digits() -> Dataset {
    let digits = Dataset::built_in(Part::Test).unwrap();
    Dataset::new(28, 28, digits.pixels()[..IMAGES * 784].to_vec(), digits.labels()[..IMAGES].to_vec())
        .unwrap()
}

/// The bits of the parameters after two epochs, and of the last loss.
fn train(threads: usize, seed: u64) -> (Vec<u32>, u64) {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
        let digits = digits();
        let mut trainer = Trainer::new(LENET_RELU, &digits, Options { seed, ..OPTIONS }).unwrap();
        let first = trainer.epoch(|_| ()).unwrap();
        trainer.accuracy(&digits).unwrap();
        let last = trainer.epoch(|_| ()).unwrap();
        assert!(last.loss() < first.loss(), "{last:?} after {first:?}");
        (trainer.params().iter().map(|param| param.to_bits()).collect(), last.loss().to_bits())
    })
}

#[test]
fn threads_do_not_matter_and_the_seed_does() {
    let one = train(1, 5);
    for threads in [1, 2, 3] {
        assert!(train(threads, 5) == one, "{threads} threads");
    }
    assert!(train(1, 6) != one);
}

#[test]
fn a_step_allocates_nothing() {
    ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| {
        let digits = digits();
        let mut trainer = Trainer::new(LENET_RELU, &digits, OPTIONS).unwrap();
        let images: Vec<usize> = (0..OPTIONS.batch).collect();
        trainer.step(&images).unwrap();
        let (totals, allocations) = count_allocations(|| trainer.step(&images).unwrap());
        assert!(totals.loss().is_finite());
        assert_eq!(allocations, 0);
    });
}

#[test]
fn what_does_not_fit_is_an_error() {
    let small = Dataset::new(2, 2, vec![0; 4], vec![0]).unwrap();
    let digits = digits();
    assert!(matches!(Trainer::new(LENET_RELU, &small, OPTIONS), Err(TrainError::Shape(_))));
    let mut trainer = Trainer::new(LENET_RELU, &digits, OPTIONS).unwrap();
    let error = trainer.accuracy(&small).unwrap_err();
    assert!(matches!(error, TrainError::ImageDims { planned: [1, 28, 28], given: [1, 2, 2] }));
    let error = trainer.step(&[0, IMAGES]).unwrap_err();
    assert!(matches!(error, TrainError::Image { index: IMAGES, images: IMAGES }));
    let error = trainer.with_params(vec![0.0; 3]).unwrap_err();
    assert!(matches!(error, TrainError::Params { required: 61_706, given: 3 }));
}

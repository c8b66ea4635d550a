//! What training allocates. One test only: the counts are those of the whole program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};

use im2col::lenet::LENET_RELU;
use im2col_testkit::alloc::{CountingAllocator, count_all_allocations, peak_bytes};
use im2col_testkit::idx::write_idx;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::optimiser::Optimiser;
use im2col_train::samples::Samples;
use im2col_train::stream::IdxStream;
use im2col_train::train::{Options, Trainer};
use rayon::ThreadPoolBuilder;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const IMAGES: usize = 320;

#[test]
fn training_allocates_at_the_start_only() {
    a_step_allocates_nothing();
    a_streamed_data_set_stays_on_the_disk();
}

fn digits() -> Dataset {
    let digits = Dataset::built_in(Part::Test).unwrap();
    let (pixels, labels) = (&digits.pixels()[..IMAGES * 784], &digits.labels()[..IMAGES]);
    Dataset::new([1, 28, 28], pixels.to_vec(), labels.to_vec()).unwrap()
}

fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

const SGD: Options = Options {
    epochs: 2,
    batch: 140,
    optimiser: Optimiser::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-4 },
    rate: 0.05,
    schedule: im2col_train::schedule::Schedule::Constant,
    shift: 2,
    validation: 0.0625,
    seed: 5,
    isa: None,
    any_rounding: false,
};
const ADAM: Options = Options { optimiser: Optimiser::adam(), rate: 0.002, ..SGD };

fn a_step_allocates_nothing() {
    let (digits, dir) = (digits(), tempfile::tempdir().unwrap());
    write_idx(dir.path(), "train", digits.pixels(), digits.labels());
    let stream = IdxStream::open(dir.path(), Part::Train).unwrap();
    for threads in [1, 2] {
        for samples in [&digits as &dyn Samples, &stream] {
            for options in [SGD, ADAM] {
                on_threads(threads, || {
                    let mut trainer = Trainer::new(LENET_RELU, samples, options).unwrap();
                    trainer.next_batch().unwrap();
                    // To the end of this epoch and through the next one.
                    let (totals, allocations) = count_all_allocations(|| {
                        let first = trainer.epoch(|_| ()).unwrap();
                        (first, trainer.epoch(|_| ()).unwrap())
                    });
                    assert!(totals.1.loss().is_finite());
                    assert_eq!(allocations, 0, "{threads} threads, {options:?}");
                });
            }
        }
    }
}

/// 100,000 images, 78 MB on the disk (as a hole): the trainer holds 8 MB.
fn a_streamed_data_set_stays_on_the_disk() {
    const COUNT: u32 = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("train-images-idx3-ubyte");
    fs::write(&images, [&[0, 0, 8, 3], &COUNT.to_be_bytes()[..], &[0, 0, 0, 28, 0, 0, 0, 28]].concat())
        .unwrap();
    File::options().write(true).open(&images).unwrap().set_len(16 + u64::from(COUNT) * 784).unwrap();
    let labels = [&[0, 0, 8, 1], &COUNT.to_be_bytes()[..], &vec![3; COUNT as usize]].concat();
    fs::write(dir.path().join("train-labels-idx1-ubyte"), labels).unwrap();

    on_threads(1, || {
        let (loss, peak) = peak_bytes(|| {
            let stream = IdxStream::open(dir.path(), Part::Train).unwrap();
            let options = Options { batch: 256, ..SGD };
            let mut trainer = Trainer::new(LENET_RELU, &stream, options).unwrap();
            (0..4).map(|_| trainer.next_batch().unwrap().unwrap().loss()).sum::<f64>()
        });
        assert!(loss.is_finite());
        assert!(peak < 16 << 20, "{peak} bytes");
    });
}

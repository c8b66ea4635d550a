//! The weights depend on the seed and on nothing else: not on the threads, not on what ran before, not on where the
//! images are.

use std::fs;
use std::path::Path;

use im2col::lenet::LENET_RELU;
use im2col::{Activation, ConvParams, Isa, Layer, LinearParams, PoolParams};
use im2col_testkit::idx::write_idx;
use im2col_train::dataset::{Dataset, Part};
use im2col_train::optimiser::Optimiser;
use im2col_train::samples::{DatasetError, Samples};
use im2col_train::schedule::Schedule;
use im2col_train::stream::IdxStream;
use im2col_train::train::{IsaName, Options, TrainError, Trainer};
use rayon::ThreadPoolBuilder;

const IMAGES: usize = 320;
/// 20 images are held back. Batches of 140 are eight whole micro-batches of 16 images and one of 12; the last batch has 20.
const OPTIONS: Options = Options {
    epochs: 2,
    batch: 140,
    optimiser: Optimiser::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-4 },
    rate: 0.05,
    schedule: Schedule::Cosine { warm_up: 1 },
    shift: 2,
    validation: 0.0625,
    seed: 5,
    isa: None,
    any_rounding: false,
};
/// Batches of 280 are eight whole micro-batches of 32 images and one of 24.
const ADAM: Options = Options { optimiser: Optimiser::adam(), rate: 0.002, batch: 280, ..OPTIONS };

fn digits() -> Dataset {
    let digits = Dataset::built_in(Part::Test).unwrap();
    let (pixels, labels) = (&digits.pixels()[..IMAGES * 784], &digits.labels()[..IMAGES]);
    Dataset::new([1, 28, 28], pixels.to_vec(), labels.to_vec()).unwrap()
}

fn write_train_files(dir: &Path, digits: &Dataset) {
    write_idx(dir, "train", digits.pixels(), digits.labels());
}

fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// The bits of the parameters after two epochs, and of the last losses.
fn train(samples: &dyn Samples, threads: usize, options: Options) -> (Vec<u32>, [u64; 3]) {
    train_network(LENET_RELU, samples, threads, options)
}

fn train_network<const L: usize>(
    layers: [Layer; L],
    samples: &dyn Samples,
    threads: usize,
    options: Options,
) -> (Vec<u32>, [u64; 3]) {
    on_threads(threads, || {
        let mut trainer = Trainer::new(layers, samples, options).unwrap();
        let first = trainer.epoch(|_| ()).unwrap();
        assert_eq!(first.images(), 300);
        trainer.test(samples).unwrap();
        let last = trainer.epoch(|_| ()).unwrap();
        assert!(last.loss() < first.loss(), "{last:?} after {first:?}");
        let losses =
            [last, trainer.validate().unwrap().unwrap(), trainer.test(samples).unwrap()].map(|of| of.loss());
        (trainer.params().iter().map(|param| param.to_bits()).collect(), losses.map(f64::to_bits))
    })
}

#[test]
fn threads_do_not_matter_and_the_seed_does() {
    let digits = digits();
    for options in [OPTIONS, ADAM] {
        let one = train(&digits, 1, options);
        for threads in [1, 2, 3, 4, 8] {
            assert!(train(&digits, threads, options) == one, "{threads} threads, {options:?}");
        }
        assert!(train(&digits, 1, Options { seed: 6, ..options }) != one);
        assert!(train(&digits, 1, Options { shift: 1, ..options }) != one);
    }
}

/// A network whose second convolution Winograd's algorithm computes faster, forward and backward.
const OF_3X3: [Layer; 8] = [
    Layer::Conv(ConvParams::new(1, 32, [3, 3]).with_padding([1, 1])),
    Layer::Activation(Activation::Relu),
    Layer::Pool(PoolParams::max([2, 2])),
    Layer::Conv(ConvParams::new(32, 64, [3, 3]).with_padding([1, 1])),
    Layer::Activation(Activation::Relu),
    Layer::Pool(PoolParams::max([2, 2])),
    Layer::Flatten,
    Layer::Linear(LinearParams::new(64 * 7 * 7, 10)),
];

#[test]
fn any_rounding_is_another_and_does_not_depend_on_threads() {
    let digits = digits();
    let ordered = train_network(OF_3X3, &digits, 1, OPTIONS);
    let options = Options { any_rounding: true, ..OPTIONS };
    let any = train_network(OF_3X3, &digits, 1, options);
    assert!(any != ordered);
    let [of_any, of_ordered] = [&any, &ordered].map(|(_, losses)| f64::from_bits(losses[0]));
    assert!((of_any - of_ordered).abs() < 1e-3 * of_ordered, "{of_any} and {of_ordered}");
    for threads in [2, 3] {
        assert!(train_network(OF_3X3, &digits, threads, options) == any, "{threads} threads");
    }
}

/// `Options` with which every CPU makes the same bits.
const SCALAR: Options = Options { schedule: Schedule::Constant, isa: Some(IsaName::Scalar), ..OPTIONS };
/// Of the bytes of the trained parameters, by FNV-1a.
const SCALAR_HASH: u64 = 0xfaff_7628_682b_783a;

#[test]
fn a_named_instruction_set_makes_the_same_bits_on_every_cpu() {
    let digits = digits();
    let scalar = train(&digits, 1, SCALAR);
    for threads in [2, 3] {
        assert!(train(&digits, threads, SCALAR) == scalar, "{threads} threads");
    }
    let hash =
        scalar.0.iter().flat_map(|bits| bits.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    assert_eq!(hash, SCALAR_HASH, "{hash:#018x}");

    // Every other instruction set makes other bits where it fuses a multiplication with an addition, and only there.
    let wide_fuses = cfg!(any(target_feature = "fma", all(target_arch = "aarch64", target_feature = "neon")));
    for isa in Isa::available() {
        let name = IsaName::ALL.into_iter().find(|name| name.as_str() == isa.name());
        let fuses = isa.name().starts_with("avx") || (isa == Isa::WIDE && wide_fuses);
        assert_eq!(train(&digits, 2, Options { isa: name, ..SCALAR }) != scalar, fuses, "{isa:?}");
    }
    let best = train(&digits, 2, Options { isa: None, ..SCALAR });
    let named = IsaName::ALL.into_iter().find(|name| name.as_str() == Isa::detect().name());
    assert!(best == train(&digits, 1, Options { isa: named, ..SCALAR }));
}

#[test]
fn an_instruction_set_that_the_cpu_lacks_is_refused() {
    let digits = digits();
    for name in IsaName::ALL {
        let trainer = Trainer::new(LENET_RELU, &digits, Options { isa: Some(name), ..OPTIONS });
        match Isa::available().find(|isa| isa.name() == name.as_str()) {
            Some(isa) => assert_eq!(trainer.unwrap().isa(), isa),
            None => {
                assert!(matches!(trainer, Err(TrainError::Isa { name: given }) if given == name.as_str()))
            }
        }
    }
}

#[test]
fn streamed_images_give_the_same_weights() {
    let (digits, dir) = (digits(), tempfile::tempdir().unwrap());
    write_train_files(dir.path(), &digits);
    let stream = IdxStream::open(dir.path(), Part::Train).unwrap();
    assert_eq!((stream.image_dims(), stream.labels()), ([1, 28, 28], digits.labels()));
    assert!(train(&stream, 2, OPTIONS) == train(&digits, 1, OPTIONS));
}

#[test]
fn what_cannot_be_streamed_is_refused() {
    let (digits, dir) = (digits(), tempfile::tempdir().unwrap());
    let open = || IdxStream::open(dir.path(), Part::Train);
    assert!(matches!(open(), Err(DatasetError::Missing { .. })));
    write_train_files(dir.path(), &digits);
    let images = dir.path().join("train-images-idx3-ubyte");
    let sound = fs::read(&images).unwrap();
    for len in [0, 15, 16, sound.len() - 1] {
        fs::write(&images, &sound[..len]).unwrap();
        let error = open().unwrap_err().to_string();
        assert!(error.contains("train-images-idx3-ubyte: ") && error.contains("the file ends"), "{error}");
    }
    fs::write(&images, [&sound[..], &[0]].concat()).unwrap();
    assert!(open().unwrap_err().to_string().contains("goes on"));
    fs::write(&images, [0x1f, 0x8b, 8]).unwrap();
    assert!(open().unwrap_err().to_string().contains("gunzip"));

    // A file that shrinks while it is used.
    fs::write(&images, &sound).unwrap();
    let stream = open().unwrap();
    fs::write(&images, &sound[..5000]).unwrap();
    let mut trainer = Trainer::new(LENET_RELU, &stream, OPTIONS).unwrap();
    let error = trainer.next_batch().unwrap_err();
    assert!(error.to_string().contains("train-images-idx3-ubyte: "), "{error}");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let small = Dataset::new([1, 2, 2], vec![0; 4], vec![0]).unwrap();
    let digits = digits();
    assert!(matches!(Trainer::new(LENET_RELU, &small, OPTIONS), Err(TrainError::Shape(_))));
    let letters = Dataset::new([1, 28, 28], vec![0; 2 * 784], vec![9, 10]).unwrap();
    let error = Trainer::new(LENET_RELU, &letters, Options::default()).unwrap_err();
    assert!(matches!(error, TrainError::Label { position: 1, label: 10, classes: 10 }));
    let mut trainer = Trainer::new(LENET_RELU, &digits, OPTIONS).unwrap();
    assert!(matches!(trainer.test(&letters), Err(TrainError::Label { .. })));
    let error = trainer.test(&small).unwrap_err();
    assert!(matches!(error, TrainError::ImageDims { planned: [1, 28, 28], given: [1, 2, 2] }));
    let error = trainer.step(&[0, IMAGES]).unwrap_err();
    assert!(matches!(error, TrainError::Image { index: IMAGES, images: IMAGES }));
    let error = trainer.with_params(vec![0.0; 3]).unwrap_err();
    assert!(matches!(error, TrainError::Params { required: 61_706, given: 3 }));

    let options = Options { rate: 1e30, optimiser: Optimiser::sgd(0.0), ..OPTIONS };
    let mut trainer = Trainer::new(LENET_RELU, &digits, options).unwrap();
    let error = trainer.epoch(|_| ()).and_then(|_| trainer.epoch(|_| ())).unwrap_err();
    assert!(matches!(error, TrainError::Loss { .. }), "{error}");
}

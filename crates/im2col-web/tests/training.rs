//! The page learns what the trainer learns, bit for bit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Mutex;

use im2col::lenet::{LENET, LENET_RELU};
use im2col::{Isa, Network, NetworkWeights};
use im2col_train::dataset::{Dataset, Part};
use im2col_train::samples::Samples;
use im2col_train::schedule::Schedule;
use im2col_train::train::{IsaName, Options, Trainer};
use im2col_web::inference::Inference;
use im2col_web::networks::{IMAGE_LEN, Kind};
use im2col_web::training::{self, Digits, LEARNED, TESTED, Training};

// Too large for a stack.
static DIGITS: Mutex<Digits> = Mutex::new(Digits::new());
static TRAINING: Mutex<Training> = Mutex::new(Training::new());
static INFERENCE: Mutex<Inference> = Mutex::new(Inference::new());

/// The built-in digits: those to learn, and the first of those to be tested on.
fn built_in(digits: &mut Digits) -> (Dataset, Dataset) {
    let (train, test) = (Dataset::built_in(Part::Train).unwrap(), Dataset::built_in(Part::Test).unwrap());
    let images = (0..LEARNED).map(|image| (&train, image)).chain((0..TESTED).map(|image| (&test, image)));
    let mut input = [0.0; IMAGE_LEN];
    let places = digits.pixels.chunks_exact_mut(IMAGE_LEN).zip(&mut digits.labels);
    for ((pixels, label), (set, image)) in places.zip(images) {
        set.read(image, &mut input).unwrap();
        for (pixel, value) in pixels.iter_mut().zip(input) {
            *pixel = (value * 255.0_f32).round() as u8;
        }
        *label = set.labels()[image] as u8;
    }
    (train, test)
}

fn bits(params: &[f32]) -> Vec<u32> {
    params.iter().map(|param| param.to_bits()).collect()
}

#[test]
fn as_the_trainer() {
    let digits = &mut *DIGITS.lock().unwrap();
    let (train, test) = built_in(digits);
    let first = |count: usize| {
        let mut pixels = vec![0; count * IMAGE_LEN];
        pixels.copy_from_slice(&digits.pixels[..count * IMAGE_LEN]);
        let labels = digits.labels[..count].iter().map(|&label| u32::from(label)).collect();
        Dataset::new([1, 28, 28], pixels, labels).unwrap()
    };
    assert_eq!(first(LEARNED), train);

    let training = &mut *TRAINING.lock().unwrap();
    for (kind, count, batch, seed, rate, epochs) in [
        (Kind::Relu, 2000, 32, 1, 0.02, 2),
        // A last batch of 48.
        (Kind::Relu, 2000, 64, 7, 0.02, 1),
        (Kind::Relu, 320, 16, 2, 0.05, 3),
        (Kind::Sigmoid, 2000, 128, 3, 0.5, 1),
    ] {
        let layers = if kind == Kind::Relu { LENET_RELU } else { LENET };
        let options = Options {
            epochs,
            batch,
            rate,
            schedule: Schedule::Constant,
            seed,
            isa: Some(IsaName::Scalar),
            ..Options::default()
        };
        let samples = first(count);
        let mut trainer = Trainer::new(layers, &samples, options).unwrap();
        training.start(training::Options { kind, seed, digits: count, batch });
        assert_eq!(bits(&training.params), bits(trainer.params()), "{kind:?}: the first weights");
        for epoch in 1..=epochs {
            let expected = trainer.epoch(|_| ()).unwrap();
            let (mut images, mut loss, mut correct) = (0, 0.0, 0);
            loop {
                let totals = training.step(digits, rate).unwrap();
                if totals.digits == 0 {
                    break;
                }
                (images, loss, correct) =
                    (images + totals.digits, loss + totals.loss, correct + totals.correct);
            }
            assert_eq!(images, count);
            assert_eq!(correct as f64 / images as f64, expected.accuracy());
            assert!((loss / images as f64 - expected.loss()).abs() < 1e-12);
            assert_eq!(
                bits(&training.params),
                bits(trainer.params()),
                "{kind:?}, batch {batch}, epoch {epoch}"
            );
        }
    }

    // The last network, on digits to be tested on.
    let mut correct = 0;
    for block in (0..TESTED).step_by(16) {
        correct += training.test(digits, LEARNED + block).unwrap().correct;
    }
    let network = Network::plan(LENET, 1, [1, 28, 28]).unwrap().with_isa(Isa::SCALAR);
    let (mut input, mut logits) = ([0.0; IMAGE_LEN], [0.0; 10]);
    let mut scratch = vec![0.0; network.scratch_len()];
    let inference = &mut *INFERENCE.lock().unwrap();
    inference.params = training.params;
    let mut expected = 0;
    for image in 0..TESTED {
        test.read(image, &mut input).unwrap();
        network.forward(NetworkWeights::Plain(&training.params), &input, &mut logits, &mut scratch).unwrap();
        let digit = im2col::argmax(&logits).unwrap();
        expected += usize::from(digit == test.labels()[image] as usize);
        if image % 64 == 0 {
            inference.pixels.copy_from_slice(&digits.pixels[(LEARNED + image) * IMAGE_LEN..][..IMAGE_LEN]);
            assert_eq!(inference.infer(Kind::Sigmoid).unwrap(), digit);
            assert_eq!(bits(inference.layer(11)), bits(&logits));
        }
    }
    assert_eq!(correct, expected);
}

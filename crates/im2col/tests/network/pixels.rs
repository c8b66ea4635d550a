//! Networks on pixels: the bits of inference on the values that these stand for.

use super::random::{LAYERS, network as random_network};
use super::*;
use im2col::naive;
use proptest::prelude::{Just, prop_oneof};
use std::cell::Cell;

/// Scales and shifts of MNIST, of MNIST with mean 0 and deviation 1, of none, and with a negative scale.
const SCALES: [[f32; 2]; 4] =
    [[1.0 / 255.0, 0.0], [1.0 / (255.0 * 0.3081), -0.1307 / 0.3081], [1.0, 0.0], [-0.3, 0.1]];

fn random_pixels(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.bits() as u8).collect()
}

fn infer_pixels<const L: usize>(
    network: &Network<L>,
    weights: NetworkWeights<'_, L>,
    pixels: Pixels<'_>,
    mut scratch: Vec<f32>,
) -> Vec<f32> {
    let mut output = vec![f32::NAN; network.output_len()];
    network.forward_pixels(weights, pixels, &mut output, &mut scratch).unwrap();
    output
}

/// Compares with the ordinary pass on the values that the definition says the pixels stand for.
fn check_weights<const L: usize>(network: &Network<L>, weights: NetworkWeights<'_, L>, pixels: Pixels<'_>) {
    let mut values = vec![f32::NAN; network.input_len()];
    naive::pixel_values(pixels, &mut values).unwrap();
    let expected = infer(network, weights, &values, garbage(1, network.scratch_len()));
    let output = infer_pixels(network, weights, pixels, garbage(2, network.pixel_scratch_len()));
    assert!(bits(&output) == bits(&expected), "{} {pixels:?}", network.scratch_len());
    check_channels_last(network, weights, pixels, &values, &expected);
    check_output_layout(network, weights, pixels, &values, &expected);
}

/// The output with channels last.
fn check_output_layout<const L: usize>(
    network: &Network<L>,
    weights: NetworkWeights<'_, L>,
    pixels: Pixels<'_>,
    values: &[f32],
    expected: &[f32],
) {
    let last = network.with_output_layout(Layout::ChannelsLast);
    let summary = network.layers().last().unwrap();
    let expected = match *summary.output_dims() {
        [_, channels, height, width] if channels > 1 && height * width > 1 => {
            assert_eq!(last.output_layout(), Layout::ChannelsLast);
            channels_last(expected, network.batch(), channels)
        }
        _ => {
            assert_eq!(last.output_layout(), Layout::ChannelsFirst);
            expected.to_vec()
        }
    };
    let output = infer(&last, weights, values, garbage(4, last.scratch_len()));
    assert!(bits(&output) == bits(&expected), "output with channels last: {}", last.scratch_len());
    let output = infer_pixels(&last, weights, pixels, garbage(5, last.pixel_scratch_len()));
    assert!(bits(&output) == bits(&expected), "output with channels last: {} {pixels:?}", last.scratch_len());
    assert_eq!(last.with_output_layout(Layout::ChannelsFirst), *network);
}

/// The same images with channels last, as pixels and as values.
fn check_channels_last<const L: usize>(
    network: &Network<L>,
    weights: NetworkWeights<'_, L>,
    pixels: Pixels<'_>,
    values: &[f32],
    expected: &[f32],
) {
    let network = network.with_input_layout(Layout::ChannelsLast);
    let channels = network.input_channels();
    let is_last = channels > 1 && network.input_len() > network.batch() * channels;
    assert_eq!(network.input_layout() == Layout::ChannelsLast, is_last);
    let permuted = channels_last(pixels.values, network.batch(), channels);
    let permuted = Pixels { values: &permuted, ..pixels };
    let output = infer_pixels(&network, weights, permuted, garbage(2, network.pixel_scratch_len()));
    assert!(bits(&output) == bits(expected), "channels last: {} {pixels:?}", network.scratch_len());
    let permuted = channels_last(values, network.batch(), channels);
    assert!(!is_last || network.scratch_len() == network.pixel_scratch_len());
    let output = infer(&network, weights, &permuted, garbage(3, network.scratch_len()));
    assert!(bits(&output) == bits(expected), "channels last: {}", network.scratch_len());
    assert_eq!(network.with_input_layout(Layout::ChannelsFirst).input_layout(), Layout::ChannelsFirst);
}

/// How many of the plans infer by rows, interleaved, and layer by layer.
#[derive(Default)]
struct Counts([Cell<u32>; 3]);

impl Counts {
    fn count<const L: usize>(&self, network: &Network<L>) {
        let by_rows = network.least_scratch_len() == network.scratch_len();
        let way = if network.is_interleaved() {
            1
        } else if by_rows {
            0
        } else {
            2
        };
        self.0[way].set(self.0[way].get() + 1);
    }
}

/// Plans of all kinds, on every instruction set.
fn check<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], batch: usize, counts: &Counts) {
    for isa in Isa::available() {
        let planned = Network::plan(layers, batch, input_dims).unwrap().with_isa(isa);
        let apart = planned.with_interleaving(false).unwrap_or(planned);
        let limit = |len: usize| apart.with_scratch_limit(len).unwrap_or(apart);
        let limited =
            [apart.least_scratch_len(), apart.scratch_len() / 2, apart.scratch_len().saturating_sub(1)]
                .map(limit);
        let params = parameters(&planned);
        for (case, network) in [planned, apart].into_iter().chain(limited).enumerate() {
            counts.count(&network);
            let pixels = random_pixels(case as u64, network.input_len());
            let [scale, shift] = SCALES[(case + batch) % SCALES.len()];
            let pixels = Pixels { values: &pixels, scale, shift };
            check_weights(&network, NetworkWeights::Plain(&params), pixels);
            let mut packed = garbage(4, network.packed_weight_len());
            let packed = network.pack_weights(&params, &mut packed).unwrap();
            check_weights(&network, NetworkWeights::Packed { params: &params, packed }, pixels);
            #[cfg(feature = "rayon")]
            check_weights(&network.with_threads(3), NetworkWeights::Plain(&params), pixels);
        }
    }
}

#[test]
fn pixels_give_the_bits_of_their_values() {
    let counts = Counts::default();
    let check = |layers, dims, batch| check(layers, dims, batch, &counts);
    let batch = prop_oneof![Just(1), Just(2), Just(5), Just(16), Just(19), Just(33)];
    let all = for_all(cases(100), (1..=LAYERS, batch, any::<u64>()), |(layers, batch, seed)| {
        let (layers, dims) = random_network(seed, layers);
        check(layers, dims, batch);
    });
    for count in &counts.0 {
        assert!(count.get() > all / 4, "{:?} of {all} networks", counts.0);
    }
}

#[test]
fn pixels_of_every_network() {
    fn of<const L: usize>(layers: [Layer; L], input_dims: [usize; 3], batch: usize) {
        check(layers, input_dims, batch, &Counts::default());
    }
    for batch in [1, 3, 19] {
        for_each_network!(of, batch);
    }
    // Nothing but a first convolution; nothing but the input.
    const CONV: ConvParams<2> = ConvParams::new(3, 14, [3, 5]).with_padding([2, 3]).with_stride([2, 1]);
    of([Layer::Conv(CONV)], [3, 9, 20], 2);
    of([Layer::Conv(CONV.with_dilation([3, 1])), Layer::Activation(Activation::Tanh)], [3, 9, 20], 2);
    of([Layer::Flatten], [3, 9, 20], 18);
}

/// Lines of a first convolution of every padding, mode, kernel, stride and dilation, of several groups.
#[test]
fn lines_of_pixels_in_every_window() {
    let modes = [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular];
    let (mut planned, mut by_lines) = (0, 0);
    for (height, before, after) in [(1, 0, 0), (4, 1, 2), (5, 3, 0), (9, 0, 1), (9, 4, 4), (4, 11, 9)] {
        for (kernel, stride, dilation) in
            [(1, 1, 1), (2, 1, 1), (3, 2, 1), (2, 3, 3), (3, 1, 2), (1, 3, 7), (2, 1, 9)]
        {
            for (mode, pooled) in modes.into_iter().flat_map(|mode| [(mode, false), (mode, true)]) {
                let conv = ConvParams::new(4, 14, [kernel, 3])
                    .with_padding_per_side([[before, after], [0, 1]])
                    .with_padding_mode(mode)
                    .with_stride([stride, 1])
                    .with_dilation([dilation, 1])
                    .with_groups(2);
                let second = Layer::Activation(Activation::Tanh);
                let last = if pooled { Layer::Pool(PoolParams::max([2, 2])) } else { second };
                let Ok(network) = Network::plan([Layer::Conv(conv), second, last], 1, [4, height, 7]) else {
                    continue;
                };
                let network = network.with_scratch_limit(network.least_scratch_len()).unwrap();
                let pixels = random_pixels(3, network.input_len());
                let pixels = Pixels { values: &pixels, scale: 0.017, shift: -2.1 };
                check_weights(&network, NetworkWeights::Plain(&parameters(&network)), pixels);
                planned += 1;
                let seen = if pooled { stride } else { 0 } + dilation * (kernel - 1) + 1;
                by_lines += u32::from(seen < height);
            }
        }
    }
    assert!(planned > 120 && by_lines > 60, "{planned} networks, {by_lines} by lines");
}

/// Of each of the 256 pixels: the product and the sum are rounded, and a fused multiply-add gives something else.
#[test]
fn pixels_are_multiplied_and_added() {
    let pixels: [u8; 256] = core::array::from_fn(|pixel| pixel as u8);
    let first = [
        Layer::Flatten,
        Layer::Activation(Activation::Identity),
        Layer::Pool(PoolParams::max([1, 1])),
        Layer::Conv(ConvParams::new(1, 1, [1, 1]).with_bias(false)),
    ];
    let mut differ_fused = 0;
    for [scale, shift] in SCALES {
        // Exact in f64, but for a sum that is rounded once before it is rounded to f32.
        let product = |pixel: u8| (f64::from(pixel) * f64::from(scale)) as f32;
        let expected = pixels.map(|pixel| (f64::from(product(pixel)) + f64::from(shift)) as f32);
        let fused = pixels.map(|pixel| f32::from(pixel).mul_add(scale, shift));
        differ_fused += expected.iter().zip(fused).filter(|(value, fused)| *value != fused).count();
        let pixels = Pixels { values: &pixels, scale, shift };
        for (layer, isa) in first.into_iter().flat_map(|layer| Isa::available().map(move |isa| (layer, isa)))
        {
            for batch in [1, 16] {
                let network = Network::plan([layer], batch, [1, 16, 16 / batch]).unwrap().with_isa(isa);
                for network in [network, network.with_scratch_limit(network.least_scratch_len()).unwrap()] {
                    let params = [1.0; 1];
                    let weights = NetworkWeights::Plain(&params[..network.param_len()]);
                    let output =
                        infer_pixels(&network, weights, pixels, garbage(1, network.pixel_scratch_len()));
                    assert_eq!(output, expected, "{layer:?} {}", isa.name());
                }
            }
        }
    }
    assert!(differ_fused > 100, "{differ_fused}");
}

/// Padding is that of the values, not of pixels.
#[test]
fn padding_of_pixels_is_zero() {
    let conv = ConvParams::new(1, 1, [3, 3]).with_bias(false).with_padding([1, 1]);
    let network = Network::plan([Layer::Conv(conv)], 1, [1, 4, 4]).unwrap();
    for network in [network, network.with_scratch_limit(network.least_scratch_len()).unwrap()] {
        let pixels = Pixels { values: &[3; 16], scale: 2.0, shift: 10.0 };
        let output = infer_pixels(
            &network,
            NetworkWeights::Plain(&[1.0; 9]),
            pixels,
            vec![0.0; network.pixel_scratch_len()],
        );
        let line = [4.0 * 16.0, 6.0 * 16.0, 6.0 * 16.0, 4.0 * 16.0];
        let inner = line.map(|sum| sum * 1.5);
        assert_eq!(output, [line, inner, inner, line].concat());
    }
}

/// What converted pixels take beyond what inference takes without them.
#[test]
fn converted_pixels_take_little() {
    for batch in [1, 5, 100] {
        let network = Network::plan(LENET, batch, [1, 28, 28]).unwrap();
        assert_eq!(network.pixel_scratch_len(), network.scratch_len());
        let least = network.with_scratch_limit(network.least_scratch_len()).unwrap();
        assert_eq!(least.pixel_scratch_len(), least.scratch_len());
    }
    // A camera's image has 3 * 96 * 96 values, 27,648.
    let conv = ConvParams::new(3, 8, [3, 3]).with_padding([1, 1]).with_stride([2, 2]);
    let layers = [
        Layer::Conv(conv),
        Layer::Activation(Activation::Relu),
        Layer::Conv(ConvParams::new(8, 2, [48, 48])),
    ];
    let network = Network::plan(layers, 1, [3, 96, 96]).unwrap();
    let network = network.with_scratch_limit(network.least_scratch_len()).unwrap();
    assert_eq!(network.scratch_len(), 8 * 48 * 48);
    // Three lines of each colour, and a line of six channels.
    assert_eq!(network.pixel_scratch_len(), 8 * 48 * 48 + 3 * 3 * 96 + 6 * 48);
    let single = Network::plan([Layer::Conv(conv)], 1, [3, 96, 96]).unwrap().with_scratch_limit(0).unwrap();
    assert_eq!((single.scratch_len(), single.pixel_scratch_len()), (0, 3 * 3 * 96 + 6 * 48));
    // Layer by layer an image at a time, and before a layer that is no convolution.
    let linear =
        [Layer::Flatten, Layer::Linear(LinearParams::new(784, 10)), Layer::Linear(LinearParams::new(10, 2))];
    let network = Network::plan(linear, 1, [1, 28, 28]).unwrap();
    assert_eq!(network.pixel_scratch_len(), network.scratch_len() + 784);
    let least = network.with_scratch_limit(network.least_scratch_len()).unwrap();
    assert_eq!((least.scratch_len(), least.pixel_scratch_len()), (10, 10 + 784));
}

/// Threads have a scratch each.
#[cfg(feature = "rayon")]
#[test]
fn threads_convert_apart() {
    let layers = [Layer::Flatten, Layer::Linear(LinearParams::new(784, 10))];
    let network = Network::plan(layers, 3, [1, 28, 28]).unwrap();
    let network = network.with_scratch_limit(0).unwrap();
    assert_eq!((network.scratch_len(), network.pixel_scratch_len()), (0, 784));
    let layers = [Layer::Conv(ConvParams::new(1, 6, [3, 3])), Layer::Flatten];
    let network = Network::plan(layers, 7, [1, 100, 300]).unwrap().with_interleaving(false).unwrap();
    let threads = network.with_threads(3);
    let parts = threads.scratch_len() / network.scratch_len();
    assert!(parts > 1 && threads.pixel_scratch_len() == parts * network.pixel_scratch_len());
    let pixels = random_pixels(5, network.input_len());
    let pixels = Pixels { values: &pixels, scale: 0.01, shift: -1.0 };
    check_weights(&threads, NetworkWeights::Plain(&parameters(&network)), pixels);
}

#[test]
fn lengths_of_pixels_are_checked_before_anything_is_written() {
    let least = NETWORK.with_scratch_limit(NETWORK.least_scratch_len()).unwrap();
    let params = parameters(&NETWORK);
    for network in [NETWORK, least] {
        let mut output = [0.5; 11];
        let mut run = |params: &[f32], pixels: usize, output_len: usize, scratch_len: usize| {
            let pixels = Pixels { values: &[9; 785][..pixels], scale: 1.0, shift: 0.0 };
            let mut scratch = vec![0.5; scratch_len];
            let result = network.forward_pixels(
                NetworkWeights::Plain(params),
                pixels,
                &mut output[..output_len],
                &mut scratch,
            );
            assert_eq!(output == [0.5; 11], result.is_err());
            result
        };
        let len = network.pixel_scratch_len();
        let wrong = |operand, required, given| Err(RunError::Length { operand, required, given });
        assert_eq!(run(&params[1..], 784, 10, len), wrong("params", 61_706, 61_705));
        assert_eq!(run(&params, 783, 10, len), wrong("pixels", 784, 783));
        assert_eq!(run(&params, 785, 10, len), wrong("pixels", 784, 785));
        assert_eq!(run(&params, 784, 9, len), wrong("output", 10, 9));
        assert_eq!(run(&params, 784, 11, len), wrong("output", 10, 11));
        assert_eq!(run(&params, 784, 10, len - 1), Err(RunError::Scratch { required: len, given: len - 1 }));
        assert_eq!(run(&params, 784, 10, len), Ok(()));
    }
}

/// Training takes and gives channels first, and says so before anything is written.
#[test]
fn training_takes_channels_first() {
    let conv = Layer::Conv(ConvParams::new(3, 2, [1, 1]));
    let network = Network::plan([conv], 1, [3, 2, 2]).unwrap();
    training_fails(&network.with_input_layout(Layout::ChannelsLast));
    training_fails(&network.with_output_layout(Layout::ChannelsLast));
}

fn training_fails(network: &Network<1>) {
    let (params, mut workspace) = ([1.0; 8], [0.5; 8]);
    let mut scratch = vec![0.5; network.train_scratch_len()];
    let trained =
        network.forward_train(NetworkWeights::Plain(&params), &[1.0; 12], &mut workspace, &mut scratch);
    assert_eq!((trained, workspace), (Err(RunError::Layout { operation: "forward_train" }), [0.5; 8]));
    let mut grads = [0.5; 8];
    let back = network.backward(&params, &[1.0; 12], &workspace, &[1.0; 8], &mut grads, &mut scratch);
    assert_eq!((back, grads), (Err(RunError::Layout { operation: "backward" }), [0.5; 8]));
}

/// What differs from channels first, and what does not: no image, a single position, limits, and errors before anything is written.
#[test]
fn channels_last_are_checked_as_pixels() {
    let plan = |batch: usize, dims| {
        let conv = Layer::Conv(ConvParams::new(3, 8, [1, 1]).with_stride([2, 2]));
        let network = Network::plan([conv], batch, dims).unwrap();
        [network, network.with_scratch_limit(0).unwrap()]
            .map(|network| network.with_input_layout(Layout::ChannelsLast))
    };
    let params = [0.5; 32];
    let weights = NetworkWeights::Plain(&params);
    for network in plan(0, [3, 9, 9]) {
        assert_eq!(network.forward(weights, &[], &mut [], &mut vec![0.0; network.scratch_len()]), Ok(()));
    }
    for network in plan(1, [3, 1, 1]) {
        assert_eq!(network.input_layout(), Layout::ChannelsFirst);
    }
    for network in plan(2, [3, 9, 9]) {
        let mut output = [0.5; 401];
        let mut run = |input: usize, output_len: usize, scratch: usize| {
            network.forward(weights, &vec![1.0; input], &mut output[..output_len], &mut vec![0.0; scratch])
        };
        let scratch = network.scratch_len();
        assert_eq!(scratch, network.pixel_scratch_len());
        let length = |operand, required, given| Err(RunError::Length { operand, required, given });
        assert_eq!(run(485, 400, scratch), length("input", 486, 485));
        assert_eq!(run(486, 401, scratch), length("output", 400, 401));
        assert_eq!(
            run(486, 400, scratch - 1),
            Err(RunError::Scratch { required: scratch, given: scratch - 1 })
        );
        assert_eq!(output, [0.5; 401]);
    }
}

/// An output with channels last: whatever the order of calls, of no image, and with scratch that is as long as one image of it in panels.
#[test]
fn outputs_with_channels_last_are_checked() {
    let conv = Layer::Conv(ConvParams::new(1, 8, [1, 1]));
    let last = |network: Network<1>| network.with_output_layout(Layout::ChannelsLast);
    let network = Network::plan([conv], 2, [1, 9, 9]).unwrap();
    let least = network.with_scratch_limit(0).unwrap();
    assert_eq!(last(network).with_scratch_limit(0), Ok(last(least)));
    assert_eq!(last(network).with_interleaving(true), network.with_interleaving(true).map(last));
    let any = |network: Network<1>| network.with_rounding(im2col::Rounding::Any);
    assert_eq!(any(last(network)), any(network).map(last));
    #[cfg(feature = "rayon")]
    assert_eq!(last(network).with_threads(2), last(network.with_threads(2)));

    let params = [1.0; 16];
    let weights = NetworkWeights::Plain(&params);
    assert_eq!([least.scratch_len(), last(least).scratch_len()], [0, 16 * 81]);
    let mut output = [0.5; 2 * 8 * 81];
    let mut run = |scratch: usize| {
        last(least).forward(weights, &[1.0; 162], &mut output, &mut vec![0.0; scratch]).map(|()| output[0])
    };
    assert_eq!(run(16 * 81 - 1), Err(RunError::Scratch { required: 16 * 81, given: 16 * 81 - 1 }));
    assert_eq!(run(16 * 81), Ok(2.0));
    assert_eq!(output, [2.0; 2 * 8 * 81]);

    // Fewer channels than a panel has, panels that are full, and one that is not.
    for channels in [2, 16, 21, 32, 40] {
        let network =
            Network::plan([Layer::Conv(ConvParams::new(3, channels, [2, 2]))], 2, [3, 6, 8]).unwrap();
        let (params, input) = (parameters(&network), uniform(1, network.input_len()));
        let weights = NetworkWeights::Plain(&params);
        let first = infer(&network, weights, &input, garbage(1, network.scratch_len()));
        let last = last(network);
        let given = infer(&last, weights, &input, garbage(2, last.scratch_len()));
        assert!(bits(&given) == bits(&channels_last(&first, 2, channels)), "{channels} channels");
    }

    let none = last(Network::plan([conv], 0, [1, 9, 9]).unwrap().with_scratch_limit(0).unwrap());
    assert_eq!((none.scratch_len(), none.forward(weights, &[], &mut [], &mut [])), (0, Ok(())));
}

use super::*;
use crate::operands::integers;
use crate::property::{cases, for_all};
use crate::strategies::conv_case;
use proptest::prelude::*;

fn values(sums: &[Sum]) -> Vec<f64> {
    sums.iter().map(|sum| sum.value).collect()
}

fn counting(from: u8, len: u8) -> Vec<f32> {
    (from..from + len).map(f32::from).collect()
}

fn square(channels: [usize; 2], input: usize, kernel: usize) -> ConvCase {
    ConvCase {
        batch: 1,
        in_channels: channels[0],
        out_channels: channels[1],
        groups: 1,
        input: [1, input, input],
        kernel: [1, kernel, kernel],
        stride: [1; 3],
        padding: [[0; 2]; 3],
        mode: Mode::Zeros,
        dilation: [1; 3],
    }
}

#[test]
fn one_channel() {
    let case = square([1, 1], 3, 2);
    let y = case.forward(&counting(0, 9), &counting(0, 4), &[]);
    assert_eq!(values(&y), [19.0, 25.0, 37.0, 43.0]);
    let y = case.forward(&counting(0, 9), &counting(0, 4), &[-20.0]);
    assert_eq!(values(&y), [-1.0, 5.0, 17.0, 23.0]);
    assert_eq!(y[0].magnitude, 39.0);
    assert_eq!(y[0].relu(), Sum { value: 0.0, magnitude: 39.0 });
}

#[test]
fn many_channels() {
    let x = [counting(0, 9), counting(1, 9)].concat();
    let w: Vec<f32> = (0..3).flat_map(|m| [counting(m, 4), counting(m + 1, 4)].concat()).collect();
    let y = square([2, 3], 3, 2).forward(&x, &w, &[]);
    let expected = [56, 72, 104, 120, 76, 100, 148, 172, 96, 128, 192, 224].map(f64::from);
    assert_eq!(values(&y), expected);
}

#[test]
fn padding_and_stride() {
    let square = square([1, 1], 8, 3);
    let case = ConvCase { padding: [[0; 2], [1; 2], [1; 2]], ..square };
    assert_eq!(case.output(), [1, 8, 8]);
    assert_eq!(ConvCase { stride: [1, 2, 2], ..case }.output(), [1, 4, 4]);
    let case = ConvCase { kernel: [1, 3, 5], padding: [[0; 2], [0; 2], [1; 2]], ..square };
    assert_eq!(ConvCase { stride: [1, 3, 4], ..case }.output(), [1, 2, 2]);
}

#[test]
fn a_convolution_is_linear_in_each_operand() {
    // <y(x, w), g> = <x, grad_input(w, g)> = <w, grad_weight(x, g)>: every sum is exact.
    let dot = |a: &[f32], b: &[Sum]| a.iter().zip(b).map(|(&a, b)| f64::from(a) * b.value).sum::<f64>();
    for rank in 1..=3 {
        for_all(cases(256), (conv_case(rank), any::<u64>()), |(case, seed)| {
            let x = integers(seed, case.input_len());
            let w = integers(seed + 1, case.weight_len());
            let g = integers(seed + 2, case.output_len());
            let y = dot(&g, &case.forward(&x, &w, &[]));
            assert_eq!(y, dot(&x, &case.grad_input(&w, &g)));
            assert_eq!(y, dot(&w, &case.grad_weight(&x, &g)));
            let ones = vec![1.0; case.out_channels];
            let bias_sum = dot(&ones, &case.grad_bias(&g));
            assert_eq!(bias_sum, g.iter().map(|&g| f64::from(g)).sum::<f64>());
        });
    }
}

#[test]
fn pooling() {
    let one = PoolCase {
        batch: 1,
        channels: 1,
        input: [1, 3, 3],
        window: [1, 2, 2],
        stride: [1; 3],
        padding: [[0; 2]; 3],
        dilation: [1; 3],
        count_include_pad: true,
        ceil_mode: false,
        divisor: None,
        adaptive: None,
    };
    let x = counting(0, 9);
    assert_eq!(one.max(&x), [4.0, 5.0, 7.0, 8.0]);
    assert_eq!(values(&one.average(&x)), [2.0, 3.0, 5.0, 6.0]);
    let ones = [1.0; 4];
    let grad = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    assert_eq!(values(&one.max_grad_input(&x, &ones)), grad);
    let grad = [0.25, 0.5, 0.25, 0.5, 1.0, 0.5, 0.25, 0.5, 0.25];
    assert_eq!(values(&one.average_grad_input(&ones)), grad);

    let two = PoolCase {
        channels: 2,
        input: [1, 4, 4],
        window: [1, 2, 3],
        stride: [1, 2, 3],
        padding: [[0; 2], [0; 2], [1; 2]],
        ..one
    };
    let x = [counting(0, 16), counting(1, 16)].concat();
    assert_eq!(two.max(&x), [5.0, 7.0, 13.0, 15.0, 6.0, 8.0, 14.0, 16.0]);
    let pad_not_counted = PoolCase { count_include_pad: false, ..two };
    assert_eq!(two.average(&x)[0].value, 10.0 / 6.0);
    assert_eq!(pad_not_counted.average(&x)[0].value, 10.0 / 4.0);
}

#[test]
fn the_first_maximum_wins_and_the_last_nan() {
    let line = PoolCase {
        batch: 1,
        channels: 1,
        input: [1, 1, 4],
        window: [1, 1, 4],
        stride: [1; 3],
        padding: [[0; 2]; 3],
        dilation: [1; 3],
        count_include_pad: true,
        ceil_mode: false,
        divisor: None,
        adaptive: None,
    };
    assert_eq!(line.argmax(&[1.0, 3.0, 3.0, 2.0]), [Some(1)]);
    assert_eq!(line.argmax(&[1.0, f32::NAN, f32::NAN, 9.0]), [Some(2)]);
    assert_eq!(line.argmax(&[f32::NEG_INFINITY; 4]), [Some(0)]);
}

#[test]
fn windows_that_are_rounded_up_or_adapt() {
    let line = PoolCase {
        batch: 1,
        channels: 1,
        input: [1, 1, 5],
        window: [1, 1, 3],
        stride: [1, 1, 2],
        padding: [[0; 2], [0; 2], [1; 2]],
        dilation: [1; 3],
        count_include_pad: true,
        ceil_mode: true,
        divisor: None,
        adaptive: None,
    };
    let x = [1.0, 2.0, 6.0, 4.0, 3.0];
    assert_eq!(line.max(&x), [2.0, 6.0, 4.0]);
    // The second window would begin behind the input.
    let once =
        PoolCase { input: [1, 1, 3], window: [1, 1, 2], stride: [1, 1, 3], padding: [[0; 2]; 3], ..line };
    assert_eq!(once.output(), [1; 3]);
    assert_eq!(PoolCase { input: [1, 1, 4], ..once }.output(), [1, 1, 2]);
    // A window of 3 over 2 values.
    let short = PoolCase { input: [1, 1, 2], padding: [[0; 2]; 3], ..line };
    assert_eq!(values(&short.average(&x[..2])), [1.5]);
    let padded = PoolCase { input: [1, 1, 4], ..line };
    assert_eq!(values(&padded.average(&x[..4])), [1.0, 4.0, 2.0]);
    let seen = PoolCase { count_include_pad: false, ..padded };
    assert_eq!(values(&seen.average(&x[..4])), [1.5, 4.0, 4.0]);
    assert_eq!(values(&PoolCase { divisor: Some(1), ..padded }.average(&x[..4])), [3.0, 12.0, 4.0]);

    let adaptive = PoolCase { adaptive: Some([1, 1, 3]), ..line };
    assert_eq!(adaptive.max(&x), [2.0, 6.0, 4.0]);
    assert_eq!((adaptive.indices(&x), adaptive.winning_taps(&x)), (vec![1, 2, 3], vec![1, 1, 0]));
    assert_eq!(values(&adaptive.average(&x)), [1.5, 4.0, 3.5]);
    let more = PoolCase { input: [1, 1, 2], ..adaptive };
    assert_eq!(more.max(&[1.0, 2.0]), [1.0, 2.0, 2.0]);
}

use super::*;
use crate::simd::{Isa, dispatch};

/// Numbers of any size and sign, the same ones every time.
fn numbers(len: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// `gamma(n)` with the unit roundoff `2^-24`.
fn gamma(n: usize) -> f64 {
    let error = n as f64 / f64::from(1 << 24);
    error / (1.0 - error)
}

/// `16 + log2(n)`, rounded up.
fn roundings(n: usize) -> usize {
    16 + n.max(1).next_power_of_two().ilog2() as usize
}

fn assert_within_the_bound<'a>(sum: f32, values: impl Iterator<Item = &'a f32> + Clone) {
    let exact: f64 = values.clone().copied().map(f64::from).sum();
    let magnitude: f64 = values.clone().copied().map(|value| f64::from(value).abs()).sum();
    let n = values.count();
    let bound = gamma(roundings(n)) * magnitude;
    assert!((f64::from(sum) - exact).abs() <= bound, "{n}: {sum}, {exact}");
}

#[test]
fn every_length_is_within_the_bound() {
    let values = numbers(5000);
    for len in (0..200).chain(1000..1100).chain(2040..2060).chain([4095, 4096, 4097, 5000]) {
        let mut all = Pairwise::new();
        all.push_blocks(&values[..len]);
        assert_within_the_bound(all.total(), values[..len].iter());
    }
}

#[test]
fn equal_values_do_not_stall() {
    for (value, len) in [(1.0, 1 << 25), (0.1, 1 << 12), (0.1, 1 << 20), (0.1, 1 << 25)] {
        let mut all = Pairwise::new();
        all.push_blocks(&vec![value; len]);
        let exact = f64::from(value) * len as f64;
        assert!((f64::from(all.total()) - exact).abs() <= 2e-7 * exact, "{value}, {len}");
    }
}

#[test]
fn pairs_are_a_tree() {
    // Each number is a power of two that its neighbours would absorb: only by pairs are all sums exact.
    let mut pairs = Pairwise::<2>::of_vectors();
    assert_eq!(pairs.total_vector(), [0.0; 2]);
    for i in 0..100_u32 {
        pairs.push_vector([i as f32, 2.0]);
        let count = i + 1;
        assert_eq!(pairs.total_vector(), [(i * count / 2) as f32, 2.0 * count as f32]);
    }
    let mut ones = Pairwise::new();
    (0..(1 << 25) + 2).for_each(|_| ones.push(1.0));
    assert_eq!(ones.total(), ((1 << 25) + 2) as f32);
}

#[test]
fn planes_and_columns() {
    for (images, channels, plane_len) in [
        (0, 3, 5),
        (1, 1, 1),
        (3, 2, 17),
        (2, 1, 2500),
        (300, 3, 2),
        (7, 15, 1),
        (65, 16, 1),
        (1000, 17, 1),
        (64, 33, 1),
    ] {
        let values = numbers(images * channels * plane_len);
        for isa in Isa::available() {
            let mut sums = vec![f32::NAN; channels];
            dispatch(isa, SumPlanes { values: &values, plane_len, sums: &mut sums });
            for (channel, sum) in sums.iter().enumerate() {
                let of_channel = |(i, value)| (i / plane_len % channels == channel).then_some(value);
                assert_within_the_bound(*sum, values.iter().enumerate().filter_map(of_channel));
            }
            if plane_len == 1 {
                let mut columns = vec![f32::NAN; channels];
                dispatch(isa, SumColumns { values: &values, sums: &mut columns });
                assert_eq!(columns, sums);
            }
        }
    }
    dispatch(Isa::SCALAR, SumPlanes { values: &[1.0; 4], plane_len: 2, sums: &mut [] });
    dispatch(Isa::SCALAR, SumColumns { values: &[1.0; 4], sums: &mut [] });
}

#[test]
fn a_cascade_adds_every_array_once() {
    for count in [0, 1, 2, 63, 64, 65, 128, 4095, 4096, 4097, 4161, 300_000] {
        let levels = Cascade::levels(count);
        assert!(count <= Cascade::CHAIN.pow(levels as u32 + 1));
        assert!(levels == 0 || count > Cascade::CHAIN.pow(levels as u32));
        let (mut total, mut room) = ([f32::NAN; 3], vec![f32::NAN; levels * 3 + 1]);
        let mut cascade = Cascade::new(&mut total, &mut room, count);
        for i in 0..count {
            let lowest = cascade.lowest();
            lowest[0] += 1.0;
            lowest[1] += (i % 2) as f32;
            // A chain of as many would be off by 1e-3.
            lowest[2] += 0.1;
            cascade.carry();
        }
        cascade.finish();
        assert_eq!(total[..2], [count as f32, (count / 2) as f32]);
        let exact = f64::from(0.1_f32) * count as f64;
        assert!((f64::from(total[2]) - exact).abs() <= gamma(64 * (levels + 1)) * exact, "{count}");
        assert!(room[levels * 3].is_nan());
    }
    let mut cascade = Cascade::new(&mut [], &mut [], 4097);
    (0..4097).for_each(|_| cascade.carry());
    cascade.finish();
}

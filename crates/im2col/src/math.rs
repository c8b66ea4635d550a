//! `exp`, `ln`, `tanh` and the logistic function, for targets without a math library.
//!
//! Only additions, multiplications, divisions and selections: the result has the same bits on
//! every target, and a loop over these functions compiles to vector code. The logistic function takes
//! the multiply-add of its instruction set: the same bits wherever that is fused, and wherever it is
//! not. All are within 2 ULP of the f64 functions for every input; the tests sweep the bit patterns.
//!
//! The polynomials are minimax approximations in the relative error of the whole function, found
//! with the Remez exchange algorithm and rounded to `f32`; the error given is before rounding.

use crate::simd::IS_SMALL;
use bytemuck::must_cast;
use core::f32::consts::LOG2_E;
use wide::{f32x4, u32x4};

/// ln 2 in two parts (Cody and Waite, "Software Manual for the Elementary Functions", 1980). The
/// first has 9 significant bits, so its product with an exponent is exact.
const LN2_HIGH: f32 = 355.0 / 512.0;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// 1.5 * 2^23: adding it to a small number leaves the nearest integer in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// [`ROUND`] plus the exponent bias of an `f32`.
const BIASED_ROUND: f32 = ROUND + EXPONENT_BIAS as f32;

/// Where the bits of an `f32` hold its exponent.
const EXPONENT_SHIFT: u32 = 23;
const EXPONENT_BIAS: i32 = 127;

/// e^x.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // e^-104 rounds to 0 and e^89 overflows. -150 <= n <= 128 is outside the exponents of normal
    // numbers; its halves are not. Only the last product can round, in the subnormal range.
    let (n, t) = exp_parts(clamp(x, -104.0, 89.0));
    let half = n >> 1;
    (1.0 + t) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// `(n, t)` with e^x = 2^n (1 + t) and t in about [-0.3, 0.42], for |x| <= 150.
#[inline(always)]
fn exp_parts(x: f32) -> (i32, f32) {
    // x = n ln 2 + r with |r| <= ln 2 / 2.
    let rounded = x * LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;

    // e^r = 1 + r + r^2 p(r), relative error 2^-28.3. By pairs (G. Estrin, 1960), not by Horner's rule: the
    // time of a vector is that of its longest chain, of which p takes five operations instead of eight.
    let square = r * r;
    let low = 0.499_999_94 + r * 0.166_665_21;
    let p = low + square * (0.041_668_39 + r * 0.008_368_724 + square * 0.001_381_458);
    ((rounded.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32), r + square * p)
}

/// The natural logarithm of x: -inf at 0, NaN below.
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    // Subnormal numbers are scaled to normal ones.
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 8_388_608.0 } else { x };
    let unscale = if subnormal { -23.0 } else { 0.0 };

    // x = 2^k m with sqrt(1/2) <= m < sqrt(2). Subtracting the bits of sqrt(1/2) first makes the
    // exponent field count from there.
    let sqrt_half = core::f32::consts::FRAC_1_SQRT_2.to_bits() as i32;
    let offset = (scaled.to_bits() as i32).wrapping_sub(sqrt_half);
    let exponent = offset >> EXPONENT_SHIFT;
    let m = f32::from_bits((scaled.to_bits() as i32).wrapping_sub(exponent << EXPONENT_SHIFT) as u32);
    let k = exponent as f32 + unscale;

    // With f = m - 1, s = f / (2 + f) and z = s^2: ln m = 2 atanh s = 2 s + s z p(z), relative error
    // 2^-36.6, and 2 s = f - s f = f - f^2 / 2 + s f^2 / 2. Written so, the rounding of s touches
    // small terms only (as in FreeBSD's e_logf.c).
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let p = z * polynomial(z, [0.666_666_6, 0.400_003_34, 0.285_372_94, 0.235_824_38]);
    let half_square = 0.5 * f * f;
    let ln_x = k * LN2_HIGH - ((half_square - (s * (half_square + p) + k * LN2_LOW)) - f);

    let ln_x = if x == f32::INFINITY { x } else { ln_x };
    let ln_x = if x == 0.0 { f32::NEG_INFINITY } else { ln_x };
    if x >= 0.0 { ln_x } else { f32::NAN }
}

/// The natural logarithm of 1 + x, for a finite x that is not negative; within 3 ULP.
#[inline(always)]
pub(crate) fn ln_1p(x: f32) -> f32 {
    let sum = 1.0 + x;
    // What the sum lost is small beside it: ln(sum + lost) = ln(sum) + lost / sum.
    let lost = x - (sum - 1.0);
    ln(sum) + lost / sum
}

/// The hyperbolic tangent of x.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let magnitude = x.abs();

    // tanh x = x + x^3 p(x^2) for |x| <= 0.625, relative error 2^-27.9.
    let z = x * x;
    let p = polynomial(z, [-0.333_332_84, 0.133_314_91, -0.053_743_497, 0.020_650_586, -0.005_717_043_3]);
    let near = x + x * (z * p);

    // Beyond, 1 - 2 / (e^(2|x|) + 1) cancels at most half of its first term.
    let far = (1.0 - 2.0 / (exp(2.0 * magnitude) + 1.0)).copysign(x);

    if magnitude > 0.625 { far } else { near }
}

/// The logistic function 1 / (1 + e^-x) of `N` values, with products and sums rounded as `mul_add` rounds them.
///
/// A network computes more of these than of anything but products, so it is written for vectors.
#[inline(always)]
pub(crate) fn sigmoid<const N: usize>(
    x: [f32; N],
    mul_add: impl Fn(f32, [f32; N], [f32; N]) -> [f32; N] + Copy,
) -> [f32; N] {
    // One function takes less code than two.
    if IS_SMALL {
        return logistic::<N, true>(x, mul_add);
    }
    let rounded = mul_add(-LOG2_E, x, [BIASED_ROUND; N]);
    let mut is_far = false;
    for rounded in rounded {
        // Neither exponent nor 1 + 2^n needs care for -126 <= n < 24; a NaN is not in between.
        is_far |= rounded.to_bits().wrapping_sub(BIASED_ROUND.to_bits() - 126) >= 126 + 24;
    }
    if is_far { logistic::<N, true>(x, mul_add) } else { logistic::<N, false>(x, mul_add) }
}

/// Right for any values if `IS_FAR`, else only for those of which [`sigmoid`] says that they need no care; for these both
/// have the same bits.
#[inline(always)]
fn logistic<const N: usize, const IS_FAR: bool>(
    mut x: [f32; N],
    mul_add: impl Fn(f32, [f32; N], [f32; N]) -> [f32; N] + Copy,
) -> [f32; N] {
    if IS_FAR {
        // Below -104 the result rounds to 0, above 18 to 1.
        x = each(|i| clamp(x[i], -104.0, 18.0));
    }
    // -x = n ln 2 - r with |r| <= ln 2 / 2, as in `exp_parts`.
    let rounded = mul_add(-LOG2_E, x, [BIASED_ROUND; N]);
    // A subtraction. Written as a loop of subtractions, the compiler splits the vectors into quarters, here and below.
    let n = mul_add(1.0, rounded, [-BIASED_ROUND; N]);
    let r = mul_add(LN2_LOW, n, mul_add(LN2_HIGH, n, x));
    let square = each(|i| r[i] * r[i]);
    let low = mul_add(-0.166_665_21, r, [0.499_999_94; N]);
    let high = mul_add(0.001_381_458, square, mul_add(-0.008_368_724, r, [0.041_668_39; N]));
    each(|i| {
        // 1 + e^-x = (1 + 2^n) + 2^n t. The first sum is exact for |n| < 24, and what it loses beyond counts for
        // little, but for n = 24, where t makes up for it. The product is exact.
        let lost = if IS_FAR && n[i] == 24.0 { 1.0 / 16_777_216.0 } else { 0.0 };
        let t = square[i] * (low[i] + square[i] * high[i]) - (r[i] - lost);
        // 2^150 is no `f32`: far out, where the 1 vanishes, e^-x and the result are scaled by 2^64. Of the bits of
        // BIASED_ROUND + n none is left but n + 127 when they have become the exponent.
        let (down, scale) =
            if IS_FAR && n[i] > 100.0 { (64, 1.0 / 18_446_744_073_709_551_616.0) } else { (0, 1.0) };
        let power = f32::from_bits(rounded[i].to_bits().wrapping_sub(down) << EXPONENT_SHIFT);
        1.0 / ((1.0 + power) + power * t) * scale
    })
}

/// [`sigmoid`] of four values and a bias, with the same bits, in vectors that are written out: loops become vectors only where
/// code is not optimised for size.
#[inline(always)]
pub(crate) fn sigmoid_of_four(
    x: [f32; 4],
    bias: f32,
    mul_add: impl Fn(f32, [f32; 4], [f32; 4]) -> [f32; 4] + Copy,
) -> [f32; 4] {
    let all = |value: f32| f32x4::new([value, value, value, value]);
    let x = must_cast::<_, f32x4>(x) + all(bias);
    let x = all(-104.0).simd_gt(x).bitselect(all(-104.0), x);
    let x = must_cast(x.simd_gt(all(18.0)).bitselect(all(18.0), x));
    // The steps of `logistic`.
    let rounded = mul_add(-LOG2_E, x, must_cast(all(BIASED_ROUND)));
    let n = mul_add(1.0, rounded, must_cast(all(-BIASED_ROUND)));
    let r = mul_add(LN2_LOW, n, mul_add(LN2_HIGH, n, x));
    let square = must_cast::<_, f32x4>(r) * must_cast::<_, f32x4>(r);
    let low = mul_add(-0.166_665_21, r, must_cast(all(0.499_999_94)));
    let high = mul_add(-0.008_368_724, r, must_cast(all(0.041_668_39)));
    let high = mul_add(0.001_381_458, must_cast(square), high);
    let (n, r, low, high): (f32x4, f32x4, f32x4, f32x4) =
        (must_cast(n), must_cast(r), must_cast(low), must_cast(high));
    let lost = n.simd_eq(all(24.0)) & all(1.0 / 16_777_216.0);
    let t = square * (low + square * high) - (r - lost);
    let is_far = n.simd_gt(all(100.0));
    let scale = is_far.bitselect(all(1.0 / 18_446_744_073_709_551_616.0), all(1.0));
    let down = must_cast::<f32x4, u32x4>(is_far) & u32x4::new([64, 64, 64, 64]);
    let power = (must_cast::<_, u32x4>(rounded) - down) << EXPONENT_SHIFT;
    let power: f32x4 = must_cast(power);
    must_cast(all(1.0) / ((all(1.0) + power) + power * t) * scale)
}

/// `f(0)`, `f(1)`, ... On small targets by fours, written out: a loop over lanes remains one where code is optimised for size.
#[inline(always)]
fn each<const N: usize>(f: impl Fn(usize) -> f32) -> [f32; N] {
    let mut y = [0.0; N];
    if IS_SMALL {
        for (i, y) in y.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *y = [f(4 * i), f(4 * i + 1), f(4 * i + 2), f(4 * i + 3)];
        }
    }
    for i in if IS_SMALL { N - N % 4..N } else { 0..N } {
        y[i] = f(i);
    }
    y
}

/// x limited to `least..=greatest`; NaN stays NaN.
#[inline(always)]
fn clamp(x: f32, least: f32, greatest: f32) -> f32 {
    let x = if x < least { least } else { x };
    if x > greatest { greatest } else { x }
}

/// The sum of `coefficients[i] * x^i` by Horner's rule.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = 0.0;
    for coefficient in coefficients.into_iter().rev() {
        sum = sum * x + coefficient;
    }
    sum
}

/// 2^n for the exponents of normal numbers.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(EXPONENT_BIAS) << EXPONENT_SHIFT) as u32)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{exp, ln, ln_1p, tanh};
    use crate::activation::Activation;
    use crate::simd::Isa;
    use std::vec::Vec;

    /// |got - exact| in units of the last place of an `f32` near `exact`.
    fn ulp_error(got: f32, exact: f64) -> f64 {
        let exact = exact.clamp(-OVERFLOW, OVERFLOW);
        let got = f64::from(got).clamp(-OVERFLOW, OVERFLOW);
        let exponent = ((exact.abs().to_bits() >> 52) as i32 - 1023).max(-126);
        (got - exact).abs() / 2_f64.powi(exponent - 23)
    }

    /// How many threads sweep. WebAssembly has but the one that the test runs on.
    const THREADS: u64 = if cfg!(target_family = "wasm") { 1 } else { 2 };

    /// 2^128: where an `f32` becomes infinite.
    const OVERFLOW: f64 = 340_282_366_920_938_463_463_374_607_431_768_211_456.0;

    /// How many values a function gets at once.
    const BLOCK: usize = 1 << 12;

    /// The largest error for every 4099th bit pattern (a prime: all exponents, all low bits), or with
    /// `IM2COL_EXHAUSTIVE=1` for every one. `function` replaces values.
    fn worst_ulp_error(function: impl Fn(&mut [f32]) + Copy + Send + 'static, exact: fn(f64) -> f64) -> f64 {
        let stride = if std::env::var_os("IM2COL_EXHAUSTIVE").is_some_and(|v| v == "1") { 1 } else { 4099 };
        let sweep = move |first: u64| {
            let (mut worst, mut at) = (0.0, 0.0);
            let mut patterns = (first * stride..=u64::from(u32::MAX)).step_by((stride * THREADS) as usize);
            loop {
                let input: Vec<f32> =
                    patterns.by_ref().take(BLOCK).map(|bits| f32::from_bits(bits as u32)).collect();
                if input.is_empty() {
                    return (worst, at);
                }
                let mut output = input.clone();
                function(&mut output);
                for (x, got) in input.into_iter().zip(output) {
                    let exact = exact(f64::from(x));
                    assert_eq!(got.is_nan(), exact.is_nan(), "{x:e}: {got:e}, {exact:e} expected");
                    let error = ulp_error(got, exact);
                    if error > worst {
                        (worst, at) = (error, x);
                    }
                }
            }
        };
        let others: Vec<_> = (1..THREADS).map(|t| std::thread::spawn(move || sweep(t))).collect();
        let own = sweep(0);
        let others = others.into_iter().map(|thread| thread.join().unwrap());
        let (worst, at) = others.fold(own, |a, b| if b.0 > a.0 { b } else { a });
        std::println!("worst error {worst:.3} ULP at {at:e}");
        worst
    }

    fn each(function: fn(f32) -> f32) -> impl Fn(&mut [f32]) + Copy + Send {
        move |values| values.iter_mut().for_each(|x| *x = function(*x))
    }

    #[test]
    fn exp_is_within_2_ulp() {
        assert!(worst_ulp_error(each(exp), f64::exp) <= 2.0);
    }

    #[test]
    fn ln_is_within_2_ulp() {
        assert!(worst_ulp_error(each(ln), f64::ln) <= 2.0);
    }

    #[test]
    fn ln_1p_is_within_3_ulp() {
        // Finite and not negative: -0 has no other result than 0.
        let defined = |x: f32| if x.is_finite() { x.abs() } else { 0.0 };
        let function = move |values: &mut [f32]| values.iter_mut().for_each(|x| *x = ln_1p(defined(*x)));
        let exact = |x: f64| if x.is_finite() { x.abs().ln_1p() } else { 0.0 };
        assert!(worst_ulp_error(function, exact) <= 3.0);
        assert!(ln_1p(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_within_2_ulp() {
        assert!(worst_ulp_error(each(tanh), f64::tanh) <= 2.0);
    }

    #[test]
    fn sigmoid_is_within_2_ulp() {
        let exact = |x: f64| 1.0 / (1.0 + (-x).exp());
        let activation = Activation::Sigmoid;
        assert!(worst_ulp_error(each(|x| Activation::Sigmoid.apply(x)), exact) <= 2.0);
        for isa in Isa::available() {
            std::println!("{}", isa.name());
            let forward = move |values: &mut [f32]| activation.forward_in_place_with_isa(isa, values);
            assert!(worst_ulp_error(forward, exact) <= 2.0);
        }
    }

    /// On small targets it takes the place of `sigmoid`.
    #[test]
    fn sigmoids_of_four_have_the_bits_of_sigmoids() {
        let mul_add = |a: f32, b: [f32; 4], c: [f32; 4]| core::array::from_fn(|i| a * b[i] + c[i]);
        // A prime step, so that all exponents meet all kinds of fractions.
        for bits in (0..=u32::MAX).step_by(9_973) {
            let x = [0, 1 << 29, 2 << 29, 7 << 29].map(|offset| f32::from_bits(bits.wrapping_add(offset)));
            let bias = 0.375;
            let expected = super::sigmoid(x.map(|x| x + bias), mul_add).map(f32::to_bits);
            let given = super::sigmoid_of_four(x, bias, mul_add).map(f32::to_bits);
            for (i, (given, expected)) in given.into_iter().zip(expected).enumerate() {
                let is_nan = f32::from_bits(given).is_nan() && f32::from_bits(expected).is_nan();
                assert!(is_nan || given == expected, "{}: {given:x} {expected:x}", x[i]);
            }
        }
    }

    #[test]
    fn special_values() {
        let sigmoid = |x| Activation::Sigmoid.apply(x);
        let (inf, nan, least) = (f32::INFINITY, f32::NAN, f32::from_bits(1));
        assert_eq!([-inf, f32::MIN, -0.0, 0.0, f32::MAX, inf].map(exp), [0.0, 0.0, 1.0, 1.0, inf, inf]);
        assert_eq!([-0.0, 0.0, 1.0, inf].map(ln), [-inf, -inf, 0.0, inf]);
        assert_eq!([-inf, f32::MIN, 0.0, least, f32::MAX, inf].map(tanh), [-1.0, -1.0, 0.0, least, 1.0, 1.0]);
        assert_eq!([-inf, f32::MIN, 0.0, least, f32::MAX, inf].map(sigmoid), [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]);
        assert!(
            [exp(nan), ln(nan), tanh(nan), sigmoid(nan), ln(-least), ln(-inf)].iter().all(|x| x.is_nan())
        );
    }
}

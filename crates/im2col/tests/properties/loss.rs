//! Softmax and cross-entropy are within the errors that they state, and do what their documents say otherwise.

use im2col::{
    CrossEntropy, Isa, RunError, Softmax, argmax, cross_entropy, cross_entropy_backward, naive, softmax,
    softmax_backward,
};
use im2col_testkit::bound::{check_each, gamma};
use im2col_testkit::operands::{Rng, garbage};
use im2col_testkit::oracle::{LossCase, Sum};
use im2col_testkit::property::{cases, for_all};
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;

/// `a` of the stated errors: how often a term of a sum over classes is rounded.
fn additions(classes: usize) -> usize {
    19 + classes.div_ceil(256).next_power_of_two().ilog2() as usize
}

/// `D` of the stated errors, rounded up.
fn spread(case: &LossCase, logits: &[f32]) -> usize {
    case.spread(logits).min(104.0).ceil() as usize
}

/// `r` of the stated errors.
fn row_additions(rows: usize) -> usize {
    rows.next_power_of_two().ilog2() as usize
}

/// How far a loss may be from `exact`, with `sums` sums over the classes.
fn loss_bound(case: &LossCase, logits: &[f32], exact: f64, sums: usize) -> f64 {
    let roundings = spread(case, logits) + sums * additions(case.classes) + row_additions(case.rows()) + 20;
    gamma(roundings) * exact + case.len() as f64 * 2.0_f64.powi(-146)
}

fn loss_case() -> impl Strategy<Value = LossCase> {
    let classes = prop_oneof![1_usize..40, 1_usize..40, 250_usize..530];
    let positions = prop_oneof![Just(1_usize), Just(1_usize), 2_usize..36];
    (0_usize..4, classes, positions).prop_map(|(batch, classes, positions)| LossCase {
        batch,
        classes,
        positions,
    })
}

/// Logits that are all the same, near each other, far apart, or take few values.
fn logits(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let size = [0.0, 1.0, 8.0, 60.0, 3000.0, f32::MAX][(rng.bits() % 6) as usize];
    let is_coarse = rng.bits().is_multiple_of(4);
    let mut unit =
        || if is_coarse { rng.integer(2) as f32 / 2.0 } else { rng.integer(1 << 23) as f32 / 8_388_608.0 };
    (0..len).map(|_| unit() * size).collect()
}

/// Probabilities of which one in four is 0, not normalised.
fn probabilities(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| (rng.bits() % 4) as f32 * (rng.bits() >> 40) as f32 / 50_331_648.0).collect()
}

/// A class for each row, or none.
fn labels(seed: u64, case: &LossCase) -> Vec<Option<usize>> {
    let mut rng = Rng::new(seed);
    let mut label = || (!rng.bits().is_multiple_of(5)).then(|| (rng.bits() % case.classes as u64) as usize);
    (0..case.rows()).map(|_| label()).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Runs `f` on every instruction set, and returns what all of them give, bit for bit.
fn on_every_isa(len: usize, f: impl Fn(Isa, &mut [f32]) -> f32) -> (f32, Vec<f32>) {
    let run = |isa| {
        let mut output = garbage(7, len);
        (f(isa, &mut output), output)
    };
    let expected = run(Isa::SCALAR);
    for isa in Isa::available() {
        let (value, output) = run(isa);
        assert_eq!(value.to_bits(), expected.0.to_bits(), "{}", isa.name());
        assert_eq!(bits(&output), bits(&expected.1), "{}", isa.name());
    }
    expected
}

fn exact(values: Vec<f64>) -> Vec<Sum> {
    values.into_iter().map(|value| Sum { value, magnitude: value.abs() }).collect()
}

#[test]
fn softmax_and_its_gradient_are_within_their_bounds() {
    for_all(cases(600), (loss_case(), any::<u64>()), |(case, seed)| {
        let LossCase { batch, classes, positions } = case;
        let logits = logits(seed, case.len());
        let of_classes = Softmax::new(classes).with_positions(positions);
        let (_, p) = on_every_isa(case.len(), |isa, p| {
            of_classes.with_isa(isa).forward(&logits, p).unwrap();
            0.0
        });
        let expected = exact(case.softmax(&logits));
        let roundings = 2 * spread(&case, &logits) + additions(classes) + 14;
        let bound = |roundings, p: f64| gamma(roundings) * p + 2.0_f64.powi(-146);
        check_each(&p, &expected, |p| bound(roundings, p.value)).unwrap();

        let grads = self::logits(seed ^ 1, case.len());
        let grads: Vec<f32> = grads.into_iter().map(|g| g.clamp(-1e6, 1e6)).collect();
        let (_, grad_logits) = on_every_isa(case.len(), |isa, grad_logits| {
            of_classes.with_isa(isa).backward(&p, &grads, grad_logits).unwrap();
            0.0
        });
        let expected = case.softmax_grad(&p, &grads);
        let roundings = additions(classes) + 5;
        check_each(&grad_logits, &expected, |g| gamma(roundings) * g.magnitude + 1e-36).unwrap();

        // The definitions add in one chain.
        let mut of_definition = garbage(1, case.len());
        naive::softmax(&logits, [batch, classes, positions], &mut of_definition).unwrap();
        let roundings = 2 * spread(&case, &logits) + classes + 14;
        let expected = exact(case.softmax(&logits));
        check_each(&of_definition, &expected, |p| bound(roundings, p.value)).unwrap();
        naive::softmax_backward(&p, &grads, [batch, classes, positions], &mut of_definition).unwrap();
        let expected = case.softmax_grad(&p, &grads);
        check_each(&of_definition, &expected, |g| gamma(classes + 5) * g.magnitude + 1e-36).unwrap();
    });
}

#[test]
fn cross_entropy_of_labels_is_within_its_bound() {
    for_all(cases(600), (loss_case(), any::<u64>(), any::<bool>()), |(case, seed, is_mean)| {
        let logits: Vec<f32> = logits(seed, case.len()).into_iter().map(|x| x.clamp(-1e30, 1e30)).collect();
        let classes_of_rows = labels(seed ^ 1, &case);
        let labels: Vec<i64> = classes_of_rows.iter().map(|c| c.map_or(-100, |c| c as i64)).collect();
        let targets = case.targets(&classes_of_rows);
        let of_classes =
            CrossEntropy::new(case.classes).with_positions(case.positions).with_ignore_index(-100);
        let of_classes = if is_mean { of_classes.with_mean() } else { of_classes };
        let counted = classes_of_rows.iter().flatten().count();
        let divisor = if is_mean { counted as f64 } else { 1.0 };

        let (loss, grad) = on_every_isa(case.len(), |isa, grad| {
            let of_classes = of_classes.with_isa(isa);
            let loss = of_classes.backward(&logits, &labels, 0.5, grad).unwrap();
            assert_eq!(of_classes.forward(&logits, &labels).unwrap().to_bits(), loss.to_bits());
            loss
        });
        if is_mean && counted == 0 {
            assert!(loss.is_nan());
            assert!(grad.iter().all(|&g| g == 0.0));
            return;
        }
        let expected = case.loss(&logits, &targets) / divisor;
        let error = (f64::from(loss) - expected).abs();
        assert!(error <= loss_bound(&case, &logits, expected, 1), "{loss}, not {expected}");

        let scale = 0.5 / divisor;
        let expected = exact(case.loss_grad(&logits, &targets).into_iter().map(|g| g * scale).collect());
        let bound = gamma(2 * spread(&case, &logits) + additions(case.classes) + 18) * scale;
        check_each(&grad, &expected, |_| bound).unwrap();
        let ignored = (0..case.rows()).filter(|&row| classes_of_rows[row].is_none());
        assert!(ignored.flat_map(|row| case.row(row)).all(|i| grad[i].to_bits() == 0));

        let dims = [case.batch, case.classes, case.positions];
        let of_definition = naive::cross_entropy(&logits, &targets, dims).unwrap();
        let expected = case.loss(&logits, &targets);
        let roundings = spread(&case, &logits) + case.classes + case.rows() + 20;
        // The logarithm of what is next to 1.
        let bound = gamma(roundings) * (expected + case.rows() as f64);
        assert!((f64::from(of_definition) - expected).abs() <= bound, "{of_definition}, not {expected}");
    });
}

#[test]
fn cross_entropy_of_probabilities_is_within_its_bound() {
    for_all(cases(600), (loss_case(), any::<u64>(), any::<bool>()), |(case, seed, is_mean)| {
        let logits: Vec<f32> = logits(seed, case.len()).into_iter().map(|x| x.clamp(-1e30, 1e30)).collect();
        let targets = probabilities(seed ^ 1, case.len());
        let of_classes = CrossEntropy::new(case.classes).with_positions(case.positions);
        let of_classes = if is_mean { of_classes.with_mean() } else { of_classes };
        let divisor = if is_mean { case.rows() as f64 } else { 1.0 };
        let (loss, grad) = on_every_isa(case.len(), |isa, grad| {
            let of_classes = of_classes.with_isa(isa);
            let loss = of_classes.backward_soft(&logits, &targets, 0.5, grad).unwrap();
            assert_eq!(of_classes.forward_soft(&logits, &targets).unwrap().to_bits(), loss.to_bits());
            loss
        });
        if case.rows() == 0 {
            assert_eq!(loss.is_nan(), is_mean);
            return;
        }
        let expected = case.loss(&logits, &targets) / divisor;
        let error = (f64::from(loss) - expected).abs();
        assert!(error <= loss_bound(&case, &logits, expected, 2), "{loss}, not {expected}");

        let scale = 0.5 / divisor;
        let expected = exact(case.loss_grad(&logits, &targets).into_iter().map(|g| g * scale).collect());
        let roundings = 2 * spread(&case, &logits) + 2 * additions(case.classes) + 22;
        for row in 0..case.rows() {
            let total: f64 = case.row(row).map(|i| f64::from(targets[i])).sum();
            let [given, expected] = [
                case.row(row).map(|i| Sum { value: f64::from(grad[i]), magnitude: 0.0 }).collect::<Vec<_>>(),
                case.row(row).map(|i| expected[i]).collect(),
            ];
            let given: Vec<f32> = given.iter().map(|sum| sum.value as f32).collect();
            check_each(&given, &expected, |_| gamma(roundings) * scale * total + 1e-40).unwrap();
        }

        let dims = [case.batch, case.classes, case.positions];
        let mut of_definition = garbage(1, case.len());
        naive::cross_entropy_backward(&logits, &targets, dims, &mut of_definition).unwrap();
        let expected = exact(case.loss_grad(&logits, &targets));
        let roundings = 2 * spread(&case, &logits) + 2 * case.classes + 22;
        check_each(&of_definition, &expected, |_| gamma(roundings) * case.classes as f64).unwrap();
    });
}

/// `[batch, classes, positions]` as `[batch, positions, classes]`.
fn transposed(case: &LossCase, values: &[f32]) -> Vec<f32> {
    (0..case.rows()).flat_map(|row| case.row(row).map(|i| values[i])).collect()
}

#[test]
fn positions_are_rows_of_the_transpose_bit_for_bit() {
    for_all(cases(300), (loss_case(), any::<u64>()), |(case, seed)| {
        let LossCase { classes, positions, .. } = case;
        let (logits, targets) = (logits(seed, case.len()), probabilities(seed ^ 1, case.len()));
        let labels: Vec<u16> =
            labels(seed ^ 2, &case).into_iter().map(|c| c.map_or(u16::MAX, |c| c as u16)).collect();
        let [x, q] = [&logits, &targets].map(|values| transposed(&case, values));
        let [planes, rows] = [positions, 1].map(|positions| {
            CrossEntropy::new(classes).with_positions(positions).with_ignore_index(i128::from(u16::MAX))
        });
        let [mut left, mut right] = [1, 2].map(|seed| garbage(seed, case.len()));
        let same = |left: &[f32], right: &[f32]| assert_eq!(bits(&transposed(&case, left)), bits(right));

        let losses = [
            planes.backward(&logits, &labels, 0.5, &mut left).unwrap(),
            rows.backward(&x, &labels, 0.5, &mut right).unwrap(),
        ];
        assert_eq!(losses[0].to_bits(), losses[1].to_bits());
        same(&left, &right);
        let losses = [
            planes.backward_soft(&logits, &targets, 0.5, &mut left).unwrap(),
            rows.backward_soft(&x, &q, 0.5, &mut right).unwrap(),
        ];
        assert_eq!(losses[0].to_bits(), losses[1].to_bits());
        same(&left, &right);
        let [planes, rows] = [positions, 1].map(|positions| Softmax::new(classes).with_positions(positions));
        planes.forward(&logits, &mut left).unwrap();
        rows.forward(&x, &mut right).unwrap();
        same(&left, &right);
        let [p, p_of_rows] = [left.clone(), right.clone()];
        planes.backward(&p, &targets, &mut left).unwrap();
        rows.backward(&p_of_rows, &q, &mut right).unwrap();
        same(&left, &right);
    });
}

#[test]
fn long_sums_over_classes_are_within_the_bound() {
    for classes in [1 << 12, 60_000, 1_000_000, 1 << 20, 1 << 26] {
        // All the same, where each term of one chain would lose the same bits.
        let mut logits = vec![0.0; classes];
        let case = LossCase { batch: 1, classes, positions: 1 };
        let check = |logits: &[f32], expected: f64| {
            let loss = f64::from(cross_entropy(logits, &[0_u32], classes).unwrap());
            assert!(
                (loss - expected).abs() <= loss_bound_of(classes, 3.0, expected),
                "{classes}: {loss}, {expected}"
            );
        };
        check(&logits, (classes as f64).ln());
        // The others are e^-3 each.
        logits[5] = 3.0;
        check(&logits, ((classes - 1) as f64 * (-3_f64).exp()).ln_1p() + 3.0);

        if classes <= 1 << 20 {
            let logits = self::logits(2, classes);
            assert!(case.spread(&logits) > 0.0);
            let targets = case.targets(&[Some(0)]);
            let expected = case.loss(&logits, &targets);
            let loss = f64::from(cross_entropy(&logits, &[0_u32], classes).unwrap());
            assert!((loss - expected).abs() <= loss_bound(&case, &logits, expected, 1), "{classes}");
            let p = probabilities(3, classes);
            let loss = f64::from(CrossEntropy::new(classes).forward_soft(&logits, &p).unwrap());
            let expected = case.loss(&logits, &p);
            assert!((loss - expected).abs() <= loss_bound(&case, &logits, expected, 2), "{classes}");
        }
    }
}

/// The bound for one row of logits that are at most `spread` apart.
fn loss_bound_of(classes: usize, spread: f64, exact: f64) -> f64 {
    gamma(spread as usize + additions(classes) + 20) * exact
}

#[test]
fn long_sums_over_rows_are_within_the_bound() {
    for rows in [1 << 12, (1 << 20) - 1, 1 << 26] {
        // Two classes that are as likely: ln 2 for each row, without memory of their own for zeros.
        let (logits, labels) = (vec![0.0; 2 * rows], vec![0_u8; rows]);
        let planes = CrossEntropy::new(2).with_positions(rows);
        let check = |loss: f32, expected: f64| {
            let bound = gamma(additions(2) + row_additions(rows) + 20) * expected;
            assert!((f64::from(loss) - expected).abs() <= bound, "{rows}: {loss}, not {expected}");
        };
        check(planes.with_mean().forward(&logits, &labels).unwrap(), 2_f64.ln());
        if rows < 1 << 26 {
            check(cross_entropy(&logits, &labels, 2).unwrap(), rows as f64 * 2_f64.ln());
            let logits: Vec<f32> = (0..2 * rows).map(|i| (i * 37 % 101) as f32 * 0.05).collect();
            let case = LossCase { batch: rows, classes: 2, positions: 1 };
            let expected = case.loss(&logits, &case.targets(&vec![Some(0); rows]));
            let loss = f64::from(cross_entropy(&logits, &labels, 2).unwrap());
            assert!(
                (loss - expected).abs() <= loss_bound(&case, &logits, expected, 1),
                "{loss}, not {expected}"
            );
        }
    }
}

#[test]
fn the_products_of_a_gradient_are_long_sums_too() {
    let classes = 1 << 20;
    let case = LossCase { batch: 1, classes, positions: 1 };
    let p = vec![1.0 / classes as f32; classes];
    let g = vec![0.1; classes];
    let mut grad = vec![f32::NAN; classes];
    softmax_backward(&p, &g, classes, &mut grad).unwrap();
    let expected = case.softmax_grad(&p, &g);
    check_each(&grad, &expected, |g| gamma(additions(classes) + 5) * g.magnitude).unwrap();
}

#[test]
fn a_small_loss_has_all_its_digits() {
    // 1 + 5.9e-5 has lost three of the last digits: the loss was off by 1.1e-3 of itself.
    for distance in [9.74_f32, 12.0, 20.0, 60.0] {
        let expected = (-f64::from(distance)).exp().ln_1p();
        let loss = f64::from(cross_entropy(&[distance, 0.0], &[0], 2).unwrap());
        assert!((loss - expected).abs() <= gamma(distance.ceil() as usize + 39) * expected, "{loss}");
    }
}

#[test]
fn labels_are_integers_of_any_type() {
    let logits: Vec<f32> = (0..600).map(|i| (i * 37 % 101) as f32 * 0.1).collect();
    let expected = cross_entropy(&logits, &[257_u16, 3], 300).unwrap();
    macro_rules! same {
        ($($integer:ty)*) => {
            $(assert_eq!(cross_entropy(&logits, &[257 as $integer, 3], 300), Ok(expected));)*
        };
    }
    same!(u16 u32 u64 u128 usize i16 i32 i64 i128 isize);
    let expected = cross_entropy(&logits, &[100_u16, 3], 300).unwrap();
    assert_eq!(cross_entropy(&logits, &[100_u8, 3], 300), Ok(expected));
    assert_eq!(cross_entropy(&logits, &[100_i8, 3], 300), Ok(expected));

    let error = |given| Err(RunError::Label { position: 1, classes: 300, given });
    assert_eq!(cross_entropy(&logits, &[0, 300_u16], 300), error(300));
    assert_eq!(cross_entropy(&logits, &[0, -1_i8], 300), error(-1));
    assert_eq!(cross_entropy(&logits, &[0, -100_i64], 300), error(-100));
    assert_eq!(cross_entropy(&logits, &[0, u64::MAX], 300), error(i128::from(u64::MAX)));
    assert_eq!(cross_entropy(&logits, &[0, i128::MIN], 300), error(i128::MIN));
    assert_eq!(cross_entropy(&logits, &[0, u128::MAX], 300), error(i128::MAX));
    assert_eq!(error(-1).map(|_: f32| ()).unwrap_err().to_string(), "label 1: -1 is not one of 300 classes");
}

#[test]
fn ignored_rows_count_for_nothing() {
    let logits = [1.0, 0.0, f32::NAN, 0.0, 0.0, 1.0];
    let loss = CrossEntropy::new(2).with_ignore_index(255);
    let mut grad = [7.0; 6];
    let sum = loss.backward(&logits, &[0_u8, 255, 0], 1.0, &mut grad).unwrap();
    let kept = cross_entropy(&[1.0, 0.0, 0.0, 1.0], &[0, 0], 2).unwrap();
    assert_eq!(sum, kept);
    assert_eq!(grad[2..4], [0.0, 0.0]);
    assert_eq!(loss.with_mean().forward(&logits, &[0_u8, 255, 0]), Ok(kept / 2.0));
    let mut of_mean = [7.0; 6];
    loss.with_mean().backward(&logits, &[0_u8, 255, 0], 2.0, &mut of_mean).unwrap();
    assert_eq!(of_mean, grad);

    // A class may be ignored, and a label that is no class must be.
    assert_eq!(loss.with_ignore_index(0).forward(&logits[..4], &[0, 0]), Ok(0.0));
    let error = loss.forward(&logits, &[0, 254, 255]);
    assert_eq!(error, Err(RunError::Label { position: 1, classes: 2, given: 254 }));

    // All ignored: no loss, its mean is of nothing, no gradient.
    assert_eq!(loss.backward(&logits, &[255; 3], 1.0, &mut grad), Ok(0.0));
    assert_eq!(grad, [0.0; 6]);
    grad = [7.0; 6];
    assert!(loss.with_mean().backward(&logits, &[255; 3], 1.0, &mut grad).unwrap().is_nan());
    assert_eq!(grad, [0.0; 6]);
}

#[test]
fn large_logits_do_not_overflow() {
    let mut p = [0.0; 3];
    softmax(&[f32::MAX, 0.0, f32::MIN], 3, &mut p).unwrap();
    assert_eq!(p, [1.0, 0.0, 0.0]);
    assert_eq!(cross_entropy(&[1e4, 0.0], &[1], 2).unwrap(), 1e4);
}

#[test]
fn what_is_not_finite_is_not_hidden() {
    let mut p = [0.0; 4];
    softmax(&[1.0, f32::NAN, 1.0, 1.0], 2, &mut p).unwrap();
    assert!(p[0].is_nan() && p[1].is_nan());
    assert_eq!(p[2..], [0.5, 0.5]);
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    for row in [[1.0, nan], [1.0, inf], [inf, inf], [-inf, -inf]] {
        assert!(cross_entropy(&row, &[0], 2).unwrap().is_nan(), "{row:?}");
        assert!(CrossEntropy::new(2).forward_soft(&row, &[0.5, 0.5]).unwrap().is_nan(), "{row:?}");
        softmax(&row, 2, &mut p[..2]).unwrap();
        assert!(p[..2].iter().all(|p| p.is_nan()), "{row:?}");
    }
    // Of a class that cannot be.
    assert_eq!(cross_entropy(&[0.0, -inf], &[0], 2), Ok(0.0));
    assert_eq!(cross_entropy(&[0.0, -inf], &[1], 2), Ok(inf));
    assert_eq!(CrossEntropy::new(2).forward_soft(&[0.0, -inf], &[1.0, 0.0]), Ok(0.0));
}

#[test]
fn argmax_is_the_first_largest_or_the_first_nan() {
    assert_eq!(argmax(&[f32::NEG_INFINITY; 2]), Some(0));
    assert_eq!(argmax(&[-2.0, -1.0, -1.0]), Some(1));
    assert_eq!(argmax(&[9.0, f32::NAN, f32::NAN, 10.0]), Some(1));
}

#[test]
fn nothing_is_no_error() {
    let none: [u8; 0] = [];
    assert_eq!(cross_entropy(&[], &none, 10), Ok(0.0));
    assert_eq!(cross_entropy_backward(&[], &none, 0, 1.0, &mut []), Ok(0.0));
    assert_eq!(softmax(&[], 0, &mut []), Ok(()));
    assert_eq!(softmax_backward(&[], &[], 0, &mut []), Ok(()));
    assert_eq!(Softmax::new(3).with_positions(0).forward(&[], &mut []), Ok(()));
    assert_eq!(CrossEntropy::new(3).with_positions(0).forward_soft(&[], &[]), Ok(0.0));
    assert_eq!(CrossEntropy::new(0).with_ignore_index(9).forward(&[], &[9, 9]), Ok(0.0));
    assert!(CrossEntropy::new(3).with_mean().forward(&[], &none).unwrap().is_nan());
}

#[test]
fn operands_are_checked_before_anything_is_written() {
    let length = |operand, required, given| RunError::Length { operand, required, given };
    let mut out = [7.0; 4];
    assert_eq!(softmax(&[0.0; 5], 2, &mut out), Err(length("logits", 4, 5)));
    assert_eq!(softmax(&[0.0; 5], 0, &mut out), Err(length("logits", 0, 5)));
    assert_eq!(softmax(&[0.0; 6], 2, &mut out), Err(length("probabilities", 6, 4)));
    assert_eq!(softmax_backward(&[0.0; 5], &[0.0; 5], 2, &mut out), Err(length("probabilities", 4, 5)));
    assert_eq!(softmax_backward(&[0.0; 4], &[0.0; 5], 2, &mut out), Err(length("grad_probabilities", 4, 5)));
    assert_eq!(softmax_backward(&[0.0; 6], &[0.0; 6], 2, &mut out), Err(length("grad_logits", 6, 4)));
    let planes = Softmax::new(2).with_positions(3);
    assert_eq!(planes.forward(&[0.0; 8], &mut out), Err(length("logits", 6, 8)));
    let huge = Softmax::new(usize::MAX).with_positions(3);
    assert_eq!(huge.forward(&[0.0; 4], &mut out), Err(length("logits", 0, 4)));
    assert_eq!(Softmax::new(2).with_positions(0).forward(&[0.0; 4], &mut out), Err(length("logits", 0, 4)));

    assert_eq!(cross_entropy(&[0.0; 5], &[0, 1], 2), Err(length("logits", 4, 5)));
    assert_eq!(cross_entropy(&[0.0; 4], &[0; 4], usize::MAX), Err(length("logits", usize::MAX, 4)));
    let label = |position, classes, given| Err(RunError::Label { position, classes, given });
    assert_eq!(cross_entropy_backward(&[0.0; 4], &[0, 2], 2, 1.0, &mut out), label(1, 2, 2));
    assert_eq!(cross_entropy(&[], &[0], 0), label(0, 0, 0));
    let error = cross_entropy_backward(&[0.0; 2], &[0], 2, 1.0, &mut out);
    assert_eq!(error, Err(length("grad_logits", 2, 4)));
    let planes = CrossEntropy::new(2).with_positions(3);
    assert_eq!(planes.forward(&[0.0; 8], &[0; 4]), Err(length("labels", 3, 4)));
    assert_eq!(planes.forward(&[0.0; 8], &[0; 3]), Err(length("logits", 6, 8)));
    assert_eq!(planes.with_positions(0).forward(&[0.0; 2], &[0]), Err(length("labels", 0, 1)));
    assert_eq!(planes.backward(&[0.0; 6], &[0, 1, 1], 1.0, &mut out), Err(length("grad_logits", 6, 4)));
    let soft = CrossEntropy::new(2);
    assert_eq!(soft.forward_soft(&[0.0; 5], &[0.0; 5]), Err(length("logits", 4, 5)));
    assert_eq!(soft.backward_soft(&[0.0; 4], &[0.0; 5], 1.0, &mut out), Err(length("targets", 4, 5)));
    assert_eq!(soft.backward_soft(&[0.0; 6], &[0.0; 6], 1.0, &mut out), Err(length("grad_logits", 6, 4)));
    assert_eq!(out, [7.0; 4]);
}

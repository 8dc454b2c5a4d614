//! Norms against exact ones, and their edge cases.

mod common;

use common::numbers::native;
use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;
use gradchain_arith::{Arithmetic, Counts, Emulated, Format, Isa, Native, Real, Rules, bf16, f16};
use gradchain_gradients::{
    Measured, Norm, Order, Sum, Terms, Units, census, norm, root_mean_square, unit_norms,
};
use safetensors::SafeTensors;

/// The norm of `values` rounded into T.
fn of<T: Measured>(order: Order, values: &[f64]) -> Norm {
    let values: Vec<T> = values.iter().map(|&x| T::round_from(x)).collect();
    norm(&native::<T>(), order, &[&values])
}

fn two<T: Measured>(values: &[f64]) -> f64 {
    of::<T>(Order::Two, values).to_f64()
}

/// A1 to A8: no overflow, no underflow, no saturation.
#[test]
fn range_is_no_limit() {
    assert_eq!(two::<f16>(&[300.0]), 300.0);
    assert_eq!(two::<f16>(&[256.0]), 256.0);
    assert_eq!(two::<f16>(&[255.875]), 255.875);
    // In f16 50000 is 49984; sqrt(2) times it lies beyond the largest number.
    assert_eq!(two::<f16>(&[50000.0; 2]), 2.0_f64.sqrt() * 49984.0);
    let least = f64::powi(2.0, -24);
    assert_eq!(two::<f16>(&[least; 1000]), 1000.0_f64.sqrt() * least);
    let tiny = f64::from(1e-40_f32);
    assert!((two::<f32>(&[1e-40; 9]) - 3.0 * tiny).abs() <= tiny * 1e-15);
    assert_eq!(two::<bf16>(&[1e20, 1.0, 1.0]), bf16::round_from(1e20).value());
    assert_eq!(two::<f32>(&[1e20, 1.0, 1.0]), f64::from(1e20_f32));
    assert_eq!(two::<f64>(&[1e200; 2]), 1.414213562373095e200);
    assert_eq!(two::<f64>(&[1e-200; 4]), 2e-200);
    assert_eq!(two::<f64>(&[f64::from_bits(1)]), f64::from_bits(1));
    assert_eq!(two::<f64>(&[f64::from_bits(1); 3]), f64::from_bits(2)); // 1.73 of the least number
    for n in [2048, 4096, 65536] {
        assert_eq!(two::<f16>(&vec![1.0; n]), (n as f64).sqrt());
        assert_eq!(two::<bf16>(&vec![1.0; n]), (n as f64).sqrt());
    }
    // Beyond f64 a norm is still a number.
    let huge = of::<f64>(Order::Two, &[f64::MAX; 1 << 10]);
    assert_eq!((huge.to_f64(), huge.is_finite(), huge.exponent()), (f64::INFINITY, true, 1028));
    assert_eq!(of::<f64>(Order::One, &[f64::MAX; 2]).exponent(), 1024);
    assert!(huge.exceeds(f64::MAX) && !huge.exceeds(f64::INFINITY));
}

/// A9: nothing has the norm 0; empty tensors in a list do not count.
#[test]
fn empty() {
    for order in Order::EXACT {
        assert_eq!(of::<f32>(order, &[]).to_f64(), 0.0);
        assert_eq!(norm(&native::<f16>(), order, &[]).to_f64(), 0.0);
        let list: [&[f64]; 3] = [&[], &[-3.0], &[]];
        assert_eq!(norm(&native::<f64>(), order, &list).to_f64(), 3.0);
    }
}

/// A10, A11 and A13: NaN before infinity before numbers, in any place; zeros of both signs give +0.
#[test]
fn specials() {
    for order in Order::EXACT {
        for at in 0..4 {
            let mut values = [1.0, -2.0, 0.5, -0.0];
            values[at] = f64::NEG_INFINITY;
            assert_eq!(of::<f16>(order, &values).to_f64(), f64::INFINITY, "{order}");
            values[3 - at] = f64::NAN;
            assert!(of::<f16>(order, &values).to_f64().is_nan(), "{order}");
        }
        assert_eq!(of::<f64>(order, &[-0.0, -0.0]).to_f64().to_bits(), 0);
    }
    // A format without infinities.
    let arith = Emulated::new(Format::E4M3, Rules::default(), 0);
    assert!(norm(&arith, Order::Infinity, &[&[arith.round(1e6), 1.0]]).to_f64().is_nan());
}

/// A12: the orders, and texts that name none.
#[test]
fn orders() {
    let values = [3.0, -4.0, 0.0];
    let all = ["1", "2", "inf"].map(|p| of::<f32>(p.parse().unwrap(), &values).to_f64());
    assert_eq!(all, [7.0, 5.0, 4.0]);
    for text in ["1", "2", "inf", "3", "1.5", "100"] {
        assert_eq!(text.parse::<Order>().unwrap().to_string(), text);
    }
    for (p, value) in [("0", "0"), ("0.5", "0.5"), ("-1", "-1"), ("nan", "NaN"), ("-inf", "-inf")] {
        let error = p.parse::<Order>().unwrap_err().to_string();
        assert_eq!(error, format!("norm = {value} is out of range; allowed: 1 to inf"));
    }
    let error = "two".parse::<Order>().unwrap_err().to_string();
    assert_eq!(error, "unknown norm `two`; known: 1, 2, inf, any number from 1 on");
}

/// Numbers over `binades` binades, of both signs.
fn spread(n: usize, binades: u64) -> Vec<f64> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state >> 11
    };
    (0..n)
        .map(|_| {
            let exponent = 1023 - binades / 2 + (next() >> 20) % binades;
            f64::from_bits(next() & ((1 << 52) - 1) | exponent << 52 | (next() & 1) << 63)
        })
        .collect()
}

/// A14: the same bits for any grouping, order and number of threads.
#[test]
fn grouping_does_not_matter() {
    let values = spread(10_000, 300);
    let exact =
        [(Order::One, Terms::Magnitudes), (Order::Two, Terms::Squares), (Order::Infinity, Terms::Largest)];
    for (order, terms) in exact {
        let whole = norm(&native::<f64>(), order, &[&values]);
        for groups in [2, 7, 100] {
            let tensors: Vec<&[f64]> = values.chunks(values.len().div_ceil(groups)).collect();
            assert_eq!(norm(&native::<f64>(), order, &tensors), whole);
            let mut parts = std::thread::scope(|scope| {
                let part = |tensor: &[f64]| {
                    let mut sum = Sum::new(terms);
                    tensor.iter().for_each(|&x| sum.add(x));
                    sum
                };
                let threads: Vec<_> =
                    tensors.iter().map(|tensor| scope.spawn(move || part(tensor))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<Sum>>()
            });
            let mut sum = parts.pop().unwrap();
            parts.iter().for_each(|part| sum.merge(part));
            assert_eq!(sum.norm(), whole);
        }
        let mut backwards = values.clone();
        backwards.reverse();
        assert_eq!(norm(&native::<f64>(), order, &[&backwards]), whole);
    }
}

/// The one and two norms are the exact ones rounded once, against arithmetic of 5000 bits.
#[test]
fn correctly_rounded() {
    type Big = FBig<HalfEven, 2>;
    let big = |x: f64| Big::try_from(x).unwrap().with_precision(5000).value();
    for (n, binades) in
        [(1, 1), (2, 1), (3, 1), (5, 4), (17, 60), (100, 1), (100, 20), (40, 1000), (40, 2000)]
    {
        for draw in 0..20 {
            let values = &spread(n * 20, binades)[n * draw..][..n];
            let zero = big(0.0);
            let squares = values.iter().fold(zero.clone(), |sum, &x| sum + big(x) * big(x));
            let magnitudes = values.iter().fold(zero, |sum, &x| sum + big(x.abs()));
            for (order, exact) in [(Order::Two, squares.sqrt()), (Order::One, magnitudes)] {
                let got = of::<f64>(order, values);
                let expected = exact.with_precision(53).value().to_f64().value();
                assert_eq!(got.to_f64(), expected, "{order} {n} {binades}");
            }
        }
    }
}

/// The squares of `count` numbers `value`, by doubling: adding is exact, so that this is what as many additions give.
fn sum_of_copies(value: f64, count: u64) -> Sum {
    let mut doubled = Sum::new(Terms::Squares);
    doubled.add(value);
    let mut sum = Sum::new(Terms::Squares);
    let mut rest = count;
    while rest > 0 {
        if rest & 1 == 1 {
            sum.merge(&doubled);
        }
        doubled.merge(&doubled.clone());
        rest /= 2;
    }
    sum
}

/// A6 and its like: long vectors of one value.
#[test]
fn long_vectors() {
    let bytes =
        std::fs::read(format!("{}/tests/data/norm_fill.safetensors", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let number = |name: String| f64::from_le_bytes(tensors.tensor(&name).unwrap().data().try_into().unwrap());
    let ids: Vec<&str> = tensors.names().into_iter().filter_map(|name| name.strip_suffix("/value")).collect();
    let mut worst: f64 = 0.0;
    for id in &ids {
        let (n, value, exact) =
            (number(format!("{id}/n")), number(format!("{id}/value")), number(format!("{id}/exact_norm")));
        let sum = sum_of_copies(value, n as u64);
        worst = worst.max((sum.norm().to_f64() / exact - 1.0).abs());
        fn of_copies<T: Measured>(value: f64, n: usize) -> Norm {
            norm(&native::<T>(), Order::Two, &[&vec![T::round_from(value); n]])
        }
        let copies = match &id[..3] {
            "f16" => of_copies::<f16>(value, n as usize),
            "bf1" => of_copies::<bf16>(value, n as usize),
            "f32" => of_copies::<f32>(value, n as usize),
            _ => of_copies::<f64>(value, n as usize),
        };
        assert_eq!(copies, sum.norm(), "{id}");
    }
    println!("{} long vectors: largest relative error {worst:e}", ids.len());
    assert!(ids.len() == 52 && worst <= 1e-15);
}

/// Norms of any order, and of the grouping nothing: each to the power 2p against arithmetic of 400 bits, at every magnitude.
#[test]
fn any_order() {
    type Big = FBig<HalfEven, 2>;
    let big = |x: f64| Big::try_from(x).unwrap().with_precision(400).value();
    let power = |x: &Big, n: usize| (0..n).fold(big(1.0), |product, _| product * x);
    let mut worst: f64 = 0.0;
    for p in [1.5, 2.5, 3.0, 7.0, 100.0] {
        let order = Order::of(p).unwrap();
        for (n, binades, shift) in [
            (1, 1, 0),
            (3, 1, 0),
            (50, 3, 0),
            (400, 1, 0),
            (100, 40, 0),
            (60, 300, 0),
            (50, 3, 900),
            (50, 3, -1040),
            (50, 3, -1070),
        ] {
            let values: Vec<f64> = spread(n, binades).iter().map(|&x| libm::scalbn(x, shift)).collect();
            let got = norm(&native::<f64>(), order, &[&values]);
            let parts: Vec<&[f64]> = values.chunks(7).collect();
            assert_eq!(norm(&native::<f64>(), order, &parts), got, "{p} {n}");
            // x^p of p = 1.5 and 2.5 by a root, which has as many bits.
            let term = |x: f64| {
                let x = big(x.abs());
                let whole = power(&x, p as usize);
                if p == (p as usize) as f64 { whole } else { whole * x.sqrt() }
            };
            let sum = values.iter().fold(big(0.0), |sum, &x| sum + term(x));
            // got^(2p) over the square of the sum is 1 + 2p times the relative error.
            let got = big(got.mantissa()) * (big(1.0) << got.exponent() as isize);
            let ratio = power(&got, (2.0 * p) as usize) / (&sum * &sum) - big(1.0);
            let error = ratio.to_f64().value() / (2.0 * p) / f64::EPSILON;
            worst = worst.max(error.abs());
        }
    }
    println!("largest relative error of a norm of any order: {worst:.3} · 2^-52");
    assert!(worst <= 1.0, "{worst}");
    let three = Order::of(3.0).unwrap();
    for (values, expected) in [
        (vec![], 0.0),
        (vec![0.0, -0.0], 0.0),
        (vec![f64::INFINITY, 1.0], f64::INFINITY),
        (vec![f64::MAX], f64::MAX),
        (vec![-2.0; 8], 4.0),
    ] {
        assert_eq!(of::<f64>(three, &values).to_f64(), expected, "{values:?}");
    }
    assert!(of::<f64>(three, &[f64::NAN, f64::INFINITY]).to_f64().is_nan());
    assert_eq!(of::<f16>(Order::of(1e300).unwrap(), &[3.0, -5.0]).to_f64(), 5.0);
}

/// The root mean square is the exact one rounded once: sums that f64 cannot hold, and counts that are no power of two.
#[test]
fn root_mean_squares() {
    type Big = FBig<HalfEven, 2>;
    let big = |x: f64| Big::try_from(x).unwrap().with_precision(5000).value();
    for (n, binades) in [(1, 1), (3, 1), (7, 4), (1000, 20), (33, 2000)] {
        let values = spread(n, binades);
        let squares = values.iter().fold(big(0.0), |sum, &x| sum + big(x) * big(x));
        let exact = (squares / big(n as f64)).sqrt().with_precision(53).value().to_f64().value();
        assert_eq!(root_mean_square(&native::<f64>(), &[&values]).to_f64(), exact, "{n} {binades}");
    }
    // Large counts that share no factor with the sum: the quotient has no end, and the root needs its first 108 bits.
    for count in [1_000_003_u64, 10_000_019, 4_294_967_291, u64::MAX - 58] {
        for (k, values) in (0..40).map(|k| (k, spread(3 * (k + 1), 4))) {
            let [a, b, c] = values[3 * k..] else { unreachable!() };
            let copies = [count - count / 3 - count / 7, count / 3, count / 7];
            let (mut sum, mut squares) = (Sum::new(Terms::Squares), big(0.0));
            for (value, copies) in [a, b, c].into_iter().zip(copies) {
                sum.merge(&sum_of_copies(value, copies));
                squares += big(value) * big(value) * Big::from(copies);
            }
            let exact = (squares / Big::from(count)).sqrt().with_precision(53).value().to_f64().value();
            assert_eq!(sum.root_mean(count).to_f64(), exact, "{count} numbers {values:?}");
        }
    }
    assert_eq!(root_mean_square(&native::<f16>(), &[]).to_f64(), 0.0);
    assert_eq!(root_mean_square(&native::<f64>(), &[&[1e200; 5], &[1e200]]).to_f64(), 1e200);
    assert!(root_mean_square(&native::<f32>(), &[&[f32::NAN]]).to_f64().is_nan());
}

#[test]
fn norms_of_units() {
    let matrix = [3.0_f32, 4.0, 0.0, 0.0, 0.0, 5.0];
    let of = |units, width| {
        let norms = unit_norms(&native::<f32>(), Order::Two, units, width, &matrix).unwrap();
        norms.into_iter().map(Norm::to_f64).collect::<Vec<f64>>()
    };
    assert_eq!(of(Units::Rows, 2), [5.0, 0.0, 5.0]);
    assert_eq!(of(Units::Columns, 2), [3.0, 41.0_f64.sqrt()]);
    assert_eq!(of(Units::Whole, 2), [50.0_f64.sqrt()]);
    // More columns than are copied at a time.
    let wide: Vec<f32> = (0..37 * 3).map(|i| i as f32 - 50.0).collect();
    let norms = unit_norms(&native::<f32>(), Order::One, Units::Columns, 37, &wide).unwrap();
    let expected = (0..37).map(|j| (0..3).map(|i| f64::from(wide[37 * i + j].abs())).sum::<f64>());
    assert!(norms.into_iter().map(Norm::to_f64).eq(expected));
    let none = unit_norms(&native::<f32>(), Order::Two, Units::Columns, 3, &[]).unwrap();
    assert_eq!(none.into_iter().map(Norm::to_f64).collect::<Vec<f64>>(), [0.0; 3]);
    let error = unit_norms(&native::<f32>(), Order::Two, Units::Rows, 4, &matrix).unwrap_err();
    assert_eq!(error.to_string(), "tensor has 6 numbers; allowed: whole rows of 4");
}

#[test]
fn what_a_gradient_holds() {
    let first = [f16::ONE, f16::from_bits(1), f16::NEG_ZERO];
    let second = [f16::ZERO, f16::NEG_INFINITY, f16::NAN, f16::INFINITY];
    let census = census(&native::<f16>(), &[&first, &[], &second]);
    assert_eq!((census.counts.normal, census.counts.subnormal, census.counts.zero), (1, 1, 2));
    assert_eq!((census.counts.infinite, census.counts.nan), (2, 1));
    let found = census.first_non_finite.unwrap();
    assert_eq!((found.tensor, found.index, found.value), (2, 1, f64::NEG_INFINITY));
    assert_eq!(gradchain_gradients::census(&native::<f16>(), &[&first]).first_non_finite, None);
}

/// The counts are those of the definition: every 16-bit number, and numbers of all classes in tensors longer than a block, on every instruction set.
#[test]
fn counts_of_classes() {
    fn check<T: Measured>(numbers: &[T]) {
        let expected = Counts::of(numbers.iter().map(|x| x.value()), T::FORMAT);
        let first = numbers.iter().position(|x| !x.value().is_finite());
        for isa in Isa::available() {
            let census = census(&Native::<T>::new(isa), &[numbers]);
            assert_eq!(census.counts, expected, "{} {isa}", T::NAME);
            assert_eq!(census.first_non_finite.map(|found| found.index), first, "{} {isa}", T::NAME);
        }
    }
    fn mixed<T: Measured>() {
        let format = T::FORMAT;
        let some = [0.0, -0.0, format.min_subnormal(), -format.min_normal(), 1.0, format.max()];
        let rest = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for length in [0, 1, 31, 4096, 9000] {
            let mut numbers: Vec<T> = (0..length).map(|i| T::round_from(some[i * 7 % 6])).collect();
            check(&numbers);
            for i in (length / 2..length).step_by(997) {
                numbers[i] = T::round_from(rest[i % 3]);
                check(&numbers);
            }
        }
        // One class alone, so that no counter of a block may be too narrow.
        check(&[T::round_from(0.0); 10_000]);
        check(&[T::round_from(f64::NAN); 10_000]);
    }
    check(&(0..=u16::MAX).map(f16::from_bits).collect::<Vec<f16>>());
    check(&(0..=u16::MAX).map(bf16::from_bits).collect::<Vec<bf16>>());
    mixed::<f16>();
    mixed::<bf16>();
    mixed::<f32>();
    mixed::<f64>();
}

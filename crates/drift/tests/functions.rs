//! exp, sigmoid, tanh and their derivatives against dashu-float with 400 bits.
//!
//! The promises are 2^-98 and 2^-95; what is demanded here is nearer to what is measured, so that a constant that is off in its last bits fails.

mod common;

use common::{Big, big, big_of, log2_error, shifted};
use gradchain_drift::{DoubleDouble, functions};

/// Points with a low part: small, near the borders of the argument reduction, large, of both signs.
fn points() -> Vec<DoubleDouble> {
    let mut points = Vec::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    for size in [1e-18, 1e-6, 0.1, 0.35, 1.0, 3.0, 10.0, 40.0, 700.0, 5000.0] {
        for _ in 0..40 {
            let hi = size * (2.0 * uniform() - 1.0);
            points.push(DoubleDouble::new(hi, hi * 1e-16 * (uniform() - 0.5)));
        }
    }
    for k in [1.0, 3.0, 51.0, 1023.0] {
        // Beside odd multiples of ln 2 / 2, where the reduction turns.
        let turn = 0.5 * k * std::f64::consts::LN_2;
        points.extend([turn, -turn].map(DoubleDouble::from));
    }
    points
}

/// The worst log2 of the relative errors of `function`.
fn worst(function: impl Fn(DoubleDouble) -> (DoubleDouble, i64), exact: impl Fn(&Big) -> Big) -> (f64, f64) {
    let errors = points().into_iter().map(|x| {
        let (m, e) = function(x);
        (log2_error(&shifted(big_of(m), e), &exact(&big_of(x))), x.hi)
    });
    errors.fold((f64::NEG_INFINITY, 0.0), |worst, error| if error.0 > worst.0 { error } else { worst })
}

fn exact_sigmoid(x: &Big) -> Big {
    big(1.0) / (big(1.0) + (-x).exp())
}

fn exact_sigmoid_derivative(x: &Big) -> Big {
    let e = (-x).exp();
    let sum = big(1.0) + &e;
    e / (&sum * &sum)
}

/// (1 - e^-2x) / (1 + e^-2x), with e^-2x - 1 as one function so that small x lose nothing.
fn exact_tanh(x: &Big) -> Big {
    let difference = (big(-2.0) * x).exp_m1();
    -(&difference / (big(2.0) + &difference))
}

fn exact_tanh_derivative(x: &Big) -> Big {
    big(4.0) * exact_sigmoid_derivative(&(big(2.0) * x))
}

#[test]
fn exponential_well_within_98_bits() {
    let (error, at) = worst(functions::exp, Big::exp);
    println!("exp: 2^{error:.1} at {at}");
    assert!(error <= -105.0, "2^{error} at {at}");
}

#[test]
fn sigmoid_tanh_and_derivatives_well_within_95_bits() {
    type Function = fn(DoubleDouble) -> (DoubleDouble, i64);
    type Exact = fn(&Big) -> Big;
    let cases: [(&str, Function, Exact); 4] = [
        ("sigmoid", functions::sigmoid, exact_sigmoid),
        ("sigmoid'", functions::sigmoid_derivative, exact_sigmoid_derivative),
        ("tanh", |x| (functions::tanh(x), 0), exact_tanh),
        ("tanh'", functions::tanh_derivative, exact_tanh_derivative),
    ];
    for (name, function, exact) in cases {
        let (error, at) = worst(function, exact);
        println!("{name}: 2^{error:.1} at {at}");
        assert!(error <= -103.0, "{name}: 2^{error} at {at}");
    }
}

#[test]
fn far_exponents_and_edges() {
    let (m, e) = functions::exp(DoubleDouble::from(-1e6));
    let exact = big(-1e6).exp();
    assert!(log2_error(&shifted(big_of(m), e), &exact) <= -98.0);
    let (m, e) = functions::sigmoid_derivative(DoubleDouble::from(1e6));
    assert!(log2_error(&shifted(big_of(m), e), &exact) <= -95.0);
    assert_eq!(functions::sigmoid(DoubleDouble::from(0.0)).0, DoubleDouble::from(0.5));
    assert_eq!(functions::sigmoid_derivative(DoubleDouble::from(0.0)).0, DoubleDouble::from(0.25));
    let (m, e) = functions::tanh_derivative(DoubleDouble::from(0.0));
    assert_eq!((m, e), (DoubleDouble::from(0.25), 2));
    assert_eq!(functions::tanh_derivative(DoubleDouble::from(1e300)).0.hi, 0.0);
    assert_eq!(functions::tanh(DoubleDouble::from(0.0)).hi, 0.0);
    assert_eq!(functions::tanh(DoubleDouble::from(-1e300)).hi, -1.0);
    assert_eq!(functions::sigmoid(DoubleDouble::from(1e300)).0.hi, 1.0);
    assert_eq!(functions::sigmoid(DoubleDouble::from(-1e300)).0.hi, 0.0);
    assert!(functions::exp(DoubleDouble::from(f64::NAN)).0.hi.is_nan());
    assert!(functions::sigmoid(DoubleDouble::from(f64::NAN)).0.hi.is_nan());
    assert!(functions::tanh(DoubleDouble::from(f64::NAN)).hi.is_nan());
}

/// The five operations, against exact sums and products.
#[test]
fn arithmetic_within_its_bounds() {
    let points: Vec<DoubleDouble> = points().into_iter().filter(|x| x.hi.abs() > 1e-7).collect();
    let u2 = |factor: f64| libm::log2(factor) - 106.0;
    for pair in points.windows(2) {
        let &[a, b] = pair else { unreachable!() };
        // A sum that cancels: all but the low part.
        let c = DoubleDouble::new(-a.hi, b.lo * 0.3);
        let (x, y) = (big_of(a), big_of(b));
        let cases = [
            ("plus", a.plus(b), &x + &y, 3.1),
            ("plus, cancelling", a.plus(c), &x + big_of(c), 3.1),
            ("plus f64", a.plus_f64(b.hi), &x + big(b.hi), 2.1),
            ("times", a.times(b), &x * &y, 5.0),
            ("times f64", a.times_f64(b.hi), &x * big(b.hi), 2.0),
            ("divided by", a.divided_by(b), &x / &y, 16.0),
            ("sqrt", a.times(a).sqrt(), exact_sqrt(&big_of(a.times(a))), 25.0 / 8.0),
        ];
        for (name, got, exact, factor) in cases {
            if exact != Big::ZERO {
                let error = log2_error(&big_of(got), &exact);
                assert!(error <= u2(factor), "{name}: 2^{error} at {a:?}, {b:?}");
            }
        }
    }
}

/// The square root by Newton's method from that of f64.
fn exact_sqrt(x: &Big) -> Big {
    let mut root = big(x.to_f64().value().sqrt());
    for _ in 0..4 {
        root = (&root + x / &root) / big(2.0);
    }
    root
}

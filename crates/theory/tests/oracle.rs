//! Moments and polygamma functions to 30 digits by other methods: the trapezoidal rule on numbers of 128 bits, and series.
//!
//! For a function that is analytic in a strip of half-width a around the real line, the trapezoidal rule of step h errs by about `e^(-2πa/h)`;
//! functions with kinks are integrated on both sides after `x = e^(u - e^-u)`, which makes trapezoids converge (Takahasi and Mori 1974).

use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;
use gradchain_theory::Activation::{self, *};
use gradchain_theory::activation::{LEAKY_SLOPE, SELU};
use gradchain_theory::moments::{moments, slope2, value2};
use gradchain_theory::special::{digamma, digamma_minus_ln, trigamma};
use std::sync::LazyLock;

type Big = FBig<HalfEven, 2>;

const BITS: usize = 128;

fn big(x: f64) -> Big {
    Big::try_from(x).unwrap().with_precision(BITS).value()
}

fn float(x: &Big) -> f64 {
    x.to_f64().value()
}

fn one() -> Big {
    big(1.0)
}

/// φ, φ' and φ'' from their definitions; erf and its kin are left to the closed forms.
fn derivatives(activation: Activation, x: &Big) -> Option<[Big; 3]> {
    let negative = *x < Big::ZERO;
    let zero = Big::ZERO;
    let sigmoid = |x: &Big| {
        let s = one() / (one() + (-x).exp());
        let slope = &s * (one() - &s);
        let curvature = &slope * (one() - &s - &s);
        [s, slope, curvature]
    };
    let line = |below: f64, above: f64| {
        let slope = big(if negative { below } else { above });
        [x * &slope, slope, Big::ZERO]
    };
    Some(match activation {
        Identity => line(1.0, 1.0),
        Relu => line(0.0, 1.0),
        LeakyRelu => line(LEAKY_SLOPE, 1.0),
        Sigmoid => sigmoid(x),
        Tanh => {
            let [s, slope, curvature] = sigmoid(&(x + x));
            [&s + &s - one(), slope * big(4.0), curvature * big(8.0)]
        }
        Elu | Selu => {
            let (scale, below) = if activation == Selu { (SELU.0, SELU.0 * SELU.1) } else { (1.0, 1.0) };
            // The product of two rounded constants, as the function has it, is within an ulp of theirs.
            if negative {
                let e = x.exp();
                [(&e - one()) * big(below), &e * big(below), e * big(below)]
            } else {
                [x * big(scale), big(scale), zero]
            }
        }
        GeluTanh => {
            let root = &*ROOT_TWO_OVER_PI;
            let cubic = big(44_715.0) / big(1e6);
            let u = (x + x * x * x * &cubic) * root;
            let (du, ddu) = ((one() + x * x * &cubic * big(3.0)) * root, x * &cubic * big(6.0) * root);
            let [s, slope, curvature] = sigmoid(&(&u + &u));
            let first = &s + x * &du * &slope * big(2.0);
            let second =
                &du * &slope * big(4.0) + x * (ddu * slope * big(2.0) + &du * &du * curvature * big(4.0));
            [x * s, first, second]
        }
        Silu => {
            let [s, slope, curvature] = sigmoid(x);
            [x * &s, &s + x * &slope, slope * big(2.0) + x * curvature]
        }
        Softplus => {
            let [s, slope, _] = sigmoid(x);
            [(one() + x.exp()).ln(), s, slope]
        }
        Gelu | Erf | HardTanh => return None,
    })
}

static ROOT_TWO_OVER_PI: LazyLock<Big> = LazyLock::new(|| root(&(big(2.0) / pi())));

fn pi() -> Big {
    // Machin's formula.
    let arctan = |n: f64| {
        let (x, square) = (one() / big(n), big(n * n));
        let (mut sum, mut power) = (Big::ZERO.with_precision(BITS).value(), x);
        for k in 0..150 {
            let term = &power / big(f64::from(2 * k + 1));
            sum = if k % 2 == 0 { sum + term } else { sum - term };
            power /= &square;
        }
        sum
    };
    big(16.0) * arctan(5.0) - big(4.0) * arctan(239.0)
}

/// Square root by Newton's method.
fn root(x: &Big) -> Big {
    let mut y = big(float(x).sqrt());
    for _ in 0..4 {
        y = (&y + x / &y) / big(2.0);
    }
    y
}

/// `[E φ², E φ'², E φ φ'']` at variance q.
fn exact(activation: Activation, q: f64) -> [f64; 3] {
    let deviation = root(&big(q));
    let height = one() / root(&(pi() + pi()));
    let mut sums = [Big::ZERO, Big::ZERO, Big::ZERO];
    let mut add = |z: &Big, weight: &Big| {
        let density = (-(z * z) / big(2.0)).exp() * &height * weight;
        let [value, slope, curvature] = derivatives(activation, &(z * &deviation)).unwrap();
        sums[0] += &value * &value * &density;
        sums[1] += &slope * &slope * &density;
        sums[2] += value * curvature * density;
    };
    if matches!(activation, Relu | LeakyRelu | Elu | Selu) {
        for k in (-4 * 24)..(3 * 24) {
            let u = big(f64::from(k)) / big(24.0);
            let inverse = (-&u).exp();
            let z = (&u - &inverse).exp();
            let weight = &z * (one() + inverse) / big(24.0);
            add(&z, &weight);
            add(&-z, &weight);
        }
    } else {
        // Poles of functions of √q z lie nearer to the line at large q: 0.27 away at q = 14, which leaves 1e-17.
        for k in -240..=240 {
            add(&(big(f64::from(k)) / big(24.0)), &(one() / big(24.0)));
        }
    }
    sums.map(|sum| float(&sum))
}

#[test]
fn moments_of_activations() {
    let mut worst = 0.0_f64;
    for activation in Activation::ALL {
        if derivatives(activation, &one()).is_none() {
            continue;
        }
        for q in [0.01, 0.7, 14.0] {
            let exact = exact(activation, q);
            let all = moments(activation, q);
            for (value, exact) in [
                (value2(activation, q), exact[0]),
                (slope2(activation, q), exact[1]),
                (all.value2, exact[0]),
                (all.slope2, exact[1]),
                (all.value_curvature, exact[2]),
            ] {
                let error = (value - exact).abs() / exact.abs().max(1e-3);
                worst = worst.max(error);
                assert!(error < 1e-13, "{activation} {q}: {value} {exact}");
            }
        }
    }
    println!("largest relative error {worst:e}");
}

/// By the recurrence up to x = 60 + x and twelve terms of the series there, in 128 bits.
#[test]
fn polygamma() {
    let bernoulli: [(i64, i64); 10] = [
        (1, 6),
        (-1, 30),
        (1, 42),
        (-1, 30),
        (5, 66),
        (-691, 2730),
        (7, 6),
        (-3617, 510),
        (43_867, 798),
        (-174_611, 330),
    ];
    for i in 1..=200 {
        let x = f64::from(i) * 0.37;
        let (mut psi, mut psi1, mut at) = (big(0.0), big(0.0), big(x));
        for _ in 0..60 {
            psi -= one() / &at;
            psi1 += one() / (&at * &at);
            at += one();
        }
        psi += at.ln() - one() / (&at * big(2.0));
        psi1 += one() / &at + one() / (&at * &at * big(2.0));
        let mut power = one();
        for (k, (top, bottom)) in bernoulli.iter().enumerate() {
            power /= &at * &at;
            let number = big(*top as f64) / big(*bottom as f64);
            psi -= &number * &power / big(2.0 * k as f64 + 2.0);
            psi1 += number * &power / &at;
        }
        let difference = float(&(&psi - big(x).ln()));
        let (psi, psi1) = (float(&psi), float(&psi1));
        assert!((digamma(x) - psi).abs() <= 1.5e-15 * psi.abs().max(1.0), "{x}: {} {psi}", digamma(x));
        assert!((trigamma(x) / psi1 - 1.0).abs() < 2e-15, "{x}: {} {psi1}", trigamma(x));
        assert!(
            (digamma_minus_ln(x) / difference - 1.0).abs() < 1e-14,
            "{x}: {} {difference}",
            digamma_minus_ln(x)
        );
    }
}

//! Orders of multiplication: costs against every way to set the brackets, and results against exact integers in every arithmetic.

use gradchain_arith::{Emulated, Format, Isa, Native, Rounding, Rules, Summation, bf16, f16, philox};
use gradchain_kernels::{
    Association, Kernels, MAX_OPTIMAL_LAYERS, Operand, Plan, PlanError, Shape, evaluate,
};

fn plan(association: Association, dimensions: &[usize]) -> Plan {
    Plan::new(association, dimensions).unwrap()
}

/// A way to set the brackets: its cost, and the brackets as text.
type Tree = (u128, String);

/// All of them for factors `first..end`, the Catalan number of `end - first - 1`.
fn all_trees(p: &[usize], first: usize, end: usize) -> Vec<Tree> {
    if end - first == 1 {
        return vec![(0, first.to_string())];
    }
    let mut out = Vec::new();
    for k in first + 1..end {
        let own = (p[first] * p[k] * p[end]) as u128;
        for (of_left, left) in all_trees(p, first, k) {
            for (of_right, right) in all_trees(p, k, end) {
                out.push((of_left + of_right + own, format!("({left}{right})")));
            }
        }
    }
    out
}

/// The brackets of a plan as text.
fn brackets(plan: &Plan) -> String {
    let mut texts: Vec<String> = Vec::new();
    for product in plan.products() {
        let text = |operand| match operand {
            Operand::Factor(index) => format!("{index}"),
            Operand::Product(index) => texts[index].clone(),
        };
        let joined = format!("({}{})", text(product.left), text(product.right));
        texts.push(joined);
    }
    texts.pop().unwrap_or_else(|| "0".to_owned())
}

/// Storage by its definition: evaluates the brackets and keeps account of what is there.
fn peak(text: &str, p: &[usize]) -> u128 {
    let (mut stack, mut live, mut peak): (Vec<(usize, usize, bool)>, usize, usize) = (Vec::new(), 0, 0);
    for c in text.chars() {
        match c {
            '(' => {}
            ')' => {
                let ((middle, end, right_made), (first, _, left_made)) =
                    (stack.pop().unwrap(), stack.pop().unwrap());
                live += p[first] * p[end];
                peak = peak.max(live);
                live -= if right_made { p[middle] * p[end] } else { 0 };
                live -= if left_made { p[first] * p[middle] } else { 0 };
                stack.push((first, end, true));
            }
            digit => {
                let factor = digit.to_digit(10).unwrap() as usize;
                stack.push((factor, factor + 1, false));
            }
        }
    }
    peak as u128
}

#[test]
fn the_textbook_chain() {
    // Cormen, Leiserson, Rivest and Stein, section 15.2: A_1 30x35, 35x15, 15x5, 5x10, 10x20, 20x25.
    let optimal = plan(Association::Optimal, &[30, 35, 15, 5, 10, 20, 25]);
    assert_eq!((optimal.multiply_adds(), brackets(&optimal).as_str()), (15_125, "((0(12))((34)5))"));
    assert_eq!(optimal.dimensions(), [30, 35, 15, 5, 10, 20, 25]);
}

#[test]
fn plans_against_every_way_to_set_the_brackets() {
    let mut strictly_cheaper = 0;
    for case in 0..300 {
        let word = |k: u64| philox(5, case, k)[0];
        let factors = 1 + (word(0) % 8) as usize;
        // Dimensions 0 to 6: ties and empty matrices are frequent.
        let p: Vec<usize> = (0..=factors).map(|k| (word(1 + k as u64) % 7) as usize).collect();
        let trees = all_trees(&p, 0, factors);
        let least = trees.iter().map(|(cost, _)| *cost).min().unwrap();
        for association in Association::ALL {
            let plan = plan(association, &p);
            let text = brackets(&plan);
            let (cost, _) =
                trees.iter().find(|(_, other)| *other == text).expect("a way to set the brackets");
            assert_eq!(plan.multiply_adds(), *cost, "{association} {p:?}");
            assert_eq!(plan.peak_numbers(), peak(&text, &p), "{association} {p:?}: {text}");
            match association {
                Association::Optimal => assert_eq!(*cost, least, "{p:?}"),
                Association::VectorFirst | Association::MatrixFirst | Association::Balanced => {
                    strictly_cheaper += usize::from(least < *cost);
                }
            }
        }
    }
    println!("the optimal order was strictly cheaper than another {strictly_cheaper} times");
    assert!(strictly_cheaper > 300, "{strictly_cheaper}");
}

#[test]
fn brackets_of_each_association() {
    let of = |association, dimensions: &[usize]| brackets(&plan(association, dimensions));
    let p = [2; 6];
    assert_eq!(of(Association::VectorFirst, &p), "((((01)2)3)4)");
    assert_eq!(of(Association::MatrixFirst, &p), "(0(1(2(34))))");
    assert_eq!(of(Association::Balanced, &p), "(((01)2)(34))");
    // Where all orders cost the same, the optimal one is vector-first.
    assert_eq!(of(Association::Optimal, &p), of(Association::VectorFirst, &p));
    assert_eq!(of(Association::Optimal, &[0; 6]), of(Association::VectorFirst, &p));
    // A narrow waist is met from both sides.
    assert_eq!(of(Association::Optimal, &[4, 9, 9, 1, 9, 9]), "((0(12))(34))");
    for association in Association::ALL {
        assert_eq!(of(association, &[3, 4]), "0");
        assert_eq!(of(association, &[3, 4, 5]), "(01)");
        let one = plan(association, &[3, 4, 5]);
        assert_eq!((one.multiply_adds(), one.peak_numbers()), (60, 15));
        let none = plan(association, &[3, 4]);
        assert_eq!((none.multiply_adds(), none.peak_numbers(), none.products().len()), (0, 0, 0));
        assert_eq!(association.to_string().parse(), Ok(association));
    }
    let message = "left-first".parse::<Association>().unwrap_err();
    assert!(message.contains("`left-first`; known: vector-first, matrix-first, balanced, optimal"));
}

#[test]
fn limits() {
    let large = u32::MAX as usize;
    for association in Association::ALL {
        // The largest dimensions: 2^96 for each product and no overflow.
        let huge = plan(association, &[large; 5]);
        assert_eq!(huge.multiply_adds(), 3 * (large as u128).pow(3), "{association}");
        assert_eq!(
            Plan::new(association, &[1, large + 1]),
            Err(PlanError::TooLarge { dimension: large + 1 })
        );
    }
    let longest = vec![3; MAX_OPTIMAL_LAYERS + 2];
    assert_eq!(plan(Association::Optimal, &longest), plan(Association::VectorFirst, &longest));
    let longer = vec![3; MAX_OPTIMAL_LAYERS + 3];
    let message = Plan::new(Association::Optimal, &longer).unwrap_err().to_string();
    assert!(message.contains("1025 layers") && message.contains("at most 1024"), "{message}");
    for association in [Association::VectorFirst, Association::MatrixFirst, Association::Balanced] {
        assert_eq!(plan(association, &vec![1; 100_001]).multiply_adds(), 99_999, "{association}");
    }
}

/// Integers from -2 to 2.
fn small(stream: u64, size: usize) -> Vec<i64> {
    (0..size).map(|k| (philox(9, stream, k as u64)[0] % 5) as i64 - 2).collect()
}

fn exact_product(factors: &[Vec<i64>], p: &[usize]) -> Vec<i64> {
    let mut product = factors[0].clone();
    for (k, factor) in factors.iter().enumerate().skip(1) {
        let (inner, columns) = (p[k], p[k + 1]);
        product = (0..p[0] * columns)
            .map(|e| {
                (0..inner).map(|x| product[e / columns * inner + x] * factor[x * columns + e % columns]).sum()
            })
            .collect();
    }
    product
}

/// The dimensions of chains whose products stay below 2^8, so that every format here holds every number on every way: single factors, scalars, empty
/// matrices, a waist.
const CHAINS: [&[usize]; 8] = [
    &[2, 3],
    &[1, 4, 1],
    &[1, 1, 1, 1, 1, 1],
    &[3, 2, 1, 2, 3],
    &[2, 3, 0, 3, 2],
    &[0, 3, 2],
    &[3, 2, 0],
    &[1, 2, 2, 2],
];

fn check_integers<K: Kernels>(arith: &K, name: &str) -> usize {
    let mut entries = 0;
    for (stream, p) in CHAINS.into_iter().enumerate() {
        let integers: Vec<Vec<i64>> = p
            .windows(2)
            .enumerate()
            .map(|(k, shape)| small((100 * stream + k) as u64, shape[0] * shape[1]))
            .collect();
        let numbers: Vec<Vec<K::Number>> =
            integers.iter().map(|factor| factor.iter().map(|&x| arith.round(x as f64)).collect()).collect();
        let factors: Vec<&[K::Number]> = numbers.iter().map(Vec::as_slice).collect();
        let expected: Vec<f64> = exact_product(&integers, p).iter().map(|&x| x as f64).collect();
        for summation in Summation::of(arith.format()) {
            for association in Association::ALL {
                let plan = plan(association, p);
                let mut seen = Vec::new();
                let got = evaluate(arith, summation, &plan, &factors, |product| seen.push(product.len()));
                let got: Vec<f64> = got.into_iter().map(|x| arith.value(x)).collect();
                assert_eq!(got, expected, "{name} {summation} {association} {p:?}");
                let sizes: Vec<usize> =
                    plan.products().iter().map(|made| made.shape.rows * made.shape.columns).collect();
                assert_eq!(seen, sizes, "{name} {summation} {association} {p:?}");
                entries += got.len();
            }
        }
    }
    entries
}

#[test]
fn every_order_gives_exact_integers_in_every_arithmetic() {
    let mut entries = 0;
    for isa in Isa::available() {
        entries += check_integers(&Native::<f16>::new(isa), "f16");
        entries += check_integers(&Native::<bf16>::new(isa), "bf16");
        entries += check_integers(&Native::<f32>::new(isa), "f32");
        entries += check_integers(&Native::<f64>::new(isa), "f64");
    }
    for (rounding, name) in [(Rounding::Zero, "toward zero"), (Rounding::Stochastic, "stochastic")] {
        let rules = Rules { rounding, ..Rules::default() };
        entries += check_integers(&Emulated::new(Format::BF16, rules, 1), name);
    }
    println!("{entries} entries");
    assert!(entries > 1000);
}

/// Where numbers are rounded, orders differ, and a result is that of its products one by one.
#[test]
fn a_result_is_its_products_one_by_one() {
    let arith = Native::<bf16>::new(Isa::PORTABLE);
    let matrices: Vec<Vec<bf16>> = (0..3)
        .map(|s| (0..16).map(|k| bf16::from_f32(1.0 + (philox(2, s, k)[0] % 251) as f32 / 256.0)).collect())
        .collect();
    let [a, b, c] = [0, 1, 2].map(|k| matrices[k].as_slice());
    let shape = Shape { rows: 4, inner: 4, columns: 4 };
    let times = |x: &[bf16], y: &[bf16]| {
        let mut out = vec![bf16::ZERO; 16];
        arith.times(Summation::Recursive, x, y, &mut out, shape);
        out
    };
    let by =
        |association| evaluate(&arith, Summation::Recursive, &plan(association, &[4; 4]), &[a, b, c], |_| {});
    assert_eq!(by(Association::VectorFirst), times(&times(a, b), c));
    assert_eq!(by(Association::MatrixFirst), times(a, &times(b, c)));
    assert_ne!(by(Association::VectorFirst), by(Association::MatrixFirst));
}

#[test]
#[should_panic(expected = "factors, and the products that join them")]
fn a_factor_too_few() {
    let arith = Native::<f64>::new(Isa::PORTABLE);
    let one = plan(Association::Balanced, &[1, 1, 1]);
    evaluate(&arith, Summation::Wide, &one, &[&[1.0]], |_| {});
}

//! Every product of matrices, in every stored format, with every summation, on every instruction set of this CPU: the bits of the scalar
//! definition, for shapes that leave tails everywhere.

use dashu_float::FBig;
use gradchain_arith::{
    Arithmetic, Emulated, Format, ISA_NAMES, Isa, Native, Real, Rounding, Rules, Summation, bf16, dot, f16,
    philox, wide_unit,
};
use gradchain_kernels::{
    Kernels, MatrixMultiply, Shape, Stored, backward_step, forward_step, jacobian_product,
    matrixmultiply_times,
};
use ndarray::{Array1, Array2};

fn bits(x: f64) -> u64 {
    if x.is_nan() { 0x7ff8 << 48 } else { x.to_bits() }
}

/// `size` numbers of the format around 2^scale, the same for every format but for their rounding.
fn numbers<T: Real>(stream: u64, size: usize, scale: i32) -> Vec<T> {
    let number = |k: usize| {
        let [a, b] = philox(21, stream, k as u64);
        let x = (1.0 + (a >> 12) as f64 * f64::EPSILON) * f64::powi(2.0, scale + (b % 5) as i32 - 2);
        T::round_from(if a & 1 == 0 { x } else { -x })
    };
    (0..size).map(number).collect()
}

fn values<T: Real>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.value()).collect()
}

type Product<K> = fn(
    &K,
    Summation,
    &[<K as Arithmetic>::Number],
    &[<K as Arithmetic>::Number],
    &mut [<K as Arithmetic>::Number],
    Shape,
);

fn products<K: Kernels>() -> [(&'static str, Product<K>); 3] {
    [
        ("times", |k, s, a, b, out, shape| k.times(s, a, b, out, shape)),
        ("times_transposed", |k, s, a, b, out, shape| k.times_transposed(s, a, b, out, shape)),
        ("transposed_times", |k, s, a, b, out, shape| k.transposed_times(s, a, b, out, shape)),
    ]
}

const SHAPES: [(usize, usize, usize); 19] = [
    (0, 0, 0),
    (0, 3, 2),
    (2, 0, 3),
    (3, 2, 0),
    (1, 1, 1),
    (1, 1, 17),
    (1, 17, 1),
    (17, 1, 1),
    (2, 3, 5),
    (1, 16, 16),
    (1, 33, 129),
    (4, 16, 32),
    (4, 7, 31),
    (5, 31, 33),
    (6, 5, 47),
    (1, 40, 300),
    (8, 9, 15),
    (3, 64, 18),
    (7, 20, 130),
];

fn check_definition<T: Stored>() -> usize {
    let definition = Emulated::new(T::FORMAT, Rules::default(), 0);
    let mut entries = 0;
    for (index, (rows, inner, columns)) in SHAPES.into_iter().enumerate() {
        let shape = Shape { rows, inner, columns };
        let stream = 10 * index as u64;
        // Around 1, and with products around the subnormals.
        for scale in [0, T::FORMAT.emin() / 2] {
            let a = numbers::<T>(stream, rows * inner, scale);
            let b = numbers::<T>(stream + 1, inner * columns, scale);
            let (a64, b64) = (values(&a), values(&b));
            for summation in Summation::of(T::FORMAT) {
                for ((name, product), (_, define)) in
                    products::<Native<T>>().into_iter().zip(products::<Emulated>())
                {
                    let mut expected = vec![f64::NAN; rows * columns];
                    define(&definition, summation, &a64, &b64, &mut expected, shape);
                    for isa in Isa::available() {
                        let mut out = vec![T::round_from(f64::NAN); rows * columns];
                        product(&Native::new(isa), summation, &a, &b, &mut out, shape);
                        for (entry, (got, expected)) in out.iter().zip(&expected).enumerate() {
                            assert_eq!(
                                bits(got.value()),
                                bits(*expected),
                                "{} {name} {summation} {isa} {shape:?} scale 2^{scale} entry {entry}: {got:?}, {expected:e}",
                                T::NAME
                            );
                            entries += 1;
                        }
                    }
                }
            }
        }
    }
    entries
}

#[test]
fn products_are_their_definitions_on_every_instruction_set() {
    for name in ISA_NAMES {
        if Isa::named(name).is_err() {
            println!("skipped: {name} (this CPU lacks it)");
        }
    }
    let entries = check_definition::<f16>()
        + check_definition::<bf16>()
        + check_definition::<f32>()
        + check_definition::<f64>();
    println!("entries compared: {entries}");
}

/// One number for all results of a format and summation: FNV-1a over the bits, in the order of the loops.
fn hash<T: Stored>(isa: Isa, summation: Summation) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (index, (rows, inner, columns)) in SHAPES.into_iter().enumerate() {
        let a = numbers::<T>(1000 + index as u64, rows * inner, -1);
        let b = numbers::<T>(2000 + index as u64, inner * columns, 1);
        for (_, product) in products::<Native<T>>() {
            let mut out = vec![T::default(); rows * columns];
            product(&Native::new(isa), summation, &a, &b, &mut out, Shape { rows, inner, columns });
            for x in out {
                for byte in bits(x.value()).to_le_bytes() {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
                }
            }
        }
    }
    hash
}

/// The hashes of all summations; 0 for one that the format does not have.
fn hashes<T: Stored>(isa: Isa) -> [u64; 7] {
    Summation::ALL.map(|s| if s.is_defined_for(T::FORMAT) { hash::<T>(isa, s) } else { 0 })
}

/// The committed bits: a change here is a change of what gradchain computes, and belongs into the changelog.
const GOLDEN: [(&str, [u64; 7]); 4] = [
    (
        "f16",
        [
            0xfc51_5f8b_f07a_c6c2,
            0x6551_5e25_0847_f2ae,
            0xc6b8_9539_5a40_cf18,
            0xad3d_616e_0788_c3fa,
            0x1aca_3acc_3128_8188,
            0x5286_54fa_f279_4048,
            0,
        ],
    ),
    (
        "bf16",
        [
            0xfff7_0080_b24b_a80b,
            0xfe59_4b24_56fa_8165,
            0x6797_9666_c8f9_6073,
            0x52a0_b9d4_6e16_dfa6,
            0x227e_c0f4_ecac_c02c,
            0x6797_9666_c8f9_6073,
            0x6797_9666_c8f9_6073,
        ],
    ),
    (
        "f32",
        [
            0xf015_bc94_3189_94df,
            0xa0f1_1eac_82e1_8b29,
            0x9e6a_25bf_16af_896c,
            0x4fb4_e516_9a10_79f2,
            0xa132_4d83_f6de_82e1,
            0xa132_4d83_f6de_82e1,
            0,
        ],
    ),
    (
        "f64",
        [
            0x59ba_53e8_b3ac_08fd,
            0xd1b0_849f_e7b0_1ccb,
            0x4058_c1f3_ac4d_8ab2,
            0x1c29_e5f9_9d71_1791,
            0x82ef_a015_55a9_71f0,
            0x82ef_a015_55a9_71f0,
            0,
        ],
    ),
];

#[test]
fn golden_hashes() {
    for isa in Isa::available() {
        let got = [
            ("f16", hashes::<f16>(isa)),
            ("bf16", hashes::<bf16>(isa)),
            ("f32", hashes::<f32>(isa)),
            ("f64", hashes::<f64>(isa)),
        ];
        println!("{isa}: {got:#018x?}");
        assert_eq!(got, GOLDEN, "{isa}");
    }
}

/// Shapes with several blocks of the inner index, bands of rows, strips of columns and tiles of every size, and what is left over of each.
const LARGE: [(usize, usize, usize); 9] = [
    (1, 700, 650),
    (1, 131, 4300),
    (12, 300, 70),
    (8, 290, 45),
    (13, 401, 530),
    (29, 170, 1100),
    (200, 37, 95),
    (65, 519, 33),
    (197, 3, 1030),
];

/// Entries drawn from large results are the scalar definition of their own: blocking changes no bit.
#[test]
fn blocks_and_tiles_change_no_bit() {
    fn check<T: Stored>() -> usize {
        let definition = Emulated::new(T::FORMAT, Rules::default(), 0);
        let mut entries = 0;
        for (index, (rows, inner, columns)) in LARGE.into_iter().enumerate() {
            let shape = Shape { rows, inner, columns };
            let a = numbers::<T>(5000 + index as u64, rows * inner, -1);
            let b = numbers::<T>(6000 + index as u64, inner * columns, 1);
            for summation in Summation::of(T::FORMAT) {
                for (name, product) in products::<Native<T>>() {
                    for isa in Isa::available() {
                        let mut out = vec![T::round_from(f64::NAN); rows * columns];
                        product(&Native::new(isa), summation, &a, &b, &mut out, shape);
                        assert!(
                            out.iter().all(|x| !x.value().is_nan()),
                            "{name} {summation} {isa} {shape:?}"
                        );
                        // The corners and some entries between.
                        let drawn = (0..20).map(|k| philox(31, index as u64, k)[0] as usize % out.len());
                        for entry in drawn.chain([0, columns - 1, out.len() - columns, out.len() - 1]) {
                            let (i, j) = (entry / columns, entry % columns);
                            let terms = (0..inner).map(|k| match name {
                                "times" => (a[i * inner + k].value(), b[k * columns + j].value()),
                                "times_transposed" => (a[i * inner + k].value(), b[j * inner + k].value()),
                                _ => (a[k * rows + i].value(), b[k * columns + j].value()),
                            });
                            let expected = dot(&definition, summation, terms);
                            assert_eq!(
                                bits(out[entry].value()),
                                bits(expected),
                                "{} {name} {summation} {isa} {shape:?} entry {entry}",
                                T::NAME
                            );
                            entries += 1;
                        }
                    }
                }
            }
        }
        entries
    }
    println!("entries compared: {}", check::<f16>() + check::<bf16>() + check::<f32>() + check::<f64>());
}

/// Products large enough for threads: the same bits on 1, 2, 3 and 7 of them, whether rows or columns are shared out.
#[test]
fn threads_change_no_bit() {
    fn check<T: Stored>() {
        for (index, (rows, inner, columns)) in
            [(1, 1100, 2000), (1, 3000, 700), (9, 500, 650), (64, 130, 333), (150, 200, 190)]
                .into_iter()
                .enumerate()
        {
            let shape = Shape { rows, inner, columns };
            let a = numbers::<T>(7000 + index as u64, rows * inner, -1);
            let b = numbers::<T>(8000 + index as u64, inner * columns, 1);
            let arith = Native::<T>::new(Isa::available().pop().unwrap());
            for summation in [Summation::Recursive, Summation::Interleaved, Summation::Wide] {
                for (name, product) in products::<Native<T>>() {
                    let on = |threads: usize| {
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                        let mut out = vec![T::default(); rows * columns];
                        pool.install(|| product(&arith, summation, &a, &b, &mut out, shape));
                        out.iter().map(|x| bits(x.value())).collect::<Vec<u64>>()
                    };
                    let one = on(1);
                    for threads in [2, 3, 7] {
                        assert!(
                            one == on(threads),
                            "{} {name} {summation} {shape:?} {threads} threads",
                            T::NAME
                        );
                    }
                }
            }
        }
    }
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}

/// The hardware's dot product takes subnormal operands and results for zeros, and keeps what other sums lose or lose what they keep.
#[test]
fn the_bf16_dot_flushes_and_pairs() {
    let sum = |a: &[f64], b: &[f64]| {
        let round = |x: &[f64]| x.iter().map(|&x| bf16::round_from(x)).collect::<Vec<bf16>>();
        let shape = Shape { rows: 1, inner: a.len(), columns: 1 };
        let results: Vec<f64> = Isa::available()
            .into_iter()
            .map(|isa| {
                let mut out = [bf16::ZERO];
                Native::new(isa).times(Summation::Bf16Dot, &round(a), &round(b), &mut out, shape);
                out[0].value()
            })
            .collect();
        assert!(results.iter().all(|x| bits(*x) == bits(results[0])), "{results:?}");
        results[0]
    };
    let two = |e: i32| f64::powi(2.0, e);
    assert_eq!(sum(&[1e-40], &[1.0]), 0.0, "a subnormal operand");
    assert_eq!(sum(&[two(-70)], &[two(-70)]), 0.0, "a subnormal product");
    assert_eq!(sum(&[two(-63)], &[two(-63)]), two(-126));
    // 2^-126 - 1.5 · 2^-151 is 2^-126 in f32, but below it with 24 bits and any exponent: flushed, as x86 decides after rounding.
    assert_eq!(sum(&[-1.5 * two(-75), two(-63)], &[two(-76), two(-63)]), 0.0);
    assert_eq!(sum(&[-two(-75), two(-63)], &[two(-76), two(-63)]), two(-126));
    // The second product of a pair comes first: 2^24 + 1 - 2^24 loses the 1, and 2^24 - 2^24 + 1 does not.
    assert_eq!(sum(&[1.0, two(24), -two(24), 0.0], &[1.0; 4]), 0.0);
    assert_eq!(sum(&[-two(24), two(24), 0.0, 1.0], &[1.0; 4]), 1.0);
}

#[test]
#[should_panic(expected = "the summation `bf16-dot` is not defined for f16")]
fn the_bf16_dot_is_one_of_bf16_numbers() {
    let one = Shape { rows: 1, inner: 1, columns: 1 };
    let mut out = [f16::ZERO];
    Native::<f16>::new(Isa::PORTABLE).times(Summation::Bf16Dot, &[f16::ONE], &[f16::ONE], &mut out, one);
}

/// The exact sum of products, with unlimited precision.
fn exact_entry(terms: impl Iterator<Item = (f64, f64)>) -> (FBig, FBig) {
    let exact = |x: f64| FBig::try_from(x).unwrap().with_precision(0).value();
    terms.fold((exact(0.0), exact(0.0)), |(sum, sizes), (a, b)| {
        let product = exact(a) * exact(b);
        (sum + &product, sizes + exact(a.abs()) * exact(b.abs()))
    })
}

#[test]
fn errors_stay_within_the_published_bounds() {
    fn check<T: Stored>() {
        let exact = |x: f64| FBig::try_from(x).unwrap().with_precision(0).value();
        let format = T::FORMAT;
        for inner in [1, 2, 3, 10, 100, 200] {
            for scale in [0, format.emin() / 2 - 1] {
                let shape = Shape { rows: 2, inner, columns: 16 };
                let a = numbers::<T>(3000 + inner as u64, 2 * inner, scale);
                let b = numbers::<T>(4000 + inner as u64, 16 * inner, scale);
                for summation in Summation::of(format) {
                    let mut out = vec![T::default(); 32];
                    Native::<T>::new(Isa::PORTABLE).times(summation, &a, &b, &mut out, shape);
                    let factor = summation.bound(inner, format.unit_roundoff(), wide_unit(format));
                    if factor.is_infinite() {
                        continue;
                    }
                    let underflow = exact(summation.underflow(inner, format));
                    for (entry, got) in out.iter().enumerate() {
                        let (i, j) = (entry / 16, entry % 16);
                        let terms = (0..inner).map(|k| (a[i * inner + k].value(), b[k * 16 + j].value()));
                        let (sum, sizes) = exact_entry(terms);
                        let error = exact(got.value()) - sum;
                        let error = if error < exact(0.0) { -error } else { error };
                        assert!(
                            error <= exact(factor) * sizes + &underflow,
                            "{} {summation} of {inner} terms around 2^{scale}: entry {entry} = {got:?}",
                            T::NAME
                        );
                    }
                }
            }
        }
    }
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}

#[test]
fn zeros_are_not_skipped() {
    let one = Shape { rows: 1, inner: 2, columns: 1 };
    for isa in Isa::available() {
        for summation in Summation::of(Format::F32) {
            let product = |a: [f32; 2], b: [f32; 2]| {
                let mut out = [0.0];
                Native::new(isa).times(summation, &a, &b, &mut out, one);
                out[0]
            };
            assert!(product([0.0, 1.0], [f32::INFINITY, 1.0]).is_nan(), "{isa} {summation}: 0 · inf");
            assert!(
                product([1.0, 1.0], [f32::INFINITY, f32::NEG_INFINITY]).is_nan(),
                "{isa} {summation}: inf - inf"
            );
            assert_eq!(product([1.0, 1.0], [f32::INFINITY, 1.0]), f32::INFINITY, "{isa} {summation}");
            assert_eq!(
                product([2.0, 0.0], [f32::MAX, 1.0]),
                f32::INFINITY,
                "{isa} {summation}: overflow is infinite, not NaN"
            );
        }
    }
}

#[test]
fn views_of_any_layout() {
    let w = Array2::from_shape_fn((3, 5), |(i, j)| (i * 5 + j) as f32 * 0.5 - 2.0);
    let g = Array1::from_vec(vec![1.0_f32, -2.0, 0.5]);
    let x = Array1::from_vec(vec![1.0_f32, 2.0, 3.0, -1.0, 0.25]);
    let arith = Native::<f32>::new(Isa::PORTABLE);
    let summation = Summation::Recursive;
    // These numbers are small integers and halves: every order gives the exact result.
    assert_eq!(backward_step(&arith, summation, w.view(), g.view()), w.t().dot(&g));
    assert_eq!(forward_step(&arith, summation, w.view(), x.view()), w.dot(&x));
    assert_eq!(forward_step(&arith, summation, w.t(), g.view()), w.t().dot(&g));
    assert_eq!(jacobian_product(&arith, summation, w.view(), w.t()), w.dot(&w.t()));
    let every_other = w.slice(ndarray::s![.., ..;2]);
    assert_eq!(backward_step(&arith, summation, every_other, g.view()), every_other.t().dot(&g));
}

#[test]
fn matrixmultiply_agrees_within_the_bound_of_any_order() {
    fn check<T: Stored + MatrixMultiply>() {
        let shape = Shape { rows: 5, inner: 40, columns: 33 };
        let a = numbers::<T>(1, 5 * 40, 0);
        let b = numbers::<T>(2, 40 * 33, 0);
        let (mut ours, mut theirs) = (vec![T::default(); 5 * 33], vec![T::default(); 5 * 33]);
        Native::<T>::new(Isa::PORTABLE).times(Summation::Recursive, &a, &b, &mut ours, shape);
        matrixmultiply_times(&a, &b, &mut theirs, shape);
        let factor = 2.0 * Summation::Recursive.bound(40, T::FORMAT.unit_roundoff(), 0.0);
        for (entry, (x, y)) in ours.iter().zip(&theirs).enumerate() {
            let sizes: f64 = (0..40)
                .map(|k| (a[entry / 33 * 40 + k].value() * b[k * 33 + entry % 33].value()).abs())
                .sum();
            assert!(
                (x.value() - y.value()).abs() <= factor * sizes,
                "{} entry {entry}: {x:?} {y:?}",
                T::NAME
            );
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
#[should_panic(expected = "lengths 3 and 4 -> 2 do not fit a product of 1 x 2 and 2 x 2")]
fn a_wrong_shape_panics_with_the_shapes() {
    let arith = Native::<f32>::new(Isa::PORTABLE);
    arith.times(
        Summation::Wide,
        &[0.0; 3],
        &[0.0; 4],
        &mut [0.0; 2],
        Shape { rows: 1, inner: 2, columns: 2 },
    );
}

/// One entry: the sum of `terms` products x · 1.
fn sum_of_equal<T: Stored>(summation: Summation, x: f64, terms: usize) -> f64 {
    let mut out = [T::default()];
    let shape = Shape { rows: 1, inner: terms, columns: 1 };
    let (a, b) = (vec![T::round_from(x); terms], vec![T::round_from(1.0); terms]);
    Native::<T>::new(Isa::PORTABLE).times(summation, &a, &b, &mut out, shape);
    out[0].value()
}

/// A recursive sum of ones stops at 2^p, where one is half an ulp and the tie goes to even: 2048 in f16, 256 in bf16. Pairwise and wide sums
/// are right.
#[test]
fn sums_in_the_format_stop_growing() {
    for (summation, f16_sum, bf16_sum) in [
        (Summation::Recursive, 2048.0, 256.0),
        (Summation::Fused, 2048.0, 256.0),
        (Summation::Interleaved, 4096.0, 4096.0),
        (Summation::Pairwise, 4096.0, 4096.0),
        (Summation::Compensated, 4096.0, 512.0),
        (Summation::Wide, 4096.0, 4096.0),
    ] {
        let got = (sum_of_equal::<f16>(summation, 1.0, 4096), sum_of_equal::<bf16>(summation, 1.0, 4096));
        assert_eq!(got, (f16_sum, bf16_sum), "{summation}");
    }
    // 0.1 is no number of these formats. A sum in f32 that is rounded to f16 now and then would give 1021 or 1022 in place of 1024.
    assert_eq!(sum_of_equal::<f16>(Summation::Recursive, 0.1, 10_000), 256.0);
    assert_eq!(sum_of_equal::<bf16>(Summation::Recursive, 0.1, 10_000), 32.0);
    assert!((sum_of_equal::<f32>(Summation::Recursive, 0.1, 10_000) - 999.903).abs() < 5e-4);
    assert_eq!(sum_of_equal::<f16>(Summation::Wide, 0.1, 10_240), 1024.0);
}

/// Each entry of an emulated product draws its random bits from its own stream: equal sums round differently, and the same way every time.
#[test]
fn stochastic_entries_have_streams_of_their_own() {
    let rules = Rules { rounding: Rounding::Stochastic, ..Rules::default() };
    let arith = Emulated::new(Format::BF16, rules, 3);
    let shape = Shape { rows: 8, inner: 2, columns: 8 };
    let tie = f64::powi(2.0, -8);
    let a: Vec<f64> = [1.0, tie].repeat(8);
    let product = || {
        let mut out = [0.0; 64];
        arith.times(Summation::Recursive, &a, &[1.0; 16], &mut out, shape);
        out
    };
    let up = product().iter().filter(|x| **x > 1.0).count();
    assert!((16..48).contains(&up) && product() == product(), "{up} of 64 rounded up");
}

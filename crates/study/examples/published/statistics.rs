//! Items measured on random networks, by the rows of the studies.

use crate::Item;
use gradchain_arith::Isa;
use gradchain_study::{Activation, Axis, Cell, Init, Measure, Remedy, Row, Upstream, Value, measure, plain};
use std::f64::consts::LN_2;

pub(crate) fn items(seed: u64) -> Vec<Item> {
    let mut items = mean_field_rates(seed);
    items.extend(exact_laws(seed));
    items.extend(lyapunov_exponents(seed));
    items.extend(orthogonal(seed));
    items.extend(edge(seed));
    items.extend(dead_networks(seed));
    items.extend(remedies(seed));
    items.push(random_walk(seed));
    items.extend(initialisations(seed));
    items.extend(precision(seed));
    items
}

/// The rows of a cell.
fn rows(cell: &Cell) -> Vec<Row> {
    let isa = Isa::choose().expect("an instruction set of this machine");
    measure(cell, isa).expect("a cell of drawn networks")
}

fn number(row: &Row, name: &str) -> f64 {
    match row.get(name) {
        Some(Value::Number(x)) => *x,
        Some(Value::Integer(x)) => *x as f64,
        _ => f64::NAN,
    }
}

/// The command that measures `cell`: every axis that its study varies is set.
fn command(cell: &Cell) -> String {
    const NETWORK: [Axis; 7] = [
        Axis::Activation,
        Axis::Init,
        Axis::WeightScale,
        Axis::BiasScale,
        Axis::Width,
        Axis::Depth,
        Axis::Format,
    ];
    let (study, axes): (&str, Vec<Axis>) = if cell.measure == Measure::Growth {
        ("growth", NETWORK.into_iter().chain([Axis::Batch, Axis::Remedy]).collect())
    } else if cell.measure == Measure::Spectrum {
        ("spectrum", NETWORK.to_vec())
    } else {
        ("scalar", vec![Axis::Gain, Axis::Width, Axis::Depth, Axis::Format, Axis::Upstream])
    };
    let sets: Vec<String> =
        axes.into_iter().map(|axis| format!(" --set {}={}", axis.name(), plain(&cell.value(axis)))).collect();
    format!("`gradchain run {study}{} --draws {} --seed {}`", sets.concat(), cell.draws, cell.seed)
}

fn growth(activation: Activation, init: Init, width: usize, depth: usize, draws: u64, seed: u64) -> Cell {
    let format = "f64".parse().expect("a format");
    Cell { measure: Measure::Growth, activation, init, width, depth, draws, seed, format, ..Cell::default() }
}

/// What the layers after the first `depth` of `cell` add to the mean of ln‖g‖², each, with its standard error, and the commands: the difference of `cell` and the same
/// networks cut to `depth` layers, so that what the inputs do to the first layers does not count.
fn past_the_inputs(cell: &Cell, depth: usize) -> (f64, f64, String) {
    let short = Cell { depth, ..cell.clone() };
    let (long_row, short_row) = (&rows(cell)[0], &rows(&short)[0]);
    let layers = (cell.depth - depth) as f64;
    let growth = number(long_row, "mean_ln_norm2") - number(short_row, "mean_ln_norm2");
    let error = libm::hypot(number(long_row, "mean_stderr"), number(short_row, "mean_stderr"));
    (
        growth / layers,
        error / layers,
        format!("{} less the same with depth={depth}, per layer", command(cell)),
    )
}

/// P5: `(1/2) log2 χ_1` of the layers from the 21st to the 50th, with four standard errors of the law, `√(v/(n N))` for the square root of each layer, and
/// `(v/2 + 2)/n` for finite width.
fn mean_field_rates(seed: u64) -> Vec<Item> {
    [
        (Activation::Tanh, 1.5, 0.3, 0.042_699_589_97, 4.621),
        (Activation::Tanh, 1.0, 0.3, -0.257_020_616_3, 2.832),
        (Activation::Sigmoid, 1.0, 0.0, -2.082_821_316, 2.068),
    ]
    .map(|(activation, weight_scale, bias_scale, expected, v)| {
        let (n, depth, first, draws) = (512_usize, 50_usize, 20_usize, 20_u64);
        let cell =
            Cell { weight_scale, bias_scale, ..growth(activation, Init::Gaussian, n, depth, draws, seed) };
        let (rate, error, by) = past_the_inputs(&cell, first);
        let width = n as f64;
        let scatter =
            4.0 * (v * (depth + first) as f64 / (width * draws as f64)).sqrt() / (depth - first) as f64;
        Item {
            id: "P5",
            what: format!("rate of {activation}, σ_w {weight_scale}, σ_b {bias_scale}, log2 per layer"),
            expected,
            measured: rate / (2.0 * LN_2),
            standard_error: Some(error / (2.0 * LN_2)),
            tolerance: (scatter + (v / 2.0 + 2.0) / width) / (2.0 * LN_2),
            by,
        }
    })
    .into()
}

/// Mean and variance of ln‖g‖² over the draws of `cell`, four standard errors of the law.
fn law(id: &'static str, name: &str, cell: &Cell, mean: f64, variance: f64) -> [Item; 2] {
    let row = &rows(cell)[0];
    let complete = number(row, "complete");
    let item = |what: &str, column: &str, error: &str, expected: f64, tolerance: f64| Item {
        id,
        what: format!("{what} of ln‖g‖², {name}"),
        expected,
        measured: number(row, column),
        standard_error: Some(number(row, error)),
        tolerance,
        by: command(cell),
    };
    [
        item("mean", "mean_ln_norm2", "mean_stderr", mean, 4.0 * (variance / complete).sqrt()),
        item(
            "variance",
            "var_ln_norm2",
            "var_stderr",
            variance,
            4.0 * variance * (2.0 / (complete - 1.0)).sqrt(),
        ),
    ]
}

/// P6 (Newman 1986; Hanin and Nica 2018, at finite width).
fn exact_laws(seed: u64) -> Vec<Item> {
    [
        (Activation::Identity, Init::Gaussian, 16, 50, -3.190_003_19, 6.656_850_73),
        (Activation::Identity, Init::Gaussian, 64, 100, -1.570_637_23, 3.174_336_65),
        (Activation::Relu, Init::He, 32, 50, -4.127_010_40, 8.874_889_36),
        (Activation::Relu, Init::He, 64, 100, -4.010_859_88, 8.299_735_06),
    ]
    .into_iter()
    .flat_map(|(activation, init, width, depth, mean, variance)| {
        let cell = growth(activation, init, width, depth, 1000, seed);
        law("P6", &format!("{activation} {width} x {depth}"), &cell, mean, variance)
    })
    .collect()
}

/// P7 (Newman 1986): the exponents of Gaussian matrices of width 4, over 20 000 layers.
fn lyapunov_exponents(seed: u64) -> Vec<Item> {
    let format = "f64".parse().expect("a format");
    let cell = Cell {
        measure: Measure::Spectrum,
        width: 4,
        depth: 20_000,
        draws: 1,
        seed,
        format,
        ..Cell::default()
    };
    let expected =
        [(-0.135_181_42, 0.0028), (-0.328_328_6, 0.0034), (-0.635_181_42, 0.0045), (-1.328_328_6, 0.0079)];
    let item = |(row, (expected, error)): (&Row, (f64, f64))| Item {
        id: "P7",
        what: format!("Lyapunov exponent {}, width 4", number(row, "index")),
        expected,
        measured: number(row, "lyapunov"),
        standard_error: Some(number(row, "lyapunov_stderr")),
        tolerance: 4.0 * error,
        by: command(&cell),
    };
    rows(&cell).iter().zip(expected).map(item).collect()
}

/// P8: linear orthogonal chains keep the norm to `10 u √(n d)`; with ReLU, ln Beta(K/2, (n - K)/2) + ln 2 a layer.
fn orthogonal(seed: u64) -> Vec<Item> {
    let (n, d) = (64, 50);
    let cell = growth(Activation::Identity, Init::Orthogonal, n, d, 8, seed);
    let row = &rows(&cell)[0];
    let unit = f64::EPSILON / 2.0;
    let kept = Item {
        id: "P8",
        what: "mean of ln‖g‖², linear orthogonal 64 x 50".to_owned(),
        expected: 0.0,
        measured: number(row, "mean_ln_norm2"),
        standard_error: None,
        tolerance: 10.0 * unit * ((n * d) as f64).sqrt(),
        by: command(&cell),
    };
    let depth = 20;
    let relu = growth(Activation::Relu, Init::Orthogonal, n, depth, 300, seed);
    let relu = Cell { weight_scale: std::f64::consts::SQRT_2, ..relu };
    let layers = depth as f64;
    let mut items = vec![kept];
    items.extend(law(
        "P8",
        "ReLU orthogonal 64 x 20",
        &relu,
        -0.024_402_226_6 * layers,
        0.051_253_984 * layers,
    ));
    items
}

/// P9, over 12 networks, since the largest singular value of one scatters by some 8 %: the edge of the squared singular values (L + 1)^(L + 1) / L^L, from which finite width takes 15 % at most, and the second moment of
/// Fuss and Catalan, 6, at n = 300 exactly `E Tr(J Jᵀ)² / n`.
fn edge(seed: u64) -> Vec<Item> {
    let format = "f64".parse().expect("a format");
    let cell =
        Cell { measure: Measure::Spectrum, width: 300, depth: 5, draws: 12, seed, format, ..Cell::default() };
    let row = &rows(&cell)[0];
    let edge = 14.929_92;
    let error = number(row, "second_moment_stderr");
    vec![
        Item {
            id: "P9",
            what: "largest squared singular value, linear 300 x 5: 85 to 105 % of the edge 14.9299"
                .to_owned(),
            expected: 0.95 * edge,
            measured: number(row, "largest_square"),
            standard_error: None,
            tolerance: 0.10 * edge,
            by: command(&cell),
        },
        Item {
            id: "P9",
            what: "second moment of the squared singular values, linear 300 x 5".to_owned(),
            expected: second_moment(300.0, 5),
            measured: number(row, "second_moment"),
            standard_error: Some(error),
            tolerance: 4.0 * error,
            by: command(&cell),
        },
    ]
}

/// `E Tr(J Jᵀ)² / n` of d Gaussian layers by the published recursion: a = n, b = n², then
/// `a' = ((n(n - 1) + 2n) a + n b) / n²`, `b' = (2n a + (n + n(n - 1)) b) / n²`.
fn second_moment(n: f64, depth: usize) -> f64 {
    let (mut a, mut b) = (n, n * n);
    for _ in 0..depth {
        (a, b) = (((n * (n - 1.0) + 2.0 * n) * a + n * b) / (n * n), (2.0 * n * a + n * n * b) / (n * n));
    }
    a / n
}

/// P10: 1 - (1 - 2^-n)^d.
fn dead_networks(seed: u64) -> Vec<Item> {
    [(4, 20, 4000_u64, 0.724_94), (8, 50, 4000, 0.177_737)]
        .map(|(width, depth, draws, p)| {
            let cell = growth(Activation::Relu, Init::He, width, depth, draws, seed);
            let scatter = (p * (1.0 - p) / draws as f64).sqrt();
            Item {
                id: "P10",
                what: format!("dead networks, ReLU {width} x {depth}"),
                expected: p,
                measured: number(&rows(&cell)[0], "dead_fraction"),
                standard_error: Some(scatter),
                tolerance: 4.0 * scatter,
                by: command(&cell),
            }
        })
        .into()
}

/// ‖g‖² at the bottom over that at the top, a network each: cells of one draw.
fn squared_norms(cell: &Cell, count: u64) -> Vec<f64> {
    let of_seed = |k: u64| {
        let seed = cell.seed.wrapping_mul(1_000_003).wrapping_add(k);
        libm::exp(number(&rows(&Cell { seed, draws: 1, ..cell.clone() })[0], "mean_ln_norm2"))
    };
    (0..count).map(of_seed).collect()
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// P11 and P12: residual layers, and layers that normalise.
fn remedies(seed: u64) -> Vec<Item> {
    let residual = Cell {
        remedy: Remedy::Residual(0.125),
        ..growth(Activation::Identity, Init::Gaussian, 64, 64, 1, seed)
    };
    let (mean, error) = mean_and_error(&squared_norms(&residual, 400));
    let by = format!("{}, and 399 more seeds", command(&residual));
    let mut items = vec![Item {
        id: "P11",
        what: "mean ‖g‖², linear residual layers, α² = 1/64, d = 64".to_owned(),
        expected: 2.697_345,
        measured: mean,
        standard_error: Some(error),
        tolerance: 4.0 * error,
        by,
    }];
    for (activation, remedy, batch, width, depth, first, draws, name, expected) in [
        (Activation::Tanh, Remedy::RmsNorm, 1, 256, 40, 8, 40, "RMS normalisation, tanh", 1.177_807_232),
        (
            Activation::Identity,
            Remedy::BatchNorm,
            6,
            128,
            10,
            2,
            40,
            "batch normalisation of 6, linear",
            4.0 / 3.0,
        ),
    ] {
        let cell = Cell { remedy, batch, ..growth(activation, Init::Gaussian, width, depth, draws, seed) };
        let (logarithm, error, by) = past_the_inputs(&cell, first);
        let factor = libm::exp(logarithm);
        items.push(Item {
            id: "P12",
            what: format!("factor on ‖g‖² per layer, {name}"),
            expected,
            measured: factor,
            standard_error: Some(factor * error),
            tolerance: 0.05 * expected,
            by,
        });
    }
    items
}

/// P13: 100 roundings of random products: 0.4247 u √d (Hull and Swenson 1966; Brent 1973).
fn random_walk(seed: u64) -> Item {
    let cell = Cell {
        gain: "normal:1,0.5".parse().ok(),
        width: 1,
        depth: 100,
        draws: 20_000,
        format: "f32".parse().expect("a format"),
        upstream: Upstream::Normal,
        seed,
        ..Cell::default()
    };
    let row = &rows(&cell)[0];
    let unit = cell.format.unit_roundoff() * 10.0;
    Item {
        id: "P13",
        what: "rms drift of 20000 chains of 100 random gains in f32, in u √d".to_owned(),
        expected: 0.424_661,
        measured: number(row, "drift") / unit,
        standard_error: Some(number(row, "stderr") / unit),
        tolerance: 0.02 * 0.424_661,
        by: command(&cell),
    }
}

/// P15: Xavier weights lose √2 a layer in ReLU networks; and how a deviation of 0.01 shrinks He's network from conv10 to conv2.
fn initialisations(seed: u64) -> Vec<Item> {
    let mut items = Vec::new();
    for (depth, expected) in [(22, -11.0), (30, -15.0)] {
        let cell = growth(Activation::Relu, Init::Xavier, 128, depth, 1, seed);
        let (mean, error) = mean_and_error(&squared_norms(&cell, 300));
        let error = error / mean / (2.0 * LN_2);
        items.push(Item {
            id: "P15",
            what: format!("log2 of the rms gradient, Xavier with ReLU, {depth} layers"),
            expected,
            measured: libm::log2(mean) / 2.0,
            standard_error: Some(error),
            tolerance: 4.0 * error,
            by: format!("{}, and 299 more seeds", command(&cell)),
        });
    }
    // Layers with He's deviation for 64, 128, 256 and 512 channels of 3 x 3: factors 5.9, 4.2², 2.9² and 2.1⁴.
    let (mut log, mut variance) = (0.0, 0.0);
    for (channels, depth) in [(64.0, 1), (128.0, 2), (256.0, 2), (512.0, 4)] {
        let weight_scale = 0.01 / f64::sqrt(2.0 / (9.0 * channels));
        let cell = Cell { weight_scale, ..growth(Activation::Relu, Init::He, 64, depth, 1, seed) };
        let (mean, error) = mean_and_error(&squared_norms(&cell, 400));
        log += libm::log2(mean) / 2.0;
        variance += (error / mean / (2.0 * LN_2)) * (error / mean / (2.0 * LN_2));
    }
    items.push(Item {
        id: "P15",
        what: "log2 of the rms gradient, deviation 0.01, conv10 to conv2 (1.7e4)".to_owned(),
        expected: -libm::log2(16_728.8),
        measured: log,
        standard_error: Some(variance.sqrt()),
        tolerance: 4.0 * variance.sqrt(),
        by: "`gradchain run growth` with `init=he`, `weight_scale` 0.01 over He's deviation, four groups of layers".to_owned(),
    });
    items
}

/// P18: the rate on the same weights, before the first number leaves the normal range.
fn precision(seed: u64) -> Vec<Item> {
    let of = |format: &str| {
        let cell = growth(Activation::Tanh, Init::Gaussian, 64, 16, 4, seed);
        let format = format.parse().expect("a format");
        let cell = Cell { weight_scale: 1.5, bias_scale: 0.3, format, ..cell };
        (number(&rows(&cell)[0], "mean_ln_norm2") / (2.0 * LN_2 * 16.0), cell)
    };
    let (expected, _) = of("f64");
    ["f16", "bf16", "f32"]
        .map(|name| {
            let (measured, cell) = of(name);
            Item {
                id: "P18",
                what: format!("rate in {name}, expected: in f64, tanh 64 x 16"),
                expected,
                measured,
                standard_error: None,
                tolerance: 5.0 * cell.format.unit_roundoff() / 4.0,
                by: command(&cell),
            }
        })
        .into()
}

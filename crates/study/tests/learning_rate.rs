//! The measure `learning-rate`: windows beside theory, beside direct trainings, and beside each other.

use gradchain_arith::Isa;
use gradchain_study::{
    Activation, Axis, Cell, Init, Master, Measure, Momentum, Origin, Row, Study, Value, measure,
};

/// A small tanh network on digits.
fn digits() -> Cell {
    Cell {
        measure: Measure::LearningRate,
        activation: Activation::Tanh,
        init: Init::Xavier,
        width: 8,
        depth: 2,
        batch: 16,
        steps: 40,
        ..Cell::default()
    }
}

/// A linear chain of width 1 whose layers multiply by `gain`.
fn chain(gain: &str, depth: usize) -> Cell {
    Cell {
        measure: Measure::LearningRate,
        gain: Some(gain.parse().unwrap()),
        width: 1,
        depth,
        steps: 600,
        ..Cell::default()
    }
}

fn row(cell: &Cell) -> Row {
    measure(cell, Isa::choose().unwrap()).unwrap().remove(0)
}

fn at(cell: &Cell, log2: f64) -> Row {
    row(&Cell { learning_rate: Some(libm::exp2(log2)), ..cell.clone() })
}

fn number(row: &Row, name: &str) -> f64 {
    match row.get(name) {
        Some(Value::Number(x)) => *x,
        Some(Value::Integer(x)) => *x as f64,
        other => panic!("{name}: {other:?}"),
    }
}

fn text<'a>(row: &'a Row, name: &str) -> &'a str {
    match row.get(name) {
        Some(Value::Text(text)) => text,
        other => panic!("{name}: {other:?}"),
    }
}

/// P14: at 0.98 of 2/λ a linear chain converges and at 1.02 it does not, where λ is L s^(2 - 2/L): the published thresholds of five chains. One layer diverges
/// beyond, more of them oscillate. The row has the threshold, and the window ends at it, to the 1/32 of an octave that it is searched to.
#[test]
fn the_window_of_a_linear_chain_ends_at_its_threshold() {
    let thresholds =
        [("1", 1, 2.0), ("1", 2, 1.0), ("1", 5, 0.4), ("1", 10, 0.2), ("1.14869835499704", 5, 0.1319507911)];
    for (gain, depth, threshold) in thresholds {
        for format in ["f32", "f64"] {
            let cell = Cell { format: format.parse().unwrap(), ..chain(gain, depth) };
            let below = row(&Cell { learning_rate: Some(0.98 * threshold), ..cell.clone() });
            assert_eq!((text(&below, "outcome"), number(&below, "usable")), ("converges", 1.0));
            assert!((number(&below, "theory_threshold") / threshold - 1.0).abs() < 1e-9);
            let above = row(&Cell { learning_rate: Some(1.02 * threshold), ..cell.clone() });
            let beyond = if depth == 1 { "diverges" } else { "oscillates" };
            assert_eq!((text(&above, "outcome"), number(&above, "usable")), (beyond, 0.0));
            let ratio = libm::log2(number(&row(&cell), "window_high") / threshold);
            println!("{gain} {depth} {format}: 2^{ratio:.4}");
            assert!(
                (-1.0 / 32.0 - 1e-9..1e-3).contains(&ratio),
                "gain {gain}, depth {depth}, {format}: 2^{ratio}"
            );
        }
    }
}

/// The thresholds of momentum, of a quadratic as of a deep chain: (2 + 2b)/λ for the heavy ball, that over 1 + 2b for Nesterov's (Cohen et al. 2021).
#[test]
fn momentum_moves_the_end_as_theory_says() {
    for depth in [1, 5] {
        let curvature = depth as f64;
        for (optimiser, threshold) in
            [(Momentum::HeavyBall(0.5), 3.0 / curvature), (Momentum::Nesterov(0.5), 1.5 / curvature)]
        {
            let cell = Cell { optimiser, format: "f64".parse().unwrap(), ..chain("1", depth) };
            let row = row(&cell);
            assert!((number(&row, "theory_threshold") / threshold - 1.0).abs() < 1e-12);
            let ratio = libm::log2(number(&row, "window_high") / threshold);
            assert!((-1.0 / 32.0 - 1e-9..1e-2).contains(&ratio), "{optimiser}, depth {depth}: 2^{ratio}");
        }
    }
}

/// The ends of a window are what training does there: it works at each end and, a 32nd of an octave further, does not, with the outcome that the row names.
/// In f32, and in f16 with a heavy ball that overflows.
#[test]
fn ends_are_what_direct_trainings_do() {
    let heavy = Cell {
        activation: Activation::Relu,
        init: Init::He,
        format: "f16".parse().unwrap(),
        optimiser: Momentum::HeavyBall(0.9),
        width: 16,
        depth: 3,
        ..digits()
    };
    for cell in [digits(), heavy] {
        let window = row(&cell);
        for (end, outside, outcome) in
            [("window_low", -1.0 / 32.0, "outcome_below"), ("window_high", 1.0 / 32.0, "outcome_above")]
        {
            let log2 = libm::log2(number(&window, end));
            assert_eq!(number(&at(&cell, log2), "usable"), 1.0, "{end}");
            let beyond = at(&cell, log2 + outside);
            assert_eq!(number(&beyond, "usable"), 0.0, "{end}");
            assert_eq!(text(&beyond, "outcome"), text(&window, outcome));
            if end == "window_high" {
                assert_eq!(beyond.get("overflowed_at"), window.get("overflowed_at"));
            } else {
                assert_eq!(beyond.get("lost_updates"), window.get("lost_updates"));
            }
        }
        let octaves = libm::log2(number(&window, "window_high") / number(&window, "window_low"));
        assert!((octaves - number(&window, "window_octaves")).abs() < 1e-12);
        // The letters of the sweep, one by one.
        for (log2, letter) in (-20..=8).zip(text(&window, "sweep").chars()) {
            let direct = at(&cell, f64::from(log2));
            assert_eq!(
                text(&direct, "outcome").chars().next(),
                Some(letter.to_ascii_lowercase()),
                "2^{log2}"
            );
            assert_eq!(number(&direct, "usable") == 1.0, letter.is_ascii_uppercase(), "2^{log2}");
        }
        assert_eq!(text(&window, "sweep").len(), 29);
    }
}

/// What is no matter of precision is the same in f32 and f64: the ends agree to 1/16 of an octave.
#[test]
fn windows_of_f32_and_f64_agree() {
    let [single, double] =
        ["f32", "f64"].map(|format| row(&Cell { format: format.parse().unwrap(), draws: 2, ..digits() }));
    for end in ["window_low", "window_high"] {
        let apart = libm::log2(number(&single, end) / number(&double, end)).abs();
        assert!(apart <= 1.0 / 16.0, "{end}: {apart} octaves apart");
    }
    assert_eq!((number(&single, "usable"), number(&double, "usable")), (2.0, 2.0));
}

/// bf16 loses updates, so that small learning rates stall which work in f32. Weights in f32 give the low end back, and so do updates that round stochastically:
/// on digits, and next to the minimum of a chain, where f32 reaches eight octaves further down.
#[test]
fn masters_and_stochastic_updates_give_the_low_end_back() {
    // Around the minimum of a chain stochastic updates stay noisy: they give six octaves back, not all ten.
    for (cell, narrower, noise) in [(Cell { steps: 480, ..digits() }, 0.25, 0.0), (chain("1", 2), 8.0, 4.0)] {
        let low = |format: &str, master: Master| {
            let row = row(&Cell { format: format.parse().unwrap(), master, ..cell.clone() });
            let (log2, lost) = (libm::log2(number(&row, "window_low")), number(&row, "lost_updates"));
            println!("{format} {master:?}: 2^{log2}, {lost} lost");
            (log2, lost)
        };
        let ((single, lost_single), (narrow, lost)) = (low("f32", Master::None), low("bf16", Master::None));
        assert!(narrow - single > narrower && lost > 0.5 && lost_single < 0.01);
        for (master, noise) in [(Master::F32, 0.0), (Master::Stochastic, noise)] {
            let (given_back, _) = low("bf16", master);
            assert!(given_back - single <= noise + 3.0 / 32.0, "{master:?}: 2^{given_back}");
        }
    }
}

/// Weights of 64 times He's scale overflow f16 on the way forward, at any learning rate: a clipping changes nothing, a normalising layer does.
#[test]
fn what_overflows_forward_is_not_clipped() {
    let cell = |remedy: &str| Cell {
        activation: Activation::Relu,
        init: Init::He,
        weight_scale: 64.0,
        depth: 4,
        width: 16,
        format: "f16".parse().unwrap(),
        remedy: remedy.parse().unwrap(),
        ..digits()
    };
    for remedy in ["none", "clip-norm:1"] {
        let window = row(&cell(remedy));
        assert_eq!((text(&window, "sweep"), number(&window, "usable")), ("d".repeat(29).as_str(), 0.0));
        assert_eq!((window.get("window_low"), number(&window, "window_octaves")), (Some(&Value::Null), 0.0));
        let direct = at(&cell(remedy), -10.0);
        assert_eq!((number(&direct, "overflowed_at"), number(&direct, "diverged_at")), (0.0, 0.0));
    }
    let normalised = at(&cell("rmsnorm"), -10.0);
    assert_eq!(
        (text(&normalised, "outcome"), normalised.get("overflowed_at")),
        ("stalls", Some(&Value::Null))
    );
}

/// The same bytes on every instruction set and any number of threads.
#[test]
fn rows_depend_on_the_cell_alone() {
    let stochastic = Master::Stochastic;
    let cell = Cell { draws: 3, steps: 10, master: stochastic, format: "bf16".parse().unwrap(), ..digits() };
    let expected = measure(&cell, Isa::choose().unwrap()).unwrap();
    for isa in Isa::available() {
        assert_eq!(measure(&cell, isa).unwrap(), expected, "{isa}");
    }
}

/// What cannot be trained is refused before anything runs, and the message says what can.
#[test]
fn cells_that_contradict_themselves_are_refused() {
    const DIGITS: &str = "activation = 'tanh'";
    const CHAIN: &str = "gain = 1\nwidth = 1\nbatch = 1\ndepth = 2";
    for (axes, more, message) in [
        (DIGITS, "batch = 513", "batch: `513`: there are 512 digits; allowed: 1 to 512"),
        (DIGITS, "depth = 0", "depth: `0`: a network without layers is not trained"),
        (
            DIGITS,
            "format = 'f64'\nmaster = 'f32'",
            "master: `f32` is coarser than f64; allowed with it: none",
        ),
        (DIGITS, "upstream = 'ones'", "upstream: it has no meaning for the measure `learning-rate`"),
        (DIGITS, "steps = 0", "`0` is not allowed; allowed: integers from 1 to 1000000"),
        (DIGITS, "optimiser = 'adam'", "unknown optimiser `adam`; known: sgd, momentum:b, nesterov:b"),
        (DIGITS, "learning_rate = -1", "`-1` is not allowed; allowed: finite numbers of at least 0, or none"),
        (DIGITS, "batch = 1\nremedy = 'batchnorm'", "batchnorm takes its statistics over the batch"),
        ("gain = -1\nwidth = 1\nbatch = 1", "", "gain: `-1` is no gain that the measure"),
        (
            "gain = 1\nwidth = 2\nbatch = 1",
            "",
            "width: `2`: the measure `learning-rate` trains a gain as a linear chain",
        ),
        (CHAIN, "activation = 'relu'", "activation: `relu`: the measure"),
        (CHAIN, "bias_scale = 1", "bias_scale: `1`: the measure"),
        (CHAIN, "remedy = 'rmsnorm'", "remedy: `rmsnorm`: the measure"),
    ] {
        let study = format!("question = 'q'\nmeasure = 'learning-rate'\n[axes]\n{axes}\n{more}\n");
        let planned = Study::parse("s", "s.toml", &study).and_then(|study| {
            study.plan(&|path: &str, _: Origin| Err(format!("no file is read here: {path}")))
        });
        let error = planned.expect_err(&study).to_string();
        assert!(error.contains(message), "{error}\nis not\n{message}");
    }
    // Other measures do not train.
    for axis in ["learning_rate=1", "optimiser=nesterov:0.9", "master=f32", "steps=7"] {
        let mut study = Study::parse("s", "s.toml", "question = 'q'\nmeasure = 'chain'\n").unwrap();
        study.set(axis).unwrap();
        let error = study.plan(&|_: &str, _: Origin| unreachable!()).unwrap_err().to_string();
        assert!(error.contains("the measure `chain` trains nothing: allowed: "), "{error}");
    }
    assert_eq!(Axis::named("optimiser"), Ok(Axis::Optimiser));
}

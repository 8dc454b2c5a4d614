//! Textbook formulas of normalisation beside the layers of this crate: where squares overflow or vanish, and where a variance cancels.
//!
//! `cargo run -p gradchain-gradients --example normalisation`

use gradchain_arith::{Arithmetic, Isa, Native, Real, f16};
use gradchain_gradients::layers::{Affine, NormLayer, forward, statistics};
use gradchain_gradients::{GradientError, Measured};

/// The first numbers of x̂.
fn normalised<T: Measured>(layer: NormLayer, eps: f64, x: &[T]) -> Result<Vec<f64>, GradientError> {
    let arith = Native::<T>::new(Isa::PORTABLE);
    let statistics = statistics(&arith, layer, eps, x.len(), x)?;
    let mut y = vec![T::default(); x.len()];
    forward(&arith, &statistics, x, Affine::NONE, &mut y)?;
    Ok(first(&y))
}

fn first<T: Real>(y: &[T]) -> Vec<f64> {
    y.iter().take(3).map(|y| y.value()).collect()
}

/// `x / sqrt(mean(x²) + ε)`, every operation in the format.
fn textbook_rms<T: Real>(eps: f64, x: &[T]) -> Vec<f64> {
    let arith = Native::<T>::new(Isa::PORTABLE);
    let squares = x.iter().fold(arith.round(0.0), |sum, &x| arith.add(sum, arith.mul(x, x)));
    let mean = arith.add(arith.div(squares, arith.round(x.len() as f64)), arith.round(eps));
    let root = arith.round(mean.value().sqrt());
    x.iter().take(3).map(|&x| arith.div(x, root).value()).collect()
}

/// LayerNorm with the variance `E x² - (E x)²` (one pass), or `E (x - E x)²` (two), every operation in f32.
fn textbook_layer(one_pass: bool, eps: f32, x: &[f32]) -> Vec<f64> {
    let n = x.len() as f32;
    let mean = x.iter().sum::<f32>() / n;
    let variance = if one_pass {
        x.iter().map(|x| x * x).sum::<f32>() / n - mean * mean
    } else {
        x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / n
    };
    let root = (variance + eps).sqrt();
    x.iter().take(3).map(|x| f64::from((x - mean) / root)).collect()
}

fn show(what: &str, textbook: &[f64], ours: &[f64]) {
    let list = |numbers: &[f64]| numbers.iter().map(|x| format!("{x:12.7}")).collect::<String>();
    println!("{what}\n    textbook {}\n    here     {}", list(textbook), list(ours));
}

fn main() -> Result<(), GradientError> {
    let wave = |i: u32| f64::from(i * 37 % 64) / 32.0 - 1.0;
    for scale in [100.0, 6e4, 1e-4] {
        let x: Vec<f16> = (0..64).map(|i| f16::round_from(wave(i) * scale)).collect();
        let what = format!("RMSNorm in f16, 64 numbers up to {scale:e}, eps 0");
        show(&what, &textbook_rms(0.0, &x), &normalised(NormLayer::RmsNorm, 0.0, &x)?);
    }
    let x: Vec<f32> = (0..64).map(|i| (wave(i) * 1e30) as f32).collect();
    show(
        "RMSNorm in f32, numbers up to 1e30",
        &textbook_rms(0.0, &x),
        &normalised(NormLayer::RmsNorm, 0.0, &x)?,
    );
    for mean in [10.0, 1000.0, 1e5] {
        let x: Vec<f32> = (0..64).map(|i| (mean + wave(i)) as f32).collect();
        let ours = normalised(NormLayer::LayerNorm, 0.0, &x)?;
        show(&format!("LayerNorm in f32, mean {mean}, one pass"), &textbook_layer(true, 0.0, &x), &ours);
        show(&format!("LayerNorm in f32, mean {mean}, two passes"), &textbook_layer(false, 0.0, &x), &ours);
    }
    let x = [0.1_f32; 63];
    let ours = normalised(NormLayer::LayerNorm, 1e-12, &x)?;
    show("LayerNorm in f32, equal numbers, eps 1e-12, two passes", &textbook_layer(false, 1e-12, &x), &ours);
    Ok(())
}

//! Loss scales at work: ours and torch's over a stream of gradients and in a storm of NaNs, and what scale a gradient needs in each format.
//!
//! `cargo run -p gradchain-gradients --example loss_scale`

use gradchain_arith::{Arithmetic, Format, Isa, Native, f16};
use gradchain_gradients::{
    AtScale, Decision, Demand, DynamicScale, GradientError, Histogram, NARROW_FORMATS, ScaleRule,
    TorchScaler, advise, at_scale,
};

/// The gradient of a step: 32 binades wide, shrinking by a binade every 50 steps as training goes on, and 2^12 times as large in every 97th step.
fn gradient(step: u32) -> Vec<f64> {
    let burst = if step % 97 == 96 { 12.0 } else { 0.0 };
    let size = burst - f64::from(step) / 50.0;
    (0..256).map(|i| libm::exp2(size - f64::from(i) / 8.0) * if i % 2 == 0 { 1.0 } else { -1.0 }).collect()
}

fn main() -> Result<(), GradientError> {
    let arith = Native::<f16>::new(Isa::PORTABLE);
    let rule = ScaleRule { interval: 40, hysteresis: 2, ..ScaleRule::default() };
    let (mut ours, mut torch) = (DynamicScale::new(rule)?, TorchScaler::new(rule.init, 2.0, 0.5, 40)?);
    println!(
        "a gradient that shrinks, with bursts, stored in f16; doubling after 40 steps, hysteresis 2 and none"
    );
    println!("  step  log2 scale   torch's  skipped  torch's  % zero unscaled  % zero scaled");
    let mut skipped = [0, 0];
    for step in 0..=480 {
        let wide = gradient(step);
        let stored = |scale: f64| wide.iter().map(|&g| arith.round(g * scale)).collect::<Vec<f16>>();
        let zeros = |scale: f64| {
            let zeros = stored(scale).iter().filter(|&&g| arith.value(g) == 0.0).count();
            100.0 * zeros as f64 / wide.len() as f64
        };
        if step % 60 == 0 {
            let [ours_log2, torch_log2] = [ours.scale(), f64::from(torch.scale())].map(libm::log2);
            println!(
                "{step:>6} {ours_log2:>11} {torch_log2:>9} {:>8} {:>8} {:>16.1} {:>14.1}",
                skipped[0],
                skipped[1],
                zeros(1.0),
                zeros(ours.scale())
            );
        }
        skipped[0] += u32::from(ours.update_from(&arith, &[&stored(ours.scale())]) == Decision::Skip);
        let mut widened: Vec<f32> =
            stored(f64::from(torch.scale())).iter().map(|&g| arith.value(g) as f32).collect();
        let found = torch.unscale(&mut widened)?;
        skipped[1] += u32::from(torch.step(found) == Decision::Skip);
        torch.update(&[found])?;
    }

    let (mut ours, mut torch) =
        (DynamicScale::new(ScaleRule::default())?, TorchScaler::new(65_536.0, 2.0, 0.5, 2000)?);
    println!("\nNaN in every step from 1 to 180, then a gradient of 1");
    println!("  step  log2 scale  skipped at the floor   torch's log2 scale  torch's unscaled gradient");
    for step in 1..=181 {
        let mut one = [if step == 181 { torch.scale() } else { f32::NAN }];
        let found = torch.unscale(&mut one)?;
        if step % 30 == 0 || step == 181 {
            let [ours_log2, torch_log2] = [ours.scale(), f64::from(torch.scale())].map(libm::log2);
            let what = if found { "step skipped".to_owned() } else { format!("{}, step taken", one[0]) };
            println!("{step:>6} {ours_log2:>11} {:>21} {torch_log2:>20}  {what}", ours.skipped_at_floor());
        }
        ours.update(found);
        torch.update(&[found])?;
    }

    let wide: Vec<f64> = (0..4096).map(|i| libm::exp2(-24.0 + 6.0 * libm::sin(f64::from(i)))).collect();
    let histogram = Histogram::of(&Native::<f64>::new(Isa::PORTABLE), &[&wide]);
    println!("\na gradient with magnitudes from 2^-30 to 2^-18, of which those below 2^-27 do not matter");
    for format in NARROW_FORMATS {
        println!("  {}", advise(&histogram, format, Demand::default())?);
    }
    println!("of which all matter, with 11 bits (f16) or as many as there are");
    for format in NARROW_FORMATS {
        let bits = format.precision();
        println!(
            "  {}",
            advise(&histogram, format, Demand { bits, irrelevant_below: 0.0, ..Demand::default() })?
        );
    }
    println!("\nin f16\n{}", AtScale::HEADER);
    for log2_scale in [0, 3, 7, 11, 16, 24, 32, 34, 36] {
        println!("{}", at_scale(&histogram, Format::F16, log2_scale));
    }
    Ok(())
}

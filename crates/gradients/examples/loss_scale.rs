//! A loss scale at work: ours and torch's in a storm of overflows, and what scale a gradient needs in each format.
//!
//! `cargo run --example loss_scale -p gradchain-gradients`

use gradchain_arith::{Format, Isa, Native};
use gradchain_gradients::{DynamicScale, GradientError, Histogram, ScaleRule, TorchScaler, advise, at_scale};

fn main() -> Result<(), GradientError> {
    let rule = ScaleRule { interval: 20, ..ScaleRule::default() };
    let (mut ours, mut torch) = (DynamicScale::new(rule)?, TorchScaler::new(65_536.0, 2.0, 0.5, 20));
    println!("log2 of the scale when every step from 41 to 240 overflows:");
    println!("{:>6} {:>6} {:>6}", "step", "ours", "torch");
    for step in 0..=300 {
        if step % 30 == 0 {
            let [ours, torch] = [ours.scale(), f64::from(torch.scale())].map(libm::log2);
            println!("{step:>6} {ours:>6} {torch:>6}");
        }
        let overflow = (41..=240).contains(&step);
        ours.update(overflow);
        torch.update(&[overflow]);
    }

    // The gradient of a deep sigmoid network: magnitudes around 2^-28, spread over many binades.
    let gradient: Vec<f64> = (0..4096)
        .map(|i| libm::exp2(-28.0 + 4.0 * libm::sin(f64::from(i))) * if i % 2 == 0 { 1.0 } else { -1.0 })
        .collect();
    let histogram = Histogram::of(&Native::<f64>::new(Isa::PORTABLE), &[&gradient]);
    println!("\na gradient with magnitudes from 2^-32 to 2^-24:");
    for format in [Format::F16, Format::BF16, Format::E5M2, Format::E4M3] {
        println!("  {}", advise(&histogram, format, 0.0, 0.0)?);
    }
    println!("\nin f16 by scale: % zero, % subnormal");
    for log2_scale in (0..=24).step_by(4) {
        let at = at_scale(&histogram, Format::F16, log2_scale);
        println!("  2^{log2_scale:<3} {:>6.1} {:>6.1}", 100.0 * at.flushed, 100.0 * at.subnormal);
    }
    Ok(())
}

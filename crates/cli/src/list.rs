//! `gradchain list`, `info` and `schema`: what there is.

use crate::Verdict;
use crate::table::STYLE;
use anyhow::Result;
use comfy_table::{CellAlignment, Table};
use gradchain_arith::{Format, ISA_NAMES, ISA_VARIABLE, Isa, Overflow, Rounding, Subnormals, Summation};
use gradchain_study::{
    Activation, Association, BUILTIN, COLUMNS, Init, Measure, Path, SCHEMA_VERSION, Study, Upstream,
};
use std::io::{self, Write};

pub(crate) fn list() -> Result<Verdict> {
    let mut out = String::from("studies\n");
    for (name, text) in BUILTIN {
        let question = Study::parse(name, name, text)?.question;
        out += &format!("  {name:<12} {}\n", question.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let mut section =
        |heading: &str, names: Vec<&str>| out += &format!("{heading:<14} {}\n", names.join(", "));
    section("measures", Measure::NAMED.map(|(name, _)| name).to_vec());
    section("formats", first(&Format::NAMED, &["custom:p,emin,emax"]));
    section("summations", Summation::ALL.map(Summation::name).to_vec());
    section("associations", Association::ALL.map(Association::name).to_vec());
    section("paths", Path::ALL.map(Path::name).to_vec());
    section("roundings", first(&Rounding::NAMED, &[]));
    section("subnormals", first(&Subnormals::NAMED, &[]));
    section("overflows", first(&Overflow::NAMED, &[]));
    section("activations", Activation::ALL.map(Activation::name).to_vec());
    section("inits", first(&Init::NAMED, &["file:PATH"]));
    section("gains", vec!["none", "a number", "sqrt2", "1/sqrt2", "alternating:a,b", "normal:mean,sd"]);
    section("widths", vec!["none", "alternating:a,b", "bottleneck:a,b"]);
    section("remedies", gradchain_study::Remedy::NAMES.to_vec());
    section("upstreams", first(&Upstream::NAMED, &[]));
    section(
        "kernels",
        vec!["times", "times_transposed", "transposed_times", "matrixmultiply (f32, f64; benches only)"],
    );
    section("instructions", Isa::available().into_iter().map(Isa::name).collect());
    io::stdout().write_all(out.as_bytes())?;
    Ok(Verdict::Passed)
}

fn first<'a, T>(named: &[(&'a str, T)], more: &[&'a str]) -> Vec<&'a str> {
    named.iter().map(|(name, _)| *name).chain(more.iter().copied()).collect()
}

pub(crate) fn info() -> Result<Verdict> {
    let chosen = Isa::choose()?;
    let available: Vec<&str> = Isa::available().into_iter().map(Isa::name).collect();
    let lacking: Vec<&str> = ISA_NAMES.into_iter().filter(|name| !available.contains(name)).collect();
    let mut out =
        format!("gradchain {}, rows of schema version {SCHEMA_VERSION}\n", env!("CARGO_PKG_VERSION"));
    out += &format!("target {} {}\n", std::env::consts::ARCH, std::env::consts::OS);
    if let Some(model) = cpu_model() {
        out += &format!("cpu {model}\n");
    }
    out += &format!("threads {}\n", std::thread::available_parallelism().map_or(1, usize::from));
    let lacking = if lacking.is_empty() { "none".to_owned() } else { lacking.join(", ") };
    out += &format!(
        "instructions {chosen} in use; available {}; lacking {lacking}; {ISA_VARIABLE} forces one\n",
        available.join(", ")
    );
    out += match chosen.has_bf16_dot() {
        true => "bf16-dot     by the instruction VDPBF16PS\n\n",
        false => "bf16-dot     in steps: no instruction for it in use, the same bits\n\n",
    };
    out += &formats();
    io::stdout().write_all(out.as_bytes())?;
    Ok(Verdict::Passed)
}

fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn formats() -> String {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header([
        "format",
        "p",
        "emin",
        "emax",
        "max",
        "min normal",
        "min subnormal",
        "unit roundoff",
        "infinities",
    ]);
    for (name, format) in Format::NAMED {
        table.add_row([
            name.to_owned(),
            format.precision().to_string(),
            format.emin().to_string(),
            format.emax().to_string(),
            format!("{:e}", format.max()),
            format!("2^{}", format.emin()),
            format!("2^{}", format.min_exponent()),
            format!("2^-{}", format.precision()),
            if format.has_infinities() { "yes" } else { "no" }.to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt() + "\n"
}

pub(crate) fn schema() -> Result<Verdict> {
    use serde_json::json;
    let columns: Vec<_> = COLUMNS
        .iter()
        .map(|c| json!({"name": c.name, "kind": c.kind.name(), "unit": c.unit, "meaning": c.meaning}))
        .collect();
    let schema = json!({
        "schema_version": SCHEMA_VERSION,
        "row": {
            "schema_version": "version of the lines",
            "study": "name of the study",
            "cell": "id of the cell: a hash of its parameters, draws, seed and measure",
            "provenance": "version: of gradchain; seed: of the study",
            "timing": "with --timing only. seconds: wall time of the whole cell; isa: instruction set",
        },
        "values": {
            "absent": "not measured",
            "null": "did not happen, or has no meaning here",
            "\"inf\", \"-inf\", \"nan\"": "the numbers that JSON lacks",
            "{\"mantissa\", \"exp2\"}": "mantissa · 2^exp2, for magnitudes beyond f64; in CSV mantissa*2^exp2",
        },
        "columns": columns,
    });
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string_pretty(&schema)?)?;
    Ok(Verdict::Passed)
}

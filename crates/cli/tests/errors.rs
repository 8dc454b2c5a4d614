//! Bad input: exit code 2, one clear message, no panic.

mod common;

use common::{SMALL, directory, gradchain, run, said, study};
use std::fs;

#[test]
fn unknown_names_list_the_known_ones() {
    for (args, expected) in [
        (
            &["run", "nope"][..],
            "unknown study `nope`; known: scalar, drift, layers, growth, spectrum, remedies, association, derivative, saturation, learning-rate, or a file that ends in .toml",
        ),
        (&["run", "drift", "--set", "deep=1"], "unknown axis `deep`; known: format, summation"),
        (
            &["run", "drift", "--set", "learning_rate=1"],
            "`1` is for the measure `learning-rate`; the measure `chain` trains nothing",
        ),
        (&["run", "drift", "--set", "format=f15"], "--set: format: unknown format `f15`; known: f16, bf16"),
        (&["run", "drift", "--set", "summation=kahan"], "unknown summation `kahan`; known: recursive"),
        (
            &["run", "drift", "--set", "weight_scale=NaN"],
            "weight_scale: `NaN` is not allowed; allowed: finite numbers",
        ),
        (
            &["run", "drift", "--set", "depth=1..8"],
            "bad range `1..8`: the step is missing; allowed: first..last:xFACTOR",
        ),
        (&["run", "drift", "--set", "depth=9..1:x2"], "the last value lies below the first"),
        (&["run", "drift", "--set", "depth"], "`depth` is no assignment; allowed: axis=v1,v2"),
        (&["run", "drift", "--set", "width=0"], "allowed: integers from 1 to 65536"),
        (&["run", "drift", "--set", "gain=2", "--set", "init=he"], "gain: `2` gives the weights"),
        (&["run", "drift", "--set", "width=1..60000:+1"], "allowed: at most 1000000"),
        (
            &["run", "drift", "--set", "init=file:/nowhere.safetensors"],
            "--set: init: /nowhere.safetensors: No such file",
        ),
        (
            &["run", "association", "--set", "association=left"],
            "--set: association: unknown association `left`; known: vector-first, matrix-first, balanced, optimal",
        ),
        (&["run", "association", "--set", "activation=relu"], "--set: activation: `relu` is not linear"),
        (
            &["run", "association", "--set", "depth=2000"],
            "--set: depth: the optimal order of 2000 layers is not searched for",
        ),
        (
            &["run", "drift", "--set", "association=optimal"],
            "`optimal` is an order for the measure `association`",
        ),
        (
            &["run", "drift", "--set", "widths=bottleneck:0,1"],
            "allowed: none, alternating:a,b, bottleneck:a,b",
        ),
        (
            &["run", "drift", "--set", "width=65536"],
            "--set: width: width 65536, depth 1, batch 1, draws 4: a cell needs about 72.1 GiB of memory; allowed: at most 16 GiB",
        ),
        (
            &["run", "derivative", "--set", "activation=gelu", "--set", "path=output"],
            "--set: path: `output` is no way to the derivative of gelu; allowed: fused, multiplied, native, slope-one, slope-half",
        ),
        (
            &["run", "derivative", "--set", "depth=3"],
            "--set: depth: it has no meaning for the measure `derivative`",
        ),
        (&["run", "drift", "--draws", "0"], "0 is not in 1..=10000000"),
        (&["run", "drift", "--shard", "3/2"], "`3/2` is no shard; allowed: K/N with 1 <= K <= N"),
        (&["run", "drift", "--threads", "0"], "0 is not in 1..=1024"),
        (&["run", "drift", "--format", "xml"], "invalid value 'xml'"),
        (&["run", "drift", "--resume"], "--out"),
        (&["run", "drift", "drift"], "two studies are called `drift`"),
        (&["run", "nowhere.toml"], "nowhere.toml: No such file"),
        (&["check", "--reports", "/nowhere"], "/nowhere: No such file"),
        (&["fly"], "unrecognized subcommand 'fly'"),
    ] {
        let said = run(args);
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.stderr);
        assert!(said.stderr.contains(expected), "{args:?}: {}", said.stderr);
        assert_eq!(said.stdout, "", "{args:?}");
    }
}

#[test]
fn malformed_studies_name_file_line_and_column() {
    let directory = directory("malformed");
    for (text, expected) in [
        ("question = ", ":1:12: "),
        ("question = 'x'\nmeasure = 'chain'\n[axes\n", ":3:6: "),
        (
            "question = 'x'\nmeasure = 'chain'\n[axes]\nweight_scale = nan\n",
            ":4:16: axes.weight_scale: `nan` is not allowed",
        ),
        ("question = 'x'\nmeasure = 'chain'\ncolour = 1\n", ":3:1: unknown key `colour`; known: question"),
        ("question = 'x'\nmeasure = 'chain'\nquestion = 'y'\n", ":3:1: "),
        ("", ": question: this key is missing"),
    ] {
        let file = study(&directory, "bad.toml", text);
        let said = run(&["run", &file]);
        assert_eq!(said.code, Some(2), "{text:?}");
        assert!(said.stderr.contains(&format!("bad.toml{expected}")), "{text:?}: {}", said.stderr);
    }
    fs::write(directory.join("bad.toml"), [0xff, 0xfe]).unwrap();
    let said = run(&["run", directory.join("bad.toml").to_str().unwrap()]);
    assert!(said.code == Some(2) && said.stderr.contains("bad.toml"), "{}", said.stderr);
}

#[test]
fn networks_that_are_truncated_or_lie() {
    let directory = directory("networks");
    let header = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let of_tensor =
        |name: &str| !matches!(name, "empty" | "short" | "huge-header" | "no-json" | "no-tensors");
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("short", vec![1, 2, 3]),
        ("huge-header", vec![0xff; 16]),
        ("no-json", header("{x", 0)),
        ("no-tensors", header("{}", 0)),
        ("truncated", header(r#"{"0.weight":{"dtype":"F64","shape":[1,1],"data_offsets":[0,8]}}"#, 4)),
        ("lying-shape", header(r#"{"0.weight":{"dtype":"F64","shape":[9,9],"data_offsets":[0,8]}}"#, 8)),
        (
            "overflowing-shape",
            header(r#"{"0.weight":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#, 8),
        ),
        ("bias-alone", header(r#"{"0.bias":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#, 8)),
    ] {
        let file = directory.join(name);
        fs::write(&file, bytes).unwrap();
        let said = run(&["run", "drift", "--set", &format!("init=file:{}", file.display())]);
        assert_eq!(said.code, Some(2), "{name}: {}", said.stderr);
        assert!(said.stderr.contains(&format!("init: {}: ", file.display())), "{name}: {}", said.stderr);
        assert!(!of_tensor(name) || said.stderr.contains("tensor `0."), "{name}: {}", said.stderr);
    }
}

#[test]
fn a_network_file_is_found_beside_its_study() {
    let directory = directory("beside");
    let header = r#"{"0.weight":{"dtype":"F64","shape":[1,1],"data_offsets":[0,8]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(1.5f64.to_le_bytes());
    fs::write(directory.join("net.safetensors"), bytes).unwrap();
    let text = "question = 'x'\nmeasure = 'chain'\n[axes]\ninit = 'file:net.safetensors'\n";
    let said = run(&["run", &study(&directory, "net.toml", text), "--format", "jsonl"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(said.stdout.lines().count(), 1);
    assert!(
        said.stdout.contains(r#""init":"file:net.safetensors","weight_scale":null"#)
            && said.stdout.contains(r#""width":null,"depth":null"#)
    );
    let said = run(&["run", &study(&directory, "sized.toml", &(text.to_owned() + "width = [1, 2]\n"))]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("sized.toml:5:9: width: `1,2` has no effect"), "{}", said.stderr);
}

#[test]
fn a_bad_instruction_set_is_named() {
    let file = study(&directory("isa"), "small.toml", SMALL);
    for args in [&["run", &file][..], &["info"], &["check"]] {
        let said = said(gradchain().args(args).env("GRADCHAIN_ISA", "sse9"));
        assert_eq!(said.code, Some(2), "{args:?}");
        assert!(
            said.stderr.contains("instruction set `sse9` (GRADCHAIN_ISA)")
                && said.stderr.contains("portable")
        );
    }
}

//! The drift gate: every verdict, every flipped bit, and what is wrong with the input.

use crate::common::{judge_study, judged, plan, row, small};
use gradchain_gate::{Effect, Finding, Verdict, sha256};

fn verdicts(findings: &[Finding]) -> Vec<(&str, Verdict)> {
    findings.iter().map(|finding| (finding.id.as_str(), finding.verdict)).collect()
}

/// The one finding that is not the same.
fn the_one(findings: &[Finding]) -> &Finding {
    let differing: Vec<&Finding> = findings.iter().filter(|f| f.verdict != Verdict::Same).collect();
    assert_eq!(differing.len(), 1, "{differing:?}");
    differing[0]
}

/// One cell whose row changes from `base` to `head`.
fn change(base: &str, head: &str) -> Finding {
    let (base, head) =
        (row("aaaa", &format!("\"draws\":1,{base}")), row("aaaa", &format!("\"draws\":1,{head}")));
    let findings = judged(&["aaaa".to_owned()], &base, &head);
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings[0].clone()
}

#[test]
fn equal_bytes_are_the_same() {
    let text = small();
    let findings = judged(&plan(&text), &text, &text);
    assert_eq!(
        verdicts(&findings),
        [("aaaa", Verdict::Same), ("bbbb", Verdict::Same), ("cccc", Verdict::Same)]
    );
    assert!(findings.iter().all(|f| f.message.is_empty() && f.figures.is_empty() && f.level.is_some()));
    assert_eq!((findings[1].label.as_str(), findings[1].place.as_ref().unwrap().line), ("depth 2", Some(3)));
}

#[test]
fn the_gravest_change_of_a_cell_counts() {
    for (base, head, verdict, message) in [
        ("\"drift\":0.5", "\"drift\":0.25", Verdict::Better, "drift fell from 0.5 to 0.25 (-50.0 %)"),
        ("\"drift\":0.5", "\"drift\":0.5000000000000001", Verdict::Worse, "drift rose from 0.5 to 0.50000"),
        // A mixed change is worse, and what is worse is told first.
        (
            "\"drift\":0.5,\"cosine\":0.5",
            "\"drift\":0.25,\"cosine\":0.25",
            Verdict::Worse,
            "cosine fell from 0.5 to 0.25 (-50.0 %); 1 other figure differs",
        ),
        // A value without a direction does not decide beside one that has one, and decides alone.
        ("\"log2_norm\":1,\"drift\":0.5", "\"log2_norm\":2,\"drift\":0.25", Verdict::Better, "drift fell"),
        ("\"log2_norm\":1", "\"log2_norm\":2", Verdict::Changed, "log2_norm changed from 1 to 2"),
        ("\"drift\":0.5", "\"drift\":0.5,\"value\":1", Verdict::Changed, "value changed from absent to 1"),
        ("\"drift\":0.5,\"value\":1", "\"drift\":0.5", Verdict::Changed, "value changed from 1 to absent"),
        // What is finite comes before all.
        (
            "\"drift\":0.5,\"value\":1",
            "\"drift\":0.75,\"value\":\"inf\"",
            Verdict::NonFinite,
            "value changed from 1 to inf",
        ),
        ("\"drift\":\"nan\"", "\"drift\":0.5", Verdict::NonFinite, "drift changed from nan to 0.5"),
        ("\"infinite\":0", "\"infinite\":2", Verdict::NonFinite, "infinite changed from 0 to 2"),
        (
            "\"drift\":0.50",
            "\"drift\":0.5",
            Verdict::Changed,
            "line 1: equal values in other bytes, column drift",
        ),
    ] {
        let finding = change(base, head);
        assert_eq!(finding.verdict, verdict, "{base} -> {head}");
        assert!(finding.message.starts_with(message), "{}", finding.message);
    }
    let finding = change("\"drift\":0.5,\"bits_left\":1", "\"drift\":0.75,\"bits_left\":0.4");
    let figures: Vec<_> =
        finding.figures.iter().map(|f| (f.name.as_str(), f.unit.as_str(), f.effect)).collect();
    assert_eq!(figures, [("drift", "1", Effect::Worse), ("bits_left", "bits", Effect::Worse)]);
}

#[test]
fn a_limit_holds_whatever_is_committed() {
    let finding = change("\"drift\":0.75,\"theory_bound\":0.5", "\"drift\":0.75,\"theory_bound\":0.5");
    assert_eq!(finding.verdict, Verdict::OverBudget);
    assert!(finding.message.starts_with("drift = 0.75 is above theory_bound = 0.5"), "{}", finding.message);
    let finding = change("\"drift\":0.8,\"theory_bound\":0.5", "\"drift\":0.75,\"theory_bound\":0.5");
    assert_eq!(
        (finding.verdict, finding.figures.len()),
        (Verdict::OverBudget, 1),
        "better does not excuse it"
    );
}

#[test]
fn cells_that_appear_vanish_or_were_not_measured() {
    let text = small();
    let (ids, lines): (_, Vec<&str>) = (plan(&text), text.split_inclusive('\n').collect());
    let without_b = [&lines[..2], &lines[4..]].concat().concat();
    let one = |committed: &str, measured: &str| {
        let findings = judged(&ids, committed, measured);
        let finding = the_one(&findings);
        (finding.id.clone(), finding.verdict, finding.message.clone())
    };
    let b = |verdict, message: &str| ("bbbb".to_owned(), verdict, message.to_owned());
    assert_eq!(one(&without_b, &text), b(Verdict::New, "it has no committed rows"));
    assert_eq!(one(&text, &without_b), b(Verdict::NotMeasured, "cell bbbb was not measured"));
    let half = [&lines[..3], &lines[4..]].concat().concat();
    assert_eq!(one(&half, &text), b(Verdict::New, "1 of its rows are committed, and 2 were measured"));
    assert_eq!(one(&text, &half), b(Verdict::Missing, "2 of its rows are committed, and 1 were measured"));
    let findings = judged(&ids[..2], &text, &lines[..4].concat());
    assert_eq!(the_one(&findings).verdict, Verdict::Missing);
    assert_eq!(
        the_one(&findings).message,
        "it is committed (line 5), but the study has no such cell any more"
    );
    // Nothing measured, nothing committed, nothing planned.
    assert!(judged(&ids, &text, "").iter().all(|f| f.verdict == Verdict::NotMeasured));
    assert!(
        judged(&ids, "", &text)
            .iter()
            .all(|f| f.message == "reports/s/rows.jsonl has no rows yet: bless them")
    );
    assert!(judge_study("s", &ids, None, text.as_bytes(), None).iter().all(|f| f.verdict == Verdict::New));
    assert!(judged(&[], "", "").is_empty());
    // An interrupted run leaves a torn last line.
    let torn = &text[..text.len() - 40];
    let finding = judged(&ids, &text, torn);
    assert_eq!(the_one(&finding).verdict, Verdict::Missing, "one of two rows is there");
    let torn = &text[..lines[..4].concat().len() + 40];
    assert_eq!(one(&text, torn).2, "cell cccc was not measured: measured ends inside line 5");
}

#[test]
fn rows_that_are_renamed_doubled_or_moved() {
    let text = small();
    let (ids, lines): (_, Vec<&str>) = (plan(&text), text.split_inclusive('\n').collect());
    let findings = judged(&ids, &text.replace("bbbb", "bxbb"), &text);
    assert_eq!(
        verdicts(&findings)[1..],
        [("bbbb", Verdict::New), ("cccc", Verdict::Same), ("bxbb", Verdict::Missing)]
    );
    assert_eq!(
        findings[1].message,
        "it has no committed rows: in its place, line 3, stands by column cell bxbb, which is not in the study"
    );
    let double = text.clone() + lines[3];
    assert_eq!(the_one(&judged(&ids, &double, &text)).message, "its row stands twice, in lines 4 and 7");
    assert_eq!(the_one(&judged(&ids, &double, &text)).verdict, Verdict::Malformed);
    let moved = [lines[2], lines[3], lines[0], lines[1], lines[4], lines[5]].concat();
    let findings = judged(&ids, &moved, &text);
    assert!(the_one(&findings).message.contains("line 1: the rows stand in another order than the cells"));
    // Measured rows come from shards: cells in any order are the same measurement.
    assert!(judged(&ids, &text, &moved).iter().all(|finding| finding.verdict == Verdict::Same));
    let findings = judged(&ids, &(text.clone() + "\n"), &text);
    assert_eq!(the_one(&findings).verdict, Verdict::Malformed);
    let findings = judged(&ids, text.trim_end(), &text);
    assert_eq!(the_one(&findings).message, "line 6: equal values in other bytes, column provenance");
}

#[test]
fn input_that_allows_no_verdict() {
    let text = small();
    let ids = plan(&text);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (committed, measured, reason) in [
        (text.as_str(), text.replace("\"s\"", "\"t\""), "measured: line 1 is a row of study t, not of s"),
        (
            &text.replace("\"s\"", "\"t\""),
            text.clone(),
            "these are rows of study t, not of s: the wrong baseline",
        ),
        (
            &text,
            text.replace("cccc", "dddd"),
            "measured: line 5 is a row of cell dddd, which is not in the study",
        ),
        (&text, text.replacen("\"depth\":1", "\"depth\":", 1), "measured: line 1 is no row: no JSON"),
        (
            &text,
            text.replace("\"schema_version\":1", "\"schema_version\":2"),
            "measured: line 1 is no row: schema_version is 2; this program reads 1",
        ),
        (
            &text.replace("\"schema_version\":1", "\"schema_version\":7"),
            text.clone(),
            "no line is a row of this version: line 1: schema_version is 7; this program reads 1",
        ),
        (
            &text,
            text.replacen(
                "\"provenance\"",
                "\"timing\":{\"seconds\":1.5,\"isa\":\"avx2\"},\"provenance\"",
                1,
            ),
            "measured: line 1 holds a time",
        ),
        (&text, text.clone() + lines[1], "measured: lines 2 and 7 are the same row of cell aaaa"),
    ] {
        let findings = judged(&ids, committed, &measured);
        assert_eq!(verdicts(&findings), [("rows", Verdict::Unusable)], "{reason}");
        assert!(findings[0].message.contains(reason), "{}", findings[0].message);
    }
}

#[test]
fn rows_that_were_not_blessed() {
    let text = small();
    let ids = plan(&text);
    let judged = |hash: &str| judge_study("s", &ids, Some(text.as_bytes()), text.as_bytes(), Some(hash));
    assert!(judged(&sha256(text.as_bytes())).iter().all(|finding| finding.verdict == Verdict::Same));
    let findings = judged(&sha256(b"other"));
    assert_eq!((the_one(&findings).verdict, the_one(&findings).id.as_str()), (Verdict::Changed, "rows"));
    assert!(the_one(&findings).message.contains("is not what was last blessed"));
    // The published digest of the text "abc" (FIPS 180-4, example 1).
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/// Every bit of the committed file: the gate does not pass, and one finding names the cell of the row together with the column of the bit. Keys, colons
/// and the comma behind a value count with the column, braces and the line feed with the column beside them.
#[test]
fn every_flipped_bit_is_found_with_its_cell_and_column() {
    let text: String = small().split_inclusive('\n').take(4).collect();
    let ids = plan(&text);
    let names = [
        "schema_version",
        "study",
        "cell",
        "format",
        "depth",
        "draws",
        "layer",
        "log2_norm",
        "drift",
        "bits_left",
        "first_infinite",
        "infinite",
        "provenance",
    ];
    let (mut row, mut column) = (0, "");
    for at in 0..text.len() {
        let field = |name: &&&str| text[at..].starts_with(&format!("\"{name}\":"));
        match text.as_bytes()[at] {
            b'{' if at == 0 || text.as_bytes()[at - 1] == b'\n' => column = "schema_version",
            _ => column = names.iter().find(field).unwrap_or(&column),
        }
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let findings = judge_study("s", &ids, Some(&bytes), text.as_bytes(), None);
            let named = |finding: &&Finding| {
                finding.verdict != Verdict::Same
                    && finding.id == ids[row / 2]
                    && (finding.figures.iter().any(|figure| figure.name.split('.').next() == Some(column))
                        // A line feed that is gone takes the row behind it along.
                        || finding.message.contains(&format!("column {column}")))
            };
            assert!(
                findings.iter().any(|f| named(&f)),
                "byte {at} bit {bit}, {} {column}: {findings:?}",
                ids[row / 2]
            );
        }
        if text.as_bytes()[at] == b'\n' {
            row += 1;
        }
    }
}

/// Every bit of one row of each study, as committed.
#[test]
fn every_flipped_bit_of_real_rows_is_found() {
    let mut flips = 0;
    for line in include_str!("data/one_of_each.jsonl").split_inclusive('\n') {
        let study = line.split("\"study\":\"").nth(1).unwrap().split('"').next().unwrap();
        let ids = plan(line);
        let same = judge_study(study, &ids, Some(line.as_bytes()), line.as_bytes(), None);
        assert_eq!(verdicts(&same), [(ids[0].as_str(), Verdict::Same)]);
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut bytes = line.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let findings = judge_study(study, &ids, Some(&bytes), line.as_bytes(), None);
                assert!(findings.iter().any(|f| f.verdict != Verdict::Same), "{study} byte {at} bit {bit}");
                flips += 1;
            }
        }
    }
    println!("{flips} flipped bits, all found");
}

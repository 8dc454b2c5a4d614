//! Blessings: what is refused, and what the line says.

use crate::common::{plan, row, small};
use gradchain_gate::{Blessing, Budget, DriftInput, Refusal, Run, Verdict, sha256};

fn bless(
    committed: Option<&str>,
    measured: &str,
    blessed: Option<&str>,
    reason: &str,
) -> Result<Blessing, Refusal> {
    let planned = plan(&small());
    let input = DriftInput {
        study: "s",
        planned: &planned,
        committed: committed.map(str::as_bytes),
        committed_place: "rows.jsonl",
        measured: measured.as_bytes(),
        measured_place: "measured",
        blessed,
        schema_version: 1,
        unit: &|_| String::new(),
        budget: &Budget::builtin(),
    };
    Blessing::of(&input, reason, &Run { version: "0.1.0".to_owned(), ..Run::default() })
}

#[test]
fn a_blessing_says_what_changed_and_why() {
    let (old, new) = (small(), small().replacen("\"drift\":0.1,", "\"drift\":0.2,", 1));
    assert_ne!(old, new);
    let blessing = bless(Some(&old), &new, None, "  a wider accumulator \n").unwrap();
    assert_eq!(blessing.reason, "a wider accumulator");
    assert_eq!(blessing.counts, [(Verdict::Same, 2), (Verdict::Worse, 1)]);
    assert_eq!(
        (blessing.before.as_deref(), blessing.blessed.as_str()),
        (Some(&*sha256(old.as_bytes())), &*sha256(new.as_bytes()))
    );
    let line = blessing.to_line();
    assert_eq!(
        line,
        format!(
            "{{\"schema_version\":1,\"reason\":\"a wider accumulator\",\"version\":\"0.1.0\",\"revision\":null,\"counts\":{{\"same\":2,\"worse\":1}},\"before\":\"{}\",\"blessed\":\"{}\"}}\n",
            sha256(old.as_bytes()),
            sha256(new.as_bytes())
        )
    );
    assert_eq!(
        Blessing::last(&("{}\n".to_owned() + &line)),
        Ok(Some(blessing.blessed)),
        "the last line counts"
    );
    assert_eq!(bless(None, &new, None, "first").unwrap().counts, [(Verdict::New, 3)]);
    // Rows of another version are replaced; rows that changed without a reason get one.
    let other = old.replace("\"schema_version\":1", "\"schema_version\":0");
    assert_eq!(bless(Some(&other), &new, None, "a new schema").unwrap().counts, [(Verdict::Unusable, 1)]);
    assert!(bless(Some(&old), &old, Some("not this hash"), "made by hand").is_ok());
}

#[test]
fn refusals() {
    let (old, new) = (small(), small().replacen("\"drift\":0.1,", "\"drift\":0.2,", 1));
    for reason in ["", " \n\t"] {
        assert_eq!(bless(Some(&old), &new, None, reason), Err(Refusal::EmptyReason));
    }
    assert_eq!(bless(Some(&old), &old, None, "why"), Err(Refusal::NothingChanged));
    assert_eq!(bless(Some(&old), &old, Some(&sha256(old.as_bytes())), "why"), Err(Refusal::NothingChanged));
    let over = small().replacen("\"drift\":0.1,", "\"theory_bound\":0.05,\"drift\":0.1,", 1);
    // With a baseline of another version too, for which the gate itself has no verdict.
    for committed in [&old, &over, &old.replace("\"schema_version\":1", "\"schema_version\":0")] {
        let refusal = bless(Some(committed), &over, None, "why").unwrap_err();
        assert!(matches!(refusal, Refusal::OverBudget { cells: 1, .. }), "{refusal:?}");
        assert!(
            refusal.to_string().contains("cell aaaa: drift = 0.1 is above theory_bound = 0.05"),
            "{refusal}"
        );
    }
    let part: String = new.split_inclusive('\n').take(4).collect();
    let refusal = bless(Some(&old), &part, None, "why").unwrap_err();
    assert_eq!(refusal.to_string(), "not everything was measured: cell cccc: cell cccc was not measured");
    let foreign = new.clone() + &row("dddd", "\"draws\":1");
    assert!(matches!(bless(Some(&old), &foreign, None, "why"), Err(Refusal::NotMeasured { .. })));
}

#[test]
fn the_file_of_blessings_is_read_with_care() {
    for (text, reason) in [
        ("{}", "line 1: the line is torn"),
        ("x\n", "line 1: no JSON"),
        ("{}\n{\"schema_version\":3}\n", "line 2: schema_version is 3; this program reads 1"),
        ("{\"schema_version\":1}\n", "line 1: `blessed` is missing"),
    ] {
        let message = Blessing::last(text).unwrap_err();
        assert!(message.starts_with(reason), "{message}");
    }
    assert_eq!(Blessing::last(""), Ok(None));
}

//! The committed rows of this repository: within every limit, and no flipped bit of them is missed.

use crate::common::{judge_study, plan};
use gradchain_gate::{Finding, Verdict};
use std::fs;
use std::path::Path;

/// Name and rows of every committed study.
fn studies() -> Vec<(String, String)> {
    let reports = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reports");
    let mut studies: Vec<(String, String)> = fs::read_dir(&reports)
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let rows = fs::read_to_string(entry.path().join("rows.jsonl")).ok()?;
            Some((entry.file_name().into_string().unwrap(), rows))
        })
        .collect();
    studies.sort();
    assert!(studies.len() >= 8, "the committed studies are not where they were");
    studies
}

#[test]
fn committed_rows_keep_every_limit() {
    for (study, rows) in studies() {
        let findings = judge_study(&study, &plan(&rows), Some(rows.as_bytes()), rows.as_bytes(), None);
        let differing: Vec<&Finding> = findings.iter().filter(|f| f.verdict != Verdict::Same).collect();
        assert!(differing.is_empty(), "{study}: {differing:?}");
    }
}

/// Flips at random places of every file, from a fixed seed: the whole file is judged, and the cell of the row is named. A bit of the line feed counts with
/// the row that it ends.
#[test]
fn flipped_bits_of_every_committed_file_are_found() {
    const FLIPS: usize = 10;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    // Marsaglia's xorshift (2003): any spread over places and bits will do here.
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for (study, rows) in studies() {
        let ids = plan(&rows);
        for _ in 0..FLIPS {
            let (at, bit) = (random() % rows.len(), random() % 8);
            let mut bytes = rows.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let line = rows[..at].matches('\n').count();
            let cell = plan(rows.lines().nth(line).unwrap()).remove(0);
            let findings = judge_study(&study, &ids, Some(&bytes), rows.as_bytes(), None);
            let named = findings.iter().any(|f| f.id == cell && f.verdict != Verdict::Same);
            assert!(
                named,
                "{study} byte {at} bit {bit}: {:?}",
                findings.iter().find(|f| f.verdict != Verdict::Same)
            );
        }
    }
}

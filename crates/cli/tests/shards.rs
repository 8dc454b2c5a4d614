//! Shards: planned alike on every machine, merged into the bytes of one run, and refused where they are of something else.

mod common;

use common::{SMALL, Said, directory, gradchain, run, said, study};
use std::fs;
use std::path::{Path, PathBuf};

/// Cells with several rows each, of different depths.
const MANY_ROWS: &str = "question = 'Layers?'\nmeasure = 'layers'\n[axes]\nformat = ['f16', 'f32']\nactivation = ['relu', 'sigmoid']\n\
                         depth = [2, 3, 5]\nwidth = 4\nbatch = 2\n";

/// A study measured in three shards below `directory`, the file of the study, and the rows of an undivided run.
struct Three {
    file: String,
    out: PathBuf,
    whole: String,
}

impl Three {
    fn new(test: &str, text: &str, options: &[&str]) -> Three {
        let directory = directory(test);
        let file = study(&directory, "small.toml", text);
        let three = Three { out: directory.join("out"), whole: String::new(), file };
        let whole = run(&["run", &three.file, "--format", "jsonl"]).stdout;
        for shard in ["1/3", "2/3", "3/3"] {
            let said = three.shard(shard, options);
            assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{}", said.stderr);
        }
        Three { whole, ..three }
    }

    fn shard(&self, shard: &str, options: &[&str]) -> Said {
        let args = ["run", &self.file, "--shard", shard, "--out", self.out()];
        said(gradchain().args(args).args(options))
    }

    fn out(&self) -> &str {
        self.out.to_str().unwrap()
    }

    /// The file of rows of shard `number`.
    fn rows(&self, number: usize) -> PathBuf {
        self.out.join(format!("small/rows-{number}-of-3.jsonl"))
    }

    fn merge(&self, options: &[&str]) -> Said {
        said(gradchain().args(["merge", self.out()]).args(options))
    }

    fn status(&self, options: &[&str]) -> Said {
        said(gradchain().args(["status", "--out", self.out()]).args(options))
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn three_shards_merged_are_one_run() {
    for (test, study, options) in [
        ("merge-small", SMALL, &[][..]),
        ("merge-layers", MANY_ROWS, &["--threads", "3"]),
        ("merge-cost", MANY_ROWS, &["--balance", "cost"]),
    ] {
        let three = Three::new(test, study, options);
        let merged = three.merge(&[]);
        assert_eq!((merged.code, merged.stderr.as_str()), (Some(0), ""));
        assert_eq!(merged.stdout, three.whole);
        // Named one by one in any order, to a file, and to a directory.
        let file = three.out.join("merged.jsonl");
        let parts: Vec<PathBuf> = [3, 1, 2].map(|number| three.rows(number)).into();
        let said = said(gradchain().arg("merge").args(&parts).arg("-o").arg(&file));
        assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{}", said.stderr);
        assert_eq!(text(&file), three.whole);
        let said = three.merge(&["--out", three.out()]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        assert_eq!(text(&three.out.join("small/rows.jsonl")), three.whole);
        assert_eq!(three.status(&[]).code, Some(0));
        // The study on the command line takes the place of the plans beside the rows.
        for number in 1..=3 {
            fs::remove_file(three.rows(number).with_extension("plan.json")).unwrap();
        }
        let said = three.merge(&["-o", "-"]);
        assert!(
            said.code == Some(2) && said.stderr.contains("name their study with --study"),
            "{}",
            said.stderr
        );
        assert_eq!(three.merge(&["--study", &three.file]).stdout, three.whole);
    }
}

#[test]
fn what_is_missing_is_named() {
    let three = Three::new("missing", MANY_ROWS, &[]);
    fs::remove_file(three.rows(2)).unwrap();
    // The third shard ends within its last cell, whose depth is 5.
    let third = text(&three.rows(3));
    let lines: Vec<&str> = third.split_inclusive('\n').collect();
    fs::write(three.rows(3), lines[..lines.len() - 2].concat() + "{\"schema_ver").unwrap();
    let target = three.out.join("merged.jsonl");
    fs::write(&target, "what was there\n").unwrap();
    let merged = three.merge(&["-o", target.to_str().unwrap()]);
    assert_eq!((merged.code, merged.stdout.as_str()), (Some(3), ""));
    for part in [
        "small: 5 of 12 cells are missing",
        "shard 2/3: there is no rows-2-of-3.jsonl: 4 cells",
        "shard 3/3: 1 of 4 cells: ",
        "depth 5",
        "rows-3-of-3.jsonl: line 19 is torn",
        "has 3 of its 5 rows",
        "submit again: --array=2-3 with --shard slurm/3 --resume",
    ] {
        assert!(merged.stderr.contains(part), "{part}: {}", merged.stderr);
    }
    assert_eq!(text(&target), "what was there\n");
    let status = three.status(&[]);
    assert_eq!(status.code, Some(3));
    assert!(
        status.stdout.contains("7 of 12 cells") && status.stdout.contains("--array=2-3"),
        "{}",
        status.stdout
    );
    // What there is can be finished on one machine.
    let rows = three.out.join("small/rows.jsonl");
    let merged = three.merge(&["--partial", "-o", rows.to_str().unwrap()]);
    assert_eq!(merged.code, Some(3), "{}", merged.stderr);
    let said = run(&["run", &three.file, "--out", three.out(), "--resume"]);
    assert!(said.code == Some(0) && said.stderr.contains("5 cells measured, 7 kept"), "{}", said.stderr);
    assert_eq!(text(&rows), three.whole);
    assert_eq!(three.status(&[]).code, Some(0), "a whole rows.jsonl is a whole study");
    // Or by the shards themselves.
    fs::remove_file(&rows).unwrap();
    for shard in ["2/3", "3/3"] {
        assert_eq!(three.shard(shard, &["--resume"]).code, Some(0));
    }
    assert_eq!(three.merge(&[]).stdout, three.whole);
}

#[test]
fn equal_duplicates_fold_and_others_are_named() {
    let three = Three::new("duplicates", SMALL, &[]);
    // Another division of the same plan, and a copy of a shard.
    assert_eq!(three.shard("1/2", &[]).code, Some(0));
    fs::copy(three.rows(1), three.out.join("copy.jsonl")).unwrap();
    let copy = three.out.join("copy.jsonl").to_str().unwrap().to_owned();
    let merged = three.merge(&[&copy]);
    assert_eq!((merged.code, merged.stdout.as_str()), (Some(0), three.whole.as_str()), "{}", merged.stderr);
    // One digit of the second row of the copy.
    let changed = text(&three.rows(1)).replacen("\"cosine\":", "\"cosine\":-", 2).replacen(
        "\"cosine\":-",
        "\"cosine\":",
        1,
    );
    fs::write(&copy, changed).unwrap();
    let merged = three.merge(&[&copy]);
    assert_eq!((merged.code, merged.stdout.as_str()), (Some(2), ""));
    for part in [
        "is measured twice",
        "rows-1-of-3.jsonl: line 2, and ",
        "copy.jsonl: line 2: column cosine: ",
        "depth",
    ] {
        assert!(merged.stderr.contains(part), "{part}: {}", merged.stderr);
    }
}

#[test]
fn rows_of_something_else_are_refused() {
    let three = Three::new("foreign", SMALL, &[]);
    let refused = |said: Said, part: &str| {
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{part}: {}", said.stderr);
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    };
    // Another seed in one shard: the options tell the plans apart.
    let kept = text(&three.rows(2));
    let said = three.shard("2/3", &["--seed", "2", "--resume"]);
    refused(said, "rows-2-of-3.jsonl: rows of plan ");
    assert_eq!(text(&three.rows(2)), kept, "a refused resume changes nothing");
    assert_eq!(three.shard("2/3", &["--seed", "2"]).code, Some(0));
    refused(three.merge(&[]), "`small --draws 1 --seed 2` there, `small --draws 1 --seed 1` here");
    refused(three.status(&[]), "rows-2-of-3.jsonl: rows of plan ");
    let (second, plan) = (text(&three.rows(2)), three.rows(2).with_extension("plan.json"));
    // Its rows alone, and then with a changed seed that their ids do not know.
    fs::rename(&plan, three.out.join("plan")).unwrap();
    refused(three.merge(&[]), "rows-2-of-3.jsonl: line 1: cell ");
    assert!(three.merge(&[]).stderr.contains("it has seed 2, the study 1"));
    // Another study, version and schema.
    let rows = |rows: &str| fs::write(three.rows(2), rows).unwrap();
    rows(&kept.replace("\"study\":\"small\"", "\"study\":\"large\""));
    refused(three.merge(&[]), "line 1: a row of the study `large`, this is `small`");
    rows(&kept.replace("\"version\":\"", "\"version\":\"9."));
    refused(three.merge(&[]), "line 1: measured by version 9.");
    rows(&kept.replace("\"schema_version\":1", "\"schema_version\":9"));
    refused(three.merge(&[]), "line 1: schema_version is 9; this program reads 1");
    rows(&("no row\n".to_owned() + &second));
    refused(three.merge(&[]), "rows-2-of-3.jsonl: line 1: no JSON");
    // A study file that has changed since.
    rows(&kept);
    fs::write(&three.file, SMALL.replace("[1, 2, 3]", "[1, 2, 4]")).unwrap();
    refused(three.merge(&["--study", &three.file]), "but the study file has changed");
    assert_eq!(
        three.merge(&[]).stdout,
        three.whole,
        "the plans beside the rows are those that were measured"
    );
    // A plan of another version, and one that was edited.
    let first = three.rows(1).with_extension("plan.json");
    let plan = text(&first);
    fs::write(&first, plan.replace("\"version\": \"", "\"version\": \"9.")).unwrap();
    refused(three.merge(&[]), "measured by version 9.");
    fs::write(&first, plan.replace("\"seed\": 1", "\"seed\": 3")).unwrap();
    refused(three.merge(&[]), "or the file was edited");
    fs::write(&first, plan.replace("\"balance\": \"count\"", "\"balance\": \"luck\"")).unwrap();
    refused(three.merge(&[]), "unknown balance `luck`; known: count, cost");
    fs::write(&first, "{").unwrap();
    refused(three.merge(&[]), "rows-1-of-3.plan.json: no JSON");
    // What is no place for rows, and no rows.
    fs::write(&first, plan).unwrap();
    let first = three.rows(1).to_str().unwrap().to_owned();
    refused(run(&["merge", &first, "-o", &first]), "this is one of the files to merge");
    refused(run(&["merge", "/nowhere.jsonl", "--study", &three.file]), "/nowhere.jsonl: No such file");
    refused(
        run(&["merge", directory("empty").to_str().unwrap()]),
        "no rows-K-of-N.jsonl in this directory or below",
    );
    refused(three.merge(&["--seed", "2"]), "that --study names");
    refused(run(&["status", "--out", directory("empty").to_str().unwrap()]), "no shards of any study here");
}

#[test]
fn shards_of_several_studies_merge_apart() {
    let directory = directory("several");
    let out = directory.join("out").to_str().unwrap().to_owned();
    let files = [study(&directory, "a.toml", SMALL), study(&directory, "b.toml", MANY_ROWS)];
    for shard in ["1/2", "2/2"] {
        assert_eq!(run(&["run", &files[0], &files[1], "--shard", shard, "--out", &out]).code, Some(0));
    }
    let said = run(&["merge", &out]);
    assert!(
        said.code == Some(2) && said.stderr.contains("rows of 2 studies: a, b; give --out DIR"),
        "{}",
        said.stderr
    );
    let merged = directory.join("merged");
    assert_eq!(run(&["merge", &out, "--out", merged.to_str().unwrap()]).code, Some(0));
    for (file, name) in files.iter().zip(["a", "b"]) {
        let whole = run(&["run", file, "--format", "jsonl"]).stdout;
        assert_eq!(text(&merged.join(name).join("rows.jsonl")), whole);
        assert_eq!(run(&["merge", &out, "--study", file]).stdout, whole);
    }
    let status = run(&["status", "--out", &out]);
    assert!(
        status.code == Some(0) && status.stdout.contains("a: plan ") && status.stdout.contains("b: plan ")
    );
}

#[test]
fn status_tells_each_shard() {
    let directory = directory("status");
    let file = study(&directory, "small.toml", SMALL);
    let out = directory.join("out").to_str().unwrap().to_owned();
    let states = |expected: &[(&str, &str, u64)], code: i32| {
        let said = run(&["status", &file, "--out", &out, "--format", "jsonl"]);
        assert_eq!(said.code, Some(code), "{}", said.stderr);
        let lines: Vec<serde_json::Value> =
            said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found: Vec<(String, String, u64)> = lines
            .iter()
            .map(|line| {
                let text = |name: &str| line[name].as_str().unwrap_or("all").to_owned();
                (text("shard"), text("state"), line["done"].as_u64().unwrap())
            })
            .collect();
        let expected: Vec<(String, String, u64)> = expected
            .iter()
            .map(|(shard, state, done)| ((*shard).to_owned(), (*state).to_owned(), *done))
            .collect();
        assert_eq!(found, expected);
    };
    states(&[("all", "missing", 0)], 3);
    assert_eq!(run(&["run", &file, "--shard", "2/4", "--out", &out]).code, Some(0));
    states(&[("1/4", "missing", 0), ("2/4", "done", 2), ("3/4", "missing", 0), ("4/4", "missing", 0)], 3);
    let said = run(&["status", &file, "--out", &out]);
    assert!(said.stdout.contains("submit again: --array=1,3-4 with --shard slurm/4"), "{}", said.stdout);
    // The task of an array that is submitted again.
    let slurm = |shard: &str, id: &str| {
        let mut command = gradchain();
        command.env("SLURM_ARRAY_TASK_ID", id).args(["run", &file, "--shard", shard, "--out", &out]);
        common::said(&mut command)
    };
    for id in ["1", "3"] {
        assert_eq!(slurm("slurm/4", id).code, Some(0));
    }
    let said = slurm("slurm", "1");
    assert!(
        said.code == Some(2) && said.stderr.contains("SLURM_ARRAY_TASK_MIN is not set"),
        "{}",
        said.stderr
    );
    assert_eq!(run(&["run", &file, "--shard", "4/4", "--out", &out]).code, Some(0));
    states(&[("1/4", "done", 2), ("2/4", "done", 2), ("3/4", "done", 1), ("4/4", "done", 1)], 0);
}

#[test]
fn a_cell_that_cannot_be_measured_stops_only_itself() {
    let directory = directory("failed");
    // There are fewer digits.
    let file = study(&directory, "layers.toml", &MANY_ROWS.replace("batch = 2", "batch = [2, 2000]"));
    let out = directory.join("out").to_str().unwrap().to_owned();
    let one = run(&["run", &file, "--out", &out, "--shard", "2/2"]);
    assert!(one.code == Some(2) && one.stderr.contains("batch = 2000: there are "), "{}", one.stderr);
    let status = || run(&["status", "--out", &out]).stdout;
    assert!(status().contains(" failed ") && status().contains("--array=1-2"), "{}", status());
    let all = run(&["run", &file, "--out", &out, "--keep-going"]);
    assert_eq!(all.code, Some(2));
    assert!(
        all.stderr.contains("error: 12 cells cannot be measured; the others are: layers: cell "),
        "{}",
        all.stderr
    );
    let rows = fs::read_to_string(directory.join("out/layers/rows.jsonl")).unwrap();
    assert_eq!(rows.lines().count(), 4 * (2 + 3 + 5));
    let failed = fs::read_to_string(directory.join("out/layers/rows.failed.jsonl")).unwrap();
    assert!(
        failed.lines().count() == 12 && failed.lines().all(|line| line.contains("batch = 2000: there are "))
    );
    let said = run(&["run", &file, "--out", &out, "--keep-going", "--resume", "--set", "batch=2"]);
    assert!(said.code == Some(0) && said.stderr.contains("0 cells measured, 12 kept"), "{}", said.stderr);
    assert!(!directory.join("out/layers/rows.failed.jsonl").exists());
}

/// The cells of a plan as JSON.
fn cells(args: &[&str]) -> Vec<serde_json::Value> {
    let said = said(gradchain().arg("plan").args(args).args(["--format", "jsonl"]));
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_plan_shows_the_cells_of_the_run() {
    let directory = directory("plan");
    let file = study(&directory, "small.toml", SMALL);
    let planned = cells(&[&file, "--set", "summation=recursive,pairwise", "--draws", "2"]);
    let rows =
        run(&["run", &file, "--set", "summation=recursive,pairwise", "--draws", "2", "--format", "jsonl"])
            .stdout;
    let rows: Vec<serde_json::Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(planned.len(), 12);
    for (cell, row) in planned.iter().zip(&rows) {
        for field in ["study", "cell", "format", "depth", "summation", "width", "draws"] {
            assert_eq!(cell[field], row[field]);
        }
        // Two weights by two, a linear chain, two draws.
        let multiply_adds = 2.0 * 4.0 * cell["depth"].as_f64().unwrap();
        assert_eq!(cell["multiply_adds"].as_f64(), Some(multiply_adds));
        assert!(
            cell["memory_bytes"].as_f64().unwrap() > 0.0 && cell["estimated_seconds"].as_f64().unwrap() > 0.0
        );
    }
    let table = run(&["plan", &file]).stdout;
    assert!(table.starts_with("small: Small?\nin all cells: ") && table.contains("share of time"), "{table}");
    let hash = cells(&[&file])[0]["plan"].as_str().unwrap().to_owned();
    assert!(
        table.ends_with(" a cell\n") && table.contains(&format!("plan {hash}: 6 of 6 cells, ")),
        "{table}"
    );
    // Shards have the cells that they measure.
    let mut ids: Vec<String> = Vec::new();
    for (shard, balance) in [("1/2", "cost"), ("2/2", "cost")] {
        let args = [&file, "--shard", shard, "--balance", balance];
        let own: Vec<String> =
            cells(&args).iter().map(|cell| cell["cell"].as_str().unwrap().to_owned()).collect();
        let rows = said(gradchain().args(["run", "--format", "jsonl"]).args(args)).stdout;
        assert!(own.len() == rows.lines().count() && own.iter().all(|id| rows.contains(id)));
        ids.extend(own);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    assert!(run(&["plan"]).stdout.contains("\nderivative: "), "all built-in studies");
    let said = run(&["plan", &file, "--balance", "cost"]);
    assert!(said.code == Some(2) && said.stderr.contains("--shard"), "{}", said.stderr);
}

/// A longer axis, another axis that keeps its default, another order: cells keep their names.
#[test]
fn a_grown_study_renames_no_cell() {
    let directory = directory("grown");
    let file = study(&directory, "small.toml", SMALL);
    let grown = SMALL
        .replace("[1, 2, 3]", "[5, 3, 2, 1]")
        .replace("width = 2", "width = [2, 7]\nsubnormals = 'keep'\nbatch = 1");
    let names = |cells: &[serde_json::Value]| {
        let name = |cell: &serde_json::Value| {
            (cell["format"].to_string() + &cell["depth"].to_string(), cell["cell"].to_string())
        };
        let narrow = cells.iter().filter(|cell| cell["width"] == 2 && cell["depth"] != 5);
        narrow.map(name).collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = cells(&[&file]);
    let after = cells(&[&study(&directory, "grown.toml", &grown)]);
    assert_eq!((before.len(), after.len(), names(&before).len()), (6, 16, 6));
    assert_eq!(names(&before), names(&after));
    assert_ne!(before[0]["plan"], after[0]["plan"]);
}

#[test]
fn shells_and_manuals_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = run(&["completions", shell]);
        assert!(
            said.code == Some(0) && said.stdout.contains("gradchain") && said.stdout.contains("merge"),
            "{shell}"
        );
    }
    assert!(run(&["man"]).stdout.starts_with(".ie"));
    let directory = directory("man");
    let said = run(&["man", "--out", directory.to_str().unwrap()]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{}", said.stderr);
    assert!(fs::read_to_string(directory.join("gradchain-run.1")).unwrap().contains("resume"));
    assert!(directory.join("gradchain.1").exists() && directory.join("gradchain-merge.1").exists());
}

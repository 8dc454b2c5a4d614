//! `gradchain report`: pages that people read, from the committed rows.

use crate::Verdict;
use crate::args::ReportArgs;
use crate::studies::committed;
use anyhow::{Context, Result};
use gradchain_report::{Column, Report, Source, index, markdown, page, read};
use gradchain_study::{BUILTIN, COLUMNS, Kind};
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path};

/// Where criterion leaves its report, as seen from the top of the repository.
const CRITERION: &str = "target/criterion/report/index.html";

pub(crate) fn report(args: &ReportArgs) -> Result<Verdict> {
    let columns: Vec<Column> = COLUMNS
        .iter()
        .map(|column| Column {
            name: column.name.to_owned(),
            parameter: column.kind == Kind::Parameter,
            unit: column.unit.to_owned(),
            meaning: column.meaning.to_owned(),
        })
        .collect();
    let mut names = committed(&args.reports)?;
    // The built-in studies come first, in their order: it goes from the simple to the special.
    names.sort_by_key(|name| BUILTIN.iter().position(|(known, _)| known == name).unwrap_or(BUILTIN.len()));
    let mut studies: Vec<(Report, String)> = Vec::new();
    for name in &names {
        studies.push(read_study(&args.reports, name, &columns)?);
    }
    let mut stdout = io::stdout().lock();
    if args.markdown {
        for (i, (report, _)) in studies.iter().enumerate() {
            write!(stdout, "{}{}", if i == 0 { "" } else { "\n" }, markdown(report))?;
        }
        return Ok(Verdict::Passed);
    }
    let out = args.out.as_deref().unwrap_or(&args.reports);
    let reports: Vec<Report> = studies.iter().map(|(report, _)| report.clone()).collect();
    write_page(&out.join("index.html"), &index(&reports, criterion(out).as_deref()), &mut stdout)?;
    for (report, rows) in &studies {
        let directory = out.join(report.name());
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        let rows_file = directory.join("rows.jsonl");
        // Pages elsewhere take the rows with them, so that their links hold.
        if args.out.is_some() && !is_same(&rows_file, &args.reports.join(report.name()).join("rows.jsonl")) {
            fs::write(&rows_file, rows).with_context(|| rows_file.display().to_string())?;
        }
        let link = rows_file.is_file().then_some("rows.jsonl");
        write_page(&directory.join("index.html"), &page(report, link), &mut stdout)?;
    }
    Ok(Verdict::Passed)
}

/// A study of the reports directory, and the text of its rows; a study without rows has none.
fn read_study(reports: &Path, name: &str, columns: &[Column]) -> Result<(Report, String)> {
    let directory = reports.join(name);
    let text = |file: &str| {
        let path = directory.join(file);
        match fs::read_to_string(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            text => text.with_context(|| path.display().to_string()),
        }
    };
    let (study, rows) = (text("study.toml")?, text("rows.jsonl")?);
    let report = read(&Source { name, study: &study, rows: &rows }, columns)
        .with_context(|| reports.display().to_string())?;
    Ok((report, rows))
}

fn write_page(path: &Path, text: &str, stdout: &mut impl Write) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    fs::write(path, text).with_context(|| path.display().to_string())?;
    writeln!(stdout, "{}", path.display())?;
    Ok(())
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// Criterion's report as seen from `out`, if there is one and `out` lies below the current directory.
fn criterion(out: &Path) -> Option<String> {
    let below = out.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let depth = out.components().filter(|part| matches!(part, Component::Normal(_))).count();
    (below && Path::new(CRITERION).is_file()).then(|| "../".repeat(depth) + CRITERION)
}

//! Writes the pages of all studies in a directory, without the program: `cargo run -p gradchain-report --example pages -- reports OUT [SCHEMA.json]`,
//! where SCHEMA.json is what `gradchain schema` prints. For work on the pages: this crate compiles in seconds, the program in minutes.

use gradchain_report::{Column, Source, index, page, read};
use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(reports), Some(out)) = (args.next(), args.next()) else {
        return Err("usage: pages REPORTS OUT [SCHEMA.json]".into());
    };
    let (reports, out) = (Path::new(&reports), Path::new(&out));
    let columns = args.next().map_or(Ok(Vec::new()), |schema| columns(&schema))?;
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(reports)? {
        let entry = entry?;
        if entry.path().join("rows.jsonl").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    let mut all = Vec::new();
    for name in &names {
        let text = |file: &str| fs::read_to_string(reports.join(name).join(file));
        let report =
            read(&Source { name, study: &text("study.toml")?, rows: &text("rows.jsonl")? }, &columns)?;
        fs::create_dir_all(out.join(name))?;
        fs::write(out.join(name).join("index.html"), page(&report, None))?;
        all.push(report);
    }
    fs::write(out.join("index.html"), index(&all, None))?;
    Ok(())
}

fn columns(path: &str) -> Result<Vec<Column>, Box<dyn Error>> {
    let schema: serde_json::Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let text = |c: &serde_json::Value, key: &str| c[key].as_str().unwrap_or_default().to_owned();
    let list = schema["columns"].as_array().ok_or("no columns in the schema")?;
    Ok(list
        .iter()
        .map(|c| Column {
            name: text(c, "name"),
            parameter: text(c, "kind") == "parameter",
            unit: text(c, "unit"),
            meaning: text(c, "meaning"),
        })
        .collect())
}

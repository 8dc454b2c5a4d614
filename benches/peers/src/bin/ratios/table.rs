//! Lines and cells of Markdown tables.

/// The middle one, of an even number the upper of the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Three digits or so.
pub(crate) fn number(x: f64) -> String {
    let digits = if x >= 99.95 {
        0
    } else if x >= 9.995 {
        1
    } else {
        2
    };
    if x.is_nan() { "-".to_owned() } else { format!("{x:.digits$}") }
}

/// The head of a table.
pub(crate) fn heading(columns: &[&str]) {
    println!("\n| {} |", columns.join(" | "));
    println!("|{}", " --- |".repeat(columns.len()));
}

/// One line for several widths: in each column the cells of the widths, with a name or unit that all share written once.
pub(crate) fn row(title: &str, cells: Vec<Vec<String>>) {
    print!("| {title} |");
    for column in 0..cells[0].len() {
        let column = cells.iter().map(|cells| cells[column].as_str());
        let heads: Vec<&str> = column.clone().map(name_of).collect();
        if heads.iter().all(|head| *head == heads[0]) {
            let rests: Vec<&str> = column.map(|cell| cell[heads[0].len()..].trim_start()).collect();
            print!(" {} |", format!("{} {}", heads[0], rests.join(" / ")).trim_matches([' ', '/']));
        } else {
            print!(" {} |", column.collect::<Vec<_>>().join(" / "));
        }
    }
    println!();
}

/// What stands in a cell before its figure; all of it where it has none.
fn name_of(cell: &str) -> &str {
    let (name, figure) = cell.rsplit_once(' ').unwrap_or(("", cell));
    if figure.parse::<f64>().is_ok() { name } else { cell }
}

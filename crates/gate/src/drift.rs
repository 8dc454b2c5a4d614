//! The drift gate: committed rows against rows measured now, in every bit.

use crate::budget::Budget;
use crate::finding::{Effect, Figure, Finding, Level, Place};
use crate::number::Number;
use crate::pairing::{Cell, Pairing};
use crate::rows::{self, Defect, Line, column_at, differences, plain, told};
use crate::verdict::Verdict;
use std::collections::BTreeMap;

/// The columns that tell the rows of one cell from each other.
const NUMBERING: [&str; 2] = ["layer", "index"];
/// The columns that a history may follow, the first that a row has.
const LEVELS: [&str; 4] = ["bits_left", "max_ulp", "rate_log2", "log2_norm"];
/// The id of findings that speak of a whole file of rows.
pub const WHOLE_FILE: &str = "rows";

/// What the drift gate judges: one study.
#[derive(Clone, Copy)]
pub struct DriftInput<'a> {
    /// The name of the study.
    pub study: &'a str,
    /// The ids of its cells, in the order of its rows.
    pub planned: &'a [String],
    /// The committed file of rows as it is; none where there is none.
    pub committed: Option<&'a [u8]>,
    /// The path of the committed rows, for places and sentences.
    pub committed_place: &'a str,
    /// The rows measured now, in any order of cells.
    pub measured: &'a [u8],
    /// What the measured rows are called in sentences.
    pub measured_place: &'a str,
    /// SHA-256 of the rows that were last blessed, in hexadecimal digits; none where nothing was ever blessed.
    pub blessed: Option<&'a str>,
    /// The version of the rows that this program reads.
    pub schema_version: u64,
    /// The unit of a column.
    pub unit: &'a dyn Fn(&str) -> String,
    /// The absolute limits.
    pub budget: &'a Budget,
}

/// Judges one study: a finding for each cell that is planned or committed, and further ones for what concerns a whole file.
///
/// Equal bytes, and nothing else, make every cell [`Verdict::Same`]; any other file of rows has at least one other finding.
///
/// - A cell whose rows hold the same bits is the same; else the gravest change of a column counts: not finite before worse before better before a
///   change without direction (see [`crate::DIRECTIONS`]), so that a mixed change is worse.
/// - A planned cell that was not measured is [`Verdict::NotMeasured`], one without committed rows [`Verdict::New`]; a committed cell that is not
///   planned is [`Verdict::Missing`].
/// - A measured row beyond a limit is [`Verdict::OverBudget`], whatever is committed.
/// - Measured rows of another study, schema or plan, torn ones, or rows that stand twice are [`Verdict::Unusable`]; only a torn last line counts as not
///   measured, for an interrupted run leaves one.
pub fn judge(input: &DriftInput<'_>) -> Vec<Finding> {
    let whole = |verdict, message: String| Finding {
        group: input.study.to_owned(),
        id: WHOLE_FILE.to_owned(),
        label: String::new(),
        verdict,
        message,
        place: Some(Place { file: input.committed_place.to_owned(), line: None }),
        figures: Vec::new(),
        level: None,
    };
    let mut measured = rows::read(input.measured, input.schema_version);
    let torn = match measured.last() {
        Some(line) if !line.ended && line.row.is_err() => measured.pop(),
        _ => None,
    };
    if let Some(message) = unusable_measured(input, &measured) {
        return vec![whole(Verdict::Unusable, message)];
    }
    let committed = rows::read(input.committed.unwrap_or_default(), input.schema_version);
    if let Some(message) = unusable_committed(input, &committed) {
        return vec![whole(Verdict::Unusable, message)];
    }
    let pairing = Pairing::new(input.planned, &committed, &measured);
    let labels = Labels::new(&measured, &committed);
    let context = Context { input, labels: &labels, torn: torn.as_ref() };
    let mut findings: Vec<Finding> = pairing.cells.iter().map(|cell| context.cell(cell, &pairing)).collect();
    findings.extend(pairing.foreign.iter().map(|lines| context.foreign(lines)));
    if let Some(hash) = input.blessed
        && let Some(bytes) = input.committed
        && crate::sha256(bytes) != hash
    {
        let message = format!(
            "{} is not what was last blessed (its SHA-256 begins {}, the blessed one {}): restore it, or bless it with a reason",
            input.committed_place,
            &crate::sha256(bytes)[..12],
            hash.get(..12).unwrap_or(hash)
        );
        findings.push(whole(Verdict::Changed, message));
    }
    let same = findings.iter().all(|finding| finding.verdict == Verdict::Same);
    if same && let Some(message) = other_bytes(input, &committed, &pairing) {
        findings.push(whole(Verdict::Changed, message));
    }
    findings
}

/// Why the measured rows allow no verdict.
fn unusable_measured(input: &DriftInput<'_>, measured: &[Line]) -> Option<String> {
    let place = input.measured_place;
    let mut seen: BTreeMap<(&str, [String; 2]), usize> = BTreeMap::new();
    for line in measured {
        let number = line.number;
        let row = match &line.row {
            Ok(row) => row,
            Err(defect) => return Some(format!("{place}: line {number} is no row: {}", defect.message())),
        };
        if row.study != input.study {
            return Some(format!(
                "{place}: line {number} is a row of study {}, not of {}",
                row.study, input.study
            ));
        }
        if !input.planned.contains(&row.cell) {
            return Some(format!(
                "{place}: line {number} is a row of cell {}, which is not in the study: it was measured with another study file, seed or number of draws",
                row.cell
            ));
        }
        if row.fields.contains_key("timing") {
            return Some(format!(
                "{place}: line {number} holds a time, which differs from run to run: measure without --timing"
            ));
        }
        let place_in_cell = NUMBERING.map(|name| row.fields.get(name).map(plain).unwrap_or_default());
        if let Some(first) = seen.insert((&row.cell, place_in_cell), number) {
            return Some(format!(
                "{place}: lines {first} and {number} are the same row of cell {}",
                row.cell
            ));
        }
    }
    None
}

/// Why the committed rows as a whole are no baseline. Single bad lines are findings of their cells.
fn unusable_committed(input: &DriftInput<'_>, committed: &[Line]) -> Option<String> {
    let place = input.committed_place;
    let first = committed.first()?;
    if committed.iter().all(|line| matches!(line.row, Err(Defect::Schema(_)))) {
        let message = first.row.as_ref().err().map_or("", Defect::message);
        return Some(format!("{place}: no line is a row of this version: line 1: {message}"));
    }
    let rows = || committed.iter().filter_map(|line| line.row.as_ref().ok());
    if rows().next().is_some() && rows().all(|row| row.study != input.study) {
        let other = rows().next().map_or("", |row| &row.study);
        return Some(format!(
            "{place}: these are rows of study {other}, not of {}: the wrong baseline",
            input.study
        ));
    }
    None
}

/// Where files whose cells are all the same differ in their bytes: the order of rows, or the end of a line.
fn other_bytes(input: &DriftInput<'_>, committed: &[Line], pairing: &Pairing<'_>) -> Option<String> {
    let place = input.committed_place;
    let expected: Vec<&Line> = pairing.cells.iter().flat_map(|cell| cell.measured.iter().copied()).collect();
    let differs = |(line, expected): &(&Line, &&Line)| line.text != expected.text;
    if let Some((line, _)) = committed.iter().zip(&expected).find(differs) {
        let number = line.number;
        return Some(format!(
            "{place}: line {number}: the rows stand in another order than the cells of the study"
        ));
    }
    let bytes: Vec<u8> = expected.iter().flat_map(|line| [line.text.as_bytes(), b"\n"].concat()).collect();
    (bytes != input.committed.unwrap_or_default())
        .then(|| format!("{place}: line {}: equal rows in other bytes", committed.len()))
}

struct Context<'a> {
    input: &'a DriftInput<'a>,
    labels: &'a Labels<'a>,
    torn: Option<&'a Line>,
}

impl Context<'_> {
    fn cell(&self, cell: &Cell<'_>, pairing: &Pairing<'_>) -> Finding {
        let (verdict, message, mut figures) = self.compare(cell, pairing);
        let mut out = Finding {
            group: self.input.study.to_owned(),
            id: cell.id.to_owned(),
            label: self.labels.of(cell.measured.first().or(cell.committed.first()).copied()),
            verdict,
            message,
            place: self.place(cell),
            figures: Vec::new(),
            level: level(&cell.measured),
        };
        let rows =
            cell.measured.iter().enumerate().filter_map(|(i, line)| Some((i + 1, line.row.as_ref().ok()?)));
        let excesses: Vec<_> = rows.flat_map(|(n, row)| self.input.budget.excesses(n, &row.fields)).collect();
        if let Some(first) = excesses.first() {
            let more = more(excesses.len() - 1, "other limit is", "other limits are", " broken");
            out.verdict = out.verdict.max(Verdict::OverBudget);
            out.message = format!("{}{more}", first.message);
            let named =
                |figure: &Figure| figures.iter().any(|f| f.name == figure.name && f.row == figure.row);
            let unnamed: Vec<Figure> = excesses.into_iter().map(|e| e.figure).filter(|f| !named(f)).collect();
            figures.splice(0..0, unnamed);
        }
        out.figures = figures;
        out
    }

    /// The verdict on a cell by its lines alone, the sentence, and the figures.
    fn compare(&self, cell: &Cell<'_>, pairing: &Pairing<'_>) -> (Verdict, String, Vec<Figure>) {
        let (base, head) = (&cell.committed, &cell.measured);
        if head.is_empty() {
            let torn = self
                .torn
                .map(|line| format!(": {} ends inside line {}", self.input.measured_place, line.number));
            let message = format!("it was not measured{}", torn.unwrap_or_default());
            return (Verdict::NotMeasured, message, Vec::new());
        }
        if let Some((line, expected)) = cell.torn.first() {
            let reason = line.row.as_ref().err().map_or("", Defect::message);
            let column = column_at(expected, &line.text);
            let message =
                format!("line {} is no row ({reason}); it differs first in column {column}", line.number);
            return (Verdict::Malformed, message, vec![text_figure(&column)]);
        }
        if base.len() < head.len()
            && let Some((line, other)) = cell.replaced_by
        {
            let message = format!(
                "{}: in its place, line {line}, stands by column cell {other}, which is not in the study",
                if base.is_empty() { "it has no committed rows" } else { "a committed row of it is missing" }
            );
            let figure = Figure {
                base: Some(other.to_owned()),
                head: Some(cell.id.to_owned()),
                ..text_figure("cell")
            };
            return (Verdict::New, message, vec![figure]);
        }
        if base.is_empty() {
            let message = match pairing.committed {
                0 => format!("{} has no rows yet: bless them", self.input.committed_place),
                _ => "it has no committed rows".to_owned(),
            };
            return (Verdict::New, message, Vec::new());
        }
        if base.len() != head.len() {
            return rows_differ(base, head);
        }
        let mut figures = Vec::new();
        let mut texts = Vec::new();
        for (i, (base, head)) in base.iter().zip(head).enumerate() {
            let (Ok(base_row), Ok(head_row)) = (&base.row, &head.row) else { continue };
            if base.text == head.text {
                // The last line of a file may lack its line feed.
                if base.ended != head.ended && head.ended {
                    texts.push((base.number, column_at(head, &head.text)));
                }
                continue;
            }
            let of_row = differences(i + 1, base_row, head_row, self.input.unit);
            if of_row.is_empty() {
                texts.push((base.number, column_at(head, &base.text)));
            }
            figures.extend(of_row);
        }
        rows::sort(&mut figures);
        let effects = |effect| figures.iter().any(|figure| figure.effect == effect);
        let verdict = match () {
            () if effects(Effect::NonFinite) => Verdict::NonFinite,
            () if effects(Effect::Worse) => Verdict::Worse,
            () if effects(Effect::Better) => Verdict::Better,
            () if figures.is_empty() && texts.is_empty() => Verdict::Same,
            () => Verdict::Changed,
        };
        let message = match (figures.first(), texts.first()) {
            (Some(first), _) => {
                format!(
                    "{}{}",
                    told(first),
                    more(figures.len() - 1, "other figure differs", "other figures differ", "")
                )
            }
            (None, Some((line, column))) => {
                format!("line {line}: equal values in other bytes, column {column}")
            }
            (None, None) => String::new(),
        };
        figures.extend(texts.iter().map(|(_, column)| text_figure(column)));
        (verdict, message, figures)
    }

    /// Committed rows of a cell that the study does not have.
    fn foreign(&self, lines: &[&Line]) -> Finding {
        let (number, id) = lines.first().map_or((0, ""), |line| (line.number, id_of(line)));
        Finding {
            group: self.input.study.to_owned(),
            id: id.to_owned(),
            label: self.labels.of(lines.first().copied()),
            verdict: Verdict::Missing,
            message: format!("it is committed (line {number}), but the study has no such cell any more"),
            place: Some(Place { file: self.input.committed_place.to_owned(), line: Some(number) }),
            figures: Vec::new(),
            level: None,
        }
    }

    fn place(&self, cell: &Cell<'_>) -> Option<Place> {
        let torn = cell.torn.first().map(|(line, _)| line.number);
        // A cell of many rows is shown at the row that differs.
        let pairs = cell.committed.iter().zip(&cell.measured);
        let differing =
            pairs.clone().find(|(base, head)| base.text != head.text).map(|(base, _)| base.number);
        let replaced = cell.replaced_by.map(|(line, _)| line);
        let line = torn.or(differing).or(cell.committed.first().map(|line| line.number)).or(replaced);
        Some(Place { file: self.input.committed_place.to_owned(), line })
    }
}

/// The verdict on a cell that has more or fewer committed rows than measured ones.
fn rows_differ(base: &[&Line], head: &[&Line]) -> (Verdict, String, Vec<Figure>) {
    for (i, line) in base.iter().enumerate() {
        if let Some(first) = base[..i].iter().find(|other| other.text == line.text) {
            let message = format!("its row stands twice, in lines {} and {}", first.number, line.number);
            return (Verdict::Malformed, message, Vec::new());
        }
    }
    let message = format!("{} of its rows are committed, and {} were measured", base.len(), head.len());
    let verdict = if base.len() > head.len() { Verdict::Missing } else { Verdict::New };
    (verdict, message, Vec::new())
}

/// A figure that says where bytes differ.
fn text_figure(column: &str) -> Figure {
    Figure {
        name: column.to_owned(),
        row: 1,
        unit: String::new(),
        base: None,
        head: None,
        effect: Effect::Neutral,
    }
}

/// `; 3 others are`, or nothing.
fn more(count: usize, one: &str, many: &str, end: &str) -> String {
    match count {
        0 => String::new(),
        1 => format!("; 1 {one}{end}"),
        n => format!("; {n} {many}{end}"),
    }
}

fn id_of(line: &Line) -> &str {
    line.row.as_ref().map_or("", |row| &row.cell)
}

/// The number that a history follows: of a cell with many rows the least one, at which most is lost.
fn level(lines: &[&Line]) -> Option<Level> {
    let rows = || lines.iter().filter_map(|line| line.row.as_ref().ok());
    let number = |name: &str| {
        let numbers = rows().filter_map(|row| Number::read(row.fields.get(name)?));
        numbers.map(Number::to_f64).filter(|x| x.is_finite()).reduce(f64::min)
    };
    LEVELS.iter().find_map(|name| Some(Level { name: (*name).to_owned(), value: number(name)? }))
}

/// What a reader knows a cell by: the parameters that vary in the study.
struct Labels<'a> {
    varying: Vec<&'a str>,
}

impl<'a> Labels<'a> {
    fn new(measured: &'a [Line], committed: &'a [Line]) -> Labels<'a> {
        let source = if measured.is_empty() { committed } else { measured };
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        let mut varying: Vec<&str> = Vec::new();
        let mut order: Vec<&str> = Vec::new();
        for row in source.iter().filter_map(|line| line.row.as_ref().ok()) {
            for (name, value) in row.parameters() {
                let value = plain(value);
                match values.get(name) {
                    Some(known) if *known != value && !varying.contains(&name) => varying.push(name),
                    Some(_) => {}
                    None => {
                        order.push(name);
                        values.insert(name, value);
                    }
                }
            }
        }
        order.retain(|name| varying.contains(name));
        Labels { varying: order }
    }

    fn of(&self, line: Option<&Line>) -> String {
        let Some(Ok(row)) = line.map(|line| &line.row) else { return String::new() };
        let value = |name: &&str| {
            let value = row.fields.get(*name)?;
            Some(format!("{name} {}", if value.is_null() { "none".to_owned() } else { plain(value) }))
        };
        self.varying.iter().filter_map(value).collect::<Vec<_>>().join(", ")
    }
}

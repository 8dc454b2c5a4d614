//! The rows of a file, cell by cell.

use crate::plan::ById;
use crate::record::Record;

/// The rows of one cell, next to each other in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// Index of the cell.
    pub(crate) index: usize,
    /// The first line, from 1.
    pub(crate) line: usize,
    /// The lines, each with its line feed.
    pub(crate) text: &'a str,
}

/// What a file of rows holds.
#[derive(Debug, Default)]
pub(crate) struct Blocks<'a> {
    /// Cells with all their rows, in the order of the file; a cell may be there twice.
    pub(crate) whole: Vec<Block<'a>>,
    /// Cells with fewer rows than they have: what was being written when a run was killed.
    pub(crate) unfinished: Vec<Block<'a>>,
    /// The line, from 1, that lacks its line feed: the last one.
    pub(crate) torn: Option<usize>,
}

/// Takes a file of rows apart.
///
/// # Errors
/// If a line other than a torn last one is no row, or belongs to no cell of the study, or another version measured it. The message names the line
/// and says in what it differs.
pub(crate) fn blocks<'a>(text: &'a [u8], plan: &ById<'_>) -> Result<Blocks<'a>, String> {
    let mut out = Blocks::default();
    // The cell that the lines above belong to: its index, its first line, how many there are, and their bytes.
    let mut open: Option<(usize, usize, usize, std::ops::Range<usize>)> = None;
    let mut at = 0;
    let as_block = |index, line, range: std::ops::Range<usize>| {
        // Every line of it was found to be UTF-8.
        let text = str::from_utf8(&text[range]).unwrap_or_default();
        Block { index, line, text }
    };
    for (number, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let number = number + 1;
        let Some(content) = line.strip_suffix(b"\n") else {
            out.torn = Some(number);
            break;
        };
        let index = cell_of(content, plan).map_err(|message| format!("line {number}: {message}"))?;
        let range = at..at + line.len();
        at = range.end;
        open = match open.take() {
            Some((open, first, count, bytes)) if open == index => {
                Some((open, first, count + 1, bytes.start..range.end))
            }
            other => {
                out.unfinished.extend(other.map(|(index, line, _, range)| as_block(index, line, range)));
                Some((index, number, 1, range))
            }
        };
        if let Some((index, first, count, range)) = &open
            && *count >= plan.cells[*index].row_count()
        {
            out.whole.push(as_block(*index, *first, range.clone()));
            open = None;
        }
    }
    out.unfinished.extend(open.map(|(index, line, _, range)| as_block(index, line, range)));
    Ok(out)
}

/// The index of the cell that a line is a row of.
fn cell_of(line: &[u8], plan: &ById<'_>) -> Result<usize, String> {
    let line = str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    let record = Record::parse(line)?;
    if record.version != env!("CARGO_PKG_VERSION") {
        let here = env!("CARGO_PKG_VERSION");
        return Err(format!("measured by version {}, this is {here}", record.version));
    }
    let Some(cell) = plan.cells.first() else { return Err("the study has no cells".to_owned()) };
    if record.study != *cell.study {
        return Err(format!("a row of the study `{}`, this is `{}`", record.study, cell.study));
    }
    let index = plan.index(&record.cell);
    index.ok_or_else(|| match record.seed == cell.seed {
        false => format!(
            "cell {} is none of this study: it has seed {}, the study {}",
            record.cell, record.seed, cell.seed
        ),
        true => format!("cell {} is none of this study with these axes, draws and seed", record.cell),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Cell, Measure};
    use crate::row::Row;

    fn lines(cell: &Cell, layers: std::ops::RangeInclusive<usize>) -> String {
        layers
            .map(|layer| Record::new(cell, &Row::new().with("layer", layer), None).to_json() + "\n")
            .collect()
    }

    #[test]
    fn cells_end_where_their_rows_do() {
        let cells: Vec<Cell> =
            (1..=3).map(|depth| Cell { depth, measure: Measure::Layers, ..Cell::default() }).collect();
        let plan = ById::new(&cells);
        // The second cell twice, next to each other; the third lacks a row, and behind it a line is torn.
        let parts = [
            lines(&cells[1], 1..=2),
            lines(&cells[1], 1..=2),
            lines(&cells[0], 1..=1),
            lines(&cells[2], 1..=2),
            "{\"s".to_owned(),
        ];
        let text = parts.concat();
        let blocks = blocks(text.as_bytes(), &plan).unwrap();
        let found: Vec<_> = blocks.whole.iter().map(|block| (block.index, block.line, block.text)).collect();
        assert_eq!(found, [(1, 1, &*parts[0]), (1, 3, &*parts[1]), (0, 5, &*parts[2])]);
        assert_eq!(blocks.unfinished, [Block { index: 2, line: 6, text: &parts[3] }]);
        assert_eq!(blocks.torn, Some(8));
    }

    #[test]
    fn a_cell_that_another_interrupts_is_unfinished() {
        let cells: Vec<Cell> =
            (1..=3).map(|depth| Cell { depth, measure: Measure::Layers, ..Cell::default() }).collect();
        let text = lines(&cells[2], 1..=2) + &lines(&cells[0], 1..=1) + &lines(&cells[2], 3..=3);
        let blocks = blocks(text.as_bytes(), &ById::new(&cells)).unwrap();
        assert_eq!(blocks.whole.iter().map(|block| block.index).collect::<Vec<_>>(), [0]);
        assert_eq!(blocks.unfinished.iter().map(|block| block.line).collect::<Vec<_>>(), [1, 4]);
    }
}

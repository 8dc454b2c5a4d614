//! Which parameters a result depends on: what a chart needs to know before it can choose its axes.
//!
//! Nothing here knows a study. A grid is the rows in which the same parameters have a meaning (a chain has a gain or drawn weights, never both), and a
//! result depends on those of its parameters that change it.

use crate::rows::Rows;
use crate::study::Study;
use crate::value::Value;

/// Rows that can be compared with one another, and the parameters that vary among them.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    pub(crate) rows: Vec<usize>,
    /// Columns: the axes of the study file in its order, other parameters after them, at the end the result that tells the rows of a cell apart.
    pub(crate) axes: Vec<usize>,
}

/// The grids of a study, in the order of their first rows.
pub(crate) fn grids(rows: &Rows, study: &Study) -> Vec<Grid> {
    let all: Vec<usize> = (0..rows.rows.len()).collect();
    let mut parameters: Vec<usize> = study.axes.iter().filter_map(|name| rows.column(name)).collect();
    let others = (0..rows.columns.len()).filter(|c| rows.columns[*c].parameter && !parameters.contains(c));
    parameters.extend(others.collect::<Vec<_>>());
    parameters.extend(rows.index());
    let mut parts: Vec<(Vec<bool>, Vec<usize>)> = Vec::new();
    for row in all {
        let nulls: Vec<bool> = parameters.iter().map(|&c| *rows.get(row, c) == Value::Null).collect();
        match parts.iter_mut().find(|(known, _)| *known == nulls) {
            Some((_, part)) => part.push(row),
            None => parts.push((nulls, vec![row])),
        }
    }
    let grid = |(_, part): (_, Vec<usize>)| {
        let varies = |c: &usize| rows.distinct(&part, *c).len() > 1;
        Grid { axes: parameters.iter().copied().filter(varies).collect(), rows: part }
    };
    parts.into_iter().map(grid).collect()
}

/// A result with the parameters that change it, and one row for each combination of them.
#[derive(Clone, Debug)]
pub(crate) struct Dependence {
    pub(crate) axes: Vec<usize>,
    pub(crate) rows: Vec<usize>,
}

impl Grid {
    /// The parameters on which the column `y` depends. A row without a value does not count, unless `null_counts`: what never happened.
    ///
    /// An axis matters if y differs between two rows that differ in it alone. Where parameters only vary together, the first of them that tell all
    /// values of y apart are taken.
    pub(crate) fn dependence(&self, rows: &Rows, y: usize, null_counts: bool) -> Dependence {
        let counts = |row: &usize| null_counts || *rows.get(*row, y) != Value::Null;
        let with_value: Vec<usize> = self.rows.iter().copied().filter(counts).collect();
        let differs = |group: &Vec<usize>| rows.distinct(group, y).len() > 1;
        let others =
            |axis: usize| -> Vec<usize> { self.axes.iter().copied().filter(|a| *a != axis).collect() };
        let matters = |&axis: &usize| rows.groups(&with_value, &others(axis)).iter().any(differs);
        let mut axes: Vec<usize> = self.axes.iter().copied().filter(matters).collect();
        loop {
            let conflicts =
                |axes: &[usize]| rows.groups(&with_value, axes).iter().filter(|g| differs(g)).count();
            let now = conflicts(&axes);
            if now == 0 {
                break;
            }
            let with = |axis: usize| [&axes[..], &[axis]].concat();
            let left = self.axes.iter().copied().filter(|axis| !axes.contains(axis));
            // Two axes that vary together may only separate as a pair: the number of groups breaks the tie.
            let best = left.min_by_key(|&axis| {
                let axes = with(axis);
                (conflicts(&axes), usize::MAX - rows.groups(&with_value, &axes).len())
            });
            let Some(best) = best else { break };
            axes = with(best);
        }
        axes.sort_by_key(|axis| self.axes.iter().position(|a| a == axis));
        let rows = rows.groups(&with_value, &axes).into_iter().map(|group| group[0]).collect();
        Dependence { axes, rows }
    }

    /// [`Grid::dependence`] of an event, such as the first infinite layer: the depth of the chain is how long one has watched, so that the deepest row
    /// of each setting says all.
    pub(crate) fn event_dependence(&self, rows: &Rows, y: usize) -> Dependence {
        self.deepest(rows).dependence(rows, y, true)
    }

    /// The rows of the deepest chain of each setting.
    pub(crate) fn deepest(&self, rows: &Rows) -> Grid {
        let Some(depth) = rows.column("depth").filter(|depth| self.axes.contains(depth)) else {
            return self.clone();
        };
        let depth_of = |row: &usize| rows.get(*row, depth).number().unwrap_or(0.0);
        let axes: Vec<usize> = self.axes.iter().copied().filter(|axis| *axis != depth).collect();
        let deepest = |group: Vec<usize>| {
            let most = group.iter().map(depth_of).fold(0.0, f64::max);
            group.into_iter().filter(move |row| depth_of(row) == most)
        };
        let mut kept: Vec<usize> = rows.groups(&self.rows, &axes).into_iter().flat_map(deepest).collect();
        kept.sort_unstable();
        Grid { rows: kept, axes: self.axes.clone() }
    }

    /// What a part of the grid is: the parameters that are the same in `part` and not in all of `whole`, but for `shown`, which the chart says itself.
    pub(crate) fn title(
        &self,
        rows: &Rows,
        part: &[usize],
        whole: &[usize],
        shown: &[usize],
    ) -> Vec<(String, String)> {
        let tells = |c: &usize| {
            !shown.contains(c) && rows.distinct(part, *c).len() == 1 && rows.distinct(whole, *c).len() > 1
        };
        let name = |c: usize| {
            let value = rows.get(part[0], c);
            let text = if *value == Value::Null { "none".to_owned() } else { value.short(6) };
            (rows.columns[c].name.replace('_', " "), text)
        };
        self.axes.iter().copied().filter(tells).map(name).collect()
    }
}

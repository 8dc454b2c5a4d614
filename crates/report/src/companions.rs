//! The columns that stand beside a result: predictions and references, which are dashed, and how far the result is uncertain.

use crate::chart::{Key, Look};
use crate::panel::{Axis, Series};
use crate::rows::Rows;
use crate::value::Value;

/// The columns that stand beside y: what is dashed, and how far y is uncertain.
pub(crate) struct Companions {
    axis: Axis,
    /// Columns, what they are called, and whether their -log2 is taken: drift as bits.
    pub(crate) dashed: Vec<(usize, String, bool)>,
    /// Least and greatest, and whether their -log2 is taken.
    range: Option<(usize, usize, bool)>,
    /// The error of y, and the column that it is the error of, if that is drift while y is in bits.
    stderr: Option<(usize, Option<usize>)>,
}

impl Companions {
    /// The companions of column `y` by their names: `y_reference`, `theory_y`, `y_min` and `y_max`, `stderr`; those of drift for bits.
    pub(crate) fn of(rows: &Rows, y: usize, axis: Axis) -> Companions {
        let name = rows.columns[y].name.as_str();
        let column = |name: &str| rows.column(name);
        let stem = name.strip_suffix("_log2").unwrap_or(name);
        let mut dashed = Vec::new();
        dashed.extend(
            column(&format!("{name}_reference"))
                .map(|c| (c, "reference that cannot overflow".to_owned(), false)),
        );
        for theory in [format!("theory_{name}"), format!("theory_{stem}")] {
            if let Some(c) = column(&theory)
                && dashed.iter().all(|(known, _, _)| *known != c)
            {
                dashed.push((c, theory, false));
            }
        }
        let bits = name == "bits_left";
        if bits {
            dashed.extend(column("theory_drift").map(|c| (c, "theory_drift, in bits".to_owned(), true)));
        }
        let of = if bits { "drift" } else { name };
        let range = column(&format!("{of}_min")).zip(column(&format!("{of}_max"))).map(|(a, b)| (a, b, bits));
        let own = column(&format!("{name}_stderr")).or(column(&format!("{stem}_stderr")));
        // A plain `stderr` is that of drift where there is drift, else of the rate or the only statistic of its rows.
        let plain = column("stderr").filter(|_| match column("drift") {
            Some(_) => bits || name == "drift",
            None => true,
        });
        let stderr = own.or(plain).map(|c| (c, bits.then(|| column("drift")).flatten()));
        Companions { axis, dashed, range, stderr }
    }

    /// A value of a companion as it stands on the axis of y; none if it is not finite there.
    pub(crate) fn number(&self, value: &Value, as_bits: bool) -> Option<f64> {
        let x = match (as_bits, self.axis) {
            (true, _) => -value.log2()?,
            (false, Axis::Log2) => value.log2()?,
            (false, Axis::Linear | Axis::IsLog2) => value.number()?,
        };
        x.is_finite().then_some(x)
    }

    /// The prediction and the standard error of y itself, if it has both.
    pub(crate) fn own_theory(&self, rows: &Rows) -> Option<(usize, usize)> {
        let is_theory = |c: usize| rows.columns[c].name.starts_with("theory_");
        let theory = self.dashed.iter().find(|(c, _, as_bits)| !as_bits && is_theory(*c))?.0;
        let (stderr, of_drift) = self.stderr?;
        of_drift.is_none().then_some((theory, stderr))
    }

    /// Least and greatest y of a row, on its axis.
    pub(crate) fn range_of(
        &self,
        rows: &Rows,
        row: usize,
        y: f64,
        precision: Option<f64>,
    ) -> Option<(f64, f64)> {
        let clamp = |x: f64, as_bits: bool| match as_bits {
            true => x.clamp(0.0, precision.unwrap_or(f64::INFINITY)),
            false => x,
        };
        if let Some((low, high, as_bits)) = self.range {
            let low = clamp(self.number(rows.get(row, low), as_bits)?, as_bits);
            let high = clamp(self.number(rows.get(row, high), as_bits)?, as_bits);
            return Some((low.min(high), low.max(high)));
        }
        let (stderr, of_drift) = self.stderr?;
        let error = rows.get(row, stderr).number().filter(|e| e.is_finite() && *e >= 0.0)?;
        match (of_drift, self.axis) {
            (Some(drift), _) => {
                let drift = rows.get(row, drift).number().filter(|d| *d > error)?;
                let bits = |d: f64| clamp(-libm::log2(d), true);
                Some((bits(drift + error), bits(drift - error)))
            }
            (None, Axis::Linear | Axis::IsLog2) => Some((y - error, y + error)),
            (None, Axis::Log2) => {
                let value = libm::exp2(y);
                (value > error).then(|| (libm::log2(value - error), libm::log2(value + error)))
            }
        }
    }

    /// What the key says of them, if they are drawn in `all`.
    pub(crate) fn key(&self, all: &[Series]) -> Vec<Key> {
        let mut key = Vec::new();
        if all.iter().any(|series| series.dashed.iter().any(|line| !line.is_empty())) {
            let names: Vec<&str> = self.dashed.iter().map(|(_, name, _)| name.as_str()).collect();
            key.push(Key::new(Look::Dashed, names.join("; ")));
        }
        if all.iter().flat_map(|series| &series.points).any(|point| point.range.is_some_and(|(a, b)| b > a)) {
            let what =
                if self.range.is_some() { "least to greatest over draws" } else { "one standard error" };
            key.push(Key::new(Look::Range, what));
        }
        key
    }
}

//! What a report takes from a study file: the question, the columns that its author looks at, and what was asked for.

use crate::ReportError;
use toml::de::DeTable;
use toml::{Table, Value as Toml};

/// The parts of `study.toml` that a page shows. The program that ran the study has checked the rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Study {
    pub(crate) question: String,
    pub(crate) measure: String,
    /// The columns of the table in the author's order; empty: all.
    pub(crate) columns: Vec<String>,
    /// Axes in the order of the file.
    pub(crate) axes: Vec<String>,
}

impl Study {
    pub(crate) fn read(place: &str, text: &str) -> Result<Study, ReportError> {
        let fail = |line, message: String| ReportError { place: place.to_owned(), line, message };
        let table: Table = toml::from_str(text).map_err(|e| {
            let line = e.span().and_then(|span| text.get(..span.start)).map(|t| t.matches('\n').count() + 1);
            fail(line, e.message().to_owned())
        })?;
        let text_of = |key: &str| match table.get(key) {
            Some(Toml::String(text)) => Ok(text.split_whitespace().collect::<Vec<_>>().join(" ")),
            Some(other) => Err(fail(None, format!("`{key}`: expected a text, found {}", other.type_str()))),
            None => Err(fail(None, format!("`{key}`: this key is missing"))),
        };
        let columns = match table.get("columns") {
            None => Vec::new(),
            Some(Toml::Array(names)) => names
                .iter()
                .map(|name| name.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| fail(None, "`columns`: expected names of columns".to_owned()))?,
            Some(other) => {
                let found = other.type_str();
                return Err(fail(None, format!("`columns`: expected a list of names, found {found}")));
            }
        };
        // The parser keeps tables sorted by name; the spans have the order of the file.
        let spanned = DeTable::parse(text).map_err(|e| fail(None, e.message().to_owned()))?;
        let axes = spanned.get_ref().get("axes").and_then(|axes| axes.get_ref().as_table());
        let mut axes: Vec<(usize, String)> = axes.map_or(Vec::new(), |axes| {
            axes.keys().map(|key| (key.span().start, key.get_ref().to_string())).collect()
        });
        axes.sort_unstable();
        Ok(Study {
            question: text_of("question")?,
            measure: text_of("measure")?,
            columns,
            axes: axes.into_iter().map(|(_, name)| name).collect(),
        })
    }
}

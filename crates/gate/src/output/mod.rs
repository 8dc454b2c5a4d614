//! The report of a gate as text for people and for programs.

mod github;
mod junit;
mod markdown;
mod page;
mod record;
mod terminal;

pub use github::github;
pub use junit::junit;
pub use markdown::markdown;
pub use page::page;
pub use record::{REPORT_SCHEMA_VERSION, SCHEMA, json};
pub use terminal::terminal;

/// `text` as content of an element or of a quoted attribute, in HTML and XML. Control characters, which XML does not allow, become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// `text` on one line, without control characters.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' | '\r' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

//! The page that lists all studies.

use crate::Report;
use crate::chart::{Chart, Panel, charts};
use crate::page::{answer_html, document, figure};
use crate::svg::{escape, prose};

/// The page with a card for each study: its question, the start of its answer and its first chart. A study's page is expected at `NAME/index.html`.
/// `criterion` is where criterion's report lies, as seen from this page, if there is one.
pub fn index(reports: &[Report], criterion: Option<&str>) -> String {
    let mut main = String::from(
        "<header class=\"lead\"><p class=\"kind\">Reports</p><h1>gradchain</h1><p class=\"question\">What number formats, summations, derivative paths and \
         remedies do to the gradient of a deep network, layer by layer.</p></header>\n<div class=\"cards\">\n",
    );
    for (n, report) in reports.iter().enumerate() {
        let link = format!("{}/index.html", escape(&report.name));
        main += &format!(
            "<article><h2><a href=\"{link}\">{}</a></h2><p class=\"question\">{}</p>\n",
            escape(&report.name),
            prose(&report.study.question)
        );
        let charts = charts(&report.rows, &report.study, &format!("s{n}-"));
        // The panel in which most is drawn, of those that fit a card.
        let fits = |panel: &&Panel| !panel.small.contains(" wide\"");
        let telling = |chart: &Chart| {
            let panels = chart.panels.iter().take(9).filter(fits);
            panels.rev().max_by_key(|panel| panel.small.len()).or(chart.panels.first()).cloned()
        };
        if let Some((chart, mut panel)) = charts.first().and_then(|chart| Some((chart, telling(chart)?))) {
            panel.large = None;
            main += &format!("<p class=\"caption\">{}</p>\n{}", escape(&chart.heading), figure(&panel));
        }
        main += &answer_html(report.answer.get(..report.answer.len().min(2)).unwrap_or_default());
        main += &format!(
            "<p class=\"more\"><a href=\"{link}\">All charts and {} rows</a></p></article>\n",
            report.rows.rows.len()
        );
    }
    main += "</div>\n";
    if let Some(criterion) = criterion {
        main += &format!(
            "<p class=\"caption\">How fast it is: <a href=\"{}\">criterion's report</a> of the last <code>cargo bench</code>.</p>\n",
            escape(criterion)
        );
    }
    document("gradchain reports", "index.html", &main)
}

//! The studies that come with the program.

/// Name and text of each built-in study; a new one is a directory below `reports` and a line here.
pub const BUILTIN: [(&str, &str); 10] = [
    ("scalar", include_str!("../../../reports/scalar/study.toml")),
    ("drift", include_str!("../../../reports/drift/study.toml")),
    ("layers", include_str!("../../../reports/layers/study.toml")),
    ("growth", include_str!("../../../reports/growth/study.toml")),
    ("spectrum", include_str!("../../../reports/spectrum/study.toml")),
    ("remedies", include_str!("../../../reports/remedies/study.toml")),
    ("association", include_str!("../../../reports/association/study.toml")),
    ("derivative", include_str!("../../../reports/derivative/study.toml")),
    ("saturation", include_str!("../../../reports/saturation/study.toml")),
    ("learning-rate", include_str!("../../../reports/learning-rate/study.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Study;

    #[test]
    fn every_built_in_study_plans() {
        for (name, text) in BUILTIN {
            let study = Study::parse(name, &format!("reports/{name}/study.toml"), text).unwrap();
            let cells = study.plan(&|path, _| Err(format!("no file is read here: {path}"))).unwrap();
            assert!(!cells.is_empty() && !study.question.is_empty(), "{name}");
        }
    }
}

//! The table of docs/clipping.md is what the example prints.

#[path = "../examples/frameworks.rs"]
#[expect(dead_code, reason = "the example's `main`")]
mod frameworks;

#[test]
fn clipping_table() {
    let page =
        std::fs::read_to_string(format!("{}/../../docs/clipping.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for line in frameworks::table().lines() {
        assert!(page.lines().any(|text| text == line), "docs/clipping.md lacks: {line}");
    }
}

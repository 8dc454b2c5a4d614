//! Which works can be compared: an id that appears or vanishes must not pass unseen.

use crate::time::protocol::Listed;
use std::collections::BTreeMap;

/// The works of two programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Works of both, alike.
    pub common: Vec<Listed>,
    /// Ids of the head alone.
    pub appeared: Vec<String>,
    /// Ids of the base alone.
    pub vanished: Vec<String>,
    /// Ids whose works differ in kind or elements: (base, head). One name for two works, and no ratio means anything.
    pub different: Vec<(Listed, Listed)>,
    /// Ids that a program lists twice.
    pub twice: Vec<String>,
}

/// Compares the lists of the base and of the head, each in the order of its program; what is found has the order of the base, then of the head.
/// Ids that contain none of the `filters` are left out, if there are filters.
pub fn inventory(base: &[Listed], head: &[Listed], filters: &[String]) -> Inventory {
    let asked =
        |work: &&Listed| filters.is_empty() || filters.iter().any(|word| work.id.contains(word.as_str()));
    let mut found = Inventory::default();
    let mut index = |works: &[Listed]| {
        let mut by_id = BTreeMap::new();
        for work in works.iter().filter(asked) {
            if by_id.insert(work.id.clone(), work.clone()).is_some() && !found.twice.contains(&work.id) {
                found.twice.push(work.id.clone());
            }
        }
        by_id
    };
    let (of_base, of_head) = (index(base), index(head));
    for work in base.iter().filter(asked).filter(|work| !found.twice.contains(&work.id)) {
        match of_head.get(&work.id) {
            None => found.vanished.push(work.id.clone()),
            Some(other) if other == work => found.common.push(work.clone()),
            Some(other) => found.different.push((work.clone(), other.clone())),
        }
    }
    for work in head.iter().filter(asked).filter(|work| !found.twice.contains(&work.id)) {
        if !of_base.contains_key(&work.id) {
            found.appeared.push(work.id.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::protocol::Kind;

    fn works(ids: &[&str]) -> Vec<Listed> {
        let work = |id: &&str| Listed { id: (*id).to_owned(), kind: Kind::Pinned, elements: 1 };
        ids.iter().map(work).collect()
    }

    #[test]
    fn every_id_is_accounted_for() {
        let base = works(&["a", "b", "gone", "units", "kind", "twice", "twice"]);
        let mut head = works(&["new", "b", "a", "units", "kind"]);
        head[3].elements = 1000;
        head[4].kind = Kind::Threaded;
        let found = inventory(&base, &head, &[]);
        assert_eq!(found.common, works(&["a", "b"]));
        assert_eq!(found.appeared, ["new"]);
        assert_eq!(found.vanished, ["gone"]);
        assert_eq!(
            found.different.iter().map(|(work, _)| work.id.as_str()).collect::<Vec<_>>(),
            ["units", "kind"]
        );
        assert_eq!(found.twice, ["twice"]);
    }

    #[test]
    fn filters_apply_to_both() {
        let found =
            inventory(&works(&["ax", "b", "cx"]), &works(&["ax", "dx", "e"]), &["x".into(), "q".into()]);
        assert_eq!(found.common, works(&["ax"]));
        assert_eq!((found.appeared, found.vanished), (vec!["dx".to_owned()], vec!["cx".to_owned()]));
        assert_eq!(inventory(&works(&["a"]), &works(&["a"]), &["z".into()]), Inventory::default());
    }
}

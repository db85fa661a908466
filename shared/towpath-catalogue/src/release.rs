//! Writing down what is promised from now on: the schemas as they stand, and samples that are kept for ever.
//! Must not know: types, files.

use std::collections::BTreeMap;

use crate::folder::{Folder, Shelf};

/// The released shelf after a release of what is current. A sample that was released is never changed: one that looks
/// different now gets a name of its own, `orders-api.served~2`.
pub fn release(folder: &Folder) -> BTreeMap<String, String> {
    let mut after: Shelf = folder.released.clone();
    for (version, schema) in &folder.current.schemas {
        after.schemas.insert(version.clone(), schema.clone());
        let kept = after.samples.entry(version.clone()).or_default();
        for (name, sample) in folder.current.samples_of(version) {
            let known = kept.iter().any(|(other, value)| story_name(other) == *name && value == sample);
            if !known {
                let free = |name: &String| !kept.contains_key(name);
                let later = (2..).map(|number| format!("{name}~{number}"));
                let name = std::iter::once(name.clone()).chain(later).find(free);
                name.map(|name| kept.insert(name, sample.clone()));
            }
        }
    }
    after.files()
}

/// The name under which a sample was first released.
pub(crate) fn story_name(sample: &str) -> &str {
    sample.split_once('~').map_or(sample, |(name, _)| name)
}

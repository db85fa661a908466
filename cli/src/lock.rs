//! consumers.lock: the generation of each consumer's code here.
//! Must not know: what is deployed.

use std::collections::BTreeMap;

/// The generation of each consumer that a lock file names.
pub(crate) fn generations(lock: &str) -> BTreeMap<&str, u32> {
    let lines = lock.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let named = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.next()?.parse().ok()?))
    });
    named.collect()
}

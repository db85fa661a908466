//! Which code runs: is the newest version of each function behind its alias? Must not know: how it is asked.

use super::Finding;
use super::live::Seen;

/// Every finding.
pub(super) fn findings(seen: &Seen) -> Vec<Finding> {
    let drifted = seen.functions.iter().filter(|it| it.live.is_none() || it.live != it.newest);
    let finding = |function: &super::live::Function| {
        let (live, newest) = (function.live.as_deref(), function.newest.as_deref());
        let what = format!(
            "{}: the alias live is version {}, the newest is {}",
            function.name,
            live.unwrap_or("none"),
            newest.unwrap_or("none")
        );
        let fix = "a deployment is under way or was rolled back: end it, or deploy again";
        Finding::new("version-drift", what, fix)
    };
    drifted.map(finding).collect()
}

//! What the catalogue's commands say to people, and what they write: the same in `towpath catalogue` and in a product's own
//! program. Must not know: options, exit codes.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::check::{Finding, check};
use crate::command::EVIDENCE;
use crate::docs::pages;
use crate::folder::{Folder, RELEASED, lay_out};
use crate::release::release;

/// Findings as lines, and a last line that sums them up.
pub fn said(folder: &Folder, findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let verb = if finding.refused { "refused" } else { "note" };
        let at = if finding.at.is_empty() { String::new() } else { format!(" at {}", finding.at) };
        let text = format!("{verb}: {}{at}: {}", finding.of, finding.says);
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    let mut lines: Vec<String> = findings.iter().map(line).collect();
    lines.push(match findings.iter().filter(|finding| finding.refused).count() {
        0 => format!("The catalogue of {} breaks no promise.", folder.listing.counted()),
        refused => format!(
            "{refused} {} refused. A change that breaks a version needs a new one: see the guide change-an-event.",
            if refused == 1 { "thing is" } else { "things are" }
        ),
    });
    lines.join("\n")
}

/// Makes the pages be those of the catalogue, or says what differs. Returns how many there are, and what was changed.
pub fn write_pages(folder: &Folder, root: &Path, write: bool) -> io::Result<(usize, Vec<String>)> {
    let mut pages: BTreeMap<String, String> = pages(folder);
    // The contract tests write their page themselves.
    if let Ok(evidence) = std::fs::read_to_string(root.join(EVIDENCE)) {
        pages.insert(EVIDENCE.to_owned(), evidence);
    }
    Ok((pages.len(), lay_out(root, &pages, None, write)?))
}

/// Writes down what is promised from now on; returns how many files that changed, or what is refused.
pub fn write_release(folder: &Folder, schemas: &Path, today: &str) -> io::Result<Result<usize, Vec<Finding>>> {
    let refused: Vec<Finding> = check(folder, today).into_iter().filter(|finding| finding.refused).collect();
    if !refused.is_empty() {
        return Ok(Err(refused));
    }
    Ok(Ok(lay_out(&schemas.join(RELEASED), &release(folder), None, true)?.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_event_the_place_and_the_guide() {
        let finding =
            |refused, at: &str| Finding { refused, of: "a.b v1".into(), at: at.into(), says: "it\nis".into() };
        let said = |findings: &[Finding]| super::said(&Folder::default(), findings);
        let both = said(&[finding(true, "/properties/x"), finding(false, "")]);
        assert!(
            both.starts_with("refused: a.b v1 at /properties/x: it is\nnote: a.b v1: it is\n1 thing is refused."),
            "{both}"
        );
        assert!(both.ends_with("change-an-event."));
        assert_eq!(said(&[]), "The catalogue of 0 events breaks no promise.");
    }
}

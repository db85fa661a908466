//! The committed list of what an endpoint is known to do otherwise, and what a run makes of it: an unlisted deviation fails,
//! and so does a listed one that is gone. Must not know: what the cases ask.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

/// Parts the fields of a line: case — what is different — since which version seen.
const DASH: &str = " — ";

/// Known deviations of one kind of endpoint, by case.
#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<String, String>);

/// What the endpoint's answer to one case means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As AWS.
    Holds,
    /// Not as AWS, and on the list.
    Known,
    /// Not as AWS, and not on the list.
    Deviates,
    /// As AWS, though the list says otherwise.
    Mended,
    /// The endpoint was not asked.
    NotAsked,
}

impl Known {
    /// Reads a list; every line must name a case.
    pub(crate) fn parse(text: &str, cases: &[&str]) -> Result<Self> {
        let mut known = BTreeMap::new();
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let fields: Vec<&str> = line.split(DASH).collect();
            ensure!(fields.len() == 3, "this is not `case{DASH}what is different{DASH}since`: {line}");
            let (case, what) = (fields[0], fields[1]);
            ensure!(cases.contains(&case), "there is no such case: {case}");
            let before = known.insert(case.to_owned(), what.to_owned());
            ensure!(before.is_none(), "it is listed twice: {case}");
        }
        Ok(Self(known))
    }

    /// Reads the list of a kind of endpoint.
    pub(crate) fn read(kind: &str, cases: &[&str]) -> Result<Self> {
        let file = deployed::root().join("tests/conformance/deviations").join(format!("{kind}.txt"));
        let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        Self::parse(&text, cases).with_context(|| format!("in {}", file.display()))
    }

    /// Compares one answer with the list.
    pub(crate) fn verdict(&self, case: &str, answer: Option<&Result<(), String>>) -> Verdict {
        match (answer, self.0.contains_key(case)) {
            (None, _) => Verdict::NotAsked,
            (Some(Ok(())), false) => Verdict::Holds,
            (Some(Ok(())), true) => Verdict::Mended,
            (Some(Err(_)), true) => Verdict::Known,
            (Some(Err(_)), false) => Verdict::Deviates,
        }
    }

    /// What the list says about a case.
    pub(crate) fn what(&self, case: &str) -> &str {
        self.0.get(case).map(String::as_str).unwrap_or_default()
    }
}

impl Verdict {
    /// Does the run fail because of it?
    pub(crate) fn fails(self) -> bool {
        matches!(self, Self::Deviates | Self::Mended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlisted_deviation_fails_and_a_listed_one_that_is_gone_fails_too() {
        let known = Known::parse("# a list\n\n1 a — it is not — x 1.0\n", &["1 a", "2 b"]).unwrap();
        let (holds, differs) = (Ok(()), Err("why".to_owned()));
        let verdict = |case, answer| known.verdict(case, answer);
        assert_eq!(verdict("1 a", Some(&differs)), Verdict::Known);
        assert_eq!(verdict("1 a", Some(&holds)), Verdict::Mended);
        assert_eq!(verdict("2 b", Some(&differs)), Verdict::Deviates);
        assert_eq!(verdict("2 b", Some(&holds)), Verdict::Holds);
        assert_eq!(verdict("1 a", None), Verdict::NotAsked);
        assert_eq!(known.what("1 a"), "it is not");
        let fails = [Verdict::Known, Verdict::Mended, Verdict::Deviates, Verdict::Holds, Verdict::NotAsked];
        assert_eq!(fails.map(Verdict::fails), [false, true, true, false, false]);
    }

    #[test]
    fn a_list_that_names_no_case_or_one_twice_is_refused() {
        for text in ["3 c — it is not — x 1.0", "1 a — it is not", "1 a", "1 a — y — z\n1 a — y — z"] {
            assert!(Known::parse(text, &["1 a"]).is_err(), "{text}");
        }
    }

    #[test]
    fn every_list_can_be_read() {
        let cases: Vec<&str> = crate::cases::all().map(|case| case.name).collect();
        assert!(!Known::read("ministack", &cases).unwrap().0.is_empty());
    }
}

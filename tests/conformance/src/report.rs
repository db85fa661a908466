//! What a run says: a table for people, or JSON. Must not know: how anything was asked.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use crate::deviations::Verdict;

/// One case and both answers.
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) model: Option<Result<(), String>>,
    pub(crate) endpoint: Option<Result<(), String>>,
    pub(crate) verdict: Verdict,
    /// What the list of deviations says.
    pub(crate) listed: String,
    /// Why only one side is asked.
    pub(crate) why_one_side: &'static str,
}

impl Row {
    /// The model is to be as AWS; the endpoint as its list says.
    pub(crate) fn fails(&self) -> bool {
        matches!(self.model, Some(Err(_))) || self.verdict.fails()
    }

    fn model_cell(&self) -> String {
        match &self.model {
            None => format!("– {}", self.why_one_side),
            Some(Ok(())) => "✓".to_owned(),
            Some(Err(_)) => "✗ WRONG".to_owned(),
        }
    }

    fn endpoint_cell(&self) -> String {
        match self.verdict {
            Verdict::Holds => "✓".to_owned(),
            Verdict::Known => format!("≠ known: {}", self.listed),
            Verdict::Deviates => "✗ DEVIATES".to_owned(),
            Verdict::Mended => "✗ LISTED, but as AWS".to_owned(),
            Verdict::NotAsked => format!("– {}", self.why_one_side),
        }
    }
}

pub(crate) fn table(kind: Option<&str>, rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["case", "model", kind.unwrap_or("endpoint")]);
    for row in rows {
        table.add_row([row.case.to_owned(), row.model_cell(), row.endpoint_cell()]);
    }
    print(&table.to_string());
    for row in rows {
        if let Some(Err(why)) = &row.model {
            print(&format!("✗ {}\n  the model: {why}", row.case));
        }
        match (&row.endpoint, row.verdict) {
            (Some(Err(why)), Verdict::Deviates) => print(&format!("✗ {}\n  the endpoint: {why}", row.case)),
            (_, Verdict::Mended) => print(&format!("✗ {}\n  it holds: remove it from the list", row.case)),
            _ => {}
        }
    }
    let count = |is: fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
    let model = count(|row| row.model.is_some());
    let endpoint = count(|row| row.endpoint.is_some());
    let (known, wrong) = (count(|row| row.verdict == Verdict::Known), count(Row::fails));
    print(&format!(
        "{} cases: {model} asked of the model, {endpoint} of the endpoint; {known} known deviations, {wrong} wrong.",
        rows.len()
    ));
}

pub(crate) fn json(rows: &[Row]) {
    let answer = |of: &Option<Result<(), String>>| match of {
        None => json!(null),
        Some(Ok(())) => json!("holds"),
        Some(Err(why)) => json!({ "differs": why }),
    };
    let row = |row: &Row| {
        json!({
            "case": row.case, "model": answer(&row.model), "endpoint": answer(&row.endpoint), "listed": row.listed,
            "one_side_because": row.why_one_side, "fails": row.fails(),
        })
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    print(&serde_json::Value::Array(rows).to_string());
}

#[allow(clippy::print_stdout, reason = "printing a table is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}

#[allow(clippy::print_stderr, reason = "trouble with the endpoint is not part of the table")]
pub(crate) fn warn(text: &str) {
    eprintln!("{text}");
}

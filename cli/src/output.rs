//! How every command speaks: lines for people, tables, ages, exit codes, and a progress bar where there is a terminal.
//! Must not know: what is said.

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use towpath::Timestamp;

/// Something was found or did not work.
pub(crate) const FAILED: u8 = 1;
/// What was asked makes no sense, or may do more than was meant.
pub(crate) const USAGE: u8 = 2;
/// Some of it was done; the same command goes on.
pub(crate) const PARTLY: u8 = 3;
/// Somebody else has changed it in between.
pub(crate) const CONFLICT: u8 = 4;

/// A wrong question: says what to ask instead. It ends the program with [`USAGE`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// The time now, as this machine has it.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Prints a line or more. A reader that has seen enough, such as `head`, is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    use std::io::{ErrorKind, Write};
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints JSON for programs, or the lines of `text` for people.
pub(crate) fn say(json: bool, report: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
    if json { print(&serde_json::to_string(report)?) } else { print(text().trim_end()) }
}

/// The exit code `code`.
pub(crate) fn exit(code: u8) -> ExitCode {
    ExitCode::from(code)
}

/// Text that somebody else wrote, fit for a terminal: one line, and nothing in it that moves the cursor or turns the
/// reading direction.
pub(crate) fn plain(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

/// The same, cut to at most `most` characters.
pub(crate) fn short(text: &str, most: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// An error's class without the paths of its modules: `towpath::ports::Unavailable` is `Unavailable`.
pub(crate) fn short_class(class: &str) -> String {
    let mut kept = String::new();
    for part in class.split_inclusive("::") {
        match part.strip_suffix("::") {
            Some(module) => {
                let name = module.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
                kept.push_str(&module[..name]);
            }
            None => kept.push_str(part),
        }
    }
    plain(&kept)
}

/// How long ago something was, in the two units that matter.
pub(crate) struct Age(pub(crate) u64);

impl Age {
    /// From `then` to `now`.
    pub(crate) fn between(then: Timestamp, now: Timestamp) -> Self {
        Self(now.millis_since(then))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000;
        match seconds {
            0 => write!(f, "{} ms", self.0),
            1..=119 => write!(f, "{seconds} s"),
            120..=7_199 => write!(f, "{} min", seconds / 60),
            7_200..=172_799 => write!(f, "{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
            _ => write!(f, "{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
        }
    }
}

/// `1 row`, `2 rows`.
pub(crate) fn count(number: u64, one: &str, more: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {more}") }
}

/// A table as wide as the terminal; the columns whose number is in `right` hold numbers.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    right: &[usize],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// A bar on standard error, if that is a terminal.
pub(crate) fn bar(total: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(total as u64).with_message(what);
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos} of {len}  {elapsed}, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("━━─"));
    }
    bar
}

/// Ctrl-C: what is begun is ended in order, and a second one ends the program.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches from now on.
    pub(crate) fn watch() -> Self {
        let interrupt = Self::default();
        let flag = Arc::clone(&interrupt.0);
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if flag.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        });
        interrupt
    }

    /// Did it come?
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_said_in_units_that_a_person_thinks_in() {
        let said = |seconds: u64| Age(seconds * 1_000).to_string();
        assert_eq!(Age(250).to_string(), "250 ms");
        assert_eq!([said(1), said(119), said(120), said(7_199)], ["1 s", "119 s", "2 min", "119 min"]);
        assert_eq!([said(7_200), said(172_799), said(172_800)], ["2 h 0 min", "47 h 59 min", "2 d 0 h"]);
    }

    #[test]
    fn what_others_wrote_cannot_move_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\r\nc\u{202e}d"), "a [2Jb  c d");
        assert_eq!(short("äbcdef", 4), "äbc…");
        assert_eq!(short("äbcd", 4), "äbcd");
    }

    #[tokio::test]
    async fn ctrl_c_lets_what_is_begun_end_in_order() {
        let interrupt = Interrupt::watch();
        tokio::task::yield_now().await;
        assert!(!interrupt.came());
        let sent = std::process::Command::new("kill").args(["-INT", &std::process::id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal was sent");
        let came = async {
            while !interrupt.came() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), came).await.expect("it was heard");
    }

    #[test]
    fn a_class_is_shown_without_its_modules() {
        assert_eq!(short_class("core::num::error::ParseIntError"), "ParseIntError");
        assert_eq!(short_class("a::b::Sdk<c::d::E, f::G>"), "Sdk<E, G>");
        assert_eq!(short_class("unknown event version"), "unknown event version");
    }
}

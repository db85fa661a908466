//! Lines of the log that somebody else had a hand in: each is one line of JSON, and none is longer than can be read.
//! Must not know: what is logged, at which level.

use std::io::{self, Write};

use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

/// Longest line that is written as it is, in bytes. CloudWatch cuts what is above 256 KB, into pieces that are no JSON.
const LINE_BYTES: usize = 16 * 1024;
/// Longest text in a longer line, in characters.
const TEXT_CHARS: usize = 1_000;

/// Writes whole lines, and cuts the texts in those that are too long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<M>(pub(crate) M);

/// One line on its way; the formatter gives it in one piece.
#[derive(Debug)]
pub(crate) struct Line<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lines<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self.0.make_writer())
    }
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match serde_json::from_slice::<Value>(line) {
            Ok(said) if line.len() > LINE_BYTES => writeln!(self.0, "{}", cut(said))?,
            _ => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn cut(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > TEXT_CHARS => {
            let kept: String = text.chars().take(TEXT_CHARS).collect();
            Value::String(format!("{kept}… ({} bytes)", text.len()))
        }
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, cut(value))).collect(),
        Value::Array(items) => items.into_iter().map(cut).collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use towpath::Redacted;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the log holds after `say`, line by line.
    fn logged(say: impl FnOnce()) -> Vec<String> {
        let kept = Kept::default();
        let to = kept.clone();
        let log = tracing_subscriber::fmt().json().flatten_event(true).with_writer(Lines(move || to.clone())).finish();
        tracing::subscriber::with_default(log, say);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_others_wrote_is_one_escaped_line_however_it_looks() {
        let hostile = "a\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}\n\u{1b}[2J\u{0}\u{202e}b";
        let lines = logged(|| tracing::warn!(reason = hostile, class = %hostile, "an event was not applied"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].bytes().all(|byte| byte >= b' '), "{lines:?}");
        let said: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(
            (&said["reason"], &said["class"], &said["level"]),
            (&hostile.into(), &hostile.into(), &"WARN".into())
        );
    }

    #[test]
    fn a_megabyte_becomes_its_beginning_and_its_size() {
        let long = "ä\n".repeat(500_000);
        let lines = logged(|| tracing::error!(reason = long, seq = 7, "a command can never be committed"));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].len() < LINE_BYTES, "{} bytes", lines[0].len());
        let said: Value = serde_json::from_str(&lines[0]).unwrap();
        assert!(said["reason"].as_str().unwrap().ends_with("… (1500000 bytes)"), "{said}");
        assert_eq!((&said["seq"], &said["message"]), (&7.into(), &"a command can never be committed".into()));
    }

    #[test]
    fn personal_data_and_secrets_are_in_no_line() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "it is shown as a whole")]
        struct Customer {
            mail: Redacted<String>,
            card: Option<Redacted<u64>>,
        }
        let customer = Customer { mail: "canary@example.com".to_owned().into(), card: Some(4711_4711_4711_u64.into()) };
        let lines = logged(|| tracing::warn!(?customer, mail = ?customer.mail, "a customer"));
        assert!(
            lines[0].contains("[redacted]") && !lines[0].contains("canary") && !lines[0].contains("4711"),
            "{lines:?}"
        );
    }
}

//! Personal data: stored and sent as it is, and never shown by mistake. Must not know: whose data, where it goes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value that no log line and no error may show. It is written as the value itself; its schema marks it as personal data.
/// It has no `Display`, and its `Debug` does not tell it: who wants the value says [`Redacted::reveal`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// The value, for what the product is there to do with it.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_data_is_written_as_it_is_and_shown_to_nobody() {
        let mail = Redacted::from("ann@example.com".to_owned());
        assert_eq!(serde_json::to_string(&mail).unwrap(), r#""ann@example.com""#);
        assert_eq!(serde_json::from_str::<Redacted<String>>(r#""ann@example.com""#).unwrap(), mail);
        assert_eq!(format!("{mail:?} {:#?}", Some(&mail)), "[redacted] Some(\n    [redacted],\n)");
        assert_eq!(mail.reveal(), "ann@example.com");
    }
}

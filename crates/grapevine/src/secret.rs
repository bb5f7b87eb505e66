//! A value that is never printed.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};

use crate::exit::{ExitKind, Failure};

/// What stands in the place of a secret wherever settings are printed.
const PRINTED: &str = "(secret)";

/// A password, key or token from the configuration. It has no `Display`, and its `Debug` and
/// `Serialize` give a placeholder: only [`reveal`](Secret::reveal) gives the text, to be handed on.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, to be handed to whoever asks for it, never to be printed or logged.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Reads it from a file, as Docker and Kubernetes mount them; a line end after it is not part
    /// of it. `key` is the configuration key that names the file.
    ///
    /// # Errors
    /// A file that cannot be read or is empty, by key.
    pub fn from_file(key: &str, path: &Path) -> Result<Secret, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(
                ExitKind::Config,
                format!(
                    "configuration: {key} = {}: {error}; mount the secret there, or correct the key",
                    path.display()
                ),
            )
        })?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(Failure::new(
                ExitKind::Config,
                format!(
                    "configuration: {key} = {}: the file is empty; write the secret into it",
                    path.display()
                ),
            ));
        }
        Ok(Secret::new(text))
    }

    /// The secret of one of two keys: `name` with the text, `name_file` with a file of it.
    ///
    /// # Errors
    /// Both are given, or the file cannot be read.
    pub fn of_either(
        name: &str,
        text: Option<&Secret>,
        file: Option<&Path>,
    ) -> Result<Option<Secret>, Failure> {
        match (text, file) {
            (Some(_), Some(_)) => Err(Failure::new(
                ExitKind::Config,
                format!("configuration: {name} and {name}_file are both given: remove one"),
            )),
            (Some(text), None) => Ok(Some(text.clone())),
            (None, Some(file)) => Secret::from_file(&format!("{name}_file"), file).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(PRINTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(PRINTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_and_never_printed() {
        let secret: Secret = serde_json::from_str("\"hunter2\"").expect("reads");
        assert_eq!(secret.reveal(), "hunter2");
        let printed = format!(
            "{secret:?} {}",
            serde_json::to_string(&secret).expect("writes")
        );
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn a_file_holds_it_with_or_without_a_line_end() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("password");
        for text in ["hunter2", "hunter2\n", "hunter2\r\n"] {
            std::fs::write(&path, text).expect("writes");
            let read = Secret::of_either("clickhouse.password", None, Some(&path)).expect("reads");
            assert_eq!(read.expect("there").reveal(), "hunter2");
        }
        std::fs::write(&path, "\n").expect("writes");
        for (failure, says) in [
            (
                Secret::from_file("clickhouse.password_file", &path),
                "empty",
            ),
            (
                Secret::from_file("clickhouse.password_file", &dir.path().join("no")),
                "mount",
            ),
        ] {
            let said = failure.expect_err(says).to_string();
            assert!(
                said.contains(says) && said.contains("clickhouse.password_file"),
                "{said}"
            );
        }
        let both = Secret::of_either("clickhouse.password", Some(&Secret::new("a")), Some(&path));
        assert!(both.expect_err("both").to_string().contains("remove one"));
    }
}

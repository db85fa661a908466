//! The repository as the rules see it: the files under version control, and what commands say about them.
//! Must not know: any rule.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file under version control; its path is relative to the root.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// What follows the last dot of the name.
    pub(crate) fn extension(&self) -> &str {
        self.name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// Its lines, each with its place as an editor opens it: `shared/towpath/src/tx.rs:12`.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (String, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (format!("{}:{}", self.path, index + 1), line))
    }
}

/// The root folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/tidy lies two folders below the root").to_path_buf()
}

/// Every text file under version control. One that was deleted but not committed yet is left out.
pub(crate) fn files() -> Vec<File> {
    let listed = stdout(Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]));
    let files: Vec<File> = listed
        .split('\0')
        .filter_map(|path| Some(File::new(path, std::fs::read_to_string(root().join(path)).ok()?)))
        .collect();
    assert!(files.len() > 50, "git ls-files names only {} files: is this a clone?", files.len());
    files
}

/// What a command run in the root folder prints.
pub(crate) fn stdout(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap_or_else(|error| panic!("{command:?} prints no UTF-8: {error}"))
}

/// Fails with every finding on a line of its own.
pub(crate) fn none(findings: &[String]) {
    let plural = if findings.len() == 1 { "" } else { "s" };
    assert!(findings.is_empty(), "{} finding{plural}:\n  {}\n", findings.len(), findings.join("\n  "));
}

//! How the command ends: one message with the fix, and the exit code that says what kind it was.
//!
//! The codes are those of BSD `sysexits.h`, so that scripts and supervisors can tell a bad
//! argument from a full disk.

use std::fmt;

/// Why the command ends without having done what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// Wrong arguments (64).
    Usage,
    /// The input is not what it should be (65).
    Data,
    /// An input cannot be opened (66).
    NoInput,
    /// Something needed is not to be had: engine, port, server (69).
    Unavailable,
    /// A fault of Grapevine itself (70).
    Software,
    /// Reading or writing failed: full disk, broken pipe (74).
    InputOutput,
    /// Somebody else is using it; try again (75).
    InUse,
    /// The configuration is wrong (78).
    Config,
    /// Stopped by the user (130).
    Interrupted,
}

impl ExitKind {
    const ALL: [ExitKind; 9] = [
        ExitKind::Usage,
        ExitKind::Data,
        ExitKind::NoInput,
        ExitKind::Unavailable,
        ExitKind::Software,
        ExitKind::InputOutput,
        ExitKind::InUse,
        ExitKind::Config,
        ExitKind::Interrupted,
    ];

    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            ExitKind::Usage => 64,
            ExitKind::Data => 65,
            ExitKind::NoInput => 66,
            ExitKind::Unavailable => 69,
            ExitKind::Software => 70,
            ExitKind::InputOutput => 74,
            ExitKind::InUse => 75,
            ExitKind::Config => 78,
            ExitKind::Interrupted => 130,
        }
    }
}

/// An error on its way to the user.
#[derive(Debug)]
pub struct Failure {
    kind: ExitKind,
    message: String,
}

impl Failure {
    /// A failure in words that say what is wrong and what to do.
    pub fn new(kind: ExitKind, message: impl Into<String>) -> Self {
        Failure {
            kind,
            message: message.into(),
        }
    }

    /// A failure that another process of ours told with its exit code.
    pub fn told(code: u8, message: impl Into<String>) -> Self {
        let kind = ExitKind::ALL.into_iter().find(|kind| kind.code() == code);
        Failure::new(kind.unwrap_or(ExitKind::Software), message)
    }

    /// A failure with an error and everything that caused it, in one line.
    pub fn of(kind: ExitKind, error: impl std::error::Error) -> Self {
        Failure {
            kind,
            message: chain(&error),
        }
    }

    /// The exit code that it ends with.
    pub fn code(&self) -> u8 {
        self.kind.code()
    }

    /// What kind it is.
    pub fn kind(&self) -> ExitKind {
        self.kind
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Says, of an error of some kind, how the command ends on it.
pub trait Ends<T> {
    /// The value, or a failure of that kind with the error and its causes as message.
    ///
    /// # Errors
    /// Where there was one.
    fn ends(self, kind: ExitKind) -> Result<T, Failure>;
}

impl<T, E: std::error::Error + 'static> Ends<T> for Result<T, E> {
    fn ends(self, kind: ExitKind) -> Result<T, Failure> {
        self.map_err(|error| {
            if storage_full(&error) {
                return Failure::new(
                    ExitKind::InputOutput,
                    format!("no space left on the disk: {}; free some and run the command again, nothing stored is lost", chain(&error)),
                );
            }
            Failure::of(kind, error)
        })
    }
}

/// True where somewhere down the causes the disk was full.
fn storage_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::StorageFull
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error and its causes in one line, leaving out causes that the text before already says.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

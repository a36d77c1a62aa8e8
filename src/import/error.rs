//! Why a file of another program cannot be read.  Nothing of its text is quoted: any word may be a password.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use crate::access;
use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::text;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SourceLine {
    pub file: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::path(&self.file))?;
        if self.line > 0 { write!(f, ":{}", self.line) } else { Ok(()) }
    }
}

/// Why a configuration or a state file of another program is not taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The program itself would not accept it: typically it is another program's file, or was cut off.
    #[error("{place}: {what}")]
    Syntax {
        place: SourceLine,
        /// What is wrong; nothing of the file but words that are known.
        what: String,
    },
    /// A file cannot be opened, or is too large: typically it belongs to another user.
    #[error(transparent)]
    File(#[from] access::Error),
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Syntax { .. } => {
                Some(Cow::Borrowed("is it the right file?  the program that it belongs to must accept it"))
            }
            Self::File(e) => e.hint().map(|hint| Cow::Owned(hint.into_owned())),
        }
    }

    /// 65: the file is data of another program.
    fn exit_code(&self) -> ExitCode {
        ExitCode::Data
    }
}

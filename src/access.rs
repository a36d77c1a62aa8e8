//! Who owns a file, who else can change it, and as whom popfetch acts: the one place that looks at owners and modes.
//!
//! Two questions are answered here.  *May this file be believed?*  A configuration, a file of secrets or a state
//! directory that another user can replace holds what that user wants: [`check_path`] follows a path from `/`, through its
//! symbolic links, and finds who could lead it elsewhere.  *May this file be written?*  Root may write everywhere, so
//! root must not follow links that others can set: with [`Owner`] each step on such a path is taken with that user's
//! rights, and the system itself refuses what the user couldn't do.  (Looking first and acting as root afterwards would
//! leave a moment in between.)
//!
//! The rights are those of one thread (Linux has them per thread): its effective user and group, and its groups.  The
//! real and the saved user stay root's, so that the user can neither signal nor trace the process.

mod file;
mod owner;
mod paths;
mod switch;

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

pub use self::file::{contents, read, read_as, read_private};
pub use self::owner::{Acting, AsRoot, Owner, act, spawn};
pub use self::paths::{check_destination, check_path, check_private, open_regular};
use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::text::printable;

/// A file or directory that is not to be used as it is: typically another user can change it, or the directory in which
/// it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    /// What is wrong, naming the file.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl Error {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.hint))
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::Configuration
    }
}

/// No core dump, and no other program of the same user that looks into our memory, where passwords are (PR_SET_DUMPABLE,
/// prctl(2)).  Programs that we start are not concerned: it ends with execve.
#[cfg(target_os = "linux")]
pub fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // It can't be refused.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

#[cfg(not(target_os = "linux"))]
/// See the Linux version.
pub fn keep_memory_private() {}

/// No program that we start gets a descriptor that was left open for us: the lock of a script, for example, which a
/// program that goes on in the background (ssh with ControlPersist) would hold on to.  Ours are never inherited anyway.
pub fn keep_descriptors_private() {
    const FIRST: i32 = 3;
    close_fds::set_fds_cloexec(FIRST, &[]);
}

/// Whether we run as root.
#[must_use]
pub fn is_root() -> bool {
    us() == 0
}

fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A path as messages show it.
fn shown(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}

/// A path that can be pasted into a shell.
#[must_use]
pub fn shell_word(path: &Path) -> String {
    let shown = shown(path);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&b);
    if shown.bytes().all(plain) { shown } else { format!("'{}'", shown.replace('\'', r"'\''")) }
}

//! Who owns a file, who else can change it, and which user popfetch acts as: the one place that looks at owners and modes.
//!
//! Two questions are answered here.  *May this file be believed?*  A configuration, a file of secrets or a state
//! directory that another user can replace can hold anything.  [`check_path`] follows a path from `/`, through its symbolic links,
//! and finds the users who could change where it leads.  *May this file be written?*  Root may write everywhere, so
//! root must not follow links that others can set.  With [`Owner`] each step on such a path is taken with that user's
//! rights, and the system itself refuses what the user couldn't do.  (If root looked first and acted afterwards, the path
//! could change in between.)
//!
//! The rights are those of one thread (Linux has them per thread): its effective user and group, and its groups.  The
//! real and the saved user stay root's, so that the user can neither signal nor trace the process.

mod error;
mod file;
mod owner;
mod paths;
mod switch;

pub(crate) use self::error::{Error, shell_word};
pub(crate) use self::file::{contents, read, read_as, read_private};
pub(crate) use self::owner::{AsRoot, Owner, act, spawn};
pub(crate) use self::paths::{caller, check_destination, check_path, check_private, open_regular};
pub(crate) use self::switch::is_root;

/// No core dump, and no other program of the same user that looks into our memory, where passwords are (PR_SET_DUMPABLE,
/// prctl(2)).  Programs that we start are not concerned: it ends with execve.
#[cfg(target_os = "linux")]
pub(crate) fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // It can't be refused.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

#[cfg(not(target_os = "linux"))]
/// See the Linux version.
pub fn keep_memory_private() {}

/// No program that we start gets a descriptor that was left open for us, such as the lock of a script.  A program
/// that goes on in the background (ssh with ControlPersist) would hold on to it.  Ours are never inherited anyway.
pub(crate) fn keep_descriptors_private() {
    const FIRST: i32 = 3;
    close_fds::set_fds_cloexec(FIRST, &[]);
}

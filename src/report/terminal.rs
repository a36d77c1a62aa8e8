//! How large the terminal is.  It is asked each time: windows change their size.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

/// Columns and rows of the terminal that standard output goes to; `None` when it goes elsewhere, or the terminal doesn't
/// know.
#[must_use]
pub(crate) fn output_size() -> Option<(usize, usize)> {
    size(io::stdout())
}

/// The columns alone.
#[must_use]
pub(crate) fn output_width() -> Option<usize> {
    output_size().map(|(columns, _)| columns)
}

/// The same of the terminal that standard error goes to.
#[must_use]
pub(crate) fn error_size() -> Option<(usize, usize)> {
    size(io::stderr())
}

/// Whether standard error is the journal's: systemd names its device and inode in `$JOURNAL_STREAM` (systemd.exec(5)), which
/// is inherited by programs whose output goes elsewhere.
#[must_use]
pub(crate) fn stderr_is_journal(journal_stream: Option<&OsStr>) -> bool {
    let named = journal_stream.and_then(OsStr::to_str).and_then(|stream| stream.split_once(':'));
    let Some((Ok(device), Ok(inode))) = named.map(|(device, inode)| (device.parse(), inode.parse())) else {
        return false;
    };
    rustix::fs::fstat(io::stderr()).is_ok_and(|status| (status.st_dev, status.st_ino) == (device, inode))
}

fn size(stream: impl AsFd) -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    let known = size.ws_col > 0 && size.ws_row > 0;
    known.then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

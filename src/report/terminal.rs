//! How large the terminal is.  It is asked each time: windows change their size.

use std::io;
use std::os::fd::AsFd;

/// Columns and rows of the terminal that standard output goes to; `None` when it goes elsewhere, or the terminal doesn't
/// know.
#[must_use]
pub fn output_size() -> Option<(usize, usize)> {
    size(io::stdout())
}

/// Columns of the terminal that standard error goes to.
#[must_use]
pub fn error_columns() -> Option<usize> {
    size(io::stderr()).map(|(columns, _)| columns)
}

fn size(stream: impl AsFd) -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    let known = size.ws_col > 0 && size.ws_row > 0;
    known.then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

//! The terminal that bars are drawn on, without its last columns.
//!
//! Between two draws the cursor stands at the end of the last line.  There the terminal echoes Ctrl-C as `^C`; in the last
//! column that would begin another line, and the next draw would leave a bar behind.
//!
//! indicatif fills each line with blanks up to the last column, and relies on the terminal to begin another line there.  Here
//! the blanks are left out, and what follows them begins a line of its own.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::TermLike;

use crate::report::terminal;

/// The size of a terminal that doesn't know it.
const USUAL: (usize, usize) = (80, 24);
/// Columns that `^C` needs, and one more, since some terminals begin another line in the last one.
const ECHO: usize = 3;

/// How many columns bars may take now.
pub(super) fn columns() -> usize {
    size().0
}

/// Columns and rows for bars.  They are asked each time: windows change their size.
fn size() -> (usize, usize) {
    let (columns, rows) = terminal::error_size().unwrap_or(USUAL);
    (columns.saturating_sub(ECHO), rows)
}

/// The terminal that standard error is.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// A line is complete, and the cursor stands at its end.
    is_complete: AtomicBool,
}

impl Screen {
    /// Moves the cursor: `ESC [ n command` (ECMA-48).
    fn control(&self, n: usize, command: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.put(&format!("\x1b[{n}{command}")) }
    }

    fn put(&self, text: &str) -> io::Result<()> {
        self.is_complete.store(false, Ordering::Relaxed);
        io::stderr().write_all(text.as_bytes())
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        u16::try_from(size().0).unwrap_or(u16::MAX)
    }

    fn height(&self) -> u16 {
        u16::try_from(size().1).unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.control(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.control(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.control(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.control(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.put(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        if text.trim_start_matches(' ').is_empty() {
            self.is_complete.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let line_end = if self.is_complete.load(Ordering::Relaxed) { "\n" } else { "" };
        self.put(&format!("{line_end}{text}"))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}

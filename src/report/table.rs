//! A table in text whose columns are as wide as what stands in them.
//!
//! To know their width, rows are held back, at most one block of them: there may be a million.

use std::fmt::Write as _;

/// At most this many rows are held back.
pub(super) const BLOCK: usize = 1000;

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// As text does.
    Left,
    /// As numbers do.
    Right,
}

/// A table of `N` columns.  The last one has no width: nothing stands after it.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    // What each line begins with.
    prefix: String,
    columns: [Column; N],
    rows: Vec<[String; N]>,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    side: Side,
    // It never shrinks, so that a later block fits under an earlier one.
    width: usize,
}

impl<const N: usize> Table<N> {
    /// A table whose lines begin with `prefix`; for each column, its side and how wide it is at least.
    pub(super) fn new(prefix: String, columns: [(Side, usize); N]) -> Self {
        let columns = columns.map(|(side, width)| Column { side, width });
        Self { prefix, columns, rows: Vec::new() }
    }

    /// Takes a row in.  Gives lines to print whenever a block of them is complete.
    pub(super) fn push(&mut self, row: [String; N]) -> Option<String> {
        for (column, cell) in self.columns.iter_mut().zip(&row) {
            column.width = column.width.max(cell.chars().count());
        }
        self.rows.push(row);
        (self.rows.len() >= BLOCK).then(|| self.lines())
    }

    /// The rows that were held back.
    pub(super) fn lines(&mut self) -> String {
        let mut text = String::new();
        for row in std::mem::take(&mut self.rows) {
            text.push_str(&self.prefix);
            for (at, (Column { side, width }, cell)) in self.columns.iter().zip(row).enumerate() {
                // Writing to a String cannot fail.
                let _ = match side {
                    _ if at.saturating_add(1) == N => writeln!(text, "{cell}"),
                    Side::Left => write!(text, "{cell:width$}  "),
                    Side::Right => write!(text, "{cell:>width$}  "),
                };
            }
        }
        text
    }

    /// A line without columns.
    pub(super) fn line(&self, text: &str) -> String {
        format!("{}{text}\n", self.prefix)
    }
}

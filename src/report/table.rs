//! Rows of text as a table: columns as wide as their content, cut to the terminal's width.
//!
//! To know the widths, rows are held back: all of them by [`table`]; at most one block by [`Blocks`], for as many rows as a
//! server likes.
//!
//! What comes from mail or a server is made printable before it becomes a cell.  Widths are those of a terminal: an
//! ideograph takes two places, a combining mark none.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Places between two columns.
const GAP: &str = "  ";
/// A column that may be cut is not made narrower than that,
const NARROWEST: usize = 8;
/// and on a narrow terminal no column than that.
const NARROWEST_OF_ALL: usize = 5;
/// Keeps what follows text that is written from right to left where it is: without it some terminals turn both round
/// (Unicode Standard Annex 9).
const LEFT_TO_RIGHT: char = '\u{200e}';

/// At most this many rows are held back by [`Blocks`].
pub(super) const BLOCK: usize = 1000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub heading: &'static str,
    /// Whether it is aligned to the right, as numbers are.
    pub right: bool,
    /// Whether it is cut first where the table is too wide; the last column is cut in any case.
    pub may_be_cut: bool,
}

impl Column {
    /// A column of text, which is cut only where nothing else helps.
    #[must_use]
    pub(crate) const fn text(heading: &'static str) -> Self {
        Self { heading, right: false, may_be_cut: false }
    }

    /// A column of numbers, which is never cut.
    #[must_use]
    pub(crate) const fn number(heading: &'static str) -> Self {
        Self { heading, right: true, may_be_cut: false }
    }

    /// The same, cut where the table would be wider than the terminal.
    #[must_use]
    pub(crate) const fn cut(self) -> Self {
        Self { may_be_cut: true, ..self }
    }
}

/// The table of these rows, each with one cell for each column: a line of headings, and a line for each row.  `width` is
/// the terminal's; none where there is no terminal: then nothing is cut.
#[must_use]
pub(crate) fn table(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> String {
    let headings: Vec<String> = columns.iter().map(|column| column.heading.to_owned()).collect();
    let mut widths = vec![0; columns.len()];
    std::iter::once(&headings).chain(rows).for_each(|row| widen(&mut widths, row));
    if let Some(most) = width {
        narrow(columns, &mut widths, most);
    }
    std::iter::once(&headings).chain(rows).map(|row| line(columns, &widths, row)).collect()
}

/// A table without headings whose rows come one after the other, and are printed in blocks.
#[derive(Debug)]
pub(super) struct Blocks<const N: usize> {
    /// What each line begins with.
    prefix: String,
    columns: [Column; N],
    /// They never shrink, so that a later block fits under an earlier one.
    widths: [usize; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Blocks<N> {
    /// A table whose lines begin with `prefix`; for each column, how wide it is at least.
    pub(super) fn new(prefix: String, columns: [Column; N], widths: [usize; N]) -> Self {
        Self { prefix, columns, widths, rows: Vec::new() }
    }

    /// Takes a row in.  Gives lines to print whenever a block of them is complete.
    pub(super) fn push(&mut self, row: [String; N]) -> Option<String> {
        widen(&mut self.widths, &row);
        self.rows.push(row);
        (self.rows.len() >= BLOCK).then(|| self.lines())
    }

    /// The rows that were held back.
    pub(super) fn lines(&mut self) -> String {
        let rows = std::mem::take(&mut self.rows);
        rows.iter().map(|row| format!("{}{}", self.prefix, line(&self.columns, &self.widths, row))).collect()
    }

    /// A line without columns.
    pub(super) fn line(&self, text: &str) -> String {
        format!("{}{text}\n", self.prefix)
    }
}

/// The places that `text` takes on a terminal.
#[must_use]
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` with blanks behind it, so that it takes `places`, or more where it is longer.
#[must_use]
pub(crate) fn padded(text: &str, places: usize) -> String {
    format!("{text}{}", " ".repeat(places.saturating_sub(text.width())))
}

/// Makes each column at least as wide as its cell in `row`.
fn widen(widths: &mut [usize], row: &[String]) {
    for (width, cell) in widths.iter_mut().zip(row) {
        *width = (*width).max(cell.width());
    }
}

/// A row as a line: each cell cut and padded to its column's width.
fn line(columns: &[Column], widths: &[usize], row: &[String]) -> String {
    let mut line = String::new();
    for (at, ((column, width), cell)) in columns.iter().zip(widths).zip(row).enumerate() {
        if at > 0 {
            line.push_str(GAP);
        }
        let (cell, taken) = cut(cell, *width);
        let pad = " ".repeat(width.saturating_sub(taken));
        let mark = if cell.chars().any(is_right_to_left) { LEFT_TO_RIGHT.to_string() } else { String::new() };
        line.push_str(&if column.right {
            format!("{pad}{cell}{mark}")
        } else {
            format!("{cell}{mark}{pad}")
        });
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// Takes places away from the columns that may be cut until the table fits; where that isn't enough, from all columns of
/// text, since a row that is broken into several lines is worse.  Numbers stay whole.
fn narrow(columns: &[Column], widths: &mut [usize], most: usize) {
    let last = columns.len().saturating_sub(1);
    let may_be_cut = |at: usize| at == last || columns.get(at).is_some_and(|column| column.may_be_cut);
    narrow_those(widths, most, NARROWEST, may_be_cut);
    narrow_those(widths, most, NARROWEST_OF_ALL, |at| columns.get(at).is_some_and(|column| !column.right));
}

/// Takes places away from the widest of the columns that `may_be_cut`, down to `least` each, until the table fits.
fn narrow_those(widths: &mut [usize], most: usize, least: usize, may_be_cut: impl Fn(usize) -> bool) {
    let gaps = GAP.len().saturating_mul(widths.len().saturating_sub(1));
    loop {
        let total = widths.iter().sum::<usize>().saturating_add(gaps);
        let excess = total.saturating_sub(most);
        let widest = widths
            .iter_mut()
            .enumerate()
            .filter(|(at, width)| may_be_cut(*at) && **width > least)
            .max_by_key(|(_, width)| **width);
        let (false, Some((_, width))) = (excess == 0, widest) else { return };
        // One at a time would take as many turns as the longest cell has characters.
        *width = width.saturating_sub(excess.div_ceil(2)).max(least);
    }
}

/// What of `text` fits into `width` places, with an ellipsis if that isn't all; and the places it takes.
fn cut(text: &str, width: usize) -> (String, usize) {
    let whole = text.width();
    if whole <= width {
        return (text.to_owned(), whole);
    }
    let (mut out, mut taken) = (String::new(), 0_usize);
    for c in text.chars() {
        let places = c.width().unwrap_or(0);
        // One place is the ellipsis's.
        if taken.saturating_add(places) >= width {
            break;
        }
        out.push(c);
        taken = taken.saturating_add(places);
    }
    out.push('\u{2026}');
    (out, taken.saturating_add(1))
}

/// Whether a character is of a script that is written from right to left.
fn is_right_to_left(c: char) -> bool {
    matches!(u32::from(c), 0x590..=0x8FF | 0xFB1D..=0xFDFF | 0xFE70..=0xFEFF | 0x1_0800..=0x1_0FFF | 0x1_E800..=0x1_EFFF)
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::{Column, table};

    const COLUMNS: [Column; 3] =
        [Column::number("N"), Column::text("FROM").cut(), Column::text("SUBJECT").cut()];

    fn rows(cells: &[[&str; 3]]) -> Vec<Vec<String>> {
        cells.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect()
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let rows = rows(&[
            ["9", "Ann Example", "Lunch"],
            ["10", "\u{5c71}\u{7530}", "\u{4f60}\u{597d}"],
            ["11", "", ""],
        ]);
        let expected = " N  FROM         SUBJECT\n 9  Ann Example  Lunch\n10  \u{5c71}\u{7530}         \u{4f60}\u{597d}\n11\n";
        assert_eq!(table(&COLUMNS, &rows, None), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let long = "\u{5c71}".repeat(300);
        let rows =
            rows(&[["1", &long, &long], ["2", "Ann", "Re: Re: Re: Re: Re: Re: Re: Re: Re: Re: Re: Re: Re:"]]);
        for width in [24, 40, 80, 200] {
            for line in table(&COLUMNS, &rows, Some(width)).lines() {
                assert!(line.width() <= width, "{} of {width}: {line}", line.width());
            }
        }
        // Numbers are whole, however narrow it is.
        assert!(table(&COLUMNS, &rows, Some(3)).contains("2  Ann"));
        // Where it isn't enough to cut what may be cut, all text is.
        let columns = [Column::number("N"), Column::text("FROM"), Column::text("SUBJECT")];
        for line in table(&columns, &rows, Some(20)).lines() {
            assert!(line.width() <= 20, "{line}");
        }
        // Wide columns give up places, narrow ones keep theirs.
        assert!(table(&COLUMNS, &rows[1..], Some(30)).contains("2  Ann   Re: Re: Re"));
    }

    #[test]
    fn right_to_left_text_stays_in_its_column() {
        let rows = rows(&[["1", "\u{5e9}\u{5dc}\u{5d5}\u{5dd}", "12 x"]]);
        assert!(table(&COLUMNS, &rows, None).ends_with("1  \u{5e9}\u{5dc}\u{5d5}\u{5dd}\u{200e}  12 x\n"));
    }
}

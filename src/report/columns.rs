//! Rows of text as a table: columns as wide as what stands in them, cut to the terminal's width.
//!
//! What comes from mail or a server is made printable before it becomes a cell.  Widths are those of a terminal: an
//! ideograph takes two places, a combining mark none.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Places between two columns.
const GAP: &str = "  ";
/// A column that can be cut is not made narrower than that.
const NARROWEST: usize = 8;
/// Keeps what follows text that is written from right to left where it is: without it some terminals turn both round
/// (Unicode Standard Annex 9).
const LEFT_TO_RIGHT: char = '\u{200e}';

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its heading.
    pub heading: &'static str,
    /// Whether it is aligned to the right, as numbers are.
    pub right: bool,
    /// Whether it may be cut where the table is too wide; the last column is cut in any case.
    pub may_be_cut: bool,
}

impl Column {
    /// A column of text, which is never cut.
    #[must_use]
    pub const fn text(heading: &'static str) -> Self {
        Self { heading, right: false, may_be_cut: false }
    }

    /// A column of numbers, which is never cut.
    #[must_use]
    pub const fn number(heading: &'static str) -> Self {
        Self { heading, right: true, may_be_cut: false }
    }

    /// The same, cut where the table would be wider than the terminal.
    #[must_use]
    pub const fn cut(self) -> Self {
        Self { may_be_cut: true, ..self }
    }
}

/// The table of these rows, each with one cell for each column: a line of headings, and a line for each row.  `width` is
/// the terminal's; none where there is no terminal: then nothing is cut.
#[must_use]
pub fn table(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> String {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.heading.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    if let Some(most) = width {
        narrow(columns, &mut widths, most);
    }
    let mut text = String::new();
    let headings: Vec<String> = columns.iter().map(|column| column.heading.to_owned()).collect();
    for row in std::iter::once(&headings).chain(rows) {
        let mut line = String::new();
        for ((column, width), cell) in columns.iter().zip(&widths).zip(row) {
            let (cell, taken) = cut(cell, *width);
            let pad = " ".repeat(width.saturating_sub(taken));
            let mark =
                if cell.chars().any(is_right_to_left) { LEFT_TO_RIGHT.to_string() } else { String::new() };
            let cell = if column.right { format!("{pad}{cell}{mark}") } else { format!("{cell}{mark}{pad}") };
            if !line.is_empty() {
                line.push_str(GAP);
            }
            line.push_str(&cell);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The places that `text` takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` with blanks behind it, so that it takes `places`, or more where it is longer.
#[must_use]
pub fn padded(text: &str, places: usize) -> String {
    format!("{text}{}", " ".repeat(places.saturating_sub(text.width())))
}

/// Takes places away from the widest column that may be cut until the table fits, or none may be cut any more.
fn narrow(columns: &[Column], widths: &mut [usize], most: usize) {
    let gaps = GAP.len().saturating_mul(columns.len().saturating_sub(1));
    let last = columns.len().saturating_sub(1);
    loop {
        let total = widths.iter().sum::<usize>().saturating_add(gaps);
        let excess = total.saturating_sub(most);
        let may_be_cut = |at: usize| at == last || columns.get(at).is_some_and(|column| column.may_be_cut);
        let widest = widths
            .iter_mut()
            .enumerate()
            .filter(|(at, width)| may_be_cut(*at) && **width > NARROWEST)
            .max_by_key(|(_, width)| **width);
        let (false, Some((_, width))) = (excess == 0, widest) else { return };
        // One at a time would take as many turns as the longest cell has characters.
        *width = width.saturating_sub(excess.div_ceil(2)).max(NARROWEST);
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
        // What is never cut is whole, however narrow.
        assert!(table(&COLUMNS, &rows, Some(3)).contains("2  Ann"));
        // Wide columns give up places, narrow ones keep theirs.
        assert!(table(&COLUMNS, &rows[1..], Some(30)).contains("2  Ann   Re: Re: Re"));
    }

    #[test]
    fn right_to_left_text_stays_in_its_column() {
        let rows = rows(&[["1", "\u{5e9}\u{5dc}\u{5d5}\u{5dd}", "12 x"]]);
        assert!(table(&COLUMNS, &rows, None).ends_with("1  \u{5e9}\u{5dc}\u{5d5}\u{5dd}\u{200e}  12 x\n"));
    }
}

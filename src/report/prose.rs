//! Text for people at the width of their terminal: lines that are too long are broken between words.

use textwrap::{Options, WordSplitter};
use unicode_width::UnicodeWidthStr as _;

/// The lines of `text`, none wider than `width` where there are blanks to break it at; all as they are without a width.
/// What continues a line begins as that line does where that is a quotation (`> `), else with `indent`.
///
/// A word that is too long, as addresses of the web are, stays whole, so that it can be copied.
#[must_use]
pub(crate) fn wrapped(text: &str, width: Option<usize>, indent: &str) -> String {
    let Some(width) = width else { return text.to_owned() };
    text.split_inclusive('\n').map(|line| wrapped_line(line, width, indent)).collect()
}

fn wrapped_line(line: &str, width: usize, indent: &str) -> String {
    let (words, end) = line.strip_suffix('\n').map_or((line, ""), |words| (words, "\n"));
    // Tabs make columns, which breaking would spoil.
    if words.width() <= width || words.contains('\t') {
        return line.to_owned();
    }
    let quotation = words.len().saturating_sub(words.trim_start_matches([' ', '>', '|']).len());
    let quotation = words.get(..quotation).filter(|prefix| prefix.width() < width / 2).unwrap_or_default();
    let indent = if quotation.is_empty() { indent } else { quotation };
    let options = Options::new(width)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false)
        .subsequent_indent(indent);
    textwrap::fill(words, options) + end
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn long_lines_are_broken_between_words() {
        for (text, expected) in [
            ("short\n\nlines\n", "short\n\nlines\n"),
            ("one two three four\n", "one two\nthree four\n"),
            ("no line end at the end", "no line end\nat the end"),
            // Quotations stay quotations.
            ("> one two three\n", "> one two\n> three\n"),
            ("| > one two three\n", "| > one two\n| > three\n"),
            // An address of the web stays whole; so do hyphens.
            ("see https://example.com/a-long-one now\n", "see\nhttps://example.com/a-long-one\nnow\n"),
            // Wide characters take two places.
            (
                "\u{5c71}\u{5c71} \u{5c71}\u{5c71} \u{5c71}\u{5c71}\n",
                "\u{5c71}\u{5c71} \u{5c71}\u{5c71}\n\u{5c71}\u{5c71}\n",
            ),
            ("a\tcolumn\tof a table\n", "a\tcolumn\tof a table\n"),
        ] {
            assert_eq!(wrapped(text, Some(11), ""), expected, "{text}");
            assert_eq!(wrapped(text, None, ""), text);
        }
        assert_eq!(wrapped("To: one two three\n", Some(11), "    "), "To: one two\n    three\n");
        assert_eq!(wrapped(&">".repeat(100), Some(3), ""), ">".repeat(100));
    }
}

//! The words of a fetchmailrc, as fetchmail's lexer cuts them: the longest piece that fits counts, a quoted text before a
//! bare one of the same length.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FetchmailWord {
    /// Without quotes, its escapes replaced; `=` is one of its own.
    Bare(String),
    /// Between quotes.
    Quoted(String),
    /// Digits alone, with their text: a password may be one.
    Number(i64, String),
}

/// What separates words, and what counts for nothing between them.
const BLANK: [char; 6] = [' ', '\t', '\r', ';', ':', ','];
const NOISE: [&str; 5] = ["with", "and", "has", "wants", "options"];

/// A text that is cut into words as they are asked for.
#[derive(Clone)]
pub(super) struct FetchmailWords<'a> {
    rest: &'a str,
    /// The line of the word that was given last.
    pub(super) line: usize,
    /// Newlines that the last word held.
    pending: usize,
}

impl<'a> FetchmailWords<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { rest: text.trim_start_matches('\u{feff}'), line: 1, pending: 0 }
    }

    /// The next word, without taking it.
    pub(super) fn peek(&self) -> Option<FetchmailWord> {
        self.clone().next().ok().flatten()
    }

    /// Whether the next word is this one.
    pub(super) fn peek_is(&self, word: &str) -> bool {
        matches!(self.peek(), Some(FetchmailWord::Bare(next)) if next == word)
    }

    /// Whether the next word is a number.
    pub(super) fn peek_is_number(&self) -> bool {
        matches!(self.peek(), Some(FetchmailWord::Number(..)))
    }

    /// Whether the next word is a text, and not what `ends` a list.
    pub(super) fn peek_is_text(&self, ends: impl Fn(&str) -> bool) -> bool {
        match self.peek() {
            Some(FetchmailWord::Quoted(_)) => true,
            Some(FetchmailWord::Bare(word)) => word != "=" && !ends(&word),
            Some(FetchmailWord::Number(..)) | None => false,
        }
    }

    /// The next word.
    ///
    /// # Errors
    /// A quote without an end.
    pub(super) fn next(&mut self) -> Result<Option<FetchmailWord>, &'static str> {
        loop {
            self.line = self.line.saturating_add(std::mem::take(&mut self.pending));
            self.skip_blanks();
            let Some(first) = self.rest.chars().next() else { return Ok(None) };
            if first == '=' {
                self.rest = self.rest.strip_prefix('=').unwrap_or_default();
                return Ok(Some(FetchmailWord::Bare("=".to_owned())));
            }
            let bare = self.rest.find(['=', ';', ':', ',', ' ', '\t', '\r', '\n']).unwrap_or(self.rest.len());
            if matches!(first, '"' | '\'') {
                let inner = self.rest.get(1..).unwrap_or_default();
                let end = inner.find(first).ok_or("a quote has no end")?;
                // What is glued to the second quote makes a longer, bare word.
                if end.saturating_add(2) >= bare {
                    let text = inner.get(..end).unwrap_or_default();
                    self.rest = inner.get(end.saturating_add(1)..).unwrap_or_default();
                    self.pending = text.matches('\n').count();
                    return Ok(Some(FetchmailWord::Quoted(unescaped(text))));
                }
            }
            let (word, rest) = self.rest.split_at(bare);
            self.rest = rest;
            if NOISE.contains(&word) {
                continue;
            }
            let digits = word.strip_prefix('-').unwrap_or(word);
            if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
                return Ok(Some(FetchmailWord::Number(word.parse().unwrap_or(i64::MAX), word.to_owned())));
            }
            return Ok(Some(FetchmailWord::Bare(unescaped(word))));
        }
    }

    /// Blanks, line ends (perhaps behind a backslash), and comments, which begin where a word could.
    fn skip_blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches(BLANK);
            if let Some(comment) = self.rest.strip_prefix('#') {
                self.rest = comment.find('\n').and_then(|end| comment.get(end..)).unwrap_or_default();
            }
            let line_end = self.rest.strip_prefix('\n').or_else(|| self.rest.strip_prefix("\\\n"));
            let Some(rest) = line_end else { return };
            self.rest = rest;
            self.line = self.line.saturating_add(1);
        }
    }
}

/// Replaces `\n`, `\t`, `\b`, `\r`, `\NNN` (decimal), `\0NNN` (octal), `\xHH`, and a backslash at a line's end.  What they
/// stand for are octets.
fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let first = after.chars().next();
        rest = match first {
            Some('x' | 'X') => number(&mut out, after.get(1..).unwrap_or_default(), 16, 2),
            Some('0') => number(&mut out, after, 8, 3),
            Some('1'..='9') => number(&mut out, after, 10, 3),
            Some('\n') => after.get(1..).unwrap_or_default(),
            Some(letter) => {
                match letter {
                    'n' => out.push(b'\n'),
                    't' => out.push(b'\t'),
                    'b' => out.push(8),
                    'r' => out.push(b'\r'),
                    other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                after.get(letter.len_utf8()..).unwrap_or_default()
            }
            None => "",
        };
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends the octet that up to `most` digits mean, and gives what follows them.
fn number<'a>(out: &mut Vec<u8>, text: &'a str, radix: u32, most: usize) -> &'a str {
    let digits = text.chars().take(most).take_while(|c| c.is_digit(radix)).count();
    let (digits, rest) = text.split_at_checked(digits).unwrap_or((text, ""));
    let value = u32::from_str_radix(digits, radix).unwrap_or(0);
    out.push(u8::try_from(value & 0xff).unwrap_or(0));
    rest
}

#[cfg(test)]
mod tests {
    use super::{FetchmailWord, FetchmailWords};

    #[test]
    fn words_are_cut_as_fetchmail_cuts_them() {
        let text = "poll a.b, with proto:pop3 # note\n port 110 \\\n pass \"a \\\" b\" 'c\n d' e\"f 12a -3 x=y \"g\"h\n";
        // fetchmail's quotes know no escape of the quote itself.
        let mut words = FetchmailWords::of(text);
        let mut found = Vec::new();
        while let Some(word) = words.next().unwrap() {
            found.push((words.line, word));
        }
        let bare = |line, text: &str| (line, FetchmailWord::Bare(text.to_owned()));
        let quoted = |line, text: &str| (line, FetchmailWord::Quoted(text.to_owned()));
        let expected = [
            bare(1, "poll"),
            bare(1, "a.b"),
            bare(1, "proto"),
            bare(1, "pop3"),
            bare(2, "port"),
            (2, FetchmailWord::Number(110, "110".to_owned())),
            bare(3, "pass"),
            quoted(3, "a "),
            bare(3, "b\""),
            quoted(3, "c\n d"),
            bare(4, "e\"f"),
            bare(4, "12a"),
            (4, FetchmailWord::Number(-3, "-3".to_owned())),
            bare(4, "x"),
            bare(4, "="),
            bare(4, "y"),
            bare(4, "\"g\"h"),
        ];
        assert_eq!(found, expected);
        assert!(FetchmailWords::of("pass \"x").next().is_ok());
        let mut words = FetchmailWords::of("\"x");
        assert!(words.next().is_err());
    }

    #[test]
    fn escapes() {
        for (written, meant) in [
            (r"\x41\102\041\n", "Af!\n"),
            (r"a\\b\ c", r"a\b c"),
            ("a\\\nb", "ab"),
            (r"\xc3\xa9", "é"),
            ("\\", ""),
        ] {
            assert_eq!(super::unescaped(written), meant, "{written}");
        }
    }
}

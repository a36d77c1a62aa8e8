//! Command lines of other programs, with their placeholders.  They are rewritten as text and never run.

/// The line with each `%X` for which `meaning` knows one in its place: a word of the shell that is quoted as it has to be, so
/// that quotes around the placeholder go.  `%%` is a percent sign.  The second value is the letters that have no meaning.
pub(super) fn rewritten(line: &str, meaning: impl Fn(char) -> Option<String>) -> (String, Vec<char>) {
    let (mut out, mut unknown) = (String::with_capacity(line.len()), Vec::new());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let mut letters = after.chars();
        let letter = letters.next();
        rest = letters.as_str();
        match letter {
            Some('%') => out.push('%'),
            Some(letter) => match meaning(letter) {
                Some(word) => {
                    // Of '%F' and "%F" the quotes go: the word has its own.
                    let quote = out.chars().next_back().filter(|quote| matches!(quote, '\'' | '"'));
                    if let Some((quote, inner)) =
                        quote.and_then(|quote| Some((quote, rest.strip_prefix(quote)?)))
                    {
                        debug_assert!(out.ends_with(quote));
                        out.pop();
                        rest = inner;
                    }
                    out.push_str(&word);
                }
                None => {
                    out.push('%');
                    out.push(letter);
                    unknown.push(letter);
                }
            },
            None => out.push('%'),
        }
    }
    out.push_str(rest);
    (out, unknown)
}

/// A word that the shell takes as it is.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{rewritten, word};

    #[test]
    fn placeholders_become_words_of_the_shell() {
        let meaning = |letter| match letter {
            'F' => Some("\"$SENDER\"".to_owned()),
            'T' => Some(word("o'hara")),
            _ => None,
        };
        let cases = [
            ("procmail -f %F -d %T", r#"procmail -f "$SENDER" -d 'o'\''hara'"#, ""),
            ("procmail -f '%F'", r#"procmail -f "$SENDER""#, ""),
            ("procmail -f \"%F\"", r#"procmail -f "$SENDER""#, ""),
            ("x '%F y'", r#"x '"$SENDER" y'"#, ""),
            ("x %S 5%% %", "x %S 5% %", "S"),
            ("", "", ""),
        ];
        for (line, expected, unknown) in cases {
            let unknown: Vec<char> = unknown.chars().collect();
            assert_eq!(rewritten(line, meaning), (expected.to_owned(), unknown), "{line}");
        }
    }
}

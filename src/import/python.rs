//! The little Python that getmail's files hold: tuples of strings, and a number.  getmail evaluates them; here only what is
//! written out is understood.

/// The strings of a tuple: `("a", 'b')`, with or without a last comma, but not `("a")`, which is no tuple.  `None` for
/// anything else.
pub(super) fn strings(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    let mut rest = inner.trim_start();
    let (mut strings, mut commas) = (Vec::new(), 0_usize);
    while !rest.is_empty() {
        let (string, after) = string(rest)?;
        strings.push(string);
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            commas = commas.saturating_add(1);
            rest = after.trim_start();
        } else if !rest.is_empty() {
            return None;
        }
    }
    (strings.len() != 1 || commas == 1).then_some(strings)
}

/// A whole number; Python's underlines and sums are not understood.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// A string literal, perhaps of several that stand side by side, and what follows.
fn string(text: &str) -> Option<(String, &str)> {
    let (mut out, mut rest, mut any) = (String::new(), text, false);
    loop {
        let (prefix, quote) = match rest.find(['"', '\'']) {
            Some(at) if at <= 2 && rest.get(..at)?.bytes().all(|b| b"rRuUbB".contains(&b)) => {
                (rest.get(..at)?, rest.get(at..)?.chars().next()?)
            }
            _ => return any.then_some((out, rest)),
        };
        let is_raw = prefix.contains(['r', 'R']);
        let mut letters = rest.get(prefix.len().saturating_add(1)..)?.chars();
        loop {
            match letters.next()? {
                letter if letter == quote => break,
                '\n' => return None,
                '\\' if is_raw => {
                    out.push('\\');
                    out.push(letters.next()?);
                }
                '\\' => escape(&mut out, &mut letters)?,
                letter => out.push(letter),
            }
        }
        (rest, any) = (letters.as_str().trim_start_matches([' ', '\t', '\n']), true);
    }
}

fn escape(out: &mut String, letters: &mut std::str::Chars<'_>) -> Option<()> {
    let letter = match letters.next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '\n' => return Some(()),
        'x' => {
            let digits: String = letters.by_ref().take(2).collect();
            char::from(u8::from_str_radix(&digits, 16).ok()?)
        }
        letter @ ('\\' | '\'' | '"') => letter,
        // Octal, \u and \N are rare enough to be set by hand.
        '0'..='7' | 'u' | 'U' | 'N' | 'a' | 'b' | 'f' | 'v' => return None,
        letter => {
            out.push('\\');
            letter
        }
    };
    out.push(letter);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::strings;

    #[test]
    fn tuples_of_strings() {
        let cases: [(&str, Option<&[&str]>); 13] = [
            ("()", Some(&[])),
            ("(\"a\",)", Some(&["a"])),
            ("('a', \"b c\")", Some(&["a", "b c"])),
            ("( 'a' ,\n  'b', )", Some(&["a", "b"])),
            (r#"("-f%(sender)", r'\d', 'a\'b', "\x41\q")"#, Some(&["-f%(sender)", r"\d", "a'b", r"A\q"])),
            ("('a' 'b', 'c')", Some(&["ab", "c"])),
            ("('a')", None),
            ("('a'", None),
            ("'a', 'b'", None),
            ("('a', b)", None),
            ("('a' + 'b',)", None),
            ("('\\u0041',)", None),
            ("__import__('os').system('x')", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|strings| strings.iter().map(|s| (*s).to_owned()).collect());
            assert_eq!(strings(text), expected, "{text}");
        }
    }
}

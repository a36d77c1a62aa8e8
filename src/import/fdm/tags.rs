//! What fdm replaces in a text: `%h`, `%[home]`.

use super::super::ForeignSurroundings;

/// Replaces `%x`, `%[name]` and `%%`; whether all were known.  Those that are not go.
pub(super) fn tagged(
    text: &str,
    around: ForeignSurroundings<'_>,
    more: impl Fn(&str) -> Option<String>,
) -> (String, bool) {
    let (mut out, mut rest, mut all) = (String::new(), text, true);
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let mut letters = after.chars();
        let (name, tail) = match letters.next() {
            Some('%') => {
                out.push('%');
                rest = letters.as_str();
                continue;
            }
            Some('[') => match letters.as_str().split_once(']') {
                Some((name, tail)) => (name.trim_start_matches(':').to_owned(), tail),
                None => {
                    out.push('%');
                    rest = after;
                    continue;
                }
            },
            Some(letter) => (letter.to_string(), letters.as_str()),
            None => (String::new(), ""),
        };
        let value = match name.as_str() {
            "home" | "h" => Some(around.home.to_string_lossy().into_owned()),
            "user" | "u" => around.user().map(str::to_owned),
            name => more(name),
        };
        all = all && value.is_some();
        out.push_str(&value.unwrap_or_default());
        rest = tail;
    }
    out.push_str(rest);
    (out, all)
}

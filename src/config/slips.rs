//! Slips of the pen in a configuration file, and what to write instead: TOML that isn't, and sections with another name
//! than they were meant to have.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::error::line_at;
use super::mistake::{nearest, quoted};
use super::settings::{AccountTable, Table as _};

/// Quotation marks that word processors put in place of straight ones.
const CURLY: [char; 10] = ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»', '″'];

/// Words that begin a line of fetchmailrc(5).
const FETCHMAIL: [&str; 8] = ["poll", "skip", "set", "server", "proto", "protocol", "user", "username"];

/// What to write instead of what is not TOML.  Nothing but the name of a section is quoted: a value may be a password.
pub(super) fn of_toml(text: &str, span: &Range<usize>, message: &str) -> &'static str {
    let (start, line) = line_at(text, span.start);
    let at = span.start.saturating_sub(start);
    if line.contains(CURLY) {
        return "write straight quotes: \" instead of the curly ones of a word processor";
    }
    if message.contains("duplicate key") {
        return match line.trim_start().starts_with('[') {
            true => "a section stands once: remove one of the two, or give it another name",
            false => "a key stands once in its section: remove one of the two",
        };
    }
    if line.trim_start().starts_with('[') && !line.contains('=') {
        return match line.trim_end().ends_with(']') {
            true => {
                "a name with other characters than letters, digits, - and _ stands in quotes: \
                 [accounts.\"me@example.com\"]"
            }
            false => "a section's name ends with ]",
        };
    }
    let Some((_, value)) = line.split_once('=') else {
        let first = line.split_whitespace().next().unwrap_or_default();
        return match (FETCHMAIL.contains(&first), line.contains(':')) {
            (true, _) => {
                "this looks like a configuration of fetchmail: popfetch import fetchmail FILE takes its accounts over"
            }
            (false, true) => "write = instead of the colon: key = \"text\"",
            (false, false) => "each line is key = value",
        };
    };
    let value = value.trim();
    match value {
        "yes" | "no" | "on" | "off" => {
            "write true or false; or, where popfetch.toml(5) names words, the word in quotes"
        }
        // The fault may be behind a value that is right.
        _ if value.matches('"').count() % 2 == 1 || value.matches('\'').count() % 2 == 1 => {
            "a quote is missing: a text begins and ends with one"
        }
        _ if !value.is_empty()
            && !value.starts_with(['"', '\'', '[', '{'])
            && at >= line.find('=').unwrap_or(0) =>
        {
            "a text or a word stands in quotes: key = \"text\""
        }
        _ => "popfetch.toml(5) has examples (popfetch man popfetch.toml)",
    }
}

/// The hint for a section that there is not.
pub(super) fn of_section(name: &str, value: &DeValue<'_>) -> String {
    if AccountTable::key(name).is_some() {
        return format!("{} belongs below [accounts.NAME] or [defaults]", quoted(name));
    }
    if let Some(near) = nearest(name, ["defaults", "accounts"]) {
        return format!("did you mean \"{near}\"?");
    }
    if ["retriever", "destination", "options"].contains(&name) {
        return "this looks like a configuration of getmail: popfetch import getmail FILE takes its account over"
            .to_owned();
    }
    match value {
        DeValue::Table(table) if is_account(table) => {
            format!("an account's section is [accounts.NAME]: did you mean [accounts.{}]?", key(name))
        }
        _ => "the sections are [defaults] and [accounts.NAME]".to_owned(),
    }
}

/// The whole name of an account whose name has dots, and no quotes around it: to TOML these are tables in tables.
pub(super) fn dotted(name: &str, table: &DeTable<'_>) -> Option<String> {
    let mut entries = table.iter();
    let (Some((part, value)), None) = (entries.next(), entries.next()) else { return None };
    let (DeValue::Table(inner), None) = (value.get_ref(), AccountTable::key(part.get_ref())) else {
        return None;
    };
    let whole = format!("{name}.{}", part.get_ref());
    if is_account(inner) { Some(whole) } else { dotted(&whole, inner) }
}

fn is_account(table: &DeTable<'_>) -> bool {
    table.keys().any(|key| AccountTable::key(key.get_ref()).is_some())
}

/// A name as TOML has it in a section's heading.
pub(super) fn key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if is_bare { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::of_toml;

    #[test]
    fn no_hint_repeats_a_value_and_none_panics() {
        let lines = [
            "password = hunter2",
            "password : hunter2",
            "password “hunter2”",
            "hunter2",
            "\"hunter2",
            "=",
            "",
            "é",
        ];
        for line in lines {
            for at in 0..20 {
                let hint = of_toml(line, &(at..at + 1), "invalid");
                assert!(!hint.is_empty() && !hint.contains("hunter2"), "{line}: {hint}");
            }
        }
    }
}

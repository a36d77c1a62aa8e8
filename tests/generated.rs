//! The man pages, completions and licence notices in the tree are those that the program has now.  `POPFETCH_BLESS=1 cargo test --test
//! main generated` writes them.
//!
//! The pages' prose stands in `man/*.in`; options, keys and exit codes replace `@NAME@`.

mod completions;
mod notices;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::Arg;
use clap_complete::Shell;
use popfetch::reference::{
    ACCOUNT_KEYS, DESTINATION_KEYS, ExitCode, OAUTH_KEYS, PROVIDER_KEYS, Preset, RETENTION_KEYS, SHARED_KEYS,
    SettingKey, command,
};
use serde_json::Value;

use crate::support::schema;

#[test]
fn the_manual_is_current() {
    let page = filled(
        "man/popfetch.1.in",
        &[
            ("@VERSION@", env!("CARGO_PKG_VERSION").to_owned()),
            ("@OPTIONS@", options()),
            ("@EXIT-STATUS@", exit_codes()),
        ],
    );
    for code in ExitCode::ALL {
        let entry = [format!("\n.TP\n.BR {} ", code.number()), format!("\n.TP\n.B {}\n", code.number())];
        assert!(entry.iter().any(|entry| page.contains(entry)), "{code:?} is not in the manual");
    }
    check("man/popfetch.1", &page);
}

#[test]
fn the_manual_of_the_configuration_is_current() {
    let page = filled(
        "man/popfetch.toml.5.in",
        &[
            ("@VERSION@", env!("CARGO_PKG_VERSION").to_owned()),
            ("@ACCOUNT-KEYS@", keys(ACCOUNT_KEYS)),
            ("@DEFAULTS-KEYS@", keys(SHARED_KEYS)),
            ("@DESTINATION-KEYS@", keys(DESTINATION_KEYS)),
            ("@RETENTION-KEYS@", keys(RETENTION_KEYS)),
            ("@OAUTH-KEYS@", keys(OAUTH_KEYS)),
            ("@PROVIDER-KEYS@", keys(PROVIDER_KEYS)),
        ],
    );
    let tables = [ACCOUNT_KEYS, SHARED_KEYS, DESTINATION_KEYS, RETENTION_KEYS, OAUTH_KEYS, PROVIDER_KEYS];
    let keys = tables.concat();
    for key in &keys {
        let entry = format!("\n.TP\n\\fB{}\\fR = ", escaped(key.name));
        // Two tables may have a key of one name.
        let times = keys.iter().filter(|other| other.name == key.name).count();
        assert_eq!(page.matches(&entry).count(), times, "{} is not in the manual, once", key.name);
    }
    check("man/popfetch.toml.5", &page);
}

#[test]
fn the_manual_of_the_objects_is_current() {
    let page = filled(
        "man/popfetch-json.5.in",
        &[
            ("@VERSION@", env!("CARGO_PKG_VERSION").to_owned()),
            ("@OBJECTS@", schema::types().iter().map(|name| object(name)).collect()),
            ("@PARTS@", schema::parts().iter().map(|name| object(name)).collect()),
        ],
    );
    check("man/popfetch-json.5", &page);
}

#[test]
fn the_completions_are_current() {
    for (shell, path) in [
        (Shell::Bash, "completions/popfetch.bash"),
        (Shell::Zsh, "completions/_popfetch"),
        (Shell::Fish, "completions/popfetch.fish"),
    ] {
        check(path, &completions::script(shell));
    }
}

#[test]
fn the_licence_notices_are_current() {
    if let Some(notices) = notices::notices() {
        check(".ci/debian/copyright", &notices);
    }
}

/// Compares with the file in the tree, or writes it.
fn check(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::vars_os().any(|(name, value)| name == "POPFETCH_BLESS" && value == "1") {
        fs::write(&file, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let difference = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected);
    let line = difference.unwrap_or_else(|| found.lines().count().min(expected.lines().count())) + 1;
    assert!(
        found == expected,
        "{path} is not current, from line {line} on: POPFETCH_BLESS=1 cargo test --test main generated"
    );
}

/// A template with everything put in.
fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(template);
    let mut page = fs::read_to_string(path).unwrap();
    for (place, text) in parts {
        assert!(page.contains(place), "{template} has no {place}");
        page = page.replace(place, text.trim_end());
    }
    format!(".\\\" Made of {template} by tests/generated.rs: change it there.\n{}", wrapped(&page))
}

/// Prose with a line for each sentence, and none longer than 80 octets: mandoc(1) asks for both, and differences are
/// small.
fn wrapped(page: &str) -> String {
    const WIDTH: usize = 78;
    let (mut text, mut is_example, mut is_tag) = (String::new(), false, false);
    for line in page.lines() {
        // The line after .TP is one, however long.
        let end = if is_tag { " \\\n" } else { "\n" };
        is_tag = line == ".TP";
        is_example = (is_example || line == ".EX") && line != ".EE";
        if is_example || line.starts_with('.') {
            writeln!(text, "{line}").unwrap();
            continue;
        }
        let mut length = 0;
        for word in line.split(' ') {
            let ends_sentence = text.ends_with(['.', '?']) && !text.ends_with("...");
            if length > 0
                && (ends_sentence || length + 1 + word.len() > WIDTH)
                && !word.starts_with(['.', '\''])
            {
                text.push_str(end);
                length = 0;
            } else if length > 0 {
                text.push(' ');
                length += 1;
            }
            text.push_str(word);
            length += word.len();
        }
        text.push('\n');
    }
    text
}

/// The options by heading, in the order of `--help`.
fn options() -> String {
    let mut command = command();
    command.build();
    let mut sections: Vec<(Option<&str>, String)> = vec![(None, ".SH OPTIONS\n".to_owned())];
    for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
        let heading = arg.get_help_heading();
        let at = sections.iter().position(|(other, _)| *other == heading).unwrap_or(sections.len());
        if at == sections.len() {
            sections.push((heading, format!(".SS {}\n", heading.unwrap())));
        }
        sections[at].1.push_str(&option(arg));
    }
    sections.into_iter().map(|(_, text)| text).collect()
}

fn option(arg: &Arg) -> String {
    let short = arg.get_short().map_or(String::new(), |short| format!("\\fB\\-{short}\\fR, "));
    let mut text = format!(".TP\n{short}\\fB\\-\\-{}\\fR", escaped(arg.get_long().unwrap()));
    if arg.get_num_args().unwrap().takes_values() {
        let value = arg.get_value_names().unwrap().join(" ");
        let is_optional = arg.get_num_args().unwrap().min_values() == 0;
        let (before, after) = if is_optional { ("[=", "]") } else { ("=", "") };
        write!(text, "{before}\\fI{}\\fR{after}", escaped(&value)).unwrap();
    }
    writeln!(text, "\n{}.", escaped(&arg.get_help().unwrap().to_string())).unwrap();
    let words: Vec<String> = arg
        .get_possible_values()
        .iter()
        .map(|word| format!("\\fB{}\\fR", escaped(word.get_name())))
        .collect();
    if let Some((last, others)) = words.split_last().filter(|_| arg.get_num_args().unwrap().takes_values()) {
        let default = arg.get_default_values().first().map(|default| default.to_string_lossy());
        let default = default.map_or(String::new(), |default| format!(" ({default} by default)"));
        writeln!(text, "One of {} and {last}{default}.", others.join(", ")).unwrap();
    }
    text
}

fn exit_codes() -> String {
    ExitCode::ALL.iter().fold(String::new(), |text, code| {
        let number = code.number();
        let heading =
            code.name().map_or(format!(".B {number}"), |name| format!(".BR {number} \" (\" {name} )"));
        text + &format!(".TP\n{heading}\n{}\n", escaped(code.meaning()))
    })
}

/// An object of `--json` from its definition in the schema: what it is, and its fields.
fn object(name: &str) -> String {
    let definition = &schema::SCHEMA["$defs"][name];
    let sentence = |value: &Value| escaped(value["description"].as_str().unwrap());
    let mut text = format!(".SS {}\n{}\n", escaped(name), sentence(definition));
    let order = definition["required"].as_array().unwrap().iter().filter_map(Value::as_str);
    for field in order.filter(|field| !["v", "account", "type"].contains(field)) {
        let value = &definition["properties"][field];
        writeln!(text, ".TP\n.B {}\n{}", escaped(field), sentence(value)).unwrap();
        let words: Vec<String> = value["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|word| format!("\\fB{}\\fR", escaped(word.as_str().unwrap_or("null"))))
            .collect();
        if let Some((last, others)) = words.split_last() {
            writeln!(text, "One of {} and {last}.", others.join(", ")).unwrap();
        }
        if let Some(part) = part(value) {
            writeln!(text, "See\n.B {}\nbelow.", escaped(part)).unwrap();
        }
    }
    text
}

/// The name of the object that a field holds, alone or in an array.
fn part(value: &Value) -> Option<&str> {
    let references = [&value["$ref"], &value["oneOf"][1]["$ref"], &value["items"]["$ref"]];
    let names = references.into_iter().filter_map(|reference| reference.as_str()?.rsplit('/').next());
    let mut objects = names.filter(|name| schema::SCHEMA["$defs"][name]["type"] == "object");
    objects.next()
}

fn keys(keys: &[SettingKey]) -> String {
    keys.iter().fold(String::new(), |mut text, key| {
        let values: Vec<String> = key.values.split('|').map(value).collect();
        // Many words would make the line too long.
        let (shown, told) = match values.split_last() {
            Some((last, others)) if key.values.len() > 40 => {
                ("\\fIWORD\\fR".to_owned(), format!("\nOne of {} and {last}.", others.join(", ")))
            }
            _ => (values.join(" | "), String::new()),
        };
        writeln!(text, ".TP\n\\fB{}\\fR = {shown}\n{}{told}", escaped(key.name), escaped(key.text)).unwrap();
        match key.default {
            Preset::None => {}
            Preset::Value(default) | Preset::Depends(default) => {
                writeln!(text, "Default: {}.", escaped(default)).unwrap();
            }
        }
        text
    })
}

/// Kinds in italics, words that stand for themselves in bold.
fn value(value: &str) -> String {
    let font = if value.chars().all(|c| c.is_ascii_uppercase() || c == ':') { "I" } else { "B" };
    format!("\\f{font}{}\\fR", escaped(value))
}

/// Text as roff: nothing in it is a request, and a hyphen is the ASCII character, which can be copied.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

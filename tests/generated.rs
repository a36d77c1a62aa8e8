//! The man pages and completions in the tree are those that the program has now.  `POPFETCH_BLESS=1 cargo test --test
//! main generated` writes them.
//!
//! The pages' prose stands in `man/*.in`; options, keys and exit codes replace `@NAME@`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::Arg;
use clap_complete::Shell;
use popfetch::cli::args::command;
use popfetch::config::settings::{ACCOUNT_KEYS, DESTINATION_KEYS, Key, Preset, RETENTION_KEYS, SHARED_KEYS};
use popfetch::exit::ExitCode;

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
        assert!(page.contains(&format!("\n.TP\n.B {}\n", code.number())), "{code:?} is not in the manual");
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
        ],
    );
    let tables = [ACCOUNT_KEYS, SHARED_KEYS, DESTINATION_KEYS, RETENTION_KEYS];
    for key in tables.concat() {
        let entry = format!("\n.TP\n\\fB{}\\fR = ", escaped(key.name));
        assert_eq!(page.matches(&entry).count(), 1, "{} is not in the manual, once", key.name);
    }
    check("man/popfetch.toml.5", &page);
}

#[test]
fn the_completions_are_current() {
    for (shell, path) in [
        (Shell::Bash, "completions/popfetch.bash"),
        (Shell::Zsh, "completions/_popfetch"),
        (Shell::Fish, "completions/popfetch.fish"),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command(), "popfetch", &mut script);
        check(path, &mended(shell, String::from_utf8(script).unwrap()));
    }
}

/// What clap_complete leaves out.
fn mended(shell: Shell, script: String) -> String {
    match shell {
        // An optional value follows `=` or is missing: the next word isn't one.
        Shell::Zsh => {
            let command = command();
            let optional = command.get_arguments().filter(|arg| arg.is_require_equals_set());
            optional.fold(script, |script, arg| {
                let option = format!("'--{}=", arg.get_long().unwrap());
                assert!(script.contains(&format!("{option}[")), "{option}");
                script.replace(&format!("{option}["), &format!("{option}-["))
            })
        }
        // An account is no file.
        Shell::Fish => format!("complete -c popfetch -f\n{script}"),
        _ => script,
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
    format!(".\\\" Made of {template} by tests/generated.rs: change it there.\n{page}")
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
        text + &format!(".TP\n.B {}\n{}\n", code.number(), escaped(code.meaning()))
    })
}

fn keys(keys: &[Key]) -> String {
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
    let font = if value.chars().all(|c| c.is_ascii_uppercase()) { "I" } else { "B" };
    format!("\\f{font}{}\\fR", escaped(value))
}

/// Text as roff: nothing in it is a request, and a hyphen is the ASCII character, which can be copied.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

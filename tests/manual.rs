//! The manual: that the pages are well made, and that the binary carries them with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use popfetch::reference::command;

use crate::support::installed;
use crate::support::sandbox::Sandbox;

const PAGES: [(&str, &str); 3] =
    [("popfetch", "popfetch.1"), ("popfetch.toml", "popfetch.toml.5"), ("popfetch-json", "popfetch-json.5")];

fn page(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(file)
}

#[test]
fn mandoc_finds_nothing_to_improve() {
    let Some(mandoc) = installed("mandoc") else { return };
    for (_, file) in PAGES {
        let output = Command::new(&mandoc).args(["-T", "lint"]).arg(page(file)).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{file}");
    }
}

#[test]
fn every_command_has_its_paragraph() {
    let text = std::fs::read_to_string(page("popfetch.1")).unwrap().replace("\\-", "-");
    let (_, commands) = text.split_once(".SH COMMANDS").unwrap();
    let (commands, _) = commands.split_once(".SH OPTIONS").unwrap();
    fn check(command: &clap::Command, words: &str, page: &str) {
        for sub in command.get_subcommands() {
            let words = format!("{words} {}", sub.get_name());
            let has_subcommands = sub.get_subcommands().next().is_some();
            let paragraph = format!(".TP\n\\fB{}\\fR", words.trim_start());
            assert!(has_subcommands || page.contains(&paragraph), "no paragraph {paragraph}");
            check(sub, &words, page);
        }
    }
    check(&command(), "", commands);
}

/// The line of the manual that shows how a command is written, without its fonts.
fn synopsis(page: &str, words: &str) -> String {
    let (_, rest) = page.split_once(&format!(".TP\n\\fB{words}\\fR")).expect(words);
    let line = rest.lines().next().unwrap_or_default();
    ["\\fB", "\\fI", "\\fR"].iter().fold(line.to_owned(), |line, font| line.replace(font, ""))
}

#[test]
fn what_the_manual_shows_of_a_command_can_be_typed() {
    let page = std::fs::read_to_string(page("popfetch.1")).unwrap().replace("\\-", "-");
    fn check(command: &clap::Command, words: &str, page: &str) {
        for sub in command.get_subcommands() {
            let words = format!("{words} {}", sub.get_name()).trim_start().to_owned();
            if sub.get_subcommands().next().is_some() {
                check(sub, &words, page);
                continue;
            }
            let line = synopsis(page, &words);
            let pieces: Vec<&str> =
                line.split([' ', '[', ']', '|', '=']).filter(|piece| !piece.is_empty()).collect();
            for flag in pieces.iter().filter(|piece| piece.starts_with('-')) {
                let is_there = sub.get_arguments().chain(command.get_arguments()).any(|arg| {
                    let short = arg.get_short().map(|short| format!("-{short}"));
                    let long = arg.get_long().map(|long| format!("--{long}"));
                    [short, long].iter().flatten().any(|known| known == flag)
                });
                assert!(is_there || line.contains("OPTIONS"), "{words}: there is no {flag}: {line}");
            }
            for (shown, several) in [("ACCOUNT", false), ("ACCOUNT...", true), ("ACCOUNT]...", true)] {
                let takes = |arg: &clap::Arg| {
                    let name = arg.get_value_names().unwrap_or_default().first();
                    let named = name.is_some_and(|name| name.contains("ACCOUNT"));
                    named && (!several || arg.get_num_args().is_some_and(|range| range.max_values() > 1))
                };
                let is_shown = line.contains(shown) && !line.contains(&format!("-{shown}"));
                assert!(
                    !is_shown || sub.get_positionals().any(takes),
                    "{words}: {shown} can't be given: {line}"
                );
            }
        }
    }
    let mut command = command();
    command.build();
    check(&command, "", &page);
}

#[test]
fn the_binary_prints_its_manual() {
    let sandbox = Sandbox::new();
    for (name, file) in PAGES {
        let run = sandbox.run(["man", name]);
        run.succeeds();
        assert_eq!(run.out(), std::fs::read_to_string(page(file)).unwrap(), "{name}");
    }
    assert_eq!(sandbox.run(["man"]).out(), sandbox.run(["man", "popfetch"]).out());
    assert_eq!(sandbox.run(["man", "json"]).out(), sandbox.run(["man", "popfetch-json"]).out());
    sandbox.run(["man", "fetch"]).exits(64).complains("popfetch.toml");
}

/// Runs `popfetch man` on a terminal.
fn on_a_terminal(sandbox: &Sandbox, path: &str) -> String {
    let run = sandbox
        .popfetch([concat!(env!("CARGO_BIN_EXE_popfetch"), " man"), "/dev/null"])
        .env("PATH", path)
        .env("TERM", "xterm")
        .env("PAGER", "cat")
        .run();
    run.succeeds();
    run.out()
}

#[test]
fn on_a_terminal_man_shows_the_manual() {
    if installed("script").is_none() || installed("man").is_none() {
        return;
    }
    let sandbox = Sandbox::of(["script", "-qec"].map(Into::into).to_vec());
    let shown = on_a_terminal(&sandbox, "/usr/bin:/bin");
    assert!(shown.contains("User Commands") && !shown.contains(".SH FIRST STEPS"), "{shown}");
    // Without man(1) it can still be read.
    std::fs::create_dir(sandbox.path("bin")).unwrap();
    for program in ["script", "sh", "cat"] {
        std::os::unix::fs::symlink(installed(program).unwrap(), sandbox.path("bin").join(program)).unwrap();
    }
    let plain = on_a_terminal(&sandbox, sandbox.path("bin").to_str().unwrap());
    assert!(plain.contains(".SH FIRST STEPS"), "{plain}");
}

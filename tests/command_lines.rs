//! Every command line in README.md and the manual does what is said there: it runs here, in a home with mail on a server,
//! or stands in a short list with the reason why it doesn't.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::certificates::{Authority, Leaf};
use crate::support::installed;
use crate::support::mailboxes::Maildir;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Options, Server, Tls};

const USER: &str = "me@example.com";
const PASSWORD: &str = "secret";

/// What a command line does here.
enum Here {
    /// It is not run, because …
    NotRun(&'static str),
    /// It ends with this exit code, because …
    Exits(i32, &'static str),
}
use Here::{Exits, NotRun};

/// Lines that begin so, and what they do.  Every other line runs, and ends with 0.
const EXCEPTIONS: &[(&str, Here)] = &[
    ("sudo apt-get update && ", NotRun("builds the release: RELEASE.md and the demo itself")),
    ("cargo install --path .", NotRun("builds the release: tests/package does")),
    ("cargo deb", NotRun("builds the release: tests/package does")),
    ("sudo apt install ./target", NotRun("installs on this machine: tests/package does so elsewhere")),
    ("tests/run", NotRun("it is what runs this")),
    ("BENCH_DIR=", NotRun("measures this machine for minutes")),
    ("popfetch check", Exits(1, "everything was fetched further up")),
    ("popfetch delete home 3", Exits(64, "it asks at a terminal, and there is none")),
];

/// Text that is not for a shell: of which file it is by its language, or by the line that it begins with.
const OTHER_FILES: &[&str] =
    &["toml", "muttrc", "[accounts.", "[defaults]", "leave-on-server = ", "set folder ", "deliver = "];

/// What README.md and the manual show as a block: its language, or "", and its text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    if page.ends_with(".md") {
        let parts: Vec<&str> = text.split("\n```").collect();
        assert!(parts.len() % 2 == 1, "{page}: a block has no end");
        let blocks = parts.iter().skip(1).step_by(2);
        return blocks
            .map(|block| block.split_once('\n').unwrap())
            .map(|(language, text)| (language.to_owned(), text.to_owned()))
            .collect();
    }
    let blocks = text.split("\n.EX\n").skip(1).map(|rest| rest.split("\n.EE").next().unwrap());
    let plain = |roff: &str| {
        roff.replace("\\-", "-").replace("\\(dq", "\"").replace("\\(aq", "'").replace("\\e", "\\")
    };
    blocks.map(|block| (String::new(), plain(block))).collect()
}

/// The command lines of a page, in order.
fn command_lines(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (language, text) in blocks(page) {
        if OTHER_FILES
            .iter()
            .any(|start| language == *start || language.is_empty() && text.starts_with(start))
        {
            continue;
        }
        let text = text.replace("\\\n", "");
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match language.as_str() {
                // What follows is what was printed.
                "console" => lines.extend(line.strip_prefix("$ ").map(str::to_owned)),
                _ => lines.push(of_crontab(line).to_owned()),
            }
        }
    }
    assert!(!lines.is_empty(), "{page} has no command lines");
    lines
}

/// The command of a line for crontab(5), or the line as it is.
fn of_crontab(line: &str) -> &str {
    match line.strip_prefix("*/10 * * * *  ") {
        Some(command) => {
            command.trim_start_matches("$HOME/.cargo/bin/").trim_start_matches("/usr/local/bin/")
        }
        None => line,
    }
}

/// `popfetch` where pop.example.com is the server on loopback; the password of a URL is what would be typed.
const POPFETCH: &str = r#"
    args=()
    for arg; do
        case $arg in
        pop.example.com) args+=(127.0.0.1 --port $PORT --ca-file "$CA") ;;
        pops://*@pop.example.com) args+=("${arg/pop.example.com/127.0.0.1:$PORT}" --ca-file "$CA" --password-command "pass show x") ;;
        *) args+=("$arg") ;;
        esac
    done
    exec "$PROGRAM" "${args[@]}"
"#;

/// `systemctl` that knows the units in the home and in the tree, as they are after an installation.
const SYSTEMCTL: &str = r#"
    [ "$*" = "--user daemon-reload" ] && exit
    unit=${!#}
    file=$(echo "$unit" | sed 's/@[^.]*\./@./')
    case "$*" in
    "--user enable --now $unit") test -s ~/.config/systemd/user/$file || test -s "$TREE/examples/systemd/user/$file" ;;
    "enable --now $unit") test -s "$TREE/examples/systemd/system/$file" ;;
    *) exit 1 ;;
    esac
"#;

/// A home with the account that the pages call `home`, mail on its server, and the programs that they name.
fn home() -> (Server, Sandbox) {
    let sandbox = Sandbox::of(["/bin/bash", "-c"].map(Into::into).to_vec());
    let authority = Authority::new();
    let ca = sandbox.path("ca.pem");
    authority.write(&ca);
    let messages = (1..=3).map(|number| {
        Message::new(
            format!("m{number}"),
            format!("From: Ann <ann@example.org>\r\nSubject: {number}\r\n\r\nbody {number}\r\n"),
        )
    });
    let server = Server::start(Options {
        tls: Tls::Implicit(authority.issue(&Leaf::default())),
        ..Options::with(USER, PASSWORD, messages)
    });
    let account = |name: &str| {
        format!(
            "[accounts.{name}]\nserver = \"127.0.0.1\"\nport = {}\nca-file = \"{}\"\nuser = \"{USER}\"\n\
             password-command = \"pass show mail/{name}\"\ndeliver = {{ maildir = \"~/Mail/{name}\" }}\n",
            server.port(),
            ca.display()
        )
    };
    sandbox.config(account("home"));
    for (name, script) in [
        ("popfetch", POPFETCH),
        ("systemctl", SYSTEMCTL),
        ("pass", "echo secret"),
        ("loginctl", "[ $1 = enable-linger ]"),
        ("sudo", "exec \"$@\""),
    ] {
        let path = sandbox.write(Path::new("bin").join(name), format!("#!/bin/bash\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(sandbox.path("Mail")).unwrap();
    (server, sandbox)
}

/// Runs a page's command lines from top to bottom.
fn try_page(page: &str) {
    let (server, sandbox) = home();
    for line in command_lines(page) {
        let exception = EXCEPTIONS.iter().find(|(start, _)| line.starts_with(start));
        let code = match exception {
            Some((_, NotRun(_))) => continue,
            Some((_, Exits(code, _))) => *code,
            None => 0,
        };
        let others = ["formail", "jq"].into_iter().filter(|program| line.contains(&format!("| {program} ")));
        if others.map(installed).any(|program| program.is_none()) {
            continue;
        }
        // The manual's second account is at the same server.
        let line = line.replace(" work", " home");
        let run = sandbox
            .popfetch(["set -o pipefail; ".to_owned() + &line])
            .env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display()))
            .env("PROGRAM", env!("CARGO_BIN_EXE_popfetch"))
            .env("TREE", env!("CARGO_MANIFEST_DIR"))
            .env("PORT", server.port().to_string())
            .env("CA", sandbox.path("ca.pem"))
            .env("LC_ALL", "C.UTF-8")
            .run();
        assert!(run.code() == Some(code), "{page}, expected exit code {code}:\n    {line}\n{}", run.shown());
    }
    assert_eq!(Maildir::read(&sandbox.path("Mail/home")).new.len(), 3, "{page}: the mail has come");
    assert_eq!(server.unique_ids(USER).len(), 3, "{page}: nothing is deleted unless you say so");
}

#[test]
fn those_of_readme_run() {
    try_page("README.md");
}

#[test]
fn those_of_the_manual_run() {
    try_page("man/popfetch.1");
}

#[test]
fn every_exception_is_still_there() {
    let lines: Vec<String> = ["README.md", "man/popfetch.1"].into_iter().flat_map(command_lines).collect();
    for (start, here) in EXCEPTIONS {
        let (NotRun(reason) | Exits(_, reason)) = here;
        assert!(lines.iter().any(|line| line.starts_with(start)) && !reason.is_empty(), "{start}");
    }
}

//! Every command line in README.md and the manual does what is said there: it runs here, in a home with mail on a server,
//! or stands in a short list with the reason why it doesn't.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::support::certificates::{Authority, Leaf};
use crate::support::installed;
use crate::support::mailboxes::Maildir;
use crate::support::namespace::{Dns, Net, Reply, SRV, inside, srv};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Account, Message, Options, Server, Tls};
use crate::support::tmux::Tmux;

const PASSWORD: &str = "secret";

/// What a command line does here.
enum Here {
    /// It is not run, because …
    NotRun(&'static str),
    /// It ends with this exit code, because …
    Exits(i32, &'static str),
    /// It asks, at a terminal, and gets these answers.
    Typed(&'static [(&'static str, &'static str)]),
}
use Here::{Exits, NotRun, Typed};

/// Lines that begin so, and what they do.  Every other line runs, and ends with 0.
const EXCEPTIONS: &[(&str, Here)] = &[
    ("sudo apt-get update && ", NotRun("builds the release: RELEASE.md and the demo itself")),
    ("cargo install --path .", NotRun("builds the release: tests/package does")),
    ("cargo deb", NotRun("builds the release: tests/package does")),
    ("sudo apt install ./target", NotRun("installs on this machine: tests/package does so elsewhere")),
    (
        "popfetch man --install",
        NotRun("of root's it stays on this machine: tests/installing does so elsewhere"),
    ),
    ("popfetch completions --install", NotRun("as above")),
    ("tests/run", NotRun("it is what runs this")),
    ("BENCH_DIR=", NotRun("measures this machine for minutes")),
    (
        "popfetch init me@example.com",
        Typed(&[
            ("Password for", PASSWORD),
            ("Retrieve all of them", ""),
            ("Leave mail on the server?", ""),
            ("Where does mail go?", ""),
            ("Keep it in", ""),
        ]),
    ),
    ("popfetch --maildir ~/Mail/", Typed(&[("Password for", PASSWORD)])),
    ("popfetch auth login outlook", NotRun("it needs a browser and the provider: tests/oauth")),
    ("popfetch check", Exits(1, "everything was fetched further up")),
    ("popfetch delete home 3", Exits(64, "it asks at a terminal, and there is none")),
];

/// Whether a block is not for a shell: a configuration, of popfetch or of mutt.
fn is_of_a_file(language: &str, text: &str) -> bool {
    let is_key = |line: &str| {
        let name = line.split_once(" = ").map_or("", |(name, _)| name);
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    };
    match language {
        "" => {
            text.starts_with(['[', '{'])
                || text.starts_with("set folder ")
                || text.lines().next().is_some_and(is_key)
        }
        language => ["toml", "muttrc"].contains(&language),
    }
}

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
        if is_of_a_file(&language, &text) {
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

/// A home with the accounts that the pages call `home` and `work`, in a network in which pop.example.com has mail for them
/// and for `me@example.com`; and the programs that the pages name.
struct World {
    sandbox: Sandbox,
    server: Server,
    trust: PathBuf,
    _net: Net,
    _dns: Dns,
}

const USERS: [&str; 4] = ["home@example.com", "work@example.com", "me@example.com", "old@example.com"];

/// What getmail has set up, and remembers, in `~/.getmail`.
const GETMAILRC: &str = "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = pop.example.com\n\
    username = old@example.com\npassword = secret\n[destination]\ntype = Maildir\npath = ~/Mail/old/\n\
    [options]\nread_all = false\n";
const OLDMAIL: &str = "m1\x001700000000\nm2\x001700000000\n";

impl World {
    fn new() -> Self {
        let (net, authority) = (Net::of(&[("pop.example.com", 2)]), Authority::new());
        let trust = net.trust(&authority.pem());
        let records = Reply::Records(vec![srv(0, 995, "pop.example.com")]);
        let dns = Dns::start(&[("_pop3s._tcp.example.com", SRV, records)]);
        let message = |number: u32| {
            let text = format!("From: Ann <ann@example.org>\r\nSubject: {number}\r\n\r\nbody {number}\r\n");
            Message::new(format!("m{number}"), text)
        };
        let accounts = USERS.map(|user| Account::new(user, PASSWORD, (1..=3).map(message)));
        let options = Options {
            accounts: accounts.into(),
            tls: Tls::Implicit(authority.issue(&Leaf::named(&["pop.example.com"]))),
            ..Options::default()
        };
        let server = Server::start_at(([127, 0, 0, 2], 995).into(), options);
        let sandbox = Sandbox::of(["/bin/bash", "-c"].map(Into::into).to_vec());
        let account = |name: &str| {
            format!(
                "[accounts.{name}]\nserver = \"pop.example.com\"\nuser = \"{name}@example.com\"\n\
                 password-command = \"pass show mail/{name}\"\ndeliver = {{ maildir = \"~/Mail/{name}\" }}\n"
            )
        };
        sandbox.config(account("home") + &account("work"));
        sandbox.write(".getmail/getmailrc", GETMAILRC);
        sandbox.write(".getmail/oldmail-pop.example.com-995-old@example.com", OLDMAIL);
        let programs = [
            ("systemctl", SYSTEMCTL),
            ("pass", "echo secret"),
            ("loginctl", "[ $1 = enable-linger ]"),
            ("sudo", "exec \"$@\""),
        ];
        for (name, script) in programs {
            let path = sandbox.write(Path::new("bin").join(name), format!("#!/bin/bash\n{script}\n"));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_popfetch"), sandbox.path("bin/popfetch")).unwrap();
        fs::create_dir(sandbox.path("Mail")).unwrap();
        Self { sandbox, server, trust, _net: net, _dns: dns }
    }

    fn path(&self) -> String {
        format!("{}:/usr/bin:/bin", self.sandbox.path("bin").display())
    }

    #[track_caller]
    fn run(&self, line: &str, code: i32) {
        let run = self
            .sandbox
            .popfetch(["set -o pipefail; ".to_owned() + line])
            .env("PATH", self.path())
            .env("TREE", env!("CARGO_MANIFEST_DIR"))
            .env("SSL_CERT_FILE", &self.trust)
            .env("LC_ALL", "C.UTF-8")
            .run();
        assert!(run.code() == Some(code), "expected exit code {code}:\n    {line}\n{}", run.shown());
    }

    fn type_in(&self, line: &str, answers: &[(&str, &str)]) {
        let command =
            format!("export PATH='{}' SSL_CERT_FILE='{}'; {line}", self.path(), self.trust.display());
        let Some(terminal) = Tmux::start(&self.sandbox, (120, 40), &command) else { return };
        for (question, answer) in answers {
            terminal.wait_for(question);
            terminal.keys(&["-l", answer]);
            terminal.keys(&["Enter"]);
        }
        terminal.wait_for("\n[0]");
    }
}

/// Runs a page's command lines from top to bottom.
fn try_page(page: &str) {
    let world = World::new();
    for line in command_lines(page) {
        let needs = ["formail", "jq"].into_iter().filter(|program| line.contains(&format!("| {program} ")));
        if needs.map(installed).any(|program| program.is_none()) {
            continue;
        }
        match EXCEPTIONS.iter().find(|(start, _)| line.starts_with(start)) {
            Some((_, NotRun(_))) => {}
            Some((_, Exits(code, _))) => world.run(&line, *code),
            Some((_, Typed(answers))) => world.type_in(&line, answers),
            None => world.run(&line, 0),
        }
    }
    let fetched = Maildir::read(&world.sandbox.path("Mail/home")).new.len();
    assert_eq!(fetched, 3, "{page}: the mail has come");
    for user in USERS {
        assert_eq!(
            world.server.unique_ids(user).len(),
            3,
            "{page}: nothing is deleted unless you ask for it"
        );
    }
}

const PAGES: [&str; 4] = ["README.md", "man/popfetch.1", "man/popfetch.toml.5", "man/popfetch-json.5"];

#[test]
fn those_of_readme_run() {
    if inside("command_lines::those_of_readme_run") {
        try_page("README.md");
    }
}

#[test]
fn those_of_the_manual_run() {
    if inside("command_lines::those_of_the_manual_run") {
        try_page("man/popfetch.1");
    }
}

#[test]
fn those_of_the_other_pages_run() {
    if inside("command_lines::those_of_the_other_pages_run") {
        try_page("man/popfetch-json.5");
    }
    // It has configurations only.
    assert!(command_lines("man/popfetch.toml.5").is_empty());
}

#[test]
fn every_exception_is_still_there() {
    let lines: Vec<String> = PAGES.into_iter().flat_map(command_lines).collect();
    for (start, here) in EXCEPTIONS {
        assert!(lines.iter().any(|line| line.starts_with(start)), "{start}");
        assert!(!matches!(here, NotRun("") | Exits(_, "") | Typed([])), "{start}: no reason");
    }
}

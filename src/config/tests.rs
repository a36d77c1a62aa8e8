//! Whole files: what they mean, and the errors of those that mean nothing.

mod arguments;

use std::fmt::Write as _;
use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::settings::{
    self, ACCOUNT_KEYS, DESTINATION_KEYS, Preset, RETENTION_KEYS, SHARED_KEYS, SettingKey,
};
use super::{ConfigError, Configuration, Flags, Request, for_run, fuzz_config};
use crate::account::*;
use crate::environment::Environment;
use crate::problem::Problem as _;
use crate::types::Octets;

struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn environment(&self) -> Environment {
        Environment {
            home: Some("/home/me".into()),
            config_home: Some(self.path().join("config")),
            state_home: Some(self.path().join("state")),
            current_directory: self.path().join("here"),
            variables: [("MAIL".into(), "/var/mail".into())].into(),
            ..Environment::default()
        }
    }

    fn write(&self, text: &str, mode: u32) -> PathBuf {
        let path = self.path().join("config.toml");
        write(&path, text).unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn load(&self, text: &str) -> Result<Configuration, ConfigError> {
        self.write(text, 0o600);
        self.run(&[], &[])
    }

    fn run(&self, accounts: &[&str], flags: &[(&str, &str)]) -> Result<Configuration, ConfigError> {
        let mut request = Request {
            file: Some(self.path().join("config.toml")),
            accounts: Vec::new(),
            flags: Flags::default(),
        };
        request.accounts = accounts.iter().map(|&a| a.to_owned()).collect();
        for (name, value) in flags {
            let key = settings::flags().find(|key| key.name == *name).unwrap();
            let one = Flags::one(key, value).map_err(|mistake| ConfigError::ArgumentsWrong { mistake })?;
            request.flags = request.flags.and(one);
        }
        for_run(&request, &self.environment())
    }
}

const LEAST: &str =
    "[accounts.work]\nserver = \"pop.example.com\"\nuser = \"me\"\ndeliver = { maildir = \"~/Mail\" }\n";

fn only(configuration: Configuration) -> Account {
    assert_eq!(configuration.accounts.len(), 1);
    configuration.accounts.into_iter().next().unwrap()
}

#[test]
fn the_least_that_is_needed() {
    let home = Home::new();
    let configuration = home.load(LEAST).unwrap();
    assert_eq!((configuration.connections, configuration.connections_per_server), (16, 4));
    let account = only(configuration);
    assert_eq!(
        (account.name.as_str(), account.host.as_str(), account.port),
        ("work", "pop.example.com", 995)
    );
    assert_eq!((account.tls, account.auth, account.retention), (Tls::Implicit, Auth::Auto, Retention::Keep));
    assert_eq!(account.deliver, [Deliver::Maildir("/home/me/Mail".into())]);
    assert!(matches!(account.password, PasswordSource::Prompt));
    assert_eq!(account.trust, Trust::default());
    assert_eq!((account.max_message_size, account.max_messages, account.max_bytes), (None, None, None));
    assert!(!account.received_header);
    assert_eq!(
        (account.pipelining, account.listing, account.sync),
        (Switch::Auto, ListingMode::Auto, SyncMode::Auto)
    );
    let Account { alert_after, remind_after, full_listing_every, timeout, .. } = account;
    let seconds = [alert_after, remind_after, full_listing_every, timeout].map(|d| d.as_secs());
    assert_eq!(seconds, [3600, 7 * 86_400, 3600, 60]);
}

#[test]
fn files_of_other_editors() {
    let home = Home::new();
    for text in [LEAST.replace('\n', "\r\n"), format!("\u{feff}{LEAST}"), LEAST.trim_end().to_owned()] {
        assert_eq!(only(home.load(&text).unwrap()).host, "pop.example.com");
    }
    let error = home.load(&format!("{LEAST}x = 1").replace('\n', "\r\n")).unwrap_err().shown();
    assert!(error.contains("config.toml:5\n\n  5 | x = …\n    | ^\n\n"), "{error}");
}

#[test]
fn everything() {
    let home = Home::new();
    let text = r#"
        [defaults]
        connections = 8
        connections-per-server = 2
        timeout = "2m"
        password-command = "pass show mail"
        max-message-size = 1000000
        leave-on-server = false

        [accounts."my work"]
        server = "Bücher.example."
        port = 0x3e4
        tls = "starttls"
        ca-file = "ca.pem"
        tls-fingerprint = ["sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "sha256:FF:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00"]
        tls-client-certificate = "$MAIL/me.pem"
        tls-client-key = "${MAIL}/me.key"
        user = "me@example.com"
        auth = "external"
        netrc = true
        leave-on-server = { days = 14, newest = 100, total-size = "2G", larger-than = 5000 }
        max-message-size = "300K"
        max-messages = 500
        max-bytes = "25M"
        received-header = true
        alert-after = "0s"
        remind-after = "2d"
        pipelining = "off"
        listing = "full"
        full-listing-every = "2h"
        sync = "each"

        [[accounts."my work".deliver]]
        maildir = "Mail"
        [[accounts."my work".deliver]]
        pipe = ["procmail", "-d", "me"]
        time-limit = "1m"
        parallel = 3
        [[accounts."my work".deliver]]
        pipe = "cat > $x"
        [[accounts."my work".deliver]]
        mbox = "/var/mail/me"

        [accounts.home]
        server = "[::1]"
        user = "me"
        tls = "none"
        deliver.stdout = true
        leave-on-server = true
    "#;
    let configuration = home.load(text).unwrap();
    assert_eq!((configuration.connections, configuration.connections_per_server), (8, 2));
    let [work, private] = configuration.accounts.as_slice() else { panic!() };
    assert_eq!((work.host.as_str(), work.port, work.tls), ("xn--bcher-kva.example", 996, Tls::StartTls));
    let mut second = [0; 32];
    second[0] = 0xff;
    assert_eq!(
        work.trust,
        Trust {
            ca_file: Some(home.path().join("ca.pem")),
            fingerprints: vec![[0; 32], second],
            client_certificate: Some(("/var/mail/me.pem".into(), "/var/mail/me.key".into())),
        }
    );
    assert!(matches!(&work.password, PasswordSource::Netrc(path) if path == Path::new("/home/me/.netrc")));
    assert_eq!(
        work.retention,
        Retention::Limits(Limits {
            days: Some(14),
            newest: Some(100),
            total_size: Some(Octets(2 << 30)),
            larger_than: Some(Octets(5000)),
        })
    );
    assert_eq!((work.max_message_size, work.max_messages), (Some(Octets(307_200)), Some(500)));
    assert_eq!((work.max_bytes, work.received_header), (Some(Octets(25 << 20)), true));
    assert_eq!((work.pipelining, work.listing, work.sync), (Switch::Off, ListingMode::Full, SyncMode::Each));
    assert_eq!(
        [work.alert_after, work.remind_after, work.full_listing_every, work.timeout].map(|d| d.as_secs()),
        [0, 2 * 86_400, 7200, 120]
    );
    let pipe = |command, seconds, parallel| {
        Deliver::Pipe(Pipe { command, time_limit: Duration::from_secs(seconds), parallel })
    };
    let argv = ["procmail", "-d", "me"].map(str::to_owned).to_vec();
    assert_eq!(
        work.deliver,
        [
            Deliver::Maildir(home.path().join("Mail")),
            pipe(PipeCommand::Argv(argv), 60, 3),
            pipe(PipeCommand::Shell("cat > $x".into()), 300, 1),
            Deliver::Mbox("/var/mail/me".into()),
        ]
    );
    assert_eq!(
        (private.host.as_str(), private.port, private.deliver.as_slice()),
        ("::1", 110, &[Deliver::Stdout][..])
    );
    assert_eq!((private.retention, private.max_message_size), (Retention::Keep, Some(Octets(1_000_000))));
    let PasswordSource::Command(argv) = &private.password else { panic!() };
    assert_eq!(argv, &["/bin/sh", "-c", "pass show mail"]);
}

/// What stands in the table of the one account, the line of the error, its text, and its hint.
#[rustfmt::skip]
const BAD: &[(&str, &str, &str)] = &[
    ("max-byte = 5", "unknown key \"max-byte\"", "did you mean \"max-bytes\"?"),
    ("passwrod = \"hunter2\"", "unknown key \"passwrod\"", "did you mean \"password\"?"),
    ("conections = 3", "unknown key \"conections\"", "did you mean \"connections\", which belongs below [defaults]?"),
    ("username = \"x\"", "unknown key \"username\"", "here it is \"user\""),
    ("maildir = \"x\"", "unknown key \"maildir\"", "\"maildir\" belongs in the table of deliver: deliver = { maildir = … }"),
    ("tls = \"starttls\"\nport = 995", "port: on port 995 TLS begins at once, which tls = \"starttls\" rules out", "set tls = \"implicit\", or port = 110"),
    ("tls = \"none\"\nport = 995", "port: on port 995 TLS begins at once, which tls = \"none\" rules out", "set tls = \"implicit\", or port = 110"),
    ("owner = \"no-such-user\"", "owner: ", ""),
    ("owner = true", "owner: expected a user's name or number, found true or false", ""),
    ("days = 14", "unknown key \"days\"", "\"days\" belongs in the table of leave-on-server: leave-on-server = { days = … }"),
    ("connections = 4", "unknown key \"connections\"", "\"connections\" holds for all accounts, and belongs below [defaults]"),
    ("lmtp = \"x\"", "unknown key \"lmtp\"", "popfetch.toml(5) has all keys"),
    ("max-bytes = \"25Q\"", "max-bytes: \"25Q\" is not a size", "octets, or a number with K, M or G"),
    ("max-bytes = -1", "max-bytes: \"-1\" is not a size", ""),
    ("max-bytes = 0", "max-bytes: 0 is not a limit", "leave the key out for no limit"),
    ("max-bytes = \"99999999999G\"", "max-bytes: \"99999999999G\" is not a size", ""),
    ("max-messages = 0", "max-messages: 0 is not a number from 1 to 4294967295", ""),
    ("max-messages = \"5\"", "max-messages: expected a whole number, found a string", ""),
    ("max-messages = 99999999999999999999", "max-messages: expected a whole number, found a number", ""),
    ("timeout = \"0s\"", "timeout: it must be more than 0", ""),
    ("timeout = 60", "timeout: expected a string, found a number", "a number and s, m, h or d"),
    ("timeout = \"60\"", "timeout: \"60\" is not a duration", "a number and s, m, h or d"),
    ("timeout = \"4000d\"", "timeout: \"4000d\" is more than ten years", ""),
    ("port = 0", "port: 0 is not a number from 1 to 65535", ""),
    ("port = 65536", "port: 65536 is not a number from 1 to 65535", ""),
    ("port = 9.95", "port: expected a whole number, found a number with a fraction", ""),
    ("tls = \"startls\"", "tls: there is no \"startls\"", "did you mean \"starttls\"?"),
    ("tls = \"\"", "tls: there is no \"\"", "one of implicit, starttls, none"),
    ("auth = \"scram-sha256\"", "auth: there is no \"scram-sha256\"", "did you mean \"scram-sha-256\"?"),
    ("received-header = \"yes\"", "received-header: expected true or false, found a string", ""),
    ("pipelining = true", "pipelining: expected a word in quotes, found true or false", "pipelining = \"auto\" or \"on\""),
    ("sync = \"none\"", "sync: there is no \"none\"", ""),
    ("ca-file = \"~other/x\"", "ca-file: \"~other/x\" is in another user's home", "~ is your own home only"),
    ("ca-file = \"$NOPE/x\"", "ca-file: $NOPE is not set", "set it, or write the whole path"),
    ("tls-fingerprint = \"sha256:12\"", "tls-fingerprint: \"sha256:12\" is not a fingerprint", "\"sha256:\" and 64"),
    ("tls-fingerprint = []", "tls-fingerprint: the list is empty", ""),
    ("tls-fingerprint = [1]", "tls-fingerprint: expected a string, found a number", ""),
    ("tls-client-key = \"x\"", "tls-client-key: there is no tls-client-certificate beside it", ""),
    ("tls-client-certificate = \"x\"", "tls-client-certificate: there is no tls-client-key beside it", ""),
    ("auth = \"external\"", "auth: external is a login by certificate, and there is none", "add tls-client-certificate"),
    ("leave-on-server = {}", "leave-on-server: the table is empty", "true leaves everything"),
    ("leave-on-server = { days = 0 }", "days: 0 is not a limit", "leave-on-server = false deletes"),
    ("leave-on-server = { newest = -1 }", "newest: -1 is not a number from 1 to", ""),
    ("leave-on-server = { day = 1 }", "unknown key \"day\"", "did you mean \"days\"?"),
    ("leave-on-server = \"14d\"", "leave-on-server: expected true, false or a table, found a string", ""),
    ("leave-on-server = 14", "leave-on-server: expected true, false or a table, found a number", ""),
    ("password = 1234", "password: expected a string, found a number", ""),
    ("password = \"\"", "password: it is empty", ""),
    ("password = \"a\\nDELE 1\"", "password: it holds a line end or NUL", ""),
    ("password-command = \" \"", "password-command: there is no command", ""),
    ("password-command = []", "password-command: there is no command", ""),
    ("password-command = { a = 1 }", "password-command: expected a string (for sh -c) or a list of strings", ""),
    ("netrc = false", "netrc: expected true or the name of a file", ""),
    ("credential = \"../x\"", "credential: \"../x\" is not a file name", ""),
    ("password = \"hunter2\"\nnetrc = true", "there are two sources of the password: password and netrc", "keep one"),
    ("password-file = \"", "this is not TOML: ", ""),
    ("password = hunter2", "this is not TOML: ", ""),
    ("received-header = true\nreceived-header = true", "this is not TOML: duplicate key", ""),
    ("timeout = 2020-01-01", "timeout: expected a string, found a date", "a number and s, m, h or d"),
];

#[test]
fn what_is_wrong_is_said_with_line_and_remedy() {
    let home = Home::new();
    for (setting, what, hint) in BAD {
        let text = format!("{LEAST}{setting}\n");
        let error = home.load(&text).expect_err(setting);
        let shown = error.shown();
        assert_eq!(error.exit_code().number(), 78, "{setting}");
        assert!(shown.starts_with(what), "{setting}: {shown}");
        // The last line of what is wrong: two settings quarrel at the second one.
        let line = 4 + setting.lines().count();
        assert!(shown.contains(&format!("\n  at {}/config.toml:{line}", home.path().display())), "{shown}");
        assert!(shown.contains("| ") && shown.contains('^'), "{shown}");
        assert!(hint.is_empty() || shown.contains(&format!("\n\nhint: {hint}")), "{setting}: {shown}");
        for secret in ["hunter2", "1234", "DELE"] {
            assert!(!shown.contains(secret), "{shown}");
            assert!(!format!("{error:?}").contains(secret), "{error:?}");
        }
    }
}

#[test]
fn an_error_in_full() {
    let home = Home::new();
    let error = home.load(&format!("{LEAST}max-bytes = \"25Q\" # per run\n")).unwrap_err().shown();
    let expected = format!(
        "max-bytes: \"25Q\" is not a size\n  at {}/config.toml:5\n\n  5 | max-bytes = \"25Q\" # per run\n    |             \
         ^^^^^\n\nhint: octets, or a number with K, M or G (of 1024) behind it: 5000, \"300K\", \"25M\", \"2G\"",
        home.path().display()
    );
    assert_eq!(error, expected);
    let error = home.load(&format!("{LEAST}passwrod = \"hunter2\"\n")).unwrap_err().shown();
    let expected = format!(
        "unknown key \"passwrod\"\n  at {}/config.toml:5\n\n  5 | passwrod = …\n    | ^^^^^^^^\n\n\
         hint: did you mean \"password\"?",
        home.path().display()
    );
    assert_eq!(error, expected);
}

#[test]
fn whole_files_that_are_wrong() {
    let home = Home::new();
    let cases: &[(&str, usize, &str)] = &[
        ("", 1, "there is no account"),
        ("[default]\n", 1, "unknown section \"default\"\n"),
        ("# one\nserver = \"x\"\n", 2, "unknown section \"server\"\n"),
        ("[accounts]\nwork = 5\n", 2, "expected a table, found a number"),
        ("defaults = 1\n", 1, "expected a table, found a number"),
        ("[accounts.work\n", 1, "this is not TOML: "),
        ("[accounts.work]\nserver = \"h\"\n", 1, "account \"work\" has no user"),
        ("\n[accounts.work]\nuser = \"h\"\n", 2, "account \"work\" has no server"),
        ("[accounts.work]\nserver = \"h\"\nuser = \"u\"\n", 1, "account \"work\" has no destination"),
        ("[accounts.check]\n", 1, "an account cannot be called \"check\": popfetch check is a command"),
        ("[accounts.\"\"]\n", 1, "an account's name cannot be empty"),
        ("[accounts.-x]\n", 1, "an account's name cannot begin with -"),
        ("[accounts.\"a\\u001b\"]\n", 1, "an account's name cannot hold invisible characters"),
        ("[accounts.\"pop://x\"]\n", 1, "an account's name cannot look like a URL"),
        // Also when no account inherits it.
        (
            "[defaults]\nmax-bytes = \"x\"\n[accounts.work]\nmax-bytes = 1\n",
            2,
            "max-bytes: \"x\" is not a size",
        ),
        ("[defaults]\nconnections = 0\n", 2, "connections: 0 is not a number from 1 to 1000"),
        ("[defaults]\npassword-file = \"a\"\nnetrc = true\n", 3, "there are two sources of the password"),
    ];
    for (text, line, what) in cases {
        let error = home.load(text).unwrap_err();
        assert!(error.shown().starts_with(what), "{text}: {error}");
        assert!(error.shown().contains(&format!("config.toml:{line}")), "{text}: {error}");
        assert_eq!(error.exit_code().number(), 78);
    }
}

#[test]
fn destinations_that_mean_nothing() {
    let home = Home::new();
    let cases = [
        ("{}", "deliver: a destination is one of maildir"),
        ("[]", "deliver: there is no destination"),
        ("\"~/Mail\"", "deliver: expected a table such as"),
        ("[\"~/Mail\"]", "deliver: expected a table such as"),
        ("{ maildir = \"a\", mbox = \"b\" }", "deliver: a destination is only one of maildir"),
        ("{ stdout = false }", "stdout: there is no destination"),
        ("{ pipe = [] }", "pipe: there is no command"),
        ("{ pipe = [\"\"] }", "pipe: there is no command"),
        ("{ pipe = \"\" }", "pipe: there is no command"),
        ("{ pipe = \"x\", parallel = 0 }", "parallel: 0 is not a number from 1 to 256"),
        ("{ pipe = \"x\", time-limit = \"0m\" }", "time-limit: it must be more than 0"),
        ("{ mbox = \"x\", time-limit = \"1m\" }", "time-limit: it belongs to pipe only"),
        ("{ maildri = \"x\" }", "unknown key \"maildri\""),
        ("[{ mbox = \"x\" }, { mbox = \"x\" }]", "deliver: the same destination is there twice"),
    ];
    for (deliver, what) in cases {
        let text = format!("[accounts.work]\nserver = \"h\"\nuser = \"u\"\ndeliver = {deliver}\n");
        let error = home.load(&text).unwrap_err().shown();
        assert!(error.starts_with(what) && error.contains("config.toml:4\n\n  4 | deliver = "), "{error}");
    }
}

#[test]
fn accounts_inherit() {
    let home = Home::new();
    let text = "[defaults]\nserver = \"pop.example.com\"\npassword-file = \"/p\"\nca-file = \"/ca\"\ntls-fingerprint = \"sha256:\
        0000000000000000000000000000000000000000000000000000000000000000\"\ndeliver = { maildir = \"/m\" }\n\
        [accounts.b]\nuser = \"b\"\n[accounts.a]\nuser = \"a\"\npassword = \"p\"\ntls = \"none\"\n";
    let [b, a] = home.load(text).unwrap().accounts.try_into().unwrap();
    assert_eq!((b.name.as_str(), a.name.as_str()), ("b", "a"));
    assert!(matches!(b.password, PasswordSource::File(_)));
    assert_eq!(b.trust.ca_file, Some("/ca".into()));
    // Its own source in the place of the inherited one; and without TLS nothing to trust.
    assert!(matches!(&a.password, PasswordSource::Inline(p) if p.expose() == b"p"));
    assert_eq!(a.trust, Trust::default());
    for key in ["ca-file = \"/ca\"", "tls-client-certificate = \"/c\"\ntls-client-key = \"/k\""] {
        let error = home.load(&format!("{LEAST}tls = \"none\"\n{key}\n")).unwrap_err().shown();
        assert!(error.contains("it means nothing with tls = \"none\""), "{error}");
    }
}

#[test]
fn one_mailbox_is_one_account() {
    let home = Home::new();
    let account = |name: &str, server: &str, rest: &str| {
        format!("[accounts.{name}]\nserver = \"{server}\"\nuser = \"me\"\ndeliver.maildir = \"/m\"\n{rest}\n")
    };
    let same =
        [("POP.example.com.", ""), ("pop.example.com", "port = 110"), ("pop.example.com", "tls = \"none\"")];
    for (server, rest) in same {
        let text = account("a", "pop.example.com", "") + &account("b", server, rest);
        let error = home.load(&text).unwrap_err();
        assert_eq!(error.exit_code().number(), 78);
        let error = error.shown();
        assert!(error.starts_with("accounts \"a\" and \"b\" are the same mailbox"), "{error}");
        assert!(error.contains("config.toml:6"), "{error}");
    }
    let other = account("a", "pop.example.com", "") + &account("b", "pop.example.com", "port = 1995");
    assert_eq!(home.load(&other).unwrap().accounts.len(), 2);
}

#[test]
fn accounts_are_chosen_by_name() {
    let home = Home::new();
    home.write(&format!("{LEAST}{}", LEAST.replace("work", "home").replace("\"me\"", "\"you\"")), 0o600);
    let chosen = home.run(&["home", "work", "home"], &[]).unwrap();
    assert_eq!(chosen.accounts.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["home", "work"]);
    for (name, hint) in [("wrok", "did you mean \"work\"?"), ("zzz", "the accounts are \"work\", \"home\"")] {
        let error = home.run(&[name], &[]).unwrap_err();
        assert_eq!(error.exit_code().number(), 64);
        assert_eq!(error.shown(), format!("there is no account \"{name}\"\n\nhint: {hint}"));
    }
}

#[test]
fn files_with_secrets_are_private() {
    let home = Home::new();
    let secret = format!("{LEAST}password = \"hunter2\"\n");
    for (text, mode, refused) in [
        (secret.as_str(), 0o600, None),
        (&secret, 0o640, Some(("other users can read it (mode 640)", "600"))),
        (&secret, 0o604, Some(("other users can read it (mode 604)", "600"))),
        (LEAST, 0o644, None),
        (LEAST, 0o666, Some(("others could make popfetch run programs: everybody can change", "600"))),
    ] {
        let path = home.write(text, mode);
        match (home.run(&[], &[]), refused) {
            (Ok(_), None) => {}
            (Err(error), Some((why, chmod))) => {
                assert_eq!(error.exit_code().number(), 78);
                let error = error.shown();
                let hint = format!("hint: chmod {chmod} {}", path.display());
                assert!(error.contains(why) && error.ends_with(&hint), "{error}");
            }
            (other, _) => panic!("{mode:o}: {other:?}"),
        }
    }
}

#[test]
fn files_that_cannot_be_read() {
    let home = Home::new();
    let error = home.run(&[], &[]).unwrap_err().shown();
    let expected = format!(
        "there is no configuration at {}/config.toml\n\nhint: popfetch init ADDRESS",
        home.path().display()
    );
    assert!(error.starts_with(&expected) && error.contains("--server HOST"), "{error}");
    write(home.path().join("config.toml"), b"a = 1\n\xff").unwrap();
    let error = home.run(&[], &[]).unwrap_err();
    assert!(error.shown().contains("config.toml:2: this is not UTF-8"), "{error}");
    let error = home.load(&"#".repeat((1 << 20) + 1)).unwrap_err();
    assert!(error.shown().contains("config.toml is larger than 1.0 MiB"), "{error}");
    assert_eq!(error.exit_code().number(), 78);
}

/// A file whose one account, or `[defaults]`, has this setting.
fn with_setting(keys: &[SettingKey], name: &str, value: &str) -> String {
    let bare = value.parse::<i64>().is_ok() || matches!(value, "true" | "false");
    let line = if bare { format!("{name} = {value}") } else { format!("{name} = \"{value}\"") };
    if keys == DESTINATION_KEYS {
        let pipe = if matches!(name, "time-limit" | "parallel") { "pipe = \"x\", " } else { "" };
        LEAST.replace("maildir = \"~/Mail\"", &format!("{pipe}{line}"))
    } else if keys == SHARED_KEYS {
        format!("[defaults]\n{line}\n{LEAST}")
    } else if line == "tls = \"none\"" {
        format!("{LEAST}{line}\n")
    } else {
        format!("{LEAST}tls-client-certificate = \"/c\"\ntls-client-key = \"/k\"\n{line}\n")
    }
}

#[test]
fn every_word_that_the_manual_names_is_taken() {
    let home = Home::new();
    for keys in [ACCOUNT_KEYS, SHARED_KEYS, RETENTION_KEYS, DESTINATION_KEYS] {
        for key in keys {
            assert!(!key.values.is_empty() && key.text.ends_with('.'), "{}", key.name);
            let words = key.values.split('|').filter(|value| value.chars().all(|c| !c.is_ascii_uppercase()));
            for word in words {
                let text = with_setting(keys, key.name, word);
                home.load(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            }
        }
    }
}

#[test]
fn a_default_that_is_written_out_changes_nothing() {
    let home = Home::new();
    let plain = with_setting(ACCOUNT_KEYS, "tls", "implicit");
    for keys in [ACCOUNT_KEYS, SHARED_KEYS, DESTINATION_KEYS] {
        for key in keys {
            let Preset::Value(value) = key.default else { continue };
            let text = with_setting(keys, key.name, value);
            let without = match keys {
                DESTINATION_KEYS => LEAST.replace("maildir = \"~/Mail\"", "pipe = \"x\""),
                SHARED_KEYS => LEAST.to_owned(),
                _ => plain.clone(),
            };
            let [with, without] = [text, without].map(|text| format!("{:?}", home.load(&text).unwrap()));
            assert_eq!(with, without, "{}", key.name);
        }
    }
}

#[test]
fn a_fingerprint_changes_with_the_settings_and_holds_no_secret() {
    let home = Home::new();
    let path = home.path().join("config.toml");
    let with = |text: &str, key: u8| {
        home.write(text, 0o600);
        // The time of the file doesn't count.
        let changed = std::time::UNIX_EPOCH + Duration::from_secs(u64::from(key));
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
        let account = only(home.run(&[], &[]).unwrap());
        crate::credentials::configuration_digest(&account, &home.environment(), &[key; 32])
    };
    let fingerprint = |text: &str| with(text, 1);
    let plain = fingerprint(LEAST);
    assert_eq!(plain.len(), 32);
    assert_eq!(plain, fingerprint(LEAST));
    assert_eq!(plain, fingerprint(&format!("# comment\n{LEAST}sync = \"auto\"\n")));
    assert_ne!(plain, fingerprint(&format!("{LEAST}sync = \"each\"\n")));
    assert_ne!(plain, with(LEAST, 2), "without the key nobody can try settings on it");
    for key in ["password", "password-command"] {
        let secret = |secret: &str| fingerprint(&format!("{LEAST}{key} = \"{secret}\"\n"));
        assert_eq!(secret("a"), secret("a"));
        assert_ne!(secret("a"), secret("b"));
    }
    let file = home.path().join("secret");
    for key in ["password-file", "netrc", "tls-client-key"] {
        let chain = if key == "tls-client-key" { "tls-client-certificate = \"/none\"\n" } else { "" };
        let secret = |content: &str| {
            write(&file, content).unwrap();
            fingerprint(&format!("{LEAST}{chain}{key} = \"{}\"\n", file.display()))
        };
        assert_eq!(secret("a"), secret("a"), "{key}");
        assert_ne!(secret("a"), secret("b"), "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz_config(&octets);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\PC|\n|\t){0,200}") {
        fuzz_config(text.as_bytes());
    }

    /// Lines that look like a configuration get further than noise does.
    #[test]
    fn no_settings_make_it_panic(settings in proptest::collection::vec((0..ACCOUNT_KEYS.len(), value()), 0..8)) {
        let mut text = LEAST.to_owned();
        for (key, value) in settings {
            writeln!(text, "{} = {value}", ACCOUNT_KEYS[key].name).unwrap();
        }
        fuzz_config(text.as_bytes());
    }
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+0-9._xeT:]{0,20}",
        "\"[^\"\\\\]{0,20}\"",
        "'''\\PC{0,20}'''",
        "\\[(\"[a-z:$~{}]{0,5}\",?){0,3}\\]",
        "\\{ ?(days|newest|maildir|pipe|stdout|x) = (1|true|\"[^\"\\\\]{0,5}\") ?\\}",
        "\\PC{0,30}",
    ]
}

//! Accounts from flags and URLs, alone and over a file.

use std::time::Duration;

use super::{Home, LEAST, only};
use crate::account::{Auth, Deliver, Limits, PasswordSource, Pipe, PipeCommand, Retention, Tls};
use crate::config::check_stdout;
use crate::config::url::PopUrl;
use crate::problem::Problem as _;
use crate::types::Octets;

#[test]
fn flags_alone() {
    let home = Home::new();
    let account = only(
        home.run(
            &[],
            &[
                ("server", "localhost"),
                ("port", "1110"),
                ("user", "me"),
                ("tls", "none"),
                ("auth", "user-pass"),
                ("password-command", "echo p"),
                ("maildir", "Mail"),
                ("pipe", "procmail -d me"),
                ("time-limit", "1m"),
                ("stdout", "true"),
                ("leave-on-server", "days=14,total-size=2G"),
                ("received-header", "true"),
                ("max-bytes", "5000"),
            ],
        )
        .unwrap(),
    );
    assert_eq!((account.name.as_str(), account.port, account.tls), ("me@localhost", 1110, Tls::None));
    assert_eq!((account.auth, account.received_header), (Auth::UserPass, true));
    assert_eq!(account.max_bytes, Some(Octets(5000)));
    let limits = Limits { days: Some(14), total_size: Some(Octets(2 << 30)), ..Limits::default() };
    assert_eq!(account.retention, Retention::Limits(limits));
    let command = PipeCommand::Shell("procmail -d me".into());
    let pipe = Pipe { command, time_limit: Duration::from_secs(60), parallel: 1 };
    // Relative paths start at the current directory.
    let maildir = home.path().join("here/Mail");
    assert_eq!(account.deliver, [Deliver::Maildir(maildir), Deliver::Pipe(pipe), Deliver::Stdout]);
}

#[test]
fn flags_that_are_wrong() {
    let home = Home::new();
    home.write(LEAST, 0o600);
    let base = [("server", "h"), ("user", "u")];
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (&[], &base, "the account has no destination", "add --maildir DIRECTORY, --mbox FILE or --pipe"),
        (&[], &base[..1], "the account has no user", "add --user"),
        (&["work"], &base, "--server describes an account, and \"work\" is another one", "leave one"),
        (&["pops://u:pw@h"], &base, "--server describes an account, and the URL is another one", "leave one"),
        (&["pops://u@h"], &[("user", "x")], "the URL and --user set the same thing", "leave one out"),
        (
            &["pops://u@h"],
            &[("tls", "none")],
            "pops:// is TLS from the start, but --tls is \"none\"",
            "write pop://",
        ),
        (&["work"], &[("max-bytes", "25Q")], "--max-bytes: \"25Q\" is not a size", "octets, or a number"),
        (&["work"], &[("port", "x")], "--port: expected a whole number, found \"x\"", ""),
        (&["work"], &[("leave-on-server", "14")], "--leave-on-server: expected true, false or limits", ""),
        (&["work"], &[("leave-on-server", "days=x")], "--days: expected a whole number", ""),
        (&["work"], &[("time-limit", "1m")], "--time-limit and --parallel belong to --pipe", "add --pipe"),
        (&["work"], &[("stdout", "false")], "--stdout: there is no destination", ""),
        (
            &["work"],
            &[("netrc", "a"), ("credential", "b")],
            "there are two sources of the password",
            "keep one",
        ),
        (&["wrok"], &[], "there is no account \"wrok\"", "did you mean \"work\"?"),
    ];
    for (accounts, flags, what, hint) in cases {
        let error = home.run(accounts, flags).unwrap_err();
        assert_eq!(error.exit_code().number(), 64, "{error}");
        let error = error.shown();
        assert!(
            error.starts_with(what) && error.contains(&format!("\n\nhint: {hint}")) || hint.is_empty(),
            "{error}"
        );
        assert!(error.starts_with(what) && !error.contains("pw"), "{error}");
    }
}

#[test]
fn flags_over_a_file() {
    let home = Home::new();
    let other = LEAST.replace("work", "home").replace("\"me\"", "\"you\"");
    home.write(&format!("[defaults]\nnetrc = true\n{LEAST}auth = \"apop\"\n{other}"), 0o600);
    let account = only(
        home.run(&["work"], &[("leave-on-server", "false"), ("mbox", "x"), ("password-file", "p")]).unwrap(),
    );
    assert_eq!(
        (account.name.as_str(), account.auth, account.retention),
        ("work", Auth::Apop, Retention::Delete)
    );
    assert_eq!(account.deliver, [Deliver::Mbox(home.path().join("here/x"))]);
    assert!(matches!(account.password, PasswordSource::File(path) if path == home.path().join("here/p")));
    // Without a name for every account; two must not become one.
    let all = home.run(&[], &[("timeout", "5s")]).unwrap().accounts;
    assert!(all.len() == 2 && all.iter().all(|account| account.timeout == Duration::from_secs(5)));
    let error = home.run(&[], &[("user", "x")]).unwrap_err();
    assert!(error.shown().starts_with("accounts \"work\" and \"home\" are the same mailbox"), "{error}");
    assert_eq!(error.exit_code().number(), 64);
    // A URL beside a name.
    let both = home.run(&["pops://x@h", "home"], &[("maildir", "m")]).unwrap().accounts;
    assert_eq!(both.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["home", "x@h"]);
}

#[test]
fn urls() {
    let home = Home::new();
    type Expected = (&'static str, &'static str, u16, Tls, Auth);
    let cases: &[(&str, Expected)] = &[
        ("pop://u%40x;AUTH=SCRAM-SHA-256@h:1110", ("u@x", "h", 1110, Tls::StartTls, Auth::ScramSha256)),
        ("pop://u;AUTH=+APOP@h", ("u", "h", 110, Tls::StartTls, Auth::Apop)),
        ("pop://u;auth=*@h", ("u", "h", 110, Tls::StartTls, Auth::Auto)),
        ("pops://u@h", ("u", "h", 995, Tls::Implicit, Auth::Auto)),
        ("POPS://u@H.Example./", ("u", "h.example", 995, Tls::Implicit, Auth::Auto)),
        ("pops://a%3Ab%2F%25@[::1]:1995", ("a:b/%", "::1", 1995, Tls::Implicit, Auth::Auto)),
        (
            "pops://me@example.com@b%C3%BCcher.example",
            ("me@example.com", "xn--bcher-kva.example", 995, Tls::Implicit, Auth::Auto),
        ),
        ("pops://j%C3%B6rg;AUTH=xoauth2@127.0.0.1", ("jörg", "127.0.0.1", 995, Tls::Implicit, Auth::XOAuth2)),
    ];
    for (url, (user, host, port, tls, auth)) in cases {
        let configuration = home.run(&[url], &[("maildir", "m")]).unwrap_or_else(|e| panic!("{url}: {e}"));
        assert!(configuration.warnings.is_empty());
        let account = only(configuration);
        assert_eq!(account.name, format!("{user}@{host}"));
        let read = (account.user.as_str(), account.host.as_str(), account.port, account.tls, account.auth);
        assert_eq!(read, (*user, *host, *port, *tls, *auth), "{url}");
    }
    let flags = [("maildir", "m"), ("user", "u"), ("tls", "implicit")];
    let account = only(home.run(&["pop://h"], &flags).unwrap());
    assert_eq!((account.user.as_str(), account.port, account.tls), ("u", 995, Tls::Implicit));
}

#[test]
fn a_password_in_a_url_is_taken_with_a_warning() {
    let home = Home::new();
    for url in
        ["pops://u:hunter%402@h", "pops://u;AUTH=PLAIN:hunter%402@h", "pops://u:hunter%402;AUTH=PLAIN@h"]
    {
        let configuration = home.run(&[url], &[("maildir", "m")]).unwrap();
        assert_eq!(configuration.warnings.len(), 1);
        assert!(!configuration.warnings[0].contains("hunter"));
        let account = only(configuration);
        assert!(matches!(&account.password, PasswordSource::Inline(p) if p.expose() == b"hunter@2"), "{url}");
        let error = home.run(&[url], &[("maildir", "m"), ("netrc", "true")]).unwrap_err();
        assert!(error.shown().starts_with("there are two sources of the password"), "{error}");
    }
}

#[test]
fn urls_that_mean_nothing() {
    for (url, what) in [
        ("pop://u%zz@h", "a % without two hexadecimal digits"),
        ("pop://u%@h", "a % without two hexadecimal digits"),
        ("pop://u@h:0", "the port is not a number from 1 to 65535"),
        ("pop://u@h:65536", "the port is not a number from 1 to 65535"),
        ("pop://u@h:+1", "the port is not a number"),
        ("pop://u@h:", "the port is not a number"),
        ("pop://u@h/INBOX", "a POP URL has no path"),
        ("pop://u@h?x=y", "a POP URL has no path"),
        ("pop://u@h#x", "a POP URL has no path"),
        ("pop://u%0d%0aDELE@h", "user: it holds a line end or NUL"),
        ("pop://u%00@h", "user: it holds a line end or NUL"),
        ("pop://u:hunter2%0a@h", "password: it holds a line end or NUL"),
        ("pop://u:@h", "password: it is empty"),
        ("pop://%ff@h", "it is not UTF-8"),
        ("pop://@h", "user: it is empty"),
        ("pop://;AUTH=*@h", "user: it is empty"),
        ("pop://u;AUTH=hunter@h", "there is no mechanism \"hunter\""),
        ("pop://u;AUTH=auto@h", "there is no mechanism \"auto\""),
        ("pop://u;AUTH=@h", "there is no mechanism \"\""),
        ("pop://", "\"\" is not a host"),
        ("pop://u@", "\"\" is not a host"),
        ("pop://u@[::1", "\"[::1\" is not a host"),
        ("pop://u@[::1]x", "\"[::1]x\" is not a host"),
        ("pop://u@a%2Fb", "\"a/b\" is not a host"),
        ("imap://u:hunter2@h", "a URL begins with pop:// or pops://"),
        ("://", "a URL begins with pop:// or pops://"),
        ("pop://u:hunter2/@h", "a POP URL has no path"),
    ] {
        let error = PopUrl::parse(url).expect_err(url);
        assert_eq!(error.exit_code().number(), 64);
        let error = error.shown();
        assert!(error.contains(what) && !error.contains("hunter2"), "{url}: {error}");
    }
}

#[test]
fn printing_and_deleting_do_not_go_together() {
    let home = Home::new();
    let base = [("server", "h"), ("user", "u"), ("stdout", "true")];
    for (policy, regular, allowed) in
        [("true", false, true), ("false", false, false), ("false", true, true), ("days=1", false, false)]
    {
        let flags = [&base[..], &[("leave-on-server", policy)]].concat();
        let account = only(home.run(&[], &flags).unwrap());
        let code = check_stdout(&account, regular).map_err(|error| error.exit_code().number());
        assert_eq!(code, if allowed { Ok(()) } else { Err(64) }, "{policy} {regular}");
    }
}

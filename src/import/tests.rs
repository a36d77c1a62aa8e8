//! Configurations as the programs themselves accept them, odd ones, and ones that nobody should write.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::foreign::{ForeignTarget, Protection, StateLines, Stays};
use super::seen::{self, RetrievedMail};
use super::{
    Error, Foreign, ForeignFile, ForeignProgram, ForeignSource, ForeignSurroundings, Password, StateFile,
    document, fuzz_import, read,
};
use crate::access;
use crate::account::{Auth, Switch, Tls};
use crate::secret::Secret;
use crate::types::Time;

const FIXTURES: [(ForeignProgram, &str, &[u8]); 4] = [
    (ForeignProgram::Fetchmail, ".fetchmailrc", include_bytes!("../../tests/fixtures/import/fetchmailrc")),
    (ForeignProgram::Getmail, ".getmail/getmailrc", include_bytes!("../../tests/fixtures/import/getmailrc")),
    (ForeignProgram::Mpop, ".mpoprc", include_bytes!("../../tests/fixtures/import/mpoprc")),
    (ForeignProgram::Fdm, ".fdm.conf", include_bytes!("../../tests/fixtures/import/fdm.conf")),
];

/// Reads a text as the program's file `/home/me/rc`, whose includes hold `included`.
fn parse_with(program: ForeignProgram, octets: &[u8], included: &str) -> Result<ForeignFile, Error> {
    let variables: BTreeMap<OsString, OsString> =
        [("USER", "me"), ("MAILS", "/srv/mail")].map(|(name, value)| (name.into(), value.into())).into();
    let around = ForeignSurroundings { home: Path::new("/home/me"), caller: None, variables: &variables };
    let mut include = |path: &Path| match path.file_name().is_some_and(|name| name == "absent") {
        true => Err(access::read(path, "included file", 10).unwrap_err()),
        false => Ok(Secret::new(included)),
    };
    read(program, ForeignSource { path: Path::new("/home/me/rc"), octets }, around, &mut include)
}

#[track_caller]
fn parse(program: ForeignProgram, text: &str) -> ForeignFile {
    parse_with(program, text.as_bytes(), "").unwrap_or_else(|e| panic!("{e}"))
}

#[track_caller]
fn one(program: ForeignProgram, text: &str) -> Foreign {
    let mut reading = parse(program, text);
    assert_eq!(reading.accounts.len(), 1, "{reading:?}");
    reading.accounts.remove(0)
}

fn fetchmail(options: &str) -> Foreign {
    one(ForeignProgram::Fetchmail, &format!("poll pop.example.com proto pop3 user u pass p mda x {options}"))
}

fn getmail(kind: &str, retriever: &str, destination: &str, rest: &str) -> Foreign {
    let text = format!(
        "[retriever]\ntype={kind}\nserver=pop.example.com\nusername=u\n{retriever}\n[destination]\n{destination}\n{rest}\n"
    );
    one(ForeignProgram::Getmail, &text)
}

fn mpop(lines: &str) -> Foreign {
    one(
        ForeignProgram::Mpop,
        &format!("account a\nhost pop.example.com\nuser u\ndelivery maildir ~/M\n{lines}\n"),
    )
}

fn fdm(account: &str, rest: &str) -> Foreign {
    one(ForeignProgram::Fdm, &format!("account \"a\" {account}\n{rest}\n"))
}

fn password(account: &Foreign) -> Option<Vec<u8>> {
    match &account.password {
        Password::Text(secret, _) => Some(secret.expose().to_vec()),
        _ => None,
    }
}

fn said(account: &Foreign) -> String {
    document::comments(&document::remarks(account), Some(Path::new("/home/me")))
}

#[test]
fn nothing_that_a_file_holds_is_a_panic_or_a_secret_in_an_error() {
    for (program, _, octets) in FIXTURES {
        for end in 0..octets.len() {
            let result = parse_with(program, &octets[..end], "set timeout 60\n");
            if let Err(e) = result {
                let shown = e.to_string();
                assert!(
                    !["cret", "1234", "hidden", "homepw", "p w"].iter().any(|secret| shown.contains(secret)),
                    "{shown}"
                );
            }
            // Each program's file is nonsense to the others.
            fuzz_import(&octets[..end.min(300)]);
        }
    }
    for octets in [
        &b""[..],
        b"\0",
        b"\xff\xfe",
        b"include \"x\"\n",
        b"poll \"",
        b"%",
        b"$(",
        b"[",
        b"[retriever]\ntype\n",
    ] {
        fuzz_import(octets);
    }
}

#[test]
fn a_mistake_is_named_with_its_line() {
    let cases = [
        (
            ForeignProgram::Fetchmail,
            "poll a\nuser b\npasword c\n",
            "/home/me/rc:3: after the user an option is expected",
        ),
        (ForeignProgram::Fetchmail, "poll a user b pass \"c\n", "/home/me/rc:1: a quote has no end"),
        (ForeignProgram::Fetchmail, "\nkeep\n", "/home/me/rc:2: poll, skip, defaults or set is expected"),
        (
            ForeignProgram::Getmail,
            "x = 1\n",
            "/home/me/rc:1: a section such as [retriever] is expected first",
        ),
        (
            ForeignProgram::Getmail,
            "[options]\nread_all = maybe\n",
            "/home/me/rc: there is no section [retriever]",
        ),
        (
            ForeignProgram::Getmail,
            "[retriever]\ntype = SimplePOP3Retriever\n[options]\ndelete = perhaps\n[destination]\n",
            "/home/me/rc:4: delete is true or false",
        ),
        (ForeignProgram::Mpop, "account a\nhots b\n", "/home/me/rc:2: this is not a command of mpop"),
        (ForeignProgram::Mpop, "host b\n", "/home/me/rc:1: account or defaults is expected first"),
        (
            ForeignProgram::Mpop,
            "account a : b\n",
            "/home/me/rc:1: it inherits from an account that is not there",
        ),
        (
            ForeignProgram::Fdm,
            "\naccount \"a\" pop4 server \"b\"\n",
            "/home/me/rc:2: this is not a kind of account",
        ),
        (ForeignProgram::Fdm, "match all { action \"x\" maildir \"y\"\n", "/home/me/rc:2: a } is missing"),
        (ForeignProgram::Fdm, "include \"absent\"", "cannot read included file"),
    ];
    for (program, text, expected) in cases {
        let error = parse_with(program, text.as_bytes(), "").unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let endless = parse_with(ForeignProgram::Fdm, b"include \"x\"", "include \"x\"").unwrap_err().to_string();
    assert!(endless.contains("too many files"), "{endless}");
}

#[test]
fn fetchmail_options_stand_in_any_order_and_flags_may_be_glued_to_no() {
    let account = fetchmail(
        "is you here with options nokeep and no ssl , has fetchlimit 3; limit 0 batchlimit 5 no rewrite",
    );
    assert_eq!(account.server, "pop.example.com");
    assert_eq!(
        (account.user.as_deref(), account.stays, account.max_messages),
        (Some("u"), Stays::Nothing, Some(3))
    );
    assert_eq!(
        (account.max_message_size, account.protection, account.delivered),
        (None, Protection::Perhaps, false)
    );
    assert_eq!(account.remarks, []);
    let account = fetchmail("keep ssl sslcertfile \"certs/ca.pem\"");
    assert_eq!((account.stays, account.protection), (Stays::All, Protection::Implicit));
    assert_eq!(account.ca_file.as_deref(), Some("~/certs/ca.pem"));
    assert!(account.delivered);
    // A name that is a keyword, and a password that is a number.
    let account =
        one(ForeignProgram::Fetchmail, "poll h.example protocol POP3 username keep password 007 mda x");
    assert_eq!((account.user.as_deref(), password(&account)), (Some("keep"), Some(b"007".to_vec())));
    // Local and remote names the other way round; without any user the one that runs it.
    let account =
        one(ForeignProgram::Fetchmail, "poll h.example user you here is me2 there pass x mda 'd %T'");
    assert_eq!(
        (account.user.as_deref(), &account.deliver[0]),
        (Some("me2"), &ForeignTarget::Shell("d you".to_owned()))
    );
    assert_eq!(one(ForeignProgram::Fetchmail, "poll h.example mda x").user.as_deref(), Some("me"));
    assert_eq!(
        one(ForeignProgram::Fetchmail, "defaults user d pass e mda x\npoll h.example").user.as_deref(),
        Some("d")
    );
}

#[test]
fn what_fetchmail_logs_in_with_is_what_popfetch_logs_in_with() {
    for (options, auth) in [
        ("", None),
        ("auth cram-md5", Some(Auth::CramMd5)),
        ("auth external", Some(Auth::External)),
        ("auth any", None),
    ] {
        let text = format!("poll pop.example.com {options} user u pass p mda x");
        assert_eq!(one(ForeignProgram::Fetchmail, &text).auth, auth, "{options}");
    }
    assert_eq!(
        one(ForeignProgram::Fetchmail, "poll h.e proto apop user u pass p mda x").auth,
        Some(Auth::Apop)
    );
    for proto in ["imap", "etrn", "kpop", "sdps"] {
        let account = one(ForeignProgram::Fetchmail, &format!("poll h.e proto {proto} user u pass p mda x"));
        assert!(account.is_other_protocol, "{proto}");
    }
    assert!(said(&fetchmail("")).is_empty());
    assert!(
        said(&one(ForeignProgram::Fetchmail, "poll h.e user u mda x"))
            .contains("there is no password in the file")
    );
    // On this machine nobody listens; elsewhere STLS is required.
    assert_eq!(document::tls(&fetchmail("")), Tls::StartTls);
    let local = one(ForeignProgram::Fetchmail, "poll localhost proto pop3 user u pass p mda x");
    assert_eq!(document::tls(&local), Tls::None);
}

#[test]
fn where_fetchmail_delivers_popfetch_delivers_or_reports_that_it_cannot() {
    let deliver = |options: &str| {
        one(ForeignProgram::Fetchmail, &format!("poll h.e proto pop3 user u pass p {options}"))
    };
    let account = deliver("to 'a b' here");
    let words = ["/usr/sbin/sendmail", "-i", "-f", "{sender}", "--", "a b"].map(str::to_owned).to_vec();
    assert_eq!(account.deliver, [ForeignTarget::Argv(words)]);
    assert!(said(&account).contains("by SMTP"));
    for options in ["smtphost mx.example", "lmtp", "bsmtp /tmp/x", "bsmtp /tmp/x mda y"] {
        let account = deliver(options);
        assert!(account.left_out.is_some() && account.deliver.is_empty(), "{options}");
    }
    for many in ["is a b here", "is * here", "is a=b here"] {
        assert!(deliver(many).left_out.unwrap().contains("multidrop"), "{many}");
    }
}

/// Mail that is sent to the user's name at the server would go back there.
#[test]
fn without_a_local_name_fetchmails_mail_is_for_the_user_that_runs_it() {
    let deliver = |options: &str| {
        let text = format!("poll h.e proto pop3 user me@h.e pass p {options}");
        let account = one(ForeignProgram::Fetchmail, &text);
        match account.deliver.as_slice() {
            [ForeignTarget::Argv(words)] => words.last().unwrap().clone(),
            [ForeignTarget::Shell(line)] => line.clone(),
            other => panic!("{other:?}"),
        }
    };
    for (options, expected) in [
        ("", "me"),
        ("is anna here", "anna"),
        ("smtpaddress a.example", "me@a.example"),
        ("smtpname b@a.example smtpaddress c.example", "b@a.example"),
        ("to d@e.example here smtpname b@a.example", "d@e.example"),
        ("mda 'x %T'", "x me"),
        ("mda 'x %T' to anna here smtpname b@a.example", "x anna"),
    ] {
        assert_eq!(deliver(options), expected, "{options}");
    }
    let account = fetchmail("");
    assert!(!said(&account).contains("local user"), "it matters to nobody: {account:?}");
    let text = "poll h.e proto pop3 user u pass p";
    let file = ForeignSource { path: Path::new("/home/me/rc"), octets: text.as_bytes() };
    let around =
        ForeignSurroundings { home: Path::new("/home/me"), caller: None, variables: &BTreeMap::new() };
    let nobody = read(ForeignProgram::Fetchmail, file, around, &mut |_| unreachable!()).unwrap();
    assert!(nobody.accounts[0].left_out.as_ref().unwrap().contains("USER is not set"));
    let around = ForeignSurroundings { caller: Some("anna"), ..around };
    let hers = read(ForeignProgram::Fetchmail, file, around, &mut |_| unreachable!()).unwrap();
    assert!(
        matches!(&hers.accounts[0].deliver[..], [ForeignTarget::Argv(words)] if words.ends_with(&["anna".to_owned()]))
    );
}

#[test]
fn an_mpop_account_inherits_what_another_sets_and_the_defaults_of_its_own_place() {
    let text = "defaults\nkeep on\ntimeout 600\naccount a\nhost h.example\nuser u\npipelining off\n\
                delivery maildir ~/a\ndefaults\nkeep off\naccount b : a\nuser v\naccount c : b\nkeep on\n";
    let accounts = parse(ForeignProgram::Mpop, text).accounts;
    let settings: Vec<_> = accounts
        .iter()
        .map(|account| (account.user.as_deref(), account.stays, account.timeout, account.pipelining))
        .collect();
    let off = Some(Switch::Off);
    assert_eq!(
        settings,
        [
            (Some("u"), Stays::All, Some(600), off),
            (Some("v"), Stays::Nothing, Some(600), off),
            (Some("v"), Stays::All, Some(600), off),
        ]
    );
}

#[test]
fn getmail_destinations_are_taken_over_one_by_one() {
    const SSL: &str = "SimplePOP3SSLRetriever";
    let maildir = "type=Maildir\npath=$MAILS/in/";
    assert_eq!(getmail(SSL, "", maildir, "").deliver, [ForeignTarget::Maildir("/srv/mail/in".to_owned())]);
    assert_eq!(
        getmail(SSL, "", "type=Mboxrd\npath=~/x$y", "").deliver,
        [ForeignTarget::Mbox("~/x$$y".to_owned())]
    );
    let mda = "type=MDA_external\npath=/bin/d\narguments=('-f', '%(recipient)')";
    let argv = ["/bin/d", "-f", "{recipient}"].map(str::to_owned).to_vec();
    assert_eq!(getmail(SSL, "", mda, "").deliver, [ForeignTarget::Argv(argv)]);
    for (destination, why) in [
        ("type=MDA_external\npath=/bin/d\narguments=('%(domain)',)", "arguments: popfetch replaces"),
        ("type=MDA_external\npath=/bin/d\narguments=('a' + 'b',)", "arguments: set deliver by hand"),
        ("type=MDA_qmaillocal", "the destination:"),
        ("type=MultiDestination\ndestinations=('[nowhere]',)", "names a section that is not there"),
        ("type=MultiDestination\ndestinations=('[destination]',)", "the destination:"),
    ] {
        let account = getmail(SSL, "", destination, "");
        assert!(
            account.left_out.is_some() && said(&account).contains(why),
            "{destination}: {}",
            said(&account)
        );
    }
    let guesser = getmail(SSL, "", "type=MultiGuesser\ndefault=[d]\nlocals=()", &format!("[d]\n{maildir}"));
    assert_eq!(guesser.deliver, [ForeignTarget::Maildir("/srv/mail/in".to_owned())]);
    assert!(said(&guesser).contains("all mail goes to the default"));
}

#[test]
fn getmail_deletes_as_its_options_set() {
    let stays = |options: &str| {
        getmail("SimplePOP3Retriever", "", "type=Maildir\npath=/m/", &format!("[options]\n{options}")).stays
    };
    let limits = |days, larger_than| Stays::Limits { days, larger_than };
    for (options, expected) in [
        ("", Stays::All),
        ("delete = true\ndelete_after = 7", Stays::Nothing),
        ("delete = no\ndelete_after = 7", limits(Some(7), None)),
        ("delete_after: 7\ndelete_bigger_than: 100", limits(Some(7), Some(100))),
        ("delete_after = 0", Stays::All),
    ] {
        assert_eq!(stays(options), expected, "{options}");
    }
}

#[test]
fn getmail_passwords_are_found_where_getmail_finds_them() {
    let of = |retriever: &str, options: &str| {
        getmail(
            "SimplePOP3SSLRetriever",
            retriever,
            "type=Maildir\npath=/m/",
            &format!("[options]\n{options}"),
        )
    };
    assert_eq!(password(&of("password = a %b;c", "")), Some(b"a %b;c".to_vec()));
    let command = of("password_command = ('pass', 'x')", "").password;
    assert!(matches!(command, Password::Argv(words) if words == ["pass", "x"]));
    assert!(matches!(of("", "use_netrc = true").password, Password::Netrc(None)));
    let named = of("", "use_netrc = true\nnetrc_file = ~/n").password;
    assert!(matches!(named, Password::Netrc(Some(file)) if file == "~/n"));
    assert!(matches!(of("", "").password, Password::Unknown));
    let latin = b"[retriever]\ntype=SimplePOP3Retriever\nserver=h\nusername=u\npassword=\xe9\n[destination]\ntype=Maildir\npath=/m/\n";
    let account = parse_with(ForeignProgram::Getmail, latin, "").unwrap().accounts.remove(0);
    assert!(password(&account).is_none() && said(&account).contains("the password is not UTF-8"));
}

#[test]
fn mpop_settings_have_their_counterparts() {
    let plain = mpop("");
    assert_eq!((plain.protection, plain.stays, plain.name.as_str()), (Protection::None, Stays::Nothing, "a"));
    assert!(said(&plain).contains("the connection was not protected"));
    for (lines, tls) in
        [("tls", Tls::StartTls), ("tls on\ntls_starttls off", Tls::Implicit), ("port 995", Tls::Implicit)]
    {
        assert_eq!(document::tls(&mpop(lines)), tls, "{lines}");
    }
    for (lines, size) in [
        ("skipsize 10k", Some(10_240)),
        ("killsize 2m\nskipsize 3m", Some(2_097_152)),
        ("killsize off", None),
        ("killsize 0", None),
    ] {
        assert_eq!(mpop(lines).max_message_size, size, "{lines}");
    }
    assert!(
        said(&mpop("killsize 2m")).contains("killsize")
            && !said(&mpop("keep\nkillsize 2m")).contains("killsize")
    );
    let account = mpop("keep\nauth scram-sha-256\ntimeout 30\npassword \"a \"b\" #c\"\nuidls_file ~/u/%U@%H");
    assert_eq!(
        (account.stays, account.auth, account.timeout),
        (Stays::All, Some(Auth::ScramSha256), Some(30))
    );
    assert_eq!(password(&account), Some(b"a \"b\" #c".to_vec()));
    assert_eq!(account.state[0].path, Path::new("/home/me/u/u@pop.example.com"));
    let reading = parse(ForeignProgram::Mpop, "account a\neval echo password x\n");
    assert!(reading.remarks[0].what.starts_with("eval: the command is not run"));
}

#[test]
fn fdm_rules_lead_to_the_place_that_all_mail_reaches() {
    const POP: &str = "pop3s server \"pop.example.com\" user \"u\" pass \"p\"";
    let maildir = |path: &str| ForeignTarget::Maildir(path.to_owned());
    let cases: [(&str, &[ForeignTarget], bool); 8] = [
        ("action \"x\" maildir \"%h/in\" match all action \"x\"", &[maildir("~/in")], false),
        ("match all action maildir \"~/%[account]\"", &[maildir("~/a")], false),
        (
            "match account \"b*\" action maildir \"b\" match account \"a*\" action maildir \"c/\"",
            &[maildir("~/c")],
            false,
        ),
        (
            "action \"x\" { tag \"t\" value \"v\" maildir \"m\" mbox \"n\" } match all actions { \"x\" }",
            &[maildir("~/m"), ForeignTarget::Mbox("~/n".to_owned())],
            false,
        ),
        (
            "match size < 5 kilobytes and not \"x\" in body action drop match unmatched { match all action maildir \"m\" }",
            &[maildir("~/m")],
            true,
        ),
        (
            "match all action maildir \"m\" continue match all action pipe \"p\"",
            &[maildir("~/m"), ForeignTarget::Shell("p".to_owned())],
            false,
        ),
        (
            "match string \"%1\" to case \"x\" action \"x\" match exec \"e\" returns (0, \"x\") action keep",
            &[],
            true,
        ),
        ("match all action maildir \"m/%y\"", &[], false),
    ];
    for (rules, deliver, some) in cases {
        let account = fdm(POP, rules);
        assert_eq!(account.deliver, deliver, "{rules}");
        assert_eq!(said(&account).contains("popfetch has no rules"), some, "{rules}: {}", said(&account));
        assert_eq!(account.left_out.is_some(), deliver.is_empty(), "{rules}");
    }
}

#[test]
fn what_fdm_only_saw_is_not_taken_for_delivered() {
    const POP: &str = "pop3s server \"pop.example.com\" user \"u\" pass \"p\" new-only cache \"~/c\"";
    let all = "match all action maildir \"m\"";
    let some = "match \"x\" action drop match all action maildir \"m\"";
    for (account, rules, delivered) in [
        (format!("{POP} keep"), all, true),
        (POP.to_owned(), all, false),
        (format!("{POP} keep"), some, false),
    ] {
        let account = fdm(&account, rules);
        assert_eq!(account.delivered, delivered, "{rules}");
        assert_eq!(account.state, [StateFile { path: "/home/me/c".into(), lines: StateLines::Fdm }]);
    }
    assert_eq!(
        fdm("pop3s server \"h\" user \"u\" pass \"p\"", all).state,
        [],
        "without a cache it remembers nothing"
    );
}

#[test]
fn fdm_runs_commands_for_texts_and_nobody_else_does() {
    let all = "match all action maildir \"m\"";
    let account = fdm("pop3s server \"h\" user \"u\" pass $(cat \"x )\" | head)", all);
    assert!(matches!(&account.password, Password::Shell(command) if command == "cat \"x )\" | head"));
    let account = fdm("pop3s server $(hostname) user \"u\" pass \"p\"", all);
    assert!(account.left_out.unwrap().contains("its server comes from a command"));
    let account = fdm("pop3s server \"h\" user \"u\" pass \"a\" + $(b)", all);
    assert!(matches!(account.password, Password::Unknown) && said(&account).contains("set password-command"));
    let account = one(
        ForeignProgram::Fdm,
        &format!("$p = $(b)\naccount 'a' pop3s server 'h' user 'u' pass \"x${{p}}\"\n{all}"),
    );
    assert!(matches!(account.password, Password::Unknown));
    assert!(matches!(fdm("pop3s server \"h\"", all).password, Password::Netrc(None)));
}

fn of(lines: StateLines, octets: &[u8]) -> Result<RetrievedMail, Error> {
    seen::read(&StateFile { path: "/s".into(), lines }, octets)
}

fn names(seen: &RetrievedMail) -> Vec<(String, Option<i64>)> {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    seen.messages.iter().map(|(id, time)| (text(id.borrow().as_bytes()), time.map(|time| time.0))).collect()
}

#[test]
fn fetchmail_lines_belong_to_a_user_at_a_host() {
    let lines = StateLines::Fetchmail {
        user: "Me@x".to_owned(),
        hosts: vec!["label".to_owned(), "Pop.example".to_owned()],
    };
    let text = b"me@x@pop.EXAMPLE a@b\nyou@pop.example c\nme@x@label  d e\n\nnonsense\nme@x@pop.example \nme@x@label d\n";
    let seen = of(lines, text).unwrap();
    assert_eq!(names(&seen), [("a@b".to_owned(), None), ("d".to_owned(), None)]);
    assert_eq!(seen.passed_over, 2);
    let blank = StateLines::Fetchmail { user: "a b".to_owned(), hosts: vec!["h".to_owned()] };
    assert_eq!(names(&of(blank, b"a b@h id\n").unwrap()), [("id".to_owned(), None)]);
}

#[test]
fn getmail_lines_have_a_time_behind_nul() {
    let seen =
        of(StateLines::Getmail, b"a\x001700000000\nb c\x005\nno time\na\x001600000000\nx\x00-1\nlast\x007")
            .unwrap();
    let expected = [("a", 1_700_000_000), ("b c", 5), ("last", 7)];
    assert_eq!(names(&seen), expected.map(|(name, time)| (name.to_owned(), Some(time))));
    assert_eq!(seen.passed_over, 2);
}

#[test]
fn mpop_lines_stand_below_their_mailbox() {
    let of = |host: &str, octets: &[u8]| {
        of(StateLines::Mpop { user: "a b".to_owned(), host: host.to_owned() }, octets)
            .map(|seen| names(&seen))
    };
    let text = b"# mpop\n 2 h1 a b\n#x 1700000000\nc d 1700000001\n 1 h2 a b\nplain\n 1 h2 other\nnot this\n";
    let timed = [("#x", 1_700_000_000), ("c d", 1_700_000_001)];
    assert_eq!(of("h1", text).unwrap(), timed.map(|(name, time)| (name.to_owned(), Some(time))));
    assert_eq!(of("h2", text).unwrap(), [("plain".to_owned(), None)]);
    assert_eq!(of("h3", text).unwrap(), []);
    // Before 1.4.23 there are no times: what looks like one in one line only is a part of it.
    assert_eq!(of("h", b" 2 h a b\nx 17\ny\n").unwrap(), [("x 17".to_owned(), None), ("y".to_owned(), None)]);
    for broken in [&b" 3 h a b\nx\n"[..], b"x\n", b" 99999999999999999999 h a b\n"] {
        assert!(of("h", broken).is_err());
    }
}

#[test]
fn fdm_lines_begin_with_a_length() {
    assert_eq!(
        names(&of(StateLines::Fdm, b"1 a\n3 b c\n").unwrap()),
        [("a".to_owned(), None), ("b c".to_owned(), None)]
    );
    assert_eq!(of(StateLines::Fdm, b"").unwrap(), RetrievedMail::default());
    for broken in [&b"5 abc\n"[..], b"x", b"18446744073709551616 a"] {
        let error = of(StateLines::Fdm, broken).unwrap_err().to_string();
        assert!(error.starts_with("/s:1: "), "{error}");
    }
}

#[test]
fn a_state_file_of_hundreds_of_thousands_of_messages_is_read() {
    let octets: Vec<u8> =
        (0..300_000).flat_map(|n| format!("uid-{n}\0{}\n", 1_700_000_000 + n).into_bytes()).collect();
    let seen = of(StateLines::Getmail, &octets).unwrap();
    assert_eq!(seen.messages.len(), 300_000);
    assert_eq!(seen.messages.last().unwrap().1, Some(Time(1_700_299_999)));
}

#[test]
fn every_account_gets_a_name_of_its_own() {
    let text = "poll pop.example.com proto pop3 user a pass p mda x user b pass p mda x\n\
                poll pop3.list proto pop3 user c pass p mda x\npoll import via h.example proto pop3 user d pass p mda x\n\
                poll 192.0.2.1 proto pop3 user 'e@f' pass p mda x\npoll 'x y' via h.example proto pop3 user g pass p mda x";
    let reading = parse(ForeignProgram::Fetchmail, text);
    let names = document::choose_names(&reading.accounts, ["example".to_owned()]);
    assert_eq!(names, ["example-a", "example-b", "list-mail", "import-mail", "e", "x-y"]);
}

/// The section that is written for an account.
fn section(account: &Foreign) -> String {
    document::addition("name", account, "name.password").section()
}

#[test]
fn the_way_to_the_server_is_taken_over() {
    let has = |account: &Foreign, line: &str| {
        let section = section(account);
        assert!(section.lines().any(|written| written == line), "{line}\n{section}");
        assert!(account.remarks.is_empty(), "{:?}", account.remarks);
    };
    let account = fetchmail(r#"plugin "ssh -x gate nc %h %p" ssl"#);
    has(&account, r#"connect-command = ["ssh", "-x", "gate", "nc", "{host}", "{port}"]"#);
    let socks = fetchmail(r#"plugin "socat STDIO SOCKS4A:127.0.0.1:%h:%p,socksport=9050""#);
    has(&socks, r#"connect-command = ["socat", "STDIO", "SOCKS4A:127.0.0.1:{host}:{port},socksport=9050"]"#);
    let proxied = mpop("tls on\ntls_starttls off\nproxy_host ::1\nproxy_port 9050\nsource_ip 192.0.2.7");
    has(&proxied, r#"proxy = "socks5://[::1]:9050""#);
    has(&proxied, r#"source-address = "192.0.2.7""#);
    has(&mpop("tls on\ntls_starttls off\nproxy_host localhost"), r#"proxy = "socks5://localhost:1080""#);
    // A socket goes before the others, which mean nothing with it.
    let account = mpop("socket /run/po$p\nproxy_host localhost\nsource_ip 192.0.2.7");
    has(&account, r#"socket = "/run/po$$p""#);
    has(&account, r#"tls = "none""#);
    assert!(!section(&account).contains("proxy") && !section(&account).contains("source-address"));
    let account = "account \"a\" pop3s server \"s\" user \"u\" pass \"p\"\nmatch all action maildir \"m\"";
    for (set, url) in
        [("socks://localhost:1080/", "socks5://localhost:1080"), ("http://p:3128", "http://p:3128")]
    {
        let account = one(ForeignProgram::Fdm, &format!("set proxy \"{set}\"\n{account}"));
        has(&account, &format!("proxy = \"{url}\""));
    }
}

#[test]
fn a_way_that_cannot_be_taken_over_is_named_without_its_secrets() {
    let account = fetchmail(r#"plugin "x {y} %h""#);
    assert!(account.route.is_none() && account.remarks.len() == 1, "{:?}", account.remarks);
    let account = "account \"a\" pop3s server \"s\" user \"u\" pass \"p\"\nmatch all action maildir \"m\"";
    for set in ["socks://anna:hunter2@localhost:1080/", "http://localhost", "ftp://x:1", "socks://h:1/x"] {
        let reading = parse(ForeignProgram::Fdm, &format!("set proxy \"{set}\"\n{account}"));
        assert_eq!(reading.remarks.len(), 1, "{set}");
        assert!(reading.accounts[0].route.is_none() && !format!("{reading:?}").contains("hunter2"), "{set}");
    }
    let reading = parse(
        ForeignProgram::Fdm,
        "account \"a\" pop3 pipe \"nc h 110\" user \"u\" pass \"p\"\nmatch all action maildir \"m\"",
    );
    let why = reading.accounts[0].left_out.clone().unwrap();
    assert!(why.contains("connect-command"), "{why}");
}

#[test]
fn what_a_tunnel_leads_to_is_not_this_machine() {
    let text = "poll localhost proto pop3 user u pass p mda x plugin \"ssh gate nc %h %p\"";
    assert_eq!(document::tls(&one(ForeignProgram::Fetchmail, text)), Tls::StartTls);
    assert_eq!(
        document::tls(&one(ForeignProgram::Fetchmail, &text.replace("plugin \"ssh gate nc %h %p\"", ""))),
        Tls::None
    );
}

#[test]
fn a_password_file_and_a_token_are_taken_over() {
    let account = one(ForeignProgram::Fetchmail, "poll h proto pop3 user u mda x passwordfile ~/.secret");
    assert!(section(&account).contains("password-file = \"~/.secret\""), "{}", section(&account));
    assert!(document::remarks(&account).is_empty(), "{:?}", document::remarks(&account));
    let retriever = "use_xoauth2 = True\npassword_command = (\"token\", \"me\")";
    let account = getmail("SimplePOP3SSLRetriever", retriever, "type=Maildir\npath=~/m/", "");
    assert_eq!(account.auth, Some(Auth::XOAuth2));
}

#[test]
fn another_name_for_an_account_is_no_account() {
    let text = "account home\nhost h\nuser u\ndelivery maildir m\n";
    let names = |text: &str| -> Vec<String> {
        parse(ForeignProgram::Mpop, text).accounts.into_iter().map(|account| account.name).collect()
    };
    assert_eq!(names(&format!("{text}account default : home\n")), ["home"]);
    assert_eq!(names(&format!("{text}account other : home\nuser v\n")), ["home", "other"]);
    assert_eq!(names(&format!("{text}account default : home\naccount x : default\nuser w\n")), ["home", "x"]);
}

//! `popfetch init`: from an address to an account that works, in a network of the test's own.  Nothing is believed before
//! TLS and the server's name, and nothing is written before everything has worked.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::mailbox::{good, small};
use crate::support::certificates::{Authority, Certified, Leaf};
use crate::support::mailboxes::Maildir;
use crate::support::namespace::{Dns, MX, Net, Reply, SRV, Web, inside, mx, srv};
use crate::support::sandbox::{Invocation, Run, Sandbox};
use crate::support::server::{Options, Server, Tls};
use crate::support::tmux::Tmux;

/// A sandbox in a network with an authority that is trusted.
struct World {
    sandbox: Sandbox,
    authority: Authority,
    trust: PathBuf,
    _net: Net,
}

impl World {
    fn of(names: &[(&str, u8)]) -> Self {
        let (net, authority) = (Net::of(names), Authority::new());
        let trust = net.trust(&authority.pem());
        Self { sandbox: Sandbox::new(), authority, trust, _net: net }
    }

    fn certificate(&self, names: &[&str]) -> Certified {
        self.authority.issue(&Leaf::named(names))
    }

    /// A POP3 server at 127.0.0.N whose certificate is for these names; `anna@example.com` and `anna` are its users.
    fn pop3(&self, n: u8, port: u16, names: &[&str]) -> Server {
        self.pop3_of(n, port, names, "anna@example.com", good(small(2)))
    }

    fn pop3_of(&self, n: u8, port: u16, names: &[&str], user: &str, mut options: Options) -> Server {
        let certified = self.certificate(names);
        options.accounts[0].user = user.to_owned();
        options.tls = if port == 110 { Tls::Stls(certified) } else { Tls::Implicit(certified) };
        Server::start_at(([127, 0, 0, n], port).into(), options)
    }

    fn popfetch(&self, arguments: &[&str]) -> Invocation<'_> {
        self.sandbox.popfetch(arguments).env("SSL_CERT_FILE", &self.trust)
    }

    /// `init` with these arguments, and a password from a file: without a terminal.
    fn init(&self, arguments: &[&str]) -> Run {
        self.sandbox.write("secret", "secret\n");
        let arguments = [&["init", "anna@example.com", "--password-file", "secret"], arguments].concat();
        self.popfetch(&arguments).run()
    }

    fn configuration(&self) -> String {
        std::fs::read_to_string(self.sandbox.path(".config/popfetch/config.toml")).unwrap_or_default()
    }

    /// Nothing but what the test itself has put there.
    #[track_caller]
    fn has_written_nothing(&self, run: &Run) {
        run.complains("nothing was written");
        let files: Vec<PathBuf> =
            self.sandbox.files().into_keys().filter(|path| !path.ends_with("secret")).collect();
        assert!(files.is_empty(), "{files:?}\n{}", run.shown());
    }
}

/// What a run printed is what a snapshot has; where this program is differs from machine to machine.
#[track_caller]
fn looks_like(run: &Run, name: &str) {
    run.looks_like_masked(name, &[(env!("CARGO_BIN_EXE_popfetch"), "/usr/bin/popfetch")]);
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// A domain's page with settings for mail programs.
fn settings(host: &str, port: u16, socket: &str, user: &str) -> String {
    format!(
        "<clientConfig version=\"1.1\"><emailProvider id=\"x\"><incomingServer type=\"imap\"><hostname>imap.example.com\
         </hostname><port>993</port><socketType>SSL</socketType></incomingServer><incomingServer type=\"pop3\"><hostname>\
         {host}</hostname><port>{port}</port><socketType>{socket}</socketType><username>{user}</username>\
         <authentication>password-cleartext</authentication></incomingServer></emailProvider></clientConfig>"
    )
}

const PAGE: &str = "/mail/config-v1.1.xml";
const WELL_KNOWN: &str = "/.well-known/autoconfig/mail/config-v1.1.xml";

// ---- where the server is found ---------------------------------------------------------------------------------

#[test]
fn srv_records_of_the_domain_itself() {
    if !inside("init::srv_records_of_the_domain_itself") {
        return;
    }
    let world = World::of(&[("pop.example.com", 2), ("second.example.com", 3)]);
    let dns = Dns::start(&[
        (
            "_pop3s._tcp.example.com",
            SRV,
            Reply::Records(vec![srv(20, 995, "pop.example.com"), srv(10, 995, "second.example.com")]),
        ),
        // TLS from the start is preferred, whatever the priority of this one.
        ("_pop3._tcp.example.com", SRV, Reply::Records(vec![srv(0, 110, "pop.example.com")])),
    ]);
    let _first = world.pop3(2, 995, &["pop.example.com"]);
    // The one with the better priority shows a certificate for another name.
    let wrong = world.pop3(3, 995, &["other.example.com"]);
    let run = world.init(&[]);
    looks_like(run.succeeds(), "init-srv");
    assert!(world.configuration().contains("server = \"pop.example.com\""), "{}", world.configuration());
    assert_eq!(wrong.count("PASS"), 0);
    let asked = dns.asked();
    assert!(
        asked.contains(&"_pop3s._tcp.example.com 33".to_owned()) && !asked.concat().contains("anna"),
        "{asked:?}"
    );
    // And it works.
    world.popfetch(&["--quiet"]).run().succeeds();
    assert_eq!(Maildir::read(&world.sandbox.path("Mail/example")).messages().len(), 2);
}

/// A domain whose SRV record names a server of another domain.
fn hosted_elsewhere() -> (World, Dns, Server) {
    let world = World::of(&[("pop.hosting.example", 2)]);
    let records = Reply::Records(vec![srv(0, 995, "pop.hosting.example")]);
    let dns = Dns::start(&[("_pop3s._tcp.example.com", SRV, records)]);
    let server = world.pop3(2, 995, &["pop.hosting.example"]);
    (world, dns, server)
}

#[test]
fn a_foreign_target_of_dns_needs_the_users_word() {
    if !inside("init::a_foreign_target_of_dns_needs_the_users_word") {
        return;
    }
    let (world, _dns, server) = hosted_elsewhere();
    let run = world.init(&[]);
    run.exits(69).looks_like("init-foreign");
    world.has_written_nothing(&run);
    assert_eq!(server.count("PASS"), 0, "no password for what nobody has confirmed");
    world.init(&["--server", "pop.hosting.example"]).succeeds();
    assert!(world.configuration().contains("server = \"pop.hosting.example\""));
}

#[test]
fn forged_and_useless_answers_of_dns() {
    if !inside("init::forged_and_useless_answers_of_dns") {
        return;
    }
    let world = World::of(&[("pop.example.com", 2), ("evil.example.com", 3), ("mail.example.com", 2)]);
    let evil = || vec![srv(0, 995, "evil.example.com")];
    let good_one = || vec![srv(0, 995, "pop.example.com")];
    let dns = Dns::start(&[
        ("_pop3s._tcp.example.com", SRV, Reply::Forged(evil(), good_one())),
        ("_pop3._tcp.example.com", SRV, Reply::Garbage),
        ("example.com", MX, Reply::Fails),
        ("_pop3s._tcp.example.net", SRV, Reply::Truncated(vec![srv(0, 995, "pop.example.com")])),
    ]);
    let _server = world.pop3(2, 995, &["pop.example.com"]);
    let evil = world.pop3(3, 995, &["evil.example.com"]);
    world.init(&[]).succeeds();
    assert!(world.configuration().contains("server = \"pop.example.com\""));
    assert_eq!(evil.sessions(), 0);
    // What doesn't fit into a datagram comes by TCP.
    world.sandbox.write("secret", "secret\n");
    let run = world.popfetch(&["init", "anna@example.net", "--password-file", "secret"]).run();
    run.exits(69).complains("--server pop.example.com");
    assert!(dns.asked().contains(&"_pop3s._tcp.example.net 33".to_owned()));
}

#[test]
fn a_page_of_settings_over_https_is_believed() {
    if !inside("init::a_page_of_settings_over_https_is_believed") {
        return;
    }
    let world = World::of(&[("autoconfig.example.com", 4), ("pop.hosting.example", 2)]);
    let _dns = Dns::start(&[]);
    let page = settings("pop.hosting.example", 110, "STARTTLS", "%EMAILLOCALPART%");
    let web = Web::start([127, 0, 0, 4], &world.certificate(&["autoconfig.example.com"]), &[(PAGE, page)]);
    let _server = world.pop3_of(2, 110, &["pop.hosting.example"], "anna", good(small(1)));
    let run = world.init(&["--name", "hosting"]);
    looks_like(run.succeeds(), "init-autoconfig");
    assert_eq!(
        world.configuration().replace(world.sandbox.home().to_str().unwrap(), "HOME"),
        "[accounts.hosting]\nserver = \"pop.hosting.example\"\ntls = \"starttls\"\nuser = \"anna\"\n\
         password-file = \"HOME/secret\"\ndeliver = { maildir = \"~/Mail/hosting\" }\n"
    );
    let requests = web.requests();
    assert!(!requests.concat().contains("anna"), "the address is nobody's business: {requests:?}");
}

#[test]
fn pages_of_settings_that_are_not_believed() {
    if !inside("init::pages_of_settings_that_are_not_believed") {
        return;
    }
    let world = World::of(&[("autoconfig.example.com", 4), ("example.com", 5), ("evil.example", 3)]);
    let _dns = Dns::start(&[]);
    let evil = world.pop3(3, 995, &["evil.example"]);
    // The certificate of the one is for another name, the other one sends elsewhere.
    let page = settings("evil.example", 995, "SSL", "%EMAILADDRESS%");
    let _wrong =
        Web::start([127, 0, 0, 4], &world.certificate(&["www.example.com"]), &[(PAGE, page.clone())]);
    let redirect =
        "HTTP/1.1 302 Found\r\nLocation: http://example.com/x\r\nContent-Length: 0\r\n\r\n".to_owned();
    let _moved = Web::start([127, 0, 0, 5], &world.certificate(&["example.com"]), &[(WELL_KNOWN, redirect)]);
    let run = world.init(&[]);
    run.exits(69).looks_like("init-nothing");
    world.has_written_nothing(&run);
    assert_eq!(evil.sessions(), 0);
}

#[test]
fn behind_a_proxy_names_are_not_looked_up_here() {
    if !inside("init::behind_a_proxy_names_are_not_looked_up_here") {
        return;
    }
    let world = World::of(&[("pop.example.com", 2)]);
    let dns = Dns::start(&[]);
    let server = world.pop3(2, 995, &["pop.example.com"]);
    world
        .init(&["--proxy", "socks5://127.0.0.1:9"])
        .exits(69)
        .complains("no POP3 server of example.com was found");
    assert_eq!(dns.asked(), [""; 0]);
    assert_eq!(server.sessions(), 0);
}

#[test]
fn everything_is_slow_and_a_signal_ends_it() {
    if !inside("init::everything_is_slow_and_a_signal_ends_it") {
        return;
    }
    let world = World::of(&[("autoconfig.example.com", 4), ("example.com", 4), ("pop.example.com", 2)]);
    let silent = || Reply::Silence;
    let dns = Dns::start(&[
        ("_pop3s._tcp.example.com", SRV, silent()),
        ("_pop3._tcp.example.com", SRV, silent()),
        ("example.com", MX, silent()),
    ]);
    let certified = world.certificate(&["autoconfig.example.com", "example.com"]);
    let slow = "…".to_owned();
    let web = Web::start([127, 0, 0, 4], &certified, &[(PAGE, slow.clone()), (WELL_KNOWN, slow)]);
    let _server = world.pop3(2, 995, &["pop.example.com"]);
    let began = Instant::now();
    world.init(&[]).succeeds().says("popfetch --dry-run example");
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(world.configuration().contains("server = \"pop.example.com\""));
    std::fs::remove_file(world.sandbox.path(".config/popfetch/config.toml")).unwrap();
    let asked = dns.asked().len();
    let running = world.popfetch(&["init", "anna@example.com", "--password-file", "secret"]).start();
    while dns.asked().len() == asked || web.requests().len() < 3 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let raised = Instant::now();
    running.signal(Signal::INT);
    let run = running.finish();
    assert!(raised.elapsed() < Duration::from_secs(5) && run.code().is_none(), "{}", run.shown());
    assert!(world.configuration().is_empty());
}

#[test]
fn guesses_with_tls_from_the_start_before_stls() {
    if !inside("init::guesses_with_tls_from_the_start_before_stls") {
        return;
    }
    let world = World::of(&[("pop.example.com", 2), ("mail.example.com", 3)]);
    let _dns = Dns::start(&[]);
    let _stls = world.pop3(2, 110, &["pop.example.com"]);
    world.init(&["--print"]).succeeds().says("server = \"pop.example.com\"\ntls = \"starttls\"\n");
    let _implicit = world.pop3(3, 995, &["mail.example.com"]);
    world.init(&["--print"]).succeeds().says("server = \"mail.example.com\"\nuser = ");
    assert!(world.configuration().is_empty());
}

#[test]
fn a_mail_exchanger_that_is_known_names_the_provider() {
    if !inside("init::a_mail_exchanger_that_is_known_names_the_provider") {
        return;
    }
    let world = World::of(&[("pop.gmail.com", 2)]);
    let _dns = Dns::start(&[
        ("example.com", MX, Reply::Records(vec![mx(1, "aspmx.l.google.com")])),
        ("example.net", MX, Reply::Records(vec![mx(1, "mail.protonmail.ch")])),
    ]);
    let _server = world.pop3(2, 995, &["pop.gmail.com"]);
    let run = world.init(&[]);
    run.exits(69).complains("found pop.gmail.com").complains("--server pop.gmail.com");
    let run = world.popfetch(&["init", "anna@example.net", "--no-login"]).run();
    run.exits(69).complains("Proton Mail has no POP3").complains("https://proton.me/");
}

// ---- providers of the table ------------------------------------------------------------------------------------

#[test]
fn providers_of_the_table() {
    if !inside("init::providers_of_the_table") {
        return;
    }
    let world = World::of(&[("pop.gmail.com", 2), ("outlook.office365.com", 3), ("pop3.web.de", 4)]);
    let dns = Dns::start(&[]);
    let _gmail = world.pop3_of(2, 995, &["pop.gmail.com"], "anna@gmail.com", good(small(1)));
    let outlook = world.pop3_of(3, 995, &["outlook.office365.com"], "anna@hotmail.com", good(small(1)));
    let _webde = world.pop3_of(4, 995, &["pop3.web.de"], "anna", good(small(1)));
    world.sandbox.write("secret", "secret\n");
    let init = |address: &str, more: &[&str]| {
        world.popfetch(&[&["init", address, "--password-file", "secret"], more].concat()).run()
    };
    looks_like(init("anna@gmail.com", &[]).succeeds(), "init-gmail");
    init("anna@web.de", &[]).succeeds().complains("https://hilfe.web.de/");
    assert!(world.configuration().contains("[accounts.webde]\nserver = \"pop3.web.de\"\nuser = \"anna\"\n"));
    // A password is of no use; tokens come by another command.
    init("anna@hotmail.com", &[]).exits(77).looks_like("init-outlook-password");
    let run = world.popfetch(&["init", "anna@hotmail.com"]).run();
    looks_like(run.succeeds(), "init-outlook");
    assert!(
        world.configuration().contains(
            "[accounts.outlook]\nserver = \"outlook.office365.com\"\nuser = \"anna@hotmail.com\"\n\
             oauth = { provider = \"microsoft\" }\n"
        ),
        "{}",
        world.configuration()
    );
    world.popfetch(&["auth", "login", "outlook"]).run().exits(78).says("client id");
    assert_eq!(outlook.count("PASS"), 0);
    init("anna@icloud.com", &[]).exits(69).looks_like("init-icloud");
    // Nobody is asked for what the table knows.
    assert_eq!(dns.asked().iter().filter(|asked| asked.ends_with("33") || asked.ends_with(" 15")).count(), 0);
}

// ---- what is written -------------------------------------------------------------------------------------------

/// A world with a server at `pop.example.com`.
fn simple() -> (World, Server) {
    let world = World::of(&[("pop.example.com", 2)]);
    let server = world.pop3(2, 995, &["pop.example.com"]);
    (world, server)
}

const HOME: &str = "# mine\n[accounts.example]   # do not touch\nserver = 'pop.example.org'\nuser = \"me\"\n\
                    deliver = { stdout = true }\r\n# the end";

#[test]
fn the_configuration_keeps_what_stands_there() {
    if !inside("init::the_configuration_keeps_what_stands_there") {
        return;
    }
    let (world, _server) = simple();
    let direct = ["--server", "pop.example.com"];
    // New: its folder and itself are the user's alone.
    world.init(&direct).succeeds();
    let path = world.sandbox.path(".config/popfetch/config.toml");
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    // There: through a link, with its mode, its comments and its order; the name is taken.
    let real = world.sandbox.write("dotfiles/popfetch.toml", HOME);
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::remove_file(&path).unwrap();
    symlink(&real, &path).unwrap();
    world.init(&direct).succeeds().says("A line of crontab that names no account fetches this one, too");
    assert!(path.is_symlink() && mode(&real) == 0o644);
    let text = std::fs::read_to_string(&real).unwrap();
    assert!(text.starts_with(HOME) && text.contains("[accounts.example-anna]\n"), "{text}");
    assert_eq!(std::fs::read_dir(real.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    // Twice is once too often.
    let run = world.init(&direct);
    run.exits(64)
        .complains("the account \"example-anna\" is this mailbox already")
        .complains("nothing was written");
    assert_eq!(std::fs::read_to_string(&real).unwrap(), text);
}

#[test]
fn a_configuration_that_cannot_be_used_is_left_alone() {
    if !inside("init::a_configuration_that_cannot_be_used_is_left_alone") {
        return;
    }
    let (world, server) = simple();
    let direct = ["--server", "pop.example.com"];
    for (text, bits) in [("[accounts.x]\nservr = 1\n", 0o600), ("[accounts.x\n", 0o600), (HOME, 0o666)] {
        let path = world.sandbox.config(text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
        world.init(&direct).exits(78).complains("nothing was written");
        assert_eq!(world.configuration(), text);
    }
    assert_eq!(server.sessions(), 0, "it is seen before anybody is asked for anything");
    std::fs::remove_file(world.sandbox.path(".config/popfetch/config.toml")).unwrap();
    for (arguments, what) in [
        (&["--name", "check"][..], "an account cannot be called"),
        (&["--netrc"], "two sources of the password"),
        (&["--leave-on-server", "days=0"], "0 is not a limit"),
    ] {
        world.init(&[&direct[..], arguments].concat()).exits(64).complains(what);
    }
    world.popfetch(&["init", "anna"]).run().exits(64).complains("is not a mail address");
    world.popfetch(&["init"]).run().exits(64).complains("which mail address?");
    world
        .popfetch(&["init", "anna@example.com", "--server", "pop.example.com"])
        .run()
        .exits(64)
        .complains("no terminal");
    world.popfetch(&["init", "a@b@example.com", "--server", "-.-"]).run().exits(64);
}

#[test]
fn a_refused_login_writes_nothing() {
    if !inside("init::a_refused_login_writes_nothing") {
        return;
    }
    let (world, server) = simple();
    world.sandbox.write("secret", "wrong\n");
    let arguments = ["init", "anna@example.com", "--server", "pop.example.com", "--password-file", "secret"];
    let run = world.popfetch(&arguments).run();
    run.exits(77).looks_like("init-refused");
    world.has_written_nothing(&run);
    assert_eq!(server.count("PASS"), 1, "once: it may lock the mailbox");
    // A certificate for another name.
    let world = World { sandbox: Sandbox::new(), ..world };
    drop(server);
    let wrong = world.pop3(2, 995, &["other.example.com"]);
    let run = world.init(&["--server", "pop.example.com"]);
    run.exits(77).complains("certificate refused: it is not for pop.example.com");
    world.has_written_nothing(&run);
    assert_eq!(wrong.count("PASS"), 0);
}

#[test]
fn flags_answer_every_question() {
    if !inside("init::flags_answer_every_question") {
        return;
    }
    let (world, _server) = simple();
    let run = world.init(&[
        "--server",
        "pop.example.com",
        "--name",
        "work",
        "--first-run",
        "new-only",
        "--leave-on-server",
        "days=14",
        "--mbox",
        "boxes/work.mbox",
        "--max-message-size",
        "25M",
        "--print",
    ]);
    run.succeeds().looks_like("init-print");
    assert!(world.configuration().is_empty());
    let run = world.init(&[
        "--server",
        "pop.example.com",
        "--maildir",
        "~/deep/below/mail",
        "--first-run",
        "new-only",
    ]);
    run.succeeds();
    assert!(world.sandbox.path("deep/below").is_dir() && !world.sandbox.path("deep/below/mail").exists());
    world.popfetch(&["--quiet"]).run().succeeds();
    assert!(
        Maildir::read(&world.sandbox.path("deep/below/mail")).messages().is_empty(),
        "only what is new from now on"
    );
    // An alias, and no login.
    let run = world.popfetch(&["add", "ben@example.com", "--server", "pop.example.com", "--no-login"]).run();
    run.succeeds().says("cron can't answer the question for the password");
    assert!(world.configuration().contains("user = \"ben@example.com\""));
}

#[test]
fn defaults_of_the_file_do_not_change_what_was_found() {
    if !inside("init::defaults_of_the_file_do_not_change_what_was_found") {
        return;
    }
    let (world, _server) = simple();
    let text = "[defaults]\ntls = \"starttls\"\nport = 110\ndeliver = { maildir = \"~/all\" }\n";
    world.sandbox.config(format!("{text}\n[accounts.x]\nserver = \"h\"\nuser = \"u\"\n"));
    world.init(&["--server", "pop.example.com"]).succeeds();
    let written = world.configuration();
    assert!(written.contains("port = 995\ntls = \"implicit\"\n") && !written.contains("Mail/"), "{written}");
    world.popfetch(&["example"]).run().succeeds();
    assert_eq!(Maildir::read(&world.sandbox.path("all")).messages().len(), 2);
}

#[test]
fn a_disk_that_refuses_and_a_crash_leave_the_old_configuration() {
    if !inside("init::a_disk_that_refuses_and_a_crash_leave_the_old_configuration") {
        return;
    }
    let (world, _server) = simple();
    world.sandbox.config(HOME);
    world.sandbox.write("secret", "secret\n");
    let arguments = ["init", "anna@example.com", "--server", "pop.example.com", "--password-file", "secret"];
    let run = world.popfetch(&arguments).record_steps().run();
    run.succeeds();
    let whole = world.configuration();
    let steps = std::fs::read_to_string(world.sandbox.steps_file()).unwrap().lines().count() as u64;
    assert!(steps >= 3, "{steps}");
    for step in 1..=steps {
        for failing in [true, false] {
            world.sandbox.config(HOME);
            let invocation = world.popfetch(&arguments);
            let run =
                if failing { invocation.fail_at(step, "ENOSPC") } else { invocation.crash_at(step) }.run();
            let text = world.configuration();
            assert!(text == HOME || text == whole, "step {step}: {text}\n{}", run.shown());
            assert!(
                !failing || text == whole || run.code() == Some(73) || run.code() == Some(74),
                "{}",
                run.shown()
            );
        }
    }
}

// ---- at a terminal ---------------------------------------------------------------------------------------------

/// Starts a command in the world, at a terminal.
fn terminal(world: &World, command: &str) -> Option<Tmux> {
    let line = format!("export SSL_CERT_FILE='{}'; {command}", world.trust.display());
    Tmux::start(&world.sandbox, (160, 50), &line)
}

/// Types an answer to a question.
#[track_caller]
fn answer(terminal: &Tmux, question: &str, typed: &str) {
    terminal.wait_for(question);
    terminal.keys(&["-l", typed]);
    terminal.keys(&["Enter"]);
}

/// No file has the password but these, and they are the user's alone.
#[track_caller]
fn only_here(world: &World, password: &str, files: &[&str]) {
    let found: Vec<String> =
        world.sandbox.files_with(password).iter().map(|path| path.display().to_string()).collect();
    assert_eq!(found, files);
    for file in files {
        assert_eq!(mode(&world.sandbox.path(file)), 0o600);
    }
}

#[test]
fn typed_from_nothing_to_the_first_mail_by_autoconfig() {
    if !inside("init::typed_from_nothing_to_the_first_mail_by_autoconfig") {
        return;
    }
    let world = World::of(&[("autoconfig.example.com", 4), ("pop.example.com", 2)]);
    let _dns = Dns::start(&[]);
    let page = settings("pop.example.com", 995, "SSL", "%EMAILADDRESS%");
    let _web = Web::start([127, 0, 0, 4], &world.certificate(&["autoconfig.example.com"]), &[(PAGE, page)]);
    let _server = world.pop3(2, 995, &["pop.example.com"]);
    let began = Instant::now();
    let Some(terminal) = terminal(&world, "popfetch init && popfetch example") else { return };
    answer(&terminal, "Your mail address:", "anna@example.com");
    // A wrong one first: it is asked for again.
    answer(&terminal, "Password for anna@example.com at pop.example.com:", "wrong");
    terminal.wait_for("refused the login");
    terminal.wait_until("the second question", |screen| screen.matches("Password for").count() == 2);
    terminal.keys(&["-l", "secret"]);
    terminal.keys(&["Enter"]);
    answer(&terminal, "Retrieve all of them, or only what is new from now on? [ALL/new]", "");
    answer(&terminal, "Leave mail on the server?", "14 days");
    answer(&terminal, "Where does mail go?", "");
    answer(&terminal, "Keep it in [FILE", "");
    let screen = terminal.wait_for("[0]");
    assert!(!screen.contains("secret") && !screen.contains("wrong"), "{screen}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(
        world.configuration(),
        "[accounts.example]\nserver = \"pop.example.com\"\nuser = \"anna@example.com\"\n\
         password-file = \"example.password\"\nleave-on-server = { days = 14 }\nfirst-run = \"all\"\n\
         deliver = { maildir = \"~/Mail/example\" }\n"
    );
    only_here(&world, "secret", &[".config/popfetch/example.password"]);
    assert_eq!(Maildir::read(&world.sandbox.path("Mail/example")).messages().len(), 2);
}

#[test]
fn typed_for_a_provider_with_app_passwords_into_a_password_store() {
    if !inside("init::typed_for_a_provider_with_app_passwords_into_a_password_store") {
        return;
    }
    let world = World::of(&[("pop.gmail.com", 2)]);
    let _server = world.pop3_of(2, 995, &["pop.gmail.com"], "anna@gmail.com", good(small(3)));
    // Like pass(1), as far as it is used here.
    world.sandbox.script(
        "bin/pass",
        "echo \"$*\" >> ~/argv; store=~/.password-store; case $1 in insert) umask 077; mkdir -p $store/mail; cat > $store/$3.gpg;; \
         show) cat $store/$2.gpg;; esac",
    );
    world.sandbox.write(".password-store/.gpg-id", "anna\n");
    world.sandbox.write(".password-store/mail/gmail.gpg", "another\n");
    let command = "export PATH=\"$HOME/bin:$PATH\"; popfetch init anna@gmail.com && popfetch gmail";
    let Some(terminal) = terminal(&world, command) else { return };
    terminal.wait_for("https://myaccount.google.com/apppasswords");
    answer(&terminal, "Password for anna@gmail.com", "secret");
    answer(&terminal, "Retrieve all of them", "n");
    answer(&terminal, "Leave mail on the server?", "n");
    answer(&terminal, "Where does mail go?", "~/inbox.mbox");
    answer(&terminal, "Keep it in [FILE/pass", "pass");
    let screen = terminal.wait_for("[0]");
    assert!(!screen.contains("secret"), "{screen}");
    assert_eq!(
        world.configuration(),
        "[accounts.gmail]\nserver = \"pop.gmail.com\"\nuser = \"anna@gmail.com\"\n\
         password-command = \"pass show mail/gmail-2\"\nleave-on-server = false\nfirst-run = \"new-only\"\n\
         deliver = { mbox = \"~/inbox.mbox\" }\n"
    );
    only_here(&world, "secret", &[".password-store/mail/gmail-2.gpg"]);
}

#[test]
fn typed_for_a_provider_of_tokens() {
    if !inside("init::typed_for_a_provider_of_tokens") {
        return;
    }
    let world = World::of(&[("outlook.office365.com", 3)]);
    let server = world.pop3(3, 995, &["outlook.office365.com"]);
    let Some(terminal) = terminal(&world, "popfetch init anna@outlook.com") else { return };
    answer(&terminal, "Retrieve all mail that is there, or only what is new from now on?", "new");
    answer(&terminal, "Leave mail on the server?", "30 days");
    answer(&terminal, "Where does mail go?", "~/Mail");
    let screen = terminal.wait_for("[0]");
    assert!(screen.contains("popfetch auth login outlook") && !screen.contains("Password"), "{screen}");
    let settings =
        "leave-on-server = { days = 30 }\nfirst-run = \"new-only\"\ndeliver = { maildir = \"~/Mail\" }\n";
    assert!(world.configuration().contains(settings), "{}", world.configuration());
    assert_eq!(server.count("USER") + server.count("AUTH"), 0);
}

/// Starts `init` with a server that is named, and answers all but the last question.
fn up_to_the_password(world: &World, before: &str) -> Option<Tmux> {
    let command = format!("{before} popfetch init anna@example.com --server pop.example.com");
    let terminal = terminal(world, &command)?;
    answer(&terminal, "Password for", "secret");
    answer(&terminal, "Retrieve all of them", "");
    answer(&terminal, "Leave mail on the server?", "");
    answer(&terminal, "Where does mail go?", "");
    Some(terminal)
}

#[test]
fn a_password_store_that_refuses_leaves_nothing() {
    if !inside("init::a_password_store_that_refuses_leaves_nothing") {
        return;
    }
    let (world, _server) = simple();
    world.sandbox.script("bin/pass", "echo 'gpg: no public key' >&2; exit 2");
    world.sandbox.write(".password-store/.gpg-id", "nobody\n");
    let Some(terminal) = up_to_the_password(&world, "PATH=\"$HOME/bin:$PATH\"") else { return };
    answer(&terminal, "Keep it in [FILE/pass", "pass");
    let screen = terminal.wait_for("[73]");
    assert!(
        screen.contains("cannot keep the password: pass failed") && screen.contains("gpg: no public key"),
        "{screen}"
    );
    assert!(screen.contains("nothing was written") && world.configuration().is_empty(), "{screen}");
    only_here(&world, "secret", &[]);
}

#[test]
fn systemd_encrypts_the_password_with_the_key_that_there_is() {
    if !inside("init::systemd_encrypts_the_password_with_the_key_that_there_is") {
        return;
    }
    let (world, _server) = simple();
    // The machine's key is not for this user, whose own one works.
    world.sandbox.script(
        "bin/systemd-creds",
        "[ \"$1\" = --user ] || exit 1; case $2 in encrypt) base64;; decrypt) base64 -d \"$4\";; esac",
    );
    let Some(terminal) = up_to_the_password(&world, "PATH=\"$HOME/bin:$PATH\"") else { return };
    answer(&terminal, "Keep it in [FILE", "systemd");
    terminal.wait_for("[0]");
    only_here(&world, "secret", &[]);
    let path = world.sandbox.path(".config/popfetch/example.credential");
    assert_eq!(mode(&path), 0o600);
    let expected = format!(
        "password-command = [\"systemd-creds\", \"--user\", \"decrypt\", \"--name=example\", \"{}\", \"-\"]\n",
        path.display()
    );
    assert!(world.configuration().contains(&expected), "{}", world.configuration());
}

#[test]
fn a_configuration_that_changes_meanwhile_is_not_overwritten() {
    if !inside("init::a_configuration_that_changes_meanwhile_is_not_overwritten") {
        return;
    }
    let (world, _server) = simple();
    let Some(terminal) = up_to_the_password(&world, "") else { return };
    terminal.wait_for("Keep it in [FILE");
    world.sandbox.config(HOME);
    terminal.keys(&["Enter"]);
    let screen = terminal.wait_for("[73]");
    assert!(screen.contains("it was changed in the meantime"), "{screen}");
    assert_eq!(world.configuration(), HOME);
    only_here(&world, "secret", &[]);
}

#[test]
fn typed_for_a_server_with_stls_that_was_guessed() {
    if !inside("init::typed_for_a_server_with_stls_that_was_guessed") {
        return;
    }
    let world = World::of(&[("mail.example.com", 2)]);
    let _dns = Dns::start(&[]);
    // It calls the user by what stands before the @.
    let _server = world.pop3_of(2, 110, &["mail.example.com"], "anna", good(small(1)));
    let Some(terminal) = terminal(&world, "popfetch init anna@example.com && popfetch example") else {
        return;
    };
    terminal.wait_for("found mail.example.com, port 110, TLS by STLS, by its usual name");
    answer(&terminal, "Password for anna@example.com at mail.example.com:", "secret");
    answer(&terminal, "Try the same password as the user \"anna\"? [y/N]", "y");
    answer(&terminal, "Retrieve all of them", "");
    answer(&terminal, "Leave mail on the server?", "");
    answer(&terminal, "Where does mail go?", "| cat >> ~/piped");
    answer(&terminal, "Keep it in [FILE", "nowhere");
    terminal.wait_for("cron can't answer the question for the password");
    answer(&terminal, "Password for anna at mail.example.com:", "secret");
    terminal.wait_for("[0]");
    only_here(&world, "secret", &[]);
    assert!(
        world.configuration().contains("deliver = { pipe = \"cat >> ~/piped\" }"),
        "{}",
        world.configuration()
    );
    assert!(world.sandbox.path("piped").exists());
}

#[test]
fn a_foreign_target_is_confirmed_or_not() {
    if !inside("init::a_foreign_target_is_confirmed_or_not") {
        return;
    }
    let (world, _dns, server) = hosted_elsewhere();
    let Some(no) = terminal(&world, "popfetch init anna@example.com") else { return };
    answer(&no, "Is that your provider's server? [y/N]", "");
    no.wait_for("[69]");
    drop(no);
    assert_eq!(server.count("PASS"), 0);
    let Some(yes) = terminal(&world, "popfetch init anna@example.com") else { return };
    answer(&yes, "Is that your provider's server? [y/N]", "y");
    answer(&yes, "Password for", "secret");
    // Ctrl-C at a question: nothing is written, and the password is nowhere.
    yes.wait_for("Retrieve all of them");
    yes.keys(&["C-c"]);
    yes.wait_for("[130]");
    assert!(world.configuration().is_empty());
    only_here(&world, "secret", &[]);
}

#[test]
fn killed_while_the_password_is_kept() {
    if !inside("init::killed_while_the_password_is_kept") {
        return;
    }
    let (world, _server) = simple();
    for step in 1..=6 {
        let command =
            format!("POPFETCH_CRASH_AT={step} popfetch init anna@example.com --server pop.example.com");
        let Some(terminal) = terminal(&world, &command) else { return };
        answer(&terminal, "Password for", "secret");
        answer(&terminal, "Retrieve all of them", "");
        answer(&terminal, "Leave mail on the server?", "");
        answer(&terminal, "Where does mail go?", "");
        answer(&terminal, "Keep it in [FILE", "");
        terminal.wait_until("its end", |screen| screen.contains("[0]") || screen.contains("[134]"));
        for path in world.sandbox.files_with("secret") {
            assert_eq!(mode(&world.sandbox.path(&path)), 0o600, "step {step}: {}", path.display());
        }
        let _ = std::fs::remove_dir_all(world.sandbox.path(".config"));
    }
}

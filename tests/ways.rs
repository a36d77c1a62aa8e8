//! Ways to a server through the binary: proxies, programs, sockets, other places, source addresses.  What is at the end of
//! the way is still the server that the account names: for TLS, for the ledger, and for the rule on passwords in clear text.

mod matrix;
mod real;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::mailbox::{body, good, small};
use crate::support::certificates::{Authority, Leaf};
use crate::support::mail;
use crate::support::mailboxes::{Maildir, assert_same};
use crate::support::proxy::{Kind, Proxy};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Options, Server, Tls};

/// A name that no resolver knows: who reaches it was led there.
const NAME: &str = "pop.example.invalid";

/// An account of `me` at [`NAME`], in clear; `keys` are the rest of it.
fn account(port: u16, keys: &str) -> String {
    let tls = if keys.contains("tls = ") { "" } else { "tls = \"none\"\nauth = \"user-pass\"\n" };
    format!(
        "[accounts.work]\nserver = \"{NAME}\"\nport = {port}\nuser = \"me\"\npassword = \"secret\"\n{tls}\
         deliver = {{ maildir = \"~/mail\" }}\n{keys}\n"
    )
}

fn sandbox(port: u16, keys: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(account(port, keys));
    sandbox
}

#[track_caller]
fn holds(sandbox: &Sandbox, messages: u64) {
    let expected = (1..=messages).map(|n| mail::stored(&body(n))).collect();
    assert_same(Maildir::read(&sandbox.path("mail")).messages(), expected);
}

/// bash as a program that connects, with children that it leaves to others to end.
fn by_bash(port: u16) -> String {
    let line = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3 & cat >&3");
    format!("connect-command = [\"bash\", \"-c\", \"{line}\"]")
}

/// A Unix socket in the sandbox that leads to a port of loopback, and serves one connection after another.
fn unix_socket(sandbox: &Sandbox, name: &str, port: u16) {
    let listener = UnixListener::bind(sandbox.path(name)).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut from, server) =
                (client.unwrap(), std::net::TcpStream::connect(("127.0.0.1", port)).unwrap());
            let (mut to, mut back, mut server) =
                (from.try_clone().unwrap(), server.try_clone().unwrap(), server);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut server);
                let _ = server.shutdown(std::net::Shutdown::Write);
            });
            let _ = std::io::copy(&mut back, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        }
    });
}

#[test]
fn every_way_leads_to_the_same_mail_and_no_name_is_looked_up() {
    let server = Server::start(good(small(3)));
    let port = server.port();
    let (socks, http) = (Proxy::start(Kind::Socks, port), Proxy::start(Kind::Http, port));
    for (keys, way) in [
        (format!("proxy = \"{}\"", socks.url()), format!(" by {}", socks.url().replace("://", " "))),
        (format!("proxy = \"{}\"", http.url()), format!(" by {}", http.url().replace("://", " "))),
        (by_bash(port), " by connect-command bash".to_owned()),
        ("socket = \"~/pop3\"".to_owned(), " by socket ".to_owned()),
        (format!("connect-to = \"127.0.0.1:{port}\""), format!(" by 127.0.0.1:{port}")),
        (
            format!("connect-to = \"localhost:{port}\"\nsource-address = [\"127.0.0.9\", \"::1\"]"),
            format!(" by localhost:{port} from 127.0.0.9, ::1"),
        ),
    ] {
        let sandbox = sandbox(port, &keys);
        unix_socket(&sandbox, "pop3", port);
        let run = sandbox.run(["-v"]);
        run.succeeds().complains(&format!("connecting to {NAME}:{port}{way}"));
        holds(&sandbox, 3);
        // Whatever the way, it's the same mailbox: the next way finds nothing new.
        sandbox.config(account(port, &format!("connect-to = \"127.0.0.1:{port}\"")));
        sandbox.run(["-v"]).succeeds().complains("nothing new");
        holds(&sandbox, 3);
    }
    let asked = format!("{NAME}:{port}");
    assert_eq!((socks.requests(), http.requests()), (vec![asked.clone()], vec![asked]));
}

#[test]
fn every_command_goes_the_way() {
    let server = Server::start(good(small(2)));
    let proxy = Proxy::start(Kind::Socks, server.port());
    let sandbox = sandbox(server.port(), &format!("proxy = \"{}\"", proxy.url()));
    let mut connections = 0;
    for (args, stdin) in [
        (&["check"][..], ""),
        (&["list"], ""),
        (&["show", "work", "1"], ""),
        (&["shell"], "STAT\nQUIT\n"),
        (&["--dry-run"], ""),
        (&[], ""),
        (&["server-info"], ""),
        (&["mark-seen"], ""),
    ] {
        let run = sandbox.popfetch(args).stdin(stdin).run();
        assert!(matches!(run.code(), Some(0 | 1)), "{args:?}: {}", run.shown());
        assert!(proxy.requests().len() > connections, "{args:?} went another way: {}", run.shown());
        connections = proxy.requests().len();
    }
    sandbox.run(["config", "check"]).succeeds();
}

#[test]
fn flags_and_urls_go_ways_too() {
    let server = Server::start(good(small(1)));
    let port = server.port();
    let proxy = Proxy::start(Kind::Http, port);
    let sandbox = Sandbox::new();
    sandbox.write("password", "secret\n");
    let url = format!("pop://me@{NAME}:{port}");
    let run = sandbox.run([
        &url,
        "--tls=none",
        "--auth=user-pass",
        "--password-file=password",
        "--maildir=mail",
        &format!("--proxy={}", proxy.url()),
    ]);
    run.succeeds();
    holds(&sandbox, 1);
    // Over the account's own way.
    sandbox.config(account(port, "connect-command = \"exit 1\""));
    sandbox.run([&format!("--proxy={}", proxy.url())]).succeeds();
    sandbox.run(["--source-address=127.0.0.9", &format!("--connect-to=127.0.0.1:{port}")]).succeeds();
    sandbox.run(["--socket=/nowhere/pop3"]).exits(75).complains("cannot connect to the socket /nowhere/pop3");
    let login = proxy.url().replace("//", "//anna:hunter2@");
    let run = sandbox.run([&format!("--proxy={login}")]);
    run.succeeds().complains("other users can see in the list of processes").never_says("hunter2");
}

#[test]
fn a_proxy_on_loopback_doesnt_make_clear_text_safe() {
    let server = Server::start(good(small(1)));
    let port = server.port();
    let proxy = Proxy::start(Kind::Socks, port);
    for (keys, is_safe) in [
        (format!("proxy = \"{}\"", proxy.url()), false),
        (format!("connect-to = \"127.0.0.1:{port}\""), false),
        (by_bash(port), false),
        ("socket = \"~/pop3\"".to_owned(), true),
    ] {
        let sandbox = Sandbox::new();
        // Even where the server is called localhost: it's the proxy's.
        let host = if is_safe { NAME } else { "localhost" };
        let text = account(port, &format!("tls = \"none\"\n{keys}")).replace(NAME, host);
        sandbox.config(text);
        unix_socket(&sandbox, "pop3", port);
        let before = server.sessions();
        let run = sandbox.run([""; 0]);
        if is_safe {
            run.succeeds();
        } else {
            run.exits(77).never_says("secret");
            let sent = (before + 1..=server.sessions()).flat_map(|session| server.commands(session));
            let sent: Vec<String> = sent.collect();
            assert!(
                !sent.iter().any(|line| line.starts_with("PASS") || line.starts_with("AUTH")),
                "{sent:?}"
            );
        }
    }
}

#[test]
fn the_certificate_is_checked_for_the_server_whatever_the_way() {
    let authority = Authority::new();
    for (name, is_right) in [(NAME, true), ("localhost", false)] {
        let tls = Tls::Implicit(authority.issue(&Leaf::named(&[name])));
        let server = Server::start(Options { tls, ..good(small(1)) });
        let port = server.port();
        let proxy = Proxy::start(Kind::Socks, port);
        for way in [
            format!("proxy = \"{}\"", proxy.url()),
            format!("connect-to = \"localhost:{port}\""),
            by_bash(port),
            "socket = \"~/pop3\"".to_owned(),
        ] {
            let sandbox = sandbox(port, &format!("tls = \"implicit\"\nca-file = \"~/ca.pem\"\n{way}"));
            authority.write(&sandbox.path("ca.pem"));
            unix_socket(&sandbox, "pop3", port);
            let run = sandbox.run([""; 0]);
            if is_right {
                run.succeeds();
                holds(&sandbox, 1);
            } else {
                run.exits(77).complains(&format!("not for {NAME} but for localhost"));
                // Nobody is sent around the proxy to see it.
                assert_eq!(
                    run.err().contains("openssl s_client"),
                    way.starts_with("connect-to") || way.starts_with("socket"),
                    "{}",
                    run.shown()
                );
            }
        }
    }
}

/// A run through a proxy that gives these answers, each once something has come.
#[track_caller]
fn answered(scheme: &str, answers: &[&[u8]], keys: &str) -> Run {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            for answer in &answers {
                let _ = client.read(&mut [0; 4096]);
                let _ = client.write_all(answer);
            }
            let _ = client.read_to_end(&mut Vec::new());
        }
    });
    let login = if keys.is_empty() { "" } else { "anna:hunter2@" };
    let sandbox = sandbox(110, &format!("proxy = \"{scheme}://{login}{at}\"\ntimeout = \"2s\""));
    let run = sandbox.run(["-vv"]);
    run.never_says("hunter2").never_says("YW5uYTpodW50ZXIy").never_says("\x1b");
    assert_eq!(sandbox.files_with("hunter2").len(), usize::from(!login.is_empty()), "only the configuration");
    run
}

#[test]
fn what_proxies_answer_has_its_sentence_and_its_code() {
    let reply = |code: u8| [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
    for (code, exit, words) in [
        (1, 75, "can't reach pop.example.invalid:110: general failure"),
        (2, 78, "SSL_ports of squid, ConnectPort of tinyproxy"),
        (3, 75, "network unreachable"),
        (4, 75, "host unreachable, or the name is unknown"),
        (5, 75, "connection refused"),
        (6, 75, "it took too long"),
        (7, 76, "command not supported"),
    ] {
        answered("socks5", &[b"\x05\x00", &reply(code)], "").exits(exit).complains(words);
    }
    answered("socks5", &[b"\x05\xff"], "").exits(77).complains("wants a user and a password");
    answered("socks5", &[b"\x05\x02", b"\x01\x01"], "login")
        .exits(77)
        .complains("refuses the user and the password");
    answered("socks5", &[b"\x00\x5b\0\0\0\0\0\0"], "").exits(76).complains("SOCKS4 is not spoken");
    answered("socks5", &[b"\x05\x00", b""], "")
        .exits(75)
        .complains("did not connect to pop.example.invalid:110 within 2s");
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}\r\n").into_bytes();
    for (status, more, exit, words) in [
        ("403 Access violation", "", 78, "403 Access violation"),
        ("500 Unable to connect", "", 75, "500 Unable to connect"),
        ("404 \x1b[2JNo", "", 75, "404 \\x1b[2JNo"),
        ("504 Gateway Timeout", "", 75, "504"),
        (
            "407 Who",
            "Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n",
            77,
            "use connect-command with cntlm or px",
        ),
        ("407 Who", "Proxy-Authenticate: Basic realm=\"x\"\r\n", 77, "wants a user and a password"),
        ("200 OK anna:hunter2 YW5uYTpodW50ZXIy", "", 76, NAME),
    ] {
        let login = if status.contains("hunter2") { "login" } else { "" };
        let mut answer = head(status, more);
        if !login.is_empty() {
            // What the proxy sends in the place of the server is no server's greeting.
            answer.extend_from_slice(b"you are anna:hunter2, or YW5uYTpodW50ZXIy\r\n");
        }
        answered("http", &[&answer], login).exits(exit).complains(words);
    }
    let repeats = head("403 no, anna:hunter2 (YW5uYTpodW50ZXIy)", "");
    answered("http", &[&repeats], "login").exits(78).complains("403 no, ");
    answered("http", &[b"+OK ready\r\n"], "")
        .exits(76)
        .complains("isn't an HTTP proxy: it sent \"+OK ready\"");
}

#[test]
fn a_signal_ends_the_wait_for_a_silent_proxy() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let sandbox = sandbox(110, &format!("proxy = \"socks5://{}\"", listener.local_addr().unwrap()));
    let running = sandbox.popfetch([""; 0]).start();
    let (mut client, _) = listener.accept().unwrap();
    client.read_exact(&mut [0; 3]).unwrap();
    let begun = Instant::now();
    running.signal(Signal::INT);
    running.finish().dies_by(Signal::INT);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn programs_that_fail_have_their_sentence_and_their_code() {
    for (keys, exit, words) in [
        ("[\"/nowhere/ssh\", \"{host}\"]", 78, "connect-command: cannot run /nowhere/ssh: No such file"),
        ("\"no-such-program-here\"", 78, "connect-command: exit status 127"),
        (
            "\"echo 'ssh: connect to host gw port 22: refused' >&2; exit 255\"",
            75,
            "exit status 255: ssh: connect to host gw port 22: refused",
        ),
        ("\"yes >&2 & echo; exec sleep 60\"", 76, "hint: "),
        ("\"yes noise\"", 76, "noise"),
        ("\"exec sleep 60\"", 75, "the greeting"),
    ] {
        let sandbox = sandbox(110, &format!("timeout = \"2s\"\nconnect-command = {keys}"));
        let begun = Instant::now();
        sandbox.run([""; 0]).exits(exit).complains(words);
        assert!(begun.elapsed() < Duration::from_secs(20), "{keys}");
    }
}

#[test]
fn programs_get_no_descriptors_that_popfetch_was_given() {
    let sandbox = sandbox(
        110,
        "connect-command = \"ls -l /proc/self/fd >~/fds; echo \\\"[$NOTIFY_SOCKET]\\\" >>~/fds\"",
    );
    let run = sandbox
        .popfetch([""; 0])
        .env("NOTIFY_SOCKET", "/run/systemd/notify")
        .under(["sh", "-c", "exec 9</etc/passwd; exec \"$0\" \"$@\""])
        .run();
    run.exits(75);
    let text = std::fs::read_to_string(sandbox.path("fds")).unwrap();
    assert!(!text.contains("passwd") && text.ends_with("[]\n"), "{text}");
    let open: Vec<&str> = text.lines().filter_map(|line| line.split_once(" -> ").map(|(_, to)| to)).collect();
    // Input, output, errors, and ls's own folder.
    assert_eq!(open.len(), 4, "{text}");
}

#[test]
fn a_program_for_a_user_runs_with_that_users_rights() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: running programs for another user needs root");
        return;
    }
    let sandbox = sandbox(110, "");
    for folder in [sandbox.home().parent().unwrap().to_owned(), sandbox.home()] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711)).unwrap();
    }
    let anna = sandbox.path("anna");
    std::fs::create_dir(&anna).unwrap();
    std::os::unix::fs::chown(&anna, Some(65_534), Some(65_534)).unwrap();
    let text =
        account(110, "owner = \"nobody\"\nconnect-command = \"echo $(id -u) $(id -ru) $ROOTS >&2; exit 1\"");
    sandbox.config(text.replace("~/mail", "~/anna/mail"));
    let run = sandbox.popfetch([""; 0]).env("ROOTS", "-secret").run();
    run.exits(75).complains("exit status 1: 65534 65534").never_says("-secret");
}

#[test]
fn one_way_for_each_account_and_an_accounts_own_before_the_defaults() {
    let server = Server::start(good(small(1)));
    let port = server.port();
    let proxy = Proxy::start(Kind::Socks, port);
    let ways = [
        format!("proxy = \"{}\"", proxy.url()),
        "connect-command = \"exit 1\"".to_owned(),
        "socket = \"/nowhere/pop3\"".to_owned(),
        format!("connect-to = \"127.0.0.1:{port}\""),
    ];
    for (n, first) in ways.iter().enumerate() {
        for second in &ways[n + 1..] {
            let run = sandbox(port, &format!("{first}\n{second}")).run([""; 0]);
            run.exits(78).complains("there are two ways to the server: ");
        }
        // The account's own takes the place of the inherited one.
        let sandbox = Sandbox::new();
        sandbox.config(format!("[defaults]\n{first}\n{}", account(port, &ways[3])));
        sandbox.run(["config", "check"]).succeeds();
        sandbox.run([""; 0]).succeeds();
    }
    assert_eq!(proxy.requests(), [""; 0]);
    let sandbox = Sandbox::new();
    let direct = account(port, "proxy = \"none\"").replace(NAME, "127.0.0.1");
    sandbox.config(format!("[defaults]\n{}\n{direct}", ways[0]));
    sandbox.run([""; 0]).succeeds();
    assert_eq!(proxy.requests(), [""; 0]);
    for way in &ways[1..3] {
        let sandbox =
            sandbox_of(&format!("[defaults]\nsource-address = \"127.0.0.9\"\n{}", account(port, way)));
        sandbox.run(["config", "check"]).succeeds();
        let sandbox = sandbox_of(&account(port, &format!("source-address = \"127.0.0.9\"\n{way}")));
        sandbox.run([""; 0]).exits(78).complains("source-address: it means nothing with ");
    }
    let sandbox = sandbox_of(&account(port, "connect-to = \"127.0.0.1:1\"\nsource-address = \"192.0.2.7\""));
    sandbox.run([""; 0]).exits(78).complains("source-address: 192.0.2.7 isn't an address of this machine");
}

fn sandbox_of(text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(text);
    sandbox
}

#[test]
fn two_ways_to_one_mailbox_are_one_mailbox() {
    let second =
        account(110, "proxy = \"socks5://127.0.0.1:9050\"").replace("accounts.work", "accounts.other");
    let sandbox = sandbox_of(&format!("{}{second}", account(110, "socket = \"/run/pop3\"")));
    sandbox.run([""; 0]).exits(78).complains("are the same mailbox");
}

#[test]
fn the_password_of_a_proxy_is_kept_like_any_other() {
    let server = Server::start(good(small(1)));
    let proxy = Proxy::start(Kind::Socks, server.port());
    let url = proxy.url().replace("//", "//anna:hunter2@");
    let sandbox = sandbox(server.port(), &format!("proxy = \"{url}\""));
    let run = sandbox.run(["-vv"]);
    run.succeeds().never_says("hunter2").never_says("anna");
    assert_eq!(proxy.requests(), [format!("anna:hunter2@{NAME}:{}", server.port())]);
    let run = sandbox.run(["config", "show"]);
    run.succeeds().never_says("hunter2").says(&url.replace("anna:hunter2", "***"));
    assert_eq!(sandbox.files_with("hunter2").len(), 1, "{:?}", sandbox.files_with("hunter2"));
    let text =
        account(110, &format!("proxy = \"{url}\"")).replace("password = \"secret\"\n", "netrc = true\n");
    let path = sandbox.config(text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    sandbox
        .run([""; 0])
        .exits(78)
        .complains("holds a secret, and other users can read it")
        .complains("chmod 600");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    // From the environment, as other programs have it.
    sandbox.config(account(server.port(), "proxy = \"$ALL_PROXY\""));
    sandbox.popfetch([""; 0]).env("ALL_PROXY", format!("{url}/")).run().succeeds().never_says("hunter2");
    sandbox.run([""; 0]).exits(78).complains("$ALL_PROXY is not set");
    let run = sandbox.popfetch([""; 0]).env("ALL_PROXY", url.replace("socks5", "socks")).run();
    run.exits(78).complains("$ALL_PROXY: a proxy's URL begins with").never_says("hunter2");
}

//! Ways that are not the direct one: proxies that are a thread each, programs, Unix sockets.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{
    AUTHORITY, CONNECTORS, Connection, Error, LONG, SHORT, Target, by_authority, give, good, says_hello,
    serve, take,
};
use crate::account::{
    ConnectCommand, Endpoint, Proxy, ProxyAddress, ProxyKind, ProxyLogin, Route, Tls, Trust, Way,
};
use crate::problem::Problem as _;
use crate::secret::Secret;
use crate::signals::Stop;
use crate::types::Channel;

const GREETING: &[u8] = b"+OK hello\r\n";
/// What SOCKS says of a connection that stands.
const CONNECTED: &[u8] = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x6e";
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

fn by_proxy(kind: ProxyKind, port: u16) -> Way {
    let address = ProxyAddress::Tcp(Endpoint { host: "127.0.0.1".to_owned(), port });
    Way { route: Route::Proxy(Proxy { kind, address, login: None }), ..Way::default() }
}

fn by(route: Route) -> Way {
    Way { route, ..Way::default() }
}

fn by_shell(line: &str) -> Way {
    by(Route::Command(ConnectCommand::Shell(line.to_owned())))
}

fn by_program(words: &[&str]) -> Way {
    by(Route::Command(ConnectCommand::Argv(words.iter().map(|word| (*word).to_owned()).collect())))
}

/// Goes the way to `pop.example`, a name that nobody may look up, in clear.
fn open(way: &Way, timeout: Duration) -> Result<Connection, Error> {
    open_and_stop(way, timeout, &Stop::new().unwrap())
}

fn open_and_stop(way: &Way, timeout: Duration, stop: &Stop) -> Result<Connection, Error> {
    let trust = Trust::default();
    let target = Target {
        host: "pop.example",
        port: 110,
        way,
        owner: None,
        tls: Tls::None,
        trust: &trust,
        timeout,
        without: &[],
    };
    Connection::open(&target, &CONNECTORS, stop)
}

/// A proxy that reads what comes before each of these pieces, sends it octet by octet or at once, and then reads on to
/// the end: all that it has read.
fn proxy(pieces: &[&[u8]], octet_by_octet: bool) -> (u16, JoinHandle<Vec<u8>>) {
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    serve(move |mut socket: TcpStream| {
        socket.set_nodelay(true).unwrap();
        let mut heard = Vec::new();
        for piece in pieces {
            let mut buffer = [0; 4096];
            let read = socket.read(&mut buffer).unwrap();
            heard.extend_from_slice(&buffer[..read]);
            for part in piece.chunks(if octet_by_octet { 1 } else { usize::MAX }) {
                if socket.write_all(part).is_err() {
                    break;
                }
            }
        }
        let _ = socket.read_to_end(&mut heard);
        heard
    })
}

#[test]
fn a_greeting_behind_the_proxys_answer_is_neither_lost_nor_swallowed() {
    let socks = [&b"\x05\x00"[..], &[CONNECTED, GREETING].concat()];
    let http = [&[ESTABLISHED, GREETING].concat()[..]];
    for octet_by_octet in [false, true] {
        for (kind, pieces) in [(ProxyKind::Socks5, &socks[..]), (ProxyKind::Http, &http[..])] {
            let (port, heard) = proxy(pieces, octet_by_octet);
            let mut connection = open(&by_proxy(kind, port), LONG).unwrap();
            assert_eq!(connection.channel(), Channel::Clear, "though the proxy stands on loopback");
            assert_eq!((connection.server(), connection.peer()), ("pop.example:110", None));
            assert_eq!(take(&mut connection, GREETING.len()), GREETING);
            give(&mut connection, b"QUIT\r\n");
            drop(connection);
            let heard = heard.join().unwrap();
            let name = heard.windows(11).any(|octets| octets == b"pop.example");
            assert!(name && heard.ends_with(b"QUIT\r\n"), "{}", heard.escape_ascii());
        }
    }
}

#[test]
fn failures_of_proxies() {
    let long = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; 20_000]].concat();
    for (kind, pieces, code, words) in [
        (
            ProxyKind::Socks5,
            &[&b"\x05\x00"[..], b"\x05\x01\x00\x01\0\0\0\0\0\0"][..],
            75,
            "can't reach pop.example:110: general failure",
        ),
        (ProxyKind::Socks5, &[b"\x05\x00", b"\x05\x02"], 78, "forbids the connection to pop.example:110"),
        (ProxyKind::Socks5, &[b"\x05\xff"], 77, "wants a user and a password"),
        (
            ProxyKind::Socks5,
            &[b"+OK POP3 \x1b[2J\r\n"],
            76,
            "isn't a SOCKS5 proxy: it sent \"+OK POP3 \\x1b[2J\"",
        ),
        (ProxyKind::Socks5, &[b"\x05\x00\x05"], 76, "answered before it was asked"),
        (ProxyKind::Socks5, &[&[b"\x05\x00", CONNECTED].concat()], 76, "answered before it was asked"),
        (
            ProxyKind::Http,
            &[b"HTTP/1.1 403 Filtered\r\n\r\n"],
            78,
            "forbids the connection to pop.example:110: 403 Filtered",
        ),
        (
            ProxyKind::Http,
            &[b"HTTP/1.1 407 Who\r\nProxy-Authenticate: NTLM\r\n\r\n"],
            77,
            "wants a login by NTLM",
        ),
        (ProxyKind::Http, &[b"HTTP/1.0 500 Unable to connect\r\n\r\n"], 75, "500 Unable to connect"),
        (ProxyKind::Http, &[b"HTTP/1.1 302 Found\r\n\r\n"], 76, "302 Found"),
        (ProxyKind::Http, &[b"220 mail ESMTP\r\n"], 76, "isn't an HTTP proxy: it sent \"220 mail ESMTP\""),
        (ProxyKind::Http, &[&long], 76, "has no end"),
    ] {
        let (port, _heard) = proxy(pieces, false);
        let error = open(&by_proxy(kind, port), LONG).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words) && text.contains(&format!("127.0.0.1:{port}")), "{text}");
        assert_eq!(error.exit_code().number(), code, "{text}");
        assert!(error.hint().is_some(), "{text}");
    }
}

#[test]
fn proxies_that_end_in_the_middle() {
    let whole: [(ProxyKind, &'static [&'static [u8]]); 2] =
        [(ProxyKind::Socks5, &[b"\x05\x00", CONNECTED]), (ProxyKind::Http, &[ESTABLISHED])];
    for (kind, pieces) in whole {
        for cut in 0..pieces.concat().len() {
            let (port, server) = serve(move |mut socket: TcpStream| {
                let mut left = cut;
                for piece in pieces {
                    let _ = socket.read(&mut [0; 4096]).unwrap();
                    let now = left.min(piece.len());
                    socket.write_all(&piece[..now]).unwrap();
                    left -= now;
                    if now < piece.len() {
                        break;
                    }
                }
            });
            let error = open(&by_proxy(kind, port), LONG).unwrap_err();
            server.join().unwrap();
            assert!(
                error.to_string().contains("ended the connection before it was connected"),
                "{cut}: {error}"
            );
            assert_eq!(error.exit_code().number(), 75);
        }
    }
}

#[test]
fn a_proxy_that_drips_gets_one_time_out_in_all() {
    for kind in [ProxyKind::Socks5, ProxyKind::Http] {
        let (port, server) = serve(move |mut socket: TcpStream| {
            let _ = socket.read(&mut [0; 4096]);
            let beginning: &[u8] = match kind {
                ProxyKind::Socks5 => b"\x05",
                ProxyKind::Http => b"HTTP/1.1 200 OK\r\nX: ",
            };
            let _ = socket.write_all(beginning);
            // Until the client has gone.
            while kind == ProxyKind::Http && socket.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = socket.read(&mut [0; 4096]);
        });
        let begun = Instant::now();
        let error = open(&by_proxy(kind, port), SHORT).unwrap_err();
        assert!(begun.elapsed() >= SHORT);
        let expected =
            format!("the proxy 127.0.0.1:{port} did not connect to pop.example:110 within {SHORT:?}");
        assert_eq!((error.to_string(), error.exit_code().number()), (expected, 75));
        server.join().unwrap();
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_proxy() {
    for kind in [ProxyKind::Socks5, ProxyKind::Http] {
        let stop = Stop::new().unwrap();
        let raising = stop.clone();
        let (port, server) = serve(move |mut socket: TcpStream| {
            let _ = socket.read(&mut [0; 4096]);
            raising.raise();
            let _ = socket.read_to_end(&mut Vec::new());
        });
        let error = open_and_stop(&by_proxy(kind, port), LONG, &stop).unwrap_err();
        assert!(matches!(error, Error::Stopped { .. }), "{error}");
        server.join().unwrap();
    }
}

#[test]
fn a_proxy_that_isnt_there() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let error = open(&by_proxy(ProxyKind::Socks5, port), LONG).unwrap_err();
    let expected = format!("the proxy 127.0.0.1:{port} can't be reached: Connection refused");
    assert_eq!((error.to_string(), error.exit_code().number()), (expected, 75));
    let address = ProxyAddress::Unix("/nowhere/tor/socks".into());
    let way = by(Route::Proxy(Proxy { kind: ProxyKind::Socks5, address, login: None }));
    let error = open(&way, LONG).unwrap_err();
    let expected = "the proxy /nowhere/tor/socks can't be reached: No such file or directory";
    assert_eq!((error.to_string().as_str(), error.exit_code().number()), (expected, 75));
    assert_eq!(error.hint().as_deref(), Some("is Tor running?"));
}

#[test]
fn a_proxy_at_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socks");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.read_exact(&mut [0; 3]).unwrap();
        socket.write_all(b"\x05\x00").unwrap();
        let mut request = [0; 18];
        socket.read_exact(&mut request).unwrap();
        socket.write_all(CONNECTED).unwrap();
        says_hello(socket);
        request
    });
    let address = ProxyAddress::Unix(path);
    let way = by(Route::Proxy(Proxy { kind: ProxyKind::Socks5, address, login: None }));
    let mut connection = open(&way, LONG).unwrap();
    assert_eq!(connection.channel(), Channel::Clear, "though it's a Unix socket");
    assert_eq!(take(&mut connection, GREETING.len()), GREETING);
    give(&mut connection, b"QUIT\r\n");
    assert_eq!(&server.join().unwrap(), b"\x05\x01\x00\x03\x0bpop.example\x00\x6e");
}

#[test]
fn tls_behind_a_proxy_is_the_servers() {
    let acceptor = native_tls::TlsAcceptor::new(good().identity()).unwrap();
    for (host, is_right) in [("localhost", true), ("pop.example", false)] {
        let acceptor = acceptor.clone();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut octet = [0];
                socket.read_exact(&mut octet).unwrap();
                request.push(octet[0]);
            }
            socket.write_all(ESTABLISHED).unwrap();
            match acceptor.accept(socket) {
                Ok(stream) if is_right => says_hello(stream),
                // The client hangs up on a server with another name.
                other => drop(other.map(|mut stream| stream.read(&mut [0; 10]))),
            }
            request
        });
        let (trust, way) = (by_authority(), by_proxy(ProxyKind::Http, port));
        assert!(Path::new(&AUTHORITY.file).exists());
        let target = Target {
            host,
            port: 995,
            way: &way,
            owner: None,
            tls: Tls::Implicit,
            trust: &trust,
            timeout: LONG,
            without: &[],
        };
        match Connection::open(&target, &CONNECTORS, &Stop::new().unwrap()) {
            Ok(mut connection) => {
                assert!(is_right);
                assert_eq!(connection.channel(), Channel::Tls);
                assert_eq!(take(&mut connection, GREETING.len()), GREETING);
                give(&mut connection, b"QUIT\r\n");
            }
            Err(e) => {
                assert!(!is_right, "{e}");
                assert_eq!(e.exit_code().number(), 77);
                let hint = e.hint().unwrap().into_owned();
                assert!(
                    hint.contains(&format!("-proxy 127.0.0.1:{port} -connect pop.example:995")),
                    "{hint}"
                );
            }
        }
        let request = String::from_utf8(server.join().unwrap()).unwrap();
        assert!(request.starts_with(&format!("CONNECT {host}:995 HTTP/1.1\r\n")), "{request}");
    }
}

#[test]
fn a_password_of_a_proxy_reaches_it_and_no_error() {
    let login = || Some(ProxyLogin { user: "anna".to_owned(), password: Secret::new("hunter2") });
    let address = |port| ProxyAddress::Tcp(Endpoint { host: "127.0.0.1".to_owned(), port });
    let (port, heard) = proxy(&[b"\x05\x02", b"\x01\x01"], false);
    let way = by(Route::Proxy(Proxy { kind: ProxyKind::Socks5, address: address(port), login: login() }));
    let error = open(&way, LONG).unwrap_err();
    assert_eq!(error.to_string(), format!("the proxy 127.0.0.1:{port} refuses the user and the password"));
    assert!(heard.join().unwrap().ends_with(b"\x01\x04anna\x07hunter2"));
    let (port, heard) = proxy(&[b"HTTP/1.1 407 Again\r\nProxy-Authenticate: Basic\r\n\r\n"], false);
    let way = by(Route::Proxy(Proxy { kind: ProxyKind::Http, address: address(port), login: login() }));
    let error = open(&way, LONG).unwrap_err();
    assert_eq!(error.to_string(), format!("the proxy 127.0.0.1:{port} refuses the user and the password"));
    assert_eq!(error.exit_code().number(), 77);
    let heard = String::from_utf8(heard.join().unwrap()).unwrap();
    assert!(heard.contains("Proxy-Authorization: Basic YW5uYTpodW50ZXIy\r\n"), "{heard}");
}

#[test]
fn a_unix_socket_is_a_way_and_stays_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pop3");
    let way = by(Route::Socket(path.clone()));
    let error = open(&way, LONG).unwrap_err();
    let expected = format!("cannot connect to the socket {}: No such file or directory", path.display());
    assert_eq!((error.to_string(), error.exit_code().number()), (expected, 75));
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || says_hello(listener.accept().unwrap().0));
    let mut connection = open(&way, LONG).unwrap();
    assert_eq!((connection.channel(), connection.peer()), (Channel::Loopback, None));
    assert_eq!(take(&mut connection, GREETING.len()), GREETING);
    give(&mut connection, b"QUIT\r\n");
    server.join().unwrap();
}

#[test]
fn a_unix_socket_whose_queue_is_full_is_waited_for_and_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full");
    let address = rustix::net::SocketAddrUnix::new(&path).unwrap();
    let kind = (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM);
    let listener = rustix::net::socket(kind.0, kind.1, None).unwrap();
    rustix::net::bind(&listener, &address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _queued = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let error = open(&by(Route::Socket(path)), SHORT).unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");
}

#[test]
fn another_place_stands_for_the_server_and_is_never_loopback() {
    let (port, server) = serve(says_hello);
    let way = by(Route::ConnectTo(Endpoint { host: "localhost".to_owned(), port }));
    let mut connection = open(&way, LONG).unwrap();
    assert_eq!((connection.channel(), connection.server()), (Channel::Clear, "pop.example:110"));
    assert_eq!(connection.peer().unwrap().port(), port);
    assert_eq!(take(&mut connection, GREETING.len()), GREETING);
    give(&mut connection, b"QUIT\r\n");
    server.join().unwrap();
}

#[test]
fn a_program_is_a_way() {
    for way in [
        by_program(&["sh", "-c", "printf '+OK %s %s\\r\\n' \"$0\" \"$1\"; cat", "{host}:{port}", "{port}"]),
        by_shell(
            "echo noise >&2; printf '+OK %s:%s %s\\r\\n' $POPFETCH_HOST $POPFETCH_PORT $POPFETCH_PORT; cat",
        ),
    ] {
        let mut connection = open(&way, LONG).unwrap();
        assert_eq!((connection.channel(), connection.peer()), (Channel::Clear, None));
        let greeting = b"+OK pop.example:110 110\r\n";
        assert_eq!(take(&mut connection, greeting.len()), greeting);
        // More than its buffers hold, in both directions.
        let large = vec![b'x'; 300_000];
        let mut back = Vec::new();
        for part in large.chunks(10_000) {
            give(&mut connection, part);
            back.extend(take(&mut connection, part.len()));
        }
        assert_eq!(back, large);
    }
}

/// What a line through this program ends with: the error, or the text before its end.
fn end_of(way: &Way) -> Result<Vec<u8>, Error> {
    let mut connection = open(way, LONG)?;
    let (mut taken, mut buffer, until) = (Vec::new(), [0; 4096], Instant::now() + LONG);
    loop {
        match connection.read(&mut buffer)? {
            Some(0) => return Ok(taken),
            Some(read) => taken.extend_from_slice(&buffer[..read]),
            None => drop(connection.wait(false, until, false, None)?),
        }
    }
}

#[test]
fn how_a_program_ended_is_reported_where_the_line_failed() {
    let many = "head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; echo last >&2; exit 3";
    for (way, code, words) in [
        (
            by_program(&["/nowhere/ssh", "hunter2"]),
            78,
            "connect-command: cannot run /nowhere/ssh: No such file or directory",
        ),
        (by_program(&["/etc/passwd"]), 78, "connect-command: cannot run /etc/passwd: Permission denied"),
        (by_program(&["nc -x hunter2"]), 78, "connect-command: cannot run its first element"),
        (by_shell("no-such-program-here"), 78, "connect-command: exit status 127: "),
        (by_shell("exec /etc/passwd"), 78, "connect-command: exit status 126: "),
        (by_shell("exit 1"), 75, "connect-command ended the connection to pop.example:110: exit status 1"),
        (
            by_shell("echo 'ssh: no route' >&2; echo '\x1b[2J' >&2; exit 255"),
            75,
            "exit status 255: ssh: no route; \\x1b[2J",
        ),
        (by_shell("kill -9 $$"), 75, "killed by signal 9"),
        (by_shell("echo oops >&2"), 75, "exit status 0: oops"),
        (by_shell("printf '+OK\\r\\n'; exit 7"), 75, "exit status 7"),
        (by_shell(many), 75, "xxx; last"),
        // What it leaves behind holds the pipe of its errors.
        (by_shell("sleep 60 <&- >&- & echo gone >&2; exit 4"), 75, "exit status 4: gone"),
    ] {
        let error = end_of(&way).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words) && !text.contains("hunter2") && text.len() < 5000, "{text}");
        assert_eq!(error.exit_code().number(), code, "{text}");
    }
    assert_eq!(
        end_of(&by_shell("printf '+OK\\r\\n'")).unwrap(),
        b"+OK\r\n",
        "one that ends well is no failure"
    );
}

/// Whether a process is there, and not only unreaped.
fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("Z").starts_with(['Z', 'X']))
}

#[test]
fn nothing_of_a_program_is_left_behind() {
    for line in [
        // Ends when its input does.
        "echo $$; cat >/dev/null",
        // Ends when it is asked.
        "echo $$; exec sleep 60",
        // Neither, and has started others.
        "trap '' TERM; sleep 60 & echo $!; while :; do sleep 1; done",
        // Has ended already, and left others behind, one of which keeps nothing open.
        "sleep 60 & echo $!; sleep 60 <&- >&- 2>&- &",
    ] {
        let mut connection = open(&by_shell(line), LONG).unwrap();
        let mut pid = String::new();
        while !pid.ends_with('\n') {
            pid.push_str(std::str::from_utf8(&take(&mut connection, 1)).unwrap());
        }
        let begun = Instant::now();
        connection.close();
        assert!(begun.elapsed() < Duration::from_secs(8), "{line}");
        // It has been killed; that it's gone takes the system a moment.
        while is_alive(pid.trim()) {
            assert!(begun.elapsed() < LONG, "{line}: {pid}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_signal_shortens_the_end_of_a_program() {
    let stop = Stop::new().unwrap();
    let way = by_shell("trap '' TERM; echo; while :; do sleep 1; done");
    let mut connection = open_and_stop(&way, LONG, &stop).unwrap();
    take(&mut connection, 1);
    stop.raise();
    let begun = Instant::now();
    drop(connection);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

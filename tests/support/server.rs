//! A small POP3 server in threads of this process, with maildrops that live from session to session, made to misbehave
//! by its [`Options`].
//!
//! ```ignore
//! let server = Server::with("me", "secret", [Message::new("uid-1", "Subject: x\r\n\r\nhello\r\n")]);
//! sandbox.run(["--port", &server.port().to_string()]).succeeds();
//! assert_eq!(server.unique_ids("me"), [""; 0]);
//! ```
//!
//! A deletion takes effect at QUIT only (RFC 1939 §6).  A maildrop is open in one session at a time; a second one waits
//! a few seconds for the first to end, since a client that was killed leaves its session to be noticed.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use native_tls::TlsAcceptor;

pub use super::maildrop::{Account, Message, numbered};
use super::options::begins_with;
pub use super::options::{Cut, Hook, Moment, Options, Retrieved, Tls};
use super::relay::Relay;
use super::session::Session;
pub use super::wire::Ending;

/// One command that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The session's number, from 1.
    pub session: usize,
    pub command: String,
    /// The unique-id of the message that it names, if it names one.
    pub unique_id: Option<String>,
}

pub(super) struct Shared {
    pub options: Mutex<Arc<Options>>,
    pub acceptor: Option<TlsAcceptor>,
    pub log: Mutex<Vec<Entry>>,
    sessions: Mutex<Sessions>,
    ended: Condvar,
}

impl Shared {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops a session's socket: it's closed, or reset, when its last owner drops it.
    pub fn release(&self, session: usize) {
        self.sessions().sockets.remove(&session);
    }
}

#[derive(Default)]
struct Sessions {
    stopping: bool,
    /// Connections that only make sure that those before them were accepted.
    sentinels: HashSet<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
    /// Those of the sessions under way, by number.
    sockets: HashMap<usize, TcpStream>,
    sent: Vec<u64>,
    active: usize,
    panic: Option<String>,
}

/// How long a test waits for a command.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// The server.  Listens on `127.0.0.1` until dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    relay: Option<Relay>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(options: Options) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), options)
    }

    /// The same at another address, or port.
    pub fn start_at(address: SocketAddr, options: Options) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let relay = options.line.map(|line| Relay::start(address, line));
        let shared = Arc::new(Shared {
            acceptor: match &options.tls {
                Tls::None => None,
                Tls::Implicit(certified) | Tls::Stls(certified) => Some(certified.acceptor()),
            },
            options: Mutex::new(Arc::new(options)),
            log: Mutex::default(),
            sessions: Mutex::default(),
            ended: Condvar::new(),
        });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, relay, acceptor: Some(acceptor) }
    }

    /// A good server with one account.
    pub fn with(user: &str, password: &str, messages: impl IntoIterator<Item = Message>) -> Self {
        Self::start(Options::with(user, password, messages))
    }

    pub fn port(&self) -> u16 {
        self.relay.as_ref().map_or(self.address.port(), Relay::port)
    }

    /// The long line in front, if [`Options::line`] asked for one.
    pub fn relay(&self) -> Option<&Relay> {
        self.relay.as_ref()
    }

    /// Changes the behaviour of sessions that begin from now on.  Not accounts, TLS or the connection.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(Arc::make_mut(&mut self.shared.options.lock().unwrap()));
    }

    /// The messages in a user's maildrop, once every session has ended (10 s at most).
    #[track_caller]
    pub fn maildrop(&self, user: &str) -> Vec<Message> {
        self.settle();
        self.account(user).maildrop.messages()
    }

    /// Their unique-ids.
    #[track_caller]
    pub fn unique_ids(&self, user: &str) -> Vec<String> {
        self.maildrop(user).iter().map(Message::unique_id).collect()
    }

    /// Puts messages at the end of a user's maildrop; sessions under way don't see them.
    #[track_caller]
    pub fn add(&self, user: &str, messages: impl IntoIterator<Item = Message>) {
        let maildrop = self.account(user).maildrop;
        let mut all = maildrop.messages();
        // A clone of a message in the maildrop is another message.
        all.extend(messages.into_iter().map(Message::fresh));
        maildrop.replace(all);
    }

    /// Replaces a user's maildrop: another order, other unique-ids, a backup of last week.
    #[track_caller]
    pub fn replace(&self, user: &str, messages: impl IntoIterator<Item = Message>) {
        self.account(user).maildrop.replace(messages.into_iter().collect());
    }

    /// What came, in the order of coming, once every session has ended (10 s at most).
    pub fn log(&self) -> Vec<Entry> {
        self.settle();
        self.shared.log.lock().unwrap().clone()
    }

    /// The commands of one session (from 1).
    pub fn commands(&self, session: usize) -> Vec<String> {
        let log = self.log().into_iter();
        log.filter(|entry| entry.session == session).map(|entry| entry.command).collect()
    }

    /// How many commands of all sessions are this one, or begin with it.
    pub fn count(&self, command: &str) -> usize {
        self.log().iter().filter(|entry| begins_with(&entry.command, command)).count()
    }

    /// How many sessions there were.
    pub fn sessions(&self) -> usize {
        self.settle();
        self.shared.sessions().sent.len()
    }

    /// How many octets were sent in a session (from 1): [`Cut::After`] any number up to this one cuts it.
    pub fn octets_sent(&self, session: usize) -> u64 {
        self.settle();
        self.shared.sessions().sent[session - 1]
    }

    #[track_caller]
    fn account(&self, user: &str) -> Account {
        let options = self.shared.options.lock().unwrap();
        let account = options.accounts.iter().find(|account| account.user == user);
        account.unwrap_or_else(|| panic!("no account of {user:?}")).clone()
    }

    /// Waits until a command that begins with `command` has come, for tests that act in the middle of a session.
    #[track_caller]
    pub fn wait_for(&self, command: &str) {
        let began = Instant::now();
        while !self.shared.log.lock().unwrap().iter().any(|entry| begins_with(&entry.command, command)) {
            assert!(began.elapsed() < SEEN_WITHIN, "no {command} within {SEEN_WITHIN:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until every connection made so far has been served to its end, 10 s at most.
    pub fn settle(&self) {
        if let Some(relay) = &self.relay {
            relay.settle();
        }
        // A client may have come and gone before its connection was accepted; they are accepted in order.
        let mut sessions = self.shared.sessions();
        let Ok(sentinel) = TcpStream::connect(self.address) else { return };
        sessions.sentinels.insert(sentinel.local_addr().unwrap());
        let busy = |sessions: &mut Sessions| sessions.active > 0 || !sessions.sentinels.is_empty();
        drop(self.shared.ended.wait_timeout_while(sessions, Duration::from_secs(10), busy).unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.sessions().stopping = true;
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for socket in self.shared.sessions().sockets.values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        let threads = std::mem::take(&mut self.shared.sessions().threads);
        for thread in threads {
            let _ = thread.join();
        }
        let panic = self.shared.sessions().panic.take();
        if let (Some(panic), false) = (panic, thread::panicking()) {
            resume_unwind(Box::new(panic));
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        let mut sessions = shared.sessions();
        if sessions.stopping {
            return;
        }
        if stream.peer_addr().is_ok_and(|peer| sessions.sentinels.remove(&peer)) {
            shared.ended.notify_all();
            continue;
        }
        sessions.sent.push(0);
        sessions.active += 1;
        let number = sessions.sent.len();
        sessions.sockets.insert(number, stream.try_clone().unwrap());
        sessions.threads.retain(|thread| !thread.is_finished());
        let shared = Arc::clone(shared);
        sessions.threads.push(thread::spawn(move || serve(&shared, number, stream)));
    }
}

fn serve(shared: &Shared, number: usize, stream: TcpStream) {
    let options = Arc::clone(&shared.options.lock().unwrap_or_else(PoisonError::into_inner));
    let mut sent = 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut session = Session::new(shared, &options, number, stream);
        // A client that goes away in the middle is part of the game.
        let _ = session.run();
        sent = session.octets_sent();
    }));
    shared.release(number);
    let mut sessions = shared.sessions();
    sessions.sent[number - 1] = sent;
    sessions.active -= 1;
    if let Err(panic) = result {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        sessions.panic.get_or_insert(format!("in session {number}: {}", text.unwrap_or_default()));
    }
    shared.ended.notify_all();
}

#[cfg(test)]
mod tests {
    use super::{Cut, Message, Options, Retrieved, Server, Tls, numbered};
    use crate::support::certificates::{Authority, Leaf};
    use crate::support::relay::Line;
    use crate::support::{installed, mail, show};
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpStream};
    use std::process::Command;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    /// Writes all commands at once and returns everything that came until the server closed.
    fn session(server: &Server, commands: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.write_all(commands.replace('\n', "\r\n").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answers = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut answers);
        show(&answers).replace("\\r", "")
    }

    const LOGIN: &str = "USER me\nPASS secret\n";

    fn small(count: usize) -> Vec<Message> {
        numbered((0..count).map(|number| format!("Subject: {number}\r\n\r\n.{number}\r\nend\r\n")))
    }

    #[test]
    fn deletions_count_at_quit_only() {
        let server = Server::with("me", "secret", small(3));
        let dropped = session(&server, &format!("{LOGIN}DELE 1\nRETR 1\nRSET\nSTAT\nDELE 1\n"));
        assert!(dropped.ends_with("+OK\n-ERR no such message\n+OK\n+OK 3 69\n+OK\n"), "{dropped}");
        assert_eq!(server.unique_ids("me").len(), 3);

        let dialogue =
            |end| session(&server, &format!("{LOGIN}RETR 2\nTOP 2 1\nDELE 2\nUIDL\nLIST 2\nSTAT\n{end}"));
        server.change(|options| options.cut = Some(Cut::At("QUIT".into())));
        let answers = dialogue("QUIT\n");
        let expected = "+OK ready\n+OK password?\n+OK logged in\n\
             +OK 23 octets\nSubject: 1\n\n..1\nend\n.\n+OK top follows\nSubject: 1\n\n..1\n.\n+OK\n\
             +OK\n1 uid-1\n3 uid-3\n.\n-ERR no such message\n+OK 2 46\n";
        assert_eq!(answers, expected);
        assert_eq!(server.unique_ids("me"), ["uid-1", "uid-2", "uid-3"]);
        server.change(|options| options.cut = Some(Cut::AfterUpdate));
        assert_eq!(dialogue("QUIT\n"), expected);
        assert_eq!(server.unique_ids("me"), ["uid-1", "uid-3"]);
        server.change(|options| options.cut = None);
        assert!(session(&server, &format!("{LOGIN}UIDL\nQUIT\n")).ends_with("2 uid-3\n.\n+OK bye\n"));
        assert_eq!(server.sessions(), 4);
        assert_eq!(server.count("RETR"), 3);
    }

    #[test]
    fn every_cut_is_where_it_should_be() {
        let server = Server::with("me", "secret", small(2));
        let whole = session(&server, &format!("{LOGIN}RETR 1\nRETR 2\nQUIT\n"));
        let octets = server.octets_sent(1);
        assert_eq!(octets, whole.replace('\n', "\r\n").len() as u64);
        for packet in [None, Some(1)] {
            for at in [0, 1, 30, octets - 1] {
                server.change(|options| (options.cut, options.packet) = (Some(Cut::After(at)), packet));
                let part = session(&server, &format!("{LOGIN}RETR 1\nRETR 2\nQUIT\n"));
                assert_eq!(server.octets_sent(server.sessions()), at);
                assert!(whole.starts_with(&part), "{part}");
            }
        }
    }

    #[test]
    fn a_window_is_popped_at_quit() {
        let gmail = Options {
            window: Some(2),
            retrieved: Retrieved::Popped,
            ..Options::with("me", "secret", small(5))
        };
        let server = Server::start(gmail);
        let listed = |commands: &str| session(&server, &format!("{LOGIN}{commands}STAT\nQUIT\n"));
        assert!(listed("UIDL\nRETR 1\n").contains("1 uid-1\n2 uid-2\n."));
        assert!(listed("UIDL\nRETR 1\nRETR 2\n").contains("1 uid-2\n2 uid-3\n."));
        assert!(listed("UIDL\n").contains("1 uid-4\n2 uid-5\n."));
        assert_eq!(server.unique_ids("me").len(), 5);
    }

    #[test]
    fn faults_are_as_ordered() {
        let messages = [
            Message::new("a", "x\r\n"),
            Message::new("b", "x\r\n").refused("-ERR gone"),
            Message::new("c", "x\r\n").claiming(9),
            Message::new("d", "abcdef\r\n").cut_after(3),
        ];
        let options = Options::with("me", "secret", messages)
            .instead("DELE 1", "-ERR not that one\r\n")
            .without("UIDL");
        let answers =
            session(&Server::start(options), &format!("{LOGIN}LIST 3\nUIDL\nDELE 1\nRETR 2\nRETR 4\nQUIT\n"));
        let expected =
            "+OK 3 9\n-ERR unknown command\n-ERR not that one\n-ERR gone\n+OK message follows\nabc";
        assert_eq!(answers.split_once("logged in\n").unwrap().1, expected);

        let swallows =
            Options { swallows_pipelined: true, bare_lf: true, ..Options::with("me", "secret", []) };
        assert_eq!(session(&Server::start(swallows), "CAPA\nQUIT\n").matches("+OK").count(), 2);
    }

    #[test]
    fn a_hook_sees_the_moment_and_its_panic_is_not_lost() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let options = Options {
            hook: Some(Arc::new({
                let seen = Arc::clone(&seen);
                move |moment| {
                    let unique_id = moment.message.map(Message::unique_id);
                    seen.lock().unwrap().push((moment.command.to_owned(), unique_id));
                    assert!(moment.command != "DELE 2", "too early");
                }
            })),
            ..Options::with("me", "secret", small(2))
        };
        let server = Server::start(options);
        session(&server, &format!("{LOGIN}DELE 1\nDELE 2\nQUIT\n"));
        assert_eq!(seen.lock().unwrap()[2], ("DELE 1".to_owned(), Some("uid-1".to_owned())));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(server))).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "in session 1: too early");
    }

    #[test]
    fn a_long_line_delays_octets_not_commands() {
        let line = Some(Line::round_trip(Duration::from_millis(20)));
        let server = Server::start(Options { line, ..Options::with("me", "secret", small(50)) });
        let retrieve: String = (1..=50).map(|number| format!("RETR {number}\n")).collect();
        let began = Instant::now();
        let answers = session(&server, &format!("{LOGIN}{retrieve}QUIT\n"));
        assert_eq!(answers.matches("end\n").count(), 50);
        assert!(began.elapsed() >= Duration::from_millis(20));
        assert_eq!(server.relay().unwrap().waits(), 1);
        assert_eq!(server.count("RETR"), 50);
    }

    /// Python's poplib as a client that isn't ours.
    #[test]
    fn poplib_gets_every_sample() {
        let Some(python) = installed("python3") else { return };
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        authority.write(&folder.path().join("ca.pem"));
        let samples = mail::samples();
        let options = Options {
            tls: Tls::Stls(authority.issue(&Leaf::default())),
            greeting: b"+OK <1.2@here>\r\n".to_vec(),
            ..Options::with("me", "secret", numbered(samples.iter().map(|sample| &sample.octets)))
        };
        let server = Server::start(options);
        // RETR by hand: poplib's own drops what follows a NUL in no way, but takes a bare LF for a line end.
        let script = "import poplib, ssl, sys\npoplib._MAXLINE = 1 << 20\n\
             box = poplib.POP3('localhost', int(sys.argv[1]))\n\
             box.stls(ssl.create_default_context(cafile=sys.argv[2]))\nbox.apop('me', 'secret')\n\
             for n in range(1, box.stat()[0] + 1):\n\
             \x20   box._shortcmd('RETR %d' % n)\n    message = b''\n    line = box.file.readline()\n\
             \x20   while line != b'.\\r\\n' or not (message == b'' or message.endswith(b'\\r\\n')):\n\
             \x20       at_start = message == b'' or message.endswith(b'\\r\\n')\n\
             \x20       message += line[1:] if at_start and line.startswith(b'.') else line\n\
             \x20       line = box.file.readline()\n\
             \x20   sys.stdout.buffer.write(b'%d\\n%b' % (len(message), message))\nbox.quit()\n";
        let mut command = Command::new(python);
        command.args(["-c", script]).arg(server.port().to_string()).arg(folder.path().join("ca.pem"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", show(&output.stderr));
        let mut expected = Vec::new();
        for sample in samples {
            let mut octets = sample.octets;
            if !octets.ends_with(b"\r\n") {
                octets.extend(b"\r\n");
            }
            expected.extend(format!("{}\n", octets.len()).bytes());
            expected.extend(octets);
        }
        assert!(output.stdout == expected, "{}", show(&output.stdout));
    }
}

//! What the tests of this room share: a mailbox on loopback that answers as it is set up, and an account whose mail goes
//! to a Maildir in a temporary directory.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::committer::Parcel;
use super::{Context, Options, Passwords, retrieve};
use crate::account::Account;
use crate::client;
use crate::clock;
use crate::config::{Request, for_run};
use crate::connection::Connectors;
use crate::delivery::Waiting;
use crate::environment::Environment;
use crate::ledger::lock::Lock;
use crate::ledger::{self, Ledger};
use crate::message::{self, Digest, Headline};
use crate::place::{Place, Spooled};
use crate::plan::trial::{facts, key, number};
use crate::proof::{
    Arrival, ArrivalId, DestinationId, DestinationKind, DestinationName, Piece, Published, Staged,
};
use crate::protocol::auth::{Method, RefusalReason};
use crate::report::{Event, Reporter, RunSummary};
use crate::secret::Secret;
use crate::signals::Stop;
use crate::types::{Octets, UniqueId, UniqueIdBuf, Wait};

/// A server that hears nothing for so long gives a session up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) unique_id: String,
    /// One word that no other message holds.
    pub(super) content: String,
    pub(super) text: String,
}

impl Letter {
    /// A message that names itself, as most do: with Received and Message-ID.
    pub(super) fn new(unique_id: &str, content: &str) -> Self {
        let text = format!(
            "Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <{content}@example.com>\r\n\
             Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nFrom: a@example.com\r\n\r\nText of {content}.\r\n"
        );
        Self { unique_id: unique_id.to_owned(), content: content.to_owned(), text }
    }

    /// A script's report, which no header names; all are of one size where the words are.
    pub(super) fn report(unique_id: &str, content: &str) -> Self {
        let text = format!("Subject: report\r\n\r\nText of {content}.\r\n");
        Self { unique_id: unique_id.to_owned(), content: content.to_owned(), text }
    }
}

pub(super) fn unique_id(name: &str) -> UniqueIdBuf {
    UniqueId::new(name.as_bytes()).unwrap().to_buf()
}

/// A message of 100 octets that has arrived, and waits for these destinations.
pub(super) fn parcel(at: u32, name: &str, set: &[DestinationId]) -> Parcel {
    let message = Arc::new(Arrival {
        id: ArrivalId::next(),
        number: number(at),
        key: key(name),
        listed_size: Some(Octets(100)),
        octets: 100,
        digests: facts(name).digests,
        headline: Headline::default(),
        sender: String::new(),
        recipient: String::new(),
        utf8: false,
        again: false,
        set: set.to_vec(),
        continues: None,
    });
    let waiting = || Waiting {
        octets: 100,
        digest: Digest::of(name.as_bytes()),
        place: Place::Spooled(Spooled::Memory(Vec::new())),
    };
    Parcel { message, waiting: (0..set.len()).map(|slot| (slot, waiting())).collect() }
}

/// A login that the server has refused, with this meaning.
pub(super) fn refused_login(meaning: RefusalReason) -> client::Error {
    client::Error::LoginRefused {
        server: "127.0.0.1:110".to_owned(),
        method: Method::UserPass,
        meaning,
        text: "no".to_owned(),
        token: None,
        secret_sent: true,
        locked: false,
    }
}

/// What becomes of `QUIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// It's carried out and answered.
    Kept,
    /// It's carried out, and the connection ends in the place of the answer.
    Lost,
    /// The connection ends, and nothing is carried out.
    Cut,
    /// `+OK`, and nothing is carried out.
    Forgotten,
    /// `-ERR`, and nothing is carried out.
    Refused,
}

/// What the server holds, and how it answers.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) letters: Vec<Letter>,
    pub(super) capabilities: Vec<&'static str>,
    /// In each session the connection ends in the place of the answer to this command after the login, counted from 1.
    pub(super) cut_at: Option<usize>,
    pub(super) farewell: Farewell,
    /// Commands that are refused, by their beginning, and the answer.
    pub(super) refused: Vec<(String, String)>,
    /// The same, before the login.
    pub(super) refused_before: Vec<(String, String)>,
    /// `QUIT` also deletes what was retrieved.
    pub(super) drops: bool,
    /// At most this many are listed; those that were retrieved are not listed any more after `QUIT`, though they stay.
    pub(super) window: Option<usize>,
    /// Lines that begin with a dot are sent as they are.
    pub(super) unstuffed: bool,
    /// At most this many logins are accepted; one more is refused as a wrong password is.
    pub(super) logins: Option<usize>,
    /// What was heard after the login, session by session.
    pub(super) heard: Vec<Vec<String>>,
    pub(super) deleted: Vec<Letter>,
}

impl Default for Post {
    fn default() -> Self {
        Self {
            letters: Vec::new(),
            capabilities: vec!["UIDL", "TOP", "PIPELINING"],
            cut_at: None,
            farewell: Farewell::Kept,
            refused: Vec::new(),
            refused_before: Vec::new(),
            drops: false,
            window: None,
            unstuffed: false,
            logins: None,
            heard: Vec::new(),
            deleted: Vec::new(),
        }
    }
}

/// One session, as the server sees it.
struct Visit {
    letters: Vec<Letter>,
    gone: HashSet<usize>,
    sent: HashSet<usize>,
    commands: usize,
    has_begun: bool,
}

enum Answer {
    Text(String),
    End,
    Last(String),
}

impl Visit {
    fn answer(&mut self, command: &str, post: &mut Post) -> Answer {
        let mut words = command.split(' ');
        let verb = words.next().unwrap_or_default();
        let number: Option<usize> = words.next().and_then(|word| word.parse().ok());
        if self.has_begun {
            self.commands += 1;
            if let Some(heard) = post.heard.last_mut() {
                heard.push(command.to_owned());
            }
            if post.cut_at == Some(self.commands) {
                return Answer::End;
            }
        }
        let refused = if self.has_begun { &post.refused } else { &post.refused_before };
        if let Some((_, answer)) = refused.iter().find(|(start, _)| command.starts_with(start)) {
            return Answer::Text(format!("{answer}\r\n"));
        }
        let here: Vec<(usize, &Letter)> =
            (1..).zip(&self.letters).filter(|(number, _)| !self.gone.contains(number)).collect();
        let letter = number.map(|number| here.iter().find(|(n, _)| *n == number).copied());
        let octets: usize = here.iter().map(|(_, letter)| letter.text.len()).sum();
        let listing = |line: &dyn Fn(&Letter) -> String| match letter {
            Some(None) => "-ERR no such message\r\n".to_owned(),
            Some(Some((number, letter))) => format!("+OK {number} {}\r\n", line(letter)),
            None => {
                here.iter().fold("+OK\r\n".to_owned(), |mut text, (number, letter)| {
                    write!(text, "{number} {}\r\n", line(letter)).unwrap();
                    text
                }) + ".\r\n"
            }
        };
        Answer::Text(match (verb, letter) {
            ("CAPA", _) => format!("+OK\r\nUSER\r\n{}\r\n.\r\n", post.capabilities.join("\r\n")),
            ("USER" | "NOOP", _) => "+OK\r\n".to_owned(),
            ("PASS", _) if post.logins.is_some_and(|most| post.heard.len() >= most) => {
                "-ERR [AUTH] no\r\n".to_owned()
            }
            ("PASS", _) => {
                self.has_begun = true;
                post.heard.push(Vec::new());
                "+OK\r\n".to_owned()
            }
            ("STAT", _) => format!("+OK {} {octets}\r\n", here.len()),
            ("UIDL", _) if post.capabilities.contains(&"UIDL") => listing(&|letter| letter.unique_id.clone()),
            ("LIST", _) => listing(&|letter| letter.text.len().to_string()),
            ("TOP", Some(Some((_, letter)))) if post.capabilities.contains(&"TOP") => {
                let (header, _) = letter.text.split_once("\r\n\r\n").unwrap();
                format!("+OK\r\n{header}\r\n\r\n.\r\n")
            }
            ("RETR", Some(Some((number, letter)))) => {
                self.sent.insert(number);
                let text =
                    if post.unstuffed { letter.text.clone() } else { letter.text.replace("\r\n.", "\r\n..") };
                format!("+OK\r\n{text}.\r\n")
            }
            ("DELE", Some(Some((number, _)))) => {
                self.gone.insert(number);
                "+OK\r\n".to_owned()
            }
            ("QUIT", _) => return self.quit(post),
            _ => "-ERR what?\r\n".to_owned(),
        })
    }

    fn quit(&self, post: &mut Post) -> Answer {
        if matches!(post.farewell, Farewell::Kept | Farewell::Lost) {
            let goes =
                |number: &usize| self.gone.contains(number) || (post.drops && self.sent.contains(number));
            let gone: Vec<Letter> =
                (1..).zip(&self.letters).filter(|(n, _)| goes(n)).map(|(_, letter)| letter.clone()).collect();
            post.letters.retain(|letter| !gone.contains(letter));
            post.deleted.extend(gone);
            if post.window.is_some() {
                let read: Vec<&Letter> =
                    self.sent.iter().filter_map(|number| self.letters.get(number - 1)).collect();
                post.letters.retain(|letter| !read.contains(&letter));
            }
        }
        match post.farewell {
            Farewell::Kept | Farewell::Forgotten => Answer::Last("+OK bye\r\n".to_owned()),
            Farewell::Refused => Answer::Last("-ERR not deleted\r\n".to_owned()),
            Farewell::Lost | Farewell::Cut => Answer::End,
        }
    }
}

fn serve(mut stream: TcpStream, post: &Mutex<Post>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?);
    stream.write_all(b"+OK ready\r\n")?;
    let letters = {
        let post = locked(post);
        post.letters.iter().take(post.window.unwrap_or(usize::MAX)).cloned().collect()
    };
    let (gone, sent) = (HashSet::new(), HashSet::new());
    let mut visit = Visit { letters, gone, sent, commands: 0, has_begun: false };
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        let answer = visit.answer(line.trim_end_matches(['\r', '\n']), &mut locked(post));
        line.clear();
        match answer {
            Answer::Text(text) => stream.write_all(text.as_bytes())?,
            Answer::Last(text) => {
                stream.write_all(text.as_bytes())?;
                return stream.shutdown(Shutdown::Write);
            }
            Answer::End => return stream.shutdown(Shutdown::Both),
        }
    }
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what is reported.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Reporter for Heard {
    fn report(&self, _: &str, event: &Event) {
        let line = match event {
            Event::Warning(text) | Event::Detail(text) => text.clone(),
            Event::MessageFailed { number, reason, .. } => format!("message {number} failed: {reason}"),
            Event::Recovered { delivered, dropped } => format!("recovered {delivered}, dropped {dropped}"),
            Event::TooLarge { number, .. } => format!("message {number} is too large"),
            Event::Planned { messages, octets } => format!("planned {messages} messages, {octets:?}"),
            Event::Intended { number, action, why, .. } => {
                format!("message {number}: {} ({})", action.verb(), why.word)
            }
            _ => return,
        };
        locked(&self.0).push(line);
    }
    fn wants_detail(&self) -> bool {
        true
    }
}

/// What a run that dies leaves of one copy of a message in a Maildir.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The whole of it waits to be published;
    Whole,
    /// it had begun to be written;
    Torn,
    /// it was published, and that is recorded;
    Delivered,
    /// the destination did not take it.
    Refused,
}

/// A server, an account there, and all that its runs leave on the disk.
pub(super) struct Home {
    directory: TempDir,
    environment: Environment,
    connectors: Connectors,
    pub(super) stop: Stop,
    post: Arc<Mutex<Post>>,
    port: u16,
    heard: Arc<Heard>,
}

impl Home {
    pub(super) fn new(post: Post) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let post = Arc::new(Mutex::new(post));
        let theirs = Arc::downgrade(&post);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(post) = theirs.upgrade() else { return };
                // The client may end it at any time.
                let _ = serve(stream, &post);
            }
        });
        Self {
            directory: tempfile::tempdir().unwrap(),
            environment: Environment::default(),
            connectors: Connectors::new(),
            stop: Stop::new().unwrap(),
            post,
            port,
            heard: Arc::default(),
        }
    }

    /// A server that holds these, and can do what most can.
    pub(super) fn holding(letters: &[Letter]) -> Self {
        Self::new(Post { letters: letters.to_vec(), ..Post::default() })
    }

    pub(super) fn post(&self) -> MutexGuard<'_, Post> {
        locked(&self.post)
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The account, with these settings besides.
    pub(super) fn account(&self, settings: &str) -> Account {
        self.try_account(settings).unwrap()
    }

    /// None where these settings are refused.
    pub(super) fn try_account(&self, settings: &str) -> Option<Account> {
        let home = self.path().display();
        self.try_account_with(&format!("deliver.maildir = \"{home}/Mail\"\n{settings}"))
    }

    /// Where its mail goes is one of the settings.
    pub(super) fn try_account_with(&self, settings: &str) -> Option<Account> {
        let path = self.path().join("config.toml");
        let port = self.port;
        let text = format!(
            "[accounts.work]\nserver = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nauth = \"user-pass\"\n\
             user = \"me\"\ntimeout = \"10s\"\nsync = \"off\"\n{settings}\n"
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let request = Request { file: Some(path), ..Request::default() };
        Some(for_run(&request, &self.environment).ok()?.accounts.remove(0))
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            state: self.path().join("state"),
            stop: self.stop.clone(),
            connectors: &self.connectors,
            reporter: Arc::clone(&self.heard) as Arc<dyn Reporter>,
            host_name: "here".to_owned(),
            environment: &self.environment,
            stdout_is_regular_file: false,
        }
    }

    /// The mailbox's directory.
    pub(super) fn mailbox(&self) -> PathBuf {
        ledger::directory(&self.context().state, &self.account("").mailbox())
    }

    /// The ledger, as the next run finds it.
    pub(super) fn ledger(&self) -> Ledger {
        let directory = self.mailbox();
        let lock = Lock::acquire(&directory, Wait::NO, &self.stop).unwrap();
        Ledger::open(&directory, &self.account("").mailbox(), lock, clock::now()).unwrap()
    }

    /// A run dies while a message of this name is on its way to Maildirs in this directory.
    pub(super) fn leave_unfinished(&self, name: &str, copies: &[(&str, Left)]) {
        let mut ledger = self.ledger();
        let text = Letter::new(name, name).text.replace("\r\n", "\n");
        let file = format!("1.M1P1Q1_{}_{name}.here", ledger.id());
        let set: Vec<DestinationId> = copies
            .iter()
            .map(|(maildir, _)| {
                let path = self.path().join(maildir);
                ["tmp", "new", "cur"].iter().for_each(|part| fs::create_dir_all(path.join(part)).unwrap());
                let address = path.as_os_str().as_bytes().to_vec();
                let name = DestinationName { kind: DestinationKind::Maildir, address };
                ledger.enter_destination(&name, None).unwrap()
            })
            .collect();
        let message = parcel(1, name, &set).message;
        let piece = |destination: &DestinationId| {
            let batch = Arc::new(fs::File::open("/").unwrap());
            let place = Place::Maildir { name: file.clone(), batch, file: None };
            let (octets, digest) = message::stored(text.as_bytes()).unwrap();
            let (message, destination) = (Arc::clone(&message), *destination);
            Staged::attest(Piece { message, destination, octets, digest, place })
        };
        let noted = ledger.note(set.iter().map(piece).collect()).unwrap();
        for (noted, (maildir, left)) in noted.into_iter().zip(copies) {
            let path = |part: &str| self.path().join(maildir).join(part).join(&file);
            match left {
                Left::Whole => fs::write(path("tmp"), &text).unwrap(),
                Left::Torn => fs::write(path("tmp"), &text[..10]).unwrap(),
                Left::Delivered => {
                    fs::write(path("new"), &text).unwrap();
                    ledger.record(Published::attest(noted)).unwrap();
                }
                Left::Refused => ledger.refuse(noted, None).unwrap(),
            }
        }
        ledger.close().unwrap();
    }

    pub(super) fn run(&self, settings: &str) -> RunSummary {
        self.run_as(settings, Options::default())
    }

    /// What a user is asked for is typed: the password.
    pub(super) fn options(&self) -> Options {
        Options { passwords: Passwords::typed("work", Secret::new("pencil")), ..Options::default() }
    }

    /// The account with its password in the configuration, for commands that take no options.
    pub(super) fn account_with_password(&self, settings: &str) -> Account {
        self.account(&format!("password = \"pencil\"\n{settings}"))
    }

    /// An account whose server isn't there.
    pub(super) fn account_at_a_closed_port(&self) -> Account {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Account { port, ..self.account("") }
    }

    /// What is sent from now on counts.
    pub(super) fn forget_what_was_sent(&self) {
        self.post().heard.clear();
    }

    /// One run that is asked for something.
    pub(super) fn run_as(&self, settings: &str, options: Options) -> RunSummary {
        let options = Options { passwords: self.options().passwords, ..options };
        locked(&self.heard.0).clear();
        self.post().heard.clear();
        let summary = retrieve(&self.account(settings), &options, &self.context());
        self.wait_for_the_server();
        summary
    }

    /// It serves one session after the other: when it greets this one, those of the run are over.
    pub(super) fn wait_for_the_server(&self) {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        BufReader::new(stream).read_line(&mut String::new()).unwrap();
    }

    /// What the last run reported.
    pub(super) fn reported(&self) -> Vec<String> {
        locked(&self.heard.0).clone()
    }

    /// The same, and it is forgotten.
    pub(super) fn take_reported(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.heard.0))
    }

    /// What the last run sent after the login, session by session.
    pub(super) fn sent(&self) -> Vec<Vec<String>> {
        self.post().heard.clone()
    }

    /// What is on the server.
    pub(super) fn left(&self) -> Vec<String> {
        self.post().letters.iter().map(|letter| letter.content.clone()).collect()
    }

    /// How often each content was delivered.
    pub(super) fn delivered(&self) -> BTreeMap<String, usize> {
        self.delivered_to("Mail")
    }

    /// The same, of another Maildir.
    pub(super) fn delivered_to(&self, maildir: &str) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        let Ok(files) = fs::read_dir(self.path().join(maildir).join("new")) else { return found };
        for file in files {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let (_, content) = text.rsplit_once("Text of ").unwrap_or(("", "unknown."));
            let content = content.split('.').next().unwrap_or_default();
            *found.entry(content.to_owned()).or_default() += 1;
        }
        found
    }

    /// What was deleted on the server though nothing of it was delivered.
    pub(super) fn lost(&self) -> Vec<String> {
        let delivered = self.delivered();
        let lost = |letter: &&Letter| !delivered.contains_key(&letter.content);
        self.post().deleted.iter().filter(lost).map(|letter| letter.content.clone()).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The server holds no more than a weak reference; this wakes it to see that.
        self.post = Arc::default();
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

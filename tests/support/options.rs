//! How [`super::server`] behaves, and misbehaves.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::certificates::Certified;
use super::maildrop::{Account, Message};
use super::relay::Line;
use super::wire::Ending;

/// How the server offers TLS.
#[derive(Clone, Default)]
pub enum Tls {
    /// Not at all.
    #[default]
    None,
    /// From the first octet.
    Implicit(Certified),
    /// By STLS.
    Stls(Certified),
}

/// When a line ends before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// When this many octets have been sent in the session, greeting included.
    After(u64),
    /// Instead of executing this command, matched as in [`Options::instead`].
    At(String),
    /// At QUIT, when the deletions have taken effect, instead of the answer.
    AfterUpdate,
}

/// What a clean QUIT does to messages that were retrieved and not deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Retrieved {
    /// Nothing.
    #[default]
    Stay,
    /// They are listed no more, but stay: Gmail.
    Popped,
    /// They are deleted: a site with `EXPIRE 0` (RFC 1939 §8).
    Deleted,
}

/// What is seen of a session while a command is about to be executed.
pub struct Moment<'a> {
    /// The session's number, from 1.
    pub session: usize,
    /// The command as it came.
    pub command: &'a str,
    /// The message that it names, if it names one.
    pub message: Option<&'a Message>,
}

/// Called before each command is executed.  A panic in it ends the session and comes up again when the server is
/// dropped.
pub type Hook = Arc<dyn Fn(&Moment<'_>) + Send + Sync>;

/// How the server behaves.  The default is a good one: PIPELINING, UIDL, TOP, USER/PASS, SASL PLAIN.
#[derive(Clone)]
pub struct Options {
    pub accounts: Vec<Account>,
    pub tls: Tls,
    /// The whole line.  A timestamp `<…@…>` in it allows APOP.
    pub greeting: Vec<u8>,
    /// CAPA's lines before login.  STLS is added automatically; `SASL` lists the mechanisms that work.
    pub before_login: Vec<String>,
    /// CAPA's lines after login.
    pub after_login: Vec<String>,
    /// Answers in place of the usual ones, for commands that are equal to a text or begin with it and a space:
    /// `("RETR 3", "-ERR gone\r\n")`, `("PASS", "-ERR [IN-USE] x\r\n")`.  The first that matches holds.
    pub instead: Vec<(String, Vec<u8>)>,
    /// Only the session of this number (from 1) answers so.
    pub instead_session: Option<usize>,
    /// `STAT` counts messages that are marked as deleted, without their octets.
    pub stat_counts_deleted: bool,
    /// Closes the connection.
    pub cut: Option<Cut>,
    /// How it ends then.
    pub ending: Ending,
    /// Only the session of this number (from 1) is cut.
    pub cut_session: Option<usize>,
    pub retrieved: Retrieved,
    /// At most this many messages are listed: the first that were not popped.
    pub window: Option<usize>,
    /// QUIT removes at most this many messages and, if that's too few, answers -ERR.
    pub removes_at_most: Option<usize>,
    /// Executes one command of each packet and forgets the rest of it.
    pub swallows_pipelined: bool,
    /// Ends each session at this command after the login, before it's answered.
    pub commands_per_session: Option<usize>,
    /// Where more commands are at hand, the dot that ends a message comes behind the answers to the next two.
    pub late_dots: bool,
    /// Every line ends in LF.
    pub bare_lf: bool,
    /// Octets per packet.
    pub packet: Option<usize>,
    /// The kernel's buffers for the connection, in octets, both ways.
    pub buffers: Option<usize>,
    /// A long line in front of the server.
    pub line: Option<Line>,
    /// Each RETR puts the next number, of four digits, where a message has NNNN.
    pub counter: Option<Arc<AtomicU64>>,
    pub hook: Option<Hook>,
}

impl Default for Options {
    fn default() -> Self {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Self {
            accounts: Vec::new(),
            tls: Tls::None,
            greeting: b"+OK ready\r\n".to_vec(),
            before_login: lines(&[
                "TOP",
                "UIDL",
                "USER",
                "RESP-CODES",
                "AUTH-RESP-CODE",
                "PIPELINING",
                "SASL PLAIN",
            ]),
            after_login: lines(&["TOP", "UIDL", "RESP-CODES", "PIPELINING", "EXPIRE NEVER"]),
            instead: Vec::new(),
            instead_session: None,
            cut: None,
            ending: Ending::Close,
            cut_session: None,
            stat_counts_deleted: false,
            retrieved: Retrieved::Stay,
            window: None,
            removes_at_most: None,
            swallows_pipelined: false,
            commands_per_session: None,
            late_dots: false,
            bare_lf: false,
            packet: None,
            buffers: None,
            line: None,
            counter: None,
            hook: None,
        }
    }
}

impl Options {
    /// One account.
    pub fn with(user: &str, password: &str, messages: impl IntoIterator<Item = Message>) -> Self {
        Self { accounts: vec![Account::new(user, password, messages)], ..Self::default() }
    }

    /// Neither announces nor knows `keyword`: `PIPELINING`, `UIDL`, `TOP`, `CAPA` …
    #[must_use]
    pub fn without(mut self, keyword: &str) -> Self {
        let named = |line: &String| line.split(' ').next() == Some(keyword);
        self.before_login.retain(|line| !named(line));
        self.after_login.retain(|line| !named(line));
        self.instead(keyword, "-ERR unknown command\r\n")
    }

    /// Adds to [`Options::instead`].
    #[must_use]
    pub fn instead(mut self, command: &str, answer: impl AsRef<[u8]>) -> Self {
        self.instead.push((command.to_owned(), answer.as_ref().to_vec()));
        self
    }

    /// Offers exactly these SASL mechanisms, separated by spaces, before login.
    #[must_use]
    pub fn sasl(mut self, mechanisms: &str) -> Self {
        self.before_login.retain(|line| !line.starts_with("SASL"));
        self.before_login.push(format!("SASL {mechanisms}"));
        self
    }

    pub(super) fn instead_of(&self, command: &str, session: usize) -> Option<Vec<u8>> {
        if self.instead_session.is_some_and(|number| number != session) {
            return None;
        }
        let (text, answer) = self.instead.iter().find(|(text, _)| begins_with(command, text))?;
        // A listing made by the test also gives the answer about one message.
        let is_listing = matches!(text.as_str(), "UIDL" | "LIST") && answer.ends_with(b"\n.\r\n");
        match command.get(text.len()..).filter(|number| is_listing && !number.is_empty()) {
            Some(number) => Some(line_of(answer, number.trim())),
            None => Some(answer.clone()),
        }
    }
}

/// What a listing has about one message, as a single answer; the last line that names it counts.
fn line_of(listing: &[u8], number: &str) -> Vec<u8> {
    let lines = listing.split_inclusive(|octet| *octet == b'\n').skip(1);
    let named = |line: &&[u8]| {
        let words = line.split(|octet| b" \t\r\n".contains(octet)).filter(|word| !word.is_empty());
        let number_of = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<u64>().ok();
        words.filter(|word| *word != b"+OK").map(number_of).next().flatten() == number.parse().ok()
    };
    match lines.filter(named).last() {
        Some(line) => [b"+OK ", line].concat(),
        None => b"-ERR no such message\r\n".to_vec(),
    }
}

/// Whether a command is `text`, or begins with it and goes on with another word.
pub(super) fn begins_with(command: &str, text: &str) -> bool {
    match (command.get(..text.len()), command.get(text.len()..)) {
        (Some(start), Some(rest)) => {
            start.eq_ignore_ascii_case(text) && (rest.is_empty() || rest.starts_with(' '))
        }
        _ => false,
    }
}

//! The maildrops of [`super::server`], and the messages in them.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// A user and his maildrop.  Clones share the maildrop.
#[derive(Clone)]
pub struct Account {
    pub user: String,
    /// The password, or the token of XOAUTH2 and OAUTHBEARER.
    pub password: String,
    pub(super) maildrop: Arc<Maildrop>,
}

impl Account {
    pub fn new(user: &str, password: &str, messages: impl IntoIterator<Item = Message>) -> Self {
        let maildrop = Arc::new(Maildrop::default());
        maildrop.replace(messages.into_iter().collect());
        Self { user: user.to_owned(), password: password.to_owned(), maildrop }
    }
}

/// A message in a maildrop.  Clones share its octets.
#[derive(Clone)]
pub struct Message {
    pub unique_id: Vec<u8>,
    /// The size that the server claims.
    pub listed: u64,
    /// As it is sent, dot-stuffed, without status line and terminator; sent [`Message::times`] times.
    pub(super) wire: Arc<[u8]>,
    pub(super) times: usize,
    pub(super) fault: Option<Arc<MessageFault>>,
    /// Tells it from every other message of the maildrop.
    serial: u64,
}

/// What is wrong with one message, in every session.
pub(super) enum MessageFault {
    Refused(Vec<u8>),
    CutAfter(usize),
}

impl Message {
    /// A message as it is before dot-stuffing, lines ended by CRLF.
    pub fn new(unique_id: impl Into<Vec<u8>>, octets: impl AsRef<[u8]>) -> Self {
        let octets = octets.as_ref();
        Self::raw(unique_id, stuffed(octets)).claiming(octets.len() as u64)
    }

    /// A message as the server sends it, stuffed or not; `\r\n.\r\n` in it ends the answer.
    pub fn raw(unique_id: impl Into<Vec<u8>>, wire: impl Into<Arc<[u8]>>) -> Self {
        let wire = wire.into();
        Self {
            unique_id: unique_id.into(),
            listed: wire.len() as u64,
            wire,
            times: 1,
            fault: None,
            serial: 0,
        }
    }

    /// A message of `octets` repeated `times` times, for sizes that nobody wants in memory.
    pub fn repeated(unique_id: impl Into<Vec<u8>>, octets: impl AsRef<[u8]>, times: usize) -> Self {
        let message = Self::new(unique_id, octets);
        let listed = message.listed * times as u64;
        Self { times, ..message }.claiming(listed)
    }

    /// The same octets under another unique-id.
    #[must_use]
    pub fn named(&self, unique_id: impl Into<Vec<u8>>) -> Self {
        Self { unique_id: unique_id.into(), ..self.clone() }
    }

    /// With a size in the listings that need not be true.
    #[must_use]
    pub fn claiming(self, listed: u64) -> Self {
        Self { listed, ..self }
    }

    /// RETR is always answered by this line.
    #[must_use]
    pub fn refused(self, line: &str) -> Self {
        Self { fault: Some(Arc::new(MessageFault::Refused(line.into()))), ..self }
    }

    /// RETR always ends the connection after this many octets of the message.
    #[must_use]
    pub fn cut_after(self, octets: usize) -> Self {
        Self { fault: Some(Arc::new(MessageFault::CutAfter(octets))), ..self }
    }

    /// As a message that no maildrop has held yet.
    pub(super) fn fresh(self) -> Self {
        Self { serial: 0, ..self }
    }

    /// The unique-id as text.
    pub fn unique_id(&self) -> String {
        String::from_utf8_lossy(&self.unique_id).into_owned()
    }
}

/// Messages numbered from 1: `uid-1`, `uid-2` …
pub fn numbered<M: AsRef<[u8]>>(messages: impl IntoIterator<Item = M>) -> Vec<Message> {
    (1..).zip(messages).map(|(number, octets)| Message::new(format!("uid-{number}"), octets)).collect()
}

/// Dot-stuffs, and ends the last line (RFC 1939 §3).
fn stuffed(octets: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(octets.len() + octets.len() / 64 + 2);
    for (at, octet) in octets.iter().enumerate() {
        if *octet == b'.' && (at == 0 || octets[..at].ends_with(b"\r\n")) {
            wire.push(b'.');
        }
        wire.push(*octet);
    }
    if !octets.is_empty() && !octets.ends_with(b"\r\n") {
        wire.extend(b"\r\n");
    }
    wire
}

/// What a session sees: fixed when it logs in.
#[derive(Default)]
pub(super) struct View {
    pub messages: Vec<Message>,
    pub unique_id_listing: OnceLock<Vec<u8>>,
    pub scan_listing: OnceLock<Vec<u8>>,
}

#[derive(Default)]
pub(super) struct Maildrop {
    contents: Mutex<Contents>,
    closed: Condvar,
}

#[derive(Default)]
struct Contents {
    view: Arc<View>,
    popped: HashSet<u64>,
    open: bool,
    serial: u64,
}

impl Maildrop {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn replace(&self, mut messages: Vec<Message>) {
        let mut contents = self.contents();
        for message in messages.iter_mut().filter(|message| message.serial == 0) {
            contents.serial += 1;
            message.serial = contents.serial;
        }
        contents.view = Arc::new(View { messages, ..View::default() });
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.contents().view.messages.clone()
    }

    /// Opens it for a session; `None` when another session doesn't end.
    pub(super) fn open(&self, window: Option<usize>) -> Option<Arc<View>> {
        let open = |contents: &mut Contents| contents.open;
        let (mut contents, waited) =
            self.closed.wait_timeout_while(self.contents(), Duration::from_secs(5), open).unwrap();
        if waited.timed_out() {
            return None;
        }
        contents.open = true;
        if window.is_none() && contents.popped.is_empty() {
            return Some(Arc::clone(&contents.view));
        }
        let unpopped =
            contents.view.messages.iter().filter(|message| !contents.popped.contains(&message.serial));
        let messages = unpopped.take(window.unwrap_or(usize::MAX)).cloned().collect();
        Some(Arc::new(View { messages, ..View::default() }))
    }

    pub(super) fn close(&self) {
        self.contents().open = false;
        self.closed.notify_all();
    }

    /// The UPDATE state.
    pub(super) fn update(&self, deleted: &[&Message], popped: &[&Message]) {
        let mut contents = self.contents();
        contents.popped.extend(popped.iter().map(|message| message.serial));
        if !deleted.is_empty() {
            let deleted: HashSet<u64> = deleted.iter().map(|message| message.serial).collect();
            let rest = contents.view.messages.iter().filter(|message| !deleted.contains(&message.serial));
            let messages = rest.cloned().collect();
            contents.view = Arc::new(View { messages, ..View::default() });
        }
    }
}

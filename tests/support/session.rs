//! One session of [`super::server`]: RFC 1939, 2449, 2595 and 5034 from the server's side.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::maildrop::{Account, Message, MessageFault, View};
use super::options::{Cut, Moment, Options, Retrieved, Tls, begins_with};
use super::sasl;
use super::server::{Entry, Shared};
use super::wire::Wire;

/// Answers are collected up to this size while more commands are at hand.
const FLUSH_AT: usize = 256 * 1024;

pub(super) struct Session<'s> {
    shared: &'s Shared,
    options: &'s Options,
    number: usize,
    wire: Wire,
    out: Vec<u8>,
    user: Option<String>,
    open: Option<Open>,
    /// Commands since the login.
    commands: usize,
    /// Answers until the dot of the last message comes.
    dot_due: Option<u8>,
}

/// The TRANSACTION state.
struct Open {
    account: Account,
    view: Arc<View>,
    deleted: Vec<bool>,
    retrieved: Vec<bool>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.account.maildrop.close();
    }
}

/// Whether the session goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Command,
    Ended,
}

impl<'s> Session<'s> {
    pub(super) fn new(shared: &'s Shared, options: &'s Options, number: usize, stream: TcpStream) -> Self {
        if let Some(octets) = options.buffers {
            rustix::net::sockopt::set_socket_send_buffer_size(&stream, octets).unwrap();
            rustix::net::sockopt::set_socket_recv_buffer_size(&stream, octets).unwrap();
        }
        let mut wire = Wire::new(stream);
        wire.packet = options.packet;
        wire.bare_lf = options.bare_lf;
        if let (Some(Cut::After(octets)), true) =
            (&options.cut, options.cut_session.is_none_or(|n| n == number))
        {
            wire.cut = Some((*octets, options.ending));
        }
        Self {
            shared,
            options,
            number,
            wire,
            out: Vec::new(),
            user: None,
            open: None,
            commands: 0,
            dot_due: None,
        }
    }

    pub(super) fn octets_sent(&self) -> u64 {
        self.wire.sent
    }

    pub(super) fn run(&mut self) -> io::Result<()> {
        if let (Tls::Implicit(_), Some(acceptor)) = (&self.options.tls, &self.shared.acceptor) {
            self.wire.start_tls(acceptor)?;
        }
        self.out.extend(&self.options.greeting);
        loop {
            let line = match self.wire.line_at_hand() {
                Some(line) => line,
                None => {
                    if self.dot_due.take().is_some() {
                        self.say(".");
                    }
                    self.flush()?;
                    let Some(line) = self.wire.line()? else { return Ok(()) };
                    line
                }
            };
            if self.options.swallows_pipelined {
                self.wire.discard();
            }
            let before = self.dot_due;
            if self.execute(&String::from_utf8_lossy(&line))? == Next::Ended {
                return Ok(());
            }
            self.dot_due = match before {
                Some(0) => {
                    self.say(".");
                    None
                }
                Some(answers) => Some(answers - 1),
                None => self.dot_due,
            };
            if self.out.len() > FLUSH_AT {
                self.flush()?;
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        let result = self.send(&out);
        self.out = out;
        self.out.clear();
        result
    }

    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.wire.cut.is_some_and(|(at, _)| self.wire.sent + octets.len() as u64 >= at) {
            self.shared.release(self.number);
        }
        self.wire.send(octets)
    }

    fn execute(&mut self, command: &str) -> io::Result<Next> {
        let (keyword, rest) = command.split_once(' ').unwrap_or((command, ""));
        let keyword = keyword.to_ascii_uppercase();
        let named = matches!(keyword.as_str(), "RETR" | "TOP" | "DELE" | "LIST" | "UIDL");
        let number = rest.split(' ').next().and_then(|word| word.parse::<usize>().ok()).filter(|_| named);
        self.note(command, number);
        self.commands += usize::from(self.open.is_some());
        if self.options.commands_per_session.is_some_and(|most| self.commands > most) {
            self.flush()?;
            self.end();
            return Ok(Next::Ended);
        }
        if let (Some(Cut::At(text)), true) = (&self.options.cut, self.may_cut())
            && begins_with(command, text)
        {
            self.flush()?;
            self.end();
            return Ok(Next::Ended);
        }
        if let Some(answer) = self.options.instead_of(command, self.number) {
            self.out.extend(answer);
            return self.after_instead(&keyword);
        }
        match (keyword.as_str(), self.open.is_some()) {
            ("CAPA", _) => self.capabilities(),
            ("QUIT", true) => return self.quit(),
            ("QUIT", false) => {
                self.say("+OK bye");
                return self.close();
            }
            ("STLS", false) => self.start_tls()?,
            ("USER", false) => {
                self.user = Some(rest.to_owned());
                self.say("+OK password?");
            }
            ("PASS", false) => {
                let user = self.user.take();
                let good =
                    |account: &&Account| Some(&account.user) == user.as_ref() && account.password == rest;
                let account = self.options.accounts.iter().find(good).cloned();
                self.log_in(account);
            }
            ("APOP", false) => {
                let account = self.apop(rest);
                self.log_in(account);
            }
            ("AUTH", false) => self.authenticate(rest)?,
            ("NOOP", true) => self.say("+OK"),
            ("RSET", true) => {
                self.transaction().deleted.fill(false);
                self.say("+OK");
            }
            ("STAT", true) => {
                let remaining = self.remaining();
                let octets: u64 =
                    remaining.iter().map(|(_, message)| message.listed).fold(0, u64::saturating_add);
                let all = self.open.as_ref().map_or(0, |open| open.view.messages.len());
                let messages = if self.options.stat_counts_deleted { all } else { remaining.len() };
                let answer = format!("+OK {messages} {octets}");
                self.say(&answer);
            }
            ("LIST" | "UIDL", true) => self.list(&keyword, rest, number),
            ("RETR", true) => self.retrieve(number)?,
            ("TOP", true) => self.top(number, rest)?,
            ("DELE", true) => match number.filter(|number| self.message(*number).is_some()) {
                Some(number) => {
                    self.transaction().deleted[number - 1] = true;
                    self.say("+OK");
                }
                None => self.say("-ERR no such message"),
            },
            _ => self.say("-ERR unknown command, or not now"),
        }
        Ok(Next::Command)
    }

    /// Writes the command to the log and calls the hook.
    fn note(&self, command: &str, number: Option<usize>) {
        let message = number.and_then(|number| self.open.as_ref()?.view.messages.get(number.checked_sub(1)?));
        let entry = Entry {
            session: self.number,
            command: command.to_owned(),
            unique_id: message.map(Message::unique_id),
        };
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        if let Some(hook) = &self.options.hook {
            hook(&Moment { session: self.number, command, message });
        }
    }

    fn may_cut(&self) -> bool {
        self.options.cut_session.is_none_or(|number| number == self.number)
    }

    /// A command with an answer of the test's making: QUIT still ends the session, without UPDATE.
    fn after_instead(&mut self, keyword: &str) -> io::Result<Next> {
        if keyword == "QUIT" { self.close() } else { Ok(Next::Command) }
    }

    /// Closes the connection too early.
    fn end(&mut self) {
        self.shared.release(self.number);
        self.wire.end(self.options.ending);
    }

    fn say(&mut self, line: &str) {
        self.out.extend(line.as_bytes());
        self.out.extend(b"\r\n");
    }

    fn close(&mut self) -> io::Result<Next> {
        // The maildrop is free before the client can know it.
        self.open = None;
        self.flush()?;
        self.wire.close();
        Ok(Next::Ended)
    }

    fn capabilities(&mut self) {
        let lines = if self.open.is_some() { &self.options.after_login } else { &self.options.before_login };
        self.say("+OK capabilities follow");
        for line in lines {
            self.say(line);
        }
        if matches!(self.options.tls, Tls::Stls(_)) && !self.wire.is_tls() && self.open.is_none() {
            self.say("STLS");
        }
        self.say(".");
    }

    fn start_tls(&mut self) -> io::Result<()> {
        match (&self.options.tls, &self.shared.acceptor) {
            (Tls::Stls(_), Some(acceptor)) if !self.wire.is_tls() => {
                self.say("+OK begin");
                self.flush()?;
                self.user = None;
                self.wire.start_tls(acceptor).map(drop)
            }
            _ => {
                self.say("-ERR no TLS here");
                Ok(())
            }
        }
    }

    fn log_in(&mut self, account: Option<Account>) {
        let Some(account) = account else { return self.say("-ERR [AUTH] user or password wrong") };
        let Some(view) = account.maildrop.open(self.options.window) else {
            return self.say("-ERR [IN-USE] another session has the maildrop");
        };
        let count = view.messages.len();
        self.open = Some(Open { account, view, deleted: vec![false; count], retrieved: vec![false; count] });
        self.say("+OK logged in");
    }

    fn apop(&self, arguments: &str) -> Option<Account> {
        let (user, digest) = arguments.split_once(' ')?;
        let greeting = &self.options.greeting;
        let start = greeting.iter().rposition(|octet| *octet == b'<')?;
        let end = greeting.iter().rposition(|octet| *octet == b'>')?;
        let account = self.options.accounts.iter().find(|account| account.user == user)?;
        let expected =
            Md5::new().chain_update(greeting.get(start..=end)?).chain_update(&account.password).finalize();
        (sasl::hex(&expected) == digest).then(|| account.clone())
    }

    fn authenticate(&mut self, arguments: &str) -> io::Result<()> {
        let (mechanism, initial) = match arguments.split_once(' ') {
            Some((mechanism, "=")) => (mechanism, Some(Vec::new())),
            Some((mechanism, initial)) => (mechanism, STANDARD.decode(initial).ok()),
            None => (arguments, None),
        };
        let mechanism = mechanism.to_ascii_uppercase();
        let offered = self.options.before_login.iter().filter_map(|line| line.strip_prefix("SASL "));
        if !offered.flat_map(|line| line.split(' ')).any(|offer| offer.eq_ignore_ascii_case(&mechanism)) {
            self.say("-ERR [AUTH] mechanism not supported");
            return Ok(());
        }
        let accounts = &self.options.accounts;
        let mut talk = |challenge: &[u8]| -> io::Result<Option<Vec<u8>>> {
            self.out.extend(format!("+ {}\r\n", STANDARD.encode(challenge)).as_bytes());
            self.flush()?;
            let line = self.wire.line()?.unwrap_or_else(|| b"*".to_vec());
            Ok(STANDARD.decode(line).ok())
        };
        let account = sasl::authenticate(&mechanism, initial, accounts, &mut talk)?;
        self.log_in(account);
        Ok(())
    }

    fn transaction(&mut self) -> &mut Open {
        self.open.as_mut().expect("called in TRANSACTION only")
    }

    /// Messages that are not marked as deleted, with their numbers.
    fn remaining(&self) -> Vec<(usize, &Message)> {
        let Some(open) = &self.open else { return Vec::new() };
        (1..).zip(&open.view.messages).filter(|(number, _)| !open.deleted[number - 1]).collect()
    }

    fn message(&self, number: usize) -> Option<&Message> {
        let open = self.open.as_ref()?;
        let index = number.checked_sub(1)?;
        open.view.messages.get(index).filter(|_| !open.deleted[index])
    }

    fn list(&mut self, keyword: &str, rest: &str, number: Option<usize>) {
        let line = |number: usize, message: &Message, out: &mut Vec<u8>| {
            match keyword {
                "LIST" => write!(out, "{number} {}\r\n", message.listed).unwrap(),
                _ => {
                    write!(out, "{number} ").unwrap();
                    out.extend(&message.unique_id);
                    out.extend(b"\r\n");
                }
            };
        };
        let mut answer = Vec::new();
        if !rest.is_empty() {
            match number.and_then(|number| Some((number, self.message(number)?))) {
                Some((number, message)) => {
                    answer.extend(b"+OK ");
                    line(number, message, &mut answer);
                }
                None => answer.extend(b"-ERR no such message\r\n"),
            }
            self.out.extend(answer);
            return;
        }
        let write_all = |messages: &[(usize, &Message)]| {
            let mut out = b"+OK\r\n".to_vec();
            messages.iter().for_each(|(number, message)| line(*number, message, &mut out));
            out.extend(b".\r\n");
            out
        };
        let Some(open) = &self.open else { return };
        if open.deleted.contains(&true) {
            let answer = write_all(&self.remaining());
            self.out.extend(answer);
            return;
        }
        // The whole listing is the same in every session until the maildrop changes: written once.
        let listing = if keyword == "LIST" { &open.view.scan_listing } else { &open.view.unique_id_listing };
        self.out.extend(listing.get_or_init(|| write_all(&self.remaining())));
    }

    fn retrieve(&mut self, number: Option<usize>) -> io::Result<()> {
        let Some((number, message)) = number.and_then(|number| Some((number, self.message(number)?.clone())))
        else {
            self.say("-ERR no such message");
            return Ok(());
        };
        self.transaction().retrieved[number - 1] = true;
        match message.fault.as_deref() {
            Some(MessageFault::Refused(line)) => {
                self.out.extend(line);
                self.out.extend(b"\r\n");
                return Ok(());
            }
            Some(MessageFault::CutAfter(octets)) => {
                self.say("+OK message follows");
                self.out.extend(&message.wire[..message.wire.len().min(*octets)]);
                self.flush()?;
                self.end();
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            None => {}
        }
        self.out.extend(format!("+OK {} octets\r\n", message.listed).as_bytes());
        if let Some(counter) = &self.options.counter {
            let number = counter.fetch_add(1, Ordering::Relaxed) + 1;
            let text = String::from_utf8_lossy(&message.wire).replace("NNNN", &format!("{number:04}"));
            return self.whole(&Message::raw(message.unique_id, text.into_bytes()));
        }
        self.whole(&message)
    }

    /// All of a message, and the terminator.
    fn whole(&mut self, message: &Message) -> io::Result<()> {
        for _ in 0..message.times {
            if message.wire.len() < FLUSH_AT / 4 {
                self.out.extend(&*message.wire);
            } else {
                // Large ones aren't copied.
                self.flush()?;
                self.send(&message.wire)?;
            }
            if self.out.len() > FLUSH_AT {
                self.flush()?;
            }
        }
        if self.options.late_dots && self.dot_due.is_none() {
            self.dot_due = Some(1);
            return Ok(());
        }
        self.out.extend(b".\r\n");
        Ok(())
    }

    fn top(&mut self, number: Option<usize>, arguments: &str) -> io::Result<()> {
        let count = arguments.split(' ').nth(1).and_then(|word| word.parse::<usize>().ok());
        let (Some(message), Some(mut count)) =
            (number.and_then(|number| self.message(number)).cloned(), count)
        else {
            self.say("-ERR no such message");
            return Ok(());
        };
        self.say("+OK top follows");
        let lines = message.wire.iter().filter(|octet| **octet == b'\n').count() * message.times;
        if count >= lines {
            // fetchmail's way of saying RETR.
            return self.whole(&message);
        }
        let mut rest = &message.wire[..];
        let mut in_body = false;
        while !(rest.is_empty() || in_body && count == 0) {
            let end = rest.windows(2).position(|window| window == b"\r\n").map_or(rest.len(), |at| at + 2);
            let (line, after) = rest.split_at(end);
            self.out.extend(line);
            if in_body {
                count -= 1;
            }
            in_body = in_body || line == b"\r\n";
            rest = after;
        }
        self.say(".");
        Ok(())
    }

    fn quit(&mut self) -> io::Result<Next> {
        let open = self.open.take().expect("called in TRANSACTION only");
        let marked = |marks: &[bool]| -> Vec<&Message> {
            let messages = open.view.messages.iter().zip(marks);
            messages.filter(|(_, marked)| **marked).map(|(message, _)| message).collect()
        };
        let mut deleted = marked(&open.deleted);
        let complete = self.options.removes_at_most.is_none_or(|most| deleted.len() <= most);
        deleted.truncate(self.options.removes_at_most.unwrap_or(usize::MAX));
        let mut popped = Vec::new();
        match self.options.retrieved {
            Retrieved::Stay => {}
            Retrieved::Popped => popped = marked(&open.retrieved),
            Retrieved::Deleted => deleted.extend(marked(&open.retrieved)),
        }
        open.account.maildrop.update(&deleted, &popped);
        drop(open);
        if self.options.cut == Some(Cut::AfterUpdate) && self.may_cut() {
            self.flush()?;
            self.end();
            return Ok(Next::Ended);
        }
        self.say(if complete { "+OK bye" } else { "-ERR some deleted messages not removed" });
        self.close()
    }
}

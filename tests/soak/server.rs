//! The made-up POP3 server: one thread, one session at a time, all of it decided by the traits and the session's
//! number.
//!
//! It counts the octets that it sends in a run of popfetch, and can kill popfetch at any one of them.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::mail::{MailId, lines};
use crate::random::Random;
use crate::traits::Trait;
use crate::world::{Shown, World};

/// How long a slow server takes for each answer.  popfetch waits for a second.
const SLOW: Duration = Duration::from_millis(40);

/// A life with so many mails gets no more of them during sessions.  Each may end a session early, so that another session
/// follows, and with it the next mail.
const MOST_RECEIVED: usize = 100;

/// A signal to popfetch when the server has sent this many octets in this run.
#[derive(Debug, Clone, Copy)]
pub struct Strike {
    pub after_octets: u64,
    pub signal: Signal,
}

/// What the server's thread and the life share.
pub struct Shared {
    pub world: World,
    /// The popfetch that runs now.
    pub process: Option<Pid>,
    pub strike: Option<Strike>,
    /// Octets sent in this run.
    pub sent: u64,
    /// Connections so far, those refused before the login too.
    connections: u64,
    /// Mails that the last session showed with a whole scan or unique-id listing.
    pub listed: BTreeSet<MailId>,
    /// Commands and status lines of this run.
    pub dialogue: Vec<String>,
    /// The last session ended without QUIT.
    in_use: bool,
    /// The connection that only makes sure that those before it were served.
    sentinel: Option<SocketAddr>,
    stopping: bool,
}

/// The server.  Its thread ends when this is dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    pub fn start(world: World) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            world,
            process: None,
            strike: None,
            sent: 0,
            connections: 0,
            listed: BTreeSet::new(),
            dialogue: Vec::new(),
            in_use: false,
            sentinel: None,
            stopping: false,
        }));
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    /// Waits until every connection made so far has been served to its end.  They are accepted in order.
    pub fn settle(&self) {
        // The lock is held until the address is noted: the connection is accepted at once.
        let mut shared = self.lock();
        let mut connection = TcpStream::connect(self.address).unwrap();
        shared.sentinel = Some(connection.local_addr().unwrap());
        drop(shared);
        let _ = connection.read(&mut [0]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.lock().stopping = true;
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Any octet of a session.  Half of them are in the first part, where the listings are.
fn some_octet(world: &World, random: &mut Random) -> u64 {
    let all: usize = world.on_server().iter().map(|id| world.mail(*id).octets.len()).sum();
    let most = 600 + all as u64;
    let most = if random.coin() { most.min(1500) } else { most };
    random.between(0, most)
}

fn accept(listener: &TcpListener, shared: &Mutex<Shared>) {
    for connection in listener.incoming() {
        let Ok(connection) = connection else { continue };
        let peer = connection.peer_addr().ok();
        let mut state = lock(shared);
        if state.stopping {
            return;
        }
        if peer.is_some() && state.sentinel == peer {
            continue;
        }
        state.dialogue.push("-- a session --".to_owned());
        drop(state);
        let _ = connection.set_nodelay(true);
        let _ = connection.set_read_timeout(Some(Duration::from_secs(30)));
        // An error is the end of the connection, by either side.
        let ended = Session::new(connection, shared).run();
        lock(shared).in_use = ended.is_err();
    }
}

/// The connection has ended without QUIT.
struct Ended;

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// An answer in its two parts, because some servers send something between them.
struct Answer {
    /// The status line, without its end.
    status: String,
    /// Of a multi-line answer: what stands between the status line and the terminator.
    text: Option<Vec<u8>>,
}

impl Answer {
    fn line(status: impl Into<String>) -> Self {
        Self { status: status.into(), text: None }
    }

    fn text(status: impl Into<String>, text: Vec<u8>) -> Self {
        Self { status: status.into(), text: Some(text) }
    }
}

struct Session<'a> {
    connection: TcpStream,
    shared: &'a Mutex<Shared>,
    random: Random,
    /// What has come and wasn't read as a command yet.
    input: Vec<u8>,
    /// As this session shows the maildrop; empty before the login.
    shown: Vec<Shown>,
    logged_in: bool,
    deleted: BTreeSet<MailId>,
    retrieved: BTreeSet<MailId>,
    commands: u64,
    retrievals: u64,
    /// Octets of the messages that were sent.
    sent: u64,
    /// Another client has deleted these since the login.
    vanished: BTreeSet<MailId>,
    /// The connection is cut after this many more octets.
    cut: Option<u64>,
    /// RETR is refused once this many were answered.
    throttled_from: u64,
    /// From this command on answers come slowly.
    slow_from: u64,
    /// The server falls silent after this many more octets.
    silent_after: Option<u64>,
    dribbles: bool,
}

impl<'a> Session<'a> {
    fn new(connection: TcpStream, shared: &'a Mutex<Shared>) -> Self {
        Self {
            connection,
            shared,
            random: Random::new(0, "session", 0),
            input: Vec::new(),
            shown: Vec::new(),
            logged_in: false,
            deleted: BTreeSet::new(),
            retrieved: BTreeSet::new(),
            commands: 0,
            retrievals: 0,
            sent: 0,
            vanished: BTreeSet::new(),
            cut: None,
            throttled_from: u64::MAX,
            slow_from: u64::MAX,
            silent_after: None,
            dribbles: false,
        }
    }

    fn run(&mut self) -> Result<(), Ended> {
        {
            let mut state = lock(self.shared);
            state.connections += 1;
            self.random = Random::new(state.world.traits.seed, "session", state.connections);
            self.dribbles = state.world.has(Trait::Dribbles);
            if state.world.has(Trait::Cuts) && self.random.once_in(3) {
                self.cut = Some(some_octet(&state.world, &mut self.random));
            }
            if state.world.has(Trait::Slows) && self.random.coin() {
                if self.random.coin() {
                    self.slow_from = self.random.between(1, 30);
                } else {
                    self.silent_after = Some(some_octet(&state.world, &mut self.random));
                }
            }
            if state.world.has(Trait::Throttles) && self.random.coin() {
                self.throttled_from = self.random.between(0, 6);
            }
        }
        self.send(b"+OK ready\r\n")?;
        loop {
            let command = self.command()?;
            self.commands += 1;
            self.lose_one(&command);
            if self.is_over_the_limit(&command) {
                if self.random.coin() {
                    self.answer(&Answer::line("-ERR limit of this session reached"))?;
                }
                return Err(Ended);
            }
            let verb = command.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            if verb == "QUIT" {
                return self.quit();
            }
            let answer = self.answer_to(&command);
            let overlaps = verb == "RETR" && lock(self.shared).world.has(Trait::Overlaps);
            if overlaps && answer.text.is_some() {
                self.answer_overlapping(&answer)?;
            } else {
                self.answer(&answer)?;
            }
            let swallows = self.logged_in && lock(self.shared).world.has(Trait::Swallows);
            if swallows && self.has_command() && self.random.once_in(3) {
                lock(self.shared).dialogue.push("(what came with it is lost)".to_owned());
                self.input.clear();
            }
        }
    }

    /// Nothing more is sent, until the client has given up.
    fn fall_silent(&mut self) -> Ended {
        lock(self.shared).dialogue.push("(the server falls silent)".to_owned());
        while self.connection.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
        Ended
    }

    /// Where another client deletes during sessions: now and then the message that is asked for.
    fn lose_one(&mut self, command: &str) {
        let asked = ["RETR ", "TOP ", "DELE "].into_iter().find_map(|verb| command.strip_prefix(verb));
        let asked = asked.and_then(|rest| rest.split(' ').next()?.parse().ok());
        let Some(id) = self.message(asked).map(|shown| shown.id) else { return };
        let mut state = lock(self.shared);
        if state.world.has(Trait::VanishesDuringSessions) && self.random.once_in(8) {
            state.world.vanish(id);
            state.dialogue.push("(another client deletes it)".to_owned());
            self.vanished.insert(id);
        }
    }

    fn is_over_the_limit(&self, command: &str) -> bool {
        let retrieved = command.strip_prefix("RETR ").and_then(|number| number.parse().ok());
        let octets = self.message(retrieved).map_or(0, |shown| shown.octets.len() as u64);
        let state = lock(self.shared);
        let traits = &state.world.traits;
        let is_retrieval = command.starts_with("RETR");
        let most = traits.number(Trait::OctetLimit, 3000, 20_000);
        if traits.has(Trait::OctetLimit) && self.sent > 0 && octets > 0 && self.sent + octets > most {
            return true;
        }
        (traits.has(Trait::CommandLimit) && self.commands > traits.number(Trait::CommandLimit, 14, 40))
            || (traits.has(Trait::MessageLimit)
                && is_retrieval
                && self.retrievals >= traits.number(Trait::MessageLimit, 2, 6))
    }

    // ---- the connection ---------------------------------------------------------------------------------------------------

    fn has_command(&self) -> bool {
        self.input.windows(2).any(|end| end == b"\r\n")
    }

    fn command(&mut self) -> Result<String, Ended> {
        while !self.has_command() {
            let mut read = [0; 4096];
            let count = self.connection.read(&mut read)?;
            if count == 0 {
                return Err(Ended);
            }
            self.input.extend(&read[..count]);
        }
        let end = self.input.windows(2).position(|end| end == b"\r\n").unwrap();
        let line: Vec<u8> = self.input.drain(..end + 2).take(end).collect();
        let line = String::from_utf8_lossy(&line).into_owned();
        lock(self.shared).dialogue.push(format!("C: {line}"));
        Ok(line)
    }

    fn answer(&mut self, answer: &Answer) -> Result<(), Ended> {
        let mut octets = self.status(answer);
        if let Some(text) = &answer.text {
            octets.extend(text);
            octets.extend(b".\r\n");
        }
        self.send(&octets)
    }

    /// The status line, with its end; noted in the dialogue.
    fn status(&self, answer: &Answer) -> Vec<u8> {
        let octets =
            answer.text.as_ref().map_or_else(String::new, |text| format!(" ({} octets)", text.len()));
        lock(self.shared).dialogue.push(format!("S: {}{octets}", answer.status));
        format!("{}\r\n", answer.status).into_bytes()
    }

    /// As servers do that begin with the next commands before they have ended an answer: the terminator follows
    /// the status lines of the next two answers, if their commands are there already.
    fn answer_overlapping(&mut self, answer: &Answer) -> Result<(), Ended> {
        let mut octets = self.status(answer);
        octets.extend(answer.text.iter().flatten());
        let mut rest = Vec::new();
        for _ in 0..2 {
            if !self.has_command() || self.input.starts_with(b"QUIT") {
                break;
            }
            let command = self.command()?;
            self.commands += 1;
            let next = self.answer_to(&command);
            octets.extend(self.status(&next));
            if let Some(text) = next.text {
                rest.extend(text);
                rest.extend(b".\r\n");
            }
        }
        octets.extend(b".\r\n");
        octets.extend(rest);
        self.send(&octets)
    }

    /// Sends, and cuts or kills on the way where that is due.
    fn send(&mut self, octets: &[u8]) -> Result<(), Ended> {
        let whole = octets.len() as u64;
        let ends_after = self.cut.into_iter().chain(self.silent_after).min();
        let now = match ends_after {
            Some(left) if left < whole => &octets[..usize::try_from(left).unwrap()],
            _ => octets,
        };
        if self.commands >= self.slow_from {
            thread::sleep(SLOW);
        }
        let struck = {
            let mut state = lock(self.shared);
            let begin = state.sent;
            state.sent += now.len() as u64;
            let end = state.sent;
            state.strike.take_if(|strike| strike.after_octets <= end).map(|strike| {
                let before = strike.after_octets.saturating_sub(begin);
                (usize::try_from(before).unwrap(), strike.signal)
            })
        };
        if let Some((before, signal)) = struck {
            self.write(&now[..before])?;
            let mut state = lock(self.shared);
            state.dialogue.push(format!("({signal:?})"));
            if let Some(process) = state.process {
                let _ = kill_process(process, signal);
            }
            drop(state);
            self.write(&now[before..])?;
        } else {
            self.write(now)?;
        }
        match &mut self.cut {
            Some(left) if *left < whole => {
                lock(self.shared).dialogue.push("(the connection is cut)".to_owned());
                let _ = self.connection.shutdown(Shutdown::Both);
                return Err(Ended);
            }
            Some(left) => *left -= whole,
            None => {}
        }
        match &mut self.silent_after {
            Some(left) if *left < whole => return Err(self.fall_silent()),
            Some(left) => *left -= whole,
            None => {}
        }
        Ok(())
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Ended> {
        if !self.dribbles || octets.is_empty() {
            return Ok(self.connection.write_all(octets)?);
        }
        let mut rest = octets;
        // Large messages in larger pieces, so that a life stays short.
        let most = 40 + octets.len() as u64 / 20;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(self.random.between(1, most) as usize));
            self.connection.write_all(piece)?;
            rest = after;
        }
        Ok(())
    }

    // ---- the commands -----------------------------------------------------------------------------------------------

    fn answer_to(&mut self, command: &str) -> Answer {
        let mut words = command.split(' ');
        let verb = words.next().unwrap_or_default().to_ascii_uppercase();
        let number: Option<usize> = words.next().and_then(|word| word.parse().ok());
        match verb.as_str() {
            "CAPA" => self.capabilities(),
            "USER" => Answer::line("+OK"),
            "PASS" => self.log_in(),
            _ if !self.logged_in => Answer::line("-ERR log in first"),
            "LIST" | "UIDL" if number.is_none() && self.refuses_listing(&verb) => {
                Answer::line("-ERR [SYS/TEMP] cannot read the index")
            }
            "NOOP" => Answer::line("+OK"),
            "RSET" => {
                self.deleted.clear();
                Answer::line("+OK")
            }
            "STAT" => self.drop_listing(),
            "LIST" => self.scan_listing(number),
            "UIDL" => self.unique_id_listing(number),
            "TOP" => self.top(number),
            "RETR" => self.retrieve(number),
            "DELE" => match self.message(number) {
                Some(shown) if lock(self.shared).world.refuses_deletion(shown.id) => {
                    Answer::line("-ERR cannot delete this message")
                }
                Some(shown) => {
                    let id = shown.id;
                    self.deleted.insert(id);
                    Answer::line("+OK deleted")
                }
                None => Answer::line("-ERR no such message"),
            },
            _ => Answer::line("-ERR unknown command"),
        }
    }

    fn capabilities(&self) -> Answer {
        let state = lock(self.shared);
        let mut text = String::from("USER\r\nRESP-CODES\r\n");
        for (absent, word) in
            [(Trait::NoUidl, "UIDL"), (Trait::NoTop, "TOP"), (Trait::NoPipelining, "PIPELINING")]
        {
            if !state.world.has(absent) {
                text += &format!("{word}\r\n");
            }
        }
        if state.world.has(Trait::ExpiresAtOnce) {
            text += "EXPIRE 0\r\n";
        }
        if state.world.has(Trait::Window) {
            text += "X-GOOGLE-RICO\r\n";
        }
        Answer::text("+OK", text.into_bytes())
    }

    fn log_in(&mut self) -> Answer {
        let mut state = lock(self.shared);
        if state.world.has(Trait::RefusesLogins) && self.random.once_in(4) {
            return Answer::line(*self.random.pick(&[
                "-ERR [LOGIN-DELAY] wait a minute",
                "-ERR [SYS/TEMP] no directory server answers",
                "-ERR Exceeded the login limit for a 15 minute period. Reduce the frequency of requests",
                "-ERR maintenance mode, come back later",
            ]));
        }
        if state.world.has(Trait::StaysInUse) && std::mem::take(&mut state.in_use) {
            return Answer::line("-ERR [IN-USE] the former session has not ended yet");
        }
        self.shown = state.world.open();
        self.logged_in = true;
        let listed = format!("({} messages)", self.shown.len());
        state.dialogue.push(listed);
        state.listed.clear();
        Answer::line("+OK")
    }

    /// The message of this number, unless it's marked as deleted.
    fn message(&self, number: Option<usize>) -> Option<&Shown> {
        let shown = self.shown.get(number?.checked_sub(1)?)?;
        (!self.deleted.contains(&shown.id) && !self.vanished.contains(&shown.id)).then_some(shown)
    }

    /// Those not marked as deleted, with their numbers.
    fn messages(&self) -> impl Iterator<Item = (usize, &Shown)> {
        (1..).zip(&self.shown).filter(|(_, shown)| !self.deleted.contains(&shown.id))
    }

    fn refuses_listing(&mut self, verb: &str) -> bool {
        let world = &lock(self.shared).world;
        world.has(Trait::RefusesListings)
            && !(verb == "UIDL" && world.has(Trait::NoUidl))
            && self.random.once_in(4)
    }

    fn drop_listing(&self) -> Answer {
        let octets: usize = self.messages().map(|(_, shown)| shown.size).sum();
        let count = self.messages().count();
        let state = lock(self.shared);
        if !state.world.has(Trait::OddStat) {
            return Answer::line(format!("+OK {count} {octets}"));
        }
        match state.world.traits.number(Trait::OddStat, 0, 2) {
            0 => Answer::line("-ERR not here"),
            1 => Answer::line(format!("+OK {} {octets}", self.shown.len())),
            _ => Answer::line(format!("+OK {count} 0 of your messages")),
        }
    }

    fn scan_listing(&self, number: Option<usize>) -> Answer {
        let Some(number) = number else {
            lock(self.shared).listed = self.shown.iter().map(|shown| shown.id).collect();
            let text: String =
                self.messages().map(|(number, shown)| format!("{number} {}\r\n", shown.size)).collect();
            return Answer::text("+OK", text.into_bytes());
        };
        let Some(shown) = self.message(Some(number)) else { return Answer::line("-ERR no such message") };
        let octets = shown.size;
        let state = lock(self.shared);
        if !state.world.has(Trait::OddListOfOne) {
            return Answer::line(format!("+OK {number} {octets}"));
        }
        match state.world.traits.number(Trait::OddListOfOne, 0, 1) {
            0 => Answer::line("-ERR not here"),
            _ => Answer::line(format!("+OK {octets} octets in message {number}")),
        }
    }

    fn unique_id_listing(&self, number: Option<usize>) -> Answer {
        let mut state = lock(self.shared);
        if state.world.has(Trait::NoUidl) {
            return Answer::line("-ERR unknown command");
        }
        let Some(number) = number else {
            state.listed = self.shown.iter().map(|shown| shown.id).collect();
            let named =
                self.messages().filter_map(|(number, shown)| Some((number, shown.unique_id.as_ref()?)));
            let text: String = named.map(|(number, id)| format!("{number} {id}\r\n")).collect();
            return Answer::text("+OK", text.into_bytes());
        };
        let Some(unique_id) = self.message(Some(number)).and_then(|shown| shown.unique_id.as_ref()) else {
            return Answer::line("-ERR no such message");
        };
        if !state.world.has(Trait::OddUidlOfOne) {
            return Answer::line(format!("+OK {number} {unique_id}"));
        }
        match state.world.traits.number(Trait::OddUidlOfOne, 0, 1) {
            0 => Answer::line("-ERR only without an argument"),
            _ => Answer::line(format!("+OK {unique_id}")),
        }
    }

    fn top(&self, number: Option<usize>) -> Answer {
        if lock(self.shared).world.has(Trait::NoTop) {
            return Answer::line("-ERR unknown command");
        }
        let Some(shown) = self.message(number) else { return Answer::line("-ERR no such message") };
        let mut header = Vec::new();
        for line in lines(&shown.octets) {
            header.extend(line);
            if line == b"\r\n" {
                break;
            }
        }
        Answer::text("+OK", header)
    }

    fn retrieve(&mut self, number: Option<usize>) -> Answer {
        let Some(shown) = self.message(number) else { return Answer::line("-ERR no such message") };
        let id = shown.id;
        let mut state = lock(self.shared);
        let receives = state.world.has(Trait::ReceivesDuringSessions) && self.random.once_in(4);
        if receives && state.world.mails.len() < MOST_RECEIVED {
            state.world.arrive(1);
        }
        if self.retrievals >= self.throttled_from && !state.world.well {
            let quota = state.world.traits.number(Trait::Throttles, 0, 1) == 1;
            let text = if quota { "-ERR Download exceed" } else { "-ERR [SYS/TEMP] too much at once" };
            return Answer::line(text);
        }
        if state.world.refuses(id) {
            return Answer::line("-ERR cannot read this message");
        }
        let stuffs = !state.world.has(Trait::NoStuffing);
        drop(state);
        self.retrievals += 1;
        self.retrieved.insert(id);
        let shown = self.message(number).unwrap();
        let text = lines(&shown.octets)
            .flat_map(|line| {
                let stuffing: &[u8] = if stuffs && line.starts_with(b".") { b"." } else { b"" };
                [stuffing, line]
            })
            .flatten()
            .copied()
            .collect();
        let octets = shown.octets.len();
        self.sent += octets as u64;
        Answer::text(format!("+OK {octets} octets"), text)
    }

    fn quit(&mut self) -> Result<(), Ended> {
        let mut state = lock(self.shared);
        let loses = state.world.has(Trait::LosesQuit) && self.random.once_in(3);
        if self.logged_in && !(loses && self.random.coin()) {
            if state.world.has(Trait::ExpiresAtOnce) {
                self.deleted.extend(&self.retrieved);
            }
            state.world.delete(&self.deleted);
            if state.world.has(Trait::Window) {
                state.world.pop(&self.retrieved);
            }
        }
        if loses {
            state.dialogue.push("(QUIT isn't answered)".to_owned());
            return Err(Ended);
        }
        drop(state);
        self.answer(&Answer::line("+OK bye"))
    }
}

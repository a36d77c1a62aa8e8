//! What is worth remembering of a server from run to run, but may be lost without harm: what it offered, whether it
//! pipelines, a pause after a refused login, failures to be reported, what a quick poll compares.  A small text file, put
//! in place whole and never synced; one that cannot be read counts as empty.  Must not know what is done with it, and
//! never holds a secret.
//!
//! A line is a word and its fields in [`crate::text::field`]'s form.  Unknown words are passed over, so that an older
//! popfetch can read what a newer one wrote.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::entry::Extent;
use super::files;
use crate::durable;
use crate::exit::ExitCode;
use crate::text;
use crate::types::{Octets, Time, UniqueId, UniqueIdBuf, parse_decimal};

/// Its name in the mailbox's directory.
pub(super) const FILE: &str = "memory";
/// What those have reported who found the mailbox locked: the memory is its holder's.
const REPORTS: &str = "reports";
const HEADING: &str = "popfetch-memory 1";
/// A file beyond this is not ours.
const LONGEST: u64 = 1024 * 1024;

/// What is remembered of one mailbox's server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// What it announced by `CAPA`.
    pub offers: Vec<Offer>,
    /// Whether it pipelines.
    pub pipelining: Pipelining,
    /// The strongest mechanism ever announced here, by its SASL name (or `APOP`, `USER`): nothing weaker is chosen by itself.
    pub strongest: Option<String>,
    /// No login before that.
    pub pause: Option<Pause>,
    /// Failures that last, by their sorts in the caller's words.
    pub alerts: BTreeMap<String, Alert>,
    /// What a quick poll compares.
    pub quick: Option<Quick>,
    /// When sizes were last listed.
    pub sizes: Option<Time>,
    /// What past listings have shown of the server.
    pub habits: Habits,
    /// How much of the ledger's file was on disk at the end of the last run.
    pub extent: Option<Extent>,
    /// The clock when it was first seen to be behind the ledger's time by more than a day.
    pub behind: Option<Time>,
    /// Whether the server reads on after PASS in one flight.
    pub flight: Flight,
    /// What the server does with `UTF8`.
    pub utf8: Utf8,
    /// Which question its answers name messages by.
    pub names: Option<(Names, Time)>,
    /// How much it takes in one session.
    pub limit: Option<Limit>,
    /// Messages at which the connection ended: tried last.
    pub died: Vec<UniqueIdBuf>,
}

/// What past listings have shown of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Habits {
    /// Where it puts new messages.
    pub adds: Adds,
    /// What its unique-ids are.
    pub unique_ids: UniqueIds,
    /// How many messages the last full listing held.
    pub listed: u32,
    /// Whether the session of that listing left no message unknown.
    pub complete: bool,
    /// How often in a row many messages have come back together, and proved to be what they were.
    pub matched_gaps: u32,
    /// Whether it was reported that the first message is the server's own book-keeping.
    pub folder_data: bool,
    /// Whether it has answered `TOP`, or offers it.
    pub top: bool,
}

/// Where a server puts new messages.  The end is an ordinary place from the start; any other is learnt, once, by comparing
/// what is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Adds {
    /// Behind those that are there.
    #[default]
    AtEnd,
    /// Before them.
    AtFront,
    /// Among them.
    Anywhere,
}

/// What a server's unique-ids are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UniqueIds {
    /// It shows too few to tell.
    #[default]
    Unknown,
    /// Each was its message's number whenever there were two or more: they prove nothing.
    Numbers,
    /// One of them, at least, was not its message's number.
    Names,
}

/// The question whose answer names a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// `UIDL n`.
    UniqueId,
    /// `LIST n`.
    Size,
    /// `STAT`.
    DropListing,
    /// None does.
    Nothing,
}

/// A server ended a session before deletions could be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Commands after which the next session ends in `QUIT`.
    pub commands: u32,
    /// When that was learnt.
    pub since: Time,
}

/// For this long a server is taken to be as it once was, in seconds.
pub const LASTS: i64 = 7 * 86_400;
/// Of this many messages it is remembered that the connection ended at them.
const MOST_DIED: usize = 16;

/// The answer to one `CAPA`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// How the server was reached: port, TLS mode, TLS configuration, in the caller's words.  Another way, another offer.
    pub way: String,
    /// Before or after login.
    pub stage: Stage,
    /// When it was asked.
    pub when: Time,
    /// The lines of the answer.
    pub capabilities: Vec<Vec<u8>>,
}

/// When a `CAPA` was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// In the AUTHORIZATION state.
    BeforeLogin,
    /// In the TRANSACTION state.
    AfterLogin,
}

/// Whether a server pipelines as it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pipelining {
    /// Not known yet: every pipelined answer is checked.
    #[default]
    Unproven,
    /// It has ended a pipelined session in step.
    InStep,
    /// It fell out of step at that time: nothing is pipelined for a week.
    Broken(Time),
}

/// Whether a server answers what comes behind PASS in one flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flight {
    /// Not known yet.
    #[default]
    Unproven,
    /// It does.
    One,
    /// It did not, at that time.
    Two(Time),
}

/// What a server that lists `UTF8` does with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Utf8 {
    /// Not known.
    #[default]
    Unknown,
    /// It has accepted the command; since then the connection has ended at it this many times in a row, which is most
    /// likely the connection's failure.
    Works(u32),
    /// It ended the connection instead of answering, at that time.
    Dropped(Time),
}

/// A login was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// How often in a row.
    pub refusals: u32,
    /// The last time.
    pub refused: Time,
    /// Not before then is it tried again.
    pub until: Time,
    /// [`crate::account::Account::fingerprint`] at that time: another one ends the pause.
    pub configuration: String,
}

/// A failure that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Since when.
    pub since: Time,
    /// When it was last reported.
    pub reported: Option<Time>,
    /// What it is, if that can be said without trying again.
    pub lasting: Option<Lasting>,
}

impl Alert {
    /// One that has not been reported.
    #[must_use]
    pub fn since(since: Time) -> Self {
        Self { since, reported: None, lasting: None }
    }
}

/// What lasts, in words that hold no secret and nothing that a message or a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lasting {
    /// The exit code of a run that meets it.
    pub exit: ExitCode,
    /// Messages that count as failed for it.
    pub messages: u64,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The maildrop as it stood at the end of the last session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quick {
    /// How many messages it held.
    pub messages: u32,
    /// Their octets by `STAT`.
    pub octets: Octets,
    /// The first one's unique-id; none in an empty maildrop.
    pub first: Option<UniqueIdBuf>,
    /// The last one's.
    pub last: Option<UniqueIdBuf>,
    /// When the listing was taken that this is known by.
    pub listed: Time,
    /// Whether the server has only ever added at the end.
    pub grows_at_end: bool,
    /// Whether nothing was left to do, under the configuration with this fingerprint.
    pub idle_under: Option<String>,
    /// When something will be to do though nothing changes (an age, a retry), if ever.
    pub due: Option<Time>,
}

impl Memory {
    /// Reads the memory in a mailbox's directory; empty when there is none, or none that can be read.
    #[must_use]
    pub fn load(directory: &Path) -> Self {
        Self::load_file(&directory.join(FILE))
    }

    /// Reads what was reported by those who found the mailbox locked.
    #[must_use]
    pub fn load_reports(directory: &Path) -> Self {
        Self::load_file(&directory.join(REPORTS))
    }

    /// The same by whoever has the lock now: they are read and removed.
    #[must_use]
    pub fn take_reports(directory: &Path) -> Self {
        let path = directory.join(REPORTS);
        if !path.exists() {
            return Self::default();
        }
        let reports = Self::load_file(&path);
        // If it can't be removed, it is taken again.
        let _ = durable::remove(&path);
        reports
    }

    fn load_file(path: &Path) -> Self {
        read(path).and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// The alert of that sort; a new one begins now.
    pub fn alert(&mut self, kind: &str, now: Time) -> &mut Alert {
        self.alerts.entry(kind.to_owned()).or_insert_with(|| Alert::since(now))
    }

    /// Writes it, if it has changed.  Without a ledger beside it nothing is written: a memory is what tells a ledger that
    /// was lost from one that never was.
    ///
    /// # Errors
    /// When it cannot be written; the run may go on.
    pub fn save(&self, directory: &Path) -> durable::Result<()> {
        self.save_as(directory, FILE)
    }

    /// Writes what was reported though another popfetch has the lock.
    ///
    /// # Errors
    /// As for [`Memory::save`].
    pub fn save_reports(&self, directory: &Path) -> durable::Result<()> {
        self.save_as(directory, REPORTS)
    }

    fn save_as(&self, directory: &Path, name: &str) -> durable::Result<()> {
        let text = self.to_text();
        let path = directory.join(name);
        let new = directory.join(format!("{name}.new"));
        if !directory.join(files::FILE).exists() || read(&path).as_deref() == Some(text.as_bytes()) {
            // What a run has left that died in the middle of this.
            return if new.symlink_metadata().is_ok() { durable::remove(&new) } else { Ok(()) };
        }
        durable::remove(&new)?;
        let written = durable::create_new(&new, 0o600)
            .and_then(|file| durable::write(&file, &new, text.as_bytes()))
            .and_then(|()| durable::replace(&new, &path));
        if written.is_err() {
            // The next one to come here removes what this can't.
            let _ = durable::remove(&new);
        }
        written
    }

    /// What was announced that way, at that stage.
    #[must_use]
    pub fn offer(&self, way: &str, stage: Stage) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.way == way && offer.stage == stage)
    }

    /// Remembers an offer in the place of the one before.
    pub fn put_offer(&mut self, offer: Offer) {
        self.offers.retain(|old| old.way != offer.way || old.stage != offer.stage);
        self.offers.push(offer);
    }

    /// Forgets what was learnt of the server's faults more than a week ago, or after `now`.
    pub fn expire(&mut self, now: Time) {
        let holds = |since: Time| (0..LASTS).contains(&now.seconds_since(since));
        if matches!(self.pipelining, Pipelining::Broken(since) if !holds(since)) {
            self.pipelining = Pipelining::Unproven;
        }
        self.limit = self.limit.filter(|limit| holds(limit.since));
        self.names = self.names.filter(|(names, since)| *names != Names::Nothing || holds(*since));
    }

    /// The connection ended at this message.
    pub fn died_at(&mut self, unique_id: UniqueIdBuf) {
        self.died.retain(|other| *other != unique_id);
        if self.died.len() >= MOST_DIED {
            self.died.remove(0);
        }
        self.died.push(unique_id);
    }

    fn to_text(&self) -> String {
        let mut out = format!("{HEADING}\n");
        let f = |text: &str| text::field(text.as_bytes());
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{text}");
        };
        for Offer { way, stage, when, capabilities } in &self.offers {
            let stage = match stage {
                Stage::BeforeLogin => "before-login",
                Stage::AfterLogin => "after-login",
            };
            let capabilities: String = capabilities.iter().map(|c| format!(" {}", text::field(c))).collect();
            line(format_args!("offer {} {stage} {}{capabilities}", f(way), when.0));
        }
        match self.pipelining {
            Pipelining::Unproven => {}
            Pipelining::InStep => line(format_args!("pipelining in-step")),
            Pipelining::Broken(since) => line(format_args!("pipelining broken {}", since.0)),
        }
        if let Some((names, since)) = self.names {
            let names = match names {
                Names::UniqueId => "unique-id",
                Names::Size => "size",
                Names::DropListing => "drop-listing",
                Names::Nothing => "nothing",
            };
            line(format_args!("names {names} {}", since.0));
        }
        if let Some(Limit { commands, since }) = self.limit {
            line(format_args!("limit {commands} {}", since.0));
        }
        for unique_id in &self.died {
            line(format_args!("died {}", text::field(unique_id.borrow().as_bytes())));
        }
        if let Some(sizes) = self.sizes {
            line(format_args!("sizes {}", sizes.0));
        }
        if self.habits != Habits::default() {
            let Habits { adds, unique_ids, listed, complete, matched_gaps, folder_data, top } = self.habits;
            let adds = match adds {
                Adds::AtEnd => "end",
                Adds::AtFront => "front",
                Adds::Anywhere => "anywhere",
            };
            let unique_ids = match unique_ids {
                UniqueIds::Unknown => "unknown",
                UniqueIds::Numbers => "numbers",
                UniqueIds::Names => "names",
            };
            let complete = if complete { "complete" } else { "-" };
            let folder_data = if folder_data { "folder-data" } else { "-" };
            let top = if top { "top" } else { "-" };
            line(format_args!(
                "habits {adds} {unique_ids} {listed} {complete} {matched_gaps} {folder_data} {top}"
            ));
        }
        if let Some(Extent { generation, octets }) = self.extent {
            line(format_args!("extent {generation} {octets}"));
        }
        if let Some(behind) = self.behind {
            line(format_args!("behind {}", behind.0));
        }
        match self.flight {
            Flight::Unproven => {}
            Flight::One => line(format_args!("flight one")),
            Flight::Two(when) => line(format_args!("flight two {}", when.0)),
        }
        match self.utf8 {
            Utf8::Unknown => {}
            Utf8::Works(drops) => line(format_args!("utf8 works {drops}")),
            Utf8::Dropped(when) => line(format_args!("utf8 dropped {}", when.0)),
        }
        if let Some(strongest) = &self.strongest {
            line(format_args!("strongest {}", f(strongest)));
        }
        if let Some(Pause { refusals, refused, until, configuration }) = &self.pause {
            let (refused, until, configuration) = (refused.0, until.0, f(configuration));
            line(format_args!("pause {refusals} {refused} {until} {configuration}"));
        }
        for (kind, Alert { since, reported, lasting }) in &self.alerts {
            let (kind, reported) = (f(kind), or_dash(reported.map(|time| time.0)));
            let lasting =
                lasting.as_ref().map_or_else(String::new, |Lasting { exit, messages, message, hint }| {
                    let (exit, hint) = (exit.number(), marked(hint.as_ref().map(String::as_bytes)));
                    format!(" {exit} {messages} {} {hint}", f(message))
                });
            line(format_args!("alert {kind} {} {reported}{lasting}", since.0));
        }
        if let Some(quick) = &self.quick {
            let Quick { messages, octets, first, last, listed, grows_at_end, idle_under, due } = quick;
            let [first, last] = [first, last].map(|id| marked(id.as_ref().map(|id| id.borrow().as_bytes())));
            let (octets, listed, grows) = (octets.0, listed.0, if *grows_at_end { "grows" } else { "-" });
            let idle = marked(idle_under.as_ref().map(String::as_bytes));
            let due = or_dash(due.map(|time| time.0));
            line(format_args!("left {messages} {octets} {first} {last} {listed} {grows} {idle} {due}"));
        }
        out
    }

    /// `None` when this is no memory, or a line isn't what it should be: then nothing in it is believed.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = text.strip_suffix(b"\n")?.split(|octet| *octet == b'\n');
        let mut memory = Self::default();
        if lines.next()? != HEADING.as_bytes() {
            return None;
        }
        for line in lines {
            let mut fields = line.split(|octet| *octet == b' ');
            match fields.next()? {
                b"offer" => memory.offers.push(Offer {
                    way: string(fields.next()?)?,
                    stage: match fields.next()? {
                        b"before-login" => Stage::BeforeLogin,
                        b"after-login" => Stage::AfterLogin,
                        _ => return None,
                    },
                    when: time(fields.next()?)?,
                    capabilities: fields.map(text::from_field).collect::<Option<_>>()?,
                }),
                b"pipelining" => {
                    memory.pipelining = match fields.next()? {
                        b"in-step" => Pipelining::InStep,
                        // Without a time it was written when it was for ever.
                        b"broken" => fields.next().map_or(Some(Pipelining::Unproven), |field| {
                            time(field).map(Pipelining::Broken)
                        })?,
                        _ => return None,
                    }
                }
                b"names" => {
                    let names = match fields.next()? {
                        b"unique-id" => Names::UniqueId,
                        b"size" => Names::Size,
                        b"drop-listing" => Names::DropListing,
                        b"nothing" => Names::Nothing,
                        _ => return None,
                    };
                    memory.names = Some((names, time(fields.next()?)?));
                }
                b"limit" => {
                    let (commands, since) = (number(fields.next()?)?, time(fields.next()?)?);
                    memory.limit = Some(Limit { commands, since });
                }
                b"died" => {
                    let octets = text::from_field(fields.next()?)?;
                    memory.died.push(UniqueId::new(&octets)?.to_buf());
                }
                b"sizes" => memory.sizes = Some(time(fields.next()?)?),
                b"habits" => {
                    memory.habits = Habits {
                        adds: match fields.next()? {
                            b"front" => Adds::AtFront,
                            b"anywhere" => Adds::Anywhere,
                            _ => Adds::AtEnd,
                        },
                        unique_ids: match fields.next()? {
                            b"numbers" => UniqueIds::Numbers,
                            b"names" => UniqueIds::Names,
                            _ => UniqueIds::Unknown,
                        },
                        listed: number(fields.next()?)?,
                        complete: fields.next()? == b"complete",
                        matched_gaps: number(fields.next()?)?,
                        folder_data: fields.next()? == b"folder-data",
                        top: fields.next()? == b"top",
                    };
                }
                b"extent" => {
                    let generation = parse_decimal(fields.next()?)?;
                    memory.extent = Some(Extent { generation, octets: parse_decimal(fields.next()?)? });
                }
                b"behind" => memory.behind = Some(time(fields.next()?)?),
                b"flight" => {
                    memory.flight = match fields.next()? {
                        b"one" => Flight::One,
                        b"two" => Flight::Two(time(fields.next()?)?),
                        _ => return None,
                    }
                }
                b"utf8" => {
                    memory.utf8 = match fields.next()? {
                        b"works" => Utf8::Works(number(fields.next()?)?),
                        b"dropped" => Utf8::Dropped(time(fields.next()?)?),
                        _ => return None,
                    }
                }
                b"strongest" => memory.strongest = Some(string(fields.next()?)?),
                b"pause" => {
                    memory.pause = Some(Pause {
                        refusals: number(fields.next()?)?,
                        refused: time(fields.next()?)?,
                        until: time(fields.next()?)?,
                        configuration: string(fields.next()?)?,
                    });
                }
                b"alert" => {
                    let kind = string(fields.next()?)?;
                    let since = time(fields.next()?)?;
                    let reported = optional(fields.next()?, time)?;
                    // Older versions end the line here.
                    let lasting = match fields.next() {
                        None => None,
                        Some(exit) => Some(Lasting {
                            exit: ExitCode::from_number(number(exit)?.try_into().ok()?)?,
                            messages: parse_decimal(fields.next()?)?,
                            message: string(fields.next()?)?,
                            hint: optional(fields.next()?, |field| String::from_utf8(unmark(field)?).ok())?,
                        }),
                    };
                    memory.alerts.insert(kind, Alert { since, reported, lasting });
                }
                b"left" => {
                    let unique_id = |field: &[u8]| UniqueId::new(&unmark(field)?).map(UniqueId::to_buf);
                    memory.quick = Some(Quick {
                        messages: number(fields.next()?)?,
                        octets: Octets(parse_decimal(fields.next()?)?),
                        first: optional(fields.next()?, unique_id)?,
                        last: optional(fields.next()?, unique_id)?,
                        listed: time(fields.next()?)?,
                        grows_at_end: fields.next()? == b"grows",
                        idle_under: optional(fields.next()?, |field| String::from_utf8(unmark(field)?).ok())?,
                        due: optional(fields.next()?, time)?,
                    });
                }
                _ => {}
            }
        }
        Some(memory)
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let file = durable::open_to_read(path).ok()?;
    // Room for nearly all: a file that has to be felt for is read in pieces of 32 octets, 64, and so on.
    let mut text = Vec::with_capacity(4096);
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

fn or_dash(value: Option<i64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A field that may be missing, told from one that is a dash.
fn marked(octets: Option<&[u8]>) -> String {
    octets.map_or_else(|| "-".to_owned(), |octets| format!("={}", text::field(octets)))
}

fn unmark(field: &[u8]) -> Option<Vec<u8>> {
    text::from_field(field.strip_prefix(b"=")?)
}

/// `-` is `Some(None)`; what `parse` won't have is `None`.
fn optional<T>(field: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
    if field == b"-" { Some(None) } else { parse(field).map(Some) }
}

fn string(field: &[u8]) -> Option<String> {
    String::from_utf8(text::from_field(field)?).ok()
}

fn number(field: &[u8]) -> Option<u32> {
    parse_decimal(field)?.try_into().ok()
}

fn time(field: &[u8]) -> Option<Time> {
    std::str::from_utf8(field).ok()?.parse().ok().map(Time)
}

/// For fuzzing: any octets as a memory; one that is read is written in a form that reads back as the same.
#[doc(hidden)]
pub fn fuzz_memory(octets: &[u8]) {
    let lines = [HEADING.as_bytes(), b"\n", octets, b"\n"].concat();
    for text in [octets, &lines] {
        if let Some(memory) = Memory::parse(text) {
            assert_eq!(Memory::parse(memory.to_text().as_bytes()).as_ref(), Some(&memory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Adds, Alert, ExitCode, Extent, Flight, Habits, Lasting, Limit, Memory, Names, Offer, Pause,
        Pipelining, Quick, Stage, UniqueIds, Utf8,
    };
    use crate::types::Time;
    use crate::types::{Octets, UniqueId};

    fn full() -> Memory {
        let unique_id = |text: &'static [u8]| UniqueId::new(text).map(UniqueId::to_buf);
        Memory {
            offers: vec![
                Offer {
                    way: "995 implicit".into(),
                    stage: Stage::BeforeLogin,
                    when: Time(5),
                    capabilities: vec![b"TOP".to_vec(), b"SASL PLAIN\x1b".to_vec(), b"".to_vec()],
                },
                Offer { way: String::new(), stage: Stage::AfterLogin, when: Time(-6), capabilities: vec![] },
            ],
            pipelining: Pipelining::InStep,
            sizes: Some(Time(4)),
            habits: Habits {
                adds: Adds::Anywhere,
                unique_ids: UniqueIds::Names,
                listed: 7,
                complete: true,
                matched_gaps: 2,
                folder_data: true,
                top: true,
            },
            extent: Some(Extent { generation: 3, octets: 4096 }),
            behind: Some(Time(5)),
            flight: Flight::Two(Time(2)),
            utf8: Utf8::Dropped(Time(3)),
            names: Some((Names::DropListing, Time(11))),
            limit: Some(Limit { commands: 40, since: Time(-3) }),
            died: unique_id(b"a b").into_iter().chain(unique_id(b"-")).collect(),
            strongest: Some("SCRAM-SHA-256-PLUS".into()),
            pause: Some(Pause { refusals: 3, refused: Time(7), until: Time(8), configuration: "a b".into() }),
            alerts: [
                ("network".to_owned(), Alert::since(Time(1))),
                (
                    "-".to_owned(),
                    Alert {
                        since: Time(1),
                        reported: Some(Time(2)),
                        lasting: Some(Lasting {
                            exit: ExitCode::Later,
                            messages: u64::MAX,
                            message: "it = \"übel\"".into(),
                            hint: Some(String::new()),
                        }),
                    },
                ),
            ]
            .into(),
            quick: Some(Quick {
                messages: 2,
                octets: Octets(u64::MAX),
                first: unique_id(b"-"),
                last: unique_id(b"a \xff="),
                listed: Time(9),
                grows_at_end: true,
                idle_under: Some("-".into()),
                due: None,
            }),
        }
    }

    #[test]
    fn reads_back_what_was_saved() {
        for memory in [Memory::default(), full()] {
            let home = tempfile::tempdir().unwrap();
            std::fs::write(home.path().join("ledger"), "").unwrap();
            memory.save(home.path()).unwrap();
            assert_eq!(Memory::load(home.path()), memory);
        }
    }

    #[test]
    fn an_alert_of_the_first_version_is_read() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("memory"), "popfetch-memory 1\nalert passing 5 -\nalert x 6 7\n")
            .unwrap();
        let alerts = Memory::load(home.path()).alerts;
        assert_eq!(alerts["passing"], Alert::since(Time(5)));
        assert_eq!(alerts["x"], Alert { reported: Some(Time(7)), ..Alert::since(Time(6)) });
    }

    #[test]
    fn reports_of_others_are_taken_once() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("ledger"), "").unwrap();
        full().save_reports(home.path()).unwrap();
        assert_eq!(Memory::load(home.path()), Memory::default());
        assert_eq!(Memory::load_reports(home.path()), full());
        assert_eq!(Memory::take_reports(home.path()), full());
        assert_eq!(Memory::take_reports(home.path()), Memory::default());
    }

    #[test]
    fn no_change_no_write() {
        use std::os::unix::fs::MetadataExt as _;
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("ledger"), "").unwrap();
        let inode = || home.path().join("memory").metadata().unwrap().ino();
        full().save(home.path()).unwrap();
        let before = inode();
        full().save(home.path()).unwrap();
        assert_eq!(inode(), before);
        Memory::default().save(home.path()).unwrap();
        assert_ne!(inode(), before);
        assert_eq!(Memory::load(home.path()), Memory::default());
    }

    #[test]
    fn no_memory_without_a_ledger() {
        let home = tempfile::tempdir().unwrap();
        full().save(home.path()).unwrap();
        assert!(!home.path().join("memory").exists());
    }

    #[test]
    fn what_cannot_be_read_is_empty() {
        let text = full().to_text();
        let home = tempfile::tempdir().unwrap();
        let load = |octets: &[u8]| {
            std::fs::write(home.path().join("memory"), octets).unwrap();
            Memory::load(home.path())
        };
        assert_eq!(Memory::load(home.path()), Memory::default());
        for bad in ["", "popfetch-memory 2\n", "popfetch-memory 1\npause x\n", "popfetch-memory 1\n\n\nleft"]
        {
            assert_eq!(load(bad.as_bytes()), Memory::default(), "{bad:?}");
        }
        assert_eq!(
            load(b"popfetch-memory 1\nwhat a newer one writes\nstrongest X\n").strongest.unwrap(),
            "X"
        );
        // A torn one is at worst an older truth: it never panics, and never holds what was not written.
        for cut in 0..text.len() {
            let memory = load(&text.as_bytes()[..cut]);
            assert!(memory.offers.iter().all(|offer| full().offers.contains(offer)), "{cut}");
        }
    }

    #[test]
    fn one_offer_for_each_way_and_stage() {
        let mut memory = full();
        let newer = Offer { when: Time(50), capabilities: vec![], ..memory.offers[0].clone() };
        memory.put_offer(newer.clone());
        assert_eq!(memory.offers.len(), 2);
        assert_eq!(memory.offer("995 implicit", Stage::BeforeLogin), Some(&newer));
        assert_eq!(memory.offer("995 implicit", Stage::AfterLogin), None);
    }

    #[test]
    fn any_octets_as_a_memory() {
        let text = full().to_text();
        for cut in 0..text.len() {
            super::fuzz_memory(&text.as_bytes()[..cut]);
            super::fuzz_memory(&text.as_bytes()[cut..]);
        }
    }
}

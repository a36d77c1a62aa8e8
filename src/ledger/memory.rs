//! What is worth remembering of a server from run to run, but may be lost without harm.  It is what the server
//! offered, whether it pipelines, a pause after a refused login, failures to be reported, what a quick poll compares.
//! A small text file, replaced as a whole and never synced; one that cannot be read counts as empty.  Must not know
//! what is done with it, and never holds a secret.
//!
//! It is JSON.  A file of another version of popfetch is read as far as it is understood.  A field that is missing or
//! makes no sense counts as never learnt, and an unknown one is ignored.  Of the form that was written before
//! ([`first_form`]) that is read which guards something.

mod file;
mod first_form;
#[cfg(test)]
mod tests;

pub use file::fuzz_memory;
pub(super) use file::{FILE, FILES};

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::entry::LedgerExtent;
use crate::exit::ExitCode;
use crate::message::Digest;
use crate::text;
use crate::types::{MessageNumber, Octets, Time, UniqueIdBuf};

/// What is remembered of one mailbox's server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Memory {
    /// What it announced by `CAPA`.
    #[serde(deserialize_with = "or_default")]
    pub offers: Vec<Offer>,
    #[serde(deserialize_with = "or_default")]
    pub pipelining: KnownPipelining,
    /// The strongest mechanism ever used here, by its SASL name (or `APOP`, `USER`): nothing weaker is chosen without your word.
    #[serde(deserialize_with = "or_default")]
    pub strongest: Option<String>,
    /// No login before that.
    #[serde(deserialize_with = "or_default")]
    pub pause: Option<Pause>,
    /// Failures that last, by their sorts in the caller's words.
    #[serde(deserialize_with = "or_default")]
    pub alerts: BTreeMap<String, Alert>,
    /// What a quick poll compares.
    #[serde(deserialize_with = "or_default")]
    pub quick: Option<Quick>,
    /// When sizes were last listed.
    #[serde(deserialize_with = "or_default")]
    pub sizes: Option<Time>,
    /// What past listings have shown of the server.
    #[serde(deserialize_with = "or_default")]
    pub habits: Habits,
    /// How much of the ledger's file was on disk at the end of the last run.
    #[serde(deserialize_with = "or_default")]
    pub extent: Option<LedgerExtent>,
    /// The clock when it was first seen to be behind the ledger's time by more than a day.
    #[serde(deserialize_with = "or_default")]
    pub behind: Option<Time>,
    /// Whether the server reads on after PASS in one flight.
    #[serde(deserialize_with = "or_default")]
    pub flight: KnownFlight,
    /// What the server does with `UTF8`.
    #[serde(deserialize_with = "or_default")]
    pub utf8: Utf8,
    /// Which question its answers name messages by.
    #[serde(deserialize_with = "or_default")]
    pub names: Option<(NamingForm, Time)>,
    /// How much it takes in one session.
    #[serde(deserialize_with = "or_default")]
    pub limit: Option<Limit>,
    /// Messages at which the connection ended: tried last.
    #[serde(deserialize_with = "or_default")]
    pub died: Vec<ListedAs>,
    /// What was listed last under unique-ids whose deletion was confirmed, where nothing shows whether it is other mail: if
    /// it comes again as it was, it is.
    #[serde(deserialize_with = "or_default")]
    pub withheld: Vec<(UniqueIdBuf, Digest)>,
    /// Whether the last session's deletions hang on a `QUIT` that was not answered.
    #[serde(deserialize_with = "or_default")]
    pub quit_unanswered: bool,
    /// What was retrieved from a window of the maildrop and should not be listed any more.
    #[serde(deserialize_with = "or_default")]
    pub popped: Option<Popped>,
    /// How the last run went.
    #[serde(deserialize_with = "or_default")]
    pub last: Option<LastRun>,
}

/// A message, as the next session will most likely list it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum ListedAs {
    /// With this unique-id,
    UniqueId(UniqueIdBuf),
    /// or without one, under this number and with this size.
    Numbered(MessageNumber, Option<Octets>),
}

/// Messages that were retrieved in a session whose `QUIT` was confirmed, on a server that shows only a window of the maildrop
/// and takes out of it what was retrieved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Popped {
    /// Since when the server has gone on to list some of them.
    pub since: Time,
    /// As many as are listed, up to a bound.
    pub unique_ids: Vec<UniqueIdBuf>,
}

/// How the last run went, for `status`.  Nothing in it changes with a poll that finds all as it was: when that was is
/// seen by the lock ([`super::lock::Lock::look`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LastRun {
    /// The exit code that this account alone would have made.
    pub exit: ExitCode,
    /// What ended it early, if anything did.
    pub error: Option<Said>,
    /// How many messages the server held at its end; `None` where it took no listing.
    pub server: Option<u64>,
    /// How many of them are new, and were left for the next run by a limit.
    pub postponed: u64,
    /// When a run last delivered anything, and how many messages.
    pub mail: Option<(Time, u64)>,
}

/// An error as it was reported: it may hold a server's words, but no secret and no text of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Said {
    /// The exit code that it alone would cause.
    pub exit: ExitCode,
    /// What happened, one sentence.
    pub message: String,
    pub hint: Option<String>,
}

/// The alert of failures that end a run and are temporary.
pub(crate) const PASSING: &str = "passing";
/// That of refused logins.
pub(crate) const LOGIN: &str = "login";
/// That of a lock that another popfetch holds.
pub(crate) const LOCKED: &str = "locked";

/// What past listings have shown of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Habits {
    /// Where it puts new messages.
    pub adds: Adds,
    pub unique_ids: UniqueIds,
    /// How many messages the last full listing held.
    pub listed: u32,
    /// Whether the session of that listing left no message unknown.
    pub complete: bool,
    /// How often in a row many messages have come back together, and proved to be what they were.
    pub matched_gaps: u32,
    /// Whether it was reported that the first message is the server's own internal data.
    pub folder_data: bool,
    /// Whether it has answered `TOP`, or offers it.
    pub top: bool,
}

/// Where a server puts new messages.  The end is an ordinary place from the start; any other is learnt, once, by comparing
/// what is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Adds {
    /// Behind those that are there.
    #[default]
    AtEnd,
    /// Before them.
    AtFront,
    /// Among them.
    Anywhere,
}

/// What a server's unique-ids are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UniqueIds {
    /// It shows too few to decide.
    #[default]
    Unknown,
    /// Each was its message's number whenever there were two or more: they prove nothing.
    Numbers,
    /// One of them, at least, was not its message's number.
    Names,
}

/// The question whose answer names a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NamingForm {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Limit {
    /// Commands after which the next session ends in `QUIT`.
    pub commands: u32,
    /// When that was learnt.
    pub since: Time,
}

/// For this long a server is taken to be as it once was, in seconds.
const LASTS: i64 = 7 * 86_400;
/// Of this many messages it is remembered that the connection ended at them.
const MOST_DIED: usize = 64;

/// The answer to a `CAPA` before login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Offer {
    /// How the server was reached: port, TLS mode, TLS configuration, in the caller's words.  Another way, another offer.
    pub way: String,
    /// When it was asked.
    pub when: Time,
    /// The lines of the answer.
    #[serde(with = "escaped")]
    pub capabilities: Vec<Vec<u8>>,
}

/// Whether a server pipelines as it announces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KnownPipelining {
    /// Not known yet: every pipelined answer is checked.
    #[default]
    Unproven,
    /// It has ended a pipelined session in step.
    InStep,
    /// It fell out of step at that time: nothing is pipelined for a week.
    Broken(Time),
}

/// Whether a server answers what comes behind PASS in one flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KnownFlight {
    /// Not known yet.
    #[default]
    Unproven,
    One,
    /// It did not, at that time.
    Two(Time),
}

/// What a server that lists `UTF8` does with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Utf8 {
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Pause {
    /// How often in a row.
    pub refusals: u32,
    /// The last time.
    pub refused: Time,
    /// Not before then is it tried again.
    pub until: Time,
    /// The digest of the configuration at that time (`credentials::configuration_digest`): another one ends the pause.
    pub configuration: String,
}

/// A failure that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Alert {
    pub since: Time,
    /// When it was last reported.
    pub reported: Option<Time>,
    /// What it is, if that is known without trying again.
    pub lasting: Option<Lasting>,
}

impl Alert {
    /// One that has not been reported.
    #[must_use]
    pub(crate) fn since(since: Time) -> Self {
        Self { since, reported: None, lasting: None }
    }
}

/// What lasts, in words that hold no secret and no text of a message or a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Lasting {
    /// The exit code of a run that meets it.
    pub exit: ExitCode,
    /// Messages that count as failed for it.
    pub messages: u64,
    /// One sentence.
    pub message: String,
    pub hint: Option<String>,
    /// Why, where it has reasons of its own: ours, without the words of a server or a program.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it is tried again, where that isn't at the next run.
    #[serde(default)]
    pub next: Option<Time>,
}

/// The maildrop as it stood at the end of the last session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Quick {
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
    /// Whether nothing was left to do, under the configuration with this digest.
    pub idle_under: Option<String>,
    /// When something will be to do though nothing changes (an age, a retry), if ever.
    pub due: Option<Time>,
}

impl Memory {
    /// The alert of that sort; a new one begins now.
    pub(crate) fn alert(&mut self, kind: &str, now: Time) -> &mut Alert {
        self.alerts.entry(kind.to_owned()).or_insert_with(|| Alert::since(now))
    }

    /// What was announced that way.
    #[must_use]
    pub(crate) fn offer(&self, way: &str) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.way == way)
    }

    /// Remembers an offer in the place of the one before.
    pub(crate) fn put_offer(&mut self, offer: Offer) {
        self.offers.retain(|old| old.way != offer.way);
        self.offers.push(offer);
    }

    /// Forgets what was learnt of the server more than a week ago, or after `now`: servers change.
    pub(crate) fn expire(&mut self, now: Time) {
        let holds = |since: Time| (0..LASTS).contains(&now.seconds_since(since));
        if matches!(self.pipelining, KnownPipelining::Broken(since) if !holds(since)) {
            self.pipelining = KnownPipelining::Unproven;
        }
        if matches!(self.flight, KnownFlight::Two(since) if !holds(since)) {
            self.flight = KnownFlight::Unproven;
        }
        if matches!(self.utf8, Utf8::Dropped(since) if !holds(since)) {
            self.utf8 = Utf8::Unknown;
        }
        self.offers.retain(|offer| holds(offer.when));
        self.popped = self.popped.take().filter(|popped| holds(popped.since));
        self.limit = self.limit.filter(|limit| holds(limit.since));
        self.names = self.names.filter(|(names, since)| *names != NamingForm::Nothing || holds(*since));
    }

    /// The connection ended at this message.
    pub(crate) fn died_at(&mut self, message: ListedAs) {
        self.died.retain(|other| *other != message);
        if self.died.len() >= MOST_DIED {
            self.died.remove(0);
        }
        self.died.push(message);
    }

    /// A message with this digest came under a unique-id whose deletion was confirmed.
    pub(crate) fn withheld(&mut self, unique_id: UniqueIdBuf, digest: Digest) {
        self.withheld.retain(|(other, _)| *other != unique_id);
        if self.withheld.len() >= MOST_DIED {
            self.withheld.remove(0);
        }
        self.withheld.push((unique_id, digest));
    }

    /// Has the next run take a full listing, since the ledger was changed from outside of one.
    pub(crate) fn expect_work(&mut self) {
        if let Some(quick) = &mut self.quick {
            quick.idle_under = None;
        }
    }
}

/// A field, or nothing learnt where it makes no sense here: it costs no other one.
fn or_default<'de, D: Deserializer<'de>, T: Default + serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// Octets that a server chose, as [`text::field`] has them.
mod escaped {
    use super::{Deserialize as _, Deserializer, Serializer, text};

    pub(super) fn serialize<S: Serializer>(lines: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(lines.iter().map(|line| text::field(line)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        let lines = Vec::<String>::deserialize(deserializer)?;
        let line = |line: &String| text::from_field(line.as_bytes());
        lines.iter().map(line).collect::<Option<_>>().ok_or_else(|| serde::de::Error::custom("not escaped"))
    }
}

/// How a type of another room is written: as one that JSON has.
macro_rules! written_as {
    ($($type:ty as $plain:ty: $to:expr, $from:expr;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let to: fn(&Self) -> $plain = $to;
                to(self).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let from: fn($plain) -> Option<Self> = $from;
                from(<$plain>::deserialize(deserializer)?)
                    .ok_or_else(|| serde::de::Error::custom(concat!("no ", stringify!($type))))
            }
        }
    )*};
}

written_as! {
    Time as i64: |time| time.0, |seconds| Some(Self(seconds));
    Octets as u64: |octets| octets.0, |octets| Some(Self(octets));
    LedgerExtent as (u64, u64): |extent| (extent.generation, extent.octets), |(generation, octets)| {
        Some(Self { generation, octets })
    };
    ExitCode as u8: |code| code.number(), Self::from_number;
    Digest as String: |digest| digest.to_string(), |digest| Self::parse(digest.as_bytes());
    MessageNumber as u32: |number| number.get(), Self::new;
    UniqueIdBuf as String: |id| id.to_field(), |field| Self::from_field(field.as_bytes());
}

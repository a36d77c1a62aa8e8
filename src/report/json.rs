//! JSON Lines (`--json`): each line of standard output is one object in UTF-8.  Standard error has the same text as
//! without it, but no bars.  The objects do not depend on `--quiet` and `-v`: `news` is what `--quiet` would report.
//!
//! # The format
//!
//! Every object has
//!
//! - `v`: the version of this format, 1.  Types and fields may be added in the same version; readers ignore those
//!   that they don't know.  The version changes when what is here changes.
//! - `account`: the account's name.  Objects of accounts that are polled in parallel alternate; those of one account
//!   are in order.
//! - `type`: one of the following, with the fields that belong to it.  A field is never left out: what isn't known, or
//!   is absent, is null.
//!
//! `plan`: what `--dry-run` would do with a message, in the order of the listing.
//!
//! - `number`: the message's number in this session.
//! - `unique_id`: its unique-id, or null.
//! - `octets`: its size as listed, or null.
//! - `action`: `retrieve`, `compare`, `delete` or `leave`.
//! - `why`: `new`, `again`, `all`, `size-changed`, `came-back`, `duplicate`, `doubtful`, `waits`, `renumbered`, `nameless`, `window`, `known`,
//!   `seen`, `too-large`, `backing-off`, `elsewhere`, `max-messages`, `max-bytes`, `delete`, `days`, `newest`, `total-size`
//!   or `larger-than`.
//!
//! `recovered`: the run before was interrupted, and its work has been settled.
//!
//! - `delivered`: messages that are delivered now.
//! - `dropped`: messages that will be retrieved again.
//!
//! `delivered`: a message was delivered to all of its destinations, now or by a run that was interrupted.
//!
//! - `unique_id`: its unique-id, or null.
//! - `octets`: its octets with LF at the ends of lines.
//! - `from`: its first author's name, or address where it gives no name; or null.
//! - `subject`: its subject, decoded, or null.
//! - `date`: when its author says it was sent, as RFC 3339 has it, in UTC; or null.
//! - `message_id`: its Message-ID without the angle brackets, or null.
//! - `destination`: where it went in this run, in an array.
//!   - `kind`: `maildir`, `mbox`, `pipe` or `stdout`.
//!   - `path`: the Maildir, the mbox, or the command; `-` for standard output.
//!   - `file`: the path of the file that was made for it in a Maildir, or null.
//! - `time`: when it was delivered, as RFC 3339 has it, in UTC.
//!
//! `from`, `subject`, `date` and `message_id` are null where an interrupted run retrieved the message.
//!
//! `message-failed`: a message was not delivered, and stays on the server.
//!
//! - `number`: its number in this session.
//! - `reason`: what happened, for people.
//! - `news`: false if it failed before.
//!
//! `too-large`: a message stays on the server because of its size; reported once.
//!
//! - `number`: its number in this session.
//! - `octets`: its size as listed.
//!
//! `warning`: something the user should know.  `notice`: the same, also reported under `--quiet`.
//!
//! - `message`: what it is, for people.
//!
//! Of `message-failed`, `too-large` and `warning` at most 1,000 objects are written for an account; `failed` below counts
//! all.
//!
//! `token-refreshed`: an OAuth token was renewed, and stored.
//!
//! - `host`: the server that gave it.
//! - `expires_in`: how long it lasts, in seconds.
//!
//! `account`: the account is done.  It is the last object of each account that was tried.
//!
//! - `dry_run`: whether nothing was changed, by request.
//! - `listed`: messages on the server when the last session began.
//! - `delivered`, `octets`: messages delivered by this run, and their octets with LF at the ends of lines.
//! - `deleted`: messages whose deletion the server confirmed.
//! - `failed`: messages that failed and stay on the server, those included that failed before and were not tried.
//! - `postponed`: messages that `max-messages` or `max-bytes` left for the next run.
//! - `elapsed`: how long it took, in seconds, with decimals.
//! - `exit`: the exit code that this account alone would have made, 0 if all is well.
//! - `error`: what ended the run, or null.
//!   - `message`: what happened and where, for people, in one line or more.
//!   - `hint`: what to do next, or null.
//!   - `news`: whether `--quiet` would report it.
//! - `conditions`: problems that did not end the run, in an array; at most one of each kind.
//!   - `kind`: `messages-failed`, `destination-gone`, `deletion-refused`, `quit-refused`, `not-deleted` or
//!     `policy-without-effect`.
//!   - `exit`: the exit code that it alone would have made.
//!   - `messages`: messages that count in `failed` for it.
//!   - `message`, `hint`, `news`: as in `error`.
//!
//! `history`: a past delivery, which `popfetch history` prints.
//!
//! - `unique_id`, `octets`, `from`, `subject`, `destination`, `time`: as in `delivered`, but from and subject may be cut.
//! - `server`: what has become of the message there: `kept`, `deleted` (by popfetch), `gone` (otherwise); or null where that
//!   isn't known.
//!
//! What prevents every account from being tried, a wrong argument for example, is reported on standard error only.
//!
//! Text is printable.  Anything else, octets or characters, is escaped as `\xNN` or `\u{…}` before JSON escapes it again;
//! a backslash is doubled.  So no field needs another encoding.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::plain::{Plain, name};
use super::{Condition, Delivery, Event, ReportedError, Reporter, RunSummary, StoredAt};
use crate::text::shortened;

/// The version of the format.
const VERSION: u8 = 1;
/// Objects about single messages, and warnings, that are written for an account at most.
const MOST: u32 = 1000;
/// Characters of a text in them that are written at most.
const LONGEST: usize = 1000;

/// Renders a run as objects, and as lines on standard error.
#[derive(Debug)]
pub(crate) struct Json {
    plain: Plain,
    // For each account, how many objects have been written of those that are limited.
    written: Mutex<HashMap<String, u32>>,
}

impl Json {
    /// Objects go to standard output, the lines of `plain` to standard error.
    #[must_use]
    pub(crate) fn new(plain: Plain) -> Self {
        Self { plain: plain.without_plans(), written: Mutex::default() }
    }

    /// Whether the object is beyond the limit for its account.
    fn is_beyond(&self, account: &str, object: &Object<'_>) -> bool {
        if !matches!(object, Object::MessageFailed { .. } | Object::TooLarge { .. } | Object::Warning { .. })
        {
            return false;
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let written = written.entry(account.to_owned()).or_default();
        *written = written.saturating_add(1);
        *written > MOST
    }
}

impl Reporter for Json {
    fn report(&self, account: &str, event: &Event) {
        if let Some(object) = Object::of(event)
            && !self.is_beyond(account, &object)
        {
            self.plain.printer().out(&line(account, &object));
        }
        self.plain.report(account, event);
    }

    fn below(&self) -> Option<&dyn Reporter> {
        Some(&self.plain)
    }

    fn wants_deliveries(&self) -> bool {
        true
    }
}

/// One line of output: `object`, which brings its `type`, with the version and the account before it.
#[must_use]
pub(crate) fn line(account: &str, object: &impl Serialize) -> String {
    let line = AccountLine { v: VERSION, account: &name(account), object };
    // Fields with names, text and numbers: nothing in it can fail.
    let mut line = serde_json::to_string(&line).unwrap_or_default();
    line.push('\n');
    line
}

/// The line of a message that was delivered, as `--json` prints it.
#[must_use]
pub(crate) fn delivered_line(account: &str, delivery: &Delivery) -> String {
    line(account, &Object::delivered(delivery))
}

/// The line of a past delivery, as `popfetch history --json` prints it.
#[must_use]
pub(crate) fn history_line(account: &str, delivery: &Delivery, server: Option<&str>) -> String {
    let Delivery { unique_id, octets, from, subject, destinations, time, .. } = delivery;
    let object = Object::History {
        unique_id: unique_id.as_deref(),
        octets: *octets,
        from: from.as_deref(),
        subject: subject.as_deref(),
        destination: destinations.iter().map(StoredAtObject::of).collect(),
        server,
        time,
    };
    line(account, &object)
}

#[derive(Serialize)]
struct AccountLine<'a, O> {
    v: u8,
    account: &'a str,
    #[serde(flatten)]
    object: &'a O,
}

/// What depends on the type.  Names of variants and fields are the format.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Object<'a> {
    Plan {
        number: u32,
        unique_id: Option<&'a str>,
        octets: Option<u64>,
        action: &'static str,
        why: &'static str,
    },
    Recovered {
        delivered: u64,
        dropped: u64,
    },
    Delivered {
        unique_id: Option<&'a str>,
        octets: u64,
        from: Option<&'a str>,
        subject: Option<&'a str>,
        date: Option<&'a str>,
        message_id: Option<&'a str>,
        destination: Vec<StoredAtObject<'a>>,
        time: &'a str,
    },
    History {
        unique_id: Option<&'a str>,
        octets: u64,
        from: Option<&'a str>,
        subject: Option<&'a str>,
        destination: Vec<StoredAtObject<'a>>,
        server: Option<&'a str>,
        time: &'a str,
    },
    MessageFailed {
        number: u32,
        reason: Cow<'a, str>,
        news: bool,
    },
    TooLarge {
        number: u32,
        octets: u64,
    },
    Warning {
        message: Cow<'a, str>,
    },
    Notice {
        message: &'a str,
    },
    TokenRefreshed {
        host: &'a str,
        expires_in: u64,
    },
    Account {
        dry_run: bool,
        listed: u64,
        delivered: u64,
        octets: u64,
        deleted: u64,
        failed: u64,
        postponed: u64,
        elapsed: f64,
        exit: u8,
        error: Option<ErrorObject<'a>>,
        conditions: Vec<LastingObject<'a>>,
    },
}

#[derive(Serialize)]
struct StoredAtObject<'a> {
    kind: &'static str,
    path: &'a str,
    file: Option<&'a str>,
}

#[derive(Serialize)]
struct LastingObject<'a> {
    kind: &'static str,
    exit: u8,
    messages: u64,
    message: &'a str,
    hint: Option<&'a str>,
    news: bool,
}

/// What ended a run or a command: the `error` of an object.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorObject<'a> {
    message: &'a str,
    hint: Option<&'a str>,
    news: bool,
}

impl<'a> Object<'a> {
    /// The object for an event, if it has one.
    fn of(event: &'a Event) -> Option<Self> {
        Some(match event {
            Event::Intended { number, unique_id, octets, action, why } => Self::Plan {
                number: number.get(),
                unique_id: unique_id.as_deref(),
                octets: octets.map(|octets| octets.0),
                action: action.verb(),
                why: why.word,
            },
            Event::Recovered { delivered, dropped } => {
                Self::Recovered { delivered: *delivered, dropped: *dropped }
            }
            Event::Delivered(delivery) => Self::delivered(delivery),
            Event::MessageFailed { number, reason, news } => {
                let reason = shortened(reason, LONGEST);
                Self::MessageFailed { number: number.get(), reason, news: *news }
            }
            Event::TooLarge { number, octets } => Self::TooLarge { number: number.get(), octets: octets.0 },
            Event::Warning(message) => Self::Warning { message: shortened(message, LONGEST) },
            Event::Notice(message) => Self::Notice { message },
            Event::TokenRefreshed { host, expires_in } => {
                Self::TokenRefreshed { host, expires_in: *expires_in }
            }
            Event::Finished(summary) => Self::account(summary),
            Event::Doing(_)
            | Event::Waiting { .. }
            | Event::Connecting { .. }
            | Event::LoggedIn { .. }
            | Event::Listed { .. }
            | Event::Planned { .. }
            | Event::Received { .. }
            | Event::Arrived
            | Event::Detail(_)
            | Event::Dialogue(_) => return None,
        })
    }

    fn delivered(delivery: &'a Delivery) -> Self {
        let Delivery { unique_id, octets, from, subject, date, message_id, destinations, time, .. } =
            delivery;
        Self::Delivered {
            unique_id: unique_id.as_deref(),
            octets: *octets,
            from: from.as_deref(),
            subject: subject.as_deref(),
            date: date.as_deref(),
            message_id: message_id.as_deref(),
            destination: destinations.iter().map(StoredAtObject::of).collect(),
            time,
        }
    }

    fn account(summary: &'a RunSummary) -> Self {
        let RunSummary { listed, delivered, octets, deleted, failed, elapsed, dry_run, .. } = *summary;
        let RunSummary { postponed, failure, conditions, .. } = summary;
        Self::Account {
            dry_run,
            listed,
            delivered,
            octets,
            deleted,
            failed,
            postponed: postponed.messages,
            elapsed: elapsed.as_secs_f64(),
            exit: summary.exit().number(),
            error: failure.as_ref().map(ErrorObject::of),
            conditions: conditions.iter().map(LastingObject::of).collect(),
        }
    }
}

impl<'a> StoredAtObject<'a> {
    fn of(place: &'a StoredAt) -> Self {
        Self { kind: place.kind, path: &place.path, file: place.file.as_deref() }
    }
}

impl<'a> ErrorObject<'a> {
    /// The object for `failure`.
    #[must_use]
    pub(crate) fn of(failure: &'a ReportedError) -> Self {
        Self { message: &failure.message, hint: failure.hint.as_deref(), news: failure.news }
    }
}

impl<'a> LastingObject<'a> {
    fn of(condition: &'a Condition) -> Self {
        Self {
            kind: condition.kind.word(),
            exit: condition.exit.number(),
            messages: condition.messages,
            message: &condition.message,
            hint: condition.hint.as_deref(),
            // Something that an earlier object reported as news is news as well.
            news: condition.news || condition.said,
        }
    }
}

#[cfg(test)]
mod tests;

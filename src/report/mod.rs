//! What happens in a run, as facts: one [`Event`] type, told to one [`Reporter`].  Progress bars, plain lines, JSON
//! lines, and silence are its renderers; none of them decides anything.
//!
//! Every text in an event is fit to print already: whoever makes the event escapes what a server said and hides what is
//! secret.

mod dry_run;
pub mod json;
pub mod plain;
pub mod progress;
pub mod reasons;

use std::borrow::Cow;
use std::time::Duration;

use crate::exit::ExitCode;
use crate::plan::Why;
use crate::problem::Problem;
use crate::types::{MessageNumber, Octets};

/// Something that happened in one account's run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The run begins: the server is called.
    Connecting {
        /// `HOST:PORT`.
        server: String,
    },
    /// Logged in, and how.
    LoggedIn {
        /// The mechanism's name.
        mechanism: &'static str,
    },
    /// The listing has been read.
    Listed {
        /// Messages on the server.
        messages: u64,
    },
    /// Retrieving begins.
    Planned {
        /// Messages to retrieve.
        messages: u64,
        /// Their octets as listed; `None` when not all are known.
        octets: Option<Octets>,
    },
    /// Octets of messages have come.
    Received {
        /// How many more.
        octets: u64,
    },
    /// A message has come whole.
    Arrived,
    /// Messages are delivered and in the ledger.
    Delivered {
        /// How many more.
        messages: u64,
    },
    /// What `--dry-run` would do with a message.
    Intended {
        /// Its number in this session.
        number: MessageNumber,
        /// Its unique-id, escaped, if it has one.
        unique_id: Option<String>,
        /// Its size, if listed.
        octets: Option<Octets>,
        /// What would be done.
        action: Action,
        /// Why.
        why: Why,
    },
    /// Recovery found work of a run that died.
    Recovered {
        /// Messages that turned out to be delivered, or were published now.
        delivered: u64,
        /// Messages that come again.
        dropped: u64,
    },
    /// One message failed; it stays on the server.
    MessageFailed {
        /// Its number in this session.
        number: MessageNumber,
        /// What happened, one sentence.
        reason: String,
        /// Whether this is the first time, or news since the last time: otherwise a person knows already.
        news: bool,
    },
    /// A message is left for its size; told once.
    TooLarge {
        /// Its number in this session.
        number: MessageNumber,
        /// Its size.
        octets: Octets,
    },
    /// Something a person should know, though the run goes on.
    Warning(String),
    /// News that are told under `--quiet` as well.
    Notice(String),
    /// What is decided, and why (`-v`).
    Detail(String),
    /// A line of the dialogue (`-vv`), with secrets hidden: `C: …`, `S: …`.
    Dialogue(String),
    /// The account is done.
    Finished(Summary),
}

/// What `--dry-run` says would be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Retrieved and delivered.
    Retrieve,
    /// Compared with what we have.
    Compare,
    /// Deleted.
    Delete,
    /// Left.
    Leave,
}

impl Action {
    /// The verb.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Retrieve => "retrieve",
            Self::Compare => "compare",
            Self::Delete => "delete",
            Self::Leave => "leave",
        }
    }
}

/// How an account's run went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Messages on the server when the last session began.
    pub listed: u64,
    /// Messages delivered by this run, recovery included.
    pub delivered: u64,
    /// Octets of them, with LF at the ends of lines.
    pub octets: u64,
    /// Messages whose deletion the server confirmed.
    pub deleted: u64,
    /// Messages that failed and stay on the server, now or before.
    pub failed: u64,
    /// Those among them that failed before, and were not tried in this run.
    pub waiting: u64,
    /// Messages that a limit of the run left for the next one, and the limits.
    pub postponed: Postponed,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether nothing was changed, by request.
    pub dry_run: bool,
    /// What ended the run, if anything did.
    pub trouble: Option<Trouble>,
    /// What is wrong although the run went on: at most one of each kind.
    pub conditions: Vec<Condition>,
}

impl Summary {
    /// The exit code of this account alone.
    #[must_use]
    pub fn exit(&self) -> ExitCode {
        let trouble = self.trouble.as_ref().map_or(ExitCode::Done, |trouble| trouble.exit);
        self.conditions.iter().fold(trouble, |exit, condition| exit.merge(condition.exit))
    }

    /// Enters a condition in the place of an earlier one of its kind.
    pub fn put(&mut self, condition: Condition) {
        self.conditions.retain(|earlier| earlier.kind != condition.kind);
        self.conditions.push(condition);
    }
}

/// Messages that `max-messages` or `max-bytes` left for the next run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Postponed {
    /// How many.
    pub messages: u64,
    /// Whether `max-messages` left any,
    pub by_messages: bool,
    /// and whether `max-bytes` did.
    pub by_bytes: bool,
}

/// Something that is wrong although the run went on, and that may be so at the next run as well.  What is made of it is
/// the same for all: it counts in the exit code, stands in the report, and `--quiet` reports it once it has lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which sort.
    pub kind: Kind,
    /// Its code.
    pub exit: ExitCode,
    /// Messages that count as failed for it.
    pub messages: u64,
    /// What is wrong, one sentence; not in it: what a program said, or a message.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether `--quiet` should report it.
    pub news: bool,
    /// Whether events of this run have reported it, also under `--quiet`.
    pub said: bool,
}

/// A sort of [`Condition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Messages that failed: each is tried again, at the next run or later.
    MessagesFailed,
    /// Messages that only a destination lacks which isn't configured any more.
    DestinationGone,
    /// The server refuses to delete.
    DeletionRefused,
    /// The server refuses `QUIT`, or doesn't answer it.
    QuitRefused,
    /// The server lists what it said that it had deleted.
    NotDeleted,
    /// A limit of `leave-on-server` that needs unique-ids, and messages that have none.
    PolicyWithoutEffect,
}

impl Kind {
    /// Every sort.
    pub const ALL: [Self; 6] = [
        Self::MessagesFailed,
        Self::DestinationGone,
        Self::DeletionRefused,
        Self::QuitRefused,
        Self::NotDeleted,
        Self::PolicyWithoutEffect,
    ];

    /// Its name in `--json` and in the memory between runs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::MessagesFailed => "messages-failed",
            Self::DestinationGone => "destination-gone",
            Self::DeletionRefused => "deletion-refused",
            Self::QuitRefused => "quit-refused",
            Self::NotDeleted => "not-deleted",
            Self::PolicyWithoutEffect => "policy-without-effect",
        }
    }

    /// Whether one run proves nothing: what the server did is known only by the next listing.
    #[must_use]
    pub fn may_be_chance(self) -> bool {
        match self {
            Self::QuitRefused | Self::NotDeleted => true,
            Self::MessagesFailed
            | Self::DestinationGone
            | Self::DeletionRefused
            | Self::PolicyWithoutEffect => false,
        }
    }
}

/// What ended a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its code.
    pub exit: ExitCode,
    /// What happened and where, one sentence.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether `--quiet` should say it: false while a passing failure is young, or a refusal is old news.
    pub news: bool,
}

impl Trouble {
    /// What the user is told of an error.
    #[must_use]
    pub fn of(problem: &dyn Problem, news: bool) -> Self {
        let hint = problem.hint().map(Cow::into_owned);
        Self { exit: problem.exit_code(), message: problem.to_string(), hint, news }
    }
}

/// Who is told.
pub trait Reporter: Send + Sync {
    /// This happened to this account.
    fn report(&self, account: &str, event: &Event);
    /// Whether [`Event::Detail`] is shown at all (`-v`): otherwise none need be made.
    fn wants_detail(&self) -> bool;
    /// Whether [`Event::Dialogue`] is shown at all (`-vv`).
    fn wants_dialogue(&self) -> bool;
}

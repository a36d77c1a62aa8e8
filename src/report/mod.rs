//! What happens in a run, as facts: one [`Event`] type, sent to one [`Reporter`].  Progress bars, plain lines, JSON
//! lines, and silence are its renderers; none of them decides anything.
//!
//! Every text in an event is printable: the code that makes the event escapes what a server sent and hides secrets.

mod dry_run;
pub(crate) mod json;
pub(crate) mod log;
pub(crate) mod plain;
pub(crate) mod progress;
pub(crate) mod prose;
pub(crate) mod reasons;
pub(crate) mod table;
pub(crate) mod terminal;

use std::borrow::Cow;
use std::time::Duration;

use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::types::{MessageNumber, Octets, Time};

/// Something that happened in one account's run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The account is part of the run, and waits for its turn.
    Waiting {
        /// Where its mail will go.
        destinations: Vec<StoredAt>,
    },
    /// What takes its time before there is a server to talk to; for bars.
    Doing(&'static str),
    /// The run begins: popfetch connects to the server.
    Connecting {
        /// `HOST:PORT`, and the way there, if it isn't the direct one.
        server: String,
    },
    /// An OAuth token was renewed, and stored.
    TokenRefreshed {
        /// The server that gave it.
        host: String,
        /// How long it lasts, in seconds.
        expires_in: u64,
    },
    LoggedIn {
        /// Name of the mechanism, as in `auth`.
        mechanism: &'static str,
        /// What protects the connection: `TLS 1.3`; `None` for clear text.
        protection: Option<&'static str>,
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
    /// Octets of messages were received.
    Received {
        /// How many since the last such event.
        octets: u64,
    },
    /// A message was received whole.
    Arrived,
    /// What `--dry-run` would do with a message.
    Intended {
        /// Its number in this session.
        number: MessageNumber,
        /// Its unique-id, escaped, if it has one.
        unique_id: Option<String>,
        /// Its size, if listed.
        octets: Option<Octets>,
        action: Action,
        why: Cause,
    },
    /// Recovery settled the work of an interrupted run.
    Recovered {
        /// Messages that proved to be delivered, or were published now.
        delivered: u64,
        /// Messages that will be retrieved again.
        dropped: u64,
    },
    /// One message was delivered to all of its destinations; sent only where [`Reporter::wants_deliveries`].
    Delivered(Delivery),
    /// One message failed; it stays on the server.
    MessageFailed {
        /// Its number in this session.
        number: MessageNumber,
        /// What happened, one sentence.
        reason: String,
        /// Whether this is new: the first failure, or another one than the last time.
        news: bool,
    },
    /// A message is left because of its size; reported once.
    TooLarge {
        /// Its number in this session.
        number: MessageNumber,
        octets: Octets,
    },
    /// Something the user should know, though the run goes on.
    Warning(String),
    /// Something the user should know, also under `--quiet`.
    Notice(String),
    /// What is decided, and why (`-v`).
    Detail(String),
    /// A line of the dialogue (`-vv`), with secrets hidden: `C: …`, `S: …`.
    Dialogue(String),
    /// The account is done.
    Finished(RunSummary),
}

/// A message that was delivered, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Its number in this session; none where an earlier run retrieved it.
    pub number: Option<MessageNumber>,
    /// Its unique-id, if it has one.
    pub unique_id: Option<String>,
    /// Its octets, with LF line ends.
    pub octets: u64,
    /// Its first author, if the header names one: the name, or the address where there is none.
    pub from: Option<String>,
    /// Its subject, on one line.
    pub subject: Option<String>,
    /// When its author says it was sent: RFC 3339, in UTC.
    pub date: Option<String>,
    /// Its Message-ID, without the angle brackets.
    pub message_id: Option<String>,
    /// Where it went.
    pub destinations: Vec<StoredAt>,
    /// When it was delivered: RFC 3339, in UTC.
    pub time: String,
}

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredAt {
    /// `maildir`, `mbox`, `pipe` or `stdout`.
    pub kind: &'static str,
    /// The Maildir, the mbox, the command, or `-`.
    pub path: String,
    /// The file that holds this message and no other.
    pub file: Option<String>,
}

impl StoredAt {
    /// Where to look for the message: its own file, if it has one.
    #[must_use]
    pub(crate) fn shown(&self) -> &str {
        self.file.as_deref().unwrap_or(&self.path)
    }
}

/// Why something would be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cause {
    /// For programs: one word, which stays when the text changes.
    pub word: &'static str,
    /// For people.
    pub text: &'static str,
}

/// What `--dry-run` would do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Retrieved and delivered.
    Retrieve,
    /// Compared with what was delivered.
    Compare,
    Delete,
    /// Left.
    Leave,
}

impl Action {
    #[must_use]
    pub(crate) fn verb(self) -> &'static str {
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
pub(crate) struct RunSummary {
    /// Messages on the server when the last session began.
    pub listed: u64,
    /// Messages delivered by this run, recovery included.
    pub delivered: u64,
    /// Their octets, with LF line ends.
    pub octets: u64,
    /// Messages whose deletion the server confirmed.
    pub deleted: u64,
    /// Messages that failed and stay on the server, now or before.
    pub failed: u64,
    /// Those among them that failed before, and were not tried in this run.
    pub waiting: u64,
    /// Messages that a limit left for the next run, and the limits.
    pub postponed: Postponed,
    /// Where messages on the server were delivered before, if none is new and a destination has never had one.
    pub delivered_elsewhere: Option<Elsewhere>,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether nothing was changed, by request.
    pub dry_run: bool,
    /// What ended the run, if anything did.
    pub failure: Option<ReportedError>,
    /// What is wrong although the run went on: at most one of each kind.
    pub conditions: Vec<Condition>,
}

impl RunSummary {
    /// The exit code of this account alone.
    #[must_use]
    pub(crate) fn exit(&self) -> ExitCode {
        let failure = self.failure.as_ref().map_or(ExitCode::Done, |failure| failure.exit);
        self.conditions.iter().fold(failure, |exit, condition| exit.merge(condition.exit))
    }

    /// Records a condition, replacing an earlier one of its kind.
    pub(crate) fn put(&mut self, condition: Condition) {
        self.conditions.retain(|earlier| earlier.kind != condition.kind);
        self.conditions.push(condition);
    }
}

/// Messages that were delivered before, to destinations that aren't those of today's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// How many of those on the server.
    pub messages: u64,
    pub to: String,
}

/// Messages that `max-messages` or `max-bytes` left for the next run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Postponed {
    /// How many.
    pub messages: u64,
    /// Whether `max-messages` left any,
    pub by_messages: bool,
    /// and whether `max-bytes` did.
    pub by_bytes: bool,
}

/// A problem that did not end the run, and that may last.  All kinds are treated alike: they count in the exit code, are
/// part of the report, and `--quiet` reports them once they have lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub kind: ConditionKind,
    /// The exit code that it alone would cause.
    pub exit: ExitCode,
    /// Messages that count as failed for it.
    pub messages: u64,
    /// What is wrong, one sentence, without text from a program or a message.
    pub message: String,
    pub hint: Option<String>,
    /// Why, where there are reasons of its own: ours, without the words of a server or a program.
    pub reason: Option<String>,
    /// When it is tried again, where that isn't at the next run.
    pub next: Option<Time>,
    /// Whether `--quiet` should report it.
    pub news: bool,
    /// Whether events of this run have reported it, also under `--quiet`.
    pub said: bool,
}

/// The kinds of [`Condition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConditionKind {
    /// Messages that failed: each is tried again, at the next run or later.
    MessagesFailed,
    /// Messages that only a destination lacks which is no longer configured.
    DestinationGone,
    /// The server refuses `DELE`.
    DeletionRefused,
    /// The server refuses `QUIT`, or doesn't answer it.
    QuitRefused,
    /// The server lists messages whose deletion it has confirmed.
    NotDeleted,
    /// A limit of `leave-on-server` that needs unique-ids, and messages that have none.
    PolicyWithoutEffect,
}

impl ConditionKind {
    pub(crate) const ALL: [Self; 6] = [
        Self::MessagesFailed,
        Self::DestinationGone,
        Self::DeletionRefused,
        Self::QuitRefused,
        Self::NotDeleted,
        Self::PolicyWithoutEffect,
    ];

    /// Its name in `--json` and in the memory between runs.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::MessagesFailed => "messages-failed",
            Self::DestinationGone => "destination-gone",
            Self::DeletionRefused => "deletion-refused",
            Self::QuitRefused => "quit-refused",
            Self::NotDeleted => "not-deleted",
            Self::PolicyWithoutEffect => "policy-without-effect",
        }
    }

    /// Whether only the next listing shows what the server did, so that one run proves nothing.
    #[must_use]
    pub(crate) fn may_be_chance(self) -> bool {
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
pub(crate) struct ReportedError {
    /// The exit code that it alone would cause.
    pub exit: ExitCode,
    /// What happened and where, one sentence.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether `--quiet` should report it: false while a temporary failure is recent, or once a refusal was reported.
    pub news: bool,
}

impl ReportedError {
    /// An error as the user sees it; it is news.
    #[must_use]
    pub(crate) fn of(problem: &dyn Problem) -> Self {
        let hint = problem.hint().map(Cow::into_owned);
        Self { exit: problem.exit_code(), message: problem.to_string(), hint, news: true }
    }
}

/// Renders events.
pub(crate) trait Reporter: Send + Sync {
    /// Takes an event of this account.
    fn report(&self, account: &str, event: &Event);
    /// The reporter that this one adds to.  It gets, and answers, what this one doesn't.
    fn below(&self) -> Option<&dyn Reporter> {
        None
    }
    /// All accounts are done, or given up: what was held back is shown now.
    fn ended(&self) {
        if let Some(below) = self.below() {
            below.ended();
        }
    }
    /// A signal has come: messages that are on their way are finished first.  Shown at once on a terminal.
    fn stopping(&self, messages: u64) {
        if let Some(below) = self.below() {
            below.stopping(messages);
        }
    }
    /// Whether a user watches: then it is shown at once that a signal has arrived.
    fn is_watched(&self) -> bool {
        self.below().is_some_and(|below| below.is_watched())
    }
    /// Whether [`Event::Detail`] is shown (`-v`); otherwise callers need not make any.
    fn wants_detail(&self) -> bool {
        self.below().is_some_and(|below| below.wants_detail())
    }
    /// Whether [`Event::Dialogue`] is shown (`-vv`).
    fn wants_dialogue(&self) -> bool {
        self.below().is_some_and(|below| below.wants_dialogue())
    }
    /// Whether [`Event::Delivered`] is shown; otherwise no header is decoded for it.
    fn wants_deliveries(&self) -> bool {
        self.wants_detail()
    }
}

//! What happens in a run, as facts: one [`Event`] type, told to one [`Reporter`].  Progress bars, plain lines, JSON
//! lines, and silence are its renderers; none of them decides anything.
//!
//! Every text in an event is fit to print already: whoever makes the event escapes what a server said and hides what is
//! secret.

mod dry_run;
pub mod json;
pub mod plain;
pub mod progress;

use std::time::Duration;

use crate::exit::ExitCode;
use crate::plan::Why;
use crate::protocol::types::{MessageNumber, Octets};

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
    /// Messages that failed and stay on the server.
    pub failed: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether nothing was changed, by request.
    pub dry_run: bool,
    /// What went wrong, if anything did.
    pub trouble: Option<Trouble>,
}

/// What ended a run, or marks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its code.
    pub exit: ExitCode,
    /// What happened and where, one sentence; empty when the events have said it all.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether `--quiet` should say it: false while a passing failure is young, or a refusal is old news.
    pub news: bool,
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

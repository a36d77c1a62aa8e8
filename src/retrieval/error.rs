//! Why one mailbox's run failed: the errors of the rooms below, with the account's server where they don't name it, and
//! what to do next.

use std::borrow::Cow;
use std::fmt;

use crate::access;
use crate::client;
use crate::credentials;
use crate::delivery;
use crate::exit::ExitCode;
use crate::ledger;
use crate::plan::maildrop::ListedTwice;
use crate::problem::{Problem, REPORT_BUG};
use crate::protocol::auth;
use crate::protocol::response::ResponseCode;
use crate::types::{MessageNumber, NoSuchMessage};

/// What ended the run of one mailbox.
/// A `server` is always `HOST:PORT`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The password or token cannot be obtained, or its file is open to others.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// Another user can change the state directory or a destination.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The network, the server, or the login failed.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The ledger cannot be read or written, or another popfetch has it.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// A destination is out of reach, or unfit.
    #[error(transparent)]
    Delivery(#[from] delivery::Error),
    /// The listing contradicts itself, so no message of it can be identified.
    #[error(transparent)]
    Listing(#[from] ListedTwice),
    /// The listing lacks a message that the user has named.
    #[error(transparent)]
    NoSuchMessage(#[from] NoSuchMessage),
    /// A listing was refused: typically the server has a failure that passes; or it has neither UIDL nor LIST.
    #[error("the server refused {command}: \"{text}\"")]
    ListingRefused {
        /// `UIDL` or `LIST`.
        command: &'static str,
        /// Its words, fit to print.
        text: String,
        /// Whether it passes on its own, as far as can be known.
        passes: bool,
    },
    /// Leaving mail on a server without unique-ids, or with numbers for them, needs their headers.
    #[error("{server} has no TOP, and no unique-ids that last: messages left on it cannot be distinguished")]
    NoIdentity { server: String },
    /// What is to count as seen must have unique-ids.
    #[error("{server} gives its messages no unique-ids, by which they could be known again: none is marked")]
    NoUniqueIds { server: String },
    /// Dates stand in headers.
    #[error("{server} has no TOP, so that the dates of its messages can't be seen")]
    NoHeaders { server: String },
    /// All of a maildrop is to count as seen, of which the server shows only a part at a time.
    #[error("{server} shows only a part of its mail at a time: all of it can't be marked as seen")]
    OnlyWindow { server: String },
    /// What another program has retrieved is nowhere in the listing: typically the account or the state file is another
    /// one, or the server was rebuilt.
    #[error("none of the {seen} messages that {program} has retrieved is among the {listed} on {server}")]
    NothingMatches {
        server: String,
        program: &'static str,
        /// How many it remembers.
        seen: usize,
        /// How many are listed.
        listed: usize,
    },
    /// Unique-ids that are numbers may count anything.
    #[error("what {program} remembers are message numbers, which prove nothing")]
    OnlyNumbers { program: &'static str },
    /// `UIDL` is refused, though the ledger has unique-ids of this mailbox.
    #[error("{server} refused UIDL, by which its messages are known: its mail is left alone")]
    UniqueIdsLost {
        server: String,
        /// Where the ledger is.
        directory: String,
    },
    /// Answers belong to other commands than those sent: typically a server that doesn't really pipeline.
    #[error("the server answered out of step")]
    OutOfStep,
    /// No answer of this server names a message, so that the end of none is certain: typically a proxy that breaks
    /// `UIDL n`, `LIST n` and `STAT`.
    #[error("none of the server's answers names a message")]
    NothingNames,
    /// The same, where a session must not end in `QUIT` before what was retrieved is stored.
    #[error(
        "the server deletes at QUIT what was retrieved, and none of its answers shows where a message ends"
    )]
    NotSafe,
    /// The server refuses whatever message it is asked for: typically a quota, or its storage is away.
    #[error("the server refuses to hand its messages out: \"{text}\"")]
    Refuses {
        /// Its words, fit to print.
        text: String,
    },
    /// A further session was refused, after the first: typically a limit of logins in a time.
    #[error("no further session: {0}")]
    NoFurtherSession(client::Error),
    /// The last session had to end early, and another one would bring no more.
    #[error("the server's sessions ended before everything was done")]
    Unfinished,
    /// A message goes on far beyond its listed size: a broken or hostile server.
    #[error("message {number} went on far beyond its listed size: the line was closed")]
    Endless { number: MessageNumber },
    /// A login that was refused not long ago, and isn't tried again yet.
    #[error("the login was refused at the last runs: not tried again before {until}")]
    Paused {
        /// When it will be.
        until: String,
    },
    /// The server refuses to give the message that is to be shown: typically it has just been deleted.
    #[error("the server did not give message {number}: \"{text}\"")]
    MessageRefused {
        number: MessageNumber,
        /// Its words, fit to print.
        text: String,
    },
    /// A command that is about one message was given several.
    #[error("{messages} messages are named, and this command shows one")]
    SeveralMessages { messages: usize },
    /// More messages are to be deleted than one session may delete.
    #[error("{messages} messages are named: at most {most} are deleted at once")]
    TooManyMessages {
        /// How many,
        messages: usize,
        /// and how many there may be.
        most: usize,
    },
    /// A number that `list` showed names another message by now.
    #[error("message {number} isn't the one that \"list\" showed, whose unique-id was {was}")]
    OtherMessage {
        number: MessageNumber,
        /// The unique-id that it named, fit to print.
        was: String,
    },
    /// A run has the mailbox, and a command that only looks has waited for it.
    #[error("another popfetch is at work in this mailbox, and was waited for in vain")]
    Busy,
    /// The system has no room for another thread: a limit of processes or of memory.
    #[error("cannot start the committer: {0}")]
    NoThread(std::io::Error),
    /// A thread of ours ended without a word: a bug in popfetch.
    #[error("a bug in popfetch: the committer died")]
    Bug,
}

impl Error {
    /// The same error at `server` (`host:port`), for the user: what happened names it, unless the error already does.
    #[must_use]
    pub(crate) fn at<'a>(&'a self, server: &'a str) -> AtServer<'a> {
        AtServer { error: self, server }
    }

    fn names_server(&self) -> bool {
        match self {
            Self::Listing(_)
            | Self::ListingRefused { .. }
            | Self::OutOfStep
            | Self::NothingNames
            | Self::NotSafe
            | Self::Refuses { .. }
            | Self::Unfinished
            | Self::Endless { .. }
            | Self::MessageRefused { .. }
            | Self::Paused { .. } => false,
            Self::Credentials(_)
            | Self::Access(_)
            | Self::Client(_)
            | Self::Ledger(_)
            | Self::Delivery(_)
            | Self::NoSuchMessage(_)
            | Self::NoIdentity { .. }
            | Self::NoUniqueIds { .. }
            | Self::NothingMatches { .. }
            | Self::OnlyNumbers { .. }
            | Self::NoHeaders { .. }
            | Self::OnlyWindow { .. }
            | Self::UniqueIdsLost { .. }
            | Self::NoFurtherSession(_)
            | Self::Busy
            | Self::SeveralMessages { .. }
            | Self::TooManyMessages { .. }
            | Self::OtherMessage { .. }
            | Self::NoThread(_)
            | Self::Bug => true,
        }
    }

    /// Whether the same login would be refused again: a wrong password, or an OAuth login that has ended.
    pub(super) fn refuses_credentials(&self) -> bool {
        match self {
            Self::Client(e) => e.refuses_credentials(),
            Self::Credentials(credentials::Error::OAuth(e)) => e.needs_login(),
            _ => false,
        }
    }

    /// Whether answers can no longer be matched to commands: what came since the last one that named a message is
    /// void.
    pub(super) fn is_disorder(&self) -> bool {
        match self {
            Self::OutOfStep => true,
            Self::Client(e) => e.is_disorder(),
            _ => false,
        }
    }

    /// Whether the connection or the session ended too early.
    pub(super) fn ends_session(&self) -> bool {
        matches!(self, Self::Client(e) if e.ends_session())
    }

    /// Whether the server kept us waiting too long.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Client(client::Error::TimedOut { .. }))
    }
}

impl Problem for Error {
    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::Credentials(e) => return e.hint(),
            Self::Access(e) => return e.hint(),
            Self::Client(e) => return e.hint(),
            Self::Ledger(e) => return e.hint(),
            Self::Delivery(e) => return e.hint(),
            Self::Listing(e) => return e.hint(),
            Self::NoSuchMessage(e) => return e.hint(),
            Self::UniqueIdsLost { directory, .. } => return Some(begin_again(directory).into()),
            Self::NoIdentity { .. } => "set leave-on-server = false, or use a server that has TOP or UIDL",
            Self::NoUniqueIds { .. } => {
                "such mail is known by its content only: let it be retrieved once (first-run = \"all\")"
            }
            Self::NothingMatches { .. } => {
                "is it the same mailbox, and the right state file?  without it, popfetch retrieves everything once"
            }
            Self::OnlyNumbers { .. } => {
                "leave --no-login out: only the server's listing shows whether they are more"
            }
            Self::NoHeaders { .. } => "name the messages by number instead, as 1-200",
            Self::OnlyWindow { .. } => {
                "choose in the provider's settings that POP offers only mail that arrives from now on"
            }
            Self::Endless { .. } => {
                "it is tried last from now on; delete it with another client, or set max-message-size"
            }
            Self::Paused { .. } => {
                "correct the password (with OAuth: popfetch auth login); popfetch retry ACCOUNT tries at once"
            }
            Self::Busy => "try again when it has ended",
            Self::MessageRefused { .. } => {
                "it may have been deleted just now: popfetch list shows what is there"
            }
            Self::SeveralMessages { .. } => "name one of them",
            Self::TooManyMessages { .. } => "name fewer, and the others afterwards",
            Self::OtherMessage { .. } => {
                "nothing is deleted: list the messages again, or name it by its unique-id"
            }
            Self::Refuses { .. } => {
                "a quota or a passing failure of the server: nothing is lost, the next run tries again"
            }
            Self::NoFurtherSession(_) | Self::Unfinished => "the next run goes on with what is left",
            Self::NothingNames | Self::NotSafe => {
                "its operator should see it: it answers neither UIDL n nor LIST n nor STAT"
            }
            Self::OutOfStep => "set pipelining = \"off\" for this account",
            Self::ListingRefused { passes: true, .. } => "nothing was changed: the next run asks again",
            Self::ListingRefused { passes: false, text, .. } => {
                let asked = "-vv shows the dialogue; the server's operator should see it";
                auth::remedy(text.as_bytes()).unwrap_or(asked)
            }
            Self::NoThread(_) => "raise the limit of processes and of memory for the user that runs popfetch",
            Self::Bug => REPORT_BUG,
        };
        Some(hint.into())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Credentials(e) => e.exit_code(),
            Self::Access(e) => e.exit_code(),
            Self::Client(e) => e.exit_code(),
            Self::Ledger(e) => e.exit_code(),
            Self::Delivery(e) => e.exit_code(),
            Self::ListingRefused { passes: true, .. } => ExitCode::Later,
            Self::Listing(e) => e.exit_code(),
            Self::NoSuchMessage(e) => e.exit_code(),
            Self::ListingRefused { text, .. }
                if ResponseCode::of(text.as_bytes()) == Some(ResponseCode::SysPerm) =>
            {
                ExitCode::Unavailable
            }
            Self::ListingRefused { .. }
            | Self::NoIdentity { .. }
            | Self::NoUniqueIds { .. }
            | Self::NothingMatches { .. }
            | Self::OnlyNumbers { .. }
            | Self::NoHeaders { .. } => ExitCode::Protocol,
            Self::OnlyWindow { .. } => ExitCode::Configuration,
            Self::OutOfStep | Self::Endless { .. } | Self::NothingNames | Self::NotSafe => ExitCode::Protocol,
            Self::Refuses { .. } | Self::NoFurtherSession(_) | Self::Unfinished => ExitCode::Later,
            Self::UniqueIdsLost { .. } | Self::Busy | Self::MessageRefused { .. } => ExitCode::Later,
            Self::SeveralMessages { .. } | Self::TooManyMessages { .. } => ExitCode::Usage,
            Self::OtherMessage { .. } => ExitCode::NoInput,
            Self::Paused { .. } => ExitCode::Refused,
            Self::NoThread(_) => ExitCode::LocalIo,
            Self::Bug => ExitCode::Bug,
        }
    }
}

/// What to do where the unique-ids are gone by which a ledger knows its messages.
fn begin_again(directory: &str) -> String {
    format!(
        "the next run asks again; if the server has given up UIDL for good, begin again by moving the ledger away: mv \
         '{directory}' '{directory}.old'.  Then every message that is still on the server is retrieved again"
    )
}

/// An [`Error`] and the server at which it came.
#[derive(Debug)]
pub(crate) struct AtServer<'a> {
    error: &'a Error,
    server: &'a str,
}

impl fmt::Display for AtServer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, server } = self;
        if error.names_server() { error.fmt(f) } else { write!(f, "{server}: {error}") }
    }
}

impl std::error::Error for AtServer<'_> {}

impl Problem for AtServer<'_> {
    fn hint(&self) -> Option<Cow<'_, str>> {
        self.error.hint()
    }

    fn exit_code(&self) -> ExitCode {
        self.error.exit_code()
    }
}

/// A destination that reports to the ledger meets its errors as its own.
impl From<ledger::Error> for delivery::Error {
    fn from(e: ledger::Error) -> Self {
        Self::Ledger(Box::new(e))
    }
}

impl From<super::committer::Error> for Error {
    fn from(e: super::committer::Error) -> Self {
        match e {
            super::committer::Error::Delivery(e) => Self::Delivery(e),
            super::committer::Error::Ledger(e) => Self::Ledger(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;
    use crate::client;
    use crate::delivery;
    use crate::exit::ExitCode;
    use crate::ledger;
    use crate::problem::Problem as _;
    use crate::protocol::auth::{Method, RefusalReason};
    use crate::retrieval::committer;
    use crate::types::MessageNumber;

    const HERE: &str = "pop.example.com:995";

    fn server() -> String {
        HERE.to_owned()
    }

    fn listing(text: &str, passes: bool) -> Error {
        Error::ListingRefused { command: "UIDL", text: text.to_owned(), passes }
    }

    fn refused(meaning: RefusalReason) -> client::Error {
        client::Error::LoginRefused {
            server: server(),
            method: Method::UserPass,
            meaning,
            text: "no".to_owned(),
            token: None,
            secret_sent: true,
            locked: false,
        }
    }

    fn silent() -> client::Error {
        client::Error::TimedOut { server: server(), during: "UIDL".to_owned(), pipelined: false }
    }

    /// Each error of this room with the exit code that a script sees.
    fn all() -> Vec<(Error, ExitCode)> {
        let number = MessageNumber::FIRST;
        let text = || "no".to_owned();
        vec![
            (listing("later", true), ExitCode::Later),
            (listing("no such command", false), ExitCode::Protocol),
            (listing("[SYS/PERM] broken", false), ExitCode::Unavailable),
            (Error::NoIdentity { server: server() }, ExitCode::Protocol),
            (Error::NoUniqueIds { server: server() }, ExitCode::Protocol),
            (Error::NoHeaders { server: server() }, ExitCode::Protocol),
            (Error::OnlyWindow { server: server() }, ExitCode::Configuration),
            (
                Error::NothingMatches { server: server(), program: "getmail", seen: 3, listed: 5 },
                ExitCode::Protocol,
            ),
            (Error::OnlyNumbers { program: "getmail" }, ExitCode::Protocol),
            (Error::UniqueIdsLost { server: server(), directory: "/s/work".to_owned() }, ExitCode::Later),
            (Error::OutOfStep, ExitCode::Protocol),
            (Error::NothingNames, ExitCode::Protocol),
            (Error::NotSafe, ExitCode::Protocol),
            (Error::Refuses { text: text() }, ExitCode::Later),
            (Error::NoFurtherSession(refused(RefusalReason::Credentials)), ExitCode::Later),
            (Error::Unfinished, ExitCode::Later),
            (Error::Endless { number }, ExitCode::Protocol),
            (Error::Paused { until: "12:00".to_owned() }, ExitCode::Refused),
            (Error::MessageRefused { number, text: text() }, ExitCode::Later),
            (Error::SeveralMessages { messages: 2 }, ExitCode::Usage),
            (Error::TooManyMessages { messages: 20_000, most: 10_000 }, ExitCode::Usage),
            (Error::OtherMessage { number, was: "x".to_owned() }, ExitCode::NoInput),
            (Error::Busy, ExitCode::Later),
            (Error::NoThread(std::io::ErrorKind::OutOfMemory.into()), ExitCode::LocalIo),
            (Error::Bug, ExitCode::Bug),
        ]
    }

    #[test]
    fn each_error_has_its_exit_code() {
        for (e, expected) in all() {
            assert_eq!(e.exit_code(), expected, "{e}");
            assert_eq!(e.at(HERE).exit_code(), expected, "{e}");
        }
    }

    /// One sentence of what happened, and one of what to do: never the one inside the other.
    #[test]
    fn each_error_has_a_hint_of_its_own() {
        for (e, _) in all() {
            let (message, at) = (e.to_string(), e.at(HERE));
            let hint = e.hint().unwrap_or_else(|| panic!("{message}"));
            assert!(!hint.is_empty() && !message.contains(&*hint), "{message}: {hint}");
            assert_eq!(at.hint(), e.hint());
        }
    }

    /// With several accounts a message must say whose server it is about, and not say it twice.
    #[test]
    fn an_error_of_the_server_names_it_once() {
        for (e, _) in all() {
            let (alone, there) = (e.to_string(), e.at(HERE).to_string());
            assert!(there == alone || there == format!("{HERE}: {alone}"), "{there}");
            let times = there.matches(HERE).count();
            let is_ours = matches!(
                e,
                Error::Busy
                    | Error::Bug
                    | Error::NoThread(_)
                    | Error::SeveralMessages { .. }
                    | Error::TooManyMessages { .. }
                    | Error::OtherMessage { .. }
                    | Error::OnlyNumbers { .. }
            );
            assert_eq!(times, usize::from(!is_ours), "{there}");
        }
    }

    /// The words of a refusal may say what the user has to do at the provider.
    #[test]
    fn a_refused_listing_is_explained_by_its_words() {
        let hint = |text, passes| listing(text, passes).hint().unwrap().into_owned();
        assert_eq!(hint("whatever", true), "nothing was changed: the next run asks again");
        assert!(hint("whatever", false).contains("-vv shows the dialogue"));
    }

    /// Giving a ledger up has a price, and the command to do it is there to be copied.
    #[test]
    fn beginning_again_without_unique_ids_is_spelled_out() {
        let e = Error::UniqueIdsLost { server: server(), directory: "/state/work".to_owned() };
        let hint = e.hint().unwrap();
        assert!(hint.contains("mv '/state/work' '/state/work.old'"), "{hint}");
        assert!(hint.contains("retrieved again"), "{hint}");
    }

    /// A login is paused only for what the same credentials would be refused for again.
    #[test]
    fn only_refused_credentials_pause_the_login() {
        for (e, expected) in [
            (Error::from(refused(RefusalReason::Credentials)), true),
            (refused(RefusalReason::SysPerm).into(), false),
            (refused(RefusalReason::NeedsUtf8).into(), false),
            (silent().into(), false),
            // A further session of a run that was let in before.
            (Error::NoFurtherSession(refused(RefusalReason::Credentials)), false),
            (Error::Paused { until: String::new() }, false),
            (Error::OutOfStep, false),
        ] {
            assert_eq!(e.refuses_credentials(), expected, "{e}");
        }
    }

    /// What a session's end means for what came in it.
    #[test]
    fn disorder_an_early_end_and_silence_are_told_apart() {
        use crate::protocol::error::{Awaiting, Error as Protocol};
        let protocol = |source| Error::from(client::Error::Protocol { server: server(), source });
        for (e, disorder, ends, silent) in [
            (Error::OutOfStep, true, false, false),
            (protocol(Protocol::Closed { during: Awaiting::Greeting }), false, true, false),
            (Error::from(silent()), false, true, true),
            (Error::NothingNames, false, false, false),
            (Error::Bug, false, false, false),
            (client::Error::Stopped.into(), false, false, false),
        ] {
            let found = (e.is_disorder(), e.ends_session(), e.is_silence());
            assert_eq!(found, (disorder, ends, silent), "{e}");
        }
    }

    /// A disk that fails keeps its own words and code, whichever thread has met it.
    #[test]
    fn what_the_committer_met_is_the_run_s_error() {
        let full = || delivery::Error::unfit(ExitCode::LocalIo, "the disk is full", "make room");
        let e = Error::from(committer::Error::Delivery(full()));
        assert_eq!((e.to_string(), e.exit_code()), (full().to_string(), ExitCode::LocalIo));
        assert_eq!(e.hint().as_deref(), Some("make room"));
        let e = Error::from(committer::Error::Ledger(ledger::Error::Locked));
        assert!(matches!(e, Error::Ledger(ledger::Error::Locked)));
        // A destination reports the ledger's error as the ledger would.
        let there = delivery::Error::from(ledger::Error::Locked);
        assert_eq!(there.exit_code(), ledger::Error::Locked.exit_code());
    }
}

//! What every step of one account's run has at hand: the account, what was asked, the surroundings, and the reporter.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::destinations::Configured;
use crate::account::{Account, Retention};
use crate::client::Dialogue;
use crate::clock;
use crate::config::locate::Environment;
use crate::connection::Connectors;
use crate::credentials::fingerprint;
use crate::ledger;
use crate::message::{self, Retrieval};
use crate::report::{Event, Reporter};
use crate::signals::Stop;
use crate::text;
use crate::types::{Time, Wait};

/// What was asked for on the command line.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--keep`, `--delete`: in place of the account's own policy.
    pub retention: Option<Retention>,
    /// `--all`: what was retrieved before is retrieved again.
    pub all: bool,
    /// `--dry-run`: shows, and changes nothing.
    pub dry_run: bool,
    /// `--wait[=DURATION]`: waits for another popfetch to leave the mailbox; without a duration, for as long as it takes.
    pub wait: Wait,
    /// A person is there (the account was named, or there is a terminal): a pause after a refused login doesn't hold.
    pub insist: bool,
}

/// The surroundings, shared by every account's run.
pub struct Context<'a> {
    /// The state directory, `$XDG_STATE_HOME/popfetch`.
    pub state: PathBuf,
    /// Raised by a signal.
    pub stop: Stop,
    /// TLS connectors, one for each set of trust settings.
    pub connectors: &'a Connectors,
    /// Takes the events.
    pub reporter: Arc<dyn Reporter>,
    /// This machine's name.
    pub host_name: String,
    /// The environment, as found at the start.
    pub environment: &'a Environment,
    /// Whether standard output is a regular file, which can be synced.
    pub stdout_is_regular_file: bool,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("state", &self.state).finish_non_exhaustive()
    }
}

/// One account's run.
pub(super) struct Run<'a> {
    pub(super) account: &'a Account,
    pub(super) options: &'a Options,
    pub(super) context: &'a Context<'a>,
    /// When it began: all that it decides goes by this time.
    pub(super) now: Time,
    /// Whether any destination hands messages over one by one: it then starts with the first.
    pub(super) hands_over: bool,
    fingerprint: OnceLock<String>,
    /// Whether a login of this run was accepted: the lock of that session may last a little longer than it.
    pub(super) logged_in: AtomicBool,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        account: &'a Account,
        options: &'a Options,
        context: &'a Context<'a>,
        now: Time,
    ) -> Self {
        let directory = ledger::directory(&context.state, &account.mailbox());
        let hands_over = Configured::of(account, context, &directory).hand_over();
        let (fingerprint, logged_in) = (OnceLock::new(), AtomicBool::new(false));
        Self { account, options, context, now, hands_over, fingerprint, logged_in }
    }

    /// What distinguishes the configuration from another one ([`fingerprint`]).  To be asked with the mailbox's lock
    /// held: the key that it is made with is kept in the state directory.
    pub(super) fn fingerprint(&self) -> &str {
        self.fingerprint
            .get_or_init(|| fingerprint(self.account, self.context.environment, &key(&self.context.state)))
    }

    pub(super) fn report(&self, event: &Event) {
        self.context.reporter.report(&self.account.name, event);
    }

    /// Says what is decided and why, if anybody listens.
    pub(super) fn detail(&self, text: impl FnOnce() -> String) {
        if self.context.reporter.wants_detail() {
            self.report(&Event::Detail(text()));
        }
    }

    pub(super) fn warn(&self, text: String) {
        self.report(&Event::Warning(text));
    }

    /// Where the dialogue goes, if anybody wants to see it.
    pub(super) fn dialogue(&self) -> Option<Dialogue> {
        self.context.reporter.wants_dialogue().then(|| {
            let (reporter, account) = (Arc::clone(&self.context.reporter), self.account.name.clone());
            let tell: Dialogue = Arc::new(move |line| reporter.report(&account, &Event::Dialogue(line)));
            tell
        })
    }

    /// `HOST:PORT`.
    pub(super) fn server(&self) -> String {
        let Account { host, port, .. } = self.account;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The line put on top of a message; empty when none is wanted.
    pub(super) fn received_line(&self) -> Vec<u8> {
        if !self.account.received_header {
            return Vec::new();
        }
        message::received_line(&Retrieval {
            server: &self.account.host,
            address: None,
            host: &self.context.host_name,
            version: env!("CARGO_PKG_VERSION"),
            account: &self.account.name,
            // When it comes, which in a long run is much later.
            time: clock::now(),
        })
    }
}

/// The key of this state directory: a random text, made when it is first needed, and for nobody else's
/// eyes.  One that is lost ends pauses, no more.
fn key(state: &Path) -> Vec<u8> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let path = state.join("key");
    fs::read(&path).ok().filter(|key| !key.is_empty()).unwrap_or_else(|| {
        let new = text::hex(&clock::random::<32>().unwrap_or_default()).into_bytes();
        // Where it can't be kept, nothing else will be either, and each run has a key of its own.
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let _ = file.and_then(|mut file| file.write_all(&new));
        new
    })
}

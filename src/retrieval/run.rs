//! What every step of one account's run has at hand: the account, what was asked, the surroundings, and the reporter.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::configured::{ConfiguredDestinations, surroundings};
use super::context::{Context, Options};
use super::error::Error;
use crate::account::host::in_brackets;
use crate::account::{Account, PasswordSource};
use crate::client::{self, Dialogue};
use crate::clock;
use crate::credentials::{self, Means, configuration_digest};
use crate::delivery::Surroundings;
use crate::ledger::lock::Lock;
use crate::ledger::memory::Memory;
use crate::ledger::{self, Ledger};
use crate::message::{self, Retrieval};
use crate::oauth::TokenObserver;
use crate::report::{Event, ReportedError};
use crate::secret::Secret;
use crate::text;
use crate::types::Time;

/// One account's run.
pub(super) struct Run<'a> {
    pub(super) account: &'a Account,
    pub(super) options: &'a Options,
    pub(super) context: &'a Context<'a>,
    /// That of the mailbox's ledger.
    pub(super) directory: PathBuf,
    /// When it began: all that it decides goes by this time.
    pub(super) now: Time,
    /// Whether any destination hands messages over one by one: it then starts with the first.
    pub(super) hands_over: bool,
    configuration: OnceLock<String>,
    /// Whether a login of this run was accepted: the lock of that session may last a little longer than it.
    pub(super) logged_in: AtomicBool,
    /// Whether the secret is a token that was kept: the server may have given it up.
    has_kept_token: AtomicBool,
    /// The token that took the place of one that the server has refused: there is none after it.
    renewed: OnceLock<Secret>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        account: &'a Account,
        options: &'a Options,
        context: &'a Context<'a>,
        now: Time,
    ) -> Self {
        let directory = ledger::directory(&context.state, &account.mailbox());
        let hands_over = ConfiguredDestinations::of(account, context, &directory).hand_over();
        let (configuration, logged_in) = (OnceLock::new(), AtomicBool::new(false));
        let (has_kept_token, renewed) = (AtomicBool::new(false), OnceLock::new());
        Self {
            account,
            options,
            context,
            directory,
            now,
            hands_over,
            configuration,
            logged_in,
            has_kept_token,
            renewed,
        }
    }

    /// The destinations that the account's configuration names.
    pub(super) fn destinations(&self) -> ConfiguredDestinations<'_> {
        ConfiguredDestinations::of(self.account, self.context, &self.directory)
    }

    /// What these may use.
    pub(super) fn surroundings(&self) -> Surroundings<'_> {
        surroundings(self.account, self.context, &self.directory)
    }

    /// Opens the mailbox's ledger, for a run that has the lock; what is to be said of it is reported.
    pub(super) fn open_ledger(&self, lock: Lock) -> Result<Ledger, Error> {
        let ledger = Ledger::open(&self.directory, &self.account.mailbox(), lock, self.now)?;
        for warning in ledger.warnings() {
            self.warn(warning.clone());
        }
        Ok(ledger)
    }

    /// Keeps what was learnt of the server.
    pub(super) fn keep(&self, memory: &Memory) {
        if let Err(e) = memory.save(&self.directory) {
            // What it holds can be learnt again.
            self.detail(|| format!("what was learnt of the server was not kept: {e}"));
        }
    }

    /// An error of this run, to be reported.
    pub(super) fn failure(&self, e: &Error) -> ReportedError {
        ReportedError::of(&e.at(&self.server()))
    }

    /// What distinguishes the configuration from another one ([`configuration_digest`]).  To be asked with the mailbox's lock
    /// held: the key that it is made with is kept in the state directory.
    pub(super) fn configuration(&self) -> &str {
        self.configuration.get_or_init(|| {
            configuration_digest(self.account, self.context.environment, &key(&self.context.state))
        })
    }

    /// The password or token: what was typed before the run, or from its source.
    pub(super) fn secret(&self) -> Result<Secret, Error> {
        let secret = match self.options.passwords.take(&self.account.name) {
            Some(typed) => typed?,
            None => {
                match self.account.password {
                    PasswordSource::Command(_) => self.report(&Event::Doing("waiting for password-command")),
                    PasswordSource::OAuth(_) => self.report(&Event::Doing("getting a token")),
                    _ => {}
                }
                let obtained = credentials::obtain(self.account, &self.means())?;
                self.has_kept_token.store(obtained.is_kept_token, Ordering::Relaxed);
                obtained.secret
            }
        };
        self.detail(|| credentials::source(self.account));
        Ok(secret)
    }

    pub(super) fn means(&self) -> Means<'_> {
        let Context { state, stop, connectors, environment, .. } = self.context;
        Means { environment, stop, connectors, state, watch: self }
    }

    /// The secret to log in with: `first`, unless the server has refused it and there is another one.
    pub(super) fn current<'s>(&'s self, first: &'s Secret) -> &'s Secret {
        self.renewed.get().unwrap_or(first)
    }

    /// After a login that was refused: whether the token was kept and is given up by the server, and another one was got,
    /// once.
    pub(super) fn has_other_token(&self, refused: &Secret, e: &client::Error) -> Result<bool, Error> {
        let PasswordSource::OAuth(oauth) = &self.account.password else { return Ok(false) };
        if !e.refuses_stale_token()
            || self.renewed.get().is_some()
            || !self.has_kept_token.swap(false, Ordering::Relaxed)
        {
            return Ok(false);
        }
        self.detail(|| format!("{e}: another token is asked for"));
        let other =
            credentials::with_holder(self.account, oauth, &self.means(), |holder| holder.other_than(refused));
        let other = other.map_err(credentials::Error::from)?;
        Ok(self.renewed.set(other.secret).is_ok())
    }

    pub(super) fn report(&self, event: &Event) {
        self.context.reporter.report(&self.account.name, event);
    }

    /// Reports what is decided and why, if details are shown.
    pub(super) fn detail(&self, text: impl FnOnce() -> String) {
        if self.context.reporter.wants_detail() {
            self.report(&Event::Detail(text()));
        }
    }

    pub(super) fn warn(&self, text: String) {
        self.report(&Event::Warning(text));
    }

    /// Where the dialogue goes, if it is shown.
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
        format!("{}:{port}", in_brackets(host))
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

impl TokenObserver for Run<'_> {
    fn detail(&self, text: String) {
        Run::detail(self, || text);
    }

    fn wants_dialogue(&self) -> bool {
        self.context.reporter.wants_dialogue()
    }

    fn dialogue(&self, line: String) {
        self.report(&Event::Dialogue(line));
    }

    fn refreshed(&self, host: &str, expires_in: u64) {
        self.report(&Event::TokenRefreshed { host: host.to_owned(), expires_in });
        if self.options.dry_run {
            self.warn(
                "the token was renewed and stored: what the server has replaced must be kept".to_owned(),
            );
        }
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

#[cfg(test)]
mod tests {
    use super::{Run, key};
    use crate::account::Account;
    use crate::exit::ExitCode;
    use crate::oauth::TokenObserver as _;
    use crate::plan::trial::NOW;
    use crate::protocol::auth::RefusalReason;
    use crate::retrieval::error::Error;
    use crate::retrieval::trial::{Home, refused_login};
    use crate::retrieval::{Options, Passwords};
    use crate::secret::Secret;
    use std::os::unix::fs::PermissionsExt as _;

    fn with<T>(home: &Home, account: &Account, options: &Options, work: impl FnOnce(&Run<'_>) -> T) -> T {
        let context = home.context();
        work(&Run::new(account, options, &context, NOW))
    }

    /// The key is made once, for nobody else's eyes, and kept: each run must find the pauses of the last.
    #[test]
    fn the_key_of_a_state_directory_is_kept_and_is_private() {
        let state = tempfile::tempdir().unwrap();
        let first = key(state.path());
        assert_eq!(first.len(), 64);
        assert_eq!(key(state.path()), first);
        let mode = std::fs::metadata(state.path().join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // One that was lost, or torn, is made again.
        std::fs::write(state.path().join("key"), "").unwrap();
        let second = key(state.path());
        assert!(second != first && second.len() == 64 && key(state.path()) == second);
        // Where it can't be kept there is one all the same.
        let nowhere = state.path().join("missing");
        assert_eq!(key(&nowhere).len(), 64);
    }

    #[test]
    fn a_server_is_named_with_its_port() {
        let home = Home::holding(&[]);
        for (host, expected) in
            [("pop.example.com", "pop.example.com:995"), ("2001:db8::1", "[2001:db8::1]:995")]
        {
            let account = Account { host: host.to_owned(), port: 995, ..home.account("") };
            let found = with(&home, &account, &Options::default(), |run| {
                (run.server(), run.failure(&Error::OutOfStep))
            });
            assert_eq!(found.0, expected);
            assert_eq!(found.1.message, format!("{expected}: the server answered out of step"));
            assert_eq!(found.1.exit, ExitCode::Protocol);
        }
    }

    /// What was typed is used once, and before any other source.
    #[test]
    fn what_was_typed_before_the_run_is_its_password() {
        let home = Home::holding(&[]);
        let account = home.account_with_password("");
        let passwords = Passwords::typed("work", Secret::new("typed"));
        let options = Options { passwords, ..Options::default() };
        let found = with(&home, &account, &options, |run| [run.secret().unwrap(), run.secret().unwrap()]);
        assert_eq!(found.map(|secret| secret.expose().to_vec()), [b"typed".to_vec(), b"pencil".to_vec()]);
    }

    /// A line that the user doesn't want isn't put on top of a message.
    #[test]
    fn a_received_line_is_made_only_where_it_is_wanted() {
        let home = Home::holding(&[]);
        for (settings, expected) in [("received-header = true", true), ("received-header = false", false)] {
            let account = home.account(settings);
            let line = with(&home, &account, &Options::default(), |run| run.received_line());
            assert_eq!(!line.is_empty(), expected, "{settings}");
            let line = String::from_utf8(line).unwrap();
            assert!(!expected || (line.starts_with("Received: ") && line.ends_with('\n')), "{line}");
        }
    }

    /// Another token is asked for only where a token was refused: a password that was refused is refused again.
    #[test]
    fn a_refused_password_has_no_other_token() {
        let home = Home::holding(&[]);
        let account = home.account("");
        let e = refused_login(RefusalReason::Credentials);
        let secret = Secret::new("pencil");
        with(&home, &account, &Options::default(), |run| {
            assert!(!run.has_other_token(&secret, &e).unwrap());
            assert_eq!(run.current(&secret).expose(), b"pencil");
        });
    }

    /// A dry run changes nothing but this: a server has replaced the token, so that the new one must be kept.
    #[test]
    fn a_token_that_a_dry_run_renewed_is_spoken_of() {
        for dry_run in [true, false] {
            let home = Home::holding(&[]);
            let options = Options { dry_run, ..Options::default() };
            with(&home, &home.account(""), &options, |run| run.refreshed("id.example.com", 3600));
            assert_eq!(home.reported().len(), usize::from(dry_run), "{:?}", home.reported());
        }
    }

    /// Where nobody looks at details none are made.
    #[test]
    fn details_cost_nothing_where_they_are_not_shown() {
        struct Blind;
        impl crate::report::Reporter for Blind {
            fn report(&self, _: &str, _: &crate::report::Event) {
                panic!("nothing is to be reported");
            }
            fn wants_detail(&self) -> bool {
                false
            }
            fn wants_dialogue(&self) -> bool {
                false
            }
        }
        let home = Home::holding(&[]);
        let (account, options) = (home.account(""), Options::default());
        let context = crate::retrieval::Context { reporter: std::sync::Arc::new(Blind), ..home.context() };
        let run = Run::new(&account, &options, &context, NOW);
        run.detail(|| panic!("it isn't made"));
        assert!(run.dialogue().is_none());
    }
}

//! `popfetch init`: from a mail address to an account that works.
//!
//! ```text
//! find.rs      address ─► server: the table of providers, DNS, autoconfig, guesses; each is connected to
//! login.rs     the password, and a login with it
//! choices.rs   what is retrieved, what stays, where it goes, where the password is kept
//! written.rs   the configuration, and what to type next
//! ```
//!
//! Everything is asked and tried before anything is written: a login that is refused, or a signal, leaves no trace.  A flag
//! answers its question; without a terminal flags answer all.

mod choices;
mod find;
mod login;
mod written;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::config::file;
use crate::account::{Account, FirstRun, Tls};
use crate::cli::questions::Questions;
use crate::cli::setup::{Cli, ConfigArgs};
use crate::config::{self, Addition, Existing, Flags};
use crate::discovery::{MailAddress, ServerCandidate};
use crate::exit::ExitCode;
use crate::report::ReportedError;
use crate::report::plain::{Level, Plain};
use crate::retrieval::Context;
use crate::secret::Secret;
use crate::text::printable;
use choices::{Leave, PasswordChoice};

/// Set an account up from its mail address.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct InitArgs {
    /// The mail address; may be left out where --server and --user are given, and is asked for at a terminal.
    #[arg(value_name = "ADDRESS", value_hint = clap::ValueHint::EmailAddress)]
    address: Option<String>,

    /// Call the account NAME.
    #[arg(long, value_name = "NAME", value_hint = clap::ValueHint::Other)]
    name: Option<String>,

    /// Print what would be added to the configuration, and write nothing.
    #[arg(long)]
    print: bool,

    /// Do not log in: the server is looked for, and the password is not asked for.
    #[arg(long)]
    no_login: bool,

    #[command(flatten)]
    settings: Flags,

    #[command(flatten)]
    config: ConfigArgs,
}

/// Sets an account up, to be logged in by `auth login` where its provider takes tokens only.  Nothing is written unless all of it worked.
///
/// # Errors
/// There is no home directory; the system.
pub(super) fn run(args: &InitArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let path = file(&args.config, cli)?;
    let reporter = Plain::new(Arc::clone(&cli.printer), Level::Normal, &[]);
    cli.run(Arc::new(reporter), |context| {
        let set_up = config::existing(&path, &cli.environment)
            .map_err(|e| ReportedError::of(&e, true))
            .and_then(|existing| Init::new(args, cli, context, path, existing).run());
        match set_up {
            Ok(()) => ExitCode::Done,
            // The signal ends the process; nothing needs to be said.
            Err(_) if context.stop.raised() => ExitCode::Later,
            Err(failure) => {
                cli.printer.complain(&failure.message, failure.hint.as_deref());
                cli.printer.err("nothing was written\n");
                failure.exit
            }
        }
    })
}

/// What an account is set up with.
struct Init<'a> {
    args: &'a InitArgs,
    cli: &'a Cli,
    context: &'a Context<'a>,
    /// `None` where there is nobody to ask.
    questions: Option<Questions>,
    /// The configuration.
    path: PathBuf,
    existing: Existing,
}

/// A server that is there, with the user's name at it.
struct ChosenServer {
    candidate: ServerCandidate,
    /// What the account is called.
    name: String,
}

/// What the user has chosen, and what flags leave open.
#[derive(Default)]
struct Choices {
    kept: Option<PasswordChoice>,
    first_run: Option<FirstRun>,
    leave: Option<Leave>,
    deliver: Option<choices::DestinationChoice>,
}

impl<'a> Init<'a> {
    fn new(
        args: &'a InitArgs,
        cli: &'a Cli,
        context: &'a Context<'a>,
        path: PathBuf,
        existing: Existing,
    ) -> Self {
        let questions = Questions::open(&cli.environment, &context.stop);
        Self { args, cli, context, questions, path, existing }
    }

    fn run(self) -> Result<(), ReportedError> {
        let mut chosen = self.find()?;
        // What is wrong with the flags shows before a password is asked for.
        self.account(&chosen, &Choices::default())?;
        let entered = self.log_in(&mut chosen)?;
        let choices = self.choose(&chosen, &entered)?;
        self.write(&chosen, choices, entered)
    }

    /// Says something to the user.
    fn say(&self, text: &str) {
        self.cli.printer.err(&format!("{text}\n"));
    }

    /// Whether a flag sets one of these keys.
    fn is_set(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.args.settings.text(key).is_some())
    }

    /// The provider that gives tokens, where it takes nothing else: the login is then another command's.
    fn by_oauth(&self, candidate: &ServerCandidate) -> Option<&'static str> {
        let is_given = self.is_set(&login::SOURCES) || self.is_set(&["auth"]);
        candidate.provider.filter(|_| candidate.oauth_only && !is_given)?.oauth.as_deref()
    }

    /// The address that was given, or is asked for where nothing else tells the server.
    fn address(&self) -> Result<Option<MailAddress>, ReportedError> {
        let text = match (&self.args.address, &self.questions) {
            (Some(text), _) => text.clone(),
            (None, _) if self.is_set(&["server"]) && self.is_set(&["user"]) => return Ok(None),
            (None, Some(questions)) => questions.ask("Your mail address:")?,
            (None, None) => {
                return Err(usage("which mail address?", "popfetch init me@example.com"));
            }
        };
        MailAddress::parse(&text).map(Some).map_err(|what| usage(&what, "popfetch init me@example.com"))
    }

    /// The account as it is with these choices.
    fn account(&self, chosen: &ChosenServer, choices: &Choices) -> Result<Account, ReportedError> {
        self.added(chosen, choices).map(|(_, _, account)| account)
    }

    /// The section with these choices, the whole configuration with it, and the account as it then is.
    fn added(
        &self,
        chosen: &ChosenServer,
        choices: &Choices,
    ) -> Result<(Addition, Secret, Account), ReportedError> {
        let ServerCandidate { host, port, tls, .. } = &chosen.candidate;
        let mut explicit = false;
        loop {
            let addition = self.addition(chosen, choices, explicit);
            let added = config::with_addition(&self.path, &self.existing, &addition, &self.cli.environment);
            let (whole, account) = added.map_err(|e| ReportedError::of(&e, true))?;
            // [defaults] may set other values: then ours stand in the section.
            if explicit || (&account.host, account.port, account.tls) == (host, *port, *tls) {
                return Ok((addition, whole, account));
            }
            explicit = true;
        }
    }

    /// The section: what was found, the flags, and what was chosen; with `explicit` also what is the default.
    fn addition(&self, chosen: &ChosenServer, choices: &Choices, explicit: bool) -> Addition {
        let ServerCandidate { host, port, tls, user, .. } = &chosen.candidate;
        let usual = if *tls == Tls::Implicit { 995 } else { 110 };
        let mut addition = Addition::new(&chosen.name);
        addition.set("server", host.as_str());
        if explicit || *port != usual {
            addition.set("port", i64::from(*port));
        }
        match tls {
            Tls::Implicit if !explicit => {}
            Tls::Implicit => addition.set("tls", "implicit"),
            Tls::StartTls => addition.set("tls", "starttls"),
            Tls::None => addition.set("tls", "none"),
        }
        addition.set("user", user.as_str());
        addition.set_flags(&self.args.settings, &self.cli.environment.current_directory);
        if let Some(provider) = self.by_oauth(&chosen.candidate) {
            addition.set_one("oauth", "provider", provider);
        }
        choices::set(choices, &mut addition);
        if !addition.has("deliver") && !self.existing.delivers {
            addition.set_one("deliver", "maildir", format!("~/Mail/{}", dollars(&chosen.name)));
        }
        addition
    }
}

/// A path's text in which no variable is meant.
fn dollars(text: &str) -> String {
    text.replace('$', "$$").replace('/', "-")
}

/// A mistake on the command line.
fn usage(what: &str, hint: &str) -> ReportedError {
    let (message, hint) = (what.to_owned(), Some(hint.to_owned()));
    ReportedError { exit: ExitCode::Usage, message, hint, news: true }
}

/// A server for people: `pop.example.com, port 995, TLS from the start`.
fn described(candidate: &ServerCandidate) -> String {
    let how = match candidate.tls {
        Tls::Implicit => "TLS from the start",
        Tls::StartTls => "TLS by STLS",
        Tls::None => "without TLS",
    };
    format!("{}, port {}, {how}", printable(candidate.host.as_bytes()), candidate.port)
}

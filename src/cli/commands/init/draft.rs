//! The account that is being set up: what is known of it, what the user has chosen, and the section that these make.

use std::path::PathBuf;

use clap::Args;

use crate::account::{Account, FirstRun, Tls};
use crate::cli::questions::Questions;
use crate::cli::setup::{Cli, ConfigArgs};
use crate::config::{self, Addition, Existing, Flags};
use crate::credentials::{Keep, Keeper};
use crate::discovery::{MailAddress, ServerCandidate};
use crate::exit::ExitCode;
use crate::report::ReportedError;
use crate::retrieval::Context;
use crate::secret::Secret;
use crate::text::printable;

/// Set an account up from its mail address.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct InitArgs {
    /// The mail address; may be left out where --server and --user are given, and is asked for at a terminal.
    #[arg(value_name = "ADDRESS", value_hint = clap::ValueHint::EmailAddress)]
    pub(super) address: Option<String>,

    /// Call the account NAME.
    #[arg(long, value_name = "NAME", value_hint = clap::ValueHint::Other)]
    pub(super) name: Option<String>,

    /// Print what would be added to the configuration, and write nothing.
    #[arg(long)]
    pub(super) print: bool,

    /// Do not log in: the server is looked for, and the password is not asked for.
    #[arg(long)]
    pub(super) no_login: bool,

    #[command(flatten)]
    pub(super) settings: Flags,

    #[command(flatten)]
    pub(super) config: ConfigArgs,
}

/// What an account is set up with.
pub(super) struct Init<'a> {
    pub(super) args: &'a InitArgs,
    pub(super) cli: &'a Cli,
    pub(super) context: &'a Context<'a>,
    /// `None` where no user can be asked.
    pub(super) questions: Option<Questions>,
    /// The configuration.
    pub(super) path: PathBuf,
    pub(super) existing: Existing,
}

/// A server that is there, with the user's name at it.
pub(super) struct ChosenServer {
    pub(super) candidate: ServerCandidate,
    /// What the account is called.
    pub(super) name: String,
}

/// What the user has chosen, and what flags leave open.
#[derive(Default)]
pub(super) struct Choices {
    pub(super) kept: Option<PasswordChoice>,
    pub(super) first_run: Option<FirstRun>,
    pub(super) leave: Option<Leave>,
    pub(super) deliver: Option<DestinationChoice>,
}

/// What stays on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    All,
    Days(u32),
    Nothing,
}

/// Where mail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DestinationChoice {
    Maildir(String),
    Mbox(String),
    Pipe(String),
}

/// Where the password is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PasswordChoice {
    /// Nowhere yet: by this keeper.
    By(Keeper),
    /// There.
    There(Keep),
}

/// The settings of these choices.
pub(super) fn set(choices: &Choices, addition: &mut Addition) {
    match &choices.kept {
        Some(PasswordChoice::There(Keep::File(name))) => addition.set("password-file", dollars(name)),
        Some(PasswordChoice::There(Keep::Line(line))) => addition.set("password-command", line.as_str()),
        Some(PasswordChoice::There(Keep::List(words, _))) => addition.set_list("password-command", words),
        Some(PasswordChoice::By(_)) | None => {}
    }
    match choices.leave {
        Some(Leave::Days(days)) => addition.set_one("leave-on-server", "days", i64::from(days)),
        Some(Leave::Nothing) => addition.set("leave-on-server", false),
        Some(Leave::All) => addition.set("leave-on-server", true),
        None => {}
    }
    match choices.first_run {
        Some(FirstRun::NewOnly) => addition.set("first-run", "new-only"),
        Some(FirstRun::All) => addition.set("first-run", "all"),
        None => {}
    }
    match &choices.deliver {
        Some(DestinationChoice::Maildir(path)) => addition.set_one("deliver", "maildir", path.as_str()),
        Some(DestinationChoice::Mbox(path)) => addition.set_one("deliver", "mbox", path.as_str()),
        Some(DestinationChoice::Pipe(command)) => addition.set_one("deliver", "pipe", command.as_str()),
        None => {}
    }
}

/// The keys that name where a password comes from.
pub(super) const SOURCES: [&str; 4] = ["password-command", "password-file", "netrc", "credential"];

impl<'a> Init<'a> {
    pub(super) fn new(
        args: &'a InitArgs,
        cli: &'a Cli,
        context: &'a Context<'a>,
        path: PathBuf,
        existing: Existing,
    ) -> Self {
        let questions = Questions::open(&cli.environment, &context.stop);
        Self { args, cli, context, questions, path, existing }
    }

    /// Says something to the user.
    pub(super) fn say(&self, text: &str) {
        self.cli.printer.err(&format!("{text}\n"));
    }

    /// Whether a flag sets one of these keys.
    pub(super) fn is_set(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.args.settings.text(key).is_some())
    }

    /// The provider that gives tokens, where it takes nothing else: the login is then another command's.
    pub(super) fn by_oauth(&self, candidate: &ServerCandidate) -> Option<&'static str> {
        let is_given = self.is_set(&SOURCES) || self.is_set(&["auth"]);
        candidate.provider.filter(|_| candidate.oauth_only && !is_given)?.oauth.as_deref()
    }

    /// The address that was given, or is asked for where nothing else names the server.
    pub(super) fn address(&self) -> Result<Option<MailAddress>, ReportedError> {
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
    pub(super) fn account(&self, chosen: &ChosenServer, choices: &Choices) -> Result<Account, ReportedError> {
        self.added(chosen, choices).map(|(_, _, account)| account)
    }

    /// The section with these choices, the whole configuration with it, and the account as it then is.
    pub(super) fn added(
        &self,
        chosen: &ChosenServer,
        choices: &Choices,
    ) -> Result<(Addition, Secret, Account), ReportedError> {
        let ServerCandidate { host, port, tls, .. } = &chosen.candidate;
        let mut explicit = false;
        loop {
            let addition = self.addition(chosen, choices, explicit);
            let added = config::with_addition(&self.path, &self.existing, &addition, &self.cli.environment);
            let (whole, account) = added.map_err(|e| ReportedError::of(&e))?;
            // [defaults] may set other values: then the section sets ours.
            if explicit || (&account.host, account.port, account.tls) == (host, *port, *tls) {
                return Ok((addition, whole, account));
            }
            explicit = true;
        }
    }

    /// The section: what was found, the flags, and what was chosen; with `explicit` also what is the default.
    pub(super) fn addition(&self, chosen: &ChosenServer, choices: &Choices, explicit: bool) -> Addition {
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
        set(choices, &mut addition);
        if !addition.has("deliver") && !self.existing.delivers {
            addition.set_one("deliver", "maildir", format!("~/Mail/{}", dollars(&chosen.name)));
        }
        addition
    }
}

/// A path's text in which no variable is meant.
pub(super) fn dollars(text: &str) -> String {
    text.replace('$', "$$").replace('/', "-")
}

/// A mistake on the command line.
pub(super) fn usage(what: &str, hint: &str) -> ReportedError {
    let (message, hint) = (what.to_owned(), Some(hint.to_owned()));
    ReportedError { exit: ExitCode::Usage, message, hint, news: true }
}

/// A server for people: `pop.example.com, port 995, TLS from the start`.
pub(super) fn described(candidate: &ServerCandidate) -> String {
    let how = match candidate.tls {
        Tls::Implicit => "TLS from the start",
        Tls::StartTls => "TLS by STLS",
        Tls::None => "without TLS",
    };
    format!("{}, port {}, {how}", printable(candidate.host.as_bytes()), candidate.port)
}

//! What commands share: the printer, the configuration, the reporter, the surroundings of a run, and the arguments that
//! choose them.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::PossibleValue;
use clap::{ArgAction, Args, ValueEnum};

use super::pager;
use super::questions::agrees_while;
use crate::account::{Account, Deliver};
use crate::clock;
use crate::config::{self, Configuration, Flags, Request};
use crate::connection::Connectors;
use crate::delivery;
use crate::environment::Environment;
use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::report::json::Json;
use crate::report::plain::{Level, OutputForm, Plain, Printer};
use crate::report::progress::Progress;
use crate::report::terminal::stderr_is_journal;
use crate::report::{ReportedError, Reporter};
use crate::retrieval::Context;
use crate::signals::Stop;

/// Which configuration is read.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigArgs {
    /// Read this configuration instead of ~/.config/popfetch/config.toml.
    #[arg(id = "config", long = "config", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
}

/// What is printed.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArgs {
    /// Print nothing unless something needs your attention.
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Print what is done and why; twice, the dialogue with the server as well.
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Print one JSON object per line, for programs.
    #[arg(long)]
    pub(crate) json: bool,

    /// Use colours: auto does on a terminal unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_short_help = true)]
    pub(crate) color: Color,
}

impl OutputArgs {
    fn level(&self) -> Level {
        if self.quiet { Level::Quiet } else { level(self.verbose) }
    }
}

/// What is printed where `-v` is given that often.
pub(super) fn level(verbose: u8) -> Level {
    match verbose {
        0 => Level::Normal,
        1 => Level::Details,
        _ => Level::Dialogue,
    }
}

/// Which configuration a command that only reads goes by, and how it shows what it has found.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,

    /// Print one JSON object per line, for programs.
    #[arg(long)]
    pub(crate) json: bool,

    /// Print long output without $PAGER.
    #[arg(long)]
    pub(crate) no_pager: bool,

    /// Use colours: auto does on a terminal unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

/// Reads the duration of a flag.
///
/// # Errors
/// What a duration looks like.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text).map_err(|mistake| mistake.hint.unwrap_or(mistake.what))
}

/// When there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Color {
    /// On a terminal that knows colours, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

// By hand, because the derived one makes help of the variants' documentation, three lines where one word is enough.
impl ValueEnum for Color {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Always, Self::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }))
    }
}

/// What every command has at hand.
#[derive(Debug)]
pub(super) struct Cli {
    /// The environment of this process, read once.
    pub(super) environment: Environment,
    /// The owner of both output streams.
    pub(super) printer: Arc<Printer>,
    /// The whole command line, described: what `help` shows.
    pub(super) grammar: fn() -> clap::Command,
}

impl Cli {
    pub(super) fn new(environment: Environment, color: Color, grammar: fn() -> clap::Command) -> Self {
        let printer = Arc::new(printer(color, &environment));
        Self { environment, printer, grammar }
    }

    /// The configuration's file: the one that `args` name, else the usual one.
    ///
    /// # Errors
    /// There is no home directory.
    pub(super) fn configuration_file(&self, args: &ConfigArgs) -> anyhow::Result<PathBuf> {
        Ok(match &args.file {
            Some(path) => self.environment.current_directory.join(path),
            None => self.environment.configuration_file()?,
        })
    }

    /// Reports an error with its hint, after what it is about (`account "work"`, or nothing); its exit code.
    pub(super) fn complain(&self, about: &str, e: &dyn Problem) -> ExitCode {
        let what = if about.is_empty() { e.to_string() } else { format!("{about}: {e}") };
        self.printer.complain(&what, e.hint().as_deref());
        e.exit_code()
    }

    /// The accounts that `accounts` name (all of them without any), with `flags` over their settings.
    ///
    /// # Errors
    /// Whatever is wrong with the names, the flags or the configuration.
    pub(super) fn configuration(
        &self,
        config: &ConfigArgs,
        accounts: &[String],
        flags: &Flags,
    ) -> anyhow::Result<Configuration> {
        let request =
            Request { file: config.file.clone(), accounts: accounts.to_vec(), flags: flags.clone() };
        Ok(config::for_run(&request, &self.environment)?)
    }

    /// The same accounts, by their settings in the configuration alone.
    ///
    /// # Errors
    /// As of [`Cli::configuration`].
    pub(super) fn accounts(&self, config: &ConfigArgs, names: &[String]) -> anyhow::Result<Vec<Account>> {
        Ok(self.configuration(config, names, &Flags::default())?.accounts)
    }

    /// The account that `name` names; without it, the only one of the configuration.
    ///
    /// # Errors
    /// As of [`Cli::configuration`], and several accounts without a name.
    pub(super) fn account(&self, config: &ConfigArgs, name: Option<&str>) -> anyhow::Result<Account> {
        let names: Vec<String> = name.map(str::to_owned).into_iter().collect();
        Ok(config::only(self.configuration(config, &names, &Flags::default())?)?)
    }

    /// Whether the user insists, `named` saying whether an account was: then a pause after a refused login doesn't hold.
    pub(super) fn insists(&self, named: bool) -> bool {
        named || self.environment.stdin_is_terminal || io::stderr().is_terminal()
    }

    /// Reports what kept a command from its work at this account; its exit code.
    pub(super) fn failed(&self, account: &Account, failure: &ReportedError) -> ExitCode {
        let what = format!("account \"{}\": {}", account.name, failure.message);
        self.printer.complain(&what, failure.hint.as_deref());
        failure.exit
    }

    /// Prints what was asked for: through the pager if it is longer than the terminal.
    pub(super) fn show(&self, text: &str, args: &ReadArgs) {
        if args.no_pager || args.json {
            self.printer.out(text);
        } else {
            pager::print(text, &self.environment, &self.printer);
        }
    }

    /// Reports what happens to these accounts as `output` asks: in bars on a terminal, else in lines or objects.
    pub(super) fn reporter(&self, output: &OutputArgs, accounts: &[Account]) -> Arc<dyn Reporter> {
        let level = output.level();
        let names = names(accounts);
        let home = self.environment.home.as_deref();
        let plain = Plain::new(Arc::clone(&self.printer), level, &names).at_home(home);
        if output.json {
            return Arc::new(Json::new(plain));
        }
        let is_watched = matches!(level, Level::Normal | Level::Details)
            && io::stderr().is_terminal()
            && !is_dumb(&self.environment)
            && !others_print(accounts, io::stdout().is_terminal());
        if is_watched { Arc::new(Progress::new(plain, &names)) } else { Arc::new(plain) }
    }

    /// Reports what happens to these accounts in lines.
    pub(super) fn lines(&self, level: Level, accounts: &[Account]) -> Arc<Plain> {
        Arc::new(Plain::new(Arc::clone(&self.printer), level, &names(accounts)))
    }

    /// Runs `work`, which may take its time with servers and mailboxes.  A signal that comes meanwhile stops it in order;
    /// then this does not come back, and the process dies by that signal.
    ///
    /// # Errors
    /// The system: no signal handler, no place for the state.
    pub(super) fn run(
        &self,
        reporter: Arc<dyn Reporter>,
        work: impl FnOnce(&Context<'_>) -> ExitCode,
    ) -> anyhow::Result<ExitCode> {
        let stop = Stop::on_signals().context("cannot wait for signals")?;
        let context = Context {
            state: self.environment.state_directory()?,
            stop: stop.clone(),
            connectors: &Connectors::new(),
            reporter,
            host_name: clock::host_name(),
            environment: &self.environment,
            stdout_is_regular_file: delivery::stdout::is_regular_file(),
        };
        let code = work(&context).merge(self.printer.outcome());
        stop.die();
        Ok(code)
    }

    /// Runs `work`, which waits for no server.  A signal that comes meanwhile is as in [`Cli::run`].
    ///
    /// # Errors
    /// The system: no signal handler.
    pub(super) fn stoppable(&self, work: impl FnOnce(&Stop) -> ExitCode) -> anyhow::Result<ExitCode> {
        let stop = Stop::on_signals().context("cannot wait for signals")?;
        let code = work(&stop).merge(self.printer.outcome());
        stop.die();
        Ok(code)
    }

    /// Whether the user agrees, asked at the terminal.  Anything but a yes is a no: another answer, none, a signal.
    pub(super) fn agrees(&self, question: &str, stop: &Stop) -> bool {
        agrees_while(&self.environment, question, &mut |input| stop.wait_for(input))
    }

    /// Whether a question can be asked, or needs none (`yes`).  Reports that it cannot, `hint` naming what does without.
    pub(super) fn can_ask(&self, yes: bool, hint: &str) -> bool {
        let can_ask = yes || self.environment.may_ask;
        if !can_ask {
            self.printer.complain("without a terminal nobody can be asked", Some(hint));
        }
        can_ask
    }
}

fn names(accounts: &[Account]) -> Vec<&str> {
    accounts.iter().map(|account| account.name.as_str()).collect()
}

/// Whether messages are written to the terminal while bars would be there.
fn others_print(accounts: &[Account], stdout_is_terminal: bool) -> bool {
    let prints_mail = |account: &Account| account.deliver.contains(&Deliver::Stdout);
    stdout_is_terminal && accounts.iter().any(prints_mail)
}

/// A printer for the reader of standard error: a terminal, the journal, or a file.
pub(super) fn printer(color: Color, environment: &Environment) -> Printer {
    let is_terminal = io::stderr().is_terminal();
    let form = match is_terminal {
        true => OutputForm::Terminal,
        false if stderr_is_journal(environment.variable("JOURNAL_STREAM")) => OutputForm::Journal,
        false => OutputForm::Log,
    };
    Printer::new(wants_color(color, environment, is_terminal), form)
}

/// Whether a stream gets colours that is, or isn't, a terminal.
pub(super) fn wants_color(color: Color, environment: &Environment, is_terminal: bool) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        // https://no-color.org: set, and not empty.
        Color::Auto => is_terminal && environment.variable("NO_COLOR").is_none() && !is_dumb(environment),
    }
}

/// Whether the terminal knows neither colours nor how to move the cursor.
pub(super) fn is_dumb(environment: &Environment) -> bool {
    environment.variable("TERM").is_some_and(|term| term == "dumb")
}

#[cfg(test)]
mod tests {
    use super::{Color, Environment, is_dumb, wants_color};

    #[test]
    fn colours_are_for_terminals_that_know_them() {
        let cases: [(Color, bool, &str, bool); 7] = [
            (Color::Auto, true, "TERM=xterm", true),
            (Color::Auto, true, "NO_COLOR=", true),
            (Color::Auto, true, "NO_COLOR=1", false),
            (Color::Auto, true, "TERM=dumb", false),
            (Color::Auto, false, "TERM=xterm", false),
            (Color::Always, false, "NO_COLOR=1", true),
            (Color::Never, true, "TERM=xterm", false),
        ];
        for (color, is_terminal, variable, expected) in cases {
            let (name, value) = variable.split_once('=').unwrap();
            let variables = [(name.into(), value.into())].into();
            let environment = Environment { variables, ..Environment::default() };
            assert_eq!(wants_color(color, &environment, is_terminal), expected, "{color:?} {variable}");
        }
        assert!(!is_dumb(&Environment::default()));
    }
}

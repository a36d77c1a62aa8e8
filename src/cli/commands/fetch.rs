//! The command that needs no name: retrieves the mail of the accounts named, or of all of them.

use std::io::{self, IsTerminal as _};
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::Context as _;

use crate::account::{Account, Auth, Deliver, PasswordSource, Retention};
use crate::cli::args::Arguments;
use crate::cli::is_dumb;
use crate::clock;
use crate::config::locate::Environment;
use crate::config::{self, Configuration, Request};
use crate::connection::Connectors;
use crate::delivery;
use crate::exit::ExitCode;
use crate::report::Reporter;
use crate::report::json::Json;
use crate::report::plain::{Level, Plain, Printer};
use crate::report::progress::Progress;
use crate::retrieval::jobs::{Connections, retrieve_all};
use crate::retrieval::{Context, Options};
use crate::stop::Stop;

/// Retrieves, and gives the exit code of all accounts together.  Does not come back if a signal ended the run.
///
/// # Errors
/// What keeps every account from being tried: the arguments, the configuration, the system.
pub(in crate::cli) fn run(
    arguments: &Arguments,
    environment: &Environment,
    printer: &Arc<Printer>,
) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals().context("cannot wait for signals")?;
    let configuration = configuration(arguments, environment)?;
    let options = Options {
        retention: retention(arguments),
        all: arguments.all,
        dry_run: arguments.dry_run,
        wait: arguments.wait,
        insist: names_account(arguments) || environment.stdin_is_terminal || io::stderr().is_terminal(),
    };
    let stdout_is_regular_file = delivery::stdout::is_regular_file();
    for account in &configuration.accounts {
        let retention = options.retention.unwrap_or(account.retention);
        config::check_stdout(&Account { retention, ..account.clone() }, stdout_is_regular_file)?;
        if arguments.json {
            config::check_json(account)?;
        }
    }
    if !arguments.quiet {
        configuration.warnings.iter().for_each(|warning| printer.warn(warning));
    }
    let context = Context {
        state: environment.state_directory()?,
        stop: stop.clone(),
        connectors: &Connectors::new(),
        reporter: reporter(arguments, environment, printer, &configuration.accounts),
        host_name: clock::host_name(),
        environment,
        stdout_is_regular_file,
    };
    let connections = connections(arguments, &configuration);
    let code = retrieve_all(&configuration.accounts, &options, &context, connections);
    let code = code.merge(printer.outcome());
    stop.die();
    Ok(code)
}

fn configuration(arguments: &Arguments, environment: &Environment) -> anyhow::Result<Configuration> {
    let request = Request {
        file: arguments.config.clone(),
        accounts: arguments.accounts.clone(),
        flags: arguments.settings.clone(),
    };
    Ok(config::for_run(&request, environment)?)
}

fn retention(arguments: &Arguments) -> Option<Retention> {
    match (arguments.keep, arguments.delete) {
        (true, _) => Some(Retention::Keep),
        (false, true) => Some(Retention::Delete),
        (false, false) => None,
    }
}

/// Whether the user asked for just these accounts.
fn names_account(arguments: &Arguments) -> bool {
    !arguments.accounts.is_empty() || arguments.settings.name_server()
}

fn connections(arguments: &Arguments, configuration: &Configuration) -> Connections {
    // The configuration allows no zeros.
    let configured = |connections| NonZeroUsize::new(connections).unwrap_or(NonZeroUsize::MIN);
    Connections {
        total: arguments.jobs.unwrap_or_else(|| configured(configuration.connections)),
        per_server: configured(configuration.connections_per_server),
    }
}

fn reporter(
    arguments: &Arguments,
    environment: &Environment,
    printer: &Arc<Printer>,
    accounts: &[Account],
) -> Arc<dyn Reporter> {
    let level = match (arguments.quiet, arguments.verbose) {
        (true, _) => Level::Quiet,
        (false, 0) => Level::Normal,
        (false, 1) => Level::Details,
        (false, _) => Level::Dialogue,
    };
    let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    let plain = Plain::new(Arc::clone(printer), level, &names);
    if arguments.json {
        return Arc::new(Json::new(plain));
    }
    let is_watched = matches!(level, Level::Normal | Level::Details)
        && io::stderr().is_terminal()
        && !is_dumb(environment)
        && !others_print(accounts, io::stdout().is_terminal());
    if is_watched { Arc::new(Progress::new(plain, &names)) } else { Arc::new(plain) }
}

/// Whether something else writes to the terminal while bars would be there: messages, or questions for passwords.
fn others_print(accounts: &[Account], stdout_is_terminal: bool) -> bool {
    let prints_mail = |account: &Account| account.deliver.contains(&Deliver::Stdout);
    let asks = |account: &Account| {
        matches!(account.password, PasswordSource::Prompt) && account.auth != Auth::External
    };
    (stdout_is_terminal && accounts.iter().any(prints_mail))
        || (accounts.len() > 1 && accounts.iter().any(asks))
}

//! `popfetch state release ACCOUNT`: gives up unfinished deliveries, after showing what may be delivered twice.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use anyhow::Context as _;

use crate::cli::args::Release;
use crate::clock;
use crate::config::locate::Environment;
use crate::config::{self, Flags, Request};
use crate::connection::Connectors;
use crate::delivery;
use crate::exit::ExitCode;
use crate::problem::Problem as _;
use crate::report::plain::{Level, Plain, Printer};
use crate::retrieval::{Context, Offer, release};
use crate::stop::Stop;

/// Asks, gives up, and gives the exit code: 75 when something stays unfinished.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(in crate::cli) fn release_account(
    arguments: &Release,
    environment: &Environment,
    printer: &Arc<Printer>,
) -> anyhow::Result<ExitCode> {
    let somebody_is_there = environment.stdin_is_terminal && io::stderr().is_terminal();
    if !arguments.yes && !somebody_is_there {
        let hint = "with -y, what is unfinished is given up unasked";
        printer.complain("without a terminal nobody can be asked", Some(hint));
        return Ok(ExitCode::Usage);
    }
    let stop = Stop::on_signals().context("cannot wait for signals")?;
    let request = Request {
        file: arguments.config.clone(),
        accounts: vec![arguments.account.clone()],
        flags: Flags::default(),
    };
    let configuration = config::for_run(&request, environment)?;
    let names = [arguments.account.as_str()];
    let context = Context {
        state: environment.state_directory()?,
        stop: stop.clone(),
        connectors: &Connectors::new(),
        reporter: Arc::new(Plain::new(Arc::clone(printer), Level::Normal, &names)),
        host_name: clock::host_name(),
        environment,
        stdout_is_regular_file: delivery::stdout::is_regular_file(),
    };
    let mut code = ExitCode::Done;
    for account in &configuration.accounts {
        let mut asked = |offer: &Offer| {
            offer.consequences.iter().for_each(|line| printer.out(&format!("{line}\n")));
            arguments.yes || agrees()
        };
        match release(account, &context, arguments.destination.as_deref(), &mut asked) {
            Ok((offer, agreed)) => {
                let outcome = match (offer.consequences.is_empty(), agreed) {
                    (true, _) => "nothing is given up: nothing is unfinished that could be",
                    (false, true) => "given up",
                    (false, false) => "nothing is given up",
                };
                printer.out(&format!("{outcome}\n"));
                for line in &offer.remains {
                    printer.warn(&format!("unfinished still: {line}"));
                    code = code.merge(ExitCode::Later);
                }
            }
            Err(e) => {
                printer.complain(&format!("account \"{}\": {e}", account.name), e.hint().as_deref());
                code = code.merge(e.exit_code());
            }
        }
    }
    stop.die();
    Ok(code)
}

fn agrees() -> bool {
    // There is nowhere to report that this failed.
    let _ = write!(io::stderr(), "give it up? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

//! `popfetch state release`: gives up unfinished deliveries.

use clap::Args;

use crate::cli::setup::{Cli, ConfigArgs};
use crate::exit::ExitCode;
use crate::report::plain::Level;
use crate::retrieval::{self, ReleaseOffer};

/// Give up unfinished deliveries to destinations that are no longer configured, or are gone.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ReleaseArgs {
    /// The account whose deliveries are given up.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) account: String,

    /// Give up a configured destination too, of this name or a part of it, whose folder is gone.
    #[arg(long, value_name = "TEXT", value_hint = clap::ValueHint::AnyPath)]
    pub(in crate::cli) destination: Option<String>,

    /// Do not ask.
    #[arg(short, long)]
    pub(in crate::cli) yes: bool,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// Says what may come twice, asks, gives up, and gives the exit code: 75 when something stays unfinished.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(args: &ReleaseArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    if !cli.can_ask(args.yes, "with -y what is unfinished is given up unasked") {
        return Ok(ExitCode::Usage);
    }
    let accounts = cli.accounts(&args.config, std::slice::from_ref(&args.account))?;
    cli.run(cli.lines(Level::Normal, &accounts), |context| {
        let mut code = ExitCode::Done;
        for account in &accounts {
            let mut asked = |offer: &ReleaseOffer| {
                offer.consequences.iter().for_each(|line| cli.printer.out(&format!("{line}\n")));
                args.yes || cli.agrees("give it up?", &context.stop)
            };
            match retrieval::release(account, context, args.destination.as_deref(), &mut asked) {
                Ok((offer, agreed)) => {
                    let outcome = match (offer.consequences.is_empty(), agreed) {
                        (true, _) => "nothing is given up: nothing is unfinished that could be",
                        (false, true) => "given up",
                        (false, false) => "nothing is given up",
                    };
                    cli.printer.out(&format!("{outcome}\n"));
                    for line in &offer.remains {
                        cli.printer.warn(&format!("unfinished still: {line}"));
                        code = code.merge(ExitCode::Later);
                    }
                }
                Err(e) => code = code.merge(cli.complain(&format!("account \"{}\"", account.name), &e)),
            }
        }
        code
    })
}

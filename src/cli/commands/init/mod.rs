//! `popfetch init`: from a mail address to an account that works.
//!
//! ```text
//! draft.rs     the account as far as it is known, and the section that comes of it
//! find.rs      address ─► server: the table of providers, DNS, autoconfig, guesses; each is connected to
//! login.rs     the password, and a login with it
//! choices.rs   what is retrieved, what stays, where it goes, where the password is kept
//! written.rs   the configuration, and what to type next
//! ```
//!
//! Everything is asked and tried before anything is written: a login that is refused, or a signal, leaves no trace.  A flag
//! answers its question; without a terminal flags answer all.

mod choices;
mod draft;
mod find;
mod login;
mod written;

pub(in crate::cli) use draft::InitArgs;

use crate::cli::setup::Cli;
use crate::config;
use crate::exit::ExitCode;
use crate::report::ReportedError;
use crate::report::plain::Level;
use draft::{Choices, Init};

/// Sets an account up, to be logged in by `auth login` where its provider takes tokens only.  Nothing is written unless all of it worked.
///
/// # Errors
/// There is no home directory; the system.
pub(super) fn run(args: &InitArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let path = cli.configuration_file(&args.config)?;
    cli.run(cli.lines(Level::Normal, &[]), |context| {
        let set_up = config::existing(&path, &cli.environment)
            .map_err(|e| ReportedError::of(&e))
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

impl Init<'_> {
    fn run(self) -> Result<(), ReportedError> {
        let mut chosen = self.find()?;
        // What is wrong with the flags shows before a password is asked for.
        self.account(&chosen, &Choices::default())?;
        let entered = self.log_in(&mut chosen)?;
        let choices = self.choose(&chosen, &entered)?;
        self.write(&chosen, choices, entered)
    }
}

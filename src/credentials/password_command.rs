//! `password-command`: what a program's output, end and complaint mean.

use std::io;
use std::time::Duration;

use super::error::{Error, quoted};
use super::first_line::{LONGEST, first_line};
use crate::access::Owner;
use crate::process::{self, NoEnd, Program};
use crate::secret::Secret;
use crate::signals::Stop;
use crate::text::size;

/// How long a password-command may take; some ask the user for a passphrase.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(60);

const HINT: &str = "run it by hand: its first line of output must be the password";

/// The first line of the program's output; as `owner`, if there is one.
///
/// # Errors
/// It can't be started, takes longer than `limit`, fails, or prints nothing.
pub(super) fn run(
    argv: &[String],
    owner: Option<&Owner>,
    limit: Duration,
    stop: &Stop,
) -> Result<Secret, Error> {
    let failed = |what: String| Error::missing(what, HINT);
    let late = || {
        if stop.raised() {
            return Error::Stopped { waiting_for: "password-command ran" };
        }
        failed(format!("password-command took longer than {} s", limit.as_secs()))
    };
    let program = argv.first().ok_or_else(|| failed("password-command is empty".to_owned()))?;
    let longest = usize::try_from(LONGEST).unwrap_or_default();
    let ended =
        process::run(Program { argv, owner, input: None, limit, longest }, stop).map_err(|failure| {
            match failure {
                NoEnd::Start(e) => cannot_run(program, &e),
                NoEnd::NoRoom(e) => {
                    Error::NoResources { what: format!("password-command did not start: {e}") }
                }
                NoEnd::Wait(e) => failed(format!("password-command: {e}")),
                NoEnd::Late => late(),
            }
        })?;
    if !ended.status.success() {
        if stop.raised() {
            // Ctrl-C reaches the program, too.
            return Err(late());
        }
        return Err(failed(format!("password-command {}", ended.failure())));
    }
    let password = first_line(ended.printed.expose());
    if password.expose().is_empty() {
        return Err(failed("password-command printed nothing on its first line".to_owned()));
    }
    if password.expose().len() >= longest {
        return Err(failed(format!("password-command printed a line of {} or more", size(LONGEST))));
    }
    Ok(password)
}

/// The program's name is shown, but for one with a blank: a whole command line in the place of a program, which may hold
/// anything.
fn cannot_run(program: &str, error: &io::Error) -> Error {
    if program.contains(char::is_whitespace) {
        return Error::missing(
            format!("password-command: cannot run its first element: {error}"),
            "a list is executed as it is, an element for each argument; a command line for the shell is a string",
        );
    }
    Error::missing(format!("password-command: cannot run {}: {error}", quoted(program)), HINT)
}

//! `password-command`: what a program's output, end and complaint mean.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use super::error::Error;
use super::error::quoted;
use super::process::{self, NoEnd};
use super::{LONGEST, first_line};
use crate::access::Owner;
use crate::secret::Secret;
use crate::signals::Stop;
use crate::text::{printable, shortened, size};

/// How long a password-command may take; some ask the user for a passphrase.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Of a program's complaint this much is shown.
const COMPLAINT_CHARACTERS: usize = 200;

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
    let ended = process::run(argv, owner, limit, longest, stop).map_err(|failure| match failure {
        NoEnd::Start(e) => cannot_run(program, &e),
        NoEnd::Wait(e) => failed(format!("password-command: {e}")),
        NoEnd::Late => late(),
    })?;
    if !ended.status.success() {
        if stop.raised() {
            // Ctrl-C reaches the program, too.
            return Err(late());
        }
        let complaint = complained(first_line(ended.complaint.expose()).expose());
        return Err(failed(format!("password-command {}{complaint}", outcome(ended.status))));
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

fn outcome(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}

/// The first line of what a program complained, made safe.
fn complained(line: &[u8]) -> String {
    let line = printable(line);
    if line.is_empty() { line } else { format!(": {}", shortened(&line, COMPLAINT_CHARACTERS)) }
}

//! The prompt: at the process's terminal whatever its standard streams are, without echo, ended by a signal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios};

use super::error::{Error, quoted};
use crate::account::Account;
use crate::environment::{Environment, TERMINAL};
use crate::secret::Secret;
use crate::signals::Stop;
use crate::text::printable;

/// How often a signal is looked for while the user types.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

const STOPPED: Error = Error::Stopped { waiting_for: "a password was asked for" };

const HINT: &str = "set one of password-command, password-file, netrc, credential or password";

/// Asks for the password at the terminal.  Several threads that ask wait for each other.
///
/// # Errors
/// Where there is no terminal, nothing was typed, or a signal came.
pub(super) fn ask(account: &Account, environment: &Environment, stop: &Stop) -> Result<Secret, Error> {
    if !environment.may_ask {
        let what =
            format!("account {} names no source, and there is no terminal to ask at", quoted(&account.name));
        return Err(Error::missing(what, HINT));
    }
    let prompt = format!(
        "Password for {} at {}: ",
        printable(account.user.as_bytes()),
        printable(account.host.as_bytes())
    );
    typed(prompt, stop)
}

/// Asks at the terminal, without echo.  Several threads that ask wait for each other.
///
/// # Errors
/// Nothing was typed, or a signal came.
pub(crate) fn typed(prompt: String, stop: &Stop) -> Result<Secret, Error> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // There is nothing behind the lock that a panic could have spoilt.
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if stop.raised() {
        return Err(STOPPED);
    }
    let echo = Echo::remember();
    // Reading a terminal can't be interrupted: it's done in a thread, which is left behind at a signal.
    let (sender, typed) = channel();
    let reading = std::thread::Builder::new().spawn(move || {
        // After a signal nothing receives it any more.
        let _ = sender.send(rpassword::prompt_password(prompt).map(Secret::new));
    });
    reading.map_err(|e| Error::missing(format!("the terminal cannot be read: {e}"), HINT))?;
    let typed = loop {
        match typed.recv_timeout(BETWEEN_LOOKS) {
            Ok(typed) => break typed,
            Err(RecvTimeoutError::Timeout) if !stop.raised() => {}
            Err(RecvTimeoutError::Timeout) => {
                echo.restore();
                return Err(STOPPED);
            }
            Err(RecvTimeoutError::Disconnected) => break Err(io::Error::other("the prompt failed")),
        }
    };
    let typed = typed.map_err(|e| Error::missing(format!("nothing came from the terminal: {e}"), HINT))?;
    if typed.expose().is_empty() {
        return Err(Error::missing("nothing was typed", HINT));
    }
    Ok(typed)
}

/// The terminal as it was before a prompt, which switches its echo off.
struct Echo(Option<(File, Termios)>);

impl Echo {
    fn remember() -> Self {
        let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL).ok();
        Self(terminal.and_then(|terminal| {
            let was = rustix::termios::tcgetattr(&terminal).ok()?;
            Some((terminal, was))
        }))
    }

    fn restore(&self) {
        if let Some((terminal, was)) = &self.0 {
            // A terminal that is gone needs no echo.
            let _ = rustix::termios::tcsetattr(terminal, OptionalActions::Now, was);
            let _ = (&*terminal).write_all(b"\n");
        }
    }
}

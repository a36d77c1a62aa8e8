//! The prompt: at the process's terminal whatever its standard streams are, without echo, ended by a signal.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags};
use rustix::termios::{LocalModes, OptionalActions, Termios};

use super::LONGEST;
use super::error::{Error, quoted};
use super::first_line;
use crate::account::Account;
use crate::config::locate::{Environment, TERMINAL};
use crate::secret::Secret;
use crate::signals::Stop;
use crate::text::printable;

const STOPPED: Error = Error::Stopped { waiting_for: "a password was asked for" };

/// Asks for the password at the terminal.  Several threads that ask wait for each other.
///
/// # Errors
/// Where there is no terminal, nothing was typed, or a signal came.
pub(super) fn ask(account: &Account, environment: &Environment, stop: &Stop) -> Result<Secret, Error> {
    const HINT: &str = "set one of password-command, password-file, netrc, credential or password";
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
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
    // There is nothing behind the lock that a panic could have spoilt.
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if stop.raised() {
        return Err(STOPPED);
    }
    let typed = File::options()
        .read(true)
        .write(true)
        .open(TERMINAL)
        .and_then(|terminal| read_line(&terminal, &prompt, stop))
        .map_err(|e| Error::missing(format!("nothing came from the terminal: {e}"), HINT))?;
    match typed {
        None => Err(STOPPED),
        Some(typed) if typed.expose().is_empty() => Err(Error::missing("nothing was typed", HINT)),
        Some(typed) => Ok(typed),
    }
}

/// A line from the terminal, without its end; none if a signal came first.
fn read_line(terminal: &File, prompt: &str, stop: &Stop) -> io::Result<Option<Secret>> {
    let mut terminal = terminal;
    let silent = Silent::begin(terminal)?;
    terminal.write_all(prompt.as_bytes())?;
    // In one place: what a buffer that grows leaves behind isn't wiped.
    let mut line = vec![0; usize::try_from(LONGEST).unwrap_or_default()];
    let mut length = 0_usize;
    loop {
        let mut waited = [
            PollFd::new(&terminal, PollFlags::IN),
            PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN),
        ];
        match rustix::event::poll(&mut waited, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        if stop.raised() {
            return Ok(None);
        }
        let [terminal_ready, _] = waited.map(|waited| !waited.revents().is_empty());
        if !terminal_ready {
            continue;
        }
        let room = line.get_mut(length..).unwrap_or_default();
        let read = terminal.read(room)?;
        let ends = read == 0 || room.get(..read).is_some_and(|octets| octets.contains(&b'\n'));
        length = length.saturating_add(read);
        if ends {
            break;
        }
    }
    drop(silent);
    line.truncate(length);
    Ok(Some(first_line(Secret::new(line).expose())))
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    was: Termios,
}

impl<'a> Silent<'a> {
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let was = rustix::termios::tcgetattr(terminal)?;
        let mut silent = was.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        silent.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
        rustix::termios::tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, was })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.  The end of the line was typed unseen.
        let _ = rustix::termios::tcsetattr(self.terminal, OptionalActions::Now, &self.was);
        let _ = self.terminal.write_all(b"\n");
    }
}

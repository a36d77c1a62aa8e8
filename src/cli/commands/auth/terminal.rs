//! Where the user sits while logging in: standard error shows, the terminal takes what is pasted, a browser is opened.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};

use crate::cli::setup::Cli;
use crate::environment::{Environment, TERMINAL};
use crate::oauth::{LoginTerminal, UserPlace};

/// What is pasted has at most this many octets.
const LONGEST: usize = 64 * 1024;

/// The user's terminal.
pub(super) struct Terminal<'a> {
    cli: &'a Cli,
    input: Option<File>,
    /// What was typed, up to the last line end that has come.
    typed: RefCell<Vec<u8>>,
}

impl<'a> Terminal<'a> {
    /// The process's terminal; where it has none, standard input, which another program may write to.
    pub(super) fn new(cli: &'a Cli) -> Self {
        let standard_input =
            || std::io::stdin().as_fd().try_clone_to_owned().map(|fd: OwnedFd| File::from(fd));
        let input = File::open(TERMINAL).or_else(|_| standard_input()).ok();
        Self { cli, input, typed: RefCell::default() }
    }
}

/// Where the user sits, by the environment.
pub(super) fn place(environment: &Environment, no_browser: bool) -> UserPlace {
    let is_set = |name| environment.variable(name).is_some();
    UserPlace {
        has_browser: !no_browser && (is_set("BROWSER") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")),
        is_remote: is_set("SSH_CONNECTION") && !is_set("BROWSER"),
    }
}

impl LoginTerminal for Terminal<'_> {
    fn show(&self, text: &str) {
        self.cli.printer.err(&format!("{text}\n"));
    }

    fn open(&self, address: &str) -> bool {
        let wanted = self.cli.environment.variable("BROWSER");
        let wanted = wanted.map(|list| list.to_string_lossy().into_owned()).unwrap_or_default();
        let mut programs: Vec<&str> =
            wanted.split(':').filter(|program| !program.trim().is_empty()).collect();
        programs.push("xdg-open");
        programs.into_iter().any(|program| start(program, address))
    }

    fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(|input| input.as_fd())
    }

    fn typed(&self) -> Option<String> {
        let mut typed = self.typed.borrow_mut();
        let mut buffer = [0; 4096];
        let read = self.input.as_ref()?.read(&mut buffer).ok()?;
        typed.extend(buffer.iter().take(read));
        let end = typed.iter().position(|octet| *octet == b'\n');
        match end {
            Some(end) => {
                let line = typed.drain(..=end).collect::<Vec<_>>();
                Some(String::from_utf8_lossy(&line).into_owned())
            }
            None if read == 0 || typed.len() > LONGEST => None,
            // The rest of the line is on its way.
            None => Some(String::new()),
        }
    }
}

/// Starts a browser, as `$BROWSER` names it: `%s` is replaced by the address, which otherwise comes last.  Whether it was started.
fn start(program: &str, address: &str) -> bool {
    let mut words: Vec<OsString> = program.split_whitespace().map(OsString::from).collect();
    let place = words.iter_mut().find(|word| *word == "%s");
    match place {
        Some(word) => *word = address.into(),
        None => words.push(address.into()),
    }
    let Some((name, arguments)) = words.split_first() else { return false };
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(mut browser) => {
            // It may live longer than popfetch; a launcher is waited for, so that it leaves nothing behind.
            let _ = std::thread::Builder::new().spawn(move || browser.wait());
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Environment, UserPlace, place};

    #[test]
    fn where_the_user_sits() {
        for (variables, no_browser, has_browser, is_remote) in [
            (&[][..], false, false, false),
            (&["DISPLAY"][..], false, true, false),
            (&["WAYLAND_DISPLAY"], false, true, false),
            (&["DISPLAY"], true, false, false),
            (&["DISPLAY", "SSH_CONNECTION"], false, true, true),
            (&["BROWSER", "SSH_CONNECTION"], false, true, false),
            (&["SSH_CONNECTION"], false, false, true),
        ] {
            let variables = variables.iter().map(|name| ((*name).into(), "x".into())).collect();
            let environment = Environment { variables, ..Environment::default() };
            assert_eq!(place(&environment, no_browser), UserPlace { has_browser, is_remote });
        }
    }
}

//! Questions that are asked at the process's terminal, whatever its standard streams are, and answered by a line.  A signal
//! ends the wait for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};

use crate::environment::{Environment, TERMINAL};
use crate::exit::ExitCode;
use crate::report::ReportedError;
use crate::signals::Stop;

/// Octets of a line at most.
const LONGEST: usize = 4096;
/// How often a question is asked again whose answers mean nothing.
const MOST: u32 = 5;

/// The terminal of this process.
#[derive(Debug)]
pub(super) struct Questions {
    terminal: File,
    stop: Stop,
}

impl Questions {
    /// `None` where the process has no terminal.
    pub(super) fn open(environment: &Environment, stop: &Stop) -> Option<Self> {
        Some(Self { terminal: terminal(environment)?, stop: stop.clone() })
    }

    /// Asks; the answer is a line without the blanks around it, and may be empty.
    ///
    /// # Errors
    /// A signal; the end of input.
    pub(super) fn ask(&self, question: &str) -> Result<String, ReportedError> {
        answer(&self.terminal, question, &mut |input| self.stop.wait_for(input))
    }

    /// Asks for one of several words, which may be cut short; the first one is what an empty answer means.
    ///
    /// # Errors
    /// As of [`Questions::ask`]; too many answers that are not one of the words.
    pub(super) fn choose(
        &self,
        question: &str,
        words: &[&'static str],
    ) -> Result<&'static str, ReportedError> {
        let (first, rest) = words.split_first().ok_or_else(no_answer)?;
        let others: String = rest.iter().map(|word| format!("/{word}")).collect();
        let question = format!("{question} [{}{others}]", first.to_uppercase());
        for _ in 0..MOST {
            let answer = self.ask(&question)?.to_lowercase();
            if answer.is_empty() {
                return Ok(first);
            }
            if let Some(word) = words.iter().find(|word| word.starts_with(&answer)) {
                return Ok(word);
            }
        }
        Err(no_answer())
    }

    /// Asks for a yes; anything else is a no.
    ///
    /// # Errors
    /// As of [`Questions::ask`].
    pub(super) fn agrees(&self, question: &str) -> Result<bool, ReportedError> {
        Ok(is_yes(&self.ask(&yes_or_no(question))?))
    }
}

/// Whether the user agrees.  Anything but a yes is a no: another answer, none, no terminal.  `wait` waits until there is
/// something to read, and is `false` where the question is given up.
pub(super) fn agrees_while(
    environment: &Environment,
    question: &str,
    wait: &mut dyn FnMut(BorrowedFd<'_>) -> bool,
) -> bool {
    let answer = terminal(environment).map(|terminal| answer(&terminal, &yes_or_no(question), wait));
    answer.and_then(Result::ok).is_some_and(|answer| is_yes(&answer))
}

fn yes_or_no(question: &str) -> String {
    format!("{question} [y/N]")
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.to_lowercase().as_str(), "y" | "yes")
}

fn terminal(environment: &Environment) -> Option<File> {
    if !environment.may_ask {
        return None;
    }
    OpenOptions::new().read(true).write(true).open(TERMINAL).ok()
}

/// Shows the question, and reads a line.
fn answer(
    mut terminal: &File,
    question: &str,
    wait: &mut dyn FnMut(BorrowedFd<'_>) -> bool,
) -> Result<String, ReportedError> {
    // Where it can't be shown nothing will be typed.
    let _ = terminal.write_all(format!("{question} ").as_bytes());
    let mut line = Vec::new();
    let mut octet = [0];
    let unanswered = loop {
        if !wait(terminal.as_fd()) {
            break stopped();
        }
        match terminal.read(&mut octet) {
            Ok(1) if octet == [b'\n'] => return Ok(String::from_utf8_lossy(&line).trim().to_owned()),
            Ok(1) if line.len() < LONGEST => line.extend_from_slice(&octet),
            Ok(1) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => break no_answer(),
        }
    };
    // What is printed next begins a line.
    let _ = terminal.write_all(b"\n");
    Err(unanswered)
}

fn stopped() -> ReportedError {
    ReportedError {
        exit: ExitCode::Later,
        message: "stopped by a signal while a question was asked".to_owned(),
        hint: None,
        news: true,
    }
}

fn no_answer() -> ReportedError {
    ReportedError {
        exit: ExitCode::Usage,
        message: "a question was not answered".to_owned(),
        hint: Some("every answer can be a flag: popfetch help init".to_owned()),
        news: true,
    }
}

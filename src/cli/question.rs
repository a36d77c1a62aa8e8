//! A question at the process's terminal, wherever the standard streams lead: `popfetch state forget home --all < /dev/null`
//! still asks, as the prompt for a password does.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};

use crate::config::locate::TERMINAL;
use crate::signals::Stop;

/// Whether the user agrees.  Anything but a yes is a no: another answer, a terminal that cannot be asked, a signal.
pub(super) fn agrees(question: &str, stop: &Stop) -> bool {
    agrees_while(question, &mut |input| stop.wait_for(input))
}

/// [`agrees`]; `wait` waits until there is something to read, and is `false` where the question is given up.
pub(super) fn agrees_while(question: &str, wait: &mut dyn FnMut(BorrowedFd<'_>) -> bool) -> bool {
    answer(&format!("{question} [y/N] "), wait)
        .is_some_and(|answer| matches!(answer.as_str(), "y" | "Y" | "yes"))
}

/// What the user answers, a line without the blanks around it; `None` where there is no answer.
pub(super) fn answer(question: &str, wait: &mut dyn FnMut(BorrowedFd<'_>) -> bool) -> Option<String> {
    let mut terminal = OpenOptions::new().read(true).write(true).open(TERMINAL).ok()?;
    write!(terminal, "{question}").ok()?;
    let mut answer = String::new();
    let has_answer =
        wait(terminal.as_fd()) && BufReader::new(&terminal).read_line(&mut answer).is_ok_and(|read| read > 0);
    if !has_answer {
        // What is printed next begins a line.
        let _ = writeln!(terminal);
        return None;
    }
    Some(answer.trim().to_owned())
}

//! Where the shell's lines come from: a terminal with an editor, or a pipe.
//!
//! A thread of its own reads them, a line each time it is asked, so that the session can be kept alive, and a signal
//! seen, while the user thinks.

use std::borrow::Cow;
use std::io::{self, BufRead as _, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Editor, Helper};

use super::input::WORDS;

/// The longest line that is read from a pipe, in octets.
const LONGEST: u64 = 4096;
/// Lines that the history keeps.
const MOST_REMEMBERED: usize = 1000;

/// What a line was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C: the line is given up.
    Interrupted,
    /// There are no more.
    End,
}

/// Lines, one at a time.
pub(super) struct LineEditor {
    asked: SyncSender<()>,
    lines: Receiver<Typed>,
    wake: PipeReader,
    /// The terminal as it was before the editor changed it.
    before: Option<Termios>,
}

impl LineEditor {
    /// From the terminal.  `prompt` is shown before each line; the lines are kept in `history` for later sessions.
    ///
    /// # Errors
    /// The system: no pipe, no terminal.
    pub(super) fn typed(prompt: String, history: PathBuf) -> io::Result<Self> {
        let config = Config::builder().max_history_size(MOST_REMEMBERED).map_err(io::Error::other)?.build();
        let mut editor: Editor<WordCompleter, DefaultHistory> =
            Editor::with_config(config).map_err(io::Error::other)?;
        editor.set_helper(Some(WordCompleter));
        // There is none before the first session.
        let _ = editor.load_history(&history);
        let before = tcgetattr(io::stdin()).ok();
        let read = move || match editor.readline(&prompt) {
            Ok(line) => {
                if !line.trim().is_empty() {
                    let _ = editor.add_history_entry(&line);
                    // Without a place for it, it lasts as long as the session.
                    let _ = editor.append_history(&history);
                }
                Typed::Line(line)
            }
            Err(ReadlineError::Interrupted) => Typed::Interrupted,
            Err(_) => Typed::End,
        };
        Self::from(read, before)
    }

    /// From standard input.
    ///
    /// # Errors
    /// The system: no pipe.
    pub(super) fn piped() -> io::Result<Self> {
        let read = || {
            let mut line = String::new();
            match io::stdin().lock().take(LONGEST).read_line(&mut line) {
                Ok(octets) if octets > 0 => Typed::Line(line.trim_end_matches(['\r', '\n']).to_owned()),
                // What isn't text is no command: what follows it can't be meant either.
                _ => Typed::End,
            }
        };
        Self::from(read, None)
    }

    fn from(mut read: impl FnMut() -> Typed + Send + 'static, before: Option<Termios>) -> io::Result<Self> {
        let (wake, mut waker): (PipeReader, PipeWriter) = io::pipe()?;
        let (asked, questions) = sync_channel(1);
        let (answers, lines) = sync_channel(1);
        std::thread::Builder::new().name("lines".to_owned()).spawn(move || {
            while questions.recv().is_ok() {
                if answers.send(read()).is_err() || waker.write_all(&[0]).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { asked, lines, wake, before })
    }

    /// Has the next line read.
    pub(super) fn ask(&self) {
        // Where the thread has died, no line comes: that is the end.
        let _ = self.asked.send(());
    }

    /// Readable as soon as the line is there.
    pub(super) fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// The line that was asked for.
    pub(super) fn take(&mut self) -> Typed {
        let _ = self.wake.read(&mut [0]);
        self.lines.recv().unwrap_or(Typed::End)
    }
}

impl Drop for LineEditor {
    /// The thread may still be in the editor, which has changed the terminal.
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Completes the first word of a line.
struct WordCompleter;

impl Completer for WordCompleter {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..at).unwrap_or_default();
        let begins = typed.trim_start();
        let is_first = !begins.contains(char::is_whitespace);
        let fits = WORDS.iter().filter(|word| {
            let start = word.name.get(..begins.len());
            is_first && start.is_some_and(|start| start.eq_ignore_ascii_case(begins))
        });
        let pair = |name: &str| Pair { display: name.to_owned(), replacement: format!("{name} ") };
        Ok((typed.len().saturating_sub(begins.len()), fits.map(|word| pair(word.name)).collect()))
    }
}

impl Hinter for WordCompleter {
    type Hint = String;
}

impl Highlighter for WordCompleter {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}

impl Validator for WordCompleter {}

impl Helper for WordCompleter {}

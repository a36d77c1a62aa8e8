//! `popfetch shell`: POP3 by hand, with the account's TLS and login.

mod input;
mod lines;

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;

use clap::Args;

use super::show;
use crate::account::Account;
use crate::cli::questions::agrees_while;
use crate::cli::setup::{Cli, ConfigArgs};
use crate::exit::ExitCode;
use crate::message::date;
use crate::report::ReportedError;
use crate::report::plain::Level;
use crate::retrieval::Options;
use crate::retrieval::by_hand::{AnswerPiece, ByHand, Farewell, KnownAs, ReadCommand, Waited, by_hand};
use crate::text::{count, printable, size};
use crate::types::{MessageNumber, wide};
use input::{ShellInput, ShellWord, WORDS};
use lines::{LineEditor, Typed};

/// Talk POP3 with an account's server by hand.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ShellArgs {
    /// The account whose server answers; may be left out where there is one.
    #[arg(value_name = "ACCOUNT|URL", value_hint = clap::ValueHint::Other)]
    pub(in crate::cli) account: Option<String>,

    /// Stop at the first -ERR, without quit: nothing is deleted.
    #[arg(long)]
    pub(in crate::cli) strict: bool,

    /// Do not ask before messages are deleted that were never delivered.
    #[arg(short, long)]
    pub(in crate::cli) yes: bool,

    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// Octets of a message that are shown at most.
const MOST: usize = 16 * 1024 * 1024;
/// The name of the file with the lines of earlier sessions, in the state directory.
const HISTORY: &str = "shell-history";

/// Logs in, and does what is typed, or comes through a pipe.
///
/// # Errors
/// The arguments, the configuration, the system.
pub(super) fn run(args: &ShellArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let account = cli.account(&args.config, args.account.as_deref())?;
    let is_typed = cli.environment.stdin_is_terminal && io::stdout().is_terminal();
    let history = cli.environment.state_directory()?.join(HISTORY);
    let options = Options { insist: true, ..Options::default() };
    cli.run(cli.lines(Level::Normal, std::slice::from_ref(&account)), |context| {
        let led = by_hand(&account, &options, context, |hand| {
            let prompt = format!("{}> ", printable(account.name.as_bytes()));
            let lines = if is_typed { LineEditor::typed(prompt, history) } else { LineEditor::piped() };
            match lines {
                Ok(lines) => {
                    ShellSession { args, cli, account: &account, hand, is_typed, raw: false }.run(lines)
                }
                Err(e) => {
                    cli.printer.complain(&format!("lines can't be read: {e}"), None);
                    ExitCode::LocalIo
                }
            }
        });
        led.unwrap_or_else(|failure| cli.failed(&account, &failure))
    })
}

/// One session.
struct ShellSession<'a> {
    args: &'a ShellArgs,
    cli: &'a Cli,
    account: &'a Account,
    hand: ByHand<'a>,
    /// Whether there is a user at a terminal.
    is_typed: bool,
    /// Whether messages are shown as they are on the server.
    raw: bool,
}

/// How a session ends.
enum ShellEnd {
    /// By `QUIT`.
    Quit,
    /// Without it, with this exit code.
    Abort(ExitCode),
}

impl ShellSession<'_> {
    fn run(mut self, mut lines: LineEditor) -> ExitCode {
        if self.is_typed {
            let messages = count(wide(self.hand.messages()), "message");
            self.say(&format!("{}: {messages}; help lists the commands", self.hand.server()));
        }
        let end = loop {
            match self.line(&mut lines) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(end)) => break end,
                // The connection is gone, and with it the session.
                Err(failure) => {
                    drop(lines);
                    return self.cli.failed(self.account, &failure);
                }
            }
        };
        drop(lines);
        match end {
            ShellEnd::Quit => self.quit(),
            ShellEnd::Abort(code) => {
                self.hand.abort();
                code
            }
        }
    }

    /// Reads a line, and does what it asks for.
    fn line(&mut self, lines: &mut LineEditor) -> Result<ControlFlow<ShellEnd>, ReportedError> {
        lines.ask();
        if self.hand.wait(lines.wake())? == Waited::Stopped {
            return Ok(ControlFlow::Break(ShellEnd::Abort(ExitCode::Done)));
        }
        match lines.take() {
            Typed::Line(line) => match input::parse(&line) {
                Ok(input) => self.answer(input),
                Err(what) => {
                    self.cli.printer.warn(&what);
                    Ok(if self.args.strict {
                        ControlFlow::Break(ShellEnd::Abort(ExitCode::Usage))
                    } else {
                        ControlFlow::Continue(())
                    })
                }
            },
            Typed::Interrupted => {
                self.say("quit ends the session, abort ends it without deleting anything");
                Ok(ControlFlow::Continue(()))
            }
            Typed::End => Ok(ControlFlow::Break(self.without_quit())),
        }
    }

    /// The lines have ended, and none of them was `quit`: what is marked isn't deleted.
    fn without_quit(&self) -> ShellEnd {
        let marked = self.hand.marked().len();
        if marked == 0 {
            return ShellEnd::Abort(ExitCode::Done);
        }
        let messages = count(wide(marked), "message");
        self.cli.printer.complain(
            &format!("{messages} marked, and not deleted: the session ended without quit"),
            Some("end with quit to have them deleted, with abort to keep them"),
        );
        ShellEnd::Abort(ExitCode::Later)
    }

    fn answer(&mut self, input: ShellInput) -> Result<ControlFlow<ShellEnd>, ReportedError> {
        let ok = match input {
            ShellInput::Blank => true,
            ShellInput::Ask(question) => self.ask(question)?,
            ShellInput::Dele(number) => self.mark(number)?,
            ShellInput::Raw(raw) => {
                self.raw = raw;
                true
            }
            ShellInput::Help(word) => {
                self.help(word);
                true
            }
            ShellInput::Quit if self.may_delete() => return Ok(ControlFlow::Break(ShellEnd::Quit)),
            ShellInput::Quit if self.is_typed => true,
            ShellInput::Quit => return Ok(ControlFlow::Break(ShellEnd::Abort(ExitCode::Usage))),
            ShellInput::Abort => return Ok(ControlFlow::Break(ShellEnd::Abort(ExitCode::Done))),
        };
        Ok(if !ok && self.args.strict {
            ControlFlow::Break(ShellEnd::Abort(ExitCode::Later))
        } else {
            ControlFlow::Continue(())
        })
    }

    /// Whether what is marked may be deleted: what was never delivered is gone for good.
    fn may_delete(&mut self) -> bool {
        let undelivered = self.hand.undelivered();
        if undelivered.is_empty() || self.args.yes {
            return true;
        }
        let numbers: Vec<String> = undelivered.iter().map(ToString::to_string).collect();
        let messages = count(wide(undelivered.len()), "message");
        let what =
            format!("{messages} would be deleted that popfetch never delivered: {}", numbers.join(", "));
        if self.is_typed {
            self.say(&what);
            let mut wait = |input: BorrowedFd<'_>| matches!(self.hand.wait(input), Ok(Waited::Woken));
            return agrees_while(&self.cli.environment, "delete them?", &mut wait);
        }
        self.cli.printer.complain(&what, Some("with -y they are deleted; nothing is deleted now"));
        false
    }

    fn ask(&mut self, question: ReadCommand) -> Result<bool, ReportedError> {
        let mut answer = Vec::new();
        let (mut text, mut is_cut) = (Vec::new(), false);
        let ok = self.hand.ask(question, |piece| match piece {
            AnswerPiece::Status(ok, words) => answer.push(status(ok, words)),
            AnswerPiece::Line(line) => answer.push(line.to_vec()),
            AnswerPiece::Text(octets) => {
                let room = MOST.saturating_sub(text.len());
                is_cut |= room < octets.len();
                text.extend_from_slice(octets.get(..room).unwrap_or(octets));
            }
        })?;
        for line in answer {
            self.say(&self.hand.shown(&line));
        }
        if !text.is_empty() {
            self.message(question, &text);
        }
        if is_cut {
            let most = size(wide(MOST));
            self.say(&format!("[only the first {most}: popfetch show --raw writes all of it]"));
        }
        Ok(ok)
    }

    fn message(&self, question: ReadCommand, text: &[u8]) {
        if !self.raw && matches!(question, ReadCommand::Retr(_)) {
            self.cli.printer.out(&show::decoded(text));
            return;
        }
        for line in text.strip_suffix(b"\n").unwrap_or(text).split(|octet| *octet == b'\n') {
            self.say(&self.hand.shown(line));
        }
    }

    fn mark(&mut self, number: MessageNumber) -> Result<bool, ReportedError> {
        let mut answer = Vec::new();
        let ok = self.hand.mark(number, |piece| {
            if let AnswerPiece::Status(ok, words) = piece {
                answer = status(ok, words);
            }
        })?;
        self.say(&self.hand.shown(&answer));
        if ok && self.is_typed {
            let what = match self.hand.known(number) {
                KnownAs::Delivered(Some(time)) => format!("it was delivered on {}", date::rfc5322(time)),
                KnownAs::Delivered(None) => "it was delivered".to_owned(),
                KnownAs::Seen => "it counts as seen, and was not delivered by popfetch".to_owned(),
                KnownAs::Undelivered => "popfetch never delivered it".to_owned(),
            };
            self.say(&format!(
                "message {number} is marked: {what}; quit deletes it, rset takes the mark back"
            ));
        }
        Ok(ok)
    }

    fn help(&self, word: Option<&'static ShellWord>) {
        let words = word.map_or_else(|| WORDS.iter().collect(), |word| vec![word]);
        for ShellWord { name, arguments, help } in words {
            self.say(&format!("{:16}  {help}", format!("{name} {arguments}")));
        }
    }

    /// Ends the session by `QUIT`.
    fn quit(self) -> ExitCode {
        let Self { cli, account, hand, .. } = self;
        let marked = hand.marked().len();
        let messages = count(wide(marked), "message");
        match hand.quit() {
            Ok(Farewell::Confirmed) => {
                if marked > 0 {
                    cli.printer.out(&format!("{messages} deleted\n"));
                }
                ExitCode::Done
            }
            Ok(_) if marked == 0 => ExitCode::Done,
            Ok(Farewell::Refused(text)) => {
                let what =
                    format!("the server refused quit, so {messages} may or may not be deleted: \"{text}\"");
                cli.printer.complain(&what, Some("the next listing shows it"));
                ExitCode::Later
            }
            Ok(Farewell::Unanswered) => {
                let what = format!("the server did not answer quit, so {messages} may or may not be deleted");
                cli.printer.complain(&what, Some("the next listing shows it"));
                ExitCode::Later
            }
            Err(failure) => cli.failed(account, &failure),
        }
    }

    fn say(&self, line: &str) {
        self.cli.printer.out(&format!("{line}\n"));
    }
}

/// A status line as it came.
fn status(ok: bool, words: &[u8]) -> Vec<u8> {
    let mut line = if ok { b"+OK ".to_vec() } else { b"-ERR ".to_vec() };
    line.extend_from_slice(words);
    line.truncate(line.trim_ascii_end().len());
    line
}

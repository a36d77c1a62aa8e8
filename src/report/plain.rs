//! Lines for people: one for each account without a terminal, only what needs the user with `--quiet`, everything with `-v`.  And [`Printer`], which owns standard output and standard error: nothing else prints, so that no
//! line is torn by another thread's line or by a bar.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::dry_run::Plan;
use super::reasons::{self, Reasons};
use super::{Delivery, Event, Place, Postponed, Reporter, Summary};
use crate::exit::ExitCode;
use crate::text;
use crate::text::{count, in_home, printable, shortened, size};
use crate::types::{MessageNumber, Octets};

/// At most this many warnings about one account are printed, unless details are wanted.
const MOST_WARNINGS: u64 = 100;
/// At most this many characters of a warning or an error are printed.
const LONGEST: usize = 4000;
/// At most this many characters of an author or a subject are printed.
const LONGEST_WORDS: usize = 100;

/// Both output streams.  Standard output is for what was asked for, standard error for how it went.
pub struct Printer {
    streams: Mutex<Streams>,
    paint: Paint,
    around: Mutex<Option<Around>>,
}

struct Streams {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    // The first failure to write to standard output.
    failure: Option<io::Error>,
}

/// Clears the bars off the screen while its argument runs.
type Around = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

impl Printer {
    /// A printer on the streams of this process.  `color`: whether standard error gets colours.
    #[must_use]
    pub fn new(color: bool) -> Self {
        Self::onto(Box::new(io::stdout()), Box::new(io::stderr()), color)
    }

    /// A printer on other streams.
    #[must_use]
    pub fn onto(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, color: bool) -> Self {
        let streams = Mutex::new(Streams { out, err, failure: None });
        Self { streams, paint: Paint(color), around: Mutex::new(None) }
    }

    /// Prints inside `around` from now on, which clears the screen before and restores it after; no longer inside an
    /// earlier one, whose screen is over.
    pub(super) fn surround(&self, around: Around) {
        *self.around.lock().unwrap_or_else(PoisonError::into_inner) = Some(around);
    }

    /// Writes whole lines to standard output.
    pub fn out(&self, text: &str) {
        self.out_octets(text.as_bytes());
    }

    /// The same for octets that are no text.
    pub fn out_octets(&self, octets: &[u8]) {
        self.print(|streams| {
            if let Err(e) = streams.out.write_all(octets).and_then(|()| streams.out.flush()) {
                streams.failure.get_or_insert(e);
            }
        });
    }

    /// Writes octets to standard output as they are: never where that is a terminal.  Whether it takes more.
    pub fn octets(&self, octets: &[u8]) -> bool {
        self.print(|streams| {
            if streams.failure.is_none()
                && let Err(e) = streams.out.write_all(octets).and_then(|()| streams.out.flush())
            {
                streams.failure = Some(e);
            }
        });
        self.lock().failure.is_none()
    }

    /// Writes whole lines to standard error.  A failure is ignored: there is nowhere to report it.
    pub fn err(&self, text: &str) {
        self.print(|streams| {
            let _ = streams.err.write_all(text.as_bytes());
        });
    }

    /// Prints what went wrong, and then what to do.
    pub fn complain(&self, what: &str, hint: Option<&str>) {
        let mut text = format!("{} {what}\n", self.paint.error("popfetch:"));
        if let Some(hint) = hint {
            text.push_str(&format!("\n{} {hint}\n", self.paint.hint("hint:")));
        }
        self.err(&text);
    }

    /// Prints what the user should know.
    pub fn warn(&self, what: &str) {
        self.err(&format!("{} {what}\n", self.paint.warning("popfetch:")));
    }

    /// Whether standard output could be written: a closed pipe is not an error, a full disk is.
    #[must_use]
    pub fn outcome(&self) -> ExitCode {
        let failure = self.lock().failure.take();
        match failure {
            Some(e) if e.kind() != ErrorKind::BrokenPipe => {
                self.complain(&format!("cannot write to standard output: {e}"), None);
                ExitCode::LocalIo
            }
            _ => ExitCode::Done,
        }
    }

    fn print(&self, write: impl Fn(&mut Streams)) {
        let mut locked = || write(&mut self.lock());
        // Not called with the lock held: what it draws may print.
        let around = self.around.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match around {
            Some(around) => around(&mut locked),
            None => locked(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        // A panic while it is held leaves only whole values.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printer").field("paint", &self.paint).finish_non_exhaustive()
    }
}

/// Colours, or none.  They only repeat what the words mean.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn error(self, text: &str) -> String {
        self.sgr("1;31", text)
    }

    fn warning(self, text: &str) -> String {
        self.sgr("1;33", text)
    }

    fn hint(self, text: &str) -> String {
        self.sgr("1;36", text)
    }

    /// Select Graphic Rendition (ECMA-48 §8.3.117).
    fn sgr(self, codes: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{codes}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only what needs the user (`--quiet`).
    Quiet,
    /// A line for each account, warnings, failures.
    Normal,
    /// What is decided and why (`-v`).
    Details,
    /// The dialogue as well (`-vv`).
    Dialogue,
}

/// Renders a run as lines.
#[derive(Debug)]
pub struct Plain {
    printer: Arc<Printer>,
    level: Level,
    // As it is printed.
    home: Option<String>,
    // Where there are several accounts, the plan's lines name theirs.
    column: Option<usize>,
    // None where another renderer prints plans.
    plans: Option<Mutex<HashMap<String, Plan>>>,
    held: Mutex<HashMap<String, Held>>,
}

/// What is held back until an account is done, to be printed in a few lines whatever the number of messages.
#[derive(Debug, Default)]
struct Held {
    failed: Reasons,
    // The first message that failed for each of the reasons.
    first_failed: Vec<MessageNumber>,
    too_large: u64,
    first_too_large: Option<(MessageNumber, Octets)>,
    warnings: u64,
}

impl Held {
    /// The lines about it.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (reason, number) in self.failed.kept().iter().zip(&self.first_failed) {
            lines.push(match reason.times {
                1 => format!("message {number} failed and stays on the server: {}", reason.text),
                n => format!("{} failed: {}", count(n, "message"), reason.text),
            });
        }
        if self.failed.others() > 0 {
            let messages = count(self.failed.others(), "message");
            lines.push(format!("{messages} failed for other reasons: -v gives them all"));
        }
        if let Some((number, octets)) = self.first_too_large {
            let size = size(octets.0);
            lines.push(match self.too_large {
                1 => format!("message {number} ({size}) stays on the server: it is too large"),
                n => format!(
                    "{n} messages, the first of them message {number} ({size}), stay on the server: they are too large"
                ),
            });
        }
        if self.warnings > MOST_WARNINGS {
            let more = count(self.warnings.saturating_sub(MOST_WARNINGS), "warning");
            lines.push(format!("{more} not shown: -v shows all"));
        }
        lines
    }
}

impl Plain {
    /// A renderer for the run of these accounts.
    #[must_use]
    pub fn new(printer: Arc<Printer>, level: Level, accounts: &[&str]) -> Self {
        let widest = accounts.iter().map(|account| name(account).chars().count()).max();
        Self {
            printer,
            level,
            home: None,
            column: widest.filter(|_| accounts.len() > 1),
            plans: Some(Mutex::new(HashMap::new())),
            held: Mutex::new(HashMap::new()),
        }
    }

    /// The same, for a user whose home directory this is: paths in it begin with `~`.
    #[must_use]
    pub fn at_home(self, home: Option<&Path>) -> Self {
        Self { home: home.map(text::path), ..self }
    }

    /// The same, for standard error alone.
    pub(super) fn without_plans(self) -> Self {
        Self { plans: None, ..self }
    }

    /// Where it prints.
    pub(super) fn printer(&self) -> &Printer {
        &self.printer
    }

    fn warn(&self, account: &str, what: &str) {
        self.printer.warn(&format!("{}: {}", name(account), shortened(what, LONGEST)));
    }

    fn hold<T>(&self, account: &str, change: impl FnOnce(&mut Held) -> T) -> T {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked up before it is entered: there may be a call for each of a million messages.
        match held.get_mut(account) {
            Some(held) => change(held),
            None => change(held.entry(account.to_owned()).or_default()),
        }
    }

    /// Prints what went wrong in an account, and what to do.
    fn complain(&self, account: &str, what: &str, hint: Option<&str>) {
        let what = format!("account \"{}\": {}", name(account), shortened(what, LONGEST));
        self.printer.complain(&what, hint);
    }

    fn detail(&self, account: &str, what: &str) {
        if self.wants_detail() {
            self.printer.err(&format!("{}: {what}\n", name(account)));
        }
    }

    /// `message 3 (296 octets) from Ann Example "Lunch" → ~/Mail/home/new/1795.1`.
    fn delivered(&self, delivery: &Delivery) -> String {
        let Delivery { number, octets, from, subject, destinations, .. } = delivery;
        let mut line = number.map_or_else(|| "a message".to_owned(), |number| format!("message {number}"));
        line.push_str(&format!(" ({})", size(*octets)));
        if let Some(from) = from {
            line.push_str(&format!(" from {}", shortened(from, LONGEST_WORDS)));
        }
        if let Some(subject) = subject {
            line.push_str(&format!(" \"{}\"", shortened(subject, LONGEST_WORDS)));
        }
        let places: Vec<_> = destinations.iter().map(|place| self.place(place)).collect();
        format!("{line} → {}", places.join(", "))
    }

    /// Where a message is, as people write it.
    fn place<'a>(&self, place: &'a Place) -> Cow<'a, str> {
        match place.kind {
            "stdout" => Cow::Borrowed("standard output"),
            _ => in_home(place.shown(), self.home.as_deref()),
        }
    }

    fn intended(&self, account: &str, change: impl FnOnce(&mut Plan) -> Option<String>) {
        let Some(plans) = &self.plans else { return };
        let mut plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
        let prefix = || self.column.map_or_else(String::new, |width| format!("{:width$}  ", name(account)));
        let plan = plans.entry(account.to_owned()).or_insert_with(|| Plan::new(prefix()));
        let text = change(plan);
        // Printed while the plans are locked: another account's lines come before or after.
        if let Some(text) = text {
            self.printer.out(&text);
        }
    }

    fn finished(&self, account: &str, summary: &Summary) {
        let trouble = summary.trouble.as_ref();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
        held.iter().flat_map(Held::lines).for_each(|line| self.warn(account, &line));
        if summary.dry_run {
            // A plan that was cut off has no sums: they would not be true.
            self.intended(account, |plan| {
                Some(if trouble.is_none() { plan.finish() } else { plan.lines() })
                    .filter(|text| !text.is_empty())
            });
        } else if self.level > Level::Quiet && (trouble.is_none() || anything(summary)) {
            self.printer.err(&format!("{}: {}\n", name(account), outcome(summary)));
        }
        for condition in &summary.conditions {
            let wanted = match self.level {
                Level::Quiet => condition.news,
                // Else the account's line has it.
                _ => condition.messages == 0 || condition.hint.is_some(),
            };
            if wanted {
                self.complain(account, &condition.message, condition.hint.as_deref());
            }
        }
        if let Some(trouble) = trouble
            && (trouble.news || self.level > Level::Quiet)
        {
            self.complain(account, &trouble.message, trouble.hint.as_deref());
        }
    }
}

impl Reporter for Plain {
    fn stopping(&self, messages: u64) {
        let first = match messages {
            0 => String::new(),
            1 => ": 1 message on its way is finished first (10 s at most)".to_owned(),
            messages => format!(": {messages} messages on their way are finished first (10 s at most)"),
        };
        self.printer.warn(&format!("stopping{first}; Ctrl-C again stops now"));
    }

    fn report(&self, account: &str, event: &Event) {
        match event {
            Event::Connecting { server } => self.detail(account, &format!("connecting to {server}")),
            Event::LoggedIn { mechanism } => self.detail(account, &format!("logged in with {mechanism}")),
            Event::Listed { messages } => {
                self.detail(account, &format!("{} on the server", count(*messages, "message")));
            }
            Event::Planned { messages, octets } => {
                let octets = octets.map_or(String::new(), |octets| format!(" ({})", size(octets.0)));
                self.detail(account, &format!("{}{octets} to retrieve", count(*messages, "message")));
            }
            Event::Doing(_) | Event::Received { .. } | Event::Arrived => {}
            Event::Intended { number, unique_id, octets, action, why } => {
                self.intended(account, |plan| {
                    plan.push(*number, unique_id.as_deref(), *octets, *action, *why)
                });
            }
            Event::Recovered { delivered, dropped } => {
                let dropped = match dropped {
                    0 => String::new(),
                    1 => ", 1 comes again".to_owned(),
                    n => format!(", {n} come again"),
                };
                let delivered = count(*delivered, "message");
                self.detail(
                    account,
                    &format!("the last run was interrupted: {delivered} delivered now{dropped}"),
                );
            }
            Event::Delivered(delivery) => {
                if self.wants_detail() {
                    self.detail(account, &self.delivered(delivery));
                }
            }
            Event::MessageFailed { number, reason, news } => {
                if self.wants_detail() {
                    let reason = shortened(reason, reasons::LONGEST);
                    self.warn(account, &format!("message {number} failed and stays on the server: {reason}"));
                } else if *news || self.level > Level::Quiet {
                    self.hold(account, |held| {
                        held.failed.add(reason);
                        if held.failed.kept().len() > held.first_failed.len() {
                            held.first_failed.push(*number);
                        }
                    });
                }
            }
            Event::TooLarge { number, octets } => self.hold(account, |held| {
                held.too_large = held.too_large.saturating_add(1);
                held.first_too_large.get_or_insert((*number, *octets));
            }),
            // Most come back at each run; what needs the user ends the run, or is a notice.
            Event::Warning(text) => {
                let warned = || {
                    self.hold(account, |held| {
                        held.warnings = held.warnings.saturating_add(1);
                        held.warnings
                    })
                };
                if self.wants_detail() || (self.level > Level::Quiet && warned() <= MOST_WARNINGS) {
                    self.warn(account, text);
                }
            }
            Event::Notice(text) => self.warn(account, text),
            Event::Detail(text) => self.detail(account, text),
            Event::Dialogue(text) => {
                if self.wants_dialogue() {
                    self.printer.err(&format!("{} {text}\n", name(account)));
                }
            }
            Event::Finished(summary) => self.finished(account, summary),
        }
    }

    fn wants_detail(&self) -> bool {
        self.level >= Level::Details
    }

    fn wants_dialogue(&self) -> bool {
        self.level >= Level::Dialogue
    }
}

/// An account's name as it is shown: that of a URL's account comes from the URL.
pub(super) fn name(account: &str) -> String {
    printable(account.as_bytes())
}

fn anything(summary: &Summary) -> bool {
    summary.delivered > 0 || summary.deleted > 0 || summary.failed > 0
}

/// One account's run in one line.
fn outcome(summary: &Summary) -> String {
    let Summary { delivered, octets, deleted, listed, .. } = *summary;
    let mut parts = Vec::new();
    if delivered == 0 && deleted == 0 {
        let all_is_here = summary.failed == 0 && summary.postponed.messages == 0 && summary.trouble.is_none();
        let nothing = if all_is_here { "nothing new" } else { "nothing delivered" };
        parts.push(match listed {
            0 => format!("{nothing} (no messages on the server)"),
            n => format!("{nothing} ({} on the server)", count(n, "message")),
        });
    }
    if delivered > 0 {
        parts.push(format!("{} ({}) delivered", count(delivered, "message"), size(octets)));
    }
    if delivered > 0 || deleted > 0 {
        parts.push(format!("{deleted} deleted"));
    }
    if delivered > 0 || deleted > 0 {
        parts.push(format!("{} left", listed.saturating_sub(deleted)));
    }
    let failed = summary.conditions.iter().filter(|condition| condition.messages > 0);
    parts.extend(failed.map(|condition| condition.message.clone()));
    let Postponed { messages, by_messages, by_bytes } = summary.postponed;
    if messages > 0 {
        let limits: Vec<&str> = [(by_messages, "max-messages"), (by_bytes, "max-bytes")]
            .into_iter()
            .filter_map(|(by, limit)| by.then_some(limit))
            .collect();
        parts.push(format!("{messages} left for the next run ({})", limits.join(", ")));
    }
    parts.join(", ")
}

#[cfg(test)]
pub(crate) mod tests;

//! Lines for people: one for each account, aligned; errors that several accounts have in common, folded; only what needs the
//! user with `--quiet`, everything with `-v`.
//!
//! An account's line is printed as soon as it is done, so that nobody waits for the slowest server to see it, and a log
//! shows when it was.  Where there are several accounts, errors follow when all are done: only then it is known which of them
//! are the same.

mod held;
mod printer;
pub(super) mod row;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::dry_run::Plan;
use super::reasons;
use super::table::{padded, width};
use super::{ConditionKind, Delivery, Elsewhere, Event, Reporter, RunSummary, StoredAt};
use crate::text::{self, count, in_home, printable, shortened, size};
use crate::types::wide;
use held::{HeldBack, MOST_WARNINGS};
pub(crate) use printer::{OutputForm, Printer, Priority};
use row::{AccountRow, RowReason, Total, is_eventful, row};

/// At most this many characters of a warning or an error are printed.
const LONGEST: usize = 4000;
/// At most this many characters of an author or a subject are printed.
const LONGEST_WORDS: usize = 100;

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
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
pub(crate) struct Plain {
    printer: Arc<Printer>,
    level: Level,
    // As it is printed.
    home: Option<String>,
    // Where there are several accounts, the plan's lines name theirs.
    column: Option<usize>,
    // None where another renderer prints plans.
    plans: Option<Mutex<HashMap<String, Plan>>>,
    held: Mutex<HashMap<String, HeldBack>>,
    all: Mutex<All>,
}

/// What is known of all accounts together.
#[derive(Debug)]
struct All {
    started: Instant,
    /// The accounts, in the order of the configuration.
    order: Vec<String>,
    /// Where the mail of each account goes, as it is shown.
    to: HashMap<String, String>,
    /// Whether any account has had a line.
    has_lines: bool,
    total: Total,
    errors: Vec<FailedAccounts>,
}

/// An error of some accounts.
#[derive(Debug)]
struct FailedAccounts {
    accounts: Vec<String>,
    what: String,
    hint: Option<String>,
}

/// A line's first part is not made wider than this for the sake of another account's.
const WIDEST_NEWS: usize = 60;
/// Room for the number of new messages and their size.
const NUMBERS: usize = "1234 new, 99.9 MiB".len();
/// Accounts with the same error that are named.
const MOST_NAMED: usize = 3;

impl Plain {
    /// A renderer for the run of these accounts.
    #[must_use]
    pub(crate) fn new(printer: Arc<Printer>, level: Level, accounts: &[&str]) -> Self {
        let widest = accounts.iter().map(|account| width(&name(account))).max();
        let all = All {
            started: Instant::now(),
            order: accounts.iter().map(|account| name(account)).collect(),
            to: HashMap::new(),
            has_lines: false,
            total: Total::default(),
            errors: Vec::new(),
        };
        Self {
            printer,
            level,
            home: None,
            column: widest.filter(|_| accounts.len() > 1),
            plans: Some(Mutex::new(HashMap::new())),
            held: Mutex::new(HashMap::new()),
            all: Mutex::new(all),
        }
    }

    /// The same, for a user whose home directory this is: paths in it begin with `~`.
    #[must_use]
    pub(crate) fn at_home(self, home: Option<&Path>) -> Self {
        Self { home: home.map(text::path), ..self }
    }

    /// The same, for standard error alone.
    pub(super) fn without_plans(self) -> Self {
        Self { plans: None, ..self }
    }

    pub(super) fn printer(&self) -> &Printer {
        &self.printer
    }

    fn warn(&self, account: &str, what: &str) {
        self.printer.warn(&format!("{}: {}", name(account), shortened(what, LONGEST)));
    }

    fn hold<T>(&self, account: &str, change: impl FnOnce(&mut HeldBack) -> T) -> T {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked up before it is entered: there may be a call for each of a million messages.
        match held.get_mut(account) {
            Some(held) => change(held),
            None => change(held.entry(account.to_owned()).or_default()),
        }
    }

    /// What went wrong in an account, and what to do: printed at once, or when all are done if there are others, which may
    /// have the same message.
    fn complain(&self, account: &str, what: &str, hint: Option<&str>) {
        let (what, hint) = (shortened(what, LONGEST), hint.map(str::to_owned));
        let mut all = self.all();
        match all.errors.iter_mut().find(|known| known.what == what && known.hint == hint) {
            Some(known) => known.accounts.push(name(account)),
            None => {
                let what = what.into_owned();
                all.errors.push(FailedAccounts { accounts: vec![name(account)], what, hint });
            }
        }
        drop(all);
        if self.column.is_none() {
            self.print_errors();
        }
    }

    fn print_errors(&self) {
        for FailedAccounts { accounts, what, hint } in self.take_errors() {
            let who = match accounts.as_slice() {
                [only] => format!("account \"{only}\""),
                many if many.len() > MOST_NAMED => count(wide(many.len()), "account"),
                several => format!("accounts {}", listed(several)),
            };
            self.printer.complain(&format!("{who}: {what}"), hint.as_deref());
        }
    }

    /// What went wrong, in the order of the configuration.
    fn take_errors(&self) -> Vec<FailedAccounts> {
        let mut all = self.all();
        let mut errors = std::mem::take(&mut all.errors);
        let place = |account: &String| all.order.iter().position(|known| known == account);
        for FailedAccounts { accounts, .. } in &mut errors {
            accounts.sort_by_key(&place);
        }
        errors.sort_by_key(|failure| failure.accounts.first().and_then(&place));
        errors
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all accounts came to, if there are several and any of them has had a line.
    fn total(&self) -> Option<String> {
        let all = self.all();
        let is_wanted = all.has_lines && self.column.is_some() && self.level > Level::Quiet;
        is_wanted.then(|| format!("{}\n", all.total.line(all.started.elapsed())))
    }

    /// Counts a warning: whether it is one of the first.
    fn is_among_first_warnings(&self, account: &str) -> bool {
        self.hold(account, |held| {
            held.warnings = held.warnings.saturating_add(1);
            held.warnings <= MOST_WARNINGS
        })
    }

    /// Where an account's mail will go.
    fn expect(&self, account: &str, destinations: &[StoredAt]) {
        let places: Vec<_> = destinations.iter().map(|place| self.place(place)).collect();
        let to = places.join(", ");
        self.all().to.insert(account.to_owned(), to);
    }

    fn detail(&self, account: &str, what: &str) {
        if self.wants_detail() {
            self.printer.say(Priority::Debug, &format!("{}: {what}\n", name(account)));
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
    fn place<'a>(&self, place: &'a StoredAt) -> Cow<'a, str> {
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

    fn finished(&self, account: &str, summary: &RunSummary) {
        let failure = summary.failure.as_ref();
        let held =
            self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(account).unwrap_or_default();
        // Where the line has the reason, no other line repeats it.
        let has_line = !summary.dry_run && self.level > Level::Quiet && self.is_worth_a_line(summary);
        let is_counted =
            summary.conditions.iter().any(|condition| condition.kind == ConditionKind::MessagesFailed);
        let reason = held.only_reason().filter(|_| has_line && is_counted && summary.waiting == 0);
        held.lines(reason.is_none()).into_iter().for_each(|line| self.warn(account, &line));
        if summary.dry_run {
            // A plan that was cut off has no sums: they would not be true.
            self.intended(account, |plan| {
                Some(if failure.is_none() { plan.finish() } else { plan.lines() })
                    .filter(|text| !text.is_empty())
            });
        } else if has_line {
            self.line(account, summary, reason);
        }
        self.all().total.add(summary);
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
        if let Some(failure) = failure
            && (failure.news || self.level > Level::Quiet)
        {
            self.complain(account, &failure.message, failure.hint.as_deref());
        }
    }

    /// Whether an account has a line, at any level but `--quiet`: with "nothing new", only for someone who watches, or asks.
    fn is_worth_a_line(&self, summary: &RunSummary) -> bool {
        let is_eventful = is_eventful(summary);
        if summary.failure.is_some() {
            return is_eventful;
        }
        is_eventful
            || summary.postponed.messages > 0
            || summary.delivered_elsewhere.is_some()
            || self.wants_detail()
            || self.printer.form() == OutputForm::Terminal
    }

    /// Prints an account's line.
    fn line(&self, account: &str, summary: &RunSummary, reason: Option<RowReason<'_>>) {
        let mut all = self.all();
        all.has_lines = true;
        let to = all.to.get(account).map(String::as_str).unwrap_or_default();
        let elsewhere = summary.delivered_elsewhere.as_ref().map(|elsewhere| Elsewhere {
            to: in_home(&elsewhere.to, self.home.as_deref()).into_owned(),
            ..*elsewhere
        });
        let summary = RunSummary { delivered_elsewhere: elsewhere, ..summary.clone() };
        let AccountRow { news, left } = row(&summary, to, reason);
        let (name, news) = match self.column {
            Some(column) => {
                let widest = all.to.values().map(|to| width(to)).max().unwrap_or_default();
                let room = NUMBERS.saturating_add(" \u{2192} ".chars().count()).saturating_add(widest);
                (padded(&name(account), column), padded(&news, room.min(WIDEST_NEWS)))
            }
            None => (name(account), news),
        };
        drop(all);
        self.printer.say(Priority::Info, &format!("{name}  {news}  {left}\n"));
    }
}

/// A step of a run in words, which `-v` shows; `None` for what is shown otherwise, or not at all.
fn step(event: &Event) -> Option<String> {
    Some(match event {
        Event::Connecting { server } => format!("connecting to {server}"),
        Event::TokenRefreshed { host, .. } => format!("token refreshed at {host}"),
        Event::LoggedIn { mechanism, protection } => {
            let over = protection.map_or("in clear text".to_owned(), |tls| format!("over {tls}"));
            format!("logged in with {mechanism} {over}")
        }
        Event::Listed { messages } => format!("{} on the server", count(*messages, "message")),
        Event::Planned { messages, octets } => {
            let octets = octets.map_or(String::new(), |octets| format!(" ({})", size(octets.0)));
            format!("{}{octets} to retrieve", count(*messages, "message"))
        }
        Event::Recovered { delivered, dropped } => {
            let dropped = match dropped {
                0 => String::new(),
                1 => ", 1 comes again".to_owned(),
                n => format!(", {n} come again"),
            };
            let delivered = count(*delivered, "message");
            format!("the last run was interrupted: {delivered} delivered now{dropped}")
        }
        Event::Detail(text) => text.clone(),
        _ => return None,
    })
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
            Event::Waiting { destinations } => self.expect(account, destinations),
            Event::Doing(_) | Event::Received { .. } | Event::Arrived => {}
            Event::Intended { number, unique_id, octets, action, why } => {
                self.intended(account, |plan| {
                    plan.push(*number, unique_id.as_deref(), *octets, *action, *why)
                });
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
                if self.wants_detail() || (self.level > Level::Quiet && self.is_among_first_warnings(account))
                {
                    self.warn(account, text);
                }
            }
            Event::Notice(text) => {
                self.printer.note(&format!("{}: {}", name(account), shortened(text, LONGEST)));
            }
            Event::Dialogue(text) => {
                if self.wants_dialogue() {
                    // Seconds since the run began.
                    let at = self.all().started.elapsed().as_secs_f64();
                    self.printer.say(Priority::Debug, &format!("{} {at:.3} {text}\n", name(account)));
                }
            }
            Event::Finished(summary) => self.finished(account, summary),
            other => {
                if self.wants_detail()
                    && let Some(what) = step(other)
                {
                    self.detail(account, &what);
                }
            }
        }
    }

    fn ended(&self) {
        if let Some(line) = self.total() {
            self.printer.say(Priority::Info, &line);
        }
        self.print_errors();
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

/// `"a", "b" and "c"`.
fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
pub(crate) mod tests;

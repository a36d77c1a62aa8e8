//! Programs that the user wants to be run before and after an account's run: `before-run`, `on-new-mail`, `on-trouble`,
//! `on-recovered`.
//!
//! They run with the rights of the account's owner, for 30 seconds at most, and never change the exit code.  What they
//! may know stands in the environment, as numbers and in words of ours: no text from mail or from a server.  The messages
//! that were delivered come as JSON lines on standard input.

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::alerts::RunNews;
use super::context::Context;
use crate::account::Account;
use crate::clock;
use crate::delivery::pipe::program::{self, HookProgram, ProgramEnd};
use crate::report::json::delivered_line;
use crate::report::{Event, Reporter, RunSummary};
use crate::text::{hex, printable, shortened};

/// A hook may run this long.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Of what a hook that fails has printed, this much is shown.
const COMPLAINT_CHARACTERS: usize = 200;

/// The octets of lines about delivered messages that are kept for `on-new-mail`; of more messages than that, the first.
const MOST_LINES: usize = 64 * 1024 * 1024;

/// Runs `before-run`.  That it failed is a warning.
pub(super) fn before(account: &Account, context: &Context<'_>) {
    if let (Some(argv), false) = (&account.hooks.before_run, context.stop.raised()) {
        run("before-run", argv, account, context, &RunSummary::default(), &[]);
    }
}

/// Runs what is wanted after a run that ended like this, with the lines of what it delivered.
pub(super) fn after(
    account: &Account,
    context: &Context<'_>,
    summary: &RunSummary,
    verdict: RunNews,
    delivered: &[u8],
) {
    let hooks = &account.hooks;
    for (name, argv, is_due) in [
        ("on-new-mail", &hooks.on_new_mail, summary.delivered > 0),
        ("on-trouble", &hooks.on_trouble, verdict.failure),
        ("on-recovered", &hooks.on_recovered, verdict.recovered),
    ] {
        if let (Some(argv), true) = (argv, is_due) {
            run(name, argv, account, context, summary, delivered);
        }
    }
}

fn run(
    name: &str,
    argv: &[String],
    account: &Account,
    context: &Context<'_>,
    summary: &RunSummary,
    delivered: &[u8],
) {
    let [new, failed, octets] = [summary.delivered, summary.failed, summary.octets].map(|n| n.to_string());
    let (exit, error) = (summary.exit().number().to_string(), error_line(summary));
    let environment = [
        ("POPFETCH_ACCOUNT", account.name.as_str()),
        ("POPFETCH_NEW", new.as_str()),
        ("POPFETCH_FAILED", failed.as_str()),
        ("POPFETCH_OCTETS", octets.as_str()),
        ("POPFETCH_EXIT", exit.as_str()),
        ("POPFETCH_ERROR", error.as_str()),
    ];
    let ended = input(&context.state, delivered).and_then(|input| {
        let program = HookProgram {
            argv,
            environment: &environment,
            input,
            limit: TIME_LIMIT,
            owner: account.owner.as_ref(),
        };
        program::run(program, &context.stop)
    });
    let failed = match ended {
        Ok(ProgramEnd { failure: None, .. }) => return,
        Ok(ProgramEnd { failure: Some(how), said }) => match complaint(&said) {
            said if said.is_empty() => how,
            said => format!("{how} (\"{said}\")"),
        },
        Err(e) => format!("cannot be run: {e}"),
    };
    context.reporter.report(&account.name, &Event::Warning(format!("{name} {failed}")));
}

/// The last line that it printed.
fn complaint(said: &[u8]) -> String {
    let line = said.split(|octet| *octet == b'\n').rfind(|line| !line.trim_ascii().is_empty());
    shortened(&printable(line.unwrap_or_default().trim_ascii()), COMPLAINT_CHARACTERS).into_owned()
}

/// What went wrong, on one line without the server's words, which stand in quotation marks.
fn error_line(summary: &RunSummary) -> String {
    let condition = summary.conditions.iter().map(|condition| &condition.message);
    let Some(message) = summary.failure.iter().map(|failure| &failure.message).chain(condition).next() else {
        return String::new();
    };
    let (first, last) = (message.find('"'), message.rfind('"'));
    let ours = match first.zip(last) {
        Some((first, last)) => {
            let (before, after) = (message.get(..first), message.get(last.saturating_add(1)..));
            format!("{}…{}", before.unwrap_or_default(), after.unwrap_or_default())
        }
        None => message.clone(),
    };
    printable(ours.as_bytes())
}

/// A file without a name that holds these lines, to be read from its beginning.
fn input(state: &Path, lines: &[u8]) -> io::Result<File> {
    if lines.is_empty() {
        // Before the first run there is no place for a file.
        let (nothing, _) = io::pipe()?;
        return Ok(File::from(OwnedFd::from(nothing)));
    }
    let path = state.join(format!("hook-{}", hex(&clock::random::<8>()?)));
    let mut file = {
        use std::os::unix::fs::OpenOptionsExt as _;
        File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?
    };
    // Only a name that is left behind, empty of meaning.
    let _ = fs::remove_file(&path);
    file.write_all(lines)?;
    file.rewind()?;
    Ok(file)
}

/// Passes events on, and keeps the lines of what is delivered.
pub(super) struct DeliveryListener {
    inner: Arc<dyn Reporter>,
    lines: Mutex<Vec<u8>>,
}

impl DeliveryListener {
    pub(super) fn new(inner: Arc<dyn Reporter>) -> Self {
        Self { inner, lines: Mutex::new(Vec::new()) }
    }

    /// The lines so far.
    pub(super) fn lines(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reporter for DeliveryListener {
    fn report(&self, account: &str, event: &Event) {
        if let Event::Delivered(delivery) = event {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() < MOST_LINES {
                lines.extend_from_slice(delivered_line(account, delivery).as_bytes());
            }
            drop(lines);
            if !self.inner.wants_deliveries() {
                return;
            }
        }
        self.inner.report(account, event);
    }

    fn below(&self) -> Option<&dyn Reporter> {
        Some(&*self.inner)
    }

    fn wants_deliveries(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{DeliveryListener, RunNews, RunSummary, after, before, complaint, error_line, input};
    use crate::exit::ExitCode;
    use crate::report::{Condition, ConditionKind, Delivery, Event, ReportedError, Reporter};
    use crate::retrieval::trial::Home;
    use proptest::prelude::*;
    use std::io::Read as _;
    use std::sync::{Arc, Mutex};

    fn line(message: &str) -> String {
        let (exit, message) = (ExitCode::Later, message.to_owned());
        let failure = Some(ReportedError { exit, message, hint: None, news: true });
        error_line(&RunSummary { failure, ..RunSummary::default() })
    }

    #[test]
    fn the_error_has_no_words_of_the_server() {
        for (message, expected) in [
            ("h:110 refused the login: \"[AUTH] no\"", "h:110 refused the login: …"),
            ("h:110 refused: \"a\" and \"b\" again", "h:110 refused: … again"),
            ("cannot look up h\nx", "cannot look up h\\x0ax"),
            ("one \" alone", "one … alone"),
        ] {
            assert_eq!(line(message), expected);
        }
        assert_eq!(error_line(&RunSummary::default()), "");
    }

    #[test]
    fn the_last_line_is_the_complaint() {
        assert_eq!(complaint(b"working\n\x1b[1mno space\n\n"), "\\x1b[1mno space");
        assert_eq!(complaint(b""), "");
    }

    /// Keeps what it is reported, and answers as it is set up.
    #[derive(Default)]
    struct Screen {
        shows_deliveries: bool,
        heard: Mutex<Vec<Event>>,
        stopping: Mutex<Vec<u64>>,
    }

    impl Reporter for Screen {
        fn report(&self, _: &str, event: &Event) {
            self.heard.lock().unwrap().push(event.clone());
        }
        fn stopping(&self, messages: u64) {
            self.stopping.lock().unwrap().push(messages);
        }
        fn is_watched(&self) -> bool {
            self.shows_deliveries
        }
        fn wants_detail(&self) -> bool {
            self.shows_deliveries
        }
        fn wants_dialogue(&self) -> bool {
            !self.shows_deliveries
        }
        fn wants_deliveries(&self) -> bool {
            self.shows_deliveries
        }
    }

    fn delivered(id: &str) -> Event {
        Event::Delivered(Delivery {
            number: None,
            unique_id: Some(id.to_owned()),
            octets: 5,
            from: None,
            subject: None,
            date: None,
            message_id: None,
            destinations: Vec::new(),
            time: "2026-01-01T00:00:00Z".to_owned(),
        })
    }

    /// A program gets a line for each message, whether the user sees deliveries or not; the user sees the rest as before.
    #[test]
    fn deliveries_are_kept_for_the_program_and_shown_only_where_they_are_wanted() {
        for shows_deliveries in [true, false] {
            let screen = Arc::new(Screen { shows_deliveries, ..Screen::default() });
            let listener = DeliveryListener::new(Arc::clone(&screen) as Arc<dyn Reporter>);
            assert!(listener.wants_deliveries(), "or nobody would make them");
            for event in [delivered("a"), Event::Arrived, delivered("b")] {
                listener.report("work", &event);
            }
            listener.stopping(3);
            let lines = String::from_utf8(listener.lines()).unwrap();
            let ids: Vec<bool> =
                lines.lines().zip(["a", "b"]).map(|(line, id)| line.contains(&format!("\"{id}\""))).collect();
            assert_eq!((ids, lines.lines().count()), (vec![true, true], 2), "{lines}");
            assert_eq!(listener.lines(), b"", "they are taken once");
            let heard = screen.heard.lock().unwrap().len();
            assert_eq!(heard, if shows_deliveries { 3 } else { 1 });
            assert_eq!(*screen.stopping.lock().unwrap(), [3]);
            let answers = (listener.is_watched(), listener.wants_detail(), listener.wants_dialogue());
            assert_eq!(answers, (shows_deliveries, shows_deliveries, !shows_deliveries));
        }
    }

    /// What a program reads is a file without a name: nothing of it is left behind, however the program ends.
    #[test]
    fn what_a_program_reads_leaves_nothing_behind() {
        let state = tempfile::tempdir().unwrap();
        for lines in [&b""[..], b"one\ntwo\n"] {
            let mut text = Vec::new();
            input(state.path(), lines).unwrap().read_to_end(&mut text).unwrap();
            assert_eq!(text, lines);
            assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
        }
        let nowhere = state.path().join("missing");
        assert!(input(&nowhere, b"x").is_err());
        assert!(input(&nowhere, b"").is_ok(), "before the first run there is no place for a file");
    }

    /// What is wrong though the run went on is an error, too; what ended it comes first.
    #[test]
    fn a_condition_is_reported_where_nothing_ended_the_run() {
        let mut summary = RunSummary::default();
        summary.put(Condition {
            kind: ConditionKind::DeletionRefused,
            exit: ExitCode::Later,
            messages: 0,
            message: "the server did not delete 1 message: \"read-only\"".to_owned(),
            hint: None,
            reason: None,
            next: None,
            news: false,
            said: false,
        });
        assert_eq!(error_line(&summary), "the server did not delete 1 message: …");
        let (exit, message) = (ExitCode::Later, "h:110 kept us waiting too long for UIDL".to_owned());
        summary.failure = Some(ReportedError { exit, message: message.clone(), hint: None, news: true });
        assert_eq!(error_line(&summary), message);
    }

    /// A page of complaints is cut to its last line, and that to a length that fits a screen.
    #[test]
    fn a_complaint_is_one_short_line() {
        let long = "x".repeat(5000);
        assert!(complaint(long.as_bytes()).chars().count() <= super::COMPLAINT_CHARACTERS);
        assert_eq!(complaint(b"one\n  two  \n \n\t\n"), "two");
        assert_eq!(complaint(b"\n\n"), "");
        assert_eq!(complaint(b"\xff\n"), "\\xff");
    }

    /// No program is begun that nobody has asked for, nor before a run that a signal has ended already.
    #[test]
    fn only_what_is_due_is_run() {
        let home = Home::holding(&[]);
        let mut account = home.account("");
        // A program that isn't there is reported: so it shows which ones would have been run.
        let missing = || Some(vec!["/nonexistent/program".to_owned()]);
        account.hooks = crate::account::Hooks {
            before_run: missing(),
            on_new_mail: missing(),
            on_trouble: missing(),
            on_recovered: missing(),
        };
        let begun = |home: &Home| -> Vec<String> {
            let words = |line: String| line.split(' ').next().unwrap_or_default().to_owned();
            home.take_reported().into_iter().map(words).collect()
        };
        let verdict = |failure, recovered| RunNews { news: failure, failure, recovered };
        for (delivered, verdict, expected) in [
            (0, verdict(false, false), &[][..]),
            (1, verdict(false, false), &["on-new-mail"]),
            (0, verdict(true, false), &["on-trouble"]),
            (0, verdict(false, true), &["on-recovered"]),
            (2, verdict(true, true), &["on-new-mail", "on-trouble", "on-recovered"]),
        ] {
            let summary = RunSummary { delivered, ..RunSummary::default() };
            after(&account, &home.context(), &summary, verdict, b"");
            assert_eq!(begun(&home), expected, "{delivered} {verdict:?}");
        }
        before(&account, &home.context());
        assert_eq!(begun(&home), ["before-run"]);
        home.stop.raise();
        before(&account, &home.context());
        assert_eq!(begun(&home), [""; 0]);
    }

    proptest! {
        /// Whatever a server or a program writes between quotation marks, none of it reaches a hook's environment, on whatever line.
        #[test]
        fn no_quoted_word_reaches_a_hook(before in "[a-z: ]{0,20}", quoted in ".{0,40}", after in "[a-z ]{0,20}") {
            let found = line(&format!("{before}\"{quoted}\"{after}"));
            prop_assert_eq!(&found, &format!("{before}…{after}"));
            prop_assert!(!found.contains(['\n', '"']));
        }
    }
}

//! `log-file`: a line, with its time, for each message that was delivered or has failed, and for each run of an account;
//! besides what another reporter shows.
//!
//! The file is appended to, a line by one write, so that several popfetches can share it, and opened again when its name
//! leads to another file, as after a rotation.  Where it can't be written, that is a warning, once, and no more.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;

use super::plain::{name, row};
use super::{Delivery, Event, Reporter, RunSummary, StoredAt};
use crate::text::{self, shown_by, size};

/// Never waits at a FIFO that nobody reads, nor becomes the owner of a terminal.
const WITHOUT_WAITING: i32 = (OFlags::NONBLOCK.bits() | OFlags::NOCTTY.bits()).cast_signed();

/// A reporter, and a log.
pub(crate) struct Logged {
    inner: Arc<dyn Reporter>,
    path: PathBuf,
    /// The time now, in words.
    now: fn() -> String,
    state: Mutex<LogState>,
}

shown_by!(Logged, path);

#[derive(Default)]
struct LogState {
    file: Option<File>,
    has_warned: bool,
}

impl Logged {
    /// A log at `path` besides `inner`.
    #[must_use]
    pub(crate) fn new(inner: Arc<dyn Reporter>, path: PathBuf, now: fn() -> String) -> Self {
        Self { inner, path, now, state: Mutex::default() }
    }

    fn write(&self, account: &str, what: &str) {
        let line = format!("{} {}: {}\n", (self.now)(), name(account), what.replace('\n', " "));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let written = state.append(&self.path, &line);
        let warns = written.is_err() && !std::mem::replace(&mut state.has_warned, true);
        drop(state);
        if let (Err(e), true) = (written, warns) {
            let text = format!("cannot write to log-file {}: {e}", text::path(&self.path));
            self.inner.report(account, &Event::Warning(text));
        }
    }

    fn ended_run(&self, account: &str, summary: &RunSummary) {
        let line = row::row(summary, "", None);
        let seconds = summary.elapsed.as_secs_f64();
        self.write(account, &format!("{}, {} ({seconds:.1} s)", line.news, line.left));
        let conditions = summary.conditions.iter().filter(|condition| condition.messages == 0);
        let problems = conditions.map(|condition| (&condition.message, &condition.hint));
        let failure = summary.failure.iter().map(|failure| (&failure.message, &failure.hint));
        for (what, hint) in problems.chain(failure) {
            let hint = hint.as_ref().map_or_else(String::new, |hint| format!(" (hint: {hint})"));
            self.write(account, &format!("error: {what}{hint}"));
        }
    }
}

impl LogState {
    fn append(&mut self, path: &Path, line: &str) -> io::Result<()> {
        let named = path.metadata().map(|status| (status.dev(), status.ino())).ok();
        let open = self.file.as_ref().and_then(|file| file.metadata().ok());
        let open = open.map(|status| (status.dev(), status.ino()));
        if named.is_none() || named != open {
            self.file = None;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(
                OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .custom_flags(WITHOUT_WAITING)
                    .open(path)?,
            ),
        };
        file.write_all(line.as_bytes())
    }
}

impl Reporter for Logged {
    fn report(&self, account: &str, event: &Event) {
        match event {
            Event::Delivered(delivery) => self.write(account, &delivered(delivery)),
            Event::MessageFailed { number, reason, .. } => {
                self.write(account, &format!("message {number} failed: {reason}"));
            }
            Event::Finished(summary) if !summary.dry_run => self.ended_run(account, summary),
            _ => {}
        }
        // What has no use but for the log is not for others.
        if !matches!(event, Event::Delivered(_)) || self.inner.wants_deliveries() {
            self.inner.report(account, event);
        }
    }

    fn below(&self) -> Option<&dyn Reporter> {
        Some(&*self.inner)
    }

    fn wants_deliveries(&self) -> bool {
        true
    }
}

/// `delivered uid-1 (288 octets) from Ann Example "Lunch" → /home/me/Mail/new/1795.1`.
fn delivered(delivery: &Delivery) -> String {
    let Delivery { unique_id, octets, from, subject, destinations, .. } = delivery;
    let mut line = format!("delivered {} ({})", unique_id.as_deref().unwrap_or("a message"), size(*octets));
    if let Some(from) = from {
        line.push_str(&format!(" from {from}"));
    }
    if let Some(subject) = subject {
        line.push_str(&format!(" \"{subject}\""));
    }
    let places: Vec<&str> = destinations.iter().map(StoredAt::shown).collect();
    format!("{line} \u{2192} {}", places.join(", "))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::{Arc, Mutex};

    use super::Logged;
    use crate::exit::ExitCode;
    use crate::report::{Event, ReportedError, Reporter, RunSummary};
    use crate::types::MessageNumber;

    /// What the other reporter gets.
    #[derive(Default)]
    struct Others(Mutex<Vec<Event>>);

    impl Reporter for Others {
        fn report(&self, _: &str, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
        }
        fn is_watched(&self) -> bool {
            true
        }
        fn stopping(&self, messages: u64) {
            self.0.lock().unwrap().push(Event::Received { octets: messages });
        }
    }

    fn failed() -> Event {
        Event::MessageFailed { number: MessageNumber::FIRST, reason: "no\nway".to_owned(), news: false }
    }

    #[test]
    fn a_rotated_log_is_begun_again_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let (path, rotated) = (home.path().join("log"), home.path().join("log.1"));
        let others = Arc::new(Others::default());
        let logged = Logged::new(Arc::clone(&others) as Arc<dyn Reporter>, path.clone(), || "NOW".to_owned());
        logged.report("a\x1b", &failed());
        let line = "NOW a\\x1b: message 1 failed: no way\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), line);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::hard_link(&path, &rotated).unwrap();
        fs::remove_file(&path).unwrap();
        logged.report("b", &failed());
        assert_eq!(fs::read_to_string(&path).unwrap(), "NOW b: message 1 failed: no way\n");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "x\n").unwrap();
        logged.report("c", &failed());
        assert_eq!(fs::read_to_string(&rotated).unwrap(), line);
        assert_eq!(fs::read_to_string(&path).unwrap(), "x\nNOW c: message 1 failed: no way\n");
        assert_eq!(others.0.lock().unwrap().len(), 3);
    }

    /// A user at a terminal who presses Ctrl-C is answered at once, also where there is a log.
    #[test]
    fn a_signal_is_answered_by_the_other_reporter() {
        let others = Arc::new(Others::default());
        let logged = Logged::new(Arc::clone(&others) as Arc<dyn Reporter>, "log".into(), String::new);
        assert!(logged.is_watched());
        logged.stopping(3);
        assert_eq!(*others.0.lock().unwrap(), [Event::Received { octets: 3 }]);
    }

    #[test]
    fn a_run_is_a_line_and_its_error_another() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        let others = Arc::new(Others::default());
        let logged = Logged::new(others, path.clone(), || "NOW".to_owned());
        let failure = ReportedError {
            exit: ExitCode::Later,
            message: "h:995 is silent".to_owned(),
            hint: Some("wait".to_owned()),
            news: false,
        };
        let summary = RunSummary { listed: 3, delivered: 2, octets: 900, ..RunSummary::default() };
        logged.report("a", &Event::Finished(RunSummary { failure: Some(failure), ..summary.clone() }));
        logged.report("a", &Event::Finished(RunSummary { dry_run: true, ..summary }));
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "NOW a: 2 new, 900 octets, 3 kept on the server (0.0 s)\nNOW a: error: h:995 is silent (hint: wait)\n"
        );
    }

    #[test]
    fn a_log_that_cannot_be_written_is_one_warning() {
        let home = tempfile::tempdir().unwrap();
        let others = Arc::new(Others::default());
        let logged =
            Logged::new(Arc::clone(&others) as Arc<dyn Reporter>, home.path().to_owned(), String::new);
        logged.report("a", &failed());
        logged.report("a", &failed());
        let events = others.0.lock().unwrap();
        assert!(
            matches!(&events[..], [Event::Warning(text), _, _] if text.contains("cannot write to log-file"))
        );
    }
}

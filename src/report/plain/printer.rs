//! The owner of standard output and standard error: nothing else prints, so that no line is torn by another thread's line or
//! by a bar.  It knows whether people, a file or the journal read standard error.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::exit::ExitCode;

/// Both output streams.  Standard output is for what was asked for, standard error for how it went.
pub(crate) struct Printer {
    streams: Mutex<Streams>,
    paint: Paint,
    form: OutputForm,
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

/// Who reads standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OutputForm {
    /// Someone at a terminal.
    #[default]
    Terminal,
    /// A file, a pipe, cron: an error and its hint are one line.
    Log,
    /// systemd's journal: as [`OutputForm::Log`], and each line begins with its priority (sd-daemon(3)).
    Journal,
}

/// How much a line matters, by syslog's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// An account, or all of them, could not be served.
    Error,
    /// Something is wrong, and the run goes on.
    Warning,
    /// Something that should be known, and is not wrong.
    Notice,
    /// How it went.
    Info,
    /// What is done, and why.
    Debug,
}

impl Priority {
    fn prefix(self) -> &'static str {
        match self {
            Self::Error => "<3>",
            Self::Warning => "<4>",
            Self::Notice => "<5>",
            Self::Info => "<6>",
            Self::Debug => "<7>",
        }
    }
}

impl Printer {
    /// A printer on the streams of this process.  `color`: whether standard error gets colours.
    #[must_use]
    pub(crate) fn new(color: bool, form: OutputForm) -> Self {
        Self::onto(Box::new(io::stdout()), Box::new(io::stderr()), color).formed(form)
    }

    /// A printer on other streams, as on a terminal.
    #[must_use]
    pub(crate) fn onto(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, color: bool) -> Self {
        let streams = Mutex::new(Streams { out, err, failure: None });
        Self { streams, paint: Paint(color), form: OutputForm::Terminal, around: Mutex::new(None) }
    }

    /// The same, for other readers of standard error.
    #[must_use]
    pub(crate) fn formed(self, form: OutputForm) -> Self {
        // The journal has colours of its own, by priority.
        let paint = Paint(self.paint.0 && form != OutputForm::Journal);
        Self { form, paint, ..self }
    }

    /// Who reads standard error.
    #[must_use]
    pub(crate) fn form(&self) -> OutputForm {
        self.form
    }

    /// Prints inside `around` from now on, which clears the screen before and restores it after; no longer inside an
    /// earlier one, whose screen is over.
    pub(in crate::report) fn surround(&self, around: Around) {
        *self.around.lock().unwrap_or_else(PoisonError::into_inner) = Some(around);
    }

    /// Writes whole lines to standard output.
    pub(crate) fn out(&self, text: &str) {
        self.out_octets(text.as_bytes());
    }

    /// The same for octets that are no text.
    pub(crate) fn out_octets(&self, octets: &[u8]) {
        self.print(|streams| {
            if let Err(e) = streams.out.write_all(octets).and_then(|()| streams.out.flush()) {
                streams.failure.get_or_insert(e);
            }
        });
    }

    /// Writes octets to standard output as they are: never where that is a terminal.  Whether it takes more.
    pub(crate) fn octets(&self, octets: &[u8]) -> bool {
        self.print(|streams| {
            if streams.failure.is_none()
                && let Err(e) = streams.out.write_all(octets).and_then(|()| streams.out.flush())
            {
                streams.failure = Some(e);
            }
        });
        self.lock().failure.is_none()
    }

    /// Writes whole lines to standard error.
    pub(crate) fn err(&self, text: &str) {
        self.say(Priority::Info, text);
    }

    /// Writes whole lines that matter that much to standard error.  A failure is ignored: there is nowhere to report it.
    pub(crate) fn say(&self, priority: Priority, text: &str) {
        let framed: String;
        let text = match self.form {
            OutputForm::Terminal | OutputForm::Log => text,
            OutputForm::Journal => {
                let lines = text.split_inclusive('\n').map(|line| format!("{}{line}", priority.prefix()));
                framed = lines.collect();
                &framed
            }
        };
        self.print(|streams| {
            let _ = streams.err.write_all(text.as_bytes());
        });
    }

    /// Prints what went wrong, and then what to do.
    pub(crate) fn complain(&self, what: &str, hint: Option<&str>) {
        let mut text = format!("{} {what}", self.paint.error("popfetch:"));
        if let Some(hint) = hint {
            let one_line = self.form != OutputForm::Terminal && !what.contains('\n') && !hint.contains('\n');
            let label = self.paint.hint("hint:");
            text.push_str(&if one_line { format!(" ({label} {hint})") } else { format!("\n{label} {hint}") });
        }
        text.push('\n');
        self.say(Priority::Error, &text);
    }

    /// Prints what the user should know, because something is wrong.
    pub(crate) fn warn(&self, what: &str) {
        self.say(Priority::Warning, &format!("{} {what}\n", self.paint.warning("popfetch:")));
    }

    /// Prints what the user should know, though nothing is wrong.
    pub(crate) fn note(&self, what: &str) {
        self.say(Priority::Notice, &format!("{} {what}\n", self.paint.warning("popfetch:")));
    }

    /// Whether standard output could be written: a closed pipe is not an error, a full disk is.
    #[must_use]
    pub(crate) fn outcome(&self) -> ExitCode {
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
        f.debug_struct("Printer")
            .field("paint", &self.paint)
            .field("form", &self.form)
            .finish_non_exhaustive()
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

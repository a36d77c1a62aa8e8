//! A program that takes each message on standard input: an MDA such as procmail, or anything else.
//!
//! It gets a message only after that has arrived whole; if a line that drops handed it half a message, it would see a
//! normal end of input and store that.  Delivery to a program is at-least-once by nature: if we die while it runs, nobody knows whether it
//! took the message, and it gets it again.  So the outcome is written as soon as it's known, and synced while the next
//! one runs: only the messages being handed over (one, or as many as run at once) can be handed over twice.
//!
//! A stop signal doesn't reach the programs, which have process groups of their own: what has arrived whole is still
//! handed over, but no more when [`PipeSettings::GRACE`] is over: the rest
//! comes again.

mod argv;
mod child;
mod destination;
pub(crate) mod program;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Access;
use rustix::io::Errno;

use argv::{Envelope, argv, unsafe_placeholder};
use child::{AtStop, Child, ChildOutcome, wait_for_one};
pub(super) use destination::PipeDestination;

use super::spool::Spool;
use super::{Error, Failure, Inlet, Intake, Outlet, Recorder, Recovered, Settler, Unsettled, Waiting};
use crate::access::Owner;
use crate::account::PipeCommand;
use crate::durable;
use crate::exit::ExitCode;
use crate::message::Facts;
use crate::place::{Place, Spooled};
use crate::problem::TRY_AGAIN;
use crate::proof::{IntentId, Noted, Piece, Published, Staged};
use crate::signals::Stop;
use crate::text;

/// So much of a batch may stay in memory; what comes then goes to files.
const BATCH_IN_MEMORY: usize = 4 * 1024 * 1024;

/// Looks, before anything is retrieved, whether the program is there, and no stranger's words go to a shell.  `search` is the environment's `PATH`.
///
/// # Errors
/// [`Error::Unfit`] with [`ExitCode::Configuration`].
pub(crate) fn check(command: &PipeCommand, search: Option<&OsStr>) -> Result<(), Error> {
    if let Some((placeholder, variable)) = unsafe_placeholder(command) {
        return Err(Error::unfit(
            ExitCode::Configuration,
            format!(
                "{placeholder} can't stand in what a shell or an interpreter runs: its words are a stranger's"
            ),
            format!("use \"{variable}\", with the quotation marks; it's in the environment"),
        ));
    }
    let PipeCommand::Argv(elements) = command else { return Ok(()) };
    let program = elements.first().map_or("", String::as_str);
    match found(program, search) {
        Some(_) => Ok(()),
        None => Err(Error::unfit(
            ExitCode::Configuration,
            not_found(program),
            "install it, or correct the pipe setting",
        )),
    }
}

fn found(program: &str, search: Option<&OsStr>) -> Option<PathBuf> {
    let runs = |path: &PathBuf| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(runs);
    }
    let search = search.unwrap_or(OsStr::new("/bin:/usr/bin"));
    std::env::split_paths(search).map(|directory| directory.join(program)).find(runs)
}

/// Whether the program is setuid or setgid and cannot be here: a service with `NoNewPrivileges=` takes that from it.
fn is_bound(command: &PipeCommand, search: Option<&OsStr>) -> bool {
    let PipeCommand::Argv(elements) = command else { return false };
    let program = elements.first().and_then(|program| found(program, search));
    let mode = program.and_then(|path| path.metadata().ok()).map_or(0, |metadata| metadata.mode());
    mode & 0o6000 != 0 && rustix::thread::no_new_privs().unwrap_or(false)
}

fn not_found(program: &str) -> String {
    format!("{} was not found, or cannot be executed", text::printable(program.as_bytes()))
}

/// Settles what was being handed over when a run was killed: it isn't known whether it was taken, so it comes again.
///
/// # Errors
/// When the ledger cannot be written or synced.
pub(crate) fn recover(unsettled: &Unsettled, settler: &mut dyn Settler) -> Result<Recovered, Error> {
    let intents: Vec<IntentId> = unsettled.intents.iter().map(|intent| intent.id).collect();
    if !intents.is_empty() {
        settler.dropped(&intents)?;
    }
    Ok(Recovered { delivered: 0, again: intents.len() })
}

/// The network's end of a program.
#[derive(Debug)]
pub(crate) struct PipeInlet {
    state: PathBuf,
    /// What this batch may still keep in memory; taken back by an intake when it's known.
    spare: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl PipeInlet {
    /// Spools large messages into `state`, the ledger's directory.
    #[must_use]
    pub(crate) fn new(state: PathBuf) -> Self {
        Self { state, spare: std::sync::Arc::new(BATCH_IN_MEMORY.into()) }
    }
}

impl Inlet for PipeInlet {
    fn open(&mut self) -> Result<Box<dyn Intake>, Error> {
        let spare = self.spare.load(std::sync::atomic::Ordering::Relaxed);
        Ok(Box::new(PipeIntake { spool: Spool::new(&self.state, spare), spare: self.spare.clone() }))
    }

    fn reads_back(&self) -> bool {
        false
    }

    fn cut(&mut self) {
        self.spare = std::sync::Arc::new(BATCH_IN_MEMORY.into());
    }
}

struct PipeIntake {
    spool: Spool,
    spare: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Intake for PipeIntake {
    fn write(&mut self, text: &[u8]) -> Result<(), Error> {
        self.spool.write(text)
    }

    fn finish(self: Box<Self>, facts: &Facts) -> Result<Waiting, Error> {
        let octets = self.spool.octets();
        let spooled = self.spool.finish_as(facts)?;
        if let Spooled::Memory(text) = &spooled {
            // One message at a time: nothing else counts down meanwhile.
            self.spare.fetch_sub(text.len(), std::sync::atomic::Ordering::Relaxed);
        }
        Ok(Waiting { octets, digest: facts.stored, place: Place::Spooled(spooled) })
    }

    fn abandon(self: Box<Self>) {}
}

/// What is run, and in whose name.
#[derive(Debug, Clone)]
pub(crate) struct PipeSettings {
    pub command: PipeCommand,
    /// The program is stopped after this time.
    pub time_limit: Duration,
    /// So many at once.
    pub parallel: u16,
    /// The account's name, for `{account}` and `POPFETCH_ACCOUNT`.
    pub account: String,
    /// The server's host, for `POPFETCH_SERVER`.
    pub server: String,
    /// The ledger's directory.
    pub state: PathBuf,
    /// As whom it runs, if not as we do.
    pub owner: Option<Owner>,
    /// Whether it has lost its own rights: then a failure reports that.
    pub bound: bool,
    /// Ends the handing over,
    pub stop: Stop,
    /// so long after it was raised: ten seconds, but in tests.
    pub grace: Duration,
}

impl PipeSettings {
    /// How long after a stop signal messages are still handed over.
    pub(crate) const GRACE: Duration = Duration::from_secs(10);
}

/// The committer's end of a program.
#[derive(Debug)]
pub(crate) struct PipeOutlet {
    settings: PipeSettings,
}

impl PipeOutlet {
    /// For one run.
    #[must_use]
    pub(crate) fn new(settings: PipeSettings) -> Self {
        Self { settings }
    }

    fn start(&self, piece: &Piece) -> Result<Child, Failure> {
        let PipeSettings { command, time_limit, account, server, state, owner, .. } = &self.settings;
        let message = &piece.message;
        let envelope = Envelope::new(&message.sender, &message.recipient);
        let argv = argv(command, &envelope, account);
        let program = argv.first().map_or("", String::as_str);
        let environment = [
            ("SENDER", envelope.sender.as_str()),
            ("RECIPIENT", envelope.recipient.as_str()),
            ("POPFETCH_ACCOUNT", account.as_str()),
            ("POPFETCH_SERVER", server.as_str()),
        ];
        let input = input(&piece.place, state).map_err(|reason| Failure {
            permanent: false,
            reason: format!("the message cannot be handed over: {reason}"),
            exit: ExitCode::LocalIo,
        })?;
        Child::start(&argv, &environment, input, *time_limit, owner.as_ref()).map_err(|e| {
            let errno = e.raw_os_error().map(Errno::from_raw_os_error);
            let missing = e.kind() == io::ErrorKind::NotFound
                || matches!(errno, Some(Errno::ACCESS | Errno::NOTDIR | Errno::NOEXEC | Errno::LOOP));
            if missing {
                Failure { permanent: false, reason: not_found(program), exit: ExitCode::Configuration }
            } else {
                let reason = format!("{} cannot be started: {e}", text::printable(program.as_bytes()));
                Failure { permanent: false, reason, exit: ExitCode::Later }
            }
        })
    }

    fn failure(&self, outcome: ChildOutcome, said: &[u8]) -> Option<Failure> {
        let (permanent, how, exit) = match outcome {
            ChildOutcome::Exited(0) => return None,
            ChildOutcome::Exited(code @ (65 | 67 | 69 | 77)) => {
                (true, format!("refused it (exit status {code})"), ExitCode::Later)
            }
            // The shell's word for a command that isn't there.
            ChildOutcome::Exited(127) if matches!(self.settings.command, PipeCommand::Shell(_)) => {
                (false, "found no such command (exit status 127)".to_owned(), ExitCode::Configuration)
            }
            ChildOutcome::Exited(code) => {
                (false, format!("did not take it (exit status {code})"), ExitCode::Later)
            }
            ChildOutcome::Killed(signal) => {
                (false, format!("was killed by signal {signal}"), ExitCode::Later)
            }
            ChildOutcome::TimedOut => {
                let limit = self.settings.time_limit;
                (false, format!("was stopped at its time limit of {limit:?}"), ExitCode::Later)
            }
        };
        let program = match &self.settings.command {
            PipeCommand::Shell(_) => "sh",
            PipeCommand::Argv(elements) => elements.first().map_or("", String::as_str),
        };
        let mut reason = format!("{} {how}", text::printable(program.as_bytes()));
        let said = said.trim_ascii();
        if !said.is_empty() {
            reason.push_str(&format!(": \"{}\"", text::printable(said)));
        }
        if self.settings.bound {
            reason.push_str(
                "; NoNewPrivileges= keeps it from being setuid or setgid, and the drop-in mda.conf allows it",
            );
        }
        Some(Failure { permanent, reason, exit })
    }
}

impl Outlet for PipeOutlet {
    /// Nothing needs to survive: what is not handed over comes again.
    fn stage(&mut self, pieces: Vec<Piece>) -> Result<Vec<Staged>, Error> {
        Ok(pieces.into_iter().map(Staged::attest).collect())
    }

    fn publish(&mut self, noted: Vec<Noted>, recorder: &mut dyn Recorder) -> Result<(), Error> {
        let mut queue = noted.into_iter();
        let mut running: Vec<(Noted, Child)> = Vec::new();
        // A missing program is missing for the whole batch, and after a signal there's no time for more.
        let mut missing: Option<Failure> = None;
        // Once the ledger can't be written nothing more is handed over; what runs is still waited for.
        let mut failed: Option<Error> = None;
        let mut unsynced = false;
        loop {
            if self.settings.stop.raised_for().is_some_and(|time| time >= self.settings.grace) {
                missing = missing.or_else(|| Some(stopped_before()));
            }
            while failed.is_none() && running.len() < usize::from(self.settings.parallel.max(1)) {
                let Some(noted) = queue.next() else { break };
                let started = match &missing {
                    Some(failure) => Err(failure.clone()),
                    None => self.start(noted.piece()),
                };
                match started {
                    Ok(child) => running.push((noted, child)),
                    Err(failure) => {
                        if failure.exit == ExitCode::Configuration {
                            missing = Some(failure.clone());
                        }
                        failed = recorder.failed(noted, failure).err();
                    }
                }
            }
            // While they run: what is known must be on disk before the next but one is handed over.
            if std::mem::take(&mut unsynced) && !running.is_empty() {
                failed = failed.or(recorder.sync().err());
            }
            let mut children: Vec<&mut Child> = running.iter_mut().map(|(_, child)| child).collect();
            let waited = wait_for_one(&mut children, &self.settings.stop, AtStop::Await)
                .map_err(|e| Error::later(format!("cannot wait for the program's end: {e}"), TRY_AGAIN))?;
            let Some((index, outcome)) = waited else { break };
            let (noted, child) = running.remove(index);
            let recorded = match self.failure(outcome, child.said()) {
                None => recorder.published(Published::attest(noted)),
                Some(failure) => recorder.failed(noted, failure),
            };
            failed = failed.or(recorded.err());
            unsynced = true;
        }
        failed.map_or(Ok(()), Err)
    }

    fn withdraw(&mut self, _: Vec<Piece>) {}
}

/// What becomes of a message that is not handed over any more.
fn stopped_before() -> Failure {
    let reason = "popfetch was stopped before it could be handed over".to_owned();
    Failure { permanent: false, reason, exit: ExitCode::Later }
}

/// A file that holds the message, at its beginning.
fn input(place: &Place, state: &Path) -> Result<File, String> {
    let spooled = match place {
        Place::Spooled(spooled) => spooled,
        Place::Maildir { .. } | Place::Mbox { .. } => {
            return Err("it waits for another destination".to_owned());
        }
    };
    let open = || -> io::Result<File> {
        let mut file = match spooled {
            Spooled::File(file) => file.try_clone()?,
            Spooled::Memory(text) => {
                let mut file =
                    in_memory().or_else(|_| durable::create_unnamed(state).map_err(|e| e.source))?;
                file.write_all(text)?;
                file
            }
        };
        file.rewind()?;
        Ok(file)
    };
    open().map_err(|e| e.to_string())
}

/// A file in memory: unlike a pipe it needs nobody to fill it while the program reads, and doesn't mind a program that
/// doesn't.
#[cfg(target_os = "linux")]
fn in_memory() -> io::Result<File> {
    Ok(rustix::fs::memfd_create("message", rustix::fs::MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn in_memory() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests;

//! Standard output as a stream of mbox entries, for `formail -s procmail` and its like.
//!
//! What went into a pipe was only printed: what became of it is not known.  What went into a regular file is synced, and
//! counts as delivered.  Which of the two it is, is the caller's to ask ([`is_regular_file`]).  A terminal gets no control
//! characters: a message from a stranger could do anything with it.

use std::fs::File;
use std::io::{self, IsTerminal as _, Seek as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;

use super::mbox::Formatter;
use super::pipe::PipeSettings;
use super::sink::Sink;
use super::spool::Spool;
use super::{
    Destination, Error, Inlet, Intake, Opened, Opening, Order, Outlet, Recorder, Recovered, Settler,
    Surroundings, Unsettled, Waiting, pipe,
};
use crate::account::SyncMode;
use crate::durable::{self, Step};
use crate::message::date::asctime;
use crate::message::{Digest, Facts};
use crate::place::{Place, Spooled};
use crate::proof::{DestinationKind, DestinationName, Noted, Piece, Published, Staged};
use crate::signals::Stop;
use crate::text;
use crate::types::Time;

/// Octets that are copied at a time.
const CHUNK: usize = 128 * 1024;
/// A pipe that can be written to has room for so much.
const PIPE_BUF: usize = 4096;

/// Accounts that run side by side share the one stream: a batch is written in one go.
static STREAM: Mutex<()> = Mutex::new(());

/// Standard output, as a file of our own.
///
/// # Errors
/// When it is closed.
pub(crate) fn open() -> Result<File, Error> {
    let descriptor = io::stdout().as_fd().try_clone_to_owned();
    Ok(File::from(descriptor.map_err(|e| durable::Error::new(Step::Open, name(), e))?))
}

/// Whether standard output goes to a regular file, so that what was printed is as good as delivered.
#[must_use]
pub(crate) fn is_regular_file() -> bool {
    open().is_ok_and(|file| is_regular(&file))
}

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|status| status.is_file())
}

fn name() -> &'static Path {
    Path::new("standard output")
}

/// The network's end of standard output.
#[derive(Debug)]
pub(crate) struct StdoutInlet {
    state: PathBuf,
    clock: fn() -> Time,
}

impl StdoutInlet {
    /// Spools large messages into `state`, the ledger's directory; `clock` gives the time of delivery.
    #[must_use]
    pub(crate) fn new(state: PathBuf, clock: fn() -> Time) -> Self {
        Self { state, clock }
    }
}

impl Inlet for StdoutInlet {
    fn open(&mut self) -> Result<Box<dyn Intake>, Error> {
        Ok(Box::new(StdoutIntake {
            formatter: Formatter::new(asctime((self.clock)())),
            entry: FormattedEntry {
                spool: Spool::new(&self.state, 16 * 1024),
                hasher: blake3::Hasher::new(),
            },
        }))
    }

    fn reads_back(&self) -> bool {
        true
    }

    fn cut(&mut self) {}
}

struct StdoutIntake {
    formatter: Formatter,
    entry: FormattedEntry,
}

/// A formatted entry, and its digest.
struct FormattedEntry {
    spool: Spool,
    hasher: blake3::Hasher,
}

impl Sink for FormattedEntry {
    fn put(&mut self, octets: &[u8]) -> Result<(), Error> {
        self.hasher.update(octets);
        self.spool.write(octets)
    }
}

impl Intake for StdoutIntake {
    fn write(&mut self, text: &[u8]) -> Result<(), Error> {
        self.formatter.feed(text, &mut self.entry)
    }

    fn prepend(&mut self, prefix: &[u8]) -> Result<(), Error> {
        self.formatter.prepend(prefix);
        Ok(())
    }

    fn finish(self: Box<Self>, facts: &Facts) -> Result<Waiting, Error> {
        let Self { formatter, mut entry } = *self;
        formatter.finish(facts, &mut entry)?;
        Ok(Waiting {
            octets: entry.spool.octets(),
            digest: Digest::from_hasher(&entry.hasher),
            place: Place::Spooled(entry.spool.finish()?),
        })
    }

    fn abandon(self: Box<Self>) {}
}

/// The committer's end of standard output.
#[derive(Debug)]
pub(crate) struct StdoutOutlet {
    stream: File,
    /// Whether a regular file is synced before its messages count.
    sync: bool,
    /// Whether control characters are escaped.
    is_terminal: bool,
    /// Ends the waiting for a reader,
    stop: Stop,
    /// so long after it was raised.
    grace: Duration,
}

impl StdoutOutlet {
    /// Prints to `stream`: what [`open`] gave.
    #[must_use]
    pub(crate) fn new(stream: File, sync: bool, stop: Stop) -> Self {
        let is_terminal = stream.is_terminal();
        Self { stream, sync, is_terminal, stop, grace: PipeSettings::GRACE }
    }

    /// A file gets the batch whole or not at all.
    fn publish_to_file(&mut self, noted: Vec<Noted>, recorder: &mut dyn Recorder) -> Result<(), Error> {
        let fail = |e| Error::from(durable::Error::new(Step::Write, name(), e));
        let before = self.stream.metadata().map_err(fail)?.len();
        let position = self.stream.stream_position().map_err(fail)?;
        let outcome = noted
            .iter()
            .try_for_each(|noted| self.print(noted.piece()))
            .and_then(|()| if self.sync { Ok(durable::sync(&self.stream, name())?) } else { Ok(()) });
        if let Err(error) = outcome {
            // The messages come again: what is there of them goes, but nothing that stood there before.  If that fails
            // they stand there twice, which is as good as standard output can promise.
            let appends = rustix::fs::fcntl_getfl(&self.stream).is_ok_and(|f| f.contains(OFlags::APPEND));
            if appends || position >= before {
                let _ = durable::truncate(&self.stream, name(), before);
                let _ = self.stream.seek(io::SeekFrom::Start(position));
            }
            return Err(error);
        }
        noted.into_iter().try_for_each(|noted| recorder.published(Published::attest(noted)))
    }

    fn publish_to_pipe(&mut self, noted: Vec<Noted>, recorder: &mut dyn Recorder) -> Result<(), Error> {
        for noted in noted {
            match self.print(noted.piece()) {
                Ok(()) => recorder.published(Published::attest(noted))?,
                // Its reader has gone: one failure, not one of each message.  What is left comes again.
                Err(Error::Disk(e)) if e.source.kind() == io::ErrorKind::BrokenPipe => {
                    return Err(Error::later(
                        format!("standard output: {}", e.source),
                        "its reader ended early: what it did not get comes at the next run",
                    ));
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn put(&self, text: &[u8]) -> Result<(), Error> {
        if self.is_terminal {
            return self.write(escaped(text).as_bytes());
        }
        self.write(text)
    }

    /// What has room for anything takes so much without making us wait.
    fn write(&self, text: &[u8]) -> Result<(), Error> {
        let at_once = if is_regular(&self.stream) { CHUNK } else { PIPE_BUF };
        for part in text.chunks(at_once) {
            self.wait_for_room()?;
            durable::write(&self.stream, name(), part)?;
        }
        Ok(())
    }

    /// A reader may take its time, as a pager does, but not once we are to end.
    fn wait_for_room(&self) -> Result<(), Error> {
        loop {
            let raised = self.stop.raised_for();
            let left = raised.map(|time| self.grace.saturating_sub(time));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Error::later(
                    "popfetch was stopped before standard output had taken everything",
                    "what it did not get comes at the next run",
                ));
            }
            let limit = left.and_then(|left| Timespec::try_from(left).ok());
            let mut sources = vec![PollFd::new(&self.stream, PollFlags::OUT)];
            if raised.is_none() {
                sources.push(PollFd::from_borrowed_fd(self.stop.descriptor(), PollFlags::IN));
            }
            match rustix::event::poll(&mut sources, limit.as_ref()) {
                Ok(_) if sources.first().is_some_and(|stream| stream.revents().is_empty()) => {}
                Err(rustix::io::Errno::INTR) => {}
                // What cannot be waited for is reported by the write.
                _ => return Ok(()),
            }
        }
    }

    fn print(&self, piece: &Piece) -> Result<(), Error> {
        match &piece.place {
            Place::Spooled(Spooled::Memory(text)) => self.put(text),
            Place::Spooled(Spooled::File(file)) => {
                let mut buffer = vec![0; CHUNK];
                let mut at = 0;
                loop {
                    let read = file
                        .read_at(&mut buffer, at)
                        .map_err(|e| durable::Error::new(Step::Read, Path::new("a spooled message"), e))?;
                    if read == 0 {
                        return Ok(());
                    }
                    self.put(buffer.get(..read).unwrap_or_default())?;
                    at = at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                }
            }
            Place::Maildir { .. } | Place::Mbox { .. } => Err(Error::misplaced()),
        }
    }
}

/// Text for a terminal: its lines and tabs, and everything else as it can be printed.
fn escaped(text: &[u8]) -> String {
    let line = |line: &[u8]| {
        let parts: Vec<String> = line.split(|octet| *octet == b'\t').map(text::printable).collect();
        parts.join("\t")
    };
    let lines: Vec<String> = text.split(|octet| *octet == b'\n').map(line).collect();
    lines.join("\n")
}

impl Outlet for StdoutOutlet {
    /// Nothing needs to survive: what is not printed comes again.
    fn stage(&mut self, pieces: Vec<Piece>) -> Result<Vec<Staged>, Error> {
        Ok(pieces.into_iter().map(Staged::attest).collect())
    }

    fn publish(&mut self, noted: Vec<Noted>, recorder: &mut dyn Recorder) -> Result<(), Error> {
        let _stream = STREAM.lock().unwrap_or_else(PoisonError::into_inner);
        if is_regular(&self.stream) {
            self.publish_to_file(noted, recorder)
        } else {
            self.publish_to_pipe(noted, recorder)
        }
    }

    fn withdraw(&mut self, _: Vec<Piece>) {}
}

/// Standard output behind the door that all destinations have.
pub(super) struct StdoutDestination<'a> {
    around: Surroundings<'a>,
}

impl<'a> StdoutDestination<'a> {
    pub(super) fn new(around: Surroundings<'a>) -> Self {
        Self { around }
    }
}

impl Destination for StdoutDestination<'_> {
    fn name(&self) -> DestinationName {
        // What goes into a file is as good as delivered, what is printed isn't.  Which file: `> mail-$(date)` would make
        // a destination of each day.
        let address = if self.around.stdout_is_regular_file { b"file".to_vec() } else { b"-".to_vec() };
        DestinationName { kind: DestinationKind::Stdout, address }
    }

    fn described(&self) -> String {
        "standard output".to_owned()
    }

    /// Into whichever file or pipe.
    fn is_called(&self, name: &DestinationName) -> bool {
        name.kind == DestinationKind::Stdout
    }

    fn order(&self) -> Order {
        Order::Output
    }

    fn hands_over(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), Error> {
        open().map(drop)
    }

    fn open(&self, opening: Opening<'_>) -> Result<Opened, Error> {
        let sync = opening.sync != SyncMode::Off;
        Ok(Opened {
            inlet: Box::new(StdoutInlet::new(self.around.state.to_owned(), opening.clock)),
            outlet: Box::new(StdoutOutlet::new(open()?, sync, self.around.stop.clone())),
            inode: None,
        })
    }

    /// What was being printed may have been printed: it comes again.
    fn recover(&self, unsettled: &Unsettled, settler: &mut dyn Settler, _: Time) -> Result<Recovered, Error> {
        pipe::recover(unsettled, settler)
    }
}

#[cfg(test)]
mod tests {
    use super::{StdoutInlet, StdoutOutlet};
    use crate::delivery::trial::{Recorded, noted, pieces};
    use crate::delivery::{Error, Inlet as _, Outlet as _};
    use crate::exit::ExitCode;
    use crate::message::{Digest, Examiner};
    use crate::problem::Problem as _;
    use crate::proof::Noted;
    use crate::signals::Stop;
    use crate::types::Time;
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    const TEXTS: [&[u8]; 2] = [b"A: b\n\nFrom x\n", b"From y Thu Jan  1 00:00:00 1970\nStatus: O\nC: d\n\n"];
    const PRINTED: &str = "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\nA: b\n\n>From x\n\n\
                           From MAILER-DAEMON Thu Jan  1 00:00:00 1970\nC: d\n\n\n";

    fn print(stream: File) -> (Recorded, Result<(), Error>) {
        let home = tempfile::tempdir().unwrap();
        let pieces = pieces(&mut StdoutInlet::new(home.path().to_owned(), || Time(0)), &TEXTS);
        let mut outlet = StdoutOutlet::new(stream, true, Stop::new().unwrap());
        let mut recorded = Recorded::default();
        let staged = outlet.stage(pieces).unwrap();
        let outcome = outlet.publish(noted(staged), &mut recorded);
        (recorded, outcome)
    }

    #[test]
    fn a_pipe_gets_an_mbox_stream() {
        let (mut ours, theirs) = std::io::pipe().unwrap();
        let (recorded, outcome) = print(File::from(OwnedFd::from(theirs)));
        outcome.unwrap();
        assert_eq!(recorded.published, [1, 2]);
        let mut printed = String::new();
        ours.read_to_string(&mut printed).unwrap();
        assert_eq!(printed, PRINTED);
    }

    #[test]
    fn a_closed_pipe_is_told_once() {
        let (ours, theirs) = std::io::pipe().unwrap();
        drop(ours);
        let (recorded, outcome) = print(File::from(OwnedFd::from(theirs)));
        // One error, not one for each message.
        assert_eq!(outcome.unwrap_err().exit_code(), ExitCode::Later);
        assert!(recorded.published.is_empty() && recorded.failed.is_empty());
    }

    /// A device that is full has no reader that went away.
    #[test]
    fn a_full_device_is_told_as_a_full_disk_is() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (recorded, outcome) = print(full);
        let error = outcome.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::LocalIo);
        assert!(error.to_string().contains("standard output"), "{error}");
        assert!(recorded.published.is_empty() && recorded.failed.is_empty());
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let text = b"A: \x1b]0;x\x07\tb\r\n\n\x9b2J \xc2\x9b \xe2\x80\xae \xc3\xbc\n";
        assert_eq!(super::escaped(text), "A: \\x1b]0;x\\x07\tb\\x0d\n\n\\x9b2J \\u{9b} \\u{202e} \u{fc}\n");
    }

    #[test]
    fn a_file_gets_the_batch_behind_what_it_holds() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before\n").unwrap();
        let (recorded, outcome) = print(file.try_clone().unwrap());
        outcome.unwrap();
        assert_eq!(recorded.published, [1, 2]);
        let mut found = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut found).unwrap();
        assert_eq!(found, format!("before\n{PRINTED}"));
    }

    /// The destination's end, and what it has been given to print.
    fn staged(stream: &File, sync: bool, texts: &[&[u8]]) -> (StdoutOutlet, Vec<Noted>) {
        let home = tempfile::tempdir().unwrap();
        let mut outlet = StdoutOutlet::new(stream.try_clone().unwrap(), sync, Stop::new().unwrap());
        let pieces = pieces(&mut StdoutInlet::new(home.path().to_owned(), || Time(0)), texts);
        let staged = outlet.stage(pieces).unwrap();
        (outlet, noted(staged))
    }

    fn contents(file: &mut File) -> String {
        let mut found = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut found).unwrap();
        found
    }

    #[test]
    fn a_large_message_is_printed_whole_and_known_by_its_digest() {
        let home = tempfile::tempdir().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let large =
            b"A: b\n\n".iter().copied().chain(b"0123456789abcde\n".repeat(40_000)).collect::<Vec<u8>>();
        let whole = [b"Received: here\n".as_slice(), &large].concat();
        let mut intake = StdoutInlet::new(home.path().to_owned(), || Time(0)).open().unwrap();
        intake.prepend(b"Received: here\n").unwrap();
        intake.write(&large).unwrap();
        let mut examiner = Examiner::summing(b"Received: here\n");
        examiner.update(&large);
        let waiting = intake.finish(&examiner.finish()).unwrap();
        let (mut outlet, noted) = staged(&file, true, &[&large]);
        outlet.publish(noted, &mut Recorded::default()).unwrap();
        let printed = contents(&mut file);
        assert!(printed.as_bytes().ends_with(&[large.as_slice(), b"\n"].concat()));
        let entry = printed.replacen("A: b", "Received: here\nA: b", 1);
        assert!(entry.as_bytes().ends_with(&[whole.as_slice(), b"\n"].concat()));
        assert_eq!((waiting.octets, waiting.digest), (entry.len() as u64, Digest::of(entry.as_bytes())));
    }

    /// Only a terminal obeys control characters.
    #[test]
    fn a_terminal_gets_what_can_be_printed_and_a_pipe_gets_what_came() {
        for (is_terminal, expected) in [(false, "A: \x1b[31m\n\n"), (true, "A: \\x1b[31m\n\n")] {
            let (mut ours, theirs) = std::io::pipe().unwrap();
            let (outlet, noted) = staged(&File::from(OwnedFd::from(theirs)), true, &[b"A: \x1b[31m\n\n"]);
            let mut outlet = StdoutOutlet { is_terminal, ..outlet };
            outlet.publish(noted, &mut Recorded::default()).unwrap();
            drop(outlet);
            let mut printed = String::new();
            ours.read_to_string(&mut printed).unwrap();
            assert!(printed.ends_with(&format!("\n{expected}\n")), "{printed:?}");
        }
    }

    #[cfg(feature = "crash-points")]
    #[test]
    fn a_file_is_on_the_disk_before_its_messages_count() {
        use crate::durable::{Step, trial::steps};
        for sync in [true, false] {
            let file = tempfile::tempfile().unwrap();
            let (mut outlet, noted) = staged(&file, sync, &TEXTS);
            let mut recorded = Recorded::default();
            let (published, taken) = steps(|_, _| false, || outlet.publish(noted, &mut recorded));
            published.unwrap();
            assert_eq!(taken.iter().filter(|(step, _)| *step == Step::Sync).count(), usize::from(sync));
            let (mut outlet, noted) = staged(&file, sync, &TEXTS);
            let mut recorded = Recorded::default();
            let (published, _) = steps(|step, _| step == Step::Sync, || outlet.publish(noted, &mut recorded));
            assert_eq!((published.is_err(), recorded.published.is_empty()), (sync, sync));
        }
    }

    /// The messages come again: what is there of them would stand there twice.
    #[cfg(feature = "crash-points")]
    #[test]
    fn a_batch_that_cannot_be_printed_whole_leaves_a_file_as_it_was() {
        use crate::durable::{Step, trial::steps};
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("out");
        for append in [false, true] {
            std::fs::write(&path, "before\n").unwrap();
            let mut stream = File::options().read(true).append(append).write(true).open(&path).unwrap();
            if !append {
                stream.seek(std::io::SeekFrom::End(0)).unwrap();
            }
            let (mut outlet, noted) = staged(&stream, true, &TEXTS);
            let mut recorded = Recorded::default();
            let writes = std::cell::Cell::new(0);
            let (published, _) = steps(
                move |step, _| step == Step::Write && writes.replace(writes.get() + 1) == 3,
                || outlet.publish(noted, &mut recorded),
            );
            assert!(published.is_err() && recorded.published.is_empty());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\n", "appends: {append}");
            let (mut outlet, noted) = staged(&stream, true, &TEXTS);
            outlet.publish(noted, &mut recorded).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("before\n{PRINTED}"));
        }
    }

    #[test]
    fn only_what_came_is_printed() {
        let home = tempfile::tempdir().unwrap();
        let mut inlet = StdoutInlet::new(home.path().to_owned(), || Time(0));
        crate::delivery::trial::takes_only_what_came(&mut inlet);
    }

    /// A reader that takes nothing keeps no run from its end: neither one that waits at the signal, nor one after it.
    #[test]
    fn a_reader_that_takes_nothing_is_left_after_a_signal() {
        for raised_before in [false, true] {
            let home = tempfile::tempdir().unwrap();
            let (_ours, theirs) = std::io::pipe().unwrap();
            let stop = Stop::new().unwrap();
            let mut outlet = StdoutOutlet::new(File::from(OwnedFd::from(theirs)), true, stop.clone());
            outlet.grace = Duration::from_millis(50);
            let large = b"line\n".repeat(40_000);
            let texts: [&[u8]; 2] = [b"A: b\n\nx\n", &large];
            let pieces = pieces(&mut StdoutInlet::new(home.path().to_owned(), || Time(0)), &texts);
            let raising = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(if raised_before { 0 } else { 200 }));
                stop.raise();
            });
            let mut recorded = Recorded::default();
            let staged = outlet.stage(pieces).unwrap();
            let error = outlet.publish(noted(staged), &mut recorded).unwrap_err();
            raising.join().unwrap();
            assert_eq!((error.exit_code(), recorded.published.len()), (ExitCode::Later, 1));
        }
    }
}

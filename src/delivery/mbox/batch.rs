//! The spool of one batch: the very octets that will be appended to the mbox, entry by entry, in a file in the ledger's
//! directory.  Only with it can recovery distinguish a torn tail of ours from another program's mail.
//!
//! The file begins with a line of fixed length that records how far the batch has come.  `waiting`: it may or may not
//! have reached the mbox.  `appended BOOT`: since the machine's start that BOOT names, every octet stood in the mbox
//! (in the page cache at least).  That word is worth something only until the next start of the machine, and is not
//! synced: a process that dies leaves the page cache as it was.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::Formatter;
use crate::clock;
use crate::delivery::sink::Sink;
use crate::delivery::{Error, Intake, Waiting};
use crate::durable::{self, Step};
use crate::message::{Digest, Facts};
use crate::place::{MboxSpool, Place};
use crate::types::wide;

/// What every spool's name begins with.
pub(super) const PREFIX: &str = "spool-";

/// Octets of the first line.
const HEAD: usize = 64;

/// So much is collected before it's written.
const BUFFER: usize = 64 * 1024;

/// A spool that entries are being added to.
#[derive(Debug)]
pub(super) struct Batch {
    spool: Arc<MboxSpool>,
    extent: Mutex<SpoolExtent>,
}

#[derive(Debug)]
struct SpoolExtent {
    /// Where the last whole entry ends.
    end: u64,
    /// Where the last octet written ends.
    written: u64,
}

impl Batch {
    /// Begins a spool in `state`.
    pub(super) fn create(state: &Path) -> Result<Arc<Self>, Error> {
        let random: [u8; 8] = clock::random().map_err(|e| durable::Error::new(Step::Open, state, e))?;
        let path = state.join(format!("{PREFIX}{:016x}", u64::from_ne_bytes(random)));
        let file = durable::create_new(&path, 0o600)?;
        durable::write(&file, &path, &head("waiting"))?;
        let end = u64::try_from(HEAD).unwrap_or_default();
        Ok(Arc::new(Self {
            spool: Arc::new(MboxSpool { path, file }),
            extent: Mutex::new(SpoolExtent { end, written: end }),
        }))
    }

    fn extent(&self) -> MutexGuard<'_, SpoolExtent> {
        self.extent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts off what isn't a whole entry, and goes to the end of the last one.
    fn cut_back(&self) -> Result<(), Error> {
        let mut extent = self.extent();
        if extent.written != extent.end {
            let MboxSpool { path, file } = &*self.spool;
            durable::truncate(file, path, extent.end)?;
            let mut file: &File = file;
            file.seek(SeekFrom::Start(extent.end)).map_err(|e| durable::Error::new(Step::Write, path, e))?;
            extent.written = extent.end;
        }
        Ok(())
    }
}

/// Says in the spool's first line that the batch stands whole in the mbox, or (`None`) takes it back.
pub(super) fn mark_appended(spool: &MboxSpool, boot: Option<&str>) -> Result<(), Error> {
    let state = boot.map_or_else(|| "waiting".to_owned(), appended);
    (&spool.file).seek(SeekFrom::Start(0)).map_err(|e| durable::Error::new(Step::Write, &spool.path, e))?;
    Ok(durable::write(&spool.file, &spool.path, &head(&state))?)
}

/// Whether the spool's first line records that the batch stood whole in the mbox, in the page cache that is still ours.
pub(super) fn is_appended(spool: &File, boot: Option<&str>) -> bool {
    let mut found = [0; HEAD];
    let Some(boot) = boot else { return false };
    spool.read_exact_at(&mut found, 0).is_ok() && found.as_slice() == head(&appended(boot))
}

fn appended(boot: &str) -> String {
    format!("appended {boot}")
}

fn head(state: &str) -> Vec<u8> {
    format!("mbox spool {state:<0$.0$}\n", HEAD - 12).into_bytes()
}

/// One entry being added.
pub(super) struct MboxIntake {
    batch: Arc<Batch>,
    start: u64,
    formatter: Formatter,
    writer: SpoolWriter,
}

impl MboxIntake {
    pub(super) fn open(batch: Arc<Batch>, date: String) -> Result<Self, Error> {
        batch.cut_back()?;
        let start = batch.extent().end;
        let writer = SpoolWriter {
            batch: Arc::clone(&batch),
            buffer: Vec::new(),
            hasher: blake3::Hasher::new(),
            octets: 0,
        };
        Ok(Self { batch, start, formatter: Formatter::new(date), writer })
    }
}

impl Intake for MboxIntake {
    fn write(&mut self, text: &[u8]) -> Result<(), Error> {
        self.formatter.feed(text, &mut self.writer)
    }

    fn prepend(&mut self, prefix: &[u8]) -> Result<(), Error> {
        self.formatter.prepend(prefix);
        Ok(())
    }

    fn finish(self: Box<Self>, facts: &Facts) -> Result<Waiting, Error> {
        let Self { batch, start, formatter, mut writer } = *self;
        formatter.finish(facts, &mut writer)?;
        writer.flush()?;
        let mut extent = batch.extent();
        extent.end = extent.written;
        Ok(Waiting {
            octets: writer.octets,
            digest: Digest::from_hasher(&writer.hasher),
            place: Place::Mbox { spool: Arc::clone(&batch.spool), spool_offset: start, offset: None },
        })
    }

    fn abandon(self: Box<Self>) {
        // If this fails, the next entry tries again; a spool that ends in half an entry does no harm, for only
        // stretches that the ledger names are ever looked at.
        let _ = self.batch.cut_back();
    }
}

/// Hashes and writes in large pieces.
struct SpoolWriter {
    batch: Arc<Batch>,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    octets: u64,
}

impl SpoolWriter {
    fn flush(&mut self) -> Result<(), Error> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Error> {
        if octets.is_empty() {
            return Ok(());
        }
        let length = wide(octets.len());
        // Counted first: a write that fails may have written half.
        self.batch.extent().written += length;
        durable::write(&self.batch.spool.file, &self.batch.spool.path, octets)?;
        self.hasher.update(octets);
        self.octets += length;
        Ok(())
    }
}

impl Sink for SpoolWriter {
    fn put(&mut self, octets: &[u8]) -> Result<(), Error> {
        if self.buffer.len() + octets.len() > BUFFER {
            self.flush()?;
        }
        if octets.len() >= BUFFER / 4 && self.buffer.is_empty() {
            return self.write(octets);
        }
        self.buffer.extend_from_slice(octets);
        Ok(())
    }
}

//! Where a login is kept: a file that only its owner can read, or two commands.  And the lock under which it is changed.
//!
//! ```text
//! lock ─► load ─► make_room ─► (the server is asked) ─► save: write ─► sync ─► rename ─► sync of the directory ─► used
//! ```
//!
//! A server may take a refresh token back as soon as it has given the next one.  So everything that can fail is done
//! before its answer: room for the largest record is written and synced before the server is asked.  A crash after
//! the new record was written whole, and before it had its name, loses nothing: the next one that has the lock finds
//! it.  Until the record is written the window stays open, and nothing can close it.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::error::Error;
use super::limits::WaitLimits;
use super::record::{LARGEST, LoginRecord};
use crate::access;
use crate::account::{OAuth, StoreCommands};
use crate::durable::{self, Step};
use crate::process::{self, NoEnd, Program};
use crate::secret::Secret;
use crate::signals::Stop;
use crate::text;
use crate::types::{Time, wide};

/// Between two looks at a lock that another process has.
const PAUSE: Duration = Duration::from_millis(50);

/// A login's place.
pub(super) struct Store<'a> {
    account: &'a str,
    directory: PathBuf,
    name: String,
    commands: Option<&'a StoreCommands>,
    stop: &'a Stop,
    pub(super) limits: WaitLimits,
}

/// The right to change a store; gone when it is dropped.
pub(super) struct LockedStore {
    file: File,
}

/// Room for a record, on the disk.
pub(super) enum Room {
    File {
        file: File,
        path: PathBuf,
    },
    /// The command has just shown that it works.
    Command,
}

impl<'a> Store<'a> {
    pub(super) fn new(
        account: &'a str,
        user: &str,
        settings: &'a OAuth,
        state: &Path,
        stop: &'a Stop,
    ) -> Self {
        let (directory, name) = (state.join("oauth"), name(user, settings));
        Self {
            account,
            directory,
            name,
            commands: settings.store.as_ref(),
            stop,
            limits: WaitLimits::default(),
        }
    }

    /// Where it is, for people.
    pub(super) fn shown(&self) -> String {
        match self.commands {
            Some(_) => "what save-command stores".to_owned(),
            None => text::path(&self.path("json")),
        }
    }

    fn path(&self, end: &str) -> PathBuf {
        self.directory.join(format!("{}.{end}", self.name))
    }

    /// What is stored; nothing where there was no login.
    ///
    /// # Errors
    /// A store that others can read, that can't be read, or that holds something else.
    pub(super) fn load(&self) -> Result<Option<LoginRecord>, Error> {
        let content = match self.commands {
            Some(commands) => self.run("load-command", &commands.load, None)?,
            None => {
                let path = self.path("json");
                if path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
                    return Ok(None);
                }
                access::check_path(&self.directory)?;
                access::read_private(&path, "store of tokens", wide(2 * LARGEST), None)?
            }
        };
        if content.expose().trim_ascii().is_empty() && self.commands.is_some() {
            return Ok(None);
        }
        let damaged = || Error::Damaged { account: self.account.to_owned(), store: self.shown() };
        LoginRecord::read(content.expose()).map(Some).ok_or_else(damaged)
    }

    /// Takes the lock, for which other processes, and other threads of this one, are waited.
    ///
    /// # Errors
    /// [`Error::Locked`] when it takes too long: there is no way without it.
    pub(super) fn lock(&self) -> Result<LockedStore, Error> {
        durable::make_directories(&self.directory)?;
        access::check_path(&self.directory)?;
        let path = self.path("lock");
        let (file, _) = durable::open_or_create(&path, 0o600)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(LockedStore { file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(durable::Error::new(Step::Open, &path, e).into()),
            }
            if begun.elapsed() >= self.limits.lock {
                return Err(Error::Locked { path, waited: self.limits.lock });
            }
            if self.stop.wait(PAUSE) {
                return Err(Error::Stopped);
            }
        }
    }

    /// What is stored, read with the lock held: a record that was written whole and never got its name is given it
    /// now.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub(super) fn load_locked(&self, _lock: &LockedStore) -> Result<Option<LoginRecord>, Error> {
        let new = self.path("new");
        if self.commands.is_none() && new.symlink_metadata().is_ok() {
            let left = access::read_private(&new, "store of tokens", wide(2 * LARGEST), None);
            if left.is_ok_and(|content| LoginRecord::read(content.expose()).is_some()) {
                durable::sync(&durable::open(&new)?, &new)?;
                self.put_in_place(&new)?;
            }
        }
        self.load()
    }

    /// Makes sure that the next record can be kept, as far as that can be known before it is there.
    ///
    /// # Errors
    /// A full disk, above all; a command that doesn't work.
    pub(super) fn make_room(&self, _lock: &LockedStore, before: Option<&LoginRecord>) -> Result<Room, Error> {
        if let Some(commands) = self.commands {
            if let Some(before) = before {
                self.run("save-command", &commands.save, Some(&before.line()))?;
            }
            return Ok(Room::Command);
        }
        let path = self.path("new");
        if path.symlink_metadata().is_ok() {
            durable::remove(&path)?;
        }
        let file = durable::create_new(&path, 0o600)?;
        let made =
            durable::write(&file, &path, &vec![b' '; LARGEST]).and_then(|()| durable::sync(&file, &path));
        if let Err(e) = made {
            // It holds nothing.
            let _ = std::fs::remove_file(&path);
            return Err(e.into());
        }
        Ok(Room::File { file, path })
    }

    /// Keeps a record: when this comes back without an error it is on the disk, under its name.
    ///
    /// # Errors
    /// Any step that fails.
    pub(super) fn save(&self, _lock: &LockedStore, room: Room, record: &LoginRecord) -> Result<(), Error> {
        let line = record.line();
        let (mut file, path) = match (room, self.commands) {
            (Room::File { file, path }, _) => (file, path),
            (Room::Command, Some(commands)) => {
                return self.run("save-command", &commands.save, Some(&line)).map(drop);
            }
            (Room::Command, None) => return Err(Error::Stopped),
        };
        let octets = wide(line.expose().len());
        file.seek(SeekFrom::Start(0)).map_err(|e| durable::Error::new(Step::Write, &path, e))?;
        durable::write(&file, &path, line.expose())?;
        durable::truncate(&file, &path, octets)?;
        durable::sync(&file, &path)?;
        self.put_in_place(&path)
    }

    fn put_in_place(&self, new: &Path) -> Result<(), Error> {
        durable::replace(new, &self.path("json"))?;
        Ok(durable::sync_names(&self.directory)?)
    }

    /// Gives up room that isn't needed.
    pub(super) fn give_back(&self, room: Room) {
        if let Room::File { path, .. } = room {
            // It holds blanks: the next renewal removes them.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Removes what is stored; whether there was anything.  Commands have nothing that removes: they store a blank line.
    ///
    /// # Errors
    /// The disk's, or the command's.
    pub(super) fn remove(&self, _lock: &LockedStore) -> Result<(), Error> {
        match self.commands {
            Some(commands) => self.run("save-command", &commands.save, Some(&Secret::new("\n"))).map(drop),
            None => {
                for path in [self.path("new"), self.path("json")] {
                    if path.symlink_metadata().is_ok() {
                        durable::remove(&path)?;
                    }
                }
                Ok(durable::sync_directory(&self.directory)?)
            }
        }
    }

    fn run(&self, which: &'static str, argv: &[String], input: Option<&Secret>) -> Result<Secret, Error> {
        let failed = |what| Error::Command { which, what, account: self.account.to_owned() };
        let program = Program { argv, owner: None, input, limit: self.limits.command, longest: 2 * LARGEST };
        let ended = process::run(program, self.stop).map_err(|end| match end {
            NoEnd::Late if self.stop.raised() => Error::Stopped,
            NoEnd::Late => failed(format!("took longer than {} s", self.limits.command.as_secs())),
            NoEnd::Start(e) => failed(format!("cannot be run: {e}")),
            NoEnd::NoRoom(source) => Error::NoResources { which, source },
            NoEnd::Wait(e) => failed(format!("was lost sight of: {e}")),
        })?;
        if ended.status.success() { Ok(ended.printed) } else { Err(failed(ended.failure())) }
    }
}

/// What is written beside the lock: when the user last logged in, and until when the server wants to be left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LoginNotes {
    pub(super) login: i64,
    pub(super) leave_alone_until: i64,
}

impl LoginNotes {
    pub(super) fn read(lock: &LockedStore) -> Self {
        let mut text = String::new();
        let mut file = &lock.file;
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(100).read_to_string(&mut text));
        read.map(|_| Self::of(&text)).unwrap_or_default()
    }

    fn of(text: &str) -> Self {
        let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or_default());
        Self {
            login: numbers.next().unwrap_or_default(),
            leave_alone_until: numbers.next().unwrap_or_default(),
        }
    }

    /// Not synced: what is lost costs a question.
    pub(super) fn write(self, lock: &LockedStore) {
        use std::io::Write as _;
        let mut file = &lock.file;
        let text = format!("{:020} {:020}\n", self.login, self.leave_alone_until);
        let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(text.as_bytes()));
    }
}

/// When the user last logged in, for callers that remember a refusal: a later login ends it.  No lock, no command.
#[must_use]
pub(crate) fn last_login(user: &str, settings: &OAuth, state: &Path) -> Option<Time> {
    let path = state.join("oauth").join(format!("{}.lock", name(user, settings)));
    // Who else may write there could put something that is waited for.
    let text = path.metadata().ok()?.is_file().then(|| std::fs::read_to_string(&path))?.ok()?;
    Some(Time(LoginNotes::of(&text).login))
}

/// When a login ends however much it is used, if the server has given it an end and the login is kept in a file.  No lock,
/// no command.
#[must_use]
pub(crate) fn end_of_login(user: &str, settings: &OAuth, state: &Path) -> Option<Time> {
    let path = state.join("oauth").join(format!("{}.json", name(user, settings)));
    let content = access::read_private(&path, "store of tokens", wide(2 * LARGEST), None).ok()?;
    LoginRecord::read(content.expose())?.refresh_ends
}

/// A digest of user, provider, client and scope: no name from outside goes into a path.
fn name(user: &str, settings: &OAuth) -> String {
    let provider = &settings.provider;
    let server = provider.token.as_deref().or(provider.issuer.as_deref()).unwrap_or_default();
    let (client, scope) = (settings.client_id.as_deref(), provider.scope.as_deref());
    let mut hasher = Sha256::new();
    for part in [user, server, client.unwrap_or_default(), scope.unwrap_or_default()] {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    text::hex(hasher.finalize().as_slice()).chars().take(40).collect()
}

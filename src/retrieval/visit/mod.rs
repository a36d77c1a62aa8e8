//! A session that only looks, for `--dry-run` and the commands that read: nothing is retrieved to be kept, marked or
//! deleted, and the ledger is read without being written.
//!
//! It never keeps a run from its work: the mailbox's lock isn't taken.  A run that has it is waited for, since until its end
//! the server would refuse a second session, or show what is about to change.  The ledger as it stood is enough.
//!
//! How it ends is decided by what it asked for ([`Client::leave`]): a server may delete at `QUIT` what was looked at.

pub(crate) mod by_hand;
mod check;
mod delete;
mod list;
mod outlook;
mod server_info;
mod show;
#[cfg(test)]
mod tests;

use super::alerts::Alerts;
use super::error::Error;
use super::login;
use super::quick;
use super::run::Run;
use crate::access;
use crate::client::{Client, Prefetch, Transaction};
use crate::ledger::lock::{Lock, PATIENCE};
use crate::ledger::memory::Memory;
use crate::ledger::{self, Ledger};
use crate::secret::Secret;
use crate::types::Wait;

pub(crate) use check::{NewMail, check_all};
pub(crate) use delete::{Deleted, Doomed, KeepAlive, delete};
pub(crate) use list::{ListFilter, MessageRow, MessageRows, list};
pub(super) use outlook::{Outlook, cause};
pub(crate) use server_info::{
    Better, Capabilities, CertificateInfo, Expire, LoginInfo, Server, ServerInfo, find_server, probe,
    server_info, try_login,
};
pub(crate) use show::{ShownMessage, ShownPart, Taker, show};

/// When a listing's sizes are asked for together with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sizes {
    /// They are needed whatever is listed.
    Wanted,
    /// Where a run would be likely to need them.
    IfLikely,
}

/// A visit to one account's server, before and after the login.
pub(super) struct Visit<'r, 'a> {
    pub(super) run: &'r Run<'a>,
    /// What it learns is this visit's alone.
    pub(super) memory: Memory,
}

impl<'r, 'a> Visit<'r, 'a> {
    /// Waits for a run that has the mailbox, and sees whether the login is paused.
    ///
    /// # Errors
    /// [`Error::Busy`]; [`Error::Paused`]; a state directory that others can change.
    pub(super) fn begin(run: &'r Run<'a>) -> Result<Self, Error> {
        access::check_path(&run.directory)?;
        Lock::wait_until_free(&run.directory, Wait::AtMost(PATIENCE), &run.context.stop).map_err(busy)?;
        let memory = Memory::load(&run.directory);
        Alerts::new(run).check_pause(&memory)?;
        Ok(Self { run, memory })
    }

    /// Begins, logs in, and reads the ledger.
    ///
    /// # Errors
    /// As of [`Visit::begin`], and of every login; a ledger that cannot be read.
    pub(super) fn open(run: &'r Run<'a>, sizes: Sizes) -> Result<(Self, Client<Transaction>, Ledger), Error> {
        let mut visit = Self::begin(run)?;
        let secret = visit.secret()?;
        let client = visit.log_in(&secret, visit.listing(sizes))?;
        let ledger = visit.ledger()?;
        Ok((visit, client, ledger))
    }

    /// The ledger as it stands.  What is put in doubt counts from now on, and is written nowhere.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn ledger(&self) -> Result<Ledger, Error> {
        let mut ledger = Ledger::read(&self.run.directory, &self.run.account.mailbox(), self.run.now)?;
        ledger.pretend();
        Ok(ledger)
    }

    /// The password, which may have to be asked for.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn secret(&self) -> Result<Secret, Error> {
        let secret = self.run.secret();
        if secret.as_ref().is_err_and(Error::refuses_credentials) {
            self.note_login(secret.as_ref().err());
        }
        secret
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// As of every login.
    pub(super) fn log_in(
        &mut self,
        secret: &Secret,
        prefetch: impl Into<Option<Prefetch>>,
    ) -> Result<Client<Transaction>, Error> {
        let client = login::log_in(self.run, &mut self.memory, secret, prefetch.into());
        match &client {
            Err(e) if e.refuses_credentials() => self.note_login(client.as_ref().err()),
            // The user has corrected the password, or the server its mind.
            Ok(_) if self.memory.pause.is_some() => self.note_login(None),
            _ => {}
        }
        client
    }

    /// What to ask for together with the login: the whole listing.
    pub(super) fn listing(&self, sizes: Sizes) -> Prefetch {
        Prefetch::Listing {
            drop_listing: true,
            // A session that looks at a message must not end in QUIT.
            headers: [None; 2],
            sizes: sizes == Sizes::Wanted || quick::expects_mail(self.run, &self.memory),
        }
    }

    /// A refusal is remembered as that of a run is: a command that is run every minute must not try a wrong password every
    /// minute.
    fn note_login(&self, e: Option<&Error>) {
        if !Ledger::exists(&self.run.directory) {
            return;
        }
        // Where a run has begun meanwhile it finds out on its own.
        let Ok(_lock) = Lock::acquire(&self.run.directory, Wait::NO, &self.run.context.stop) else { return };
        let mut memory = Memory::load(&self.run.directory);
        Alerts::new(self.run).note_login(&mut memory, e);
        if let Err(e) = memory.save(&self.run.directory) {
            self.run.detail(|| format!("how the login went was not kept: {e}"));
        }
    }
}

/// A run that has the mailbox, and was waited for.
fn busy(e: ledger::Error) -> Error {
    match e {
        ledger::Error::Locked => Error::Busy,
        e => e.into(),
    }
}

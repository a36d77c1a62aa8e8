//! A session that the user leads: logged in as a run logs in, under the mailbox's lock, and then one command after the
//! other.  Nothing is retrieved into destinations, and nothing written to the ledger.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::context::{Context, Options};
use super::error::Error;
use super::login::log_in;
use super::run::Run;
use crate::access;
use crate::account::Account;
pub use crate::client::{Farewell, Piece, Question};
use crate::client::{Client, Next, Transaction};
use crate::clock;
use crate::credentials;
use crate::ledger::lock::Lock;
use crate::ledger::memory::Memory;
use crate::ledger::{self, Ledger};
use crate::types::{MessageNumber, Wait};

/// So long another popfetch is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A session that the user leads.
pub struct ByHand {
    client: Client<Transaction>,
    /// A run would meet a maildrop that the server has locked, and an order of messages that is ours.
    _lock: Lock,
}

impl std::fmt::Debug for ByHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByHand").finish_non_exhaustive()
    }
}

//! Where a message waits between its arrival and its publication, at each kind of destination, and how much of that a line
//! of the ledger records.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the bytes of a [`Piece`](crate::proof::Piece) wait, and where they go.
#[derive(Debug)]
pub(crate) enum Place {
    /// `tmp/NAME`, to become `new/NAME`.
    Maildir {
        /// The file's name, the same in `tmp/` and `new/`.
        name: String,
        /// The directory, opened before the batch's first write: what `syncfs(2)` needs to report its errors.
        batch: Arc<File>,
        /// The file as it was written, where it may be synced on its own: the descriptor that wrote is sure to see
        /// of a write that failed later.
        file: Option<File>,
    },
    /// In the batch's spool, to be appended to the mbox.
    Mbox {
        spool: Arc<MboxSpool>,
        /// Where the entry begins in the spool.
        spool_offset: u64,
        /// Where the entry begins in the mbox; known (`Some`) once the locks are held, so before it is noted.
        offset: Option<u64>,
    },
    /// Spooled whole, to be handed over.
    Spooled(Spooled),
}

impl Place {
    /// The name of the message's own file, which only a Maildir has.
    #[must_use]
    pub(crate) fn file_name(&self) -> Option<&str> {
        match self {
            Self::Maildir { name, .. } => Some(name),
            Self::Mbox { .. } | Self::Spooled(_) => None,
        }
    }
}

impl NotedPlace {
    /// The name of the message's own file, which only a Maildir has.
    #[must_use]
    pub(crate) fn file_name(&self) -> Option<&str> {
        match self {
            Self::Maildir { name } => Some(name),
            Self::Mbox { .. } | Self::Handed => None,
        }
    }
}

/// The spool of one batch for one mbox: the very octets that will be appended.
#[derive(Debug)]
pub(crate) struct MboxSpool {
    /// Its path, in the mailbox's state directory.
    pub path: PathBuf,
    pub file: File,
}

/// A whole message waiting for a program, with LF line ends.
#[derive(Debug)]
pub(crate) enum Spooled {
    /// A small message, in memory.
    Memory(Vec<u8>),
    /// In a file without a name.
    File(File),
}

/// The part of a [`Place`] that a ledger line can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotedPlace {
    /// The file's name in `tmp/`, `new/`, or (with flags) `cur/`.
    Maildir {
        /// The file's name, the same in `tmp/` and `new/`.
        name: String,
    },
    /// A stretch of the mbox, and the same stretch of the spool.
    Mbox {
        /// Where the entry begins in the mbox.
        offset: u64,
        /// The spool's file name in the state directory.
        spool: String,
        /// Where it begins in the spool.
        spool_offset: u64,
    },
    /// Handed to a program, or printed.
    Handed,
}

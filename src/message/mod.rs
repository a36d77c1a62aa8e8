//! The stream of one message: its digests, its envelope, and the Received line that popfetch may add at the top.  Works on
//! text form (LF line ends, no dot-stuffing), in one pass and bounded memory.  It never changes an octet of a message.

pub(crate) mod date;
mod digest;
mod examiner;
mod header;
pub(crate) mod header_lines;
pub(crate) mod reading;
mod received;
mod sum;
pub(crate) mod summary;

pub(crate) use digest::{Digest, DigestText, Digests};
pub use examiner::fuzz_examiner;
pub(crate) use examiner::{Examiner, Facts, sender, stored};
pub(crate) use header::Headline;
pub(crate) use header::is_changed_by_servers;
pub(crate) use received::{Retrieval, received_line};
pub(crate) use sum::Summing;

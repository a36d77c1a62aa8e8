//! The stream of one message: its digests, its envelope, the line we may add on top.  Works on text form (LF line
//! ends, no dot-stuffing), in one pass and bounded memory.  It never changes an octet of a message.

pub mod date;
mod digest;
mod examiner;
mod header;
pub(crate) mod header_lines;
pub mod reading;
mod received;
mod sum;
pub mod summary;

pub use digest::{Digest, DigestText, Digests};
pub use examiner::{Examiner, Facts, fuzz_examiner, sender, stored};
pub use header::Headline;
pub(crate) use header::is_changed_by_servers;
pub use received::{Retrieval, received_line};
pub use sum::{Sum, Summing};

//! What a login needs of the place where the user sits.

use std::os::fd::BorrowedFd;

/// Where the user reads and types.
pub(crate) trait LoginTerminal {
    fn show(&self, text: &str);
    /// Opens an address in the browser; whether one was started.
    fn open(&self, address: &str) -> bool;
    /// Where an address can be pasted: a descriptor that is readable when a line has been typed.
    fn input(&self) -> Option<BorrowedFd<'_>>;
    /// The line that has been typed; `None` at the end.
    fn typed(&self) -> Option<String>;
}

//! One popfetch per mailbox.
/// The lock of one mailbox, held until dropped.
#[derive(Debug)]
pub struct Lock {}

//! Who sees what is done to get a token.

/// Sees what is done to get a token.
pub(crate) trait TokenObserver {
    /// What is decided, and why (`-v`).
    fn detail(&self, text: String);
    /// Whether the dialogue is shown (`-vv`).
    fn wants_dialogue(&self) -> bool;
    /// A line of the dialogue, with secrets hidden.
    fn dialogue(&self, line: String);
    /// A token was renewed at `host`, and lasts this many seconds.
    fn refreshed(&self, host: &str, expires_in: u64);
}

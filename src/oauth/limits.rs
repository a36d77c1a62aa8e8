//! How long the others that take part in a login, or in getting a token, are waited for.

use std::time::Duration;

/// How long others are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitLimits {
    /// Another process that renews the same token.
    pub lock: Duration,
    /// One of the two commands that keep a login.
    pub command: Duration,
    /// The user, in the browser.
    pub browser: Duration,
}

impl Default for WaitLimits {
    fn default() -> Self {
        Self {
            // Longer than a question to the server may take.
            lock: Duration::from_secs(45),
            command: Duration::from_secs(20),
            browser: Duration::from_secs(300),
        }
    }
}

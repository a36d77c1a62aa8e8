//! The names of a mailbox's directory and of the ledger in it.

use std::path::{Path, PathBuf};

use crate::account::Mailbox;
use crate::message::Digest;
use crate::text;

/// The ledger's name in the mailbox's directory.
pub(super) const FILE: &str = "ledger";
/// Its name while it is rewritten.
pub(super) const NEW_FILE: &str = "ledger.new";

/// The directory of a mailbox's ledger under the state directory.
#[must_use]
pub(crate) fn directory(state: &Path, mailbox: &Mailbox) -> PathBuf {
    state.join(directory_name(mailbox))
}

/// Its name there: a digest, never a raw name in a path.
fn directory_name(mailbox: &Mailbox) -> String {
    // Neither a host nor a port holds a NUL, so no two identities make the same octets.
    let identity = format!("{}\0{}\0{}", mailbox.port, mailbox.host, mailbox.user);
    text::hex(Digest::of(identity.as_bytes()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::directory_name;
    use crate::account::Mailbox;

    #[test]
    fn directory_names() {
        let mailbox = |user: &str, host: &str, port| Mailbox { user: user.into(), host: host.into(), port };
        let names: Vec<_> = [
            mailbox("me", "a.example", 110),
            mailbox("you", "a.example", 110),
            mailbox("me", "b.example", 110),
            mailbox("me", "a.example", 1110),
            mailbox("../../etc", "a.example", 110),
        ]
        .iter()
        .map(directory_name)
        .collect();
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        assert!(names.iter().all(|name| name.len() == 36 && name.bytes().all(|b| b.is_ascii_hexdigit())));
        assert_eq!(names[0], directory_name(&mailbox("me", "a.example", 110)));
    }
}

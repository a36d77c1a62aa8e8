//! Whether a configuration is still the one that it was: a digest of what an account means, with its secret.
//!
//! A changed configuration or a changed secret ends the pause after a refused login; a file that was only written again
//! does not.  The digest is kept in the state directory, so it is keyed: a reader can't try passwords on it without the
//! key.

use std::path::Path;

use blake3::Hasher;

use crate::access::read_as;
use crate::account::{Account, Auth, ConnectCommand, PasswordSource, Route};
use crate::environment::Environment;
use crate::oauth;
use crate::secret::Secret;
use crate::types::wide;

/// Octets of one file that count.
const MOST: u64 = 1024 * 1024;

/// The digest of what `account` means, in 32 hexadecimal digits.  Its name doesn't count; the content of files that hold
/// what it logs in with does.  A file that can't be read counts as empty: the login will report what's wrong.
#[must_use]
pub(crate) fn configuration_digest(account: &Account, environment: &Environment, key: &[u8]) -> String {
    let mut hasher = Hasher::new_keyed(blake3::hash(key).as_bytes());
    let mut part = |octets: &[u8]| {
        hasher.update(&wide(octets.len()).to_le_bytes());
        hasher.update(octets);
    };
    // `Debug` of a secret shows nothing, in any build.
    part(format!("{:?}", Account { name: String::new(), ..account.clone() }).as_bytes());
    let content = |path: &Path| {
        let read = read_as(path, "secret", MOST, account.owner.as_ref());
        read.map_or_else(|_| Secret::new(""), |(content, _)| content)
    };
    match &account.password {
        _ if account.auth == Auth::External => {}
        PasswordSource::Inline(secret) => part(secret.expose()),
        // It may hold the password.
        PasswordSource::Command(argv) => argv.iter().for_each(|argument| part(argument.as_bytes())),
        PasswordSource::File(path) | PasswordSource::Netrc(path) => part(content(path).expose()),
        PasswordSource::SystemdCredential(name) => {
            if let Some(directory) = &environment.credentials_directory {
                part(content(&directory.join(name)).expose());
            }
        }
        PasswordSource::Prompt => {}
        PasswordSource::OAuth(oauth) => {
            if let Some(PasswordSource::Inline(secret)) = &oauth.client_secret {
                part(secret.expose());
            }
            let commands = oauth.store.iter().flat_map(|store| store.load.iter().chain(&store.save));
            commands.for_each(|argument| part(argument.as_bytes()));
            // A new login is another secret, and a renewed token isn't.
            if let Ok(state) = environment.state_directory() {
                let login = oauth::last_login(&account.user, oauth, &state).map_or(0, |login| login.0);
                part(&login.to_le_bytes());
            }
        }
    }
    match &account.way.route {
        Route::Command(ConnectCommand::Shell(line)) => part(line.as_bytes()),
        Route::Command(ConnectCommand::Argv(argv)) => argv.iter().for_each(|word| part(word.as_bytes())),
        Route::Proxy(_) | Route::Direct | Route::Socket(_) | Route::ConnectTo(_) => {
            account.way.secret().into_iter().for_each(|password| part(password.expose()));
        }
    }
    if let Some((chain, key)) = &account.trust.client_certificate {
        part(content(chain).expose());
        part(content(key).expose());
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

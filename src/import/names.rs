//! Names for accounts whose program gives them none, or one that popfetch cannot have.

use std::collections::BTreeSet;

use super::Foreign;
use crate::config;

/// Labels that name what a host does, and not its owner.
const SERVICES: [&str; 8] = ["pop", "pop3", "pops", "pop3s", "mail", "imap", "in", "securepop"];

/// A name for the account that is not among those `taken`, to which it is added.
pub(super) fn choose(account: &Foreign, taken: &mut BTreeSet<String>) -> String {
    let wanted = match account.name.as_str() {
        "" => {
            of_server(&account.server).unwrap_or_else(|| of_user(account.user.as_deref().unwrap_or("mail")))
        }
        name => name.to_owned(),
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+');
    let mut name: String = wanted.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    name = name.trim_start_matches('-').to_owned();
    if name.is_empty() || config::RESERVED_NAMES.contains(&name.as_str()) {
        name.push_str(if name.is_empty() { "mail" } else { "-mail" });
    }
    if taken.contains(&name) {
        let user = of_user(account.user.as_deref().unwrap_or_default());
        let longer = format!("{name}-{user}");
        let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
        let mut candidates = std::iter::once(longer).filter(|_| !user.is_empty()).chain(numbered);
        name = candidates.find(|candidate| !taken.contains(candidate)).unwrap_or(name);
    }
    taken.insert(name.clone());
    name
}

/// `example` for `pop.example.com`; nothing for an address, or a host without a domain.
fn of_server(server: &str) -> Option<String> {
    if server.parse::<std::net::IpAddr>().is_ok() || !server.contains('.') {
        return None;
    }
    let labels = server.split('.').filter(|label| !label.is_empty());
    let mut labels = labels.skip_while(|label| SERVICES.contains(&label.to_ascii_lowercase().as_str()));
    labels.next().map(str::to_ascii_lowercase)
}

fn of_user(user: &str) -> String {
    let plain = user.split('@').next().unwrap_or(user);
    plain.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }).collect()
}

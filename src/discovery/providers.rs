//! What large providers want of a mail program today: a table of facts, compiled in from `providers.toml`.
//!
//! It comes before all questions to the network: it knows what no server reports, for example that an app password is needed.

use std::sync::LazyLock;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use crate::account::Tls;
use crate::config;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailProvider {
    /// What an account there is called, where the user chooses no name.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// The domains of its addresses, as A-labels.
    pub(super) domains: Vec<String>,
    /// Whoever's mail goes to a server under one of these names has a mailbox here.
    pub(super) mx: Vec<String>,
    /// Where its POP3 server is; `None` where it has none.
    pub server: Option<(String, u16, Tls)>,
    /// Whether the user's name is only what is before the `@`.
    pub local_user: bool,
    /// What it takes at the login.
    pub wants: Wants,
    /// How often it may be asked.
    pub poll: Duration,
    /// Its name in `oauth = { provider = … }`, if it has one.
    pub oauth: Option<String>,
    /// What the user has to do there, each with the page where it is done.
    pub notes: Vec<String>,
}

/// What a provider takes at the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// The password of the mailbox.
    Password,
    /// A password that was made for this program.
    AppPassword,
    /// A token.
    OAuth,
    /// Nothing: it has no POP3.
    NoPop,
}

static TABLE: LazyLock<Vec<MailProvider>> =
    LazyLock::new(|| read(include_str!("providers.toml")).unwrap_or_default());

/// The provider of a domain's addresses.
#[must_use]
pub(crate) fn of_domain(domain: &str) -> Option<&'static MailProvider> {
    TABLE.iter().find(|provider| provider.domains.iter().any(|own| own == domain))
}

/// The provider whose server takes a domain's mail; the longest name that fits counts.
pub(super) fn of_exchanger(host: &str) -> Option<&'static MailProvider> {
    let fits = |suffix: &&String| {
        host.strip_suffix(suffix.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let longest = |provider: &&MailProvider| provider.mx.iter().filter(fits).map(String::len).max();
    TABLE.iter().filter(|provider| longest(provider).is_some()).max_by_key(longest)
}

/// The table; `None` where it isn't as it should be, which a test would show.
fn read(text: &str) -> Option<Vec<MailProvider>> {
    let document = DeTable::parse(text).ok()?;
    let DeValue::Array(entries) = document.get_ref().get("provider")?.get_ref() else { return None };
    entries.iter().map(|entry| provider(entry.get_ref())).collect()
}

fn provider(entry: &DeValue<'_>) -> Option<MailProvider> {
    let DeValue::Table(entry) = entry else { return None };
    let known =
        ["name", "title", "domains", "mx", "host", "port", "tls", "user", "wants", "poll", "oauth", "notes"];
    if entry.keys().any(|key| !known.contains(&key.get_ref().as_ref())) {
        return None;
    }
    let text = |key: &str| match entry.get(key).map(|value| value.get_ref()) {
        Some(DeValue::String(text)) => Some(text.to_string()),
        _ => None,
    };
    let list = |key: &str| match entry.get(key).map(|value| value.get_ref()) {
        None => Some(Vec::new()),
        Some(DeValue::Array(words)) => words
            .iter()
            .map(|word| match word.get_ref() {
                DeValue::String(word) => Some(word.to_string()),
                _ => None,
            })
            .collect(),
        Some(_) => None,
    };
    let tls = match text("tls").as_deref() {
        None => Tls::Implicit,
        Some("starttls") => Tls::StartTls,
        Some(_) => return None,
    };
    let port = match entry.get("port").map(|value| value.get_ref()) {
        None => 995,
        Some(DeValue::Integer(port)) => port.as_str().parse().ok()?,
        Some(_) => return None,
    };
    let local_user = match text("user").as_deref() {
        None => false,
        Some("local") => true,
        Some(_) => return None,
    };
    let wants = match text("wants")?.as_str() {
        "password" => Wants::Password,
        "app-password" => Wants::AppPassword,
        "oauth" => Wants::OAuth,
        "no-pop" => Wants::NoPop,
        _ => return None,
    };
    Some(MailProvider {
        name: text("name")?,
        title: text("title")?,
        domains: list("domains")?,
        mx: list("mx")?,
        server: text("host").map(|host| (host, port, tls)),
        local_user,
        wants,
        poll: config::duration(&text("poll").unwrap_or_else(|| "10m".to_owned())).ok()?,
        oauth: text("oauth"),
        notes: list("notes")?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{TABLE, Wants, of_domain, of_exchanger, read};
    use crate::account::host;
    use crate::config::{self, Addition, Existing, RESERVED_NAMES};
    use crate::environment::Environment;
    use crate::secret::Secret;

    #[test]
    fn the_table_is_right() {
        assert!(read(include_str!("providers.toml")).is_some_and(|table| table.len() > 40));
        let (mut names, mut domains, mut exchangers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for provider in TABLE.iter() {
            let name = &provider.name;
            assert!(names.insert(name), "{name} comes twice");
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(plain) && !RESERVED_NAMES.contains(&name.as_str()), "{name}");
            assert!(!provider.domains.is_empty() || !provider.mx.is_empty(), "{name} is nobody's");
            for domain in &provider.domains {
                assert!(domains.insert(domain), "{domain} comes twice");
            }
            for suffix in &provider.mx {
                assert!(exchangers.insert(suffix), "{suffix} comes twice");
            }
            let host = provider.server.as_ref().map(|(host, ..)| host);
            for label in provider.domains.iter().chain(&provider.mx).chain(host) {
                assert_eq!(
                    host::parse(label).as_deref(),
                    Ok(label.as_str()),
                    "{name}: {label} is no A-label"
                );
                assert!(label.contains('.'), "{name}: {label}");
            }
            assert_eq!(host.is_none(), provider.wants == Wants::NoPop, "{name}");
            assert!(provider.wants == Wants::Password || !provider.notes.is_empty(), "{name} needs a note");
            for note in &provider.notes {
                let (what, page) = note.rsplit_once(": ").unwrap();
                assert!(
                    page.starts_with("https://") && page.is_ascii() && !page.contains(' '),
                    "{name}: {note}"
                );
                assert!(!what.contains("://") && !page.ends_with('.'), "{name}: {note}");
            }
        }
    }

    #[test]
    fn providers_of_tokens_are_those_of_the_configuration() {
        let environment = Environment { home: Some("/home/me".into()), ..Environment::default() };
        for provider in TABLE.iter() {
            assert!(provider.wants != Wants::OAuth || provider.oauth.is_some(), "{}", provider.name);
            let Some(oauth) = &provider.oauth else { continue };
            let mut account = Addition::new("x");
            account.set("server", "pop.example.org");
            account.set("user", "anna");
            account.set_one("oauth", "provider", oauth.as_str());
            account.set_one("deliver", "maildir", "~/Mail");
            let existing = Existing { text: Secret::new(""), names: Vec::new(), delivers: false };
            let path = Path::new("/nowhere/config.toml");
            config::with_addition(path, &existing, &account, &environment).unwrap();
        }
    }

    #[test]
    fn addresses_lead_to_their_provider() {
        let name = |domain| of_domain(domain).map(|provider| provider.name.as_str());
        for (domain, expected) in [
            ("gmail.com", Some("gmail")),
            ("hotmail.co.uk", Some("outlook")),
            ("web.de", Some("webde")),
            ("icloud.com", Some("icloud")),
            ("example.com", None),
            ("gmail.com.example", None),
            ("x.gmail.com", None),
        ] {
            assert_eq!(name(domain), expected, "{domain}");
        }
        let name = |host| of_exchanger(host).map(|provider| provider.name.as_str());
        for (host, expected) in [
            ("aspmx.l.google.com", Some("gmail")),
            ("example-com.mail.protection.outlook.com", Some("microsoft365")),
            ("hotmail-com.olc.protection.outlook.com", Some("outlook")),
            ("in1-smtp.messagingengine.com", Some("fastmail")),
            ("mx.notgoogle.com", None),
            ("google.com.example", None),
            ("", None),
        ] {
            assert_eq!(name(host), expected, "{host}");
        }
    }
}

//! From a mail address to the servers that may hold its mail.
//!
//! ```text
//! providers.toml ─► the provider of a domain, if it is a large one: nothing is asked
//!
//! dns.rs         SRV records (RFC 6186) ───┐
//! autoconfig.rs  the domain's XML, https ──┼─► candidates, in the order to try them ─► guesses: pop., pop3., mail.
//! dns.rs         MX of a known provider ───┘
//! ```
//!
//! Nothing that is found here is trusted: a caller connects, and only TLS with the right name shows that a server is the
//! one that is named.  A server outside of the mail domain that only DNS names is marked [`ServerCandidate::foreign`], and the
//! user has to confirm it.  An attacker who can forge an answer could name a server of their own, which has a valid
//! certificate for its name.
//! Neither the address nor the user's name is sent to anybody.
//!
//! Each question ends within ten seconds, or at a signal; all are asked at once.

mod address;
mod autoconfig;
mod dns;
mod providers;
mod resolver;

use std::path::Path;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

pub(crate) use address::MailAddress;
pub(crate) use providers::{MailProvider, Wants, of_domain};

use crate::account::{self, Route, Tls};
use crate::connection::Connectors;
use crate::http::{self, HttpWay, Url};
use crate::problem::Problem as _;
use crate::signals::Stop;
use autoconfig::Offered;
use dns::{RecordKind, ServerRecord};

/// How long the domain's own web server is waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// Servers that one source may name.
const MOST: usize = 4;

/// The names before a domain that are guessed.
const GUESSES: [&str; 3] = ["pop", "pop3", "mail"];

/// A server that may hold the mail of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerCandidate {
    /// An A-label without final dot.
    pub host: String,
    pub port: u16,
    /// TLS from the start, or by `STLS`.
    pub tls: Tls,
    /// The user's name there.
    pub user: String,
    /// Where it comes from.
    pub source: CandidateSource,
    /// Whether nothing but DNS names it, outside of the mail domain: then the user has to confirm it.
    pub foreign: bool,
    /// The provider whose server it is, where that is known.
    pub provider: Option<&'static MailProvider>,
    /// Whether it takes tokens only.
    pub oauth_only: bool,
}

/// Where a candidate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CandidateSource {
    /// The table of providers, by the address's domain.
    Provider,
    /// A record of DNS (RFC 6186).
    Srv,
    /// The domain's settings for mail programs, from this URL.
    Autoconfig(String),
    /// The table of providers, by the server that takes the domain's mail.
    Exchanger(String),
    /// A usual name.
    Guess,
}

/// What is known of an address's servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Discovered {
    /// In the order to try them.
    pub candidates: Vec<ServerCandidate>,
    /// The provider that takes the domain's mail, and has no POP3.
    pub without_pop: Option<&'static MailProvider>,
    /// Whether the domain announces in DNS that it offers no POP3 (RFC 6186 §3.4).
    pub denied: bool,
    /// What was asked without success, and why; for the user.
    pub failures: Vec<String>,
}

/// The candidate of a provider from the table; `None` where it has no POP3.
#[must_use]
pub(crate) fn at_provider(provider: &'static MailProvider, address: &MailAddress) -> Option<ServerCandidate> {
    let (host, port, tls) = provider.server.clone()?;
    let user = if provider.local_user { address.local() } else { address.whole() };
    Some(ServerCandidate {
        host,
        port,
        tls,
        user: user.to_owned(),
        source: CandidateSource::Provider,
        foreign: false,
        provider: Some(provider),
        oauth_only: provider.wants == Wants::OAuth,
    })
}

/// Asks DNS and the domain's web server.  `route` is the way to the mail server: where it isn't the direct one, names are not
/// looked up here.  `ca_file` holds authorities that are trusted besides the system's.
#[must_use]
pub(crate) fn ask(
    address: &MailAddress,
    route: &account::Way,
    ca_file: Option<&Path>,
    connectors: &Connectors,
    stop: &Stop,
) -> Discovered {
    let domain = address.domain();
    let look_up = |name: &str, kind| match route.route {
        Route::Direct => resolver::look_up(name, kind, stop),
        _ => Vec::new(),
    };
    let srv = |service: &str| look_up(&format!("{service}._tcp.{domain}"), RecordKind::Srv);
    let urls = [
        format!("https://autoconfig.{domain}/mail/config-v1.1.xml"),
        format!("https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml"),
    ];
    let way = &HttpWay { route, ca_file, limit: LIMIT, ..HttpWay::direct(connectors, stop) };
    thread::scope(|scope| {
        let implicit = side_by_side(scope, || srv("_pop3s"));
        let clear = side_by_side(scope, || srv("_pop3"));
        let exchangers = side_by_side(scope, || look_up(domain, RecordKind::Mx));
        let pages =
            urls.each_ref().map(|url| (side_by_side(scope, move || settings(way, url, address)), url));
        let mut found = Discovered::default();
        // A thread that panicked has found nothing.
        add_records(&mut found, implicit.end().unwrap_or_default(), Tls::Implicit, address);
        add_records(&mut found, clear.end().unwrap_or_default(), Tls::StartTls, address);
        for (page, url) in pages {
            match page.end() {
                Some(Ok(offered)) => found.candidates.push(of_settings(offered, url.clone())),
                Some(Err(failure)) => found.failures.push(failure),
                None => {}
            }
        }
        add_exchangers(&mut found, &exchangers.end().unwrap_or_default(), address);
        found
    })
}

/// Work that goes on beside other work.
#[derive(Debug)]
pub(crate) enum SideBySide<'scope, T> {
    /// On a thread of its own.
    Begun(ScopedJoinHandle<'scope, T>),
    /// It is over: the system gave no thread.
    Done(T),
}

impl<T> SideBySide<'_, T> {
    /// What it came to; `None` if it panicked.
    #[must_use]
    pub(crate) fn end(self) -> Option<T> {
        match self {
            Self::Begun(thread) => thread.join().ok(),
            Self::Done(result) => Some(result),
        }
    }
}

/// Begins `work` on a thread of its own; where the system refuses one (a limit of processes or memory), does it at once.
pub(crate) fn side_by_side<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl Fn() -> T + Copy + Send + 'scope,
) -> SideBySide<'scope, T> {
    let thread = thread::Builder::new().spawn_scoped(scope, work);
    thread.map_or_else(|_| SideBySide::Done(work()), SideBySide::Begun)
}

/// The usual names, TLS from the start before `STLS`.
#[must_use]
pub(crate) fn guesses(address: &MailAddress) -> Vec<ServerCandidate> {
    let ways = [(995, Tls::Implicit), (110, Tls::StartTls)];
    let each = ways.iter().flat_map(|way| GUESSES.iter().map(|name| (*name, *way)));
    each.map(|(name, (port, tls))| ServerCandidate { port, tls, ..named(name, address) }).collect()
}

/// The likeliest of them.
#[must_use]
pub(crate) fn guess(address: &MailAddress) -> ServerCandidate {
    named("pop", address)
}

fn named(name: &str, address: &MailAddress) -> ServerCandidate {
    ServerCandidate {
        host: format!("{name}.{}", address.domain()),
        port: 995,
        tls: Tls::Implicit,
        user: address.whole().to_owned(),
        source: CandidateSource::Guess,
        foreign: false,
        provider: None,
        oauth_only: false,
    }
}

/// The settings that the domain publishes.
fn settings(way: &HttpWay<'_>, url: &str, address: &MailAddress) -> Result<Offered, String> {
    let parsed = Url::parse(url).map_err(|e| format!("{url}: {e}"))?;
    let answer = http::get(way, &parsed, "text/xml").map_err(|e| {
        // Of a refused certificate the rest is about mail servers.
        let hint = e.hint().filter(|_| matches!(e, http::Error::Redirect { .. }));
        hint.map_or_else(|| e.to_string(), |hint| format!("{e} ({hint})"))
    })?;
    if !answer.is_success() {
        return Err(format!("{url}: there is none (status {})", answer.status));
    }
    autoconfig::read(answer.body.expose(), address)
        .ok_or_else(|| format!("{url}: it names no POP3 server with TLS"))
}

fn of_settings(offered: Offered, url: String) -> ServerCandidate {
    let Offered { host, port, tls, user, oauth_only } = offered;
    // The web server has shown that it speaks for the domain: what it names isn't foreign.
    let source = CandidateSource::Autoconfig(url);
    ServerCandidate { host, port, tls, user, source, foreign: false, provider: None, oauth_only }
}

fn add_records(found: &mut Discovered, records: Vec<ServerRecord>, tls: Tls, address: &MailAddress) {
    for record in records.into_iter().take(MOST) {
        if record.target.is_empty() {
            found.denied = true;
            continue;
        }
        let Ok(host) = account::host::parse(&record.target) else { continue };
        if record.port == 0 {
            continue;
        }
        found.candidates.push(ServerCandidate {
            foreign: !is_within(&host, address.domain()),
            host,
            port: record.port,
            tls,
            user: address.whole().to_owned(),
            source: CandidateSource::Srv,
            provider: None,
            oauth_only: false,
        });
    }
}

fn add_exchangers(found: &mut Discovered, records: &[ServerRecord], address: &MailAddress) {
    let known = records.iter().find_map(|record| Some((providers::of_exchanger(&record.target)?, record)));
    let Some((provider, record)) = known else { return };
    match at_provider(provider, address) {
        Some(candidate) => found.candidates.push(ServerCandidate {
            // Only the table's own domains have users without the domain.
            user: address.whole().to_owned(),
            source: CandidateSource::Exchanger(crate::text::printable(record.target.as_bytes())),
            foreign: true,
            ..candidate
        }),
        None => found.without_pop = Some(provider),
    }
}

/// For fuzzers: any octets as an answer of DNS, as a page of settings, and as an address.  None may panic, or take long.
pub fn fuzz_discovery(octets: &[u8]) {
    for kind in [RecordKind::Srv, RecordKind::Mx] {
        let id = u16::from_be_bytes(octets.first_chunk().copied().unwrap_or_default());
        let _ = dns::answer(octets, id, "_pop3s._tcp.example.com", kind);
    }
    let text = String::from_utf8_lossy(octets);
    let _ = dns::name_servers(&text);
    if let Ok(address) = MailAddress::parse(&text) {
        let _ = guesses(&address);
        let _ = autoconfig::read(octets, &address);
    }
    if let Ok(address) = MailAddress::parse("anna@example.com") {
        let _ = autoconfig::read(octets, &address);
    }
}

/// Whether a host is the domain, or below it.
fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::{
        CandidateSource, Discovered, MailAddress, Tls, Wants, add_exchangers, add_records, at_provider,
        guesses, of_domain,
    };
    use crate::discovery::dns::ServerRecord;

    fn address() -> MailAddress {
        MailAddress::parse("anna@example.com").unwrap()
    }

    fn record(target: &str, port: u16) -> ServerRecord {
        ServerRecord { priority: 0, weight: 0, port, target: target.to_owned() }
    }

    /// What is found, in a form that is easily compared.
    fn shown(found: &Discovered) -> Vec<String> {
        let one = |candidate: &super::ServerCandidate| {
            let foreign = if candidate.foreign { " foreign" } else { "" };
            format!("{}:{} {:?} {}{foreign}", candidate.host, candidate.port, candidate.tls, candidate.user)
        };
        found.candidates.iter().map(one).collect()
    }

    #[test]
    fn records_that_lead_out_of_the_domain_are_foreign() {
        let mut found = Discovered::default();
        let records = [
            "pop.example.com",
            "example.com",
            "pop.hosting.example",
            "notexample.com",
            "evil com",
            "127.0.0.1",
        ];
        add_records(
            &mut found,
            records.map(|target| record(target, 995)).to_vec(),
            Tls::Implicit,
            &address(),
        );
        assert_eq!(
            shown(&found),
            [
                "pop.example.com:995 Implicit anna@example.com",
                "example.com:995 Implicit anna@example.com",
                "pop.hosting.example:995 Implicit anna@example.com foreign",
                "notexample.com:995 Implicit anna@example.com foreign",
            ]
        );
        assert!(!found.denied);
    }

    /// RFC 6186 §3.4.
    #[test]
    fn a_record_can_say_that_there_is_no_pop3() {
        let mut found = Discovered::default();
        add_records(&mut found, vec![record("", 0)], Tls::Implicit, &address());
        add_records(
            &mut found,
            vec![record("pop.example.com", 110), record("x.example.com", 0)],
            Tls::StartTls,
            &address(),
        );
        assert!(found.denied);
        assert_eq!(shown(&found), ["pop.example.com:110 StartTls anna@example.com"]);
    }

    #[test]
    fn a_domain_whose_mail_a_known_provider_takes_has_its_mailboxes_there() {
        let mut found = Discovered::default();
        add_exchangers(
            &mut found,
            &[record("mx.example.com", 0), record("aspmx.l.google.com", 0)],
            &address(),
        );
        assert_eq!(shown(&found), ["pop.gmail.com:995 Implicit anna@example.com foreign"]);
        assert_eq!(found.candidates[0].source, CandidateSource::Exchanger("aspmx.l.google.com".to_owned()));
        let mut found = Discovered::default();
        add_exchangers(&mut found, &[record("mail.protonmail.ch", 0)], &address());
        assert!(found.candidates.is_empty() && found.without_pop.is_some());
    }

    #[test]
    fn a_provider_of_the_table() {
        let at = |text: &str| {
            let address = MailAddress::parse(text).unwrap();
            at_provider(of_domain(address.domain()).unwrap(), &address)
        };
        let gmail = at("anna@gmail.com").unwrap();
        assert_eq!((gmail.host.as_str(), gmail.user.as_str()), ("pop.gmail.com", "anna@gmail.com"));
        assert_eq!(gmail.provider.unwrap().wants, Wants::AppPassword);
        assert_eq!(at("anna@web.de").unwrap().user, "anna");
        assert!(at("anna@hotmail.com").unwrap().oauth_only);
        assert_eq!(at("anna@icloud.com"), None);
    }

    #[test]
    fn the_usual_names_with_tls_from_the_start_first() {
        let found = Discovered { candidates: guesses(&address()), ..Discovered::default() };
        assert_eq!(
            shown(&found),
            [
                "pop.example.com:995 Implicit anna@example.com",
                "pop3.example.com:995 Implicit anna@example.com",
                "mail.example.com:995 Implicit anna@example.com",
                "pop.example.com:110 StartTls anna@example.com",
                "pop3.example.com:110 StartTls anna@example.com",
                "mail.example.com:110 StartTls anna@example.com",
            ]
        );
    }
}

//! From a mail address to a server that is there: what is found is connected to, and nothing is believed before TLS and the
//! server's name.

use std::net::IpAddr;
use std::thread;

use super::draft::{Choices, ChosenServer, Init, described, usage};
use crate::account::{self, Account, SettingWord as _, Tls};
use crate::config::RESERVED_NAMES;
use crate::discovery::{
    self, CandidateSource, Discovered, MailAddress, MailProvider, ServerCandidate, side_by_side,
};
use crate::exit::ExitCode;
use crate::report::ReportedError;
use crate::retrieval::probe;
use crate::text::printable;

/// At most this many failed attempts are shown.
const MOST_SHOWN: usize = 12;
/// What an account is called that has neither a provider nor a domain to be called after.
const NAMELESS: &str = "mail";

impl Init<'_> {
    /// The server, with the user's name at it, and a name for the account.
    ///
    /// # Errors
    /// None was found (69), or none that the user takes.
    pub(super) fn find(&self) -> Result<ChosenServer, ReportedError> {
        let address = self.address()?;
        if let Some(host) = self.args.settings.text("server") {
            return self.named(host, address.as_ref());
        }
        let Some(address) = address else {
            return Err(usage("which mail address?", "popfetch init me@example.com"));
        };
        let name = |candidate: &ServerCandidate| self.name_for(candidate, Some(&address));
        if let Some(provider) = discovery::of_domain(address.domain()) {
            let candidate =
                discovery::at_provider(provider, &address).ok_or_else(|| without_pop(provider))?;
            let chosen = ChosenServer { name: name(&candidate), candidate: self.with_user(candidate) };
            self.reach(&chosen)?;
            self.say(&format!("{} is at {}", provider.title, described(&chosen.candidate)));
            self.explain(&chosen.candidate)?;
            return Ok(chosen);
        }
        let candidate = self.search(&address)?;
        let chosen = ChosenServer { name: name(&candidate), candidate };
        self.explain(&chosen.candidate)?;
        Ok(chosen)
    }

    /// The server that `--server` names: it isn't looked for, and the user has confirmed it.
    fn named(&self, host: &str, address: Option<&MailAddress>) -> Result<ChosenServer, ReportedError> {
        let flags = &self.args.settings;
        let host = account::host::parse(host)
            .map_err(|fault| usage(&fault.to_string(), "the host alone: pop.example.com"))?;
        let word = flags.text("tls");
        let port = flags.text("port").and_then(|port| port.parse().ok());
        let tls =
            word.and_then(|word| Tls::WORDS.iter().find(|(known, _)| *known == word)).map(|(_, tls)| *tls);
        let tls = tls.unwrap_or(if port == Some(110) { Tls::StartTls } else { Tls::Implicit });
        let user = address.map_or("", MailAddress::whole).to_owned();
        let candidate = self.with_user(ServerCandidate {
            host,
            port: port.unwrap_or(if tls == Tls::Implicit { 995 } else { 110 }),
            tls,
            user,
            source: CandidateSource::Guess,
            foreign: false,
            provider: None,
            oauth_only: false,
        });
        let chosen = ChosenServer { name: self.name_for(&candidate, address), candidate };
        self.reach(&chosen)?;
        Ok(chosen)
    }

    /// `--user` replaces every other guess at the user's name.
    fn with_user(&self, mut candidate: ServerCandidate) -> ServerCandidate {
        if let Some(user) = self.args.settings.text("user") {
            user.clone_into(&mut candidate.user);
        }
        candidate
    }

    /// Connects: the server is there, and is the one that is named.
    fn reach(&self, chosen: &ChosenServer) -> Result<(), ReportedError> {
        let account = self.account(chosen, &Choices::default())?;
        probe(&account, self.context)
    }

    /// Asks DNS and the domain's web server, then tries the usual names.
    fn search(&self, address: &MailAddress) -> Result<ServerCandidate, ReportedError> {
        self.say(&format!("looking for the POP3 server of {} …", printable(address.domain().as_bytes())));
        let trial = self.trial(address)?;
        let mut found = discovery::ask(
            address,
            &trial.way,
            trial.trust.ca_file.as_deref(),
            self.context.connectors,
            &self.context.stop,
        );
        let candidates = std::mem::take(&mut found.candidates);
        let mut unconfirmed = None;
        for candidate in candidates {
            let candidate = self.with_user(candidate);
            if let Err(failure) = self.answers(&candidate, address) {
                found.failures.push(failure);
                continue;
            }
            match self.confirm(&candidate, address) {
                Ok(true) => return Ok(candidate),
                Ok(false) => {}
                Err(failure) if self.questions.is_none() => unconfirmed = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        if let Some(provider) = found.without_pop {
            return Err(without_pop(provider));
        }
        // Only where nothing better is known: a forged answer must not keep the user from the usual names.
        match self.guess(address, &mut found) {
            Some(candidate) => {
                self.say(&format!("found {}, by its usual name", described(&candidate)));
                Ok(candidate)
            }
            None => Err(unconfirmed.unwrap_or_else(|| self.nothing(address, &found))),
        }
    }

    /// An account with the flags, for what holds wherever its server is: the way there, and authorities that are trusted.
    fn trial(&self, address: &MailAddress) -> Result<Account, ReportedError> {
        let candidate = self.with_user(discovery::guess(address));
        let chosen = ChosenServer { name: self.name_for(&candidate, Some(address)), candidate };
        self.account(&chosen, &Choices::default())
    }

    /// Whether the server is there, and is the one that is named.
    fn answers(&self, candidate: &ServerCandidate, address: &MailAddress) -> Result<(), String> {
        let name = self.name_for(candidate, Some(address));
        let chosen = ChosenServer { name, candidate: candidate.clone() };
        self.reach(&chosen).map_err(|failure| failure.message)
    }

    /// Shows where a server was found; what DNS alone names outside of the domain has to be confirmed.
    fn confirm(&self, candidate: &ServerCandidate, address: &MailAddress) -> Result<bool, ReportedError> {
        let server = described(candidate);
        let domain = printable(address.domain().as_bytes());
        let how = match &candidate.source {
            CandidateSource::Srv => format!("as {domain} says (SRV record)"),
            CandidateSource::Autoconfig(url) => format!("as {} says", printable(url.as_bytes())),
            CandidateSource::Exchanger(host) => {
                let title = candidate.provider.map_or("a provider", |provider| provider.title.as_str());
                format!("of {title}, whose {host} takes the mail of {domain}")
            }
            CandidateSource::Provider | CandidateSource::Guess => "by its usual name".to_owned(),
        };
        self.say(&format!("found {server}, {how}"));
        if !candidate.foreign {
            return Ok(true);
        }
        let Some(questions) = &self.questions else {
            let host = printable(candidate.host.as_bytes());
            return Err(ReportedError {
                exit: ExitCode::Unavailable,
                message: format!(
                    "only DNS says that the mail of {domain} is at {host}, which is outside of {domain}"
                ),
                hint: Some(format!("if that is right, confirm it: --server {host}")),
                news: true,
            });
        };
        self.say(&format!(
            "DNS can be forged, and that server is outside of {domain}: it would get your password"
        ));
        questions.agrees("Is that your provider's server?")
    }

    /// Tries all usual names at once; the first in their order that is there.
    fn guess(&self, address: &MailAddress, found: &mut Discovered) -> Option<ServerCandidate> {
        let guesses: Vec<ServerCandidate> =
            discovery::guesses(address).into_iter().map(|guess| self.with_user(guess)).collect();
        let answers: Vec<Result<(), String>> = thread::scope(|scope| {
            let probe = |guess| side_by_side(scope, move || self.answers(guess, address));
            let probes: Vec<_> = guesses.iter().map(probe).collect();
            let joined = probes.into_iter().map(|probe| probe.end().unwrap_or_else(|| Err(String::new())));
            joined.collect()
        });
        let first = answers.iter().position(Result::is_ok);
        found.failures.extend(answers.into_iter().filter_map(Result::err));
        first.and_then(|first| guesses.into_iter().nth(first))
    }

    /// Nothing was found: what was tried, and what to do.
    fn nothing(&self, address: &MailAddress, found: &Discovered) -> ReportedError {
        let domain = printable(address.domain().as_bytes());
        let mut shown: Vec<&String> = Vec::new();
        for failure in found.failures.iter().filter(|failure| !failure.is_empty()) {
            if shown.len() < MOST_SHOWN && !shown.contains(&failure) {
                self.say(&format!("  {failure}"));
                shown.push(failure);
            }
        }
        let denied = if found.denied { "; its SRV records say that it has none" } else { "" };
        ReportedError {
            exit: ExitCode::Unavailable,
            message: format!("no POP3 server of {domain} was found{denied}"),
            hint: Some(format!(
                "your provider's help pages name it: popfetch init {} --server HOST",
                printable(address.whole().as_bytes())
            )),
            news: true,
        }
    }

    /// What the provider wants, with the pages where it is done.
    fn explain(&self, candidate: &ServerCandidate) -> Result<(), ReportedError> {
        for note in candidate.provider.map_or(&[][..], |provider| provider.notes.as_slice()) {
            self.say(note);
        }
        let can_log_in = self.by_oauth(candidate).is_some() || self.is_set(&["auth"]) || self.args.no_login;
        if !candidate.oauth_only || can_log_in {
            return Ok(());
        }
        let title = candidate.provider.map_or("that server", |provider| provider.title.as_str());
        let (what, hint) = match candidate.provider {
            Some(_) => ("a password", "leave the password out: tokens come from popfetch auth login"),
            None => (
                "a password, only a token of OAuth",
                "--no-login writes the account without trying it: popfetch.toml(5) has oauth with issuer",
            ),
        };
        Err(ReportedError {
            exit: ExitCode::Refused,
            message: format!("{title} does not take {what}"),
            hint: Some(hint.to_owned()),
            news: true,
        })
    }

    /// What the account is called: as the user chooses, else after its provider or its domain.
    pub(super) fn name_for(&self, candidate: &ServerCandidate, address: Option<&MailAddress>) -> String {
        if let Some(name) = &self.args.name {
            return name.clone();
        }
        let of_table = candidate.provider.map(|provider| provider.name.clone());
        let domain = address.map_or(candidate.host.as_str(), MailAddress::domain);
        let base = match (&candidate.source, of_table) {
            (CandidateSource::Provider, Some(name)) => name,
            _ => label(domain),
        };
        let is_free =
            |name: &String| !self.existing.names.contains(name) && !RESERVED_NAMES.contains(&name.as_str());
        let mut names = vec![base.clone()];
        names.extend(address.map(|address| format!("{base}-{}", word(address.local()))));
        names.extend((2..100).map(|number| format!("{base}-{number}")));
        names.into_iter().find(is_free).unwrap_or(base)
    }
}

/// The label of a domain by which people know it: `example` of `mail.example.co.uk`.  An address has none.
fn label(domain: &str) -> String {
    if domain.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return NAMELESS.to_owned();
    }
    let labels: Vec<&str> = domain.split('.').collect();
    let mut from_end = labels.iter().rev().skip(1);
    let second = from_end.next().copied().unwrap_or(domain);
    // Below a country registries have short names for kinds of domains.
    let label = from_end.next().copied().filter(|_| second.len() <= 3).unwrap_or(second);
    word(label)
}

/// Text as a part of a name that needs no quotes anywhere.
fn word(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let word: String = text.chars().map(plain).collect();
    let word = word.trim_matches('-');
    if word.is_empty() { NAMELESS.to_owned() } else { word.to_owned() }
}

fn without_pop(provider: &MailProvider) -> ReportedError {
    ReportedError {
        exit: ExitCode::Unavailable,
        message: format!("{} has no POP3", provider.title),
        hint: provider.notes.first().cloned(),
        news: true,
    }
}

#[cfg(test)]
mod tests {
    use super::{label, word};

    #[test]
    fn accounts_are_named_after_their_domain() {
        for (domain, name) in [
            ("example.com", "example"),
            ("mail.example.com", "example"),
            ("example.co.uk", "example"),
            ("mail.example.com.br", "example"),
            ("gmx.net", "gmx"),
            ("x.org", "x"),
            ("xn--bcher-kva.example", "xn--bcher-kva"),
            ("pop", "pop"),
            ("-.-", "mail"),
            ("192.0.2.10", "mail"),
            ("[2001:db8::1]", "mail"),
        ] {
            assert_eq!(label(domain), name, "{domain}");
        }
        assert_eq!(word("Anna.B+x"), "anna-b-x");
    }
}

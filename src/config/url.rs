//! Accounts as POP URLs (RFC 2384; docs/protocol.md §6), into the same table as the file's.
//!
//! By hand and not by a crate for URLs: `user;AUTH=` has a meaning here, a password must not reach an error, and errors
//! show what a POP URL looks like.

use super::error::ConfigError;
use super::flags::Flags;
use super::mistake::{Mistake, SettingPlace, quoted};
use super::names::{Host, UserName};
use super::percent::{decoded, split_port};
use super::settings::{AccountTable, Located, Table as _};
use super::value::Number;
use crate::account::{Auth, SettingWord as _, Tls, check_one_line};
use crate::secret::Secret;

/// An account in a URL.
#[derive(Debug, Clone)]
pub(super) struct PopUrl {
    table: AccountTable,
}

/// Whether an argument is meant as a URL and not as an account's name.
pub(super) fn is_url(argument: &str) -> bool {
    argument.contains("://")
}

impl PopUrl {
    /// Reads `pop://[user[;AUTH=(*|mechanism|+APOP)]@]host[:port]`, or the same with `pops://`, which is TLS from the
    /// start.  `pop://` is STLS, unless `--tls` sets another mode.
    ///
    /// # Errors
    /// A usage error that quotes nothing before the `@`: it may be a password.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::read(text).map_err(|mistake| {
            let what = format!("{}: {}", without_user(text), mistake.what);
            let hint = mistake.hint.unwrap_or_else(|| "pops://user@host:port".to_owned());
            ConfigError::arguments(what, hint)
        })
    }

    fn read(text: &str) -> Result<Self, Mistake> {
        fn setting<T>(key: &'static str, value: T) -> Option<Located<T>> {
            Some(Located { value, key, place: SettingPlace::Url })
        }
        let mut table = AccountTable::default();
        let (scheme, rest) = text.split_once("://").ok_or_else(|| Mistake::new("this is not a URL"))?;
        table.tls = match scheme.to_ascii_lowercase().as_str() {
            "pops" => setting("tls", Tls::Implicit),
            "pop" => setting("tls", Tls::StartTls),
            _ => return Err(Mistake::new("a URL begins with pop:// or pops://")),
        };
        // A slash, question mark or number sign ends the authority, wherever it stands (RFC 3986 §3.2).
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !matches!(path, "" | "/") {
            return Err(Mistake::new("a POP URL has no path")
                .hint("write / as %2F, ? as %3F and # as %23 in a user's name"));
        }
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        if let Some(user) = user {
            let (user, password) = match user.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (user, None),
            };
            // In `user;AUTH=X:password` the mechanism is before the colon; in `user:password;AUTH=X` behind it.
            let (user, password, mechanism) = match (split_mechanism(user), password.map(split_mechanism)) {
                ((user, mechanism), None) => (user, None, mechanism),
                ((user, None), Some((password, mechanism))) => (user, Some(password), mechanism),
                ((user, mechanism), Some((password, None))) => (user, Some(password), mechanism),
                ((_, Some(_)), Some((_, Some(_)))) => return Err(Mistake::new("there are two mechanisms")),
            };
            let of_user = |m: Mistake| Mistake::new(format!("user: {}", m.what));
            table.user = setting("user", UserName::parse(&decoded_text(user)?).map_err(of_user)?);
            table.auth = mechanism.map(auth).transpose()?.flatten().and_then(|auth| setting("auth", auth));
            if let Some(password) = password {
                let password = Secret::new(decoded(password)?);
                check_one_line(password.expose()).map_err(|e| Mistake::new(format!("password: {e}")))?;
                table.password = setting("password", password);
            }
        }
        let (host, port) = split_port(host)?;
        table.server = setting("server", Host::parse(&decoded_text(host)?)?);
        table.port = port.and_then(|port| setting("port", Number(port)));
        Ok(Self { table })
    }

    /// Whether it holds a password, which everybody on this machine can then see in the list of processes.
    pub(super) fn holds_password(&self) -> bool {
        self.table.password.is_some()
    }

    /// Its settings with those of flags.
    ///
    /// # Errors
    /// Where both set the same thing, or `--tls` contradicts `pops://`.
    pub(super) fn table(&self, flags: &Flags) -> Result<AccountTable, ConfigError> {
        let (mut url, flags) = (self.table.clone(), flags.table()?);
        let both = [
            (url.server.is_some() && flags.server.is_some(), "server"),
            (url.port.is_some() && flags.port.is_some(), "port"),
            (url.user.is_some() && flags.user.is_some(), "user"),
            (url.auth.is_some() && flags.auth.is_some(), "auth"),
        ];
        if let Some((_, key)) = both.iter().find(|(both, _)| *both) {
            return Err(ConfigError::arguments(
                format!("the URL and --{key} set the same thing"),
                "leave one out",
            ));
        }
        if let (Some(ours), Some(flag)) = (&url.tls, &flags.tls) {
            if ours.value == Tls::Implicit && flag.value != Tls::Implicit {
                let word =
                    Tls::WORDS.iter().find(|(_, tls)| *tls == flag.value).map_or("", |(word, _)| *word);
                let what = format!("pops:// is TLS from the start, but --tls is {}", quoted(word));
                return Err(ConfigError::arguments(what, "write pop:// for another --tls"));
            }
            url.tls = None;
        }
        // Two sources of a password stay two, and are refused like two in a file.
        Ok(url.or(flags))
    }
}

fn shown(text: &str) -> String {
    crate::text::printable(text.as_bytes())
}

/// A URL for people: without what may be a password.
fn without_user(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => shown(&format!("{scheme}://…@{host}")),
        // Without an @, what looks like a port may be the rest of a password.
        (Some((scheme, rest)), None) => match rest.split_once(':') {
            Some((host, _)) if !host.starts_with('[') => shown(&format!("{scheme}://{host}:…")),
            _ => shown(text),
        },
        (None, _) => "the URL".to_owned(),
    }
}

/// Splits `;AUTH=X` off.
fn split_mechanism(text: &str) -> (&str, Option<&str>) {
    let at = text.to_ascii_uppercase().rfind(";AUTH=");
    match at.and_then(|at| Some((text.get(..at)?, text.get(at.checked_add(";AUTH=".len())?..)?))) {
        Some((before, mechanism)) => (before, Some(mechanism)),
        None => (text, None),
    }
}

/// A mechanism of SASL, or `+APOP`; none for `*`, which leaves the choice to us.
fn auth(mechanism: &str) -> Result<Option<Auth>, Mistake> {
    let name = decoded_text(mechanism)?.to_ascii_lowercase();
    let known = match name.as_str() {
        "*" => return Ok(None),
        "+apop" => Some(Auth::Apop),
        // Words of our own and not mechanisms of SASL.
        "apop" | "auto" | "user-pass" => None,
        other => Auth::WORDS.iter().find(|(word, _)| *word == other).map(|(_, auth)| *auth),
    };
    known.map(Some).ok_or_else(|| {
        Mistake::new(format!("there is no mechanism {}", quoted(mechanism)))
            .hint(";AUTH=* leaves the choice to popfetch; ;AUTH=+APOP is APOP")
    })
}

fn decoded_text(text: &str) -> Result<String, Mistake> {
    String::from_utf8(decoded(text)?).map_err(|_| Mistake::new("it is not UTF-8 when %HH is decoded"))
}

//! The settings of the way to a server: what their values may look like.
//!
//! A proxy's URL is taken apart by hand, like a POP URL: nothing of it is quoted in an error, because a password may
//! stand anywhere in one that is wrong.

use std::net::IpAddr;
use std::path::PathBuf;

use super::mistake::{LocatedMistake, Mistake, quoted};
use super::names::Host;
use super::percent::{decoded, split_port};
use super::value::{ProgramValue, Read, Value};
use crate::account::{ConnectCommand, Endpoint, Proxy, ProxyAddress, ProxyKind, ProxyLogin, check_one_line};
use crate::secret::Secret;

/// Octets of a Unix socket's path at most (unix(7): 108 with a NUL at the end).
const LONGEST_SOCKET: usize = 107;

/// Octets of a name or a password of SOCKS at most (RFC 1929 §2).
const LONGEST_LOGIN: usize = 255;

const SHAPE: &str =
    "socks5://HOST:PORT, socks5+unix:///PATH or http://HOST:PORT, with USER:PASSWORD@ before the host";

/// What `proxy` is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProxySetting {
    /// `none`: the direct way.
    Direct,
    Proxy(Proxy),
    /// The variable of the environment that holds the URL.
    Variable(String),
}

impl ProxySetting {
    fn parse(text: &str) -> Result<Self, Mistake> {
        if text == "none" {
            return Ok(Self::Direct);
        }
        if let Some(name) = text.strip_prefix('$') {
            let inner = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
            if inner.is_empty() || !inner.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                let what = "this is not a variable's name alone";
                return Err(Mistake::new(what).hint("proxy = \"$ALL_PROXY\"; a URL is written out"));
            }
            return Ok(Self::Variable(inner.to_owned()));
        }
        proxy(text).map(Self::Proxy)
    }

    /// Whether it holds a password, which the file must then keep from others.
    pub(super) fn holds_password(&self) -> bool {
        matches!(self, Self::Proxy(Proxy { login: Some(_), .. }))
    }
}

impl Read for ProxySetting {
    const VALUES: &'static str = "none|URL";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.meaning(Self::parse)
    }
}

pub(super) fn proxy(text: &str) -> Result<Proxy, Mistake> {
    let wrong = |what: &str| Mistake::new(what).hint(SHAPE);
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("this is not a proxy's URL"))?;
    let scheme = scheme.to_ascii_lowercase();
    let (kind, is_unix) = match scheme.as_str() {
        // By either name it is the proxy that looks the server's name up.
        "socks5" | "socks5h" => (ProxyKind::Socks5, false),
        "socks5+unix" => (ProxyKind::Socks5, true),
        "http" => (ProxyKind::Http, false),
        "https" => {
            let what = "popfetch speaks to an HTTP proxy without TLS only";
            return Err(
                Mistake::new(what).hint("http://HOST:PORT, or a connect-command for a proxy over TLS")
            );
        }
        "socks4" | "socks4a" => return Err(wrong("SOCKS4 is not spoken")),
        _ => return Err(wrong("a proxy's URL begins with socks5://, socks5+unix:// or http://")),
    };
    let ends: &[char] = if is_unix { &['/'] } else { &['/', '?', '#'] };
    let (authority, path) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    let address = if is_unix {
        if !host.is_empty() || path.len() < 2 {
            return Err(wrong("a socket's path is absolute"));
        }
        ProxyAddress::Unix(socket(decoded(path)?)?)
    } else {
        if !matches!(path, "" | "/") {
            let hint = "write / as %2F, ? as %3F and # as %23 in a password";
            return Err(Mistake::new("a proxy's URL has no path").hint(hint));
        }
        let (host, port) = split_port(host)?;
        let host = Host::parse(host).map_err(|_| wrong("the proxy's host is not a name or an address"))?.0;
        let port = match (port, kind) {
            (Some(port), _) => port,
            (None, ProxyKind::Socks5) => 1080,
            // Programs differ in what they take for the usual one.
            (None, ProxyKind::Http) => return Err(wrong("the proxy's port is missing")),
        };
        ProxyAddress::Tcp(Endpoint { host, port })
    };
    Ok(Proxy { kind, address, login: login.map(|login| proxy_login(login, kind)).transpose()? })
}

fn proxy_login(text: &str, kind: ProxyKind) -> Result<ProxyLogin, Mistake> {
    let hint = "USER:PASSWORD@HOST; write : as %3A, @ as %40 and / as %2F in either";
    let Some((user, password)) = text.split_once(':') else {
        return Err(Mistake::new("there is a user of the proxy, and no password").hint(hint));
    };
    let user = String::from_utf8(decoded(user)?)
        .map_err(|_| Mistake::new("the proxy's user is not UTF-8 when %HH is decoded"))?;
    let password = Secret::new(decoded(password)?);
    check_one_line(user.as_bytes()).map_err(|e| Mistake::new(format!("the proxy's user: {e}")).hint(hint))?;
    check_one_line(password.expose())
        .map_err(|e| Mistake::new(format!("the proxy's password: {e}")).hint(hint))?;
    match kind {
        ProxyKind::Socks5 if user.len().max(password.expose().len()) > LONGEST_LOGIN => {
            Err(Mistake::new("a user or a password of SOCKS has 255 octets at most"))
        }
        // RFC 7617 §2: the first colon ends the user's name.
        ProxyKind::Http if user.contains(':') => {
            Err(Mistake::new("a user of an HTTP proxy can't have a colon in its name"))
        }
        ProxyKind::Socks5 | ProxyKind::Http => Ok(ProxyLogin { user, password }),
    }
}

/// A socket's path, if it isn't too long for one.
pub(super) fn socket(path: impl Into<Vec<u8>>) -> Result<PathBuf, Mistake> {
    use std::os::unix::ffi::OsStringExt as _;
    let path = path.into();
    if path.len() > LONGEST_SOCKET || path.contains(&0) {
        return Err(Mistake::new(format!(
            "the path of a socket has {LONGEST_SOCKET} octets at most, and no NUL"
        )));
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(path)))
}

impl Read for Endpoint {
    const VALUES: &'static str = "HOST:PORT";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        value.meaning(|text| {
            let hint = "\"127.0.0.1:1995\", \"[::1]:1995\" or \"gate.example.com:995\"";
            match split_port(text)? {
                (host, Some(port)) => {
                    // A URL isn't quoted there.
                    let host = Host::parse(host).map_err(|mistake| mistake.hint(hint))?.0;
                    Ok(Self { host, port })
                }
                (_, None) => Err(Mistake::new("the port is missing").hint(hint)),
            }
        })
    }
}

/// Addresses of this machine: one of a family at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceAddresses(pub(super) Vec<IpAddr>);

impl Read for SourceAddresses {
    const VALUES: &'static str = "ADDRESS|LIST";

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        let words = value.words()?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for word in &words {
            let address: IpAddr = word.trim().parse().map_err(|_| {
                let what = format!("{} is not an address", quoted(word));
                value.wrong(Mistake::new(what).hint("\"192.0.2.7\", or [\"192.0.2.7\", \"2001:db8::7\"]"))
            })?;
            if addresses.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
                let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
                return Err(
                    value.wrong(Mistake::new(format!("there are two {family} addresses")).hint("keep one"))
                );
            }
            addresses.push(address);
        }
        if addresses.is_empty() {
            let hint = "leave the key out to leave the address to the system";
            return Err(value.wrong(Mistake::new("the list is empty").hint(hint)));
        }
        Ok(Self(addresses))
    }
}

/// A connect-command.  In a line for the shell the server's name and port are variables, as everywhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connect(pub(super) ConnectCommand);

impl Read for Connect {
    const VALUES: &'static str = ProgramValue::VALUES;

    fn read(value: &Value<'_>) -> Result<Self, LocatedMistake> {
        match ProgramValue::read(value)? {
            ProgramValue::Line(line) => {
                let is_there = |name: &str| {
                    line.match_indices(name).any(|(at, _)| !line.get(..at).is_some_and(|l| l.ends_with('$')))
                };
                if is_there("{host}") || is_there("{port}") {
                    let mistake =
                        Mistake::new("{host} and {port} stand in a list, not in a line for the shell");
                    return Err(value.wrong(mistake.hint("write $POPFETCH_HOST and $POPFETCH_PORT there")));
                }
                Ok(Self(ConnectCommand::Shell(line)))
            }
            ProgramValue::Argv(argv) => Ok(Self(ConnectCommand::Argv(argv))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ProxySetting, proxy};
    use crate::account::{ProxyAddress, ProxyKind};

    #[test]
    fn proxies() {
        for (text, kind, address, login) in [
            ("socks5://127.0.0.1:9050", ProxyKind::Socks5, "127.0.0.1:9050", None),
            ("SOCKS5H://Proxy.Example.", ProxyKind::Socks5, "proxy.example:1080", None),
            ("socks5://[::1]:1080/", ProxyKind::Socks5, "[::1]:1080", None),
            ("socks5://bücher.example", ProxyKind::Socks5, "xn--bcher-kva.example:1080", None),
            ("http://a%40b:p%3A%2F%40@h:3128", ProxyKind::Http, "h:3128", Some(("a@b", "p:/@"))),
            ("http://a:b:c@d@h:3128/", ProxyKind::Http, "h:3128", Some(("a", "b:c@d"))),
            ("socks5://a%3Ab:c@h", ProxyKind::Socks5, "h:1080", Some(("a:b", "c"))),
            ("socks5+unix:///run/tor/socks", ProxyKind::Socks5, "/run/tor/socks", None),
            ("socks5+unix://a:b@/run/a%20b", ProxyKind::Socks5, "/run/a b", Some(("a", "b"))),
        ] {
            let proxy = proxy(text).unwrap();
            assert_eq!((proxy.kind, proxy.address.to_string().as_str()), (kind, address), "{text}");
            assert_eq!(matches!(proxy.address, ProxyAddress::Unix(_)), text.contains("unix"), "{text}");
            let seen = proxy
                .login
                .as_ref()
                .map(|login| (login.user.as_str(), std::str::from_utf8(login.password.expose()).unwrap()));
            assert_eq!(seen, login, "{text}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_being_quoted() {
        let long = format!("socks5://a:{}hunter2@h", "x".repeat(250));
        let long_path = format!("socks5+unix:///hunter2{}", "x".repeat(101));
        for (text, what) in [
            ("hunter2", "this is not a proxy's URL"),
            ("", "this is not a proxy's URL"),
            ("hunter2://h", "a proxy's URL begins with"),
            ("https://me:hunter2@h:1", "without TLS only"),
            ("socks4a://hunter2", "SOCKS4 is not spoken"),
            ("socks://hunter2", "begins with socks5://"),
            ("http://h", "the proxy's port is missing"),
            ("http://me:hunter2", "the port is not a number"),
            ("http://me:hunter2@h", "the proxy's port is missing"),
            ("http://me:hunter2@h:0", "from 1 to 65535"),
            ("http://me:hunter2@h:99999", "from 1 to 65535"),
            ("http://me:hunter2/@h:1", "has no path"),
            ("http://me:hunter2#@h:1", "has no path"),
            ("http://hunter2@h:1", "no password"),
            ("http://:hunter2@h:1", "the proxy's user: it is empty"),
            ("http://me:@h:1", "the proxy's password: it is empty"),
            ("http://m%3Ae:hunter2@h:1", "can't have a colon"),
            ("http://me:hunter2%0D%0AHost@h:1", "a line end"),
            ("http://me:hunter2%@h:1", "two hexadecimal digits"),
            ("http://me:hunter2@:1", "is not a name or an address"),
            ("http://me:hunter2@[::1:1", "is not a name or an address"),
            ("http://hunter2 x:1", "is not a name or an address"),
            (long.as_str(), "255 octets at most"),
            ("socks5+unix://hunter2/x", "absolute"),
            ("socks5+unix:///", "absolute"),
            ("socks5+unix://hunter2", "absolute"),
            (long_path.as_str(), "107 octets at most"),
            ("$", "not a variable's name"),
            ("$A/hunter2", "not a variable's name"),
            ("${A", "not a variable's name"),
        ] {
            let mistake = ProxySetting::parse(text).unwrap_err();
            let shown = format!("{} {}", mistake.what, mistake.hint.unwrap_or_default());
            assert!(shown.contains(what) && !shown.contains("hunter2"), "{text}: {shown}");
        }
        for (text, name) in [("$ALL_PROXY", "ALL_PROXY"), ("${X_1}", "X_1")] {
            assert_eq!(ProxySetting::parse(text), Ok(ProxySetting::Variable(name.to_owned())));
        }
        assert_eq!(ProxySetting::parse("none"), Ok(ProxySetting::Direct));
    }
}

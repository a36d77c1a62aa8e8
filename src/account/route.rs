//! The way to a server: straight there, or by a proxy, a program, a socket of this machine, or another address.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use super::host::in_brackets;
use crate::secret::Secret;
use crate::text;

/// How an account's connections go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Way {
    pub route: Route,
    /// The addresses of this machine that they come from, one of a family at most; none leaves it to the system.  A
    /// family that isn't among them isn't used.
    pub source_addresses: Vec<IpAddr>,
}

/// The direct way, from whatever address the system chooses.
pub(crate) static DIRECT: Way = Way { route: Route::Direct, source_addresses: Vec::new() };

impl Way {
    /// The way to servers of other services: a proxy and the source addresses hold there too, everything else is the POP3
    /// server's alone.
    #[must_use]
    pub fn beyond_pop3(&self) -> Self {
        let route = match &self.route {
            Route::Proxy(proxy) => Route::Proxy(proxy.clone()),
            Route::Direct | Route::Command(_) | Route::Socket(_) | Route::ConnectTo(_) => Route::Direct,
        };
        Self { route, source_addresses: self.source_addresses.clone() }
    }

    /// The password of the proxy, if there is one.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        match &self.route {
            Route::Proxy(Proxy { login: Some(login), .. }) => Some(&login.password),
            Route::Proxy(_) | Route::Direct | Route::Command(_) | Route::Socket(_) | Route::ConnectTo(_) => {
                None
            }
        }
    }
}

/// For the log: nothing for the direct way, else ` by socks5 127.0.0.1:9050` and the like.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.route {
            Route::Direct => {}
            Route::Proxy(proxy) => write!(f, " by {} {}", proxy.kind, proxy.address)?,
            Route::Command(command) => write!(f, " by {command}")?,
            Route::Socket(path) => write!(f, " by socket {}", text::path(path))?,
            Route::ConnectTo(place) => write!(f, " by {place}")?,
        }
        for (n, address) in self.source_addresses.iter().enumerate() {
            write!(f, "{}{address}", if n == 0 { " from " } else { ", " })?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Route {
    /// TCP to one of the server's own addresses.
    #[default]
    Direct,
    /// By a proxy, which looks the server's name up.
    Proxy(Proxy),
    /// By a program whose standard input and output are the connection.
    Command(ConnectCommand),
    /// By a Unix socket of this machine.
    Socket(PathBuf),
    /// TCP to this place, which stands for the server.
    ConnectTo(Endpoint),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// An A-label in lower case without final dot, or an address literal (without brackets).
    pub host: String,
    pub port: u16,
}

/// `HOST:PORT`, an IPv6 literal in brackets.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        write!(f, "{}:{port}", in_brackets(host))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    pub kind: ProxyKind,
    pub address: ProxyAddress,
    pub login: Option<ProxyLogin>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// SOCKS version 5 (RFC 1928).
    Socks5,
    /// HTTP's CONNECT (RFC 9110 §9.3.6).
    Http,
}

impl fmt::Display for ProxyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Socks5 => "socks5",
            Self::Http => "http",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyAddress {
    /// At a TCP port.
    Tcp(Endpoint),
    Unix(PathBuf),
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(place) => place.fmt(f),
            Self::Unix(path) => f.write_str(&text::path(path)),
        }
    }
}

/// The user of a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyLogin {
    pub user: String,
    pub password: Secret,
}

/// A program that connects to the server.
#[derive(Clone, PartialEq, Eq)]
pub enum ConnectCommand {
    /// Given to `sh -c` as it stands.
    Shell(String),
    /// Executed as it stands, but for `{host}` and `{port}`; not empty.
    Argv(Vec<String>),
}

impl ConnectCommand {
    /// As it is executed for this server.  An IPv6 literal stands in brackets where a colon follows, as in `{host}:{port}`.
    #[must_use]
    pub fn argv(&self, host: &str, port: u16) -> Vec<String> {
        match self {
            Self::Shell(line) => ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
            Self::Argv(argv) => {
                let bracketed = format!("{}:", in_brackets(host));
                let replaced = |word: &String| {
                    let word = word.replace("{host}:", &bracketed).replace("{host}", host);
                    word.replace("{port}", &port.to_string())
                };
                argv.iter().map(replaced).collect()
            }
        }
    }

    /// The program's name; none for a line for the shell, which may hold anything.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        match self {
            Self::Shell(_) => None,
            Self::Argv(argv) => argv.first().map(String::as_str),
        }
    }
}

/// `connect-command`, and the program's name.
impl fmt::Display for ConnectCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connect-command")?;
        // With a blank it's a whole line in the place of a program.
        match self.program().filter(|program| !program.contains(char::is_whitespace)) {
            Some(program) => write!(f, " {}", text::printable(program.as_bytes())),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ConnectCommand {
    /// The kind alone: people write secrets into commands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shell(_) => "Shell",
            Self::Argv(_) => "Argv",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectCommand, Endpoint, Proxy, ProxyAddress, ProxyKind, ProxyLogin, Route, Way};
    use crate::secret::Secret;

    #[test]
    fn ipv6_literals_stand_in_brackets_where_a_port_follows() {
        let argv = ["ssh", "-W", "{host}:{port}", "{host}", "{port}", "TCP:{host}:{port},x"];
        let command = ConnectCommand::Argv(argv.map(str::to_owned).to_vec());
        let of = |host: &str| command.argv(host, 995).join(" ");
        assert_eq!(of("pop.example"), "ssh -W pop.example:995 pop.example 995 TCP:pop.example:995,x");
        assert_eq!(of("::1"), "ssh -W [::1]:995 ::1 995 TCP:[::1]:995,x");
        let line = ConnectCommand::Shell("nc {host}".to_owned());
        assert_eq!(line.argv("h", 1), ["/bin/sh", "-c", "nc {host}"]);
    }

    #[test]
    fn no_way_shows_a_password() {
        let endpoint = Endpoint { host: "::1".to_owned(), port: 9050 };
        let login = ProxyLogin { user: "anna".to_owned(), password: Secret::new("hunter2") };
        let address = ProxyAddress::Tcp(endpoint.clone());
        let proxy = Proxy { kind: ProxyKind::Socks5, address, login: Some(login) };
        let commands = [vec!["nc".to_owned(), "hunter2".to_owned()], vec!["nc -x hunter2".to_owned()]];
        let source_addresses = vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let routes = [
            (Route::Direct, ""),
            (Route::Proxy(proxy), " by socks5 [::1]:9050"),
            (Route::Command(ConnectCommand::Argv(commands[0].clone())), " by connect-command nc"),
            (Route::Command(ConnectCommand::Argv(commands[1].clone())), " by connect-command"),
            (Route::Command(ConnectCommand::Shell("nc hunter2".to_owned())), " by connect-command"),
            (Route::Socket("/run/po\np".into()), " by socket /run/po\\x0ap"),
            (Route::ConnectTo(endpoint), " by [::1]:9050"),
        ];
        for (route, shown) in routes {
            let way = Way { route, source_addresses: source_addresses.clone() };
            assert_eq!(way.to_string(), format!("{shown} from 192.0.2.7, 2001:db8::7"));
            assert!(!format!("{way:?}").contains("hunter2"), "{way:?}");
            let elsewhere = way.beyond_pop3();
            assert_eq!(elsewhere.source_addresses, source_addresses);
            assert_eq!(matches!(elsewhere.route, Route::Proxy(_)), way.secret().is_some());
        }
    }
}

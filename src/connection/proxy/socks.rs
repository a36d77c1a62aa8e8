//! SOCKS5 (RFC 1928) with a user and a password (RFC 1929), as a conversation without I/O.
//!
//! Each answer begins with its length, so that not an octet behind it is taken.  The name goes to the proxy as it is, which
//! looks it up; an address goes as an address.

use std::net::IpAddr;

use super::conversation::{NextStep, ProxyFailure, not_a_proxy};
use crate::account::ProxyLogin;
use crate::secret::Secret;

const VERSION: u8 = 5;
/// The version of the exchange of user and password (RFC 1929 §2).
const LOGIN_VERSION: u8 = 1;

/// Methods (RFC 1928 §3).
const NO_LOGIN: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_OF_THEM: u8 = 0xff;

/// Kinds of addresses (RFC 1928 §5).
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

#[derive(Debug)]
pub(super) struct SocksConversation {
    login: Option<ProxyLogin>,
    request: Vec<u8>,
    step: SocksStep,
    /// What has come of the answer.
    answer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SocksStep {
    /// To send which methods we know.
    Methods,
    /// The proxy chooses one.
    Method,
    /// To send user and password.
    Login,
    /// Whether they are right.
    Verdict,
    /// To send where to connect to.
    Request,
    Reply,
    Done,
}

impl SocksConversation {
    pub(super) fn new(login: Option<ProxyLogin>, host: &str, port: u16) -> Self {
        const CONNECT: u8 = 1;
        let mut request = vec![VERSION, CONNECT, 0];
        match host.parse() {
            Ok(IpAddr::V4(address)) => {
                request.push(IPV4);
                request.extend(address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                request.push(IPV6);
                request.extend(address.octets());
            }
            Err(_) => {
                request.push(NAME);
                request.extend(with_length(host.as_bytes()));
            }
        }
        request.extend(port.to_be_bytes());
        Self { login, request, step: SocksStep::Methods, answer: Vec::new() }
    }

    pub(super) fn next(&mut self) -> NextStep {
        let (octets, then) = match self.step {
            SocksStep::Methods => {
                // Where a login is offered the proxy chooses: Tor keeps users apart by theirs, and wants no password.
                let methods: &[u8] = match self.login {
                    Some(_) => &[VERSION, 2, NO_LOGIN, USER_AND_PASSWORD],
                    None => &[VERSION, 1, NO_LOGIN],
                };
                (methods.to_vec(), SocksStep::Method)
            }
            SocksStep::Login => {
                let mut octets = vec![LOGIN_VERSION];
                for part in self.login.iter().flat_map(|l| [l.user.as_bytes(), l.password.expose()]) {
                    octets.extend(with_length(part));
                }
                (octets, SocksStep::Verdict)
            }
            SocksStep::Request => (std::mem::take(&mut self.request), SocksStep::Reply),
            SocksStep::Method | SocksStep::Verdict | SocksStep::Reply => return NextStep::Answer,
            SocksStep::Done => return NextStep::Done,
        };
        self.step = then;
        NextStep::Send(Secret::new(octets))
    }

    pub(super) fn take(&mut self, octets: &[u8]) -> Result<usize, ProxyFailure> {
        let mut taken = 0;
        while let Some(octet) = octets.get(taken) {
            self.answer.push(*octet);
            taken += 1;
            let step = match self.step {
                SocksStep::Method => self.method(),
                SocksStep::Verdict => self.verdict(),
                SocksStep::Reply => self.reply(),
                SocksStep::Methods | SocksStep::Login | SocksStep::Request | SocksStep::Done => break,
            };
            let step = step.map_err(|refusal| match refusal {
                // What follows may show what it is.
                ProxyFailure::NotAProxy(mut said) => {
                    said.extend_from_slice(octets.get(taken..).unwrap_or_default());
                    not_a_proxy(&said)
                }
                other => other,
            })?;
            if let Some(step) = step {
                self.step = step;
                self.answer.clear();
                break;
            }
        }
        Ok(taken)
    }

    fn none(&self) -> ProxyFailure {
        ProxyFailure::NotAProxy(self.answer.clone())
    }

    /// The next step, once the answer is whole (RFC 1928 §3).
    fn method(&self) -> Result<Option<SocksStep>, ProxyFailure> {
        match self.answer.as_slice() {
            [VERSION] => Ok(None),
            [VERSION, NO_LOGIN] => Ok(Some(SocksStep::Request)),
            [VERSION, USER_AND_PASSWORD] if self.login.is_some() => Ok(Some(SocksStep::Login)),
            [VERSION, NONE_OF_THEM] => Err(ProxyFailure::Login),
            _ => Err(self.none()),
        }
    }

    /// RFC 1929 §2; some proxies write the version of SOCKS there.
    fn verdict(&self) -> Result<Option<SocksStep>, ProxyFailure> {
        match self.answer.as_slice() {
            [LOGIN_VERSION | VERSION] => Ok(None),
            [LOGIN_VERSION | VERSION, 0] => Ok(Some(SocksStep::Request)),
            [LOGIN_VERSION | VERSION, _] => Err(ProxyFailure::Login),
            _ => Err(self.none()),
        }
    }

    /// RFC 1928 §6.  We do not need the address at its end, but the server's greeting begins behind it.
    fn reply(&self) -> Result<Option<SocksStep>, ProxyFailure> {
        const PORT: usize = 2;
        let (address, length) = match self.answer.as_slice() {
            [VERSION] | [VERSION, 0] | [VERSION, 0, _] | [VERSION, 0, _, NAME] => return Ok(None),
            [VERSION, 0, _, IPV4, address @ ..] => (address, 4),
            [VERSION, 0, _, IPV6, address @ ..] => (address, 16),
            [VERSION, 0, _, NAME, length, address @ ..] => (address, usize::from(*length)),
            [VERSION, code, ..] if *code != 0 => return Err(refused(*code)),
            _ => return Err(self.none()),
        };
        Ok((address.len() == length + PORT).then_some(SocksStep::Done))
    }
}

/// A text of 255 octets at most, which the configuration sees to, and its length before it.
fn with_length(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let mut octets = vec![length];
    octets.extend_from_slice(text.get(..usize::from(length)).unwrap_or(text));
    octets
}

/// What a reply's code means (RFC 1928 §6), as far as proxies keep to it: some send `general failure` for a name that
/// isn't known, others `host unreachable`.
fn refused(code: u8) -> ProxyFailure {
    let words = match code {
        1 => "general failure",
        2 => return ProxyFailure::Forbids(b"not allowed by its rules".to_vec()),
        3 => "network unreachable",
        4 => "host unreachable, or the name is unknown",
        5 => "connection refused",
        6 => "it took too long (TTL expired)",
        7 => return ProxyFailure::NoConnections(b"command not supported".to_vec()),
        8 => return ProxyFailure::NoConnections(b"kind of address not supported".to_vec()),
        code => return ProxyFailure::CannotReach(format!("code {code}").into_bytes()),
    };
    ProxyFailure::CannotReach(words.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::SocksConversation;
    use crate::account::ProxyLogin;
    use crate::connection::proxy::{NextStep, ProxyFailure};
    use crate::secret::Secret;

    fn login() -> ProxyLogin {
        ProxyLogin { user: "me".to_owned(), password: Secret::new("pencil") }
    }

    /// What is sent, and what becomes of it, with a proxy whose answers come in pieces of this size, each once it is due;
    /// what isn't taken of the last one is given back.
    fn play(
        mut talk: SocksConversation,
        answers: &[&[u8]],
        size: usize,
    ) -> (Vec<Vec<u8>>, Result<Vec<u8>, ProxyFailure>) {
        let (mut sent, mut answers, mut left) = (Vec::new(), answers.iter(), Vec::new());
        loop {
            match talk.next() {
                NextStep::Done => return (sent, Ok(left)),
                NextStep::Send(octets) => {
                    assert!(left.is_empty(), "{left:?} came before it was asked for");
                    sent.push(octets.expose().to_vec());
                    left = answers.next().unwrap().to_vec();
                }
                NextStep::Answer => {
                    assert!(!left.is_empty(), "the answers are over");
                    match talk.take(&left[..size.min(left.len())]) {
                        Ok(taken) => drop(left.drain(..taken)),
                        Err(refusal) => return (sent, Err(refusal)),
                    }
                }
            }
        }
    }

    #[test]
    fn what_follows_the_reply_is_the_servers() {
        let replies: [&[u8]; 5] = [
            &[5, 0, 0, 1, 127, 0, 0, 1, 0x1f, 0x90],
            &[5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
            &[5, 0, 0xff, 3, 0, 0, 0],
            b"\x05\x00\x00\x03\x09localhost\x00\x6e",
            &[&[5, 0, 0, 3, 255][..], &[b'+'; 255], &[0, 0]].concat(),
        ];
        let greeting = b"+OK ready\r\n\x05\x00";
        for reply in replies {
            let whole = [reply, greeting].concat();
            for size in [1, 2, 3, 7, 4096] {
                let talk = SocksConversation::new(None, "pop.example", 995);
                let (sent, end) = play(talk, &[&[5, 0], &whole], size);
                assert_eq!(end.unwrap(), greeting, "{reply:?} in pieces of {size}");
                assert_eq!(sent, [&b"\x05\x01\x00"[..], b"\x05\x01\x00\x03\x0bpop.example\x03\xe3"]);
            }
        }
    }

    #[test]
    fn names_stay_names_and_addresses_addresses() {
        for (host, request) in [
            ("192.0.2.1", &b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x6e"[..]),
            ("2001:db8::1", b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x6e"),
            ("xn--bcher-kva.example", b"\x05\x01\x00\x03\x15xn--bcher-kva.example\x00\x6e"),
        ] {
            let (sent, _) =
                play(SocksConversation::new(None, host, 110), &[&[5, 0], &[5, 0, 0, 3, 0, 0, 0]], 9);
            assert_eq!(sent[1], request, "{host}");
        }
    }

    #[test]
    fn a_password_goes_only_to_a_proxy_that_asks_for_it() {
        let done: &[u8] = &[5, 0, 0, 3, 0, 0, 0];
        for (answers, login_is_sent) in [
            (&[&[5, 2][..], &[1, 0], done][..], true),
            (&[&[5, 2], &[5, 0], done], true),
            (&[&[5, 0], done], false),
        ] {
            let (sent, end) = play(SocksConversation::new(Some(login()), "h", 1), answers, 1);
            assert_eq!(end, Ok(Vec::new()));
            assert_eq!(sent[0], [5, 2, 0, 2]);
            assert_eq!(sent[1] == b"\x01\x02me\x06pencil", login_is_sent);
        }
    }

    #[test]
    fn refusals() {
        let none = |said: &[u8]| ProxyFailure::NotAProxy(said.to_vec());
        let fails = |words: &str| ProxyFailure::CannotReach(words.as_bytes().to_vec());
        for (answers, with_login, refusal) in [
            (&[&[5, 0xff][..]][..], false, ProxyFailure::Login),
            (&[&[5, 0xff]], true, ProxyFailure::Login),
            (&[&[5, 2], &[1, 2]], true, ProxyFailure::Login),
            (&[&[5, 2], &[2, 0]], true, none(&[2])),
            // What wasn't offered can't be chosen.
            (&[&[5, 2]], false, none(&[5, 2])),
            (&[&[5, 1]], true, none(&[5, 1])),
            (&[b"\x00\x5b\0\0\0\0\0\0"], false, none(b"\x00")),
            (&[b"H"], false, none(b"H")),
            (&[b"+"], false, none(b"+")),
            (&[&[5, 0], &[4]], false, none(&[4])),
            (&[&[5, 0], &[5, 0, 0, 2]], false, none(&[5, 0, 0, 2])),
            (&[&[5, 0], &[5, 0, 0, 0]], false, none(&[5, 0, 0, 0])),
            (&[&[5, 0], &[5, 1]], false, fails("general failure")),
            (&[&[5, 0], &[5, 2]], false, ProxyFailure::Forbids(b"not allowed by its rules".to_vec())),
            (&[&[5, 0], &[5, 3]], false, fails("network unreachable")),
            (&[&[5, 0], &[5, 4]], false, fails("host unreachable, or the name is unknown")),
            (&[&[5, 0], &[5, 5]], false, fails("connection refused")),
            (&[&[5, 0], &[5, 6]], false, fails("it took too long (TTL expired)")),
            (&[&[5, 0], &[5, 7]], false, ProxyFailure::NoConnections(b"command not supported".to_vec())),
            (&[&[5, 0], &[5, 0xf0]], false, fails("code 240")),
        ] {
            let talk = SocksConversation::new(with_login.then(login), "h", 1);
            assert_eq!(play(talk, answers, 1).1, Err(refusal), "{answers:?}");
        }
        // What came with it shows what it is, as far as it's quoted.
        let talk = SocksConversation::new(None, "h", 1);
        let (_, end) = play(talk, &[&[&b"SSH-2.0-OpenSSH\r\n"[..], &[b'x'; 500]].concat()], 500);
        let Err(ProxyFailure::NotAProxy(said)) = end else { panic!("{end:?}") };
        assert!(said.starts_with(b"SSH-2.0-OpenSSH") && said.len() == 80);
    }
}

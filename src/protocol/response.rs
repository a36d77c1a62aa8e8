//! Status lines: indicator, response code, text.
//!
//! It must not know which command was asked.  RFC 1939 §3; RFC 2449 §3 and §8; RFC 3206; RFC 6856 §5; the continuation
//! of RFC 5034 §4.

/// A response code that is known; any other bracket at the beginning of a text is text (RFC 2449 §6.4 lets servers
/// that don't announce RESP-CODES put one there).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResponseCode {
    /// `[IN-USE]`: the credentials were right, the maildrop is locked (RFC 2449 §8.1.2).
    InUse,
    /// `[LOGIN-DELAY]`: logged in too recently (RFC 2449 §8.1.1).
    LoginDelay,
    /// `[SYS/TEMP]`: a failure of the server that passes (RFC 3206 §4).
    SysTemp,
    /// `[SYS/PERM]`: a failure of the server that its administrator must repair (RFC 3206 §4).
    SysPerm,
    /// `[AUTH]`: a matter of the credentials (RFC 3206 §5).
    Auth,
    /// `[UTF8]`: needs the UTF8 mode (RFC 6856 §5).
    Utf8,
}

impl ResponseCode {
    /// From the text after a status indicator.  Codes are hierarchical: an unknown level below a known one counts as
    /// its parent (RFC 2449 §8).
    pub fn of(text: &[u8]) -> Option<Self> {
        let inside = text.strip_prefix(b"[")?;
        let end = inside.iter().position(|octet| *octet == b']')?;
        let mut levels = inside.get(..end)?.split(|octet| *octet == b'/');
        let first = levels.next()?;
        let is = |level: &[u8], name: &[u8]| level.eq_ignore_ascii_case(name);
        if is(first, b"SYS") {
            let second = levels.next()?;
            return match second {
                level if is(level, b"TEMP") => Some(Self::SysTemp),
                level if is(level, b"PERM") => Some(Self::SysPerm),
                _ => None,
            };
        }
        [
            (&b"IN-USE"[..], Self::InUse),
            (b"LOGIN-DELAY", Self::LoginDelay),
            (b"AUTH", Self::Auth),
            (b"UTF8", Self::Utf8),
        ]
        .into_iter()
        .find_map(|(name, code)| is(first, name).then_some(code))
    }
}

/// A status line, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// `+OK`, not `-ERR`.
    pub ok: bool,
    /// The response code, if it is a known one.
    pub code: Option<ResponseCode>,
    /// All that follows the status indicator and its blanks, the response code included.  Any octets but LF: it goes
    /// through [`crate::text::printable`] before anyone sees it.
    pub text: &'a [u8],
}

/// What a line where a status line is due can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusLine<'a> {
    /// `+OK` or `-ERR`.
    Reply(Reply<'a>),
    /// `+`: a SASL challenge, in base64, blanks around it trimmed.  Legal inside AUTH only.
    Continuation(&'a [u8]),
}

/// Takes a line without its end apart; `None` when it's no status line.
///
/// The indicator counts in either case of letters, and must end where it ends: `+OKAY` isn't one.  `+ERR` is what
/// hMailServer sends for `-ERR`.
#[must_use]
pub(crate) fn status_line(line: &[u8]) -> Option<StatusLine<'_>> {
    let blank = |octet: &u8| matches!(octet, b' ' | b'\t' | b'\r' | b'\n');
    let end = line.iter().position(blank).unwrap_or(line.len());
    let (indicator, rest) = line.split_at_checked(end)?;
    if indicator == b"+" {
        return Some(StatusLine::Continuation(rest.trim_ascii()));
    }
    let ok = indicator.eq_ignore_ascii_case(b"+OK");
    if !ok && !indicator.eq_ignore_ascii_case(b"-ERR") && !indicator.eq_ignore_ascii_case(b"+ERR") {
        return None;
    }
    let text = rest.trim_ascii_start();
    Some(StatusLine::Reply(Reply { ok, code: ResponseCode::of(text), text }))
}

/// For fuzzing: no line makes it fail, and what it lends is the end of the line.
#[doc(hidden)]
pub fn fuzz_response(line: &[u8]) {
    if let Some(StatusLine::Reply(reply)) = status_line(line) {
        assert!(line.ends_with(reply.text));
        assert!(reply.code.is_none() || reply.text.starts_with(b"["));
    }
}

#[cfg(test)]
mod tests {
    use super::{Reply, ResponseCode, StatusLine, status_line};

    fn reply(line: &[u8]) -> Option<(bool, Option<ResponseCode>, &[u8])> {
        match status_line(line)? {
            StatusLine::Reply(Reply { ok, code, text }) => Some((ok, code, text)),
            StatusLine::Continuation(_) => None,
        }
    }

    #[test]
    fn status_indicators() {
        let good: [(&[u8], bool, &[u8]); 11] = [
            (b"+OK", true, b""),
            (b"+OK ", true, b""),
            (b"+OK ready", true, b"ready"),
            (b"+OK  1 2 ", true, b"1 2 "),
            (b"+ok x", true, b"x"),
            (b"+OK\tx", true, b"x"),
            (b"-err", false, b""),
            (b"-ERR\rx", false, b"x"),
            (b"+ERR no", false, b"no"),
            (b"+err", false, b""),
            (b"-ERR \xc4\xe3\x1b[31m\x07", false, b"\xc4\xe3\x1b[31m\x07"),
        ];
        for (line, ok, text) in good {
            assert_eq!(reply(line), Some((ok, None, text)), "{}", line.escape_ascii());
        }
        for line in ["+OKx", "OK", "* OK", " +OK", "HTTP/1.1 400", "", "-ERRx", "-", "-OK", "++OK", "."] {
            assert_eq!(status_line(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn continuations() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"+", b""),
            (b"+ ", b""),
            (b"+  ", b""),
            (b"+ dGVzdA==", b"dGVzdA=="),
            (b"+\tdGVzdA== ", b"dGVzdA=="),
            (b"+ !!!", b"!!!"),
        ];
        for (line, challenge) in cases {
            assert_eq!(status_line(line), Some(StatusLine::Continuation(challenge)));
        }
        assert_eq!(status_line(b"+dGVzdA=="), None);
    }

    #[test]
    fn response_codes() {
        use ResponseCode::{Auth, InUse, LoginDelay, SysPerm, SysTemp, Utf8};
        let cases = [
            ("[IN-USE] x", Some(InUse)),
            ("[in-use]", Some(InUse)),
            ("[IN-USE/detail]x", Some(InUse)),
            ("[LOGIN-DELAY] wait", Some(LoginDelay)),
            ("[sys/temp/x]", Some(SysTemp)),
            ("[SYS/TEMP] later", Some(SysTemp)),
            ("[SYS/PERM] no", Some(SysPerm)),
            ("[AUTH] no", Some(Auth)),
            ("[AUTH/EXPIRED] no", Some(Auth)),
            ("[UTF8] needed", Some(Utf8)),
            // Brackets that are no known code.
            ("[FOO] bad", None),
            ("[SYS] x", None),
            ("[SYS/OTHER] x", None),
            ("[REFERRAL/pop://x] x", None),
            ("[XCLIENT] ready", None),
            ("[] x", None),
            ("[AUTH", None),
            ("AUTH]", None),
            ("x [AUTH]", None),
            ("[ AUTH ]", None),
        ];
        for (text, code) in cases {
            let line = format!("-ERR {text}");
            assert_eq!(reply(line.as_bytes()), Some((false, code, text.as_bytes())), "{text}");
        }
        assert_eq!(reply(b"+OK [SYS/TEMP] x"), Some((true, Some(SysTemp), &b"[SYS/TEMP] x"[..])));
    }

    #[test]
    fn no_prefix_of_a_line_fails() {
        for line in ["+OK [SYS/TEMP/x] text", "-ERR [IN-USE]", "+ dGVzdA=="] {
            for end in 0..=line.len() {
                super::fuzz_response(&line.as_bytes()[..end]);
            }
        }
    }
}

//! What a server can do, as CAPA lists it.
//!
//! A list holds for the state it was asked in: it's void after STLS, may grow or shrink at the login, and lists of two
//! states are never merged.  Nothing depends on which server it is (IMPLEMENTATION, RFC 2449 §6.9), nor on STLS being
//! listed: an attacker who can take it off the list will.
//! RFC 2449 §5-§6; RFC 2595 §4; RFC 3206 §6; RFC 5034 §3.

use std::time::Duration;

use super::command::Sent;
use super::error::Error;
use super::limits::CAPABILITY_LIMIT;
use crate::types::parse_decimal;

/// The capabilities that have a meaning here: what is remembered of a list.
const KNOWN: [&str; 12] = [
    "TOP",
    "UIDL",
    "USER",
    "SASL",
    "RESP-CODES",
    "AUTH-RESP-CODE",
    "PIPELINING",
    "STLS",
    "EXPIRE",
    "LOGIN-DELAY",
    "UTF8",
    "X-GOOGLE-RICO",
];

/// One list of capabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    entries: Vec<Capability>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Capability {
    /// Upper case.
    tag: String,
    arguments: Vec<String>,
}

/// How long mail left on the server stays there (RFC 2449 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expire {
    /// For good.
    Never,
    /// For this many days.  0: mail may not be left, and what was retrieved may be deleted at QUIT.
    Days(u64),
}

impl Capabilities {
    /// Takes a line of the answer in.  A tag that comes again adds its arguments.
    ///
    /// # Errors
    /// [`Error::TooManyLines`] beyond [`CAPABILITY_LIMIT`].
    pub(crate) fn add(&mut self, line: &[u8]) -> Result<(), Error> {
        // Tags and mechanisms are ASCII; whatever else a server writes is unknown, and kept for show only.
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_ascii_whitespace();
        let Some(tag) = words.next() else { return Ok(()) };
        let tag = tag.to_ascii_uppercase();
        let arguments = words.map(str::to_owned);
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.tag == tag) {
            entry.arguments.extend(arguments);
            return Ok(());
        }
        if self.entries.len() >= CAPABILITY_LIMIT {
            return Err(Error::TooManyLines { to: Sent::Capa, limit: CAPABILITY_LIMIT });
        }
        self.entries.push(Capability { tag, arguments: arguments.collect() });
        Ok(())
    }

    /// The same as it may be shown: every word but the known tags as `redact` leaves it.
    #[must_use]
    pub(crate) fn redacted(&self, redact: impl Fn(&str) -> String) -> Self {
        let redact = &redact;
        let entries = self.entries.iter().map(|Capability { tag, arguments }| Capability {
            tag: if KNOWN.contains(&tag.as_str()) { tag.clone() } else { redact(tag) },
            arguments: arguments.iter().map(|argument| redact(argument)).collect(),
        });
        Self { entries: entries.collect() }
    }

    fn arguments(&self, tag: &str) -> Option<&[String]> {
        let entry = self.entries.iter().find(|entry| entry.tag.eq_ignore_ascii_case(tag))?;
        Some(&entry.arguments)
    }

    /// Whether `tag` is listed, in whatever case of letters.
    #[must_use]
    pub(crate) fn has(&self, tag: &str) -> bool {
        self.arguments(tag).is_some()
    }

    /// Whether TOP exists (RFC 2449 §6.1).
    #[must_use]
    pub(crate) fn top(&self) -> bool {
        self.has("TOP")
    }

    /// Whether UIDL exists (RFC 2449 §6.8).
    #[must_use]
    pub(crate) fn uidl(&self) -> bool {
        self.has("UIDL")
    }

    /// Whether USER and PASS are accepted here and now (RFC 2449 §6.2).
    #[must_use]
    pub(crate) fn user(&self) -> bool {
        self.has("USER")
    }

    /// Whether the server has UTF8 (RFC 6856 §2.1).
    #[must_use]
    pub(crate) fn utf8(&self) -> bool {
        self.has("UTF8")
    }

    /// Whether USER, PASS and APOP may hold UTF-8 (RFC 6856 §2.2).
    #[must_use]
    pub(crate) fn utf8_user(&self) -> bool {
        self.arguments("UTF8").is_some_and(|words| words.iter().any(|word| word.eq_ignore_ascii_case("USER")))
    }

    /// Whether commands may be sent before earlier ones are answered (RFC 2449 §6.6).
    #[must_use]
    pub(crate) fn pipelining(&self) -> bool {
        self.has("PIPELINING")
    }

    /// Whether every failure of credentials carries `[AUTH]` (RFC 3206 §6).
    #[must_use]
    pub(crate) fn auth_resp_code(&self) -> bool {
        self.has("AUTH-RESP-CODE")
    }

    /// Whether this is Gmail's, where a message retrieved is gone from POP3 after QUIT.
    #[must_use]
    pub(crate) fn google_rico(&self) -> bool {
        self.has("X-GOOGLE-RICO")
    }

    /// The SASL mechanisms, as written (RFC 5034 §3).  Compare without regard to case.
    pub(crate) fn sasl(&self) -> impl Iterator<Item = &str> {
        self.arguments("SASL").unwrap_or_default().iter().map(String::as_str)
    }

    /// How long mail may stay, when that is listed and can be read.
    #[must_use]
    pub(crate) fn expire(&self) -> Option<Expire> {
        let days = self.arguments("EXPIRE")?.first()?;
        if days.eq_ignore_ascii_case("NEVER") {
            return Some(Expire::Never);
        }
        parse_decimal(days.as_bytes()).map(Expire::Days)
    }

    /// The least time between two logins, when that is listed and can be read (RFC 2449 §6.5).
    #[must_use]
    pub(crate) fn login_delay(&self) -> Option<Duration> {
        let seconds = self.arguments("LOGIN-DELAY")?.first()?;
        parse_decimal(seconds.as_bytes()).map(Duration::from_secs)
    }

    /// Every capability, in the server's order: its tag in upper case, and its arguments as written.  Not fit to print.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.entries.iter().map(|entry| (entry.tag.as_str(), entry.arguments.as_slice()))
    }

    /// The known ones, one a line, in printable ASCII: a form for a file, read back by [`Self::from_lines`].
    /// Other characters mean nothing in an argument we know; each becomes `?`.
    #[must_use]
    pub(crate) fn to_lines(&self) -> String {
        let mut lines = String::new();
        for entry in self.entries.iter().filter(|entry| KNOWN.contains(&entry.tag.as_str())) {
            if !lines.is_empty() {
                lines.push('\n');
            }
            lines.push_str(&entry.tag);
            for argument in &entry.arguments {
                lines.push(' ');
                lines.extend(argument.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }));
            }
        }
        lines
    }

    /// What [`Self::to_lines`] wrote; lines beyond the limit are ignored.
    #[must_use]
    pub(crate) fn from_lines(lines: &str) -> Self {
        let mut capabilities = Self::default();
        for line in lines.lines().take(CAPABILITY_LIMIT) {
            // No more lines than the limit, so none is refused.
            let _ = capabilities.add(line.as_bytes());
        }
        capabilities
    }
}

/// For fuzzing: no list makes it fail, and what is remembered means the same.
#[doc(hidden)]
pub fn fuzz_capability(list: &[u8]) {
    let mut capabilities = Capabilities::default();
    for line in list.split(|octet| *octet == b'\n') {
        if capabilities.add(line).is_err() {
            break;
        }
    }
    let remembered = Capabilities::from_lines(&capabilities.to_lines());
    assert!(KNOWN.iter().all(|tag| capabilities.has(tag) == remembered.has(tag)));
    assert_eq!(capabilities.login_delay(), remembered.login_delay());
    assert_eq!(remembered.to_lines(), capabilities.to_lines());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CAPABILITY_LIMIT, Capabilities, Expire};
    use crate::problem::Problem as _;

    fn list(lines: &str) -> Capabilities {
        let mut capabilities = Capabilities::default();
        for line in lines.lines() {
            capabilities.add(line.as_bytes()).unwrap();
        }
        capabilities
    }

    #[test]
    fn tags_in_any_case_with_blanks_and_twice() {
        let capabilities = list("top\nSasl plain Cram-Md5\nPIPELINING  \n.foo\nX-WHAT ever\n\nSASL LOGIN");
        assert!(capabilities.top() && capabilities.pipelining() && capabilities.has(".foo"));
        assert!(!capabilities.uidl() && !capabilities.user());
        assert_eq!(capabilities.sasl().collect::<Vec<_>>(), ["plain", "Cram-Md5", "LOGIN"]);
    }

    /// A server may repeat the password anywhere.
    #[test]
    fn every_word_but_the_known_tags_is_redacted() {
        let redacted =
            list("TOP\nTANSTAAF\nX-HINT tanstaaf\nSASL PLAIN").redacted(|word| format!("({word})"));
        assert!(redacted.top() && redacted.has("(TANSTAAF)") && redacted.has("(X-HINT)"));
        assert_eq!(redacted.sasl().collect::<Vec<_>>(), ["(PLAIN)"]);
        assert_eq!(redacted.arguments("(X-HINT)").unwrap(), ["(tanstaaf)"]);
    }

    #[test]
    fn gmail_and_dovecot() {
        let gmail = list(
            "USER\nRESP-CODES\nEXPIRE 0\nLOGIN-DELAY 300\nTOP\nUIDL\nX-GOOGLE-RICO\nSASL PLAIN XOAUTH2 OAUTHBEARER",
        );
        assert!(gmail.google_rico() && gmail.user() && !gmail.pipelining());
        assert_eq!(gmail.expire(), Some(Expire::Days(0)));
        assert_eq!(gmail.login_delay(), Some(Duration::from_secs(300)));
        let dovecot = list(
            "CAPA\nTOP\nUIDL\nRESP-CODES\nPIPELINING\nAUTH-RESP-CODE\nSTLS\nUSER\nSASL PLAIN\nIMPLEMENTATION Dovecot 2.3",
        );
        assert!(dovecot.pipelining() && dovecot.auth_resp_code());
    }

    #[test]
    fn numbers() {
        let cases = [
            ("EXPIRE 0", Some(Expire::Days(0))),
            ("EXPIRE never", Some(Expire::Never)),
            ("EXPIRE 7 USER", Some(Expire::Days(7))),
            ("EXPIRE -1", None),
            ("EXPIRE", None),
            ("EXPIRE 99999999999999999999", None),
        ];
        for (line, expected) in cases {
            assert_eq!(list(line).expire(), expected, "{line}");
        }
        assert_eq!(list("LOGIN-DELAY x").login_delay(), None);
        assert_eq!(list("LOGIN-DELAY 99999999999999999999").login_delay(), None);
        assert_eq!(list("LOGIN-DELAY 60 USER").login_delay(), Some(Duration::from_secs(60)));
    }

    #[test]
    fn remembered_without_what_means_nothing() {
        let capabilities =
            list("TOP\nIMPLEMENTATION x\nX-WHAT ever\nSasl PLAIN L\u{f6}GIN CRAM-MD5\nEXPIRE 7 USER");
        let lines = capabilities.to_lines();
        assert_eq!(lines, "TOP\nSASL PLAIN L?GIN CRAM-MD5\nEXPIRE 7 USER");
        assert_eq!(Capabilities::from_lines(&lines), list(&lines));
        assert_eq!(Capabilities::from_lines(""), Capabilities::default());
    }

    #[test]
    fn too_many_capabilities() {
        let mut capabilities = Capabilities::default();
        for tag in 0..CAPABILITY_LIMIT {
            capabilities.add(format!("X-{tag}").as_bytes()).unwrap();
        }
        assert!(capabilities.add(b"x-0 again").is_ok());
        assert_eq!(capabilities.add(b"ONE-MORE").unwrap_err().exit_code().number(), 76);
    }

    #[test]
    fn octets_of_any_kind() {
        super::fuzz_capability(b"\xff\xfe SASL\nSASL \xff\0 \x1b PLAIN\nEXPIRE \x80\n\t\n");
        super::fuzz_capability(b"LOGIN-DELAY \xff 5\nEXPIRE \xc3\xa9 NEVER");
    }

    /// `UTF8` alone is for messages; only with the word `USER` may names and passwords be UTF-8 (RFC 6856 section 2.2).
    #[test]
    fn names_may_be_utf8_only_where_the_server_says_so() {
        for (line, expected) in [
            ("UTF8", false),
            ("UTF8 USER", true),
            ("utf8 user", true),
            ("UTF8 LANG USER", true),
            ("UTF8 LANG", false),
            ("USER", false),
        ] {
            assert_eq!(list(line).utf8_user(), expected, "{line}");
        }
    }
}

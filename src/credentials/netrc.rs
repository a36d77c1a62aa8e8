//! Passwords from a netrc file: `machine HOST login USER password PASSWORD`, `default …`, and `macdef` to be skipped.
//! The format is that of ftp(1) with what curl and Python made of it: tokens may be quoted, `#` begins a comment.

use crate::secret::Secret;

/// What some editors put before the first line, unseen.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The password for `user` at `host`: of the first matching entry whose `login` is `user`, or which names none.
/// `same_host` is whether a `machine` is the host meant; `default` matches every host, when no machine does.
pub(super) fn find(text: &[u8], user: &str, same_host: impl Fn(&str) -> bool) -> Option<Secret> {
    let fits =
        |entry: &Machine, login: Option<&str>| entry.password.is_some() && entry.login.as_deref() == login;
    let entries = entries(text);
    let ours = |entry: &&Machine| entry.machine.as_deref().is_some_and(&same_host);
    let default = |entry: &&Machine| entry.machine.is_none();
    let mut found = entries.iter().filter(ours).find(|entry| fits(entry, Some(user)));
    found = found.or_else(|| entries.iter().filter(ours).find(|entry| fits(entry, None)));
    found = found.or_else(|| entries.iter().filter(default).find(|entry| fits(entry, Some(user))));
    found = found.or_else(|| entries.iter().filter(default).find(|entry| fits(entry, None)));
    found.and_then(|entry| entry.password.clone())
}

/// The user of the first entry for a host that names one; `same_host` as for [`find`].
pub(super) fn user(text: &[u8], same_host: impl Fn(&str) -> bool) -> Option<String> {
    let entries = entries(text);
    let named = |entry: &&Machine| entry.login.is_some() && entry.machine.as_deref().is_some_and(&same_host);
    entries.iter().find(named).and_then(|entry| entry.login.clone())
}

/// Whether any entry holds a password: then no other user may read the file.
pub(super) fn holds_password(text: &[u8]) -> bool {
    entries(text).iter().any(|entry| entry.password.is_some())
}

#[derive(Default)]
struct Machine {
    /// None for `default`.
    machine: Option<String>,
    login: Option<String>,
    password: Option<Secret>,
}

fn entries(text: &[u8]) -> Vec<Machine> {
    let mut tokens = NetrcTokens(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
    let mut entries: Vec<Machine> = Vec::new();
    let text = |token: Vec<u8>| String::from_utf8_lossy(&token).into_owned();
    while let Some(token) = tokens.keyword() {
        match token.as_slice() {
            b"machine" => {
                let Some(machine) = tokens.value().map(text) else { break };
                entries.push(Machine { machine: Some(machine), ..Machine::default() });
            }
            b"default" => entries.push(Machine::default()),
            b"macdef" => tokens.skip_macro(),
            b"login" => {
                let login = tokens.value().map(text);
                if let Some(entry) = entries.last_mut() {
                    entry.login = login;
                }
            }
            b"password" => {
                let password = tokens.value().map(Secret::new);
                if let Some(entry) = entries.last_mut() {
                    entry.password = password;
                }
            }
            b"account" => drop(tokens.value()),
            // Unknown words are skipped, as others do.
            _ => {}
        }
    }
    entries
}

/// Words separated by blanks and line ends.
struct NetrcTokens<'a>(&'a [u8]);

impl<'a> NetrcTokens<'a> {
    /// The next word that is not in a comment.
    fn keyword(&mut self) -> Option<Vec<u8>> {
        loop {
            self.0 = self.0.trim_ascii_start();
            if self.0.first()? != &b'#' {
                return self.value();
            }
            self.skip_line();
        }
    }

    /// The next word; here `#` is a character like others, since a password may begin with it.
    fn value(&mut self) -> Option<Vec<u8>> {
        self.0 = self.0.trim_ascii_start();
        if let Some(rest) = self.0.strip_prefix(b"\"") {
            return Some(self.quoted(rest));
        }
        let end = self.0.iter().position(u8::is_ascii_whitespace).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then(|| word.to_vec())
    }

    /// Up to the closing quote, or to the end where it is missing; a backslash takes the next octet as it is.
    fn quoted(&mut self, mut rest: &'a [u8]) -> Vec<u8> {
        // As much as it can need: a vector that grows leaves its beginning behind in memory.
        let mut word = Vec::with_capacity(rest.len());
        while let Some((&octet, after)) = rest.split_first() {
            rest = after;
            match (octet, after.split_first()) {
                (b'"', _) => break,
                (b'\\', Some((&escaped, after))) => {
                    word.push(escaped);
                    rest = after;
                }
                _ => word.push(octet),
            }
        }
        self.0 = rest;
        word
    }

    fn skip_line(&mut self) {
        let end = self.0.iter().position(|b| *b == b'\n').unwrap_or(self.0.len());
        self.0 = self.0.split_at(end).1;
    }

    /// A macro ends at the first empty line.
    fn skip_macro(&mut self) {
        while !self.0.is_empty() {
            self.skip_line();
            self.0 = self.0.strip_prefix(b"\n").unwrap_or(self.0);
            let next = self.0.strip_prefix(b"\r").unwrap_or(self.0);
            if next.first() == Some(&b'\n') {
                return;
            }
        }
    }
}

/// For fuzzing: no file makes it panic, and a password is found only where the file holds one.
#[doc(hidden)]
pub fn fuzz_netrc(text: &[u8]) {
    let host = |machine: &str| crate::account::host::parse(machine).is_ok_and(|host| host == "localhost");
    let found = find(text, "user", host);
    assert!(found.is_none() || holds_password(text));
}

#[cfg(test)]
mod tests {
    use super::{find, fuzz_netrc, holds_password, user};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_file_makes_it_panic(
            octets in proptest::collection::vec(any::<u8>(), 0..200),
            text in "((machine|default|login|password|macdef|localhost|user|#|\"|\\\\)[ \n]?){0,20}",
        ) {
            fuzz_netrc(&octets);
            fuzz_netrc(text.as_bytes());
        }
    }

    #[test]
    fn the_entry_that_is_meant() {
        let text: &[u8] = b"# machine pop.example.com login me password commented\n\
            machine other login me password wrong\n\
            machine pop.example.com login you password yours account x\n\
            macdef init\n machine pop.example.com login me password macro\n password inside\n\n\
            machine POP.example.com\n\tlogin me\n\tpassword \"my \\\"own\\\\ #1\"\n\
            machine any.example password #noname\r\n\
            machine half.example login me\n\
            default login me password fallback\n";
        let cases = [
            ("pop.example.com", "me", Some("my \"own\\ #1")),
            ("pop.example.com", "you", Some("yours")),
            ("pop.example.com", "she", None),
            ("any.example", "whoever", Some("#noname")),
            ("half.example", "me", Some("fallback")),
            ("unknown.example", "me", Some("fallback")),
            ("unknown.example", "she", None),
        ];
        for (host, user, password) in cases {
            let found = find(text, user, |machine| machine.eq_ignore_ascii_case(host));
            let found = found.as_ref().map(|secret| std::str::from_utf8(secret.expose()).unwrap());
            assert_eq!(found, password, "{user} at {host}");
        }
        assert!(holds_password(text));
        assert!(!holds_password(b"machine a login b\n"));
    }

    #[test]
    fn an_entry_that_names_no_user_is_anybodys_and_one_without_a_password_is_nothing() {
        let text = b"machine a.example login she password hers\nmachine a.example password any\n\
            default password anywhere\n";
        let find = |host: &str, who: &str| {
            find(text, who, |machine| machine == host).map(|secret| secret.expose().to_vec())
        };
        for (host, who, password) in
            [("a.example", "she", "hers"), ("a.example", "he", "any"), ("b.example", "she", "anywhere")]
        {
            assert_eq!(find(host, who), Some(password.into()), "{who} at {host}");
        }
    }

    #[test]
    fn the_user_is_that_of_the_first_entry_of_the_host_that_names_one() {
        let text =
            b"machine other login wrong\ndefault login nobody\nmachine h password x\nmachine h login me\n";
        assert_eq!(user(text, |machine| machine == "h").as_deref(), Some("me"));
        assert_eq!(user(text, |machine| machine == "none"), None);
    }

    #[test]
    fn what_is_torn_gives_nothing() {
        let whole = b"machine h login me password \"a b\" macdef x\ny\n\nmachine g";
        for end in 0..whole.len() {
            fuzz_netrc(&whole[..end]);
            let found = find(&whole[..end], "me", |_| true);
            assert!(found.is_none_or(|secret| b"a b".starts_with(secret.expose())));
        }
        // A machine without a name is not `default`.
        assert!(find(b"machine", "me", |_| true).is_none());
        assert!(find(b"password x machine", "me", |_| true).is_none());
    }
}

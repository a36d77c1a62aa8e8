//! The names of files in a Maildir: `SECONDS.M<microseconds>P<pid>Q<counter>_<ledger id>_<16 hex digits>.HOST`.
//!
//! Readers need only that names are unique (<https://cr.yp.to/proto/maildir.html>).  For us a name also shows whose
//! file it is (the ledger's id), and can be waited for: with 64 random bits in it, a file of this name is this
//! message.  One name serves in `tmp/` and in `new/`, so it can't hold the size (`,S=`), which isn't known when the
//! file is created.

use std::fmt::Write as _;
use std::io;

use crate::clock;

/// Makes names for one ledger.
#[derive(Debug)]
pub(super) struct NameMaker {
    ledger: String,
    host: String,
    process: u32,
    counter: u64,
    random: Vec<u64>,
}

impl NameMaker {
    /// For the ledger with this id, on the machine of this name.
    pub(super) fn new(ledger: &str, host: &str) -> Self {
        // Asked once: it's a system call each time.
        let process = clock::process_id();
        Self { ledger: ledger.to_owned(), host: escaped(host), process, counter: 0, random: Vec::new() }
    }

    /// A name never given before.
    ///
    /// # Errors
    /// When the system gives no random octets.
    pub(super) fn next(&mut self) -> io::Result<String> {
        let random = self.random()?;
        self.counter = self.counter.wrapping_add(1);
        Ok(format!(
            "{}.M{:06}P{}Q{}_{}_{random:016x}.{}",
            clock::now().0,
            clock::microseconds(),
            self.process,
            self.counter,
            self.ledger,
            self.host
        ))
    }

    /// 64 random bits.  Drawn for 32 names at once: one system call instead of 32.
    fn random(&mut self) -> io::Result<u64> {
        if let Some(bits) = self.random.pop() {
            return Ok(bits);
        }
        let octets: [u8; 256] = clock::random()?;
        let (words, _) = octets.as_chunks();
        self.random.extend(words.iter().map(|word| u64::from_ne_bytes(*word)));
        self.random.pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Whether this is the name of a file of the ledger with this id.
pub(super) fn belongs_to(name: &str, ledger: &str) -> bool {
    let Some((_, rest)) = name.split_once('_') else { return false };
    let Some((id, rest)) = rest.split_once('_') else { return false };
    let Some((random, _)) = rest.split_once('.') else { return false };
    id == ledger && random.len() == 16 && random.bytes().all(|octet| octet.is_ascii_hexdigit())
}

/// A host name with everything but letters, digits, `.`, `-` and `_` as `\ooo`: `/` would end the name, `:` its unique
/// part, and `,` would begin a size.
fn escaped(host: &str) -> String {
    // So that the whole name stays under 255 octets, even of a host name that is nothing but slashes.
    const LONGEST: usize = 120;
    let mut out = String::new();
    for octet in host.bytes() {
        if out.len() >= LONGEST {
            break;
        }
        if octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_') {
            out.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\{octet:03o}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{NameMaker, belongs_to};
    use std::collections::HashSet;

    const ID: &str = "0123456789abcdef";

    #[test]
    fn ten_thousand_in_a_second_are_unique() {
        let mut names = NameMaker::new(ID, "laptop");
        let given: HashSet<String> = (0..10_000).map(|_| names.next().unwrap()).collect();
        assert_eq!(given.len(), 10_000);
        // Distinguishes names of one process, counter and time.
        let random: HashSet<&str> = given.iter().map(|name| name.rsplit('_').next().unwrap()).collect();
        assert_eq!(random.len(), 10_000);
    }

    #[test]
    fn names_say_whose_they_are() {
        let name = NameMaker::new(ID, "laptop").next().unwrap();
        assert!(belongs_to(&name, ID), "{name}");
        assert!(!belongs_to(&name, "0123456789abcdee"));
        for foreign in ["", "_", "1.M2P3Q4_x", "1.2_0123456789abcdef", "1_2_0123456789abcdef_3.host"] {
            assert!(!belongs_to(foreign, ID), "{foreign}");
        }
        let disguised = format!("1.M2P3Q1_fedcba9876543210_0000000000000000.a_{ID}_0000000000000000.b");
        assert!(!belongs_to(&disguised, ID));
        // Other programs' names may begin like ours.
        for random in ["0123", "0123456789abcdeg", "0123456789abcdef0", "0123456789ABCDE-", ""] {
            assert!(!belongs_to(&format!("1.M2P3Q4_{ID}_{random}.host"), ID), "{random}");
        }
    }

    #[test]
    fn hosts_cannot_break_names() {
        let host = |host| NameMaker::new(ID, host).host;
        assert_eq!(host("mail.example.com"), "mail.example.com");
        assert_eq!(host("a/b:c,d"), "a\\057b\\072c\\054d");
        assert_eq!(host("\n\\"), "\\012\\134");
        let longest = NameMaker::new(ID, &"/".repeat(300)).next().unwrap();
        assert!(longest.len() <= 255 && !longest.contains('/'));
    }
}

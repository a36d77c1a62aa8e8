//! Whether everything was delivered, and as it was sent: the digests of what stands in a Maildir or an mbox.
//!
//! Three things a program may do, and the table shows them.  It may add fields in front, fold long lines of the
//! header (RFC 5322 §2.2.3), and end a message in an mbox with one empty line more than the one that divides.  They
//! are undone before the digest is taken; any other difference is a changed message.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use memchr::memmem;

use crate::support::mail;

/// With this the sample messages begin.  None has a folded line, one that begins with `From `, or an empty one at its
/// end.
const BEGINS: &[u8] = b"Received: from relay.example.net by pop.example.org;";

/// What is read of a message before its header is looked at.
const HEAD: u64 = 64 << 10;

/// A message's digest and size.
pub type Digest = ([u8; 32], u64);

/// Of what should be delivered, for messages as they are sent; sorted.
pub fn expected<'m>(messages: impl Iterator<Item = &'m Vec<u8>>) -> Vec<Digest> {
    let mut digests: Vec<_> = messages
        .map(|octets| {
            let stored = mail::stored(octets);
            (*blake3::hash(&stored).as_bytes(), stored.len() as u64)
        })
        .collect();
    digests.sort_unstable();
    digests
}

/// As [`expected`], for a message that is `octets` many times over.
pub fn repeated(octets: &[u8], times: usize) -> Digest {
    let part = mail::stored(octets);
    let mut hasher = blake3::Hasher::new();
    for _ in 0..times {
        hasher.update(&part);
    }
    (*hasher.finalize().as_bytes(), (part.len() * times) as u64)
}

/// What was delivered.
#[derive(Default)]
pub struct Found {
    digests: Vec<Digest>,
    /// Names of fields that stood before the message.
    added: BTreeSet<String>,
    /// How many had lines of their header folded.
    folded: usize,
    /// How many ended with an empty line.
    lengthened: usize,
}

impl Found {
    /// What Maildirs hold in `new/`.
    pub fn in_maildirs<P: AsRef<Path>>(maildirs: impl IntoIterator<Item = P>) -> Self {
        let mut found = Self::default();
        for maildir in maildirs {
            for entry in std::fs::read_dir(maildir.as_ref().join("new")).unwrap() {
                found.take(File::open(entry.unwrap().path()).unwrap());
            }
        }
        found
    }

    /// What an mbox holds, if there is one.
    pub fn in_mbox(path: &Path) -> Self {
        let mut found = Self::default();
        let octets = std::fs::read(path).unwrap_or_default();
        // With the blank line that stands before it; the first one has none.
        let starts = memmem::find_iter(&octets, b"\n\nFrom ").map(|at| at + 2);
        let starts: Vec<usize> =
            octets.starts_with(b"From ").then_some(0).into_iter().chain(starts).collect();
        for (index, start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(octets.len());
            let part = &octets[*start..end];
            let first = memchr::memchr(b'\n', part).map_or(part.len(), |at| at + 1);
            let message = &part[first..];
            let divided = without_empty_line(message);
            let whole = without_empty_line(divided);
            found.lengthened += divided.len() - whole.len();
            found.take(whole);
        }
        found
    }

    /// How many messages.
    pub fn count(&self) -> usize {
        self.digests.len()
    }

    /// Compares with what should be there, sorted: what was done to headers, or what is wrong.
    pub fn compare(mut self, expected: &[Digest]) -> Result<String, String> {
        self.digests.sort_unstable();
        if self.digests != expected {
            let wrong = self.digests.iter().filter(|digest| expected.binary_search(digest).is_err()).count();
            return Err(format!(
                "{} of {} messages delivered, {wrong} of them changed",
                self.digests.len(),
                expected.len()
            ));
        }
        let mut remarks = Vec::new();
        if !self.added.is_empty() {
            remarks.push(format!("adds {}", self.added.into_iter().collect::<Vec<_>>().join(", ")));
        }
        if self.folded > 0 {
            remarks.push(format!("folds the header ({} messages)", self.folded));
        }
        if self.lengthened > 0 {
            remarks.push(format!("adds an empty line at the end ({} messages)", self.lengthened));
        }
        Ok(remarks.join("; "))
    }

    /// One message.
    fn take(&mut self, mut octets: impl Read) {
        let mut head = Vec::new();
        octets.by_ref().take(HEAD).read_to_end(&mut head).unwrap();
        let start = memmem::find(&head, BEGINS).unwrap_or(0);
        // What isn't a field belongs to the digest, which then differs.
        let start = fields(&head[..start]).map_or(0, |names| {
            self.added.extend(names);
            start
        });
        let message = &head[start..];
        let end = memmem::find(message, b"\n\n").unwrap_or(message.len());
        let header = unfolded(&message[..end]);
        self.folded += usize::from(header.len() < end);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&header).update(&message[end..]);
        let rest = io::copy(&mut octets, &mut hasher).unwrap();
        let size = (header.len() + message.len() - end) as u64 + rest;
        self.digests.push((*hasher.finalize().as_bytes(), size));
    }
}

fn without_empty_line(message: &[u8]) -> &[u8] {
    if message.ends_with(b"\n\n") { &message[..message.len() - 1] } else { message }
}

/// The names of these header fields; `None` if it's something else.
fn fields(octets: &[u8]) -> Option<Vec<String>> {
    let octets = unfolded(octets);
    let lines = octets.split_inclusive(|octet| *octet == b'\n');
    lines
        .map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            name.bytes().all(|octet| octet.is_ascii_graphic()).then(|| name.to_owned())
        })
        .collect()
}

/// A header without its line ends before blanks.
fn unfolded(header: &[u8]) -> Cow<'_, [u8]> {
    let folds = |at: usize| header[at] == b'\n' && matches!(header.get(at + 1), Some(b' ' | b'\t'));
    if !memchr::memchr_iter(b'\n', header).any(folds) {
        return Cow::Borrowed(header);
    }
    (0..header.len()).filter(|at| !folds(*at)).map(|at| header[at]).collect::<Vec<u8>>().into()
}

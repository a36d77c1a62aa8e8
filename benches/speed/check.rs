//! Whether everything was delivered, and as it was sent: the digests of what stands in a Maildir or an mbox.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::support::mail;

/// With this the sample messages begin; what stands before it was added on the way (some programs can't be told not to).
const BEGINS: &[u8] = b"Received: from relay.example.net by pop.example.org;";

/// A message's digest and size.
pub type Digest = ([u8; 32], u64);

/// Of what should be delivered, for messages as they are sent; sorted.
pub fn expected<'m>(messages: impl Iterator<Item = &'m Vec<u8>>) -> Vec<Digest> {
    let mut digests: Vec<_> = messages.map(|octets| digest(&mail::stored(octets))).collect();
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

fn digest(octets: &[u8]) -> Digest {
    (*blake3::hash(octets).as_bytes(), octets.len() as u64)
}

/// What a Maildir's `new/` holds, sorted.
pub fn maildir(path: &Path) -> Vec<Digest> {
    let mut digests: Vec<_> =
        std::fs::read_dir(path.join("new")).unwrap().map(|entry| file(&entry.unwrap().path())).collect();
    digests.sort_unstable();
    digests
}

fn file(path: &Path) -> Digest {
    let mut file = File::open(path).unwrap();
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let (mut size, mut first) = (0, true);
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read(&mut buffer[filled..]).unwrap() {
                0 => break,
                octets => filled += octets,
            }
        }
        if filled == 0 {
            return (*hasher.finalize().as_bytes(), size);
        }
        let part = &buffer[..filled];
        let start = if first { memchr::memmem::find(part, BEGINS).unwrap_or(0) } else { 0 };
        first = false;
        hasher.update(&part[start..]);
        size += (filled - start) as u64;
    }
}

/// What an mbox holds, sorted.
pub fn mbox(path: &Path) -> Vec<Digest> {
    let octets = std::fs::read(path).unwrap_or_default();
    let starts: Vec<usize> = memchr::memmem::find_iter(&octets, BEGINS).collect();
    let ends = starts.iter().skip(1).copied().chain([octets.len()]);
    let mut digests: Vec<_> = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let message = &octets[*start..end];
            // Up to the blank line before the next `From ` line.
            let end = memchr::memmem::rfind(message, b"\n\nFrom ").map_or(message.len() - 1, |at| at + 1);
            digest(&message[..end])
        })
        .collect();
    digests.sort_unstable();
    digests
}

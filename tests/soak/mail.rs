//! The mails that the made-up server holds.  Each carries a marker of its own, by which it's found in a store.

use crate::random::Random;
use crate::traits::{Trait, Traits};

/// Tells a mail from every other mail of a life.  Counts from 1; no server and no client sees it but in the marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailId(pub u32);

/// What the header of a mail has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Received and Message-ID, as nearly all mail has.
    Full,
    /// Received, no Message-ID.
    ReceivedOnly,
    /// Message-ID, no Received: mail that was submitted on the same machine.
    MessageIdOnly,
    /// Neither, and the same as all other mails of this kind: reports of a machine.
    Bare,
    /// As [`Header::Bare`], with the marker in the subject and without a body.
    NoBody,
}

/// A mail.
#[derive(Debug, Clone)]
pub struct Mail {
    pub id: MailId,
    pub header: Header,
    /// The mail of which this is a copy, made by another client.  That one's marker stands in it.
    pub copy_of: Option<MailId>,
    /// As its sender wrote it, lines ended by CRLF.
    pub octets: Vec<u8>,
}

impl Mail {
    /// Mail number `id` of the server with these traits.
    pub fn made_up(id: MailId, traits: &Traits) -> Self {
        let mut random = Random::new(traits.seed, "mail", u64::from(id.0));
        let header = match random.between(1, 10) {
            1..=5 => Header::Full,
            6 => Header::ReceivedOnly,
            7 => Header::MessageIdOnly,
            8 | 9 => Header::Bare,
            _ => Header::NoBody,
        };
        let mut text = String::new();
        if matches!(header, Header::Full | Header::ReceivedOnly) {
            text += &format!("Received: from relay.example by pop.example with ESMTP id {:06x};\r\n", id.0);
            text += " Thu, 26 Nov 2026 10:00:00 +0000\r\n";
        }
        text += "From: Machine <machine@example.org>\r\nTo: you@example.org\r\n";
        text += "Date: Thu, 26 Nov 2026 09:59:00 +0000\r\n";
        if matches!(header, Header::Full | Header::MessageIdOnly) {
            text += &format!("Message-ID: <{:06}@example.org>\r\n", id.0);
        }
        if header == Header::NoBody {
            text += &format!("Subject: {}\r\n\r\n", marker(id));
            return Self { id, header, copy_of: None, octets: text.into_bytes() };
        }
        text += "Subject: report\r\n\r\n";
        text += &format!("{}\r\n", marker(id));
        if random.once_in(4) {
            text += "From here on, all is quiet.\r\n>From the past\r\n.dot\r\n..two dots\r\n";
        }
        if traits.has(Trait::Forgeries) && random.coin() {
            text += forgery(&mut random);
        }
        let size = match random.between(1, 12) {
            _ if traits.has(Trait::EqualSizes) => 1200,
            1..=8 => random.between(300, 1500),
            9..=11 => random.between(1500, 8000),
            _ => random.between(30_000, 90_000),
        };
        let size = usize::try_from(size).unwrap();
        let last = format!("the end of {}\r\n", marker(id));
        while text.len() + last.len() < size {
            let left = size - text.len() - last.len();
            // Never a single octet for the last line: its end needs two.
            let line = if left == 73 { 71 } else { left.min(72) };
            text += &"x".repeat(line.saturating_sub(2));
            text += "\r\n";
        }
        text += &last;
        Self { id, header, copy_of: None, octets: text.into_bytes() }
    }

    /// A copy of it: the same octets.
    pub fn copied(&self, id: MailId) -> Self {
        Self { id, copy_of: Some(self.original()), ..self.clone() }
    }

    /// The mail by whose marker it is found in a store.
    pub fn original(&self) -> MailId {
        self.copy_of.unwrap_or(self.id)
    }

    /// Whether its header distinguishes it from every other mail: then it's delivered once, whatever the unique-ids
    /// are.
    pub fn has_identity(&self) -> bool {
        self.header == Header::Full
    }

    /// Whether a server that doesn't stuff dots can't send it whole: a line of it ends the answer.
    pub fn ends_early_unstuffed(&self) -> bool {
        lines(&self.octets).any(|line| line == b".\r\n")
    }

    /// What a store holds when it was delivered whole, made comparable by [`comparable`].
    pub fn expected(&self, traits: &Traits) -> Vec<u8> {
        let stuffs = !traits.has(Trait::NoStuffing);
        let received: Vec<u8> = lines(&self.octets)
            // A client takes one dot off a line that begins with one, also where the server has put none there.
            .flat_map(|line| if line.starts_with(b".") && !stuffs { &line[1..] } else { line })
            .copied()
            .filter(|octet| *octet != b'\r')
            .collect();
        comparable(&received)
    }
}

/// The text by which a mail is found.
fn marker(id: MailId) -> String {
    format!("marker={:06}", id.0)
}

/// The mail whose marker comes first in these octets.
pub fn marked(octets: &[u8]) -> Option<MailId> {
    let begin = b"marker=";
    let at = octets.windows(begin.len()).position(|window| window == begin)? + begin.len();
    let digits = std::str::from_utf8(octets.get(at..at + 6)?).ok()?;
    digits.parse().ok().map(MailId)
}

/// A stored message, without what a server may change from session to session: the fields that record its state in a
/// mailbox, and line ends at the end.
pub fn comparable(octets: &[u8]) -> Vec<u8> {
    let mut in_header = true;
    let mut text = Vec::with_capacity(octets.len());
    for line in lines(octets) {
        in_header &= line != b"\n";
        let dropped = [&b"Status:"[..], b"X-UIDL:"].iter().any(|name| line.starts_with(name));
        if !(in_header && dropped) {
            text.extend(line);
        }
    }
    while text.last() == Some(&b'\n') {
        text.pop();
    }
    text
}

/// Lines with their ends.
pub fn lines(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    octets.split_inclusive(|octet| *octet == b'\n')
}

/// Mail by a sender who wants part of it to be taken for answers of the server.
fn forgery(random: &mut Random) -> &'static str {
    random.pick::<&str>(&[
        ".\r\n+OK\r\n",
        ".\r\n+OK 5 forged-5\r\n",
        ".\r\n+OK 1 77777777\r\n",
        ".\r\n+OK 3 forged-3\r\n+OK\r\nSubject: forged\r\n\r\nforged\r\n.\r\n+OK\r\n",
        ".\r\n-ERR no such message\r\n+OK\r\n",
        ".\r\n",
    ])
}

//! Sample messages, as a server sends them: lines end in CRLF, nothing is dot-stuffed.

/// A message whose oddity has a name.
pub struct Sample {
    pub name: &'static str,
    pub octets: Vec<u8>,
}

/// One of each kind that a client could spoil.
pub fn samples() -> Vec<Sample> {
    let head = |subject: &str| {
        format!("From: Ada <ada@example.org>\r\nTo: me@example.org\r\nSubject: {subject}\r\n")
    };
    let with = |name: &'static str, body: &[u8]| {
        let mut octets = head(name).into_bytes();
        octets.extend(format!("Message-ID: <{}@example.org>\r\n\r\n", name.replace(' ', "-")).bytes());
        octets.extend(body);
        Sample { name, octets }
    };
    let long_line = [&b"x".repeat(70_000)[..], b".\r\n", &b".".repeat(70_000), b"\r\nend\r\n"].concat();
    let every_octet: Vec<u8> = (0..=255).filter(|octet| !b"\r\n".contains(octet)).chain(*b"\r\n").collect();
    vec![
        with("plain", b"Hello,\r\n\r\nall is well.\r\n"),
        with("empty body", b""),
        with("eight bits", "Grüße, 你好, naïve\r\n".as_bytes()),
        with("latin one", b"Gr\xfc\xdfe\r\n\xff\xfe\r\n"),
        with("every octet", &every_octet),
        with("NUL", b"a\0b\r\n\0\r\n\0\0\0"),
        with(
            "From lines",
            b"From here on\r\n>From there\r\n>>From two\r\n From one\r\nfrom it\r\n\r\nFrom x\r\n",
        ),
        with("dots", b".\r\n..\r\n...\r\n.a\r\n..a\r\na.\r\n.\r\n"),
        with("bare CR", b"a\rb\r\n\r.\r\nc\r\r\n\rd\r\n"),
        with("bare LF", b"a\nb\n.\nc\n..\nd\n\n.\r\ne\r\n"),
        with("no last line end", b"the end"),
        with("no last line end after a dot", b"the end\r\n."),
        with("blank lines", b"\r\n\r\n\r\n"),
        with("long line", &long_line),
        with("control Z", b"a\x1ab\r\n\x1a\r\n"),
        with("attachment", &attachment(100_000)),
        Sample { name: "header only", octets: head("header only").into_bytes() },
        Sample { name: "one line", octets: b"Subject: one line".to_vec() },
        Sample {
            name: "From line first",
            octets: [
                b"From ada@example.org Thu Jan  1 00:00:00 1970\r\n",
                head("x").as_bytes(),
                b"\r\nx\r\n",
            ]
            .concat(),
        },
        Sample {
            name: "fields of mailboxes",
            octets: [
                head("fields of mailboxes").as_bytes(),
                b"Content-Length: 5\r\nstatus: RO\r\nX-IMAPBASE: 1 2\r\nX-UID: 7\r\n\r\nlonger than five\r\n",
            ]
            .concat(),
        },
        Sample { name: "no header", octets: b"\r\njust a body\r\n".to_vec() },
    ]
}

fn attachment(size: usize) -> Vec<u8> {
    let mut body = b"MIME-Version: 1.0\r\n\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n".to_vec();
    body.extend(lines(&mut Random::new(7), size));
    body.extend(b"--b--\r\n");
    body
}

/// The message number `number`, of exactly `size` octets (at least 300, or a little more than asked for): the same
/// octets for the same arguments.
pub fn message(number: u64, size: usize) -> Vec<u8> {
    let mut octets = format!(
        "Received: from relay.example.net by pop.example.org; Thu, 1 Jan 2026 00:00:00 +0000\r\n\
         From: Sender {number} <sender{number}@example.net>\r\nTo: me@example.org\r\nSubject: message {number}\r\n\
         Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <{number}.{size}@example.net>\r\n\r\n"
    )
    .into_bytes();
    let room = size.saturating_sub(octets.len());
    octets.extend(lines(&mut Random::new(number), room));
    octets
}

/// `count` messages of mixed sizes, most of them small and a few large, `total` octets in all but for the rounding.
pub fn mixed(count: u64, total: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(1);
    let weights: Vec<u64> = (0..count)
        .map(|_| match random.below(100) {
            0..70 => 2_000 + random.below(6_000),
            70..90 => 10_000 + random.below(80_000),
            90..99 => 200_000 + random.below(300_000),
            _ => 1_000_000 + random.below(2_000_000),
        })
        .collect();
    let all: u64 = weights.iter().sum();
    (0..count).zip(&weights).map(|(number, weight)| message(number, scaled(*weight, total, all))).collect()
}

fn scaled(weight: u64, total: usize, all: u64) -> usize {
    usize::try_from(u128::from(weight) * total as u128 / u128::from(all)).unwrap()
}

/// `size` octets of text in lines of up to 76, now and then one that begins with a dot.
fn lines(random: &mut Random, size: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut octets = Vec::with_capacity(size + 78);
    while octets.len() < size {
        let room = (size - octets.len()).saturating_sub(2).min(76);
        let mut line = Vec::with_capacity(78);
        while line.len() < room {
            line.extend(random.next().to_le_bytes().map(|octet| ALPHABET[usize::from(octet & 63)]));
        }
        line.truncate(room);
        if random.below(20) == 0 && room > 0 {
            line[0] = b'.';
        }
        octets.extend(line);
        octets.extend(b"\r\n");
    }
    octets
}

/// What is stored of `octets`: CRLF becomes LF and nothing else changes; a last line without an end gets one, as POP3
/// cannot show that it had none.
pub fn stored(octets: &[u8]) -> Vec<u8> {
    let mut lf = Vec::with_capacity(octets.len());
    for (i, octet) in octets.iter().enumerate() {
        if !(*octet == b'\r' && octets.get(i + 1) == Some(&b'\n')) {
            lf.push(*octet);
        }
    }
    // The server ends a message that lacks a last CRLF with one; a bare LF isn't one.
    if !octets.is_empty() && !octets.ends_with(b"\r\n") {
        lf.push(b'\n');
    }
    lf
}

/// Numbers that look random and are the same in every run: SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

#[cfg(test)]
mod tests {
    use super::{message, mixed, stored};

    #[test]
    fn sizes_are_as_asked() {
        for size in [300, 301, 1_000, 4_096, 70_001] {
            assert_eq!(message(3, size).len(), size);
        }
        let total: usize = mixed(100, 8_500_000).iter().map(Vec::len).sum();
        assert!((8_400_000..8_700_000).contains(&total), "{total}");
    }

    #[test]
    fn only_crlf_changes() {
        assert_eq!(stored(b"a\r\nb\rc\nd\r\r\n"), b"a\nb\rc\nd\r\n");
        assert_eq!(stored(b"a"), b"a\n");
        assert_eq!(stored(b"a\n"), b"a\n\n");
        assert_eq!(stored(b""), b"");
    }
}

//! Digests of messages, and what makes two of them the same.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A BLAKE3 digest, cut to 144 bits: 24 characters of base64 (URL alphabet) in the ledger.  Two messages chosen by an
/// attacker collide after 2^72 tries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Digest([u8; Self::OCTETS]);

impl Digest {
    /// Octets of a digest.
    pub(crate) const OCTETS: usize = 18;
    /// Characters of a digest in text.
    pub(crate) const CHARACTERS: usize = 24;

    /// Stands for the digest of what was never seen whole.  No message has it, but by a chance that doesn't happen.
    pub(crate) const UNKNOWN: Self = Self([0; Self::OCTETS]);

    /// The digest of what the hasher was given.
    #[must_use]
    pub(crate) fn from_hasher(hasher: &blake3::Hasher) -> Self {
        let mut octets = [0; Self::OCTETS];
        hasher.finalize_xof().fill(&mut octets);
        Self(octets)
    }

    /// The digest of `octets`.
    #[must_use]
    pub(crate) fn of(octets: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(octets);
        Self::from_hasher(&hasher)
    }

    /// Its octets.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From the text form; `None` when it isn't one.
    #[must_use]
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut octets = [0; Self::OCTETS];
        (text.len() == Self::CHARACTERS
            && URL_SAFE_NO_PAD.decode_slice(text, &mut octets) == Ok(Self::OCTETS))
        .then_some(Self(octets))
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A digest as it stands in a ledger: where many are compared and hardly any is equal, none has to be decoded.  Equal
/// digests have equal texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DigestText([u8; Digest::CHARACTERS]);

impl DigestText {
    /// Of these characters, whatever they are.
    #[must_use]
    pub(crate) fn new(text: [u8; Digest::CHARACTERS]) -> Self {
        Self(text)
    }

    /// The digest; `None` when this isn't the text of one.
    #[must_use]
    pub(crate) fn digest(&self) -> Option<Digest> {
        Digest::parse(&self.0)
    }

    /// A number by which texts can be put in order: of the first eight characters, so that few have it in common.
    #[must_use]
    pub(crate) fn rank(&self) -> u64 {
        self.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }
}

impl From<Digest> for DigestText {
    fn from(digest: Digest) -> Self {
        let mut text = [0; Digest::CHARACTERS];
        // Eighteen octets make twenty-four characters.
        let _ = URL_SAFE_NO_PAD.encode_slice(digest.0, &mut text);
        Self(text)
    }
}

/// The digests of a message as received.  All leave out `Status, X-Status, X-Keywords, X-UID, X-UIDL, X-IMAP,
/// X-IMAPbase, Content-Length, Lines`, which servers change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digests {
    /// Of the whole message; of the line ends at its end one counts, however many there are.
    pub message: Digest,
    /// Of its header (the lines before the first empty line).
    pub header: Digest,
    /// Of Message-ID, Date and From, when none of them is missing or empty.
    pub identity: Option<Digest>,
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn only_a_whole_digest_is_read_back() {
        let text = Digest::of(b"x").to_string();
        assert_eq!(Digest::parse(text.as_bytes()), Some(Digest::of(b"x")));
        for other in [&text[1..], &format!("{text}A"), &format!("{}=", &text[1..]), ""] {
            assert_eq!(Digest::parse(other.as_bytes()), None, "{other}");
        }
    }
}

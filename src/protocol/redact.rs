//! Takes an account's secret out of text that came from a server.
//!
//! Servers quote what they were sent: `-ERR bad argument: AHVzZXIAcGVuY2ls`.  Before such text may reach a terminal,
//! a log or an error, every form in which the secret was sent becomes `***`.  The forms are the secret itself and its
//! base64, at each of the three alignments that a prefix such as PLAIN's user name can give it.  What was derived
//! from it counts as well: an APOP digest, a CRAM-MD5 response, a SCRAM proof, a whole SASL line.  A part of any of
//! these is hidden too, in whatever case: servers cut what they quote, and print it in capitals.
//!
//! This comes *before* [`crate::text::printable`] and before any text is shortened: an escaped or cut secret would not
//! be found any more.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use memchr::memmem::Finder;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What stands where a secret stood.
const MASK: &[u8] = b"***";

/// Something shorter than this may be in any sentence by chance, and masking each place would spell it out (with the
/// password `a`, `inv***lid p***ssword`): a text that holds it is hidden whole.
const SHORTEST_MASKED_ALONE: usize = 4;

/// A part of what was sent is hidden as well: from its beginning on, this many octets of it (three of a short one) ...
const SHORTEST_BEGINNING: usize = 4;

/// ... and from anywhere in it, this many (half of a short one, but four at least).
const SHORTEST_STRETCH: usize = 8;

/// A unique-id may hold fewer octets than this of a secret by chance, above all digits.
const SHORTEST_IN_UNIQUE_ID: usize = 6;

/// A secret counts as there although its end is cut, up to an eighth of its octets.
const CUT_IN_UNIQUE_ID: usize = 8;

/// Knows every form in which one account's secret was sent.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    needles: Vec<Needle>,
}

#[derive(Clone)]
struct Needle {
    /// In lower case: servers print what they got in any.
    octets: Secret,
    form: NeedleForm,
    /// The stretches of [`Needle::stretch`] octets in it, each packed into a number, sorted.
    stretches: Zeroizing<Vec<u64>>,
}

/// Finds a secret in many short texts.
pub(crate) struct Searcher<'a>(Vec<Finder<'a>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum NeedleForm {
    /// All that was sent, or a whole line of it.
    Whole,
    /// Base64 characters from the middle of a line: those beside them hold some bits of the secret too.
    Fragment,
}

impl Redactor {
    /// Hides `secret` as it is and in base64, whatever comes before and after it there.
    #[must_use]
    pub(crate) fn new(secret: &Secret) -> Self {
        let mut redactor = Self::default();
        redactor.also(secret);
        redactor
    }

    /// Also hides another secret in the same forms: that of a proxy, for example.
    pub(crate) fn also(&mut self, secret: &Secret) {
        self.add(secret.expose(), NeedleForm::Whole);
        for before in 0..3 {
            self.add(aligned(secret.expose(), before).expose(), NeedleForm::Fragment);
        }
        // The whole form too: its last characters depend on the padding, and a short secret has no other.
        self.add(base64(secret.expose()).expose(), NeedleForm::Whole);
    }

    /// Also hides something that was sent, in either case: a line, a part of one, or a digest.
    pub(crate) fn hide(&mut self, sent: &Secret) {
        self.add(sent.expose(), NeedleForm::Whole);
    }

    /// Which octets of `text` may be of the secret.
    fn hidden(&self, text: &[u8]) -> Vec<bool> {
        let mut hidden = vec![false; text.len()];
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        for needle in &self.needles {
            let octets = needle.octets.expose();
            for (start, rest) in (0..lower.len()).filter_map(|start| Some((start, lower.get(start..)?))) {
                let length = needle.begins(rest);
                if length == 0 {
                    continue;
                }
                if octets.len() < SHORTEST_MASKED_ALONE {
                    return vec![true; text.len()];
                }
                let (before, after) = needle.margins(text, start, start + length);
                let found = hidden.iter_mut().skip(start - before).take(before + length + after);
                found.for_each(|octet| *octet = true);
            }
        }
        hidden
    }

    /// `text` without the secret; borrowed when it holds none.
    #[must_use]
    pub(crate) fn redact<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let hidden = self.hidden(text);
        if !hidden.contains(&true) {
            return Cow::Borrowed(text);
        }
        // One mask for each run: its length shows nothing of the secret's.
        let mut out = Vec::with_capacity(text.len());
        let mut masked = false;
        for (octet, hide) in text.iter().zip(hidden) {
            if !hide {
                out.push(*octet);
            } else if !masked {
                out.extend_from_slice(MASK);
            }
            masked = hide;
        }
        Cow::Owned(out)
    }

    /// Text of a server as it may be shown: without the secret, and without anything that steers a terminal.
    #[must_use]
    pub(crate) fn printable(&self, text: &[u8]) -> String {
        crate::text::printable(&self.redact(text))
    }

    /// For texts that must not be stored with the secret in them: as it is or in base64, in whatever case, and also where
    /// its last octets are cut.
    #[must_use]
    pub(crate) fn searcher(&self) -> Searcher<'_> {
        let needles = self.needles.iter().map(|needle| needle.octets.expose());
        let long = needles.filter(|octets| octets.len() >= SHORTEST_IN_UNIQUE_ID);
        let beginnings = long.filter_map(|octets| {
            octets.get(..(octets.len() - octets.len() / CUT_IN_UNIQUE_ID).max(SHORTEST_IN_UNIQUE_ID))
        });
        Searcher(beginnings.map(Finder::new).collect())
    }

    fn add(&mut self, octets: &[u8], form: NeedleForm) {
        if octets.is_empty() {
            return;
        }
        let lower = Secret::new(octets.to_ascii_lowercase());
        if !self.needles.iter().any(|needle| needle.form == form && needle.octets == lower) {
            self.needles.push(Needle::new(lower, form));
        }
    }
}

impl Searcher<'_> {
    /// Whether `text` holds the secret, or nearly all of it.
    #[must_use]
    pub(crate) fn finds(&self, text: &[u8]) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        self.0.iter().any(|needle| needle.find(&lower).is_some())
    }
}

impl fmt::Debug for Searcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Searcher")
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Needle {
    fn new(octets: Secret, form: NeedleForm) -> Self {
        let stretch = stretch(octets.expose().len());
        let mut stretches: Zeroizing<Vec<u64>> =
            Zeroizing::new(octets.expose().windows(stretch).map(packed).collect());
        stretches.sort_unstable();
        Self { octets, form, stretches }
    }

    /// How many octets of `text`, in lower case, are to be hidden because they are this one or a part of it.
    fn begins(&self, text: &[u8]) -> usize {
        let octets = self.octets.expose();
        let beginning = octets.iter().zip(text).take_while(|(ours, theirs)| ours == theirs).count();
        let least =
            SHORTEST_BEGINNING.min(octets.len().div_ceil(2).max(SHORTEST_BEGINNING - 1)).min(octets.len());
        if beginning >= least {
            return beginning;
        }
        let stretch = stretch(octets.len());
        let found =
            text.get(..stretch).is_some_and(|part| self.stretches.binary_search(&packed(part)).is_ok());
        if found { stretch } else { 0 }
    }

    /// How many octets before `start` and after `end` are to be hidden as well: none or one.
    fn margins(&self, text: &[u8], start: usize, end: usize) -> (usize, usize) {
        if self.form != NeedleForm::Fragment {
            return (0, 0);
        }
        let before = text.get(..start).and_then(<[u8]>::last).is_some_and(is_base64);
        let after = text.get(end).is_some_and(is_base64);
        (usize::from(before), usize::from(after))
    }
}

/// How long a stretch of a needle is hidden wherever it's from.
fn stretch(needle: usize) -> usize {
    needle.div_ceil(2).clamp(SHORTEST_MASKED_ALONE, SHORTEST_STRETCH)
}

/// At most eight octets as a number.
fn packed(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, octet| (number << 8) | u64::from(*octet))
}

fn is_base64(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/')
}

fn base64(octets: &[u8]) -> Secret {
    Secret::new(STANDARD.encode(octets))
}

/// The characters of base64 text that are the secret's alone when `before` octets (modulo 3) precede it.  Too few of
/// them are no fragment of anything: nothing, then.
fn aligned(secret: &[u8], before: usize) -> Secret {
    let mut octets = Zeroizing::new(vec![0; before]);
    octets.extend_from_slice(secret);
    let text = Zeroizing::new(STANDARD_NO_PAD.encode(&*octets));
    // A character holds 6 bits: the first whole one after the prefix, and the last whole one before what follows.
    let first = (before * 8).div_ceil(6);
    let end = octets.len() * 8 / 6;
    let fragment = text.as_bytes().get(first..end).unwrap_or_default();
    Secret::new(if fragment.len() < SHORTEST_MASKED_ALONE { &[][..] } else { fragment })
}

/// For fuzzing: the first octet is how long the secret is that follows it; the rest is a server's text.  The secret, and
/// its base64, are in nothing that is printed, and a text without them is left alone.
#[doc(hidden)]
pub fn fuzz_redactor(octets: &[u8]) {
    let Some((length, rest)) = octets.split_first() else { return };
    let (secret, text) = rest.split_at_checked(usize::from(*length)).unwrap_or((rest, b""));
    if secret.is_empty() {
        return;
    }
    let redactor = Redactor::new(&Secret::new(secret));
    let shown = redactor.redact(text);
    let whole = base64(secret);
    for needle in [secret, whole.expose()] {
        // The mask itself may hold a secret of asterisks, and end or begin one.
        let masks = needle.contains(&b'*');
        assert!(masks || !shown.windows(needle.len()).any(|window| window == needle));
    }
    let _ = redactor.printable(text);
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use proptest::prelude::*;

    use super::{Redactor, STANDARD};
    use crate::secret::Secret;

    #[test]
    fn a_server_that_quotes_what_it_was_sent() {
        let mut redactor = Redactor::new(&Secret::new("pencil"));
        redactor.hide(&Secret::new("c4c9334bac560ecc979e58001b3e22fb"));
        redactor.hide(&Secret::new("AHVzZXIAcGVuY2ls"));
        let cases = [
            ("nothing here", "nothing here"),
            ("bad password pencil!", "bad password ***!"),
            ("pencilpencil", "***"),
            ("pencils and pencil", "***s and ***"),
            ("\0user\0pencil", "\\x00user\\x00***"),
            ("got cGVuY2ls", "got ***"),
            ("AUTH PLAIN AHVzZXIAcGVuY2ls", "AUTH PLAIN ***"),
            ("C4C9334BAC560ECC979E58001B3E22FB", "***"),
            ("Pencil", "***"),
            // Cut at either end, in capitals, or both.
            ("user pencis", "user ***s"),
            ("PENCI, please", "***, please"),
            ("pen and pan", "*** and pan"),
            ("no enci, no", "no ***, no"),
            ("got cGVuY2x", "got ***"),
            ("digest c4c9334bac56...", "digest ***..."),
            ("digest 0ecc979e58001b...", "digest ***..."),
            ("\x1b[31mpencil", "\\x1b[31m***"),
        ];
        for (text, shown) in cases {
            assert_eq!(redactor.printable(text.as_bytes()), shown, "{text}");
        }
    }

    #[test]
    fn a_short_secret_hides_the_whole_text() {
        let redactor = Redactor::new(&Secret::new("a"));
        assert_eq!(redactor.printable(b"invalid password"), "***");
        assert_eq!(redactor.printable(b"no"), "no");
        assert_eq!(Redactor::new(&Secret::new("")).printable(b"anything"), "anything");
    }

    #[test]
    fn a_part_of_a_token() {
        let token: String =
            (0..2000_u32).map(|n| char::from(b'a' + u8::try_from(n * n * 7 % 26).unwrap())).collect();
        let redactor = Redactor::new(&Secret::new(token.as_str()));
        for part in [&token[..80], &token[300..380], &token[1990..]] {
            for text in [part.to_owned(), part.to_uppercase(), STANDARD.encode(part)] {
                let shown = redactor.printable(format!("bad token {text}!").as_bytes());
                assert!(shown.len() <= "bad token ***!".len() + 8, "{shown}");
            }
        }
    }

    #[test]
    fn what_is_stored_is_searched_for_the_secret() {
        let redactor = Redactor::new(&Secret::new("tanstaaf"));
        let searcher = redactor.searcher();
        for (text, found) in [
            ("x-tanstaaf-1", true),
            ("ZHRhbnN0YWFm", true),
            ("TANSTAAF", true),
            ("zhRHBNN0ywfM", true),
            ("tanstaa", true),
            ("tansta", false),
            ("UID1-2", false),
        ] {
            assert_eq!(searcher.finds(text.as_bytes()), found, "{text}");
        }
        assert!(!Redactor::new(&Secret::new("12")).searcher().finds(b"12"));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Redactor::new(&Secret::new("pencil"))), "Redactor");
    }

    proptest! {
        /// Whatever stands around the secret in an encoded line, not a character that holds a bit of it is left.
        #[test]
        fn base64_at_any_alignment(before in prop::collection::vec(any::<u8>(), 0..9),
                                   secret in "[!-~]{4,30}",
                                   after in prop::collection::vec(any::<u8>(), 0..5)) {
            let line = STANDARD.encode([&before[..], secret.as_bytes(), &after[..]].concat());
            let hidden = Redactor::new(&Secret::new(secret.as_str())).hidden(line.as_bytes());
            let (first, last) = (before.len() * 8 / 6, ((before.len() + secret.len()) * 8).div_ceil(6));
            // What stands around it may look like a part of it by chance, and is hidden as well.
            prop_assert!(hidden[first..last].iter().all(|hidden| *hidden), "{line} {hidden:?}");
        }

        #[test]
        fn the_secret_is_never_left(secret in "[ -~]{1,12}", around in "[ -~]{0,12}") {
            prop_assume!(!"***".contains(&secret));
            let text = format!("{around}{secret}{around}");
            let shown = Redactor::new(&Secret::new(secret.as_str())).redact(text.as_bytes()).into_owned();
            prop_assert!(!shown.windows(secret.len()).any(|w| w == secret.as_bytes()), "{:?}", shown);
        }
    }

    #[test]
    fn no_text_shows_the_secret() {
        for text in [
            "\x06penciluser pencil, cGVuY2ls",
            "\x01aaaa",
            "\x02**a**b***",
            "\x03abcabcabcab",
            "\x06pencilpenpencilcil",
        ] {
            super::fuzz_redactor(text.as_bytes());
        }
    }

    #[test]
    fn secrets_of_any_length_are_hidden_and_nothing_else_is() {
        let cases = [
            // From four octets on a secret alone is masked, a shorter one takes the whole text with it.
            ("abcd", "x abcd y", "x *** y"),
            ("abc", "x abc y", "***"),
            // Its base64 is hidden to the last character, padding and all.
            ("ab", "AUTH YWI=", "AUTH ***"),
            ("pencil!", "got cGVuY2lsIQ==", "got ***"),
            // Too few characters of base64 are no part of it.
            ("ab", "anyway", "anyway"),
            ("ab", "FiFi", "FiFi"),
        ];
        for (secret, text, shown) in cases {
            assert_eq!(
                Redactor::new(&Secret::new(secret)).printable(text.as_bytes()),
                shown,
                "{secret}: {text}"
            );
        }
        let redactor = Redactor::new(&Secret::new("pencil"));
        assert!(matches!(redactor.redact(b"nothing here"), std::borrow::Cow::Borrowed(_)));
        assert!(redactor.searcher().finds(b"x-pencil-1"), "six octets are no chance");
        let mut both = redactor.clone();
        both.also(&Secret::new("tanstaaf"));
        assert_eq!(both.printable(b"pencil tanstaaf dGFuc3RhYWY="), "*** *** ***");
    }
}

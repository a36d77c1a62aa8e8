//! SCRAM (RFC 5802, RFC 7677), without and with channel binding.
//!
//! ```text
//! client-first  = gs2 bare        gs2 = "n,," | "y,," | "p=" binding ",,"     bare = "n=" user ",r=" nonce
//! server-first  = "r=" nonce more ",s=" salt ",i=" rounds [,extensions]
//! without-proof = "c=" base64(gs2 [binding data]) ",r=" nonce more
//! AuthMessage   = bare "," server-first "," without-proof
//! client-final  = without-proof ",p=" proof
//! server-final  = "v=" verifier | "e=" reason
//! ```
//!
//! POP3 can't carry data with success: server-final comes as a challenge, answered by an empty line, before `+OK`
//! (RFC 5034 §4).  Nothing is believed before the verifier has been checked.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::credentials::{Binding, ChannelBinding, Credentials, Nonce, joined};
use super::{Hash, SaslError, SaslText};
use crate::protocol::limits::{FEWEST_ROUNDS, MOST_ROUNDS};
use crate::protocol::redact::Redactor;
use crate::secret::Secret;
use crate::types::parse_decimal;

/// What the client states about channel binding.
pub(super) struct Gs2 {
    /// The gs2 header.
    gs2: String,
    /// The gs2 header and the channel binding data: what `c=` encodes.
    bound: Vec<u8>,
}

impl Gs2 {
    pub(super) fn new(flag: ChannelBinding, binding: Option<Binding<'_>>) -> Result<Self, SaslError> {
        let (gs2, data) = match (flag, binding) {
            (ChannelBinding::Unused, _) => ("n,,".to_owned(), &[][..]),
            (ChannelBinding::NotOffered, _) => ("y,,".to_owned(), &[][..]),
            (ChannelBinding::Used, Some(binding)) => (format!("p={},,", binding.name), binding.octets),
            (ChannelBinding::Used, None) => return Err(SaslError::NoBinding),
        };
        let bound = [gs2.as_bytes(), data].concat();
        Ok(Self { gs2, bound })
    }
}

pub(super) struct Scram {
    hash: Hash,
    /// The gs2 header.
    gs2: String,
    /// The gs2 header and the channel binding data: what `c=` encodes.
    bound: Vec<u8>,
    bare: String,
    nonce: String,
    stage: ScramStage,
}

enum ScramStage {
    /// The server's first message is due; the password, prepared.
    First(Secret),
    /// The server's last message is due.
    Final { server_key: Secret, auth_message: Vec<u8> },
    /// The server has proved that it knows the password.
    Verified,
    /// No way on.
    Failed,
}

impl Scram {
    pub(super) fn new(
        hash: Hash,
        channel: Gs2,
        credentials: &Credentials<'_>,
        nonce: Nonce,
    ) -> Result<Self, SaslError> {
        let Gs2 { gs2, bound } = channel;
        let user = prepared(SaslText::User, credentials.user.as_bytes())?;
        let password = prepared(SaslText::Secret, credentials.secret.expose())?;
        let nonce = nonce.0;
        let bare = format!("n={},r={nonce}", escaped(&user));
        Ok(Self { hash, gs2, bound, bare, nonce, stage: ScramStage::First(Secret::new(password.as_bytes())) })
    }

    pub(super) fn client_first(&self) -> Secret {
        Secret::new(format!("{}{}", self.gs2, self.bare))
    }

    pub(super) fn answer(&mut self, message: &[u8], redactor: &mut Redactor) -> Result<Secret, SaslError> {
        if let Some(reason) = message.strip_prefix(b"e=") {
            self.stage = ScramStage::Failed;
            return Err(refused(reason, redactor));
        }
        match std::mem::replace(&mut self.stage, ScramStage::Failed) {
            ScramStage::First(password) => self.client_final(&password, message, redactor),
            ScramStage::Final { server_key, auth_message } => {
                let verifier = verifier(message)?;
                if !self.hash.verify(&server_key, &auth_message, &verifier) {
                    return Err(SaslError::Impostor);
                }
                self.stage = ScramStage::Verified;
                Ok(Secret::new(""))
            }
            ScramStage::Verified | ScramStage::Failed => Err(SaslError::Unexpected),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.stage, ScramStage::Verified)
    }

    fn client_final(
        &mut self,
        password: &Secret,
        message: &[u8],
        redactor: &mut Redactor,
    ) -> Result<Secret, SaslError> {
        let first = ServerFirst::parse(message, &self.nonce)?;
        let salted = self.hash.pbkdf2(password, &first.salt, first.rounds);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let server_key = self.hash.hmac(&salted, b"Server Key");
        let stored_key = self.hash.digest(client_key.expose());
        let channel = STANDARD.encode(&self.bound);
        let without_proof = [b"c=", channel.as_bytes(), b",r=", first.nonce].concat();
        let auth_message = [self.bare.as_bytes(), b",", message, b",", &without_proof].concat();
        let signature = self.hash.hmac(&stored_key, &auth_message);
        let mut proof = Zeroizing::new(client_key.expose().to_vec());
        proof.iter_mut().zip(signature.expose()).for_each(|(octet, mask)| *octet ^= mask);
        let proof = Secret::new(STANDARD.encode(&*proof));
        redactor.hide(&proof);
        self.stage = ScramStage::Final { server_key, auth_message };
        Ok(joined(&[&without_proof, b",p=", proof.expose()]))
    }
}

struct ServerFirst<'a> {
    nonce: &'a [u8],
    salt: Vec<u8>,
    rounds: u32,
}

impl<'a> ServerFirst<'a> {
    /// In this order: `r`, `s`, `i`; whatever follows is ignored.  A nonce may hold anything printable but a comma, so
    /// that commas split attributes and the first `=` ends a name.
    fn parse(message: &'a [u8], ours: &str) -> Result<Self, SaslError> {
        let mut attributes = message.split(|octet| *octet == b',');
        let mut next = |name: &[u8]| attributes.next().and_then(|attribute| attribute.strip_prefix(name));
        let nonce = match next(b"r=") {
            Some(nonce) => nonce,
            None if message.starts_with(b"m=") => {
                return Err(SaslError::Malformed("it demands an extension that isn't known"));
            }
            None => return Err(SaslError::Malformed("it doesn't begin with a nonce")),
        };
        let theirs = nonce.strip_prefix(ours.as_bytes()).unwrap_or_default();
        if theirs.is_empty() || !theirs.iter().all(u8::is_ascii_graphic) {
            return Err(SaslError::Malformed("its nonce doesn't extend ours"));
        }
        let salt = next(b"s=")
            .and_then(|salt| STANDARD.decode(salt).ok())
            .filter(|salt| !salt.is_empty())
            .ok_or(SaslError::Malformed("it has no salt after the nonce"))?;
        let rounds = next(b"i=").ok_or(SaslError::Malformed("it has no iteration count after the salt"))?;
        if rounds.is_empty() || !rounds.iter().all(u8::is_ascii_digit) {
            return Err(SaslError::Malformed("its iteration count isn't a number"));
        }
        // All digits, so that only a number beyond 64 bits doesn't parse.
        let count = parse_decimal(rounds).ok_or(SaslError::TooManyRounds)?;
        match u32::try_from(count) {
            Ok(rounds) if rounds < FEWEST_ROUNDS => Err(SaslError::TooFewRounds(count)),
            Ok(rounds) if rounds <= MOST_ROUNDS => Ok(Self { nonce, salt, rounds }),
            _ => Err(SaslError::TooManyRounds),
        }
    }
}

fn verifier(message: &[u8]) -> Result<Vec<u8>, SaslError> {
    message
        .split(|octet| *octet == b',')
        .next()
        .and_then(|attribute| attribute.strip_prefix(b"v="))
        .and_then(|verifier| STANDARD.decode(verifier).ok())
        .ok_or(SaslError::Malformed("it doesn't prove that the server knows the password"))
}

/// The server's reason (RFC 5802 §7), up to the next attribute.
fn refused(reason: &[u8], redactor: &Redactor) -> SaslError {
    let reason = reason.split(|octet| *octet == b',').next().unwrap_or_default();
    if reason == b"no-resources" {
        return SaslError::NoResources;
    }
    SaslError::Refused(redactor.printable(reason))
}

/// SASLprep (RFC 4013).  Its error isn't passed on: it would name the character.
pub(super) fn prepared(what: SaslText, octets: &[u8]) -> Result<Zeroizing<String>, SaslError> {
    let text = std::str::from_utf8(octets).map_err(|_| SaslError::NotUtf8(what))?;
    let prepared = match stringprep::saslprep(text).map_err(|_| SaslError::Unpreparable(what))? {
        Cow::Borrowed(text) => Zeroizing::new(text.to_owned()),
        Cow::Owned(text) => Zeroizing::new(text),
    };
    // Some characters are mapped to nothing; a password of such characters alone is empty.
    if prepared.is_empty() { Err(SaslError::Unpreparable(what)) } else { Ok(prepared) }
}

/// A user name between commas: `,` and `=` are written `=2C` and `=3D`, and nothing else is (RFC 5802 §5.1).
pub(super) fn escaped(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

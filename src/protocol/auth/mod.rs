//! How to log in: which method, and why; APOP; what a refusal means.
//!
//! Pure functions of what is known.  RFC 1939 §7 (USER, PASS, APOP), RFC 5034 §3-4 (AUTH), RFC 2449 §6.2-6.3 and RFC
//! 3206 (what a server reports of them).  The SASL exchanges themselves are in [`crate::protocol::sasl`].

mod apop;
mod choice;
mod refusal;

use super::sasl::{ChannelBinding, Hash, Mechanism};

pub(crate) use apop::ApopChallenge;
pub(crate) use choice::{AuthError, Circumstances, LoginOffer, methods};
pub(crate) use refusal::{RefusalReason, passes, refusal, remedy, remedy_for_token, speaks_of_a_lock};

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    UserPass,
    Apop,
    /// AUTH.
    Sasl(Mechanism),
}

impl Method {
    /// Every method, the strongest first.
    pub(crate) const ALL: [Self; 12] = {
        use {ChannelBinding::*, Mechanism::*};
        [
            Self::Sasl(Scram(Hash::Sha256, Used)),
            Self::Sasl(Scram(Hash::Sha1, Used)),
            Self::Sasl(Scram(Hash::Sha256, Unused)),
            Self::Sasl(Scram(Hash::Sha1, Unused)),
            Self::Sasl(External),
            Self::Sasl(OAuthBearer),
            Self::Sasl(XOAuth2),
            Self::Sasl(Plain),
            Self::Sasl(CramMd5),
            Self::Sasl(Login),
            Self::UserPass,
            Self::Apop,
        ]
    };

    /// The name: the mechanism's, `USER` or `APOP`.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UserPass => "USER",
            Self::Apop => "APOP",
            Self::Sasl(mechanism) => mechanism.name(),
        }
    }

    /// From [`Method::name`], in upper or lower case.
    #[must_use]
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(name))
    }

    /// How well a password is kept from a server that isn't the one it seems to be, or from a listener.  Those that
    /// send it as it is are one class: inside verified TLS none of them is worse than another, nor than CRAM-MD5.
    #[must_use]
    pub(crate) fn strength(self) -> u8 {
        match self {
            Self::Sasl(Mechanism::Scram(Hash::Sha256, ChannelBinding::Used)) => 6,
            Self::Sasl(Mechanism::Scram(Hash::Sha1, ChannelBinding::Used)) => 5,
            Self::Sasl(Mechanism::Scram(Hash::Sha256, _)) => 4,
            Self::Sasl(Mechanism::Scram(Hash::Sha1, _)) => 3,
            Self::Sasl(
                Mechanism::Plain
                | Mechanism::Login
                | Mechanism::CramMd5
                | Mechanism::XOAuth2
                | Mechanism::OAuthBearer
                | Mechanism::External,
            )
            | Self::UserPass => 2,
            Self::Apop => 1,
        }
    }

    /// Whether what it sends is an OAuth token.
    #[must_use]
    pub(crate) fn sends_token(self) -> bool {
        matches!(self, Self::Sasl(Mechanism::XOAuth2 | Mechanism::OAuthBearer))
    }

    /// What may help when the server refuses credentials that are right.
    #[must_use]
    pub(crate) fn hint_when_refused(self) -> &'static str {
        match self {
            Self::Sasl(Mechanism::Scram(_, ChannelBinding::Used)) => {
                "check user name and password; if they are right, the server may not know this kind of channel \
                 binding: auth = \"scram-sha-256\" does without"
            }
            Self::Sasl(Mechanism::Scram(..)) => {
                "check user name and password; if they are right, the server may store this user's password in a form \
                 that SCRAM can't use: auth = \"plain\" (inside TLS) does without"
            }
            Self::Sasl(Mechanism::CramMd5) | Self::Apop => {
                "check user name and password; if they are right, the server may not store this user's password in \
                 clear, as this method needs: auth = \"plain\" or \"user-pass\" (inside TLS) does without"
            }
            Self::Sasl(Mechanism::XOAuth2 | Mechanism::OAuthBearer) => {
                "the token may have ended, or lack the scope for POP3: log in again (popfetch auth login), or run \
                 `password-command` by hand"
            }
            Self::Sasl(Mechanism::External) => "check the client certificate, and whose it is at the server",
            Self::Sasl(Mechanism::Plain | Mechanism::Login) | Self::UserPass => {
                "check user name and password; many providers want an app password here"
            }
        }
    }
}

/// Whether another method may be tried after `-ERR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterRefusal {
    /// Nothing was sent but the method's name: try the next one.
    MoveOn,
    /// The refusal is the last word: a second attempt with the same password would lock accounts, and a server could
    /// lead a client down to the weakest method.
    Stop,
}

/// What follows a refused method.  `responded`: PASS was written, or [`super::sasl::Exchange::responded`]; an initial
/// response counts.  The code of the refusal doesn't matter: Dovecot answers `[AUTH]` to a mechanism that it doesn't have.
#[must_use]
pub(crate) fn after_refusal(method: Method, responded: bool) -> AfterRefusal {
    match method {
        Method::UserPass | Method::Sasl(_) if !responded => AfterRefusal::MoveOn,
        // APOP's one command holds the digest.
        Method::UserPass | Method::Sasl(_) | Method::Apop => AfterRefusal::Stop,
    }
}

/// For fuzzing: any bytes as a greeting's text, and as that of a refusal.
#[doc(hidden)]
pub fn fuzz_greeting(data: &[u8]) {
    if let Some(challenge) = ApopChallenge::from_greeting(data) {
        let _ = challenge.digest(&crate::secret::Secret::new("tanstaaf"));
    }
    let _ = refusal(None, data, false);
}

#[cfg(test)]
mod tests {
    use super::{AfterRefusal, Method, after_refusal};
    use crate::protocol::sasl::Mechanism;

    #[test]
    fn names_read_back_and_order_is_that_of_strength() {
        for method in Method::ALL {
            assert_eq!(Method::from_name(&method.name().to_lowercase()), Some(method));
        }
        assert_eq!(Method::from_name("NTLM"), None);
        assert!(Method::ALL.is_sorted_by_key(|method| std::cmp::Reverse(method.strength())));
    }

    #[test]
    fn next_method_only_before_anything_was_sent() {
        let cases = [
            (Method::Sasl(Mechanism::CramMd5), false, AfterRefusal::MoveOn),
            (Method::Sasl(Mechanism::CramMd5), true, AfterRefusal::Stop),
            (Method::Sasl(Mechanism::Plain), true, AfterRefusal::Stop),
            (Method::UserPass, false, AfterRefusal::MoveOn),
            (Method::UserPass, true, AfterRefusal::Stop),
            (Method::Apop, false, AfterRefusal::Stop),
            (Method::Apop, true, AfterRefusal::Stop),
        ];
        for (method, responded, expected) in cases {
            assert_eq!(after_refusal(method, responded), expected, "{method:?} {responded}");
        }
    }
}

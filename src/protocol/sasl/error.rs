//! Why a SASL exchange failed.

use std::borrow::Cow;
use std::fmt;

use crate::account::{NotOneLine, check_one_line};
use crate::exit::ExitCode;
use crate::problem::Problem;
use crate::protocol::limits::{FEWEST_ROUNDS, MOST_ROUNDS};

/// Which of the two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SaslText {
    /// The user name.
    User,
    /// The password or token.
    Secret,
}

impl fmt::Display for SaslText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user name",
            Self::Secret => "password",
        })
    }
}

/// Why an exchange can't begin, or can't go on.  No variant holds anything secret, nor unescaped text of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SaslError {
    /// It can't be sent without being taken for something else.
    #[error("the {0} holds a line end or a NUL, which no login can carry")]
    LineEnd(SaslText),
    #[error("the {0} is empty")]
    Empty(SaslText),
    /// Names and passwords in SASL are UTF-8.
    #[error("the {0} isn't UTF-8, which this mechanism demands")]
    NotUtf8(SaslText),
    /// SASLprep (RFC 4013) forbids it.  Which character it was isn't reported: it may be the password's.
    #[error("the {0} holds a character that this mechanism forbids (RFC 4013)")]
    Unpreparable(SaslText),
    /// A token is printable ASCII (RFC 6750 §2.1).
    #[error("the token holds characters that no bearer token has")]
    NotAToken,
    /// -PLUS was chosen, but nothing identifies the channel.
    #[error("no channel binding can be computed for this connection")]
    NoBinding,
    /// The challenge is no base64.
    #[error("the server sent a challenge that isn't base64")]
    NotBase64,
    /// The challenge is beyond all bounds.
    #[error("the server sent a challenge of unreasonable length")]
    TooLong,
    /// A challenge that the mechanism doesn't have.
    #[error("the server sent a challenge where the mechanism has none")]
    Unexpected,
    /// `+OK` before the mechanism's end.
    #[error("the server reported success before the login had been proved")]
    Premature,
    /// SCRAM: the server's message isn't of the form it should be.
    #[error("the server's SCRAM message is wrong: {0}")]
    Malformed(&'static str),
    /// SCRAM: too few rounds protect the password badly.
    #[error("the server asks for {0} rounds of hashing: fewer than {least}, which gives the password away too easily", least = FEWEST_ROUNDS)]
    TooFewRounds(u64),
    /// SCRAM: too many rounds would keep this machine busy.
    #[error("the server asks for more than {most} rounds of hashing", most = MOST_ROUNDS)]
    TooManyRounds,
    /// SCRAM: the server doesn't know the password, and so is another than it claims to be.
    #[error("the server failed to prove that it knows the password")]
    Impostor,
    /// SCRAM: the server gave a reason; escaped, the secret masked.
    #[error("the server refused the login: \"{0}\"")]
    Refused(String),
    /// SCRAM: the server ran out of something.
    #[error("the server lacks the resources for this login")]
    NoResources,
}

impl Problem for SaslError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::LineEnd(_) => "check where it comes from: only one line of it is wanted",
            Self::Empty(SaslText::User) => "set `user`",
            Self::Empty(SaslText::Secret) => "check where the password comes from",
            Self::NotUtf8(_) => "store it as UTF-8, or set auth = \"user-pass\", which sends it as it is",
            Self::Unpreparable(_) => {
                "change it, or set auth = \"plain\" (inside TLS), which sends it as it is"
            }
            Self::NotAToken => "`password-command` must print the access token alone on its first line",
            Self::NoBinding => "set auth = \"scram-sha-256\", which does without channel binding",
            Self::Refused(reason) if reason.contains("channel-binding") => {
                "set auth = \"scram-sha-256\", which does without channel binding, \
                 if you are sure that nothing intercepts the connection"
            }
            Self::Refused(_) => "check user name and password",
            Self::TooFewRounds(_) => {
                "ask the server's operator to store the password again, or set auth = \"plain\" (inside TLS)"
            }
            Self::Impostor => "don't send this server a password in any other way before you know what it is",
            Self::NotBase64
            | Self::TooLong
            | Self::Unexpected
            | Self::Premature
            | Self::Malformed(_)
            | Self::TooManyRounds
            | Self::NoResources => return None,
        };
        Some(hint.into())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::LineEnd(_)
            | Self::Empty(SaslText::User)
            | Self::NotUtf8(_)
            | Self::Unpreparable(_)
            | Self::NotAToken => ExitCode::Configuration,
            Self::Empty(SaslText::Secret) | Self::NoBinding | Self::Refused(_) => ExitCode::Refused,
            Self::NoResources => ExitCode::Later,
            Self::NotBase64
            | Self::TooLong
            | Self::Unexpected
            | Self::Premature
            | Self::Malformed(_)
            | Self::TooFewRounds(_)
            | Self::TooManyRounds
            | Self::Impostor => ExitCode::Protocol,
        }
    }
}

/// Whether a text can be sent at all: CR or LF would end the line and begin a command of the text's own, NUL ends a
/// field of PLAIN, and an empty password is an anonymous login to some directories behind servers.
///
/// # Errors
/// [`SaslError::Empty`], [`SaslError::LineEnd`].
pub(in crate::protocol) fn sendable(what: SaslText, octets: &[u8]) -> Result<(), SaslError> {
    check_one_line(octets).map_err(|why| match why {
        NotOneLine::Empty => SaslError::Empty(what),
        NotOneLine::LineEnd => SaslError::LineEnd(what),
    })
}

//! What `-ERR` at login means: the password's fault, or something that passes.
//!
//! Response codes give it (RFC 2449 §8, RFC 3206).  A server without them gives it in words, which are read only here.

use std::fmt;

use crate::exit::ExitCode;
use crate::protocol::response::ResponseCode;
use crate::protocol::sasl::{Mechanism, TokenFailure};

use super::Method;

/// Why a login was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalReason {
    /// The credentials were right, but another session holds the maildrop (`[IN-USE]`).
    InUse,
    /// Too soon after the last login (`[LOGIN-DELAY]`).
    LoginDelay,
    /// The server reports a temporary error (`[SYS/TEMP]`).
    SysTemp,
    /// The server reports a permanent error, which its operator has to clear (`[SYS/PERM]`).
    SysPerm,
    /// The maildrop needs UTF8 mode (`[UTF8]`, RFC 6856 §5).
    NeedsUtf8,
    /// User name or password: wrong, expired, or not allowed.
    Credentials,
    /// Not the credentials, by the server's words or by its silence about them.
    Busy,
}

impl RefusalReason {
    /// The exit code of a run that ends so.
    #[must_use]
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::InUse | Self::LoginDelay | Self::SysTemp | Self::Busy => ExitCode::Later,
            Self::SysPerm => ExitCode::Unavailable,
            Self::NeedsUtf8 | Self::Credentials => ExitCode::Refused,
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "another session holds the maildrop",
            Self::LoginDelay => "the last login was too recent",
            Self::SysTemp => "the server reports a temporary error",
            Self::SysPerm => "the server reports a permanent error",
            Self::NeedsUtf8 => "the maildrop needs UTF8, which the server did not offer",
            Self::Credentials => "the credentials were refused",
            Self::Busy => "the server can't serve this maildrop now",
        })
    }
}

/// Words of a refusal without a code that speak of something that passes (fetchmail's list).
const PASSING: [&str; 4] = ["lock", "busy", "in use", "unavailable"];

/// The same, but also sent to a user who mistyped: they count only without a word of [`BLAME`].  `Exceeded the login
/// limit for a 15 minute period`, `You may log in once every 10 minutes`, `server in maintenance mode`, `Temporary
/// authentication failure`, `internal server error`, `server is shutting down`.
const PASSING_UNLESS_BLAMED: [&str; 13] = [
    "wait",
    "try again",
    "too many",
    "limit",
    "exceed",
    "frequen",
    "rate",
    "maintenance",
    "temporar",
    "internal",
    "server error",
    "system error",
    "shutting down",
];

/// The units of `every N minutes`.
const PERIODS: [&str; 3] = ["second", "minute", "hour"];

/// Words that speak of the credentials.
const BLAME: [&str; 5] = ["invalid", "incorrect", "wrong", "passw", "credential"];

/// The meaning of a refused login, from its known response code, or else from its text.  `auth_resp_code`: the server
/// announces AUTH-RESP-CODE, and so marks every refusal that is the credentials' fault (RFC 3206 §6).
#[must_use]
pub(crate) fn refusal(code: Option<ResponseCode>, text: &[u8], auth_resp_code: bool) -> RefusalReason {
    match code {
        Some(ResponseCode::InUse) => RefusalReason::InUse,
        Some(ResponseCode::LoginDelay) => RefusalReason::LoginDelay,
        Some(ResponseCode::SysTemp) => RefusalReason::SysTemp,
        Some(ResponseCode::SysPerm) => RefusalReason::SysPerm,
        Some(ResponseCode::Auth) => RefusalReason::Credentials,
        Some(ResponseCode::Utf8) => RefusalReason::NeedsUtf8,
        None if auth_resp_code => RefusalReason::Busy,
        None if speaks_of_passing(text) => RefusalReason::Busy,
        None => RefusalReason::Credentials,
    }
}

/// Whether a refusal of anything else than a login speaks of something that passes on its own.
#[must_use]
pub(crate) fn passes(text: &[u8]) -> bool {
    match ResponseCode::of(text) {
        Some(ResponseCode::InUse | ResponseCode::LoginDelay | ResponseCode::SysTemp) => true,
        Some(ResponseCode::SysPerm | ResponseCode::Auth | ResponseCode::Utf8) => false,
        None => speaks_of_passing(text),
    }
}

/// Whether a refusal without a code means that another session holds the maildrop.
#[must_use]
pub(crate) fn speaks_of_a_lock(text: &[u8]) -> bool {
    speaks_of(text, &["lock", "in use", "another session"])
}

/// What the words of a refusal ask the user to do, where they are those of a large provider: the password may be right.
#[must_use]
pub(crate) fn remedy(text: &[u8]) -> Option<&'static str> {
    // Google, Yahoo, iCloud, Mail.ru.
    if speaks_of(text, &["application-specific", "application password", "app-specific", "app password"]) {
        return Some(
            "make an app password in the settings of the mailbox, on the provider's web pages, and use it instead of the \
             usual one",
        );
    }
    // Gmail, Yandex, GMX, Zoho.
    if speaks_of(text, &["pop access", "pop3", "pop/"])
        && speaks_of(text, &["enable", "disable", "activate", "not allowed"])
    {
        return Some(
            "switch POP3 on in the settings of the mailbox, on the provider's web pages; then check user name and password",
        );
    }
    if speaks_of(text, &["web login required", "log in via your web browser"]) {
        return Some("log in once on the provider's web pages; it may ask for an app password afterwards");
    }
    // Exchange Online answers so to every password.
    if speaks_of(text, &["logon failure: unknown user name or bad password"]) {
        return Some(
            "check user name and password; Exchange Online and Outlook.com take no passwords any more: set oauth = \
             { provider = \"microsoft\", client-id = \"…\" } in its place, and log in with popfetch auth login",
        );
    }
    None
}

/// The same of a refusal of an OAuth token; `token` is the server's own explanation.
#[must_use]
pub(crate) fn remedy_for_token(text: &[u8], token: Option<&TokenFailure>) -> &'static str {
    // Exchange Online, with a token that is good.
    if speaks_of(
        text,
        &[
            "authentication failure: unknown user name or bad password",
            "user is authenticated but not connected",
        ],
    ) {
        return "the token is good, but the mailbox refuses it: POP may be switched off for it (its administrator: \
                Set-CASMailbox -PopEnabled $true), or the browser was logged in as another user: log in again with popfetch \
                auth login";
    }
    match token.map(|token| token.status.as_deref()) {
        Some(Some("400" | "401" | "403" | "invalid_token" | "invalid_request" | "insufficient_scope")) => {
            "that token is for another account, or for another scope, or was taken back: check user, and log in again with \
             popfetch auth login (a password-command must print a token for POP3)"
        }
        _ => remedy(text).unwrap_or_else(|| Method::Sasl(Mechanism::XOAuth2).hint_when_refused()),
    }
}

fn speaks_of_passing(text: &[u8]) -> bool {
    let often = || speaks_of(text, &["every"]) && speaks_of(text, &PERIODS);
    speaks_of(text, &PASSING)
        || ((speaks_of(text, &PASSING_UNLESS_BLAMED) || often()) && !speaks_of(text, &BLAME))
}

/// Whether any of the phrases begins at a word's beginning, in any case: `Locked` is `lock`, `blocked` isn't.
fn speaks_of(text: &[u8], phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| {
        let mut before = None;
        let mut rest = text;
        while let Some((octet, after)) = rest.split_first() {
            let begins = rest.get(..phrase.len()).is_some_and(|s| s.eq_ignore_ascii_case(phrase.as_bytes()));
            if begins && !before.is_some_and(u8::is_ascii_alphanumeric) {
                return true;
            }
            before = Some(octet);
            rest = after;
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::{ExitCode, RefusalReason, ResponseCode, TokenFailure, refusal, remedy, remedy_for_token};

    #[test]
    fn words_of_large_providers_have_a_remedy() {
        for (text, part) in [
            (
                "[AUTH] Application-specific password required: https://support.google.com/…",
                Some("app password"),
            ),
            ("[AUTH] POP3 is available only with Application password", Some("app password")),
            ("[SYS/PERM] Your account is not enabled for POP access.", Some("switch POP3 on")),
            ("[AUTH] login failure or POP3 disabled, try later. sc=x", Some("switch POP3 on")),
            ("[AUTH] Web login required: https://support.google.com/…", Some("web pages")),
            ("Logon failure: unknown user name or bad password.", Some("popfetch auth login")),
            ("[AUTH] Username and password not accepted.", None),
            ("popular mailboxes are disabled", None),
            ("POP3 server: wrong password", None),
        ] {
            let found = remedy(text.as_bytes());
            assert_eq!(found.is_some(), part.is_some(), "{text}: {found:?}");
            assert!(found.unwrap_or_default().contains(part.unwrap_or_default()), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_refused_token_says_what_may_be_wrong() {
        let token = |status: &str| TokenFailure { status: Some(status.to_owned()), scope: None };
        for (text, failure, part) in [
            ("Authentication failure: unknown user name or bad password.", None, "POP may be switched off"),
            ("nope", Some(token("400")), "another scope"),
            ("nope", Some(token("invalid_token")), "another scope"),
            ("Your account is not enabled for POP access.", None, "switch POP3 on"),
            ("nope", None, "popfetch auth login"),
        ] {
            assert!(remedy_for_token(text.as_bytes(), failure.as_ref()).contains(part), "{text}");
        }
    }

    #[test]
    fn refusals_with_codes() {
        let cases = [
            (ResponseCode::InUse, RefusalReason::InUse, ExitCode::Later),
            (ResponseCode::LoginDelay, RefusalReason::LoginDelay, ExitCode::Later),
            (ResponseCode::SysTemp, RefusalReason::SysTemp, ExitCode::Later),
            (ResponseCode::SysPerm, RefusalReason::SysPerm, ExitCode::Unavailable),
            (ResponseCode::Auth, RefusalReason::Credentials, ExitCode::Refused),
            (ResponseCode::Utf8, RefusalReason::NeedsUtf8, ExitCode::Refused),
        ];
        for (code, expected, exit) in cases {
            // The code decides, whatever the text and the capabilities are.
            for announced in [false, true] {
                assert_eq!(refusal(Some(code), b"invalid password, locked", announced), expected);
            }
            assert_eq!(expected.exit_code(), exit);
        }
    }

    #[test]
    fn refusals_without_codes() {
        let cases = [
            ("maildrop already locked", RefusalReason::Busy),
            ("Lock Busy", RefusalReason::Busy),
            ("LOCK BUSY!  Is another session active?", RefusalReason::Busy),
            ("mailbox in use", RefusalReason::Busy),
            ("[FOO] server is temporarily unavailable", RefusalReason::Busy),
            ("Temporary authentication failure.", RefusalReason::Busy),
            ("Account temporarily disabled", RefusalReason::Busy),
            ("internal error: incorrect password", RefusalReason::Credentials),
            ("Internal server error", RefusalReason::Busy),
            ("System error, contact the postmaster", RefusalReason::Busy),
            ("server is shutting down", RefusalReason::Busy),
            ("too many connections", RefusalReason::Busy),
            ("Please wait", RefusalReason::Busy),
            ("system error, try again later", RefusalReason::Busy),
            ("invalid password", RefusalReason::Credentials),
            ("Incorrect password, please try again", RefusalReason::Credentials),
            ("[FOO] bad", RefusalReason::Credentials),
            ("user is blocked", RefusalReason::Credentials),
            (
                "Exceeded the login limit for a 15 minute period. Reduce the frequency of requests",
                RefusalReason::Busy,
            ),
            ("You can only log in once every 10 minutes", RefusalReason::Busy),
            ("login rate exceeded", RefusalReason::Busy),
            ("The server is in maintenance mode", RefusalReason::Busy),
            ("Too many login attempts", RefusalReason::Busy),
            ("Too many failed logins: wrong password", RefusalReason::Credentials),
            ("limit of bad credentials reached", RefusalReason::Credentials),
            ("change your password every 90 days", RefusalReason::Credentials),
            ("no such user, last seen 3 minutes ago", RefusalReason::Credentials),
            ("", RefusalReason::Credentials),
            ("loc", RefusalReason::Credentials),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal(None, text.as_bytes(), false), expected, "{text}");
            assert_eq!(refusal(None, text.as_bytes(), true), RefusalReason::Busy, "{text}");
        }
    }
}

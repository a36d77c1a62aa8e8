//! What is stored of a login: one line of JSON.  A file, or whatever two programs make of it, holds exactly this.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::answer::Tokens;
use crate::secret::Secret;
use crate::types::Time;

/// The version of the format.
const VERSION: u32 = 1;

/// Octets of a record at most.
pub(super) const LARGEST: usize = 96 * 1024;

/// How long a token lasts that the server gives no end (RFC 6749 §5.1 leaves it open).
const USUAL_LIFE: u64 = 3600;

/// A token with less time left is renewed.
pub(super) const LEAST_LEFT: i64 = 300;

/// A login, with the tokens that it has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoginRecord {
    /// Whose it is, for people who look at the store.
    pub(super) user: String,
    pub(super) client_id: String,
    /// That of a client that was registered by the login.
    pub(super) client_secret: Option<Secret>,
    pub(super) token_url: String,
    pub(super) revoke_url: Option<String>,
    /// When the user logged in.
    pub(super) login: Time,
    pub(super) refresh: Option<Secret>,
    /// When that ends without being used, where the server sets an end.
    pub(super) refresh_ends: Option<Time>,
    pub(super) access: Secret,
    /// When the access token was given, and when it ends.
    pub(super) obtained: Time,
    pub(super) ends: Time,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    popfetch_oauth: u32,
    user: String,
    client_id: String,
    token_url: String,
    revoke_url: Option<String>,
    login: i64,
    obtained: i64,
    ends: i64,
    refresh_ends: Option<i64>,
    #[serde(borrow)]
    client_secret: Option<&'a str>,
    #[serde(borrow)]
    refresh_token: Option<&'a str>,
    #[serde(borrow)]
    access_token: &'a str,
}

impl LoginRecord {
    /// What is left of the access token's life, in seconds, if it is worth using: a token that lasts longer than it did in the
    /// beginning is one whose clock has jumped.
    pub(super) fn left(&self, now: Time) -> Option<i64> {
        let (left, life) = (self.ends.seconds_since(now), self.ends.seconds_since(self.obtained));
        ((LEAST_LEFT..=life).contains(&left)).then_some(left)
    }

    /// The same login with new tokens.  An answer without a refresh token leaves the old one (RFC 6749 §6).
    pub(super) fn renewed(&self, tokens: Tokens, now: Time) -> Self {
        let life = i64::try_from(tokens.expires_in.unwrap_or(USUAL_LIFE)).unwrap_or(i64::MAX);
        let refresh_ends = match (&tokens.refresh, tokens.refresh_expires_in) {
            (_, Some(seconds)) => {
                Some(Time(now.0.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX))))
            }
            (Some(_), None) => None,
            (None, None) => self.refresh_ends,
        };
        Self {
            refresh: tokens.refresh.or_else(|| self.refresh.clone()),
            refresh_ends,
            access: tokens.access,
            obtained: now,
            ends: Time(now.0.saturating_add(life)),
            ..self.clone()
        }
    }

    /// As it is stored, with a line end.
    pub(super) fn line(&self) -> Secret {
        fn text(secret: &Secret) -> Option<&str> {
            std::str::from_utf8(secret.expose()).ok()
        }
        let stored = Stored {
            popfetch_oauth: VERSION,
            user: self.user.clone(),
            client_id: self.client_id.clone(),
            token_url: self.token_url.clone(),
            revoke_url: self.revoke_url.clone(),
            login: self.login.0,
            obtained: self.obtained.0,
            ends: self.ends.0,
            refresh_ends: self.refresh_ends.map(|ends| ends.0),
            client_secret: self.client_secret.as_ref().and_then(text),
            refresh_token: self.refresh.as_ref().and_then(text),
            access_token: text(&self.access).unwrap_or_default(),
        };
        // With room for all of it: a buffer that grows leaves copies behind.
        let mut line = Zeroizing::new(Vec::with_capacity(2 * LARGEST));
        // Nothing in it can fail to be written into memory.
        let _ = serde_json::to_writer(&mut *line, &stored);
        line.push(b'\n');
        Secret::new(line.as_slice())
    }

    /// Reads what [`LoginRecord::line`] wrote, blanks behind it included; `None` for anything else.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let stored: Stored<'_> = serde_json::from_slice(octets).ok()?;
        if stored.popfetch_oauth != VERSION || stored.access_token.is_empty() {
            return None;
        }
        Some(Self {
            user: stored.user,
            client_id: stored.client_id,
            client_secret: stored.client_secret.map(Secret::new),
            token_url: stored.token_url,
            revoke_url: stored.revoke_url,
            login: Time(stored.login),
            refresh: stored.refresh_token.map(Secret::new),
            refresh_ends: stored.refresh_ends.map(Time),
            access: Secret::new(stored.access_token),
            obtained: Time(stored.obtained),
            ends: Time(stored.ends),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{LoginRecord, Tokens};
    use crate::secret::Secret;
    use crate::types::Time;

    pub(in crate::oauth) fn record() -> LoginRecord {
        LoginRecord {
            user: "me@example.com".to_owned(),
            client_id: "id".to_owned(),
            client_secret: None,
            token_url: "https://a.example/token".to_owned(),
            revoke_url: None,
            login: Time(500),
            refresh: Some(Secret::new("refresh")),
            refresh_ends: None,
            access: Secret::new("access"),
            obtained: Time(1000),
            ends: Time(4600),
        }
    }

    #[test]
    fn a_record_reads_back_and_half_of_one_does_not() {
        let mut record = record();
        for secret in [None, Some(Secret::new("s"))] {
            record.client_secret = secret;
            let line = record.line();
            let octets = line.expose();
            assert_eq!(octets.iter().filter(|octet| **octet == b'\n').count(), 1, "one line");
            assert_eq!(LoginRecord::read(octets), Some(record.clone()));
            assert_eq!(LoginRecord::read(&[octets, &[b' '; 99]].concat()), Some(record.clone()));
            for end in 0..octets.len() - 1 {
                let padded = [&octets[..end], &vec![b' '; 999]].concat();
                assert_eq!(LoginRecord::read(&padded), None, "cut at {end}");
            }
        }
        for text in ["", "{}", "null", "\u{0}", r#"{"popfetch_oauth":2}"#] {
            assert_eq!(LoginRecord::read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_token_is_used_while_it_lasts_and_the_clock_can_be_believed() {
        let record = record();
        for (now, left) in [
            (1000, Some(3600)),
            (4300, Some(300)),
            (4301, None),
            (5000, None),
            (999, None),
            (-1_000_000, None),
            (i64::MAX, None),
        ] {
            assert_eq!(record.left(Time(now)), left, "{now}");
        }
    }

    #[test]
    fn an_answer_changes_what_it_brings() {
        let tokens = |refresh: Option<&str>, expires_in, refresh_expires_in| Tokens {
            access: Secret::new("new"),
            refresh: refresh.map(Secret::new),
            expires_in,
            refresh_expires_in,
        };
        let before = LoginRecord { refresh_ends: Some(Time(9)), ..record() };
        let kept = before.renewed(tokens(None, None, None), Time(2000));
        assert_eq!(
            (kept.refresh.clone(), kept.refresh_ends, kept.ends),
            (before.refresh.clone(), Some(Time(9)), Time(5600))
        );
        assert_eq!((kept.login, kept.obtained, kept.access), (Time(500), Time(2000), Secret::new("new")));
        let rotated = before.renewed(tokens(Some("r2"), Some(60), None), Time(2000));
        assert_eq!(
            (rotated.refresh, rotated.refresh_ends, rotated.ends),
            (Some(Secret::new("r2")), None, Time(2060))
        );
        let testing = before.renewed(tokens(None, Some(60), Some(100)), Time(2000));
        assert_eq!(testing.refresh_ends, Some(Time(2100)));
    }
}

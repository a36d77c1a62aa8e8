//! The server's side of the SASL mechanisms: PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-256, XOAUTH2, OAUTHBEARER.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::maildrop::Account;

/// Sends a challenge and returns the response; `None` when the client cancelled.
type Talk<'t> = dyn FnMut(&[u8]) -> io::Result<Option<Vec<u8>>> + 't;

/// The account whose credentials were shown, if they were.
pub fn authenticate(
    mechanism: &str,
    initial: Option<Vec<u8>>,
    accounts: &[Account],
    talk: &mut Talk<'_>,
) -> io::Result<Option<Account>> {
    // The client speaks first in all but two; without an initial response the challenge is empty.
    let client_first = !matches!(mechanism, "LOGIN" | "CRAM-MD5");
    let first = match initial {
        Some(response) => Some(response),
        None if client_first => talk(b"")?,
        None => None,
    };
    let first = first.map(|octets| String::from_utf8_lossy(&octets).into_owned());
    let account = |user: &str| accounts.iter().find(|account| account.user == user);
    match (mechanism, first) {
        ("PLAIN", Some(first)) => {
            let parts: Vec<&str> = first.split('\0').collect();
            let &[_, user, password] = &parts[..] else { return Ok(None) };
            Ok(account(user).filter(|account| account.password == password).cloned())
        }
        ("LOGIN", _) => {
            let Some(user) = talk(b"Username:")? else { return Ok(None) };
            let Some(password) = talk(b"Password:")? else { return Ok(None) };
            let good = |account: &&Account| {
                account.user.as_bytes() == user && account.password.as_bytes() == password
            };
            Ok(accounts.iter().find(good).cloned())
        }
        ("CRAM-MD5", _) => {
            let challenge = b"<1896.697170952@postoffice.example>";
            let Some(response) = talk(challenge)? else { return Ok(None) };
            let response = String::from_utf8_lossy(&response).into_owned();
            let Some((user, digest)) = response.split_once(' ') else { return Ok(None) };
            let good = |account: &&Account| {
                let mac = Hmac::<md5::Md5>::new_from_slice(account.password.as_bytes()).unwrap();
                hex(&mac.chain_update(challenge).finalize().into_bytes()) == digest
            };
            Ok(account(user).filter(good).cloned())
        }
        ("SCRAM-SHA-256", Some(first)) => scram(&first, accounts, talk),
        ("XOAUTH2", Some(first)) => {
            let user =
                first.strip_prefix("user=").and_then(|rest| rest.split('\x01').next()).unwrap_or_default();
            bearer(account(user), &first, talk)
        }
        ("OAUTHBEARER", Some(first)) => {
            let user = first.strip_prefix("n,a=").and_then(|rest| rest.split(',').next()).unwrap_or_default();
            bearer(account(&user.replace("=2C", ",").replace("=3D", "=")), &first, talk)
        }
        _ => Ok(None),
    }
}

/// The end of XOAUTH2 and OAUTHBEARER (RFC 7628 §3.2.3): a failure is reported in a challenge.
fn bearer(account: Option<&Account>, first: &str, talk: &mut Talk<'_>) -> io::Result<Option<Account>> {
    let good = |account: &&Account| first.contains(&format!("\x01auth=Bearer {}\x01", account.password));
    match account.filter(good) {
        Some(account) => Ok(Some(account.clone())),
        None => {
            talk(br#"{"status":"401","schemes":"bearer","scope":"https://mail.example/"}"#)?;
            Ok(None)
        }
    }
}

/// RFC 5802 and 7677, without channel binding.
fn scram(first: &str, accounts: &[Account], talk: &mut Talk<'_>) -> io::Result<Option<Account>> {
    const ROUNDS: u32 = 4096;
    const SALT: &[u8] = b"salt of a test";
    let gs2_end = first.match_indices(',').nth(1).map_or(0, |(at, _)| at + 1);
    let (gs2, bare) = first.split_at(gs2_end);
    let field = |text: &str, name: &str| {
        text.split(',')
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
            .to_owned()
    };
    let user = field(bare, "n").replace("=2C", ",").replace("=3D", "=");
    let nonce = format!("{}server;nonce=", field(bare, "r"));
    let server_first = format!("r={nonce},s={},i={ROUNDS}", STANDARD.encode(SALT));
    let Some(last) = talk(server_first.as_bytes())? else { return Ok(None) };
    let last = String::from_utf8_lossy(&last).into_owned();
    let Some((without_proof, proof)) = last.rsplit_once(",p=") else { return Ok(None) };
    let Some(account) = accounts.iter().find(|account| account.user == user) else { return Ok(None) };

    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(account.password.as_bytes(), SALT, ROUNDS, &mut salted);
    let mac = |key: &[u8], text: &[u8]| {
        Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes()
    };
    let message = format!("{bare},{server_first},{without_proof}");
    let client_key = mac(&salted, b"Client Key");
    let signature = mac(&Sha256::digest(client_key), message.as_bytes());
    let expected: Vec<u8> = client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect();
    let bound = field(without_proof, "c") == STANDARD.encode(gs2) && field(without_proof, "r") == nonce;
    if !bound || STANDARD.decode(proof).ok() != Some(expected) {
        return Ok(None);
    }
    let verifier = mac(&mac(&salted, b"Server Key"), message.as_bytes());
    // The client confirms by an empty line (RFC 5034 §4).
    let confirmed = talk(format!("v={}", STANDARD.encode(verifier)).as_bytes())?;
    Ok(confirmed.filter(Vec::is_empty).map(|_| account.clone()))
}

pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| format!("{text}{octet:02x}"))
}

#[cfg(test)]
mod tests {
    use super::{authenticate, hex};
    use crate::support::server::Account;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hmac::{Hmac, Mac as _};
    use sha2::{Digest as _, Sha256};

    /// Whether a client that answers the challenges by these responses, the first one being initial, gets in.
    fn gets_in(mechanism: &str, account: &Account, initial: &[u8], responses: &[&[u8]]) -> bool {
        let mut responses = responses.iter();
        let mut talk = |_: &[u8]| Ok(responses.next().map(|response| response.to_vec()));
        let initial = (!initial.is_empty()).then(|| initial.to_vec());
        authenticate(mechanism, initial, std::slice::from_ref(account), &mut talk).unwrap().is_some()
    }

    #[test]
    fn credentials_are_checked() {
        let tim = Account::new("tim", "tanstaaf", []);
        // RFC 7628 §4.1 and Google's description, with other names.
        let token = |token| format!("user=tim\x01auth=Bearer {token}\x01\x01").into_bytes();
        let bearer =
            |token| format!("n,a=tim,\x01host=h\x01port=1\x01auth=Bearer {token}\x01\x01").into_bytes();
        let cram = |password: &[u8]| {
            let mac = Hmac::<md5::Md5>::new_from_slice(password).unwrap();
            let mac = mac.chain_update(b"<1896.697170952@postoffice.example>");
            format!("tim {}", hex(&mac.finalize().into_bytes())).into_bytes()
        };
        for (password, good) in [("tanstaaf", true), ("tanstaag", false)] {
            let plain = format!("\0tim\0{password}").into_bytes();
            assert_eq!(gets_in("PLAIN", &tim, &plain, &[]), good);
            assert_eq!(gets_in("PLAIN", &tim, b"", &[&plain]), good);
            assert_eq!(gets_in("LOGIN", &tim, b"", &[b"tim", password.as_bytes()]), good);
            assert_eq!(gets_in("CRAM-MD5", &tim, b"", &[&cram(password.as_bytes())]), good);
            assert_eq!(gets_in("XOAUTH2", &tim, &token(password), &[]), good);
            assert_eq!(gets_in("OAUTHBEARER", &tim, &bearer(password), &[b"\x01"]), good);
            assert_eq!(scram(&tim, password, b"n,,"), good);
            assert_eq!(scram(&tim, password, b"y,,"), good);
        }
    }

    fn scram(account: &Account, password: &str, gs2: &[u8]) -> bool {
        let mac = |key: &[u8], text: &[u8]| {
            Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes()
        };
        let initial = [gs2, b"n=tim,r=abc"].concat();
        let mut talk = |challenge: &[u8]| {
            let challenge = std::str::from_utf8(challenge).unwrap();
            if challenge.starts_with("v=") {
                return Ok(Some(Vec::new()));
            }
            let (nonce, rest) = challenge.split_once(",s=").unwrap();
            let (salt, rounds) = rest.split_once(",i=").unwrap();
            let mut salted = [0; 32];
            let salt = STANDARD.decode(salt).unwrap();
            pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, rounds.parse().unwrap(), &mut salted);
            let without_proof = format!("c={},{nonce}", STANDARD.encode(gs2));
            let message = format!("n=tim,r=abc,{challenge},{without_proof}");
            let key = mac(&salted, b"Client Key");
            let signature = mac(&Sha256::digest(key), message.as_bytes());
            let proof: Vec<u8> = key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect();
            Ok(Some(format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes()))
        };
        authenticate("SCRAM-SHA-256", Some(initial), std::slice::from_ref(account), &mut talk)
            .unwrap()
            .is_some()
    }
}

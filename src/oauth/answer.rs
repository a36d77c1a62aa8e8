//! What an authorization server answers, without I/O: JSON in, typed answers out (RFC 6749 §5, RFC 7591 §3.2, RFC 8414 §2, RFC
//! 8628 §3.2).  Any of it may be hostile: every text has a bound, and goes through `text.rs` before it is shown.

use serde::Deserialize;
use serde_json::Value;

use crate::secret::Secret;

/// Octets of a token at most.
const LONGEST_TOKEN: usize = 32 * 1024;

/// Octets of any other text at most.
const LONGEST_TEXT: usize = 8 * 1024;

/// The longest life of a token that is believed: ten years.
const LONGEST_LIFE: u64 = 10 * 366 * 86_400;

/// The octets are no such answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Why an answer holds no token that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoToken {
    /// It is no answer with a token.
    Malformed,
    /// Its token can't be sent; what is wrong with it.
    Unusable(&'static str),
}

impl From<Malformed> for NoToken {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// Tokens (RFC 6749 §5.1).
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    /// Seconds; none where the server gives none.
    pub(super) expires_in: Option<u64>,
    /// Seconds that the refresh token lasts, where the server gives them (Google, in "Testing").
    pub(super) refresh_expires_in: Option<u64>,
}

/// Why there are no tokens (RFC 6749 §5.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TokenRefused {
    /// The code of the RFC.
    pub(super) error: String,
    /// For people.
    pub(super) description: String,
    /// Microsoft's numbers: those of `error_codes`, and the one in the text.
    pub(super) codes: Vec<u32>,
}

/// The codes of a device flow (RFC 8628 §3.2).
#[derive(Debug)]
pub(super) struct Device {
    pub(super) code: Secret,
    /// What the user types.
    pub(super) user_code: String,
    pub(super) address: String,
    /// The same with the code in it.
    pub(super) whole_address: Option<String>,
    /// Seconds.
    pub(super) expires_in: u64,
    /// Seconds.
    pub(super) interval: u64,
}

/// An authorization server, as it describes itself (RFC 8414 §2).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) device_authorization_endpoint: Option<String>,
    pub(super) revocation_endpoint: Option<String>,
    pub(super) registration_endpoint: Option<String>,
    /// RFC 9207: the answer through the browser names the issuer.
    pub(super) authorization_response_iss_parameter_supported: bool,
}

/// A client that has been registered (RFC 7591 §3.2.1).
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) id: String,
    pub(super) secret: Option<Secret>,
}

#[derive(Deserialize)]
struct TokensOnTheWire {
    access_token: String,
    token_type: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<Value>,
    refresh_token_expires_in: Option<Value>,
}

/// Reads an answer of success.
pub(super) fn tokens(body: &[u8]) -> Result<Tokens, NoToken> {
    let wire: TokensOnTheWire = json(body)?;
    let (access, refresh) = (Secret::new(wire.access_token), wire.refresh_token.map(Secret::new));
    let refresh = refresh.filter(|token| !token.expose().is_empty());
    if wire.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(NoToken::Unusable("its type is not Bearer"));
    }
    for token in [Some(&access), refresh.as_ref()].into_iter().flatten() {
        check_token(token).map_err(NoToken::Unusable)?;
    }
    Ok(Tokens {
        access,
        refresh,
        expires_in: wire.expires_in.as_ref().and_then(seconds),
        refresh_expires_in: wire.refresh_token_expires_in.as_ref().and_then(seconds),
    })
}

fn is_token(token: &Secret) -> bool {
    check_token(token).is_ok()
}

/// A token has to be sent in a form, a line of SASL, and unescaped in JSON (RFC 6750 §2.1 allows less than servers use).
/// The error is what is wrong with it.
fn check_token(token: &Secret) -> Result<(), &'static str> {
    let octets = token.expose();
    let fits = |octet: &u8| octet.is_ascii_graphic() && !matches!(octet, b'"' | b'\\');
    match octets.len() {
        0 => Err("it is empty"),
        1..=LONGEST_TOKEN if octets.iter().all(fits) => Ok(()),
        1..=LONGEST_TOKEN => Err("it has characters that no token has"),
        _ => Err("it is larger than 32 KiB"),
    }
}

/// A number, or a text that is one (Microsoft's older servers).
fn seconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    seconds.map(|seconds| seconds.min(LONGEST_LIFE))
}

#[derive(Deserialize)]
struct RefusedOnTheWire {
    error: Value,
    error_description: Option<Value>,
    error_codes: Option<Vec<Value>>,
}

/// Reads an answer of failure.
pub(super) fn refused(body: &[u8]) -> Result<TokenRefused, Malformed> {
    let wire: RefusedOnTheWire = json(body)?;
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    // Google's other servers have an object there.
    let error = match wire.error {
        Value::Object(mut object) => text(object.remove("status")),
        error => text(Some(error)),
    };
    if error.is_empty() {
        return Err(Malformed);
    }
    let description = text(wire.error_description);
    let codes = wire.error_codes.unwrap_or_default();
    let codes = codes.iter().filter_map(|code| u32::try_from(code.as_u64()?).ok()).take(8).collect();
    Ok(TokenRefused::of(error, description, codes))
}

impl TokenRefused {
    /// An error's code and description, cut to their bounds.
    pub(super) fn of(error: String, description: String, mut codes: Vec<u32>) -> Self {
        let cut = |text: String, most: usize| text.chars().take(most).collect::<String>();
        let (error, description) = (cut(error, 100), cut(description, 2000));
        let in_text = description.split_once("AADSTS").and_then(|(_, rest)| {
            let digits =
                rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| rest.get(..end).unwrap_or(""));
            digits.parse().ok()
        });
        codes.extend(in_text.filter(|code| !codes.contains(code)));
        Self { error, description, codes }
    }
}

#[derive(Deserialize)]
struct DeviceOnTheWire {
    device_code: String,
    user_code: String,
    // Google's first servers, and some after them.
    #[serde(alias = "verification_url")]
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: Option<Value>,
    interval: Option<Value>,
}

/// Reads the codes of a device flow.
pub(super) fn device(body: &[u8]) -> Result<Device, Malformed> {
    let wire: DeviceOnTheWire = json(body)?;
    let code = Secret::new(wire.device_code);
    let fits = |text: &String| (1..=LONGEST_TEXT).contains(&text.len());
    if !is_token(&code) || !fits(&wire.user_code) || !fits(&wire.verification_uri) {
        return Err(Malformed);
    }
    let seconds = |value: Option<Value>, without: u64, most: u64| {
        value.as_ref().and_then(seconds).unwrap_or(without).clamp(1, most)
    };
    Ok(Device {
        code,
        user_code: wire.user_code,
        address: wire.verification_uri,
        whole_address: wire.verification_uri_complete.filter(fits),
        expires_in: seconds(wire.expires_in, 900, 1800),
        interval: seconds(wire.interval, 5, 60),
    })
}

/// Reads a server's description of itself; it must be that of `issuer` (RFC 8414 §3.3).
pub(super) fn metadata(body: &[u8], issuer: &str) -> Result<Metadata, Malformed> {
    let metadata: Metadata = json(body)?;
    let same = metadata.issuer.trim_end_matches('/') == issuer.trim_end_matches('/');
    if same { Ok(metadata) } else { Err(Malformed) }
}

#[derive(Deserialize)]
struct RegistrationOnTheWire {
    client_id: String,
    client_secret: Option<String>,
}

/// Reads what a registration has given.
pub(super) fn registration(body: &[u8]) -> Result<Registration, Malformed> {
    let wire: RegistrationOnTheWire = json(body)?;
    let secret = wire.client_secret.map(Secret::new).filter(|secret| !secret.expose().is_empty());
    let fits = (1..=LONGEST_TEXT).contains(&wire.client_id.len())
        && crate::text::is_one_line(wire.client_id.as_bytes());
    if fits && secret.as_ref().is_none_or(is_token) {
        Ok(Registration { id: wire.client_id, secret })
    } else {
        Err(Malformed)
    }
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(body).map_err(|_| Malformed)
}

/// For fuzzing: any octets as each of the answers.
pub(super) fn fuzz(octets: &[u8]) {
    if let Ok(tokens) = tokens(octets) {
        assert!(is_token(&tokens.access) && tokens.expires_in.is_none_or(|life| life <= LONGEST_LIFE));
    }
    let _ = (refused(octets), device(octets), metadata(octets, "https://a.example"), registration(octets));
}

#[cfg(test)]
mod tests {
    use super::{device, metadata, refused, registration, tokens};

    #[test]
    fn tokens_are_read_as_servers_send_them() {
        let full = br#"{"access_token":"ya29.a~b/c=","expires_in":3599,"refresh_token":"1//x","scope":"https://mail.google.com/","token_type":"Bearer","refresh_token_expires_in":604799}"#;
        let read = tokens(full).unwrap();
        assert_eq!(read.access.expose(), b"ya29.a~b/c=");
        assert_eq!(read.refresh.unwrap().expose(), b"1//x");
        assert_eq!((read.expires_in, read.refresh_expires_in), (Some(3599), Some(604_799)));
        for (json, life) in [
            (r#"{"access_token":"a","expires_in":"3600"}"#, Some(3600)),
            (r#"{"access_token":"a","token_type":"bearer","refresh_token":""}"#, None),
            (r#"{"access_token":"a","expires_in":-1}"#, None),
            (r#"{"access_token":"a","expires_in":18446744073709551615}"#, Some(super::LONGEST_LIFE)),
            (r#"{"access_token":"a","expires_in":[1]}"#, None),
        ] {
            let read = tokens(json.as_bytes()).unwrap();
            assert!(read.refresh.is_none());
            assert_eq!(read.expires_in, life, "{json}");
        }
        let long = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(40_000));
        for json in [
            "",
            "{}",
            "<html>",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b"}"#,
            r#"{"access_token":"a\r\nDELE 1"}"#,
            r#"{"access_token":"ä"}"#,
            r#"{"access_token":"a","token_type":"mac"}"#,
            r#"{"access_token":"a","refresh_token":"\u0001"}"#,
            r#"{"access_token":1}"#,
            r#"{"access_token":"a""#,
            &long,
        ] {
            assert!(tokens(json.as_bytes()).is_err(), "{json:.60}");
        }
    }

    #[test]
    fn failures_are_read_as_servers_send_them() {
        let microsoft = br#"{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token has expired due to inactivity.\r\nTrace ID: x","error_codes":[700082],"suberror":"x"}"#;
        let read = refused(microsoft).unwrap();
        assert_eq!((read.error.as_str(), read.codes.as_slice()), ("invalid_grant", &[700_082][..]));
        for (json, error, codes) in [
            (r#"{"error":"slow_down"}"#, "slow_down", &[][..]),
            (r#"{"error":"x","error_description":"AADSTS50011 and"}"#, "x", &[50_011]),
            (r#"{"error":"x","error_description":"AADSTS"}"#, "x", &[]),
            (r#"{"error":"x","error_description":"AADSTS99999999999"}"#, "x", &[]),
            (r#"{"error":{"code":403,"status":"PERMISSION_DENIED"}}"#, "PERMISSION_DENIED", &[]),
            (r#"{"error":"x","error_description":7,"error_codes":["y",-1]}"#, "x", &[]),
        ] {
            let read = refused(json.as_bytes()).unwrap();
            assert_eq!((read.error.as_str(), read.codes.as_slice()), (error, codes), "{json}");
        }
        for json in ["", "{}", "[]", r#"{"error":""}"#, r#"{"error":7}"#] {
            assert!(refused(json.as_bytes()).is_err(), "{json}");
        }
        let long =
            format!(r#"{{"error":"{}","error_description":"{}"}}"#, "e".repeat(9000), "d".repeat(9000));
        let read = refused(long.as_bytes()).unwrap();
        assert_eq!((read.error.len(), read.description.len()), (100, 2000));
    }

    #[test]
    fn codes_for_a_device() {
        let read = device(br#"{"device_code":"d","user_code":"A-B","verification_url":"https://a.example/d","expires_in":"1800","interval":0}"#).unwrap();
        assert_eq!((read.user_code.as_str(), read.address.as_str()), ("A-B", "https://a.example/d"));
        assert_eq!((read.expires_in, read.interval), (1800, 1));
        let read = device(br#"{"device_code":"d","user_code":"A-B","verification_uri":"https://a.example/d","interval":9999}"#).unwrap();
        assert_eq!((read.expires_in, read.interval), (900, 60));
        assert!(device(br#"{"device_code":"d","user_code":"","verification_uri":"x"}"#).is_err());
    }

    #[test]
    fn a_server_describes_itself_and_no_other() {
        let json = br#"{"issuer":"https://a.example/","token_endpoint":"https://a.example/t"}"#;
        assert!(metadata(json, "https://a.example").unwrap().token_endpoint.is_some());
        assert!(metadata(json, "https://b.example").is_err());
        assert!(metadata(b"{}", "https://b.example").is_err());
    }

    #[test]
    fn a_registered_client() {
        let read = registration(br#"{"client_id":"c","client_secret":"s","client_id_issued_at":1}"#).unwrap();
        assert_eq!((read.id.as_str(), read.secret.is_some()), ("c", true));
        assert!(registration(br#"{"client_id":""}"#).is_err());
        assert!(registration(br#"{"client_id":"a\nb"}"#).is_err());
    }
}

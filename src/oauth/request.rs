//! What a login asks for, without I/O: the address where the user agrees, with PKCE (RFC 7636) and `state`, and what comes
//! back through the browser (RFC 6749 §4.1.2, RFC 9207).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::answer::TokenRefused;
use crate::http::Url;
use crate::http::form;
use crate::secret::Secret;

/// What proves, at the end of a flow, that the same program began it (PKCE, RFC 7636).
#[derive(Debug)]
pub(super) struct Proof {
    /// Comes back with the answer: 256 random bits.
    pub(super) state: Secret,
    /// Shown when the code is exchanged: 256 random bits.
    pub(super) verifier: Secret,
}

impl Proof {
    /// Of random octets.
    pub(super) fn of(state: [u8; 32], verifier: [u8; 32]) -> Self {
        let encoded = |octets: [u8; 32]| Secret::new(URL_SAFE_NO_PAD.encode(octets));
        Self { state: encoded(state), verifier: encoded(verifier) }
    }

    /// The method S256 (RFC 7636 §4.2).
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.expose()))
    }
}

/// What the user is to agree to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Consent<'a> {
    pub(super) client_id: &'a str,
    pub(super) redirect: &'a str,
    pub(super) scope: &'a str,
    pub(super) user: &'a str,
    /// What the provider wants besides, as a query.
    pub(super) parameters: &'a str,
}

/// The address that is opened in the browser.
pub(super) fn authorization(endpoint: &Url, consent: Consent<'_>, proof: &Proof) -> Url {
    let (challenge, state) = (proof.challenge(), String::from_utf8_lossy(proof.state.expose()));
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", consent.client_id),
        ("redirect_uri", consent.redirect),
        ("scope", consent.scope),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    if !consent.user.is_empty() {
        parameters.push(("login_hint", consent.user));
    }
    let more = form::decode(consent.parameters);
    parameters.extend(more.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    endpoint.with_query(&parameters)
}

/// What came back through the browser.
#[derive(Debug)]
pub(super) enum Came {
    /// The code that is exchanged for tokens.
    Code(Secret),
    /// The user, or the server, refuses.
    Refused(TokenRefused),
    /// It answers another question, or none: the wait goes on.
    Stray,
    /// It is the answer of another server (RFC 9207): nothing may be sent to either.
    OtherIssuer,
}

/// Judges a query, or an address with one, that came back.  `issuer` is who must have sent it, if that is known, and whether
/// it always names itself.
pub(super) fn came(address: &str, proof: &Proof, issuer: Option<(&str, bool)>) -> Came {
    let query = address.split_once('?').map_or(address, |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let parameters = form::decode(query);
    // A parameter that is there twice is ignored (RFC 6749 §3.1).
    let one = |name: &str| {
        let mut found = parameters.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        found.next().filter(|_| found.next().is_none())
    };
    let expected = Sha256::digest(proof.state.expose());
    if one("state").is_none_or(|state| Sha256::digest(state.as_bytes()) != expected) {
        return Came::Stray;
    }
    match (issuer, one("iss")) {
        (Some((issuer, _)), Some(iss)) if iss.trim_end_matches('/') != issuer.trim_end_matches('/') => {
            return Came::OtherIssuer;
        }
        (Some((_, true)), None) => return Came::OtherIssuer,
        _ => {}
    }
    if let Some(error) = one("error") {
        let description = one("error_description").unwrap_or_default();
        return Came::Refused(TokenRefused::of(error.to_owned(), description.to_owned(), Vec::new()));
    }
    match one("code") {
        Some(code) if (1..=16_384).contains(&code.len()) => Came::Code(Secret::new(code)),
        _ => Came::Stray,
    }
}

#[cfg(test)]
mod tests {
    use super::{Came, Consent, Proof, authorization, came};
    use crate::http::{Url, form};

    fn proof() -> Proof {
        Proof::of([7; 32], [9; 32])
    }

    #[test]
    fn the_example_of_rfc_7636() {
        // Appendix B.
        let verifier = [
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105,
            214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121,
        ];
        let proof = Proof::of([0; 32], verifier);
        assert_eq!(proof.verifier.expose(), b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(proof.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn the_address_where_the_user_agrees() {
        let consent = Consent {
            client_id: "id&x",
            redirect: "http://127.0.0.1:7/",
            scope: "https://mail.google.com/ y",
            user: "me@example.com",
            parameters: "access_type=offline&prompt=consent",
        };
        let proof = proof();
        let url = authorization(&Url::parse("https://a.example/auth?x=1").unwrap(), consent, &proof);
        let parameters = form::decode(url.target().split_once('?').unwrap().1);
        let value = |name: &str| {
            let found: Vec<&str> =
                parameters.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect();
            assert_eq!(found.len(), 1, "{name}");
            found[0].to_owned()
        };
        assert_eq!(value("client_id"), "id&x");
        assert_eq!(value("redirect_uri"), "http://127.0.0.1:7/");
        assert_eq!(value("scope"), "https://mail.google.com/ y");
        assert_eq!(value("code_challenge"), proof.challenge());
        assert_eq!(value("code_challenge_method"), "S256");
        assert_eq!(value("login_hint"), "me@example.com");
        assert_eq!((value("x"), value("prompt")), ("1".to_owned(), "consent".to_owned()));
        assert!(!url.to_string().contains(std::str::from_utf8(proof.verifier.expose()).unwrap()));
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let proof = proof();
        let state = String::from_utf8(proof.state.expose().to_vec()).unwrap();
        let with = |query: &str, issuer| came(&query.replace("STATE", &state), &proof, issuer);
        let issuer = Some(("https://a.example/", false));
        let strict = Some(("https://a.example", true));
        for query in [
            "code=4%2F0A&state=STATE",
            "/?state=STATE&code=4/0A&scope=x",
            "https://localhost/?code=4/0A&state=STATE#x",
            "code=4/0A&state=STATE&iss=https%3A%2F%2Fa.example",
        ] {
            let Came::Code(code) = with(query, issuer) else { panic!("{query}") };
            assert_eq!(code.expose(), b"4/0A");
        }
        for query in [
            "",
            "/favicon.ico",
            "code=x",
            "code=x&state=",
            "code=x&state=other",
            "state=STATE",
            "state=STATE&code=",
        ] {
            assert!(matches!(with(query, issuer), Came::Stray), "{query}");
        }
        assert!(matches!(with("code=x&state=STATE&state=STATE", None), Came::Stray));
        assert!(matches!(with("code=x&code=y&state=STATE", None), Came::Stray));
        let refused = with("error=access_denied&error_description=no%20way&state=STATE", None);
        assert!(
            matches!(refused, Came::Refused(refused) if refused.error == "access_denied" && refused.description == "no way")
        );
        assert!(matches!(with("error=access_denied", None), Came::Stray), "without the state it is nobody's");
        assert!(matches!(with("code=x&state=STATE&iss=https://evil.example", issuer), Came::OtherIssuer));
        assert!(matches!(with("code=x&state=STATE", strict), Came::OtherIssuer));
        assert!(matches!(with("code=x&state=STATE&iss=https://a.example", strict), Came::Code(_)));
    }
}

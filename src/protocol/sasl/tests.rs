//! The vectors of the RFCs, and what hostile servers may send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::ChannelBinding::{NotOffered, Unused, Used};
use super::Mechanism::{CramMd5, External, Login, OAuthBearer, Plain, Scram, XOAuth2};
use super::{
    Binding, Credentials, Exchange, Hash, Mechanism, Nonce, SaslError, SaslText, Secret, fuzz_exchange,
};
use crate::exit::ExitCode;
use crate::problem::Problem as _;

const SHA1_NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
const SHA1_FIRST: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
const SHA1_FINAL: &str = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";
const SHA256_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SHA256_NONCES: &str = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SHA256_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

fn begin(mechanism: Mechanism, user: &str, secret: &str, nonce: &str) -> Result<Exchange, SaslError> {
    bound(mechanism, user, secret, nonce, None)
}

fn bound(
    mechanism: Mechanism,
    user: &str,
    secret: &str,
    nonce: &str,
    binding: Option<Binding<'_>>,
) -> Result<Exchange, SaslError> {
    let secret = &Secret::new(secret);
    let nonce = Nonce(nonce.to_owned());
    Exchange::new(
        mechanism,
        &Credentials { user, secret, host: "pop.example.com", port: 995 },
        nonce,
        binding,
    )
}

fn text(secret: &Secret) -> String {
    String::from_utf8(secret.expose().to_vec()).unwrap()
}

/// The `AUTH` command.
fn opening(exchange: &mut Exchange) -> String {
    opening_if(exchange, true)
}

fn opening_if(exchange: &mut Exchange, announced: bool) -> String {
    let name = exchange.mechanism().name();
    match exchange.initial_response(announced).as_ref().map(text).as_deref() {
        None => format!("AUTH {name}"),
        Some("") => format!("AUTH {name} ="),
        Some(response) => format!("AUTH {name} {response}"),
    }
}

/// Answers a challenge that the server sends as base64; the answer is decoded.
fn say(exchange: &mut Exchange, challenge: impl AsRef<[u8]>) -> Result<String, SaslError> {
    let line = exchange.step(STANDARD.encode(challenge).as_bytes())?;
    Ok(String::from_utf8(STANDARD.decode(line.expose()).unwrap()).unwrap())
}

#[test]
fn plain_in_one_line_or_two_steps() {
    let mut exchange = begin(Plain, "user", "pencil", "").unwrap();
    assert_eq!(opening(&mut exchange), "AUTH PLAIN AHVzZXIAcGVuY2ls");
    assert!(exchange.responded());
    assert_eq!(exchange.on_ok(), Ok(()));

    // 180 octets are 240 characters: AUTH PLAIN, both spaces and CRLF make it 253.  One octet more makes it 257.
    let mut exchange = begin(Plain, "user", &"p".repeat(174), "").unwrap();
    assert_eq!(opening(&mut exchange).len(), "AUTH PLAIN ".len() + 240);
    let mut exchange = begin(Plain, "user", &"p".repeat(175), "").unwrap();
    assert_eq!(opening(&mut exchange), "AUTH PLAIN");
    assert!(!exchange.responded());
    assert_eq!(exchange.on_ok(), Err(SaslError::Premature));
    assert_eq!(say(&mut exchange, ""), Ok(format!("\0user\0{}", "p".repeat(175))));
    assert_eq!(exchange.on_ok(), Ok(()));

    // Not announced: without an initial response.
    let mut exchange = begin(Plain, "user", "pencil", "").unwrap();
    assert_eq!(opening_if(&mut exchange, false), "AUTH PLAIN");
    assert_eq!(say(&mut exchange, ""), Ok("\0user\0pencil".to_owned()));

    assert_eq!(begin(Plain, "u\u{fc}", "p\u{f6}", "").map(|mut e| opening(&mut e).len()), Ok(23));
}

#[test]
fn empty_challenges() {
    for empty in [&b""[..], b" ", b"  ", b"\t"] {
        let mut exchange = begin(Plain, "user", "pencil", "").unwrap();
        let _ = exchange.initial_response(false);
        assert_eq!(exchange.step(empty).map(|line| text(&line)), Ok("AHVzZXIAcGVuY2ls".to_owned()));
    }
}

#[test]
fn challenges_that_are_not_base64() {
    let all =
        [&b"!!!"[..], b"YQ", b"YQ=", b"YR==", b"Y Q==", b"YQ==YQ==", b"_-8=", b"YWJj\nYWJj", b"=", b"\xff"];
    for challenge in all {
        let mut exchange = begin(CramMd5, "user", "pencil", "").unwrap();
        assert_eq!(exchange.step(challenge), Err(SaslError::NotBase64), "{}", challenge.escape_ascii());
        assert_eq!(exchange.on_ok(), Err(SaslError::Premature));
    }
    assert_eq!(SaslError::NotBase64.exit_code(), ExitCode::Protocol);
}

#[test]
fn success_before_the_end_is_refused() {
    for mechanism in [CramMd5, Login, Scram(Hash::Sha1, Unused), XOAuth2, OAuthBearer] {
        let mut exchange = begin(mechanism, "user", "pencil", SHA1_NONCE).unwrap();
        assert_eq!(exchange.on_ok(), Err(SaslError::Premature));
        let _ = exchange.initial_response(true);
        assert_eq!(exchange.on_ok(), Err(SaslError::Premature), "{mechanism:?}");
    }
    assert_eq!(SaslError::Premature.exit_code(), ExitCode::Protocol);
}

#[test]
fn cram_md5_of_rfc_2195() {
    let challenge = "<1896.697170952@postoffice.reston.mci.net>";
    let mut exchange = begin(CramMd5, "tim", "tanstaaftanstaaf", "").unwrap();
    assert_eq!(opening(&mut exchange), "AUTH CRAM-MD5");
    assert!(!exchange.responded());
    let line = exchange.step(STANDARD.encode(challenge).as_bytes()).unwrap();
    assert_eq!(line.expose(), b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
    assert_eq!(exchange.on_ok(), Ok(()));
    let echo = b"no: B913A602C7EDA7A495B4E6E7334D3890 dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw";
    assert_eq!(exchange.redactor().printable(echo), "no: *** ***");
    assert_eq!(say(&mut exchange, challenge), Err(SaslError::Unexpected));

    let mut exchange = begin(CramMd5, "tim", &"k".repeat(65), "").unwrap();
    assert_eq!(say(&mut exchange, challenge), Ok("tim c26f650abcb485a907fa679a2807bdac".to_owned()));
}

#[test]
fn scram_sha_1_of_rfc_5802() {
    let mut exchange = begin(Scram(Hash::Sha1, Unused), "user", "pencil", SHA1_NONCE).unwrap();
    assert_eq!(opening(&mut exchange), "AUTH SCRAM-SHA-1 biwsbj11c2VyLHI9ZnlrbytkMmxiYkZnT05Sdjlxa3hkYXdM");
    assert!(exchange.responded());
    assert_eq!(
        say(&mut exchange, SHA1_FIRST),
        Ok("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=".to_owned())
    );
    assert_eq!(exchange.on_ok(), Err(SaslError::Premature));
    assert_eq!(say(&mut exchange, SHA1_FINAL), Ok(String::new()));
    assert_eq!(exchange.on_ok(), Ok(()));
    assert_eq!(say(&mut exchange, ""), Err(SaslError::Unexpected));
    // After a wrong step nothing is believed any more.
    assert_eq!(exchange.on_ok(), Err(SaslError::Premature));
}

#[test]
fn scram_sha_256_of_rfc_7677_with_each_binding() {
    let exporter: Vec<u8> = (0..32).collect();
    let end_point = Hash::Sha256.digest(b"example certificate DER");
    let end_point = Binding { name: Binding::END_POINT, octets: end_point.expose() };
    let exporter = Binding { name: "tls-exporter", octets: &exporter };
    let cases = [
        (
            Unused,
            None,
            "SCRAM-SHA-256",
            "n,,",
            "biws",
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
        (
            NotOffered,
            None,
            "SCRAM-SHA-256",
            "y,,",
            "eSws",
            "FoqiHTtQEDE8lz1CdaEe3tK4mS+iMDTl77SPyDS53DY=",
            "dI4KpiQJwBr1+V+K6U1dA6l6I4I9DUNXWND4pcpRU3U=",
        ),
        (
            Used,
            Some(end_point),
            "SCRAM-SHA-256-PLUS",
            "p=tls-server-end-point,,",
            "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsmiZk9QnJHL3oA1UF7zgrm1WHBkN4wVHwe6ELMzkGAhA=",
            "nnXE4DOPOFtGJfu9uwPbbZyblISuiQZQk7S7IrOGvic=",
            "xSEdK56ACmu4aTPOMSmvmOAL7oF9z/+NN326jr/lnzc=",
        ),
        (
            Used,
            Some(exporter),
            "SCRAM-SHA-256-PLUS",
            "p=tls-exporter,,",
            "cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
            "QC6CS20quADQRb3mT99YUH+n3VJxUvzuK0K0E1Vrs2M=",
            "2GiAgapEppLVlUXbxUDksL3VgYHzuqiK5tR4mhJGgvs=",
        ),
    ];
    for (flag, binding, name, gs2, channel, proof, verifier) in cases {
        let mechanism = Scram(Hash::Sha256, flag);
        let mut exchange = bound(mechanism, "user", "pencil", SHA256_NONCE, binding).unwrap();
        let first = STANDARD.encode(format!("{gs2}n=user,r={SHA256_NONCE}"));
        assert_eq!(opening(&mut exchange), format!("AUTH {name} {first}"));
        let last = format!("c={channel},r={SHA256_NONCES},p={proof}");
        assert_eq!(say(&mut exchange, SHA256_FIRST), Ok(last));
        let echo = format!("bad proof {proof}");
        assert_eq!(exchange.redactor().printable(echo.as_bytes()), "bad proof ***");
        // Later attributes are ignored.
        assert_eq!(say(&mut exchange, format!("v={verifier},x=y")), Ok(String::new()));
        assert_eq!(exchange.on_ok(), Ok(()));
        let mut exchange = bound(mechanism, "user", "pencil", SHA256_NONCE, binding).unwrap();
        let _ = opening(&mut exchange);
        say(&mut exchange, SHA256_FIRST).unwrap();
        let another = format!("v={}", STANDARD.encode([0; 32]));
        assert_eq!(say(&mut exchange, another), Err(SaslError::Impostor), "{name}");
    }
    let missing = bound(Scram(Hash::Sha256, Used), "user", "pencil", SHA256_NONCE, None);
    assert_eq!(missing.unwrap_err(), SaslError::NoBinding);
}

#[test]
fn server_must_prove_itself() {
    let malformed = SaslError::Malformed("it doesn't prove that the server knows the password");
    let cases: [(&[u8], SaslError); 9] = [
        // One bit, in the first and in the last octet; a prefix; nothing.
        (b"v=LmF9pqV8S7suAoZWja4dJRkFsKQ=", SaslError::Impostor),
        (b"v=rmF9pqV8S7suAoZWja4dJRkFsKU=", SaslError::Impostor),
        (b"v=rmF9pqV8S7suAoZWja4dJRkFsA==", SaslError::Impostor),
        (b"v=", SaslError::Impostor),
        (b"v=!", malformed.clone()),
        (b"", malformed.clone()),
        (b"x=y", malformed.clone()),
        (b"x=y,v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", malformed),
        (b"e=invalid-proof", SaslError::Refused("invalid-proof".to_owned())),
    ];
    for (message, expected) in cases {
        let mut exchange = begin(Scram(Hash::Sha1, Unused), "user", "pencil", SHA1_NONCE).unwrap();
        let _ = exchange.initial_response(true);
        say(&mut exchange, SHA1_FIRST).unwrap();
        assert_eq!(say(&mut exchange, message), Err(expected), "{}", message.escape_ascii());
        assert_eq!(exchange.on_ok(), Err(SaslError::Premature));
        // Not even when the right one follows.
        assert_eq!(say(&mut exchange, SHA1_FINAL), Err(SaslError::Unexpected));
        assert_eq!(exchange.on_ok(), Err(SaslError::Premature));
    }
    assert_eq!(SaslError::Impostor.exit_code(), ExitCode::Protocol);
}

#[test]
fn bad_server_first_messages_are_refused() {
    let nonce = SaslError::Malformed("its nonce doesn't extend ours");
    let salt = SaslError::Malformed("it has no salt after the nonce");
    let rounds = SaslError::Malformed("it has no iteration count after the salt");
    let number = SaslError::Malformed("its iteration count isn't a number");
    let begins = SaslError::Malformed("it doesn't begin with a nonce");
    let cases = [
        ("r=abcX,s=QSXC,i=4096", nonce.clone()),
        ("r=ABC,s=QSXC,i=4096", nonce.clone()),
        ("r=ABCX,s=QSXC,i=4096", nonce.clone()),
        ("r=NONCE,s=QSXC,i=4096", nonce.clone()),
        ("r=,s=QSXC,i=4096", nonce.clone()),
        ("r=NONCE\x07,s=QSXC,i=4096", nonce.clone()),
        ("r=NONCE\u{e9},s=QSXC,i=4096", nonce),
        ("r=NONCEx,s=,i=4096", salt.clone()),
        ("r=NONCEx,s=!!!!,i=4096", salt.clone()),
        ("r=NONCEx,i=4096,s=QSXC", salt.clone()),
        ("r=NONCEx,S=QSXC,i=4096", salt.clone()),
        ("r=NONCEx", salt),
        ("r=NONCEx,s=QSXC", rounds.clone()),
        ("r=NONCEx,s=QSXC,x=y,i=4096", rounds),
        ("r=NONCEx,s=QSXC,i=", number.clone()),
        ("r=NONCEx,s=QSXC,i=-1", number.clone()),
        ("r=NONCEx,s=QSXC,i=4096x", number),
        ("r=NONCEx,s=QSXC,i=0", SaslError::TooFewRounds(0)),
        ("r=NONCEx,s=QSXC,i=1", SaslError::TooFewRounds(1)),
        ("r=NONCEx,s=QSXC,i=4095", SaslError::TooFewRounds(4095)),
        ("r=NONCEx,s=QSXC,i=2000001", SaslError::TooManyRounds),
        ("r=NONCEx,s=QSXC,i=4294971392", SaslError::TooManyRounds),
        ("r=NONCEx,s=QSXC,i=99999999999999999999999", SaslError::TooManyRounds),
        ("m=x,r=NONCEx,s=QSXC,i=4096", SaslError::Malformed("it demands an extension that isn't known")),
        ("s=QSXC,r=NONCEx,i=4096", begins.clone()),
        (SHA1_FINAL, begins.clone()),
        ("", begins.clone()),
        (",,,", begins),
        ("e=other-error", SaslError::Refused("other-error".to_owned())),
    ];
    for (message, expected) in cases {
        let mut exchange = begin(Scram(Hash::Sha1, Unused), "user", "pencil", "NONCE").unwrap();
        let _ = exchange.initial_response(true);
        assert_eq!(say(&mut exchange, message), Err(expected), "{message}");
        // A second attempt within the exchange isn't given.
        assert_eq!(say(&mut exchange, "r=NONCEx,s=QSXC,i=4096"), Err(SaslError::Unexpected), "{message}");
        assert_eq!(exchange.on_ok(), Err(SaslError::Premature));
    }
    // What a server might answer when no initial response has been sent.
    let mut exchange = begin(Scram(Hash::Sha1, Unused), "user", "pencil", "NONCE").unwrap();
    let _ = exchange.initial_response(false);
    assert_eq!(say(&mut exchange, "r=NONCEx,s=QSXC,i=4096"), Err(SaslError::Unexpected));
}

#[test]
fn extensions_at_the_end_are_ignored() {
    let mut exchange = begin(Scram(Hash::Sha1, Unused), "user", "pencil", "NONCE").unwrap();
    let _ = exchange.initial_response(true);
    assert!(say(&mut exchange, "r=NONCEx,s=QSXC,i=4096,x=y,,m=z").is_ok());
}

#[test]
fn server_reasons_are_understood() {
    let cases: [(&[u8], SaslError, ExitCode); 4] = [
        (b"e=invalid-proof", SaslError::Refused("invalid-proof".to_owned()), ExitCode::Refused),
        (b"e=unknown-user,x=y", SaslError::Refused("unknown-user".to_owned()), ExitCode::Refused),
        (b"e=no-resources", SaslError::NoResources, ExitCode::Later),
        (b"e=no \x1b[1m pencil", SaslError::Refused("no \\x1b[1m ***".to_owned()), ExitCode::Refused),
    ];
    for (message, expected, exit) in cases {
        let mut exchange = begin(Scram(Hash::Sha1, Unused), "user", "pencil", SHA1_NONCE).unwrap();
        let _ = exchange.initial_response(true);
        let error = say(&mut exchange, message).unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(error.exit_code(), exit);
    }
}

#[test]
fn nonces_with_odd_characters() {
    let nonces = "NONCE=\"\\;=x'<>`";
    let mut exchange = begin(Scram(Hash::Sha256, Unused), "user", "pencil", "NONCE").unwrap();
    let _ = exchange.initial_response(true);
    let last = say(&mut exchange, format!("r={nonces},s=QSXC,i=4096")).unwrap();
    assert!(last.starts_with(&format!("c=biws,r={nonces},p=")), "{last}");
}

#[test]
fn names_and_passwords_are_prepared() {
    let first = |user, secret| {
        let mut exchange = begin(Scram(Hash::Sha1, Unused), user, secret, "NONCE")?;
        let _ = exchange.initial_response(false);
        say(&mut exchange, "")
    };
    let cases = [
        ("a,b=c", "n,,n=a=2Cb=3Dc,r=NONCE"),
        ("=2C", "n,,n==3D2C,r=NONCE"),
        // RFC 4013 §3: a soft hyphen goes, compatibility forms become plain, spaces become U+0020.
        ("I\u{ad}X", "n,,n=IX,r=NONCE"),
        ("\u{2168}", "n,,n=IX,r=NONCE"),
        ("a\u{a0}b", "n,,n=a b,r=NONCE"),
        ("user@example.com", "n,,n=user@example.com,r=NONCE"),
    ];
    for (user, expected) in cases {
        assert_eq!(first(user, "pencil"), Ok(expected.to_owned()));
    }
    for bad in ["a\x07", "\u{627}1", "\u{ad}", "\u{e000}", "tab\there"] {
        assert_eq!(first(bad, "pencil"), Err(SaslError::Unpreparable(SaslText::User)), "{bad:?}");
        let error = first("user", bad).unwrap_err();
        assert_eq!(error, SaslError::Unpreparable(SaslText::Secret), "{bad:?}");
        assert_eq!(error.exit_code(), ExitCode::Configuration);
    }
    // The same password in two forms gives one proof.
    let proof = |secret: &str| {
        let mut exchange = begin(Scram(Hash::Sha1, Unused), "user", secret, SHA1_NONCE).unwrap();
        let _ = exchange.initial_response(true);
        say(&mut exchange, SHA1_FIRST).unwrap()
    };
    assert_eq!(proof("\u{2168}\u{ad}"), proof("IX"));
    assert_ne!(proof("IX"), proof("ix"));
}

#[test]
fn xoauth2_messages() {
    let token = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg";
    let mut exchange = begin(XOAuth2, "someuser@example.com", token, "").unwrap();
    assert_eq!(opening(&mut exchange), "AUTH XOAUTH2");
    let line = exchange.step(b"").unwrap();
    assert_eq!(
        text(&line),
        "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
    );
    assert_eq!(exchange.on_ok(), Ok(()));
    let json = format!(
        r#"{{"status":"401","schemes":"bearer {token}","scope":"https://mail.google.com/ {token}"}}"#
    );
    assert_eq!(say(&mut exchange, json), Ok(String::new()));
    let failure = exchange.token_failure().unwrap();
    assert_eq!(failure.to_string(), "status \"401\", scope \"https://mail.google.com/ ***\"");
    assert!(failure.is_stale());
    assert_eq!(exchange.on_ok(), Err(SaslError::Premature));
    assert_eq!(say(&mut exchange, ""), Err(SaslError::Unexpected));
}

#[test]
fn oauthbearer_messages() {
    let token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
    let mut exchange = begin(OAuthBearer, "user@example.com", token, "").unwrap();
    assert_eq!(opening(&mut exchange), "AUTH OAUTHBEARER");
    assert_eq!(
        text(&exchange.step(b"").unwrap()),
        "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9cG9wLmV4YW1wbGUuY29tAXBvcnQ9OTk1AWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
    );
    let json = br#"{"status":"invalid_token","scope":"s","openid-configuration":"https://x/"}"#;
    assert_eq!(
        exchange.step(STANDARD.encode(json).as_bytes()).map(|line| text(&line)),
        Ok("AQ==".to_owned())
    );
    assert!(exchange.token_failure().unwrap().is_stale());

    let mut exchange = begin(OAuthBearer, "a,b=c", "t", "").unwrap();
    assert!(say(&mut exchange, "").unwrap().starts_with("n,a=a=2Cb=3Dc,\x01host="));
}

#[test]
fn useless_explanations_do_not_hang() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "no reason given"),
        (b"token expired", "no reason given"),
        (b"[\"401\"]", "no reason given"),
        (br#"{"status":{"a":1}}"#, "no reason given"),
        (b"{\"status\":\"\x1b[31m\"}", "no reason given"),
        (br#"{"status":"\u001b[31m"}"#, "status \"\\x1b[31m\""),
    ];
    for (challenge, expected) in cases {
        let mut exchange = begin(XOAuth2, "user", "token", "").unwrap();
        exchange.step(b"").unwrap();
        assert_eq!(say(&mut exchange, challenge), Ok(String::new()));
        assert_eq!(exchange.token_failure().unwrap().to_string(), expected);
    }
    let mut exchange = begin(XOAuth2, "user", "token", "").unwrap();
    exchange.step(b"").unwrap();
    assert_eq!(exchange.step(&vec![b'A'; 1 << 20]), Err(SaslError::TooLong));
    let long = format!(r#"{{"status":"{}"}}"#, "x".repeat(6000));
    let mut exchange = begin(XOAuth2, "user", "token", "").unwrap();
    exchange.step(b"").unwrap();
    say(&mut exchange, long).unwrap();
    assert_eq!(exchange.token_failure().unwrap().status.as_ref().map(String::len), Some(200));
    // A token or a name that would break out of its field.
    assert_eq!(begin(XOAuth2, "user", "a\x01b", "").unwrap_err(), SaslError::NotAToken);
    assert_eq!(begin(OAuthBearer, "user", "a b", "").unwrap_err(), SaslError::NotAToken);
    assert_eq!(begin(XOAuth2, "a\x01b", "token", "").unwrap_err(), SaslError::Unpreparable(SaslText::User));
}

#[test]
fn external_is_empty() {
    let mut exchange = begin(External, "", "", "").unwrap();
    assert_eq!(opening(&mut exchange), "AUTH EXTERNAL =");
    assert_eq!(exchange.on_ok(), Ok(()));
    let mut exchange = begin(External, "user", "", "").unwrap();
    assert_eq!(opening_if(&mut exchange, false), "AUTH EXTERNAL");
    assert_eq!(say(&mut exchange, ""), Ok(String::new()));
}

#[test]
fn login_by_position() {
    for (first, second) in
        [("Username:", "Password:"), ("User Name\0", "Password\0"), ("Password:", ""), ("", "x")]
    {
        let mut exchange = begin(Login, "user", "pencil", "").unwrap();
        assert_eq!(opening(&mut exchange), "AUTH LOGIN");
        assert_eq!(say(&mut exchange, first), Ok("user".to_owned()));
        assert_eq!(exchange.on_ok(), Err(SaslError::Premature));
        assert_eq!(say(&mut exchange, second), Ok("pencil".to_owned()));
        assert_eq!(exchange.on_ok(), Ok(()));
        assert_eq!(say(&mut exchange, ""), Err(SaslError::Unexpected));
    }
}

#[test]
fn every_exchange_ends() {
    let all = [
        Plain,
        Login,
        CramMd5,
        Scram(Hash::Sha1, Unused),
        Scram(Hash::Sha256, NotOffered),
        XOAuth2,
        OAuthBearer,
        External,
    ];
    for mechanism in all {
        for announced in [true, false] {
            for challenge in ["", "anything"] {
                let mut exchange = begin(mechanism, "user", "pencil", SHA1_NONCE).unwrap();
                let _ = exchange.initial_response(announced);
                let steps = (0..8).take_while(|_| say(&mut exchange, challenge).is_ok()).count();
                assert!(steps <= 3, "{mechanism:?}");
            }
        }
    }
}

#[test]
fn nothing_that_would_break_a_line_or_a_field() {
    for mechanism in [Plain, Login, CramMd5, Scram(Hash::Sha1, Unused), XOAuth2, OAuthBearer] {
        for bad in ["a\nb", "a\rb", "a\0b"] {
            let error = begin(mechanism, bad, "pencil", "N").unwrap_err();
            assert_eq!(error, SaslError::LineEnd(SaslText::User));
            assert_eq!(error.exit_code(), ExitCode::Configuration);
            let error = begin(mechanism, "user", bad, "N").unwrap_err();
            assert_eq!(error, SaslError::LineEnd(SaslText::Secret));
        }
        assert_eq!(begin(mechanism, "", "pencil", "N").unwrap_err(), SaslError::Empty(SaslText::User));
        assert_eq!(begin(mechanism, "user", "", "N").unwrap_err(), SaslError::Empty(SaslText::Secret));
    }
    let secret = Secret::new(&b"\xff\xfe"[..]);
    let credentials = |mechanism| {
        let nonce = Nonce::new([0; 18]);
        Exchange::new(mechanism, &Credentials { user: "u", secret: &secret, host: "h", port: 1 }, nonce, None)
    };
    assert_eq!(credentials(Plain).unwrap_err(), SaslError::NotUtf8(SaslText::Secret));
    assert_eq!(credentials(Scram(Hash::Sha1, Unused)).unwrap_err(), SaslError::NotUtf8(SaslText::Secret));
    assert!(credentials(Login).is_ok() && credentials(CramMd5).is_ok());
}

#[test]
fn debug_shows_no_secret() {
    let mut exchange = begin(Scram(Hash::Sha1, Unused), "user", "pencil", SHA1_NONCE).unwrap();
    let opening = exchange.initial_response(true).unwrap();
    let line = exchange.step(STANDARD.encode(SHA1_FIRST).as_bytes()).unwrap();
    let secret = Secret::new("pencil");
    let credentials = Credentials { user: "user", secret: &secret, host: "h", port: 1 };
    let shown = format!("{exchange:?} {opening:?} {line:?} {credentials:?}");
    for part in ["pencil", "cGVuY2ls", "v0X8v3Bz", "biws"] {
        assert!(!shown.contains(part), "{shown}");
    }
    // A nonce of the real kind.
    assert_eq!(Nonce::new([0xff; 18]).0, "/".repeat(24));
}

proptest! {
    #[test]
    fn no_challenge_panics(data in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_exchange(&data);
    }

    /// Close to what a server sends, so that the later branches are reached.
    #[test]
    fn no_server_message_panics_or_is_believed(
        first in r"(r=N?[!-~]{0,8})?(,s=[A-Za-z+/]{0,8}={0,2})?(,i=[0-9]{0,4})?(,[a-z]=[ -~]{0,5})?",
        last in r"([ve]=)?[A-Za-z0-9+/]{0,28}={0,2}(,[a-z]=)?",
    ) {
        let mut exchange = begin(Scram(Hash::Sha1, Unused), "user", "pencil", "N").unwrap();
        let _ = exchange.initial_response(true);
        let _ = say(&mut exchange, &first);
        let _ = say(&mut exchange, &last);
        prop_assert_eq!(exchange.on_ok(), Err(SaslError::Premature));
    }

    #[test]
    fn no_explanation_panics(json in r#"[{\["\\:,}\]a-z0-9u ]{0,60}"#) {
        let mut exchange = begin(OAuthBearer, "user", "token", "").unwrap();
        let _ = exchange.initial_response(true);
        prop_assert!(exchange.step(b"").is_ok());
        prop_assert_eq!(say(&mut exchange, json), Ok("\x01".to_owned()));
        prop_assert!(exchange.on_ok().is_err());
    }
}

/// Where the client begins, the first challenge only asks it to, whatever the words; any other one must be base64.
#[test]
fn only_a_prompt_to_begin_may_be_any_words() {
    for mechanism in [Plain, Login, XOAuth2, OAuthBearer] {
        let mut exchange = begin(mechanism, "user", "pencil", "").unwrap();
        assert!(exchange.step(b"go ahead").is_ok(), "{mechanism:?}");
        if mechanism == Login {
            assert!(exchange.step(b"VXNlcm5hbWU6").is_ok());
        }
        assert!(exchange.step(b"go ahead").is_err(), "{mechanism:?}");
    }
    let mut exchange = begin(CramMd5, "user", "pencil", "").unwrap();
    assert!(exchange.step(b"go ahead").is_err());
}

/// A server that overlooks PLAIN's initial response gets it again for an empty challenge only, and once.
#[test]
fn the_initial_response_goes_out_again_only_for_an_empty_challenge() {
    let begun = || {
        let mut exchange = begin(Plain, "user", "pencil", "").unwrap();
        let first = text(&exchange.initial_response(true).unwrap());
        (exchange, first)
    };
    let (mut exchange, first) = begun();
    assert_eq!(text(&exchange.step(b"").unwrap()), first);
    assert!(exchange.step(b"").is_err());
    let (mut exchange, _) = begun();
    assert!(exchange.step(b"Zm9v").is_err());
}

/// After a challenge that could not be answered no `+OK` is believed.
#[test]
fn success_after_a_failed_step_is_not_believed() {
    let mut exchange = begin(Plain, "user", "pencil", "").unwrap();
    exchange.initial_response(true).unwrap();
    assert!(exchange.on_ok().is_ok());
    assert!(exchange.step(b"Zm9v").is_err());
    assert!(exchange.on_ok().is_err());
}

/// ASCII goes out as it is, also what SASLprep forbids: a server knows no more than these octets.
#[test]
fn only_what_is_not_ascii_is_prepared() {
    let prepared = |octets: &[u8]| super::prepared(SaslText::Secret, octets).map(|secret| text(&secret));
    assert_eq!(prepared(b"a\x7fb").unwrap(), "a\x7fb");
    assert_eq!(prepared("\u{aa}".as_bytes()).unwrap(), "a");
    assert!(prepared(b"\xff").is_err());
}

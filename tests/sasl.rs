//! SASL through the binary: group S of the test cases (RFC 5034 and the mechanisms' own), octet by octet.

use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::mailbox::{PASSWORD, account, after, greeted, named_account, run, run_with};
use crate::support::certificates::{Authority, Leaf};
use crate::support::sandbox::{Run, Sandbox};
use crate::support::scripted::{Scripted, Step, expect, expect_start, reply, send};
use crate::support::server::{Options, Server};
use crate::support::show;

/// `+` and what is encoded after it.
fn challenge(octets: impl AsRef<[u8]>) -> Step {
    send(format!("+ {}\r\n", STANDARD.encode(octets)))
}

/// A line that is this in base64.
fn response(octets: impl AsRef<[u8]>) -> Step {
    expect(STANDARD.encode(octets))
}

fn welcome() -> [Step; 2] {
    [send("+OK\r\n"), Step::EmptyMaildrop]
}

/// What follows a challenge that cannot be answered: `*`, whose answer is read, and the end.
fn cancelled() -> [Step; 3] {
    [expect("*"), send("-ERR cancelled\r\n"), Step::ExpectEnd]
}

/// `SASL` with these mechanisms, and then these steps.
fn offering(mechanisms: &str, steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    after(&format!("SASL {mechanisms}\r\n"), steps)
}

/// A run whose user and password are these.
#[track_caller]
fn run_as(user: &str, password: &str, more: &str, script: Vec<Step>) -> Run {
    let server = Scripted::start(vec![script]);
    let sandbox = Sandbox::new();
    sandbox.write("secret", password);
    let more = format!("tls = \"none\"\npassword-file = \"~/secret\"\n{more}");
    sandbox.config(named_account("work", server.port(), &more).replace("\"me\"", &format!("\"{user}\"")));
    let run = sandbox.run([""; 0]);
    server.finish();
    run
}

#[test]
fn plain_in_one_line_while_it_fits() {
    let [ok, rest] = welcome();
    run_as("user", "pencil", "", offering("PLAIN", [expect("AUTH PLAIN AHVzZXIAcGVuY2ls"), ok, rest]))
        .succeeds();
    for (length, fits) in [(176, true), (177, false)] {
        let password = "p".repeat(length);
        let message = format!("\0me\0{password}");
        let [ok, rest] = welcome();
        let steps = match fits {
            true => vec![expect(format!("AUTH PLAIN {}", STANDARD.encode(&message)))],
            false => vec![expect("AUTH PLAIN"), send("+ \r\n"), response(&message)],
        };
        let script = offering("PLAIN", [steps, vec![ok, rest]].concat());
        run_as("me", &password, "", script).succeeds();
    }
}

#[test]
fn empty_challenges_of_every_form() {
    let password = "p".repeat(200);
    for empty in ["+ \r\n", "+\r\n", "+  \r\n"] {
        let [ok, rest] = welcome();
        let message = response(format!("\0me\0{password}"));
        run_as(
            "me",
            &password,
            "",
            offering("PLAIN", [expect("AUTH PLAIN"), send(empty), message, ok, rest]),
        )
        .succeeds();
    }
}

#[test]
fn bad_base64_challenge_is_cancelled() {
    let [star, answer, end] = cancelled();
    let script = offering("CRAM-MD5", [expect("AUTH CRAM-MD5"), send("+ !!!\r\n"), star, answer, end]);
    run("auth = \"cram-md5\"", vec![script]).0.exits(76).complains("CRAM-MD5").complains("base64");
}

#[test]
fn bad_base64_prompt_is_accepted_where_it_means_nothing() {
    let password = "p".repeat(200);
    let [ok, rest] = welcome();
    let message = response(format!("\0me\0{password}"));
    let steps = [expect("AUTH PLAIN"), send("+ go ahead\r\n"), message, ok, rest];
    run_as("me", &password, "", offering("PLAIN", steps)).succeeds();

    let [ok, rest] = welcome();
    let (me, prompt) = (response("me"), send("+ UGFzc3dvcmQ6\r\n"));
    let steps = [expect("AUTH LOGIN"), send("+ name?\r\n"), me, prompt, response("pw"), ok, rest];
    run_as("me", "pw", "auth = \"login\"", offering("LOGIN", steps)).succeeds();

    let [ok, rest] = welcome();
    let token = response("user=me\x01auth=Bearer pw\x01\x01");
    let steps = [expect("AUTH XOAUTH2"), send("+ go ahead\r\n"), token, ok, rest];
    run_as("me", "pw", "auth = \"xoauth2\"", offering("XOAUTH2", steps)).succeeds();
}

#[test]
fn ignored_initial_response_is_sent_again_once() {
    let [ok, rest] = welcome();
    let line = "AUTH PLAIN AHVzZXIAcGVuY2ls";
    let steps = [expect(line), send("+ \r\n"), response("\0user\0pencil"), ok, rest];
    run_as("user", "pencil", "", offering("PLAIN", steps)).succeeds();

    let [star, answer, end] = cancelled();
    let steps = [expect(line), send("+ \r\n"), response("\0user\0pencil"), send("+ \r\n"), star, answer, end];
    run_as("user", "pencil", "", offering("PLAIN", steps)).exits(76);
}

#[test]
fn success_before_the_proof_is_a_failure() {
    for (auth, first) in [
        ("cram-md5", "AUTH CRAM-MD5"),
        ("scram-sha-256", "AUTH SCRAM-SHA-256 "),
        ("scram-sha-1", "AUTH SCRAM-SHA-1 "),
    ] {
        let script =
            offering(&auth.to_uppercase(), [expect_start(first), send("+OK logged in\r\n"), Step::ExpectEnd]);
        let (run, _) = run(&format!("auth = \"{auth}\""), vec![script]);
        run.exits(76).complains("success before");
    }
}

#[test]
fn cram_md5_vectors() {
    let nonce = "<1896.697170952@postoffice.reston.mci.net>";
    for (user, password, digest) in [
        ("tim", "tanstaaftanstaaf", "b913a602c7eda7a495b4e6e7334d3890"),
        ("tim", &"k".repeat(65), "c26f650abcb485a907fa679a2807bdac"),
    ] {
        let [ok, rest] = welcome();
        let exchange =
            [expect("AUTH CRAM-MD5"), challenge(nonce), response(format!("{user} {digest}")), ok, rest];
        run_as(user, password, "auth = \"cram-md5\"", offering("CRAM-MD5", exchange)).succeeds();
    }
}

// ---- SCRAM -----------------------------------------------------------------------------------------------------

/// A server's side of SCRAM-SHA-256 for one exchange, which a test can spoil.
struct Scram {
    /// What the server's first message is, from the client's nonce.
    first: fn(&str) -> String,
    /// What the server's last message is, from the right one.
    last: fn(String) -> String,
}

const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

fn good_first(nonce: &str) -> String {
    format!("r={nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s={SALT},i=4096")
}

impl Scram {
    fn good() -> Self {
        Self { first: good_first, last: |last| last }
    }

    /// The steps up to the server's last message.
    fn steps(self, mechanism: &str) -> Vec<Step> {
        let Self { first, last } = self;
        let said = Arc::new(Mutex::new((String::new(), String::new())));
        let command = format!("AUTH {mechanism} ");
        let first = {
            let said = Arc::clone(&said);
            reply(move |line| {
                let initial =
                    line.strip_prefix(command.as_bytes()).unwrap_or_else(|| panic!("{}", show(line)));
                let initial = String::from_utf8(STANDARD.decode(initial).unwrap()).unwrap();
                let bare = &initial[initial.find("n=").unwrap()..];
                let (_, nonce) = bare.split_once(",r=").unwrap();
                let server_first = first(nonce);
                let line = format!("+ {}\r\n", STANDARD.encode(&server_first));
                *said.lock().unwrap() = (bare.to_owned(), server_first);
                line.into_bytes()
            })
        };
        let last = reply(move |line| {
            let (bare, server_first) = said.lock().unwrap().clone();
            let line = String::from_utf8(STANDARD.decode(line).unwrap()).unwrap();
            let (without_proof, _) = line.rsplit_once(",p=").unwrap();
            let message = format!("{bare},{server_first},{without_proof}");
            format!("+ {}\r\n", STANDARD.encode(last(verifier(&message)))).into_bytes()
        });
        vec![first, last]
    }
}

fn verifier(message: &str) -> String {
    let mac = |key: &[u8], text: &[u8]| {
        Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes()
    };
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(PASSWORD.as_bytes(), &STANDARD.decode(SALT).unwrap(), 4096, &mut salted);
    format!("v={}", STANDARD.encode(mac(&mac(&salted, b"Server Key"), message.as_bytes())))
}

#[track_caller]
fn scram(server: Scram, ending: impl IntoIterator<Item = Step>) -> Run {
    let mut steps = server.steps("SCRAM-SHA-256");
    steps.extend(ending);
    run("auth = \"scram-sha-256\"", vec![offering("SCRAM-SHA-256", steps)]).0
}

#[test]
fn verifier_is_answered_by_an_empty_line() {
    scram(Scram::good(), [expect(""), send("+OK\r\n"), Step::EmptyMaildrop]).succeeds();
}

#[test]
fn server_without_a_valid_verifier_is_refused() {
    let spoilt: [fn(String) -> String; 5] = [
        |last| {
            let mut octets = STANDARD.decode(&last[2..]).unwrap();
            octets[31] ^= 1;
            format!("v={}", STANDARD.encode(octets))
        },
        |_| "v=".to_owned(),
        |_| String::new(),
        |last| last.replacen("v=", "x=", 1),
        |last| last[..20].to_owned(),
    ];
    for last in spoilt {
        scram(Scram { last, ..Scram::good() }, cancelled()).exits(76);
    }
    // +OK in the verifier's place: believed by nobody.
    let steps = Scram::good().steps("SCRAM-SHA-256");
    let script = [&steps[..1], &[Step::ExpectAny, send("+OK logged in\r\n"), Step::ExpectEnd]].concat();
    run("auth = \"scram-sha-256\"", vec![offering("SCRAM-SHA-256", script)])
        .0
        .exits(76)
        .complains("success before");
}

#[test]
fn bad_first_message_gets_no_proof() {
    let spoilt: [fn(&str) -> String; 10] = [
        |_| format!("r=another,s={SALT},i=4096"),
        |nonce| format!("r={nonce},s={SALT},i=4096"),
        |nonce| format!("r={nonce}x,s={SALT},i=0"),
        |nonce| format!("r={nonce}x,s={SALT},i=1"),
        |nonce| format!("r={nonce}x,s={SALT},i=99999999999"),
        |nonce| format!("r={nonce}x,s={SALT},i=-4096"),
        |nonce| format!("r={nonce}x,s=,i=4096"),
        |nonce| format!("m=x,r={nonce}x,s={SALT},i=4096"),
        |nonce| format!("s={SALT},r={nonce}x,i=4096"),
        |_| String::new(),
    ];
    for first in spoilt {
        let mut steps = Scram { first, ..Scram::good() }.steps("SCRAM-SHA-256");
        steps.truncate(1);
        steps.extend(cancelled());
        let (run, _) = run("auth = \"scram-sha-256\"", vec![offering("SCRAM-SHA-256", steps)]);
        run.exits(76).complains("SCRAM-SHA-256: ");
    }
}

#[test]
fn refusal_in_the_last_message() {
    for reason in ["invalid-proof", "unknown-user"] {
        let steps = Scram::good().steps("SCRAM-SHA-256");
        let refusal = format!("e={reason}");
        let script = [&steps[..1], &[Step::ExpectAny, challenge(refusal)], &cancelled()].concat();
        let (run, _) = run("auth = \"scram-sha-256\"", vec![offering("SCRAM-SHA-256", script)]);
        run.exits(77).complains(reason).complains("hint: ");
    }
}

#[test]
fn nonces_with_odd_characters() {
    let first = |nonce: &str| format!("r={nonce}=\"\\;=r=,s={SALT},i=4096,x=unknown");
    scram(Scram { first, ..Scram::good() }, [expect(""), send("+OK\r\n"), Step::EmptyMaildrop]).succeeds();
}

#[test]
fn commas_and_equal_signs_in_a_name() {
    let seen = Arc::new(Mutex::new(String::new()));
    let step = {
        let seen = Arc::clone(&seen);
        reply(move |line| {
            let initial = line.strip_prefix(b"AUTH SCRAM-SHA-256 ").unwrap();
            *seen.lock().unwrap() = String::from_utf8(STANDARD.decode(initial).unwrap()).unwrap();
            b"-ERR no\r\n".to_vec()
        })
    };
    run_as("a,b=c", PASSWORD, "auth = \"scram-sha-256\"", offering("SCRAM-SHA-256", [step])).exits(77);
    assert!(seen.lock().unwrap().starts_with("n,,n=a=2Cb=3Dc,r="), "{seen:?}");
}

#[test]
fn channel_binding() {
    // What is offered, `auth`, which mechanism, and the client's binding flag.
    for (offer, auth, mechanism, gs2) in [
        ("SCRAM-SHA-256", "auto", "SCRAM-SHA-256", "y,,"),
        ("SCRAM-SHA-256-PLUS SCRAM-SHA-256", "auto", "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,"),
        (
            "SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256",
            "auto",
            "SCRAM-SHA-1-PLUS",
            "p=tls-server-end-point,,",
        ),
        ("SCRAM-SHA-256-PLUS SCRAM-SHA-256", "scram-sha-256", "SCRAM-SHA-256", "n,,"),
    ] {
        let authority = Authority::new();
        let certified = authority.issue(&Leaf::default());
        let bound = match gs2.starts_with('p') {
            true => [gs2.as_bytes(), &Sha256::digest(&certified.der)].concat(),
            false => gs2.as_bytes().to_vec(),
        };
        let command = format!("AUTH {mechanism} ");
        let first = reply(move |line| {
            let initial = line.strip_prefix(command.as_bytes()).unwrap_or_else(|| panic!("{}", show(line)));
            let initial = String::from_utf8(STANDARD.decode(initial).unwrap()).unwrap();
            let bare = initial.strip_prefix(gs2).unwrap_or_else(|| panic!("{initial}"));
            let nonce = bare.split_once(",r=").unwrap().1;
            format!("+ {}\r\n", STANDARD.encode(good_first(nonce))).into_bytes()
        });
        let last = reply(move |line| {
            let line = String::from_utf8(STANDARD.decode(line).unwrap()).unwrap();
            let expected = format!("c={},r=", STANDARD.encode(&bound));
            assert!(line.starts_with(&expected), "{line}");
            b"-ERR enough\r\n".to_vec()
        });
        let script = [vec![Step::StartTls], offering(offer, [first, last])].concat();
        let server = Scripted::start_tls(certified, vec![script]);
        let sandbox = Sandbox::new();
        authority.write(&sandbox.path("ca.pem"));
        let more = format!("password = \"{PASSWORD}\"\nca-file = \"~/ca.pem\"\nauth = \"{auth}\"");
        sandbox.config(named_account("work", server.port(), &more));
        sandbox.run([""; 0]).exits(77).complains(mechanism);
        server.finish();
    }
}

#[test]
fn stronger_mechanisms_come_first() {
    for (offer, first) in [
        ("PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256", "AUTH SCRAM-SHA-256 "),
        ("LOGIN SCRAM-SHA-1 PLAIN", "AUTH SCRAM-SHA-1 "),
        ("CRAM-MD5 LOGIN PLAIN", "AUTH PLAIN "),
        ("XOAUTH2 OAUTHBEARER EXTERNAL LOGIN", "AUTH LOGIN"),
    ] {
        let (run, _) = run("", vec![offering(offer, [expect_start(first), send("-ERR\r\n")])]);
        run.exits(77);
    }
}

#[test]
fn weaker_mechanism_than_before_is_refused() {
    let server = Server::start(Options::with("me", PASSWORD, []).sasl("SCRAM-SHA-256 PLAIN"));
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), ""));
    sandbox.run([""; 0]).succeeds();
    server.change(|options| *options = options.clone().sasl("PLAIN"));
    sandbox
        .run([""; 0])
        .exits(77)
        .complains("SCRAM-SHA-256")
        .complains("hint: ")
        .complains("name the method");
    // What was remembered may have been tried; the password can't be had from that.
    let weaker = |line: &String| line.starts_with("AUTH PLAIN") || line.starts_with("USER");
    assert!(!server.commands(2).iter().any(weaker));
    // The user's word ends it.
    sandbox.config(account(server.port(), "auth = \"plain\""));
    sandbox.run([""; 0]).succeeds();
}

// ---- bearer tokens ---------------------------------------------------------------------------------------------

const TOKEN: &str = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg";

#[track_caller]
fn with_token(auth: &str, user: &str, script: Vec<Step>) -> Run {
    let server = Scripted::start(vec![script]);
    let sandbox = Sandbox::new();
    let command = sandbox.script("token", &format!("echo '{TOKEN}'"));
    let more = format!("tls = \"none\"\nauth = \"{auth}\"\npassword-command = [\"{}\"]", command.display());
    sandbox.config(named_account("work", server.port(), &more).replace("\"me\"", &format!("\"{user}\"")));
    let run = sandbox.run(["-vv"]);
    server.finish();
    run.never_says(TOKEN).never_says(STANDARD.encode(TOKEN));
    assert_eq!(sandbox.files_with(TOKEN), [std::path::Path::new("token")]);
    run
}

#[test]
fn xoauth2_takes_two_steps() {
    let token = "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==";
    let [ok, rest] = welcome();
    let script = offering("XOAUTH2", [expect("AUTH XOAUTH2"), send("+ \r\n"), expect(token), ok, rest]);
    with_token("xoauth2", "someuser@example.com", script).succeeds();
}

#[test]
fn refused_token_is_explained() {
    let json = r#"{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}"#;
    for (auth, acknowledgement) in [("xoauth2", ""), ("oauthbearer", "AQ==")] {
        let mechanism = auth.to_uppercase();
        let exchange = [
            expect(format!("AUTH {mechanism}")),
            send("+ \r\n"),
            Step::ExpectAny,
            challenge(json),
            expect(acknowledgement),
            send("-ERR [AUTH] no\r\n"),
            Step::ExpectEnd,
        ];
        let run = with_token(auth, "me", offering(&mechanism, exchange));
        run.exits(77).complains("status \"401\"").complains("https://mail.google.com/").complains("hint: ");
        run.complains("password-command");
    }
}

#[test]
fn oauthbearer_names_host_and_port() {
    let seen = Arc::new(Mutex::new(String::new()));
    let token = {
        let seen = Arc::clone(&seen);
        reply(move |line| {
            *seen.lock().unwrap() = String::from_utf8(STANDARD.decode(line).unwrap()).unwrap();
            b"+OK\r\n".to_vec()
        })
    };
    let script =
        offering("OAUTHBEARER", [expect("AUTH OAUTHBEARER"), send("+ \r\n"), token, Step::EmptyMaildrop]);
    with_token("oauthbearer", "a,b@x", script).succeeds();
    let seen = seen.lock().unwrap().clone();
    assert!(seen.starts_with("n,a=a=2Cb@x,\x01host=127.0.0.1\x01port="), "{seen:?}");
    assert!(seen.ends_with(&format!("\x01auth=Bearer {TOKEN}\x01\x01")), "{seen:?}");
}

#[test]
fn token_logs_in() {
    for auth in ["xoauth2", "oauthbearer"] {
        for (token, code) in [(TOKEN, 0), ("stale", 77)] {
            let options = Options::with("me", TOKEN, []).sasl("XOAUTH2 OAUTHBEARER");
            let server = Server::start(options);
            let sandbox = Sandbox::new();
            let more = format!(
                "tls = \"none\"\nauth = \"{auth}\"\npassword-command = \"printf '{token}\\\\nrefresh'\""
            );
            sandbox.config(named_account("work", server.port(), &more));
            let run = sandbox.run([""; 0]);
            run.exits(code).never_says(token);
            if code == 77 {
                run.complains("401");
            }
        }
    }
}

#[test]
fn bad_token_explanation_does_not_hang() {
    for (mechanism, explanation, acknowledged, code) in [
        ("XOAUTH2", format!("+ {}\r\n", STANDARD.encode("try again")), true, 77),
        ("XOAUTH2", format!("+ {}\r\n", STANDARD.encode(r#"{"status":"#)), true, 77),
        ("XOAUTH2", "+ !!!\r\n".to_owned(), false, 76),
        ("OAUTHBEARER", "+ !!!\r\n".to_owned(), false, 76),
        ("XOAUTH2", "+ \r\n".to_owned(), true, 77),
        ("XOAUTH2", format!("+ {}\r\n", STANDARD.encode("x".repeat(24 << 10))), false, 76),
    ] {
        let next = match acknowledged {
            true => vec![Step::ExpectAny, send("-ERR no\r\n"), Step::ExpectEnd],
            // Cancelled, or closed for its length.
            false => vec![],
        };
        let exchange = vec![expect(format!("AUTH {mechanism}")), send("+ \r\n"), Step::ExpectAny];
        let script = offering(mechanism, [exchange, vec![send(explanation)], next].concat());
        with_token(&mechanism.to_lowercase(), "me", script).exits(code);
    }
}

#[test]
fn a_token_command_that_prints_no_token_has_its_own_message() {
    for (command, code) in [("printf 'two words'", 78), ("true", 77), ("exit 3", 77), ("/nonexistent/x", 77)]
    {
        // Whether it's a token is known when the mechanism is.
        let scripts = if code == 78 { vec![offering("XOAUTH2", [Step::ExpectEnd])] } else { vec![] };
        let server = Scripted::start(scripts);
        let sandbox = Sandbox::new();
        let more = format!("tls = \"none\"\nauth = \"xoauth2\"\npassword-command = \"{command}\"");
        sandbox.config(named_account("work", server.port(), &more));
        let run = sandbox.run([""; 0]);
        assert_eq!(run.code(), Some(code), "{}", run.shown());
        run.complains("hint: ").never_says("two words");
        server.finish();
    }
}

// ---- the rest --------------------------------------------------------------------------------------------------

#[test]
fn external_sends_only_its_name() {
    let [ok, rest] = welcome();
    let script = [vec![Step::StartTls], offering("EXTERNAL", [expect("AUTH EXTERNAL ="), ok, rest])].concat();
    let authority = Authority::new();
    let server = Scripted::start_tls(authority.issue(&Leaf::default()), vec![script]);
    let sandbox = Sandbox::new();
    authority.write(&sandbox.path("ca.pem"));
    let ours = authority.issue(&Leaf { client: true, ..Leaf::named(&["me"]) });
    sandbox.write("certificate.pem", &ours.certificate);
    sandbox.write("key.pem", &ours.key);
    // No password is needed, nor asked for.
    let more = "ca-file = \"~/ca.pem\"\nauth = \"external\"\n\
                tls-client-certificate = \"~/certificate.pem\"\ntls-client-key = \"~/key.pem\"";
    sandbox.config(named_account("work", server.port(), more));
    sandbox.run([""; 0]).succeeds();
    server.finish();
    let without = named_account("work", 1, "auth = \"external\"");
    sandbox.config(without);
    sandbox.run([""; 0]).exits(78).complains("tls-client-certificate");
}

#[test]
fn login_is_answered_by_position() {
    for [first, second] in [
        ["Username:", "Password:"],
        ["User Name\0", "Password\0"],
        ["Benutzer?", ""],
        ["Password:", "Username:"],
    ] {
        let [ok, rest] = welcome();
        let exchange = [
            expect("AUTH LOGIN"),
            challenge(first),
            response("me"),
            challenge(second),
            response(PASSWORD),
            ok,
            rest,
        ];
        run("", vec![offering("LOGIN", exchange)]).0.succeeds();
    }
    let exchange = [
        vec![expect("AUTH LOGIN"), challenge("u"), response("me"), challenge("p"), response(PASSWORD)],
        vec![challenge("and your bank account?")],
        cancelled().to_vec(),
    ];
    run("", vec![offering("LOGIN", exchange.concat())]).0.exits(76);
}

#[test]
fn next_mechanism_only_before_anything_was_sent() {
    for answer in ["-ERR\r\n", "-ERR [AUTH] Unsupported authentication mechanism.\r\n"] {
        // CRAM-MD5 and LOGIN have no initial response.
        let [ok, rest] = welcome();
        let exchange = [
            vec![expect("AUTH CRAM-MD5"), send(answer), expect("AUTH LOGIN"), challenge("u"), response("me")],
            vec![challenge("p"), response(PASSWORD), ok, rest],
        ];
        run("", vec![offering("LOGIN CRAM-MD5", exchange.concat())]).0.succeeds();
        let exchange =
            vec![expect("AUTH CRAM-MD5"), challenge("<1@2>"), Step::ExpectAny, send(answer), Step::ExpectEnd];
        run("", vec![offering("LOGIN CRAM-MD5", exchange)]).0.exits(77);
        let exchange = [expect_start("AUTH PLAIN "), send(answer), Step::ExpectEnd];
        run("", vec![offering("PLAIN LOGIN CRAM-MD5", exchange)]).0.exits(77);
    }
}

/// An address of this machine that isn't loopback.
fn own_address() -> Option<IpAddr> {
    // Nothing is sent: connecting a datagram socket only chooses a route.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    let found = Some(address).filter(|address| !address.is_loopback() && !address.is_unspecified());
    if found.is_none() {
        eprintln!("SKIPPED: this machine has no address but loopback");
    }
    found
}

/// A run in clear against a server that isn't at loopback.
fn in_clear(address: IpAddr, more: &str, script: Vec<Step>) -> (Run, Vec<String>) {
    let server = Scripted::start_at(address, vec![script]);
    let sandbox = Sandbox::new();
    sandbox.config(account(server.port(), more).replace("127.0.0.1", &address.to_string()));
    let run = sandbox.run([""; 0]);
    (run, server.finish().remove(0).lines())
}

#[test]
fn auto_sends_no_password_in_clear() {
    let Some(address) = own_address() else { return };
    for capabilities in ["USER\r\nPIPELINING\r\nSASL PLAIN LOGIN CRAM-MD5\r\n", "USER\r\n", "SASL PLAIN\r\n"]
    {
        let greeting =
            [vec![send("+OK <1@b>\r\n")], greeted(capabilities)[1..].to_vec(), vec![Step::ExpectEnd]];
        let (run, lines) = in_clear(address, "", greeting.concat());
        run.exits(77).complains("isn't encrypted").complains("hint: ").complains("tls = \"implicit\"");
        assert_eq!(lines, ["CAPA"]);
    }
    // Without CAPA as well.
    let script = vec![send("+OK\r\n"), expect("CAPA"), send("-ERR\r\n"), Step::ExpectEnd];
    in_clear(address, "", script).0.exits(77);
    // Unless the user names it; and SCRAM gives nothing away.
    let script =
        after("USER\r\n", [expect("USER me"), send("+OK\r\n"), expect("PASS tanstaaf"), send("-ERR\r\n")]);
    in_clear(address, "auth = \"user-pass\"", script).0.exits(77).complains("refused the login");
    let script = offering("PLAIN SCRAM-SHA-256", [expect_start("AUTH SCRAM-SHA-256 "), send("-ERR\r\n")]);
    in_clear(address, "", script).0.exits(77).complains("SCRAM-SHA-256");
}

#[test]
fn endless_challenges_end() {
    for auth in ["login", "cram-md5", "scram-sha-256", "xoauth2", "plain"] {
        let count = Arc::new(Mutex::new(0));
        let mut script = greeted(&format!("SASL {}\r\n", auth.to_uppercase()));
        for _ in 0..9 {
            let count = Arc::clone(&count);
            script.push(reply(move |line| {
                *count.lock().unwrap() += 1;
                if line == b"*" { b"-ERR\r\n".to_vec() } else { b"+ cj14\r\n".to_vec() }
            }));
        }
        // The script isn't followed to its end: the client goes before.
        let server = Scripted::start(vec![script]);
        let sandbox = Sandbox::new();
        sandbox.config(account(server.port(), &format!("auth = \"{auth}\"")));
        sandbox.run([""; 0]).exits(76);
        assert!(*count.lock().unwrap() < 8, "{auth}");
    }
}

#[test]
fn the_mechanism_is_shown_with_v() {
    let [ok, rest] = welcome();
    let script = offering("PLAIN", [expect_start("AUTH PLAIN "), ok, rest]);
    run_with(&["-v"], "", vec![script]).0.succeeds().complains("PLAIN");
}

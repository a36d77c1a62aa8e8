//! Which methods are tried, in which order, and what a refusal is reported as.

use super::{AUTOMATIC, Server, Setup, USUAL, code, log_in, refused, session};
use crate::account::Auth;
use crate::client::{Error, Login, PrefetchFlight};
use crate::problem::Problem as _;
use crate::protocol::auth::{Method, RefusalReason};
use crate::protocol::sasl::{Credentials, Mechanism};
use crate::secret::Secret;

/// A greeting, and the answer to CAPA.
fn offering(capabilities: &[&str]) -> String {
    let lines: String = capabilities.iter().map(|line| format!("S: {line}\n")).collect();
    format!("S: +OK\nC: CAPA\nS: +OK\n{lines}S: .\n")
}

/// What follows a login at a server with CAPA.
const CAPA_AGAIN: &str = "C: CAPA\nS: +OK\nS: UIDL\nS: .\n";

fn meaning(error: &Error) -> Option<RefusalReason> {
    match error {
        Error::LoginRefused { meaning, .. } => Some(*meaning),
        _ => None,
    }
}

fn secret_sent(error: &Error) -> Option<bool> {
    match error {
        Error::LoginRefused { secret_sent, .. } => Some(*secret_sent),
        _ => None,
    }
}

#[test]
fn a_refused_user_name_keeps_the_password_here() {
    let e = refused("S: +OK\nC: CAPA\nS: -ERR\nC: USER me\nS: -ERR never heard of you\n", &USUAL);
    assert_eq!((meaning(&e), secret_sent(&e)), (Some(RefusalReason::Credentials), Some(false)));
    assert!(e.to_string().ends_with("refused the login (USER): \"never heard of you\""), "{e}");
}

#[test]
fn a_refused_password_is_the_last_word() {
    let transcript = offering(&["USER"]) + "C: USER me\nS: +OK\nC: PASS tanstaaf\nS: -ERR [AUTH] no\n";
    let e = refused(&transcript, &AUTOMATIC);
    assert_eq!((code(&e), meaning(&e), secret_sent(&e)), (77, Some(RefusalReason::Credentials), Some(true)));
    assert!(e.refuses_credentials() && !e.is_locked());
    let transcript = offering(&["USER", "SASL PLAIN"]) + "C: AUTH PLAIN AG1lAHRhbnN0YWFm\nS: -ERR no\n";
    let e = refused(&transcript, &AUTOMATIC);
    assert_eq!((code(&e), secret_sent(&e)), (77, Some(true)));
}

#[test]
fn a_mechanism_that_is_refused_by_its_name_makes_way_for_the_next() {
    let transcript = offering(&["USER", "SASL LOGIN CRAM-MD5"])
        + "C: AUTH CRAM-MD5\nS: -ERR not for you\nC: AUTH LOGIN\nS: -ERR [AUTH] neither\n\
           C: USER me\nS: +OK\nC: PASS tanstaaf\nS: +OK\n"
        + CAPA_AGAIN;
    session(&transcript, &AUTOMATIC, |client| {
        assert_eq!(client.login_facts().method, Method::UserPass);
        assert!(client.login_facts().trustworthy);
    });
}

#[test]
fn a_mechanism_that_the_user_names_is_the_only_one_tried() {
    let setup = Setup { auth: Auth::CramMd5, ..USUAL };
    let e = refused(&(offering(&["USER", "SASL CRAM-MD5 PLAIN"]) + "C: AUTH CRAM-MD5\nS: -ERR no\n"), &setup);
    assert_eq!(secret_sent(&e), Some(false));
    let e = refused(&offering(&["USER", "SASL PLAIN"]), &setup);
    assert!(e.to_string().contains("doesn't offer CRAM-MD5 here (it offers USER, PLAIN)"), "{e}");
    assert_eq!(code(&e), 77);
}

#[test]
fn less_than_was_used_before_is_refused() {
    let strongest_ever = Method::from_name("SCRAM-SHA-256");
    let e = refused(&offering(&["USER", "SASL PLAIN"]), &Setup { strongest_ever, ..AUTOMATIC });
    assert!(e.to_string().contains("logged in to with SCRAM-SHA-256 before"), "{e}");
}

#[test]
fn a_remembered_mechanism_that_is_refused_may_be_gone() {
    let setup = Setup { remembered: Some("SASL PLAIN"), ..AUTOMATIC };
    let refusal = "S: +OK\nC: AUTH PLAIN AG1lAHRhbnN0YWFm\nS: -ERR unknown command\nC: CAPA\nS: +OK\n";
    let e = refused(&format!("{refusal}S: SASL NTLM\nS: .\n"), &setup);
    assert!(e.to_string().contains("offers no way to log in that popfetch knows (it offers NTLM)"), "{e}");
    // It is still there: then the refusal is what it says.
    let e = refused(&format!("{refusal}S: SASL PLAIN\nS: .\n"), &setup);
    assert_eq!(secret_sent(&e), Some(true));
    // The server closes the connection instead of answering.
    let e = refused(&format!("{}S: (closes)\n", refusal.trim_end_matches("S: +OK\n")), &setup);
    assert_eq!(secret_sent(&e), Some(true));
}

#[test]
fn user_and_pass_travel_together_where_that_is_offered() {
    let transcript =
        offering(&["USER", "PIPELINING"]) + "C: USER me\nC: PASS tanstaaf\nS: +OK\nS: +OK\n" + CAPA_AGAIN;
    session(&transcript, &USUAL, |client| assert!(!client.login_facts().one_flight));
}

#[test]
fn of_two_refusals_the_first_is_the_reason() {
    let flight = offering(&["USER", "PIPELINING"]) + "C: USER me\nC: PASS tanstaaf\n";
    let e = refused(&format!("{flight}S: -ERR [AUTH] no such user\nS: -ERR USER first\n"), &USUAL);
    assert!(e.to_string().ends_with("\"[AUTH] no such user\""), "{e}");
    assert_eq!(secret_sent(&e), Some(true));
    // It needn't stay to refuse the rest.
    for end in ["S: (closes)\n", "S: -ERR goodbye\nS: (closes)\n"] {
        let e = refused(&format!("{flight}S: -ERR [AUTH] no such user\n{end}"), &USUAL);
        assert!(e.to_string().ends_with("\"[AUTH] no such user\""), "{e}");
    }
    let e = refused(&format!("{flight}S: +OK\nS: (closes)\n"), &USUAL);
    assert!(e.is_closed() && code(&e) == 75, "{e}");
}

#[test]
fn a_refusal_means_what_its_code_means_and_without_one_its_words() {
    for (answer, expected, exit, locked) in [
        ("-ERR [IN-USE] wait", RefusalReason::InUse, 75, true),
        ("-ERR [LOGIN-DELAY] 5 minutes", RefusalReason::LoginDelay, 75, false),
        ("-ERR [SYS/TEMP] disk", RefusalReason::SysTemp, 75, false),
        ("-ERR [SYS/PERM] gone", RefusalReason::SysPerm, 69, false),
        ("-ERR [AUTH] mailbox is locked", RefusalReason::Credentials, 77, false),
        ("-ERR [UTF8] no", RefusalReason::NeedsUtf8, 77, false),
        ("-ERR maildrop already locked", RefusalReason::Busy, 75, true),
        ("-ERR too many logins, try again", RefusalReason::Busy, 75, false),
        ("-ERR bad password", RefusalReason::Credentials, 77, false),
        ("-ERR", RefusalReason::Credentials, 77, false),
    ] {
        let transcript = super::LOGGED_IN.trim_end_matches("S: +OK\n").to_owned() + &format!("S: {answer}\n");
        let e = refused(&transcript, &USUAL);
        assert_eq!((meaning(&e), code(&e), e.is_locked()), (Some(expected), exit, locked), "{answer}");
    }
    // A server that marks what the credentials are to blame for, and doesn't.
    let transcript = offering(&["USER", "AUTH-RESP-CODE"])
        + "C: USER me\nS: +OK\nC: PASS tanstaaf\nS: -ERR something else\n";
    assert_eq!(meaning(&refused(&transcript, &USUAL)), Some(RefusalReason::Busy));
}

#[test]
fn a_password_that_the_server_echoes_is_masked_in_every_form() {
    let e = refused(
        &(offering(&["SASL PLAIN"])
            + "C: AUTH PLAIN AG1lAHRhbnN0YWFm\nS: -ERR what is AG1lAHRhbnN0YWFm or TANSTAAF?\n"),
        &AUTOMATIC,
    );
    assert!(e.to_string().ends_with("\"what is *** or ***?\""), "{e}");
}

#[test]
fn apop_answers_the_timestamp_of_the_greeting() {
    let setup = Setup { auth: Auth::Apop, ..USUAL };
    let greeting = "S: +OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\nC: CAPA\nS: -ERR\n";
    let apop = "C: APOP me c4c9334bac560ecc979e58001b3e22fb\n";
    session(&format!("{greeting}{apop}S: +OK\n"), &setup, |client| {
        assert_eq!(client.login_facts().method, Method::Apop);
    });
    let e = refused(&format!("{greeting}{apop}S: -ERR c4c9334bac560ecc979e58001b3e22fb is wrong\n"), &setup);
    assert!(e.to_string().ends_with("\"*** is wrong\""), "{e}");
    let e = refused("S: +OK no timestamp <here>\nC: CAPA\nS: -ERR\n", &setup);
    assert!(e.to_string().contains("no APOP timestamp"), "{e}");
}

#[test]
fn a_server_that_ignores_the_initial_response_gets_it_again() {
    let transcript = offering(&["SASL PLAIN"])
        + "C: AUTH PLAIN AG1lAHRhbnN0YWFm\nS: + \nC: AG1lAHRhbnN0YWFm\nS: +OK\n"
        + CAPA_AGAIN;
    session(&transcript, &AUTOMATIC, |_| ());
}

#[test]
fn a_challenge_that_is_wrong_is_answered_by_a_star_and_nothing_else() {
    let transcript =
        offering(&["SASL PLAIN"]) + "C: AUTH PLAIN AG1lAHRhbnN0YWFm\nS: + !!!\nC: *\nS: -ERR cancelled\n";
    let e = refused(&transcript, &AUTOMATIC);
    assert!(e.to_string().ends_with("PLAIN: the server sent a challenge that isn't base64"), "{e}");
    assert_eq!(code(&e), 76);
    // Even where the server takes the star for a success.
    let e = refused(&transcript.replace("-ERR cancelled", "+OK"), &AUTOMATIC);
    assert!(matches!(e, Error::Sasl { .. }), "{e}");
}

#[test]
fn success_before_the_server_has_proved_itself_is_not_believed() {
    let setup = Setup { auth: Auth::CramMd5, ..USUAL };
    let e = refused(&(offering(&["SASL CRAM-MD5"]) + "C: AUTH CRAM-MD5\nS: +OK\n"), &setup);
    assert!(e.to_string().contains("reported success before the login had been proved"), "{e}");
    assert_eq!(code(&e), 76);
}

/// `{"status":"401"}`
const TOKEN_REFUSED: &str = "+ eyJzdGF0dXMiOiI0MDEifQ==";

#[test]
fn a_refused_token_is_acknowledged_and_its_reason_reported() {
    let setup = Setup { auth: Auth::XOAuth2, ..USUAL };
    let exchange = offering(&["SASL XOAUTH2"])
        + "C: AUTH XOAUTH2\nS: +\nC: dXNlcj1tZQFhdXRoPUJlYXJlciB0YW5zdGFhZgEB\n"
        + &format!("S: {TOKEN_REFUSED}\n");
    for end in ["C: \nS: -ERR [AUTH] no\n", "S: (closes)\n"] {
        let server = Server::new(&[&format!("{exchange}{end}")]);
        let e = log_in(server.port, &setup).unwrap_err();
        server.rest();
        assert!(e.to_string().ends_with(" (status \"401\")"), "{e}");
        let Error::LoginRefused { token: Some(token), meaning: RefusalReason::Credentials, method, .. } = &e
        else {
            panic!("{e:?}")
        };
        assert!(token.is_stale());
        assert_eq!(*method, Method::Sasl(Mechanism::XOAuth2));
        assert!(e.hint().is_some_and(|hint| hint.contains("was taken back")));
    }
}

#[test]
fn a_connection_that_ends_in_the_midst_of_a_login_is_no_refusal() {
    for transcript in [
        "S: +OK\nC: CAPA\nS: -ERR\nC: USER me\nS: (closes)\n",
        "S: +OK\nC: CAPA\nS: -ERR\nC: USER me\nS: +OK\nC: PASS tanstaaf\nS: (closes)\n",
    ] {
        let e = refused(transcript, &USUAL);
        assert!(e.is_closed() && code(&e) == 75, "{e}");
    }
    let e = refused("S: +OK\nC: CAPA\nS: -ERR\nC: USER me\nS: +OK\nS: -ERR shutting down\n", &USUAL);
    assert!(e.is_farewell(), "{e}");
}

// ---- UTF8 ----

const UTF8: Setup<'_> = Setup { utf8: true, ..USUAL };

#[test]
fn utf8_costs_no_round_trip_of_its_own() {
    let flight = offering(&["USER", "PIPELINING", "UTF8"]) + "C: UTF8\nC: USER me\nC: PASS tanstaaf\n";
    for (answer, accepted) in [("+OK", true), ("-ERR no", false)] {
        let transcript = format!("{flight}S: {answer}\nS: +OK\nS: +OK\n{CAPA_AGAIN}");
        session(&transcript, &UTF8, |client| {
            assert_eq!(client.login_facts().utf8, accepted);
            assert!(client.login_facts().utf8_offered);
        });
    }
}

#[test]
fn a_name_beyond_ascii_waits_for_the_answer_to_utf8() {
    let setup = Setup { user: "j\u{f6}rg", ..UTF8 };
    let transcript = offering(&["USER", "PIPELINING", "UTF8 USER"])
        + "C: UTF8\nS: +OK\nC: USER j\u{f6}rg\nC: PASS tanstaaf\nS: +OK\nS: +OK\n"
        + CAPA_AGAIN;
    session(&transcript, &setup, |client| assert!(client.login_facts().utf8));
}

#[test]
fn a_server_that_closes_the_connection_at_utf8_is_recognised() {
    let waits = offering(&["USER", "UTF8"]) + "C: UTF8\n";
    let e = refused(&format!("{waits}S: (closes)\n"), &UTF8);
    assert!(matches!(e, Error::HungUpOnUtf8(_)), "{e}");
    // It refuses, and then closes.
    let e = refused(&format!("{waits}S: -ERR\nC: USER me\nS: (closes)\n"), &UTF8);
    assert!(matches!(e, Error::HungUpOnUtf8(_)), "{e}");
    // It accepts, and closes later: something else.
    let e = refused(&format!("{waits}S: +OK\nC: USER me\nS: (closes)\n"), &UTF8);
    assert!(e.is_closed() && !matches!(e, Error::HungUpOnUtf8(_)), "{e}");
}

/// What follows in the same flight would be sent before the answer is known: after a server that closes the connection
/// nothing has been.
#[test]
fn what_depends_on_the_answer_to_utf8_is_not_sent_with_it() {
    let asked = offering(&["USER", "PIPELINING", "UTF8 USER"]) + "C: UTF8\nS: (closes)\n";
    for (user, password) in [("j\u{f6}rg", "tanstaaf"), ("me", "tanst\u{e4}f")] {
        let e = refused(&asked, &Setup { user, password, ..UTF8 });
        assert!(matches!(e, Error::HungUpOnUtf8(_)), "{e}");
    }
}

/// RFC 6856 §2.2: by SASLprep, or octet by octet.
#[test]
fn names_and_passwords_are_prepared_only_for_a_server_that_takes_them_in_utf8() {
    let setup = Setup { password: "t\u{ff41}nstaaf", ..UTF8 };
    for (offer, sent) in [("UTF8 USER", "tanstaaf"), ("UTF8", "t\u{ff41}nstaaf")] {
        let login = format!("C: UTF8\nS: +OK\nC: USER me\nC: PASS {sent}\nS: +OK\n");
        let transcript = offering(&["USER", "PIPELINING", offer]) + &login;
        session(&format!("{transcript}S: +OK\n{CAPA_AGAIN}"), &setup, |client| {
            assert!(client.login_facts().utf8);
        });
        let e = refused(&format!("{transcript}S: -ERR {sent} is wrong\n"), &setup);
        assert!(e.to_string().ends_with("\"*** is wrong\""), "{e}");
    }
}

#[test]
fn utf8_travels_with_every_kind_of_login() {
    let greeting = "S: +OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\nC: CAPA\nS: +OK\n";
    let offer = "S: PIPELINING\nS: UTF8\nS: SASL PLAIN\nS: .\nC: UTF8\n";
    for (auth, command) in [
        (Auth::Apop, "APOP me c4c9334bac560ecc979e58001b3e22fb"),
        (Auth::Plain, "AUTH PLAIN AG1lAHRhbnN0YWFm"),
    ] {
        for (answer, accepted) in [("+OK", true), ("-ERR", false)] {
            let login = format!("C: {command}\nS: {answer}\nS: +OK\n{CAPA_AGAIN}");
            session(&format!("{greeting}{offer}{login}"), &Setup { auth, ..UTF8 }, |client| {
                assert_eq!(client.login_facts().utf8, accepted, "{command}");
            });
        }
    }
}

/// Some servers announce it, and don't take it.
#[test]
fn pipelining_that_is_switched_off_is_not_used() {
    let setup = Setup { pipelining: false, ..USUAL };
    let e = refused(&(offering(&["USER", "PIPELINING"]) + "C: USER me\nS: (closes)\n"), &setup);
    assert!(e.is_closed(), "{e}");
}

/// A password can be found out from it.
#[test]
fn an_answer_to_a_challenge_that_the_server_echoes_is_masked() {
    let setup = Setup { auth: Auth::CramMd5, ..USUAL };
    let answer = "bWUgODVhMmRlYWViNTIwOWIwZjU0ZDQwNzU5ZGFjYzI0YzQ=";
    let transcript = offering(&["SASL CRAM-MD5"])
        + "C: AUTH CRAM-MD5\nS: + PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\n"
        + &format!("C: {answer}\nS: -ERR what is {answer}, 85a2deaeb5209b0f54d40759dacc24c4?\n");
    let e = refused(&transcript, &setup);
    assert!(!e.to_string().contains("85a2dea") && !e.to_string().contains(&answer[8..]), "{e}");
}

/// Only a mechanism can be offered no longer: USER is all that there may be without CAPA.
#[test]
fn a_password_that_is_refused_is_not_asked_about() {
    let setup = Setup { remembered: Some("USER"), ..AUTOMATIC };
    let e = refused("S: +OK\nC: USER me\nS: +OK\nC: PASS tanstaaf\nS: -ERR no\n", &setup);
    assert_eq!((code(&e), secret_sent(&e)), (77, Some(true)));
}

/// Whoever can speak on the line could pin the account to a mechanism that its server doesn't have.
#[test]
fn what_a_server_shows_on_a_clear_line_is_not_trusted() {
    for is_clear in [false, true] {
        let server = Server::new(&[super::LOGGED_IN]);
        let secret = Secret::new(super::PASSWORD);
        let login = Login {
            credentials: Credentials { user: "me", secret: &secret, host: "127.0.0.1", port: server.port },
            auth: Auth::UserPass,
            strongest_ever: None,
            pipelining: false,
            prefetch: None,
            flight: PrefetchFlight::Two,
        };
        let mut client = super::open(server.port, &USUAL).unwrap();
        if is_clear {
            client.link.connection.lead_away();
        }
        let client = client.login(&login).unwrap();
        assert_eq!(client.login_facts().trustworthy, !is_clear);
        client.hang_up();
        assert_eq!(server.rest(), [""; 0]);
    }
}

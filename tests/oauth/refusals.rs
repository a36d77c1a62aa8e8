//! What an authorization server may answer, and what a run makes of it: a sentence, an exit code, and no change in the store.

use super::{Scene, mail};
use crate::support::authorization::{Answer, http};

#[test]
fn each_answer_has_its_sentence_and_its_exit_code() {
    let scene = Scene::new();
    scene.log_in_for_a_moment();
    let before = scene.stored();
    let large =
        http("200 OK", "application/json", &format!("{{\"access_token\":\"{}\"}}", "x".repeat(65_600)));
    let raw = |octets: &str| Answer::Raw(octets.to_owned());
    let cases: Vec<(Answer, i32, &str)> = vec![
        (
            raw(&http("200 OK", "text/html", "<html>Log in to this network</html>")),
            76,
            "localhost answered with HTML, not with a token",
        ),
        (
            raw("HTTP/1.1 302 Found\r\nLocation: http://portal.example/?x=y\r\n\r\n"),
            76,
            "points to another address (status 302)",
        ),
        (raw(&large), 76, "larger than 64 KiB"),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"access_to"), 75, "in the middle of its answer"),
        (raw(""), 75, "without an answer"),
        (raw("+OK ready\r\n"), 76, "does not speak HTTP"),
        (raw(&http("200 OK", "application/json", "{\"hello\":1}")), 76, "other JSON, not with a token"),
        (
            raw(&http("200 OK", "application/json", "{\"access_token\":\"a\",\"token_type\":\"mac\"}")),
            76,
            "gave a token that can't be used: its type is not Bearer",
        ),
        (
            raw(&http(
                "200 OK",
                "application/json",
                &format!("{{\"access_token\":\"{}\"}}", "x".repeat(40_000)),
            )),
            76,
            "gave a token that can't be used: it is larger than 32 KiB",
        ),
        (raw(&http("200 OK", "application/json", "hello")), 76, "something else, not with a token"),
        (raw(&http("429 Slow", "application/json", "{}")), 75, "status 429"),
        (raw(&http("502 Bad", "text/html", "<html>")), 75, "status 502"),
        (Answer::Error("temporarily_unavailable", ""), 75, "can't give a token now"),
        (Answer::Error("interaction_required", "AADSTS50076: x"), 77, "second factor"),
        (Answer::Error("invalid_grant", "AADSTS700082: x"), 77, "90 days"),
        (Answer::Error("invalid_client", "AADSTS7000218: x"), 78, "allow public client flows"),
        (Answer::Error("unauthorized_client", ""), 78, "the client's id or secret is wrong"),
        (Answer::Error("invalid_grant", "refresh_token Grue-refresh-1 is bad"), 77, " *** is bad"),
    ];
    let asked = cases.len();
    for (answer, code, sentence) in cases {
        scene.authorization.state().answers = vec![answer];
        // Named, so that no pause holds.
        let run = scene.run(&["work"]);
        run.exits(code).complains(sentence);
        run.never_says("Grue-refresh").never_says("Quux-access");
        assert_eq!(scene.stored(), before, "{sentence}");
        let left: Vec<_> = scene.sandbox.files_with("Grue-refresh").into_iter().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
    assert_eq!(scene.authorization.refreshes(), asked);
    scene.run(&["work"]).succeeds();
    scene.holds_mail("work");
}

#[test]
fn a_server_that_cannot_be_reached_or_recognised_gets_nothing() {
    let scene = Scene::new();
    scene.log_in_for_a_moment();
    // Without the authority the certificate is a stranger's.
    let run = scene.sandbox.run(["work"]);
    run.exits(77).complains("certificate refused");
    assert_eq!(scene.authorization.refreshes(), 0);
}

#[test]
fn a_store_that_is_open_to_others_or_damaged_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    scene.log_in().succeeds();
    let store = &scene.stores()[0];
    std::fs::set_permissions(store, std::fs::Permissions::from_mode(0o644)).unwrap();
    scene.run(&["work"]).exits(78).complains("chmod");
    std::fs::set_permissions(store, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(store, "{\"popfetch_oauth\":1").unwrap();
    scene.run(&["work"]).exits(78).complains("no login that this popfetch understands");
    scene.log_in().succeeds();
    scene.run(&["work"]).succeeds();
}

#[test]
fn settings_that_do_not_go_together_are_shown_where_they_stand() {
    let scene = Scene::with(mail("XOAUTH2"), "");
    for (oauth, sentence) in [
        ("oauth = { provider = \"gogle\" }", "did you mean \"google\"?"),
        ("oauth = { client-id = \"x\" }", "it names nobody who gives tokens"),
        ("oauth = { issuer = \"http://a.example/\" }", "https://"),
        ("oauth = { issuer = \"https://a.example/\", provider = \"google\" }", "a provider is named as well"),
        ("oauth = { provider = \"google\", load-command = \"x\" }", "there is no save-command beside it"),
        (
            "oauth = { provider = \"google\", client-secret = \"x\", client-secret-file = \"y\" }",
            "two sources of the secret",
        ),
        ("oauth = { provder = \"google\" }", "did you mean \"provider\"?"),
        ("client-id = \"x\"", "belongs in the table of oauth"),
        ("oauth = \"google\"", "expected a table"),
    ] {
        scene.sandbox.config(scene.account("work", 110, oauth));
        scene.run(&[]).exits(78).complains(sentence);
    }
    // A firm's file beside the configuration brings its id.
    scene.sandbox.config(scene.account("work", scene.mail.port(), "oauth = { provider = \"firm\" }"));
    let url = |path| scene.authorization.url(path);
    scene.sandbox.write(
        ".config/popfetch/providers.toml",
        format!(
            "[firm]\ntitle = \"Firm\"\nauthorize-url = \"{}\"\ntoken-url = \"{}\"\nscope = \"mail\"\nclient-id = \"theirs\"\n\
             unused-days = 90\n",
            url("/authorize"),
            url("/token")
        ),
    );
    scene.log_in().succeeds();
    assert_eq!(scene.authorization.asked("/token")[0].get("client_id"), "theirs");
    scene.run(&["auth", "status"]).succeeds().says("Firm").says("longer when used");
    scene.sandbox.write(".config/popfetch/providers.toml", "[firm]\ntoken-url = \"x\"\n");
    scene.run(&[]).exits(78).complains("providers.toml:2:");
}

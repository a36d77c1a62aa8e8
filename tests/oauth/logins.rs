//! Logins: in the browser, by a code, by hand; what is stored; status, token, logout.

use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::{Scene, ask, mail, visit};
use crate::support::authorization::{Answer, CLIENT_SECRET};
use crate::support::sandbox::Sandbox;
use crate::support::tmux::Tmux;

/// The port that an address comes back to.
fn port(address: &str) -> u16 {
    let (_, after) = address.split_once("redirect_uri=http%3A%2F%2F127.0.0.1%3A").expect(address);
    after.split('%').next().unwrap().parse().unwrap()
}

#[test]
fn a_login_in_the_browser_ends_in_the_mailbox() {
    let scene = Scene::new();
    let running = scene.start(&["auth", "login"]);
    let address = scene.address();
    assert!(address.starts_with(&scene.authorization.url("/authorize?")), "{address}");
    assert!(address.contains("login_hint=me") && address.contains("scope=mail"), "{address}");
    let port = port(&address);
    // Whatever else comes first: nothing at all, other paths, another state, another method, and what is no HTTP.
    let idle = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
    let right = scene.authorization.agree(&address);
    let query = right.split_once('?').unwrap().1.to_owned();
    for request in [
        "GET /favicon.ico HTTP/1.1\r\n\r\n".to_owned(),
        "GET /?code=evil&state=evil HTTP/1.1\r\n\r\n".to_owned(),
        format!("POST /?{query} HTTP/1.1\r\n\r\n"),
        "+OK\r\n\r\n".to_owned(),
    ] {
        let answer = ask(port, &request).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{request}: {answer}");
    }
    let answer = visit(&right);
    assert!(answer.contains("return to the terminal"), "{answer}");
    assert!(
        answer.contains("Cache-Control: no-store\r\n") && answer.contains("Referrer-Policy: no-referrer\r\n")
    );
    assert!(!answer.contains("Frobozz"));
    let run = running.finish();
    run.succeeds().says("127.0.0.1 has let you in: 2 messages there, 2 new\n");
    drop(idle);
    let stores = scene.stores();
    assert_eq!(stores.len(), 1);
    assert!(run.err().contains(&format!("the tokens are kept in {}", stores[0].display())), "{}", run.err());
    assert_eq!(stores[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(stores[0].parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);

    // It is used as it is.
    let run = scene.run(&["-v"]);
    run.succeeds().complains("token from the store, good for ");
    scene.holds_mail("work");
    assert_eq!((scene.authorization.asked("/token").len(), scene.authorization.refreshes()), (1, 0));
}

#[test]
fn a_code_for_another_device() {
    let scene = Scene::new();
    scene.authorization.state().answers = vec![Answer::Error("authorization_pending", ""), Answer::Right];
    let run = scene.run(&["login", "--flow", "device"]);
    run.succeeds().says("2 messages there").complains("WDJB-MJHT").complains("/activate");
    run.never_says("Zork-device");
    assert_eq!(scene.authorization.asked("/token").len(), 2);
    for (error, code, sentence) in [
        ("access_denied", 77, "the access was refused"),
        ("expired_token", 77, "the code ran out"),
        ("invalid_scope", 78, "--flow browser"),
    ] {
        scene.authorization.state().answers = vec![Answer::Error(error, "")];
        scene.run(&["login", "--flow", "device"]).exits(code).complains(sentence);
    }
}

#[test]
fn a_server_that_wants_to_be_left_alone_for_longer_than_its_code_lasts_ends_the_login() {
    let scene = Scene::new();
    let later = "HTTP/1.1 429 Slow\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
    {
        let mut state = scene.authorization.state();
        (state.code_life, state.answers) = (2, vec![Answer::Raw(later.to_owned()); 9]);
    }
    let began = std::time::Instant::now();
    scene.run(&["login", "--flow", "device"]).exits(77).complains("the code ran out");
    assert_eq!(scene.authorization.asked("/token").len(), 1);
    assert!(began.elapsed() < Duration::from_secs(40), "it waited for what can't come");
}

#[test]
fn a_refusal_in_the_browser_and_an_answer_of_another_server() {
    let scene = Scene::new();
    let running = scene.start(&["login"]);
    let address = scene.authorization.agree(&scene.address());
    let state = address.split("state=").nth(1).unwrap();
    let base = address.split('?').next().unwrap();
    visit(&format!("{base}?error=access_denied&state={state}"));
    running.finish().exits(77).complains("the access was refused in the browser");
    assert!(scene.stores().is_empty());

    // RFC 9207: with an issuer that is known, the answer must be its.
    let issuer = scene.authorization.url("");
    scene.authorization.state().iss = Some("https://evil.example".to_owned());
    scene.sandbox.config(scene.account(
        "work",
        scene.mail.port(),
        &format!("oauth = {{ issuer = \"{issuer}\", client-id = \"x\", scope = \"mail\" }}"),
    ));
    std::fs::remove_file(scene.sandbox.path("address")).unwrap();
    let running = scene.start(&["login"]);
    let answer = visit(&scene.authorization.agree(&scene.address()));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    running.finish().exits(76).complains("came from another server");
    assert!(scene.authorization.asked("/token").is_empty(), "the code was sent to nobody");
}

#[test]
fn a_server_that_describes_itself_and_registers_its_clients() {
    let scene = Scene::new();
    let issuer = scene.authorization.url("");
    {
        let mut state = scene.authorization.state();
        (state.registers, state.iss, state.expires_in) = (true, Some(issuer.clone()), 10);
    }
    scene.sandbox.config(scene.account(
        "work",
        scene.mail.port(),
        &format!("oauth = {{ issuer = \"{issuer}\" }}"),
    ));
    scene.log_in().succeeds();
    let registration = &scene.authorization.asked("/register")[0];
    assert!(registration.get("json").contains("\"application_type\":\"native\""), "{registration:?}");
    assert_eq!(scene.authorization.asked("/token")[0].get("client_id"), "registered-client");
    // A renewal needs none of it again.
    scene.run(&[]).succeeds();
    let renewal = scene.authorization.asked("/token").pop().unwrap();
    assert_eq!(
        (renewal.get("client_id"), renewal.get("client_secret")),
        ("registered-client", "Wumpus-registered")
    );
    assert_eq!(scene.authorization.asked("/.well-known/oauth-authorization-server").len(), 1);
}

#[test]
fn an_address_can_be_pasted() {
    let scene = Scene::with(mail("XOAUTH2"), ", redirect = \"https://localhost\"");
    let command = "SSL_CERT_FILE=~/ca.pem BROWSER=~/bin/browser popfetch login";
    let Some(tmux) = Tmux::start(&scene.sandbox, (100, 40), command) else { return };
    tmux.wait_for("Paste its whole address here");
    let address = scene.authorization.agree(&scene.address());
    assert!(address.starts_with("https://localhost?code="), "{address}");
    tmux.keys(&["-l", "https://localhost/?code=wrong&state=wrong"]);
    tmux.keys(&["Enter"]);
    tmux.wait_for("That is not the address");
    tmux.keys(&["-l", &address]);
    tmux.keys(&["Enter"]);
    tmux.wait_for("2 messages there");
    tmux.wait_for("[0]");
}

#[test]
fn where_no_browser_is_the_address_is_printed_with_the_way_back() {
    let scene = Scene::with(mail("XOAUTH2"), "");
    let running = scene.start(&["login", "--flow", "browser", "--no-browser"]);
    // Only the user could open it, and the user has gone away.
    std::thread::sleep(Duration::from_millis(300));
    running.signal(rustix::process::Signal::INT);
    let run = running.finish();
    run.complains("open this page in a browser:").complains("ssh -L ");
    run.dies_by(rustix::process::Signal::INT);
}

#[test]
fn without_a_client_id_a_login_is_a_guide() {
    let sandbox = Sandbox::new();
    let with = |oauth: &str| {
        sandbox.config(format!(
            "[accounts.work]\nserver = \"pop.example.com\"\nuser = \"me\"\n{oauth}\ndeliver.maildir = \"~/mail\"\n"
        ));
        sandbox.run(["auth", "login", "work"])
    };
    let run = with("oauth.provider = \"google\"");
    run.exits(78).says("https://myaccount.google.com/apppasswords");
    let text = run.out();
    let (short, long) = (text.find("app password").unwrap(), text.find("Publish it").unwrap());
    assert!(short < long && text.contains("before you log in"), "{text}");
    with("oauth.provider = \"microsoft\"").exits(78).says("http://localhost");
    with("password = \"x\"").exits(78).complains("does not log in by OAuth");
}

#[test]
fn status_shows_what_is_due_and_never_a_token() {
    let scene = Scene::new();
    scene.run(&["auth", "status"]).exits(1).says("due: popfetch auth login work");
    scene.run(&["auth", "status", "--json"]).exits(1).says("\"due\":true");
    scene.log_in().succeeds();
    let run = scene.run(&["auth", "status"]);
    run.succeeds().says("ok");
    run.never_says("Quux-access").never_says("Grue-refresh");
    scene.run(&["auth", "status", "--json"]).succeeds().says("\"due\":false");
}

#[test]
fn a_token_for_another_program_and_a_logout() {
    let scene = Scene::new();
    scene.run(&["auth", "token", "work"]).exits(77).complains("popfetch auth login work").says("");
    scene.log_in().succeeds();
    scene.run(&["auth", "token", "work"]).succeeds().says("Quux-access-0\n");
    let run = scene.run(&["logout", "work"]);
    run.succeeds().complains("has taken the tokens back");
    assert_eq!(scene.authorization.asked("/revoke")[0].get("token"), "Grue-refresh-1");
    assert!(scene.stores().is_empty());
    scene.run(&["auth", "logout", "work"]).succeeds().complains("there was no login");
    scene.run(&[]).exits(77).complains("work isn't logged in").complains("popfetch auth login work");
}

#[test]
fn the_mailbox_may_refuse_a_good_token() {
    let options = mail("XOAUTH2")
        .without("AUTH-RESP-CODE")
        .instead("AUTH", "-ERR Authentication failure: unknown user name or bad password.\r\n");
    let scene = Scene::with(options, "");
    let run = scene.log_in();
    run.exits(77).complains("the token is kept").complains("POP may be switched off");
    assert_eq!(scene.stores().len(), 1);
}

#[test]
fn the_clients_secret_comes_from_where_it_is_kept() {
    let secret = format!(", client-secret = \"{CLIENT_SECRET}\"");
    let scene = Scene::with(mail("XOAUTH2"), &secret);
    scene.authorization.state().secret = true;
    scene.log_in().succeeds();
    let path = scene.sandbox.path(".config/popfetch/config.toml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    scene.run(&[]).exits(78).complains("chmod");
    scene.configure(", client-secret-command = \"echo Xyzzy-Plugh-secret\"");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    scene.log_in().succeeds();
    scene.configure("");
    std::fs::remove_file(scene.sandbox.path("address")).unwrap();
    let running = scene.start(&["login"]);
    visit(&scene.authorization.agree(&scene.address()));
    running.finish().exits(78).complains("id or secret is wrong");
}

#[test]
fn a_login_that_ends_soon_is_part_of_the_status() {
    let scene = Scene::new();
    scene.log_in().succeeds();
    scene.run(&[]).succeeds();
    scene.run(&["status"]).succeeds().says("ok");
    let store = &scene.stores()[0];
    let mut record = scene.stored();
    record.insert("refresh_ends".to_owned(), (record["obtained"].as_i64().unwrap() + 2 * 86_400).into());
    std::fs::write(store, serde_json::to_vec(&record).unwrap()).unwrap();
    scene.run(&["status"]).exits(1).says("the login ends ");
    scene.run(&["status", "--json"]).exits(1).says("\"login-ends\"");
    scene.run(&["status", "-v"]).exits(1).says("popfetch auth login work");
}

//! Renewal: once for all who ask, saved before it is used, and again when the mail server gives a token up.

use std::time::Duration;

use super::{Scene, mail, wait_for};
use crate::support::authorization::Answer;
use crate::support::proxy::{Kind, Proxy};
use crate::support::server::Server;

/// Accounts `a0` to `a7` with one login, whose token is about to end.
fn eight_accounts() -> (Scene, Vec<Server>) {
    let scene = Scene::new();
    scene.log_in_for_a_moment();
    let servers: Vec<Server> = (0..8).map(|_| Server::start(mail("XOAUTH2"))).collect();
    let oauth = scene.oauth("");
    let accounts: String = servers
        .iter()
        .enumerate()
        .map(|(n, server)| scene.account(&format!("a{n}"), server.port(), &oauth))
        .collect();
    scene.sandbox.config(accounts);
    (scene, servers)
}

#[test]
fn eight_processes_renew_once_and_all_deliver() {
    let (scene, _servers) = eight_accounts();
    scene.authorization.state().delay = Duration::from_millis(500);
    let names: Vec<String> = (0..8).map(|n| format!("a{n}")).collect();
    let running: Vec<_> = names.iter().map(|name| scene.start(&[name])).collect();
    for running in running {
        running.finish().succeeds();
    }
    assert_eq!(scene.authorization.refreshes(), 1);
    assert_eq!(scene.authorization.state().families_ended, 0);
    names.iter().for_each(|name| scene.holds_mail(name));
}

#[test]
fn the_accounts_of_one_process_renew_once() {
    let (scene, _servers) = eight_accounts();
    scene.authorization.state().delay = Duration::from_millis(300);
    scene.run(&[]).succeeds();
    assert_eq!(scene.authorization.refreshes(), 1);
    (0..8).for_each(|n| scene.holds_mail(&format!("a{n}")));
}

#[test]
fn a_renewed_token_is_reported_and_used_by_either_mechanism() {
    for (mechanisms, sent) in
        [("PLAIN XOAUTH2 OAUTHBEARER", "AUTH XOAUTH2"), ("OAUTHBEARER PLAIN", "AUTH OAUTHBEARER")]
    {
        let scene = Scene::with(mail(mechanisms), "");
        scene.log_in_for_a_moment();
        let run = scene.run(&["-v", "--json"]);
        run.succeeds().complains("token refreshed at localhost");
        assert!(
            run.out().contains("\"type\":\"token-refreshed\",\"host\":\"localhost\",\"expires_in\":3600"),
            "{}",
            run.out()
        );
        scene.holds_mail("work");
        assert!(scene.mail.count(sent) > 0, "{mechanisms}");
        assert_eq!(scene.stored()["refresh_token"], "Grue-refresh-2");
    }
}

#[test]
fn a_dry_run_may_renew_and_reports_it() {
    let scene = Scene::new();
    scene.log_in_for_a_moment();
    scene.run(&["--dry-run"]).succeeds().complains("the token was renewed and stored");
    assert_eq!(scene.stored()["refresh_token"], "Grue-refresh-2");
}

#[test]
fn a_token_that_the_mail_server_has_given_up_is_renewed_once() {
    let scene = Scene::new();
    scene.log_in().succeeds();
    scene.authorization.state().access = "Quux-access-1".to_owned();
    scene.mail.change(|options| options.accounts[0].password = "Quux-access-1".to_owned());
    let run = scene.run(&["-v"]);
    run.succeeds().complains("another token is asked for");
    scene.holds_mail("work");
    assert_eq!(scene.authorization.refreshes(), 1);
    // That helps no more where a new one is refused as well.
    scene.mail.change(|options| options.accounts[0].password = "Quux-access-2".to_owned());
    let sessions = scene.mail.sessions();
    let run = scene.run(&[]);
    run.exits(77)
        .complains("status \"401\", scope \"https://mail.example/\"")
        .complains("popfetch auth login");
    assert_eq!((scene.authorization.refreshes(), scene.mail.sessions()), (2, sessions + 2));
    // And is paused like a wrong password, until the user insists or logs in.
    scene.run(&["-q"]).exits(77).is_silent();
    assert_eq!((scene.authorization.refreshes(), scene.mail.sessions()), (2, sessions + 2));
}

#[test]
fn an_answer_without_a_refresh_token_leaves_the_old_one() {
    let scene = Scene::new();
    scene.authorization.state().rotates = false;
    scene.log_in_for_a_moment();
    scene.run(&[]).succeeds();
    let stored = scene.stored();
    assert_eq!(stored["refresh_token"], "Grue-refresh-1");
    assert_eq!(stored["ends"].as_i64().unwrap() - stored["obtained"].as_i64().unwrap(), 3600);
}

#[test]
fn a_clock_that_jumps_costs_a_renewal_and_nothing_else() {
    let scene = Scene::new();
    scene.log_in().succeeds();
    let path = &scene.stores()[0];
    let text = std::fs::read_to_string(path).unwrap();
    for days in [-400_i64, 400] {
        let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
        for key in ["obtained", "ends", "login"] {
            record[key] = (record[key].as_i64().unwrap() + days * 86_400).into();
        }
        record["refresh_token"] = scene.authorization.seed().into();
        std::fs::write(path, record.to_string()).unwrap();
        let before = scene.authorization.refreshes();
        scene.run(&["--all"]).succeeds();
        assert_eq!(scene.authorization.refreshes(), before + 1, "{days}");
        scene.run(&["--all"]).succeeds();
        assert_eq!(scene.authorization.refreshes(), before + 1, "{days}");
    }
}

#[test]
fn a_first_interrupt_does_not_cut_a_renewal_that_is_out() {
    let scene = Scene::new();
    scene.log_in_for_a_moment();
    scene.authorization.state().delay = Duration::from_millis(700);
    let running = scene.start(&[]);
    wait_for("the question", || (scene.authorization.refreshes() > 0).then_some(()));
    running.signal(rustix::process::Signal::INT);
    running.finish().dies_by(rustix::process::Signal::INT);
    assert_eq!(scene.stored()["refresh_token"], "Grue-refresh-2");
    scene.authorization.state().delay = Duration::ZERO;
    scene.run(&[]).succeeds();
    assert_eq!((scene.authorization.refreshes(), scene.authorization.state().families_ended), (1, 0));
}

#[test]
fn another_login_ends_the_pause_of_one_that_has_ended() {
    let scene = Scene::new();
    scene.log_in_for_a_moment();
    scene.authorization.state().refresh = None;
    let run = scene.run(&["-q"]);
    run.exits(77).complains("the login has ended").complains("log in again: popfetch auth login work");
    // Nothing is wiped, and the server isn't hammered.
    assert_eq!(scene.stores().len(), 1);
    assert_eq!(scene.authorization.refreshes(), 1);
    scene.run(&["-q"]).exits(77).is_silent();
    assert_eq!(scene.authorization.refreshes(), 1);
    scene.run(&["auth", "status"]).exits(1).says("refused: popfetch auth login work");
    scene.run(&["auth", "status", "--json"]).exits(1).says("\"due\":true");
    scene.log_in().succeeds();
    scene.run(&["auth", "status"]).exits(0);
    scene.run(&["-q"]).succeeds();
    scene.holds_mail("work");
}

#[test]
fn a_server_that_wants_to_be_left_alone_is_left_alone() {
    let scene = Scene::new();
    scene.log_in_for_a_moment();
    let later = "HTTP/1.1 503 Busy\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n";
    scene.authorization.state().answers = vec![Answer::Raw(later.to_owned())];
    scene.run(&[]).exits(75).complains("status 503");
    scene.run(&[]).exits(75).complains("it asked to be left alone for ");
    assert_eq!(scene.authorization.refreshes(), 1);
}

#[test]
fn a_token_is_never_sent_in_clear() {
    let scene = Scene::new();
    let clear = |auth: &str| {
        let account = scene.account("work", 110, &scene.oauth("")).replace("127.0.0.1", "pop.example.com");
        scene.sandbox.config(format!("{account}{auth}\n"));
        scene.run(&["config", "check"])
    };
    clear("").exits(78).says("a token is never sent in clear");
    clear("auth = \"xoauth2\"").exits(78).says("a token is never sent in clear");
    clear("auth = \"plain\"").exits(78);
    clear("password = \"x\"").exits(78).says("two sources of the password");
}

#[test]
fn the_authorization_server_has_a_proxy_of_its_own() {
    let scene = Scene::new();
    let port = scene.authorization.port;
    let (own, other) = (Proxy::start(Kind::Http, port), Proxy::start(Kind::Socks, port));
    let account = |proxy: &str, more: &str| {
        scene.configure("");
        scene.log_in_for_a_moment();
        let oauth = scene.oauth(&format!(", proxy = \"{proxy}\""));
        scene.sandbox.config(format!("{}{more}\n", scene.account("work", scene.mail.port(), &oauth)));
        scene.run(&["auth", "token", "work"])
    };
    account(&own.url(), "connect-command = \"exit 1\"").succeeds();
    assert_eq!((own.requests().len(), other.requests().len()), (1, 0));
    account(&own.url(), &format!("proxy = \"{}\"", other.url())).succeeds();
    assert_eq!((own.requests().len(), other.requests().len()), (2, 0));
    account("none", &format!("proxy = \"{}\"", other.url())).succeeds();
    assert_eq!((own.requests().len(), other.requests().len()), (2, 0));
    // Its password is as secret as that of the account's.
    let url = own.url().replace("://", "://me:Xyzzy-proxy@");
    account(&url, "").succeeds().never_says("Xyzzy-proxy");
    scene.run(&["config", "show"]).succeeds().never_says("Xyzzy-proxy");
    let path = scene.sandbox.path(".config/popfetch/config.toml");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    scene.run(&["auth", "token", "work"]).exits(78).complains("chmod 600").never_says("Xyzzy-proxy");
}

#[test]
fn the_authorization_server_is_asked_by_the_proxy_of_the_account_and_by_no_other_way() {
    let scene = Scene::new();
    let url = scene.authorization.url("/token");
    let place = url.strip_prefix("https://").and_then(|url| url.strip_suffix("/token")).unwrap();
    let port = place.rsplit_once(':').unwrap().1.parse().unwrap();
    for (kind, refreshes) in [(Kind::Socks, 1), (Kind::Http, 2)] {
        let proxy = Proxy::start(kind, port);
        scene.configure("");
        scene.log_in_for_a_moment();
        let account = scene.account("work", scene.mail.port(), &scene.oauth(""));
        scene.sandbox.config(format!("{account}proxy = \"{}\"\n", proxy.url()));
        scene.run(&["auth", "token", "work"]).succeeds();
        assert_eq!(proxy.requests(), [place]);
        assert_eq!(scene.authorization.refreshes(), refreshes);
    }
    // A program that connects to the mail server doesn't connect there.
    scene.configure("");
    scene.log_in_for_a_moment();
    let account = scene.account("work", scene.mail.port(), &scene.oauth(""));
    scene.sandbox.config(format!("{account}connect-command = \"exit 1\"\n"));
    scene.run(&["auth", "token", "work"]).succeeds();
    assert_eq!(scene.authorization.refreshes(), 3);
    // Neither does a token go out in clear text because the proxy stands on loopback.
    let mail = Proxy::start(Kind::Socks, scene.mail.port());
    scene.sandbox.config(format!("{account}proxy = \"{}\"\n", mail.url()));
    let before = scene.mail.sessions();
    let run = scene.run(&[]);
    run.exits(77).never_says("Quux-access");
    let sent: Vec<String> =
        (before + 1..=scene.mail.sessions()).flat_map(|n| scene.mail.commands(n)).collect();
    assert!(!sent.iter().any(|line| line.starts_with("AUTH")), "{sent:?}");
}

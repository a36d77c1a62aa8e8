//! `popfetch server`: what a server reports of itself.

use super::{Better, Server, find_server, probe, refused_leaf, server_info, try_login};
use crate::client;
use crate::exit::ExitCode;
use crate::retrieval::trial::{Home, Post};
use crate::retrieval::visit::tests::letters;

fn home() -> Home {
    Home::holding(&letters(&["a", "b"]))
}

#[test]
fn a_look_shows_greeting_and_capabilities_and_logs_in_only_if_asked() {
    let home = home();
    let account = home.account("");
    let info = server_info(&account, &home.options(), false, &home.context()).unwrap();
    assert_eq!((info.greeting.as_str(), info.protection), ("ready", None));
    assert!(info.before_login.as_ref().unwrap().uidl());
    assert!(info.login.is_none() && info.certificate.is_none() && info.before_tls.is_none());
    assert_eq!(home.sent().len(), 0, "nobody has logged in");

    let info = server_info(&account, &home.options(), true, &home.context()).unwrap();
    let login = info.login.unwrap().unwrap();
    assert_eq!((login.mechanism, login.drop_listing.map(|(messages, _)| messages)), ("USER", Some(2)));
    assert!(login.capabilities.is_some_and(|capabilities| capabilities.top()));
}

/// A refused login is a part of what is shown; one that isn't there at all ends it.
#[test]
fn a_login_that_fails_is_shown_with_the_rest() {
    let home = home();
    let account = home.account("");
    home.post().refused_before = vec![("PASS".to_owned(), "-ERR [AUTH] wrong password".to_owned())];
    let info = server_info(&account, &home.options(), true, &home.context()).unwrap();
    let e = info.login.unwrap().unwrap_err();
    assert_eq!(e.exit, ExitCode::Refused, "{}", e.message);
    assert_eq!(info.greeting, "ready");
    let e = try_login(&account, &home.options(), &home.context()).unwrap_err();
    assert_eq!(e.exit, ExitCode::Refused, "{}", e.message);
}

#[test]
fn a_login_shows_how_much_there_is_and_retrieves_nothing() {
    let home = home();
    let login = try_login(&home.account(""), &home.options(), &home.context()).unwrap();
    assert_eq!(login.drop_listing.map(|(messages, _)| messages), Some(2));
    assert_eq!(home.sent().len(), 1);
    assert!(
        !home.sent().concat().iter().any(|command| command.starts_with("RETR") || command.starts_with("TOP"))
    );
}

#[test]
fn a_server_that_is_there_can_be_probed_without_a_password() {
    let home = home();
    probe(&home.account(""), &home.context()).unwrap();
    assert_eq!(home.sent().len(), 0);
    let closed = home.account_at_a_closed_port();
    let e = probe(&closed, &home.context()).unwrap_err();
    assert_eq!(e.exit, ExitCode::Later, "{}", e.message);
}

/// In clear text anything with TLS would be better, where the server has it; this one has none.
#[test]
fn no_better_setting_is_named_that_does_not_work() {
    let home = home();
    let info = server_info(&home.account(""), &home.options(), false, &home.context()).unwrap();
    assert!(!info.better.contains(&Better::StartTls), "{:?}", info.better);
    assert!(!info.better.contains(&Better::Chain), "nothing is pinned");
}

/// Of the two usual ways the failure of the first is reported: it is about what the user most likely has.
#[test]
fn a_server_that_is_nowhere_is_reported_by_its_usual_port() {
    let home = home();
    home.stop.raise();
    let e = find_server("127.0.0.1", Some(9), &home.context()).unwrap_err();
    assert!(e.message.contains(":9") || e.message.contains("stopped"), "{}", e.message);
}

#[test]
fn an_address_of_ipv6_is_named_in_brackets() {
    let home = home();
    for (host, expected) in
        [("pop.example.com", "pop.example.com:995"), ("::1", "[::1]:995"), ("192.0.2.1", "192.0.2.1:995")]
    {
        let account = crate::account::Account { host: host.to_owned(), port: 995, ..home.account("") };
        assert_eq!(Server::of(&account).name(), expected);
    }
}

/// Another port or setting is only an aside: it isn't waited for as long as the account's own.
#[test]
fn another_setting_is_waited_for_ten_seconds_at_most() {
    let home = home();
    for (own, expected) in [(3, 3), (10, 10), (60, 10)] {
        let timeout = std::time::Duration::from_secs(own);
        let account = crate::account::Account { timeout, ..home.account("") };
        let other = Server::of(&account).with(995, crate::account::Tls::Implicit);
        assert_eq!(other.timeout.as_secs(), expected);
        assert_eq!((other.port, other.host), (995, account.host));
    }
}

/// Only a refused certificate is looked at all the same.
#[test]
fn only_a_refused_certificate_is_pinned_for_a_look() {
    assert_eq!(refused_leaf(&client::Error::Stopped), None);
    let silent =
        client::Error::TimedOut { server: "h:995".to_owned(), during: "TLS".to_owned(), pipelined: false };
    assert_eq!(refused_leaf(&silent), None);
}

/// A server that has no CAPA, or refuses STAT, leaves these out.
#[test]
fn what_a_server_does_not_say_is_left_out() {
    let refused = vec![("STAT".to_owned(), "-ERR no".to_owned())];
    let home = Home::new(Post { letters: letters(&["a"]), refused, ..Post::default() });
    let login = try_login(&home.account(""), &home.options(), &home.context()).unwrap();
    assert_eq!(login.drop_listing, None);
    let refused_before = vec![("CAPA".to_owned(), "-ERR what".to_owned())];
    let home = Home::new(Post { letters: letters(&["a"]), refused_before, ..Post::default() });
    let info = server_info(&home.account(""), &home.options(), false, &home.context()).unwrap();
    assert!(info.before_login.is_none());
}

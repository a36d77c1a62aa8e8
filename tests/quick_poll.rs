//! One flight, and the quick poll: what they cost, and that servers which insert, reorder, renumber, or delete and add
//! lose nothing by them.

use crate::mailbox::{Served, change_memory, good, move_back, serve};
use crate::support::certificates::{Authority, Leaf};
use crate::support::relay::Line;
use crate::support::server::{Cut, Message, Options, Server, Tls};

fn message(name: &str) -> Message {
    Message::new(name, body(name))
}

fn body(name: &str) -> String {
    format!(
        "Received: by pop.example.org\r\nSubject: {name}\r\nMessage-ID: <{name}@example.org>\r\n\r\n{name:<20}\r\n"
    )
}

fn messages(names: &[&str]) -> Vec<Message> {
    names.iter().map(|name| message(name)).collect()
}

/// A mailbox that has been polled until there is nothing to learn: the next poll is a quick one.
fn settled(names: &[&str], keys: &str) -> Served {
    settled_on(good(messages(names)), keys)
}

fn settled_on(options: Options, keys: &str) -> Served {
    let served = serve(options, keys);
    served.fetch().succeeds();
    served.fetch().succeeds();
    served
}

/// Another poll: the commands that it sent.
#[track_caller]
fn poll(served: &Served) -> Vec<String> {
    served.fetch().succeeds();
    served.server.commands(served.server.sessions())
}

#[track_caller]
fn holds(served: &Served, names: &[&str]) {
    served.holds(names.iter().map(|name| crate::support::mail::stored(body(name).as_bytes())));
}

fn is_quick(commands: &[String]) -> bool {
    commands.iter().any(|command| command == "STAT") && !commands.iter().any(|command| command == "UIDL")
}

#[test]
fn an_idle_poll_asks_for_three_lines_and_writes_nothing() {
    let served = settled(&["a", "b", "c"], "");
    let before = served.sandbox.files();
    assert_eq!(poll(&served), ["USER me", "PASS secret", "STAT", "UIDL 1", "UIDL 3", "QUIT"]);
    assert_eq!(served.sandbox.files(), before);
    served.sandbox.run(["-v"]).succeeds().complains("nothing new  3 kept on the server");
    let one = settled(&["a"], "");
    assert_eq!(poll(&one), ["USER me", "PASS secret", "STAT", "UIDL 1", "QUIT"]);
}

#[test]
fn an_idle_poll_waits_twice() {
    let options = good(messages(&["a", "b", "c"]));
    let served = settled_on(Options { line: Some(Line::default()), ..options }, "");
    let relay = served.server.relay().unwrap();
    let cost = || {
        let (waits, (up, down)) = (relay.waits(), relay.octets());
        let commands = poll(&served);
        let (up_now, down_now) = relay.octets();
        (commands, relay.waits() - waits, up_now - up + down_now - down)
    };
    let (commands, waits, octets) = cost();
    assert!(is_quick(&commands));
    // The greeting, and the flight; QUIT is on its way with nothing awaited, which may count as one.
    assert!(waits <= 3 && octets < 300, "{waits} waits, {octets} octets");
    served.configure(served.server.port(), "listing = \"full\"");
    let (commands, waits, _) = cost();
    // Two headers are looked at with each full listing.
    let rest: Vec<_> = commands.iter().filter(|command| !command.starts_with("TOP ")).collect();
    assert_eq!(rest, ["USER me", "PASS secret", "CAPA", "STAT", "UIDL", "QUIT"]);
    assert_eq!(commands.len() - rest.len(), 2);
    assert!(waits <= 3, "{waits} waits");
}

/// What comes into an emptied maildrop is new: its sizes travel with the listing.
#[test]
fn new_mail_in_an_emptied_maildrop_waits_four_times() {
    let options = Options { line: Some(Line::default()), ..good(messages(&["a"])) };
    let served = settled_on(options, "leave-on-server = false");
    served.server.add("me", [message("b")]);
    let relay = served.server.relay().unwrap();
    let before = relay.waits();
    let commands = poll(&served);
    let waits = relay.waits() - before;
    assert_eq!(commands[..6], ["USER me", "PASS secret", "CAPA", "STAT", "UIDL", "LIST"]);
    // Five, if LIST waited for UIDL's answer.
    assert!(waits <= 4, "{waits} waits");
    holds(&served, &["a", "b"]);
}

#[test]
fn what_is_new_at_the_end_is_seen_at_once() {
    let served = settled(&["a", "b"], "");
    for new in ["c", "d"] {
        assert!(is_quick(&poll(&served)));
        served.server.add("me", [message(new)]);
        let commands = poll(&served);
        assert_eq!(commands[2..5], ["STAT", "UIDL 1", if new == "c" { "UIDL 2" } else { "UIDL 3" }]);
        assert_eq!(commands[5..9], ["CAPA", "STAT", "UIDL", "LIST"]);
    }
    holds(&served, &["a", "b", "c", "d"]);
    assert!(is_quick(&poll(&served)));
}

/// As many as before, but other ones: each differs from what was left by the octets, or by the first or the last.
#[test]
fn what_takes_the_place_of_another_is_seen_at_once() {
    for (left, expected) in [
        (["new", "b", "c"], "new"),
        (["a", "b", "new"], "new"),
        (["b", "c", "new"], "new"),
        (["new", "a", "b"], "new"),
    ] {
        let served = settled(&["a", "b", "c"], "");
        served.server.replace("me", messages(&left));
        assert!(!is_quick(&poll(&served)), "{left:?}");
        holds(&served, &["a", "b", "c", expected]);
    }
}

/// As many octets as before: only the first, or the last, unique-id shows that it's another.
#[test]
fn another_message_of_the_same_size_is_seen_at_once() {
    for left in [["d", "b", "c"], ["a", "b", "d"]] {
        let served = settled(&["a", "b", "c"], "");
        let octets =
            |server: &Server| server.maildrop("me").iter().map(|message| message.listed).sum::<u64>();
        let before = octets(&served.server);
        served.server.replace("me", messages(&left));
        assert_eq!(octets(&served.server), before);
        assert!(!is_quick(&poll(&served)), "{left:?}");
        holds(&served, &["a", "b", "c", "d"]);
    }
}

/// Moves the remembered time of its last full listing back by this many seconds.
fn age_listing(served: &Served, seconds: i64) {
    change_memory(&served.sandbox, |memory| move_back(&mut memory["quick"], &["listed"], seconds));
}

#[test]
fn full_listing_every() {
    for (keys, oldest) in [("full-listing-every = \"1h\"", 3_600), ("full-listing-every = \"2d\"", 172_800)] {
        let served = settled(&["a", "b"], keys);
        for (age, quick) in [(oldest - 300, true), (oldest, false), (oldest + 300, false), (-300, false)] {
            served.fetch().succeeds();
            age_listing(&served, age);
            assert_eq!(is_quick(&poll(&served)), quick, "{age} seconds, {keys}");
        }
    }
}

/// The one change that a quick poll cannot see waits for a full listing, after which this server gets no more quick
/// polls.
#[test]
fn replacement_in_the_middle_waits_for_a_full_listing() {
    let served = settled(&["a", "b", "c"], "");
    served.server.replace("me", messages(&["a", "x", "c"]));
    assert!(is_quick(&poll(&served)));
    holds(&served, &["a", "b", "c"]);
    served.configure(served.server.port(), "full-listing-every = \"1s\"\nlisting = \"full\"");
    assert!(!is_quick(&poll(&served)));
    holds(&served, &["a", "b", "c", "x"]);
    served.configure(served.server.port(), "");
    for _ in 0..3 {
        assert!(!is_quick(&poll(&served)), "a server that inserts is believed no more");
    }
}

#[test]
fn a_server_that_inserts_gets_full_listings() {
    for left in [&["new", "a", "b"][..], &["a", "new", "b"]] {
        let served = settled(&["a", "b"], "");
        served.server.replace("me", messages(left));
        assert!(!is_quick(&poll(&served)));
        holds(&served, &["a", "b", "new"]);
        for _ in 0..3 {
            assert!(!is_quick(&poll(&served)), "{left:?}");
        }
    }
}

#[test]
fn a_server_that_reorders_gets_full_listings() {
    let served = settled(&["a", "b", "c"], "");
    served.server.replace("me", messages(&["c", "b", "a"]));
    for _ in 0..4 {
        assert!(!is_quick(&poll(&served)));
    }
    holds(&served, &["a", "b", "c"]);
}

#[test]
fn a_server_that_renumbers_gets_full_listings() {
    let served = settled(&["a", "b"], "");
    served
        .server
        .replace("me", [message("a").named("n1"), message("b").named("n2"), message("c").named("n3")]);
    for _ in 0..4 {
        assert!(!is_quick(&poll(&served)));
    }
    holds(&served, &["a", "b", "c"]);
}

#[test]
fn a_poll_after_the_first_run_is_quick_already() {
    let served = serve(good(messages(&["a", "b"])), "");
    assert!(!is_quick(&poll(&served)));
    assert!(is_quick(&poll(&served)));
}

/// Whatever the memory holds: a ledger that doesn't end in order is read, and repaired, before anything is asked.
#[test]
fn a_ledger_that_was_broken_off_is_read_first() {
    let served = settled(&["a", "b"], "");
    let files = served.sandbox.files();
    let (ledger, whole) = files.iter().find(|(path, _)| path.ends_with("ledger")).unwrap();
    std::fs::write(served.sandbox.home().join(ledger), &whole[..whole.len() - 3]).unwrap();
    let commands = {
        served.fetch().succeeds().complains("was not finished");
        served.server.commands(served.server.sessions())
    };
    assert!(!is_quick(&commands));
    assert!(is_quick(&poll(&served)));
    holds(&served, &["a", "b"]);
}

/// That nothing is new is no reason to be silent about a Maildir that isn't mounted.
#[test]
fn missing_maildir_is_reported_though_nothing_is_new() {
    let served = settled(&["a"], "");
    std::fs::rename(served.path(), served.sandbox.path("elsewhere")).unwrap();
    served.fetch().exits(75);
    std::fs::rename(served.sandbox.path("elsewhere"), served.path()).unwrap();
    served.fetch().succeeds();
    holds(&served, &["a"]);
}

#[test]
fn what_was_put_off_is_no_idle_maildrop() {
    let served = settled(&["a", "b", "c", "d"], "max-messages = 1");
    assert!(!is_quick(&poll(&served)));
    assert!(!is_quick(&poll(&served)));
    holds(&served, &["a", "b", "c", "d"]);
    poll(&served);
    assert!(is_quick(&poll(&served)));
    let failing = serve(good([message("a"), message("b").refused("-ERR not now")]), "");
    for retrieved in [2, 3] {
        failing.fetch().exits(75);
        assert_eq!(failing.server.count("RETR"), retrieved, "what failed once is tried at the next run");
    }
}

#[test]
fn changed_configuration_or_an_hour_brings_a_full_listing() {
    let served = settled(&["a", "b"], "");
    assert!(is_quick(&poll(&served)));
    for (keys, args, quick) in [
        ("", &["--keep"][..], false),
        ("", &["--all"], false),
        ("listing = \"full\"", &[], false),
        ("pipelining = \"off\"", &[], false),
        ("max-message-size = 10", &[], false),
        ("leave-on-server = { days = 14 }", &[], false),
        ("", &["--delete"], false),
    ] {
        served.configure(served.server.port(), keys);
        served.sandbox.run(args).succeeds();
        let commands = served.server.commands(served.server.sessions());
        assert_eq!(is_quick(&commands), quick, "{keys:?} {args:?} {commands:?}");
    }
    assert!(served.server.unique_ids("me").is_empty());
}

#[test]
fn without_pipelining_nothing_is_sent_ahead() {
    let served = settled_on(good(messages(&["a", "b"])).without("PIPELINING"), "");
    assert_eq!(poll(&served)[1..], ["CAPA", "UIDL", "QUIT"]);
}

#[test]
fn what_a_server_offers_is_remembered_and_forgotten() {
    let capas = |commands: Vec<String>| commands.iter().take_while(|c| *c != "USER me").count();
    let served = settled(&["a"], "");
    assert_eq!(capas(poll(&served)), 0);
    // A refused login: asked again.
    served.server.change(|options| *options = options.clone().instead("PASS", "-ERR [AUTH] no\r\n"));
    served.fetch().exits(77);
    served.server.change(|options| options.instead.clear());
    let commands = {
        served.sandbox.run(["me"]).succeeds();
        served.server.commands(served.server.sessions())
    };
    assert_eq!(capas(commands), 1);
    // Another way: so far nothing is known of it.
    let authority = Authority::new();
    authority.write(&served.sandbox.path("ca.pem"));
    let leaf = authority.issue(&Leaf::default());
    let tls = serve(Options { tls: Tls::Stls(leaf), ..good(messages(&["a"])) }, "");
    authority.write(&tls.sandbox.path("ca.pem"));
    let keys = "tls = \"starttls\"\nca-file = \"~/ca.pem\"";
    tls.fetch().succeeds();
    let config = std::fs::read_to_string(tls.sandbox.path(".config/popfetch/config.toml")).unwrap();
    tls.sandbox.config(config.replace("tls = \"none\"", keys));
    for expected in [["STLS", "CAPA"], ["STLS", "USER me"]] {
        tls.fetch().succeeds();
        assert_eq!(tls.server.commands(tls.server.sessions())[..2], expected);
    }
}

/// The flight's listing is read by nobody when the login is refused.
#[test]
fn a_refused_flight_is_a_refused_login() {
    let served = settled(&["a", "b"], "");
    served
        .server
        .change(|options| *options = options.clone().instead("PASS", "-ERR [AUTH] bad password\r\n"));
    served.fetch().exits(77).complains("bad password");
    let commands = served.server.commands(served.server.sessions());
    assert_eq!(commands.iter().filter(|command| command.starts_with("PASS")).count(), 1);
}

/// What a delivery that was left half-way costs: a look at the steps of a run, numbered.
#[cfg(feature = "crash-points")]
mod left_half_way {
    use super::{Served, good, holds, message, messages, settled};
    use crate::mailbox::Mailbox;
    use crate::support::sandbox::{Invocation, Sandbox};
    use crate::support::server::Server;

    /// The number of the step at which a run of this first touches the Maildir by such a step.
    #[track_caller]
    fn step(sandbox: &Sandbox, run: Invocation<'_>, of: &str) -> u64 {
        let run = run.record_steps().run();
        let mail = sandbox.path("mail").to_string_lossy().into_owned();
        let found = run.steps.iter().find(|step| step.contains(of) && step.contains(&mail));
        let found = found.unwrap_or_else(|| panic!("{:#?}", run.steps));
        found.split_once(' ').unwrap().0.parse().unwrap()
    }

    /// Two are known, and c has come.
    fn one_new() -> Served {
        let served = settled(&["a", "b"], "");
        served.server.add("me", [message("c")]);
        served
    }

    /// The step at which c gets its name.
    fn publication() -> u64 {
        let trial = one_new();
        step(&trial.sandbox, trial.sandbox.popfetch([""; 0]), " Rename ")
    }

    /// Settled without the network: the server is busy.
    #[track_caller]
    fn is_settled_first(served: &Served, account: &[&str]) {
        served.server.change(|options| *options = options.clone().instead("PASS", "-ERR [IN-USE] later\r\n"));
        served.sandbox.run(account).exits(75);
        holds(served, &["a", "b", "c"]);
    }

    #[test]
    fn what_could_not_be_published_comes_first() {
        let failed = || {
            let served = one_new();
            served.sandbox.popfetch([""; 0]).fail_at(publication(), "EIO").run().exits(73);
            served
        };
        is_settled_first(&failed(), &[]);
        // Though it has left the server meanwhile, which then looks as it did before it came.
        let served = failed();
        served.server.replace("me", messages(&["a", "b"]));
        served.fetch().succeeds();
        holds(&served, &["a", "b", "c"]);
    }

    #[test]
    fn killed_at_recovery_too() {
        let killed = || {
            let served = one_new();
            served.sandbox.popfetch([""; 0]).crash_at(publication()).run();
            served
        };
        let trial = killed();
        let recovery = step(&trial.sandbox, trial.sandbox.popfetch([""; 0]), " ");
        let served = killed();
        served.sandbox.popfetch([""; 0]).crash_at(recovery).run();
        is_settled_first(&served, &[]);
    }

    /// Another account settles what is open at the mbox they share, and no more.
    #[test]
    fn a_neighbour_settled_half_of_it() {
        let shared = || {
            let servers = [&["a", "b"][..], &["x"]].map(|names| Server::start(good(messages(names))));
            let account = |name: &str, server: &Server, deliver: &str| {
                format!(
                    "[accounts.{name}]\nserver = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nuser = \"me\"\n\
                     password = \"secret\"\ndeliver = {deliver}\n",
                    server.port()
                )
            };
            let [server, other] = servers;
            let mailbox = Mailbox::new(server.port(), "");
            mailbox.sandbox.config(format!(
                "{}{}",
                account("me", &server, "[{ maildir = \"~/mail\" }, { mbox = \"~/box\" }]"),
                account("you", &other, "{ mbox = \"~/box\" }")
            ));
            mailbox.sandbox.run(["me"]).succeeds();
            mailbox.sandbox.run(["me"]).succeeds();
            server.add("me", [message("c")]);
            (Served { server, mailbox }, other)
        };
        let (trial, _other) = shared();
        let publication = step(&trial.sandbox, trial.sandbox.popfetch(["me"]), " Rename ");
        let (served, _other) = shared();
        served.sandbox.popfetch(["me"]).crash_at(publication).run();
        served.sandbox.run(["you"]).succeeds();
        is_settled_first(&served, &["me"]);
    }
}

/// The program put off two messages, and then the connection broke: that is to be done again, though the maildrop is as it
/// was.
#[test]
fn a_session_that_broke_is_not_taken_for_idle() {
    let keys = "deliver = { pipe = [\"/bin/sh\", \"-c\", \"cat >/dev/null; exit $(cat $HOME/code)\"] }";
    let served = serve(good(messages(&["a", "b", "c"])), keys);
    served.sandbox.write("code", "0");
    served.fetch().succeeds();
    assert!(is_quick(&poll(&served)));
    served.sandbox.write("code", "75");
    served.server.change(|options| options.cut = Some(Cut::At("RETR 3".into())));
    served.sandbox.run(["--all"]).exits(75);
    served.server.change(|options| options.cut = None);
    served.sandbox.write("code", "0");
    assert!(!is_quick(&poll(&served)));
}

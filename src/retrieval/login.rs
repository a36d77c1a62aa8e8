//! How this account calls its server: with what it remembers of it, and as it may send commands.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::error::Error;
use super::run::Run;
use crate::account::{Account, Auth, PasswordSource, Switch, Utf8Mode};
use crate::client::{self, Call, Client, Login, LoginFacts, Prefetch, Sending, Transaction};
use crate::ledger::memory::{KnownFlight, KnownPipelining, Memory, Offer, Utf8};
use crate::protocol::auth::{Method, RefusalReason};
use crate::protocol::capability::Capabilities;
use crate::protocol::sasl::Credentials;
use crate::report::Event;
use crate::secret::Secret;

/// A maildrop that a session of this run has held is asked for again after these pauses, in seconds.
const WAITS_FOR_LOCK: [u64; 3] = [1, 2, 5];

/// After this many connections in a row that ended at `UTF8`, a server that has accepted it before is believed not to
/// take it any more.
const MOST_DROPS: u32 = 3;

/// Which way a server is reached: what it offers holds for this one only.
pub(super) fn way(account: &Account) -> String {
    let Account { host, port, tls, trust, way, .. } = account;
    format!("{host}:{port} {tls:?} {trust:?}{way}")
}

/// What the server offered this way before login, if that is remembered.
fn remembered(memory: &Memory, account: &Account) -> Option<Capabilities> {
    let offer = memory.offer(&way(account))?;
    let lines: Vec<_> = offer.capabilities.iter().map(|line| String::from_utf8_lossy(line)).collect();
    Some(Capabilities::from_lines(&lines.join("\n")))
}

/// Remembers the strongest method that `auto` has used here: nothing weaker is used automatically from now on.
pub(super) fn pin(memory: &mut Memory, auth: Auth, facts: &LoginFacts) {
    let before = memory.strongest.as_deref().and_then(Method::from_name).map_or(0, Method::strength);
    if auth == Auth::Auto && facts.trustworthy && facts.method.strength() > before {
        memory.strongest = Some(facts.method.name().to_owned());
    }
}

/// Connects and logs in; `prefetch` goes out with the login if the server pipelines.  What the server is remembered for is
/// learnt here, and given up where it may be why a login failed: then it is tried again at once.
pub(super) fn log_in(
    run: &Run<'_>,
    memory: &mut Memory,
    secret: &Secret,
    prefetch: Option<Prefetch>,
) -> Result<Client<Transaction>, Error> {
    run.report(&Event::Connecting { server: format!("{}{}", run.server(), run.account.way) });
    // By the clock, not by the ledger's time, which may be ahead of it.
    memory.expire(run.now);
    let mut attempts = LoginRetries {
        without_utf8: false,
        with_memory: true,
        waits: WAITS_FOR_LOCK.into_iter(),
        flight: memory.flight,
    };
    let client = loop {
        let secret = run.current(secret);
        match attempt(run, memory, secret, prefetch, attempts.flight) {
            Ok(client) => break client,
            // No server was heard: what is remembered of it stays.
            Err(e @ Error::Client(client::Error::Connection(_))) => return Err(e),
            Err(Error::Client(e))
                if attempts.again(run, memory, &e) || run.has_other_token(secret, &e)? => {}
            Err(e) => return Err(e),
        }
    };
    run.logged_in.store(true, Ordering::Relaxed);
    let facts = client.login_facts();
    // What was believed was tried: it is remembered only now that the other way has worked.
    memory.flight = if facts.one_flight { KnownFlight::One } else { attempts.flight };
    run.report(&Event::LoggedIn { mechanism: facts.method.name(), protection: client.protection() });
    learn(run, memory, &client);
    Ok(client)
}

/// What the attempts at one login have tried.
struct LoginRetries {
    /// `UTF8` was not sent, because the server ended the connection at it.
    without_utf8: bool,
    /// What the server was remembered for may still be why it refuses.
    with_memory: bool,
    /// How long is waited, each time, for a maildrop that our own last session holds.
    waits: std::array::IntoIter<u64, 3>,
    flight: KnownFlight,
}

impl LoginRetries {
    /// Whether another attempt follows one that failed so.
    fn again(&mut self, run: &Run<'_>, memory: &mut Memory, e: &client::Error) -> bool {
        // What was remembered may be why.
        let remembered = !std::mem::take(&mut memory.offers).is_empty();
        match e {
            // The session before, of which the server may not know yet that it's over.
            e if e.is_locked() && run.logged_in.load(Ordering::Relaxed) => {
                self.waits.next().is_some_and(|pause| {
                    run.detail(|| format!("{e}: asked again in {pause} s"));
                    !run.context.stop.wait(Duration::from_secs(pause))
                })
            }
            client::Error::FlightCut(e) if !matches!(self.flight, KnownFlight::Two(_)) => {
                run.detail(|| format!("{e}: tried again, with nothing behind the password"));
                // The login may have been accepted: the server may still hold the maildrop for it.
                run.logged_in.store(true, Ordering::Relaxed);
                self.flight = KnownFlight::Two(run.now);
                true
            }
            client::Error::HungUpOnUtf8(_) => self.without_utf8(run, memory, e),
            client::Error::LoginRefused { meaning: RefusalReason::NeedsUtf8, .. } => {
                let dropped = !self.without_utf8 && matches!(memory.utf8, Utf8::Dropped(_));
                if dropped {
                    memory.utf8 = Utf8::Unknown;
                }
                (remembered || dropped) && account_wants_utf8(run) && std::mem::take(&mut self.with_memory)
            }
            client::Error::LoginRefused { secret_sent: false, .. } => {
                remembered && std::mem::take(&mut self.with_memory)
            }
            _ => false,
        }
    }

    /// After a connection that ended at `UTF8`: whether it is tried without the command.
    fn without_utf8(&mut self, run: &Run<'_>, memory: &mut Memory, e: &client::Error) -> bool {
        match memory.utf8 {
            // Without the command some servers give other messages than they hold: one that has accepted it isn't
            // asked without because a connection broke at the wrong moment.
            Utf8::Works(drops) if drops < MOST_DROPS => {
                memory.utf8 = Utf8::Works(drops.saturating_add(1));
                false
            }
            _ => {
                // Not more than once, whatever the server does: without the command it can't end the connection at it.
                let first = !std::mem::replace(&mut self.without_utf8, true);
                memory.utf8 = Utf8::Dropped(run.now);
                if first {
                    run.warn(format!("{e}: this followed UTF8, which the server lists; not sent for a week"));
                }
                first
            }
        }
    }
}

/// Remembers what a login has shown of the server.
fn learn(run: &Run<'_>, memory: &mut Memory, client: &Client<Transaction>) {
    let (server, facts, now) = (client.server_facts(), client.login_facts(), run.now);
    if facts.utf8 {
        memory.utf8 = Utf8::Works(0);
        run.detail(|| "UTF8 mode: messages come as they are stored".to_owned());
    } else if facts.utf8_offered && server.asked && sends_utf8(run, memory) {
        run.detail(|| "the server lists UTF8 and refused it: the session goes on without".to_owned());
    }
    pin(memory, run.account.auth, facts);
    if let Some(before) = &server.capabilities
        && facts.trustworthy
        && server.asked
    {
        memory.put_offer(Offer {
            way: way(run.account),
            when: now,
            capabilities: before.to_lines().lines().map(|line| line.as_bytes().to_vec()).collect(),
        });
    }
}

fn account_wants_utf8(run: &Run<'_>) -> bool {
    run.account.utf8 == Utf8Mode::Auto
}

/// Whether `UTF8` is to be sent where it is listed: not to a server that ended the connection at it, as long as that is
/// remembered.
fn sends_utf8(run: &Run<'_>, memory: &Memory) -> bool {
    account_wants_utf8(run) && !matches!(memory.utf8, Utf8::Dropped(_))
}

fn attempt(
    run: &Run<'_>,
    memory: &mut Memory,
    secret: &Secret,
    prefetch: Option<Prefetch>,
    flight: KnownFlight,
) -> Result<Client<Transaction>, Error> {
    let account = run.account;
    let utf8 = sends_utf8(run, memory);
    let remembered = remembered(memory, account);
    let credentials = Credentials { user: &account.user, secret, host: &account.host, port: account.port };
    let call = Call {
        credentials,
        tls: account.tls,
        trust: &account.trust,
        way: &account.way,
        owner: account.owner.as_ref(),
        timeout: account.timeout,
        connectors: run.context.connectors,
        stop: &run.context.stop,
        remembered: remembered.as_ref(),
        utf8,
        dialogue: run.dialogue(),
    };
    let login = Login {
        credentials,
        auth: account.auth,
        strongest_ever: memory.strongest.as_deref().and_then(Method::from_name),
        pipelining: account.pipelining != Switch::Off
            && !matches!(memory.pipelining, KnownPipelining::Broken(_)),
        prefetch,
        flight: match flight {
            KnownFlight::Unproven => client::PrefetchFlight::Unproven,
            KnownFlight::One => client::PrefetchFlight::One,
            KnownFlight::Two(_) => client::PrefetchFlight::Two,
        },
    };
    let client = Client::open(&call)?;
    if matches!(account.password, PasswordSource::OAuth(_)) {
        // Also where the mechanism was named: the token of a provider opens more than one mailbox.
        client.check_private()?;
    }
    let mut client = client.login(&login)?;
    agree_on_pipelining(run, memory, &mut client);
    Ok(client)
}

/// Sets how commands are sent, by what the server offers after login.
pub(super) fn agree_on_pipelining(run: &Run<'_>, memory: &Memory, client: &mut Client<Transaction>) {
    let offered = client.capabilities().is_some_and(Capabilities::pipelining);
    client.set_pipelining(sending(run.account.pipelining, offered, memory.pipelining));
}

/// Whether commands share a flight: as the user wants it, the server offers it, and it has worked.
fn sending(wanted: Switch, offered: bool, known: KnownPipelining) -> Sending {
    match wanted {
        Switch::Off => Sending::Off,
        Switch::Auto if !offered || matches!(known, KnownPipelining::Broken(_)) => Sending::Off,
        // It works as far as is known, or was switched on explicitly.
        Switch::Auto | Switch::On => Sending::On,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        LoginRetries, MOST_DROPS, Sending, WAITS_FOR_LOCK, log_in, pin, remembered, sending, sends_utf8, way,
    };
    use crate::account::{Auth, Switch};
    use crate::client::{self, LoginFacts, Prefetch};
    use crate::ledger::memory::{KnownFlight, KnownPipelining, Memory, Offer, Utf8};
    use crate::plan::trial::NOW;
    use crate::protocol::auth::{Method, RefusalReason};
    use crate::protocol::sasl::Mechanism;
    use crate::retrieval::Options;
    use crate::retrieval::run::Run;
    use crate::retrieval::trial::{Home, Post};
    use crate::secret::Secret;
    use crate::types::Time;
    use std::sync::atomic::Ordering;

    fn facts(method: Method, trustworthy: bool) -> LoginFacts {
        LoginFacts { method, trustworthy, utf8: false, utf8_offered: false, one_flight: false }
    }

    fn retries(flight: KnownFlight) -> LoginRetries {
        LoginRetries { without_utf8: false, with_memory: true, waits: WAITS_FOR_LOCK.into_iter(), flight }
    }

    fn offer() -> Offer {
        let capabilities = vec![b"UIDL".to_vec(), b"SASL PLAIN".to_vec()];
        Offer { way: "x".to_owned(), when: NOW, capabilities }
    }

    fn refused(meaning: RefusalReason, secret_sent: bool) -> client::Error {
        client::Error::LoginRefused {
            server: "h:110".to_owned(),
            method: Method::UserPass,
            meaning,
            text: "no".to_owned(),
            token: None,
            secret_sent,
            locked: false,
        }
    }

    fn cut() -> client::Error {
        let during = crate::protocol::error::Awaiting::Greeting;
        let source = crate::protocol::error::Error::Closed { during };
        client::Error::Protocol { server: "h:110".to_owned(), source }
    }

    /// Whether another attempt follows this failure, with what was remembered; the attempts and the memory afterwards.
    fn again(
        attempts: &mut LoginRetries,
        memory: &mut Memory,
        settings: &str,
        e: &client::Error,
    ) -> (bool, Vec<String>) {
        let home = Home::holding(&[]);
        let (account, options, context) = (home.account(settings), Options::default(), home.context());
        let run = Run::new(&account, &options, &context, NOW);
        (attempts.again(&run, memory, e), home.reported())
    }

    /// A password that was refused must not be sent again: that is how accounts get locked.
    #[test]
    fn a_refused_password_is_not_tried_again() {
        for (meaning, secret_sent, has_offers, expected) in [
            (RefusalReason::Credentials, true, true, false),
            (RefusalReason::Credentials, true, false, false),
            // The mechanism was refused before anything was sent: what was remembered of the server may be wrong.
            (RefusalReason::Credentials, false, true, true),
            (RefusalReason::Credentials, false, false, false),
            (RefusalReason::SysPerm, true, true, false),
        ] {
            let mut memory = Memory { offers: vec![offer(); usize::from(has_offers)], ..Memory::default() };
            let mut attempts = retries(KnownFlight::Unproven);
            let e = refused(meaning, secret_sent);
            assert_eq!(
                again(&mut attempts, &mut memory, "", &e).0,
                expected,
                "{meaning:?} {secret_sent} {has_offers}"
            );
            assert_eq!(memory.offers, [], "the server is asked again what it offers");
            assert!(!again(&mut attempts, &mut memory, "", &e).0, "once at most");
        }
    }

    /// A server that wants UTF8 is given it, unless the user has switched it off; and asked once more at most.
    #[test]
    fn a_server_that_wants_utf8_gets_it_at_the_second_attempt() {
        let wants = refused(RefusalReason::NeedsUtf8, true);
        for (settings, utf8, has_offers, expected) in [
            ("", Utf8::Dropped(NOW), false, true),
            ("", Utf8::Unknown, true, true),
            ("", Utf8::Unknown, false, false),
            ("utf8 = \"off\"", Utf8::Dropped(NOW), true, false),
        ] {
            let mut memory =
                Memory { utf8, offers: vec![offer(); usize::from(has_offers)], ..Memory::default() };
            let mut attempts = retries(KnownFlight::Unproven);
            let found = again(&mut attempts, &mut memory, settings, &wants).0;
            assert_eq!((found, memory.utf8), (expected, Utf8::Unknown), "{settings} {utf8:?} {has_offers}");
            memory.utf8 = Utf8::Dropped(NOW);
            let twice = again(&mut attempts, &mut memory, settings, &wants).0;
            assert!(!(found && twice), "once at most");
        }
        // It was just left out because the connection ended at it: that isn't forgotten within one login.
        let mut attempts = LoginRetries { without_utf8: true, ..retries(KnownFlight::Unproven) };
        let mut memory = Memory { utf8: Utf8::Dropped(NOW), ..Memory::default() };
        assert!(!again(&mut attempts, &mut memory, "", &wants).0);
        assert_eq!(memory.utf8, Utf8::Dropped(NOW));
    }

    /// Without UTF8 some servers give other messages than they hold: one that accepted it gets three more chances.
    #[test]
    fn a_server_that_accepted_utf8_is_not_asked_without_it_after_one_broken_connection() {
        let hung_up = client::Error::HungUpOnUtf8(Box::new(cut()));
        let mut memory = Memory { utf8: Utf8::Works(0), ..Memory::default() };
        for drops in 1..=MOST_DROPS {
            let mut attempts = retries(KnownFlight::Unproven);
            assert!(!again(&mut attempts, &mut memory, "", &hung_up).0);
            assert_eq!(memory.utf8, Utf8::Works(drops));
        }
        let mut attempts = retries(KnownFlight::Unproven);
        let (follows, reported) = again(&mut attempts, &mut memory, "", &hung_up);
        assert!(follows && reported.iter().any(|line| line.contains("not sent for a week")), "{reported:?}");
        assert_eq!(memory.utf8, Utf8::Dropped(NOW));
        let (follows, reported) = again(&mut attempts, &mut memory, "", &hung_up);
        assert!(!follows, "without the command it can't end the connection at it");
        assert!(!reported.iter().any(|line| line.contains("not sent for a week")));
        // One that never accepted it is asked without at once.
        let mut memory = Memory::default();
        assert!(again(&mut retries(KnownFlight::Unproven), &mut memory, "", &hung_up).0);
    }

    /// A server that drops what follows PASS in one flight gets it in two: once, and no more for the same reason.
    #[test]
    fn what_followed_the_password_in_vain_is_sent_behind_the_login() {
        let cut = client::Error::FlightCut(Box::new(cut()));
        for (flight, expected) in
            [(KnownFlight::Unproven, true), (KnownFlight::One, true), (KnownFlight::Two(Time(1)), false)]
        {
            let mut attempts = retries(flight);
            let (follows, _) = again(&mut attempts, &mut Memory::default(), "", &cut);
            assert_eq!(follows, expected, "{flight:?}");
            assert_eq!(attempts.flight, if expected { KnownFlight::Two(NOW) } else { flight });
            assert!(!again(&mut attempts, &mut Memory::default(), "", &cut).0, "{flight:?}");
        }
    }

    /// The login may have been accepted all the same: the lock of that session is waited for.
    #[test]
    fn a_login_that_was_cut_may_have_been_accepted() {
        let home = Home::holding(&[]);
        let (account, options, context) = (home.account(""), Options::default(), home.context());
        let run = Run::new(&account, &options, &context, NOW);
        let cut = client::Error::FlightCut(Box::new(cut()));
        assert!(retries(KnownFlight::Unproven).again(&run, &mut Memory::default(), &cut));
        assert!(run.logged_in.load(Ordering::Relaxed));
    }

    /// A maildrop that this run has just left may be locked a little longer; another program's lock isn't waited for here.
    #[test]
    fn only_our_own_last_session_is_waited_for() {
        let locked = client::Error::GreetingRefused {
            server: "h:110".to_owned(),
            code: Some(crate::protocol::response::ResponseCode::InUse),
            text: "[IN-USE] maildrop is locked".to_owned(),
        };
        assert!(locked.is_locked());
        for (logged_in, stopped, waits, expected) in [
            (false, false, 3, false),
            // A signal ends the wait, and there is no other attempt.
            (true, true, 3, false),
            (true, false, 0, false),
        ] {
            let home = Home::holding(&[]);
            let (account, options, context) = (home.account(""), Options::default(), home.context());
            let run = Run::new(&account, &options, &context, NOW);
            run.logged_in.store(logged_in, Ordering::Relaxed);
            if stopped {
                home.stop.raise();
            }
            let mut attempts = retries(KnownFlight::Unproven);
            (waits..3).for_each(|_| _ = attempts.waits.next());
            assert_eq!(
                attempts.again(&run, &mut Memory::default(), &locked),
                expected,
                "{logged_in} {waits}"
            );
            assert_eq!(attempts.waits.len(), if logged_in { waits.max(1) - 1 } else { waits });
        }
    }

    /// What else goes wrong is no reason for a second attempt.
    #[test]
    fn a_connection_that_broke_is_the_next_run_s_matter() {
        let silent = client::Error::TimedOut {
            server: "h:110".to_owned(),
            during: "PASS".to_owned(),
            pipelined: false,
        };
        for e in [cut(), silent, client::Error::Stopped] {
            let mut memory = Memory { offers: vec![offer()], ..Memory::default() };
            assert!(!again(&mut retries(KnownFlight::Unproven), &mut memory, "", &e).0, "{e}");
        }
    }

    /// Nothing weaker is chosen automatically than what was used before; a listener could otherwise talk a client down.
    #[test]
    fn the_strongest_method_is_remembered_and_never_a_weaker_one() {
        let strongest = Method::ALL.first().copied().unwrap();
        let plain = Method::Sasl(Mechanism::Plain);
        let name = |method: Method| Some(method.name().to_owned());
        for (before, auth, method, trustworthy, expected) in [
            (None, Auth::Auto, plain, true, name(plain)),
            (name(plain), Auth::Auto, strongest, true, name(strongest)),
            (name(strongest), Auth::Auto, plain, true, name(strongest)),
            // Of one class none is better than another.
            (name(plain), Auth::Auto, Method::UserPass, true, name(plain)),
            // The user's own choice is no finding; and in clear text anybody may have answered.
            (None, Auth::UserPass, Method::UserPass, true, None),
            (None, Auth::Auto, plain, false, None),
            // What can't be understood is as if it had never been learnt.
            (Some("NONSENSE".to_owned()), Auth::Auto, plain, true, name(plain)),
        ] {
            let mut memory = Memory { strongest: before.clone(), ..Memory::default() };
            pin(&mut memory, auth, &facts(method, trustworthy));
            assert_eq!(memory.strongest, expected, "{before:?} {auth:?} {method:?} {trustworthy}");
        }
    }

    /// What a server offers holds for the way it was asked: another port or another TLS setting may lead to another one.
    #[test]
    fn an_offer_is_remembered_for_the_way_it_was_made() {
        let home = Home::holding(&[]);
        let account = home.account("");
        let memory = Memory { offers: vec![Offer { way: way(&account), ..offer() }], ..Memory::default() };
        assert!(remembered(&memory, &account).unwrap().uidl());
        for other in ["proxy = \"socks5://127.0.0.1:9\"", "tls-ca-file = \"/tmp/ca.pem\""] {
            let Some(other) = home.try_account(other) else { continue };
            assert_ne!(way(&other), way(&account));
            assert!(remembered(&memory, &other).is_none());
        }
    }

    #[test]
    fn utf8_is_sent_unless_it_is_off_or_ended_the_connection() {
        let home = Home::holding(&[]);
        for (settings, utf8, expected) in [
            ("", Utf8::Unknown, true),
            ("", Utf8::Works(2), true),
            ("", Utf8::Dropped(NOW), false),
            ("utf8 = \"off\"", Utf8::Works(0), false),
        ] {
            let (account, options, context) = (home.account(settings), Options::default(), home.context());
            let run = Run::new(&account, &options, &context, NOW);
            let memory = Memory { utf8, ..Memory::default() };
            assert_eq!(sends_utf8(&run, &memory), expected, "{settings} {utf8:?}");
        }
    }

    /// Commands share a flight where the server offers it, and has not answered out of step; or where the user says so.
    #[test]
    fn commands_share_a_flight_as_server_user_and_experience_allow() {
        let broken = KnownPipelining::Broken(NOW);
        for (wanted, offered, known, expected) in [
            (Switch::Auto, true, KnownPipelining::Unproven, Sending::On),
            (Switch::Auto, true, KnownPipelining::InStep, Sending::On),
            (Switch::Auto, true, broken, Sending::Off),
            (Switch::Auto, false, KnownPipelining::InStep, Sending::Off),
            (Switch::On, false, KnownPipelining::Unproven, Sending::On),
            (Switch::On, true, broken, Sending::On),
            (Switch::Off, true, KnownPipelining::InStep, Sending::Off),
        ] {
            assert_eq!(sending(wanted, offered, known), expected, "{wanted:?} {offered} {known:?}");
        }
    }

    /// What a login with this memory leaves in it, and what it reported.
    fn logs_in(home: &Home, settings: &str, memory: &mut Memory, prefetch: Option<Prefetch>) -> Vec<String> {
        let (account, options, context) = (home.account(settings), Options::default(), home.context());
        let run = Run::new(&account, &options, &context, NOW);
        home.take_reported();
        log_in(&run, memory, &Secret::new("pencil"), prefetch).unwrap().hang_up();
        home.take_reported()
    }

    /// In which form messages come is learnt from the answer to UTF8, and reported where it may surprise.
    #[test]
    fn what_the_server_answers_to_utf8_is_remembered() {
        for (offers, answer, settings, expected, words) in [
            (true, "+OK", "", Utf8::Works(0), Some("messages come as they are stored")),
            (true, "-ERR no", "", Utf8::Unknown, Some("refused it: the session goes on without")),
            (true, "+OK", "utf8 = \"off\"", Utf8::Unknown, None),
            (false, "+OK", "", Utf8::Unknown, None),
        ] {
            let mut capabilities = vec!["UIDL", "TOP"];
            capabilities.extend(offers.then_some("UTF8"));
            let refused_before = vec![("UTF8".to_owned(), answer.to_owned())];
            let home = Home::new(Post { capabilities, refused_before, ..Post::default() });
            let mut memory = Memory::default();
            let reported = logs_in(&home, settings, &mut memory, None);
            assert_eq!(memory.utf8, expected, "{offers} {answer} {settings}");
            let said = reported.iter().filter(|line| line.contains("UTF8")).collect::<Vec<_>>();
            assert_eq!(said.len(), usize::from(words.is_some()), "{said:?}");
            assert!(words.is_none_or(|words| said[0].contains(words)), "{said:?}");
        }
    }

    /// What was learnt long ago is tried again.
    #[test]
    fn what_is_remembered_of_a_server_expires() {
        for (days, expected) in
            [(1, KnownPipelining::Broken(Time(NOW.0 - 86_400))), (90, KnownPipelining::Unproven)]
        {
            let before = KnownPipelining::Broken(Time(NOW.0 - days * 86_400));
            let mut memory = Memory { pipelining: before, ..Memory::default() };
            logs_in(&Home::holding(&[]), "", &mut memory, None);
            assert_eq!(memory.pipelining, expected, "{days}");
        }
    }

    /// Whether what follows the password may share its flight is known when it has.
    #[test]
    fn a_flight_that_was_answered_is_remembered() {
        let listing = || Prefetch::Listing { drop_listing: true, headers: [None; 2], sizes: false };
        for (before, prefetch, expected) in [
            (KnownFlight::Unproven, Some(listing()), KnownFlight::One),
            (KnownFlight::Unproven, None, KnownFlight::Unproven),
            (KnownFlight::Two(NOW), Some(listing()), KnownFlight::Two(NOW)),
        ] {
            let mut memory = Memory { flight: before, ..Memory::default() };
            logs_in(&Home::holding(&[]), "", &mut memory, prefetch);
            assert_eq!(memory.flight, expected, "{before:?}");
        }
        // Where commands don't share a flight, nothing does.
        for (settings, pipelining) in
            [("pipelining = \"off\"", KnownPipelining::Unproven), ("", KnownPipelining::Broken(NOW))]
        {
            let mut memory = Memory { pipelining, ..Memory::default() };
            logs_in(&Home::holding(&[]), settings, &mut memory, Some(listing()));
            assert_eq!(memory.flight, KnownFlight::Unproven, "{settings} {pipelining:?}");
        }
    }

    /// What the server offers after the login decides, and that it has let us in is known to the run.
    #[test]
    fn a_login_settles_how_commands_are_sent() {
        for (capabilities, expected) in [(vec!["UIDL", "PIPELINING"], true), (vec!["UIDL"], false)] {
            let home = Home::new(Post { capabilities, ..Post::default() });
            let (account, options, context) = (home.account(""), Options::default(), home.context());
            let run = Run::new(&account, &options, &context, NOW);
            let client = log_in(&run, &mut Memory::default(), &Secret::new("pencil"), None).unwrap();
            assert_eq!(client.pipelines(), expected);
            assert!(run.logged_in.load(Ordering::Relaxed));
            client.hang_up();
        }
    }
}

//! How this account calls its server: with what it remembers of it, and as it may send commands.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::error::Error;
use super::run::Run;
use crate::account::{Account, Auth, PasswordSource, Switch, Utf8Mode};
use crate::client::{self, Call, Client, Login, LoginFacts, Prefetch, Sending, Transaction};
use crate::ledger::memory::{KnownFlight, KnownPipelining, Memory, Offer, OfferStage, Utf8};
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
    let offer = memory.offer(&way(account), OfferStage::BeforeLogin)?;
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
            stage: OfferStage::BeforeLogin,
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

/// Says how commands are sent, by what the server offers after login.
pub(super) fn agree_on_pipelining(run: &Run<'_>, memory: &Memory, client: &mut Client<Transaction>) {
    let account = run.account;
    let offered = client.capabilities().is_some_and(|capabilities| capabilities.pipelining());
    client.set_pipelining(match account.pipelining {
        Switch::Off => Sending::Off,
        Switch::Auto if !offered => Sending::Off,
        Switch::Auto | Switch::On => match memory.pipelining {
            KnownPipelining::Broken(_) if account.pipelining == Switch::Auto => Sending::Off,
            // It was switched on explicitly.
            KnownPipelining::Broken(_) | KnownPipelining::InStep | KnownPipelining::Unproven => Sending::On,
        },
    });
}

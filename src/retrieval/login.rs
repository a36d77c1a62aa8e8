//! How this account calls its server: with what it remembers of it, and as it may send commands.

use super::error::Error;
use super::run::Run;
use crate::client::{Ahead, Call, Client, Credentials, LoginFacts, Pipelining, Transaction};
use crate::clock::Time;
use crate::config::account::{Account, Auth, Switch};
use crate::ledger::memory::{Memory, Pipelining as Verdict, Stage};
use crate::protocol::auth::Method;
use crate::protocol::capability::Capabilities;
use crate::secret::Secret;

/// What a server offers is asked again after a week.
const OFFERS_LAST: i64 = 7 * 86_400;

/// Which way a server is reached: what it offers holds for this one only.
pub(super) fn way(account: &Account) -> String {
    let Account { host, port, tls, trust, .. } = account;
    format!("{host}:{port} {tls:?} {trust:?}")
}

/// What the server offered this way before login, if that was asked not long ago.
fn remembered(memory: &Memory, account: &Account, now: Time) -> Option<Capabilities> {
    let offer = memory.offer(&way(account), Stage::BeforeLogin)?;
    let age = now.seconds_since(offer.when);
    if !(0..OFFERS_LAST).contains(&age) {
        return None;
    }
    let lines: Vec<_> = offer.capabilities.iter().map(|line| String::from_utf8_lossy(line)).collect();
    Some(Capabilities::from_lines(&lines.join("\n")))
}

/// Remembers the strongest method that `auto` has used here: nothing weaker is used by itself from now on.
pub(super) fn pin(memory: &mut Memory, auth: Auth, facts: &LoginFacts) {
    let before = memory.strongest.as_deref().and_then(Method::from_name).map_or(0, Method::strength);
    if auth == Auth::Auto && facts.trustworthy && facts.method.strength() > before {
        memory.strongest = Some(facts.method.name().to_owned());
    }
}

/// Connects and logs in; `ahead` goes out with the login if the server pipelines.
pub(super) fn login(
    run: &Run<'_>,
    memory: &Memory,
    secret: &Secret,
    now: Time,
    ahead: Option<Ahead>,
) -> Result<Client<Transaction>, Error> {
    let account = run.account;
    let remembered = remembered(memory, account, now);
    let call = Call {
        host: &account.host,
        port: account.port,
        tls: account.tls,
        trust: &account.trust,
        timeout: account.timeout,
        connectors: run.context.connectors,
        stop: &run.context.stop,
        remembered: remembered.as_ref(),
        dialogue: run.dialogue(),
    };
    let credentials = Credentials {
        host: &account.host,
        port: account.port,
        user: &account.user,
        secret,
        auth: account.auth,
        strongest_ever: memory.strongest.as_deref().and_then(Method::from_name),
        pipelining: account.pipelining != Switch::Off && !matches!(memory.pipelining, Verdict::Broken(_)),
        ahead,
    };
    let mut client = Client::open(&call)?.login(&credentials)?;
    agree_on_pipelining(run, memory, &mut client);
    Ok(client)
}

/// Says how commands are sent, by what the server offers after login.
pub(super) fn agree_on_pipelining(run: &Run<'_>, memory: &Memory, client: &mut Client<Transaction>) {
    let account = run.account;
    let offered = client.capabilities().is_some_and(|capabilities| capabilities.pipelining());
    client.set_pipelining(match account.pipelining {
        Switch::Off => Pipelining::Off,
        Switch::Auto if !offered => Pipelining::Off,
        Switch::Auto | Switch::On => match memory.pipelining {
            Verdict::Broken(_) if account.pipelining == Switch::Auto => Pipelining::Off,
            // Whoever switched it on wants it.
            Verdict::Broken(_) | Verdict::InStep | Verdict::Unproven => Pipelining::On,
        },
    });
}

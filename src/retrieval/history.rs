//! What is remembered of past deliveries, and of messages that failed: read from the state, without a lock or a server.

use std::path::Path;

use super::deliveries::delivery;
use super::error::Error;
use crate::account::Account;
use crate::ledger::history::{self, Past};
use crate::ledger::memory::Memory;
use crate::ledger::{self, EntryState, Ledger};
use crate::message::summary::HeaderSummary;
use crate::proof::EntryId;
use crate::report::{ConditionKind, Delivery};
use crate::types::{Octets, Time, wide};

/// A past delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub delivery: Delivery,
    pub time: Time,
    /// What has become of it on the server; `None` where that isn't known.
    pub on_server: Option<OnServer>,
}

/// What has become of a message on the server, as far as the last runs saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnServer {
    Kept,
    /// popfetch deleted it, and the server has confirmed it.
    Deleted,
    /// The server doesn't list it any more, and popfetch has not deleted it.
    Gone,
}

impl OnServer {
    /// Its name, in tables and in `--json`.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Deleted => "deleted",
            Self::Gone => "gone",
        }
    }
}

/// A message that has failed, and waits on the server; or several of which no more is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failing {
    /// How many messages it stands for.
    pub messages: u64,
    /// Its unique-id, fit to print, if it has one.
    pub unique_id: Option<String>,
    /// Its size as listed.
    pub octets: Option<Octets>,
    /// How often it has failed; 0 where it isn't known to be its own failure: the server refused it, and others as well.
    pub failures: u16,
    /// When it is tried again; `None` at the next run.
    pub next_try: Option<Time>,
    /// Why, where that is known for all that this stands for.
    pub reason: Option<String>,
}

/// The last deliveries of an account's mailbox, the oldest first.
///
/// # Errors
/// A ledger that cannot be read.
pub(crate) fn remembered(account: &Account, state: &Path, now: Time) -> Result<Vec<Remembered>, Error> {
    let mailbox = account.mailbox();
    let directory = ledger::directory(state, &mailbox);
    let past = history::read(&directory);
    if past.is_empty() {
        return Ok(Vec::new());
    }
    let ledger = Ledger::read(&directory, &mailbox, now)?;
    let remembered = |past: Past| Remembered {
        delivery: delivery(&past, None, HeaderSummary::of_headline(&past.headline)),
        time: past.time,
        on_server: on_server(&ledger, &past),
    };
    Ok(past.into_iter().map(remembered).collect())
}

fn on_server(ledger: &Ledger, past: &Past) -> Option<OnServer> {
    let entry = ledger.entry(ledger.find(past.unique_id.as_ref()?.borrow())?);
    Some(match entry.state {
        EntryState::Deleted => OnServer::Deleted,
        _ if entry.absent => OnServer::Gone,
        _ => OnServer::Kept,
    })
}

/// The messages of an account's mailbox that have failed, the oldest first.  At the end, as one, come those which the
/// last run counts as failed and the ledger doesn't: it isn't known whether each failed on its own.
///
/// # Errors
/// A ledger that cannot be read.
pub(crate) fn failing(account: &Account, state: &Path, now: Time) -> Result<Vec<Failing>, Error> {
    let mailbox = account.mailbox();
    let directory = ledger::directory(state, &mailbox);
    let ledger = Ledger::read(&directory, &mailbox, now)?;
    let mut found = Vec::new();
    for id in (0..ledger.len()).map(EntryId) {
        let entry = ledger.entry(id);
        // What a listing has lacked isn't there to be tried.
        if entry.failures == 0 || entry.state != EntryState::Open || entry.absent {
            continue;
        }
        let unique_id = ledger.key(id)?.into_unique_id().map(|unique_id| unique_id.to_string());
        let next_try = entry.retry_after.filter(|at| *at > now);
        let (octets, failures) = (entry.listed_size, entry.failures);
        found.push(Failing { messages: 1, unique_id, octets, failures, next_try, reason: None });
    }
    let known = wide(found.len());
    found.extend(not_blamed(&Memory::load(&directory), known));
    Ok(found)
}

/// Messages that the last run counts as failed, beyond those which the ledger has recorded.
fn not_blamed(memory: &Memory, known: u64) -> Option<Failing> {
    let lasting = memory.alerts.get(ConditionKind::MessagesFailed.word())?.lasting.as_ref()?;
    let messages = lasting.messages.checked_sub(known).filter(|messages| *messages > 0)?;
    // With others the reason may be that of theirs.
    let reason = lasting.reason.clone().filter(|_| known == 0);
    Some(Failing { messages, unique_id: None, octets: None, failures: 0, next_try: None, reason })
}

#[cfg(test)]
mod tests {
    use super::{Failing, OnServer, failing, not_blamed, on_server, remembered};
    use crate::ledger::history::Past;
    use crate::ledger::memory::{Alert, Lasting, Memory};
    use crate::plan::trial::{NOW, World, facts, key};
    use crate::proof::Key;
    use crate::report::ConditionKind;
    use crate::retrieval::trial::{Home, Letter, unique_id};

    fn failings(home: &Home) -> Vec<Failing> {
        failing(&home.account(""), &home.context().state, crate::clock::now()).unwrap()
    }

    /// What became of a past delivery on the server, as far as listings have shown.
    #[test]
    fn a_message_is_kept_deleted_or_gone_on_the_server() {
        let mut world = World::new();
        ["kept", "gone"].iter().for_each(|name| _ = world.deliver(name));
        world.delete("deleted");
        world.listed(&["kept"]);
        let past = |key: &Key| Past::settled(key, 1, NOW, Vec::new());
        for (name, expected) in [
            ("kept", Some(OnServer::Kept)),
            ("gone", Some(OnServer::Gone)),
            ("deleted", Some(OnServer::Deleted)),
            ("never known", None),
        ] {
            let past = past(&Key::UniqueId(unique_id(name)));
            assert_eq!(on_server(&world.ledger, &past), expected, "{name}");
        }
        let nameless = past(&Key::Header(facts("n").digests.header));
        assert_eq!(on_server(&world.ledger, &nameless), None, "no listing names it");
        assert!(on_server(&world.ledger, &past(&key("kept"))).is_some());
        assert_eq!(
            [OnServer::Kept, OnServer::Deleted, OnServer::Gone].map(OnServer::word),
            ["kept", "deleted", "gone"]
        );
    }

    #[test]
    fn deliveries_are_remembered_oldest_first_with_what_became_of_them() {
        let home = Home::holding(&[Letter::new("a", "a"), Letter::new("b", "b")]);
        let account = home.account("");
        let read = || remembered(&account, &home.context().state, crate::clock::now()).unwrap();
        assert_eq!(read(), [], "there was no run");
        home.run("");
        home.post().letters = vec![Letter::new("c", "c")];
        home.run("leave-on-server = false");
        let found: Vec<_> = read()
            .into_iter()
            .map(|past| (past.delivery.unique_id.unwrap(), past.delivery.from.unwrap(), past.on_server))
            .collect();
        let from = || "a@example.com".to_owned();
        assert_eq!(
            found,
            [
                ("a".to_owned(), from(), Some(OnServer::Gone)),
                ("b".to_owned(), from(), Some(OnServer::Gone)),
                ("c".to_owned(), from(), Some(OnServer::Deleted)),
            ]
        );
    }

    /// A message that failed is named, with how often and when it is tried again.
    #[test]
    fn what_failed_is_listed_with_its_next_try() {
        let home = Home::holding(&[Letter::new("a", "a"), Letter::new("b", "b")]);
        home.run("");
        assert_eq!(failings(&home), []);
        home.post().letters = vec![Letter::new("bad", "x"), Letter::new("c", "c")];
        home.post().refused = vec![("RETR 1".to_owned(), "-ERR broken".to_owned())];
        home.run("");
        let found = failings(&home);
        assert_eq!((found.len(), found[0].unique_id.as_deref(), found[0].failures), (1, Some("bad"), 1));
        assert_eq!(
            (found[0].messages, found[0].next_try),
            (1, None),
            "it may have been chance: at the next run"
        );
        assert!(found[0].octets.is_some());
        home.run("");
        let found = failings(&home);
        assert_eq!(found[0].failures, 2);
        assert!(found[0].next_try.unwrap() > crate::clock::now());
        // It isn't there any more: nothing is to be tried.
        home.post().letters.remove(0);
        home.post().refused.clear();
        home.run("");
        assert_eq!(failings(&home), []);
    }

    fn lasting(messages: u64, reason: Option<&str>) -> Memory {
        let mut memory = Memory::default();
        let mut alert = Alert::since(NOW);
        alert.lasting = Some(Lasting {
            exit: crate::exit::ExitCode::Later,
            messages,
            message: "3 messages failed".to_owned(),
            hint: None,
            reason: reason.map(str::to_owned),
            next: None,
        });
        memory.alerts.insert(ConditionKind::MessagesFailed.word().to_owned(), alert);
        memory
    }

    /// Those of which it isn't known whether each failed on its own are counted together, and none is counted twice.
    #[test]
    fn failures_that_nobody_is_blamed_for_are_one_line() {
        for (counted, known, expected) in
            [(3, 0, Some(3)), (3, 1, Some(2)), (3, 3, None), (3, 4, None), (0, 0, None)]
        {
            let found = not_blamed(&lasting(counted, Some("quota")), known);
            assert_eq!(found.as_ref().map(|failing| failing.messages), expected, "{counted} {known}");
            // With others the reason may be theirs.
            let reason = found.and_then(|failing| failing.reason);
            assert_eq!(reason.is_some(), expected.is_some() && known == 0, "{counted} {known}");
        }
        assert_eq!(not_blamed(&Memory::default(), 0), None);
        let mut over = lasting(3, None);
        over.alerts.values_mut().for_each(|alert| alert.lasting = None);
        assert_eq!(not_blamed(&over, 0), None);
        let found = not_blamed(&lasting(2, None), 0).unwrap();
        assert_eq!((found.unique_id, found.octets, found.failures, found.next_try), (None, None, 0, None));
    }
}

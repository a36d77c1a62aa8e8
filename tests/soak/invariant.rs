//! What must hold, whatever the server is like and whatever happened: [`check`].

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::{MailId, comparable, marked};
use crate::stores::{Contents, Store};
use crate::traits::Trait;
use crate::world::World;

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A mail is neither in the stores nor on the server, and popfetch took it away.
    Lost,
    /// A mail is in a store more often than it may be.
    Twice,
    /// What a reader sees is part of a mail, or no mail at all.
    NotWhole,
    /// Exit code 0, though mail was withheld.
    FalseZero,
    /// An exit code that nothing in this life explains, or a panic.
    WrongExit,
    /// The run didn't end.
    Hangs,
    /// Mail is still undelivered, or the exit code isn't 0, many runs after all was well again.
    NeverSettled,
}

/// A failure: its kind, and what was seen.
#[derive(Debug, Clone)]
pub struct Violation {
    pub kind: Kind,
    pub text: String,
}

impl Violation {
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// What the runs so far mean for the invariant.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The sets of destinations that runs have had.
    pub destinations: BTreeSet<Vec<Store>>,
    /// Runs that broke off while a program was a destination: the messages in hand come again.
    pub forgotten_outcomes: usize,
}

/// Each mail that popfetch took from the server is whole in every store of some set of destinations; no store holds a
/// mail more often than it may; and nothing else is visible in a store.
pub fn check(world: &World, contents: &Contents, history: &History) -> Result<(), Violation> {
    let mut found: BTreeMap<Store, BTreeMap<MailId, usize>> = BTreeMap::new();
    for (store, messages) in contents {
        for message in messages {
            let id = whole_mail(world, message)
                .ok_or_else(|| Violation::new(Kind::NotWhole, format!("in {store:?}: {}", shown(message))))?;
            *found.entry(*store).or_default().entry(id).or_default() += 1;
        }
    }
    let copies = |store: Store, id: MailId| found.get(&store).and_then(|mails| mails.get(&id)).copied();
    // What another client has copied is one more message, found by the same marker.
    let mut may: BTreeMap<(Store, MailId), usize> = BTreeMap::new();
    for (mail, store) in world.mails.iter().flat_map(|mail| contents.keys().map(move |store| (mail, *store)))
    {
        *may.entry((store, mail.original())).or_default() += allowed(world, mail.id, store, history);
    }
    for ((store, id), allowed) in may {
        let copies = copies(store, id).unwrap_or(0);
        if copies > allowed {
            let (header, ids) = (world.mail(id).header, &world.fates[&id].unique_ids);
            let text = format!(
                "mail {} ({header:?}) is {copies} times in {store:?}, {allowed} would do; ids {ids:?}",
                id.0
            );
            return Err(Violation::new(Kind::Twice, text));
        }
    }
    for (id, fate) in &world.fates {
        // A store that isn't in the contents can't be read now; it's looked at when it can be.
        let has = |store: &Store| {
            !contents.contains_key(store) || copies(*store, world.mail(*id).original()).is_some()
        };
        let delivered = history.destinations.iter().any(|set| set.iter().all(has));
        if fate.deleted_by_popfetch.is_some() && !delivered {
            let text = format!(
                "mail {} ({:?}, ids {:?}) was deleted and isn't in the stores",
                id.0,
                world.mail(*id).header,
                fate.unique_ids
            );
            return Err(Violation::new(Kind::Lost, text));
        }
    }
    Ok(())
}

/// The mail that these octets are, all of them.
fn whole_mail(world: &World, octets: &[u8]) -> Option<MailId> {
    let id = marked(octets).filter(|id| id.0 > 0 && id.0 as usize <= world.mails.len())?;
    (world.mail(id).expected(&world.traits) == comparable(octets)).then_some(id)
}

/// How often a store may hold a mail.
fn allowed(world: &World, id: MailId, store: Store, history: &History) -> usize {
    let fate = &world.fates[&id];
    let has_ids = !fate.unique_ids.is_empty();
    // What has neither an identity of its own nor one unique-id of its own may come once under each that it had, and
    // again where its ids stood for other mail too.
    let once = world.mail(id).has_identity() || (fate.unique_ids.len() == 1 && !world.is_ambiguous(id));
    let by_id = match (once, has_ids) {
        (true, _) => 1,
        (false, true) => fate.unique_ids.len() + usize::from(world.is_ambiguous(id)),
        (false, false) => 2,
    };
    let by_break = if store == Store::Pipe { history.forgotten_outcomes } else { 0 };
    by_id + fate.forgotten as usize + by_break
}

/// Exit code 0 is true: no mail that the last session listed is withheld.  Asked only where no limit of the user's
/// withholds mail.
pub fn check_zero(world: &World, contents: &Contents, listed: &BTreeSet<MailId>) -> Result<(), Violation> {
    // A store that can't be read now may hold it.
    let holds = |id: MailId| {
        let in_store = |messages: &Vec<Vec<u8>>| messages.iter().any(|message| marked(message) == Some(id));
        Store::ALL.iter().any(|store| contents.get(store).is_none_or(in_store))
    };
    for id in world.on_server().into_iter().filter(|id| listed.contains(id)) {
        // Under an id that stood for other mail, new mail is found by and by, when something shows that it's other
        // mail.
        let is_plainly_new = !world.fates[&id].unique_ids.is_empty()
            && !world.is_ambiguous(id)
            && !world.traits.has(Trait::NumbersAsIds);
        if is_plainly_new && !holds(world.mail(id).original()) {
            let text = format!(
                "exit code 0, and mail {} (ids {:?}) was listed and isn't delivered",
                id.0, world.fates[&id].unique_ids
            );
            return Err(Violation::new(Kind::FalseZero, text));
        }
    }
    Ok(())
}

/// The first and last lines of a stored message.
fn shown(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let all: Vec<&str> = text.lines().collect();
    if all.len() <= 24 {
        return format!("\n{text}");
    }
    format!("\n{}\n…\n{}", all[..14].join("\n"), all[all.len() - 8..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{History, Kind, check, check_zero};
    use crate::mail::MailId;
    use crate::stores::{Contents, Store};
    use crate::traits::Traits;
    use crate::world::World;
    use std::collections::BTreeSet;

    /// A world of three mails, all listed, and a Maildir with all of them.
    fn scene() -> (World, Contents, History) {
        let mut world = World::new(Traits { seed: 3, ..Traits::default() });
        world.arrive(3);
        world.open();
        let stored =
            |mail: &crate::mail::Mail| mail.octets.iter().copied().filter(|octet| *octet != b'\r').collect();
        let contents = Contents::from([(Store::Maildir, world.mails.iter().map(stored).collect())]);
        let history = History { destinations: BTreeSet::from([vec![Store::Maildir]]), ..History::default() };
        (world, contents, history)
    }

    fn verdict(scene: &(World, Contents, History)) -> Option<Kind> {
        check(&scene.0, &scene.1, &scene.2).err().map(|violation| violation.kind)
    }

    fn maildir(scene: &mut (World, Contents, History)) -> &mut Vec<Vec<u8>> {
        scene.1.get_mut(&Store::Maildir).unwrap()
    }

    #[test]
    fn what_is_delivered_may_be_deleted() {
        let mut scene = scene();
        assert_eq!(verdict(&scene), None);
        scene.0.delete(&BTreeSet::from([MailId(1), MailId(2)]));
        assert_eq!(verdict(&scene), None);
    }

    #[test]
    fn what_was_deleted_unseen_is_lost() {
        let mut scene = scene();
        maildir(&mut scene).remove(1);
        assert_eq!(verdict(&scene), None, "it's on the server");
        scene.0.delete(&BTreeSet::from([MailId(2)]));
        assert_eq!(verdict(&scene), Some(Kind::Lost));
    }

    #[test]
    fn one_store_of_two_is_not_enough() {
        let mut scene = scene();
        scene.2.destinations = BTreeSet::from([vec![Store::Maildir, Store::Pipe]]);
        let two = maildir(&mut scene)[..2].to_vec();
        scene.1.insert(Store::Pipe, two);
        scene.0.delete(&BTreeSet::from([MailId(2)]));
        assert_eq!(verdict(&scene), None);
        scene.0.delete(&BTreeSet::from([MailId(3)]));
        assert_eq!(verdict(&scene), Some(Kind::Lost));
    }

    #[test]
    fn a_second_copy_is_seen() {
        let mut scene = scene();
        let copy = maildir(&mut scene)[0].clone();
        maildir(&mut scene).push(copy);
        assert_eq!(verdict(&scene), Some(Kind::Twice));
    }

    #[test]
    fn a_part_of_a_mail_is_seen() {
        let mut scene = scene();
        let last = maildir(&mut scene).last_mut().unwrap();
        // Line ends at the end don't count.
        last.truncate(last.len() - 3);
        assert_eq!(verdict(&scene), Some(Kind::NotWhole));
    }

    #[test]
    fn exit_code_zero_with_mail_left_is_false() {
        let mut scene = scene();
        let listed = BTreeSet::from([MailId(1), MailId(2), MailId(3)]);
        maildir(&mut scene).pop();
        let others = [Store::Mbox, Store::Pipe].map(|store| (store, Vec::new()));
        scene.1.extend(others);
        let kind = check_zero(&scene.0, &scene.1, &listed).err().map(|violation| violation.kind);
        assert_eq!(kind, Some(Kind::FalseZero));
        check_zero(&scene.0, &scene.1, &BTreeSet::from([MailId(1)])).unwrap();
    }
}

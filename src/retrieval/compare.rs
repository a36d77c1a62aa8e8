//! Whether a message that the server lists is one that we have: asked where its unique-id alone cannot tell.
//!
//! A match is one for one: two equal messages on the server need two deliveries in the ledger.  What a [`Decision`]
//! needs is read from the ledger before retrieving begins, so that the committer can own the ledger from then on.

use std::collections::HashMap;

use crate::ledger::{Error, Ledger, Record, State};
use crate::message::{Digest, Facts};
use crate::plan::{Decision, Listed, Maildrop, Who, Why};
use crate::proof::{EntryId, Key};

/// The deliveries that listed messages may be, each to be matched once.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// By entry: for a known unique-id.
    of_entry: HashMap<EntryId, Vec<Record>>,
    /// By header digest: for a renumbered or nameless message.
    by_header: HashMap<Digest, Vec<(EntryId, Record)>>,
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is this message.
    Same(EntryId),
    /// We don't have it.
    Another,
    /// Only the whole message can tell.
    NeedsBody,
}

impl Verdict {
    /// What TOP gives may differ from what RETR gives: a header that isn't found proves nothing.
    fn or_look(self) -> Self {
        if self == Self::Another { Self::NeedsBody } else { self }
    }
}

impl Comparison {
    /// Reads what these decisions need.
    pub(super) fn new(maildrop: &Maildrop, decisions: &[Decision], ledger: &Ledger) -> Result<Self, Error> {
        let mut comparison = Self::default();
        let mut by_header = false;
        for (listed, decision) in maildrop.iter().zip(decisions) {
            let Some(why) = decision.compares() else { continue };
            match listed.who {
                Who::Known(id) => {
                    if let std::collections::hash_map::Entry::Vacant(vacant) = comparison.of_entry.entry(id) {
                        vacant.insert(ledger.records(id)?);
                    }
                }
                Who::New(_) | Who::Nameless => {
                    by_header |= matches!(why, Why::Renumbered | Why::Nameless);
                }
            }
        }
        if by_header {
            for (digest, mut ids) in ledger.by_header()? {
                // One with several copies stands there as often; all of its records are read at once.
                ids.dedup();
                for id in ids {
                    let entry = ledger.entry(id);
                    let ours = match ledger.key(id)? {
                        // Renumbering concerns the messages of the last complete listing that we didn't delete.
                        Key::UniqueId(_) => !entry.absent && entry.state != State::Deleted,
                        // A nameless one whose deletion was confirmed is gone: an equal one is new mail.
                        Key::Header(_) => entry.state != State::Deleted,
                    };
                    // What was only printed is not as good as delivered: under another name it's printed again.
                    if !ours || matches!(entry.state, State::Open | State::Seen) {
                        continue;
                    }
                    let records = ledger.records(id)?;
                    let of_header = |record: &Record| record.digests.header == digest;
                    comparison
                        .by_header
                        .entry(digest)
                        .or_default()
                        .extend(records.into_iter().filter(of_header).map(|record| (id, record)));
                }
            }
        }
        Ok(comparison)
    }

    /// Whether the header may settle it, so that `TOP` is asked before `RETR`.
    pub(super) fn asks_header(why: Why, deletes: bool) -> bool {
        match why {
            // A header can't tell which of several it is; a window must be retrieved again in any case.
            Why::Duplicate | Why::Window => false,
            Why::Nameless => !deletes,
            _ => true,
        }
    }

    /// Compares by header alone (`TOP n 0`), where that settles it.  `deletes` says whether the policy would act on a
    /// match of a nameless message by deleting it: then its body has a say.
    pub(super) fn by_header(
        &mut self,
        listed: &Listed<'_>,
        why: Why,
        facts: &Facts,
        deletes: bool,
    ) -> Verdict {
        let header = facts.digests.header;
        match (listed.who, why) {
            (Who::Known(_), Why::Duplicate) => Verdict::NeedsBody,
            (Who::Known(id), _) => {
                let same = |record: &Record| {
                    same_identity(record, facts) || (facts.traced && record.digests.header == header)
                };
                self.take_of_entry(id, same).or_look()
            }
            (_, Why::Nameless) if deletes => Verdict::NeedsBody,
            // Equal headers without trace fields may be two messages (a script's daily report).
            (_, Why::Renumbered) if !facts.traced => Verdict::Another,
            (_, Why::Renumbered) => self.take_by_header(header, |_| true).or_look(),
            _ => self.take_by_header(header, |_| true),
        }
    }

    /// Compares by the whole message.
    pub(super) fn whole(&mut self, listed: &Listed<'_>, why: Why, facts: &Facts) -> Verdict {
        let message = facts.digests.message;
        let equal = |record: &Record| record.digests.message == message;
        match (listed.who, why) {
            (Who::Known(id), Why::Duplicate) => self.take_of_entry(id, equal),
            (Who::Known(id), _) => {
                self.take_of_entry(id, |record| equal(record) || same_identity(record, facts))
            }
            (_, Why::Renumbered) if !facts.traced => Verdict::Another,
            _ => self.take_by_header(facts.digests.header, equal),
        }
    }

    fn take_of_entry(&mut self, id: EntryId, same: impl Fn(&Record) -> bool) -> Verdict {
        let records = self.of_entry.entry(id).or_default();
        match records.iter().position(same) {
            Some(index) => {
                records.swap_remove(index);
                Verdict::Same(id)
            }
            None => Verdict::Another,
        }
    }

    fn take_by_header(&mut self, header: Digest, same: impl Fn(&Record) -> bool) -> Verdict {
        let records = self.by_header.entry(header).or_default();
        match records.iter().position(|(_, record)| same(record)) {
            Some(index) => Verdict::Same(records.swap_remove(index).0),
            None => Verdict::Another,
        }
    }
}

/// Equal, non-empty Message-ID, Date and From.
fn same_identity(record: &Record, facts: &Facts) -> bool {
    record.digests.identity.is_some() && record.digests.identity == facts.digests.identity
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Verdict};
    use crate::ledger::State;
    use crate::plan::trial::{World, facts, key};
    use crate::plan::{Decision, Maildrop, Why};
    use crate::proof::{EntryId, Key};

    use Verdict::{Another, NeedsBody, Same};

    /// A comparison of one listed message (by its unique-id; `-`: none), and the listing.
    fn comparison(world: &World, names: &[&str], why: Why) -> (Maildrop, Comparison) {
        let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
        let maildrop = world.maildrop(&listed);
        let decisions = vec![Decision::Compare(why); names.len()];
        let comparison = Comparison::new(&maildrop, &decisions, &world.ledger).unwrap();
        (maildrop, comparison)
    }

    /// What the header says of each message, in turn, and what the whole of it says.
    fn verdicts(
        world: &World,
        name: &str,
        why: Why,
        contents: &[&str],
        deletes: bool,
    ) -> (Vec<Verdict>, Vec<Verdict>) {
        let names = vec![name; contents.len()];
        let (maildrop, mut by_header) = comparison(world, &names, why);
        let (_, mut whole) = comparison(world, &names, why);
        let each = |index: usize| maildrop.at(index).unwrap();
        let header =
            |(i, content): (usize, &&str)| by_header.by_header(&each(i), why, &facts(content), deletes);
        let headers = contents.iter().enumerate().map(header).collect();
        let all = |(i, content): (usize, &&str)| whole.whole(&each(i), why, &facts(content));
        (headers, contents.iter().enumerate().map(all).collect())
    }

    /// A known unique-id: the message by digest or by identity, else another one.
    #[test]
    fn a_unique_id_is_used_again_or_not() {
        let mut world = World::new();
        let id = world.deliver_content(key("x"), "h/b@i");
        // The message now, what the header says, what the whole says.
        let cases = [
            ("h/b@i", Same(id), Same(id)),
            // A server that put a line into the header: Message-ID, Date and From are as they were.
            ("h2/b@i", Same(id), Same(id)),
            ("h2/b2@i", Same(id), Same(id)),
            ("h2/b@j", NeedsBody, Another),
            ("h2/b@-", NeedsBody, Another),
            ("h/b2@j", Same(id), Another),
        ];
        for why in [Why::SizeChanged, Why::CameBack] {
            for (content, header, whole) in cases {
                assert_eq!(
                    verdicts(&world, "x", why, &[content], true),
                    (vec![header], vec![whole]),
                    "{content}"
                );
            }
        }
        // Without an identity on our side, only digests count.
        let id = world.deliver_content(key("y"), "h/b@-");
        assert_eq!(
            verdicts(&world, "y", Why::SizeChanged, &["h2/b@-"], true),
            (vec![NeedsBody], vec![Another])
        );
        assert_eq!(verdicts(&world, "y", Why::SizeChanged, &["h/b@-"], true).1, [Same(id)]);
        // An equal header that has neither identity nor trace fields may be that of a script's next report.
        let untraced = crate::message::Facts { traced: false, ..facts("h/b2@-") };
        let (maildrop, mut comparison) = comparison(&world, &["y"], Why::SizeChanged);
        let listed = maildrop.at(0).unwrap();
        assert_eq!(comparison.by_header(&listed, Why::SizeChanged, &untraced, true), NeedsBody);
        assert_eq!(comparison.whole(&listed, Why::SizeChanged, &untraced), Another);
    }

    /// Two messages of one unique-id: by the whole message, and each delivery stands for one.
    #[test]
    fn duplicates_are_matched_one_for_one() {
        let mut world = World::new();
        let id = world.deliver_content(key("x"), "h/b@i");
        let (headers, whole) = verdicts(&world, "x", Why::Duplicate, &["h/b@i", "h/b@i", "h/b2@i"], true);
        assert_eq!(headers, [NeedsBody; 3], "a header cannot tell which of them it is");
        assert_eq!(whole, [Same(id), Another, Another]);
        world.deliver_content(key("x"), "h/b@i");
        let (_, whole) = verdicts(&world, "x", Why::Duplicate, &["h/b@i", "h/b@i", "h/b@i"], true);
        assert_eq!(whole, [Same(id), Same(id), Another], "L4");
    }

    #[test]
    fn a_renumbered_message_is_one_of_the_last_listing() {
        let mut world = World::new();
        let a = world.deliver_content(key("a"), "a/x");
        let twin = [world.deliver_content(key("b"), "b/x"), world.deliver_content(key("c"), "b/x")];
        world.deliver_content(key("gone"), "gone/x");
        world.deliver_content(key("deleted"), "deleted/x");
        world.listed(&["a", "b", "c", "gone", "deleted"]);
        let deleted = world.ledger.find_key(&key("deleted")).unwrap();
        world.ledger.deleted(&[deleted]).unwrap();
        world.listed(&["a", "b", "c"]);
        world.deliver_to_one("partly");
        world.print("seen");
        let contents = ["a/x", "a/x", "b/x", "b/x", "b/x", "gone/x", "deleted/x", "new/x", "partly", "seen"];
        for (verdicts, by) in [
            (verdicts(&world, "new", Why::Renumbered, &contents, false).0, "header"),
            (verdicts(&world, "new", Why::Renumbered, &contents, true).1, "the whole"),
        ] {
            let same: Vec<EntryId> = verdicts
                .iter()
                .filter_map(|verdict| if let Same(id) = verdict { Some(*id) } else { None })
                .collect();
            let is_same: Vec<bool> = verdicts.iter().map(|verdict| matches!(verdict, Same(_))).collect();
            let (t, f) = (true, false);
            assert_eq!(is_same, [t, f, t, t, f, f, f, f, f, f], "{by}");
            assert_eq!(same[0], a);
            assert!(twin.contains(&same[1]) && twin.contains(&same[2]) && same[1] != same[2], "{by}");
        }
    }

    /// One unique-id that stood for two messages: each counts under its own header only.
    #[test]
    fn copies_count_under_their_own_headers() {
        let mut world = World::new();
        let id = world.deliver_content(key("x"), "a/x");
        world.deliver_content(key("x"), "b/x");
        let (headers, whole) = verdicts(&world, "new", Why::Renumbered, &["a/x", "a/x", "b/x"], false);
        assert_eq!(headers, [Same(id), NeedsBody, Same(id)]);
        assert_eq!(whole, [Same(id), Another, Same(id)]);
    }

    /// A script's daily report has the same header each day: without trace fields equal headers prove nothing.
    #[test]
    fn without_trace_fields_nothing_is_taken_for_renumbered() {
        let mut world = World::new();
        world.deliver_content(key("a"), "a/x");
        let untraced = crate::message::Facts { traced: false, ..facts("a/x") };
        let (maildrop, mut comparison) = comparison(&world, &["new"], Why::Renumbered);
        let listed = maildrop.at(0).unwrap();
        assert_eq!(comparison.by_header(&listed, Why::Renumbered, &untraced, false), Another);
        assert_eq!(comparison.whole(&listed, Why::Renumbered, &untraced), Another);
    }

    /// L10: without unique-ids, leaving policies go by headers, counted; deleting ones by whole messages.
    #[test]
    fn nameless_messages_are_counted() {
        let mut world = World::new();
        let name = |content: &str| Key::Header(facts(content).digests.header);
        let id = world.deliver_content(name("h/b"), "h/b");
        world.deliver_content(name("h/b"), "h/b2");
        let contents = ["h/b", "h/b3", "h/b", "other/b"];
        let (headers, whole) = verdicts(&world, "-", Why::Nameless, &contents, false);
        assert_eq!(headers, [Same(id), Same(id), Another, Another]);
        assert_eq!(whole, [Same(id), Another, Another, Another]);
        assert_eq!(verdicts(&world, "-", Why::Nameless, &contents, true).0, [NeedsBody; 4]);
        // A confirmed deletion is the end of it: an equal message is new mail.
        world.ledger.deleted(&[id]).unwrap();
        assert_eq!(world.ledger.entry(id).state, State::Deleted);
        assert_eq!(
            verdicts(&world, "-", Why::Nameless, &contents, false),
            (vec![Another; 4], vec![Another; 4])
        );
    }
}

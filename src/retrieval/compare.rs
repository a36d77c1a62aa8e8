//! Whether a message that the server lists is one that we have: asked wherever its unique-id alone proves nothing,
//! which is before every deletion, and after everything that puts a unique-id in doubt.
//!
//! Identity is content.  The next step is taken only if the one before doesn't match: the digest of the header by
//! `TOP n 0`, if that header has Received and Message-ID; equal Message-ID, Date and From; the digest of the whole
//! message.  Only the last one can fail: what `TOP` gives may differ from what `RETR` gives.
//!
//! A match is one for one: two equal messages on the server need two deliveries in the ledger.  What the comparisons
//! need is read from the ledger before retrieving begins, so that the committer can own the ledger from then on.

use std::collections::{HashMap, HashSet};

use crate::ledger::{Begun, Entry, EntryState, Error, Ledger, Match, Record};
use crate::message::{Digest, Facts};
use crate::plan::{Decision, Listed, Maildrop, Who, Why};
use crate::proof::{EntryId, Key};

/// The deliveries that listed messages may be, each to be matched once.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Of the entries whose keys are listed.
    ours: HashMap<EntryId, Ours>,
    /// Of the entries that may be listed under other keys, by header; `None` where that was not asked for: then a
    /// comparison that fails concludes nothing.
    others: Option<HashMap<Digest, Vec<Other>>>,
    /// What has been matched.
    used: HashSet<Delivery>,
    /// Whether messages have failed, perhaps some without a unique-id: these can't be told from others with their header.
    pub(super) some_failed: bool,
    /// Messages that only some of their destinations have.
    begun: Vec<Begun>,
    /// Those of them that were found, by their places.
    found: HashSet<usize>,
    /// Their places, by their headers,
    begun_by_header: HashMap<Digest, Vec<usize>>,
    /// and by their entries.
    begun_by_entry: HashMap<EntryId, Vec<usize>>,
    /// Entries among these whose messages were delivered again after a comparison had failed.
    begun_again: HashSet<EntryId>,
    /// Entries whose keys stand for other mail now.
    pub(super) failed: Vec<EntryId>,
}

/// One delivery of an entry, in the order of its records.
pub(super) type Delivery = (EntryId, usize);

/// A delivery that may be listed under another key.
#[derive(Debug)]
struct Other {
    delivery: Delivery,
    record: Record,
    /// Whether its key is its header, since it had no unique-id.
    nameless: bool,
}

/// What is known of an entry whose key is listed.
#[derive(Debug)]
struct Ours {
    copies: Vec<Record>,
    /// Headers by which the server showed it besides.
    headers: Vec<Digest>,
    entry: Entry,
    /// Whether it was delivered in the other mode (RFC 6856), in which the server may send other octets.
    other_mode: bool,
    /// Whether its key is listed more than once, or is its header: then a header can't show which of them it is.
    several: bool,
}

/// Where a message that isn't what its key stands for is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// Nowhere: it is set aside until all that is known has been compared.
    OwnKey,
    /// Among the messages that may be listed under another key.
    EveryKey,
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is this message.
    Same(Match),
    /// We don't have it.
    Another,
    /// Only the whole message can show it.
    NeedsBody,
    /// It isn't what its key stands for.  Whether we have it shows when all that is known has been compared.
    SetAside,
    /// The server's copies of this message differ each time: no comparison can succeed.
    Varies(EntryId),
}

impl Comparison {
    /// Reads what these decisions need.  `utf8` is the session's mode.
    pub(super) fn new(
        maildrop: &Maildrop,
        decisions: &[Decision],
        ledger: &Ledger,
        search: Search,
        utf8: bool,
    ) -> Result<Self, Error> {
        let mut comparison = Self::default();
        comparison.read_begun(ledger);
        let mut search = search;
        for (listed, decision) in maildrop.iter().zip(decisions) {
            let Some(why) = &decision.compares() else { continue };
            if matches!(why, Why::Renumbered | Why::Nameless) {
                search = Search::EveryKey;
            }
            match listed.who {
                Who::Known(id) if comparison.ours.contains_key(&id) => {}
                Who::Known(id) => {
                    let entry = ledger.entry(id);
                    // A header is not enough to delete what has no unique-id.
                    let nameless = matches!(ledger.key(id)?, Key::Header(_));
                    let ours = Ours {
                        copies: ledger.records(id)?,
                        headers: ledger.headers(id).to_vec(),
                        other_mode: entry.utf8 != utf8,
                        several: nameless || *why == Why::Duplicate || maildrop.times_listed(id) > 1,
                        entry,
                    };
                    comparison.ours.insert(id, ours);
                }
                Who::New(_) | Who::Nameless => {}
            }
        }
        if search == Search::EveryKey {
            comparison.others = Some(others(ledger, maildrop, &comparison.ours)?);
        }
        Ok(comparison)
    }

    fn read_begun(&mut self, ledger: &Ledger) {
        self.begun = ledger.begun();
        for (place, begun) in self.begun.iter().enumerate() {
            self.begun_by_header.entry(begun.digests.header).or_default().push(place);
            self.begun_by_entry.entry(begun.entry).or_default().push(place);
            if ledger.entry(begun.entry).again {
                self.begun_again.insert(begun.entry);
            }
        }
    }

    /// The delivery that a message continues which has arrived whole: some of its destinations have it.  What is listed
    /// under the same key is the same message by digest, by equal Message-ID, Date and From, or by its header; under
    /// another key, by a header with trace fields; without a unique-id, by the digest of the whole.  One for one.
    pub(super) fn continues(&mut self, listed: &Listed<'_>, facts: &Facts) -> Option<&Begun> {
        let own = match listed.who {
            Who::Known(id) => self.begun_by_entry.get(&id).map_or(&[][..], Vec::as_slice),
            Who::New(_) | Who::Nameless => &[],
        };
        let alike = self.begun_by_header.get(&facts.digests.header).map_or(&[][..], Vec::as_slice);
        let free = |place: &&usize| !self.found.contains(place);
        let has = |place: &usize, same: &dyn Fn(&Begun) -> bool| self.begun.get(*place).is_some_and(same);
        let is_same = |begun: &Begun| begun.digests.is_same(&facts.digests);
        let is_whole = |begun: &Begun| {
            facts.traced || (begun.nameless && begun.digests.message == facts.digests.message)
        };
        // Without an identity on either side, copies that differ may be one message: not delivered to all each time.
        let may_vary = |begun: &Begun| {
            self.begun_again.contains(&begun.entry)
                && begun.digests.identity.is_none()
                && facts.digests.identity.is_none()
        };
        let own = || own.iter().filter(free);
        let alike = || alike.iter().filter(free);
        let place = own()
            .find(|place| has(place, &is_same))
            .or_else(|| alike().find(|place| has(place, &is_whole)))
            .or_else(|| own().find(|place| has(place, &may_vary)))
            .copied()?;
        self.found.insert(place);
        self.begun.get(place)
    }

    /// Whether some destinations have a message that was listed under its key, though it isn't this one.
    pub(super) fn continues_another(&self, listed: &Listed<'_>) -> bool {
        let Who::Known(id) = listed.who else { return false };
        self.begun_by_entry
            .get(&id)
            .is_some_and(|places| places.iter().any(|place| !self.found.contains(place)))
    }

    /// Whether a message with this header, that hasn't been found yet, is one that only some of its destinations have.
    fn is_begun(&self, header: Digest) -> bool {
        let places = self.begun_by_header.get(&header);
        places.is_some_and(|places| places.iter().any(|place| !self.found.contains(place)))
    }

    /// Goes on where an earlier round of the session ended: what was matched there is not matched again.
    pub(super) fn after(mut self, used: HashSet<Delivery>) -> Self {
        self.used = used;
        self
    }

    /// What has been matched, for the next round of the session.
    pub(super) fn used(self) -> HashSet<Delivery> {
        self.used
    }

    /// Whether the header may settle it, so that `TOP` is asked before `RETR`.
    pub(super) fn asks_header(why: Why, deletes: bool) -> bool {
        match why {
            // A header can't show which of several it is; a window must be retrieved again in any case.
            Why::Duplicate | Why::Window => false,
            Why::Nameless => !deletes,
            _ => true,
        }
    }

    /// Compares by header alone (`TOP n 0`), where that settles it.  `deletes` is whether the policy would act on a
    /// match of a nameless message by deleting it: then its body counts.
    pub(super) fn by_header(
        &mut self,
        listed: &Listed<'_>,
        why: Why,
        facts: &Facts,
        deletes: bool,
    ) -> Verdict {
        match (listed.who, why) {
            (Who::Known(id), _) if self.is_one_of_several(id) => Verdict::NeedsBody,
            // It may be the one that another destination lacks.
            (Who::New(_) | Who::Nameless, _) if self.is_begun(facts.digests.header) => Verdict::NeedsBody,
            (Who::Known(id), _) => self
                .own(id, facts, |record, header| header || is_same(record, facts))
                .or_else(|| self.traced(facts))
                .unwrap_or(Verdict::NeedsBody),
            (_, Why::Nameless) if deletes => Verdict::NeedsBody,
            (_, Why::Nameless) => self.nameless(facts),
            // Equal headers without trace fields may be two messages (a script's daily report).
            _ if !facts.traced => Verdict::Another,
            _ => self.traced(facts).unwrap_or(Verdict::NeedsBody),
        }
    }

    /// Compares by the whole message.
    pub(super) fn whole(&mut self, listed: &Listed<'_>, why: Why, facts: &Facts) -> Verdict {
        let message = facts.digests.message;
        let equal = |record: &Record| record.digests.message == message;
        match (listed.who, why) {
            (Who::Known(id), _) if self.is_one_of_several(id) => self
                .own(id, facts, |record, _| equal(record) || is_same(record, facts))
                .unwrap_or(Verdict::Another),
            (Who::Known(id), _) => self
                .own(id, facts, |record, _| equal(record) || is_same(record, facts))
                .or_else(|| self.traced(facts))
                .unwrap_or_else(|| self.fail(id, facts)),
            (_, Why::Nameless) => {
                self.other(facts.digests.header, |other| equal(&other.record)).unwrap_or(Verdict::Another)
            }
            // New in a window: whatever was listed before may be meant, so that all of it must be equal.
            (_, Why::New) if facts.traced => {
                self.other(facts.digests.header, |other| equal(&other.record)).unwrap_or(Verdict::Another)
            }
            _ => self.traced(facts).unwrap_or(Verdict::Another),
        }
    }

    /// Whether a message that is due for deletion, and isn't what was delivered under its key, is delivered again and
    /// deleted: its copies differ each time, or were delivered in the other mode.
    pub(super) fn goes_when_delivered(&self, listed: &Listed<'_>) -> bool {
        let Who::Known(id) = listed.who else { return false };
        self.ours.get(&id).is_some_and(|ours| ours.entry.varies || ours.entry.again || ours.other_mode)
            && !self.failed.contains(&id)
    }

    /// Whether an earlier session has found that the server's copies of this message differ each time.
    pub(super) fn is_known_to_vary(&self, id: EntryId) -> bool {
        self.ours.get(&id).is_some_and(|ours| ours.entry.varies)
    }

    /// Whether the server has gone on listing it since it confirmed the deletion: what it shows is no new mail.
    pub(super) fn never_left(&self, listed: &Listed<'_>) -> bool {
        let Who::Known(id) = listed.who else { return false };
        self.ours.get(&id).is_some_and(|ours| ours.entry.state == EntryState::Deleted && !ours.entry.absent)
    }

    /// Whether anything was delivered under its key.
    pub(super) fn has_delivery(&self, listed: &Listed<'_>) -> bool {
        matches!(listed.who, Who::Known(id) if self.ours.get(&id).is_some_and(|ours| !ours.copies.is_empty()))
    }

    fn is_one_of_several(&self, id: EntryId) -> bool {
        self.ours.get(&id).is_some_and(|ours| ours.several)
    }

    /// One of the entry's own deliveries.  `same` also takes whether the header proves it.
    fn own(&mut self, id: EntryId, facts: &Facts, same: impl Fn(&Record, bool) -> bool) -> Option<Verdict> {
        let ours = self.ours.get(&id)?;
        let header = facts.digests.header;
        let seen = ours.headers.contains(&header);
        // The last one is what the key stood for when it was seen last.
        let copy = (0..ours.copies.len()).zip(&ours.copies).rev().find_map(|(copy, record)| {
            let proves = facts.traced && (seen || record.digests.header == header);
            (!self.used.contains(&(id, copy)) && same(record, proves)).then_some(copy)
        })?;
        let known = seen || ours.copies.iter().any(|record| record.digests.header == header);
        if copy + 1 < ours.copies.len() && !ours.several && !ours.other_mode {
            // Known, but not what the key stood for last: so others may stand for other mail as well.
            self.failed.push(id);
        }
        self.used.insert((id, copy));
        Some(Verdict::Same(Match { entry: id, copy, header: (!known && facts.traced).then_some(header) }))
    }

    /// A message that is listed under another key than the one it was delivered under: its header proves it.
    fn traced(&mut self, facts: &Facts) -> Option<Verdict> {
        facts.traced.then(|| self.other(facts.digests.header, |_| true)).flatten()
    }

    /// A message without a unique-id, by its header.  Where that has no trace fields, another message may have an equal
    /// one: one that was delivered under a unique-id; or one beside a message that failed, which left no entry.  Then the
    /// whole of it decides.
    fn nameless(&mut self, facts: &Facts) -> Verdict {
        let header = facts.digests.header;
        let some_failed = self.some_failed;
        let own = self.traced(facts).or_else(|| self.other(header, |other| other.nameless && !some_failed));
        own.unwrap_or_else(|| match self.free(header).next() {
            Some(_) => Verdict::NeedsBody,
            None => Verdict::Another,
        })
    }

    /// What has this header, may be listed under another key, and hasn't been matched.
    fn free(&self, header: Digest) -> impl Iterator<Item = &Other> {
        let others = self.others.as_ref().and_then(|others| others.get(&header));
        others.into_iter().flatten().filter(|other| !self.used.contains(&other.delivery))
    }

    fn other(&mut self, header: Digest, same: impl Fn(&Other) -> bool) -> Option<Verdict> {
        let (entry, copy) = self.free(header).find(|other| same(other))?.delivery;
        self.used.insert((entry, copy));
        Some(Verdict::Same(Match { entry, copy, header: None }))
    }

    /// The message under this entry's key is none of those that we have.
    fn fail(&mut self, id: EntryId, facts: &Facts) -> Verdict {
        let Some(Ours { entry, copies, other_mode, .. }) = self.ours.get(&id) else {
            return Verdict::Another;
        };
        if copies.is_empty() {
            if entry.state == EntryState::Open {
                // Nothing was delivered under this key yet.
                return Verdict::Another;
            }
            // What it was is not known: nothing can be concluded.
            return Verdict::SetAside;
        }
        let has_identity =
            facts.digests.identity.is_some() || copies.iter().any(|record| record.digests.identity.is_some());
        if entry.varies || (entry.again && !has_identity) {
            return Verdict::Varies(id);
        }
        if *other_mode {
            return Verdict::Another;
        }
        self.failed.push(id);
        if self.others.is_some() { Verdict::Another } else { Verdict::SetAside }
    }
}

/// What may be listed under another key, by header: what the last complete listing held, and what has come since; while a
/// renumbering is being sorted out, what was listed before it, too.  Not what is listed under its own key, unless that is
/// in question: of several deliveries under one key, the last ones are.  A nameless message whose deletion was confirmed is gone: an equal one is new mail.  What was only printed
/// is not as good as delivered: under another name it's printed again.
fn others(
    ledger: &Ledger,
    maildrop: &Maildrop,
    ours: &HashMap<EntryId, Ours>,
) -> Result<HashMap<Digest, Vec<Other>>, Error> {
    // How many of its deliveries may be listed under another key.
    let elsewhere = |id: EntryId, entry: &Entry| {
        let under_own = if entry.doubtful || ours.contains_key(&id) { 0 } else { maildrop.times_listed(id) };
        usize::from(entry.copies).saturating_sub(usize::try_from(under_own).unwrap_or(usize::MAX))
    };
    let may = |id: EntryId, entry: &Entry| {
        // One that is open may have been delivered before: another message of its key is on its way.
        matches!(entry.state, EntryState::Delivered | EntryState::Recorded | EntryState::Open)
            && (entry.candidate || !entry.absent)
            && elsewhere(id, entry) > 0
    };
    let mut others: HashMap<Digest, Vec<Other>> = HashMap::new();
    for (id, copy, record) in ledger.deliveries(may)? {
        if copy >= elsewhere(id, &ledger.entry(id)) {
            continue;
        }
        let header = record.digests.header;
        let nameless = ledger.find_key(&Key::Header(header)) == Some(id);
        others.entry(header).or_default().push(Other { delivery: (id, copy), record, nameless });
    }
    Ok(others)
}

/// Equal, non-empty Message-ID, Date and From.
fn is_same(record: &Record, facts: &Facts) -> bool {
    record.digests.identity.is_some() && record.digests.identity == facts.digests.identity
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Search, Verdict};
    use crate::ledger::{EntryState, Match};
    use crate::message::Facts;
    use crate::plan::trial::{World, facts, key};
    use crate::plan::{Decision, Maildrop, Why};
    use crate::proof::{EntryId, Key};

    use Found::{Another, NeedsBody, Same, SetAside, Varies};

    /// A verdict, without the place of what was found.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Found {
        Same(EntryId),
        Another,
        NeedsBody,
        SetAside,
        Varies,
    }

    impl From<Verdict> for Found {
        fn from(verdict: Verdict) -> Self {
            match verdict {
                Verdict::Same(same_as) => Same(same_as.entry),
                Verdict::Another => Another,
                Verdict::NeedsBody => NeedsBody,
                Verdict::SetAside => SetAside,
                Verdict::Varies(_) => Varies,
            }
        }
    }

    /// A comparison of one listed message (by its unique-id; `-`: none), and the listing.
    fn comparison(world: &World, names: &[&str], why: Why) -> (Maildrop, Comparison) {
        let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
        let maildrop = world.maildrop(&listed);
        let decisions = vec![Decision::Compare(why); names.len()];
        let comparison =
            Comparison::new(&maildrop, &decisions, &world.ledger, Search::OwnKey, false).unwrap();
        (maildrop, comparison)
    }

    /// What the header shows of each message, in turn, and what the whole of it shows.
    fn verdicts(
        world: &World,
        name: &str,
        why: Why,
        contents: &[&str],
        deletes: bool,
    ) -> (Vec<Found>, Vec<Found>) {
        let names = vec![name; contents.len()];
        let (maildrop, mut by_header) = comparison(world, &names, why);
        let (_, mut whole) = comparison(world, &names, why);
        let each = |index: usize| maildrop.at(index).unwrap();
        let header = |(i, content): (usize, &&str)| {
            by_header.by_header(&each(i), why, &facts(content), deletes).into()
        };
        let headers = contents.iter().enumerate().map(header).collect();
        let all = |(i, content): (usize, &&str)| whole.whole(&each(i), why, &facts(content)).into();
        (headers, contents.iter().enumerate().map(all).collect())
    }

    /// A known unique-id: the message by digest or by identity, else another one.
    #[test]
    fn a_unique_id_is_used_again_or_not() {
        let mut world = World::new();
        let id = world.deliver_content(key("x"), "h/b@i");
        // The message now, what the header shows, what the whole shows.
        let cases = [
            ("h/b@i", Same(id), Same(id)),
            // A server that put a line into the header: Message-ID, Date and From are as they were.
            ("h2/b@i", Same(id), Same(id)),
            ("h2/b2@i", Same(id), Same(id)),
            ("h2/b@j", NeedsBody, SetAside),
            ("h2/b@-", NeedsBody, SetAside),
            ("h/b2@j", Same(id), SetAside),
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
            (vec![NeedsBody], vec![SetAside])
        );
        assert_eq!(verdicts(&world, "y", Why::SizeChanged, &["h/b@-"], true).1, [Same(id)]);
        // An equal header that has neither identity nor trace fields may be that of a script's next report.
        let untraced = Facts { traced: false, ..facts("h/b2@-") };
        let (maildrop, mut comparison) = comparison(&world, &["y"], Why::SizeChanged);
        let listed = maildrop.at(0).unwrap();
        assert_eq!(comparison.by_header(&listed, Why::SizeChanged, &untraced, true), Verdict::NeedsBody);
        assert_eq!(comparison.whole(&listed, Why::SizeChanged, &untraced), Verdict::SetAside);
        assert_eq!(comparison.failed, [id]);
    }

    /// Two messages of one unique-id: by the whole message, and each delivery stands for one.
    #[test]
    fn duplicates_are_matched_one_for_one() {
        let mut world = World::new();
        let id = world.deliver_content(key("x"), "h/b@i");
        let (headers, whole) = verdicts(&world, "x", Why::Duplicate, &["h/b@i", "h/b@i", "h/b2@i"], true);
        assert_eq!(headers, [NeedsBody; 3], "a header cannot show which of them it is");
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
        let untraced = Facts { traced: false, ..facts("a/x") };
        let (maildrop, mut comparison) = comparison(&world, &["new"], Why::Renumbered);
        let listed = maildrop.at(0).unwrap();
        assert_eq!(comparison.by_header(&listed, Why::Renumbered, &untraced, false), Verdict::Another);
        assert_eq!(comparison.whole(&listed, Why::Renumbered, &untraced), Verdict::Another);
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
        assert_eq!(world.ledger.entry(id).state, EntryState::Deleted);
        assert_eq!(
            verdicts(&world, "-", Why::Nameless, &contents, false),
            (vec![Another; 4], vec![Another; 4])
        );
    }

    /// A message without a unique-id has the header of one that was delivered under a unique-id: if it has no trace fields
    /// it may be other mail, which must not be left undelivered.
    #[test]
    fn without_a_unique_id_a_header_alone_is_not_a_message_that_had_one() {
        let mut world = World::new();
        let id = world.deliver_content(key("x"), "h/b");
        let untraced = |content: &str| Facts { traced: false, ..facts(content) };
        let (maildrop, mut comparison) = comparison(&world, &["-"], Why::Nameless);
        let listed = maildrop.at(0).unwrap();
        let same = Verdict::Same(Match::first(id));
        assert_eq!(
            comparison.by_header(&listed, Why::Nameless, &untraced("h/b2"), false),
            Verdict::NeedsBody
        );
        assert_eq!(comparison.whole(&listed, Why::Nameless, &untraced("h/b2")), Verdict::Another);
        assert_eq!(comparison.whole(&listed, Why::Nameless, &untraced("h/b")), same);
        let (_, mut traced) = self::comparison(&world, &["-"], Why::Nameless);
        assert_eq!(traced.by_header(&listed, Why::Nameless, &facts("h/b"), false), same);
    }

    /// One of two messages with equal headers was refused, and the other delivered: which is which, only the whole shows.
    #[test]
    fn beside_a_message_that_failed_a_header_alone_is_no_proof() {
        let mut world = World::new();
        let delivered = facts("h/b");
        let id = world.deliver_content(Key::Header(delivered.digests.header), "h/b");
        let untraced = |content: &str| Facts { traced: false, ..facts(content) };
        for (some_failed, verdict) in [(false, Verdict::Same(Match::first(id))), (true, Verdict::NeedsBody)] {
            let (maildrop, mut comparison) = comparison(&world, &["-"], Why::Nameless);
            comparison.some_failed = some_failed;
            let listed = maildrop.at(0).unwrap();
            assert_eq!(comparison.by_header(&listed, Why::Nameless, &untraced("h/a"), false), verdict);
        }
    }

    /// A known unique-id stands for a message that was delivered under another one.
    #[test]
    fn what_is_not_what_its_unique_id_says_is_looked_for_everywhere() {
        let mut world = World::new();
        let (a, b) = (world.deliver_content(key("a"), "a/x"), world.deliver_content(key("b"), "b/x"));
        world.listed(&["a", "b"]);
        let listed = world.maildrop(&[("a", None), ("b", None)]);
        let decisions = [Decision::Compare(Why::Doubtful); 2];
        let mut comparison =
            Comparison::new(&listed, &decisions, &world.ledger, Search::EveryKey, false).unwrap();
        let mut whole = |at: usize, content: &str| {
            comparison.whole(&listed.at(at).unwrap(), Why::Doubtful, &facts(content))
        };
        // Both keys stand for b now: one of them is ours, the other is one more.
        assert_eq!(whole(0, "b/x"), Verdict::Same(Match::first(b)));
        assert_eq!(whole(1, "b/x"), Verdict::Another);
        assert_eq!(whole(1, "a/x"), Verdict::Same(Match::first(a)));
        assert_eq!(whole(0, "new/x"), Verdict::Another);
        assert_eq!(comparison.failed, [b, a]);
    }

    /// A header that differs, though the message is the same, is learnt.
    #[test]
    fn another_header_of_the_same_message_is_known_from_then_on() {
        let mut world = World::new();
        let id = world.deliver_content(key("x"), "h/b@i");
        let (maildrop, mut by_header) = comparison(&world, &["x"], Why::Doubtful);
        let seen = facts("h2/b@i");
        let verdict = by_header.by_header(&maildrop.at(0).unwrap(), Why::Doubtful, &seen, false);
        let same_as = Match { header: Some(seen.digests.header), ..Match::first(id) };
        assert_eq!(verdict, Verdict::Same(same_as));
        world.ledger.recognise(&key("x"), None, same_as).unwrap();
        let (maildrop, mut by_header) = comparison(&world, &["x"], Why::Doubtful);
        let verdict = by_header.by_header(&maildrop.at(0).unwrap(), Why::Doubtful, &facts("h2/z@-"), false);
        assert_eq!(verdict, Verdict::Same(Match::first(id)));
    }

    /// Without an identity, a message that differs at each retrieval is delivered again once, and then left alone.
    #[test]
    fn a_message_that_differs_each_time_is_not_compared_for_ever() {
        let mut world = World::new();
        let id = world.deliver_content(key("x"), "h/1@-");
        assert_eq!(verdicts(&world, "x", Why::Doubtful, &["h2/2@-"], false).1, [SetAside]);
        world.again = true;
        world.deliver_content(key("x"), "h2/2@-");
        assert_eq!(verdicts(&world, "x", Why::Doubtful, &["h3/3@-"], false).1, [Varies]);
        assert_eq!(verdicts(&world, "x", Why::Doubtful, &["h3/3@i"], false).1, [SetAside]);
        world.ledger.varies(id).unwrap();
        assert_eq!(verdicts(&world, "x", Why::Days, &["h3/3@i"], false).1, [Varies]);
    }

    /// In the other mode of RFC 6856 a server may send other octets: that puts no other unique-id in doubt.
    #[test]
    fn a_message_of_the_other_mode_accuses_no_other() {
        let mut world = World::new();
        world.deliver_content(key("x"), "h/b@i");
        let maildrop = world.maildrop(&[("x", None)]);
        let decisions = [Decision::Compare(Why::Doubtful)];
        let mut comparison =
            Comparison::new(&maildrop, &decisions, &world.ledger, Search::OwnKey, true).unwrap();
        let verdict = comparison.whole(&maildrop.at(0).unwrap(), Why::Doubtful, &facts("h2/b2@j"));
        assert_eq!(verdict, Verdict::Another);
        assert!(comparison.failed.is_empty());
    }

    /// The delivery that a message with this content continues, listed under this unique-id.
    fn continued(
        comparison: &mut Comparison,
        maildrop: &Maildrop,
        at: usize,
        facts: &Facts,
    ) -> Option<EntryId> {
        comparison.continues(&maildrop.at(at).unwrap(), facts).map(|begun| begun.entry)
    }

    /// What one destination has, and another lacks, is found again by its content, once.
    #[test]
    fn what_a_destination_lacks_is_found_under_any_unique_id() {
        let mut world = World::new();
        let [a, b] = ["a", "b"].map(|name| world.deliver_to_one(name));
        let (maildrop, mut comparison) = comparison(&world, &["a", "b", "new", "-"], Why::Renumbered);
        let mut at = |at: usize, content: &str| continued(&mut comparison, &maildrop, at, &facts(content));
        assert_eq!(at(2, "c"), None);
        assert_eq!(at(2, "a"), Some(a), "under another unique-id");
        assert_eq!(at(0, "a"), None, "each stands for one message");
        assert_eq!(at(1, "h/x@b"), Some(b), "Message-ID, Date and From are its own");
        assert_eq!(at(1, "b"), None);
    }

    /// Equal headers without trace fields may be those of a script's next report.
    #[test]
    fn without_trace_fields_only_the_same_unique_id_or_none_is_the_same_message() {
        let mut world = World::new();
        let a = world.deliver_to_one("a");
        let untraced = |content: &str| Facts { traced: false, ..facts(content) };
        let (maildrop, mut comparison) = comparison(&world, &["a", "new"], Why::Renumbered);
        assert_eq!(continued(&mut comparison, &maildrop, 1, &untraced("a")), None);
        assert_eq!(continued(&mut comparison, &maildrop, 0, &untraced("a")), Some(a));
    }

    /// A header may be that of the message that another destination lacks: then the whole of it decides.
    #[test]
    fn a_header_does_not_settle_what_a_destination_may_lack() {
        let mut world = World::new();
        world.deliver_content(key("gone"), "h/x");
        world.deliver_to_one("h");
        for (name, why) in [("-", Why::Nameless), ("new", Why::Renumbered)] {
            assert_eq!(verdicts(&world, name, why, &["h/x"], false).0, [NeedsBody], "{name}");
        }
    }

    /// Copies that differ each time, and have no identity: other mail the first time, the same from then on.
    #[test]
    fn what_differs_each_time_continues_what_it_was_from_the_second_time_on() {
        let mut world = World::new();
        world.deliver_to_one("x@-");
        let (maildrop, mut first) = comparison(&world, &["x@-"], Why::Again);
        let listed = maildrop.at(0).unwrap();
        assert_eq!(continued(&mut first, &maildrop, 0, &facts("y@-")), None);
        assert!(first.continues_another(&listed));
        world.again = true;
        let id = world.deliver_to_one("x@-");
        let (maildrop, mut second) = comparison(&world, &["x@-"], Why::Again);
        assert_eq!(continued(&mut second, &maildrop, 0, &facts("z@i")), None, "it has an identity");
        assert_eq!(continued(&mut second, &maildrop, 0, &facts("z@-")), Some(id));
    }

    /// What the server goes on listing after it confirmed the deletion is no new mail, whatever it shows.
    #[test]
    fn what_was_deleted_and_is_listed_still_never_left() {
        let mut world = World::new();
        for name in ["kept", "deleted", "gone"] {
            world.deliver(name);
        }
        world.listed(&["kept", "deleted", "gone"]);
        for name in ["deleted", "gone"] {
            let id = world.ledger.find_key(&key(name)).unwrap();
            world.ledger.deleted(&[id]).unwrap();
        }
        let never_left = |world: &World, name: &str| {
            let (maildrop, comparison) = comparison(world, &[name], Why::CameBack);
            comparison.never_left(&maildrop.at(0).unwrap())
        };
        assert!(never_left(&world, "gone"));
        world.listed(&["kept", "deleted"]);
        let seen = ["kept", "deleted", "gone", "new"].map(|name| never_left(&world, name));
        assert_eq!(seen, [false, true, false, false]);
    }

    /// That a message varies is found once.
    #[test]
    fn that_a_message_varies_is_known_from_then_on() {
        let mut world = World::new();
        let id = world.deliver("x");
        assert!(!comparison(&world, &["x"], Why::Days).1.is_known_to_vary(id));
        world.ledger.varies(id).unwrap();
        assert!(comparison(&world, &["x"], Why::Days).1.is_known_to_vary(id));
    }
}

mod several;
mod watch;

use super::{Comparison, Search, Verdict};
use crate::ledger::{EntryState, Match};
use crate::message::Facts;
use crate::plan::trial::{SIZE, World, facts, key};
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

/// A match with the delivery of this content.
fn same_as(entry: EntryId, content: &str) -> Match {
    Match { message: Some(facts(content).digests.message), ..Match::first(entry) }
}

/// A comparison of one listed message (by its unique-id; `-`: none), and the listing.
fn comparison(world: &World, names: &[&str], why: Why) -> (Maildrop, Comparison) {
    let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
    let maildrop = world.maildrop(&listed);
    let decisions = vec![Decision::Compare(why); names.len()];
    let comparison = Comparison::new(&maildrop, &decisions, &world.ledger, Search::OwnKey, false).unwrap();
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
    let header =
        |(i, content): (usize, &&str)| by_header.by_header(&each(i), why, &facts(content), deletes).into();
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
    assert_eq!(verdicts(&world, "y", Why::SizeChanged, &["h2/b@-"], true), (vec![NeedsBody], vec![SetAside]));
    assert_eq!(verdicts(&world, "y", Why::SizeChanged, &["h/b@-"], true).1, [Same(id)]);
    // An equal header that has neither identity nor trace fields may be that of a script's next report.
    let untraced = Facts { traced: false, ..facts("h/b2@-") };
    let (maildrop, mut comparison) = comparison(&world, &["y"], Why::SizeChanged);
    let listed = maildrop.at(0).unwrap();
    assert_eq!(comparison.by_header(&listed, Why::SizeChanged, &untraced, true), Verdict::NeedsBody);
    assert_eq!(comparison.whole(&listed, Why::SizeChanged, &untraced), Verdict::SetAside);
    assert_eq!(comparison.failed, [id]);
}

/// What was only printed isn't as good as delivered under another unique-id: also when another message of its own failed.
#[test]
fn what_was_only_printed_is_no_delivery_to_be_found_under_another_unique_id() {
    for fails in [false, true] {
        let mut world = World::new();
        world.print("a");
        world.listed(&["a"]);
        if fails {
            world.fail_at_destination("a", "other");
        }
        world.ledger.begin_renumbering().unwrap();
        assert_eq!(verdicts(&world, "new", Why::Renumbered, &["a"], true).1, [Another], "{fails}");
    }
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
fn a_renumbered_message_is_one_that_was_ever_delivered() {
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
    let contents =
        ["a/x", "a/x", "b/x", "b/x", "b/x", "gone/x", "deleted/y", "deleted/x", "new/x", "partly", "seen"];
    // Other mail may have the header of what is gone: only the whole of it shows that it's the same.
    for (verdicts, by, gone) in [
        (verdicts(&world, "new", Why::Renumbered, &contents, false).0, "header", false),
        (verdicts(&world, "new", Why::Renumbered, &contents, true).1, "the whole", true),
    ] {
        let same: Vec<EntryId> = verdicts
            .iter()
            .filter_map(|verdict| if let Same(id) = verdict { Some(*id) } else { None })
            .collect();
        let is_same: Vec<bool> = verdicts.iter().map(|verdict| matches!(verdict, Same(_))).collect();
        let (t, f) = (true, false);
        assert_eq!(is_same, [t, f, t, t, f, gone, f, gone, f, f, f], "{by}");
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

/// But what had no unique-id is known by all its octets, one for one: when the server gives it one, it doesn't come again.
#[test]
fn what_had_no_unique_id_is_the_same_when_it_has_one() {
    let mut world = World::new();
    let bare = |content: &str| Facts { traced: false, ..facts(content) };
    let header = Key::Header(facts("h/b").digests.header);
    let id = world.deliver_content(header, "h/b");
    let judge = |world: &World| {
        let (maildrop, mut comparison) = comparison(world, &["1", "2", "3"], Why::Renumbered);
        let mut judge = |index: usize, content: &str| -> [Found; 2] {
            let (listed, facts) = (maildrop.at(index).unwrap(), bare(content));
            let by_header = comparison.by_header(&listed, Why::Renumbered, &facts, false);
            [by_header.into(), comparison.whole(&listed, Why::Renumbered, &facts).into()]
        };
        [judge(0, "h/other"), judge(1, "h/b"), judge(2, "h/b")]
    };
    assert_eq!(judge(&world), [[NeedsBody, Another], [NeedsBody, Same(id)], [NeedsBody, Another]]);
    // An equal one is new mail where that one was deleted.
    world.ledger.deleted(&[id]).unwrap();
    assert_eq!(judge(&world), [[Another; 2]; 3]);
}

/// Without unique-ids, leaving policies go by headers, counted; deleting ones by whole messages.
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
    // A confirmed deletion is the end of it, but for what names itself: without trace fields an equal message is new mail.
    world.ledger.deleted(&[id]).unwrap();
    assert_eq!(world.ledger.entry(id).state, EntryState::Deleted);
    let (headers, whole) = verdicts(&world, "-", Why::Nameless, &contents, false);
    assert_eq!(headers, [NeedsBody, NeedsBody, NeedsBody, Another]);
    assert_eq!(whole, [Same(id), Another, Another, Another]);
    let untraced = Facts { traced: false, ..facts("h/b") };
    let (maildrop, mut comparison) = comparison(&world, &["-"], Why::Nameless);
    let listed = maildrop.at(0).unwrap();
    assert_eq!(comparison.by_header(&listed, Why::Nameless, &untraced, false), Verdict::Another);
    assert_eq!(comparison.whole(&listed, Why::Nameless, &untraced), Verdict::Another);
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
    let same = Verdict::Same(same_as(id, "h/b"));
    assert_eq!(comparison.by_header(&listed, Why::Nameless, &untraced("h/b2"), false), Verdict::NeedsBody);
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
    for (some_failed, verdict) in [(false, Verdict::Same(same_as(id, "h/b"))), (true, Verdict::NeedsBody)] {
        let (maildrop, mut comparison) = comparison(&world, &["-"], Why::Nameless);
        comparison.some_failed = some_failed;
        let listed = maildrop.at(0).unwrap();
        assert_eq!(comparison.by_header(&listed, Why::Nameless, &untraced("h/a"), false), verdict);
    }
}

/// Of equal headers without trace fields one of another size is another message, or may be.
#[test]
fn a_header_alone_is_no_proof_where_the_size_differs_or_several_have_it() {
    let untraced = Facts { traced: false, ..facts("h/b") };
    let judge = |world: &World, size| {
        let maildrop = world.maildrop(&[("-", size)]);
        let decisions = [Decision::Compare(Why::Nameless)];
        let mut comparison =
            Comparison::new(&maildrop, &decisions, &world.ledger, Search::OwnKey, false).unwrap();
        Found::from(comparison.by_header(&maildrop.at(0).unwrap(), Why::Nameless, &untraced, false))
    };
    let mut world = World::new();
    let id = world.deliver_content(Key::Header(untraced.digests.header), "h/b");
    assert_eq!(judge(&world, Some(SIZE)), Same(id));
    assert_eq!(judge(&world, None), Same(id));
    assert_eq!(judge(&world, Some(SIZE + 1)), NeedsBody);
    world.deliver_content(Key::Header(untraced.digests.header), "h/c");
    assert_eq!(judge(&world, Some(SIZE)), NeedsBody);
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
    let mut whole =
        |at: usize, content: &str| comparison.whole(&listed.at(at).unwrap(), Why::Doubtful, &facts(content));
    // Both keys stand for b now: one of them is ours, the other is one more.
    assert_eq!(whole(0, "b/x"), Verdict::Same(same_as(b, "b/x")));
    assert_eq!(whole(1, "b/x"), Verdict::Another);
    assert_eq!(whole(1, "a/x"), Verdict::Same(same_as(a, "a/x")));
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
    let found = Match { header: Some(seen.digests.header), ..same_as(id, "h/b@i") };
    assert_eq!(verdict, Verdict::Same(found));
    world.ledger.record_match(&key("x"), None, found).unwrap();
    let (maildrop, mut by_header) = comparison(&world, &["x"], Why::Doubtful);
    let verdict = by_header.by_header(&maildrop.at(0).unwrap(), Why::Doubtful, &facts("h2/z@-"), false);
    assert_eq!(verdict, Verdict::Same(same_as(id, "h/b@i")));
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
    let mut comparison = Comparison::new(&maildrop, &decisions, &world.ledger, Search::OwnKey, true).unwrap();
    let verdict = comparison.whole(&maildrop.at(0).unwrap(), Why::Doubtful, &facts("h2/b2@j"));
    assert_eq!(verdict, Verdict::Another);
    assert!(comparison.failed.is_empty());
}

/// The delivery that a message with this content continues, listed under this unique-id.
fn continued(comparison: &mut Comparison, maildrop: &Maildrop, at: usize, facts: &Facts) -> Option<EntryId> {
    comparison.continues(&maildrop.at(at).unwrap(), facts).map(|continued| continued.begun.entry)
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
    second.deletes = true;
    assert_eq!(continued(&mut second, &maildrop, 0, &facts("z@-")), None, "it would be deleted");
    second.deletes = false;
    let listed = maildrop.at(0).unwrap();
    let continued = second.continues(&listed, &facts("z@-")).unwrap();
    assert_eq!(continued.begun.entry, id);
    // If it is other mail, only the destinations have it that lacked the first one: it doesn't count as delivered.
    assert_eq!(continued.digests.message, facts("x@-").digests.message);
}

/// A server may list thousands of messages under one unique-id, all of which a destination lacks.
#[test]
fn of_many_begun_messages_each_is_found_at_its_first_look() {
    let mut world = World::new();
    let contents: Vec<String> = (0..300).map(|n| format!("h/{n}@{n}")).collect();
    for content in &contents {
        world.deliver_content_to_one(key("x"), content);
    }
    let (maildrop, mut comparison) = comparison(&world, &["x"], Why::Again);
    let listed = maildrop.at(0).unwrap();
    for content in contents.iter().rev() {
        let found = comparison.continues(&listed, &facts(content)).unwrap();
        assert_eq!(found.begun.digests.message, facts(content).digests.message);
    }
    assert!(!comparison.continues_another(&listed));
    // Each is passed over once for each mark that it has, at most.
    assert!(comparison.begun.passed_over() <= contents.len() * 4, "{}", comparison.begun.passed_over());
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

/// The next round of a session: `x` is what it was, and others are looked for among everything.
fn next_round(world: &World, ended: Comparison, others: usize) -> (Maildrop, Comparison) {
    let names: Vec<&str> = std::iter::once("x").chain(std::iter::repeat_n("new", others)).collect();
    let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
    let maildrop = world.maildrop(&listed);
    let mut decisions = vec![Decision::Compare(Why::Renumbered); names.len()];
    decisions[0] = Decision::Leave(Why::Known);
    let comparison = Comparison::new(&maildrop, &decisions, &world.ledger, Search::EveryKey, false).unwrap();
    (maildrop, comparison.after(ended.used()))
}

/// Two nodes: what a key stood for before is what it stands for now, and what it stood for last is listed under another one.
#[test]
fn what_a_key_stood_for_last_is_found_under_another_key() {
    let mut world = World::new();
    let id = world.deliver_content(key("x"), "a/1@i");
    world.deliver_content(key("x"), "b/2@j");
    world.listed(&["x"]);
    let (maildrop, mut first) = comparison(&world, &["x"], Why::Doubtful);
    let verdict = first.by_header(&maildrop.at(0).unwrap(), Why::Doubtful, &facts("a/1@i"), false);
    let same_as = Match { message: Some(facts("a/1@i").digests.message), ..Match::first(id) };
    assert_eq!(verdict, Verdict::Same(same_as));
    assert_eq!(first.failed, [id], "so others may stand for other mail as well");
    world.ledger.record_match(&key("x"), None, same_as).unwrap();
    let (maildrop, mut second) = next_round(&world, first, 3);
    let mut by_header = |at: usize, content: &str| -> Found {
        second.by_header(&maildrop.at(at).unwrap(), Why::Renumbered, &facts(content), false).into()
    };
    assert_eq!(by_header(1, "a/1@i"), NeedsBody, "that is under its own key");
    assert_eq!(by_header(2, "b/2@j"), Same(id));
    assert_eq!(by_header(3, "b/2@j"), NeedsBody, "each stands for one message");
    // The ledger records the digests of the one that was meant.
    let same_as = Match { message: Some(facts("b/2@j").digests.message), ..Match::first(id) };
    let new = world.ledger.record_match(&key("new"), None, same_as).unwrap();
    assert_eq!(world.ledger.deliveries_of(new).unwrap()[0].digests, facts("b/2@j").digests);
}

/// Of two equal ones each stands for one message.
#[test]
fn equal_deliveries_of_one_key_are_matched_one_for_one_over_rounds() {
    let mut world = World::new();
    let id = world.deliver_content(key("x"), "a/1@i");
    world.deliver_content(key("x"), "a/1@i");
    world.listed(&["x"]);
    let (maildrop, mut first) = comparison(&world, &["x"], Why::Doubtful);
    let found: Found = first.whole(&maildrop.at(0).unwrap(), Why::Doubtful, &facts("a/1@i")).into();
    assert_eq!(found, Same(id));
    assert!(first.failed.is_empty(), "the last one is what the key stands for");
    let (maildrop, mut second) = next_round(&world, first, 2);
    let mut by_header = |at: usize| -> Found {
        second.by_header(&maildrop.at(at).unwrap(), Why::Renumbered, &facts("a/1@i"), false).into()
    };
    assert_eq!([by_header(1), by_header(2)], [Same(id), NeedsBody]);
}

/// Other mail under the name of deleted mail: taken for a varying copy once, and no longer when it comes as it was.
#[test]
fn what_comes_as_it_was_in_the_place_of_deleted_mail_is_other_mail() {
    let mut world = World::new();
    world.deliver("kept");
    let id = world.delete("x");
    world.listed(&["kept", "x"]);
    let (maildrop, mut comparison) = comparison(&world, &["x", "kept"], Why::CameBack);
    let [x, kept] = [0, 1].map(|at| maildrop.at(at).unwrap());
    let (one, other) = (facts("h/1@-"), facts("h/2@-"));
    assert!(comparison.may_be_deleted_mail(&x, &one));
    assert!(!comparison.may_be_deleted_mail(&kept, &one), "that was never deleted");
    comparison.withheld.insert(id, one.digests.message);
    assert!(!comparison.may_be_deleted_mail(&x, &one));
    assert!(comparison.may_be_deleted_mail(&x, &other));
}

/// What is due for deletion, and isn't what was delivered, goes only where its copies may differ.
#[test]
fn what_is_not_recognised_goes_only_where_copies_may_differ() {
    for (varies, again, utf8, expected) in [
        (false, false, false, false),
        (true, false, false, true),
        (false, true, false, true),
        (false, false, true, true),
    ] {
        let mut world = World::new();
        world.again = again;
        let id = world.deliver_content(key("x"), "h/1@i");
        if varies {
            world.ledger.varies(id).unwrap();
        }
        let maildrop = world.maildrop(&[("x", None), ("new", None)]);
        let decisions = [Decision::Delete(Why::Days); 2];
        let mut comparison =
            Comparison::new(&maildrop, &decisions, &world.ledger, Search::OwnKey, utf8).unwrap();
        let [x, new] = [0, 1].map(|at| maildrop.at(at).unwrap());
        assert_eq!(comparison.goes_when_delivered(&x), expected, "{varies}, {again}, {utf8}");
        assert!(!comparison.goes_when_delivered(&new));
        assert_eq!([comparison.has_delivery(&x), comparison.has_delivery(&new)], [true, false]);
        comparison.failed.push(id);
        assert!(!comparison.goes_when_delivered(&x), "other mail is no copy");
    }
}

/// A server that gives a unique-id twice may have given it to what had another one: it moved out of the mailbox and back.
#[test]
fn a_unique_id_that_is_given_twice_is_looked_for_everywhere() {
    let mut world = World::new();
    world.deliver_content(key("x"), "a/1@i");
    let other = world.deliver_content(key("y"), "b/2@j");
    world.listed(&["x", "y"]);
    let (maildrop, mut comparison) = comparison(&world, &["x", "x"], Why::Duplicate);
    let found: Found = comparison.whole(&maildrop.at(1).unwrap(), Why::Duplicate, &facts("b/2@j")).into();
    assert_eq!(found, Same(other));
}

/// A listing of these unique-ids, of which the last seems new, as `search` reads it.
fn arriving(world: &World, names: &[&str], search: Search) -> Comparison {
    let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
    let mut decisions = vec![Decision::Leave(Why::Known); names.len()];
    *decisions.last_mut().unwrap() = Decision::Retrieve(Why::New);
    Comparison::new(&world.maildrop(&listed), &decisions, &world.ledger, search, false).unwrap()
}

fn elsewhere(comparison: &mut Comparison, content: &str) -> Option<Found> {
    comparison.elsewhere(&facts(content)).map(Found::from)
}

/// Where the key of a known message is listed, only that shows whether what has its header is that one or a second copy.
#[test]
fn what_seems_new_waits_for_the_message_whose_header_it_has() {
    let mut world = World::new();
    let id = world.deliver_content(key("a"), "a/x");
    world.listed(&["a"]);
    let mut expected = arriving(&world, &["a", "new"], Search::EveryKey);
    assert_eq!(elsewhere(&mut expected, "a/x"), Some(SetAside));
    assert_eq!((&expected.questioned[..], &expected.failed[..]), (&[id][..], &[][..]));
    assert_eq!(elsewhere(&mut expected, "b/x"), None);
    // In question, it may be either.
    world.ledger.doubt(Some(&[id])).unwrap();
    let mut questioned = arriving(&world, &["a", "new"], Search::EveryKey);
    assert_eq!(elsewhere(&mut questioned, "a/x"), Some(Same(id)));
    assert_eq!(elsewhere(&mut questioned, "a/x"), None, "one for one");
    assert_eq!(elsewhere(&mut arriving(&world, &["new"], Search::EveryKey), "a/x"), Some(Same(id)));
    assert_eq!(elsewhere(&mut arriving(&world, &["new"], Search::OwnKey), "a/x"), None, "nothing was read");
}

/// Where nothing has moved yet, a header that we have is enough to look closer, and no more.
#[test]
fn what_seems_new_and_has_a_header_that_we_have_is_looked_at_closer() {
    let mut world = World::new();
    let id = world.deliver_content(key("a"), "a/x");
    world.listed(&["a"]);
    let watching = |world: &World, names: &[&str]| {
        let listed: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, None)).collect();
        let comparison = arriving(world, names, Search::OwnKey);
        comparison.watching(&world.ledger, &world.maildrop(&listed)).unwrap()
    };
    let mut listed = watching(&world, &["a", "new"]);
    assert!(!listed.seems_moved(&facts("b/x")));
    assert!(!listed.seems_moved(&Facts { traced: false, ..facts("a/x") }));
    assert!(listed.seems_moved(&facts("a/x")));
    assert_eq!((&listed.questioned[..], &listed.failed[..]), (&[id][..], &[][..]));
    let mut gone = watching(&world, &["new"]);
    assert!(gone.seems_moved(&facts("a/x")));
    assert_eq!((&gone.questioned[..], &gone.failed[..]), (&[][..], &[id][..]));
    // Recognised under its own key, it's no other one.
    let mut comparison = watching(&world, &["a", "new"]);
    comparison.used.at(id, facts("a/x").digests.message).own += 1;
    assert!(!comparison.seems_moved(&facts("a/x")));
    // Another client put it back after some listings without it.
    world.deliver("b");
    world.listed(&["b"]);
    assert!(watching(&world, &["b", "new"]).seems_moved(&facts("a/x")));
    // Or an operator has restored a backup, in which it has another unique-id.
    let deleted = world.delete("c");
    let mut restored = watching(&world, &["b", "new"]);
    assert!(restored.seems_moved(&facts("c")));
    assert_eq!((&restored.questioned[..], &restored.failed[..]), (&[][..], &[deleted][..]));
    // Beside one that is listed, what was deleted is no other one.
    world.deliver_content(key("d"), "c");
    world.listed(&["b", "d"]);
    let mut beside = watching(&world, &["b", "d", "new"]);
    assert!(beside.seems_moved(&facts("c")));
    assert!(beside.failed.is_empty());
}

/// Where unique-ids have moved once, all that was ever delivered is known again by its header; but a former key of a message
/// isn't one more of it.
#[test]
fn where_unique_ids_move_a_message_is_known_under_any_name_it_ever_had() {
    let mut world = World::new();
    let gone = world.deliver_content(key("gone"), "a/x");
    let other = world.deliver_content(key("other"), "b/x");
    world.listed(&["other"]);
    assert!(!world.ledger.has_unsteady_ids());
    let renamed = world.record_match("renamed", other);
    assert!(world.ledger.has_unsteady_ids());
    world.listed(&["renamed"]);
    assert_eq!(
        elsewhere(&mut arriving(&world, &["renamed", "new"], Search::EveryKey), "a/x"),
        Some(Same(gone))
    );
    let mut second = arriving(&world, &["renamed", "new"], Search::EveryKey);
    assert_eq!(elsewhere(&mut second, "b/x"), Some(SetAside));
    assert_eq!(second.questioned, [renamed]);
    second.used.at(renamed, facts("b/x").digests.message).own += 1;
    assert_eq!(elsewhere(&mut second, "b/x"), None, "a second copy");
}

/// Two true copies were both delivered, and both gone: when both come back under new unique-ids, neither is new.  A former
/// name of a message is no second copy.
#[test]
fn two_copies_that_come_back_under_new_unique_ids_are_both_known() {
    for (is_copy, expected) in [(true, Some(Same as fn(EntryId) -> Found)), (false, None)] {
        let mut world = World::new();
        let first = world.deliver_content(key("a"), "c/x");
        let second =
            if is_copy { world.deliver_content(key("b"), "c/x") } else { world.record_match("b", first) };
        world.deliver("stays");
        world.listed(&["a", "b", "stays"]);
        world.listed(&["stays"]);
        let mut back = arriving(&world, &["stays", "new", "newer"], Search::EveryKey);
        assert_eq!(elsewhere(&mut back, "c/x"), Some(Same(first)));
        assert_eq!(elsewhere(&mut back, "c/x"), expected.map(|found| found(second)), "{is_copy}");
        assert_eq!(elsewhere(&mut back, "c/x"), None, "a third one");
    }
}

//! Several messages under one key, one message under several keys, and what was never delivered.

use std::collections::HashSet;

use super::Found::{self, Another, NeedsBody, Same, SetAside, Varies};
use super::{arriving, elsewhere, verdicts};
use crate::message::Facts;
use crate::plan::compare::{Comparison, Search, Verdict};
use crate::plan::trial::{World, facts, key};
use crate::plan::{Decision, Maildrop, Why};
use crate::proof::{EntryId, Key};

/// A comparison with a decision for each message; `utf8`: the session's mode.
fn deciding(
    world: &World,
    listed: &[(&str, Decision)],
    search: Search,
    utf8: bool,
) -> (Maildrop, Comparison) {
    let names: Vec<(&str, Option<u64>)> = listed.iter().map(|(name, _)| (*name, None)).collect();
    let maildrop = world.maildrop(&names);
    let decisions: Vec<Decision> = listed.iter().map(|(_, decision)| *decision).collect();
    let comparison = Comparison::new(&maildrop, &decisions, &world.ledger, search, utf8).unwrap();
    (maildrop, comparison)
}

/// Where a key stands for several messages, its header alone shows nothing: listed twice, asked for one of several, or a
/// key that is a header.
#[test]
fn a_header_settles_nothing_where_several_may_have_it() {
    use Decision::Compare;
    let mut world = World::new();
    world.deliver("x");
    let nameless = world.deliver_content(Key::Header(facts("n").digests.header), "n");
    let doubtful = Compare(Why::Doubtful);
    let cases: [(&[(&str, Decision)], Found); 3] = [
        (&[("x", doubtful)], Same(world.ledger.find_key(&key("x")).unwrap())),
        (&[("x", Compare(Why::Duplicate))], NeedsBody),
        (&[("x", doubtful), ("x", doubtful)], NeedsBody),
    ];
    for (listed, expected) in cases {
        let (maildrop, mut comparison) = deciding(&world, listed, Search::OwnKey, false);
        let verdict = comparison.by_header(&maildrop.at(0).unwrap(), Why::Doubtful, &facts("x"), true);
        assert_eq!(Found::from(verdict), expected, "{listed:?}");
    }
    let mut maildrop = world.maildrop(&[("-", None)]);
    maildrop.assign(crate::plan::trial::number(1), nameless);
    let decisions = [Decision::Delete(Why::Delete)];
    let mut comparison =
        Comparison::new(&maildrop, &decisions, &world.ledger, Search::OwnKey, false).unwrap();
    let verdict = comparison.by_header(&maildrop.at(0).unwrap(), Why::Delete, &facts("n"), true);
    assert_eq!(verdict, Verdict::NeedsBody, "its key is its header");
}

/// What was delivered may have moved to a new unique-id: by a header that names it, and nothing else.
#[test]
fn only_what_was_delivered_can_have_moved() {
    let mut world = World::new();
    let ids = ["a", "b", "c"].map(|name| world.deliver(name));
    world.listed(&["a", "b", "c"]);
    world.listed(&["b", "c"]);
    world.print("printed");
    let watching = || {
        deciding(&world, &[], Search::OwnKey, false).1.watching(&world.ledger, &world.maildrop(&[])).unwrap()
    };
    for (name, expected) in [("a", true), ("b", true), ("c", true), ("printed", false)] {
        let mut comparison = watching();
        assert_eq!(comparison.seems_moved(&facts(name)), expected, "{name}");
        let entry = ids.iter().zip(["a", "b", "c"]).find(|(_, of)| *of == name).map(|(id, _)| *id);
        let failed: Vec<EntryId> = entry.filter(|_| expected).into_iter().collect();
        assert_eq!(comparison.failed, failed, "its unique-id stands for other mail then");
        let untraced = Facts { traced: false, ..facts(name) };
        assert!(!watching().seems_moved(&untraced), "{name}");
    }
    for n in 0..20 {
        assert!(!watching().seems_moved(&facts(&format!("unknown{n}"))), "{n}");
    }
}

/// A listing of unique-ids left it out, so that it has none this time: all its octets show that it is the one that some
/// destinations lack, unless its unique-id is listed as well.
#[test]
fn a_delivery_is_continued_by_a_message_that_the_listing_left_out() {
    let mut world = World::new();
    world.deliver_to_one("p");
    let nameless = Decision::Compare(Why::Nameless);
    let untraced = |content: &str| Facts { traced: false, ..facts(content) };
    for (listed, content, expected) in [
        (&[("-", nameless)][..], "p", true),
        (&[("-", nameless)], "other", false),
        (&[("-", nameless), ("p", Decision::Retrieve(Why::Again))], "p", false),
        (&[("new", Decision::Retrieve(Why::New))], "p", false),
    ] {
        let (maildrop, mut comparison) = deciding(&world, listed, Search::OwnKey, false);
        let found = comparison.continues(&maildrop.at(0).unwrap(), &untraced(content)).is_some();
        assert_eq!(found, expected, "{listed:?}, {content}");
    }
}

/// What some destinations lack is found once; another message under its key then accuses nothing.
#[test]
fn a_delivery_is_continued_by_one_message() {
    let mut world = World::new();
    world.deliver_to_one("p");
    let listed = [("p", Decision::Retrieve(Why::Again)), ("new", Decision::Retrieve(Why::New))];
    let begun = || deciding(&world, &listed, Search::OwnKey, false);
    let (maildrop, mut comparison) = begun();
    let [own, new] = [0, 1].map(|place| maildrop.at(place).unwrap());
    assert!(comparison.continues(&own, &facts("other")).is_none());
    assert!(comparison.continues_another(&own) && !comparison.continues_another(&new));
    assert!(comparison.continues(&own, &facts("p")).is_some());
    assert!(!comparison.continues_another(&own), "that one is found");
    assert!(comparison.continues(&own, &facts("p")).is_none(), "once");
    // While it isn't found, a message with its header may be it.
    let (_, mut comparison) = begun();
    let by_header =
        |comparison: &mut Comparison| comparison.by_header(&new, Why::Renumbered, &facts("p"), false);
    assert_eq!(by_header(&mut comparison), Verdict::NeedsBody);
    let untraced = Facts { traced: false, ..facts("p") };
    assert!(comparison.continues(&own, &facts("p")).is_some());
    assert_eq!(comparison.by_header(&new, Why::Renumbered, &untraced, false), Verdict::Another);
}

/// Of several under one key each stands for one delivery, by all its octets or by its identity.
#[test]
fn each_of_several_is_matched_by_its_own_octets() {
    let mut world = World::new();
    let id = world.deliver_content(key("x"), "h/b@-");
    world.deliver_content(key("x"), "g/c@j");
    let whole = |contents: &[&str]| verdicts(&world, "x", Why::Duplicate, contents, true).1;
    assert_eq!(whole(&["h/b@-", "h/b@-"]), [Same(id), Another]);
    assert_eq!(whole(&["g/c@j", "h/b@-"]), [Same(id), Same(id)]);
    assert_eq!(whole(&["g2/c2@j", "h/b@-"]), [Same(id), Same(id)]);
    assert_eq!(whole(&["h/b2@-", "g2/c2@k"]), [Another, Another]);
}

/// A message under a unique-id that is listed twice is looked for under other ones only in a renumbering.
#[test]
fn one_of_several_is_looked_for_elsewhere_only_if_its_unique_id_was_given_twice() {
    let mut world = World::new();
    world.deliver("x");
    world.deliver("gone");
    world.listed(&["x", "gone"]);
    for (why, found) in [(Why::Duplicate, true), (Why::Renumbered, true), (Why::Doubtful, false)] {
        let decision = Decision::Compare(why);
        let (maildrop, mut comparison) =
            deciding(&world, &[("x", decision), ("x", decision)], Search::EveryKey, false);
        let verdict = comparison.whole(&maildrop.at(0).unwrap(), why, &facts("gone"));
        assert_eq!(matches!(verdict, Verdict::Same(_)), found, "{why:?}");
    }
}

/// A listing left one of two out that have one unique-id, so that it came without one.
#[test]
fn what_came_without_a_unique_id_is_found_under_one_that_is_listed_twice() {
    let mut world = World::new();
    world.deliver("x");
    let nameless = world.deliver_content(Key::Header(facts("n").digests.header), "n");
    let (_, whole) = verdicts(&world, "x", Why::Duplicate, &["x", "n"], false);
    assert_eq!(whole[1], Same(nameless));
}

/// In a window, what is new may be what was delivered under another unique-id: if it names itself and is equal.
#[test]
fn what_is_new_in_a_window_is_known_only_by_all_its_octets() {
    let mut world = World::new();
    let id = world.deliver_content(key("a"), "h/b@i");
    world.listed(&["a"]);
    for (content, traced, expected) in
        [("h/b@i", true, Same(id)), ("h/b2@i", true, Another), ("h/b@i", false, Another)]
    {
        let new = Decision::Retrieve(Why::New);
        let (maildrop, mut comparison) = deciding(&world, &[("new", new)], Search::EveryKey, false);
        let facts = Facts { traced, ..facts(content) };
        let verdict = comparison.whole(&maildrop.at(0).unwrap(), Why::New, &facts);
        assert_eq!(Found::from(verdict), expected, "{content}, {traced}");
    }
}

/// A key that stood for another message last accuses the others; not where it is listed twice, nor in the other mode.
#[test]
fn an_earlier_message_under_its_key_accuses_the_others() {
    let mut world = World::new();
    let id = world.deliver_content(key("x"), "h/b@i");
    world.deliver_content(key("x"), "g/c@j");
    let decision = Decision::Compare(Why::Doubtful);
    let once: &[(&str, Decision)] = &[("x", decision)];
    let twice: &[(&str, Decision)] = &[("x", decision), ("x", decision)];
    for (listed, utf8, content, accuses) in [
        (once, false, "h/b@i", true),
        (once, false, "g/c@j", false),
        (twice, false, "h/b@i", false),
        (once, true, "h/b@i", false),
    ] {
        let (maildrop, mut comparison) = deciding(&world, listed, Search::OwnKey, utf8);
        let verdict = comparison.whole(&maildrop.at(0).unwrap(), Why::Doubtful, &facts(content));
        assert_eq!(Found::from(verdict), Same(id), "{content}");
        assert_eq!(!comparison.failed.is_empty(), accuses, "{listed:?} {utf8} {content}");
    }
}

/// Only a header that names its message is remembered as another one of it.
#[test]
fn a_header_without_trace_fields_is_not_remembered() {
    let mut world = World::new();
    world.deliver_content(key("x"), "h/b@i");
    for (content, traced, remembered) in
        [("g/c@i", true, true), ("g/c@i", false, false), ("h/b@i", true, false)]
    {
        let (maildrop, mut comparison) =
            deciding(&world, &[("x", Decision::Compare(Why::Doubtful))], Search::OwnKey, false);
        let facts = Facts { traced, ..facts(content) };
        let Verdict::Same(found) = comparison.whole(&maildrop.at(0).unwrap(), Why::Doubtful, &facts) else {
            panic!("{content}");
        };
        assert_eq!(found.header, remembered.then_some(facts.digests.header), "{content}, {traced}");
    }
}

/// Of an entry without a delivery nothing is concluded; but what failed was never had, and is new.
#[test]
fn what_was_never_delivered_is_another_message() {
    let mut world = World::new();
    world.fail("f", None);
    assert_eq!(verdicts(&world, "f", Why::Doubtful, &["f"], true).1, [Another]);
    let unique_id = crate::types::UniqueId::new(b"word").unwrap().to_buf();
    world.ledger.import(&[(unique_id, crate::ledger::UsersWord::Seen)]).unwrap();
    assert_eq!(verdicts(&world, "word", Why::Doubtful, &["f"], true).1, [SetAside]);
}

/// Copies that differ each time have no name on either side; one that names itself is other mail.
#[test]
fn only_what_has_no_name_can_differ_each_time() {
    for (ours, theirs, expected) in
        [("h/b@-", "g/c@-", true), ("h/b@i", "g/c@-", false), ("h/b@-", "g/c@j", false)]
    {
        let mut world = World::new();
        world.again = true;
        let id = world.deliver_content(key("x"), ours);
        let found = verdicts(&world, "x", Why::Doubtful, &[theirs], true).1;
        assert_eq!(found, [if expected { Varies } else { SetAside }], "{ours} {theirs} {id:?}");
    }
}

/// A message that stands under its own key isn't looked for under another one, unless that key is in doubt.
#[test]
fn what_is_listed_under_its_own_key_is_not_found_under_another() {
    let leave = Decision::Leave(Why::Known);
    let compare = Decision::Compare(Why::Renumbered);
    let scene = || {
        let mut world = World::new();
        world.deliver_content(key("a"), "p");
        world.deliver_content(key("a"), "q");
        world.deliver("b");
        world.listed(&["a", "b"]);
        world
    };
    let found = |world: &World, listed: &[(&str, Decision)], content: &str| {
        let (maildrop, mut comparison) = deciding(world, listed, Search::EveryKey, false);
        let new = maildrop.at(listed.len() - 1).unwrap();
        matches!(comparison.whole(&new, Why::Renumbered, &facts(content)), Verdict::Same(_))
    };
    let world = scene();
    // Of two deliveries under one key the last one stands there.
    let both: &[(&str, Decision)] = &[("a", leave), ("b", leave), ("new", compare)];
    let results = ["p", "q", "b"].map(|content| found(&world, both, content));
    assert_eq!(results, [true, false, false]);
    let alone: &[(&str, Decision)] = &[("new", compare)];
    assert_eq!(["p", "q", "b"].map(|content| found(&world, alone, content)), [true; 3]);
    let mut world = scene();
    let ids = ["a", "b"].map(|name| world.ledger.find_key(&key(name)).unwrap());
    world.ledger.doubt(Some(&ids)).unwrap();
    assert_eq!(["p", "q", "b"].map(|content| found(&world, both, content)), [true; 3], "in doubt");
    // What the last listing lacked may come back under another key.
    let mut world = scene();
    world.listed(&["a"]);
    assert!(found(&world, alone, "b"));
}

/// While a renumbering is sorted out, a message in doubt is set aside until all that is known has been compared.
#[test]
fn in_a_renumbering_only_doubled_unique_ids_are_looked_for_at_once() {
    let mut world = World::new();
    world.deliver("x");
    world.listed(&["x"]);
    world.ledger.begin_renumbering().unwrap();
    assert_eq!(verdicts(&world, "x", Why::Doubtful, &["other"], true).1, [SetAside]);
}

/// What a key stood for before is no message that came back: it has moved, and moved back.
#[test]
fn only_what_a_key_stood_for_last_has_come_back() {
    let mut world = World::new();
    let id = world.deliver_content(key("x"), "a");
    world.deliver_content(key("x"), "b");
    let message = |content: &str| Some(facts(content).digests.message);
    let (_, comparison) = deciding(&world, &[("x", Decision::Compare(Why::CameBack))], Search::OwnKey, false);
    let cases = [("a", false), ("b", true)].map(|(content, expected)| (message(content), expected));
    for (message, expected) in cases.into_iter().chain([(None, true)]) {
        assert_eq!(comparison.is_last_of_key(id, message), expected);
    }
}

/// A scanner puts a field into what `TOP` gives, and not into the message: recognised once by the whole, it's known by that
/// header as well, as the message that it was delivered as.
#[test]
fn a_header_that_only_top_gives_is_learnt_from_the_whole() {
    let mut world = World::new();
    let delivered = facts("h/b@i");
    let name = Key::Header(delivered.digests.header);
    let id = world.deliver_content(name.clone(), "h/b@i");
    let scanned = facts("scanned/b@i");
    let compare = [("-", Decision::Compare(Why::Nameless))];
    let (maildrop, mut first) = deciding(&world, &compare, Search::OwnKey, false);
    let listed = maildrop.at(0).unwrap();
    assert_eq!(first.by_header(&listed, Why::Nameless, &scanned, false), Verdict::Another);
    let Verdict::Same(same_as) = first.whole(&listed, Why::Nameless, &delivered) else { panic!() };
    assert_eq!((same_as.entry, same_as.header), (id, Some(scanned.digests.header)));
    world.ledger.record_match(&name, None, same_as).unwrap();
    let (_, mut next) = deciding(&world, &compare, Search::OwnKey, false);
    let Verdict::Same(same_as) = next.by_header(&listed, Why::Nameless, &scanned, false) else { panic!() };
    assert_eq!(same_as.entry, id);
    let shown = scanned.digests.header;
    assert_eq!(next.delivered_header(shown, &same_as), delivered.digests.header);
    // One for one: an equal one beside it is another message.
    assert_eq!(next.by_header(&listed, Why::Nameless, &scanned, false), Verdict::Another);
    assert_eq!(next.whole(&listed, Why::Nameless, &delivered), Verdict::Another);
}

/// A header that other messages may be shown by as well is learnt of none of them.
#[test]
fn a_header_that_many_may_have_is_not_learnt() {
    let learnt = |contents: &[&str], shown: Facts| {
        let mut world = World::new();
        let delivered = facts("h/b@i");
        for content in contents {
            world.deliver_content(Key::Header(delivered.digests.header), content);
        }
        let compare = [("-", Decision::Compare(Why::Nameless))];
        let (maildrop, mut comparison) = deciding(&world, &compare, Search::OwnKey, false);
        let listed = maildrop.at(0).unwrap();
        comparison.by_header(&listed, Why::Nameless, &shown, false);
        let Verdict::Same(same_as) = comparison.whole(&listed, Why::Nameless, &delivered) else { panic!() };
        same_as.header
    };
    let scanned = facts("scanned/b@i");
    assert_eq!(learnt(&["h/b@i"], scanned.clone()), Some(scanned.digests.header));
    assert_eq!(learnt(&["h/b2@j", "h/b@i"], scanned.clone()), None, "two messages have one header");
    assert_eq!(learnt(&["h/b@i"], Facts { traced: false, ..scanned }), None, "an empty one, for all of them");
}

/// Under a unique-id, too.
#[test]
fn a_header_that_only_top_gives_is_learnt_of_a_message_that_has_a_unique_id() {
    let mut world = World::new();
    let id = world.deliver_content(key("x"), "h/b@-");
    let compare = [("x", Decision::Compare(Why::Doubtful))];
    let (maildrop, mut comparison) = deciding(&world, &compare, Search::OwnKey, false);
    let listed = maildrop.at(0).unwrap();
    let (scanned, delivered) = (facts("scanned/b@-"), facts("h/b@-"));
    assert_eq!(comparison.by_header(&listed, Why::Doubtful, &scanned, false), Verdict::NeedsBody);
    let Verdict::Same(same_as) = comparison.whole(&listed, Why::Doubtful, &delivered) else { panic!() };
    assert_eq!((same_as.entry, same_as.header), (id, Some(scanned.digests.header)));
}

/// Each of several copies may be the one that it is: all are compared at once, since a session has few rounds.
#[test]
fn what_seems_new_waits_for_every_message_whose_header_it_has() {
    let mut world = World::new();
    let copies = ["a", "b", "c"].map(|name| world.deliver_content(key(name), "c/x"));
    world.listed(&["a", "b", "c"]);
    let names = ["a", "b", "c", "new"];
    let mut everywhere = arriving(&world, &names, Search::EveryKey);
    assert_eq!(elsewhere(&mut everywhere, "c/x"), Some(SetAside));
    let maildrop = world.maildrop(&names.map(|name| (name, None)));
    let mut watching = arriving(&world, &names, Search::OwnKey).watching(&world.ledger, &maildrop).unwrap();
    assert!(watching.seems_moved(&facts("c/x")));
    for comparison in [&everywhere, &watching] {
        let questioned: HashSet<EntryId> = comparison.questioned.iter().copied().collect();
        assert_eq!((questioned, comparison.failed.len()), (copies.into(), 0));
    }
}

//! Where two rules of the plan meet.

use super::{DELETE, KEEP, every_state, limits};
use crate::plan::trial::{SIZE, World, facts, key};
use crate::plan::{Decision, Policy, Why, decide, has_changed_size};
use crate::proof::Key;
use crate::types::Octets;

use Decision::{Compare, Leave, Retrieve};

/// Small things that the plan depends on, each with a message that would be lost, doubled or downloaded for nothing.
#[test]
fn what_is_decided_where_two_rules_meet() {
    type Change = fn(&mut World, &mut Policy);
    let (same, changed) = (Some(SIZE), Some(SIZE + 1));
    let nameless: Change = |world, _| {
        world.deliver_content(Key::Header(facts("n").digests.header), "n");
    };
    let renumbers: Change = |world, _| world.ledger.begin_renumbering().unwrap();
    let window: Change = |_, policy| policy.window = true;
    // What is the case, for which message and its size; what is decided.
    type Case<'a> = (&'a str, &'a [Change], (&'a str, Option<u64>), Decision);
    let cases: [Case<'_>; 11] = [
        (
            "all again, in a later session",
            &[|_, policy| (policy.all, policy.taken) = (true, (1, Octets(1)))],
            ("-", same),
            Compare(Why::Nameless),
        ),
        ("all again", &[|_, policy| policy.all = true], ("-", same), Retrieve(Why::All)),
        ("it may have had no unique-id", &[nameless], ("new", same), Compare(Why::Renumbered)),
        ("the same in a window", &[nameless, window], ("new", same), Retrieve(Why::New)),
        ("a renumbering in a window", &[renumbers, window], ("new", same), Retrieve(Why::New)),
        (
            "one was delivered, and one failed",
            &[|world, _| world.fail_at_destination("a", "other")],
            ("a", same),
            Compare(Why::Duplicate),
        ),
        (
            "failed, in a renumbering",
            &[|world, _| drop(world.ledger.fail(&key("f"), None, None)), renumbers],
            ("f", same),
            Compare(Why::Renumbered),
        ),
        (
            "the same in a window, again",
            &[|world, _| drop(world.ledger.fail(&key("f"), None, None)), renumbers, window],
            ("f", same),
            Retrieve(Why::Again),
        ),
        (
            "what was only printed never goes",
            &[window, |_, policy| policy.retention = DELETE],
            ("p", same),
            Compare(Why::Window),
        ),
        (
            "what was delivered goes",
            &[window, |_, policy| policy.retention = DELETE],
            ("a", same),
            Leave(Why::Known),
        ),
        ("another size", &[], ("a", changed), Compare(Why::SizeChanged)),
    ];
    for (what, changes, listed, expected) in cases {
        let mut world = World::new();
        world.now();
        world.deliver("a");
        world.print("p");
        let mut policy = world.policy(KEEP);
        changes.iter().for_each(|change| change(&mut world, &mut policy));
        let maildrop = world.maildrop(&[listed]);
        assert_eq!(decide(&maildrop, &world.ledger, &policy), [expected], "{what}");
    }
    // Two of one unique-id, both delivered, and the last of them has another size than it had.
    let mut world = World::new();
    world.deliver("x");
    world.deliver_content(key("x"), "other");
    for (first, last, expected) in
        [(same, changed, Compare(Why::Duplicate)), (changed, same, Leave(Why::Known))]
    {
        let maildrop = world.maildrop(&[("x", first), ("x", last)]);
        assert_eq!(decide(&maildrop, &world.ledger, &world.policy(KEEP)), [expected; 2]);
    }
    // What was never delivered, or is gone, has no size that could have changed.
    let world = every_state();
    for name in ["failed", "deleted", "seen", "delivered"] {
        let maildrop = world.maildrop(&[(name, changed)]);
        let expected = matches!(name, "seen" | "delivered");
        assert_eq!(has_changed_size(&maildrop, &world.ledger, false), expected, "{name}");
    }
    // Only what failed waits for what is new.
    let policy = Policy { max_messages: Some(1), ..world.policy(KEEP) };
    for (name, expected) in [
        ("large", [Retrieve(Why::Again), Leave(Why::MaxMessages)]),
        ("failed", [Leave(Why::MaxMessages), Retrieve(Why::New)]),
    ] {
        let maildrop = world.maildrop(&[(name, same), ("new", same)]);
        assert_eq!(decide(&maildrop, &world.ledger, &policy), expected, "{name}");
    }
    for (retention, everything, anything) in
        [(KEEP, false, false), (DELETE, true, true), (limits(Some(1), None, None, None), false, true)]
    {
        let policy = world.policy(retention);
        assert_eq!((policy.deletes_everything(), policy.deletes()), (everything, anything), "{retention:?}");
    }
}

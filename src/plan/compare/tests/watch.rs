//! The messages that are looked for by the headers of new ones: what is found without decoding the others is what a look
//! at all of them finds.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::ledger::EntryState;
use crate::message::{Digest, Digests};
use crate::plan::compare::others::{Name, is_delivered_here, is_expected, is_stray, without_second_names};
use crate::plan::compare::watch::{Watch, Watched};
use crate::plan::trial::{World, facts, key};
use crate::plan::{Maildrop, compare::Comparison};

/// All that is watched, each with its header, decoded and put in order as a whole.
fn scan(world: &World, maildrop: &Maildrop) -> Vec<(Digest, Watched)> {
    let ledger = &world.ledger;
    let known = ledger.deliveries(|_, entry| {
        matches!(entry.state, EntryState::Delivered | EntryState::Recorded | EntryState::Deleted)
            && !entry.only_seen
    });
    let mut all: Vec<(Digest, Name, Watched)> = known
        .unwrap()
        .into_iter()
        .map(|(entry, nth, record)| {
            let (expected, stray) =
                (is_expected(entry, nth, ledger, maildrop), is_stray(entry, ledger, maildrop));
            let (Digests { header, message, .. }, delivered) = (record.digests, record.delivered);
            let delivered_here = is_delivered_here(&ledger.entry(entry));
            let name = Name { message, delivered, entry, delivered_here, stray };
            (header, name, Watched { message, entry, expected })
        })
        .collect();
    all.sort_unstable_by_key(|(header, _, one)| (*header, one.message, one.entry));
    let of_each = all.chunk_by(|(one, ..), (other, ..)| one == other);
    let counting = of_each.flat_map(|alike| {
        let mut alike = alike.to_vec();
        without_second_names(&mut alike, |(_, name, _)| *name);
        alike
    });
    counting.map(|(header, _, one)| (header, one)).collect()
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const CONTENTS: [&str; 6] = ["h/1", "h/2", "h/3", "i/1", "i/2", "j/1"];

/// What happens to a mailbox.
#[derive(Debug, Clone)]
enum Event {
    Delivered(usize, usize),
    Printed,
    Deleted(usize),
    Listed(Vec<usize>),
    Doubted(usize),
    Moved(usize, usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let (name, content) = (|| 0..NAMES.len(), || 0..CONTENTS.len());
    let event = prop_oneof![
        6 => (name(), content()).prop_map(|(name, content)| Event::Delivered(name, content)),
        1 => Just(Event::Printed),
        1 => name().prop_map(Event::Deleted),
        3 => proptest::collection::vec(name(), 0..5).prop_map(Event::Listed),
        1 => name().prop_map(Event::Doubted),
        1 => (name(), name()).prop_map(|(name, other)| Event::Moved(name, other)),
    ];
    proptest::collection::vec(event, 1..16)
}

fn happen(world: &mut World, event: &Event) {
    let find = |world: &World, name: &usize| world.ledger.find_key(&key(NAMES[*name]));
    match event {
        Event::Delivered(name, content) => {
            world.deliver_content(key(NAMES[*name]), CONTENTS[*content]);
        }
        Event::Printed => {
            world.print("h");
        }
        Event::Deleted(name) => {
            if let Some(id) = find(world, name)
                && world.ledger.entry(id).state == EntryState::Delivered
            {
                world.ledger.deleted(&[id]).unwrap();
            }
        }
        Event::Listed(names) => {
            let held: Vec<_> = names.iter().filter_map(|name| find(world, name)).collect();
            world.ledger.complete_listing(&mut held.into_iter()).unwrap();
        }
        Event::Doubted(name) => {
            let id = find(world, name);
            world.ledger.doubt(Some(&id.into_iter().collect::<Vec<_>>())).unwrap();
        }
        Event::Moved(name, other) => {
            if let Some(id) = find(world, other)
                && world.ledger.entry(id).deliveries > 0
            {
                world.record_match(NAMES[*name], id);
            }
        }
    }
}

#[test]
fn what_is_found_by_a_header_is_what_a_look_at_all_of_them_finds() {
    let lives = (events(), proptest::collection::vec(0..NAMES.len(), 0..6));
    let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    let life = |(events, listed): (Vec<Event>, Vec<usize>)| {
        let mut world = World::new();
        events.iter().for_each(|event| happen(&mut world, event));
        let listed: Vec<(&str, Option<u64>)> = listed.iter().map(|name| (NAMES[*name], None)).collect();
        let maildrop = world.maildrop(&listed);
        let all = scan(&world, &maildrop);
        let mut watch = Watch::new(&world.ledger, &maildrop).unwrap();
        for content in ["h", "i", "j", "unknown", "h"] {
            let header = facts(content).digests.header;
            let of_all: Vec<Watched> =
                all.iter().filter(|(of, _)| *of == header).map(|(_, one)| *one).collect();
            // Of deliveries that are alike but for what is expected either may come first.
            let in_order = |mut found: Vec<Watched>| {
                found.sort_by_key(|one| (one.message, one.entry, one.expected));
                found
            };
            let found = watch.with_header(header).to_vec();
            prop_assert_eq!(in_order(found), in_order(of_all), "{}", content);
        }
        Ok(())
    };
    runner.run(&lives, life).unwrap();
}

/// A sender can give ten thousand messages one header: they are decoded for the first one that comes with it, and for no
/// other.
#[test]
fn many_messages_with_one_header_are_put_in_order_once() {
    let mut world = World::new();
    for n in 0..30 {
        world.deliver_content(key(&format!("u{n}")), &format!("h/{n}"));
    }
    let maildrop = world.maildrop(&[]);
    let mut comparison = Comparison::default().watching(&world.ledger, &maildrop).unwrap();
    let header = facts("h").digests.header;
    assert!(comparison.seems_moved(&facts("h/new")));
    let first = comparison.watch.with_header(header).as_ptr();
    assert!(comparison.seems_moved(&facts("h/next")));
    assert_eq!(comparison.watch.with_header(header).as_ptr(), first, "decoded again");
    assert_eq!(comparison.watch.with_header(header).len(), 30);
}

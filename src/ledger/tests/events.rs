//! Any course of events, and any octets.

use super::*;

/// What may happen to a ledger, on a few unique-ids.
#[derive(Debug, Clone)]
enum Event {
    Batch(Vec<(u8, u8, u8)>),
    Fail(u8, Option<u64>),
    TooLarge(u8, Option<u64>),
    Listed(u8, u64),
    Deleted(u8),
    Listing(u8),
    Recognise(u8, u8),
    Settle(bool),
    Import(u8, Option<i64>),
    Identify(u8),
    Forget(u8),
    Part(u8),
    Tick(i64),
    Sync,
    Reopen(bool),
    Compact,
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0..5_u8;
    let size = proptest::option::of(prop_oneof![0..100_u64, Just(u64::MAX), Just(u64::from(u32::MAX))]);
    prop_oneof![
        4 => proptest::collection::vec((who.clone(), 0..3_u8, 0..8_u8), 1..4).prop_map(Event::Batch),
        1 => (who.clone(), size.clone()).prop_map(|(m, size)| Event::Fail(m, size)),
        1 => (who.clone(), size).prop_map(|(m, size)| Event::TooLarge(m, size)),
        1 => (who.clone(), 0..9_u64).prop_map(|(m, size)| Event::Listed(m, size)),
        2 => who.clone().prop_map(Event::Deleted),
        2 => (0..32_u8).prop_map(Event::Listing),
        1 => (who.clone(), who.clone()).prop_map(|(m, n)| Event::Recognise(m, n)),
        1 => any::<bool>().prop_map(Event::Settle),
        1 => (who.clone(), proptest::option::of(0..3 * DAY)).prop_map(|(m, ago)| Event::Import(m, ago)),
        1 => who.clone().prop_map(Event::Identify),
        1 => who.clone().prop_map(Event::Forget),
        1 => who.prop_map(Event::Part),
        1 => (-DAY..3 * DAY).prop_map(Event::Tick),
        1 => Just(Event::Sync),
        1 => any::<bool>().prop_map(Event::Reopen),
        1 => Just(Event::Compact),
    ]
}

fn happen(mut ledger: Ledger, event: Event) -> Ledger {
    let key = |m: u8| key(&format!("id {m}"));
    let size = |size: Option<u64>| size.map(Octets);
    let first = maildir(&mut ledger);
    let second = ledger.enter_destination(&name(DestinationKind::Stdout, "-"), None).unwrap();
    match event {
        Event::Batch(batch) => {
            // Each: which unique-id, which content, and a bit for each outcome.
            let set = [first, second];
            let mut begun = ledger.begun();
            let messages: Vec<_> = batch
                .iter()
                .map(|(m, content, _)| {
                    let at = begun.iter().position(|begun| begun.digests == digests(&content.to_string()));
                    let continues = at.map(|at| begun.remove(at).id);
                    continuing(continues, key(*m), &content.to_string(), &set)
                })
                .collect();
            for to in set {
                let serves = |ledger: &Ledger, m: &Arc<Arrival>| {
                    let begun = ledger.begun().into_iter().find(|begun| Some(begun.id) == m.continues);
                    begun.is_none_or(|begun| begun.set.contains(&(to, false)))
                };
                let pieces = messages.iter().filter(|m| serves(&ledger, m)).map(|m| piece(m, to)).collect();
                for noted in note(&mut ledger, pieces) {
                    let at = messages.iter().position(|m| Arc::ptr_eq(m, &noted.piece().message)).unwrap();
                    match (batch[at].2 >> to.0) & 3 {
                        0 | 1 => drop(ledger.record(Published::attest(noted)).unwrap()),
                        2 => ledger.refuse(noted, Some(NOW)).unwrap(),
                        _ => drop(noted),
                    }
                }
            }
        }
        Event::Fail(m, listed) => drop(ledger.fail(&key(m), size(listed), None).unwrap()),
        Event::TooLarge(m, listed) => drop(ledger.too_large(&key(m), size(listed)).unwrap()),
        Event::Listed(m, octets) => {
            if let Some(id) = ledger.find_key(&key(m)) {
                ledger.learn_size(id, Octets(octets)).unwrap();
            }
        }
        Event::Deleted(m) => {
            if let Some(id) =
                ledger.find_key(&key(m)).filter(|id| ledger.prove_delivered(*id, number(1)).is_some())
            {
                ledger.deleted(&[id]).unwrap();
            }
        }
        Event::Listing(held) => {
            let mut held: Vec<_> =
                (0..5).filter(|m| held >> m & 1 == 1).filter_map(|m| ledger.find_key(&key(m))).collect();
            // In another order the entries would change their places.
            held.sort_unstable();
            ledger.complete_listing(&mut held.into_iter()).unwrap();
        }
        Event::Import(m, ago) => {
            let word = ago.map_or(UsersWord::Seen, |ago| UsersWord::Delivered(Time(NOW.0 - ago)));
            ledger.import(&[(unique_id(&format!("id {m}")), word)]).unwrap();
        }
        Event::Identify(m) => {
            if let Some(id) = ledger.find_key(&key(m)).filter(|id| ledger.entry(*id).unidentified) {
                ledger.identify(id, digests("1").header, digests("1").identity).unwrap();
            }
        }
        Event::Forget(m) => {
            forget(&mut ledger, &[unique_id(&format!("id {m}"))]).unwrap();
        }
        Event::Part(m) => {
            if let Some(id) = ledger.find_key(&key(m)) {
                ledger.part_from_key(id).unwrap();
            }
        }
        Event::Recognise(m, n) => {
            if let Some(id) =
                ledger.find_key(&key(n)).filter(|id| !ledger.deliveries_of(*id).unwrap().is_empty())
            {
                ledger.record_match(&key(m), Some(Octets(1)), Match::first(id)).unwrap();
            }
        }
        Event::Settle(published) => {
            let intents: Vec<_> = ledger.intents().iter().map(|intent| intent.id).collect();
            if published {
                ledger.settle_delivered(&intents).unwrap();
            } else {
                ledger.settle_dropped(&intents).unwrap();
            }
        }
        Event::Tick(seconds) => ledger.tick(Time(ledger.now().0 + seconds)),
        Event::Sync => ledger.sync().unwrap(),
        Event::Reopen(in_order) => {
            ledger.flush().unwrap();
            let (directory, clock, before) = (ledger.directory.clone(), ledger.clock, picture(&ledger));
            if in_order {
                ledger.close().unwrap();
            } else {
                drop(ledger);
            }
            ledger = open_at(&directory, clock).unwrap();
            assert_eq!(picture(&ledger), before);
        }
        Event::Compact => {
            ledger.flush().unwrap();
            let before = picture(&ledger);
            compact(&ledger);
            let (directory, clock) = (ledger.directory.clone(), ledger.clock);
            drop(ledger);
            ledger = open_at(&directory, clock).unwrap();
            assert_eq!(picture(&ledger), before);
        }
    }
    ledger
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_recorded_reads_back(events in proptest::collection::vec(event(), 1..25), cuts in any::<[u16; 8]>()) {
        let (home, mut ledger) = begun();
        for event in events {
            ledger = happen(ledger, event);
        }
        ledger.flush().unwrap();
        let at = |octets: &[u8]| Ledger { clock: ledger.clock, ..load(octets).unwrap() };
        let full = octets(home.path());
        prop_assert_eq!(picture(&at(&full)), picture(&ledger));
        for cut in cuts {
            let cut = usize::from(cut) % full.len();
            let whole = full[..cut].iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
            prop_assert_eq!(picture(&at(&full[..cut])), picture(&at(&full[..whole])));
        }
    }

    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        crate::ledger::fuzz_replay(&octets);
    }

    #[test]
    fn no_lines_make_it_panic(lines in proptest::collection::vec(strange_line(), 0..40)) {
        crate::ledger::fuzz_replay(lines.join("\n").as_bytes());
    }
}

/// Lines of the right form that need make no sense together.
fn strange_line() -> impl Strategy<Value = String> {
    let sum = digests("x").message;
    let small = prop_oneof![0..4_u32, Just(u32::MAX)];
    (0..20_u8, small.clone(), small.clone(), small, 0..3_u8).prop_map(move |(kind, a, b, c, id)| match kind {
        0 | 1 => format!(
            "message {a} 5 u:{id} - {sum} {sum} - {} {}+,{}",
            if b < 3 { "-" } else { "2" },
            c % 3,
            b % 3
        ),
        2 | 3 => format!("staged {a} {b} {} 5 1 {sum} handed", c % 65536),
        4 | 5 => format!("delivered {a} {b}"),
        6 => format!("refused {a} {b} {c}"),
        7 => format!("dropped {a} {b}"),
        8 => format!(
            "known {} u:{id} {a} {b} {sum} {sum} - absent={}",
            ["open", "deleted", "delivered"][usize::from(id)],
            a % 65536
        ),
        9 => format!("copy u:{id} {a} {sum} {sum} -"),
        10 => format!("destination {} pipe x - - -", a % 3),
        11 => format!("recorded {a} u:{id} {b} {c} {sum} {sum} {sum}"),
        12 => format!("same {a} u:{id} {b}"),
        13 => format!("deleted {a} u:{id}"),
        15 => format!("imported {a} u:{id} {}", if b < 3 { "-".to_owned() } else { b.to_string() }),
        16 => format!("identified {a} u:{id} {sum} -"),
        17 | 18 => format!("forgotten {a} u:{id}"),
        14 => format!("absent u:{id} {}", a % 65536),
        _ => format!("unlisted {a} {b}"),
    })
}

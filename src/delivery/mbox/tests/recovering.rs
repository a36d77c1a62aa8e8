//! What recovery makes of every way in which an append can break off.

use super::*;

#[test]
fn every_torn_tail_is_put_right() {
    for (before, lead) in [("", 0), ("From x\n\nbody\n\n", 0), ("From x\n\nbody\n", 1), ("From x\n\nbody", 2)]
    {
        let home = Home::new();
        fs::write(home.mbox(), before).unwrap();
        let unsettled = home.die(true);
        home.forget();
        let whole = fs::read(home.mbox()).unwrap();
        let ends: Vec<usize> = entries()
            .iter()
            .scan(before.len() + lead, |end, entry| {
                *end += entry.len();
                Some(*end)
            })
            .collect();
        assert_eq!(ends[2], whole.len());
        for length in before.len()..=whole.len() {
            for nuls in [0, 1, 5000] {
                let mut torn = whole[..length].to_vec();
                torn.resize(length + nuls, 0);
                fs::write(home.mbox(), &torn).unwrap();
                let recorded = home.recover_at(&unsettled, NOW);
                let delivered: u32 = (1..=3).filter(|n| ends[*n as usize - 1] <= length).count() as u32;
                assert_eq!(recorded.delivered, (1..=delivered).collect::<Vec<_>>(), "{length} and {nuls}");
                assert_eq!(recorded.dropped, (delivered + 1..=3).collect::<Vec<_>>(), "{length} and {nuls}");
                let left = fs::read(home.mbox()).unwrap();
                if delivered > 0 && length + nuls > ends[delivered as usize - 1] && delivered < 3 {
                    assert_eq!(left.len(), ends[delivered as usize - 1], "{length} and {nuls}");
                } else if delivered == 0 && length + nuls > before.len() + lead {
                    assert!(left.starts_with(before.as_bytes()) && left.len() <= before.len() + lead);
                    assert!(!left.contains(&0));
                }
                // What comes again finds its place, and no part of it stands there twice.
                if nuls != 1 && length % 7 == 0 && length + nuls > before.len() + lead && delivered < 3 {
                    home.deliver(&mut home.outlet(), &TEXTS[delivered as usize..]).unwrap();
                    assert_eq!(fs::read(home.mbox()).unwrap(), whole);
                    clean_up_but(&home, &unsettled);
                }
                // Before anything else is appended, the disk knows what stands there.
                let settled: Vec<usize> = (delivered > 0).then_some(delivered as usize).into_iter().collect();
                assert_eq!(recorded.settled, settled, "{length} and {nuls}");
            }
        }
    }
}

/// Between two looks at the same crash.
fn clean_up_but(home: &Home, unsettled: &Unsettled) {
    clean_up(&home.root(), &home.state(), "aa", &unsettled.intents).unwrap();
    assert_eq!(home.names("state/ledger").len(), 1);
}

#[test]
fn nothing_appended_comes_again() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\n\nbody\n").unwrap();
    let unsettled = home.die(false);
    let recorded = home.recover_at(&unsettled, NOW);
    assert_eq!((recorded.delivered, recorded.dropped), (vec![], vec![1, 2, 3]));
    assert_eq!(home.read(), "From x\n\nbody\n");
}

/// Another program wrote the file back without its last line end, or a copy of it broke off: what is cut off then isn't in
/// the mbox, though all of it once was.
#[test]
fn what_was_cut_short_after_all_was_appended_comes_again() {
    let [one, two, three] = entries();
    // The last octet; nearly all of the last entry; that and a part of the one before.
    for (cut, whole) in [(1, 2), (three.len() - 1, 2), (three.len() + 1, 1)] {
        let home = Home::new();
        let unsettled = home.die(true);
        let all = [one.as_str(), two.as_str(), three.as_str()].concat();
        fs::write(home.mbox(), &all[..all.len() - cut]).unwrap();
        let recorded = home.recover_at(&unsettled, NOW);
        let (delivered, again) = [1, 2, 3].split_at(whole);
        assert_eq!((recorded.delivered.as_slice(), recorded.dropped.as_slice()), (delivered, again), "{cut}");
        assert_eq!(home.read(), [one.as_str(), two.as_str()][..whole].concat(), "{cut}");
    }
}

#[test]
fn nothing_is_cut_that_others_appended() {
    let home = Home::new();
    let unsettled = home.die(true);
    home.forget();
    let [one, two, _] = entries();
    let torn = format!("{one}{}From other\n\nmail\n", &two[..20]);
    fs::write(home.mbox(), &torn).unwrap();
    let recorded = home.recover_at(&unsettled, NOW);
    assert_eq!((recorded.delivered, recorded.dropped), (vec![1], vec![2, 3]));
    assert_eq!(home.read(), torn);
    home.deliver(&mut home.outlet(), &TEXTS[1..2]).unwrap();
    assert_eq!(home.read(), format!("{torn}\n{two}"));
}

#[test]
fn what_a_reader_has_rewritten_is_known_again() {
    let home = Home::new();
    fs::write(home.mbox(), "From x\nA: before\n\nbody\n\n").unwrap();
    let unsettled = home.die(true);
    home.forget();
    let [one, two, three] = entries().map(|entry| entry.replacen("\nA:", "\nStatus: RO\nX-UID: 7\nA:", 1));
    // The first is gone, the others have moved, the last lost its empty line.
    let rewritten = format!("From x\nX-IMAPbase: 1 2\nA: before\n\nbody\n\n{three}{}", two.trim_end());
    fs::write(home.mbox(), &rewritten).unwrap();
    let recorded = home.recover_at(&unsettled, NOW);
    assert_eq!((recorded.delivered, recorded.dropped), (vec![2, 3], vec![1]));
    assert_eq!(home.read(), rewritten);
    // Without the spool only what was not changed is.
    fs::remove_file(home.state().join(&home.names("state/ledger")[0])).unwrap();
    fs::write(home.mbox(), format!("{three}{}", entries()[0])).unwrap();
    let recorded = home.recover_at(&unsettled, NOW);
    assert_eq!((recorded.delivered, recorded.dropped), (vec![1], vec![2, 3]));
    drop(one);
}

/// What a run meant to do that had staged these messages.
fn intents(home: &Home, texts: &[&[u8]]) -> Vec<Intent> {
    let staged = home.outlet().stage(home.pieces(texts)).unwrap();
    staged.iter().zip(1..).map(|(staged, id)| intent(staged.piece(), id)).collect()
}

#[test]
fn equal_messages_are_matched_one_for_one() {
    let home = Home::new();
    let unsettled = Unsettled { intents: intents(&home, &[TEXTS[0], TEXTS[0]]), ..home.die(false) };
    fs::write(
        home.mbox(),
        format!("From x\n\nlonger than one of them, so that nothing is at its place\n\n{}", entries()[0]),
    )
    .unwrap();
    let recorded = home.recover_at(&unsettled, NOW);
    assert_eq!((recorded.delivered, recorded.dropped), (vec![1], vec![2]));
}

#[test]
fn an_entry_at_its_place_is_not_counted_for_its_equal() {
    let home = Home::new();
    let unsettled = Unsettled { intents: intents(&home, &[TEXTS[0], TEXTS[0]]), ..home.die(false) };
    fs::write(home.mbox(), format!("{}From other\n\nmail\n\n", entries()[0])).unwrap();
    let recorded = home.recover_at(&unsettled, NOW);
    assert_eq!((recorded.delivered, recorded.dropped), (vec![1], vec![2]));
}

/// The mbox is read piece by piece, and a From_ line may stand where one ends; what only looks like one is text.
#[test]
fn entries_are_known_again_wherever_the_reading_is_cut() {
    const CHUNK: usize = 128 * 1024;
    let home = Home::new();
    let large = format!("A: 0\n\n{}\n", "xFrom y".repeat(25_000));
    let broken = b"A: 1\n\nFro\n".as_slice();
    let intents = intents(&home, &[TEXTS[0], large.as_bytes(), broken]);
    let mut unsettled = home.die(false);
    unsettled.intents = intents;
    let filler = |octets: usize| format!("From x\n\n{}\n\n", "y".repeat(octets - 10));
    for shift in 0..8 {
        // The last one has lost its line ends, and looks as if a From_ line were to come.
        let mbox = [
            filler(CHUNK - shift),
            entries()[0].clone(),
            filler(50_000 + shift),
            format!("{FROM}{large}\n"),
            format!("{FROM}A: 1\n\nFro"),
        ];
        fs::write(home.mbox(), mbox.concat()).unwrap();
        let recorded = home.recover_at(&unsettled, NOW);
        assert_eq!((recorded.delivered, recorded.dropped), (vec![1, 2, 3], vec![]), "{shift}");
    }
}

#[test]
fn what_a_reader_took_away_is_known_to_have_been_there() {
    let day = 24 * 60 * 60;
    type Reader = fn(&Home);
    let moves: Reader = |home| fs::rename(home.mbox(), home.mbox().with_file_name("old")).unwrap();
    let empties: Reader = |home| fs::write(home.mbox(), "").unwrap();
    let replaces: Reader = |home| {
        moves_away(home);
        fs::write(home.mbox(), "From new\n\nmail\n\n").unwrap();
    };
    for reader in [moves, empties, replaces] {
        for (appended, started_since, age, taken) in [
            (true, false, 0, true),
            (true, false, day - 1, true),
            (true, false, day, false),
            (true, false, -1, false),
            (true, true, 0, false),
            (false, false, 0, false),
        ] {
            let home = Home::new();
            let unsettled = home.die(appended);
            if started_since {
                home.forget();
            }
            reader(&home);
            let taken = taken && boot::id().is_some();
            let there = home.names("mail");
            let recorded = home.recover_at(&unsettled, Time(NOW.0 + age));
            assert_eq!(home.names("mail"), there, "no mbox is made to look into");
            assert_eq!(
                (recorded.delivered.len(), recorded.dropped.len()),
                if taken { (3, 0) } else { (0, 3) }
            );
        }
    }
}

fn moves_away(home: &Home) {
    fs::rename(home.mbox(), home.mbox().with_file_name("old")).unwrap();
}

#[test]
fn nothing_is_concluded_while_the_directory_is_gone() {
    let home = Home::new();
    let unsettled = home.die(true);
    fs::rename(home.directory.path().join("mail"), home.directory.path().join("elsewhere")).unwrap();
    let mut recorded = Recorded::default();
    let outcome = recover(&unsettled, &home.state(), &mut recorded, NOW, None, &Stop::new().unwrap());
    assert!(outcome.is_err_and(|e| e.is_out_of_reach() && e.hint().is_some()));
    assert!(recorded.delivered.is_empty() && recorded.dropped.is_empty());
}

/// A spool that has rotted must not make other mail count as ours.
#[test]
fn a_spool_that_does_not_hold_what_was_noted_recognises_nothing() {
    let home = Home::new();
    let unsettled = home.die(false);
    let path = home.state().join(&home.names("state/ledger")[0]);
    let spool = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    fs::write(&path, spool.replace("one", "ONE")).unwrap();
    let other = entries()[0].replace("one", "ONE");
    let before = "From x\n\nlonger than the first of them, so that it stands elsewhere\n\n";
    fs::write(home.mbox(), format!("{before}{other}")).unwrap();
    let recorded = home.recover_at(&unsettled, NOW);
    assert_eq!((recorded.delivered, recorded.dropped), (vec![], vec![1, 2, 3]));
}

#[test]
fn each_batch_is_known_again_by_its_own_spool() {
    let home = Home::new();
    let mut intents = Vec::new();
    for (text, id) in TEXTS.iter().zip(1..) {
        let mut outlet = home.outlet();
        let staged = outlet.stage(home.pieces(&[text])).unwrap();
        intents.push(intent(staged[0].piece(), id));
        outlet.publish(noted(staged), &mut Recorded::default()).unwrap();
    }
    home.forget();
    let read = entries().map(|entry| entry.replacen("\nA:", "\nStatus: RO\nA:", 1));
    fs::write(home.mbox(), read.concat()).unwrap();
    let unsettled = Unsettled { intents, ..home.die(false) };
    let recorded = home.recover_at(&unsettled, NOW);
    assert_eq!((recorded.delivered, recorded.dropped), (vec![1, 2, 3], vec![]));
}

/// A ledger that another program has written makes us neither read, nor cut by, a file that is no spool of it.
#[test]
fn only_a_spool_beside_the_ledger_is_believed() {
    for (name, believed) in [("spool-1", true), ("other", false), ("spool-1/../spool-2", false)] {
        let home = Home::new();
        let unsettled = home.die(true);
        home.forget();
        let spool = home.state().join(&home.names("state/ledger")[0]);
        fs::create_dir(home.state().join("spool-1")).unwrap();
        if believed {
            fs::remove_dir(home.state().join("spool-1")).unwrap();
        }
        fs::copy(&spool, home.state().join(name)).unwrap();
        let named = |intent: Intent| {
            let NotedPlace::Mbox { offset, spool_offset, .. } = intent.place else { panic!() };
            Intent { place: NotedPlace::Mbox { offset, spool: name.to_owned(), spool_offset }, ..intent }
        };
        let intents = unsettled.intents.into_iter().map(named).collect();
        let torn = home.read()[..20].to_owned();
        fs::write(home.mbox(), &torn).unwrap();
        let recorded = home.recover_at(&Unsettled { intents, ..unsettled }, NOW);
        assert_eq!((recorded.delivered, recorded.dropped), (vec![], vec![1, 2, 3]), "{name}");
        assert_eq!(home.read(), if believed { "" } else { torn.as_str() }, "{name}");
    }
}

/// Nothing is concluded from a spool that cannot be read.
#[test]
fn where_the_spool_cannot_be_read_nothing_is_concluded() {
    let home = Home::new();
    let unsettled = home.die(true);
    let spool = home.state().join(&home.names("state/ledger")[0]);
    fs::remove_file(&spool).unwrap();
    std::os::unix::fs::symlink("/dev/null", &spool).unwrap();
    let mut recorded = Recorded::default();
    let stop = Stop::new().unwrap();
    assert!(recover(&unsettled, &home.state(), &mut recorded, NOW, None, &stop).is_err());
    assert!(recorded.delivered.is_empty() && recorded.dropped.is_empty());
    // Where nothing is open, there is nothing to look for, wherever the mbox is.
    fs::remove_dir_all(home.mbox().parent().unwrap()).unwrap();
    let none = Unsettled { intents: Vec::new(), ..unsettled };
    let recorded = home.recover_at(&none, NOW);
    assert!(recorded.delivered.is_empty() && recorded.dropped.is_empty());
}

/// In whichever order the ledger's lines come.
#[test]
fn a_torn_tail_is_found_by_where_it_stands() {
    let home = Home::new();
    let mut unsettled = home.die(true);
    home.forget();
    unsettled.intents.reverse();
    let [one, two, _] = entries();
    fs::write(home.mbox(), &home.read()[..one.len() + two.len() - 5]).unwrap();
    let recorded = home.recover_at(&unsettled, NOW);
    assert_eq!((recorded.delivered, recorded.dropped), (vec![1], vec![2, 3]));
    assert_eq!(home.read(), one);
}

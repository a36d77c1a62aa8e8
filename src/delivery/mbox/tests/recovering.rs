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

#[test]
fn equal_messages_are_matched_one_for_one() {
    let home = Home::new();
    let mut outlet = home.outlet();
    let staged = outlet.stage(home.pieces(&[TEXTS[0], TEXTS[0]])).unwrap();
    let intents = staged.iter().zip(1..).map(|(staged, id)| intent(staged.piece(), id)).collect();
    drop(outlet);
    let unsettled = Unsettled { intents, ..home.die(false) };
    fs::write(
        home.mbox(),
        format!("From x\n\nlonger than one of them, so that nothing is at its place\n\n{}", entries()[0]),
    )
    .unwrap();
    let recorded = home.recover_at(&unsettled, NOW);
    assert_eq!((recorded.delivered, recorded.dropped), (vec![1], vec![2]));
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
            let recorded = home.recover_at(&unsettled, Time(NOW.0 + age));
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

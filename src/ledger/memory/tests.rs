use super::{
    Adds, Alert, Digest, ExitCode, Habits, KnownFlight, KnownPipelining, LastRun, Lasting, LedgerExtent,
    Limit, ListedAs, MOST_DIED, Memory, NamingForm, Offer, Pause, Popped, Quick, Said, UniqueIds, Utf8,
};
use crate::types::{MessageNumber, Octets, Time, UniqueId};

fn full() -> Memory {
    let unique_id = |text: &'static [u8]| UniqueId::new(text).map(UniqueId::to_buf);
    Memory {
        offers: vec![
            Offer {
                way: "995 implicit".into(),
                when: Time(5),
                capabilities: vec![b"TOP".to_vec(), b"SASL PLAIN\x1b".to_vec(), b"".to_vec()],
            },
            Offer { way: String::new(), when: Time(-6), capabilities: vec![] },
        ],
        pipelining: KnownPipelining::InStep,
        sizes: Some(Time(4)),
        habits: Habits {
            adds: Adds::Anywhere,
            unique_ids: UniqueIds::Names,
            listed: 7,
            complete: true,
            matched_gaps: 2,
            folder_data: true,
            top: true,
        },
        extent: Some(LedgerExtent { generation: 3, octets: 4096 }),
        behind: Some(Time(5)),
        flight: KnownFlight::Two(Time(2)),
        utf8: Utf8::Dropped(Time(3)),
        names: Some((NamingForm::DropListing, Time(11))),
        limit: Some(Limit { commands: 40, since: Time(-3) }),
        died: vec![
            ListedAs::Numbered(MessageNumber::FIRST, None),
            ListedAs::UniqueId(unique_id(b"-").unwrap()),
        ],
        withheld: vec![(unique_id(b"a b").unwrap(), Digest::of(b"other mail"))],
        quit_unanswered: true,
        popped: Some(Popped { since: Time(9), unique_ids: vec![unique_id(b"p").unwrap()] }),
        last: Some(LastRun {
            exit: ExitCode::Refused,
            error: Some(Said { exit: ExitCode::Refused, message: "no".into(), hint: None }),
            server: Some(3),
            postponed: 1,
            mail: Some((Time(8), 2)),
        }),
        strongest: Some("SCRAM-SHA-256-PLUS".into()),
        pause: Some(Pause { refusals: 3, refused: Time(7), until: Time(8), configuration: "a b".into() }),
        alerts: [
            ("network".to_owned(), Alert::since(Time(1))),
            (
                "-".to_owned(),
                Alert {
                    since: Time(1),
                    reported: Some(Time(2)),
                    lasting: Some(Lasting {
                        exit: ExitCode::Later,
                        messages: u64::MAX,
                        message: "it = \"übel\"".into(),
                        hint: Some(String::new()),
                        reason: Some("sh".into()),
                        next: Some(Time(12)),
                    }),
                },
            ),
        ]
        .into(),
        quick: Some(Quick {
            messages: 2,
            octets: Octets(u64::MAX),
            first: unique_id(b"-"),
            last: unique_id(b"a \xff="),
            listed: Time(9),
            grows_at_end: true,
            idle_under: Some("-".into()),
            due: None,
        }),
    }
}

#[test]
fn reads_back_what_was_saved() {
    for memory in [Memory::default(), full()] {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("ledger"), "").unwrap();
        memory.save(home.path()).unwrap();
        assert_eq!(Memory::load(home.path()), memory);
    }
}

#[test]
fn reports_of_others_are_taken_once() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("ledger"), "").unwrap();
    full().save_reports(home.path()).unwrap();
    assert_eq!(Memory::load(home.path()), Memory::default());
    assert_eq!(Memory::load_reports(home.path()), full());
    assert_eq!(Memory::take_reports(home.path()), full());
    assert_eq!(Memory::take_reports(home.path()), Memory::default());
}

#[test]
fn no_change_no_write() {
    use std::os::unix::fs::MetadataExt as _;
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("ledger"), "").unwrap();
    let inode = || home.path().join("memory").metadata().unwrap().ino();
    full().save(home.path()).unwrap();
    let before = inode();
    full().save(home.path()).unwrap();
    assert_eq!(inode(), before);
    Memory::default().save(home.path()).unwrap();
    assert_ne!(inode(), before);
    assert_eq!(Memory::load(home.path()), Memory::default());
}

#[test]
fn no_memory_without_a_ledger() {
    let home = tempfile::tempdir().unwrap();
    full().save(home.path()).unwrap();
    assert!(!home.path().join("memory").exists());
}

#[test]
fn what_cannot_be_read_is_empty() {
    let text = full().to_text();
    let home = tempfile::tempdir().unwrap();
    let load = |octets: &[u8]| {
        std::fs::write(home.path().join("memory"), octets).unwrap();
        Memory::load(home.path())
    };
    assert_eq!(Memory::load(home.path()), Memory::default());
    for bad in ["", "popfetch-memory 2\n", "popfetch-memory 1\nleft", "{", "5", "\"x\"", "{\"strongest\": 1}"]
    {
        assert_eq!(load(bad.as_bytes()), Memory::default(), "{bad:?}");
    }
    // It is replaced as a whole: what is torn all the same is not a memory.
    for cut in 0..text.len() - 2 {
        assert_eq!(load(&text[..cut]), Memory::default(), "{cut}");
    }
}

#[test]
fn what_another_version_wrote_is_read_as_far_as_it_is_understood() {
    let home = tempfile::tempdir().unwrap();
    let text = r#"{"strongest": "X", "newer": {"a": [1]}, "pipelining": "by-carrier-pigeon",
        "habits": {"top": true, "newer": 5}, "alerts": 5, "extent": [1, 2]}"#;
    std::fs::write(home.path().join("memory"), text).unwrap();
    let expected = Memory {
        strongest: Some("X".into()),
        habits: Habits { top: true, ..Habits::default() },
        extent: Some(LedgerExtent { generation: 1, octets: 2 }),
        ..Memory::default()
    };
    assert_eq!(Memory::load(home.path()), expected);
}

#[test]
fn what_is_kept_stays_bounded() {
    let mut memory = Memory::default();
    for n in 0..100_u32 {
        let id = UniqueId::new(n.to_string().as_bytes()).unwrap().to_buf();
        memory.withheld(id.clone(), Digest::of(b"x"));
        memory.died_at(ListedAs::UniqueId(id));
    }
    assert_eq!([memory.died.len(), memory.withheld.len()], [MOST_DIED; 2]);
    let more = [memory.died.clone(), memory.died.clone()].concat();
    let read = Memory::parse(&Memory { died: more, ..Memory::default() }.to_text()).unwrap();
    assert_eq!(read.died, memory.died);
}

#[test]
fn one_offer_for_each_way() {
    let mut memory = full();
    let newer = Offer { when: Time(50), capabilities: vec![], ..memory.offers[0].clone() };
    memory.put_offer(newer.clone());
    assert_eq!(memory.offers.len(), 2);
    assert_eq!(memory.offer("995 implicit"), Some(&newer));
    assert_eq!(memory.offer("110 starttls"), None);
}

#[test]
fn any_octets_as_a_memory() {
    let text = full().to_text();
    for cut in 0..text.len() {
        super::fuzz_memory(&text[..cut]);
        super::fuzz_memory(&text[cut..]);
    }
}

/// Servers change, and clocks are set back: what was learnt of them holds for a week.
#[test]
fn what_was_learnt_of_a_server_holds_for_a_week() {
    let week = 7 * 86_400;
    let since = Time(1_000_000_000);
    let learnt = || Memory {
        offers: vec![Offer { when: since, ..full().offers[0].clone() }],
        pipelining: KnownPipelining::Broken(since),
        flight: KnownFlight::Two(since),
        utf8: Utf8::Dropped(since),
        limit: Some(Limit { commands: 4, since }),
        names: Some((NamingForm::Nothing, since)),
        popped: full().popped.map(|popped| Popped { since, ..popped }),
        ..full()
    };
    for (after, holds) in [(0, true), (week - 1, true), (week, false), (-1, false)] {
        let mut memory = learnt();
        memory.expire(Time(since.0 + after));
        let expired = Memory {
            offers: Vec::new(),
            pipelining: KnownPipelining::Unproven,
            flight: KnownFlight::Unproven,
            utf8: Utf8::Unknown,
            limit: None,
            names: None,
            popped: None,
            ..full()
        };
        assert_eq!(memory, if holds { learnt() } else { expired }, "{after}");
    }
    // What it has shown that it can do lasts.
    let mut memory = Memory {
        offers: Vec::new(),
        pipelining: KnownPipelining::InStep,
        flight: KnownFlight::One,
        utf8: Utf8::Works(0),
        limit: None,
        names: Some((NamingForm::Size, since)),
        popped: None,
        ..full()
    };
    let before = memory.clone();
    memory.expire(Time(since.0 + 50 * week));
    assert_eq!(memory, before);
}

#[test]
fn a_message_is_remembered_once() {
    let id = |text: &str| UniqueId::new(text.as_bytes()).unwrap().to_buf();
    let mut memory = Memory::default();
    for (text, digest) in [("a", "1"), ("b", "2"), ("a", "3")] {
        memory.withheld(id(text), Digest::of(digest.as_bytes()));
        memory.died_at(ListedAs::UniqueId(id(text)));
    }
    assert_eq!(memory.withheld, [(id("b"), Digest::of(b"2")), (id("a"), Digest::of(b"3"))]);
    assert_eq!(memory.died, ["b", "a"].map(|text| ListedAs::UniqueId(id(text))));
}

#[test]
fn after_a_change_from_outside_the_next_run_looks_at_everything() {
    let mut memory = full();
    assert!(memory.quick.as_ref().unwrap().idle_under.is_some());
    memory.expect_work();
    assert_eq!(memory.quick.unwrap().idle_under, None);
}

#[test]
fn what_a_killed_run_has_left_of_a_memory_is_removed() {
    let home = tempfile::tempdir().unwrap();
    let left = home.path().join("memory.new");
    let leave = || std::fs::write(&left, "half of it").unwrap();
    leave();
    full().save(home.path()).unwrap();
    assert!(!left.exists(), "without a ledger");
    std::fs::write(home.path().join("ledger"), "").unwrap();
    for _ in 0..2 {
        leave();
        full().save(home.path()).unwrap();
        assert!(!left.exists());
        assert_eq!(Memory::load(home.path()), full());
    }
}

#[cfg(feature = "crash-points")]
#[test]
fn a_memory_that_cannot_be_written_stays_as_it_was() {
    use crate::durable::{Step, trial::steps};
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("ledger"), "").unwrap();
    full().save(home.path()).unwrap();
    for refused in [Step::Write, Step::Rename] {
        let (saved, _) = steps(move |step, _| step == refused, || Memory::default().save(home.path()));
        assert!(saved.is_err() && !home.path().join("memory.new").exists());
        assert_eq!(Memory::load(home.path()), full());
    }
}

//! What is a Maildir's own: readers that move what they see, `tmp/` cleaned by others, a Maildir that is away.

use super::case::Kind::Maildir;
use super::case::{Case, Plan, tiny};

fn plan() -> Plan {
    Plan::new(&[Maildir], true).of(tiny(3))
}

fn hint_and_nothing_fetched(case: &Case) {
    let before = case.server.sessions();
    let run = case.run();
    run.exits(75).complains("hint: ");
    assert!(
        (before + 1..=case.server.sessions()).all(|session| {
            case.server.commands(session).iter().all(|command| !command.starts_with("RETR"))
        })
    );
}

/// As a mount that is missing, or a folder that was moved.
#[test]
fn missing_maildir_is_waited_for() {
    let case = Case::new(plan().primed());
    let away = case.sandbox.path("away");
    std::fs::rename(case.maildir(), &away).unwrap();
    hint_and_nothing_fetched(&case);
    assert!(!case.maildir().exists(), "never created where mail was delivered before");
    // An empty mount point.
    std::fs::create_dir(case.maildir()).unwrap();
    hint_and_nothing_fetched(&case);
    std::fs::remove_dir(case.maildir()).unwrap();
    std::fs::rename(&away, case.maildir()).unwrap();
    case.recovers(0);
}

#[cfg(feature = "crash-points")]
mod after_a_crash {
    use super::*;
    use std::path::Path;
    use std::time::{SystemTime, UNIX_EPOCH};

    use twox_hash::XxHash3_64;

    use crate::support::mailboxes::create_maildir;

    /// All in `new/`, which the ledger doesn't know yet.
    fn published() -> Case {
        Case::crashed_at(&plan().primed(), 0, |step| step == "Sync ~/mail/dir/new")
    }

    /// All in `tmp/`, which the ledger knows.
    fn noted() -> Case {
        Case::crashed_at(&plan().primed(), 0, |step| step.starts_with("Rename ~/mail/dir/new/"))
    }

    fn each(case: &Case, folder: &str, act: impl Fn(&Path)) {
        let entries = std::fs::read_dir(case.maildir().join(folder)).unwrap();
        let paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(paths.len() >= 3, "{paths:?}");
        paths.iter().for_each(|path| act(path));
    }

    fn retrieved(case: &Case) -> usize {
        let session = case.server.sessions();
        case.server.commands(session).iter().filter(|command| command.starts_with("RETR")).count()
    }

    #[test]
    fn message_moved_by_a_reader_is_not_repeated() {
        let case = published();
        let cur = case.maildir().join("cur");
        each(&case, "new", |path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            std::fs::rename(path, cur.join(format!("{name}:2,FRS"))).unwrap();
        });
        case.recovers(0);
        assert_eq!(retrieved(&case), 0);
    }

    #[test]
    fn message_removed_by_a_reader_is_not_repeated() {
        let case = published();
        each(&case, "new", |path| std::fs::remove_file(path).unwrap());
        case.run().succeeds();
        assert_eq!(retrieved(&case), 0);
        assert!(case.delivered(Maildir).is_empty() && case.server.unique_ids("me").is_empty());
    }

    #[test]
    fn torn_file_in_tmp_comes_again() {
        let case = noted();
        each(&case, "tmp", |path| {
            let octets = std::fs::read(path).unwrap();
            std::fs::write(path, &octets[..octets.len() / 2]).unwrap();
        });
        case.recovers(0);
    }

    /// The steps of a recovery, in a few words each.
    fn steps(case: &Case) -> Vec<String> {
        let run = case.popfetch().record_steps().run();
        run.succeeds();
        let shown = |step: &String| {
            let (kind, path) = step.split_once(' ').unwrap().1.split_once(' ').unwrap();
            let place = path.rsplit_once("/mail/dir").map_or_else(
                || path.rsplit('/').next().unwrap().to_owned(),
                // Whatever the file's name.
                |(_, place)| {
                    let folder = place.split('/').nth(1).unwrap_or_default();
                    format!("{folder}{}", if place.matches('/').count() == 2 { "/NAME" } else { "" })
                },
            );
            format!("{kind} {place}")
        };
        run.steps.iter().map(shown).collect()
    }

    /// Whether these come one behind the other, with anything in between.
    #[track_caller]
    fn in_order(steps: &[String], wanted: &[&str]) {
        let mut rest = steps.iter();
        for wanted in wanted {
            assert!(rest.any(|step| step == wanted), "no {wanted} where it should be: {steps:#?}");
        }
    }

    /// A killed run leaves its work in the page cache only: each sync is made again before its result is believed.
    #[test]
    fn recovery_repeats_every_sync() {
        let steps_of_noted = steps(&noted());
        let renamed = ["Sync tmp/NAME", "Sync tmp", "Rename new/NAME", "Sync new", "Sync cur", "Sync tmp"];
        in_order(&steps_of_noted, &[&renamed[..], &["Write ledger", "Sync ledger"]].concat());
        let rename = steps_of_noted.iter().position(|step| step == "Rename new/NAME").unwrap();
        let synced = steps_of_noted[..rename].iter().filter(|step| *step == "Sync tmp/NAME").count();
        let renames = steps_of_noted.iter().filter(|step| *step == "Rename new/NAME").count();
        assert!(synced >= 3 && synced >= renames, "each file, before any is renamed: {steps_of_noted:#?}");
        let steps_of_published = steps(&published());
        let looked_at = ["Sync new/NAME", "Sync new", "Sync cur", "Sync tmp", "Write ledger", "Sync ledger"];
        in_order(&steps_of_published, &looked_at);
    }

    /// That a reader has taken it is concluded from the names in the three directories: they are on the disk first.
    #[test]
    fn what_a_reader_took_away_is_recorded_when_the_directories_are_on_the_disk() {
        let case = published();
        each(&case, "new", |path| std::fs::remove_file(path).unwrap());
        in_order(&steps(&case), &["Sync new", "Sync cur", "Sync tmp", "Write ledger", "Sync ledger"]);
    }

    /// The word that a message comes again is on the disk before its file goes: else the next run, after a power failure,
    /// would take the missing file for one that was published.
    #[test]
    fn dropped_line_is_synced_before_the_file_is_removed() {
        let case = noted();
        each(&case, "tmp", |path| std::fs::write(path, "torn").unwrap());
        let run = case.popfetch().record_steps().run();
        run.succeeds();
        let at = |from: usize, what: &str, path: &str| {
            let is = |step: &String| step.contains(&format!(" {what} ")) && step.contains(path);
            run.steps.iter().skip(from).position(is).map(|at| at + from)
        };
        let removed = at(0, "Remove", "/mail/dir/tmp/").unwrap();
        let written = run.steps[..removed]
            .iter()
            .rposition(|step| step.contains(" Write ") && step.ends_with("/ledger"));
        let synced = at(written.unwrap(), "Sync", "/ledger").unwrap();
        assert!(synced < removed, "{:#?}", run.steps);
    }

    /// Gives every `staged` line of a ledger another time.
    fn staged_at(case: &Case, time: i64) {
        let ledger = std::fs::read_to_string(case.ledger()).unwrap();
        let mut lines = String::new();
        for line in ledger.lines() {
            let mut words: Vec<&str> = line.split(' ').collect();
            let time = time.to_string();
            if words[0] == "staged" {
                words[4] = &time;
            }
            words.pop();
            let content = words.join(" ");
            let sum = XxHash3_64::oneshot(content.as_bytes()) & 0xffff_ffff;
            lines.push_str(&format!("{content} {sum:08x}\n"));
        }
        assert_ne!(lines, ledger);
        std::fs::write(case.ledger(), lines).unwrap();
    }

    /// Readers clean `tmp/` of what is older than a day and a half.
    #[test]
    fn message_cleaned_from_tmp_comes_again() {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        for age in [25 * 3600, 40 * 86_400, -86_400, -3600] {
            let case = noted();
            staged_at(&case, now - age);
            each(&case, "tmp", |path| std::fs::remove_file(path).unwrap());
            case.run().succeeds();
            assert_eq!(retrieved(&case), 3, "age {age}");
            case.is_complete(0);
        }
        let case = noted();
        staged_at(&case, now - 23 * 3600);
        each(&case, "tmp", |path| std::fs::remove_file(path).unwrap());
        case.run().succeeds();
        assert_eq!(retrieved(&case), 0, "a reader took it");
    }

    #[test]
    fn another_maildir_at_the_path_settles_nothing() {
        let case = noted();
        let away = case.sandbox.path("away");
        std::fs::rename(case.maildir(), &away).unwrap();
        hint_and_nothing_fetched(&case);
        create_maildir(&case.maildir());
        hint_and_nothing_fetched(&case);
        std::fs::remove_dir_all(case.maildir()).unwrap();
        std::fs::rename(&away, case.maildir()).unwrap();
        case.recovers(0);
    }
}

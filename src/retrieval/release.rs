//! Gives up unfinished deliveries, because the user asks for it: what a destination lacks that is no longer configured,
//! or whose folder is gone for good.  What can be settled is settled first, as at the beginning of every run.

use super::configured::{ConfiguredDestinations, surroundings};
use super::context::Context;
use super::error::Error;
use super::recovery::settle;
use crate::access;
use crate::account::Account;
use crate::clock;
use crate::delivery::{self, Surroundings, named};
use crate::exit::ExitCode;
use crate::ledger::lock::{Lock, PATIENCE};
use crate::ledger::{self, Ledger};
use crate::proof::{DestinationId, DestinationRecord};
use crate::text;
use crate::types::{Wait, wide};

/// What giving up would mean, shown to the user who is asked, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReleaseOffer {
    /// What is given up, and what may come twice by that.
    pub consequences: Vec<String>,
    /// What stays unfinished all the same.
    pub remains: Vec<String>,
}

/// Gives up what is unfinished at destinations that the account's configuration doesn't name; with `wanted`, also at the
/// configured one of that name, which must be out of reach.  `agrees` is asked once, if there's anything to give up.
/// What it was asked comes back, and whether it agreed.
///
/// # Errors
/// The lock, the ledger; [`delivery::Error::Unfit`] when `wanted` isn't such a destination.
pub(crate) fn release(
    account: &Account,
    context: &Context<'_>,
    wanted: Option<&str>,
    agrees: &mut dyn FnMut(&ReleaseOffer) -> bool,
) -> Result<(ReleaseOffer, bool), Error> {
    let mailbox = account.mailbox();
    let directory = ledger::directory(&context.state, &mailbox);
    if !directory.is_dir() {
        return Ok((ReleaseOffer::default(), false));
    }
    access::check_path(&directory)?;
    let around = surroundings(account, context, &directory);
    let configured = ConfiguredDestinations::of(account, context, &directory);
    let lock = Lock::acquire(&directory, Wait::AtMost(PATIENCE), &context.stop)?;
    let mut ledger = Ledger::open(&directory, &mailbox, lock, clock::now())?;
    let wanted = wanted.map(|wanted| find(&ledger, wanted)).transpose()?;
    let failed = settle(&mut ledger, around, |_| true).failed;
    if let Some(wanted) = &wanted
        && configured.has(&wanted.name)
        && !failed.iter().any(|(name, _)| *name == wanted.name)
        && named(&wanted.name, around).check().is_ok()
    {
        let what = format!("{} is configured, and is there", named(&wanted.name, around).described());
        return Err(unfit(what, "nothing need be given up: the next run delivers to it"));
    }
    let given_up: Vec<DestinationRecord> = ledger
        .destinations()
        .iter()
        .filter(|known| {
            wanted.as_ref().is_some_and(|wanted| wanted.id == known.id) || !configured.has(&known.name)
        })
        .cloned()
        .collect();
    let mut offer = offer(&ledger, around, &given_up);
    for (name, e) in failed.iter().filter(|(name, _)| !given_up.iter().any(|known| known.name == *name)) {
        let described = named(name, around).described();
        offer.remains.push(format!("{described}: {e} (to give it up: --destination '{}')", name.shown()));
    }
    let agreed = !offer.consequences.is_empty() && agrees(&offer);
    if agreed {
        let numbers: Vec<DestinationId> = given_up.iter().map(|known| known.id).collect();
        ledger.give_up(&numbers)?;
    }
    ledger.sync()?;
    delivery::clean_up(around, ledger.id(), &ledger.intents())?;
    ledger.close()?;
    Ok((offer, agreed))
}

/// What would become of the messages.
fn offer(ledger: &Ledger, around: Surroundings<'_>, given_up: &[DestinationRecord]) -> ReleaseOffer {
    let unfinished = ledger.unfinished();
    let mut consequences = Vec::new();
    for known in given_up {
        let described = named(&known.name, around).described();
        let staged = unfinished.iter().filter(|message| message.staged.contains(&known.id)).count();
        let lacked = unfinished
            .iter()
            .filter(|message| message.lacks.contains(&known.id) && !message.staged.contains(&known.id))
            .filter(|message| !message.has.is_empty())
            .count();
        if staged > 0 {
            consequences.push(format!(
                "{described}: a run died while {} on the way there; what no other destination has comes again, and may then \
                 be there twice",
                was(staged)
            ));
        }
        if lacked > 0 {
            consequences.push(format!(
                "{described}: {} lacked there won't come to it any more; what lacks nowhere else then counts as delivered",
                text::count(wide(lacked), "message")
            ));
        }
    }
    ReleaseOffer { consequences, remains: Vec::new() }
}

fn was(messages: usize) -> String {
    let count = text::count(wide(messages), "message");
    format!("{count} {}", if messages == 1 { "was" } else { "were" })
}

/// The destination that the user means: by its whole name, or by any part of it that no other has.
fn find(ledger: &Ledger, wanted: &str) -> Result<DestinationRecord, Error> {
    let known = ledger.destinations();
    let exact: Vec<&DestinationRecord> = known.iter().filter(|known| known.name.shown() == wanted).collect();
    let found = match exact.is_empty() {
        true => known.iter().filter(|known| known.name.shown().contains(wanted)).collect(),
        false => exact,
    };
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        found => {
            let wanted = text::printable(wanted.as_bytes());
            let number = if found.is_empty() { "no destination is" } else { "several destinations are" };
            let names: Vec<String> = known.iter().map(|known| known.name.shown()).collect();
            let hint = format!("the ledger knows: {}", names.join(", "));
            Err(unfit(format!("{number} called {wanted}"), hint))
        }
    }
}

fn unfit(what: String, hint: impl Into<String>) -> Error {
    delivery::Error::unfit(ExitCode::Usage, what, hint).into()
}

#[cfg(test)]
mod tests {
    use super::{ReleaseOffer, find, offer, release, was};
    use crate::delivery::Surroundings;
    use crate::exit::ExitCode;
    use crate::plan::trial::World;
    use crate::problem::Problem as _;
    use crate::proof::DestinationName;
    use crate::retrieval::error::Error;
    use crate::retrieval::trial::{Home, Left, Letter};
    use crate::signals::Stop;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn around<'a>(stop: &'a Stop, state: &'a Path) -> Surroundings<'a> {
        Surroundings {
            owner: None,
            stop,
            state_root: state,
            state,
            search: None,
            stdout_is_regular_file: false,
        }
    }

    #[test]
    fn one_message_was_and_several_were() {
        assert_eq!([1, 2, 1500].map(was), ["1 message was", "2 messages were", "1500 messages were"]);
    }

    /// The user may name a destination by any part of it that no other has.
    #[test]
    fn a_destination_is_found_by_what_only_it_is_called() {
        let mut world = World::new();
        let whole = world.ledger.destinations()[0].name.clone();
        let longer = DestinationName { address: b"/one/more".to_vec(), ..whole.clone() };
        world.ledger.enter_destination(&longer, None).unwrap();
        let found = |wanted: &str| find(&world.ledger, wanted).map(|record| record.id);
        assert_eq!(found(&whole.shown()).unwrap(), world.maildirs[0], "its whole name is that of no other");
        assert_eq!(found("tw").unwrap(), world.maildirs[1]);
        for (wanted, words) in [
            ("/", "several destinations are called /"),
            ("three", "no destination is called three"),
            ("\x1b[1m", "no destination is called \\x1b[1m"),
        ] {
            let e = found(wanted).unwrap_err();
            assert_eq!((e.to_string(), e.exit_code()), (words.to_owned(), ExitCode::Usage));
            let hint = e.hint().unwrap();
            assert!(hint.contains("/one") && hint.contains("/two"), "{hint}");
        }
    }

    /// What a user agrees to: what is given up, and what may be there twice by that.
    #[test]
    fn an_offer_counts_what_is_lacked_and_only_where_it_is_given_up() {
        let mut world = World::new();
        let (stop, state) = (Stop::new().unwrap(), Path::new("/nowhere"));
        let records = world.ledger.destinations().to_vec();
        let offers = |world: &World, given_up| offer(&world.ledger, around(&stop, state), given_up);
        assert_eq!(offers(&world, &records), ReleaseOffer::default(), "nothing is unfinished");
        world.deliver("whole");
        world.deliver_to_one("a");
        world.deliver_to_one("b");
        let found = offers(&world, &records[1..2]);
        assert_eq!(found.consequences.len(), 1);
        assert!(found.consequences[0].contains("2 messages lacked there"), "{:?}", found.consequences);
        assert!(found.consequences[0].contains("/two"), "{:?}", found.consequences);
        assert_eq!(offers(&world, &records[..1]), ReleaseOffer::default(), "the first has them");
        assert_eq!(offers(&world, &[]), ReleaseOffer::default());
        // What no destination has isn't lost by giving one up: it comes again.
        world.fail_at_destination("c", "c");
        assert_eq!(offers(&world, &records[..1]), ReleaseOffer::default());
    }

    /// A run has delivered, and has left nothing unfinished.
    fn delivered() -> Home {
        let home = Home::holding(&[Letter::new("a", "a")]);
        assert_eq!(home.run("").exit(), ExitCode::Done, "{:?}", home.reported());
        home
    }

    #[test]
    fn where_nothing_is_unfinished_nobody_is_asked() {
        let home = delivered();
        let mut asked = 0;
        let (offer, agreed) = release(&home.account(""), &home.context(), None, &mut |_| {
            asked += 1;
            true
        })
        .unwrap();
        assert_eq!((offer, agreed, asked), (ReleaseOffer::default(), false, 0));
        // Nor before the first run.
        let home = Home::holding(&[]);
        let (offer, agreed) = release(&home.account(""), &home.context(), None, &mut |_| true).unwrap();
        assert_eq!((offer, agreed), (ReleaseOffer::default(), false));
        assert!(!home.path().join("state").exists());
    }

    /// What is configured and there will get its mail at the next run: giving it up would only lose it there.
    #[test]
    fn a_destination_that_is_there_is_not_given_up() {
        let home = delivered();
        let account = home.account("");
        let e = release(&account, &home.context(), Some("Mail"), &mut |_| true).unwrap_err();
        assert!(e.to_string().ends_with("is configured, and is there"), "{e}");
        assert_eq!(e.exit_code(), ExitCode::Usage);
        let e = release(&account, &home.context(), Some("elsewhere"), &mut |_| true).unwrap_err();
        assert_eq!(e.exit_code(), ExitCode::Usage, "{e}");
    }

    /// What was asked: what would be given up, and what stays; and what came of it.
    fn released(home: &Home, wanted: Option<&str>, agrees: bool) -> Result<(ReleaseOffer, bool), Error> {
        let mut asked = None;
        let (offer, agreed) = release(&home.account(""), &home.context(), wanted, &mut |offer| {
            asked = Some(offer.clone());
            agrees
        })?;
        assert_eq!(asked.is_some(), !offer.consequences.is_empty());
        assert!(asked.is_none_or(|asked| asked == offer));
        Ok((offer, agreed))
    }

    /// What a run that died has left on its way to a folder that is gone is given up if the user agrees, and not before.
    #[test]
    fn what_was_on_its_way_to_a_lost_folder_is_given_up_when_the_user_agrees() {
        let home = delivered();
        home.leave_unfinished("x", &[("Mail", Left::Delivered), ("Gone", Left::Torn)]);
        fs::remove_dir_all(home.path().join("Gone")).unwrap();
        for (agrees, unfinished) in [(false, 1), (true, 0)] {
            let spool = home.mailbox().join("spool-0");
            fs::write(&spool, "").unwrap();
            let (offer, agreed) = released(&home, None, agrees).unwrap();
            assert_eq!((offer.consequences.len(), offer.remains.len()), (1, 0), "{offer:?}");
            assert!(offer.consequences[0].contains("while 1 message was on the way there"), "{offer:?}");
            assert!(offer.consequences[0].contains("Gone"), "{offer:?}");
            assert_eq!(agreed, agrees);
            assert_eq!(home.ledger().unfinished().len(), unfinished, "{agrees}");
            assert!(!spool.exists(), "what no line names is cleaned up");
        }
    }

    /// What a line on disk still names may be looked for by the next run.
    #[cfg(feature = "crash-points")]
    #[test]
    fn nothing_is_removed_where_the_disk_does_not_take_what_was_agreed() {
        use crate::durable::{Step, trial::steps};

        let home = delivered();
        home.leave_unfinished("x", &[("Mail", Left::Delivered), ("Gone", Left::Torn)]);
        fs::remove_dir_all(home.path().join("Gone")).unwrap();
        let spool = home.mailbox().join("spool-0");
        fs::write(&spool, "").unwrap();
        let refuses = |step, path: &Path| step == Step::Sync && path.ends_with("ledger");
        let (result, _) = steps(refuses, || released(&home, None, true));
        assert_eq!(result.unwrap_err().exit_code(), ExitCode::LocalIo);
        assert!(spool.exists());
    }

    /// Each destination is given up only where its folder is out of reach or not configured: "Mail" is configured, and lacks
    /// one message; "Other" isn't, and lacks another.
    #[test]
    fn a_configured_destination_is_given_up_only_out_of_reach_and_by_its_name() {
        type Change = fn(&Home);
        let there: Change = |_| ();
        let missing: Change = |home| fs::rename(home.path().join("Mail"), home.path().join("Away")).unwrap();
        let another: Change = |home| {
            home.leave_unfinished("x", &[("Mail", Left::Whole), ("Other", Left::Refused)]);
            fs::rename(home.path().join("Mail"), home.path().join("Away")).unwrap();
            for part in ["tmp", "new", "cur"] {
                fs::create_dir_all(home.path().join("Mail").join(part)).unwrap();
            }
        };
        let one_is_gone: Change = |home| {
            home.leave_unfinished("x", &[("Gone", Left::Whole)]);
            fs::remove_dir_all(home.path().join("Gone")).unwrap();
        };
        // What is given up, in the order of the offer, and what stays unfinished.
        type Expected<'a> = Option<(&'a [&'a str], &'a [&'a str])>;
        let cases: [(&str, Change, Option<&str>, Expected<'_>); 9] = [
            ("there", there, None, Some((&["Other"], &[]))),
            ("there, and another is meant", there, Some("Other"), Some((&["Other"], &[]))),
            ("there, and it is meant", there, Some("Mail"), None),
            ("missing", missing, None, Some((&["Other"], &[]))),
            ("missing, and it is meant", missing, Some("Mail"), Some((&["Mail", "Other"], &[]))),
            ("another is in its place", another, None, Some((&["Other"], &["Mail"]))),
            (
                "another is there, and it is meant",
                another,
                Some("Mail"),
                Some((&["Mail", "Mail", "Other"], &[])),
            ),
            ("there, and one is gone", one_is_gone, None, Some((&["Other", "Gone"], &[]))),
            ("there, and it is meant, and one is gone", one_is_gone, Some("Mail"), None),
        ];
        for (what, change, wanted, expected) in cases {
            let home = delivered();
            home.leave_unfinished("m", &[("Other", Left::Delivered), ("Mail", Left::Refused)]);
            home.leave_unfinished("n", &[("Mail", Left::Delivered), ("Other", Left::Refused)]);
            change(&home);
            let Some((given_up, remains)) = expected else {
                let e = released(&home, wanted, true).unwrap_err();
                assert_eq!(e.exit_code(), ExitCode::Usage, "{what}: {e}");
                continue;
            };
            let (offer, agreed) = released(&home, wanted, true).unwrap();
            assert!(agreed, "{what}");
            let name = |line: &String| {
                let names = ["Mail", "Other", "Gone"];
                names.into_iter().find(|name| line.contains(&format!("/{name}"))).unwrap()
            };
            assert_eq!(
                offer.consequences.iter().map(name).collect::<Vec<_>>(),
                given_up,
                "{what}: {offer:?}"
            );
            assert_eq!(offer.remains.iter().map(name).collect::<Vec<_>>(), remains, "{what}: {offer:?}");
            assert!(offer.remains.iter().all(|line| line.contains("to give it up: --destination")), "{what}");
            // What has nowhere been delivered is lacked by none: it comes again.
            let lacked = offer.consequences.iter().filter(|line| line.contains(" lacked there"));
            assert!(
                lacked.clone().count() > 0 && lacked.clone().all(|line| line.contains("1 message lacked"))
            );
        }
    }

    /// Another user who can change the ledger must not be believed.
    #[test]
    fn a_mailbox_that_everybody_can_change_is_not_looked_at() {
        let home = delivered();
        home.leave_unfinished("x", &[("Mail", Left::Delivered), ("Gone", Left::Refused)]);
        let mailbox = home.mailbox();
        let open_to = |mode| fs::set_permissions(&mailbox, fs::Permissions::from_mode(mode)).unwrap();
        open_to(0o777);
        let e = released(&home, None, true).unwrap_err();
        assert!(e.to_string().contains("everybody can change"), "{e}");
        open_to(0o700);
        assert!(released(&home, None, true).unwrap().1);
    }
}

//! What a killed run has left: settled before anything else, without the network.
//!
//! Each open `staged` line is settled in the destination that the line names, whatever today's configuration is.  A
//! destination that cannot be looked at settles nothing: its lines stay open, and the run ends when the others are settled.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::deliveries::DeliveryReports;
use super::error::Error;
use super::run::Run;
use crate::access::Owner;
use crate::clock;
use crate::delivery::mbox;
use crate::delivery::neighbours::{Neighbour, Neighbours};
use crate::delivery::{self, Settler, Surroundings, Unsettled};
use crate::ledger::lock::Lock;
use crate::ledger::{self, Ledger};
use crate::proof::{DestinationKind, DestinationName, DestinationRecord, Intent, IntentId};
use crate::report::{Event, RunSummary};
use crate::signals::Stop;
use crate::types::{Wait, wide};

/// Settles every open line of this ledger.
pub(super) fn recover(run: &Run<'_>, ledger: &mut Ledger, summary: &mut RunSummary) -> Result<(), Error> {
    let around = run.surroundings();
    let SettledIntents { delivered, dropped, failed, published } = settle(ledger, around, |_| true);
    if delivered > 0 || dropped > 0 {
        run.report(&Event::Recovered { delivered, dropped });
        summary.delivered = summary.delivered.saturating_add(delivered);
        DeliveryReports::new(run, ledger).settled(&published);
    }
    if let Some((name, e)) = failed.into_iter().next() {
        return Err(Error::Delivery(release_hint(run, &name, e)));
    }
    delivery::clean_up(around, ledger.id(), &ledger.intents())?;
    Ok(())
}

/// Where a destination is out of reach: how its unfinished deliveries can be given up.
fn release_hint(run: &Run<'_>, name: &DestinationName, e: delivery::Error) -> delivery::Error {
    let delivery::Error::Later { what, hint } = e else { return e };
    let account = &run.account.name;
    let command = match run.destinations().has(name) {
        true => format!("popfetch state release {account} --destination '{}'", name.shown()),
        false => format!("popfetch state release {account}"),
    };
    delivery::Error::later(what, format!("{hint}; or give up what is unfinished there: {command}"))
}

/// What settling came to.
#[derive(Default)]
pub(super) struct SettledIntents {
    /// How many were delivered.
    pub(super) delivered: u64,
    /// How many come again.
    pub(super) dropped: u64,
    /// What was delivered.
    pub(super) published: Vec<Intent>,
    /// The destinations that could not be settled, and why; their lines stay open.
    pub(super) failed: Vec<(DestinationName, delivery::Error)>,
}

/// Settles the open lines at the destinations wanted, with the rights of the surroundings' owner, if there is one.  One
/// that's out of reach keeps no other from being settled.
pub(super) fn settle(
    ledger: &mut Ledger,
    around: Surroundings<'_>,
    wanted: impl Fn(&DestinationName) -> bool,
) -> SettledIntents {
    let mut settled = SettledIntents::default();
    for destination in ledger.destinations().to_vec() {
        if !wanted(&destination.name) {
            continue;
        }
        let name = destination.name.clone();
        match settle_one(ledger, around, destination) {
            Ok(SettledIntents { delivered, dropped, published, .. }) => {
                settled.delivered = settled.delivered.saturating_add(delivered);
                settled.dropped = settled.dropped.saturating_add(dropped);
                settled.published.extend(published);
            }
            Err(e) => {
                let broken = matches!(e, delivery::Error::Ledger(_));
                settled.failed.push((name, e));
                if broken {
                    break;
                }
            }
        }
    }
    settled
}

/// Settles the open lines at one destination.
fn settle_one(
    ledger: &mut Ledger,
    around: Surroundings<'_>,
    destination: DestinationRecord,
) -> Result<SettledIntents, delivery::Error> {
    // Not the ledger's, which never runs back: a line from a future that the clock has left since must not look new.
    let now = clock::now();
    let intents: Vec<_> =
        ledger.intents().into_iter().filter(|intent| intent.destination == destination.id).collect();
    if intents.is_empty() {
        return Ok(SettledIntents::default());
    }
    let named = delivery::named(&destination.name, around);
    named.allowed()?;
    let unsettled = Unsettled { destination, intents };
    let mut settlement = Settlement { ledger, published: HashSet::new() };
    let recovered = named.recover(&unsettled, &mut settlement, now)?;
    let published = settlement.published;
    Ok(SettledIntents {
        delivered: wide(recovered.delivered),
        dropped: wide(recovered.again),
        published: unsettled.intents.into_iter().filter(|intent| published.contains(&intent.id)).collect(),
        failed: Vec::new(),
    })
}

/// The ledger, as a destination's recovery sees it.
struct Settlement<'a> {
    ledger: &'a mut Ledger,
    published: HashSet<IntentId>,
}

impl Settler for Settlement<'_> {
    fn delivered(&mut self, intents: &[IntentId]) -> Result<(), delivery::Error> {
        self.published.extend(intents);
        Ok(self.ledger.settle_delivered(intents)?)
    }

    fn dropped(&mut self, intents: &[IntentId]) -> Result<(), delivery::Error> {
        Ok(self.ledger.settle_dropped(intents)?)
    }

    fn sync(&mut self) -> Result<(), delivery::Error> {
        Ok(self.ledger.sync()?)
    }
}

/// Settles other ledgers' lines at an mbox before this run appends to it.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) state: PathBuf,
    pub(super) owner: Option<Owner>,
    pub(super) stop: Stop,
}

impl Neighbours for Settling {
    fn settle(&mut self, neighbour: &Neighbour, mbox: &Path) -> Result<bool, delivery::Error> {
        let lock = match Lock::acquire(&neighbour.directory, Wait::NO, &self.stop) {
            Ok(lock) => lock,
            Err(ledger::Error::Locked) => return Ok(false),
            Err(e) => return Err(e.into()),
        };
        let directory = &neighbour.directory;
        let owner = self.owner.as_ref();
        let around = Surroundings {
            owner,
            stop: &self.stop,
            state_root: &self.state,
            state: directory,
            search: None,
            stdout_is_regular_file: false,
        };
        if let Some(mailbox) = Ledger::mailbox_of(directory)? {
            let mut ledger = Ledger::open(directory, &mailbox, lock.clone(), clock::now())?;
            if ledger.id() == neighbour.ledger {
                let here = |name: &DestinationName| {
                    let path = Path::new(OsStr::from_bytes(&name.address));
                    name.kind == DestinationKind::Mbox && mbox::leads_to(path, owner, mbox)
                };
                let settled = settle(&mut ledger, around, here);
                if let Some((_, e)) = settled.failed.into_iter().next() {
                    ledger.close()?;
                    return Err(e);
                }
            }
            ledger.sync()?;
            delivery::clean_up(around, ledger.id(), &ledger.intents())?;
            ledger.close()?;
        }
        mbox::forget(&self.state, &neighbour.ledger, mbox)?;
        drop(lock);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::{Settling, release_hint, settle};
    use crate::delivery::neighbours::{Neighbour, Neighbours as _};
    use crate::delivery::{self, Surroundings};
    use crate::exit::ExitCode;
    use crate::ledger::history;
    use crate::ledger::lock::Lock;
    use crate::message::Digest;
    use crate::place::{MboxSpool, Place};
    use crate::plan::trial::{NOW, World};
    use crate::problem::Problem as _;
    use crate::proof::{DestinationKind, DestinationName, Piece, Staged};
    use crate::retrieval::Options;
    use crate::retrieval::run::Run;
    use crate::retrieval::trial::{Home, Left, Letter, parcel};
    use crate::signals::Stop;
    use crate::types::Wait;
    use std::fs::{self, File};
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::PathBuf;
    use std::sync::Arc;

    /// A destination out of reach holds the run up: the command that gives it up is named, as the user must type it.
    #[test]
    fn the_way_to_give_up_a_destination_is_named() {
        let home = Home::holding(&[]);
        let (account, options, context) = (home.account(""), Options::default(), home.context());
        let run = Run::new(&account, &options, &context, NOW);
        let configured = run.destinations().0[0].name();
        let other = DestinationName { kind: DestinationKind::Maildir, address: b"/gone".to_vec() };
        let hint = |name: &DestinationName| {
            let e = release_hint(&run, name, delivery::Error::later("the folder is gone", "mount it"));
            assert_eq!((e.to_string().as_str(), e.exit_code()), ("the folder is gone", ExitCode::Later));
            e.hint().unwrap().into_owned()
        };
        assert!(hint(&other).ends_with("popfetch state release work"), "{}", hint(&other));
        let expected = format!("popfetch state release work --destination '{}'", configured.shown());
        assert!(
            hint(&configured).starts_with("mount it; or give up") && hint(&configured).ends_with(&expected)
        );
        // What can't be given up has its own hint.
        let full = delivery::Error::unfit(ExitCode::LocalIo, "the disk is full", "make room");
        assert_eq!(release_hint(&run, &other, full).hint().as_deref(), Some("make room"));
    }

    /// Where no run has died there is nothing to settle, wherever the destinations are.
    #[test]
    fn destinations_without_open_lines_are_not_touched() {
        let mut world = World::new();
        world.deliver("a");
        world.deliver_to_one("b");
        let (stop, state) = (Stop::new().unwrap(), tempfile::tempdir().unwrap());
        let around = Surroundings {
            owner: None,
            stop: &stop,
            state_root: state.path(),
            state: state.path(),
            search: None,
            stdout_is_regular_file: false,
        };
        let settled = settle(&mut world.ledger, around, |_| true);
        let counts = (settled.delivered, settled.dropped, settled.published.len(), settled.failed.len());
        assert_eq!(counts, (0, 0, 0, 0));
    }

    /// Another mailbox's lines at an mbox are settled before anything is appended to it; while its run is at work, they are
    /// that run's.
    #[test]
    fn a_neighbour_at_work_is_left_alone() {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("other");
        let (stop, mbox) = (Stop::new().unwrap(), state.path().join("mbox"));
        let neighbour = Neighbour { ledger: "abc".to_owned(), directory: directory.clone() };
        let mut settling = Settling { state: state.path().to_owned(), owner: None, stop: stop.clone() };
        let lock = Lock::acquire(&directory, Wait::NO, &stop).unwrap();
        assert!(!settling.settle(&neighbour, &mbox).unwrap());
        drop(lock);
        assert!(settling.settle(&neighbour, &mbox).unwrap(), "it has no ledger, and so nothing open");
    }

    /// Each run takes a listing, and so looks at the ledger.
    const LISTS: &str = "listing = \"full\"";

    /// A run has delivered one message.
    fn delivered() -> Home {
        let home = Home::holding(&[Letter::new("a", "a")]);
        assert_eq!(home.run("").exit(), ExitCode::Done, "{:?}", home.reported());
        home
    }

    /// Each copy is settled in the folder where its line was noted; it counts, it is reported, and it stands in the history.
    #[test]
    fn what_a_run_that_died_had_retrieved_is_delivered_by_the_next() {
        let home = delivered();
        home.leave_unfinished("x", &[("Mail", Left::Whole)]);
        home.leave_unfinished("y", &[("Mail", Left::Torn)]);
        home.leave_unfinished("z", &[("Mail", Left::Whole), ("Other", Left::Whole)]);
        let kept = history::read(&home.mailbox()).len();
        let summary = home.run("");
        assert_eq!((summary.exit(), summary.delivered), (ExitCode::Done, 3), "{:?}", home.reported());
        assert!(home.reported().contains(&"recovered 3, dropped 1".to_owned()), "{:?}", home.reported());
        assert_eq!(home.delivered().keys().collect::<Vec<_>>(), ["a", "x", "z"]);
        assert_eq!(home.delivered_to("Other").keys().collect::<Vec<_>>(), ["z"]);
        for maildir in ["Mail", "Other"] {
            assert_eq!(fs::read_dir(home.path().join(maildir).join("tmp")).unwrap().count(), 0, "{maildir}");
        }
        assert!(home.ledger().intents().is_empty());
        assert_eq!(history::read(&home.mailbox()).len(), kept + 3);
        // Where nothing was left, nothing is reported.
        for (left, expected) in [(None, None), (Some(Left::Torn), Some("recovered 0, dropped 1"))] {
            left.iter().for_each(|left| home.leave_unfinished("t", &[("Mail", *left)]));
            home.run(LISTS);
            let reported = home.reported();
            let found = reported.iter().find(|line| line.starts_with("recovered"));
            assert_eq!(found.map(String::as_str), expected, "{left:?}");
        }
    }

    /// What is out of reach stops the run before it asks the server for anything, and keeps no other from being settled.
    #[test]
    fn a_folder_out_of_reach_holds_the_run_up_and_no_other_folder() {
        let home = delivered();
        home.leave_unfinished("x", &[("Gone", Left::Whole), ("Other", Left::Whole)]);
        fs::remove_dir_all(home.path().join("Gone")).unwrap();
        home.post().letters.push(Letter::new("b", "b"));
        let summary = home.run("");
        assert_eq!((summary.exit(), home.sent().len()), (ExitCode::Later, 0), "{:?}", home.reported());
        assert_eq!(home.delivered_to("Other").len(), 1);
        let open: Vec<_> = home.ledger().intents().iter().map(|intent| intent.destination.0).collect();
        assert_eq!(open, [1]);
    }

    /// Spools that no line names are left-overs, whatever becomes of the run.
    #[test]
    fn what_a_run_that_died_has_spooled_in_vain_is_removed() {
        let home = delivered();
        let spool = home.mailbox().join("spool-0");
        fs::write(&spool, "").unwrap();
        home.post().refused_before.push(("PASS".to_owned(), "-ERR no".to_owned()));
        assert_ne!(home.run(LISTS).exit(), ExitCode::Done);
        assert!(!spool.exists());
    }

    /// Where popfetch runs as root, a folder that everybody can change is not written to; one where nothing is open isn't
    /// asked about.
    #[test]
    fn nothing_is_published_where_others_decide_what_it_leads_to() {
        use std::os::unix::fs::PermissionsExt as _;
        if !rustix::process::geteuid().is_root() {
            return;
        }
        for (left, expected) in [(Left::Whole, ExitCode::Configuration), (Left::Delivered, ExitCode::Done)] {
            let home = delivered();
            home.leave_unfinished("x", &[("Other", left)]);
            let other = home.path().join("Other");
            fs::set_permissions(&other, fs::Permissions::from_mode(0o777)).unwrap();
            assert_eq!(home.run(LISTS).exit(), expected, "{left:?} {:?}", home.reported());
            assert_eq!(home.delivered_to("Other").len(), usize::from(left == Left::Delivered));
        }
    }

    /// A line of the home's ledger at the mbox of this name, which holds the message whole already.
    fn leave_at_mbox(home: &Home, name: &str) -> PathBuf {
        let mut ledger = home.ledger();
        let path = home.path().join(name);
        let address = path.as_os_str().as_bytes().to_vec();
        let destination = ledger
            .enter_destination(&DestinationName { kind: DestinationKind::Mbox, address }, None)
            .unwrap();
        let text = format!("From me Thu Jan  1 00:00:00 2026\n\nText of {name}.\n\n");
        fs::write(&path, &text).unwrap();
        let spool = home.mailbox().join(format!("spool-{name}"));
        fs::write(&spool, "").unwrap();
        let spool = Arc::new(MboxSpool { file: File::open(&spool).unwrap(), path: spool });
        let place = Place::Mbox { spool, spool_offset: 0, offset: Some(0) };
        let message = parcel(1, name, &[destination]).message;
        let (octets, digest) = (u64::try_from(text.len()).unwrap(), Digest::of(text.as_bytes()));
        ledger.note(vec![Staged::attest(Piece { message, destination, octets, digest, place })]).unwrap();
        ledger.close().unwrap();
        path
    }

    /// The names of what is open still in the home's ledger.
    fn open(home: &Home) -> Vec<String> {
        let ledger = home.ledger();
        let key = |intent: crate::proof::Intent| match intent.key {
            crate::proof::Key::UniqueId(unique_id) => {
                String::from_utf8_lossy(unique_id.borrow().as_bytes()).into_owned()
            }
            crate::proof::Key::Header(_) => String::new(),
        };
        ledger.intents().into_iter().map(key).collect()
    }

    /// Of what another mailbox's run has left, only its lines at this mbox are settled: the rest is none of this account's
    /// business.
    #[test]
    fn a_neighbour_s_lines_are_settled_at_this_mbox_alone() {
        let home = delivered();
        home.leave_unfinished("x", &[("Mail", Left::Whole)]);
        let (mbox, _) = (leave_at_mbox(&home, "inbox"), leave_at_mbox(&home, "other"));
        let left_over = home.mailbox().join("spool-0");
        fs::write(&left_over, "").unwrap();
        let (state, id) = (home.context().state, home.ledger().id().to_owned());
        let markers = state.join("mbox-open");
        fs::create_dir_all(&markers).unwrap();
        let marker = |mbox: &PathBuf| {
            let digest = Digest::of(mbox.as_os_str().as_bytes());
            markers.join(format!("{id}-{}", crate::text::hex(digest.as_bytes())))
        };
        fs::write(marker(&mbox), "").unwrap();
        let mut settling = Settling { state, owner: None, stop: home.stop.clone() };
        let mut settle = |ledger: &str| {
            let neighbour = Neighbour { ledger: ledger.to_owned(), directory: home.mailbox() };
            settling.settle(&neighbour, &mbox)
        };
        // Another ledger has taken its place: these lines are not those of the marker.
        assert!(settle("abc").unwrap());
        assert_eq!(open(&home), ["x", "inbox", "other"]);
        assert!(settle(&id).unwrap());
        assert_eq!(open(&home), ["x", "other"]);
        assert!(!left_over.exists() && home.mailbox().join("spool-other").exists());
        assert!(!marker(&mbox).exists());
        assert_eq!(home.delivered().len(), 1);
    }

    /// What can't be settled there is not passed over: nothing may be appended behind it.
    #[test]
    fn a_neighbour_whose_lines_cannot_be_settled_keeps_its_marker() {
        let home = delivered();
        let mbox = leave_at_mbox(&home, "inbox");
        fs::remove_file(&mbox).unwrap();
        fs::create_dir(&mbox).unwrap();
        let (state, ledger) = (home.context().state, home.ledger().id().to_owned());
        let mut settling = Settling { state, owner: None, stop: home.stop.clone() };
        let neighbour = Neighbour { ledger, directory: home.mailbox() };
        assert!(settling.settle(&neighbour, &mbox).is_err());
        assert_eq!(open(&home), ["inbox"]);
    }
}

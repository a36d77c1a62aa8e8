//! What is reported of messages that were delivered, and kept for `popfetch history`.
//!
//! All of it happens after the fact: the ledger knows the message by then, and nothing that fails here changes what becomes
//! of it.  Headers are decoded only where they are shown.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::committer::{Put, Witness};
use super::configured::ConfiguredDestinations;
use super::context::Context;
use super::run::Run;
use crate::account::Account;
use crate::clock;
use crate::ledger::history::{self, Past, Spot};
use crate::ledger::{self, Ledger};
use crate::message::date;
use crate::message::summary::HeaderSummary;
use crate::proof::{Arrival, DestinationKind, DestinationName, DestinationRecord, Intent};
use crate::report::{self, Delivery, Event};
use crate::text;
use crate::types::{MessageNumber, Time};

/// Takes the deliveries of one run.
pub(super) struct DeliveryReports<'a> {
    run: &'a Run<'a>,
    destinations: Vec<DestinationRecord>,
    /// Those that the history lacks still.
    kept: Vec<Past>,
}

impl<'a> DeliveryReports<'a> {
    /// For a ledger whose destinations are known.
    pub(super) fn new(run: &'a Run<'a>, ledger: &Ledger) -> Self {
        Self { run, destinations: ledger.destinations().to_vec(), kept: Vec::new() }
    }

    /// What a run that died had retrieved proved to be delivered.
    pub(super) fn settled(&mut self, intents: &[Intent]) {
        let time = clock::now();
        for intent in intents {
            let name = intent.place.file_name().map(str::to_owned);
            let spots = self.spots(vec![Put { destination: intent.destination, name }]);
            let past = Past::settled(&intent.key, intent.octets, time, spots);
            if self.run.context.reporter.wants_deliveries() {
                self.run.report(&Event::Delivered(delivery(&past, None, HeaderSummary::default())));
            }
            self.kept.push(past);
        }
        self.keep();
    }

    fn past(&self, message: &Arrival, puts: Vec<Put>, time: Time) -> Past {
        Past::new(message, time, self.spots(puts))
    }

    fn spots(&self, puts: Vec<Put>) -> Vec<Spot> {
        let spot = |Put { destination, name }: Put| {
            let record = self.destinations.iter().find(|record| record.id == destination)?;
            Some(Spot { destination: record.name.clone(), name })
        };
        puts.into_iter().filter_map(spot).collect()
    }
}

impl Witness for DeliveryReports<'_> {
    /// To all of its set, to some of it perhaps by an earlier run.
    fn whole(&mut self, message: &Arrival, puts: Vec<Put>, time: Time) {
        let past = self.past(message, puts, time);
        if self.run.context.reporter.wants_deliveries() {
            let summary = HeaderSummary::of_headline(&message.headline);
            self.run.report(&Event::Delivered(delivery(&past, Some(message.number), summary)));
        }
        self.kept.push(past);
    }

    fn partly(&mut self, message: &Arrival, puts: Vec<Put>, time: Time) {
        if !puts.is_empty() {
            self.kept.push(self.past(message, puts, time));
        }
    }

    /// Writes the history.
    fn keep(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        if kept.is_empty() {
            return;
        }
        if let Err(e) = history::append(&self.run.directory, &kept) {
            self.run.detail(|| format!("the history is not complete: {e}"));
        }
    }
}

/// A delivery, fit to print.
pub(super) fn delivery(past: &Past, number: Option<MessageNumber>, summary: HeaderSummary) -> Delivery {
    let printable = |text: Option<String>| text.map(|text| text::printable(text.as_bytes()));
    Delivery {
        number,
        unique_id: past.unique_id.as_ref().map(ToString::to_string),
        octets: past.octets,
        from: printable(summary.from),
        subject: printable(summary.subject),
        date: summary.date.map(date::rfc3339),
        message_id: printable(summary.message_id),
        destinations: past.places.iter().map(place).collect(),
        time: date::rfc3339(past.time),
    }
}

/// Where an account's mail goes.
pub(super) fn destinations(account: &Account, context: &Context<'_>) -> Vec<report::StoredAt> {
    let directory = ledger::directory(&context.state, &account.mailbox());
    let configured = ConfiguredDestinations::of(account, context, &directory).0;
    configured.iter().map(|wanted| place(&Spot { destination: wanted.name(), name: None })).collect()
}

/// A place, fit to print.
fn place(spot: &Spot) -> report::StoredAt {
    let Spot { destination, name } = spot;
    let file = name.as_ref().filter(|_| destination.kind == DestinationKind::Maildir).map(|name| {
        let directory = Path::new(OsStr::from_bytes(&destination.address));
        text::path(&directory.join("new").join(name))
    });
    report::StoredAt { kind: destination.kind.word(), path: path(destination), file }
}

/// A destination's path or command, fit to print.
pub(super) fn path(name: &DestinationName) -> String {
    if name.kind == DestinationKind::Stdout { "-".to_owned() } else { name.shown() }
}

#[cfg(test)]
mod tests {
    use super::{DeliveryReports, delivery, destinations, path, place};
    use crate::account::{Account, Deliver};
    use crate::ledger::history::{self, Past, Spot};
    use crate::message::Headline;
    use crate::message::summary::HeaderSummary;
    use crate::plan::trial::{NOW, World, key, number};
    use crate::proof::{Arrival, DestinationKind, DestinationName};
    use crate::report::{Event, Reporter};
    use crate::retrieval::committer::{Put, Witness as _};
    use crate::retrieval::run::Run;
    use crate::retrieval::trial::{Home, parcel};
    use crate::retrieval::{Context, Options};
    use std::sync::{Arc, Mutex};

    fn name(kind: DestinationKind, address: &str) -> DestinationName {
        DestinationName { kind, address: address.as_bytes().to_vec() }
    }

    fn spot(kind: DestinationKind, address: &str, file: Option<&str>) -> Spot {
        Spot { destination: name(kind, address), name: file.map(str::to_owned) }
    }

    /// A message in a Maildir can be found by its file; in any other place it is only known where.
    #[test]
    fn a_delivery_names_the_file_in_a_maildir() {
        use DestinationKind::{Maildir, Mbox, Pipe, Stdout};
        for (spot, shown, file) in [
            (spot(Maildir, "/m", Some("1.x")), "/m", Some("/m/new/1.x")),
            (spot(Maildir, "/m", None), "/m", None),
            (spot(Mbox, "/b", Some("ignored")), "/b", None),
            (spot(Pipe, "cat", None), "cat", None),
            (spot(Stdout, "-", None), "-", None),
        ] {
            let found = place(&spot);
            assert_eq!((found.path.as_str(), found.file.as_deref()), (shown, file));
            assert_eq!(found.kind, spot.destination.kind.word());
        }
        assert_eq!(path(&name(Stdout, "whatever")), "-");
    }

    /// Header and unique-id are the sender's and the server's: nothing of them steers a terminal.
    #[test]
    fn a_delivery_is_fit_to_print() {
        let past = Past { headline: Headline::default(), ..Past::settled(&key("a~b"), 7, NOW, Vec::new()) };
        let summary = HeaderSummary {
            from: Some("\x1b[1mme".to_owned()),
            subject: Some("one\ntwo".to_owned()),
            message_id: Some("x\x07".to_owned()),
            ..HeaderSummary::default()
        };
        let found = delivery(&past, Some(number(3)), summary);
        assert_eq!(found.from.as_deref(), Some("\\x1b[1mme"));
        assert_eq!(found.subject.as_deref(), Some("one\\x0atwo"));
        assert_eq!(found.message_id.as_deref(), Some("x\\x07"));
        assert_eq!(
            (found.number, found.octets, found.unique_id.as_deref()),
            (Some(number(3)), 7, Some("a~b"))
        );
        assert!(found.time.starts_with("2023-11-14T"), "{}", found.time);
    }

    #[test]
    fn an_account_s_destinations_are_shown_in_its_order() {
        let home = Home::holding(&[]);
        let deliver = vec![Deliver::Mbox("/b".into()), Deliver::Maildir("/m".into()), Deliver::Stdout];
        let account = Account { deliver, ..home.account("") };
        let found: Vec<_> =
            destinations(&account, &home.context()).into_iter().map(|at| (at.kind, at.path)).collect();
        assert_eq!(
            found,
            [("mbox", "/b".to_owned()), ("maildir", "/m".to_owned()), ("stdout", "-".to_owned())]
        );
    }

    /// Keeps the deliveries that are reported.
    struct Screen(bool, Mutex<Vec<Option<String>>>);

    impl Reporter for Screen {
        fn report(&self, _: &str, event: &Event) {
            if let Event::Delivered(delivery) = event {
                self.1.lock().unwrap().push(delivery.unique_id.clone());
            }
        }
        fn wants_detail(&self) -> bool {
            self.0
        }
    }

    /// What these reports leave in the history, and on the screen.
    fn left(
        shows: bool,
        work: impl FnOnce(&mut DeliveryReports<'_>, &World, &Arrival),
    ) -> (Vec<Past>, usize) {
        let home = Home::holding(&[]);
        let world = World::new();
        let screen = Arc::new(Screen(shows, Mutex::default()));
        let (account, options) = (home.account(""), Options::default());
        let context = Context { reporter: Arc::clone(&screen) as Arc<dyn Reporter>, ..home.context() };
        let run = Run::new(&account, &options, &context, NOW);
        std::fs::create_dir_all(&run.directory).unwrap();
        let message = parcel(1, "a", &world.maildirs).message;
        let mut reports = DeliveryReports::new(&run, &world.ledger);
        work(&mut reports, &world, &message);
        let shown = screen.1.lock().unwrap().len();
        (history::read(&run.directory), shown)
    }

    fn puts(world: &World, names: &[&str]) -> Vec<Put> {
        let put = |(id, name): (&crate::proof::DestinationId, &&str)| Put {
            destination: *id,
            name: Some((*name).to_owned()),
        };
        world.maildirs.iter().zip(names).map(put).collect()
    }

    /// The history has it whether anybody looks on or not, once the batch is over.
    #[test]
    fn what_was_delivered_is_in_the_history() {
        for shows in [true, false] {
            let (past, shown) = left(shows, |reports, world, message| {
                reports.whole(message, puts(world, &["f1", "f2"]), NOW);
                reports.keep();
                reports.keep();
            });
            assert_eq!((past.len(), shown), (1, usize::from(shows)), "once");
            let files: Vec<_> = past[0].places.iter().map(|spot| spot.name.as_deref()).collect();
            assert_eq!((files, past[0].time), (vec![Some("f1"), Some("f2")], NOW));
        }
        let (past, _) =
            left(true, |reports, world, message| reports.whole(message, puts(world, &["f"]), NOW));
        assert_eq!(past, [], "the batch isn't over");
    }

    /// What some destinations have is remembered, and not shown as delivered; what none has is no delivery.
    #[test]
    fn what_only_some_destinations_have_is_remembered_without_being_reported() {
        for (names, expected) in [(&["f1"][..], 1), (&[], 0)] {
            let (past, shown) = left(true, |reports, world, message| {
                reports.partly(message, puts(world, names), NOW);
                reports.keep();
            });
            assert_eq!((past.len(), shown), (expected, 0));
        }
    }

    /// A destination that the ledger doesn't know isn't made up.
    #[test]
    fn a_place_that_the_ledger_does_not_know_is_left_out() {
        let (past, _) = left(false, |reports, world, message| {
            let unknown = Put { destination: crate::proof::DestinationId(77), name: None };
            reports.whole(message, [puts(world, &["f"]), vec![unknown]].concat(), NOW);
            reports.keep();
        });
        assert_eq!(past[0].places.len(), 1);
    }
}

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
pub(super) struct Deliveries<'a> {
    run: &'a Run<'a>,
    destinations: Vec<DestinationRecord>,
    /// Those that the history lacks still.
    kept: Vec<Past>,
}

impl<'a> Deliveries<'a> {
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

impl Witness for Deliveries<'_> {
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
        unique_id: past.unique_id.as_ref().map(|id| text::printable(id.borrow().as_bytes())),
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

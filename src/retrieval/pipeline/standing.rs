//! What holds for all rounds of a session: which question names, how often it's asked, what the server has shown.

use std::collections::{HashMap, HashSet};

use super::naming::Naming;
use crate::client::{Client, Transaction};
use crate::ledger::memory::ListedAs;
use crate::types::MessageNumber;

/// A batch holds about this many messages at most, and no question covers more.
pub(in crate::retrieval) const BATCH_MESSAGES: usize = 256;
/// A batch holds about this many octets at most, and no question covers more.
pub(in crate::retrieval) const BATCH_OCTETS: u64 = 32 << 20;
/// The first question of a session follows after this many octets.
const FIRST_OCTETS: u64 = 1 << 20;
/// Where commands can't share a flight, a question costs a round trip: the first one follows after this many messages.
const FIRST_MESSAGES: usize = 32;
/// After this many refusals there is no `TOP`.
const MOST_HEADERS_REFUSED: u32 = 3;

/// What holds for all rounds of a session.
#[derive(Debug, Default)]
pub(in crate::retrieval) struct SessionStanding {
    pub(in crate::retrieval) naming: Naming,
    pub(in crate::retrieval) pace: QuestionPace,
    pub(in crate::retrieval) header: HeaderSupport,
    /// Messages whose `DELE` was sent: they can't be asked for any more.
    pub(in crate::retrieval) gone: HashSet<MessageNumber>,
    /// The message asked for last.
    pub(in crate::retrieval) last: Option<MessageNumber>,
    /// Whether more than one message was asked for.
    pub(in crate::retrieval) several: bool,
    /// How often one was asked for, by its header or whole,
    pub(in crate::retrieval) asked: u32,
    /// how many of them were confirmed,
    pub(in crate::retrieval) confirmed: u32,
    /// and how many commands were answered.
    pub(in crate::retrieval) answered: u32,
    /// Commands that were sent or are due.
    pub(in crate::retrieval) charged: u32,
    /// At most this many of them in this session.
    pub(in crate::retrieval) budget: Option<u32>,
    /// Whether earlier sessions of this run have brought anything.
    pub(in crate::retrieval) others_came: bool,
    /// Messages at which a session broke off before, and their order by the last time: the longest ago comes first.
    pub(in crate::retrieval) died: HashMap<ListedAs, usize>,
    /// Asked for to be compared, and perhaps to be asked for again: kept where the session may end early.
    pub(in crate::retrieval) begun: HashSet<MessageNumber>,
    /// Retrieved to be compared, and set aside until all that is known has been.
    pub(in crate::retrieval) aside: HashSet<MessageNumber>,
}

/// How many messages stand before each question.
#[derive(Debug, Default)]
pub(in crate::retrieval) struct QuestionPace {
    /// This many messages are asked for one by one: an earlier session broke off at one of them.
    pub(in crate::retrieval) careful: usize,
    messages: usize,
    octets: u64,
}

impl QuestionPace {
    pub(in crate::retrieval) fn new(careful: usize, first: usize) -> Self {
        Self { careful, messages: first, octets: FIRST_OCTETS }
    }

    /// At first often, so that a session that ends early has brought something: then twice as many each time.
    pub(super) fn asked(&mut self) {
        if self.careful == 0 {
            self.messages = self.messages.max(1).saturating_mul(2).min(BATCH_MESSAGES);
            self.octets = self.octets.saturating_mul(2).min(BATCH_OCTETS);
        }
    }

    pub(super) fn is_due(&self, messages: usize, octets: u64) -> bool {
        messages > 0 && (self.careful > 0 || messages >= self.messages || octets >= self.octets)
    }
}

/// How many messages stand before the first question of a session.
pub(in crate::retrieval) fn first_pace(client: &Client<Transaction>) -> usize {
    if client.pipelines() { 1 } else { FIRST_MESSAGES }
}

/// Whether `TOP` is available in this session.
#[derive(Debug, Default)]
pub(in crate::retrieval) struct HeaderSupport {
    /// Not offered.
    missing: bool,
    pub(in crate::retrieval) given: bool,
    pub(in crate::retrieval) refused: u32,
    pub(in crate::retrieval) in_flight: usize,
}

impl HeaderSupport {
    pub(in crate::retrieval) fn new(missing: bool) -> Self {
        Self { missing, ..Self::default() }
    }

    /// One has come.
    pub(super) fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.given = true;
    }

    /// One was refused; whether there are none, then.
    pub(super) fn was_refused(&mut self) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.refused = self.refused.saturating_add(1);
        self.is_missing()
    }

    pub(in crate::retrieval) fn is_missing(&self) -> bool {
        self.missing || (!self.given && self.refused >= MOST_HEADERS_REFUSED)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        BATCH_MESSAGES, BATCH_OCTETS, FIRST_OCTETS, HeaderSupport, MOST_HEADERS_REFUSED, QuestionPace,
    };

    /// The first question comes soon, the next ones later, and none later than a batch is long; or after each message, where
    /// a session broke off.
    #[test]
    fn questions_come_soon_at_first_and_then_with_each_batch() {
        let mut pace = QuestionPace::new(0, 1);
        assert!(!pace.is_due(0, u64::MAX), "there is nothing to ask about");
        for messages in [1, 2, 4, 8, 16] {
            assert!(pace.is_due(messages, 0) && !pace.is_due(messages - 1, 0), "{messages}");
            pace.asked();
        }
        (0..40).for_each(|_| pace.asked());
        assert!(pace.is_due(BATCH_MESSAGES, 0) && !pace.is_due(BATCH_MESSAGES - 1, 0));
        assert!(pace.is_due(1, BATCH_OCTETS) && !pace.is_due(1, BATCH_OCTETS - 1));

        let mut pace = QuestionPace::new(0, 0);
        assert!(pace.is_due(1, FIRST_OCTETS) && QuestionPace::new(0, 9).is_due(1, FIRST_OCTETS));
        assert!(!QuestionPace::new(0, 9).is_due(1, FIRST_OCTETS - 1));
        pace.asked();
        assert!(!pace.is_due(1, 0), "none before the first counts as one");

        let mut pace = QuestionPace::new(3, 32);
        pace.asked();
        assert!(pace.is_due(1, 0) && !pace.is_due(0, 0));
        pace.careful = 0;
        assert!(pace.is_due(32, 0) && !pace.is_due(31, 0), "care is no pace");
    }

    /// A server that gave a header has TOP, whatever it refuses; one that only ever refused it has none.
    #[test]
    fn top_is_missing_after_some_refusals_and_no_header() {
        let refuse = |header: &mut HeaderSupport| {
            (0..MOST_HEADERS_REFUSED).map(|_| header.was_refused()).collect::<Vec<_>>()
        };
        let mut header = HeaderSupport::new(false);
        assert!(!header.is_missing());
        assert_eq!(refuse(&mut header), [false, false, true]);
        let mut header = HeaderSupport::new(false);
        header.in_flight = 1;
        header.ended();
        assert_eq!(header.in_flight, 0);
        assert_eq!(refuse(&mut header), [false; 3]);
        let mut header = HeaderSupport::new(true);
        header.ended();
        assert!(header.is_missing(), "it isn't offered");
        header.in_flight = 2;
        header.was_refused();
        assert_eq!(header.in_flight, 1);
    }
}

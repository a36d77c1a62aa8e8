//! No setting makes rules yet: in every run the rules are `None`, and a message goes to all destinations of its account, which
//! are opened with its first octet.
//!
//! Where rules are, this is their place: which of an account's destinations a message goes to, and the way of its octets
//! there while it arrives.  Its header is complete before a destination is chosen: it is held, at most [`HEADER_HELD`] octets
//! of it, the rules choose by it, and only the destinations chosen are opened and get what was held.

use super::{Error, Inlet, Intake};
use crate::message::header_lines::{HEADER_HELD, header_end};
use crate::proof::DestinationId;
use crate::text::shown_by;

/// Chooses destinations by a message's header: their slots, which are their order, from 0, in which the account's
/// destinations are opened.  It gets the header to its empty line, or as much of it as is held, or all of a message that has
/// no more.
pub(crate) type DestinationRules = Box<dyn Fn(&[u8]) -> Vec<usize> + Send>;

/// The network's end of a destination.
pub(crate) struct NetworkEnd {
    /// Its number in the ledger.
    pub id: DestinationId,
    pub inlet: Box<dyn Inlet>,
}

/// The network's ends of all destinations of an account, and the rules by which messages are spread over them.
#[derive(Default)]
pub(crate) struct NetworkEnds {
    ends: Vec<NetworkEnd>,
    rules: Option<DestinationRules>,
}

shown_by!(NetworkEnd, id);

shown_by!(NetworkEnds, ends);

impl NetworkEnds {
    /// Without rules every message goes to all destinations.
    #[must_use]
    pub(crate) fn new(rules: Option<DestinationRules>) -> Self {
        Self { ends: Vec::new(), rules }
    }

    /// One more, behind the others.
    pub(crate) fn push(&mut self, end: NetworkEnd) {
        self.ends.push(end);
    }

    /// The numbers of all, by their slots.
    pub(crate) fn ids(&self) -> impl Iterator<Item = DestinationId> + '_ {
        self.ends.iter().map(|end| end.id)
    }

    /// Whether one of them reads back what it stores; see [`Inlet::reads_back`].
    #[must_use]
    pub(crate) fn read_back(&self) -> bool {
        self.ends.iter().any(|end| end.inlet.reads_back())
    }

    /// Closes the batch at each of them; see [`Inlet::cut`].
    pub(crate) fn cut(&mut self) {
        self.ends.iter_mut().for_each(|end| end.inlet.cut());
    }

    /// A message begins, to be stored with `prefix` on top: whole header lines, or nothing.
    pub(crate) fn begin(&mut self, prefix: Vec<u8>) -> Copies {
        let mut copies = Copies { prefix, ..Copies::default() };
        match self.rules {
            Some(_) => copies.held = Some(Vec::new()),
            None => (0..self.ends.len()).for_each(|slot| copies.open(self, slot)),
        }
        copies
    }
}

/// What is open for a message: each intake with its destination's slot.
pub(crate) type OpenCopies = Vec<(usize, Box<dyn Intake>)>;

/// The copies of one message that is arriving: one for each destination that it goes to.
#[derive(Default)]
pub(crate) struct Copies {
    prefix: Vec<u8>,
    /// The header as far as it has come, until the destinations are chosen.
    held: Option<Vec<u8>>,
    open: OpenCopies,
    failure: Option<Error>,
}

impl std::fmt::Debug for Copies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slots: Vec<usize> = self.open.iter().map(|(slot, _)| *slot).collect();
        f.debug_struct("Copies").field("slots", &slots).finish_non_exhaustive()
    }
}

impl Copies {
    /// Whether storing it has failed: what comes then is of no use.
    #[must_use]
    pub(crate) fn have_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// More of the message.
    pub(crate) fn write(&mut self, text: &[u8], ends: &mut NetworkEnds) {
        let Some(held) = &mut self.held else { return self.pass(text) };
        let room = HEADER_HELD.saturating_sub(held.len()).min(text.len());
        let (now, later) = text.split_at_checked(room).unwrap_or((text, b""));
        let seen = held.len().saturating_sub(1);
        held.extend_from_slice(now);
        let end = header_end(held, seen);
        if end.is_some() || held.len() >= HEADER_HELD {
            self.choose(end, ends);
            self.pass(later);
        }
    }

    /// The message has ended.  What was opened for it, each with its destination's slot; and why storing it failed, if it
    /// did: then they are to be abandoned.
    pub(crate) fn end(mut self, ends: &mut NetworkEnds) -> (OpenCopies, Option<Error>) {
        if self.held.is_some() {
            self.choose(None, ends);
        }
        (self.open, self.failure)
    }

    /// The message will not come, or is suspect.
    pub(crate) fn abandon(self) {
        self.open.into_iter().for_each(|(_, intake)| intake.abandon());
    }

    /// The header is complete, or counts as it stands: opens the destinations that it is for, and hands them what was held.
    fn choose(&mut self, end: Option<usize>, ends: &mut NetworkEnds) {
        let held = self.held.take().unwrap_or_default();
        let header = end.and_then(|end| held.get(..end)).unwrap_or(&held);
        let chosen = ends.rules.as_ref().map(|rules| rules(header)).unwrap_or_default();
        chosen.into_iter().for_each(|slot| self.open(ends, slot));
        self.pass(&held);
    }

    fn open(&mut self, ends: &mut NetworkEnds, slot: usize) {
        let Some(end) = ends.ends.get_mut(slot) else { return };
        match end.inlet.open() {
            Ok(mut intake) => {
                if !self.prefix.is_empty()
                    && let Err(e) = intake.prepend(&self.prefix)
                {
                    self.failure = Some(e);
                }
                self.open.push((slot, intake));
            }
            Err(e) => self.failure = Some(e),
        }
    }

    fn pass(&mut self, text: &[u8]) {
        if self.failure.is_some() || text.is_empty() {
            return;
        }
        for (_, intake) in &mut self.open {
            if let Err(e) = intake.write(text) {
                self.failure = Some(e);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DestinationRules, HEADER_HELD, NetworkEnd, NetworkEnds};
    use crate::delivery::trial::broken_ledger;
    use crate::delivery::{Error, Inlet, Intake, Waiting};
    use crate::message::Facts;
    use crate::proof::DestinationId;
    use std::sync::{Arc, Mutex};

    /// What a destination has been given: each message's pieces; `None` for one that was given up.
    type Got = Arc<Mutex<Vec<Option<Vec<u8>>>>>;

    struct Letterbox(Got, bool, Arc<Mutex<u32>>);

    struct Letter(Got, usize);

    impl Inlet for Letterbox {
        fn open(&mut self) -> Result<Box<dyn Intake>, Error> {
            if self.1 {
                return Err(broken_ledger());
            }
            let mut got = self.0.lock().unwrap();
            got.push(Some(Vec::new()));
            Ok(Box::new(Letter(Arc::clone(&self.0), got.len() - 1)))
        }

        fn reads_back(&self) -> bool {
            false
        }

        fn cut(&mut self) {
            *self.2.lock().unwrap() += 1;
        }
    }

    impl Intake for Letter {
        fn write(&mut self, text: &[u8]) -> Result<(), Error> {
            self.0.lock().unwrap()[self.1].as_mut().unwrap().extend_from_slice(text);
            Ok(())
        }

        fn finish(self: Box<Self>, _: &Facts) -> Result<Waiting, Error> {
            Err(broken_ledger())
        }

        fn abandon(self: Box<Self>) {
            self.0.lock().unwrap()[self.1] = None;
        }
    }

    /// To the slot that the first octet sets; the headers seen are kept.
    fn by_first(seen: &Arc<Mutex<Vec<Vec<u8>>>>) -> Option<DestinationRules> {
        let seen = Arc::clone(seen);
        Some(Box::new(move |header| {
            seen.lock().unwrap().push(header.to_vec());
            match header.first() {
                Some(b'0') => vec![0],
                Some(b'1') => vec![1],
                _ => vec![0, 1],
            }
        }))
    }

    fn ends(rules: Option<DestinationRules>) -> (NetworkEnds, [Got; 2]) {
        let got = [Got::default(), Got::default()];
        let mut ends = NetworkEnds::new(rules);
        for (number, got) in (1..).zip(&got) {
            ends.push(NetworkEnd {
                id: DestinationId(number),
                inlet: Box::new(Letterbox(Arc::clone(got), false, Arc::default())),
            });
        }
        (ends, got)
    }

    fn octets(got: &Got) -> Vec<Option<Vec<u8>>> {
        got.lock().unwrap().clone()
    }

    #[test]
    fn a_batch_is_closed_at_each_destination() {
        let cuts: Arc<Mutex<u32>> = Arc::default();
        let mut ends = NetworkEnds::new(None);
        for number in 1..=2 {
            let inlet = Box::new(Letterbox(Got::default(), false, Arc::clone(&cuts)));
            ends.push(NetworkEnd { id: DestinationId(number), inlet });
        }
        ends.cut();
        assert_eq!(*cuts.lock().unwrap(), 2);
    }

    #[test]
    fn without_rules_all_get_every_octet_as_it_comes() {
        let (mut ends, got) = ends(None);
        let mut copies = ends.begin(b"Ours: 1\n".to_vec());
        assert_eq!(
            got.each_ref().map(octets),
            [vec![Some(b"Ours: 1\n".to_vec())], vec![Some(b"Ours: 1\n".to_vec())]]
        );
        copies.write(b"A", &mut ends);
        assert_eq!(octets(&got[0]), [Some(b"Ours: 1\nA".to_vec())]);
        let (open, failure) = copies.end(&mut ends);
        assert!(failure.is_none());
        assert_eq!(open.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn by_rules_the_header_is_complete_before_a_destination_is_opened() {
        for (text, header, to) in [
            ("0: x\n\nbody\n\nmore\n", "0: x\n\n", &[0][..]),
            ("1: x\ny: z\n\n", "1: x\ny: z\n\n", &[1]),
            ("1: no body\n", "1: no body\n", &[1]),
            ("\nno header\n", "\n", &[0, 1]),
            ("", "", &[0, 1]),
        ] {
            for piece in 1..=text.len().max(1) {
                let seen = Arc::default();
                let (mut ends, got) = ends(by_first(&seen));
                let mut copies = ends.begin(b"Ours: 1\n".to_vec());
                for piece in text.as_bytes().chunks(piece) {
                    if seen.lock().unwrap().is_empty() {
                        assert_eq!(got.each_ref().map(octets), [vec![], vec![]], "{text:?} by {piece:?}");
                    }
                    copies.write(piece, &mut ends);
                }
                let (open, failure) = copies.end(&mut ends);
                assert!(failure.is_none());
                assert_eq!(*seen.lock().unwrap(), [header.as_bytes()], "{text:?} by {piece}");
                assert_eq!(open.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), to, "{text:?} by {piece}");
                for (slot, got) in got.iter().enumerate() {
                    let all = format!("Ours: 1\n{text}").into_bytes();
                    let expected = if to.contains(&slot) { vec![Some(all)] } else { vec![] };
                    assert_eq!(octets(got), expected, "{text:?} by {piece}");
                }
            }
        }
    }

    #[test]
    fn an_endless_header_is_not_held_for_ever() {
        let seen = Arc::default();
        let (mut ends, got) = ends(by_first(&seen));
        let mut copies = ends.begin(Vec::new());
        let line = [b'1'; 1000];
        for _ in 0..100 {
            copies.write(&line, &mut ends);
        }
        assert_eq!(seen.lock().unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [HEADER_HELD]);
        assert_eq!(octets(&got[1]), [Some(vec![b'1'; 100_000])]);
        copies.abandon();
        assert_eq!((octets(&got[0]), octets(&got[1])), (vec![], vec![None]));
    }

    /// The disk may be full at the first octet.
    #[test]
    fn a_line_of_ours_that_cannot_be_written_fails_the_message() {
        struct Full;
        impl Inlet for Full {
            fn open(&mut self) -> Result<Box<dyn Intake>, Error> {
                Ok(Box::new(Self))
            }
            fn reads_back(&self) -> bool {
                false
            }
            fn cut(&mut self) {}
        }
        impl Intake for Full {
            fn write(&mut self, _: &[u8]) -> Result<(), Error> {
                Err(broken_ledger())
            }
            fn finish(self: Box<Self>, _: &Facts) -> Result<Waiting, Error> {
                Err(broken_ledger())
            }
            fn abandon(self: Box<Self>) {}
        }
        for (prefix, text) in [("Ours: 1\n", ""), ("", "x")] {
            let mut ends = NetworkEnds::new(None);
            ends.push(NetworkEnd { id: DestinationId(1), inlet: Box::new(Full) });
            let mut copies = ends.begin(prefix.as_bytes().to_vec());
            copies.write(text.as_bytes(), &mut ends);
            assert!(copies.have_failed() && copies.end(&mut ends).1.is_some(), "{prefix}{text}");
        }
    }

    #[test]
    fn a_destination_that_cannot_be_opened_fails_the_message() {
        let (mut ends, got) = ends(None);
        let inlet = Box::new(Letterbox(Got::default(), true, Arc::default()));
        ends.push(NetworkEnd { id: DestinationId(3), inlet });
        let mut copies = ends.begin(Vec::new());
        assert!(copies.have_failed());
        copies.write(b"x", &mut ends);
        let (open, failure) = copies.end(&mut ends);
        assert!(failure.is_some() && open.len() == 2);
        assert_eq!(octets(&got[0]), [Some(Vec::new())]);
    }
}

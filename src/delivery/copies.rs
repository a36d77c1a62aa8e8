//! The copies of a message that is arriving: one for each destination of its account.

use super::{Error, Inlet, Intake};
use crate::proof::DestinationId;
use crate::text::shown_by;

/// The network's end of a destination.
pub(crate) struct NetworkEnd {
    /// Its number in the ledger.
    pub id: DestinationId,
    pub inlet: Box<dyn Inlet>,
}

/// The network's ends of all destinations of an account.  The place of one is its slot.
#[derive(Default)]
pub(crate) struct NetworkEnds {
    ends: Vec<NetworkEnd>,
}

shown_by!(NetworkEnd, id);

shown_by!(NetworkEnds, ends);

impl NetworkEnds {
    /// One more, behind the others.
    pub(crate) fn push(&mut self, end: NetworkEnd) {
        self.ends.push(end);
    }

    /// The numbers of all, by their slots.
    pub(crate) fn ids(&self) -> impl Iterator<Item = DestinationId> + '_ {
        self.ends.iter().map(|end| end.id)
    }

    /// Closes the batch at each of them; see [`Inlet::cut`].
    pub(crate) fn cut(&mut self) {
        self.ends.iter_mut().for_each(|end| end.inlet.cut());
    }

    /// A message begins, to be stored with `prefix` on top: whole header lines, or nothing.
    pub(crate) fn begin(&mut self, prefix: &[u8]) -> Copies {
        let mut copies = Copies::default();
        for end in &mut self.ends {
            match end.inlet.open() {
                Ok(mut intake) => {
                    if !prefix.is_empty()
                        && let Err(e) = intake.prepend(prefix)
                    {
                        copies.failure = Some(e);
                    }
                    copies.open.push(intake);
                }
                Err(e) => copies.failure = Some(e),
            }
        }
        copies
    }
}

/// What is open for a message, by the slots of the destinations.
pub(crate) type OpenCopies = Vec<Box<dyn Intake>>;

/// The copies of one message that is arriving; none of one that isn't wanted.
#[derive(Default)]
pub(crate) struct Copies {
    open: OpenCopies,
    failure: Option<Error>,
}

shown_by!(Copies, failure);

impl Copies {
    /// Whether storing it has failed: what comes then is of no use.
    #[must_use]
    pub(crate) fn have_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// More of the message.
    pub(crate) fn write(&mut self, text: &[u8]) {
        if self.failure.is_none() && !text.is_empty() {
            self.failure = self.open.iter_mut().find_map(|intake| intake.write(text).err());
        }
    }

    /// The message has ended.  What was opened for it; and why storing it failed, if it did: then all of them are to be
    /// abandoned.
    pub(crate) fn end(self) -> (OpenCopies, Option<Error>) {
        (self.open, self.failure)
    }

    /// The message will not come, or is suspect.
    pub(crate) fn abandon(self) {
        self.open.into_iter().for_each(|intake| intake.abandon());
    }
}

#[cfg(test)]
mod tests {
    use super::{NetworkEnd, NetworkEnds};
    use crate::delivery::trial::broken_ledger;
    use crate::delivery::{Error, Inlet, Intake, Waiting};
    use crate::message::Facts;
    use crate::proof::DestinationId;
    use std::sync::{Arc, Mutex};

    /// What a destination has been given: each message's pieces; `None` for one that was given up.
    type Got = Arc<Mutex<Vec<Option<Vec<u8>>>>>;

    struct Letterbox(Got, bool);

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

        fn cut(&mut self) {}
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

    fn ends() -> (NetworkEnds, [Got; 2]) {
        let got = [Got::default(), Got::default()];
        let mut ends = NetworkEnds::default();
        for (number, got) in (1..).zip(&got) {
            ends.push(NetworkEnd {
                id: DestinationId(number),
                inlet: Box::new(Letterbox(Arc::clone(got), false)),
            });
        }
        (ends, got)
    }

    fn octets(got: &Got) -> Vec<Option<Vec<u8>>> {
        got.lock().unwrap().clone()
    }

    #[test]
    fn all_get_every_octet_as_it_comes() {
        let (mut ends, got) = ends();
        let mut copies = ends.begin(b"Ours: 1\n");
        assert_eq!(
            got.each_ref().map(octets),
            [vec![Some(b"Ours: 1\n".to_vec())], vec![Some(b"Ours: 1\n".to_vec())]]
        );
        copies.write(b"A");
        assert_eq!(octets(&got[0]), [Some(b"Ours: 1\nA".to_vec())]);
        let (open, failure) = copies.end();
        assert!(failure.is_none() && open.len() == 2);
    }

    /// The disk may be full at the first octet.
    #[test]
    fn a_line_of_ours_that_cannot_be_written_fails_the_message() {
        struct Full;
        impl Inlet for Full {
            fn open(&mut self) -> Result<Box<dyn Intake>, Error> {
                Ok(Box::new(Self))
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
            let mut ends = NetworkEnds::default();
            ends.push(NetworkEnd { id: DestinationId(1), inlet: Box::new(Full) });
            let mut copies = ends.begin(prefix.as_bytes());
            copies.write(text.as_bytes());
            assert!(copies.have_failed() && copies.end().1.is_some(), "{prefix}{text}");
        }
    }

    #[test]
    fn a_destination_that_cannot_be_opened_fails_the_message() {
        let (mut ends, got) = ends();
        ends.push(NetworkEnd { id: DestinationId(3), inlet: Box::new(Letterbox(Got::default(), true)) });
        let mut copies = ends.begin(b"");
        assert!(copies.have_failed());
        copies.write(b"x");
        let (open, failure) = copies.end();
        assert!(failure.is_some() && open.len() == 2);
        assert_eq!(octets(&got[0]), [Some(Vec::new())]);
    }
}

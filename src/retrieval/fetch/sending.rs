//! What is sent.

use super::round::{Choice, Fetch};
use super::tally::CompareResult;
use crate::plan::Who;
use crate::proof::{Delivered, Key};
use crate::report;
use crate::retrieval::Error;
use crate::retrieval::committer::Work;
use crate::retrieval::pipeline::naming::{ExpectedName, NamingQuestion};
use crate::retrieval::pipeline::{Ask, Job, Readiness, Send};

impl Fetch<'_> {
    /// Sends what may be sent now.
    pub(super) fn fill(&mut self) -> Result<(), Error> {
        if !self.client.is_low() || self.state.tally.over {
            return Ok(());
        }
        self.close_or_open();
        while self.client.has_window() {
            let line =
                Readiness { pipelines: self.client.pipelines(), at_rest: self.client.outstanding() == 0 };
            let choice = Choice { maildrop: self.maildrop, keys: self.keys, sample: &self.sample };
            let next = self.state.pipeline.next(line, &choice);
            self.report_skipped();
            match next.map_err(|_| Error::NothingNames)? {
                Some(next) => self.send(next)?,
                None => break,
            }
        }
        Ok(())
    }

    fn send(&mut self, next: Send<Delivered>) -> Result<(), Error> {
        match next {
            Send::Question(NamingQuestion { expected, number }) => match (expected, number) {
                (ExpectedName::UniqueId(_), Some(number)) => self.client.unique_id_of(number)?,
                (ExpectedName::Size(_), Some(number)) => self.client.list_one(number)?,
                (ExpectedName::DropListing, _) | (_, None) => self.client.drop_listing()?,
            },
            Send::Ask(Job { ask, number, .. }) => {
                let sent = match ask {
                    Ask::Header => self.client.top(number),
                    Ask::Whole => self.client.retrieve(number),
                };
                if let Err(e) = sent {
                    self.state.pipeline.not_sent();
                    return Err(e.into());
                }
                self.state.tally.retrieved |= ask == Ask::Whole;
            }
            Send::Delete(delivered) => self.send_delete(&delivered)?,
        }
        Ok(())
    }

    /// Both proofs: it's delivered, and it was recognised in this session.
    fn send_delete(&mut self, delivered: &Delivered) -> Result<(), Error> {
        let Some(recognised) = self.state.tally.recognised.get(&delivered.number()) else {
            return Err(Error::Bug);
        };
        Ok(self.client.delete(delivered, recognised)?)
    }

    /// The next message to be asked for, if there is to be one.
    pub(super) fn upcoming(&mut self) -> Option<Job> {
        self.close_or_open();
        let upcoming = self.state.pipeline.upcoming();
        self.report_skipped();
        upcoming
    }

    fn close_or_open(&mut self) {
        self.state.pipeline.closed =
            self.state.stopping || self.state.tally.failure.is_some() || self.work.is_none();
    }

    fn report_skipped(&mut self) {
        for job in self.state.pipeline.take_skipped() {
            self.too_large(job);
            self.compared(job, CompareResult::Undone);
        }
    }

    /// Whether every message that is to be retrieved has been, and the committer has reported what became of it.
    pub(super) fn all_is_settled(&mut self) -> bool {
        let settled = self.state.batch.is_empty() && self.state.committing == 0;
        settled && !self.state.pipeline.is_in_doubt() && self.upcoming().is_none()
    }

    /// A message that is none of those that we have, as far as its header shows, and is too large to be retrieved.
    fn too_large(&mut self, job: Job) {
        let Some(listed) = self.maildrop.at(job.index) else { return };
        if let (Who::New(unique_id), true) = (listed.who, job.too_large) {
            let key = Key::UniqueId(unique_id.to_buf());
            self.submit(Work::TooLarge { key, listed_size: listed.octets }, 0);
            let octets = listed.octets.unwrap_or_default();
            self.run.report(&report::Event::TooLarge { number: job.number, octets });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::exit::ExitCode;
    use crate::plan::trial::{SIZE, World, number};
    use crate::plan::{Decision, Why};
    use crate::problem::Problem as _;
    use crate::proof::{EntryId, Recognised, SessionId};
    use crate::retrieval::Error;
    use crate::retrieval::fetch::CompareResult::Undone;
    use crate::retrieval::fetch::round::Held;
    use crate::retrieval::fetch::trial::Bench;
    use crate::retrieval::trial::parcel;
    use crate::types::Octets;

    const NEW: Decision = Decision::Retrieve(Why::New);

    fn bench(decision: Decision) -> Bench {
        let mut world = World::new();
        world.now();
        world.deliver("a");
        Bench::new(world, &["a", "new"], &[Decision::Leave(Why::Known), decision])
    }

    /// Without both proofs, of this session, for this message, no DELE is sent: it is a bug of ours, and none of the mail's.
    #[test]
    fn a_deletion_without_its_proofs_is_not_sent() {
        type Proof = fn(SessionId) -> Option<Recognised>;
        let cases: [(&str, Proof, bool); 5] = [
            ("not recognised", |_| None, false),
            (
                "recognised in another session",
                |session| Some(Recognised::attest(SessionId(session.0 + 1), number(1), Some(EntryId(0)))),
                false,
            ),
            (
                "another message was recognised",
                |session| Some(Recognised::attest(session, number(2), Some(EntryId(0)))),
                false,
            ),
            (
                "recognised as another entry",
                |session| Some(Recognised::attest(session, number(1), Some(EntryId(5)))),
                false,
            ),
            ("both", |session| Some(Recognised::attest(session, number(1), Some(EntryId(0)))), true),
        ];
        for (what, recognised, expected) in cases {
            let mut bench = bench(NEW);
            let proof = bench.world.ledger.prove_delivered(EntryId(0), number(1)).unwrap();
            let came = bench.run(|fetch| {
                let recognised = recognised(fetch.client.session());
                fetch.state.tally.recognised.extend(recognised.map(|recognised| (number(1), recognised)));
                fetch.send_delete(&proof)
            });
            match came.result {
                Ok(()) => assert!(expected, "{what}"),
                Err(e) => assert_eq!((expected, e.exit_code()), (false, ExitCode::Bug), "{what}: {e}"),
            }
        }
    }

    /// A signal, a failure, or a committer that has ended: no new message is begun.
    #[test]
    fn nothing_new_is_asked_for_once_the_end_is_near() {
        for (stopping, failed, has_work, expected) in [
            (false, false, true, true),
            (true, false, true, false),
            (false, true, true, false),
            (false, false, false, false),
        ] {
            let came = bench(NEW).run(|fetch| {
                fetch.state.stopping = stopping;
                fetch.state.tally.failure = failed.then_some(Error::OutOfStep);
                if !has_work {
                    fetch.work = None;
                }
                let upcoming = fetch.upcoming().is_some();
                fetch.fill().unwrap();
                (upcoming, fetch.client.outstanding() > 0)
            });
            assert_eq!(came.result, (expected, expected), "{stopping} {failed} {has_work}");
            assert_eq!(came.tally.retrieved, expected);
        }
        let came = bench(NEW).run(|fetch| {
            fetch.state.tally.over = true;
            fetch.fill().unwrap();
            fetch.client.outstanding()
        });
        assert_eq!(came.result, 0, "QUIT has been answered");
    }

    /// The connection may end at what has failed before: it is asked for when nothing else is on its way, a deletion neither.
    #[test]
    fn what_has_failed_before_is_asked_for_when_all_else_is_answered() {
        for (deletes, expected) in [(true, 0), (false, 1)] {
            let mut world = World::new();
            world.now();
            let id = world.deliver("a");
            world.fail("failed", None);
            let again = Decision::Retrieve(Why::Again);
            let mut bench = Bench::new(world, &["a", "failed"], &[Decision::Leave(Why::Known), again]);
            let proof = bench.world.ledger.prove_delivered(id, number(1)).unwrap();
            let came = bench.run(|fetch| {
                if deletes {
                    let recognised = Recognised::attest(fetch.client.session(), number(1), Some(id));
                    fetch.state.tally.recognised.insert(number(1), recognised);
                    fetch.state.pipeline.delete(proof);
                }
                fetch.fill().unwrap();
                (fetch.state.pipeline.in_doubt().len(), fetch.client.outstanding() > 0)
            });
            assert_eq!(came.result, (expected, true), "{deletes}");
        }
    }

    /// Only a RETR may make a server drop a message at QUIT.
    #[test]
    fn a_header_is_not_retrieved() {
        let came = bench(Decision::Compare(Why::Renumbered)).run(|fetch| {
            fetch.fill().unwrap();
            fetch.client.outstanding() > 0
        });
        assert_eq!((came.result, came.tally.retrieved), (true, false));
    }

    /// What may not be retrieved can't be compared either: it is reported, remembered, and nothing is concluded of it.
    #[test]
    fn what_is_too_large_to_be_compared_is_left_and_reported() {
        for (name, reported, uncertain) in [("new", 1, vec![]), ("a", 0, vec![EntryId(0)]), ("-", 0, vec![])]
        {
            let mut bench = bench(Decision::Compare(Why::Duplicate));
            bench.listed[1] = (name, Some(SIZE));
            bench.policy.max_message_size = Some(Octets(SIZE - 1));
            let came = bench.run(|fetch| fetch.upcoming().is_some());
            assert!(!came.result);
            assert_eq!((came.compared(), &came.tally.uncertain), (vec![(2, Undone)], &uncertain), "{name}");
            assert_eq!(came.work, vec!["new is too large".to_owned(); reported], "{name}");
            let lines = came.reported.iter().filter(|line| line.contains("is too large"));
            assert_eq!(lines.count(), reported, "{name}");
        }
    }

    /// What a limit of the run leaves is not called too large.
    #[test]
    fn what_a_limit_postpones_is_not_reported_as_too_large() {
        let mut bench = bench(Decision::Compare(Why::Duplicate));
        bench.policy.max_messages = Some(0);
        let came = bench.run(|fetch| fetch.upcoming().is_some());
        assert!(!came.result);
        assert_eq!((came.compared(), came.work.len()), (vec![(2, Undone)], 0));
    }

    /// A round is over when nothing is to come, in doubt, waiting, or with the committer.
    #[test]
    fn a_round_ends_when_everything_is_settled() {
        let leave = Decision::Leave(Why::Known);
        for (decision, batch, committing, in_doubt, expected) in [
            (leave, 0, 0, false, true),
            (NEW, 0, 0, false, false),
            (leave, 1, 0, false, false),
            (leave, 0, 1, false, false),
            (NEW, 0, 0, true, false),
        ] {
            let came = bench(decision).run(|fetch| {
                fetch.state.batch = (0..batch).map(|_| parcel(1, "a", &[])).collect();
                fetch.state.committing = committing;
                if in_doubt {
                    let job = fetch.upcoming().unwrap();
                    fetch.state.pipeline.asked_for(job);
                }
                fetch.all_is_settled()
            });
            assert_eq!(came.result, expected, "{decision:?} {batch} {committing} {in_doubt}");
        }
        // What is held is settled by the question that covers it, which is in doubt as well.
        let came = bench(NEW).run(|fetch| {
            let job = fetch.job(1);
            fetch.state.pipeline.hold(Held::Nothing(job));
            fetch.all_is_settled()
        });
        assert!(!came.result);
    }
}

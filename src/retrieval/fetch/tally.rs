//! What a session's retrieving comes to: counted over its rounds, and judged when it is over.

use std::collections::HashMap;

use crate::exit::ExitCode;
use crate::ledger::memory::ListedAs;
use crate::message::Digest;
use crate::proof::{Delivered, EntryId, Recognised};
use crate::report::reasons::Reasons;
use crate::retrieval::Error;
use crate::retrieval::pipeline::standing::SessionStanding;
use crate::types::MessageNumber;

/// What a session's retrieving came to, over its rounds.
#[derive(Debug, Default)]
pub(in crate::retrieval) struct Tally {
    /// Messages delivered.
    pub(in crate::retrieval) delivered: u64,
    /// Octets of them.
    pub(in crate::retrieval) octets: u64,
    /// Messages that failed, and stay.
    pub(in crate::retrieval) failed: u64,
    /// Retrieved, but not stored: a server that drops what was retrieved must not see `QUIT`.
    pub(in crate::retrieval) not_stored: bool,
    /// Those of them that aren't asked for again in this run: they failed, and not for the session's sake.
    pub(in crate::retrieval) unstored: Vec<MessageNumber>,
    /// Entries whose comparison failed or did not take place: nothing is concluded about them.
    pub(in crate::retrieval) uncertain: Vec<EntryId>,
    /// What became of each [`Compare`](crate::plan::Decision::Compare) and [`Delete`](crate::plan::Decision::Delete) that was settled, or asked for in vain.
    pub(in crate::retrieval) compared: Vec<Compared>,
    /// What was recognised in this session, by number.
    pub(in crate::retrieval) recognised: HashMap<MessageNumber, Recognised>,
    /// Deletions that wait for the last question of the session.
    pub(in crate::retrieval) waiting: Vec<Delivered>,
    /// Which of its entry's deliveries each of those is, where there are several: by the digest of the message.
    pub(in crate::retrieval) which_delivery: HashMap<MessageNumber, Digest>,
    /// Deletions that the server has accepted,
    pub(in crate::retrieval) accepted: Vec<EntryId>,
    /// and which of their entries' deliveries they were.
    pub(in crate::retrieval) accepted_deliveries: Vec<(EntryId, Digest)>,
    /// Deletions that it refused.
    pub(in crate::retrieval) refused: Vec<EntryId>,
    /// Why it refused them.
    pub(in crate::retrieval) refusals: Reasons,
    /// Entries of messages that are lacked only by a destination that this run doesn't have.
    pub(in crate::retrieval) elsewhere: Vec<EntryId>,
    /// Messages whose deletion it had confirmed, and that are here again.
    pub(in crate::retrieval) not_deleted: u64,
    /// Why messages failed, in words of ours.
    pub(in crate::retrieval) reasons: Reasons,
    /// The code of the failures.
    pub(in crate::retrieval) exit: Option<ExitCode>,
    /// Whether any of them was reported as news.
    pub(in crate::retrieval) news: bool,
    /// What ended retrieving early, though the connection works.
    pub(in crate::retrieval) failure: Option<Error>,
    pub(in crate::retrieval) retrieved: bool,
    /// Whether the first message was the server's own internal data, and left alone.
    pub(in crate::retrieval) folder_data: bool,
    /// Something is left for another session of this run: this one may do no more, or should not.
    pub(in crate::retrieval) cut_short: bool,
    /// Messages at which a session broke off are left for a session that begins with them.
    pub(in crate::retrieval) left_alone: bool,
    /// The connection ended, and it has ended at another message before: perhaps it's the session that is too long.
    pub(in crate::retrieval) cut_again: bool,
    /// `QUIT` was sent and answered already.
    pub(in crate::retrieval) over: bool,
    /// What was asked for since the last answer that named, when the session broke off.
    pub(in crate::retrieval) void: usize,
    /// Of that, the one message that is certainly the cause.
    pub(in crate::retrieval) blamed: Option<MessageNumber>,
    /// Messages at which the session broke off.
    pub(in crate::retrieval) died: Vec<ListedAs>,
    /// Messages that came through, though a session had broken off at them before.
    pub(in crate::retrieval) survived: Vec<ListedAs>,
    /// What came in the place of messages whose deletion was confirmed, and wasn't delivered.
    pub(in crate::retrieval) withheld: Vec<(EntryId, Digest)>,
    pub(in crate::retrieval) standing: SessionStanding,
}

/// What became of one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::retrieval) struct Compared {
    /// The message's number in this session.
    pub(in crate::retrieval) number: MessageNumber,
    /// The entry that it was compared with, or that it proved to be; none where no entry was known beforehand, and none
    /// was found.
    pub(in crate::retrieval) entry: Option<EntryId>,
    pub(in crate::retrieval) result: CompareResult,
}

/// What came of one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::retrieval) enum CompareResult {
    /// It is the message that we have.
    Matched,
    /// It is other mail, which was handed over to be delivered.
    Failed,
    /// It could not be compared: refused, or too large to be retrieved for that.
    Undone,
}

impl Tally {
    /// The comparisons that have shown a message that we have.
    pub(in crate::retrieval) fn matched(&self) -> impl Iterator<Item = &Compared> {
        self.compared.iter().filter(|compared| compared.result == CompareResult::Matched)
    }

    /// Whether the session did all that it had set out to do.
    pub(in crate::retrieval) fn left_nothing_undone(&self) -> bool {
        self.failed == 0 && self.refused.is_empty() && self.uncertain.is_empty() && !self.not_stored
    }

    /// A message failed, for this reason.
    pub(in crate::retrieval) fn fail(&mut self, exit: ExitCode, reason: &str) {
        self.failed = self.failed.saturating_add(1);
        self.reasons.add(ours(reason));
        self.exit = Some(self.exit.map_or(exit, |other| other.merge(exit)));
    }
}

/// A reason up to where it quotes a server or a program, which may quote the message.
fn ours(reason: &str) -> &str {
    reason.split('"').next().unwrap_or_default().trim_end_matches([' ', ':', '('])
}

#[cfg(test)]
mod tests {
    use super::{Tally, ours};
    use crate::exit::ExitCode;
    use crate::proof::EntryId;

    /// Only after such a session may a quick poll stand for the next listing.
    #[test]
    fn what_failed_or_was_refused_or_is_uncertain_was_left_undone() {
        type Change = fn(&mut Tally);
        let cases: [(&str, Change, bool); 6] = [
            ("nothing", |_| {}, true),
            ("delivered", |tally| tally.delivered = 3, true),
            ("failed", |tally| tally.failed = 1, false),
            ("a deletion was refused", |tally| tally.refused = vec![EntryId(0)], false),
            ("not compared", |tally| tally.uncertain = vec![EntryId(0)], false),
            ("not stored", |tally| tally.not_stored = true, false),
        ];
        for (what, change, expected) in cases {
            let mut tally = Tally::default();
            change(&mut tally);
            assert_eq!(tally.left_nothing_undone(), expected, "{what}");
        }
    }

    /// Of several failures the exit code is that which the user must act on.
    #[test]
    fn the_worst_failure_decides_the_exit_code() {
        for (exits, expected) in [
            (&[ExitCode::Later][..], ExitCode::Later),
            (&[ExitCode::Later, ExitCode::Protocol], ExitCode::Protocol),
            (&[ExitCode::Protocol, ExitCode::Later], ExitCode::Protocol),
        ] {
            let mut tally = Tally::default();
            exits.iter().for_each(|exit| tally.fail(*exit, "no"));
            assert_eq!(tally.exit, Some(expected), "{exits:?}");
            assert_eq!(usize::try_from(tally.failed), Ok(exits.len()));
        }
    }

    /// A server or a program may quote the message, which is no text for the memory.
    #[test]
    fn a_reason_ends_where_it_quotes() {
        for (reason, expected) in [
            ("the server refused it: \"550 no (Subject: x)\"", "the server refused it"),
            ("the program failed (\"no space\")", "the program failed"),
            (
                "the connection broke off at it, as it did before",
                "the connection broke off at it, as it did before",
            ),
            ("\"nothing of ours\"", ""),
            ("", ""),
        ] {
            assert_eq!(ours(reason), expected);
        }
        let mut tally = Tally::default();
        tally.fail(ExitCode::Later, "refused: \"a\"");
        tally.fail(ExitCode::Later, "refused: \"b\"");
        assert_eq!(tally.reasons.line().matches("refused").count(), 1, "{}", tally.reasons.line());
    }
}

//! What a maildrop holds, and what the next run would do with each message, as far as listings and headers tell.

use std::collections::HashMap;

use super::Visit;
use crate::client::{Client, Transaction};
use crate::ledger::Ledger;
use crate::message::Facts;
use crate::plan::compare::{Comparison, Search, Verdict};
use crate::plan::{self, Decision, Maildrop, Policy, Who, Why};
use crate::report::{Action, Cause};
use crate::retrieval::by_word;
use crate::retrieval::doubts;
use crate::retrieval::error::Error;
use crate::retrieval::survey::{decide, headers, list, policy};
use crate::types::MessageNumber;

/// A listing, and what the next run would do by it.
pub(in crate::retrieval) struct Outlook {
    pub(in crate::retrieval) maildrop: Maildrop,
    pub(in crate::retrieval) ledger: Ledger,
    pub(in crate::retrieval) policy: Policy,
    decisions: Vec<Decision>,
    comparison: Comparison,
    /// What the leave-on-server policy would delete.
    retired: HashMap<MessageNumber, Why>,
}

impl Outlook {
    /// Takes the listing, and decides as a run would.
    ///
    /// # Errors
    /// The connection, the listing, the ledger.
    pub(in crate::retrieval) fn of(
        visit: &mut Visit<'_, '_>,
        client: &mut Client<Transaction>,
        mut ledger: Ledger,
    ) -> Result<Self, Error> {
        let (run, memory) = (visit.run, &mut visit.memory);
        let policy = policy(run, &ledger, client);
        let counted = client.prefetched_drop_listing()?.map(|(messages, _)| messages);
        let mut maildrop = list(run, client, &ledger, &mut memory.habits)?;
        doubts::raise(run, &mut ledger, &mut memory.habits, &maildrop, &policy, &[])?;
        let mut decisions = decide(client, &mut maildrop, &ledger, &policy, memory.sizes, counted)?;
        if by_word::is_first(run, &ledger) {
            for (decision, listed) in decisions.iter_mut().zip(maildrop.iter()) {
                if matches!(listed.who, Who::New(_)) {
                    *decision = Decision::Leave(Why::Seen);
                }
            }
        }
        let comparison = Comparison::new(&maildrop, &decisions, &ledger, Search::OwnKey, policy.utf8)?;
        let retired = plan::retire(&maildrop, &ledger, &policy, &|_| false);
        let retired = retired.into_iter().map(|retired| (retired.number, retired.why)).collect();
        Ok(Self { maildrop, ledger, policy, decisions, comparison, retired })
    }

    /// The messages of which `TOP n 0` may show whether they are known.
    pub(in crate::retrieval) fn in_question(&self) -> Vec<MessageNumber> {
        let asked = self.maildrop.iter().zip(&self.decisions).filter(|(_, decision)| {
            let why = decision.why_compared();
            why.is_some_and(|why| Comparison::asks_header(why, self.policy.deletes_everything()))
        });
        asked.map(|(listed, _)| listed.number).collect()
    }

    /// Asks for these headers, and settles what they settle.
    ///
    /// # Errors
    /// The connection.
    pub(in crate::retrieval) fn examine(&mut self, client: &mut Client<Transaction>) -> Result<(), Error> {
        let numbers = self.in_question();
        if numbers.is_empty() {
            return Ok(());
        }
        // In the order of the listing: where messages are alike, the first is matched first.
        let headers = headers(client, &numbers)?;
        for number in numbers {
            if let Some(facts) = headers.get(&number) {
                self.settle(number, facts);
            }
        }
        Ok(())
    }

    /// What a header settles, if it was in question.
    pub(in crate::retrieval) fn settle(&mut self, number: MessageNumber, facts: &Facts) {
        let deletes = self.policy.deletes_everything();
        let Some(index) = self.maildrop.index_of(number) else { return };
        let (Some(listed), Some(slot)) = (self.maildrop.at(index), self.decisions.get_mut(index)) else {
            return;
        };
        let Some(why) = slot.why_compared().filter(|why| Comparison::asks_header(*why, deletes)) else {
            return;
        };
        match self.comparison.by_header(&listed, why, facts, deletes) {
            Verdict::Another => *slot = Decision::Retrieve(why),
            Verdict::Same(_) if matches!(slot, Decision::Compare(_)) => *slot = Decision::Leave(Why::Known),
            _ => {}
        }
    }

    /// What the next run would do with the message at this place, from 0, and why.
    pub(in crate::retrieval) fn intention(&self, index: usize) -> Option<(Action, Why)> {
        let listed = self.maildrop.at(index)?;
        Some(match (*self.decisions.get(index)?, self.retired.get(&listed.number)) {
            (Decision::Retrieve(why), _) => (Action::Retrieve, why),
            (Decision::Compare(why), _) => (Action::Compare, why),
            (Decision::Identify, _) => (Action::Leave, Why::Seen),
            (Decision::Delete(why), _) => (Action::Delete, why),
            (Decision::Leave(_), Some(why)) => (Action::Delete, *why),
            (Decision::Leave(why), None) => (Action::Leave, why),
        })
    }

    /// Whether the message at this place is new: not delivered, and no run has failed with it, or reported why it stays.
    pub(in crate::retrieval) fn is_new(&self, index: usize) -> bool {
        let (Some(listed), Some((action, why))) = (self.maildrop.at(index), self.intention(index)) else {
            return false;
        };
        let has_failed = listed.has_failed(&self.ledger);
        match (listed.who, action) {
            (_, Action::Retrieve) => !has_failed && why != Why::All,
            // Known or not, only a run that retrieves it could tell.
            (Who::New(_) | Who::Nameless, Action::Compare) => true,
            (Who::New(_), Action::Leave) => !matches!(why, Why::Known | Why::Seen),
            _ => false,
        }
    }
}

/// A reason, for a report.
pub(in crate::retrieval) fn cause(why: Why) -> Cause {
    Cause { word: why.word(), text: why.text() }
}

#[cfg(test)]
mod tests {
    use super::{Outlook, cause};
    use crate::account::Retention;
    use crate::message::Facts;
    use crate::plan::compare::{Comparison, Search};
    use crate::plan::trial::{World, facts, key, number};
    use crate::plan::{Decision, Why};
    use crate::report::Action;
    use std::collections::HashMap;

    /// "a" has been delivered, "failed" has failed; "new" and one without a unique-id are listed besides.
    fn outlook(decisions: [Decision; 4], retired: &[(u32, Why)], retention: Retention) -> Outlook {
        let mut world = World::new();
        world.now();
        world.deliver_content(key("a"), "h/a@i");
        world.fail("failed", None);
        let maildrop = world.maildrop(&[("a", None), ("failed", None), ("new", None), ("-", None)]);
        let policy = world.policy(retention);
        let comparison =
            Comparison::new(&maildrop, &decisions, &world.ledger, Search::EveryKey, false).unwrap();
        let retired: HashMap<_, _> = retired.iter().map(|(n, why)| (number(*n), *why)).collect();
        Outlook { maildrop, ledger: world.ledger, policy, decisions: decisions.to_vec(), comparison, retired }
    }

    const LEAVE: Decision = Decision::Leave(Why::Known);

    /// What a list shows for each decision; what is left may still go by the policy.
    #[test]
    fn what_the_next_run_would_do_is_what_was_decided_or_what_the_policy_deletes() {
        for (decision, retired, expected) in [
            (Decision::Retrieve(Why::New), None, (Action::Retrieve, Why::New)),
            (Decision::Compare(Why::Doubtful), None, (Action::Compare, Why::Doubtful)),
            (Decision::Identify, None, (Action::Leave, Why::Seen)),
            (Decision::Delete(Why::Days), None, (Action::Delete, Why::Days)),
            (LEAVE, Some(Why::Newest), (Action::Delete, Why::Newest)),
            (LEAVE, None, (Action::Leave, Why::Known)),
            // Whether it goes shows only when it has been compared.
            (Decision::Compare(Why::Doubtful), Some(Why::Newest), (Action::Compare, Why::Doubtful)),
        ] {
            let retired: Vec<(u32, Why)> = retired.into_iter().map(|why| (1, why)).collect();
            let outlook = outlook([decision, LEAVE, LEAVE, LEAVE], &retired, Retention::Delete);
            assert_eq!(outlook.intention(0), Some(expected), "{decision:?} {retired:?}");
            assert_eq!(outlook.intention(9), None);
        }
        assert_eq!(
            (cause(Why::TooLarge).word, cause(Why::TooLarge).text),
            ("too-large", "larger than max-message-size")
        );
    }

    /// New is what was never delivered and has not failed: also what a limit leaves, or what only a run could tell.
    #[test]
    fn a_message_is_new_until_a_run_has_delivered_it_or_failed_with_it() {
        let retrieve = Decision::Retrieve;
        let compare = Decision::Compare(Why::Renumbered);
        for (place, decision, expected) in [
            (0, LEAVE, false),
            (0, Decision::Compare(Why::Doubtful), false),
            // Other mail under its unique-id, as its header has shown.
            (0, retrieve(Why::Doubtful), true),
            (0, retrieve(Why::All), false),
            (1, retrieve(Why::Again), false),
            (1, Decision::Leave(Why::BackingOff), false),
            (2, retrieve(Why::New), true),
            (2, retrieve(Why::All), false),
            (2, compare, true),
            (2, Decision::Leave(Why::TooLarge), true),
            (2, Decision::Leave(Why::MaxMessages), true),
            (2, Decision::Leave(Why::Seen), false),
            (2, LEAVE, false),
            (3, Decision::Compare(Why::Nameless), true),
            (3, LEAVE, false),
        ] {
            let mut decisions = [LEAVE; 4];
            decisions[place] = decision;
            assert_eq!(
                outlook(decisions, &[], Retention::Keep).is_new(place),
                expected,
                "{place} {decision:?}"
            );
        }
        assert!(!outlook([LEAVE; 4], &[], Retention::Keep).is_new(9));
    }

    /// Only what a header may settle is asked about, and only where nothing more is needed.
    #[test]
    fn headers_are_asked_of_what_is_in_question() {
        let decisions = [
            Decision::Compare(Why::Doubtful),
            Decision::Compare(Why::Duplicate),
            Decision::Retrieve(Why::New),
            Decision::Compare(Why::Nameless),
        ];
        for (retention, expected) in [(Retention::Keep, &[1, 4][..]), (Retention::Delete, &[1])] {
            let found = outlook(decisions, &[], retention).in_question();
            assert_eq!(
                found.iter().map(|number| number.get()).collect::<Vec<_>>(),
                expected,
                "{retention:?}"
            );
        }
    }

    /// A header that is ours settles it; one that is certainly other mail makes it new; and else only a run can tell.
    #[test]
    fn a_header_settles_what_it_can() {
        let doubtful = Decision::Compare(Why::Doubtful);
        let untraced = |content: &str| Facts { traced: false, ..facts(content) };
        let renumbered = Decision::Compare(Why::Renumbered);
        for (place, decision, header, expected) in [
            (0, doubtful, facts("h/a@i"), (Action::Leave, Why::Known)),
            (0, doubtful, facts("other/other@other"), (Action::Compare, Why::Doubtful)),
            (0, Decision::Delete(Why::Days), facts("h/a@i"), (Action::Delete, Why::Days)),
            (2, renumbered, untraced("n/n@n"), (Action::Retrieve, Why::Renumbered)),
            // The message that has this header is listed under its own unique-id: both may be there.
            (2, renumbered, facts("h/a@i"), (Action::Compare, Why::Renumbered)),
            // What isn't compared isn't changed by a header that is shown beside it.
            (0, LEAVE, facts("other"), (Action::Leave, Why::Known)),
            (2, Decision::Retrieve(Why::New), facts("h/a@i"), (Action::Retrieve, Why::New)),
        ] {
            let mut decisions = [LEAVE; 4];
            decisions[place] = decision;
            let mut outlook = outlook(decisions, &[], Retention::Keep);
            let at = u32::try_from(place + 1).unwrap();
            outlook.settle(number(at), &header);
            assert_eq!(outlook.intention(place), Some(expected), "{place} {decision:?}");
            outlook.settle(number(99), &header);
        }
    }
}

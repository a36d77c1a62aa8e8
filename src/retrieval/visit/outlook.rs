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
        let has_failed = matches!(listed.who, Who::Known(id) if self.ledger.entry(id).failures > 0);
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

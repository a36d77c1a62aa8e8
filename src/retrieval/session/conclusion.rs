//! What a session leaves: what it has learnt of the server, what the next quick poll relies on, and whether another session
//! follows.

use super::MailSession;
use crate::ledger::{self, EntryState, Ledger};
use crate::plan::quick::{Done, settled};
use crate::plan::{self, Maildrop, Policy, Who};
use crate::proof::{EntryId, Key};
use crate::retrieval::conditions;
use crate::retrieval::course::{Follows, GivenUp, Scope, SessionEnd, SessionOutcome};
use crate::retrieval::error::Error;
use crate::retrieval::fetch::Tally;
use crate::retrieval::pipeline::standing::SessionStanding;
use crate::retrieval::quick;
use crate::types::Octets;

/// After this many sessions in a row that brought nothing no other one follows.
pub(super) const MOST_IDLE: u32 = 2;

impl MailSession<'_, '_> {
    /// What the session showed of the server, for those that follow.
    pub(super) fn learn(
        &mut self,
        tally: &Tally,
        maildrop: &Maildrop,
        ledger: &Ledger,
        deletes: bool,
    ) -> Result<(), Error> {
        let SessionStanding { naming, pace, asked, confirmed, answered, last, aside, .. } = &tally.standing;
        let course = &mut *self.course;
        course.came |= *confirmed > 0;
        course.folder_data |= tally.folder_data;
        course.careful = pace.careful;
        let matched =
            tally.matched().filter(|compared| compared.entry.is_some_and(|id| course.matched.insert(id)));
        let mut brought = matched.count() > 0;
        brought |= tally.delivered > 0 || !tally.survived.is_empty();
        course.ended = SessionEnd {
            unlisted: false,
            pipelined: course.ended.pipelined,
            asked: usize::try_from(*asked).unwrap_or(usize::MAX),
            void: tally.void,
            blamed: tally.blamed.is_some(),
            cut_again: tally.cut_again,
            quit_lost: false,
            quit_unanswered: false,
            unconfirmed: deletes
                && (tally.delivered > 0 || !tally.accepted.is_empty() || !tally.waiting.is_empty()),
            confirmed: *confirmed,
            answered: *answered,
        };
        for number in tally.unstored.iter().chain(&tally.blamed) {
            let Some(listed) = maildrop.find(*number) else { continue };
            for given_up in GivenUp::of(&listed, maildrop, ledger)? {
                brought |= course.give_up(given_up, listed.octets);
            }
        }
        if let (true, Some(number)) = (naming.is_impossible() && *confirmed > 0, last)
            && let Some(listed) = maildrop.find(*number).filter(|_| !aside.contains(number))
        {
            brought |= course.done.insert((*number, listed.octets));
        }
        course.brought = brought;
        if let Some(form) = naming.found()
            && self.memory.names.map(|(known, _)| known) != Some(form)
        {
            self.memory.names = Some((form, self.run.now));
        }
        self.memory.died.retain(|message| !tally.survived.contains(message));
        for message in &tally.died {
            self.memory.died_at(message.clone());
        }
        for (entry, digest) in &tally.withheld {
            if let Key::UniqueId(unique_id) = ledger.key(*entry)? {
                self.memory.withheld(unique_id, *digest);
            }
        }
        Ok(())
    }

    /// For the next run's quick poll.
    pub(super) fn remember(
        &mut self,
        confirmed: bool,
        maildrop: &Maildrop,
        ledger: &Ledger,
        policy: &Policy,
        drop_listing: Option<(u32, Octets)>,
        tally: &Tally,
    ) -> Result<(), Error> {
        let well = confirmed
            && tally.failure.is_none()
            && conditions::show_in_a_quick_poll(self.summary)
            // A quick poll doesn't show it.
            && self.summary.delivered_elsewhere.is_none()
            && *self.scope == Scope::Everything
            && !tally.cut_short
            && !tally.left_alone
            // What is due to be deleted is.
            && !self.course.keeps
            && !self.run.context.stop.raised();
        if well && quick::wanted(self.run) {
            let done = Done {
                everything: tally.left_nothing_undone(),
                deleted: &tally.accepted,
                has_top: !tally.standing.header.is_missing(),
            };
            let settled = match quick::grows_at_end(self.memory) {
                true => settled(maildrop, ledger, policy, drop_listing, done)?,
                false => None,
            };
            quick::remember(self.run, self.memory, settled);
        } else {
            quick::forget(self.memory);
        }
        Ok(())
    }

    /// Whether another session follows, and which messages it is about.
    pub(super) fn outcome(
        &mut self,
        (confirmed, drops_at_quit): (bool, bool),
        policy: &Policy,
        maildrop: &Maildrop,
        ledger: &Ledger,
        tally: &Tally,
    ) -> SessionOutcome {
        let course = &mut *self.course;
        let deleted = tally.accepted.iter().filter(|id| confirmed && course.deleted.insert(**id)).count();
        course.idle = if course.brought || deleted > 0 { 0 } else { course.idle.saturating_add(1) };
        let brought = course.idle < MOST_IDLE && (tally.standing.confirmed > 0 || !tally.accepted.is_empty());
        if confirmed && tally.cut_short && brought {
            let scope = if *self.scope == Scope::Broken { Scope::Everything } else { self.scope.clone() };
            return SessionOutcome { next: Some((scope, Follows::Rest)), left: true };
        }
        // For the sake of those nothing else was asked in this session, or it has brought one of them.
        let broken = (tally.left_alone && confirmed && brought).then_some((Scope::Broken, Follows::Rest));
        let due = || self.due_again(policy, maildrop, ledger);
        let perhaps_varies = |(id, _): &(EntryId, _)| {
            Some(*id).filter(|id| confirmed && ledger.entry(*id).state != EntryState::Deleted)
        };
        let asked_again: Vec<EntryId> = tally.withheld.iter().filter_map(perhaps_varies).collect();
        let left = tally.cut_short || tally.left_alone || !asked_again.is_empty();
        let next = match policy.window {
            true => self.after_window((confirmed, brought), tally, due).map(|scope| (scope, Follows::Window)),
            false => {
                let next = match self.scope {
                    // Whether copies differ from session to session shows in another one.
                    Scope::Everything if !asked_again.is_empty() => Some(Scope::Only { left: asked_again }),
                    // What wasn't stored is left alone, so that the rest can be deleted.
                    Scope::Everything if drops_at_quit && policy.deletes() && !confirmed => {
                        (tally.not_stored && brought).then_some(Scope::Everything)
                    }
                    // Unless this run has tried them already.
                    Scope::Everything if drops_at_quit && confirmed && self.course.given_up.is_empty() => {
                        (!due().is_empty()).then_some(Scope::Failed)
                    }
                    _ => None,
                };
                next.map(|scope| (scope, Follows::Rest))
            }
        };
        SessionOutcome { next: next.or(broken), left }
    }

    /// What follows a session in a window of the maildrop.
    fn after_window(
        &self,
        (confirmed, brought): (bool, bool),
        tally: &Tally,
        due: impl FnOnce() -> Vec<EntryId>,
    ) -> Option<Scope> {
        let has_stored = tally.delivered > 0 || tally.matched().next().is_some();
        match self.scope {
            // Behind it there may be more.
            Scope::Everything if confirmed && has_stored && brought => Some(Scope::Everything),
            // What wasn't stored is left alone, so that a `QUIT` takes the rest out of the window.
            Scope::Everything if !confirmed && has_stored && brought && !tally.unstored.is_empty() => {
                Some(Scope::Everything)
            }
            Scope::Everything => {
                let left = due();
                (!left.is_empty() && tally.failed == 0).then_some(Scope::Only { left })
            }
            Scope::Only { left } => match left.split_last() {
                Some((_, rest)) if !rest.is_empty() => Some(Scope::Only { left: rest.to_vec() }),
                // The window shows others now.
                _ => (confirmed && tally.delivered > 0).then_some(Scope::Everything),
            },
            Scope::Failed | Scope::Broken => None,
        }
    }

    /// Some of what failed before this run and has waited long enough.  What this run has tried waits for the next one.
    fn due_again(&self, policy: &Policy, maildrop: &Maildrop, ledger: &Ledger) -> Vec<EntryId> {
        let given_up = self.entries_given_up(ledger);
        let due = maildrop.iter().filter_map(|listed| match listed.who {
            Who::Known(id) if is_due(&ledger.entry(id), policy) && !given_up.contains(&id) => Some(id),
            _ => None,
        });
        due.take(10).collect()
    }
}

/// Whether it failed, and has waited long enough.
pub(super) fn is_due(entry: &ledger::Entry, policy: &Policy) -> bool {
    entry.failures > 0 && !plan::backs_off(entry, policy)
}

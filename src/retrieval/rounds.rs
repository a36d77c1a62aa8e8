//! The rounds of a session: first, known messages in doubt are compared, and new ones retrieved.  This is repeated if
//! a comparison failed, because then every known message is in doubt and may be listed under another unique-id.
//! Last, the messages that the policy retires are recognised and deleted.  Each round is decided by the ledger as the
//! one before has left it.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use super::Error;
use super::by_word;
use super::doubts;
use super::fetch::{CompareResult, Tally};
use super::pipeline::MOST_DELETIONS;
use super::run::Run;
use crate::ledger::memory::Habits;
use crate::ledger::{EntryState, Ledger};
use crate::plan::compare::{Comparison, Search, Used};
use crate::plan::{self, Decision, Listed, Maildrop, Policy, Who, Why};
use crate::proof::{Delivered, EntryId};
use crate::types::{MessageNumber, Octets};

/// More rounds than these bring nothing: what is left is left for the next run.
const MOST: u32 = 5;

/// Of more entries than these the headers aren't read to find what has moved: they take 72 octets each.
const MOST_WATCHED: u32 = 200_000;

/// What is done in one round of a session.
#[derive(Default)]
pub(super) struct Round {
    /// One for each message of the listing; none: nothing is retrieved or compared.
    pub(super) decisions: Vec<Decision>,
    pub(super) comparison: Comparison,
    /// Deletions that need nothing more than their `DELE`.
    pub(super) ready: Vec<Delivered>,
    /// Whether it only compares what something that was set aside waits for.
    pub(super) questions: bool,
}

impl Round {
    /// Leaves out all but these.
    pub(super) fn keep_only(&mut self, numbers: &HashSet<MessageNumber>, maildrop: &Maildrop) {
        self.ready.clear();
        for (decision, listed) in self.decisions.iter_mut().zip(maildrop.iter()) {
            if !numbers.contains(&listed.number) {
                *decision = Decision::Leave(Why::Known);
            }
        }
    }

    /// Whether there is nothing to do in it.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.decisions.iter().all(|decision| decision.leaves())
    }
}

/// Which rounds are over.
#[derive(Debug)]
pub(super) struct Rounds {
    /// Whether all that is known is in doubt already.
    suspected: bool,
    /// Where messages are looked for that aren't what their keys stand for.
    search: Search,
    /// What has been asked for: it isn't asked for again in this session.
    attempted: HashSet<MessageNumber>,
    used: Used,
    /// Messages that came back together, of which a sample is compared.
    sampled: Vec<EntryId>,
    /// Whether more than [`MANY`] came back together, and all are compared.
    many: bool,
    /// Messages without unique-ids.
    nameless: HashSet<MessageNumber>,
    count: u32,
    /// Whether the last round compared only what something that was set aside waits for.
    questioning: bool,
    /// Whether the first round asked for nothing: then what was decided stands.
    idle: bool,
    retired: bool,
}

impl Rounds {
    /// `renumbering`: an earlier session has found that unique-ids stand for other mail, and perhaps ended before it had
    /// looked for that everywhere.
    pub(super) fn new(suspected: bool, renumbering: bool, maildrop: &Maildrop) -> Self {
        let nameless = |listed: Listed<'_>| matches!(listed.who, Who::Nameless).then_some(listed.number);
        Self {
            suspected,
            search: if renumbering { Search::EveryKey } else { Search::OwnKey },
            attempted: HashSet::new(),
            used: Used::default(),
            sampled: Vec::new(),
            many: false,
            nameless: maildrop.iter().filter_map(nameless).collect(),
            count: 0,
            questioning: false,
            idle: false,
            retired: false,
        }
    }

    /// The first round, by these decisions.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn first(
        &mut self,
        mut decisions: Vec<Decision>,
        (maildrop, policy): (&Maildrop, &Policy),
        ledger: &Ledger,
        habits: &Habits,
        has_top: bool,
    ) -> Result<Round, Error> {
        // What this session leaves alone, later rounds leave alone as well.
        let left = |(listed, decision): (Listed<'_>, &Decision)| {
            (*decision == Decision::Leave(Why::BackingOff)).then_some(listed.number)
        };
        self.attempted.extend(maildrop.iter().zip(&decisions).filter_map(left));
        self.idle = decisions.iter().all(|decision| decision.leaves());
        if !self.idle {
            doubts::hold_back_new(maildrop, &mut decisions);
            self.many = !self.suspected && doubts::are_many(&decisions);
            if self.many {
                self.sampled = doubts::sample(maildrop, ledger, habits, has_top, &mut decisions);
            }
        }
        self.begin(decisions, (maildrop, policy), ledger)
    }

    /// What follows a round that went well; `None` when all is done.
    ///
    /// # Errors
    /// When the ledger cannot be written, or read.
    pub(super) fn next(
        &mut self,
        run: &Run<'_>,
        ended: Comparison,
        (maildrop, policy): (&mut Maildrop, &Policy),
        ledger: &mut Ledger,
        habits: &mut Habits,
        tally: &mut Tally,
    ) -> Result<Option<Round>, Error> {
        adopt(maildrop, ledger, tally);
        let failed: HashSet<EntryId> = ended.failed.iter().copied().collect();
        let questioned: HashSet<EntryId> = ended.questioned.iter().copied().collect();
        self.used = ended.used();
        let questions = !questioned.is_empty() && (failed.is_empty() || self.suspected);
        let is_over = std::mem::replace(&mut self.questioning, questions);
        let looked_everywhere = self.suspected && self.search == Search::EveryKey;
        if questions || !(failed.is_empty() || looked_everywhere) {
            // What was set aside is looked for again, among everything.  What was matched isn't compared again: its delivery is
            // used, so that it would be taken for one more.
            self.attempted.retain(|number| !tally.standing.aside.contains(number));
        }
        if !failed.is_empty() {
            doubts::mismatch(run, ledger, habits, self.suspected, &matched_entries(maildrop, tally))?;
            (self.suspected, self.search) = (true, Search::EveryKey);
            (self.sampled, self.many) = (Vec::new(), false);
        } else if !self.sampled.is_empty() {
            ledger.trust(&std::mem::take(&mut self.sampled))?;
        } else if std::mem::take(&mut self.many) {
            let undone = tally.compared.iter().any(|compared| compared.result != CompareResult::Matched);
            habits.matched_gaps = if undone { 0 } else { habits.matched_gaps.saturating_add(1) };
        }
        if self.count >= MOST || run.context.stop.raised() {
            return Ok(None);
        }
        if questions {
            return self.question(&questioned, (maildrop, policy), ledger).map(Some);
        }
        let (messages, octets) = policy.taken;
        let taken = (messages.saturating_add(tally.delivered), octets.plus(Octets(tally.octets)));
        let policy = &Policy { taken, ..policy.clone() };
        if !self.retired {
            if self.suspected && self.search == Search::OwnKey {
                // All that is known has been compared, and is what it was.
                self.suspected = false;
            }
            // Of 50,000 known messages the same decisions would take 8 million instructions, 4 % of a poll.
            let decisions = if self.idle { Vec::new() } else { self.left(maildrop, ledger, policy) };
            if !decisions.iter().all(|decision| decision.leaves()) {
                return self.begin(decisions, (maildrop, policy), ledger).map(Some);
            }
        } else if is_over || !failed.is_empty() {
            let decisions = self.left(maildrop, ledger, policy);
            return self.begin(decisions, (maildrop, policy), ledger).map(Some);
        }
        if std::mem::replace(&mut self.retired, true) {
            return Ok(None);
        }
        self.retire(run, (maildrop, policy), ledger, tally).map(Some)
    }

    /// Compares these, and nothing else: what was set aside is theirs, or isn't, when that is over.
    fn question(
        &mut self,
        questioned: &HashSet<EntryId>,
        listing: (&Maildrop, &Policy),
        ledger: &mut Ledger,
    ) -> Result<Round, Error> {
        ledger.doubt(Some(&questioned.iter().copied().collect::<Vec<_>>()))?;
        ledger.flush()?;
        let compared = |listed: Listed<'_>| match listed.who {
            Who::Known(id) if questioned.contains(&id) => Decision::Compare(Why::Doubtful),
            Who::Known(_) | Who::New(_) | Who::Nameless => Decision::Leave(Why::Known),
        };
        let decisions = listing.0.iter().map(compared).collect();
        Ok(Round { questions: true, ..self.begin(decisions, listing, ledger)? })
    }

    /// What is to do now, without what has been asked for.
    fn left(&self, maildrop: &Maildrop, ledger: &Ledger, policy: &Policy) -> Vec<Decision> {
        let mut decisions = plan::decide(maildrop, ledger, policy);
        for (decision, listed) in decisions.iter_mut().zip(maildrop.iter()) {
            // What is to be identified was asked for in the first round, or waits for another session.
            if self.attempted.contains(&listed.number) || *decision == Decision::Identify {
                *decision = Decision::Leave(Why::Known);
            }
        }
        decisions
    }

    /// What was kept for the end of the session.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn last(
        &mut self,
        decisions: Vec<Decision>,
        listing: (&Maildrop, &Policy),
        ledger: &Ledger,
    ) -> Result<Round, Error> {
        self.begin(decisions, listing, ledger)
    }

    fn begin(
        &mut self,
        decisions: Vec<Decision>,
        (maildrop, policy): (&Maildrop, &Policy),
        ledger: &Ledger,
    ) -> Result<Round, Error> {
        self.count = self.count.saturating_add(1);
        let asked = maildrop.iter().zip(&decisions).filter(|(_, decision)| !decision.leaves());
        self.attempted.extend(asked.map(|(listed, _)| listed.number));
        let comes = |decision: &Decision| matches!(decision, Decision::Retrieve(Why::New | Why::Again));
        // No complete listing is ever taken of a window, so that it never shows that the server has renumbered; and where
        // unique-ids have moved once, they move again.
        let moves = decisions.iter().any(comes) && (policy.window || ledger.has_unsteady_ids());
        let search = if moves { Search::EveryKey } else { self.search };
        let mut comparison = Comparison::new(maildrop, &decisions, ledger, search, policy.utf8)?
            .after(std::mem::take(&mut self.used));
        if search == Search::OwnKey && ledger.len() <= MOST_WATCHED && decisions.iter().any(comes) {
            comparison = comparison.watching(ledger, maildrop)?;
        }
        Ok(Round { decisions, comparison, ..Round::default() })
    }

    /// The round that deletes what the policy retires: at once what was recognised in this session, the rest when it has
    /// been.
    fn retire(
        &mut self,
        run: &Run<'_>,
        (maildrop, policy): (&Maildrop, &Policy),
        ledger: &Ledger,
        tally: &mut Tally,
    ) -> Result<Round, Error> {
        let uncertain: HashSet<EntryId> = tally.uncertain.iter().copied().collect();
        let waiting = tally.waiting.iter().map(Delivered::entry);
        let done: HashSet<EntryId> =
            tally.accepted.iter().chain(&tally.refused).copied().chain(waiting).collect();
        // Where unique-ids are numbers, a message that was deleted as one entry may be listed as another.
        let waiting: HashSet<MessageNumber> = tally.waiting.iter().map(Delivered::number).collect();
        let is_gone =
            |number: &MessageNumber| tally.standing.gone.contains(number) || waiting.contains(number);
        let mut retired =
            plan::retire(maildrop, ledger, policy, &|id| uncertain.contains(&id) || done.contains(&id));
        retired.retain(|retired| !is_gone(&retired.number));
        let most = MOST_DELETIONS.saturating_sub(tally.accepted.len() + tally.waiting.len());
        tally.cut_short |= retired.len() > most;
        let mut due: HashMap<MessageNumber, Why> = HashMap::new();
        let mut ready = Vec::new();
        for retired in retired.into_iter().take(most) {
            run.detail(|| format!("message {} is deleted: {}", retired.number, retired.why));
            // A header is not enough for what has no unique-id.
            let recognised =
                tally.recognised.contains_key(&retired.number) && !self.nameless.contains(&retired.number);
            if recognised {
                ready.extend(ledger.prove_delivered(retired.entry, retired.number));
            } else {
                due.insert(retired.number, retired.why);
            }
        }
        let decision = |listed: Listed<'_>| {
            due.get(&listed.number).map_or(Decision::Leave(Why::Known), |why| Decision::Delete(*why))
        };
        let decisions: Vec<Decision> =
            if due.is_empty() { Vec::new() } else { maildrop.iter().map(decision).collect() };
        // What was matched to count it may be matched again to delete it.
        self.used = Used::default();
        let round = self.begin(decisions, (maildrop, policy), ledger)?;
        Ok(Round { ready, ..round })
    }
}

/// The entries of the keys whose messages this session's comparisons have matched.
fn matched_entries(maildrop: &Maildrop, tally: &Tally) -> Vec<EntryId> {
    tally.matched().filter_map(|compared| maildrop.find(compared.number)?.entry()).collect()
}

/// Gives messages that this session delivered or matched their entries, so that they count among the newest.
fn adopt(maildrop: &mut Maildrop, ledger: &Ledger, tally: &Tally) {
    by_word::adopt(maildrop, ledger);
    for compared in tally.matched() {
        let is_nameless = maildrop.find(compared.number).is_some_and(|listed| listed.who == Who::Nameless);
        if let (true, Some(id)) = (is_nameless, compared.entry)
            && ledger.entry(id).state != EntryState::Open
        {
            maildrop.assign(compared.number, id);
        }
    }
}
